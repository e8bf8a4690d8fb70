"""Rows -> requests: all rows of an order travel together, wherever they stand in the lists.

Rows are staged as they come. Grouping then reads them back in canonical order (order number,
locale, place in the list), so that one order at a time is in memory.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from sqlalchemy import (
    Column,
    Connection,
    Executable,
    Index,
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
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from batch_resend.errors import InputError
from batch_resend.journal.encoding import (
    Values,
    encode_call,
    encode_entries,
    encode_form,
    execute_many,
)
from batch_resend.journal.grouping import (
    ADD_REQUEST,
    ASSIGN_ROW,
    Endpoint,
    Grouping,
    StagedRow,
    assignments,
)
from batch_resend.journal.schema import Record, inputs, rows, runs
from batch_resend.journal.writer import Writer
from batch_resend.model import (
    ListForm,
    Note,
    Problem,
    RejectedRow,
    Row,
    RowStatus,
)

_BATCH = 5_000
_MAX_ROWS_OF_ORDER = 100_000  # they are held in memory together; an order has some hundred domains

_STAGE_ROW = insert(rows)
_ADD_INPUT = insert(inputs)
_SET_PLAN_DIGEST = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(plan_digest=bindparam("new_digest"))
)

_ASSIGNMENTS_BY_SEQ = Index("assignments_by_seq", assignments.c.seq)
_AT_ONCE = 50_000  # rows, that come one after another
_ASSIGN = (
    update(rows)
    .where(
        rows.c.run == bindparam("of_run"),
        rows.c.seq == assignments.c.seq,
        rows.c.seq > bindparam("after"),
        rows.c.seq <= bindparam("until"),
    )
    .values({name: assignments.c[name] for name in ("status", "request", "problem", "reason")})
)

_REJECT_WITHOUT_ADDRESSES = (
    update(rows)
    .where(
        rows.c.run == bindparam("of_run"),
        rows.c.seq > bindparam("since"),
        rows.c.status == RowStatus.ACCEPTED,
        rows.c.entries == "",
        rows.c.call.is_(None),
        rows.c.notes.not_like(f"%{Note.ALL_DOMAINS}%"),
    )
    .values(
        status=RowStatus.REJECTED, problem=Problem.NO_ADDRESS, reason=bindparam("why"), entries=None
    )
)

# The reader's own copy of the rows, sorted: read from the journal itself while that is written,
# they would hold up its checkpoints, and its log would grow with every row.
_sorted_rows = Table(
    "sorted_rows",
    MetaData(),
    Column("place", Integer, primary_key=True),
    *(Column(name, rows.c[name].type) for name in StagedRow._fields),
    prefixes=["TEMPORARY"],
)
# Order-only rows come after the rows of their order that name domains, which rule them out; so do
# those that name them badly: a typing error must not widen a mail to all domains of its order.
_NAMED_BADLY = rows.c.order_id.is_not(None) & (
    rows.c.problem.in_(
        (Problem.DOMAIN, Problem.EMAIL, Problem.EMAIL_DOMAIN, Problem.PAIR, Problem.FORM)
    )
    | (rows.c.problem.is_not(None) & rows.c.entries.is_not(None))
)
_OF_GOOD_ROWS = {"entries": case((rows.c.problem.is_(None), rows.c.entries))}
_PLACE_IN_ORDER = case((rows.c.entries == "", 2), (rows.c.entries.is_not(None), 1), else_=0)
_SORT_ROWS = insert(_sorted_rows).from_select(
    StagedRow._fields,
    select(*(_OF_GOOD_ROWS.get(name, rows.c[name]) for name in StagedRow._fields))
    .where(rows.c.run == bindparam("of_run"), (rows.c.status == RowStatus.ACCEPTED) | _NAMED_BADLY)
    .order_by(
        rows.c.order_id,
        rows.c.call.nulls_first(),
        rows.c.account.nulls_first(),
        _PLACE_IN_ORDER,
        rows.c.locale.nulls_first(),
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
        await self.writer.transaction(
            lambda connection: execute_many(connection, _STAGE_ROW, values)
        )
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

    async def reject_without_addresses(self, since: int, reason: str) -> None:
        """Reject the rows of an input that name nobody, where others do and no word asks for all.

        `since`: how many rows came before the input. Raises JournalError.
        """
        values = {"of_run": self.run, "since": since, "why": reason}
        await self._execute(_REJECT_WITHOUT_ADDRESSES, values)

    async def group(
        self,
        reader: AsyncConnection,
        parties: Mapping[str | None, Endpoint],
    ) -> bytes | None:
        """Make the requests of all rows added; return the digest of the whole plan.

        `parties`: whom each account asks. None: there is no request in it.
        """
        grouping = Grouping(self.run, parties, self.input_names)
        batches: dict[Executable, list[Values]] = {ADD_REQUEST: [], ASSIGN_ROW: []}
        # Cut off within a statement, the connection would be thrown away, and the copy with it.
        with anyio.CancelScope(shield=True):
            async with reader.begin():
                await reader.execute(CreateTable(_sorted_rows))
                await reader.execute(_SORT_ROWS, {"of_run": self.run})
        try:
            await self._execute(CreateTable(assignments))
            await self._group_sorted(reader, grouping, batches)
            await self._flush(batches)
            await self._assign()
        finally:
            with anyio.CancelScope(shield=True):
                async with reader.begin():
                    await reader.execute(DropTable(_sorted_rows))
                await self._execute(DropTable(assignments, if_exists=True))
        digest = grouping.plan_digest.digest()
        batches[_SET_PLAN_DIGEST] = [{"of_run": self.run, "new_digest": digest}]
        await self._flush(batches)
        return digest if grouping.requests_made else None

    async def _group_sorted(
        self,
        reader: AsyncConnection,
        grouping: Grouping,
        batches: dict[Executable, list[Values]],
    ) -> None:
        async for order_rows in _by_order(_sorted_pages(reader)):
            for statement, values in grouping.changes(order_rows):
                batches[statement].append(values)
            if len(batches[ASSIGN_ROW]) >= _BATCH:
                await self._flush(batches)

    async def _assign(self) -> None:
        """Write into the rows what becomes of them, as they stand one after another."""
        await self._execute(CreateIndex(_ASSIGNMENTS_BY_SEQ))
        for after in range(0, self.rows_read, _AT_ONCE):
            of = {"of_run": self.run, "after": after, "until": after + _AT_ONCE}
            await self._execute(_ASSIGN, of)

    async def _execute(self, statement: Executable, values: Values | None = None) -> None:
        await self.writer.transaction(lambda connection: connection.execute(statement, values))

    async def _flush(self, batches: dict[Executable, list[Values]]) -> None:
        def execute(connection: Connection) -> None:
            for statement, values in batches.items():
                if values:
                    execute_many(connection, statement, values)
                    values.clear()

        await self.writer.transaction(execute)


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
            "entries": encode_entries(row.entries) or None,
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


async def _sorted_pages(reader: AsyncConnection) -> AsyncIterator[Iterator[StagedRow]]:
    """Yield the sorted rows. What cancels this does so between two pages."""
    after = 0
    while page := await _sorted_page(reader, after):
        yield (StagedRow._make(columns) for _, *columns in page)
        after = page[-1].place


async def _sorted_page(reader: AsyncConnection, after: int) -> Sequence[Record]:
    page: Sequence[Record] = ()
    await anyio.lowlevel.checkpoint()
    with anyio.CancelScope(shield=True):
        async with reader.begin():
            page = (await reader.execute(_PAGE_IN_CANONICAL_ORDER, {"after": after})).all()
    return page


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
