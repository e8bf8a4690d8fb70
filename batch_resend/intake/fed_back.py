"""Rows of a `rejected.csv` that come back, and whether somebody has corrected them.

What was wrong with a row may not be in it: it is compared with its last column, which has it as it
stood.
"""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from batch_resend.intake.cells import trimmed

ABOUT_REJECTED = ("file", "line", "reason")  # behind a rejected row, in rejected.csv
AS_ONE_TEXT = ("row",)  # behind them: the row as it stood
OWN_COLUMNS = (*ABOUT_REJECTED, *AS_ONE_TEXT)
_WHAT_TO_DO = ": correct it first (or empty its reason, if it is right as it stands)"
# What another option, or another profile, may put right without a change of the row.
_BY_OPTION = "--all-domains"
_BY_PROFILE = "no profile describes"
_WITHOUT_ROW = (
    "of a rejected.csv without its column row, which shows whether it was corrected: if it was, "
    " delete file, line and reason too"
)


def own_columns(heading: Sequence[str]) -> set[int]:
    """Return which columns are those of a rejected.csv, which say what was wrong with a row."""
    names = tuple(map(str.strip, heading))
    for own in (OWN_COLUMNS, ABOUT_REJECTED):
        for at in range(len(names) - len(own), -1, -1):
            if names[at : at + len(own)] == own:
                return set(range(at, at + len(own)))
    return set()


@dataclass(frozen=True, slots=True)
class FedBack:
    """What is known of a list that may be a rejected.csv."""

    own: Collection[int]  # those columns; empty where it has no heading row
    headed: bool
    by_fields: bool  # its columns are not the list's: the row stood there in another form
    read: Collection[int]  # the columns that hold something of the request
    all_domains: bool  # rows that name nobody may be sent now

    def uncorrected(self, cells: Sequence[str]) -> str:
        """Return why a row was rejected, where it is still as it stood; empty where it is not."""
        at = min(self.own) if self.headed else own_place(cells, self.read)
        if at is None or len(cells) < at + len(ABOUT_REJECTED):
            return ""
        reason = cells[at + 2].strip()
        by_option = self.all_domains and _BY_OPTION in reason
        if not reason or reason.startswith(_BY_PROFILE) or by_option:
            return ""
        if self.headed and len(self.own) < len(OWN_COLUMNS):
            return _WITHOUT_ROW
        if not self._is_same(cells, at):
            return ""
        return reason if reason.endswith(_WHAT_TO_DO) else reason + _WHAT_TO_DO

    def _is_same(self, cells: Sequence[str], at: int) -> bool:
        """Whether a row says what stood there; `at`: where the own columns begin."""
        stood = list(map(_plain, _texts("".join(cells[at + 3 : at + 4]))))
        if self.by_fields or not self.headed:
            now = [_plain(cells[place]) for place in self.read if place < at]
            return set(filter(None, now)) <= set(stood)
        now = list(map(_plain, (*cells[:at], *cells[at + len(OWN_COLUMNS) :])))
        return _without_end(now) == _without_end(stood)


def _without_end(texts: list[str]) -> list[str]:
    while texts and not texts[-1]:
        texts.pop()
    return texts


def own_place(cells: Sequence[str], read: Collection[int]) -> int | None:
    """Return where they stand in a row without a heading: file, line, reason and row, at its end.

    A row that holds all of its cells that are read once more, as one text, is one of these.
    """
    at = len(cells) - len(OWN_COLUMNS)
    if at <= max(read, default=-1) or not (cells[at + 1].isdigit() and cells[at + 3].strip()):
        return None
    return at


def _texts(row: str) -> Iterator[str]:
    """Yield the texts of a row: its cells, or what is in its JSON."""
    text = row.removeprefix("'")  # so that no spreadsheet runs it
    if text.lstrip().startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            yield from _texts_within(json.loads(text))
    try:
        for cells in csv.reader([text]):
            yield from cells
    except csv.Error:
        yield text


def _texts_within(value: object) -> Iterator[str]:
    rest = [value]
    while rest:
        match rest.pop():
            case dict() as held:
                rest += held.values()
            case list() as held:
                rest += held
                if all(isinstance(one, str) for one in held):
                    yield "; ".join(held)
            case str() as held:
                yield held
            case held:
                yield json.dumps(held)


def _plain(text: str) -> str:
    """Return a cell without what the report, or a spreadsheet, may have done to it."""
    return trimmed(trimmed(text).lstrip("'")).lstrip("0").lower()
