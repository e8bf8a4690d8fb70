"""What the CA said when it was asked about orders, kept.

What has come of those that a run has sent; and, for a while, each answer to a sweep, an export or a
preflight: one that was cut off does not ask it all again.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select

from batch_resend.journal.encoding import request_of
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import answers, checks, outcomes, requests
from batch_resend.model import Request, RequestStatus, Run

ANSWERS_KEPT_S = 3_600.0  # beyond that, too much may have changed at the CA
_PAGE = 1_000
_SENT_PAGE = (
    select(requests)
    .join(outcomes, (outcomes.c.run == requests.c.run) & (outcomes.c.request == requests.c.number))
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.number > bindparam("after"),
        outcomes.c.status == RequestStatus.SENT,
    )
    .order_by(requests.c.number)
    .limit(_PAGE)
)
_FORGET = delete(checks).where(
    checks.c.run == bindparam("of_run"), checks.c.request == bindparam("of_request")
)
_ADD = insert(checks)
_COUNT = (
    select(checks.c.status, func.count().label("orders"), func.max(checks.c.asked_at).label("at"))
    .where(checks.c.run == bindparam("of_run"))
    .group_by(checks.c.status)
    .order_by(desc("orders"), checks.c.status)
)


_WAITING_NAMES = (
    select(requests.c.order_id, checks.c.approved, checks.c.names)
    .join(requests, (requests.c.run == checks.c.run) & (requests.c.number == checks.c.request))
    .where(checks.c.run == bindparam("of_run"), checks.c.approved < checks.c.names)
    .group_by(requests.c.order_id, checks.c.approved, checks.c.names)  # once, in several languages
    .order_by(func.min(requests.c.number))
)


_ANSWERS = select(answers.c.subject, answers.c.found).where(
    answers.c.budget == bindparam("of_budget"), answers.c.purpose == bindparam("of_purpose")
)
_FORGET_OLD_ANSWERS = delete(answers).where(  # and what a clock that was set back has not seen yet
    (answers.c.asked_at < bindparam("before")) | (answers.c.asked_at > bindparam("now"))
)


class Purpose(StrEnum):
    """What a CA is asked for. An answer serves the next reading for the same purpose alone."""

    SWEEP = "sweep"  # how orders are validated: kept for as long as answers are
    EXPORT = "export"  # a list of orders; kept until one is whole
    PREFLIGHT = "preflight"  # what is better not sent; kept until all of a run has been asked about


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """What the CA says of an order that was mailed."""

    status: str  # in the CA's words, or what was concluded from its lists
    names: int | None = None  # that the order is for; None: that was not asked
    approved: int | None = None  # of these


@dataclass(frozen=True, slots=True)
class WaitingNames:
    """An order of which names still wait for their approval."""

    order_id: str
    approved: int
    names: int


@dataclass(frozen=True, slots=True)
class Checked:
    """How many of the orders that a run has sent were in which status when last asked about."""

    asked_at: float
    statuses: dict[str, int]  # in the CA's words, the most frequent first

    @property
    def orders(self) -> int:
        """All that were asked about."""
        return sum(self.statuses.values())


class ChecksReader(ResultReader):
    """Reads what was sent, and what has come of it."""

    async def sent_requests(self, run: Run) -> AsyncIterator[tuple[int, Request]]:
        """Yield number and order of the requests that a run has sent; by order number."""
        after = -1
        while page := await self.fetch(_SENT_PAGE, of_run=run.number, after=after):
            for record in page:
                yield record.number, request_of(record)
            after = page[-1].number

    async def checked(self, run: Run) -> Checked | None:
        """Return what has come of the orders that a run has sent; None: nobody has asked."""
        found = await self.fetch(_COUNT, of_run=run.number)
        if not found:
            return None
        return Checked(max(r.at for r in found), {r.status: r.orders for r in found})

    async def waiting_names(self, run: Run, most: int) -> list[WaitingNames]:
        """Return the orders of a run with names that still wait, where that was asked."""
        found = await self.fetch(_WAITING_NAMES.limit(most), of_run=run.number)
        return [WaitingNames(*record) for record in found]


def kept_answers(
    connection: Connection, budget: str, purpose: Purpose, now: float
) -> dict[str, str]:
    """Return what is kept of readings by a key for a purpose (JSON by subject); forget old ones."""
    connection.execute(_FORGET_OLD_ANSWERS, {"before": now - ANSWERS_KEPT_S, "now": now})
    found = connection.execute(_ANSWERS, {"of_budget": budget, "of_purpose": purpose})
    return {record.subject: record.found for record in found}


def note_checks(
    connection: Connection, run: Run, found: Mapping[int, OrderCheck], asked_at: float
) -> None:
    """Write down what the CA says now of requests of a run, in place of what it said before."""
    if found:
        connection.execute(
            _FORGET, [{"of_run": run.number, "of_request": number} for number in found]
        )
        connection.execute(
            _ADD,
            [
                {
                    "run": run.number,
                    "request": number,
                    "asked_at": asked_at,
                    "status": check.status,
                    "names": check.names,
                    "approved": check.approved,
                }
                for number, check in found.items()
            ],
        )
