"""Text made to be shown: masked addresses, and domains in both of their forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.visible import redacted, with_unicode, without_quotes


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("admin@example.com", "***@example.com"),
        ("shop.example.com: jane.doe+dcv@example.com", "shop.example.com: ***@example.com"),
        ("a@x.example, b@y.example", "***@x.example, ***@y.example"),
        ("'o'brien@example.com'", "'***@example.com'"),
        ('"jane doe"@example.com said', "***@example.com said"),
        ("<admin@example.com>", "<***@example.com>"),
        ('["1","a@b.example"]', '["1","***@b.example"]'),
        ("jürgen@müller.example", "***@müller.example"),
        ("secret|name@a.example", "***@a.example"),
        (f"{'s' * 200}@a.example", "***@a.example"),
        ("no address here", "no address here"),
        ("an @ alone", "an @ alone"),
    ],
)
def test_an_address_keeps_its_domain_only(text: str, masked: str) -> None:
    assert redacted(text) == masked


@given(st.text(), st.from_regex(r"[a-z0-9.+_-]{1,20}", fullmatch=True), st.text())
def test_no_local_part_survives_whatever_stands_around_it(
    before: str, local: str, after: str
) -> None:
    text = f"{before} {local}@example.com {after}"
    assert f"{local}@example.com" not in redacted(text)


@pytest.mark.parametrize(
    "mistyped",
    ["secret @a.example", "secret@@a.example", "secret at a.example", "secret(at)a.example",
     "secret\uff20a.example", "secret%40a.example", "o'secret @a.example", '"secret" @', "secret@"],
)  # fmt: skip
def test_of_what_a_message_quotes_nothing_is_left(mistyped: str) -> None:
    told = without_quotes(f"the e-mail address {mistyped!r} has no @, in {mistyped!r} (column 'e')")
    assert "secret" not in told
    assert told.startswith("the e-mail address '***'")


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("a@xn--wei308-dta.de", " (weiß308.de)"),
        ("shop.xn--strae-oqa.example", " (shop.straße.example)"),
        ("xn--wei308-dta.de: a@xn--wei308-dta.de", " (weiß308.de)"),
        ("xn--p1ai.example, xn--wei308-dta.de", " (рф.example, weiß308.de)"),
        ("a@plain.example", ""),
        ("xn--.example", ""),
        ("xn--zzzzzzzz99999999.example: a@xn--zzzzzzzz99999999.example", ""),
        ("xn--ab-g4t.example", " (a\\u202eb.example)"),
    ],
)
def test_a_domain_has_behind_it_how_people_write_it(text: str, behind: str) -> None:
    assert with_unicode(text) == text + behind
