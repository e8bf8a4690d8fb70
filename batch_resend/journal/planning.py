"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby

import anyio
import anyio.lowlevel
from sqlalchemy import (
    Column,
    Executable,
    Integer,
    MetaData,
    Table,
    bindparam,
    case,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable, DropTable

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.journal.encoding import (
    decode_call,
    decode_entries,
    encode_call,
    encode_entries,
    encode_form,
)
from batch_resend.journal.schema import Record, inputs, requests, rows, runs
from batch_resend.journal.writer import Values, Writer
from batch_resend.model import (
    Entry,
    ListForm,
    Note,
    Order,
    Problem,
    RejectedRow,
    Row,
    RowStatus,
)

_BATCH = 5_000
_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains

_STAGE_ROW = insert(rows)
_ADD_INPUT = insert(inputs)
_ADD_REQUEST = insert(requests)
_ASSIGN_ROW = (
    update(rows)
    .where(rows.c.run == bindparam("of_run"), rows.c.seq == bindparam("of_seq"))
    .values(
        status=bindparam("new_status"),
        request=bindparam("new_request"),
        problem=bindparam("new_problem"),
        reason=bindparam("new_reason"),
    )
)
_SET_PLAN_DIGEST = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(plan_digest=bindparam("new_digest"))
)

# The reader's own copy of the rows, sorted: read from the journal itself while that is written,
# they would hold up its checkpoints, and its log would grow with every row.
_SORTED_COLUMNS = (
    "seq", "input", "line", "order_id", "locale", "entries", "skip", "notes", "call", "account",
)  # fmt: skip
_sorted_rows = Table(
    "sorted_rows",
    MetaData(),
    Column("place", Integer, primary_key=True),
    *(Column(name, rows.c[name].type) for name in _SORTED_COLUMNS),
    prefixes=["TEMPORARY"],
)
# Order-only rows come after the rows of their order that name domains, which rule them out; so do
# those that name them badly: a typing error must not widen a mail to all domains of its order.
_NAMED_BADLY = rows.c.order_id.is_not(None) & rows.c.problem.in_(
    (Problem.DOMAIN, Problem.EMAIL, Problem.EMAIL_DOMAIN, Problem.PAIR)
)
_PLACE_IN_ORDER = case((rows.c.entries == "", 2), (rows.c.entries.is_not(None), 1), else_=0)
_SORT_ROWS = insert(_sorted_rows).from_select(
    _SORTED_COLUMNS,
    select(*(rows.c[name] for name in _SORTED_COLUMNS))
    .where(rows.c.run == bindparam("of_run"), (rows.c.status == RowStatus.ACCEPTED) | _NAMED_BADLY)
    .order_by(
        rows.c.order_id,
        rows.c.call,
        rows.c.account,
        _PLACE_IN_ORDER,
        rows.c.locale,
        rows.c.seq,
    ),
)
_PAGE_IN_CANONICAL_ORDER = (
    select(_sorted_rows)
    .where(_sorted_rows.c.place > bindparam("after"))
    .order_by(_sorted_rows.c.place)
    .limit(_BATCH)
)


@dataclass(slots=True)
class Staging:
    """Takes in the rows of one run, input by input, a batch at a time."""

    writer: Writer
    run: int
    rows_read: int = 0
    input_names: list[str] = field(default_factory=list)

    async def add_rows(self, batch: Sequence[Row | RejectedRow]) -> None:
        """Write the next rows of the input that is being read. Raises JournalError."""
        if not batch:
            return
        ordinal = len(self.input_names)
        values = [
            _row_values(self.run, seq, ordinal, row)
            for seq, row in enumerate(batch, start=self.rows_read + 1)
        ]
        async with self.writer.transaction() as connection:
            await connection.execute(_STAGE_ROW, values)
        self.rows_read += len(batch)

    async def end_input(
        self,
        name: str,
        sha256: str | None,
        form: ListForm,
        count: int,
    ) -> None:
        """Note the input whose rows were added last. Raises JournalError."""
        values = {
            "run": self.run,
            "ordinal": len(self.input_names),
            "name": name,
            "sha256": sha256,
            "form": encode_form(form),
            "rows": count,
        }
        await self.writer.write((_ADD_INPUT, values))
        self.input_names.append(name)

    async def group(
        self,
        reader: AsyncConnection,
        base_url: str,
        base_urls: Mapping[str, str] | None = None,
        budgets: Mapping[str | None, str] | None = None,
    ) -> bytes | None:
        """Make the requests of all rows added; return the digest of the whole plan.

        `base_urls` are those of accounts, `budgets` name their keys. None: there is no request in
        it.
        """
        of_accounts: dict[str | None, str] = {None: base_url}
        of_accounts.update(base_urls or {})
        grouping = _Grouping(self.run, of_accounts, budgets or {}, self.input_names)
        batches: dict[Executable, list[Values]] = {_ADD_REQUEST: [], _ASSIGN_ROW: []}
        # Cut off within a statement, the connection would be thrown away, and the copy with it.
        with anyio.CancelScope(shield=True):
            async with reader.begin():
                await reader.execute(CreateTable(_sorted_rows))
                await reader.execute(_SORT_ROWS, {"of_run": self.run})
        try:
            await self._group_sorted(reader, grouping, batches)
        finally:
            with anyio.CancelScope(shield=True):
                async with reader.begin():
                    await reader.execute(DropTable(_sorted_rows))
        digest = grouping.plan_digest.digest()
        batches[_SET_PLAN_DIGEST] = [{"of_run": self.run, "new_digest": digest}]
        await self._flush(batches)
        return digest if grouping.requests_made else None

    async def _group_sorted(
        self,
        reader: AsyncConnection,
        grouping: "_Grouping",
        batches: dict[Executable, list[Values]],
    ) -> None:
        async for order_rows in _by_order(_sorted_pages(reader)):
            for statement, values in grouping.changes(order_rows):
                batches[statement].append(values)
            if len(batches[_ASSIGN_ROW]) >= _BATCH:
                await self._flush(batches)

    async def _flush(self, batches: dict[Executable, list[Values]]) -> None:
        async with self.writer.transaction() as connection:
            for statement, values in batches.items():
                if values:
                    await connection.execute(statement, values)
                    values.clear()


def _row_values(run: int, seq: int, ordinal: int, row: Row | RejectedRow) -> Values:
    values: dict[str, object] = {
        "run": run,
        "seq": seq,
        "input": ordinal,
        "line": row.line,
        "order_id": row.order_id,
        "raw": row.raw,
    }
    if isinstance(row, RejectedRow):
        return values | {
            "status": RowStatus.REJECTED,
            "locale": None,
            "entries": None,
            "skip": None,
            "notes": "",
            "call": encode_call(row.call),
            "account": row.account,
            "problem": row.problem,
            "reason": row.reason,
        }
    return values | {
        "status": RowStatus.ACCEPTED,
        "locale": row.locale,
        "entries": encode_entries(row.entries),
        "skip": row.skip,
        "notes": " ".join(row.notes),
        "call": encode_call(row.call),
        "account": row.account,
        "problem": None,
        "reason": None,
    }


async def _sorted_pages(reader: AsyncConnection) -> AsyncIterator[Sequence[Record]]:
    """Yield the sorted rows. What cancels this does so between two pages."""
    after = 0
    while page := await _sorted_page(reader, after):
        yield page
        after = page[-1].place


async def _sorted_page(reader: AsyncConnection, after: int) -> Sequence[Record]:
    page: Sequence[Record] = ()
    await anyio.lowlevel.checkpoint()
    with anyio.CancelScope(shield=True):
        async with reader.begin():
            page = (await reader.execute(_PAGE_IN_CANONICAL_ORDER, {"after": after})).all()
    return page


async def _by_order(pages: AsyncIterator[Sequence[Record]]) -> AsyncIterator[list[Record]]:
    """Yield the records of one order after another."""
    together: list[Record] = []
    async for page in pages:
        for record in page:
            if together and _subject(together[0]) != _subject(record):
                yield together
                together = []
            together.append(record)
            if len(together) > _MAX_ROWS_OF_ORDER:
                raise InputError(
                    f"order {record.order_id} stands on more than {_MAX_ROWS_OF_ORDER:,} rows; "
                    "does its column really hold the order number? --map says which does"
                )
    if together:
        yield together


def _subject(row: Record) -> tuple[str, str | None, str | None]:
    """Return what a row is about: an order or a domain, by which call, of which account."""
    return row.order_id, row.call, row.account


@dataclass(slots=True)
class _Grouping:
    """Makes requests of the rows of one order after another, and numbers them."""

    run: int
    base_urls: Mapping[str | None, str]  # by account
    budgets: Mapping[str | None, str]  # likewise
    input_names: Sequence[str]
    requests_made: int = 0
    before: Record | None = None  # the first row of whatever came before
    plan_digest: blake2b = field(default_factory=lambda: blake2b(digest_size=16))  # of them all

    def changes(self, order_rows: Sequence[Record]) -> Iterator[tuple[Executable, Values]]:
        """Yield what to write for all rows of one order, in canonical order."""
        first = order_rows[0]
        names_domains = first.entries != ""
        good = (row for row in order_rows if row.entries is not None)
        if self._is_of_two_accounts(first):
            yield from (self._of_two_accounts(row) for row in good)
            return
        self.before = first
        for key, group in groupby(good, key=lambda row: (row.entries == "", row.locale)):
            members = list(group)
            if names_domains and key[0]:  # what is to be skipped anyway asks for nothing
                yield from (self._ambiguous(row, first) for row in members if not row.skip)
                members = [row for row in members if row.skip]
            if members:
                yield from self._request(members)

    def _request(self, members: Sequence[Record]) -> Iterator[tuple[Executable, Values]]:
        self.requests_made += 1
        number = self.requests_made
        entries: dict[object, Entry] = {}
        for index, row in enumerate(members):
            known = len(entries)
            for entry in decode_entries(row.entries):
                # Of several spellings always the same one, whichever row comes first.
                entries[entry.key] = min(entry, entries.get(entry.key, entry), key=_spelling)
            if index == 0 or len(entries) > known:
                yield self._assign(row, RowStatus.ACCEPTED, number)
            else:
                reason = (
                    f"adds nothing to its order's rows before it, from {self._place(members[0])}"
                )
                yield self._assign(row, RowStatus.DUPLICATE, number, reason)
        first = members[0]
        order = Order(
            first.order_id,
            first.locale,
            _canonical(entries.values()),
            decode_call(first.call),
            first.account,
        )
        # A domain may be in several accounts, each of which mails it; an order is in one.
        about_domain = CALLS[order.call].is_about_domain
        budget = self.budgets.get(order.account) if about_domain else None
        digest = order.digest(self.base_urls[order.account], budget)
        self.plan_digest.update(digest)
        yield (
            _ADD_REQUEST,
            {
                "run": self.run,
                "number": number,
                "position": min(row.seq for row in members),
                "order_id": order.order_id,
                "locale": order.locale,
                "entries": encode_entries(order.entries),
                "digest": digest,
                "doubted_before": False,
                "skip": members[0].skip if all(row.skip for row in members) else None,
                "notes": " ".join(_notes(members, order.entries)),
                "call": first.call,
                "account": first.account,
            },
        )

    def _is_of_two_accounts(self, first: Record) -> bool:
        """Whether an order was another account's before: its number is one account's alone."""
        before = self.before
        return (
            before is not None
            and (before.order_id, before.call) == (first.order_id, first.call)
            and not CALLS[decode_call(first.call)].is_about_domain
        )

    def _of_two_accounts(self, row: Record) -> tuple[Executable, Values]:
        assert self.before is not None, "as asked before"  # noqa: S101
        reason = (
            f"order {row.order_id} stands here for {_owner(row)}, and on "
            f"{self._place(self.before)} for {_owner(self.before)}: keep one of the two"
        )
        return self._assign(row, RowStatus.REJECTED, None, reason, Problem.AMBIGUOUS)

    def _ambiguous(self, row: Record, named: Record) -> tuple[Executable, Values]:
        reason = (
            f"order {row.order_id} stands here without domains (mail all that wait) and on "
            f"{self._place(named)} with some: keep one of the two"
        )
        return self._assign(row, RowStatus.REJECTED, None, reason, Problem.AMBIGUOUS)

    def _assign(
        self,
        row: Record,
        status: RowStatus,
        request: int | None,
        reason: str | None = None,
        problem: Problem | None = None,
    ) -> tuple[Executable, Values]:
        return _ASSIGN_ROW, {
            "of_run": self.run,
            "of_seq": row.seq,
            "new_status": status,
            "new_request": request,
            "new_problem": problem,
            "new_reason": reason,
        }

    def _place(self, row: Record) -> str:
        return f"line {row.line} of {self.input_names[row.input]}"


def _owner(row: Record) -> str:
    return f"the account {row.account!r}" if row.account else "no account"


def _canonical(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.key))


def _spelling(entry: Entry) -> tuple[str, str, str]:
    return entry.domain, entry.email, entry.email_domain or ""


def _notes(members: Sequence[Record], entries: Sequence[Entry]) -> Iterator[Note]:
    """Yield what there is to say of an order: of its rows, and of all of them together."""
    of_rows = {note for row in members for note in row.notes.split()}
    if len({entry.domain for entry in entries}) < len(entries):
        of_rows.add(Note.SEVERAL_ADDRESSES)
    yield from (note for note in Note if note in of_rows)
