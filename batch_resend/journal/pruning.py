"""Runs that are forgotten, for the journal not to grow for ever.

How often each order was mailed is kept. Nothing else of them is needed: they are older than any
cooldown or window. What a living process has in hand is left to it, however old it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, bindparam, delete, func, select

from batch_resend.journal.dialects import is_living
from batch_resend.journal.mails import KEEP_MAILS
from batch_resend.journal.schema import (
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
from batch_resend.model import RunState

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
