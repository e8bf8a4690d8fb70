"""Whether the first row of a table is one of headings, or of data.

A cell alone does not show it: by their form `Lfd.Nr` is a domain, and so is `Common.Name`, as R
writes it. So the whole row is compared with the rows below it.
"""

from collections.abc import Sequence
from enum import Enum, auto
from itertools import repeat

from batch_resend.intake.cells import is_nothing, several
from batch_resend.intake.fields import in_one_line, known_fields
from batch_resend.intake.languages import is_language
from batch_resend.intake.looks import filled, has_address, is_domain, is_order_number

_SEVERAL = 2  # known names of columns that no row of data has
_DIGITS_OF_DATA = 5  # in one cell: those of a number of an order, or of a date

Column = tuple[str, list[str]]  # a cell of the first row, and those below that are not blank


class _Kind(Enum):
    """What a cell looks like."""

    NUMBER = auto()
    ADDRESS = auto()
    LANGUAGE = auto()
    DOMAIN = auto()
    WORD = auto()


def is_data(cell: str) -> bool:
    """Whether a cell looks like one of data, and not like a heading."""
    return is_order_number(cell) or has_address(cell) or is_domain(cell)


def is_row_of_data(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row that may have the headings of those below it has data instead."""
    return any(map(is_data, row)) and not _is_heading(_columns(row, below))


def is_plainly_heading(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether several cells of a row are known names of columns, and none is a row's own."""
    return _has_names(_columns(row, below)) and not any(map(_is_of_a_row, row))


def _columns(row: Sequence[str], below: Sequence[Sequence[str]]) -> list[Column]:
    """Return the cells of a row, "" where one says nothing, each with those below it."""
    names = [("" if is_nothing(cell) else cell) for cell in map(in_one_line, row)]
    width = max(map(len, below), default=0)
    cells = (*names, *repeat("", width - len(names)))
    return [(cell, filled(below, at)) for at, cell in enumerate(cells)]


def _is_heading(columns: Sequence[Column]) -> bool:
    if _has_names(columns):
        return True
    if any(_is_surely_data(*column) for column in columns):
        return False
    return sum(_weight(*column) for column in columns) > 0


def _has_names(columns: Sequence[Column]) -> bool:
    # What stands below as well, such as `email` for a way of validation, is no name.
    return len(known_fields(cell for cell, below in columns if cell not in below)) >= _SEVERAL


def _is_surely_data(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell is hardly ever one of a heading row, unless known names are beside it."""
    if _is_of_a_row(cell):
        return True
    is_among_domains = _kind(cell) is _Kind.DOMAIN is _usual_kind(below)
    return is_among_domains and _last_label(cell) in map(_last_label, below)


def _is_of_a_row(cell: str) -> bool:
    return has_address(cell) or sum(map(str.isdigit, cell)) >= _DIGITS_OF_DATA


def _weight(cell: str, below: Sequence[str]) -> int:
    """Return what a column says: 1, its cell in the first row is a heading; -1, it is data."""
    kind, usual = _kind(cell), _usual_kind(below)
    if usual is None:
        return 0
    if not cell:
        return -1  # a heading names what is filled
    if kind is usual:
        says_little = kind is _Kind.DOMAIN or (kind is _Kind.WORD and cell not in below)
        return 0 if says_little else -1
    # Numbers, addresses and languages elsewhere than below are data that were moved.
    return 1 if kind in (_Kind.DOMAIN, _Kind.WORD) else 0


def _kind(cell: str) -> _Kind:
    if is_order_number(cell):
        return _Kind.NUMBER
    if has_address(cell):
        return _Kind.ADDRESS
    if is_language(cell):
        return _Kind.LANGUAGE
    return _Kind.DOMAIN if any(map(is_domain, several(cell))) else _Kind.WORD


def _usual_kind(cells: Sequence[str]) -> _Kind | None:
    """Return what most of some cells look like; None: there is no such kind."""
    kinds = [_kind(cell) for cell in cells if not is_nothing(cell)]
    return next((kind for kind in _Kind if kinds.count(kind) * 2 > len(kinds)), None)


def _last_label(domain: str) -> str:
    return domain.strip().rstrip(".").rpartition(".")[2].lower()
