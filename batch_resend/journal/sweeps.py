"""What sweeps found, and what the runs before them have mailed, or left."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence, Set

from pydantic import TypeAdapter

from batch_resend.journal.grouping import Endpoint
from batch_resend.journal.rest import RestReader
from batch_resend.journal.runs import OwnAccount
from batch_resend.journal.statements import Record, run_of
from batch_resend.model import Run, RunState
from batch_resend.results import StuckOrder, SweepCounts

_LAST = 2**62  # behind every position
_STARTS_LOOKED_AT = 50
_COUNTS = TypeAdapter(SweepCounts)
_STUCK = TypeAdapter(StuckOrder)


class SweepReader(RestReader):
    """Reads what sweeps found, and what a sweep says of the runs before it."""

    async def swept(self, run: Run) -> SweepCounts | None:
        """Return what the sweep found that began a run; None: no sweep did."""
        found = await self.fetch("sweep_of_run", run=run.number)
        return _COUNTS.validate_json(found[0].counts) if found else None

    def stuck(self, run: Run, most: int = _LAST) -> AsyncGenerator[StuckOrder, None]:
        """Yield the orders that are stuck, as that sweep found them; the oldest first."""
        return self.stream("stuck_of_run", _stuck_order, run=run.number, most=most)

    async def newest_run(
        self, account: OwnAccount, filters: tuple[str, ...] = (), among: Set[str] = frozenset()
    ) -> tuple[Run, str | None] | None:
        """Return the run that was the last to have mailed for an account; None: there is none.

        Also under which name it had the account; None: as the command's own. A run of which no key
        is known may have been by any. Of a sweep by `filters`, runs by others are left out that
        have mailed none of its orders (`among`): what it no longer finds, nobody can filter.
        """
        most = _STARTS_LOOKED_AT if filters else 1
        for record in await self.fetch("newest_runs", **account.values, most=most):
            run, name = run_of(record), record.account or None
            if (
                not filters
                or (record.swept and _COUNTS.validate_json(record.swept).filters == filters)
                or not among.isdisjoint(await self.sent_by(run, name))
            ):
                return run, name
        return None

    async def left_by(self, account: OwnAccount, among: Set[str]) -> list[Run]:
        """Return the runs that left some of an account's orders, the newest first.

        Runs that a sweep has named since they were last begun are left out, unless it left some of
        theirs for later.
        """
        starts = await self.fetch("newest_starts", **account.values, most=_STARTS_LOOKED_AT)
        found, named = dict[str, Run](), set[str]()
        names = defaultdict[str, set[str | None]](set)  # of the account, by run
        for place, start in enumerate(starts, start=1):
            did_not_finish = RunState(start.state) in (RunState.STOPPED, RunState.INTERRUPTED)
            if did_not_finish and start.id not in named:
                found.setdefault(start.id, run_of(start))
                names[start.id].add(start.account or None)
            is_resumed = any(before.id == start.id for before in starts[place:])
            if start.swept and not is_resumed:
                counts = _COUNTS.validate_json(start.swept)
                named |= {*counts.unfinished} - {*counts.unfinished_later}
        return [
            run
            for run in found.values()
            if not names[run.id].isdisjoint((await self.rest(run, among)).left)
        ]

    async def newer_night(
        self, run: Run, own: Endpoint | None = None, profile: str | None = None
    ) -> Run | None:
        """Return the newest sweep of a sweep's account, by its filters, that began after its run.

        None: there is none, or no sweep began that run. The journal knows the account. A command
        may have another key, or name, for it by now (`own`, `profile`).
        """
        if (swept := await self.swept(run)) is None:
            return None
        account = await self._account_swept(run, own, profile)
        starts = await self.fetch("newest_starts", **account.values, most=_STARTS_LOOKED_AT)
        for start in starts:
            is_sweep = start.number > run.number and start.swept
            if is_sweep and _COUNTS.validate_json(start.swept).filters == swept.filters:
                return run_of(start)
        return None

    async def _account_swept(
        self, run: Run, own: Endpoint | None, profile: str | None
    ) -> OwnAccount:
        """Return the account of a sweep's run; another that had one of its orders is of it, too."""
        keys = await self.fetch("budgets_of_run", run=run.number)
        budgets = {key.budget for key in keys if not key.account}
        if own is not None and own.base_url == run.base_url:
            budgets |= {own.budget}
        orders = {one.order_id for one in await self.fetch("orders_of_run", run=run.number)}
        return OwnAccount(run.base_url, budgets, run.profile or profile, orders)

    async def sent_by(self, run: Run, account: str | None) -> set[str]:
        """Return the numbers of the orders that a run has had mailed for one of its accounts."""
        of = {"run": run.number, "account": account or ""}
        return {record.order_id for record in await self.fetch("sent_by_run", **of)}


def sweep_values(
    run: Run, counts: SweepCounts, stuck: Sequence[StuckOrder]
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return what the journal keeps of what a sweep has found, and of each stuck order."""
    of_run = {"run": run.number}
    return of_run | {"counts": _COUNTS.dump_json(counts).decode()}, [
        of_run | {"number": number, "found": _STUCK.dump_json(order).decode()}
        for number, order in enumerate(stuck, start=1)
    ]


def _stuck_order(record: Record) -> StuckOrder:
    return _STUCK.validate_json(record.found)
