"""What is said of a list that cannot be read is what is wrong with it."""

import io
import json

import pytest
import xlsxwriter

from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import read, read_rejected, refusal, workbook

ROW = ("100200301", "a.example.com", "admin@a.example.com")
OTHER = ("100200302", "b.example.com", "admin@b.example.com")
HEADING = ("order_id", "domain", "email")
RECORD = dict(zip(HEADING, ROW, strict=True))


@pytest.mark.parametrize("between", [";", "\t", "|"])
def test_a_row_with_other_delimiters_is_said_to_have_these_and_harms_no_row_beside_it(
    between: str,
) -> None:
    lines = [",".join(HEADING), ",".join(ROW), between.join(OTHER), ",".join(ROW)]
    first, second, third = read("\n".join(lines) + "\n")
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    assert isinstance(second, RejectedRow)
    assert (
        second.reason
        == f"its cells are separated by {between!r}, and the heading's are not: separate all by one"
    )


@pytest.mark.parametrize("between", [";", "\t", "|"])
def test_so_is_one_in_quotation_marks(between: str) -> None:
    quoted = between.join(f'"{cell}"' for cell in ROW)
    words = refusal(f"{','.join(HEADING)}\n{quoted}\n")
    assert f"line 2: not CSV: the cells are separated by {between!r} there" in words
    assert "quotation mark" not in words


def test_a_quotation_mark_that_is_missing_still_is_said_to_be() -> None:
    words = refusal(f'{",".join(HEADING)}\n"{",".join(ROW)}\n{",".join(OTHER)}\n')
    assert "is a quotation mark missing?" in words


def book_of(**sheets: list[tuple[object, ...]]) -> bytes:
    """Return a workbook; sheets whose names end in _ are hidden."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content)
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name.rstrip("_"))
        for at, row in enumerate(rows):
            sheet.write_row(at, 0, row)
        if name.endswith("_"):
            sheet.hide()
        else:
            sheet.activate()
            sheet.set_first_sheet()
    book.close()
    return content.getvalue()


def test_a_formula_that_was_never_computed_is_no_comment() -> None:
    content = workbook([HEADING, ROW, ["=SUM(A2:A2)"]])
    text = f"{','.join(HEADING)}\n{','.join(ROW)}\n=SUM(A2:A2),,\n"
    for form in (content, text):
        first, second = read(form)
        assert isinstance(first, Row)
        assert isinstance(second, RejectedRow)
        assert "holds a formula that was never computed" in second.reason


def test_a_hidden_sheet_is_named_where_the_visible_one_holds_no_orders() -> None:
    words = refusal(book_of(Orders_=[HEADING, ROW], Notes=[("Read me",)]))
    assert "hidden sheet 'Orders', which --sheet names" in words


@pytest.mark.parametrize("key", ["data", "order", "result"])
def test_a_record_beneath_a_key_is_said_to_stand_there(key: str) -> None:
    for content in (json.dumps({key: RECORD}), json.dumps({key: RECORD}, indent=1)):
        assert f"the record is under the key {key!r}" in read_rejected(content).reason


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("-[ RECORD 1 ]-----\norder_id | 1\ndomain   | a.example.com\n", "psql's expanded output"),
        (f"{'*' * 27} 1. row {'*' * 27}\norder_id: 1\n", "mysql's vertical output"),
        ("\u250c\u2500\u2500\u2510\n\u2502 order_id \u2502\n", "a table drawn with lines"),
        ("\u2554\u2550\u2550\u2557\n\u2551 order_id \u2551\n", "a table drawn with lines"),
        ("||order_id||domain||\n|1|a.example.com|\n", "a table of Jira"),
        ("{| class=wikitable\n! order_id\n|}\n", "a table of MediaWiki"),
        ("|===\n|order_id |domain\n|===\n", "a table of AsciiDoc"),
        ("\\begin{tabular}{ll}\norder_id & domain\\\\\n", "LaTeX"),
    ],
)
def test_what_other_programs_draw_is_named_for_what_it_is(content: str, what: str) -> None:
    assert f"standard input is {what}" in refusal(content)
