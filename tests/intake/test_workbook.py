"""Cells that Excel has no value for are rows and cells all the same, wherever they stand."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row

NEVER_COMPUTED = None


def workbook(path: Path, rows: Sequence[Sequence[str | None]]) -> ListSource:
    """Write a workbook whose cells without a text are formulas that nobody has computed."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if cell is NEVER_COMPUTED:
                sheet.write_formula(number, column, "=VLOOKUP(A1,Sheet2!A:B,2)", value="gone")
            else:
                sheet.write_string(number, column, cell)
    book.close()
    changed = path.with_suffix(".changed.xlsx")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            xml = old.read(name)
            new.writestr(name, re.sub(rb"<v>gone</v>", b"", xml).replace(b' t="str"', b""))
    changed.replace(path)
    return ListSource(str(path), Reading(headed=rows[0][0] == "order_id"))


@pytest.mark.parametrize("last", [(NEVER_COMPUTED,), (NEVER_COMPUTED, NEVER_COMPUTED)])
def test_rows_of_nothing_but_formulas_at_the_end_are_rejected_and_not_lost(
    tmp_path: Path, last: tuple[None, ...]
) -> None:
    source = workbook(
        tmp_path / "list.xlsx", [("order_id", "locale"), ("100200301", "de"), last, last]
    )
    first, *others = source
    assert isinstance(first, Row)
    assert [row.line for row in others] == [3, 4]
    assert all(isinstance(row, RejectedRow) for row in others)


def test_a_last_column_of_nothing_but_formulas_is_a_column(tmp_path: Path) -> None:
    rows = [("1", "a.example", NEVER_COMPUTED), ("2", "b.example", NEVER_COMPUTED)]
    reading = {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3"}
    path = tmp_path / "list.xlsx"
    workbook(path, rows)
    found = list(ListSource(str(path), Reading(headed=False, mapping=reading)))
    assert [row.line for row in found] == [1, 2]
    for row in found:
        assert isinstance(row, RejectedRow)
        assert "never computed" in row.reason
