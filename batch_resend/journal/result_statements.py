"""What results are made of in the journal: its statements, and whether an order has an outcome."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    select,
)

from batch_resend.journal.dialects import total
from batch_resend.journal.schema import (
    attempts,
    inputs,
    outcomes,
    pauses,
    requests,
    rows,
    runs,
)
from batch_resend.model import RequestStatus, RowStatus, Ruling
from batch_resend.results import Result

HAS_OUTCOME = exists().where(
    outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number
)
ANOTHERS_DOUBT = "an attempt of an earlier run had no answer: it may have been mailed"


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
INPUTS = select(inputs).where(inputs.c.run == bindparam("of_run")).order_by(inputs.c.ordinal)

COUNT_REQUESTS = (
    select(func.count()).select_from(requests).where(requests.c.run == bindparam("of_run"))
)
OTHERS = (
    select(requests.c.number)
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.call.is_not(None) | requests.c.account.is_not(None),
    )
    .limit(1)
)
WITHOUT_ADDRESSES = (
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
RESULT_COLUMNS = tuple(RESULTS.c[name] for name in Result._fields)
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
OF_ROW = len(_ROW_COLUMNS)
OF_SOURCE = len(_SOURCE_COLUMNS)
TO_RESULT = OF_SOURCE + len(_ORDER_COLUMNS)
_ROW_RESULTS = (
    select(*_ROW_COLUMNS, *RESULT_COLUMNS)
    .select_from(rows)
    .outerjoin(RESULTS, RESULTS.c.number == rows.c.request)
    .where(rows.c.run == bindparam("of_run"))
)
ROWS_IN_LIST_ORDER = _ROW_RESULTS.order_by(rows.c.seq)
# Not the column itself: SQLite would see that only rows with a result can be meant, look for the
# rows of each result in turn, and so need a time that grows with their square.
_STATUS = func.coalesce(RESULTS.c.status, "")
NOT_SENT = _STATUS.not_in(("", RequestStatus.SENT, RequestStatus.SKIPPED))
ROWS_NOT_SENT = ROWS_IN_LIST_ORDER.where(NOT_SENT)
RESULTS_BY_REQUEST = (
    select(*_SOURCE_COLUMNS, *_ORDER_COLUMNS, *RESULT_COLUMNS)
    .select_from(rows)
    .outerjoin(RESULTS, RESULTS.c.number == rows.c.request)
    .where(rows.c.run == bindparam("of_run"), rows.c.request.is_not(None))
    .order_by(RESULTS.c.position, rows.c.seq)
)
RESULTS_NOT_SENT = RESULTS_BY_REQUEST.where(NOT_SENT)
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
    COUNT_REQUESTS.scalar_subquery() > _COUNT_DONE.scalar_subquery()
)
ANY_SKIPPED = (
    select(outcomes.c.request)
    .where(outcomes.c.run == bindparam("of_run"), outcomes.c.status == RequestStatus.SKIPPED)
    .limit(1)
)
RESULTS_SKIPPED = RESULTS_BY_REQUEST.where(_STATUS == RequestStatus.SKIPPED)
REJECTED_ROWS = (
    select(*_ROW_COLUMNS)
    .where(rows.c.run == bindparam("of_run"), rows.c.status == RowStatus.REJECTED)
    .order_by(rows.c.seq)
)
COUNT_ROWS = (
    select(rows.c.status, func.count())
    .where(rows.c.run == bindparam("of_run"))
    .group_by(rows.c.status)
)
COUNT_OUTCOMES = (
    select(outcomes.c.status, func.count())
    .where(outcomes.c.run == bindparam("of_run"))
    .group_by(outcomes.c.status)
)
COUNT_RESULTS = select(
    RESULTS.c.status,
    func.count().label("orders"),
    total(RESULTS.c.attempts).label("attempts"),
    total(case((RESULTS.c.attempts > 1, RESULTS.c.attempts - 1), else_=0)).label("retries"),
    total(RESULTS.c.rate_limited).label("rate_limited"),
    total(RESULTS.c.possible_duplicates).label("possible_duplicates"),
).group_by(RESULTS.c.status)

_PAUSED_UNTIL = func.coalesce(pauses.c.ended_at, runs.c.finished_at, pauses.c.began_at)
COUNT_PAUSES = (
    select(
        func.count().label("pauses"),
        func.coalesce(func.sum(_PAUSED_UNTIL - pauses.c.began_at), 0.0).label("paused_s"),
        func.coalesce(func.min(pauses.c.share), 1.0).label("lowest_share"),
    )
    .join(runs, runs.c.number == pauses.c.run)
    .where(pauses.c.run == bindparam("of_run"))
)
