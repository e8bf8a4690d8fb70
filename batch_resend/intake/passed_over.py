"""Cells of a table that no column is read for.

Left aside, an address would have the CA mail all domains of its order.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from batch_resend.errors import InputError
from batch_resend.intake.asked_about import why_narrower, why_not_each
from batch_resend.intake.cells import shown, trimmed
from batch_resend.intake.exports import is_own_heading
from batch_resend.intake.fed_back import own_of, places_of
from batch_resend.intake.fields import ADDRESSES, Field, in_one_line
from batch_resend.intake.headings import Columns
from batch_resend.intake.layout import TableRow
from batch_resend.intake.looks import looked_for
from batch_resend.intake.signs import (
    Says,
    holds_address,
    holds_domain,
    is_mailbox,
    is_remark,
    may_name_addresses,
    said_by,
    says_not_to_send,
)
from batch_resend.intake.suggestions import ignore_flag, needs_no_mail, pair_flags, unnamed

_CHECKED = (Field.ORDER_ID, Field.DOMAIN_ID, Field.LOCALE, Field.CALL, Field.ALL_DOMAINS)

_LONGEST_MARK = 12  # characters of what may mark rows
_IN_OTHER_WORDS = " Other cells there may say the same in other words: look at them, too."
_MOST_SHOWN = 5  # of the cells of a column that say so


@dataclass(slots=True)
class _Marks:
    """Cells of one column that may say that their rows need no mail."""

    count: int = 0
    first: list[tuple[str, int]] = field(default_factory=list)  # what they say, with the line

    def note(self, text: str, line: int) -> None:
        self.count += 1
        if len(self.first) < _MOST_SHOWN:
            self.first.append((shown(text), line))

    def why(self, called: str) -> str:
        """Return what to ask about them; `called`: how --ignore names the column."""
        which = ", ".join(f"{text} in line {line}" for text, line in self.first)
        if more := self.count - len(self.first):
            which += f" and {more:,} more"
        cells = "1 cell" if self.count == 1 else f"{self.count:,} cells"
        what = f"{cells} of {called!r} ({which})"
        return needs_no_mail(what, called, several=self.count > 1, beside=_IN_OTHER_WORDS)


@dataclass(frozen=True)
class PassedOver:
    """Looks at the cells of rows that are not read."""

    names: Sequence[str]  # the heading; empty where there is none
    columns: Columns
    aside: Collection[int]  # columns about what was wrong with a row before
    ignored: Collection[str] = ()  # columns that the user has said are not to be read
    names_nobody: bool = False  # no row can name whom to mail
    by_word: bool = False  # an option says that they need not: which rows are meant, it does not
    of_other_words: set[int] = field(default_factory=set)  # columns of more than yes and no
    blank: set[int] = field(default_factory=set)  # columns in which some row has nothing
    words: dict[int, set[str]] = field(default_factory=dict)  # and the first two texts of others
    marks: dict[int, _Marks] = field(default_factory=dict)  # see `refuse_marks`

    def refuse(self, row: TableRow, name: str) -> None:
        """Raise InputError where a cell may say to mail fewer by its row; note one not to send it.

        To mail fewer only where the rows name nobody: others are no wider than what they name.
        """
        cells = row.cells
        others = self._others(cells)
        if not (others or self.names_nobody):
            return
        said = [(at, said_by(cells[at])) for at in others]
        for at, says in said:
            self._note_if_a_mark(at, says, row)
        if self.marks or not self.names_nobody:
            return
        where = f"{name}, line {row.line}"
        self._note_words(cells, said)
        if not self.by_word and may_name_addresses(row.text):
            self._refuse_held(cells, where)
        for at, says in said:
            if says is not Says.NOTHING and (why := self._why_narrower(at, cells[at])):
                raise InputError(f"{where}: {why}")

    def _note_words(self, cells: Sequence[str], said: Iterable[tuple[int, Says]]) -> None:
        for at, says in said:
            if says is Says.NOTHING:
                self.blank.add(at)
            elif self.by_word and _says_whom(cells[at], domains=True):
                continue  # its row is rejected
            elif len(words := self.words.setdefault(at, set())) < 2:
                words.add(trimmed(cells[at]).lower())

    def refuse_marks(self, name: str) -> None:
        """Raise InputError where cells may say not to send their rows; all have been read.

        Also where one and the same text marks some rows of a column, and not others: whether those
        are the ones to mail, or the ones not to, it does not say.
        """
        if self.marks:
            why = ". ".join(of.why(self._called(at)) for at, of in self.marks.items())
            raise InputError(f"{name}: {why}")
        for at, words in self.words.items():
            is_mark = len(words) == 1 and max(map(len, words)) <= _LONGEST_MARK
            if is_mark and at in self.blank and not (self.names and is_remark(self.names[at])):
                raise InputError(
                    f"{name}: some rows have {shown(*words)} in {self._called(at)!r}, others "
                    "nothing: that may say which are to be sent, and is not read. Remove the "
                    f"rows that are not, then add {ignore_flag(self._called(at))}"
                )

    def _note_if_a_mark(self, at: int, says: Says, row: TableRow) -> None:
        """Note a cell if what it says, or its heading of it, may be that its row needs no mail."""
        if says is Says.NOTHING:
            return
        if says is Says.NO:
            is_mark = at not in self.of_other_words
        else:
            if says is not Says.YES:
                self.of_other_words.add(at)
            is_mark = says is Says.MARK or at in self._not_to_send
        if is_mark:
            self.marks.setdefault(at, _Marks()).note(row.cells[at], row.line)

    @cached_property
    def _not_to_send(self) -> Collection[int]:
        """The columns whose headings say that what is marked in them needs no mail."""
        return {at for at, name in enumerate(self.names) if says_not_to_send(name)}

    def _why_narrower(self, at: int, cell: str) -> str:
        """Return how a cell may narrow what its row asks for; empty where it does not."""
        called, name = self._called(at), in_one_line(self.names[at]) if self.names else ""
        if self.by_word:
            return why_not_each(repr(called), called, [name])
        if self.names and not name:
            return (
                f"{called} has no heading and is not read, so every pending domain of each order "
                "would be mailed. Give it a heading; or, if nothing in it says otherwise: "
                f"{ignore_flag(called)}"
            )
        return why_narrower(repr(called), called, [name], [cell])

    def _others(self, cells: Sequence[str]) -> Sequence[int]:
        """Return the columns that nothing accounts for and in which the row has a cell."""
        if self.names:
            doubtful = self._doubtful
            is_wide = not doubtful or doubtful[-1] < len(cells)
            return doubtful if is_wide else [at for at in doubtful if at < len(cells)]
        known = self.columns.read
        if own := own_of(cells):
            known = known | places_of(own)
        places = range(len(cells))
        return [at for at in places if at not in known and unnamed(at) not in self.ignored]

    def _called(self, at: int) -> str:
        """Return how --ignore names a column."""
        return (self._name(at) if self.names else "") or unnamed(at)

    def holding(self, cells: Sequence[str], *, domains: bool) -> str:
        """Return the column that is not read and holds an address, or one of `domains`; or ""."""
        for at in self._others(cells):
            if _says_whom(cells[at], domains=domains):
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
        addresses, domains = self._held(cells)
        if not addresses and (self.columns.has_addresses or not domains):
            return
        what, of_what = (
            ("an e-mail address", "the addresses to mail")
            if addresses
            else ("a domain", "the domains to approve")
        )
        places = dict.fromkeys((*addresses, *domains))
        called = list(dict.fromkeys(map(self._called, places)))
        first = next(iter(places))
        name = self._name(first)
        column = repr(called[0]) if called[0] == unnamed(first) else f"the column {called[0]!r}"
        does = f": {self._flags(cells)}" if name else ", give it a heading"
        raise InputError(
            f"{where}: there is {what} in {column}, and no column is known to "
            f"hold {of_what}. If it does{does}; if the CA is to mail every pending domain of each "
            f"order: {' '.join(('--all-domains', *map(ignore_flag, called)))}"
        )

    def _held(self, cells: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return which columns that are not read hold an address, and which a domain."""
        columns, aside = self.columns, set(self.aside)
        # What is no number and no language is rejected by itself.
        checked = {at for field in _CHECKED for at in columns.places.get(field, ())}
        checked |= columns.of_the_ca | aside
        own = columns.read | aside
        asked = [at for at in range(len(cells)) if not columns.orders_only or at in columns.added]
        return (
            [at for at, cell in enumerate(cells) if at not in checked and holds_address(cell)],
            [at for at in asked if at not in own and holds_domain(cells[at])],
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


def _says_whom(cell: str, *, domains: bool) -> bool:
    """Whether a cell holds an address or a mailbox; with `domains`, or one of these."""
    return holds_address(cell) or is_mailbox(cell) or (domains and holds_domain(cell))
