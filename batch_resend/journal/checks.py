"""What has come of the orders that a run has sent: asked of the CA later, and kept."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select

from batch_resend.journal.encoding import order_of
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import checks, outcomes, requests
from batch_resend.model import Order, OrderStatus, Run

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


def note_checks(
    connection: Connection, run: Run, found: Sequence[tuple[int, str]], asked_at: float
) -> None:
    """Write down what the CA says now of requests of a run, in place of what it said before."""
    if found:
        connection.execute(
            _FORGET, [{"of_run": run.number, "of_request": number} for number, _ in found]
        )
        connection.execute(
            _ADD,
            [
                {"run": run.number, "request": number, "asked_at": asked_at, "status": status}
                for number, status in found
            ],
        )
