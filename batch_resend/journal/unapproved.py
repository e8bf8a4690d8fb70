"""Which orders of a run were mailed several times, over all runs, and wait for approval still.

For whoever is to look at why their mails do not arrive.
"""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, case, desc, exists, func, or_, select, union_all

from batch_resend.journal.dialects import total
from batch_resend.journal.mails import MAY_BE_MAILED
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import (
    attempts,
    budgets,
    checks,
    pruned_mails,
    requests,
    runs,
    starts,
)
from batch_resend.model import Run

SEVERAL = 2  # mails, from which on it is worth a look why they had no effect
# What was noted of an order that waits: in the CA's words, and what its lists come to.
STILL_WAITS = ("pending", "reissue_pending", "waiting")

_WAITING = (
    select(requests.c.order_id, requests.c.account)
    .join(checks, (checks.c.run == requests.c.run) & (checks.c.request == requests.c.number))
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.call.is_(None),
        checks.c.status.in_(STILL_WAITS),
    )
    .distinct()
)
_WAITS = _WAITING.cte("waiting")
_ANY_WAITS = _WAITING.limit(1)
_OWN_BUDGETS = (  # by which keys the run mails for which of its accounts
    select(budgets.c.account, budgets.c.budget)
    .join(starts, starts.c.number == budgets.c.start)
    .where(starts.c.run == bindparam("of_run"))
    .distinct()
    .cte("own_budgets")
)
_ACCOUNT = func.coalesce(_WAITS.c.account, "")
_OTHERS = requests.alias("others")
# An order is in one account. Rows that name none are of their run's CA, others of their key's.
_BY_THE_SAME_CA = and_(
    _WAITS.c.account.is_(None),
    _OTHERS.c.account.is_(None),
    runs.c.base_url == bindparam("of_base_url"),
)
_BY_THE_SAME_KEY = exists().where(
    budgets.c.start == attempts.c.start,
    budgets.c.account == func.coalesce(_OTHERS.c.account, ""),
    budgets.c.budget == _OWN_BUDGETS.c.budget,
    _OWN_BUDGETS.c.account == _ACCOUNT,
)
_MAILS = (
    select(
        _WAITS.c.order_id,
        _WAITS.c.account,
        func.count().label("mails"),
        func.min(attempts.c.begun_at).label("since_at"),
    )
    .select_from(_WAITS)
    .join(_OTHERS, _OTHERS.c.order_id == _WAITS.c.order_id)
    .join(
        attempts,
        (attempts.c.run == _OTHERS.c.run) & (attempts.c.request == _OTHERS.c.number),
    )
    .join(runs, runs.c.number == attempts.c.run)
    .where(MAY_BE_MAILED, _OTHERS.c.call.is_(None), or_(_BY_THE_SAME_CA, _BY_THE_SAME_KEY))
    .group_by(_WAITS.c.order_id, _WAITS.c.account)
)
# Of runs that were forgotten only the last mail's time is kept; and where they named no account,
# no key: for one that is named now they do not count.
_PRUNED = (
    select(
        _WAITS.c.order_id,
        _WAITS.c.account,
        pruned_mails.c.mails,
        pruned_mails.c.last_at.label("since_at"),
    )
    .select_from(_WAITS)
    .join(pruned_mails, pruned_mails.c.order_id == _WAITS.c.order_id)
    .where(
        case(
            (
                pruned_mails.c.budget.is_(None),
                _WAITS.c.account.is_(None) & (pruned_mails.c.base_url == bindparam("of_base_url")),
            ),
            else_=exists().where(
                _OWN_BUDGETS.c.budget == pruned_mails.c.budget,
                _OWN_BUDGETS.c.account == _ACCOUNT,
            ),
        )
    )
)
_ALL = union_all(_MAILS, _PRUNED).subquery("all_mails")
_SEVERAL_MAILS = (
    select(
        _ALL.c.order_id,
        _ALL.c.account,
        total(_ALL.c.mails).label("mails"),
        func.min(_ALL.c.since_at).label("since_at"),
    )
    .group_by(_ALL.c.order_id, _ALL.c.account)
    .having(total(_ALL.c.mails) >= SEVERAL)
)
_COUNT = select(func.count()).select_from(_SEVERAL_MAILS.subquery("counted"))
_FIRST = _SEVERAL_MAILS.order_by(desc("mails"), "since_at", _ALL.c.order_id)


@dataclass(frozen=True, slots=True)
class Unapproved:
    """An order that was mailed several times, and waits."""

    order_id: str
    account: str | None
    mails: int  # that went out, or may have
    since_at: float | None  # of the first that is known; it may have been mailed before


class UnapprovedReader(ResultReader):
    """Reads which orders were mailed several times and wait."""

    async def unapproved(self, run: Run, most: int) -> tuple[int, list[Unapproved]]:
        """Return how many orders of a run there are, and those with the most mails.

        Only of what the CA was asked about since (`verify`, `sweep`); else there are none.
        """
        if not await self._all(_ANY_WAITS, of_run=run.number):
            return 0, []
        of = {"of_run": run.number, "of_base_url": run.base_url}
        ((count,),) = await self._all(_COUNT, **of)
        found = await self._all(_FIRST.limit(most), **of) if count else []
        return count, [
            Unapproved(record.order_id, record.account, int(record.mails), record.since_at)
            for record in found
        ]
