"""Lists whose orders are perhaps none of the CA's, or not to be mailed, are held back.

Each stands beside the orders that go. REFUSED: the whole list is, with what to do about it.
"""

import json

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow
from tests.intake.conftest import REFUSED, goes, standard_input, workbook

ORDERS = [f"1002003{n:02}" for n in range(1, 13)]
SHORT = [f"87654{n:02}" for n in range(1, 13)]
HEADLESS = Reading({Field.ORDER_ID: "1"}, headed=False)
WITH_PAIRS = Reading(
    {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3"}, headed=False
)  # fmt: skip


def column(cells: list[str], heading: str = "Order ID") -> str:
    """Return a list of one column."""
    return "".join(f"{cell}\n" for cell in (heading, *cells))


def in_every_form(cells: list[str]) -> list[list[str]]:
    """Return the orders that go of a column of cells, in each form that a list may have."""
    text = column(cells)
    numbers: list[object] = [
        int(cell) if cell.isdigit() and cell[0] != "0" else cell for cell in cells
    ]
    records = [{"order_id": one} for one in numbers]
    return [
        goes(text),
        goes("\ufeff" + text),
        goes(text.replace("\n", "\r\n")),
        goes(column([f"{cell};" for cell in cells], "Order ID;note")),
        goes(column([f"{cell}\t" for cell in cells], "Order ID\tnote")),
        goes(text.replace("Order ID", "Nr"), Reading({Field.ORDER_ID: "Nr"})),
        goes(text.partition("\n")[2], HEADLESS),
        goes(workbook([["Order ID"], *([one] for one in numbers)])),
        goes("".join(json.dumps(record) + "\n" for record in records)),
        goes(json.dumps(records)),
    ]


def reasons(content: str, reading: Reading | None = None) -> str:
    """Return why a list, or rows of it, do not go."""
    with standard_input(content.encode()):
        try:
            rows = list(ListSource("-", reading))
        except InputError as error:
            return str(error)
    return "\n".join(f"{row.line}: {row.reason}" for row in rows if isinstance(row, RejectedRow))


# --- numbers that are none of the CA's orders -------------------------------------------

NO_ORDERS = {
    "row numbers": ["1", "2", "3", "4"],
    "one alone": ["7"],
    "quantities": ["17", "300", "24", "99999"],
    "postal codes": ["80331", "10115", "20095"],
    "article numbers": ["40512", "40513", "40514"],
    "too long ones": ["112345678901", "112345678902"],
    "telephone numbers": ["0301234567", "0301234568", "08912345678"],
    "dates": ["20261128", "20261129", "20261130"],
    "dates, the day first": ["28112026", "29112026", "30112026"],
    "a date alone": ["20261128"],
    "dates with a counter": ["2026112801", "2026112802", "2026112901"],
}


@pytest.mark.parametrize("cells", NO_ORDERS.values(), ids=NO_ORDERS)
def test_numbers_alone_that_are_not_as_the_cas_go_only_by_the_word(cells: list[str]) -> None:
    assert all(went in ([], REFUSED) for went in in_every_form(cells))
    assert "--all-domains" in reasons(column(cells))
    by_word = goes(column(cells), Reading(all_domains=True))
    assert by_word
    assert set(by_word) <= {cell.lstrip("0") for cell in cells}


TOTALS = {
    "of two": [*ORDERS[:2], str(sum(map(int, ORDERS[:2])))],
    "of many": [*ORDERS, str(sum(map(int, ORDERS)))],
    "of each section": [
        *SHORT[:3], str(sum(map(int, SHORT[:3]))), *SHORT[3:6], str(sum(map(int, SHORT[3:6])))
    ],
    "the count": [*ORDERS, str(len(ORDERS))],
}  # fmt: skip


@pytest.mark.parametrize("cells", TOTALS.values(), ids=TOTALS)
def test_a_row_that_is_the_sum_or_the_count_of_those_above_is_no_order(cells: list[str]) -> None:
    orders = [cell for cell in cells if cell in ORDERS + SHORT]
    assert in_every_form(cells) == [orders] * 10
    assert "sum" in reasons(column(cells)) or "count" in reasons(column(cells))


def test_nor_is_a_sum_above_its_numbers() -> None:
    cells = [str(sum(map(int, ORDERS[:4]))), *ORDERS[:4]]
    assert in_every_form(cells) == [REFUSED] * 10


TWO_KINDS = {
    "below each other": [*SHORT, *ORDERS],
    "the other way round": [*ORDERS, *SHORT],
    "by turns": [cell for pair in zip(SHORT, ORDERS, strict=True) for cell in pair],
    "with a broken one": [*SHORT[:5], "87654", *SHORT[5:], *ORDERS],
    "three of each": [*SHORT[:3], *ORDERS[:3]],
    "two in three": [*SHORT, *ORDERS[:6]],
    "next to each other in length, one from the middle of its range": [
        *(f"5551000{n}" for n in range(4)), *ORDERS[3::-1]
    ],
}  # fmt: skip


@pytest.mark.parametrize("cells", TWO_KINDS.values(), ids=TWO_KINDS)
def test_two_kinds_of_numbers_in_about_equal_parts_are_asked_about(cells: list[str]) -> None:
    assert in_every_form(cells) == [REFUSED] * 10
    assert "--all-domains" in reasons(column(cells))
    assert len(goes(column(cells), Reading(all_domains=True))) >= len(cells) - 1


# --- what stands between the rows -------------------------------------------------------

TITLES = ["Cancelled:", "Already done", "customer numbers", "Customer ID", "ID", "Invoices 2026",
          "Cancelled (3)", "# cancelled", "--- erledigt ---", "Nicht senden", "Order Number",
          "to do"]  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("at", [0, 3, 11])
def test_rows_below_a_title_within_a_list_are_in_doubt(title: str, at: int) -> None:
    cells = [*ORDERS[:at], title, *ORDERS[at:]]
    if at:  # above all of them it may be one of the lines above a heading
        assert goes(column(cells)) == REFUSED
        assert repr(title[:5])[:-1] in reasons(column(cells))
    assert goes("\n".join(cells) + "\n", HEADLESS) == REFUSED
    assert goes(column([f"{cell};" for cell in cells], "Order ID;note")) == REFUSED
    assert goes(workbook([["Order ID"], *([one] for one in cells)])) == REFUSED
    if title != "Order Number":
        records = "".join(json.dumps({"order_id": cell}) + "\n" for cell in cells)
        assert goes(records) == REFUSED


def test_a_text_at_the_end_of_a_list_costs_its_own_row_alone() -> None:
    assert in_every_form([*ORDERS, "end of list"]) == [ORDERS] * 10


def test_so_does_a_cell_that_says_nothing_and_a_number_with_a_text_beside_it() -> None:
    assert goes(column([*ORDERS[:3], "n/a", *ORDERS[3:]])) == ORDERS
    assert goes(column([*ORDERS[:3], "ORD-100200399", *ORDERS[3:]])) == ORDERS


def test_the_same_heading_again_begins_no_other_part() -> None:
    assert goes(column([*ORDERS[:3], "Order ID", *ORDERS[3:]])) == ORDERS


def pair(order: str, more: str = "") -> str:
    """Return a row that names an address."""
    return f"{order},a{order}.example.com,admin@a{order}.example.com{more}\n"


@pytest.mark.parametrize("title", ["Cancelled:,,", "Already done", "# do not send", ",skip these,"])
def test_rows_with_addresses_are_in_doubt_below_a_title_that_says_not_to_send(title: str) -> None:
    rows = pair(ORDERS[0]), title + "\n", pair(ORDERS[1]), pair(ORDERS[2])
    assert goes("order_id,domain,email\n" + "".join(rows)) == REFUSED
    assert goes("".join(rows), WITH_PAIRS) == REFUSED


# --- marks ------------------------------------------------------------------------------

MARKS = {
    "done": ("Done", ["x", ""]),
    "done, all of them": ("Done", ["x", "x"]),
    "a date": ("cancelled at", ["", "2026-11-01"]),
    "an action": ("Action", ["keep", "skip"]),
    "an action, to delete": ("Action", ["keep", "delete"]),
    "a state": ("State", ["active", "cancelled"]),
    "one of the CA's": ("State", ["", "issued"]),
    "a note": ("Note", ["", "do not send"]),
    "a note that says it in a sentence": ("Note", ["", "Customer called: please don't mail!"]),
    "in German": ("Bemerkung", ["", "erledigt"]),
    "in a German sentence": ("Bemerkung", ["", "bitte nicht mehr anschreiben"]),
    "in French": ("Remarque", ["", "ne pas envoyer"]),
    "in a column of any name": ("Team", ["blue", "on hold"]),
    "a yes or no": ("Kunde will", ["ja", "nein"]),
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(("heading", "cells"), MARKS.values(), ids=MARKS)
def test_a_mark_not_to_send_beside_addresses_is_asked_about(
    heading: str, cells: list[str], *, later: bool
) -> None:
    more = [cells[0]] * 60 if later and cells != ["x", "x"] else []
    marks = [cells[0], *more, cells[1]]
    rows = [pair(str(100200300 + n), f',"{mark}"') for n, mark in enumerate(marks)]
    content = f"order_id,domain,email,{heading}\n" + "".join(rows)
    for reading in (Reading(), Reading(all_domains=True)):
        assert goes(content, reading) == REFUSED
    assert "--ignore" in reasons(content)
    assert goes(content.replace(",", ";")) == REFUSED
    ignoring = Reading(ignored=frozenset((heading,)))
    assert len(goes(content, ignoring)) == len(marks)
    assert len(goes(content, Reading(all_domains=True, ignored=ignoring.ignored))) == len(marks)


@pytest.mark.parametrize(("heading", "cells"), MARKS.values(), ids=MARKS)
def test_so_it_is_in_a_list_of_order_numbers_alone(heading: str, cells: list[str]) -> None:
    rows = "".join(f'{order},"{cell}"\n' for order, cell in zip(ORDERS, cells, strict=False))
    assert goes(f"order_id,{heading}\n{rows}") == REFUSED


@pytest.mark.parametrize("cell", ["skip", "cancelled", "please do not send"])
def test_so_it_is_without_a_heading(cell: str) -> None:
    content = pair(ORDERS[0], ",") + pair(ORDERS[1], f",{cell}")
    assert goes(content, WITH_PAIRS) == REFUSED
    ignoring = Reading(WITH_PAIRS.mapping, headed=False, ignored=frozenset(("column 4",)))
    assert goes(content, ignoring) == ORDERS[:2]


@pytest.mark.parametrize(
    ("key", "held"),
    [("done", True), ("done", "x"), ("action", "skip"), ("note", "do not send"),
     ("state", "cancelled"), ("meta", {"state": "issued"}), ("send", False)],
)  # fmt: skip
def test_so_it_is_in_json(key: str, held: object) -> None:
    record = {"order_id": int(ORDERS[0]), "domain": "a.example.com", "email": "admin@example.com"}
    lines = json.dumps(record) + "\n" + json.dumps({**record, "order_id": 100200302, key: held})
    assert goes(lines + "\n") == ORDERS[:1]
    assert goes(lines + "\n", Reading(ignored=frozenset((key,)))) == ORDERS[:2]


# --- order numbers beside addresses -----------------------------------------------------

ODD = {
    "cut short": "10020030",
    "cut short by two": "1002003",
    "with a digit more": "1002003011",
    "with a zero in front": "0100200399",
    "cut short behind a zero": "010020039",
    "with blanks": "10 020 030",
}


@pytest.mark.parametrize("number", ODD.values(), ids=ODD)
@pytest.mark.parametrize("at", [0, 2, 4, 11])
def test_a_number_of_another_form_than_all_others_is_rejected(number: str, at: int) -> None:
    orders = [*ORDERS[:at], number, *ORDERS[at:]]
    heading = "order_id,domain,email\n"
    content = heading + "".join(pair(order).replace(f"a{order}", "a") for order in orders)
    assert goes(content) == ORDERS
    assert reasons(content).startswith(f"{at + 2}: ")
    assert "list of its own" in reasons(content)
    assert goes(content.replace(heading, ""), WITH_PAIRS) == ORDERS
    if number.isdigit() and not number.startswith("0"):
        base = {"domain": "a.example.com", "email": "admin@a.example.com"}
        assert goes(json.dumps([{"order_id": int(one), **base} for one in orders])) == ORDERS


# --- what is to go without a question ---------------------------------------------------

GOOD = {
    "a column of nine digits": column(ORDERS),
    "of seven": column(SHORT),
    "of eight": column([f"765432{n:02}" for n in range(9)]),
    "of six": column([f"5432{n:02}" for n in range(9)]),
    "one alone": column(ORDERS[:1]),
    "two": column(ORDERS[:2]),
    "grown by a digit": column([*(f"99999{n:03}" for n in range(990, 999)), "100000001"]),
    "sorted, of seven to nine": column(
        [*SHORT[:4], *(f"765432{n:02}" for n in range(4)), *ORDERS[:4]]
    ),
    "of two lengths, mixed": column(
        [SHORT[0], ORDERS[0], ORDERS[1], SHORT[1], SHORT[2], ORDERS[2], ORDERS[3], SHORT[3]]
    ),
    "with a title above": "Orders to send\nOrder ID\n" + "\n".join(ORDERS) + "\n",
    "in German": column(ORDERS, "Bestellnummer"),
    "numbers with a sign": column([f"#{order}" for order in ORDERS]),
    "with a team, a ticket and a customer": (
        "Order ID,Team,Ticket,Customer,Notes\n"
        "100200301,blue,4711,Example Ltd,first one\n100200302,red,4712,Shop & Co,ok\n"
        "100200303,red,4713,Archive Ltd,called on Monday\n"
    ),
    "the CA's own export": (
        "Order #,Common Name,Status,Product,Price\n"
        "100200301,a.example.com,Pending,RapidSSL,5\n100200302,b.example.com,pending,RapidSSL,5\n"
    ),
    "our own export": (
        "order_id,status,product,created_at,age_days,container,domains\n"
        "100200301,pending,ssl_dv_geotrust_flex,2026-01-01,3,Example,a.example.com\n"
    ),
    "addresses": "order_id,domain,email\n" + "".join(map(pair, ORDERS)),
    "addresses and a language": (
        "order_id,domain,email,locale\n" + "".join(pair(order, ",de") for order in ORDERS)
    ),
    "addresses of two lengths": "order_id,domain,email\n"
    + "".join(map(pair, [*SHORT[:5], *ORDERS[:5]])),
    "addresses of one order alone, of another length": "order_id,domain,email\n"
    + pair(SHORT[0])
    + pair(ORDERS[0]),
    "addresses and free texts": (
        "order_id,domain,email,Notes,Team,Ticket,Customer\n"
        + pair("100200301", ",customer is done with his move,blue,4711,Example Ltd")
        + pair("100200302", ",ok,red,4712,Shop & Co")
        + pair("100200303", ',"urgent, please",Archives,4713,Closed Doors Ltd')
        + pair("100200304", ",will send the rest later,red,4714,Stop & Go Inc")
    ),
    "addresses and shop columns": (
        "order_id,domain,email,price,phone\n" + pair("100200301", ",5,030 123")
    ),
    "addresses and a requester": (
        "order_id,domain,email,requested by,date ordered,active\n"
        + pair("100200301", ",Jo,2026-11-01,yes")
        + pair("100200302", ",Jo,2026-11-01,yes")
    ),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_a_good_list_goes_without_a_question(content: str) -> None:
    rows = [line for line in content.splitlines() if line[0] in "0123456789#"]
    assert len(goes(content)) == len(rows)
    assert goes("\ufeff" + content.replace("\n", "\r\n")) == goes(content)
    assert not reasons(content)


# --- without a heading ------------------------------------------------------------------


@pytest.mark.parametrize("text", ["admin@b.example.com", "only b.example.com", "webmaster"])
def test_the_word_for_all_widens_no_row_that_names_somebody_where_nothing_is_read(
    text: str,
) -> None:
    content = f"{ORDERS[0]},{text}\n{ORDERS[1]},\n"
    by_word = Reading(HEADLESS.mapping, headed=False, all_domains=True)
    assert goes(content, by_word) == ORDERS[1:2]
    ignoring = Reading(
        HEADLESS.mapping, headed=False, all_domains=True, ignored=frozenset(("column 2",))
    )
    assert goes(content, ignoring) == ORDERS[:2]
    record = {"order_id": int(ORDERS[0]), "thing": text}
    assert goes(json.dumps(record) + "\n", Reading(all_domains=True)) == []


FIRST_LINES = ["10,a.example.com,admin@a.example.com", ",a.example.com,admin@a.example.com",
               "100200300,,", "100200300", "100200300,a.example.com", "example.com,,"]  # fmt: skip


@pytest.mark.parametrize("first", FIRST_LINES)
def test_a_first_line_that_is_damaged_is_not_taken_for_a_heading(first: str) -> None:
    content = first + "\n" + "".join(map(pair, ORDERS))
    message = reasons(content)
    assert "--no-header" in message
    assert "--map order_id=1" in message
    for cell in filter(None, first.split(",")):
        assert f'="{cell}"' not in message
        mapped = Reading({Field.ORDER_ID: cell})
        assert goes(content, mapped) == REFUSED
