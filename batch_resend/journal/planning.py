"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.errors import InputError
from batch_resend.journal.encoding import encode_call, encode_entries, encode_form, encode_kept
from batch_resend.journal.grouping import Endpoint, Grouping, StagedRow
from batch_resend.journal.recording import Writer
from batch_resend.journal.statements import Record, Values, execute, execute_many, statement
from batch_resend.model import ListForm, RejectedRow, Row, RowStatus

_BATCH = 5_000
_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains
_AT_ONCE = 50_000  # rows, that come one after another

_Batches = defaultdict[str, list[Values]]  # by statement


@dataclass(slots=True)
class Staging:
    """Takes in the rows of one run, input by input, a batch at a time."""

    writer: Writer
    run: int
    rows_read: int = 0
    input_names: list[str] = field(default_factory=list)

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

    async def end_input(self, name: str, sha256: str | None, form: ListForm, count: int) -> None:
        """Note the input whose rows were added last. Raises JournalError."""
        values = {
            "run": self.run,
            "ordinal": len(self.input_names),
            "name": name,
            "sha256": sha256,
            "form": encode_form(form),
            "rows": count,
        }
        await self.writer.write(("add_input", values))
        self.input_names.append(name)

    async def reject_without_addresses(self, since: int, reason: str) -> None:
        """Reject the rows of an input that name nobody, where others do and no word asks for all.

        `since`: how many rows came before the input. Raises JournalError.
        """
        await self._execute("reject_without_addresses", run=self.run, since=since, reason=reason)

    async def group(
        self, reader: AsyncConnection, endpoints: Mapping[str | None, Endpoint]
    ) -> bytes | None:
        """Make the requests of all rows added; return the digest of the whole plan.

        `endpoints`: what each account asks. None: there is no request in it.
        """
        grouping = Grouping(self.run, endpoints, self.input_names)
        batches: _Batches = defaultdict(list)
        # Cut off within a statement, the connection would be thrown away, and the copy with it.
        with anyio.CancelScope(shield=True):
            await _read(reader, "create_sorted_rows")
            await _read(reader, "sort_rows", run=self.run)
        try:
            await self._execute("create_assignments")
            async for order_rows in _by_order(_sorted_pages(reader)):
                for name, values in grouping.changes(order_rows):
                    batches[name].append(values)
                if len(batches["assign_row"]) >= _BATCH:
                    await self._flush(batches)
            await self._flush(batches)
            await self._assign()
        finally:
            with anyio.CancelScope(shield=True):
                await _read(reader, "drop_sorted_rows")
                await self._execute("drop_assignments")
        digest = grouping.plan_digest.digest()
        await self._execute("note_plan_digest", run=self.run, digest=digest)
        return digest if grouping.requests_made else None

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


async def _sorted_pages(reader: AsyncConnection) -> AsyncIterator[Iterator[StagedRow]]:
    """Yield the sorted rows. What cancels this does so between two pages."""
    after = 0
    while True:
        page: Sequence[Record] = ()
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope(shield=True):
            page = await _read(reader, "page_of_sorted_rows", after=after)
        if not page:
            return
        yield (StagedRow._make(columns) for _, *columns in page)
        after = page[-1].place


async def _read(reader: AsyncConnection, name: str, **values: object) -> Sequence[Record]:
    async with reader.begin():
        found = await reader.execute(statement(name, reader.dialect.name), values)
        return found.all() if found.returns_rows else ()


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
