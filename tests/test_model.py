"""The nouns: what names a request, and what a fault tells."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_resend.model import (
    Call,
    Entry,
    FaultKind,
    PlannedRequest,
    Problem,
    RejectedRow,
    Request,
    Row,
)

CA = "https://www.digicert.com/services/v2"
ORDER = Request("100200301", "en", (Entry("example.com", "admin@example.com", "example.org"),))

_FEW = st.sampled_from(["", "1", "2", "12", "a", '"', ",", "null", "None", "\\", "é", "\ud800"])
_ENTRY = st.builds(Entry, _FEW, _FEW, st.none() | _FEW)
_ORDER = st.builds(
    Request,
    _FEW,
    st.none() | _FEW,
    st.lists(_ENTRY, max_size=2).map(tuple),
    st.sampled_from([Call.DV_RESEND, Call.DOMAIN_DCV]),
)
_ASKED = st.tuples(_FEW, _ORDER, st.none() | _FEW)  # of which CA, what, by which key
_ONE = Request("1", None, ())


@given(_ASKED, _ASKED)
@example(("", _ONE, None), ("", Request("1", "", ()), None))
@example(("", _ONE, None), ("", Request("1", "null", ()), None))
@example(("1", Request("2", None, ()), None), ("12", Request("", None, ()), None))
@example(("", Request("1", "2", ()), None), ("", Request("12", "", ()), None))
@example(("", _ONE, None), ("", Request("1", None, (), Call.DOMAIN_DCV), None))
@example(("", _ONE, None), ("", _ONE, "key"))
@example(
    ("", Request("1", None, (Entry("a", "b", None),)), None),
    ("", Request("1", None, (Entry("a", "b", ""),)), None),
)
def test_two_requests_have_one_digest_only_if_they_ask_the_same_of_the_same_ca(
    asked: tuple[str, Request, str | None], other: tuple[str, Request, str | None]
) -> None:
    digests = [order.digest(ca, budget) for ca, order, budget in (asked, other)]
    assert (digests[0] == digests[1]) is (asked == other)


@given(st.text(), st.text(), st.none() | st.text(), st.lists(st.tuples(st.text(), st.text())))
def test_a_digest_is_made_of_what_is_asked_and_not_of_where_it_stands(
    ca: str, order_id: str, locale: str | None, pairs: list[tuple[str, str]]
) -> None:
    def made() -> Request:
        return Request(order_id, locale, tuple(Entry(*pair) for pair in pairs))

    digests = {made().digest(ca) for _ in range(2)}
    planned = [PlannedRequest(n, 9 - n, made(), made().digest(ca), attempts=n) for n in range(3)]
    assert digests == {each.request.digest(ca) for each in planned}
    assert {len(digest) for digest in digests} == {16}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(ORDER, subject="100200302"), id="another order"),
        pytest.param(replace(ORDER, locale="de"), id="another language"),
        pytest.param(replace(ORDER, locale=None), id="no language"),
        pytest.param(replace(ORDER, entries=()), id="all domains"),
        pytest.param(replace(ORDER, entries=ORDER.entries * 2), id="more entries"),
        pytest.param(
            replace(ORDER, entries=(Entry("example.net", "admin@example.com", "example.org"),)),
            id="another domain",
        ),
        pytest.param(
            replace(
                ORDER, entries=(Entry("example.com", "hostmaster@example.com", "example.org"),)
            ),
            id="another address",
        ),
        pytest.param(
            replace(ORDER, entries=(Entry("example.com", "admin@example.com"),)),
            id="no e-mail domain",
        ),
        pytest.param(
            replace(ORDER, entries=(Entry("example.com", "admin@example.com", ""),)),
            id="an empty e-mail domain",
        ),
    ],
)
def test_a_request_that_differs_in_one_thing_has_another_digest(other: Request) -> None:
    assert other.digest(CA) != ORDER.digest(CA)


@pytest.mark.parametrize("local", ["admin", "jane.roe", "jürgen"])
def test_an_address_is_the_same_in_upper_and_lower_case(local: str) -> None:
    def asked(email: str) -> bytes:
        return Request("7", None, (Entry("example.com", email),)).digest(CA)

    lower = asked(f"{local}@example.com")
    assert lower == asked(f"{local.title()}@Example.com") == asked(f"{local.upper()}@EXAMPLE.COM")
    assert lower != asked(f"{local}2@example.com")


def test_another_ca_is_another_request() -> None:
    assert ORDER.digest(CA) != ORDER.digest("https://certcentral.digicert.eu/services/v2")


def test_the_digest_stays_what_it_was_since_journals_hold_it() -> None:
    assert ORDER.digest(CA).hex() == "9f070944c845822407e03d41acdbfd65"


@pytest.mark.parametrize(
    ("kind", "may_have"),
    [
        (FaultKind.NO_SUCH_HOST, False),
        (FaultKind.NOT_CONNECTED, False),
        (FaultKind.PROXY_REFUSED, False),
        (FaultKind.TLS_REFUSED, False),
        (FaultKind.STOPPED, False),
        (FaultKind.LOST, True),
        (FaultKind.TIMED_OUT, True),
        (FaultKind.GARBLED, True),
    ],
)
def test_a_request_may_have_arrived_unless_no_connection_was_made(
    kind: FaultKind, may_have: bool
) -> None:
    assert kind.may_have_arrived is may_have


def test_every_kind_of_fault_is_judged_above() -> None:
    assert len(FaultKind) == 8


@pytest.mark.parametrize(
    ("noun", "field"),
    [
        (ORDER, "locale"),
        (ORDER.entries[0], "email"),
        (Row(1, "1", (), None, ""), "line"),
        (RejectedRow(1, Problem.FORM, "", ""), "reason"),
    ],
)
def test_the_nouns_cannot_be_changed_and_can_be_keys(noun: object, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(noun, field, "x")
    assert {noun: 1}[noun] == 1
