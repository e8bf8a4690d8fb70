"""Cells of a table that no column is read for, but hold an address, a domain, a language.

Left aside, an address would have the CA mail all domains of its order, to all whom it knows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from batch_resend.errors import InputError
from batch_resend.intake.address_signs import (
    has_content,
    holds_address,
    holds_domain,
    is_mailbox,
    is_of_addresses,
    may_name_addresses,
)
from batch_resend.intake.asked_about import says_no, says_not_to_send, says_state
from batch_resend.intake.exports import is_own_heading
from batch_resend.intake.fed_back import own_place
from batch_resend.intake.headings import Columns
from batch_resend.intake.looks import looked_for
from batch_resend.intake.repairs import is_language
from batch_resend.intake.suggestions import ignore_flag, map_flag, pair_flags
from batch_resend.intake.vocabulary import ADDRESSES, Field, in_one_line, plain

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


def _says_not_to_mail(cell: str) -> bool:
    return says_no(cell) or says_not_to_send(cell) or is_mailbox(cell)


@dataclass(frozen=True)
class PassedOver:
    """Looks at the rows of a list that has no column for whom to mail."""

    names: Sequence[str]  # the heading; empty where there is none
    columns: Columns
    aside: Collection[int]  # columns about what was wrong with a row before
    ignored: Collection[str] = ()  # columns that the user has said are not to be read

    def refuse(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a row names nobody in what is read, but perhaps elsewhere."""
        if may_name_addresses("\n".join(cells)):
            self._refuse_held(cells, where)
        self._refuse_signs(cells, where)

    def _refuse_signs(self, cells: Sequence[str], where: str) -> None:
        """Raise InputError where a cell that is not read may narrow what its row asks for.

        By its heading, for want of one, or as the name of a mailbox.
        """
        for at in self._doubtful if self.names else self._unread(cells):
            if at >= len(cells) or not has_content(cells[at]):
                continue
            name = in_one_line(self.names[at]) if self.names else ""
            if not name:
                raise InputError(
                    f"{where}: column {at + 1} has no heading and is not read, and all domains of "
                    "each order would be mailed. Write what it holds above it; or, if nothing in "
                    f"it says otherwise: {ignore_flag(unnamed(at))}"
                )
            if says_state(name):
                raise InputError(
                    f"{where}: {name!r} may say which orders need no mail, and is not read. Take "
                    f"out the rows that do not; then {ignore_flag(name)}"
                )
            if is_of_addresses(name) or is_mailbox(cells[at]):
                raise InputError(
                    f"{where}: {name!r} may say which domains or addresses are meant, and is not "
                    "read: all domains of each order would be mailed. If that is right: "
                    f"{ignore_flag(name)}"
                )

    def _unread(self, cells: Sequence[str]) -> list[int]:
        """Return the columns of a list without a heading row that may say not to mail a row."""
        known = self.columns.read
        own = own_place(cells, known)  # behind it stand those of a rejected.csv
        columns = range(len(cells) if own is None else own)
        others = [at for at in columns if at not in known and unnamed(at) not in self.ignored]
        return [at for at in others if _says_not_to_mail(cells[at])]

    def holding(self, cells: Sequence[str], *, domains: bool) -> str:
        """Return the column that is not read and holds an address, or one of `domains`; or ""."""
        for at in self._doubtful:
            cell = cells[at] if at < len(cells) else ""
            if holds_address(cell) or (domains and holds_domain(cell)):
                return in_one_line(self.names[at]) or unnamed(at)
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
