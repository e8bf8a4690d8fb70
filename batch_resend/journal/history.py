"""What the journal tells of one order, or of one domain, over all runs."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, or_, select

from batch_resend.journal.encoding import decode_call, decode_entries
from batch_resend.journal.result_statements import IN_DOUBT
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import Record, attempts, outcomes, requests, runs
from batch_resend.model import Call, Entry, RequestStatus, Ruling, RunState


def _value_of(column: str) -> ColumnElement[Any]:
    """Return what the CA said to an attempt; where a run made none, what became of the order."""
    return case((attempts.c.attempt.is_(None), outcomes.c[column]), else_=attempts.c[column])


_MAY_BE_DONE = requests.c.doubted_before | exists(
    select(1)
    .select_from(attempts)
    .where(attempts.c.run == requests.c.run, attempts.c.request == requests.c.number, IN_DOUBT)
    .correlate(requests)
)
_HISTORY = (
    select(
        runs.c.id.label("run_id"),
        runs.c.base_url,
        runs.c.settings,
        requests.c.order_id,
        requests.c.locale,
        requests.c.entries,
        requests.c.call,
        requests.c.account,
        attempts.c.attempt,
        attempts.c.begun_at,
        attempts.c.ended_at,
        attempts.c.ruling,
        _value_of("http_status").label("http_status"),
        _value_of("error_code").label("error_code"),
        _value_of("error_message").label("message"),
        func.coalesce(
            outcomes.c.status,
            case((_MAY_BE_DONE, RequestStatus.IN_DOUBT), else_=RequestStatus.NOT_ATTEMPTED),
        ).label("status"),
    )
    .select_from(requests)
    .join(runs, runs.c.number == requests.c.run)
    .outerjoin(
        attempts,
        and_(attempts.c.run == requests.c.run, attempts.c.request == requests.c.number),
    )
    .outerjoin(
        outcomes,
        and_(outcomes.c.run == requests.c.run, outcomes.c.request == requests.c.number),
    )
    .where(runs.c.state.not_in((RunState.PLANNING, RunState.PLANNED)))
    .order_by(requests.c.run, requests.c.number, attempts.c.attempt)
)
_OF_ORDER = _HISTORY.where(requests.c.order_id == bindparam("of_order"))
# A call about a domain has it in the place of an order, alone or behind its number; a call about an
# order has it first in an entry. No index knows it: all requests are looked through.
_OF_DOMAIN = _HISTORY.where(
    or_(
        requests.c.order_id == bindparam("of_domain"),
        requests.c.order_id.like(bindparam("with_number")),
        requests.c.entries.like(bindparam("in_entries")),
    )
)


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt for an order; or a run that made none for it, and why."""

    run_id: str
    base_url: str
    order_id: str  # or the domain that a call is about
    locale: str | None
    entries: tuple[Entry, ...]
    call: Call
    account: str | None
    attempt: int | None  # None: the run made none
    begun_at: float | None
    ended_at: float | None
    ruling: Ruling | None  # None: no answer is recorded yet
    http_status: int | None
    error_code: str | None
    message: str | None
    outcome: RequestStatus  # of the order in that run; as long as it has none, what is known of it


class HistoryReader(ResultReader):
    """Reads what was ever done for an order or a domain."""

    def history(self, order_id: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made for an order, in all runs, the oldest first."""
        return self._stream(_OF_ORDER, _event, of_order=order_id)

    def history_of_domain(self, domain: str) -> AsyncGenerator[Event, None]:
        """Yield every attempt ever made that named a domain, as `history` does.

        What had the CA mail all domains of an order names none. `domain` is one that `domain_name`
        takes: none of its characters stands for others.
        """
        return self._stream(
            _OF_DOMAIN,
            _event,
            of_domain=domain,
            with_number=f"% {domain}",
            in_entries=f'%["{domain}",%',
        )


def _event(record: Record) -> Event:
    return Event(
        run_id=record.run_id,
        base_url=json.loads(record.settings)
        .get("accounts", {})
        .get(record.account, record.base_url),
        order_id=record.order_id,
        locale=record.locale,
        entries=decode_entries(record.entries),
        call=decode_call(record.call),
        account=record.account,
        attempt=record.attempt,
        begun_at=record.begun_at,
        ended_at=record.ended_at,
        ruling=Ruling(record.ruling) if record.ruling else None,
        http_status=record.http_status,
        error_code=record.error_code,
        message=record.message,
        outcome=RequestStatus(record.status),
    )
