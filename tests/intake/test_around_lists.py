"""What stands above a list, below it or around it may narrow it: then nothing of it goes.

REFUSED: the whole list is, with what to do about it.
"""

import json

import pytest

from batch_resend.intake import Reading
from tests.intake.conftest import REFUSED, goes, workbook
from tests.intake.test_held_back import ORDERS, column, pair, reasons


@pytest.mark.parametrize(
    "title",
    ["Do not send these", "Cancelled orders November", "Bitte nicht senden!", "送信しない",
     "Only www.example.com of these", "# do not send", "Domain: www.example.com"],
)  # fmt: skip
def test_a_title_above_the_headings_that_narrows_the_list_refuses_it(title: str) -> None:
    """Passed over, it would have the whole list mailed; one that says nothing of that is."""
    for end in ("\n", "\n\n"):
        assert goes(f"{title}{end}{column(ORDERS[:2])}") == REFUSED
        addressed = f"{title}{end}order_id,domain,email\n" + "".join(map(pair, ORDERS[:2]))
        assert goes(addressed) == REFUSED
    assert goes(f"DigiCert pending orders\n{column(ORDERS[:2])}") == ORDERS[:2]


@pytest.mark.parametrize(
    "remark",
    ["Note: the last two are cancelled", "only www.example.com of each", "Do not send",
     "(last 2 rows cancelled)"],
)  # fmt: skip
def test_a_remark_below_a_list_that_narrows_it_refuses_it(remark: str) -> None:
    assert goes(column([*ORDERS[:4], remark])) == REFUSED


@pytest.mark.parametrize("rule", ["---", "=====", "***"])
def test_rows_below_a_rule_may_be_of_another_kind(rule: str) -> None:
    assert goes(column([*ORDERS[:2], rule, *ORDERS[2:4]])) == REFUSED


@pytest.mark.parametrize("heading", ["selected", "In scope", "Freigabe", "Phase", "送信"])
def test_marks_beside_some_rows_alone_are_asked_about(heading: str) -> None:
    """Whether the marked ones are to be mailed, or the others, nothing says."""
    content = f"order_id,{heading}\n{ORDERS[0]},x\n{ORDERS[1]},\n{ORDERS[2]},x\n"
    assert goes(content) == REFUSED
    assert f'--ignore "{heading}"' in reasons(content)
    assert goes(content, Reading(ignored=frozenset((heading,)))) == ORDERS[:3]


@pytest.mark.parametrize("remark", ["only www", "nur an hostmaster", "ohne www", "leave this out"])
def test_a_remark_that_narrows_its_row_is_asked_about(remark: str) -> None:
    assert goes(f"order_id,Notes\n{ORDERS[0]},\n{ORDERS[1]},{remark}\n") == REFUSED


NOBODY = {"order_id": 100200301}
SOMEBODY = {**NOBODY, "domain": "a.example.com", "email": "admin@a.example.com"}
_ENTRY = {"domain": "a.example.com", "email": "admin@a.example.com"}


@pytest.mark.parametrize(
    "document",
    [
        [{"domain": "a.example.com", "email": "admin@a.example.com", "orders": [NOBODY]}],
        {"orders": [NOBODY], "email": "admin@a.example.com"},
        {"domain_approval_emails": [_ENTRY], "orders": [NOBODY]},
        {"data": {"domain": "a.example.com", "items": [NOBODY]}},
        {"customer": {"domain": "a.example.com", "orders": [NOBODY]}},
        {"a.example.com": [NOBODY]},
        {"call": "order-approval", "orders": [NOBODY]},
        {"locale": "de", "orders": [NOBODY]},
        {"orders": [NOBODY], "account": "acme"},
        *(
            {"orders": [record], **beside}
            for record in (NOBODY, SOMEBODY)
            for beside in (
                {"skip": True}, {"status": "cancelled"}, {"tags": ["do-not-send"]},
                {"order_status": "issued"}, {"meta": {"skip": "yes"}},
            )
        ),
        [{"status": "issued", "orders": [NOBODY]}, {"status": "pending", "orders": [NOBODY]}],
        *({key: [NOBODY]} for key in ("blacklist", "errors", "duplicates", "history", "excluded")),
    ],
    ids=lambda document: json.dumps(document)[:60],
)  # fmt: skip
def test_json_in_which_something_beside_the_orders_may_narrow_them_is_refused(
    document: object,
) -> None:
    assert goes(json.dumps(document)) == REFUSED
    assert goes(json.dumps(document, indent=1)) == REFUSED


@pytest.mark.parametrize(
    "document",
    [
        {"orders": [NOBODY], "page": {"total": 1, "limit": 1000, "offset": 0}},
        {
            "status": "ok",
            "total": 1,
            "next": "https://api.example.com/?page=2",
            "records": [NOBODY],
        },
        {"data": {"items": [NOBODY], "count": 1}, "success": True, "message": None},
        {"generated": "2026-11-28", "orders": [NOBODY]},
        {"account": {"id": 5}, "email": "me@x.example", "orders": [SOMEBODY]},
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_what_a_program_tells_of_its_pages_narrows_nothing(document: object) -> None:
    assert goes(json.dumps(document)) != REFUSED


@pytest.mark.parametrize(
    ("key", "held"),
    [("only", "www"), ("subset", ["www"]), ("names", ["www"]), ("scope", "first"),
     ("dry_run", True), ("opted_out", True)],
)  # fmt: skip
def test_a_key_that_may_narrow_its_record_keeps_it_back(key: str, held: object) -> None:
    records = [{**NOBODY, key: held}, {"order_id": 100200302}]
    assert goes(json.dumps(records)) == ["100200302"]
    heading = f"order_id,{key}\n100200301,x\n100200302,y\n"
    assert goes(heading) == REFUSED
    assert f'--ignore "{key}"' in reasons(heading)


@pytest.mark.parametrize("heading", ["Order ID,Team", "Certificate Order ID,Team"])
def test_a_title_above_a_list_with_other_columns_is_passed_over(heading: str) -> None:
    assert goes(f"Pending orders\n{heading}\n100200301,Web\n100200302,Web\n") == ORDERS[:2]


def test_a_sheet_whose_name_says_not_to_send_is_sent_only_by_its_name() -> None:
    rows: list[list[object]] = [["Order ID"], [100200301]]
    assert goes(workbook(rows, "Do not send")) == REFUSED
    assert goes(workbook(rows, "Do not send"), Reading(sheet="Do not send")) == ORDERS[:1]
    assert goes(workbook(rows, "Orders")) == ORDERS[:1]


@pytest.mark.parametrize("count", [3, 40, 100])
@pytest.mark.parametrize("falls", [False, True], ids=["rising", "falling"])
def test_numbers_that_have_grown_by_a_digit_go_where_they_are_sorted(
    count: int, *, falls: bool
) -> None:
    numbers = [*(2345678 + n for n in range(count)), *(12345678 + n for n in range(count))]
    cells = [str(number) for number in sorted(numbers, reverse=falls)]
    assert goes(column(cells)) == cells
    addressed = "order_id,domain,email\n" + "".join(map(pair, cells))
    assert len(goes(addressed)) == len(cells)
