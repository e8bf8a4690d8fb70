"""What a person marks in a workbook says which rows to send: cells struck out, or remarked upon."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import InputError
from batch_resend.intake import ListSource
from batch_resend.list_form import Remark
from batch_resend.model import RejectedRow
from tests.intake.test_hidden import HEADING, a_book, orders, shop

Sheet = Any  # xlsxwriter has no types
Change = Callable[[Sheet, Any], None]
ROWS = [HEADING, *map(shop, range(1, 5))]


def written(form: Mapping[str, object], *cells: tuple[int, int]) -> Change:
    """Return what writes some cells again, by row and column, in a format."""

    def change(sheet: Sheet, book: Any) -> None:
        for row, column in cells:
            sheet.write(row, column, ROWS[row][column], book.add_format(form))

    return change


def rich(row: int, column: int, *, whole: bool) -> Change:
    """Return what strikes out the runs of a cell's text, or its first alone."""

    def change(sheet: Sheet, book: Any) -> None:
        struck = book.add_format({"font_strikeout": True})
        text = str(ROWS[row][column])
        plain = struck if whole else book.add_format({"italic": True})
        sheet.write_rich_string(row, column, struck, text[:4], plain, text[4:])

    return change


STRUCK = {"font_strikeout": True}


@pytest.mark.parametrize(
    "strike",
    [
        pytest.param(written(STRUCK, (2, 0), (2, 1), (2, 2)), id="the whole row"),
        pytest.param(written(STRUCK, (2, 0)), id="the order's number alone"),
    ],
)
def test_a_row_that_is_struck_out_is_left_out_and_counted(tmp_path: Path, strike: Change) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, strike)
    assert orders(source) == ["100200301", "100200303", "100200304"]
    assert source.form.remarks == {Remark.STRUCK_ROWS: 1}


def test_so_is_one_in_a_list_of_orders_alone(tmp_path: Path) -> None:
    rows = [("order_id", "name"), *((100200300 + n, f"Shop {n}") for n in range(1, 4))]

    def strike(sheet: Sheet, book: Any) -> None:
        sheet.write_row(2, 0, rows[2], book.add_format(STRUCK))

    source = a_book(tmp_path / "list.xlsx", rows, strike)
    assert [row.order_id for row in source] == ["100200301", "100200303"]


@pytest.mark.parametrize(
    "strike",
    [
        pytest.param(written(STRUCK, (2, 2)), id="its address"),
        pytest.param(written(STRUCK, (2, 1)), id="its domain"),
        pytest.param(rich(2, 2, whole=True), id="all of its address, as a text in runs"),
        pytest.param(rich(2, 2, whole=False), id="a part of its address"),
    ],
)
def test_a_row_of_which_a_part_is_struck_out_is_rejected(tmp_path: Path, strike: Change) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, strike)
    (rejected,) = [row for row in source if isinstance(row, RejectedRow)]
    assert rejected.line == 3
    assert "struck out" in rejected.reason
    assert orders(source) == ["100200301", "100200303", "100200304"]


def test_a_heading_that_is_struck_out_is_asked_about_like_a_hidden_column(tmp_path: Path) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, written(STRUCK, (0, 2)))
    with pytest.raises(InputError, match="'email' is hidden, or struck out"):
        list(source)


def test_what_a_condition_strikes_out_refuses_the_list(tmp_path: Path) -> None:
    def rule(sheet: Sheet, book: Any) -> None:
        form = book.add_format(STRUCK)
        sheet.conditional_format("A2:C5", {"type": "formula", "criteria": "=$D2", "format": form})

    with pytest.raises(InputError, match="conditional format strikes out cells"):
        list(a_book(tmp_path / "list.xlsx", ROWS, rule))


@pytest.mark.parametrize("column", [0, 2, 5])
def test_a_row_with_a_comment_is_rejected_with_what_it_says(tmp_path: Path, column: int) -> None:
    source = a_book(
        tmp_path / "list.xlsx", ROWS, lambda sheet, _: sheet.write_comment(2, column, "Do not send")
    )
    (rejected,) = [row for row in source if isinstance(row, RejectedRow)]
    assert (rejected.line, rejected.order_id) == (3, "100200302")
    assert "comment" in rejected.reason
    assert "Do not send" in rejected.reason
    assert orders(source) == ["100200301", "100200303", "100200304"]


@pytest.mark.parametrize(
    ("form", "cell", "named"),
    [
        ({"font_color": "#FFFFFF"}, (1, 0), "A2"),
        ({"font_color": "#FFFFFF", "bg_color": "#FFFFFF"}, (2, 2), "C3"),
        ({"font_color": "#123456", "bg_color": "#123456"}, (2, 1), "B3"),
        ({"bg_color": "#000000"}, (1, 2), "C2"),
    ],
)
def test_a_cell_in_the_colour_of_its_ground_refuses_the_list(
    tmp_path: Path, form: Mapping[str, object], cell: tuple[int, int], named: str
) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, written(form, cell))
    with pytest.raises(InputError, match=f"the cell {named} holds something.*colour of its backg"):
        list(source)


def _as_a_table(sheet: Sheet, book: Any) -> None:
    sheet.add_table(0, 0, 4, 2, {"columns": [{"header": name} for name in HEADING]})
    sheet.write_row(0, 0, HEADING, book.add_format({"font_color": "#FFFFFF"}))


def _with_a_rule(sheet: Sheet, book: Any) -> None:
    form = book.add_format({"bg_color": "#FF0000"})
    sheet.conditional_format("A2:C5", {"type": "formula", "criteria": "=$D2", "format": form})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            written({"font_color": "#FFFFFF", "bg_color": "#000080"}, (0, 0), (0, 1), (0, 2)),
            id="a heading in white on blue",
        ),
        pytest.param(written({"bold": True, "font_color": "#FF0000"}, (1, 0)), id="red"),
        pytest.param(written({"bg_color": "#FFFF00"}, (1, 0), (1, 1)), id="on yellow"),
        pytest.param(
            written({"pattern": 2, "fg_color": "#FFFFFF", "font_color": "#FFFFFF"}, (0, 0)),
            id="on a pattern",
        ),
        pytest.param(_as_a_table, id="white headings of a table, whose style has the ground"),
        pytest.param(_with_a_rule, id="a rule that colours cells"),
        pytest.param(
            lambda sheet, _: sheet.write_comment(0, 0, "as in CertCentral"), id="on a heading"
        ),
    ],
)
def test_other_formats_say_nothing(tmp_path: Path, change: Change) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, change)
    assert orders(source) == ["100200301", "100200302", "100200303", "100200304"]
    assert not source.form.remarks


def test_a_strike_that_is_taken_back_is_none(tmp_path: Path) -> None:
    source = a_book(tmp_path / "list.xlsx", ROWS, written({"font_strikeout": False}, (1, 0)))
    assert isinstance(source, ListSource)
    assert orders(source) == ["100200301", "100200302", "100200303", "100200304"]
