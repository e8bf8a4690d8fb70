"""What the journal tells of runs, and what of them is left to send."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
from sqlalchemy import BindParameter, Select, bindparam, case, desc, exists, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from batch_resend.clock import Clock
from batch_resend.errors import UnknownRun
from batch_resend.journal.checks import ChecksReader
from batch_resend.journal.database import Backend
from batch_resend.journal.dialects import is_living, journal_errors
from batch_resend.journal.encoding import request_of
from batch_resend.journal.mails import MailsReader, UnapprovedReader
from batch_resend.journal.preview import PlanReader
from batch_resend.journal.result_statements import HAS_OUTCOME
from batch_resend.journal.results import HistoryReader
from batch_resend.journal.schema import (
    SHIFT_S,
    Record,
    attempts,
    budgets,
    reads,
    requests,
    runs,
    starts,
)
from batch_resend.journal.statistics import LiveStatusReader, StatisticsReader
from batch_resend.model import Chunk, PlannedRequest, Ruling, Run, RunState

_PAGE = 1_000

# --- runs -----------------------------------------------------------------------------------

UNFINISHED = (RunState.RUNNING, RunState.STOPPED, RunState.INTERRUPTED)
_STARTED = (*UNFINISHED, RunState.COMPLETED)
IS_WITH_WORKERS = runs.c.distributed_by.is_not(None) & (runs.c.state == RunState.RUNNING)
IN_ANOTHERS_HAND = IS_WITH_WORKERS | (
    is_living(runs.c.session) & (runs.c.session != bindparam("our_session"))
)


def newest_first(states: Sequence[RunState]) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds the runs in some states."""
    return select(runs).where(runs.c.state.in_(states)).order_by(desc(runs.c.number))


_RUNS_NEWEST_FIRST = newest_first(_STARTED)
_RUN = select(runs).where(runs.c.id == bindparam("of_id"))
WITH_WORKERS = newest_first((RunState.RUNNING,)).where(IS_WITH_WORKERS)
_LATEST_UNFINISHED = (
    newest_first(UNFINISHED).where(runs.c.started_at.is_not(None), ~IN_ANOTHERS_HAND).limit(1)
)

# --- what is left to send -------------------------------------------------------------------

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
_ACCOUNT = func.coalesce(requests.c.account, "")
_PENDING_PAGE_OF_ACCOUNTS = _PENDING_PAGE.where(
    _ACCOUNT.in_(bindparam("of_accounts", expanding=True))
)
_PENDING_PAGE_OF_CHUNK = _PENDING_PAGE_OF_ACCOUNTS.where(requests.c.position <= bindparam("last"))
MAY_HAVE_ARRIVED = requests.c.doubted_before | exists().where(
    *_OWN_ATTEMPTS, attempts.c.ruling == Ruling.IN_DOUBT
)
_COUNT_SECOND_MAILS = (
    select(func.count())
    .select_from(requests)
    .where(requests.c.run == bindparam("of_run"), ~HAS_OUTCOME, MAY_HAVE_ARRIVED)
)
_COUNT_BY_ACCOUNT = (
    select(requests.c.account, func.count())
    .where(requests.c.run == bindparam("of_run"), ~HAS_OUTCOME)
    .group_by(requests.c.account)
    .order_by(requests.c.account.nulls_first())
)
_ACCOUNTS = select(requests.c.account).where(requests.c.run == bindparam("of_run")).distinct()
# By its key; a start of which no key is known counts by its CA.
_OF_BUDGET = func.coalesce(budgets.c.budget == bindparam("of_budget"), False)
_BY_OUR_CLOCK = attempts.c.ended_at + SHIFT_S
_NOW: BindParameter[float] = bindparam("now")
_NOT_AFTER_NOW = case((_BY_OUR_CLOCK < _NOW, _BY_OUR_CLOCK), else_=_NOW)
_MAY_LINGER_S = case((attempts.c.ruling == Ruling.IN_DOUBT, bindparam("linger_s")), else_=0.0)
_READS_BY_OUR_CLOCK = reads.c.ended_at + SHIFT_S
_READS_NOT_AFTER_NOW = case((_READS_BY_OUR_CLOCK < _NOW, _READS_BY_OUR_CLOCK), else_=_NOW)
_READS_MAY_LINGER_S = case((reads.c.in_doubt, bindparam("linger_s")), else_=0.0)
_RECENT_READS = (
    select((_READS_NOT_AFTER_NOW + _READS_MAY_LINGER_S).label("at"))
    .select_from(starts)
    .join(
        reads,
        (reads.c.start == starts.c.number)
        & (reads.c.ended_at > bindparam("since") - bindparam("linger_s") - SHIFT_S),
    )
    .outerjoin(budgets, (budgets.c.start == starts.c.number) & (budgets.c.account == ""))
    .where(
        _OF_BUDGET | (budgets.c.budget.is_(None) & (reads.c.base_url == bindparam("of_base_url")))
    )
)
_RECENT_ATTEMPTS = (
    select((_NOT_AFTER_NOW + _MAY_LINGER_S).label("at"))
    .select_from(starts)
    .join(
        attempts,
        (attempts.c.start == starts.c.number)
        & (attempts.c.ended_at > bindparam("since") - bindparam("linger_s") - SHIFT_S),
    )
    .join(runs, runs.c.number == attempts.c.run)
    .join(
        requests,
        (requests.c.run == attempts.c.run) & (requests.c.number == attempts.c.request),
    )
    .outerjoin(budgets, (budgets.c.start == starts.c.number) & (budgets.c.account == _ACCOUNT))
    .where(
        _OF_BUDGET | (budgets.c.budget.is_(None) & (runs.c.base_url == bindparam("of_base_url")))
    )
)
_RECENT_ENDS = union_all(_RECENT_ATTEMPTS, _RECENT_READS).order_by("at")


class JournalReader(
    PlanReader, StatisticsReader, LiveStatusReader, HistoryReader, MailsReader, ChecksReader,
    UnapprovedReader,
):  # fmt: skip
    """Reads a journal through a connection that cannot write. One task at a time."""

    def __init__(self, connection: AsyncConnection, backend: Backend, session: int = 0) -> None:
        """Read for the process that has this session; 0: for one that only reads."""
        super().__init__(connection, backend)
        self._session = session

    async def holder(self, run: Run) -> str | None:
        """Return which living process has a run in hand, if one does, as far as can be told."""
        if run.is_with_workers:
            return "workers"
        held_by = None
        with journal_errors(self._place), anyio.CancelScope(shield=True):
            async with self._turn, self.connection.begin():
                held_by = await self._backend.holder(self.connection, run.session)
        return held_by

    async def run(self, run_id: str) -> Run:
        """Return the run of that name. Raises UnknownRun."""
        found = await self.fetch(_RUN, of_id=run_id)
        if not found:
            raise UnknownRun(
                f"{self._place}: no run {run_id!r}; `batch-resend runs --journal "
                f"{self._place}` lists them"
            )
        return as_run(found[0])

    async def runs(self) -> list[Run]:
        """Return all runs that sending was begun for, newest first."""
        return [as_run(record) for record in await self.fetch(_RUNS_NEWEST_FIRST)]

    async def latest_unfinished(self) -> Run | None:
        """Return the newest run that began to send, did not complete, and is in nobody's hand."""
        found = await self.fetch(_LATEST_UNFINISHED, our_session=self._session)
        return as_run(found[0]) if found else None

    async def runs_with_workers(self) -> list[Run]:
        """Return the runs that workers are to send now, the newest first."""
        return [as_run(record) for record in await self.fetch(WITH_WORKERS)]

    async def count_second_mails(self, run: Run) -> int:
        """Return how many orders without an outcome may have been mailed before, unanswered."""
        return int((await self.fetch(_COUNT_SECOND_MAILS, of_run=run.number))[0][0])

    async def count_by_account(self, run: Run) -> dict[str | None, int]:
        """Return how many orders without an outcome each account has; None: the command's own."""
        return {record[0]: record[1] for record in await self.fetch(
            _COUNT_BY_ACCOUNT, of_run=run.number)}  # fmt: skip

    async def accounts(self, run: Run) -> list[str | None]:
        """Return the accounts that a run asks; None: the command's own."""
        return [record.account for record in await self.fetch(_ACCOUNTS, of_run=run.number)]

    async def pending_of(self, run: Run, chunk: Chunk) -> AsyncIterator[PlannedRequest]:
        """Yield the orders of a chunk that have no outcome yet, in the list's order."""
        after, of = chunk.first - 1, [name or "" for name in chunk.accounts]
        while page := await self.fetch(
            _PENDING_PAGE_OF_CHUNK,
            of_run=run.number,
            of_accounts=of,
            after=after,
            last=chunk.last,
        ):
            for record in page:
                yield _planned_order(record)
            after = page[-1].position

    async def pending(
        self, run: Run, accounts: Sequence[str | None] | None = None
    ) -> AsyncIterator[PlannedRequest]:
        """Yield the orders of a run that have no outcome yet, in the list's order.

        `accounts` has those whose orders they are to be; without it, they are all accounts'.
        Read page by page: one long reading transaction would keep the journal's log growing.
        """
        after = -1
        statement, of = _PENDING_PAGE, dict[str, object](of_run=run.number)
        if accounts is not None:
            statement = _PENDING_PAGE_OF_ACCOUNTS
            of["of_accounts"] = [name or "" for name in accounts]
        while page := await self.fetch(statement, **of, after=after):
            for record in page:
                yield _planned_order(record)
            after = page[-1].position

    async def recent_ends(
        self,
        base_url: str,
        since: float,
        clock: Clock,
        linger_s: float = 0.0,
        budget: str | None = None,
    ) -> list[float]:
        """Return when attempts at this CA, by this budget, ended since then, oldest first.

        Seconds since the epoch by `clock`; of a process whose clock said something else, the later
        reading, but none after now. One in doubt may arrive up to `linger_s` seconds after it was
        given up. A few from before `since` may be among them.
        """
        found = await self.fetch(
            _RECENT_ENDS,
            of_base_url=base_url,
            of_budget=budget,
            since=since,
            now=clock(),
            our_boot=clock.boot,
            our_offset_s=clock.offset_s,
            linger_s=linger_s,
        )
        return [record.at for record in found]


def as_run(record: Record) -> Run:
    """Return a run as the journal stored it."""
    return Run(
        number=record.number,
        id=record.id,
        base_url=record.base_url,
        state=RunState(record.state),
        stop_reason=record.stop_reason,
        limits=tuple(record.limits.split()),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        settings=json.loads(record.settings),
        session=record.session,
        distributed_by=record.distributed_by,
    )


def _planned_order(record: Record) -> PlannedRequest:
    doubts = record.doubts + record.doubted_before
    return PlannedRequest(
        record.number, record.position, request_of(record), record.digest, record.attempts, doubts
    )
