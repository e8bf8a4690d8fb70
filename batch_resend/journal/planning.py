"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import anyio
import anyio.lowlevel
from sqlalchemy import Connection

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.journal.database import Reader
from batch_resend.journal.recording import Writer
from batch_resend.journal.statements import (
    Change,
    Values,
    decode_call,
    decode_entries,
    encode_call,
    encode_entries,
    encode_form,
    encode_kept,
    execute,
    execute_many,
)
from batch_resend.model import Entry, ListForm, Note, Problem, RejectedRow, Request, Row, RowStatus

_BATCH = 5_000
_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains
_AT_ONCE = 50_000  # rows, that come one after another

_Batches = defaultdict[str, list[Values]]  # by statement


class StagedRow(NamedTuple):
    """A row as it was staged: the columns that matter here, of every row there is."""

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

    @property
    def subject(self) -> tuple[str, str | None, str | None]:
        """What a row is about: an order or a domain, by which call, of which account."""
        return self.order_id, self.call, self.account


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
        batches: _Batches = defaultdict(list)
        await self.reader.fetch("create_sorted_rows")
        await self.reader.fetch("sort_rows", run=self.run)
        try:
            await self._execute("create_assignments")
            async for order_rows in _by_order(self._sorted_pages()):
                for name, values in grouping.changes(order_rows):
                    batches[name].append(values)
                if len(batches["assign_row"]) >= _BATCH:
                    await self._flush(batches)
            await self._flush(batches)
            await self._assign()
        finally:
            with anyio.CancelScope(shield=True):
                await self.reader.fetch("drop_sorted_rows")
                await self._execute("drop_assignments")
        digest = grouping.plan_digest.digest()
        await self._execute("note_plan_digest", run=self.run, digest=digest)
        return digest if grouping.requests_made else None

    async def _sorted_pages(self) -> AsyncIterator[Iterator[StagedRow]]:
        """Yield the sorted rows. What cancels this does so between two pages."""
        after = 0
        while page := await self.reader.fetch("page_of_sorted_rows", after=after):
            yield (StagedRow._make(columns) for _, *columns in page)
            after = page[-1].place
            await anyio.lowlevel.checkpoint()

    async def _assign(self) -> None:
        """Write into the rows what becomes of them, as they stand one after another."""
        await self._execute("index_assignments")
        for after in range(0, self.rows_read, _AT_ONCE):
            await self._execute("assign_rows", run=self.run, after=after, until=after + _AT_ONCE)

    async def _execute(self, name: str, **values: object) -> None:
        await self.writer.transaction(lambda connection: execute(connection, name, **values))

    async def _flush(self, batches: _Batches) -> None:
        def write_all(connection: Connection) -> None:
            for name, values in batches.items():
                execute_many(connection, name, values)
                values.clear()

        await self.writer.transaction(write_all)


def _row_values(run: int, seq: int, ordinal: int, row: Row | RejectedRow) -> Values:
    values: dict[str, object] = {
        "run": run,
        "seq": seq,
        "input": ordinal,
        "line": row.line,
        "status": RowStatus.ACCEPTED,
        "order_id": row.order_id,
        "locale": None,
        "entries": encode_entries(row.entries),
        "skip": None,
        "notes": "",
        "call": encode_call(row.call),
        "account": row.account,
        "problem": None,
        "reason": None,
        "raw": row.raw,
        "kept": encode_kept(row.kept),
    }
    if isinstance(row, Row):
        return values | {"locale": row.locale, "skip": row.skip, "notes": " ".join(row.notes)}
    return values | {
        "status": RowStatus.REJECTED,
        "entries": values["entries"] or None,
        "problem": row.problem,
        "reason": row.reason,
    }


async def _by_order(
    pages: AsyncIterator[Iterator[StagedRow]],
) -> AsyncIterator[list[StagedRow]]:
    """Yield the rows of one order after another."""
    together: list[StagedRow] = []
    async for page in pages:
        for row in page:
            if together and row.subject != together[0].subject:
                yield together
                together = []
            together.append(row)
            if len(together) > _MAX_ROWS_OF_ORDER:
                raise InputError(
                    f"order {row.order_id} stands on more than {_MAX_ROWS_OF_ORDER:,} rows; "
                    "does its column really hold the order number? --map says which does"
                )
    if together:
        yield together


@dataclass(slots=True)
class Grouping:
    """Makes requests of the rows of one order after another, and numbers them."""

    run: int
    endpoints: Mapping[str | None, Endpoint]  # by account
    input_names: Sequence[str]
    requests_made: int = 0
    subject: tuple[str, str | None] | None = None  # what was asked for last, by which call,
    asked: dict[Endpoint | None, StagedRow] = field(default_factory=dict)  # of whom, by which row
    plan_digest: blake2b = field(default_factory=lambda: blake2b(digest_size=16))  # of them all

    def changes(self, order_rows: Sequence[StagedRow]) -> Iterator[Change]:
        """Yield what to write for all rows of one order, in canonical order."""
        first = order_rows[0]
        names_domains = first.entries != ""
        good = [row for row in order_rows if row.entries is not None]
        if (rejection := self._rejection_of_all(first)) is not None:
            yield from (self._reject(row, *rejection) for row in good)
            return
        for key, group in groupby(good, key=lambda row: (row.entries == "", row.locale)):
            named = first if names_domains and key[0] else None
            yield from self._of_group(list(group), named)

    def _of_group(self, members: Sequence[StagedRow], named: StagedRow | None) -> Iterator[Change]:
        """Yield what to write for rows of one request; `named` names domains, where they do not."""
        if named is not None:  # what is to be skipped anyway asks for nothing
            yield from (self._ambiguous(row, named) for row in members if not row.skip)
            members = [row for row in members if row.skip]
        if members:
            yield from self._request(members)

    def _request(self, members: Sequence[StagedRow]) -> Iterator[Change]:
        self.requests_made += 1
        number = self.requests_made
        asking = [row for row in members if not row.skip] or members
        first = asking[0]
        for row in members:
            if row.skip and not first.skip:
                reason = f"asks for nothing, beside {self._place(first)}: {row.skip}"
                yield self._assign(row, RowStatus.DUPLICATE, number, reason)
        entries: dict[object, Entry] = {}
        for row in asking:
            if _add(entries, row) or row is first:
                yield self._assign(row, RowStatus.ACCEPTED, number)
            else:
                reason = f"adds nothing to its order's rows before it, from {self._place(first)}"
                yield self._assign(row, RowStatus.DUPLICATE, number, reason)
        order = Request(
            first.order_id,
            first.locale,
            tuple(sorted(entries.values(), key=attrgetter("key"))),
            decode_call(first.call),
            first.account,
        )
        endpoint = self.endpoints[order.account]
        about_domain = CALLS[order.call].is_about_domain
        digest = order.digest(endpoint.base_url, endpoint.budget if about_domain else None)
        self.plan_digest.update(digest)
        yield (
            "add_request",
            {
                "run": self.run,
                "number": number,
                "position": min(row.seq for row in asking),
                "order_id": order.subject,
                "locale": order.locale,
                "entries": encode_entries(order.entries),
                "digest": digest,
                "skip": first.skip,
                "notes": " ".join(_notes(asking, order.entries)),
                "call": first.call,
                "account": first.account,
            },
        )

    def _rejection_of_all(self, first: StagedRow) -> tuple[Problem, str] | None:
        """Return why no row of an order can be sent, where none can."""
        if first.account not in self.endpoints:
            return Problem.ACCOUNT, f"no profile describes the account {first.account!r}"
        other = self._asked_by_another_name(first)
        if other is None:
            return None
        about_domain = CALLS[decode_call(first.call)].is_about_domain
        reason = (
            f"{'the domain' if about_domain else 'order'} {first.order_id} stands here for "
            f"{_owner(first)}, and on {self._place(other)} for {_owner(other)}"
            f"{', which goes by the same key' if about_domain else ''}: keep one of the two"
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

    def _ambiguous(self, row: StagedRow, named: StagedRow) -> Change:
        reason = (
            f"order {row.order_id} stands here without domains (mail all that wait) and on "
            f"{self._place(named)} with some: keep one of the two"
        )
        return self._reject(row, Problem.AMBIGUOUS, reason)

    def _reject(self, row: StagedRow, problem: Problem, reason: str) -> Change:
        return self._assign(row, RowStatus.REJECTED, None, reason, problem)

    def _assign(
        self,
        row: StagedRow,
        status: RowStatus,
        request: int | None,
        reason: str | None = None,
        problem: Problem | None = None,
    ) -> Change:
        return "assign_row", {
            "seq": row.seq,
            "status": status,
            "request": request,
            "problem": problem,
            "reason": reason,
        }

    def _place(self, row: StagedRow) -> str:
        return f"line {row.line} of {self.input_names[row.input]}"


def _add(entries: dict[object, Entry], row: StagedRow) -> bool:
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


def _notes(members: Sequence[StagedRow], entries: Sequence[Entry]) -> list[Note]:
    """Return what there is to say of an order: of its rows, and of all of them together."""
    of_rows = {note for row in members if row.notes for note in row.notes.split()}
    if Note.MAY_MAIL_ALL in of_rows and not all(_may_mail_all(row) for row in members):
        # Beside an address that the CA knows, those that it does not know are only left out.
        of_rows ^= {Note.MAY_MAIL_ALL}
        of_rows.add(Note.NOT_CONSTRUCTED)
    named = [entry.domain for entry in entries if entry.domain]
    if len(set(named)) < len(named):
        of_rows.add(Note.SEVERAL_ADDRESSES)
    return [note for note in Note if note in of_rows] if of_rows else []


def _may_mail_all(row: StagedRow) -> bool:
    return Note.MAY_MAIL_ALL in row.notes.split()
