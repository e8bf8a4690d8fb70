"""What is settled of a run before anything of it is sent: skipped, or left for a person."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, literal, select, update

from batch_resend.clock import timestamp
from batch_resend.journal.preview import AS_THE_CA_SAYS
from batch_resend.journal.reading import MAY_HAVE_ARRIVED, WITH_WORKERS, as_run
from batch_resend.journal.result_statements import HAS_OUTCOME
from batch_resend.journal.schema import (
    SHIFT_S,
    attempts,
    outcomes,
    requests,
    runs,
    starts,
)
from batch_resend.model import RequestStatus, Ruling, Run
from batch_resend.settings import InDoubt

_BATCH = 5_000

_OF_RUN = requests.c.run == bindparam("of_run")
_BY_ANOTHER_RUN_SINCE = (
    attempts.c.digest == requests.c.digest,
    attempts.c.run != requests.c.run,
    starts.c.number == attempts.c.start,
    attempts.c.ended_at >= bindparam("since") - SHIFT_S,
)
_OTHERS_DOUBT = exists().where(*_BY_ANOTHER_RUN_SINCE, attempts.c.ruling == Ruling.IN_DOUBT)
# Only ever noted, never taken back: what this run sends meanwhile is a possible duplicate for good.
_NOTE_OTHERS_DOUBTS = (
    update(requests)
    .where(_OF_RUN, ~HAS_OUTCOME, requests.c.doubted_before.is_(False), _OTHERS_DOUBT)
    .values(doubted_before=True)
)
# But not what the CA itself said before sending: it was asked about this run, order by order.
_FORGET_SKIPS = delete(outcomes).where(
    outcomes.c.run == bindparam("of_run"),
    outcomes.c.status == RequestStatus.SKIPPED,
    func.coalesce(outcomes.c.error_code, "") != AS_THE_CA_SAYS,
)
# A key that was denied may have been given its permission since.
_FORGET_DENIALS = delete(outcomes).where(
    outcomes.c.run == bindparam("of_run"), outcomes.c.http_status == 403
)
_FORGET_DOUBTS = delete(outcomes).where(
    outcomes.c.run == bindparam("of_run"), outcomes.c.status == RequestStatus.IN_DOUBT
)
SETTLE = insert(outcomes)
_SKIP_WHAT_LISTS_SAY = insert(outcomes).from_select(
    ["run", "request", "status", "error_message"],
    select(
        requests.c.run,
        requests.c.number,
        literal(RequestStatus.SKIPPED.value),
        requests.c.skip,
    ).where(_OF_RUN, ~HAS_OUTCOME, requests.c.skip.is_not(None)),
)
_ACKNOWLEDGED_PAGE = (
    select(requests.c.number, requests.c.digest, func.max(attempts.c.ended_at).label("sent_at"))
    .join(attempts, attempts.c.digest == requests.c.digest)
    .where(
        _OF_RUN,
        *_BY_ANOTHER_RUN_SINCE,
        attempts.c.ruling == Ruling.ACCEPTED,
        requests.c.number > bindparam("after"),
        ~HAS_OUTCOME,
    )
    .group_by(requests.c.number, requests.c.digest)
    .order_by(requests.c.number)
    .limit(_BATCH)
    .subquery("acknowledged")
)
_BY_RUN = (
    select(runs.c.id)
    .join(attempts, attempts.c.run == runs.c.number)
    .where(
        attempts.c.digest == _ACKNOWLEDGED_PAGE.c.digest,
        attempts.c.ruling == Ruling.ACCEPTED,
        attempts.c.ended_at == _ACKNOWLEDGED_PAGE.c.sent_at,
        attempts.c.run != bindparam("of_run"),
    )
    .limit(1)
    .scalar_subquery()
)
_ACKNOWLEDGED_ELSEWHERE = select(_ACKNOWLEDGED_PAGE, _BY_RUN.label("id")).order_by(
    _ACKNOWLEDGED_PAGE.c.number
)
_HOLD_DOUBTS = insert(outcomes).from_select(
    ["run", "request", "status", "error_message"],
    select(
        requests.c.run,
        requests.c.number,
        literal(RequestStatus.IN_DOUBT.value),
        literal("an earlier attempt may have reached the CA; held for a person to decide"),
    ).where(_OF_RUN, ~HAS_OUTCOME, MAY_HAVE_ARRIVED),
)


def hold_doubts_of_workers(connection: Connection) -> None:
    """Leave to a person what may have reached the CA, in runs distributed to be sent so."""
    for run in map(as_run, connection.execute(WITH_WORKERS).all()):
        if run.settings.get("in_doubt") == InDoubt.HOLD:
            connection.execute(_HOLD_DOUBTS, {"of_run": run.number})


def settle(
    connection: Connection,
    run: Run,
    since: float | None,
    our_clock: Mapping[str, object],
    *,
    hold_doubts: bool,
) -> None:
    """Give their outcome to the orders that are settled already.

    `since`: what other runs had acknowledged from then on is skipped; None: nothing is.
    """
    known = {"of_run": run.number}
    for forget in (_FORGET_SKIPS, _FORGET_DENIALS, _FORGET_DOUBTS):
        connection.execute(forget, known)
    connection.execute(_SKIP_WHAT_LISTS_SAY, known)
    settle_what_others_did(connection, run, since, our_clock, hold_doubts=hold_doubts)


def settle_what_others_did(
    connection: Connection,
    run: Run,
    since: float | None,
    our_clock: Mapping[str, object],
    *,
    hold_doubts: bool,
) -> None:
    """Give their outcome to the orders that are settled by what other runs did; see `settle`."""
    known = {"of_run": run.number}
    if since is not None:
        recent = {**known, **our_clock, "since": since}
        connection.execute(_NOTE_OTHERS_DOUBTS, recent)
        _skip_acknowledged(connection, run, recent)
    if hold_doubts:
        connection.execute(_HOLD_DOUBTS, known)


def _skip_acknowledged(connection: Connection, run: Run, recent: dict[str, object]) -> None:
    after = 0
    while batch := (connection.execute(_ACKNOWLEDGED_ELSEWHERE, {**recent, "after": after})).all():
        connection.execute(
            SETTLE,
            [
                settled(
                    run,
                    r.number,
                    RequestStatus.SKIPPED,
                    f"sent {timestamp(r.sent_at)} by run {r.id}",
                )
                for r in batch
            ],
        )
        after = batch[-1].number


def settled(
    run: Run, number: int, status: RequestStatus, reason: str, code: str | None = None
) -> dict[str, object]:
    """Return the values of the outcome of an order that is not sent, and why."""
    return {
        "run": run.number,
        "request": number,
        "status": status,
        "error_code": code,
        "error_message": reason,
    }
