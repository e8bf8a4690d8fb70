"""Workbooks of a few hundred bytes that make their reader ask for hundreds of gigabytes.

Each ended the process by its allocator (SIGABRT), which no error can be made of afterwards.
"""

import io
import zipfile
from pathlib import Path

import pytest

from batch_resend.errors import InputError
from batch_resend.intake.workbook import Sheet

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


def workbook(path: Path, cell: str = "", strings: str = "", part: str = "sharedStrings") -> Path:
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
        return len(list(Sheet(path.name, file, None)))


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
    with pytest.raises(InputError, match="too large for an Excel file, or a bomb"):
        rows_of(workbook(tmp_path / "list.xlsx", cell))


@pytest.mark.parametrize("strings", STRINGS.values(), ids=STRINGS)
def test_a_table_that_claims_more_texts_than_there_are_cells_is_refused(
    tmp_path: Path, strings: str
) -> None:
    with pytest.raises(InputError, match="too large for an Excel file, or a bomb"):
        rows_of(workbook(tmp_path / "list.xlsx", strings=strings))


@pytest.mark.parametrize("cell", ["", f'<c r="{FAR}"/>'])
def test_a_far_cell_without_a_value_is_no_hindrance(tmp_path: Path, cell: str) -> None:
    assert rows_of(workbook(tmp_path / "list.xlsx", cell)) == 2
