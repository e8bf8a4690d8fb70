"""A run in numbers, finished or under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import Float, bindparam, case, desc, func, select

from batch_resend.clock import Clock
from batch_resend.journal.dialects import whole
from batch_resend.journal.result_statements import ANY_NOT_SENT, NOT_SENT, RESULTS
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import attempts, pauses, runs, starts
from batch_resend.model import RequestStatus, Run

_OF_RUN = attempts.c.run == bindparam("of_run")
# What was cut off ends, for the windows' sake, when that was found: for its run it was over before.
_SEEN_AT = case(
    (attempts.c.http_status.is_not(None), attempts.c.ended_at), else_=attempts.c.begun_at
)
_SPELLS = (
    select(
        attempts.c.start,
        func.min(attempts.c.begun_at).label("from_at"),
        func.max(_SEEN_AT).label("to_at"),
        func.coalesce(starts.c.limits, runs.c.limits).label("limits"),
    )
    .select_from(
        attempts.join(runs, runs.c.number == attempts.c.run).outerjoin(
            starts, starts.c.number == attempts.c.start
        )
    )
    .where(_OF_RUN)
    .group_by(attempts.c.start, starts.c.limits, runs.c.limits)
    .order_by("from_at")
)
_STEP = whole(
    (attempts.c.begun_at - bindparam("from_at", type_=Float)) / bindparam("step_s", type_=Float)
)
_COUNT_BY_STEP = (
    select(_STEP.label("step"), func.count().label("made"))
    .where(_OF_RUN, attempts.c.start == bindparam("of_start"))
    .group_by("step")
    .order_by("step")
)
_ANSWERED = (_OF_RUN, attempts.c.http_status.is_not(None))
_TOOK_S = attempts.c.ended_at - attempts.c.begun_at
_COUNT_ANSWERS = select(func.count()).where(*_ANSWERED)
_NTH_ANSWER = select(_TOOK_S).where(*_ANSWERED).order_by(_TOOK_S).limit(1)
_PAUSES = (
    select(pauses)
    .where(pauses.c.run == bindparam("of_run"))
    .order_by(pauses.c.began_at, pauses.c.number)
)
_REASONS = (
    select(
        RESULTS.c.status,
        RESULTS.c.http_status,
        RESULTS.c.error_code,
        func.min(RESULTS.c.error_message).label("message"),
        func.count(RESULTS.c.error_message.distinct()).label("messages"),
        func.count().label("orders"),
    )
    .where(NOT_SENT)
    .group_by(RESULTS.c.status, RESULTS.c.http_status, RESULTS.c.error_code)
    .order_by(desc("orders"), RESULTS.c.status, RESULTS.c.http_status, RESULTS.c.error_code)
)


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """How long answers took, in seconds, from when their attempts were written down."""

    answers: int
    median_s: float
    p95_s: float
    longest_s: float
    counts: tuple[int, ...]  # up to each bound, the last one beyond all


@dataclass(frozen=True, slots=True)
class ActivePeriod:
    """A time in which a run was at work, from the first sign of it to the last: a start of it."""

    start: int
    from_at: float
    to_at: float
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PauseNote:
    """A pause of a run. Its end is that of the run where nothing else is known."""

    began_at: float
    ended_at: float | None  # when it began: it was cut off, nobody knows when
    until_at: float | None
    reason: str
    share: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why orders were not sent: status, the last answer, and one of its messages."""

    status: RequestStatus
    http_status: int | None
    error_code: str | None
    message: str | None
    messages: int  # different ones; that one is the first in the alphabet
    orders: int


class StatisticsReader(ResultReader):
    """Reads what is told of a whole run."""

    async def periods(self, run: Run) -> list[ActivePeriod]:
        """Return when the run was at work: from when to when each start of it made requests."""
        found = await self.fetch(_SPELLS, of_run=run.number)
        return [
            ActivePeriod(record.start, record.from_at, record.to_at, tuple(record.limits.split()))
            for record in found
        ]

    async def pace(self, run: Run, period: ActivePeriod, step_s: float) -> list[tuple[int, int]]:
        """Return how many attempts began in which step of a period, those with none left out."""
        found = await self.fetch(
            _COUNT_BY_STEP,
            of_run=run.number,
            of_start=period.start,
            from_at=period.from_at,
            step_s=step_s,
        )
        return [(record.step, record.made) for record in found]

    async def answer_times(self, run: Run, bounds_s: Sequence[float]) -> AnswerTimes | None:
        """Return how long answers took, counted between ascending bounds; None without answers."""
        answers = int((await self.fetch(_COUNT_ANSWERS, of_run=run.number))[0][0])
        if not answers:
            return None
        between = case(
            *((bound >= _TOOK_S, place) for place, bound in enumerate(bounds_s)),
            else_=len(bounds_s),
        ).label("place")
        counted = select(between, func.count()).where(*_ANSWERED).group_by("place")
        found = {record[0]: record[1] for record in await self.fetch(counted, of_run=run.number)}
        return AnswerTimes(
            answers,
            await self._nth_answer_s(run, ceil(answers * 0.5)),
            await self._nth_answer_s(run, ceil(answers * 0.95)),
            await self._nth_answer_s(run, answers),
            tuple(found.get(place, 0) for place in range(len(bounds_s) + 1)),
        )

    async def _nth_answer_s(self, run: Run, nth: int) -> float:
        """Return how long the nth answer took, the quickest being the first."""
        ((took_s,),) = await self.fetch(_NTH_ANSWER.offset(nth - 1), of_run=run.number)
        return float(took_s)

    async def pauses(self, run: Run, limit: int) -> list[PauseNote]:
        """Return the pauses of a run, the first ones first."""
        return [
            PauseNote(
                record.began_at,
                record.ended_at or run.finished_at,
                record.until_at,
                record.reason,
                record.share,
            )
            for record in await self.fetch(_PAUSES.limit(limit), of_run=run.number)
        ]

    async def reasons(self, run: Run, limit: int) -> list[Reason]:
        """Return why orders were not sent, the most frequent first."""
        if not await self.fetch(ANY_NOT_SENT, of_run=run.number):
            return []
        return [
            Reason(
                RequestStatus(record.status),
                record.http_status,
                record.error_code,
                record.message,
                record.messages,
                record.orders,
            )
            for record in await self.fetch(_REASONS.limit(limit), of_run=run.number)
        ]


RATE_OVER_S = 10.0  # how far back the rate of now reaches

_LAST_START = (
    select(starts).where(starts.c.run == bindparam("of_run")).order_by(desc(starts.c.number))
).limit(1)
_START = select(starts).where(starts.c.number == bindparam("of_start"))
# The starts of the workers that it was distributed to come after the one that dealt it.
_OF_RUN_SINCE = attempts.c.start.in_(
    select(starts.c.number).where(
        starts.c.run == bindparam("of_run"), starts.c.number >= bindparam("of_start")
    )
)
_IN_FLIGHT = select(func.count()).where(_OF_RUN_SINCE, attempts.c.ended_at.is_(None))
_ENDED_LATELY = select(func.count()).where(_OF_RUN_SINCE, attempts.c.ended_at > bindparam("since"))
_OF_START = select(
    func.count().label("made"), func.max(attempts.c.begun_at).label("last_at")
).where(_OF_RUN_SINCE)
_LAST_PAUSE = (
    select(pauses)
    .where(pauses.c.run == bindparam("of_run"))
    .order_by(desc(pauses.c.began_at), desc(pauses.c.number))
).limit(1)


@dataclass(frozen=True, slots=True)
class Pausing:
    """A pause that lasts."""

    reason: str
    left_s: float | None  # until the next request is to leave, as far as is known


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Where a run stands. Times are those of the process that sends it."""

    outcomes: dict[RequestStatus, int]
    planned: int
    made: int  # attempts of its last start
    since_start_s: float
    since_last_s: float | None  # since the last of them began
    in_flight: int
    ended_lately: int  # attempts that ended within RATE_OVER_S
    pausing: Pausing | None
    share: float  # of the windows, after the last pause
    share_since_s: float  # how long ago that was


class LiveStatusReader(ResultReader):
    """Reads where a run stands, without disturbing whoever sends it."""

    async def standing(self, run: Run, clock: Clock) -> LiveStatus | None:
        """Return where a run stands; None before its first request may leave."""
        if run.distributed_by is None:
            found = await self.fetch(_LAST_START, of_run=run.number)
        else:
            found = await self.fetch(_START, of_start=run.distributed_by)
        if not found:
            return None
        start = found[0]
        # As the clock of the process that sends says it, where both count from one boot.
        same_boot = start.boot == clock.boot
        now = clock() + (start.offset_s - clock.offset_s if same_boot else 0.0)
        of_start = {"of_run": run.number, "of_start": start.number}
        (made,) = await self.fetch(_OF_START, **of_start)
        (in_flight,) = await self.fetch(_IN_FLIGHT, **of_start)
        (lately,) = await self.fetch(_ENDED_LATELY, **of_start, since=now - RATE_OVER_S)
        paused = await self.fetch(_LAST_PAUSE, of_run=run.number)
        pausing = None
        if paused and paused[0].ended_at is None:
            until_at = paused[0].until_at
            left_s = None if until_at is None else max(0.0, until_at - now)
            pausing = Pausing(paused[0].reason, left_s)
        return LiveStatus(
            outcomes=await self.count_outcomes(run),
            planned=await self.count_orders(run),
            made=made.made,
            since_start_s=now - start.began_at,
            since_last_s=None if made.last_at is None else now - made.last_at,
            in_flight=in_flight[0],
            ended_lately=lately[0],
            pausing=pausing,
            share=paused[0].share if paused else 1.0,
            share_since_s=now - paused[0].began_at if paused else 0.0,
        )
