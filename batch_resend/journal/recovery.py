"""What a process that died left behind, brought into a known state when the journal is opened."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, func, select, update

from batch_resend.journal.dialects import is_living
from batch_resend.journal.schema import (
    TO_ITS_CLOCK_S,
    attempts,
    inputs,
    outcomes,
    pauses,
    reads,
    requests,
    rows,
    runs,
    starts,
)
from batch_resend.model import Ruling, RunState

CUT_OFF = "the program ended before an answer was recorded"

_IN_NOBODYS_HAND = ~is_living(runs.c.session)
_OF_THE_DEAD = select(starts.c.number).where(~is_living(starts.c.session))
_LAST_SIGN_OF_LIFE = (
    select(func.max(func.coalesce(attempts.c.ended_at, attempts.c.begun_at)))
    .where(attempts.c.run == runs.c.number)
    .scalar_subquery()
)
_END_CUT_OFF_RUNS = (
    update(runs)
    .where(runs.c.state == RunState.RUNNING, runs.c.distributed_by.is_(None), _IN_NOBODYS_HAND)
    .values(
        state=RunState.INTERRUPTED,
        stop_reason="the program was cut off (killed, or the power failed)",
        finished_at=func.coalesce(_LAST_SIGN_OF_LIFE, runs.c.started_at),
    )
)
# Now, as the clock of the process that began them would have said it.
_TO_CLOCK_OF_ATTEMPT = (
    select(TO_ITS_CLOCK_S).where(starts.c.number == attempts.c.start).scalar_subquery()
)
_NOW_OF_ATTEMPT: ColumnElement[float] = bindparam("now") + func.coalesce(_TO_CLOCK_OF_ATTEMPT, 0.0)
_END_CUT_OFF_ATTEMPTS = (
    update(attempts)
    .where(attempts.c.ended_at.is_(None), attempts.c.start.in_(_OF_THE_DEAD))
    .values(
        # No earlier than it began, whatever the clocks say.
        ended_at=case(
            (attempts.c.begun_at < _NOW_OF_ATTEMPT, _NOW_OF_ATTEMPT), else_=attempts.c.begun_at
        ),
        ruling=Ruling.IN_DOUBT,
        error_message=CUT_OFF,
    )
)
_TO_CLOCK_OF_READ = select(TO_ITS_CLOCK_S).where(starts.c.number == reads.c.start).scalar_subquery()
_NOW_OF_READ: ColumnElement[float] = bindparam("now") + func.coalesce(_TO_CLOCK_OF_READ, 0.0)
_END_CUT_OFF_READS = (
    update(reads)
    .where(reads.c.ended_at.is_(None), reads.c.start.in_(_OF_THE_DEAD))
    .values(
        ended_at=case((reads.c.begun_at < _NOW_OF_READ, _NOW_OF_READ), else_=reads.c.begun_at),
        in_doubt=True,
    )
)
_END_OF_ITS_RUN = select(runs.c.finished_at).where(runs.c.number == pauses.c.run).scalar_subquery()
_END_CUT_OFF_PAUSES = (
    update(pauses)
    .where(
        pauses.c.ended_at.is_(None),
        pauses.c.run.not_in(select(runs.c.number).where(runs.c.state == RunState.RUNNING)),
    )
    .values(  # no earlier than it began: that was a sign of life too
        ended_at=case(
            (pauses.c.began_at < _END_OF_ITS_RUN, _END_OF_ITS_RUN), else_=pauses.c.began_at
        )
    )
)
_NEVER_STARTED = select(runs.c.number).where(
    runs.c.state.in_((RunState.PLANNING, RunState.PLANNED)), _IN_NOBODYS_HAND
)


def end_cut_off(connection: Connection, our_clock: Mapping[str, object], now: float) -> None:
    """End what was cut off: runs, pauses, attempts, reads. Forget the plans that never started."""
    ours = {**our_clock, "now": now}
    connection.execute(_END_CUT_OFF_RUNS)
    connection.execute(_END_CUT_OFF_PAUSES)
    connection.execute(_END_CUT_OFF_ATTEMPTS, ours)
    connection.execute(_END_CUT_OFF_READS, ours)
    delete_plans(connection, connection.execute(_NEVER_STARTED).scalars().all())


def delete_plans(connection: Connection, numbers: Sequence[int]) -> None:
    """Forget runs of which nothing was sent, by their numbers."""
    for number in numbers:
        for table in (inputs, rows, requests, outcomes):
            connection.execute(delete(table).where(table.c.run == number))
        connection.execute(delete(runs).where(runs.c.number == number))
