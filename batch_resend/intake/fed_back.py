"""A `rejected.csv` that comes back: which of its rows nobody has corrected.

What was wrong with a row may not be in it: its cells are compared with its last column, which has
them as they stood. What a spreadsheet makes of a cell by itself corrects nothing.
"""

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from batch_resend.intake.cells import shown, trimmed
from batch_resend.intake.csv_cells import DELIMITERS
from batch_resend.intake.fields import SUBJECTS, Field, plain
from batch_resend.intake.headings import Columns
from batch_resend.intake.numbers import digits_of
from batch_resend.intake.spreadsheet import bare, remakes

ABOUT_REJECTED = ("file", "line", "reason")  # behind a rejected row, in rejected.csv
AS_ONE_TEXT = ("row",)  # behind them: its cells as they stood
OWN_COLUMNS = (*ABOUT_REJECTED, *AS_ONE_TEXT)
# Where its list had it in another form, as a JSON record: that, too, for people.
OWN_OF_OTHER_FORM = (*ABOUT_REJECTED, "record", *AS_ONE_TEXT)
WAITS = (  # of a row of such a record in which another one is wrong
    "right as it is: it is sent along once the other rows of its record, beside it, are right "
    "(to send it without them, empty its reason)"
)
_WHAT_TO_DO = ": correct it first (or empty its reason, if it is right as it is)"
# What another option, or another profile, may put right without a change of the row.
_BY_OPTION = "--all-domains"
_UNREAD = "--ignore"
_BY_PROFILE = "no profile describes"
_BY_SPREADSHEET = (
    "its number differs from the rejected one only as a spreadsheet changes it by itself"
)
_WITHOUT_ROW = (
    "of a rejected.csv without its column row, which shows whether it was corrected: if it was, "
    " delete file, line and reason too"
)


def own_columns(heading: Sequence[str]) -> set[int]:
    """Return which columns are those of a rejected.csv, which say what was wrong with a row."""
    names = tuple(map(str.strip, heading))
    for own in (OWN_OF_OTHER_FORM, OWN_COLUMNS, ABOUT_REJECTED):
        for at in range(len(names) - len(own), -1, -1):
            if names[at : at + len(own)] == own:
                return set(range(at, at + len(own)))
    return set()


@dataclass(frozen=True, slots=True)
class FedBack:
    """What is known of a list that may be a rejected.csv."""

    own: Collection[int]  # those columns; empty where it has no heading row
    headed: bool
    by_fields: bool  # its columns are not the list's: what was not read there is in none of them
    columns: Columns
    all_domains: bool  # rows that name nobody may be sent now

    def remade(self, cells: Sequence[str]) -> str:
        """Return why a row, whatever else of it is corrected, asks for what no list asked for.

        That is a number which only a spreadsheet has made: of another one, or of none. Empty where
        there is no such number.
        """
        if (at := self._place(cells)) is None or not cells[at + 2].strip():
            return ""
        if not (change := self._changed_number(cells, at)):
            return ""
        stood, now = change
        return "" if digits_of(stood) == digits_of(now) else _why_changed(stood, now)

    def uncorrected(self, cells: Sequence[str]) -> str:
        """Return why a row was rejected, where it is still as it stood; empty where it is not."""
        if (at := self._place(cells)) is None:
            return ""
        reason = cells[at + 2].strip()
        if not reason or reason.startswith(_BY_PROFILE) or self._is_by_option(reason):
            return ""
        if self._width < len(OWN_COLUMNS):
            return _WITHOUT_ROW
        if not self._is_same(cells, at):
            return ""
        change = self._changed_number(cells, at)
        if change and bare(change[0]).lstrip("0") in bare(reason):  # which is no longer true
            return _why_changed(*change)
        return reason if reason.endswith((_WHAT_TO_DO, WAITS)) else reason + _WHAT_TO_DO

    def record_of(self, cells: Sequence[str]) -> str:
        """Return what tells from which record of a list of another form a row is; or ""."""
        at = self._place(cells)
        if at is None or not self._is_of_other_form:
            return ""
        file, line, _, *record = cells[at : at + self._width - 1]
        return "\n".join((file, line, *record)) if any(record) else ""

    @property
    def _width(self) -> int:
        """How many own columns there are."""
        return len(self.own) if self.headed else len(OWN_OF_OTHER_FORM)

    @property
    def _is_of_other_form(self) -> bool:
        return self._width == len(OWN_OF_OTHER_FORM)

    def _is_by_option(self, reason: str) -> bool:
        """Whether rows that name nobody may be sent now, and this one was rejected as such."""
        # What it did not read, as its reason says, stands in no column of another form.
        is_unseen = self.by_fields and _UNREAD in reason
        return self.all_domains and _BY_OPTION in reason and not is_unseen

    def _place(self, cells: Sequence[str]) -> int | None:
        """Return where the own columns begin in a row, if it has them."""
        at = min(self.own) if self.headed else own_place(cells, self.columns.read)
        return None if at is None or len(cells) < at + len(ABOUT_REJECTED) else at

    def _stood(self, cells: Sequence[str], at: int) -> dict[str, list[str]]:
        """Return the cells as they stood, by what may separate them."""
        return _rows_of("".join(cells[at + self._width - 1 : at + self._width]))

    def _is_same(self, cells: Sequence[str], at: int) -> bool:
        """Whether a row says what stood there; `at`: where the own columns begin."""
        rows = self._stood(cells, at)
        as_now = [*cells[:at], *cells[at + self._width :]]
        if self._is_of_other_form and len(as_now) not in map(len, rows.values()):
            # Columns were added, or deleted; of these there are many that are empty.
            return any(_are_same(filter(bare, one), filter(bare, as_now)) for one in rows.values())
        return any(_are_same(folded(stood, at, mark), as_now) for mark, stood in rows.items())

    def _changed_number(self, cells: Sequence[str], at: int) -> tuple[str, str] | None:
        """Return a number's text as it stood and as it is, where only a spreadsheet changed it."""
        stood = set(chain.from_iterable(self._stood(cells, at).values()))
        places = chain.from_iterable(self.columns.places.get(one, ()) for one in SUBJECTS)
        own = range(at, at + self._width)
        for now in (cells[place] for place in places if place < len(cells) and place not in own):
            if made_of := _made_of(stood, now):
                return trimmed(made_of), trimmed(now)
        return None


def _made_of(stood: Collection[str], now: str) -> str:
    """Return of which text only a spreadsheet has made a number; empty where of none.

    Rather of one that means the same number.
    """
    number = digits_of(now)
    if not number or bare(now) in map(bare, stood):
        return ""
    found = [one for one in stood if remakes(one, now)]
    return min(found, key=lambda one: (digits_of(one) != number, one), default="")


def asks_for_word(reason: str) -> bool:
    """Whether a row was rejected for the word for all domains, or for want of it."""
    return plain(Field.ALL_DOMAINS) in plain(reason)


def is_of_spreadsheet(reason: str) -> bool:
    """Whether a row was rejected because only a spreadsheet has changed its number."""
    return reason.startswith(_BY_SPREADSHEET)


def _why_changed(stood: str, now: str) -> str:
    return (
        f"{_BY_SPREADSHEET} ({shown(stood)} -> {shown(now)}): if {now} is right, empty its reason; "
        "if not, correct the number"
    )


def _are_same(stood: Iterable[str], now: Iterable[str]) -> bool:
    before, after = (_without_end(map(bare, texts)) for texts in (stood, now))
    return len(before) == len(after) and all(map(remakes, before, after))


def folded(cells: Sequence[str], width: int, delimiter: str) -> list[str]:
    """Return a row in so many cells; what it has beyond stands in the last, as one text."""
    whole = _without_end(cells)
    if len(whole) <= width:
        return whole
    last = max(width - 1, 0)
    return [*whole[:last], delimiter.join(whole[last:])]


def _without_end(cells: Iterable[str]) -> list[str]:
    """Return a row without the empty cells at its end."""
    texts = list(cells)
    while texts and not texts[-1]:
        texts.pop()
    return texts


def own_place(cells: Sequence[str], read: Collection[int]) -> int | None:
    """Return where they stand in a row without a heading: file, line, reason, record and row.

    A row that holds all of its cells that are read once more, as one text, is one of these.
    """
    at = len(cells) - len(OWN_OF_OTHER_FORM)
    if at <= max(read, default=-1) or not (cells[-1].strip() and digits_of(cells[at + 1])):
        return None
    return at


def _rows_of(text: str) -> dict[str, list[str]]:
    """Return the texts of a row that is one text, by what may separate its cells."""
    return {delimiter: list(_texts(text, delimiter)) for delimiter in DELIMITERS}


def _texts(row: str, delimiter: str) -> Iterator[str]:
    """Yield the texts of a row: its cells."""
    text = row.removeprefix("'")  # so that no spreadsheet runs it
    try:
        for cells in csv.reader([text], delimiter=delimiter):
            yield from cells
    except csv.Error:
        yield text
