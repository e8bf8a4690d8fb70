"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

import anyio
import anyio.lowlevel

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.database import Reader
from batch_resend.journal.recording import Writer
from batch_resend.journal.statements import (
    Assignment,
    RequestValues,
    RowValues,
    decode_call,
    decode_entries,
    encode_call,
    encode_entries,
    encode_form,
    encode_kept,
)
from batch_resend.list_form import ListForm
from batch_resend.model import Entry, Note, Problem, RejectedRow, Request, Row, RowStatus

_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains
_AT_ONCE = 50_000  # rows, that come one after another


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
class Staging:
    """Takes in the rows of one run, input by input, a batch at a time."""

    writer: Writer
    reader: Reader
    run: int
    rows_read: int = 0
    input_names: list[str] = field(default_factory=list)
    _before_input: int = 0  # rows, of the inputs before

    async def add_rows(self, batch: Sequence[Row | RejectedRow]) -> None:
        """Write the next rows of the input that is being read. Raises JournalError."""
        ordinal = len(self.input_names)
        values = [
            _row_values(self.run, seq, ordinal, row)
            for seq, row in enumerate(batch, start=self.rows_read + 1)
        ]
        await self.writer.transaction(
            lambda connection: execute_many(connection, "add_row", values)
        )
        self.rows_read += len(batch)

    async def end_input(
        self, name: str, sha256: str | None, form: ListForm, names_nobody: str
    ) -> None:
        """Note the input whose rows were added last. Raises JournalError.

        Where others of its rows name whom to mail, and no word asks for all, those that name nobody
        are rejected, for the reason `names_nobody`.
        """
        of_input = {"run": self.run, "since": self._before_input}
        if form.with_addresses:
            await self._execute("reject_without_addresses", **of_input, reason=names_nobody)
        values = {
            "run": self.run,
            "ordinal": len(self.input_names),
            "name": name,
            "sha256": sha256,
            "form": encode_form(form),
            "rows": self.rows_read - self._before_input,
        }
        await self.writer.write(("add_input", values))
        self.input_names.append(name)
        self._before_input = self.rows_read

    async def group(self, endpoints: Mapping[str | None, Endpoint]) -> bytes | None:
        """Make the requests of all rows added; return the digest of the whole plan.

        `endpoints`: what each account asks. None: there is no request in it. Raises InputError
        where an order stands on too many rows, JournalError.
        """
        grouping = Grouping(self.run, endpoints, self.input_names)
        await self.reader.fetch("create_sorted_rows")
        await self.reader.fetch("sort_rows", run=self.run)
        try:
            await self._execute("create_assignments")
            async for orders in _whole_orders(self._sorted_pages()):
                for order_rows in orders:
                    grouping.add(order_rows)
                await self._flush(grouping)
            await self._assign()
        finally:
            with anyio.CancelScope(shield=True):
                await self.reader.fetch("drop_table", (("table", "sorted_rows"),))
                for table in ("assignments", "sorted_assignments"):
                    await self._execute("drop_table", (("table", table),))
        digest, numbers = grouping.plan_digest.digest(), grouping.order_numbers
        await self._execute("note_plan", run=self.run, digest=digest, order_numbers=numbers)
        return digest if grouping.requests_made else None

    async def _sorted_pages(self) -> AsyncIterator[Sequence[StagedRow]]:
        """Yield the sorted rows. What cancels this does so between two pages."""
        after = 0
        while page := await self.reader.fetch("page_of_sorted_rows", after=after):
            yield page
            after = page[-1].place
            await anyio.lowlevel.checkpoint()

    async def _assign(self) -> None:
        """Write into the rows what becomes of them, as they stand one after another."""
        await self._execute("create_sorted_assignments")
        await self._execute("sort_assignments")
        for after in range(0, self.rows_read, _AT_ONCE):
            await self._execute("assign_rows", run=self.run, after=after, until=after + _AT_ONCE)

    async def _execute(
        self, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
    ) -> None:
        await self.writer.transaction(lambda connection: execute(connection, name, words, **values))

    async def _flush(self, grouping: "Grouping") -> None:
        def write_all(connection: Connection) -> None:
            execute_many(connection, "add_request", grouping.requests)
            execute_many(connection, "assign_row", grouping.assigned)

        await self.writer.transaction(write_all)
        grouping.requests.clear()
        grouping.assigned.clear()


def _row_values(run: int, seq: int, ordinal: int, row: Row | RejectedRow) -> RowValues:
    entries, call, kept = encode_entries(row.entries), encode_call(row.call), encode_kept(row.kept)
    if isinstance(row, Row):
        notes = " ".join(row.notes)
        return RowValues(
            run, seq, ordinal, row.line, RowStatus.ACCEPTED, row.order_id, row.locale, entries,
            row.skip, notes, call, row.account, None, None, row.raw, kept,
        )  # fmt: skip
    return RowValues(
        run, seq, ordinal, row.line, RowStatus.REJECTED, row.order_id, None, entries or None,
        None, "", call, row.account, row.problem, row.reason, row.raw, kept,
    )  # fmt: skip


async def _whole_orders(
    pages: AsyncIterator[Sequence[StagedRow]],
) -> AsyncIterator[list[list[StagedRow]]]:
    """Yield the rows of one order after another, a page of orders at a time."""
    last: list[StagedRow] = []  # of an order that may go on in the next page
    async for page in pages:
        by_order = groupby(chain(last, page), key=attrgetter("order_id", "call", "account"))
        *whole, last = [list(rows) for _, rows in by_order]
        if len(last) > _MAX_ROWS_OF_ORDER:
            raise InputError(
                f"order {last[0].order_id} is on more than {_MAX_ROWS_OF_ORDER:,} rows; "
                "does its column really hold the order number? --map says which does"
            )
        yield whole
    if last:
        yield [last]


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
        for key, group in groupby(good, key=lambda row: (row.entries == "", row.locale)):
            named = first if names_domains and key[0] else None
            self._add_group(list(group), named)

    def _add_group(self, members: Sequence[StagedRow], named: StagedRow | None) -> None:
        """Take in rows of one request; `named` names domains, where they do not."""
        if named is not None:  # what is to be skipped anyway asks for nothing
            for row in members:
                if not row.skip:
                    self._reject(row, Problem.AMBIGUOUS, self._ambiguity(row, named))
            members = [row for row in members if row.skip]
        if members:
            self._add_request(members)

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
                    f"adds nothing to the rows of its order before it, from {self._place(first)}"
                )
                self._add_nothing(row, RowStatus.DUPLICATE, number, reason)
        return tuple([by_key[key] for key in sorted(by_key)])

    def _rejection_of_all(self, first: StagedRow) -> tuple[Problem, str] | None:
        """Return why no row of an order can be sent, where none can."""
        if first.account not in self.endpoints:
            return Problem.ACCOUNT, f"no profile describes the account {first.account!r}"
        other = self._asked_by_another_name(first)
        if other is None:
            return None
        about_domain = CALLS[decode_call(first.call)].is_about_domain
        reason = (
            f"{'the domain' if about_domain else 'order'} {first.order_id} is here for "
            f"{_owner(first)}, and on {self._place(other)} for "
            f"{_owner(other)}{', which goes by the same key' if about_domain else ''}: keep one "
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
        whom = self.endpoints[first.account] if about_domain else None
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


def _owner(row: StagedRow) -> str:
    return f"the account {row.account!r}" if row.account else "no account"


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
