"""The cells of a rejected row as they stood, by their headings, as one text.

A spreadsheet leaves that text alone, and it says which cell stood where, whatever becomes of the
columns beside it: {"order_id": "1e9", "domain": "a.example", "email": ""}
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple, TypeGuard

from batch_resend.intake.fields import Field, known_field, second_fields
from batch_resend.intake.spreadsheet import bare, remakes
from batch_resend.list_form import DELIMITERS

Cell = str | Sequence[str] | None  # one text; several in one column; or none: it was too short


class _Named(NamedTuple):
    """A cell, and its heading."""

    heading: str
    cell: Cell


class _Pairs(list[tuple[str, object]]):
    """What an object of JSON holds, also where a key is in it twice."""


@dataclass(frozen=True, slots=True)
class Stood:
    """A row as it stood."""

    cells: Sequence[_Named]

    @property
    def is_ragged(self) -> bool:
        """Whether it had other cells than its heading: any of them may stand in a wrong place."""
        return not all(isinstance(one.cell, str) for one in self.cells)

    @property
    def texts(self) -> list[str]:
        """All that stood in it."""
        return [text for one in self.cells for text in texts_in(one.cell)]

    def count(self, *labels: str) -> int:
        """Return how many columns it had of these headings, as `label` returns them."""
        return sum(label(one.heading) in labels for one in self.cells)

    def is_same(self, labels: Collection[str], now: Iterable[str]) -> bool:
        """Whether the columns of these headings held what they hold now."""
        then = [_readings(one.cell) for one in self.cells if label(one.heading) in labels]
        before = [texts for texts in then if any(texts)]
        after = list(filter(bare, now))
        return all(any(_may_be(texts, text) for text in after) for texts in before) and all(
            any(_may_be(texts, text) for texts in before) for text in after
        )

    def gone(self, labels: Collection[str]) -> Iterator[tuple[str, Field, str]]:
        """Yield heading, field and text of columns that none of these headings is of."""
        for one in self.cells:
            field = known_field(one.heading) or second_fields((one.heading,)).get(0)
            if field is not None and label(one.heading) not in labels:
                yield one.heading, field, " ".join(texts_in(one.cell))


def label(heading: str) -> str:
    """Return what a heading is known by, whatever a spreadsheet makes of its signs."""
    return bare(heading)


def as_it_stood(
    headings: Sequence[str], cells: Sequence[object], before: Stood | None = None
) -> str:
    """Return the text of a row; what it has beyond its headings stands with the last of them.

    `before`: as it stood earlier, with columns that have been deleted since: they stay in it.
    """
    row = _without_end(["" if cell is None else str(cell) for cell in cells], len(headings))
    last = len(headings) - 1
    named: Sequence[Cell] = [*row[:last], row[last:]] if len(row) > len(headings) else row
    gone = before.gone(set(map(label, headings))) if before else ()
    pairs = chain(zip_longest(headings, named), ((name, text) for name, _, text in gone))
    return "{" + ", ".join(f"{_dumped(name)}: {_dumped(cell)}" for name, cell in pairs) + "}"


def in_columns(cells: Sequence[str], width: int, delimiter: str) -> list[str]:
    """Return a row in so many cells; what it has beyond stands in the last, as one text."""
    row = _without_end(cells, width)
    last = max(width - 1, 0)
    whole = [*row[:last], delimiter.join(row[last:])] if len(row) > width else row
    return [*whole, *[""] * (width - len(whole))]


def _without_end(cells: Sequence[str], width: int) -> list[str]:
    """Return a row without the empty cells behind that width."""
    row = list(cells)
    while len(row) > width and not row[-1]:
        row.pop()
    return row


def stood_in(text: str) -> Stood | None:
    """Return the row of which `as_it_stood` has made a text; None where it has not."""
    if "{" not in text:  # any cell of any list may be asked about
        return None
    try:
        found = json.loads(text.lstrip(" '"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, _Pairs):
        return None
    cells = [_Named(name, cell) for name, cell in found if _is_cell(cell)]
    return Stood(cells) if len(cells) == len(found) else None


def _is_cell(value: object) -> TypeGuard[Cell]:
    is_several = type(value) is list and all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, str) or is_several


def texts_in(cell: Cell) -> Sequence[str]:
    """Return what stands in a column: one text, several, or none."""
    return (cell,) if isinstance(cell, str) else cell or ()


def _readings(cell: Cell) -> Collection[str]:
    """Return how a column may show what stood in it: of several cells, with a sign between."""
    return {bare(mark.join(texts_in(cell))) for mark in DELIMITERS}


def _may_be(texts: Collection[str], now: str) -> bool:
    return any(remakes(text, now) for text in texts)


def _dumped(value: object) -> str:
    # As it is, so that a file saved in an encoding without a letter lacks it in both places.
    return json.dumps(value, ensure_ascii=False)
