"""Rows that no reader would take for a request to mail all domains of an order are none.

Each list stands beside the orders that it may ask for; REFUSED has nothing of it sent.
"""

import io

import pytest
import xlsxwriter

from batch_resend.errors import InputError
from batch_resend.intake import ListSource, Reading
from batch_resend.model import Row
from tests.intake.conftest import standard_input

REFUSED = ["refused"]


def goes(content: str | bytes, reading: Reading | None = None) -> list[str]:
    """Return the orders of the rows of a list that are sent."""
    found = []
    with standard_input(content.encode() if isinstance(content, str) else content):
        source = ListSource("-", reading)
        try:
            rows = [row for row in source if isinstance(row, Row)]
        except InputError:
            return REFUSED
        for row in rows:
            if row.entries or not source.form.with_addresses or "all_domains" in row.notes:
                found.append(row.order_id)
    return found


THE_WORD = {
    word: f"order_id,all_domains\n100200301,yes\n100200302,{word}\n"
    for word in ("no", "FALSE", "false", "0", "n", "nein", "non", "", "-", "later", "?")
}


@pytest.mark.parametrize("content", THE_WORD.values(), ids=THE_WORD)
def test_only_a_plain_yes_asks_for_all_domains(content: str) -> None:
    assert goes(content) == ["100200301"]


@pytest.mark.parametrize("word", ["yes", "Yes", "y", "TRUE", "true", "1", "x", "ja", "oui", "sí"])
def test_a_plain_yes_does(word: str) -> None:
    assert goes(f"order_id,all_domains\n100200301,{word}\n") == ["100200301"]


@pytest.mark.parametrize("word", ["false", "0", '"no"', "null", '"FALSE"', '""'])
def test_nor_does_another_word_in_json(word: str) -> None:
    lines = '{"order_id": 100200301, "all_domains": true}\n{"order_id": 100200302, "all_domains": '
    assert goes(lines + word + "}\n") == ["100200301"]


def test_nor_a_record_that_leaves_the_word_out_where_others_have_it() -> None:
    lines = '{"order_id": 100200302}\n{"order_id": 100200301, "all_domains": true}\n'
    assert goes(lines) == ["100200301"]


def test_nor_a_false_in_a_workbook() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["order_id", "all_domains"])
    for at, said in enumerate((True, False, 0, 1, ""), start=1):
        sheet.write_row(at, 0, [100200300 + at, said])
    book.close()
    assert goes(file.getvalue()) == ["100200301", "100200304"]


def test_a_no_of_a_row_outweighs_the_option_for_all() -> None:
    content = "order_id,all_domains\n100200301,\n100200302,no\n"
    assert goes(content, Reading(all_domains=True)) == ["100200301"]


@pytest.mark.parametrize("heading", ["all domain", "all_domain", "All-Domains?", "alldomans"])
def test_a_heading_close_to_that_word_is_asked_about(heading: str) -> None:
    content = f"order_id,{heading}\n100200301,no\n"
    assert goes(content) == REFUSED
    assert goes(content, Reading(ignored=frozenset((heading,)))) == ["100200301"]
