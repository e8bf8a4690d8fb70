"""What the journal tells of rows and orders: their results, for reports.

Everything is streamed or counted by the database; nothing here holds a run in memory.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import anyio
from sqlalchemy import (
    Executable,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.journal.database import Backend
from batch_resend.journal.database_errors import journal_errors
from batch_resend.journal.encoding import decode_call, decode_entries, decode_form, decode_order
from batch_resend.journal.result_statements import (
    ANY_NOT_SENT,
    ANY_SKIPPED,
    COUNT_OUTCOMES,
    COUNT_PAUSES,
    COUNT_REQUESTS,
    COUNT_RESULTS,
    COUNT_ROWS,
    INPUTS,
    OF_ROW,
    OF_SOURCE,
    OTHERS,
    REJECTED_ROWS,
    RESULTS_BY_REQUEST,
    RESULTS_NOT_SENT,
    RESULTS_SKIPPED,
    ROWS_IN_LIST_ORDER,
    ROWS_NOT_SENT,
    TO_RESULT,
    WITHOUT_ADDRESSES,
)
from batch_resend.journal.schema import (
    Record,
)
from batch_resend.model import RequestStatus, RowStatus, Run
from batch_resend.results import InputNote, RequestResult, Result, RowResult, Source, Tally

_STREAMED = {"yield_per": 5_000}

Found = TypeVar("Found")


class ResultReader:
    """Reads results through a connection that cannot write."""

    def __init__(self, connection: AsyncConnection, backend: Backend) -> None:
        self.connection = connection
        self._backend = backend
        self._place = backend.place
        self._turn = anyio.Lock()

    async def inputs(self, run: Run) -> list[InputNote]:
        """Return the inputs of a run, in the order they were given."""
        return [
            InputNote(
                record.name,
                record.sha256,
                decode_form(record.form),
                record.rows,
            )
            for record in await self._all(INPUTS, of_run=run.number)
        ]

    async def count_orders(self, run: Run) -> int:
        """Return how many orders a run has planned."""
        return int((await self._all(COUNT_REQUESTS, of_run=run.number))[0][0])

    async def count_rows(self, run: Run) -> dict[RowStatus, int]:
        """Return what planning made of the rows of a run."""
        found = {RowStatus(s): n for s, n in await self._all(COUNT_ROWS, of_run=run.number)}
        return {status: found.get(status, 0) for status in RowStatus}

    async def count_outcomes(self, run: Run) -> dict[RequestStatus, int]:
        """Return how many orders of a run have which outcome already."""
        found = await self._all(COUNT_OUTCOMES, of_run=run.number)
        return {RequestStatus(status): n for status, n in found}

    async def tally(self, run: Run) -> Tally:
        """Count a run."""
        by_status = await self._all(COUNT_RESULTS, of_run=run.number)
        orders = {RequestStatus(record.status): record.orders for record in by_status}

        def counted(name: str) -> int:
            return sum(getattr(record, name) for record in by_status)

        (paused,) = await self._all(COUNT_PAUSES, of_run=run.number)
        return Tally(
            rows=await self.count_rows(run),
            planned=await self.count_orders(run),
            orders={status: orders.get(status, 0) for status in RequestStatus},
            attempts=counted("attempts"),
            retries=counted("retries"),
            rate_limited=counted("rate_limited"),
            possible_duplicates=counted("possible_duplicates"),
            pauses=paused.pauses,
            paused_s=paused.paused_s,
            lowest_share=paused.lowest_share,
        )

    def rows_in_list_order(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield every row of a run, as the lists had them."""
        return self._stream(ROWS_IN_LIST_ORDER, row_result, of_run=run.number)

    def rows_not_sent(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rows of requests neither sent nor skipped, as the lists had them."""
        return self._stream(ROWS_NOT_SENT, row_result, if_any=ANY_NOT_SENT, of_run=run.number)

    def rejected_rows(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rejected rows of a run, as the lists had them."""
        return self._stream(REJECTED_ROWS, row_result, of_run=run.number)

    def results(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield every request of a run, in the order of the lists."""
        return self._by_request(RESULTS_BY_REQUEST, run)

    def results_not_sent(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the requests neither sent nor skipped."""
        return self._by_request(RESULTS_NOT_SENT, run, if_any=ANY_NOT_SENT)

    def results_skipped(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the skipped requests."""
        return self._by_request(RESULTS_SKIPPED, run, if_any=ANY_SKIPPED)

    async def is_mixed(self, run: Run) -> bool:
        """Return whether any request of a run is another call than dv-resend, or an account's."""
        return bool(await self._all(OTHERS, of_run=run.number))

    async def names_nobody(self, run: Run) -> bool:
        """Return whether any request of a run leaves it to the CA whom to mail."""
        return bool(await self._all(WITHOUT_ADDRESSES, of_run=run.number))

    async def _all(self, statement: Executable, **values: object) -> list[Record]:
        found: list[Record] = []
        # One at a time, whoever asks: a connection has no two transactions. A query cut off by a
        # cancellation would leave it unusable for the report.
        with journal_errors(self._place), anyio.CancelScope(shield=True):
            async with self._turn, self.connection.begin():
                found.extend((await self.connection.execute(statement, values)).all())
        return found

    async def _by_request(
        self, statement: Executable, run: Run, if_any: Executable | None = None
    ) -> AsyncGenerator[RequestResult, None]:
        """Yield a request for all its rows, which come together."""
        of_one: Sequence[Any] = ()
        sources: list[Source] = []
        found = self._stream(statement, tuple, if_any, of_run=run.number)
        async with aclosing(found) as records:
            async for record in records:
                if of_one and of_one[TO_RESULT] != record[TO_RESULT]:  # the request's number
                    yield _request_result(of_one, sources)
                    sources = []
                of_one = record
                sources.append(Source(*record[:OF_SOURCE]))
        if of_one:
            yield _request_result(of_one, sources)

    async def _stream(
        self,
        statement: Executable,
        make: Callable[[Record], Found],
        if_any: Executable | None = None,
        **values: object,
    ) -> AsyncGenerator[Found, None]:
        if if_any is not None and not await self._all(if_any, **values):
            return
        with journal_errors(self._place):
            async with self.connection.begin():
                records = await self.connection.stream(
                    statement, values, execution_options=_STREAMED
                )
                async for page in records.partitions():
                    for record in page:
                        yield make(record)


def row_result(record: Record) -> RowResult:
    """Return a row as a statement found it, with the columns of its request or without them."""
    ordinal, line, status, order_id, locale, entries, call, account, reason, raw = record[:OF_ROW]
    of_request = record[OF_ROW:]
    return RowResult(
        ordinal,
        line,
        RowStatus(status),
        order_id,
        locale,
        decode_entries(entries),
        decode_call(call),
        account,
        reason,
        raw,
        _result(*of_request) if of_request and of_request[0] is not None else None,
    )


def _request_result(record: Sequence[Any], sources: Sequence[Source]) -> RequestResult:
    order, result = record[OF_SOURCE:TO_RESULT], record[TO_RESULT:]
    return RequestResult(decode_order(*order), _result(*result), tuple(sources))


def _result(number: int, status: str, *others: Any) -> Result:
    """Return what came of a request as RESULT_COLUMNS tell it: by place, a third of by name."""
    return Result(number, RequestStatus(status), *others)
