"""The rows of an order -> its requests: one for each language that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from batch_resend.calls import CALLS
from batch_resend.journal.statements import (
    Assignment,
    RequestValues,
    decode_call,
    decode_entries,
    encode_entries,
)
from batch_resend.model import Entry, Note, Problem, Request, RowStatus


class StagedRow(NamedTuple):
    """A row as it was staged: a record of `page_of_sorted_rows`."""

    place: int  # in canonical order
    seq: int
    input: int
    line: int
    order_id: str
    locale: str | None
    entries: str | None  # encoded; None: named badly, "": none
    skip: str | None
    notes: str
    call: str | None
    account: str | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked: a CA, by a key."""

    base_url: str
    budget: str | None = None  # names the key, without saying it


@dataclass(slots=True)
class Grouping:
    """Makes requests of the rows of one order after another, and numbers them."""

    run: int
    endpoints: Mapping[str | None, Endpoint]  # by account
    input_names: Sequence[str]
    requests_made: int = 0
    order_numbers: int = 0  # of these
    numbered: tuple[str, bool, str | None] | None = None  # the last of them, and whose it is
    subject: tuple[str, str | None] | None = None  # what was asked for last, by which call,
    asked: dict[Endpoint | None, StagedRow] = field(default_factory=dict)  # of whom, by which row
    plan_digest: blake2b = field(default_factory=lambda: blake2b(digest_size=16))  # of them all
    requests: list[RequestValues] = field(default_factory=list)  # to be written,
    assigned: list[Assignment] = field(default_factory=list)  # and what becomes of their rows

    def add(self, order_rows: Sequence[StagedRow]) -> None:
        """Take in all rows of one order, in canonical order."""
        first = order_rows[0]
        names_domains = first.entries != ""
        good = [row for row in order_rows if row.entries is not None]
        if (rejection := self._rejection_of_all(first)) is not None:
            for row in good:
                self._reject(row, *rejection)
            return
        for is_order_only, group in groupby(good, key=lambda row: row.entries == ""):
            members = list(group)
            if names_domains and is_order_only:
                members = self._without_ambiguous(members, first)
            if members:
                self._add_in_languages(members)

    def _without_ambiguous(self, rows: Sequence[StagedRow], named: StagedRow) -> list[StagedRow]:
        """Reject rows that name no domains where `named` does; return those that are to be skipped.

        These ask for nothing anyway.
        """
        for row in rows:
            if not row.skip:
                self._reject(row, Problem.AMBIGUOUS, self._ambiguity(row, named))
        return [row for row in rows if row.skip]

    def _add_in_languages(self, rows: Sequence[StagedRow]) -> None:
        """Take in rows of one order: a request a language.

        Rows without one ask only for what the others, in several, do not.
        """
        if rows[0].locale == rows[-1].locale:  # by which they are sorted: most orders have one
            self._add_request(rows)
            return
        named, plain = _by_language(rows)
        asked: dict[object, int] = {}
        for _, group in groupby(named, key=attrgetter("locale")):
            members = list(group)
            self._add_request(members)
            if plain:
                asked |= dict.fromkeys(_asked_by(members), self.requests_made)
        if rest := [row for row in plain if not self._is_repeated(row, asked)]:
            self._add_request(rest)

    def _is_repeated(self, row: StagedRow, asked: Mapping[object, int]) -> bool:
        """Whether others ask for all that a row without a language does; it is then a duplicate."""
        requests = [asked.get(one, 0) for one in _asked_by([row])]
        if not requests or 0 in requests:
            return False
        reason = "adds nothing to the rows of its order that name a language"
        self._add_nothing(row, RowStatus.DUPLICATE, min(requests), reason)
        return True

    def _add_request(self, members: Sequence[StagedRow]) -> None:
        self.requests_made += 1
        number = self.requests_made
        asking = [row for row in members if not row.skip] or members
        first = asking[0]
        if disagree := len(asking) < len(members):
            self._skip(members, number)
        entries = self._entries(asking, number)
        call = decode_call(first.call)
        order = Request(first.order_id, first.locale, entries, call, first.account)
        endpoint = self.endpoints[order.account]
        about_domain = CALLS[call].is_about_domain
        before, self.numbered = self.numbered, (order.subject, about_domain, order.account)
        self.order_numbers += before != self.numbered
        digest = order.digest(endpoint.base_url, endpoint.budget if about_domain else None)
        self.plan_digest.update(digest)
        position = min([row.seq for row in asking])
        notes = " ".join(_notes(asking, entries, disagree=disagree))
        self.requests.append(
            RequestValues(
                self.run, number, position, order.subject, order.locale, encode_entries(entries),
                digest, first.skip, notes, first.call, first.account,
            )
        )  # fmt: skip

    def _skip(self, members: Sequence[StagedRow], number: int) -> None:
        for row in members:
            if row.skip:
                self._add_nothing(row, RowStatus.SKIPPED, number, row.skip)

    def _entries(self, asking: Sequence[StagedRow], number: int) -> tuple[Entry, ...]:
        """Return what rows of one request ask for together, sorted; note what each adds."""
        first = asking[0]
        by_key: dict[tuple[str, str, str], Entry] = {}
        for row in asking:
            if _add(by_key, row) or row is first:
                self.assigned.append(Assignment(row.seq, RowStatus.ACCEPTED, number))
            else:
                reason = (
                    f"adds nothing to the other rows of its order, {self._place(first)} among them"
                )
                self._add_nothing(row, RowStatus.DUPLICATE, number, reason)
        return tuple([by_key[key] for key in sorted(by_key)])

    def _rejection_of_all(self, first: StagedRow) -> tuple[Problem, str] | None:
        """Return why no row of an order can be sent, where none can.

        A row whose account is not known may be of any: it rules out others as a known one does.
        """
        other = self._asked_by_another_name(first)
        if first.account not in self.endpoints:
            return Problem.ACCOUNT, f"no profile describes the account {first.account!r}"
        if other is None:
            return None
        about_domain = CALLS[decode_call(first.call)].is_about_domain
        by_one_key = about_domain and (other.account or other.entries is not None)
        reason = (
            f"{'the domain' if about_domain else 'order'} {first.order_id} is here for "
            f"{_owner(first)}, and on {self._place(other)} for "
            f"{_owner(other)}{', which goes by the same key' if by_one_key else ''}: keep one "
            "of the two"
        )
        return Problem.AMBIGUOUS, reason

    def _asked_by_another_name(self, first: StagedRow) -> StagedRow | None:
        """Return the row by which another account asks for the same.

        An order is in one account. A domain may be in several, each of which mails it; but two
        names of one key are one account.
        """
        if self.subject != (first.order_id, first.call):
            self.subject = first.order_id, first.call
            self.asked.clear()
        about_domain = CALLS[decode_call(first.call)].is_about_domain
        whom = self.endpoints.get(first.account) if about_domain else None
        other = self.asked.setdefault(whom, first)
        return None if other is first else other

    def _ambiguity(self, row: StagedRow, named: StagedRow) -> str:
        return (
            f"order {row.order_id} is here without domains (which mails every pending domain) and "
            f"on {self._place(named)} with domains: keep one of the two"
        )

    def _reject(self, row: StagedRow, problem: Problem, reason: str) -> None:
        self.assigned.append(Assignment(row.seq, RowStatus.REJECTED, None, problem, reason))

    def _add_nothing(self, row: StagedRow, as_what: RowStatus, number: int, why: str) -> None:
        self.assigned.append(Assignment(row.seq, as_what, number, None, why))

    def _place(self, row: StagedRow) -> str:
        return f"line {row.line} of {self.input_names[row.input]}"


def _add(entries: dict[tuple[str, str, str], Entry], row: StagedRow) -> bool:
    """Add a row's entries to those of its order, by what each asks for; return whether any is new.

    Of several spellings it is always the same one, whichever row comes first.
    """
    known = len(entries)
    for entry in decode_entries(row.entries):
        key = entry.key
        if key not in entries or _spelling(entry) < _spelling(entries[key]):
            entries[key] = entry
    return len(entries) > known


def _by_language(
    rows: Sequence[StagedRow],
) -> tuple[Sequence[StagedRow], Sequence[StagedRow]]:
    """Return the rows of an order by language; apart from them, those that name none.

    These come first in `rows`. They ask for no language in particular: where the others name one,
    it is theirs, too. They come after those then: what adds nothing is not in the lists that a
    report makes of a request, and one of its rows there has to have the language.
    """
    plain = [row for row in rows if row.locale is None]
    named = rows[len(plain) :]
    languages = list({row.locale for row in named if not row.skip})
    if not plain or len(languages) != 1:
        return named, plain
    joined = [row._replace(locale=languages[0]) for row in plain]
    return sorted((*named, *joined), key=attrgetter("locale")), ()


def _asked_by(rows: Sequence[StagedRow]) -> set[object]:
    """Return what rows ask for, in whatever language: entries, or "" for all that an order has."""
    asking = [row for row in rows if not row.skip]
    keys = {entry.key for row in asking for entry in decode_entries(row.entries)}
    return {*keys} if keys or not asking else {""}


def _owner(row: StagedRow) -> str:
    if row.account:
        return f"the account {row.account!r}"
    # A rejected row may have named one that nobody knows.
    return "no known account" if row.entries is None else "no account"


def _spelling(entry: Entry) -> tuple[str, str, str]:
    return entry.domain, entry.email, entry.email_domain or ""


def _notes(members: Sequence[StagedRow], entries: Sequence[Entry], *, disagree: bool) -> list[Note]:
    """Return what there is to say of an order: of its rows, and of all of them together."""
    of_rows = set(" ".join([row.notes for row in members if row.notes]).split())
    if disagree:
        of_rows.add(Note.ROWS_DISAGREE)
    if Note.MAY_MAIL_ALL in of_rows and not all(Note.MAY_MAIL_ALL in row.notes for row in members):
        # Beside an address that the CA knows, those that it does not know are only left out.
        of_rows = of_rows - {Note.MAY_MAIL_ALL} | {Note.NOT_CONSTRUCTED}
    of_rows -= {Note.OTHER_CALL} - {*members[0].notes.split()}  # which says why it is skipped
    named = [entry.domain for entry in entries if entry.domain]
    if len(set(named)) < len(named):
        of_rows.add(Note.SEVERAL_ADDRESSES)
    return [note for note in Note if note in of_rows] if of_rows else []
