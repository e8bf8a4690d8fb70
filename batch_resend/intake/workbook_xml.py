"""What only the XML of a workbook tells: how far it reaches, what is hidden, what has no value.

It is looked through before the reader takes it apart, which holds all of it.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.parsers import expat

from batch_resend.errors import InputError
from batch_resend.intake.cells import NOT_COMPUTED
from batch_resend.intake.no_lists import of_zip
from batch_resend.intake.workbook_marks import Marks, comments_of, marks_of, root_of

MAX_PACKED_BYTES = 128 << 20
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_COLUMNS = 16_384
_MAX_CELLS = 20_000_000  # of the rectangle they stand in; 32 bytes each while it is read
_CLAIM = re.compile(rb"""uniqueCount\s*=\s*["']\s*(\d{1,20})""")  # of a table of texts
_LONGEST_CLAIM = 200  # bytes
# What the standard library's readers of ZIP and XML raise for bytes that are no workbook: of an
# unknown packing NotImplementedError, of a missing part LookupError, of a password RuntimeError.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError,
    ValueError, expat.ExpatError, ElementTree.ParseError,
)  # fmt: skip
Faults = dict[int, dict[int, str]]  # row -> column -> what stands there, both from 1


def look_through(name: str, data: bytes) -> dict[str, "SheetLook"]:
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


def _looks(book: zipfile.ZipFile) -> dict[str, "SheetLook"]:
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
            if look.area > _MAX_CELLS:
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
    return any(int(count) > _MAX_CELLS for count in _CLAIM.findall(xml))


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


class SheetLook:
    """Looks at a sheet as its XML goes by: how far it reaches, what is faulty, what hidden."""

    def __init__(self, marks: Marks = Marks()) -> None:  # noqa: B008 - it never changes
        self.faults: Faults = {}
        self.hidden_rows: set[int] = set()  # from 1
        self.hidden_columns: set[int] = set()  # from 0
        self.unseen: tuple[int, int] | None = None  # the first that its format does not show
        self.struck: dict[int, set[int]] = {}  # row, from 1 -> columns, from 0, at least in part
        self.comments: dict[int, tuple[str, str]] = {}  # row -> the cell, and what is said of it
        self.strikes_by_rule = False  # which rows, only a spreadsheet program works out
        self._in_ground: tuple[int, int] | None = None  # the first in the colour of its ground
        self._has_other_ground = False  # by a table's style or a rule, which are not looked at
        self._marks = marks
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._first_row = self._first_column = _MAX_CELLS
        self._row = self._column = self._last_row = self._last_column = 0
        self._has_formula = self._in_value = False
        self._has_value = self._in_formula = self._gives_empty = False
        self._formula_end = ""
        self._shared_by: str | None = None
        self._style = 0
        self._type = ""
        self._is_struck = False
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
                self._type = attributes.get("t", "n")
                self._style = int(attributes.get("s", "0"))
                self._is_struck = self._style in self._marks.struck
                self._has_formula = self._has_value = self._gives_empty = False
                self._value = ""
            case "f":
                self._has_formula = self._in_formula = True
                self._shared_by = attributes.get("si")
            case "v" | "is":
                self._in_value = self._has_value = True
            case "strike" if attributes.get("val", "1") not in ("0", "false"):
                self._is_struck = True
            case "cfRule":
                self._has_other_ground = True
                if int(attributes.get("dxfId", "-1")) in self._marks.striking:
                    self.strikes_by_rule = True
            case "tablePart":
                self._has_other_ground = True

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
                self._end_cell()

    def _end_cell(self) -> None:
        self._first_row = min(self._first_row, self._row)
        self._first_column = min(self._first_column, self._column)
        self._last_row = max(self._last_row, self._row)
        self._last_column = max(self._last_column, self._column)
        is_hidden = self._row in self.hidden_rows or self._column - 1 in self.hidden_columns
        if self._value and not is_hidden:
            self._look_at_marks()
        if fault := self._fault():
            self.faults.setdefault(self._row, {})[self._column] = fault

    def _fault(self) -> str:
        """Return what stands in a cell that should have a value; empty where it has one."""
        # A formula that gives an empty text has a value, which is that. Some libraries do
        # not say that it is a text: then the formula has to show that it can be one.
        may_be_empty = self._has_value and (self._type == "str" or self._gives_empty)
        if self._value:
            return self._value if self._type == "e" else ""
        if not self._has_formula or (may_be_empty and self._type != "e"):
            return ""
        return NOT_COMPUTED

    def _look_at_marks(self) -> None:
        """Take note of what its style, or a part of it, makes of a cell with a value."""
        cell, marks = (self._row, self._column), self._marks
        is_text = self._type in ("s", "str", "inlineStr")
        if (self._style, is_text) in marks.of_nothing:
            self.unseen = self.unseen or cell
        if self._style in marks.in_ground:
            self._in_ground = self._in_ground or cell
        if self._is_struck or (
            marks.struck_texts and self._type == "s" and int(self._value) in marks.struck_texts
        ):
            self.struck.setdefault(self._row, set()).add(self._column - 1)

    @property
    def in_ground(self) -> tuple[int, int] | None:
        """The first cell in the colour of its ground, where that is known."""
        return None if self._has_other_ground else self._in_ground


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


def letters_of(column: int) -> str:
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
