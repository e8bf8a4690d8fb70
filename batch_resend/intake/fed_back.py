"""A `rejected.csv` that comes back: which of its rows nobody has corrected.

What was wrong with a row may not be in it: its cells are compared with its column `row`, which has
them as they stood. They are known by their headings, because columns may have been moved or deleted
since. What a spreadsheet makes of a cell by itself corrects nothing, nor does a remark in a column
that is not read. Where it cannot be known whether a row was corrected, it was not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from batch_resend.intake.as_it_stood import Stood, label, stood_in, texts_in
from batch_resend.intake.cells import shown, trimmed
from batch_resend.intake.fields import SUBJECTS, Field, in_one_line, plain
from batch_resend.intake.headings import Columns
from batch_resend.intake.numbers import digits_of
from batch_resend.intake.spreadsheet import bare, remakes
from batch_resend.intake.suggestions import ignore_flag

_REASON, _ROW, _RECORD = "reason", "row", "record"
ABOUT_REJECTED = ("file", "line", _REASON)  # behind a rejected row, in rejected.csv
AS_ONE_TEXT = (_ROW,)  # behind them: its cells as they stood
OWN_COLUMNS = (*ABOUT_REJECTED, *AS_ONE_TEXT)
# Where its list had it in another form, as a JSON record: that, too, for people.
OWN_OF_OTHER_FORM = (*ABOUT_REJECTED, _RECORD, *AS_ONE_TEXT)
_ENOUGH = len(ABOUT_REJECTED)  # of these columns: no other list has so many
Own = Mapping[str, Sequence[int]]  # those that a list has, and where

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
    "of a rejected.csv in which its column row is missing or damaged, which shows whether it was "
    "corrected"
)
_WITHOUT_REASON = "of a rejected.csv without its column reason, and not corrected"


def own_columns(
    heading: Sequence[str], sample: Sequence[Sequence[str]] = (), *, is_named: bool = False
) -> Own:
    """Return which columns are those of a rejected.csv, which say what was wrong with a row.

    Some may have been moved, or deleted. `is_named`: the list has that name.
    """
    found: dict[str, Sequence[int]] = {}
    names = list(map(label, heading))
    for at, name in enumerate(names):
        if name in OWN_OF_OTHER_FORM:
            found[name] = [*found.get(name, ()), at]
    if stood := next(filter(None, (_row_in(cells, found) for cells in sample)), None):
        return {**_without_others(found, stood), **_in_place(names)}
    is_one = is_named or (_REASON in found and len(found) >= _ENOUGH)
    return {**found, **_in_place(names)} if is_one else {}


def _without_others(found: Own, stood: Stood) -> Own:
    """Return our columns, of those with their names: a list may have had some, and ours be gone."""
    is_ours = {name: name == _ROW or len(at) > stood.count(name) for name, at in found.items()}
    return {name: at for name, at in found.items() if is_ours[name]}


def _in_place(names: Sequence[str]) -> Own:
    """Return our columns where they are beside each other, as they were written; else none."""
    for own in (OWN_OF_OTHER_FORM, OWN_COLUMNS, ABOUT_REJECTED):
        for at in range(len(names) - len(own), -1, -1):
            if tuple(names[at : at + len(own)]) == own:
                return {name: (at + number,) for number, name in enumerate(own)}
    return {}


def own_of(cells: Sequence[str]) -> Own:
    """Return where they are in a row without a heading: by what stands in the last of them."""
    for at in range(len(cells) - 1, -1, -1):
        if stood_in(cells[at]) is not None:
            begin = at + 1 - len(OWN_OF_OTHER_FORM)
            if begin >= 0 and digits_of(cells[begin + 1]):
                return {name: (begin + n,) for n, name in enumerate(OWN_OF_OTHER_FORM)}
            return {_ROW: (at,)}  # where the others are by now, nobody knows
    return {}


def places_of(own: Own) -> set[int]:
    """Return all of their places."""
    return {at for places in own.values() for at in places}


def text_of(name: str, cells: Sequence[str], own: Own) -> str:
    """Return what stands in one of these columns; of several of its name, in the first that fits.

    A list may have had one of the same name: its reason is only empty where both are.
    """
    texts = [cells[at] for at in own.get(name, ()) if at < len(cells)]
    fits = (text for text in texts if (stood_in(text) if name == _ROW else text.strip()))
    return next(fits, "")


def _row_in(cells: Sequence[str], own: Own) -> Stood | None:
    """Return a row as it stood, if that is there to be read."""
    return stood_in(text_of(_ROW, cells, own))


@dataclass(frozen=True)
class FedBack:
    """What is known of a list that may be a rejected.csv."""

    own: Own  # its columns; empty where it has no heading row
    names: Sequence[str]  # its heading; empty where it has none
    columns: Columns
    kept: Mapping[Field, Sequence[int]]  # columns of what asks for nothing, and may be unfit
    all_domains: bool  # rows that name nobody may be sent now
    is_named: bool  # it has the name of a rejected.csv

    def remade(self, cells: Sequence[str]) -> str:
        """Return why a row, whatever else of it is corrected, asks for what no list asked for.

        That is a number which only a spreadsheet has made: of another one, or of none. Empty where
        there is no such number.
        """
        own = self._own(cells)
        stood = _row_in(cells, own)
        if stood is None or self._reason(cells, own) == "":
            return ""
        if not (change := self._changed_number(cells, stood, own)):
            return ""
        before, now = change
        return "" if digits_of(before) == digits_of(now) else _why_changed(before, now)

    def uncorrected(self, cells: Sequence[str]) -> str:
        """Return why a row was rejected, where it is still as it stood; empty where it is not.

        Also where that cannot be known.
        """
        own = self._own(cells)
        reason = self._reason(cells, own)
        if reason == "" or not (own or self.is_named):
            return ""
        if (stood := _row_in(cells, own)) is None:
            return _WITHOUT_ROW + _WHAT_TO_DO
        if gone := self._gone(stood):
            return gone + _WHAT_TO_DO
        reason = reason or _WITHOUT_REASON
        is_changed = self._is_corrected(cells, stood, own, reason)
        if is_changed or reason.startswith(_BY_PROFILE) or self._is_by_option(reason):
            return ""
        change = self._changed_number(cells, stood, own)
        if change and bare(change[0]).lstrip("0") in bare(reason):  # which is no longer true
            return _why_changed(*change)
        return reason if reason.endswith((_WHAT_TO_DO, WAITS)) else reason + _WHAT_TO_DO

    def record_of(self, cells: Sequence[str]) -> str:
        """Return what tells from which record of a list of another form a row is; or ""."""
        own = self._own(cells)
        file, line, record = (text_of(name, cells, own) for name in ("file", "line", _RECORD))
        return "\n".join((file, line, record)) if line or record else ""

    def _own(self, cells: Sequence[str]) -> Own:
        return self.own if self.names else own_of(cells)

    def _reason(self, cells: Sequence[str], own: Own) -> str | None:
        """Return what was wrong with a row; empty where it is said to be right; None: deleted."""
        return text_of(_REASON, cells, own).strip() if _REASON in own else None

    def _is_by_option(self, reason: str) -> bool:
        """Whether rows that name nobody may be sent now, and this one was rejected as such."""
        if not (self.all_domains and _BY_OPTION in reason):
            return False
        # What it did not read, as its reason says, is looked at again, unless it is not there.
        names = [self.names[at] for at in self._labels] if self.names else []
        flags = map(ignore_flag, filter(None, map(in_one_line, names)))
        return _UNREAD not in reason or any(flag in reason for flag in flags)

    @cached_property
    def _labels(self) -> Mapping[int, str]:
        """What each column is known by; where there are no headings, those that are read."""
        if self.names:
            own = places_of(self.own)
            return {at: label(name) for at, name in enumerate(self.names) if at not in own}
        return {at: label(field) for field, places in self._asked for at in places}

    @cached_property
    def _asked(self) -> Sequence[tuple[Field, Sequence[int]]]:
        """The columns of what a row asks for, by field."""
        return [*self.columns.places.items(), *self.kept.items()]

    def _gone(self, stood: Stood) -> str:
        """Return which column of what a row asked for was deleted; empty where none was.

        Nobody can know whether that was its correction. Without an address, it would ask for more.
        """
        for heading, field, text in stood.gone(set(self._labels.values())):
            if bare(text) and field not in self.columns.places:
                return f"its column {heading!r}, which had {shown(text)}, is no longer there"
        return ""

    def _is_corrected(self, cells: Sequence[str], stood: Stood, own: Own, reason: str) -> bool:
        """Whether a cell that says what is asked for, or that was to be corrected, has changed."""
        others = self._labels.keys() - self.columns.read - places_of(own)
        doubtful = (at for at in others if stood.is_ragged or self._is_reason(at, stood, reason))
        return any(
            not stood.is_same(self._labels_then(field, places, stood), _texts(cells, places))
            for field, places in self._asked
        ) or any(not stood.is_same({self._labels[at]}, _texts(cells, [at])) for at in doubtful)

    def _labels_then(self, field: Field, places: Sequence[int], stood: Stood) -> Collection[str]:
        """Return what the columns of a field were known by, when their rows were rejected."""
        now = {self._labels[at] for at in places if at in self._labels}
        if stood.count(*now):
            return now
        gone = stood.gone(set(self._labels.values()))  # unless its heading has changed
        return {label(name) for name, of, _ in gone if of is field}

    def _is_reason(self, at: int, stood: Stood, reason: str) -> bool:
        """Whether a row was rejected for what stood in a column that is not read: it says so."""
        name = in_one_line(self.names[at])
        said = [repr(name), ignore_flag(name)] if name else []
        for number, (heading, cell) in enumerate(stood.cells, start=1):
            if label(heading) == self._labels[at]:
                said += [f"its cell {number} is empty", *map(shown, filter(None, texts_in(cell)))]
        return any(one in reason for one in said)

    def _changed_number(
        self, cells: Sequence[str], stood: Stood, own: Own
    ) -> tuple[str, str] | None:
        """Return a number's text as it stood and as it is, where only a spreadsheet changed it."""
        places = {at for one in SUBJECTS for at in self.columns.places.get(one, ())}
        for now in _texts(cells, places - places_of(own)):
            if before := made_of(stood.texts, now):
                return trimmed(before), trimmed(now)
        return None


def _texts(cells: Sequence[str], places: Collection[int]) -> list[str]:
    return [cells[at] for at in places if at < len(cells)]


def made_of(stood: Collection[str], now: str) -> str:
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


def is_unchanged(reason: str) -> bool:
    """Whether a row was rejected because it is as it was when it was rejected before."""
    return reason.startswith(_BY_SPREADSHEET) or reason.endswith(_WHAT_TO_DO)


def _why_changed(stood: str, now: str) -> str:
    return (
        f"{_BY_SPREADSHEET} ({shown(stood)} -> {shown(now)}): if {now} is right, empty its reason; "
        "if not, correct the number"
    )
