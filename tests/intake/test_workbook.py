"""Workbooks: cells that have no value, and books that are broken, or bombs."""

import io
import re
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.intake.workbook import Sheet
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


# --- what broke their reader ----------------------------------------------------------------
# Of a few hundred bytes some ask for hundreds of gigabytes: they ended the process by its
# allocator (SIGABRT), which no error can be made of afterwards. Others ended in a traceback.

LISTS = Path(__file__).parent / "lists"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ROWS = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>order_id</t></is></c></row>'
    '<row r="2"><c r="A2"><v>1</v></c></row>'
)
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="rId1" Target="xl/workbook.xml" Type="http://schemas.'
    'openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="rId1"/>'
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/'
    '2006/relationships"><Relationship Id="rId1" Target="worksheets/sheet1.xml" Type="http://'
    'schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
    '<Relationship Id="rId2" Target="sharedStrings.xml" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/sharedStrings"/></Relationships>',
    "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}"></sst>',
}


def bomb(path: Path, cell: str = "", strings: str = "", part: str = "sharedStrings") -> Path:
    """Write a workbook with a cell beyond the others, or a table of texts of its own."""
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{ROWS}<row r="3">{cell}</row></sheetData>'
    parts = PARTS | {"xl/worksheets/sheet1.xml": f"{sheet}</worksheet>"}
    if strings:
        parts[f"xl/{part}.xml"] = strings
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as book:
        for name, xml in parts.items():
            book.writestr(name, xml)
    path.write_bytes(content.getvalue())
    return path


def rows_of(path: Path) -> int:
    """Read a workbook; return how many of its rows have cells."""
    with path.open("rb") as file:
        return len(list(Sheet(path.name, file, Reading())))


FAR = "AAAA1048577"  # behind the last column and the last row that a sheet may have
CELLS = {
    "a number": f'<c r="{FAR}"><v>1</v></c>',
    "lower case": f'<c r="{FAR.lower()}"><v>1</v></c>',
    "an empty text": f'<c r="{FAR}" t="str"><v></v></c>',
    "an empty inline text": f'<c r="{FAR}" t="inlineStr"><is><t></t></is></c>',
    "a formula": f'<c r="{FAR}"><f>A1</f></c>',
    "a character by its number": f'<c r="&#65;{FAR[1:]}"><v>1</v></c>',
    "a cell within a cell": f'<c r="A3"><c r="{FAR}"><v>1</v></c></c>',
}
STRINGS = {
    "a claim": f'<sst xmlns="{MAIN}" uniqueCount="4000000000"></sst>',
    "a claim behind blanks": f"<sst {' ' * 66_000}xmlns=\"{MAIN}\" uniqueCount = '4000000000'/>",
    "a claim across two pieces": f'<sst{" " * 65_525}uniqueCount="4000000000" xmlns="{MAIN}"/>',
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_cell_far_beyond_a_sheet_is_refused_before_room_is_made_for_it(
    tmp_path: Path, cell: str
) -> None:
    with pytest.raises(InputError, match="too large for an Excel file, or a zip bomb"):
        rows_of(bomb(tmp_path / "list.xlsx", cell))


@pytest.mark.parametrize("strings", STRINGS.values(), ids=STRINGS)
def test_a_table_that_claims_more_texts_than_there_are_cells_is_refused(
    tmp_path: Path, strings: str
) -> None:
    with pytest.raises(InputError, match="too large for an Excel file, or a zip bomb"):
        rows_of(bomb(tmp_path / "list.xlsx", strings=strings))


@pytest.mark.parametrize("cell", ["", f'<c r="{FAR}"/>'])
def test_a_far_cell_without_a_value_is_no_hindrance(tmp_path: Path, cell: str) -> None:
    assert rows_of(bomb(tmp_path / "list.xlsx", cell)) == 2


def said_of(path: Path, content: bytes) -> str:
    """Return the words with which a list is refused."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(ListSource(str(path)))
    return str(caught.value)


def test_a_workbook_that_lost_bytes_in_its_middle_is_refused(tmp_path: Path) -> None:
    content = (LISTS / "excel.xlsx").read_bytes()
    for split in range(1, 80):
        assert "cannot be read as an Excel file" in said_of(
            tmp_path / "list.xlsx", content[:50] + content[50 + split :]
        )


def test_a_sheet_in_an_encoding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    changed = io.BytesIO()
    with zipfile.ZipFile(LISTS / "excel.xlsx") as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"UTF-8"', b'"UTFFF-8"'))
    message = said_of(tmp_path / "list.xlsx", changed.getvalue())
    assert "cannot be read as an Excel file: unknown encoding" in message


@pytest.mark.parametrize("member", ["xl/workbook.xml", "xl/worksheets/sheet1.xml"])
def test_an_entity_that_grows_without_bound_is_refused(tmp_path: Path, member: str) -> None:
    names = "abcdefghij"
    entities = "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names)
    )
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"a" * 100}">{entities}]><x>&j;</x>'.encode()
    changed = io.BytesIO()
    with zipfile.ZipFile(LISTS / "excel.xlsx") as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, bomb if name == member else old.read(name))
    assert "cannot be read as an Excel file" in said_of(tmp_path / "list.xlsx", changed.getvalue())
