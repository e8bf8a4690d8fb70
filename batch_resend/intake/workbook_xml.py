"""What only the XML of a workbook tells of a sheet: what is hidden, has no value, or is marked.

The reader tells nothing of cells struck out, made invisible, or remarked upon. All is read from a
book whose size is bounded.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.parsers import expat

from batch_resend.intake.cells import NOT_COMPUTED

MAX_CELLS = 20_000_000  # of the rectangle they stand in; 32 bytes each while it is read
_MAX_COLUMNS = 16_384
_STYLES, _STRINGS = "xl/styles.xml", "xl/sharedStrings.xml"
_TEXT_PART = 3  # of a number format
_WHITE, _BLACK = "FFFFFF", "000000"
# Of the table of colours that old versions had, and of themes: what stands for paper and ink.
_INDEXED = {"0": _BLACK, "1": _WHITE, "8": _BLACK, "9": _WHITE, "64": _BLACK, "65": _WHITE}
_OF_THEME = {"0": _WHITE, "1": _BLACK}


Element = ElementTree.Element
Faults = dict[int, dict[int, str]]  # row -> column -> what stands there, both from 1


@dataclass(frozen=True, slots=True)
class Marks:
    """Which styles, texts and rules of a workbook say what of the cells that have them."""

    of_nothing: frozenset[tuple[int, bool]] = frozenset()  # styles that do not show, of a text
    in_ground: frozenset[int] = frozenset()  # styles in the colour of what they stand on
    struck: frozenset[int] = frozenset()  # styles
    struck_texts: frozenset[int] = frozenset()  # of those that cells share: at least in part
    striking: frozenset[int] = frozenset()  # formats that a condition gives to cells


def marks_of(book: zipfile.ZipFile) -> Marks:
    """Return what a workbook's styles and texts mark. Raises ParseError."""
    texts = frozenset(_struck_texts(book))
    if _STYLES not in book.namelist():
        return Marks(struck_texts=texts)
    styles = {_name(part): list(part) for part in root_of(book, _STYLES)}
    fonts, fills = styles.get("fonts", ()), styles.get("fills", ())
    struck = {at for at, font in enumerate(fonts) if _is_struck(font)}
    formats = list(enumerate(styles.get("cellXfs", ())))
    inks, grounds = list(map(_ink, fonts)), list(map(_ground, fills))
    return Marks(
        of_nothing=frozenset(_of_nothing(styles)),
        in_ground=frozenset(
            style
            for style, one in formats
            if _at(inks, one, "fontId", _BLACK) == _at(grounds, one, "fillId", _WHITE)
        ),
        struck=frozenset(s for s, one in formats if int(one.get("fontId", "0")) in struck),
        struck_texts=texts,
        striking=frozenset(
            at
            for at, one in enumerate(styles.get("dxfs", ()))
            if any(_is_struck(font) for font in _each(one, "font"))
        ),
    )


def comments_of(book: zipfile.ZipFile, sheet: str) -> dict[int, tuple[str, str]]:
    """Return, by row, a cell of a sheet that has a comment, and what it says. Raises ParseError.

    `sheet`: the member that holds its cells.
    """
    folder, base = posixpath.split(sheet)
    relations = f"{folder}/_rels/{base}.rels"
    found: dict[int, tuple[str, str]] = {}
    if relations not in book.namelist():
        return found
    # Threads come last: what older versions have of them is mostly an advertisement.
    for relation in sorted(root_of(book, relations), key=lambda one: one.get("Type", "")):
        kind = relation.get("Type", "").rpartition("/")[2]
        target = posixpath.normpath(posixpath.join(folder, relation.get("Target", "")))
        if kind not in ("comments", "threadedComment") or target.lstrip("/") not in book.namelist():
            continue
        for one in root_of(book, target.lstrip("/")).iter():
            cell = one.get("ref", "")
            if _name(one) in ("comment", "threadedComment") and any(map(str.isdigit, cell)):
                text = " ".join("".join(one.itertext()).split())
                found[int("".join(filter(str.isdigit, cell)))] = cell, text
    return found


def _struck_texts(book: zipfile.ZipFile) -> Iterator[int]:
    if _STRINGS not in book.namelist() or b"strike" not in book.read(_STRINGS):
        return
    for at, text in enumerate(_each(root_of(book, _STRINGS), "si")):
        if any(_is_struck(run) for run in text.iter() if _name(run) == "rPr"):
            yield at


def _of_nothing(styles: dict[str, list[Element]]) -> Iterator[tuple[int, bool]]:
    """Yield which styles show nothing of a number, and which nothing of a text.

    By their number formats, whose parts are for positive numbers, negative ones, zero and text.
    """
    known = styles.get("numFmts", ())
    codes = {one.get("numFmtId", ""): one.get("formatCode", "") for one in known}
    for style, one in enumerate(styles.get("cellXfs", ())):
        parts = codes.get(one.get("numFmtId", ""), "General").split(";")
        if len(parts) > 1 and not parts[0].strip('"'):
            yield style, False
        if len(parts) > _TEXT_PART and not parts[_TEXT_PART].strip('"'):
            yield style, True


def _ink(font: Element) -> str:
    # LibreOffice shows an automatic colour in white on what is dark.
    return _colour(next(_each(font, "color"), None), "automatic")


def _ground(fill: Element) -> str:
    pattern = next(_each(fill, "patternFill"), None)
    if pattern is None or pattern.get("patternType", "none") == "none":
        return _WHITE if pattern is not None else "a gradient"
    if pattern.get("patternType") != "solid":
        return "a pattern"
    return _colour(next(_each(pattern, "fgColor"), None), _BLACK)


def _colour(color: Element | None, otherwise: str) -> str:
    """Return a colour in a form that can be compared."""
    if color is None or color.get("auto"):
        return otherwise
    if float(color.get("tint") or 0):
        return f"{color.get('theme')} {color.get('indexed')} {color.get('rgb')} {color.get('tint')}"
    if (rgb := color.get("rgb")) is not None:
        return rgb[-6:].upper()
    if (theme := color.get("theme")) is not None:
        return _OF_THEME.get(theme, f"theme {theme}")
    return _INDEXED.get(color.get("indexed", ""), f"indexed {color.get('indexed')}")


def _at(colours: list[str], style: Element, key: str, otherwise: str) -> str:
    at = int(style.get(key, "0"))
    return colours[at] if at < len(colours) else otherwise


def _is_struck(font: Element) -> bool:
    return any(one.get("val", "1") not in ("0", "false") for one in _each(font, "strike"))


def _each(parent: Element, name: str) -> Iterator[Element]:
    return (one for one in parent if _name(one) == name)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def root_of(book: zipfile.ZipFile, member: str) -> Element:
    """Return the XML of a member of a workbook. Raises ParseError."""
    # And from 2.4.1 on expat refuses entities that grow.
    return ElementTree.fromstring(book.read(member))  # noqa: S314 - it fetches nothing from outside


class SheetLook:
    """Looks at a sheet as its XML goes by: how far it reaches, what is faulty, what hidden."""

    def __init__(self, marks: Marks = Marks()) -> None:
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
        self._first_row = self._first_column = MAX_CELLS
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

    def unmarked(self) -> "SheetLook":
        """Return what is seen of a sheet in which nothing is marked, and no row hidden."""
        look = SheetLook()
        look.faults, look.hidden_columns = self.faults, self.hidden_columns
        return look

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
