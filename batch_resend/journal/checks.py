"""What the CA said when it was asked about orders, kept.

What has come of those that a run has sent; and, for a while, how orders are validated, so that who
is cut off while asking need not ask it all again.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select

from batch_resend.journal.encoding import order_of
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import checks, methods, outcomes, requests
from batch_resend.model import Order, OrderStatus, Run

METHODS_KEPT_S = 3_600.0  # a person may change how an order is validated
_PAGE = 1_000
_SENT_PAGE = (
    select(requests)
    .join(outcomes, (outcomes.c.run == requests.c.run) & (outcomes.c.request == requests.c.number))
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.number > bindparam("after"),
        outcomes.c.status == OrderStatus.SENT,
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


_METHODS = select(methods.c.order_id, methods.c.dcv_method).where(
    methods.c.budget == bindparam("of_budget"), methods.c.asked_at >= bindparam("since")
)
_FORGET_METHODS = delete(methods).where(methods.c.asked_at < bindparam("before"))


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

    async def sent_requests(self, run: Run) -> AsyncIterator[tuple[int, Order]]:
        """Yield number and order of the requests that a run has sent; by order number."""
        after = -1
        while page := await self._all(_SENT_PAGE, of_run=run.number, after=after):
            for record in page:
                yield record.number, order_of(record)
            after = page[-1].number

    async def checked(self, run: Run) -> Checked | None:
        """Return what has come of the orders that a run has sent; None: nobody has asked."""
        found = await self._all(_COUNT, of_run=run.number)
        if not found:
            return None
        return Checked(max(r.at for r in found), {r.status: r.orders for r in found})

    async def methods(self, budget: str, since: float) -> dict[str, str]:
        """Return how orders are validated, by number, as far as a key was used to ask lately."""
        found = await self._all(_METHODS, of_budget=budget, since=since)
        return {record.order_id: record.dcv_method for record in found}

    async def waiting_names(self, run: Run, most: int) -> list[WaitingNames]:
        """Return the orders of a run with names that still wait, where that was asked."""
        found = await self._all(_WAITING_NAMES.limit(most), of_run=run.number)
        return [WaitingNames(*record) for record in found]


def forget_methods(connection: Connection, before: float) -> None:
    """Forget how orders were validated where that was asked before some time."""
    connection.execute(_FORGET_METHODS, {"before": before})


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
