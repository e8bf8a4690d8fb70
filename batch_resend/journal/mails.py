"""How often orders were mailed, over all runs: for whoever decides whether once more is due."""

from dataclasses import dataclass

from sqlalchemy import bindparam, case, func, or_, select

from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import attempts, outcomes, requests, runs
from batch_resend.model import OrderStatus, Ruling, Run

# What may have been mailed counts as mailed: one too few does less harm than one too many.
_MAY_BE_MAILED = or_(
    attempts.c.ruling.in_((Ruling.ACCEPTED, Ruling.IN_DOUBT)), attempts.c.ruling.is_(None)
)
_ACKNOWLEDGED_AT = case((attempts.c.ruling == Ruling.ACCEPTED, attempts.c.ended_at))
_MAILS = (
    select(
        requests.c.order_id,
        func.count().label("mails"),
        func.max(_ACKNOWLEDGED_AT).label("last_at"),
    )
    .select_from(attempts)
    .join(
        requests,
        (requests.c.run == attempts.c.run) & (requests.c.number == attempts.c.request),
    )
    .join(runs, runs.c.number == attempts.c.run)
    .where(runs.c.base_url == bindparam("of_base_url"), _MAY_BE_MAILED)
    .group_by(requests.c.order_id)
)


_SENT_BY_RUN = (
    select(requests.c.order_id)
    .join(outcomes, (outcomes.c.run == requests.c.run) & (outcomes.c.request == requests.c.number))
    .where(requests.c.run == bindparam("of_run"), outcomes.c.status == OrderStatus.SENT)
)


@dataclass(frozen=True, slots=True)
class Mailed:
    """How often an order was mailed, as far as the journal knows, and when last for sure."""

    mails: int
    last_at: float | None


class MailsReader(ResultReader):
    """Reads how often orders were mailed."""

    async def mails(self, base_url: str) -> dict[str, Mailed]:
        """Return the orders of a CA that were mailed, or may have been."""
        found = await self._all(_MAILS, of_base_url=base_url)
        return {record.order_id: Mailed(record.mails, record.last_at) for record in found}

    async def sent_by(self, run: Run) -> set[str]:
        """Return the numbers of the orders that a run has sent."""
        return {record.order_id for record in await self._all(_SENT_BY_RUN, of_run=run.number)}
