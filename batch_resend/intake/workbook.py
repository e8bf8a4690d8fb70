"""An Excel workbook -> the rows of cells of one sheet.

The one reader here that holds a whole list: a workbook cannot be read otherwise. So its size is
bounded, by looking through its XML before it is taken apart.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

from batch_resend.errors import InputError
from batch_resend.intake.files import Bytes
from batch_resend.intake.layout import Unseen
from batch_resend.intake.no_lists import of_zip
from batch_resend.intake.reading import Reading
from batch_resend.intake.signs import may_narrow
from batch_resend.intake.suggestions import check_command, listed, quoted
from batch_resend.intake.workbook_xml import (
    MAX_CELLS,
    Faults,
    Marks,
    SheetLook,
    comments_of,
    letters_of,
    marks_of,
    root_of,
)
from batch_resend.list_form import DELIMITERS

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook


_EXACT_BELOW = 10**15  # Excel keeps 15 digits of a number
MAX_PACKED_BYTES = 128 << 20
_MAX_UNPACKED_BYTES = 1 << 30
_CLAIM = re.compile(rb"""uniqueCount\s*=\s*["']\s*(\d{1,20})""")  # of a table of texts
_LONGEST_CLAIM = 200  # bytes
# What the standard library's readers of ZIP and XML raise for bytes that are no workbook: of an
# unknown packing NotImplementedError, of a missing part LookupError, of a password RuntimeError.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError,
    ValueError, expat.ExpatError, ElementTree.ParseError,
)  # fmt: skip


class Sheet:
    """The rows of one sheet as texts, with their numbers in it; empty rows are none."""

    ends_open = False
    delimiters: Sequence[str] = DELIMITERS  # of the file of which it may have been made

    def __init__(self, name: str, file: Bytes, reading: Reading) -> None:
        """Take a workbook; of its sheets the one that is named, or the only visible one with cells.

        Where only numbers matter, what is marked or hidden is read like the rest.
        """
        self._name = name
        self._file = file
        self._reading = reading
        self.unseen = Unseen()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows. Raises InputError."""
        name = self._name
        # Only here: most lists are no workbooks, and every start would pay for the import.
        from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415

        data = self._file.read(MAX_PACKED_BYTES + 1)
        looks = _look_through(name, data)
        try:
            with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
                chosen = _chosen_sheet(name, book, self._reading)
                look = looks.get(chosen, SheetLook())
                if self._reading.numbers_only:
                    look = look.unmarked()
                _refuse_unseen(name, look)
                is_named = self._reading.sheet is not None
                others = () if is_named else _filled_sheets(book, visible=False)
                self.unseen = Unseen(look.hidden_columns, others, look.struck, _defects_of(look))
                for number, texts in _numbered(book, chosen, look.faults):
                    if number in look.hidden_rows:
                        self.unseen.hidden_rows += 1
                    elif _filled(texts) <= look.struck.get(number, set()):
                        self.unseen.struck_rows += 1
                    else:
                        yield number, texts
        except CalamineError as error:
            raise InputError(f"{name}: cannot be read as an Excel file: {error}") from error


def _numbered(
    book: "CalamineWorkbook", sheet: str, faults: Faults
) -> Iterator[tuple[int, list[str]]]:
    cells_of = book.get_sheet_by_name(sheet)
    left = cells_of.start[1] if cells_of.start else 0
    # Beyond all cells with a value there may be some that should have one.
    rows, last = cells_of.iter_rows(), max(faults, default=0)
    width = 0  # rows of a sheet are of one width, but for those of nothing but faults
    for number in count(1):
        cells = next(rows, None)
        if cells is None and number > last:
            break
        texts = [""] * left + [_text(cell) for cell in cells or ()]
        for column, fault in faults.get(number, {}).items():
            texts += [""] * (column - len(texts))
            texts[column - 1] = fault
        if any(map(str.strip, texts)):
            width = max(width, len(texts))
            yield number, texts + [""] * (width - len(texts))


def _filled(texts: Sequence[str]) -> set[int]:
    return {at for at, text in enumerate(texts) if text.strip()}


def _chosen_sheet(name: str, book: "CalamineWorkbook", reading: Reading) -> str:
    if (wanted := reading.sheet) is not None:
        if wanted not in book.sheet_names:
            raise InputError(f"{name}: has no sheet {wanted!r}; it has {listed(book.sheet_names)}")
        return wanted
    filled = _filled_sheets(book, visible=True)
    if len(filled) > 1:
        raise InputError(
            f"{name}: has {len(filled)} sheets with cells; say which: --sheet {quoted(filled[0])} "
            f"(there are {listed(filled)})"
        )
    if not filled:
        hidden = _filled_sheets(book, visible=False)
        one = f"--sheet {quoted(hidden[0])} names a hidden one" if hidden else "name one: --sheet"
        raise InputError(f"{name}: has no visible sheet with cells; {one}")
    if may_narrow(filled[0]) and not reading.numbers_only:
        again = check_command(name, (reading.flags, f"--sheet {quoted(filled[0])}"))
        raise InputError(
            f"{name}: its sheet is called {filled[0]!r}: are all of its rows to be mailed? Remove "
            f"those that are not, then: {again}"
        )
    return filled[0]


def _filled_sheets(book: "CalamineWorkbook", *, visible: bool) -> list[str]:
    """Return the sheets with cells that people see, or those that are hidden."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415 - an extra

    sheets = [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.typ is SheetTypeEnum.WorkSheet
        and (sheet.visible is SheetVisibleEnum.Visible) == visible
    ]
    return [one for one in sheets if book.get_sheet_by_name(one).start is not None]


def _defects_of(look: SheetLook) -> dict[int, str]:
    """Return, by row, what a person marked in it that may say not to send it."""
    remarked = {
        row: f"the cell {cell} has a comment, which is not read: {text[:80]!r}. If it does not "
        "matter, delete it"
        for row, (cell, text) in look.comments.items()
    }
    why = "some of its cells are struck out: what of it is meant?"
    return remarked | dict.fromkeys(look.struck, why)


def _refuse_unseen(name: str, look: SheetLook) -> None:
    """Raise InputError where a cell holds what the eye does not see, or sees struck out perhaps."""
    if look.strikes_by_rule:
        raise InputError(
            f"{name}: a conditional format strikes out cells, and only a spreadsheet program "
            "works out which: remove the rows that are not to be sent and delete the rule, or "
            "save the sheet as CSV"
        )
    for cell, what, remedy in (
        (look.unseen, "its number format (;;;) does not show", "Give it the format General"),
        (look.in_ground, "has the colour of its background", "Give it another colour"),
    ):
        if cell is not None:
            row, column = cell
            raise InputError(
                f"{name}, line {row}: the cell {letters_of(column)}{row} holds something that "
                f"{what}: is it meant? {remedy}, or delete it"
            )


def _text(cell: object) -> str:
    """Return a cell's value as a list would have it."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        if abs(cell) >= _EXACT_BELOW:
            return f"{cell:.5E}"  # its last digits are made up, and so it reads like one of those
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return str(cell)


def _look_through(name: str, data: bytes) -> dict[str, SheetLook]:
    """Return, by sheet, what only its XML tells: what is hidden, and which cells have no value.

    Those are errors, and formulas never computed: read as empty, a failed lookup of an address
    would leave it out. Raises
    InputError where the file is none of Excel's or unpacks to more than can be held.
    """
    if len(data) > MAX_PACKED_BYTES:
        raise _too_large(name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            members = book.namelist()
            if "xl/workbook.xml" not in members:
                mimetype = book.open("mimetype").read(200) if "mimetype" in members else b""
                raise of_zip(name, members, mimetype)
            looks = _looks(book)
            found = {sheet: path for sheet, path in _sheets(book) if path in looks}
            for path in found.values():
                looks[path].comments = comments_of(book, path)
            return {sheet: looks[path] for sheet, path in found.items()}
    except _TooLarge:
        raise _too_large(name) from None
    except _BROKEN as error:
        raise InputError(
            f"{name}: cannot be read as an Excel file: {error}; was it copied as a whole?"
        ) from error


class _TooLarge(Exception):
    """A workbook unpacks to more than can be held."""


def _looks(book: zipfile.ZipFile) -> dict[str, SheetLook]:
    """Look at each member, and return what is seen in those that hold cells. Raises _TooLarge."""
    sheets = [member for member in book.infolist() if _is_sheet(member)]
    room = _MAX_UNPACKED_BYTES
    for member in book.infolist():
        if not _is_sheet(member):
            room -= sum(map(len, _chunks(book, member, room)))
    marks = marks_of(book) if sheets else Marks()  # of what has been looked at before
    looks: dict[str, SheetLook] = {}
    for member in sheets:
        look = looks[member.filename] = SheetLook(marks)
        for chunk in _chunks(book, member, room):
            room -= len(chunk)
            look.feed(chunk)
            if look.area > MAX_CELLS:
                raise _TooLarge
    return looks


def _chunks(book: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> Iterator[bytes]:
    """Yield a member piece by piece. Raises _TooLarge beyond `room`, or where it claims to be."""
    # What the directory says of a member's size may be a lie.
    member.file_size = room + 1
    before = b""
    with book.open(member) as xml:
        while chunk := xml.read(1 << 16):
            room -= len(chunk)
            if room < 0 or _claims_too_many(before + chunk):
                raise _TooLarge
            yield chunk
            before = chunk[-_LONGEST_CLAIM:]


def _is_sheet(member: zipfile.ZipInfo) -> bool:
    return member.filename.startswith("xl/worksheets/") and member.filename.endswith(".xml")


def _claims_too_many(xml: bytes) -> bool:
    """Whether a table of texts claims to have more of them than a workbook has cells.

    calamine makes room for as many at once, and the process ends where there is none.
    """
    return any(int(count) > MAX_CELLS for count in _CLAIM.findall(xml))


def _sheets(book: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each sheet and the member that holds its cells."""
    targets = {
        relation.get("Id"): relation.get("Target", "")
        for relation in root_of(book, "xl/_rels/workbook.xml.rels")
    }
    for element in root_of(book, "xl/workbook.xml").iter():
        if element.tag.endswith("}sheet"):
            relation = next((v for k, v in element.attrib.items() if k.endswith("}id")), "")
            target = targets.get(relation, "")
            yield element.get("name", ""), posixpath.join("xl", target).removeprefix("/")


def _too_large(name: str) -> InputError:
    return InputError(
        f"{name} is too large for an Excel file, or a zip bomb; save the sheet as CSV and use that"
    )
