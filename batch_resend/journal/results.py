"""What the journal tells of rows and orders: their results, for reports.

Everything is streamed or counted by the database; nothing here holds a run in memory.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
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
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.journal.database import Backend
from batch_resend.journal.database_errors import journal_errors
from batch_resend.journal.dialects import total
from batch_resend.journal.encoding import decode_call, decode_entries, decode_form, decode_order
from batch_resend.journal.schema import (
    Record,
    attempts,
    inputs,
    outcomes,
    pauses,
    requests,
    rows,
    runs,
)
from batch_resend.model import RequestStatus, RowStatus, Ruling, Run
from batch_resend.results import InputNote, RequestResult, Result, RowResult, Source, Tally

HAS_OUTCOME = exists().where(
    outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number
)
ANOTHERS_DOUBT = "an attempt of an earlier run had no answer: it may have been mailed"
_STREAMED = {"yield_per": 5_000}

Found = TypeVar("Found")


def _times(ruling: Ruling) -> Any:
    return func.sum(case((attempts.c.ruling == ruling, 1), else_=0))


# Under way, or cut off: as long as no answer is recorded, it is in doubt.
IN_DOUBT = func.coalesce(attempts.c.ruling, Ruling.IN_DOUBT) == Ruling.IN_DOUBT
_TRIES = (
    select(
        attempts.c.request,
        func.count().label("attempts"),
        func.sum(case((IN_DOUBT, 1), else_=0)).label("doubts"),
        _times(Ruling.ACCEPTED).label("acknowledged"),
        _times(Ruling.RATE_LIMITED).label("rate_limited"),
        func.min(attempts.c.begun_at).label("first_attempt_at"),
        func.max(attempts.c.begun_at).label("last_attempt_at"),
        func.max(case((IN_DOUBT, attempts.c.attempt))).label("last_doubt"),
    )
    .where(attempts.c.run == bindparam("of_run"))
    .group_by(attempts.c.request)
    .subquery("tries")
)
# The attempt that an order without an outcome is explained by: a doubt, before what came after it.
_LAST = attempts.alias("last")
_HAS_NONE = outcomes.c.status.is_(None)
_EXPLAINED_BY = func.coalesce(case((_HAS_NONE, _TRIES.c.last_doubt)), _TRIES.c.attempts)
_DOUBTS = func.coalesce(_TRIES.c.doubts, 0)
_BEYOND_THE_FIRST = (
    _DOUBTS
    + func.coalesce(_TRIES.c.acknowledged, 0)
    - case((requests.c.doubted_before, 0), else_=1)
)
_MAY_BE_DONE = case((requests.c.doubted_before, 1), else_=_DOUBTS) > 0
_ONLY_ANOTHERS_DOUBT = and_(_HAS_NONE, requests.c.doubted_before, _DOUBTS == 0)


def _of_last(column: str) -> ColumnElement[Any]:
    return case((_ONLY_ANOTHERS_DOUBT, None), else_=_LAST.c[column])


RESULTS = (
    select(
        requests.c.number,
        requests.c.position,
        requests.c.order_id,
        requests.c.locale,
        requests.c.entries,
        requests.c.call,
        requests.c.account,
        func.coalesce(
            outcomes.c.status,
            case((_MAY_BE_DONE, RequestStatus.IN_DOUBT), else_=RequestStatus.NOT_ATTEMPTED),
        ).label("status"),
        func.coalesce(outcomes.c.http_status, _of_last("http_status")).label("http_status"),
        func.coalesce(outcomes.c.error_code, _of_last("error_code")).label("error_code"),
        func.coalesce(
            outcomes.c.error_message,
            case((_ONLY_ANOTHERS_DOUBT, ANOTHERS_DOUBT), else_=_LAST.c.error_message),
        ).label("error_message"),
        func.coalesce(_TRIES.c.attempts, 0).label("attempts"),
        func.coalesce(_TRIES.c.rate_limited, 0).label("rate_limited"),
        case((_BEYOND_THE_FIRST > 0, _BEYOND_THE_FIRST), else_=0).label("possible_duplicates"),
        _TRIES.c.first_attempt_at,
        _TRIES.c.last_attempt_at,
    )
    .select_from(requests)
    .outerjoin(
        outcomes,
        and_(outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number),
    )
    .outerjoin(_TRIES, _TRIES.c.request == requests.c.number)
    .outerjoin(
        _LAST,
        and_(
            _LAST.c.run == requests.c.run,
            _LAST.c.request == requests.c.number,
            _LAST.c.attempt == _EXPLAINED_BY,
        ),
    )
    .where(requests.c.run == bindparam("of_run"))
    .subquery("results")
)
_INPUTS = select(inputs).where(inputs.c.run == bindparam("of_run")).order_by(inputs.c.ordinal)

_COUNT_REQUESTS = (
    select(func.count()).select_from(requests).where(requests.c.run == bindparam("of_run"))
)
_OTHERS = (
    select(requests.c.number)
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.call.is_not(None) | requests.c.account.is_not(None),
    )
    .limit(1)
)
_WITHOUT_ADDRESSES = (
    select(requests.c.number)
    .where(requests.c.run == bindparam("of_run"), requests.c.entries == "")
    .limit(1)
)
_SOURCE_COLUMNS = (rows.c.input, rows.c.line)
_ORDER_COLUMNS = (
    RESULTS.c.order_id,
    RESULTS.c.locale,
    RESULTS.c.entries,
    RESULTS.c.call,
    RESULTS.c.account,
)
_RESULT_COLUMNS = tuple(RESULTS.c[name] for name in Result._fields)
_ROW_COLUMNS = (
    rows.c.input,
    rows.c.line,
    rows.c.status.label("row_status"),
    rows.c.order_id.label("row_order_id"),
    rows.c.locale.label("row_locale"),
    rows.c.entries.label("row_entries"),
    rows.c.call.label("row_call"),
    rows.c.account.label("row_account"),
    rows.c.reason,
    rows.c.raw,
)
_OF_ROW = len(_ROW_COLUMNS)
_OF_SOURCE = len(_SOURCE_COLUMNS)
_TO_RESULT = _OF_SOURCE + len(_ORDER_COLUMNS)
_ROW_RESULTS = (
    select(*_ROW_COLUMNS, *_RESULT_COLUMNS)
    .select_from(rows)
    .outerjoin(RESULTS, RESULTS.c.number == rows.c.request)
    .where(rows.c.run == bindparam("of_run"))
)
_ROWS_IN_LIST_ORDER = _ROW_RESULTS.order_by(rows.c.seq)
# Not the column itself: SQLite would see that only rows with a result can be meant, look for the
# rows of each result in turn, and so need a time that grows with their square.
_STATUS = func.coalesce(RESULTS.c.status, "")
NOT_SENT = _STATUS.not_in(("", RequestStatus.SENT, RequestStatus.SKIPPED))
_ROWS_NOT_SENT = _ROWS_IN_LIST_ORDER.where(NOT_SENT)
_RESULTS_BY_REQUEST = (
    select(*_SOURCE_COLUMNS, *_ORDER_COLUMNS, *_RESULT_COLUMNS)
    .select_from(rows)
    .outerjoin(RESULTS, RESULTS.c.number == rows.c.request)
    .where(rows.c.run == bindparam("of_run"), rows.c.request.is_not(None))
    .order_by(RESULTS.c.position, rows.c.seq)
)
_RESULTS_NOT_SENT = _RESULTS_BY_REQUEST.where(NOT_SENT)
# To find that there are none among the results takes as long as to find them all; to count doesn't.
_COUNT_DONE = (
    select(func.count())
    .select_from(outcomes)
    .where(
        outcomes.c.run == bindparam("of_run"),
        outcomes.c.status.in_((RequestStatus.SENT, RequestStatus.SKIPPED)),
    )
)
ANY_NOT_SENT = select(literal(1)).where(
    _COUNT_REQUESTS.scalar_subquery() > _COUNT_DONE.scalar_subquery()
)
_ANY_SKIPPED = (
    select(outcomes.c.request)
    .where(outcomes.c.run == bindparam("of_run"), outcomes.c.status == RequestStatus.SKIPPED)
    .limit(1)
)
_RESULTS_SKIPPED = _RESULTS_BY_REQUEST.where(_STATUS == RequestStatus.SKIPPED)
REJECTED_ROWS = (
    select(*_ROW_COLUMNS)
    .where(rows.c.run == bindparam("of_run"), rows.c.status == RowStatus.REJECTED)
    .order_by(rows.c.seq)
)
_COUNT_ROWS = (
    select(rows.c.status, func.count())
    .where(rows.c.run == bindparam("of_run"))
    .group_by(rows.c.status)
)
_COUNT_OUTCOMES = (
    select(outcomes.c.status, func.count())
    .where(outcomes.c.run == bindparam("of_run"))
    .group_by(outcomes.c.status)
)
_COUNT_RESULTS = select(
    RESULTS.c.status,
    func.count().label("orders"),
    total(RESULTS.c.attempts).label("attempts"),
    total(case((RESULTS.c.attempts > 1, RESULTS.c.attempts - 1), else_=0)).label("retries"),
    total(RESULTS.c.rate_limited).label("rate_limited"),
    total(RESULTS.c.possible_duplicates).label("possible_duplicates"),
).group_by(RESULTS.c.status)

_PAUSED_UNTIL = func.coalesce(pauses.c.ended_at, runs.c.finished_at, pauses.c.began_at)
_COUNT_PAUSES = (
    select(
        func.count().label("pauses"),
        func.coalesce(func.sum(_PAUSED_UNTIL - pauses.c.began_at), 0.0).label("paused_s"),
        func.coalesce(func.min(pauses.c.share), 1.0).label("lowest_share"),
    )
    .join(runs, runs.c.number == pauses.c.run)
    .where(pauses.c.run == bindparam("of_run"))
)


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
            for record in await self._all(_INPUTS, of_run=run.number)
        ]

    async def count_orders(self, run: Run) -> int:
        """Return how many orders a run has planned."""
        return int((await self._all(_COUNT_REQUESTS, of_run=run.number))[0][0])

    async def count_rows(self, run: Run) -> dict[RowStatus, int]:
        """Return what planning made of the rows of a run."""
        found = {RowStatus(s): n for s, n in await self._all(_COUNT_ROWS, of_run=run.number)}
        return {status: found.get(status, 0) for status in RowStatus}

    async def count_outcomes(self, run: Run) -> dict[RequestStatus, int]:
        """Return how many orders of a run have which outcome already."""
        found = await self._all(_COUNT_OUTCOMES, of_run=run.number)
        return {RequestStatus(status): n for status, n in found}

    async def tally(self, run: Run) -> Tally:
        """Count a run."""
        by_status = await self._all(_COUNT_RESULTS, of_run=run.number)
        orders = {RequestStatus(record.status): record.orders for record in by_status}

        def counted(name: str) -> int:
            return sum(getattr(record, name) for record in by_status)

        (paused,) = await self._all(_COUNT_PAUSES, of_run=run.number)
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
        return self._stream(_ROWS_IN_LIST_ORDER, row_result, of_run=run.number)

    def rows_not_sent(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rows of requests neither sent nor skipped, as the lists had them."""
        return self._stream(_ROWS_NOT_SENT, row_result, if_any=ANY_NOT_SENT, of_run=run.number)

    def rejected_rows(self, run: Run) -> AsyncGenerator[RowResult, None]:
        """Yield the rejected rows of a run, as the lists had them."""
        return self._stream(REJECTED_ROWS, row_result, of_run=run.number)

    def results(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield every request of a run, in the order of the lists."""
        return self._by_request(_RESULTS_BY_REQUEST, run)

    def results_not_sent(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the requests neither sent nor skipped."""
        return self._by_request(_RESULTS_NOT_SENT, run, if_any=ANY_NOT_SENT)

    def results_skipped(self, run: Run) -> AsyncGenerator[RequestResult, None]:
        """Yield the skipped requests."""
        return self._by_request(_RESULTS_SKIPPED, run, if_any=_ANY_SKIPPED)

    async def is_mixed(self, run: Run) -> bool:
        """Return whether any request of a run is another call than dv-resend, or an account's."""
        return bool(await self._all(_OTHERS, of_run=run.number))

    async def names_nobody(self, run: Run) -> bool:
        """Return whether any request of a run leaves it to the CA whom to mail."""
        return bool(await self._all(_WITHOUT_ADDRESSES, of_run=run.number))

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
                if of_one and of_one[_TO_RESULT] != record[_TO_RESULT]:  # the request's number
                    yield _request_result(of_one, sources)
                    sources = []
                of_one = record
                sources.append(Source(*record[:_OF_SOURCE]))
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
    ordinal, line, status, order_id, locale, entries, call, account, reason, raw = record[:_OF_ROW]
    of_request = record[_OF_ROW:]
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
    order, result = record[_OF_SOURCE:_TO_RESULT], record[_TO_RESULT:]
    return RequestResult(decode_order(*order), _result(*result), tuple(sources))


def _result(number: int, status: str, *others: Any) -> Result:
    """Return what came of a request as _RESULT_COLUMNS tell it: by place, a third of by name."""
    return Result(number, RequestStatus(status), *others)
