"""Cells of a table that no column is read for, and rows of a `rejected.csv` nobody has corrected.

Left aside, an address would have the CA mail all domains of its order. What was wrong with a row of
a `rejected.csv` may not be in the row: it is compared with its last column, which has it as it
stood.
"""

import csv
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from batch_resend.errors import InputError
from batch_resend.intake.asked_about import is_live, is_mark, is_no, is_yes, says_not_to_send
from batch_resend.intake.cells import shown, trimmed
from batch_resend.intake.exports import is_own_heading, is_state_of_another_trade
from batch_resend.intake.fields import ADDRESSES, Field, in_one_line, plain
from batch_resend.intake.headings import Columns
from batch_resend.intake.looks import (
    has_content,
    holds_address,
    holds_domain,
    is_mailbox,
    is_of_addresses,
    looked_for,
    may_name_addresses,
)
from batch_resend.intake.repairs import is_language
from batch_resend.intake.suggestions import ignore_flag, map_flag, pair_flags

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

    own: Collection[int]  # those columns; empty where it has no heading row, or none of them
    headed: bool
    by_fields: bool  # its columns are not the list's: the row stood there in another form
    read: Collection[int]  # the columns that hold something of the request
    all_domains: bool  # rows that name nobody may be sent now

    def uncorrected(self, cells: Sequence[str]) -> str:
        """Return why a row was rejected, where it is still as it stood; empty where it is not."""
        if self.headed and not self.own:
            return ""
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
    text = row[1:] if row.startswith("'") else row  # so that no spreadsheet runs it
    if text.lstrip().startswith(("{", "[")):
        try:
            rest: list[object] = [json.loads(text)]
        except (ValueError, RecursionError):
            rest = []
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
    try:
        for cells in csv.reader([text]):
            yield from cells
    except csv.Error:
        yield text


def _plain(text: str) -> str:
    """Return a cell without what the report, or a spreadsheet, may have done to it."""
    return trimmed(trimmed(text).lstrip("'")).lstrip("0").lower()


_CHECKED = (Field.ORDER_ID, Field.DOMAIN_ID, Field.LOCALE, Field.CALL, Field.ALL_DOMAINS)
# Half of the codes of languages are codes of countries as well.
_COUNTRIES = frozenset(
    ("country", "countrycode", "land", "landercode", "landerkurzel", "pays", "paese", "pais",
     "nation", "region", "state")
)  # fmt: skip


def ask_for_language(
    heading: Sequence[str],
    read: Collection[int],
    sample: Sequence[Sequence[str]],
    where: str,
) -> None:
    """Raise InputError where a column seems to hold the languages; `read`: those not to look at."""
    for at, name in enumerate(map(in_one_line, heading)):
        if at in read or not name or plain(name) in _COUNTRIES:
            continue
        cells = [row[at] for row in sample if at < len(row) and row[at].strip()]
        if cells and all(map(is_language, cells)):
            raise InputError(
                f"{where}: the column {name!r} seems to hold languages, and no column is known "
                f"to. If it says in which to mail: {map_flag(Field.LOCALE, name)}; if not: "
                f"{ignore_flag(name)}"
            )


def unnamed(at: int) -> str:
    """Return how --ignore names a column without a heading; `at`: counted from 0."""
    return f"column {at + 1}"


@dataclass(frozen=True)
class PassedOver:
    """Looks at the cells of rows that are not read."""

    names: Sequence[str]  # the heading; empty where there is none
    columns: Columns
    aside: Collection[int]  # columns about what was wrong with a row before
    ignored: Collection[str] = ()  # columns that the user has said are not to be read
    of_other_words: set[int] = field(default_factory=set)  # columns of more than yes and no

    def refuse_marks(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a cell may say that its row is not to be sent."""
        for at in self._others(cells):
            cell = cells[at]
            if not has_content(cell):
                continue
            says_it = at not in self.of_other_words and is_no(cell)
            if not (is_no(cell) or is_yes(cell)):
                self.of_other_words.add(at)
            by_heading = self.names and says_not_to_send(self.names[at]) and not is_no(cell)
            if says_it or by_heading or is_mark(cell):
                name = self._called(at)
                raise InputError(
                    f"{where}: {shown(cell)} in {name!r} may say that the order needs no mail, and "
                    f"is not read. Take out the rows that need none; then {ignore_flag(name)}"
                )

    def refuse(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a row names nobody in what is read, but perhaps elsewhere."""
        if may_name_addresses("\n".join(cells)):
            self._refuse_held(cells, where)
        self._refuse_signs(cells, where)

    def _refuse_signs(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a cell that is not read may narrow what its row asks for.

        By its heading, for want of one, as the name of a mailbox, or as a state of a shop's order.
        """
        for at in self._others(cells):
            cell, name = cells[at], in_one_line(self.names[at]) if self.names else ""
            if not has_content(cell):
                continue
            if not name and (self.names or is_mailbox(cell)):
                why = (
                    f"column {at + 1} has no heading and is not read, and all domains of each "
                    "order would be mailed. Write what it holds above it; or, if nothing in it "
                    "says otherwise"
                )
            elif is_state_of_another_trade(cell):
                why = (
                    f"{shown(cell)} in {self._called(at)!r} is a state of a shop's orders, and no "
                    "address is in the list: are these orders of the CA's? If they are"
                )
            elif is_live(name):
                why = (
                    f"{name!r} may say which orders need no mail, and is not read. Take out the "
                    "rows that do not. If you did"
                )
            elif is_of_addresses(name) or is_mailbox(cell):
                why = (
                    f"{name!r} may say which domains or addresses are meant, and is not read: all "
                    "domains of each order would be mailed. If that is right"
                )
            else:
                continue
            raise InputError(f"{where}: {why}: {ignore_flag(self._called(at))}")

    def _others(self, cells: Sequence[str]) -> Iterator[int]:
        """Yield the columns that nothing accounts for and in which the row has a cell."""
        if self.names:
            yield from (at for at in self._doubtful if at < len(cells))
            return
        known = self.columns.read
        own = own_place(cells, known)  # behind it stand those of a rejected.csv
        for at in range(len(cells) if own is None else own):
            if at not in known and unnamed(at) not in self.ignored:
                yield at

    def _called(self, at: int) -> str:
        """Return how --ignore names a column."""
        return (in_one_line(self.names[at]) if self.names else "") or unnamed(at)

    def holding(self, cells: Sequence[str], *, domains: bool) -> str:
        """Return the column that is not read and holds an address, or one of `domains`; or ""."""
        for at in self._others(cells):
            cell = cells[at]
            if holds_address(cell) or is_mailbox(cell) or (domains and holds_domain(cell)):
                return self._called(at)
        return ""

    @cached_property
    def _doubtful(self) -> list[int]:
        """The columns that no field, no export of the CA and no --ignore accounts for."""
        known = self.columns.read | set(self.aside) | set(self.columns.aside)
        return [
            at
            for at, name in enumerate(self.names)
            if at not in known
            and in_one_line(name) not in self.ignored
            and not (name.strip() and is_own_heading(name))
            and (name.strip() or unnamed(at) not in self.ignored)
        ]

    def _refuse_held(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a row holds an address, or a domain, that is not read."""
        columns = self.columns
        # What is no number and no language is rejected by itself.
        checked = {at for field in _CHECKED for at in columns.places.get(field, ())}
        checked |= columns.of_the_ca | set(self.aside)
        own = {at for places in columns.places.values() for at in places} | set(self.aside)
        addresses = [
            at for at, cell in enumerate(cells) if at not in checked and holds_address(cell)
        ]
        domains = [at for at, cell in enumerate(cells) if at not in own and holds_domain(cell)]
        new_domains = [at for at in domains if not columns.orders_only or at in columns.added]
        if not addresses and (columns.has_addresses or not new_domains):
            return
        if addresses:
            what, of_what = "an e-mail address", "the addresses to mail"
            at = addresses[0]
        else:
            what, of_what = "a domain", "the domains to approve"
            at = new_domains[0]
        named = (self._name(place) or unnamed(place) for place in (*addresses, *new_domains))
        others = [name for name in dict.fromkeys(named) if self.names and name not in self.ignored]
        ignored = "".join(f" {ignore_flag(name)}" for name in others)
        name = self._name(at) or ""
        does = f": {self._flags(cells)}" if name else ", write above it what it holds"
        raise InputError(
            f"{where}: there is {what} in the column {name or unnamed(at)!r}, and no column is "
            f"known to hold {of_what}. If it does{does}; if the CA is to mail all domains "
            f"of each order that wait, whom it knows: --all-domains{ignored}"
        )

    def _flags(self, cells: Sequence[str]) -> str:
        """Return how to name the columns of a row's domain and address, where they are plain."""
        columns = self.columns
        known = {field: at for field, (at, *_) in columns.places.items() if field in ADDRESSES}
        if columns.aside:
            known = {Field.DOMAIN: columns.aside[0]} | known
        among = set(range(len(cells))) - columns.of_the_ca - set(self.aside)
        found = known | looked_for([cells], self.names or [""] * len(cells), known, among)
        return pair_flags(self._name(found.get(Field.DOMAIN)), self._name(found.get(Field.EMAIL)))

    def _name(self, at: int | None) -> str | None:
        """Return how --map names a column: by its heading, or its position from 1."""
        if at is None:
            return None
        if not self.names:
            return str(at + 1)
        return in_one_line(self.names[at]) if at < len(self.names) else None
