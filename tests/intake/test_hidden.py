"""Of a workbook that is read which the eye sees: nothing filtered away, folded up or hidden."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.list_form import Remark
from batch_resend.model import RejectedRow, Row

HEADING = ("order_id", "domain", "email")
Sheet = Any  # xlsxwriter has no types


def shop(number: int) -> tuple[object, ...]:
    """Return a row of the sheet."""
    return 100200300 + number, f"shop{number}.example.com", f"admin@shop{number}.example.com"


def a_book(
    path: Path, rows: Sequence[Sequence[object]], change: Callable[[Sheet, Any], None]
) -> ListSource:
    """Write a workbook, change it, and return it as a list."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        sheet.write_row(number, 0, row)
    change(sheet, book)
    book.close()
    return ListSource(str(path))


def orders(source: ListSource) -> list[str]:
    """Return the numbers of the orders that a list has mailed, each for its own pair alone."""
    found = [row for row in source if isinstance(row, Row)]
    for row in found:
        number = int(row.order_id) - 100200300
        assert [(e.domain, e.email) for e in row.entries] == [shop(number)[1:]]
    return [row.order_id for row in found]


def _filtered(sheet: Sheet, _: object) -> None:
    sheet.autofilter(0, 0, 4, 2)
    sheet.filter_column(0, "x == 100200301")
    for number in (2, 3, 4):
        sheet.set_row(number, options={"hidden": True})


def _folded(sheet: Sheet, _: object) -> None:
    for number in (2, 3, 4):
        sheet.set_row(number, options={"level": 1, "hidden": True})


def _without_height(sheet: Sheet, _: object) -> None:
    for number in (2, 3, 4):
        sheet.set_row(number, 0)


@pytest.mark.parametrize("hide", [_filtered, _folded, _without_height])
def test_hidden_rows_are_left_out_and_counted(
    tmp_path: Path, hide: Callable[[Sheet, object], None]
) -> None:
    source = a_book(tmp_path / "list.xlsx", [HEADING, *map(shop, range(1, 5))], hide)
    assert orders(source) == ["100200301"]
    assert source.form.remarks == {Remark.HIDDEN_ROWS: 3}


def test_a_hidden_column_is_not_read_where_a_visible_one_holds_the_same(tmp_path: Path) -> None:
    rows = [
        ("order_id", "domain", "email", "E-Mail-Adresse"),
        (100200301, "shop1.example.com", "kim@customer.example", "admin@shop1.example.com"),
    ]
    source = a_book(tmp_path / "list.xlsx", rows, lambda sheet, _: hide_column(sheet, 2))
    assert orders(source) == ["100200301"]
    assert source.form.columns == ("order_id", "domain", "", "E-Mail-Adresse"), "unsent.csv has it"


def hide_column(sheet: Sheet, column: int) -> None:
    """Hide a column."""
    sheet.set_column(column, column, options={"hidden": True})


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_hidden_column_that_no_visible_one_stands_for_is_asked_about(
    tmp_path: Path, column: int
) -> None:
    source = a_book(
        tmp_path / "list.xlsx", [HEADING, shop(1)], lambda sheet, _: hide_column(sheet, column)
    )
    name = HEADING[column]
    with pytest.raises(InputError, match=f'{name!r} is hidden.*--map {name}="{name}"'):
        list(source)
    mapped = Reading({Field(name): name})
    assert orders(ListSource(source.name, mapped)) == ["100200301"]


def test_addresses_in_a_hidden_column_are_addresses_all_the_same(tmp_path: Path) -> None:
    rows = [("order_id", "Kontakt"), (100200301, "admin@shop1.example.com")]
    source = a_book(tmp_path / "list.xlsx", rows, lambda sheet, _: hide_column(sheet, 1))
    with pytest.raises(InputError, match="e-mail address in the column 'Kontakt'"):
        list(source)


def test_a_formula_that_gives_an_empty_text_is_an_empty_cell(tmp_path: Path) -> None:
    def formulas(sheet: Sheet, _: object) -> None:
        sheet.write_formula(1, 3, '=IF(A2>0,"","x")', None, "")
        for column in (1, 2, 3):
            sheet.write_formula(2, column, '=IFERROR(VLOOKUP(A3,X!A:B,2),"")', None, "")

    rows = [(*HEADING, "locale"), shop(1), (100200302,)]
    good, bad = a_book(tmp_path / "list.xlsx", rows, formulas)
    assert isinstance(good, Row)
    assert good.locale is None
    assert isinstance(bad, RejectedRow)
    assert "no domain and no e-mail address" in bad.reason


@settings(max_examples=60, derandomize=True)
@given(
    hidden_rows=st.sets(st.integers(0, 7)),
    hidden_columns=st.sets(st.integers(0, 4)),
    merged=st.sets(st.integers(1, 6)),
    emptied=st.sets(st.tuples(st.integers(1, 7), st.integers(0, 4)), max_size=4),
    dropped=st.none() | st.tuples(st.integers(1, 7), st.integers(0, 4)),
    columns=st.permutations(("order_id", "domain", "email", "contact", "note")),
)
def test_no_change_to_a_sheet_asks_for_more_than_the_eye_sees(
    *,
    hidden_rows: set[int],
    hidden_columns: set[int],
    merged: set[int],
    emptied: set[tuple[int, int]],
    dropped: tuple[int, int] | None,
    columns: Sequence[str],
) -> None:
    lines = [
        dict(
            zip((*HEADING, "contact", "note"), (*shop(n), "kim@customer.example", "x"), strict=True)
        )
        for n in range(1, 8)
    ]
    table = [[line[name] for name in columns] for line in lines]
    for row, column in emptied:
        table[row - 1][column] = ""
    if dropped is not None:
        del table[dropped[0] - 1][dropped[1]]

    def change(sheet: Sheet, book: Any) -> None:
        for row in merged:  # its order's number with that of the row below
            at = columns.index("order_id")
            if row + 1 not in merged and row - 1 not in merged:
                sheet.merge_range(row, at, row + 1, at, 100200300 + row)
        for row in hidden_rows:
            sheet.set_row(row, options={"hidden": True})
        for column in hidden_columns:
            hide_column(sheet, column)

    with tempfile.TemporaryDirectory() as folder:
        source = a_book(Path(folder) / "list.xlsx", [columns, *table], change)
        try:
            mailed = [one for one in source if isinstance(one, Row)]
        except InputError:
            return
    for one in mailed:
        assert [(e.domain, e.email) for e in one.entries] == [
            shop(int(one.order_id) - 100200300)[1:]
        ]
        assert one.line - 1 not in hidden_rows


def two_sheets(path: Path, hide: Callable[[Sheet], None]) -> ListSource:
    """Write a workbook of two sheets with cells, one of them hidden."""
    book = xlsxwriter.Workbook(str(path))
    for number, name in enumerate(("Orders", "Old"), start=1):
        sheet = book.add_worksheet(name)
        sheet.write_row(0, 0, HEADING)
        sheet.write_row(1, 0, shop(number))
    hide(sheet)
    book.close()
    return ListSource(str(path))


@pytest.mark.parametrize("hide", [lambda sheet: sheet.hide(), lambda sheet: sheet.very_hidden()])
def test_a_hidden_sheet_with_cells_is_left_out_and_counted(
    tmp_path: Path, hide: Callable[[Sheet], None]
) -> None:
    source = two_sheets(tmp_path / "list.xlsx", hide)
    assert orders(source) == ["100200301"]
    assert source.form.remarks == {Remark.HIDDEN_SHEETS: 1}
    named = ListSource(source.name, Reading(sheet="Old"))
    assert orders(named) == ["100200302"]
    assert not named.form.remarks


def formatted(path: Path, code: str, cells: Sequence[tuple[int, int]]) -> ListSource:
    """Write a workbook some cells of which, by row and column, have a number format."""
    book = xlsxwriter.Workbook(str(path))
    form = book.add_format({"num_format": code})
    sheet = book.add_worksheet()
    for row, texts in enumerate((HEADING, shop(1), shop(2))):
        for column, text in enumerate(texts):
            sheet.write(row, column, text, form if (row, column) in cells else None)
    book.close()
    return ListSource(str(path))


@pytest.mark.parametrize(
    ("code", "cell", "named"),
    [
        (";;;", (1, 0), "A2"),
        (";;;", (2, 2), "C3"),
        (";;;", (0, 2), "C1"),
        (";;", (1, 0), "A2"),
        ('"";"";"";""', (1, 1), "B2"),
        ("0;0;0;", (1, 1), "B2"),
    ],
)
def test_a_cell_that_its_number_format_does_not_show_refuses_the_list(
    tmp_path: Path, code: str, cell: tuple[int, int], named: str
) -> None:
    source = formatted(tmp_path / "list.xlsx", code, [cell])
    with pytest.raises(InputError, match=f"the cell {named} holds something that its number"):
        list(source)


@pytest.mark.parametrize(
    ("code", "cell"),
    [("0", (1, 0)), ("@", (1, 0)), ("0;-0;;@", (1, 0)), (";;", (1, 1)), ("0;0;0", (1, 1))],
)
def test_a_format_that_shows_what_is_in_the_cell_does_not(
    tmp_path: Path, code: str, cell: tuple[int, int]
) -> None:
    assert len(orders(formatted(tmp_path / "list.xlsx", code, [cell]))) == 2
