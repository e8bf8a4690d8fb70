"""A list with any sign of addresses, or of orders that need no mail, is not read as order-only.

Each list names nobody in a column or key that is read. It goes only by the user's word.
"""

import json

import pytest

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Call, Note, Row
from tests.intake.conftest import REFUSED, goes, standard_input

ORDER = "100200301"
DOMAINS = {
    "bare": "a.example.com",
    "as a URL": "https://a.example.com/",
    "with a port": "a.example.com:443",
    "with a label": "DNS:a.example.com",
    "as a distinguished name": "CN=a.example.com",
    "in parentheses": "(a.example.com)",
    "two": "a.example.com b.example.com",
    "with a slash between": "a.example.com / b.example.com",
    "with a comma": "a.example.com, b.example.com",
    "as a set": "{a.example.com,b.example.com}",
    "in a sentence": "only a.example.com please",
    "at the end of a sentence": "Only for a.example.com.",
    "a wildcard": "*.example.com",
    "defanged": "a[.]example[.]com",
    "defanged in words": "a (dot) example (dot) com",
    "full width": "a\uff0eexample\uff0ecom",
    "an address in words": "admin(at)a.example.com",
    "an address all in words": "admin [at] a [dot] example [dot] com",
}
HELD = {
    **DOMAINS,
    "in a list": ["a.example.com", "b.example.com"],
    "in an object": {"name": "a.example.com"},
    "as a key of an object": {"a.example.com": True},
    "deep": [{"x": [{"y": "https://a.example.com/"}]}],
}


def by_word(column: str) -> Reading:
    """Return a reading of a person who wants all domains mailed, whatever a column says."""
    return Reading(all_domains=True, ignored=frozenset((column,)))


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_a_domain_under_an_unknown_key_is_asked_about(held: object) -> None:
    content = json.dumps({"order_id": int(ORDER), "thing": held}) + "\n"
    assert goes(content) == []
    assert goes(f"[{content}]") == []
    assert goes(content, by_word("thing")) == [ORDER]


@pytest.mark.parametrize(
    "text",
    ["blue", "Example GmbH & Co.KG", "e.g. later", "v1.2", "10.0.0.1", "3.14", "report.pdf",
     "No. 7", "d.o.o.", "2026-01-01T00:00:00.000Z"],
)  # fmt: skip
def test_what_only_has_a_dot_is_no_domain(text: str) -> None:
    assert goes(json.dumps({"order_id": int(ORDER), "team": text}) + "\n") == [ORDER]


SIGNS = {
    "a mailbox": ("x", "admin"),
    "two mailboxes": ("x", "webmaster, Postmaster@"),
    "a word for a mailbox": ("Mailbox name", "jo"),
    "for an approver": ("approverName", "Jo"),
    "for a domain": ("sub-domain", "www"),
    "for a zone": ("DNS zone", "internal"),
    "for a host": ("host_part", "shop"),
    "for a prefix": ("prefix", "www"),
    "a remark": ("note", "only www"),
    "a remark in German": ("Bemerkung", "nur www"),
    "a state in which a mail may be wanted": ("active", "x"),
    "another one": ("verified?", "2026-01-01"),
    **{
        f"in words: {words}": ("x", f"Kim: {words}, 2026")
        for words in (
            "do not send", "don't mail", "dont contact", "never to be sent", "no need to notify",
            "must no longer be mailed", "please skip", "bitte auslassen", "nicht mehr anschreiben",
            "ne pas renvoyer", "no enviar", "non inviare", "niet mailen", "not to resend",
            "leave it out", "not this one", "no more mails", "vorerst nicht", "não enviar",
            "inte skicka", "ikke send", "nie wysyłać", "neodesílat",
            "älä lähetä", "gönderme",
            "не отправлять",
            "不要发送", "送信不要",
        )
    },
    **{
        f"a row marked {heading}": (heading, cell)
        for heading, cell in (
            ("done", "x"), ("cancelled", "2026-01-01"), ("Approved", "y"), ("sent", "2026-01-01"),
            ("mailed on", "1.1.2026"), ("resolved?", "x"), ("completed_at", "2026-01-01"),
            ("blocked", "x"), ("on hold", "x"), ("erledigt", "x"), ("gesendet am", "1.1."),
            ("fait", "x"), ("hecho", "x"), ("deleted_at", "2026-01-01"), ("archived", "1"),
            ("Is done", "x"), ("Storniert", "x"), ("already mailed", "x"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("key", "text"), SIGNS.values(), ids=SIGNS)
def test_a_key_that_may_narrow_what_is_meant_is_asked_about(key: str, text: str) -> None:
    content = json.dumps({"order_id": int(ORDER), key: text}) + "\n"
    assert goes(content) == []
    assert goes(content, Reading(ignored=frozenset((key,)))) == [ORDER]
    assert goes(json.dumps({"order_id": int(ORDER), key: ""}) + "\n") == [ORDER]


@pytest.mark.parametrize(
    "added",
    [{"meta": {"done": True}}, {"site": [{"host": "shop"}]}, {"flags": ["skip"]}, {"": "x"},
     {"wish": "nein"}],
)  # fmt: skip
def test_so_is_one_within_another(added: dict[str, object]) -> None:
    content = json.dumps({"order_id": int(ORDER), **added}) + "\n"
    assert goes(content) == []
    assert goes(content, Reading(ignored=frozenset(added))) == [ORDER]


@pytest.mark.parametrize("cell", ["skip", "no", "do not send", "cancelled", "done", "admin"])
def test_a_cell_of_a_list_without_headings_may_say_not_to_send_its_row(cell: str) -> None:
    order = {Field.ORDER_ID: "1"}
    assert goes(f"{ORDER},{cell}\n", Reading(order, headed=False)) == REFUSED
    ignoring = Reading(order, headed=False, ignored=frozenset(("column 2",)))
    assert goes(f"{ORDER},{cell}\n", ignoring) == [ORDER]
    assert goes(f"{ORDER},Example Ltd\n", Reading(order, headed=False)) == [ORDER]


def table(heading: str, cell: str) -> str:
    """Return a list of order numbers alone with one more column."""
    return f'order_id,"{heading}"\n{ORDER},"{cell}"\n'


@pytest.mark.parametrize("text", DOMAINS.values(), ids=DOMAINS)
def test_a_domain_in_an_unread_column_is_asked_about(text: str) -> None:
    assert goes(table("thing", text)) == REFUSED
    assert goes(table("thing", text), by_word("thing")) == [ORDER]
    later = table("thing", "") + f"{ORDER},\n" * 60 + f'{ORDER},"{text}"\n'
    assert goes(later) == REFUSED


@pytest.mark.parametrize(("heading", "cell"), SIGNS.values(), ids=SIGNS)
def test_a_column_that_may_narrow_what_is_meant_is_asked_about(heading: str, cell: str) -> None:
    assert goes(table(heading, cell)) == REFUSED
    assert goes(table(heading, cell), Reading(ignored=frozenset((heading,)))) == [ORDER]
    assert goes(table(heading, "")) == [ORDER]
    marked_later = table(heading, "") + f"{ORDER},\n" * 60 + f'{ORDER},"{cell}"\n'
    assert goes(marked_later) == REFUSED


@pytest.mark.parametrize("cell", ["skip", "no", "do not send", "x", "7"])
def test_a_column_without_a_heading_is_asked_about(cell: str) -> None:
    assert goes(table("", cell)) == REFUSED
    assert goes(table("", cell), Reading(ignored=frozenset(("column 2",)))) == [ORDER]
    assert goes(table("", "")) == [ORDER]


@pytest.mark.parametrize(
    "content",
    [table("thing", "kim@c.example"), f'{{"order_id": {ORDER}, "thing": "kim@c.example"}}\n'],
)
def test_addresses_that_are_left_aside_by_the_word_are_noted(content: str) -> None:
    with standard_input(content.encode()):
        (row,) = ListSource("-", by_word("thing"))
    assert isinstance(row, Row)
    assert row.notes == (Note.ADDRESSES_ASIDE,)


def test_columns_beside_addresses_are_not_asked_about() -> None:
    head, row = (
        "order_id,domain,email,active,,prefix\n",
        "a.example.com,admin@a.example.com,x,y,www",
    )
    assert goes(f"{head}{ORDER},{row}\n") == [ORDER]


@pytest.mark.parametrize(
    "content", [f"order_id,domain_id\n{ORDER},77\n", f'{{"order_id": {ORDER}, "domain_id": 77}}\n']
)
def test_a_domain_by_its_number_is_not_widened_to_all_of_its_order(content: str) -> None:
    assert goes(content) == []
    assert goes(content, Reading(all_domains=True)) == []
    assert goes(content, Reading(all_domains=True, ignored=frozenset(("domain_id",)))) == [ORDER]
    assert goes(content, Reading(call=Call.DOMAIN_DCV)) == ["77"]
    assert goes(f"order_id,domain_id\n{ORDER},\n") == [ORDER]


PAIR = {"domain_approval_emails": [{"domain": "a.example.com", "email": "admin@a.example.com"}]}
PLANNED = {
    "with addresses": ({}, ORDER, PAIR, [ORDER]),
    "with the word": ({"all_domains": True}, ORDER, {}, [ORDER]),
    "that lost its addresses": ({}, ORDER, {}, []),
    "with only a language left": ({}, ORDER, {"locale": "de"}, []),
    "with an empty list of them": ({}, ORDER, {"domain_approval_emails": []}, []),
    "with the word set to false": ({"all_domains": False}, ORDER, {}, []),
    "of another order": ({}, "100200399", PAIR, []),
    "of another order, by the word": ({"all_domains": True}, "100200399", {}, []),
}


@pytest.mark.parametrize(("beside", "order", "body", "sent"), PLANNED.values(), ids=PLANNED)
def test_a_planned_request_is_read_as_it_was_planned(
    beside: dict[str, object], order: str, body: dict[str, object], sent: list[str]
) -> None:
    path = f"/order/certificate/{order}/resend-emails"
    planned = {"order_id": ORDER, **beside, "method": "PUT", "path": path, "body": body}
    assert goes(json.dumps(planned) + "\n") == sent
    for lost in ("method", "body"):
        rest = {key: held for key, held in planned.items() if key != lost}
        assert goes(json.dumps(rest) + "\n") == []


@pytest.mark.parametrize("added", [{"done": "x"}, {"prefix": "www"}, {"only": "www.a.example.com"}])
def test_so_are_keys_added_to_orders_of_the_ca(added: dict[str, str]) -> None:
    order = {"id": 100200301, "certificate": {"common_name": "a.example.com"}}
    assert goes(json.dumps({"orders": [order]})) == [ORDER]
    assert goes(json.dumps({"orders": [order | added]})) == []
    assert goes(json.dumps({"orders": [order | added]}), Reading(ignored=frozenset(added))) == [
        ORDER
    ]


NOT_SENT = ["exclude", "excluded", "cancelled", "canceled", "failed", "skip", "skipped", "done",
            "sent", "already_sent", "do_not_send", "ignore", "erledigt"]  # fmt: skip


@pytest.mark.parametrize("key", NOT_SENT)
def test_a_list_under_a_key_that_says_not_to_send_it_is_asked_about(key: str) -> None:
    orders = [{"order_id": int(ORDER)}]
    for wrapped in ({key: orders}, {"data": {key: orders}}, {key: {"items": orders}}):
        assert goes(json.dumps(wrapped)) == REFUSED
    assert goes(json.dumps(orders)) == [ORDER]


@pytest.mark.parametrize("key", ["data", "items", "results", "to_send", "resend", "pending"])
def test_a_list_under_another_key_is_read_and_the_plan_names_the_key(key: str) -> None:
    content = json.dumps({key: [{"order_id": int(ORDER)}]})
    assert goes(content) == [ORDER]
    with standard_input(content.encode()):
        source = ListSource("-")
        assert len(list(source)) == 1
    assert source.form.under == key


@pytest.mark.parametrize("text", ["admin@b.example.com", "only b.example.com", "admin(at)b.de"])
def test_the_word_for_all_rows_is_not_for_one_that_names_an_address_elsewhere(text: str) -> None:
    content = (
        f"order_id,domain,email,Note\n{ORDER},a.example.com,admin@a.example.com,{text}\n"
        f"100200302,,,{text}\n100200303,,,\n"
    )
    assert goes(content, Reading(all_domains=True)) == [ORDER, "100200303"]
    assert goes(content, by_word("Note")) == [ORDER, "100200302", "100200303"]
    assert goes(table("thing", text), Reading(all_domains=True)) == []
    line = json.dumps({"order_id": int(ORDER), "Note": text}) + "\n"
    assert goes(line, Reading(all_domains=True)) == []
    assert goes(line, by_word("Note")) == [ORDER]


def test_domains_of_our_own_export_in_json_are_left_aside() -> None:
    exported = {
        "order_id": ORDER, "status": "pending", "product": "ssl_dv_geotrust_flex",
        "dcv_method": "", "created_at": "2026-01-01T00:00:00Z", "age_days": 1,
        "container": "example.com", "domains": ["a.example.com"], "domain_id": "77",
    }  # fmt: skip
    assert goes(json.dumps(exported) + "\n") == [ORDER]
    assert goes(json.dumps(exported) + "\n", Reading(all_domains=True)) == [ORDER]
    assert goes(json.dumps(exported | {"thing": "a.example.com"}) + "\n") == []
