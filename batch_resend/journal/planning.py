"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import attrgetter

import anyio
import anyio.lowlevel

from batch_resend.errors import InputError
from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.database import Reader
from batch_resend.journal.grouping import Endpoint, Grouping, StagedRow
from batch_resend.journal.recording import Writer
from batch_resend.journal.statements import (
    RowValues,
    encode_call,
    encode_entries,
    encode_form,
    encode_kept,
)
from batch_resend.list_form import ListForm
from batch_resend.model import RejectedRow, Row, RowStatus

_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains
_AT_ONCE = 50_000  # rows, that come one after another


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
        self,
        name: str,
        sha256: str | None,
        form: ListForm,
        names_nobody: str,
        written_for: str | None = None,
    ) -> None:
        """Note the input whose rows were added last. Raises JournalError.

        Where others of its rows name whom to mail, and no word asks for all, those that name nobody
        are rejected, for the reason `names_nobody`. `written_for`: the id of the run whose report
        wrote the input.
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
            "written_for": written_for,
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

    async def _flush(self, grouping: Grouping) -> None:
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
