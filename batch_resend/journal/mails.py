"""How often orders were mailed, over all runs: for whoever decides whether once more is due."""

from dataclasses import dataclass

from sqlalchemy import bindparam, case, desc, exists, func, insert, or_, select, union_all

from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import (
    attempts,
    budgets,
    outcomes,
    pruned_mails,
    requests,
    runs,
    starts,
)
from batch_resend.model import RequestStatus, Ruling, Run

# What may have been mailed counts as mailed: one too few does less harm than one too many.
MAY_BE_MAILED = or_(
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
    .where(MAY_BE_MAILED, requests.c.call.is_(None))
    .group_by(requests.c.order_id)
)
_OF_CA = requests.c.account.is_(None) & (runs.c.base_url == bindparam("of_base_url"))
# Rows that name an account may be of another CA than their run: its key tells.
_OF_BUDGET = exists().where(
    budgets.c.start == attempts.c.start,
    budgets.c.account == requests.c.account,
    budgets.c.budget == bindparam("of_budget"),
)
_MAILS_OF_CA = union_all(
    _MAILS.where(_OF_CA | _OF_BUDGET),
    select(pruned_mails.c.order_id, pruned_mails.c.mails, pruned_mails.c.last_at).where(
        case(
            (pruned_mails.c.budget.is_(None), pruned_mails.c.base_url == bindparam("of_base_url")),
            else_=pruned_mails.c.budget == bindparam("of_budget"),
        )
    ),
)
_NAMED_BUDGET = (
    select(budgets.c.budget)
    .where(budgets.c.start == attempts.c.start, budgets.c.account == requests.c.account)
    .scalar_subquery()
    .label("budget")
)
# Before runs are forgotten: a line an order and run, as the other statement counts them.
KEEP_MAILS = insert(pruned_mails).from_select(
    ["order_id", "mails", "last_at", "base_url", "budget"],
    _MAILS.add_columns(runs.c.base_url, _NAMED_BUDGET)
    .where(runs.c.number == bindparam("of_run"))
    .group_by(runs.c.base_url, "budget"),
)


_OWN_KEY = (
    select(budgets.c.budget)
    .join(starts, starts.c.number == budgets.c.start)
    .where(starts.c.run == runs.c.number)
)
_NEWEST_BY_KEY = (
    select(runs.c.id)
    .where(
        runs.c.base_url == bindparam("of_base_url"),
        runs.c.started_at.is_not(None),
        or_(
            ~exists(_OWN_KEY),
            exists(
                _OWN_KEY.where(budgets.c.account == "", budgets.c.budget == bindparam("of_budget"))
            ),
        ),
    )
    .order_by(desc(runs.c.number))
    .limit(1)
)
_SENT_BY_RUN = (
    select(requests.c.order_id)
    .join(outcomes, (outcomes.c.run == requests.c.run) & (outcomes.c.request == requests.c.number))
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.account.is_(None),
        requests.c.call.is_(None),
        outcomes.c.status == RequestStatus.SENT,
    )
)


@dataclass(frozen=True, slots=True)
class Mailed:
    """How often an order was mailed, as far as the journal knows, and when last for sure."""

    mails: int
    last_at: float | None


class MailsReader(ResultReader):
    """Reads how often orders were mailed."""

    async def mails(self, base_url: str, budget: str | None = None) -> dict[str, Mailed]:
        """Return the orders of a CA that were mailed for their domains, or may have been.

        Those of rows that name an account are of this one where it has this budget.
        """
        found: dict[str, Mailed] = {}
        for record in await self._all(_MAILS_OF_CA, of_base_url=base_url, of_budget=budget):
            before = found.get(record.order_id, Mailed(0, None))
            known = [at for at in (before.last_at, record.last_at) if at is not None]
            found[record.order_id] = Mailed(before.mails + record.mails, max(known, default=None))
        return found

    async def newest_run(self, base_url: str, budget: str) -> str | None:
        """Return the newest run at a CA that mailed by this key; None: there is none.

        One of which no key is known may have been by any.
        """
        found = await self._all(_NEWEST_BY_KEY, of_base_url=base_url, of_budget=budget)
        return found[0].id if found else None

    async def sent_by(self, run: Run) -> set[str]:
        """Return the numbers of the orders that a run has had mailed, by the command's own key."""
        return {record.order_id for record in await self._all(_SENT_BY_RUN, of_run=run.number)}
