"""A lone quotation mark makes one cell of whole rows: no list is read without them."""

import csv
import io
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import read, refusal, standard_input, workbook
from tests.intake.test_damage import (
    Line,
    as_csv,
    asked,
    assert_not_wider,
    columns,
    damaging,
    lines,
)

ORDER, REMARK, DOMAIN, EMAIL = "order_id", "remark", "domain", "email"
FULL = (ORDER, REMARK, DOMAIN, EMAIL)


def cell(column: str, at: int, remark: str = "outage") -> str:
    """Return what a row has in a column."""
    return {
        ORDER: f"3135001{at:02}",
        DOMAIN: f"s{at}.example.com",
        EMAIL: f"admin@s{at}.example.com",
    }.get(column, remark)


def a_list(
    names: Sequence[str], marked: dict[int, dict[str, str]], delimiter: str, count: int = 7
) -> str:
    """Return a list of some rows, in some of which columns hold something else, unquoted."""
    rows = [
        [marked.get(at, {}).get(name, cell(name, at)) for name in names]
        for at in range(1, count + 1)
    ]
    return "".join(delimiter.join(row) + "\n" for row in (names, *rows))


def ditto(column: str, first: int, last: int) -> dict[int, dict[str, str]]:
    """Have two rows hold a lone quotation mark."""
    return {first: {column: '"'}, last: {column: '"'}}


SWALLOWED: dict[str, tuple[Sequence[str], dict[int, dict[str, str]]]] = {
    "in a column in the middle": (FULL, ditto(REMARK, 2, 3)),
    "in the first column": ((REMARK, ORDER, DOMAIN, EMAIL), ditto(REMARK, 2, 3)),
    "in the last column": ((ORDER, DOMAIN, EMAIL, REMARK), ditto(REMARK, 2, 3)),
    "with rows between": (FULL, ditto(REMARK, 2, 5)),
    "up to the last row": (FULL, ditto(REMARK, 2, 7)),
    "in the first row": (FULL, ditto(REMARK, 1, 2)),
    "an inch sign behind a quotation": (FULL, {2: {REMARK: '"Zoll'}, 4: {REMARK: '17"'}}),
    "in another column": (FULL, {2: {REMARK: '"'}, 4: {EMAIL: '"'}}),
    "from the last column to the first": (
        ("team", ORDER, DOMAIN, EMAIL, REMARK), {2: {REMARK: '"x'}, 3: {"team": 'y"'}},
    ),
    "in a column that is read, of domains": (FULL, ditto(DOMAIN, 2, 3)),
    "in a column that is read, of addresses": (FULL, ditto(EMAIL, 2, 3)),
    "in that of order numbers": (FULL, ditto(ORDER, 2, 3)),
    "order numbers and remarks alone": ((ORDER, REMARK), ditto(REMARK, 2, 3)),
    "remarks and order numbers alone": ((REMARK, ORDER), ditto(REMARK, 2, 3)),
    "beside order numbers that they stand for": ((ORDER, REMARK), ditto(ORDER, 2, 3)),
    "order numbers alone": ((ORDER,), ditto(ORDER, 2, 5)),
    "with cells that are empty": (
        FULL, {2: {REMARK: '"'}, 3: {REMARK: '"', DOMAIN: "", EMAIL: ""}},
    ),
    "in the row above with empty cells": (
        FULL, {2: {REMARK: '"', DOMAIN: "", EMAIL: ""}, 3: {REMARK: '"'}},
    ),
    "up to a row that has a cell too many": (
        FULL, {2: {REMARK: '"'}, 5: {REMARK: '"', EMAIL: "admin@s5.example.com~~gone"}},
    ),
    "behind a text of several lines": (FULL, ditto(REMARK, 3, 4) | {1: {REMARK: '"a\nb"'}}),
}  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("names", "marked"), SWALLOWED.values(), ids=SWALLOWED)
def test_a_lone_quotation_mark_that_swallows_rows_refuses_the_list_and_is_named(
    names: Sequence[str], marked: dict[int, dict[str, str]], delimiter: str, end: str
) -> None:
    content = a_list(names, marked, delimiter).replace("\n", end).replace("~~", delimiter)
    first, last = (at for at, cells in marked.items() if '"a\nb"' not in cells.values())
    more = 1 + ('"a' in content)
    message = refusal(content)
    assert message.startswith(f"standard input, line {first + more}: "), message
    assert f"in line {last + more}" in message
    assert "quotation mark" in message


def test_so_it_does_in_a_list_without_a_heading_and_for_orders_that_are_not_to_be_mailed() -> None:
    content = a_list(FULL, ditto(REMARK, 2, 3), ",")
    mapping = {Field.ORDER_ID: "1", Field.DOMAIN: "3", Field.EMAIL: "4"}
    cases = (
        (content.partition("\n")[2], Reading(mapping, headed=False)),
        (content, Reading(numbers_only=True)),
    )
    for text, reading in cases:
        with standard_input(text.encode()), pytest.raises(InputError, match="quotation mark"):
            list(ListSource("-", reading))


def test_so_it_does_in_the_heading_and_below_a_heading_with_other_columns() -> None:
    heading = 'order_id;"remark;domain;email\n313500101;x";s1.example.com;admin@s1.example.com\n'
    assert "line 1: a quotation mark" in refusal(heading + a_list(FULL, {}, ";"))
    other = a_list((EMAIL, REMARK, ORDER, DOMAIN), ditto(REMARK, 2, 3), ";")
    assert "line 11: a quotation mark" in refusal(a_list(FULL, {}, ";") + other)


def test_a_sheet_into_which_such_a_file_was_opened_is_refused() -> None:
    for delimiter in ",;\t|":
        content = a_list(FULL, ditto(REMARK, 2, 3), delimiter)
        rows = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter))
        assert "line 3: cell 2 holds what looks like rows" in refusal(workbook(rows))


TICKET = "Mail is missing.\nCustomer: Müller, Kim; tel. 030 123456\n\nplease resend"
TEXTS = {
    "a description": TICKET,
    "an address": 'Shop "Nord" Ltd\n12, High Street\nLeeds, LS1 4AP',
    "a mail that quotes an order's number": "Hello,\norder 313500102, as said, is stuck.\nBye, Kim",
    "a number on a line of its own": "please resend:\n313500102\nKim",
    "a number and thanks": "please resend this one,\n313500102, thanks,\nKim, Support",
    "several numbers": "like\n313500102, 313500103, 313500104, 313500105, 313500106\nKim",
    "quotations": 'he said "no",\nshe said "yes"\n"',
    "points": "Steps:\n1. open; 2. close\n1, open\n2, close",
    "another table": "host\tport\nweb1.example.com\t443\nweb2.example.com\t443",
    "a header of a mail": "From: Kim <kim@x.example>\nTo: a@x.example; b@x.example\nSubject: order",
    "blank lines": "\n\n",
}


@pytest.mark.parametrize(
    "names",
    [
        FULL,
        (REMARK, ORDER, DOMAIN, EMAIL),
        (ORDER, DOMAIN, EMAIL, REMARK),
        (ORDER, REMARK),
        (REMARK, ORDER),
    ],
    ids=",".join,
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_cell_of_several_lines_that_are_no_rows_is_read_as_it_is(
    names: Sequence[str], delimiter: str, text: str
) -> None:
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=delimiter)
    table.writerow(names)
    rows = [[cell(column, at, text) for column in names] for at in range(1, 8)]
    table.writerows(rows)
    # Of orders alone it would be asked whether such texts say whom to mail.
    ignored, by_word = ({REMARK}, True) if len(names) == 2 else (set(), False)
    reading = Reading(ignored=frozenset(ignored), all_domains=by_word)
    for content in (file.getvalue().encode(), workbook([names, *rows])):
        with standard_input(content):
            found = list(ListSource("-", reading))
        assert [json.loads(row.raw) for row in found] == rows
        assert all(isinstance(row, Row) for row in found)


def test_several_numbers_in_a_cell_reject_their_row_alone() -> None:
    heading = "order_id;domain;email\n"
    row = '"313500102\n313500103";a.example.com;admin@a.example.com\n'
    plain = "313500101;a.example.com;admin@a.example.com\n"
    assert [type(one) for one in read(heading + plain + row)] == [Row, RejectedRow]
    sheet = [["order_id"], ["313500101"], ["313500102\n313500103\n313500104"]]
    assert [type(one) for one in read(workbook(sheet))] == [Row, RejectedRow]


@damaging
@given(
    names=columns(),
    written=st.lists(lines(), min_size=3, max_size=9),
    delimiter=st.sampled_from(",;\t|"),
    rows=st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True).map(sorted),
    places=st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()),
    texts=st.tuples(st.sampled_from(("", "x", "17")), st.sampled_from(("", "x", "17"))),
)
def test_wherever_two_lone_quotation_marks_stand_no_row_is_lost_and_nothing_more_is_asked_for(
    *,
    names: list[str],
    written: list[Line],
    delimiter: str,
    rows: list[int],
    places: tuple[int, int, bool],
    texts: tuple[str, str],
) -> None:
    first, last = (min(row, len(written) - 1) for row in rows)
    begins, ends = (names[place % len(names)] for place in places[:2])
    ends = begins if places[2] else ends
    marked = list(written)
    marked[last] = {**marked[last], ends: f"{texts[1]}MARK"}
    marked[first] = {**marked[first], begins: f"MARK{texts[0]}"}
    content = as_csv(names, marked, delimiter, "\n").replace("MARK", '"')
    assert_not_wider(content, asked(written))
    with standard_input(content.encode()):
        try:
            count = len(list(ListSource("-")))
        except InputError:
            return
    assert count == len(written), content
