"""What the journal tells: runs, what is left to send, and the results for reports.

Everything is streamed or counted by the database; nothing here holds a run in memory.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Executable,
    Row as Record,
    and_,
    bindparam,
    case,
    desc,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.errors import UnknownRun
from batch_resend.journal.database import journal_errors
from batch_resend.journal.planning import decode_entries
from batch_resend.journal.schema import attempts, inputs, outcomes, requests, rows, runs
from batch_resend.model import (
    InputNote,
    Order,
    OrderStatus,
    PlannedOrder,
    Result,
    RowResult,
    RowStatus,
    Ruling,
    Run,
    RunState,
    Tally,
)

_PAGE = 1_000
_STREAMED = {"yield_per": 5_000}

# --- runs -----------------------------------------------------------------------------------

UNFINISHED = (RunState.RUNNING, RunState.STOPPED, RunState.INTERRUPTED)
_STARTED = (*UNFINISHED, RunState.COMPLETED)

_RUNS_NEWEST_FIRST = select(runs).where(runs.c.state.in_(_STARTED)).order_by(desc(runs.c.number))
_RUN = select(runs).where(runs.c.id == bindparam("of_id"))
_LATEST_UNFINISHED = _RUNS_NEWEST_FIRST.where(runs.c.state.in_(UNFINISHED)).limit(1)
_UNFINISHED_OF_PLAN = _LATEST_UNFINISHED.where(
    runs.c.plan_digest == bindparam("of_digest"),
    func.coalesce(runs.c.finished_at, runs.c.started_at) >= bindparam("since"),
)
_INPUTS = select(inputs).where(inputs.c.run == bindparam("of_run")).order_by(inputs.c.ordinal)

# --- what is left to send -------------------------------------------------------------------

HAS_OUTCOME = exists().where(
    outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number
)
_OWN_ATTEMPTS = (attempts.c.run == requests.c.run, attempts.c.request == requests.c.number)
_PENDING_PAGE = (
    select(
        requests,
        select(func.count()).where(*_OWN_ATTEMPTS).scalar_subquery().label("attempts"),
        select(func.count())
        .where(*_OWN_ATTEMPTS, attempts.c.ruling == Ruling.IN_DOUBT)
        .scalar_subquery()
        .label("doubts"),
    )
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.position > bindparam("after"),
        ~HAS_OUTCOME,
    )
    .order_by(requests.c.position)
    .limit(_PAGE)
)
_COUNT_PENDING = (
    select(func.count())
    .select_from(requests)
    .where(requests.c.run == bindparam("of_run"), ~HAS_OUTCOME)
)
_RECENT_ENDS = (
    select(attempts.c.ended_at)
    .join(runs, runs.c.number == attempts.c.run)
    .where(runs.c.base_url == bindparam("of_base_url"), attempts.c.ended_at > bindparam("since"))
    .order_by(attempts.c.ended_at)
)

# --- results --------------------------------------------------------------------------------


def _times(ruling: Ruling) -> Any:
    return func.sum(case((attempts.c.ruling == ruling, 1), else_=0))


_TRIES = (
    select(
        attempts.c.request,
        func.count().label("attempts"),
        _times(Ruling.IN_DOUBT).label("doubts"),
        _times(Ruling.ACCEPTED).label("acknowledged"),
        _times(Ruling.RATE_LIMITED).label("rate_limited"),
        func.min(attempts.c.begun_at).label("first_at"),
        func.max(attempts.c.begun_at).label("last_at"),
    )
    .where(attempts.c.run == bindparam("of_run"))
    .group_by(attempts.c.request)
    .subquery("tries")
)
_LAST = attempts.alias("last")
_DOUBTS = func.coalesce(_TRIES.c.doubts, 0)
_BEYOND_THE_FIRST = (
    _DOUBTS
    + func.coalesce(_TRIES.c.acknowledged, 0)
    - case((requests.c.doubted_before, 0), else_=1)
)
_MAY_BE_DONE = case((requests.c.doubted_before, 1), else_=_DOUBTS) > 0
_RESULTS = (
    select(
        requests.c.number,
        requests.c.position,
        requests.c.order_id,
        requests.c.locale,
        requests.c.entries,
        func.coalesce(
            outcomes.c.status,
            case((_MAY_BE_DONE, OrderStatus.IN_DOUBT), else_=OrderStatus.NOT_ATTEMPTED),
        ).label("status"),
        func.coalesce(outcomes.c.http_status, _LAST.c.http_status).label("http_status"),
        func.coalesce(outcomes.c.error_code, _LAST.c.error_code).label("error_code"),
        func.coalesce(outcomes.c.error_message, _LAST.c.error_message).label("error_message"),
        func.coalesce(_TRIES.c.attempts, 0).label("attempts"),
        func.coalesce(_TRIES.c.rate_limited, 0).label("rate_limited"),
        case((_BEYOND_THE_FIRST > 0, _BEYOND_THE_FIRST), else_=0).label("possible_duplicates"),
        _TRIES.c.first_at,
        _TRIES.c.last_at,
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
            _LAST.c.attempt == _TRIES.c.attempts,
        ),
    )
    .where(requests.c.run == bindparam("of_run"))
    .subquery("results")
)
_ROW_COLUMNS = (
    rows.c.input, rows.c.line, rows.c.status.label("row_status"), rows.c.reason, rows.c.raw
)  # fmt: skip
_ROW_RESULTS = (
    select(*_ROW_COLUMNS, _RESULTS)
    .select_from(rows)
    .outerjoin(_RESULTS, _RESULTS.c.number == rows.c.request)
    .where(rows.c.run == bindparam("of_run"))
)
_ROWS_IN_LIST_ORDER = _ROW_RESULTS.order_by(rows.c.seq)
_ROWS_BY_REQUEST = _ROW_RESULTS.where(rows.c.request.is_not(None)).order_by(
    _RESULTS.c.position, rows.c.seq
)
_REJECTED_ROWS = (
    select(*_ROW_COLUMNS)
    .where(rows.c.run == bindparam("of_run"), rows.c.status == RowStatus.REJECTED)
    .order_by(rows.c.seq)
)
_COUNT_ROWS = (
    select(rows.c.status, func.count())
    .where(rows.c.run == bindparam("of_run"))
    .group_by(rows.c.status)
)
_COUNT_RESULTS = select(
    _RESULTS.c.status,
    func.count().label("orders"),
    func.sum(_RESULTS.c.attempts).label("attempts"),
    func.sum(case((_RESULTS.c.attempts > 1, _RESULTS.c.attempts - 1), else_=0)).label("retries"),
    func.sum(_RESULTS.c.rate_limited).label("rate_limited"),
    func.sum(_RESULTS.c.possible_duplicates).label("possible_duplicates"),
).group_by(_RESULTS.c.status)


class JournalReader:
    """Reads a journal through a connection that cannot write. One task at a time."""

    def __init__(self, connection: AsyncConnection, path: Path) -> None:
        self.connection = connection
        self._path = path

    async def run(self, run_id: str) -> Run:
        """Return the run of that name. Raises UnknownRun."""
        found = await self._all(_RUN, of_id=run_id)
        if not found:
            raise UnknownRun(f"{self._path}: no run {run_id!r}; `batch-resend runs` lists them")
        return _run(found[0])

    async def runs(self) -> list[Run]:
        """Return all runs that sending was begun for, newest first."""
        return [_run(record) for record in await self._all(_RUNS_NEWEST_FIRST)]

    async def latest_unfinished(self) -> Run | None:
        """Return the newest run that did not complete."""
        found = await self._all(_LATEST_UNFINISHED)
        return _run(found[0]) if found else None

    async def unfinished_of_plan(self, plan_digest: bytes, since: float) -> Run | None:
        """Return the newest unfinished run of just these requests that was at work since then."""
        found = await self._all(_UNFINISHED_OF_PLAN, of_digest=plan_digest, since=since)
        return _run(found[0]) if found else None

    async def inputs(self, run: Run) -> list[InputNote]:
        """Return the inputs of a run, in the order they were given."""
        return [
            InputNote(
                record.name,
                record.sha256,
                tuple(json.loads(record.columns)),
                json.loads(record.fields),
                record.rows,
            )
            for record in await self._all(_INPUTS, of_run=run.number)
        ]

    async def count_pending(self, run: Run) -> int:
        """Return how many orders of a run have no outcome yet."""
        return int((await self._all(_COUNT_PENDING, of_run=run.number))[0][0])

    async def pending(self, run: Run) -> AsyncIterator[PlannedOrder]:
        """Yield the orders of a run that have no outcome yet, in the list's order.

        Read page by page: one long reading transaction would keep the journal's log growing.
        """
        after = -1
        while page := await self._all(_PENDING_PAGE, of_run=run.number, after=after):
            for record in page:
                yield _planned_order(record)
            after = page[-1].position

    async def recent_ends(self, base_url: str, since: float) -> list[float]:
        """Return when attempts at this CA ended, over all runs, oldest first."""
        found = await self._all(_RECENT_ENDS, of_base_url=base_url, since=since)
        return [record.ended_at for record in found]

    async def tally(self, run: Run) -> Tally:
        """Count a run."""
        row_counts = {RowStatus(s): n for s, n in await self._all(_COUNT_ROWS, of_run=run.number)}
        by_status = await self._all(_COUNT_RESULTS, of_run=run.number)
        orders = {OrderStatus(record.status): record.orders for record in by_status}

        def total(name: str) -> int:
            return sum(getattr(record, name) for record in by_status)

        return Tally(
            rows={status: row_counts.get(status, 0) for status in RowStatus},
            orders={status: orders.get(status, 0) for status in OrderStatus},
            attempts=total("attempts"),
            retries=total("retries"),
            rate_limited=total("rate_limited"),
            possible_duplicates=total("possible_duplicates"),
        )

    def rows_in_list_order(self, run: Run) -> AsyncIterator[RowResult]:
        """Yield every row of a run, as the lists had them."""
        return self._stream(_ROWS_IN_LIST_ORDER, _row_result, of_run=run.number)

    def rows_by_request(self, run: Run) -> AsyncIterator[RowResult]:
        """Yield the rows that are part of a request, those of one request together."""
        return self._stream(_ROWS_BY_REQUEST, _row_result, of_run=run.number)

    def rejected_rows(self, run: Run) -> AsyncIterator[RowResult]:
        """Yield the rejected rows of a run, as the lists had them."""
        return self._stream(_REJECTED_ROWS, _row_result, of_run=run.number)

    async def _all(self, statement: Executable, **values: object) -> list[Record]:
        with journal_errors(self._path):
            async with self.connection.begin():
                return list((await self.connection.execute(statement, values)).all())

    async def _stream(
        self, statement: Executable, make: Callable[[Record], RowResult], **values: object
    ) -> AsyncIterator[RowResult]:
        with journal_errors(self._path):
            async with self.connection.begin():
                records = await self.connection.stream(
                    statement, values, execution_options=_STREAMED
                )
                async for record in records:
                    yield make(record)


def _run(record: Record) -> Run:
    fields: Mapping[str, Any] = record._mapping
    return Run(
        number=fields["number"],
        id=fields["id"],
        base_url=fields["base_url"],
        state=RunState(fields["state"]),
        stop_reason=fields["stop_reason"],
        limits=tuple(fields["limits"].split()),
        created_at=fields["created_at"],
        started_at=fields["started_at"],
        finished_at=fields["finished_at"],
    )


def _planned_order(record: Record) -> PlannedOrder:
    order = Order(record.order_id, record.locale, decode_entries(record.entries))
    doubts = record.doubts + record.doubted_before
    return PlannedOrder(
        record.number, record.position, order, record.digest, record.attempts, doubts
    )


def _row_result(record: Record) -> RowResult:
    fields: Mapping[str, Any] = record._mapping
    return RowResult(
        input_ordinal=fields["input"],
        line=fields["line"],
        status=RowStatus(fields["row_status"]),
        reason=fields["reason"],
        raw=fields["raw"],
        result=_result(fields) if fields.get("number") is not None else None,
    )


def _result(fields: Mapping[str, Any]) -> Result:
    return Result(
        number=fields["number"],
        order_id=fields["order_id"],
        locale=fields["locale"],
        entries=decode_entries(fields["entries"]),
        status=OrderStatus(fields["status"]),
        http_status=fields["http_status"],
        error_code=fields["error_code"],
        error_message=fields["error_message"],
        attempts=fields["attempts"],
        possible_duplicates=fields["possible_duplicates"],
        first_attempt_at=fields["first_at"],
        last_attempt_at=fields["last_at"],
    )
