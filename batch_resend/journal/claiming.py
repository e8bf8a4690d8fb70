"""Who has a run in hand: of several processes that share a journal, one at a time.

Each of these is part of a transaction that no other process's decision falls into.
"""

from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from batch_resend.errors import JournalBusy
from batch_resend.journal.dialects import is_living
from batch_resend.journal.reading import IN_ANOTHERS_HAND, IS_WITH_WORKERS, UNFINISHED, newest_first
from batch_resend.journal.result_statements import HAS_OUTCOME
from batch_resend.journal.schema import Record, inputs, outcomes, requests, rows, runs
from batch_resend.model import RequestStatus, Run, RunState

_SAME_PLAN = (
    newest_first(UNFINISHED)
    .where(
        runs.c.plan_digest == bindparam("of_digest"),
        func.coalesce(runs.c.finished_at, runs.c.started_at) >= bindparam("since"),
        ~IN_ANOTHERS_HAND,
    )
    .limit(1)
)
_CLAIM = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"), ~IN_ANOTHERS_HAND)
    .values(session=bindparam("new_session"))
)
_THEIRS = requests.alias("theirs")
_DONE_BY_THEM = exists().where(
    outcomes.c.run == _THEIRS.c.run, outcomes.c.request == _THEIRS.c.number
)
_SKIP_UNDER_WAY = insert(outcomes).from_select(
    ["run", "request", "status", "error_message"],
    select(
        requests.c.run,
        requests.c.number,
        literal(RequestStatus.SKIPPED.value),
        func.min(literal("run ") + runs.c.id + literal(", which is under way, sends it")),
    )
    .join(_THEIRS, (_THEIRS.c.digest == requests.c.digest) & (_THEIRS.c.run != requests.c.run))
    .join(runs, runs.c.number == _THEIRS.c.run)
    .where(
        requests.c.run == bindparam("of_run"),
        ~HAS_OUTCOME,
        ~_DONE_BY_THEM,
        runs.c.state == RunState.RUNNING,
        IS_WITH_WORKERS | is_living(runs.c.session),
    )
    .group_by(requests.c.run, requests.c.number),
)
_OF_RUN = requests.c.run == bindparam("of_run")
# The same requests have the same numbers in both runs; what lists say of them beside may differ.
_NEW = requests.alias("new")


def _of_new_run(column: str) -> ScalarSelect[Any]:
    same = (_NEW.c.run == bindparam("of_new_run"), _NEW.c.number == requests.c.number)
    return select(_NEW.c[column]).where(*same).scalar_subquery()


_TAKE_FROM_LISTS = (
    update(requests)
    .where(_OF_RUN)
    .values({name: _of_new_run(name) for name in ("position", "skip", "notes")})
)
# By which key what is left is asked for; what was sent, was sent by the one of then.
_TAKE_ACCOUNTS = (
    update(requests).where(_OF_RUN, ~HAS_OUTCOME).values(account=_of_new_run("account"))
)


def claim_same_plan(
    connection: Connection, digest: bytes, since: float, session: int
) -> Record | None:
    """Take in hand the newest unfinished run of just these requests that was at work since then."""
    found = connection.execute(
        _SAME_PLAN, {"of_digest": digest, "since": since, "our_session": session}
    ).first()
    if found is not None:
        claim(connection, found, session)
    return found


def claim(connection: Connection, run: Run | Record, session: int) -> None:
    """Take a run in hand. Raises JournalBusy where another process has it."""
    claimed = connection.execute(
        _CLAIM, {"of_run": run.number, "our_session": session, "new_session": session}
    )
    if not claimed.rowcount:
        raise JournalBusy(
            f"run {run.id} is under way elsewhere: `batch-resend watch {run.id}` follows it"
        )


def skip_what_is_under_way(connection: Connection, run: Run) -> None:
    """Leave to other runs what they are about to send."""
    connection.execute(_SKIP_UNDER_WAY, {"of_run": run.number})


def go_on(connection: Connection, earlier: Run, run: Run) -> None:
    """Let an earlier run resume the rows of this one, which is forgotten."""
    for table in (inputs, rows):
        connection.execute(delete(table).where(table.c.run == earlier.number))
        connection.execute(
            update(table).where(table.c.run == run.number).values(run=earlier.number)
        )
    both = {"of_run": earlier.number, "of_new_run": run.number}
    connection.execute(_TAKE_FROM_LISTS, both)
    connection.execute(_TAKE_ACCOUNTS, both)
    connection.execute(delete(requests).where(requests.c.run == run.number))
    connection.execute(delete(runs).where(runs.c.number == run.number))
