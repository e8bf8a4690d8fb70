"""What came of a run, and of one order over all runs."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from sqlalchemy import (
    ColumnElement,
    Executable,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.journal.database import Backend
from batch_resend.journal.dialects import journal_errors
from batch_resend.journal.encoding import decode_call, decode_entries, decode_form, decode_order
from batch_resend.journal.result_statements import (
    ANY_NOT_SENT,
    ANY_SKIPPED,
    COUNT_OUTCOMES,
    COUNT_PAUSES,
    COUNT_REQUESTS,
    COUNT_RESULTS,
    COUNT_ROWS,
    IN_DOUBT,
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
    attempts,
    outcomes,
    requests,
    runs,
)
from batch_resend.model import Call, Entry, RequestStatus, RowStatus, Ruling, Run, RunState
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
            for record in await self.fetch(INPUTS, of_run=run.number)
        ]

    async def count_orders(self, run: Run) -> int:
        """Return how many orders a run has planned."""
        return int((await self.fetch(COUNT_REQUESTS, of_run=run.number))[0][0])

    async def count_rows(self, run: Run) -> dict[RowStatus, int]:
        """Return what planning made of the rows of a run."""
        found = {RowStatus(s): n for s, n in await self.fetch(COUNT_ROWS, of_run=run.number)}
        return {status: found.get(status, 0) for status in RowStatus}

    async def count_outcomes(self, run: Run) -> dict[RequestStatus, int]:
        """Return how many orders of a run have which outcome already."""
        found = await self.fetch(COUNT_OUTCOMES, of_run=run.number)
        return {RequestStatus(status): n for status, n in found}

    async def tally(self, run: Run) -> Tally:
        """Count a run."""
        by_status = await self.fetch(COUNT_RESULTS, of_run=run.number)
        orders = {RequestStatus(record.status): record.orders for record in by_status}

        def counted(name: str) -> int:
            return sum(getattr(record, name) for record in by_status)

        (paused,) = await self.fetch(COUNT_PAUSES, of_run=run.number)
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
        return bool(await self.fetch(OTHERS, of_run=run.number))

    async def names_nobody(self, run: Run) -> bool:
        """Return whether any request of a run leaves it to the CA whom to mail."""
        return bool(await self.fetch(WITHOUT_ADDRESSES, of_run=run.number))

    async def fetch(self, statement: Executable, **values: object) -> list[Record]:
        """Return all records that a statement finds. Raises JournalError."""
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
        if if_any is not None and not await self.fetch(if_any, **values):
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


def _value_of(column: str) -> ColumnElement[Any]:
    """Return what the CA said to an attempt; where a run made none, what became of the order."""
    return case((attempts.c.attempt.is_(None), outcomes.c[column]), else_=attempts.c[column])


_MAY_BE_DONE = requests.c.doubted_before | exists(
    select(1)
    .select_from(attempts)
    .where(attempts.c.run == requests.c.run, attempts.c.request == requests.c.number, IN_DOUBT)
    .correlate(requests)
)
_HISTORY = (
    select(
        runs.c.id.label("run_id"),
        runs.c.base_url,
        runs.c.settings,
        requests.c.order_id,
        requests.c.locale,
        requests.c.entries,
        requests.c.call,
        requests.c.account,
        attempts.c.attempt,
        attempts.c.begun_at,
        attempts.c.ended_at,
        attempts.c.ruling,
        _value_of("http_status").label("http_status"),
        _value_of("error_code").label("error_code"),
        _value_of("error_message").label("message"),
        func.coalesce(
            outcomes.c.status,
            case((_MAY_BE_DONE, RequestStatus.IN_DOUBT), else_=RequestStatus.NOT_ATTEMPTED),
        ).label("status"),
    )
    .select_from(requests)
    .join(runs, runs.c.number == requests.c.run)
    .outerjoin(
        attempts,
        and_(attempts.c.run == requests.c.run, attempts.c.request == requests.c.number),
    )
    .outerjoin(
        outcomes,
        and_(outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number),
    )
    .where(runs.c.state.not_in((RunState.PLANNING, RunState.PLANNED)))
    .order_by(requests.c.run, requests.c.number, attempts.c.attempt)
)
_OF_ORDER = _HISTORY.where(requests.c.order_id == bindparam("of_order"))
# A call about a domain has it in the place of an order, alone or behind its number; a call about an
# order has it first in an entry. No index knows it: all requests are looked through.
_OF_DOMAIN = _HISTORY.where(
    or_(
        requests.c.order_id == bindparam("of_domain"),
        requests.c.order_id.like(bindparam("with_number")),
        requests.c.entries.like(bindparam("in_entries")),
    )
)


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt for an order; or a run that made none for it, and why."""

    run_id: str
    base_url: str
    order_id: str  # or the domain that a call is about
    locale: str | None
    entries: tuple[Entry, ...]
    call: Call
    account: str | None
    attempt: int | None  # None: the run made none
    begun_at: float | None
    ended_at: float | None
    ruling: Ruling | None  # None: no answer is recorded yet
    http_status: int | None
    error_code: str | None
    message: str | None
    outcome: RequestStatus  # of the order in that run; as long as it has none, what is known of it


class HistoryReader(ResultReader):
    """Reads what was ever done for an order or a domain."""

    def history(self, order_id: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made for an order, in all runs, the oldest first."""
        return self._stream(_OF_ORDER, _event, of_order=order_id)

    def history_of_domain(self, domain: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made that named a domain, as `history` does.

        What had the CA mail all domains of an order names none. `domain` is one that `domain_name`
        takes: none of its characters stands for others.
        """
        return self._stream(
            _OF_DOMAIN,
            _event,
            of_domain=domain,
            with_number=f"% {domain}",
            in_entries=f'%["{domain}",%',
        )


def _event(record: Record) -> Event:
    return Event(
        run_id=record.run_id,
        base_url=json.loads(record.settings)
        .get("accounts", {})
        .get(record.account, record.base_url),
        order_id=record.order_id,
        locale=record.locale,
        entries=decode_entries(record.entries),
        call=decode_call(record.call),
        account=record.account,
        attempt=record.attempt,
        begun_at=record.begun_at,
        ended_at=record.ended_at,
        ruling=Ruling(record.ruling) if record.ruling else None,
        http_status=record.http_status,
        error_code=record.error_code,
        message=record.message,
        outcome=RequestStatus(record.status),
    )
