"""How often orders were mailed, over all runs, and which of them still wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BindParameter,
    bindparam,
    case,
    desc,
    exists,
    func,
    insert,
    or_,
    select,
    union_all,
)

from batch_resend.journal.dialects import total
from batch_resend.journal.results import ResultReader
from batch_resend.journal.schema import (
    attempts,
    budgets,
    checks,
    outcomes,
    pruned_mails,
    requests,
    runs,
    starts,
)
from batch_resend.listed import WAITING, WAITS
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
        for record in await self.fetch(_MAILS_OF_CA, of_base_url=base_url, of_budget=budget):
            before = found.get(record.order_id, Mailed(0, None))
            known = [at for at in (before.last_at, record.last_at) if at is not None]
            found[record.order_id] = Mailed(before.mails + record.mails, max(known, default=None))
        return found

    async def newest_run(self, base_url: str, budget: str) -> str | None:
        """Return the newest run at a CA that mailed by this key; None: there is none.

        One of which no key is known may have been by any.
        """
        found = await self.fetch(_NEWEST_BY_KEY, of_base_url=base_url, of_budget=budget)
        return found[0].id if found else None

    async def sent_by(self, run: Run) -> set[str]:
        """Return the numbers of the orders that a run has had mailed, by the command's own key."""
        return {record.order_id for record in await self.fetch(_SENT_BY_RUN, of_run=run.number)}


SEVERAL = 2  # mails, from which on it is worth a look why they had no effect
# What was noted of an order that waits: in the CA's words, and what its lists come to.
STILL_WAITS = (*WAITING, WAITS)

# Of the accounts that ask one CA: an order's number may be another order's at another CA. The
# attempts are walked through once, and each order looked up among those that wait: joined to these
# from the start, SQLite would walk through all attempts for each.
_ACCOUNT = func.coalesce(requests.c.account, "")
_OF_ACCOUNTS: BindParameter[list[str]] = bindparam("of_accounts", expanding=True)
_OF_BASE_URL: BindParameter[str] = bindparam("of_base_url")
_WITH_ITS_CHECK = requests.join(
    checks, (checks.c.run == requests.c.run) & (checks.c.request == requests.c.number)
)
_WAITS = (
    (requests.c.run == bindparam("of_run"))
    & requests.c.call.is_(None)
    & checks.c.status.in_(STILL_WAITS)
)
_ACCOUNTS_WITH_WAITING = (
    select(_ACCOUNT.label("account")).select_from(_WITH_ITS_CHECK).where(_WAITS).distinct()
)
_WAITING = (
    select(requests.c.order_id)
    .select_from(_WITH_ITS_CHECK)
    .where(_WAITS, _ACCOUNT.in_(_OF_ACCOUNTS))
)
_OTHERS = budgets.alias("own_budgets")
_OWN_BUDGETS = (  # by which keys the run mails for these accounts
    select(_OTHERS.c.budget)
    .join(starts, starts.c.number == _OTHERS.c.start)
    .where(starts.c.run == bindparam("of_run"), _OTHERS.c.account.in_(_OF_ACCOUNTS))
)
_ALL_MAILS = (
    select(
        requests.c.order_id,
        func.count().label("mails"),
        func.min(attempts.c.begun_at).label("since_at"),
    )
    .select_from(attempts)
    .join(requests, (requests.c.run == attempts.c.run) & (requests.c.number == attempts.c.request))
    .join(runs, runs.c.number == attempts.c.run)
    .outerjoin(budgets, (budgets.c.start == attempts.c.start) & (budgets.c.account == _ACCOUNT))
    .where(
        MAY_BE_MAILED,
        requests.c.call.is_(None),
        requests.c.order_id.in_(_WAITING),
        or_(
            requests.c.account.is_(None) & (runs.c.base_url == _OF_BASE_URL),
            budgets.c.budget.in_(_OWN_BUDGETS),
        ),
    )
    .group_by(requests.c.order_id)
)
_PRUNED = select(  # of runs that were forgotten only the last mail's time is kept
    pruned_mails.c.order_id, pruned_mails.c.mails, pruned_mails.c.last_at.label("since_at")
).where(
    pruned_mails.c.order_id.in_(_WAITING),
    or_(
        pruned_mails.c.budget.is_(None) & (pruned_mails.c.base_url == _OF_BASE_URL),
        pruned_mails.c.budget.in_(_OWN_BUDGETS),
    ),
)
_ALL = union_all(_ALL_MAILS, _PRUNED).subquery("all_mails")
_SEVERAL_MAILS = (
    select(
        _ALL.c.order_id,
        total(_ALL.c.mails).label("mails"),
        func.min(_ALL.c.since_at).label("since_at"),
    )
    .group_by(_ALL.c.order_id)
    .having(total(_ALL.c.mails) >= SEVERAL)
)
_COUNT = select(func.count()).select_from(_SEVERAL_MAILS.subquery("counted"))
_FIRST = _SEVERAL_MAILS.order_by(desc("mails"), "since_at", _ALL.c.order_id)
_ACCOUNTS_OF = (
    select(requests.c.order_id, requests.c.account)
    .where(
        requests.c.run == bindparam("of_run"),
        requests.c.account.is_not(None),
        requests.c.order_id.in_(bindparam("of_orders", expanding=True)),
    )
    .distinct()
)


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
        by_url: dict[str, list[str]] = {}
        for record in await self.fetch(_ACCOUNTS_WITH_WAITING, of_run=run.number):
            by_url.setdefault(run.url_of(record.account or None) or "", []).append(record.account)
        count, found = 0, list[Unapproved]()
        for url, accounts in by_url.items():
            of = {"of_run": run.number, "of_base_url": url, "of_accounts": accounts}
            ((here,),) = await self.fetch(_COUNT, **of)
            count += here
            records = await self.fetch(_FIRST.limit(most), **of) if here else []
            owners = await self._owners(run, [record.order_id for record in records])
            found += [
                Unapproved(r.order_id, owners.get(r.order_id), int(r.mails), r.since_at)
                for r in records
            ]
        found.sort(key=lambda one: (-one.mails, one.since_at or 0.0, one.order_id))
        return count, found[:most]

    async def _owners(self, run: Run, order_ids: Sequence[str]) -> dict[str, str]:
        """Return the accounts of those orders whose rows name one."""
        records = await self.fetch(_ACCOUNTS_OF, of_run=run.number, of_orders=list(order_ids))
        return {record.order_id: record.account for record in records}
