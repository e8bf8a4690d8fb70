"""Where a run stands while another process sends it: for whoever watches from outside."""

from dataclasses import dataclass

from sqlalchemy import bindparam, desc, func, select

from batch_resend.clock import Clock
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import attempts, pauses, starts
from batch_resend.model import RequestStatus, Run

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
            found = await self._all(_LAST_START, of_run=run.number)
        else:
            found = await self._all(_START, of_start=run.distributed_by)
        if not found:
            return None
        start = found[0]
        # As the clock of the process that sends says it, where both count from one boot.
        same_boot = start.boot == clock.boot
        now = clock() + (start.offset_s - clock.offset_s if same_boot else 0.0)
        of_start = {"of_run": run.number, "of_start": start.number}
        (made,) = await self._all(_OF_START, **of_start)
        (in_flight,) = await self._all(_IN_FLIGHT, **of_start)
        (lately,) = await self._all(_ENDED_LATELY, **of_start, since=now - RATE_OVER_S)
        paused = await self._all(_LAST_PAUSE, of_run=run.number)
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
