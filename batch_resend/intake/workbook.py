"""An Excel workbook -> the rows of cells of one sheet.

The one reader here that holds a whole list: a workbook cannot be read otherwise. So its size is
bounded, by looking through its XML before it is taken apart.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

from batch_resend.errors import InputError
from batch_resend.intake.cells import NOT_COMPUTED
from batch_resend.intake.heading_errors import listed
from batch_resend.intake.no_lists import of_zip
from batch_resend.intake.packing import Bytes
from batch_resend.intake.suggestions import quoted

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second, where it has no member

MAX_PACKED_BYTES = 128 << 20
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_COLUMNS = 16_384
_MAX_CELLS = 20_000_000  # of the rectangle they stand in; 32 bytes each while it is read
_CLAIM = re.compile(rb"""uniqueCount\s*=\s*["']\s*(\d{1,20})""")  # of a table of texts
_LONGEST_CLAIM = 200  # bytes
_EXACT_BELOW = 10**15  # Excel keeps 15 digits of a number
# What the standard library's readers of ZIP and XML raise for bytes that are no workbook: of an
# unknown packing NotImplementedError, of a missing part LookupError, of a password RuntimeError.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError,
    ValueError, expat.ExpatError, ElementTree.ParseError,
)  # fmt: skip
_TEXT_PART = 3  # of a number format


class Sheet:
    """The rows of one sheet as texts, with their numbers in it; empty rows are none."""

    ends_open = False

    hidden_rows: int  # left out so far: what is filtered away, or folded up, nobody sees
    hidden_columns: frozenset[int]  # from 0; known when the first row is
    hidden_sheets: int  # beside the one that is read, with cells; likewise

    def __init__(self, name: str, file: Bytes, sheet: str | None) -> None:
        """Take a workbook; `sheet` names the sheet, or the only visible one with cells is taken."""
        self._name = name
        self._file = file
        self._wanted = sheet
        self.hidden_rows = self.hidden_sheets = 0
        self.hidden_columns = frozenset()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows. Raises InputError."""
        name = self._name
        # Only here: most lists are no workbooks, and every start would pay for the import.
        from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415

        data = self._file.read(MAX_PACKED_BYTES + 1)
        looks = _look_through(name, data)
        try:
            with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
                chosen = _chosen_sheet(name, book, self._wanted)
                look = looks.get(chosen, _SheetLook())
                if look.unseen is not None:
                    raise InputError(_hidden_by_format(name, look.unseen))
                if self._wanted is None:
                    self.hidden_sheets = len(_filled_sheets(book, visible=False))
                self.hidden_columns = frozenset(look.hidden_columns)
                for number, texts in _numbered(book, chosen, look.faults):
                    if number in look.hidden_rows:
                        self.hidden_rows += 1
                    else:
                        yield number, texts
        except CalamineError as error:
            raise InputError(f"{name}: cannot be read as an Excel file: {error}") from error


def _numbered(
    book: "CalamineWorkbook", sheet: str, faults: "Faults"
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


def _chosen_sheet(name: str, book: "CalamineWorkbook", wanted: str | None) -> str:
    if wanted is not None:
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


def _hidden_by_format(name: str, cell: tuple[int, int]) -> str:
    row, column = cell
    return (
        f"{name}, line {row}: the cell {_letters(column)}{row} holds something that its number "
        "format (;;;) does not show: is it meant? Give it the format General, or delete it"
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


# --- before it is taken apart ---------------------------------------------------------------

Faults = dict[int, dict[int, str]]  # row -> column -> what stands there, both from 1


def _look_through(name: str, data: bytes) -> dict[str, "_SheetLook"]:
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
            room = _MAX_UNPACKED_BYTES
            looks: dict[str, _SheetLook] = {}
            for member in book.infolist():
                is_sheet = member.filename.startswith("xl/worksheets/")
                look = _SheetLook()
                # What the directory says of a member's size may be a lie.
                member.file_size = room + 1
                with book.open(member) as xml:
                    before = b""
                    while chunk := xml.read(1 << 16):
                        room -= len(chunk)
                        if is_sheet:
                            look.feed(chunk)
                        is_lie = _claims_too_many(before + chunk)
                        if room < 0 or look.area > _MAX_CELLS or is_lie:
                            raise _too_large(name)
                        before = chunk[-_LONGEST_CLAIM:]
                if is_sheet:
                    looks[member.filename] = look
            empty = _formats_of_nothing(book)
            for look in looks.values():
                look.unseen = next(
                    (at for style, at in look.styled.items() if style in empty), None
                )
            return {sheet: looks[path] for sheet, path in _sheets(book) if path in looks}
    except _BROKEN as error:
        raise InputError(
            f"{name}: cannot be read as an Excel file: {error}; was it copied as a whole?"
        ) from error


def _claims_too_many(xml: bytes) -> bool:
    """Whether a table of texts claims to have more of them than a workbook has cells.

    calamine makes room for as many at once, and the process ends where there is none.
    """
    return any(int(count) > _MAX_CELLS for count in _CLAIM.findall(xml))


def _sheets(book: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each sheet and the member that holds its cells."""
    targets = {
        relation.get("Id"): relation.get("Target", "")
        for relation in _xml(book, "xl/_rels/workbook.xml.rels")
    }
    for element in _xml(book, "xl/workbook.xml").iter():
        if element.tag.endswith("}sheet"):
            relation = next((v for k, v in element.attrib.items() if k.endswith("}id")), "")
            target = targets.get(relation, "")
            yield element.get("name", ""), posixpath.join("xl", target).removeprefix("/")


def _formats_of_nothing(book: zipfile.ZipFile) -> set[tuple[int, bool]]:
    """Return which styles of cells show nothing of a number, and which nothing of a text.

    By their number formats, whose parts are for positive numbers, negative ones, zero and text.
    """
    if "xl/styles.xml" not in book.namelist():
        return set()
    codes: dict[str, str] = {}
    found: set[tuple[int, bool]] = set()
    for element in _xml(book, "xl/styles.xml"):
        kind = element.tag.rpartition("}")[2]
        if kind == "numFmts":
            codes = {one.get("numFmtId", ""): one.get("formatCode", "") for one in element}
        elif kind == "cellXfs":
            for style, one in enumerate(element):
                parts = codes.get(one.get("numFmtId", ""), "General").split(";")
                if len(parts) > 1 and not parts[0].strip('"'):
                    found.add((style, False))
                if len(parts) > _TEXT_PART and not parts[_TEXT_PART].strip('"'):
                    found.add((style, True))
    return found


def _xml(book: zipfile.ZipFile, member: str) -> ElementTree.Element:
    # And from 2.4.1 on expat refuses entities that grow.
    return ElementTree.fromstring(book.read(member))  # noqa: S314 - it fetches nothing from outside


class _SheetLook:
    """Looks at a sheet as its XML goes by: how far it reaches, what is faulty, what hidden."""

    def __init__(self) -> None:
        self.faults: Faults = {}
        self.hidden_rows: set[int] = set()  # from 1
        self.hidden_columns: set[int] = set()  # from 0
        self.styled: dict[tuple[int, bool], tuple[int, int]] = {}  # style, of a text -> first cell
        self.unseen: tuple[int, int] | None = None  # the first that its format does not show
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._first_row = self._first_column = _MAX_CELLS
        self._row = self._column = self._last_row = self._last_column = 0
        self._is_error = self._has_formula = self._in_value = False
        self._is_text = self._has_value = self._in_formula = self._gives_empty = False
        self._formula_end = ""
        self._shared_by: str | None = None
        self._style = (0, False)
        self._giving_empty: set[str] = set()  # shared formulas
        self._value = ""

    @property
    def area(self) -> int:
        """How many cells the rectangle has that all of them stand in."""
        height = self._last_row - self._first_row + 1
        return max(height, 0) * max(self._last_column - self._first_column + 1, 0)

    def feed(self, xml: bytes) -> None:
        """Look at the next piece. Raises ExpatError."""
        self._parser.Parse(xml, False)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag.rpartition("}")[2]:
            case "row":
                self._row = int(attributes.get("r") or self._row + 1)
                self._column = 0
                if _is_hidden(attributes, "ht"):
                    self.hidden_rows.add(self._row)
            case "col" if _is_hidden(attributes, "width"):
                last = min(int(attributes.get("max", 0)), _MAX_COLUMNS)
                self.hidden_columns.update(range(int(attributes.get("min", 1)) - 1, last))
            case "c":
                reference = attributes.get("r", "").upper()
                self._column = _column_of(reference) or self._column + 1
                self._row = _row_of(reference) or self._row
                self._is_error = attributes.get("t") == "e"
                self._is_text = attributes.get("t") == "str"
                self._style = (
                    int(attributes.get("s", "0")),
                    attributes.get("t") in ("s", "str", "inlineStr"),
                )
                self._has_formula = self._has_value = self._gives_empty = False
                self._value = ""
            case "f":
                self._has_formula = self._in_formula = True
                self._shared_by = attributes.get("si")
            case "v" | "is":
                self._in_value = self._has_value = True

    def _characters(self, text: str) -> None:
        if self._in_value:
            self._value = (self._value + text)[:20]
        elif self._in_formula and '""' in (self._formula_end + text):
            self._gives_empty = True
        self._formula_end = text[-1:] if self._in_formula else ""

    def _end(self, tag: str) -> None:
        match tag.rpartition("}")[2]:
            case "v" | "is":
                self._in_value = False
            case "f":
                self._in_formula = False
                if self._shared_by is not None:  # the first of those that share it has its text
                    self._gives_empty = self._gives_empty or self._shared_by in self._giving_empty
                    self._giving_empty.update({self._shared_by} if self._gives_empty else ())
            case "c" if self._has_value or self._has_formula:  # an empty text takes room as well
                self._first_row = min(self._first_row, self._row)
                self._first_column = min(self._first_column, self._column)
                self._last_row = max(self._last_row, self._row)
                self._last_column = max(self._last_column, self._column)
                is_hidden = self._row in self.hidden_rows or self._column - 1 in self.hidden_columns
                if self._value and not is_hidden:
                    self.styled.setdefault(self._style, (self._row, self._column))
                # A formula that gives an empty text has a value, which is that. Some libraries do
                # not say that it is a text: then the formula has to show that it can be one.
                may_be_empty = self._is_text or self._gives_empty
                is_empty_text = self._has_value and not self._value and may_be_empty
                is_blank = not (self._value or self._has_formula)
                if not is_blank and (self._is_error or not (self._value or is_empty_text)):
                    fault = self._value or NOT_COMPUTED
                    self.faults.setdefault(self._row, {})[self._column] = fault


def _is_hidden(attributes: dict[str, str], size: str) -> bool:
    """Whether a row or a column is: by name, or by having no height or width."""
    is_hidden = attributes.get("hidden", "0") in ("1", "true")
    return is_hidden or float(attributes.get(size) or 1) == 0


def _column_of(reference: str) -> int:
    """Return the column of a cell's reference such as AB12, from 1; 0 where it names none."""
    column = 0
    for letter in reference:
        if not "A" <= letter <= "Z":
            break
        column = column * 26 + ord(letter) - ord("A") + 1
    return column


def _row_of(reference: str) -> int:
    """Return the row of a cell's reference, which goes before that of the row it is in; 0: none."""
    digits = reference.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) if digits.isdecimal() and len(digits) < 20 else 0


def _letters(column: int) -> str:
    """Return the letters of a column, from 1, as in AB12."""
    text = ""
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _too_large(name: str) -> InputError:
    return InputError(
        f"{name}: is too large for an Excel file, or a bomb; save the sheet as CSV and read that"
    )
