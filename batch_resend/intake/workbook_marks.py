"""What a person marks in a workbook: cells struck out, made invisible, or remarked upon.

The reader tells nothing of these. All are read from a book whose size has been looked at.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

_STYLES, _STRINGS = "xl/styles.xml", "xl/sharedStrings.xml"
_TEXT_PART = 3  # of a number format
_WHITE, _BLACK = "FFFFFF", "000000"
# Of the table of colours that old versions had, and of themes: what stands for paper and ink.
_INDEXED = {"0": _BLACK, "1": _WHITE, "8": _BLACK, "9": _WHITE, "64": _BLACK, "65": _WHITE}
_OF_THEME = {"0": _WHITE, "1": _BLACK}

Element = ElementTree.Element


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
    struck = {at for at, font in enumerate(fonts) if _is_on(font, "strike")}
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
            if any(_is_on(font, "strike") for font in _each(one, "font"))
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
        if any(_is_on(run, "strike") for run in text.iter() if _name(run) == "rPr"):
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


def _is_on(font: Element, name: str) -> bool:
    return any(one.get("val", "1") not in ("0", "false") for one in _each(font, name))


def _each(parent: Element, name: str) -> Iterator[Element]:
    return (one for one in parent if _name(one) == name)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def root_of(book: zipfile.ZipFile, member: str) -> Element:
    """Return the XML of a member of a workbook. Raises ParseError."""
    # And from 2.4.1 on expat refuses entities that grow.
    return ElementTree.fromstring(book.read(member))  # noqa: S314 - it fetches nothing from outside
