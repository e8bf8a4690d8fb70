"""Runs in a journal: started, recovered after a crash, pruned."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

from batch_resend.journal.dialects import is_living
from batch_resend.journal.mails import KEEP_MAILS
from batch_resend.journal.schema import (
    TO_ITS_CLOCK_S,
    attempts,
    budgets,
    checks,
    inputs,
    outcomes,
    pauses,
    reads,
    requests,
    rows,
    runs,
    starts,
)
from batch_resend.model import Ruling, Run, RunState
from batch_resend.windows import Window

_START = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(
        state=RunState.RUNNING,
        stop_reason=null(),
        finished_at=null(),
        limits=bindparam("new_limits"),
        settings=bindparam("new_settings"),
        started_at=func.coalesce(runs.c.started_at, bindparam("now")),
        distributed_by=bindparam("new_distributed_by"),
    )
)
_ADD_START = insert(starts).returning(starts.c.number)
_ADD_BUDGET = insert(budgets)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a run is sent."""

    windows: Sequence[Window]
    settings: Mapping[str, object] = field(default_factory=dict)  # to be told later; no secret
    budgets: Mapping[str | None, str] = field(default_factory=dict)  # whose windows, by account
    cooldown_s: float = 0.0
    hold_doubts: bool = False


def limits_text(windows: Sequence[Window]) -> str:
    """Return windows as the journal has them."""
    return " ".join(map(str, windows))


def add_start(
    connection: Connection, values: Mapping[str, object], found: Mapping[str | None, str]
) -> int:
    """Write down a start, and whose windows each account's requests count in; return its number."""
    number: int = connection.execute(_ADD_START, values).scalar_one()
    named = [
        {"start": number, "account": name or "", "budget": budget} for name, budget in found.items()
    ]
    if named:
        connection.execute(_ADD_BUDGET, named)
    return number


def begin(
    connection: Connection, run: Run, terms: Terms, now: float, distributed_by: int | None = None
) -> None:
    """Write down that a run is being sent; `dealt_by`: the start that distributes it to workers."""
    connection.execute(
        _START,
        {
            "of_run": run.number,
            "now": now,
            "new_limits": limits_text(terms.windows),
            "new_settings": json.dumps(dict(terms.settings)),
            "new_distributed_by": distributed_by,
        },
    )


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


_ENDED_BEFORE = select(runs.c.number).where(
    func.coalesce(runs.c.finished_at, runs.c.started_at, runs.c.created_at) < bindparam("before"),
    runs.c.state != RunState.RUNNING,
    ~is_living(runs.c.session),
)
_COUNT_ROWS = select(func.count()).where(rows.c.run == bindparam("of_run"))
_OLD_READS = delete(reads).where(reads.c.begun_at < bindparam("before"))
_IDLE_STARTS = delete(starts).where(
    starts.c.began_at < bindparam("before"),
    ~is_living(starts.c.session),
    starts.c.number.not_in(select(runs.c.distributed_by).where(runs.c.distributed_by.is_not(None))),
    starts.c.number.not_in(select(attempts.c.start)),
    starts.c.number.not_in(select(reads.c.start)),
)
_BUDGETS_OF_NONE = delete(budgets).where(budgets.c.start.not_in(select(starts.c.number)))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten."""

    runs: int
    rows: int


def prune(connection: Connection, before: float, more: Sequence[Table] = ()) -> Pruned:
    """Forget the runs that ended before a time, keeping how often their orders were mailed.

    `more`: what else there is of runs, in this journal.
    """
    numbers = connection.execute(_ENDED_BEFORE, {"before": before}).scalars().all()
    forgotten = 0
    for number in numbers:
        of_run = {"of_run": number}
        forgotten += connection.execute(_COUNT_ROWS, of_run).scalar_one()
        connection.execute(KEEP_MAILS, of_run)
        for table in (inputs, rows, requests, attempts, outcomes, pauses, checks, *more):
            connection.execute(delete(table).where(table.c.run == number))
        connection.execute(delete(runs).where(runs.c.number == number))
    connection.execute(_OLD_READS, {"before": before})
    connection.execute(_IDLE_STARTS, {"before": before})
    connection.execute(_BUDGETS_OF_NONE)
    return Pruned(len(numbers), forgotten)
