"""Cells that hold whole rows of their list, because of a lone quotation mark.

At the beginning of a cell, a mark that is meant as text (a ditto mark, a quotation without an end)
makes one cell of all up to the next mark at the end of a cell, delimiters and line breaks included.
If that is in the same column, what comes of it is as wide as any row: the first order has the
domain of the last, and all between are lost. But texts of several lines are usual in tickets. So
rows are looked for in them: line by line, the first and the last with the cells beside them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from batch_resend.errors import InputError
from batch_resend.intake.fields import SUBJECTS, Field
from batch_resend.intake.looks import is_order_number

_LINE_END = re.compile("\r\n|\r|\n")
_IN_PROSE = ","  # a delimiter that texts have as well
_LEAST_DIGITS = 4  # of an order's number: those of the points of a text have fewer
_IN_SHEET = (
    "cell {} holds what looks like rows of the list: a lone quotation mark does that in a file "
    "that is opened, or in a text that is pasted. Delete it there, and do that again"
)
_IN_FILE = (
    "a quotation mark begins cell {} here, which only ends with the one in line {}, and its lines "
    "look like rows of the list. Where such a mark stands for the cell above (ditto), write out "
    "what is there; delete it where it is for inches, or for nothing"
)
_IF_TEXT = "If it is one text, write it in one line"


@dataclass(frozen=True, slots=True)
class SwallowedRows:
    """Knows the cells of one table that hold rows of it."""

    name: str
    delimiters: Sequence[str]  # a file's own; a sheet's: those of the file it may be made of
    places: Mapping[Field, Sequence[int]]  # columns
    widths: frozenset[int]  # of rows

    def refuse(self, line: int, cells: Sequence[str], order: Sequence[int] | None = None) -> None:
        """Raise InputError where a cell of a row that begins on a line holds other rows.

        `order`: of the columns, where they stand otherwise than in the table's own heading.
        """
        fields = {
            at if order is None else order[at]: field
            for field in (*SUBJECTS, Field.DOMAIN, Field.EMAIL)
            for at in self.places.get(field, ())
        }
        is_sheet = len(self.delimiters) > 1
        for at, cell in enumerate(cells):
            more = 0 if is_sheet else len(_LINE_END.findall(cell))
            for split in self._splits(cells, at):
                if split.holds_rows(self.widths, fields):
                    why = (_IN_SHEET if is_sheet else _IN_FILE).format(at + 1, line + more)
                    raise InputError(f"{self.name}, line {line}: {why}. {_IF_TEXT}")
            line += more

    def _splits(self, cells: Sequence[str], at: int) -> Iterator["_Split"]:
        """Yield a row with each way to split a cell of it; none where that has one line."""
        lines = _LINE_END.split(cells[at])
        for delimiter in self.delimiters if len(lines) > 1 else ():
            # In a sheet of one column, a person has written several numbers into a cell.
            if len(self.delimiters) == 1 or delimiter in cells[at]:
                yield _Split(cells, at, delimiter, [text.split(delimiter) for text in lines])


@dataclass(frozen=True, slots=True)
class _Split:
    """A row, and one of its cells as the rows that its lines would be."""

    cells: Sequence[str]
    at: int  # that cell
    delimiter: str
    lines: Sequence[list[str]]

    def holds_rows(self, widths: frozenset[int], fields: Mapping[int, Field]) -> bool:
        """Whether its lines are rows, or one is.

        With a delimiter that texts have, it has to hold more than one thing in its place, unless
        the first and the last fit as well.
        """
        first = [*self.cells[: self.at], *self.lines[0]]
        last = [*self.lines[-1], *self.cells[self.at + 1 :]]
        # With where the text itself is, but for the cells in which the marks stand.
        rows = [(first, range(self.at + 1, len(first))), (last, range(len(self.lines[-1]) - 1))]
        rows += [(row, range(len(row))) for row in self.lines[1:-1]]
        held = max((_held(row, own, fields) for row, own in rows if len(row) in widths), default=0)
        if not (len(first) in widths and len(last) in widths):
            return held > (self.delimiter == _IN_PROSE)
        # In the place of a number, a text with delimiters is none anyway.
        is_number = len(first) > 1 and fields.get(self.at) in SUBJECTS
        return held > 0 or is_number or len(self.cells) not in widths


def _held(cells: Sequence[str], own: Sequence[int], fields: Mapping[int, Field]) -> int:
    """Return how many of a row's cells hold what belongs there; 0 if one holds anything else."""
    held = [(fields[at], cells[at]) for at in own if at in fields and cells[at].strip(' "')]
    return len(held) if all(_may_be(field, cell) for field, cell in held) else 0


def _may_be(field: Field, cell: str) -> bool:
    if field in SUBJECTS:
        return is_order_number(cell) and sum(map(str.isdigit, cell)) >= _LEAST_DIGITS
    return ("." if field is Field.DOMAIN else "@") in cell
