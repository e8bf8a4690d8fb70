"""All that a journal's reader reads: runs, and what of them is left to send; the rest is beside."""

from collections.abc import AsyncIterator, Sequence

import anyio

from batch_resend.clock import Clock
from batch_resend.errors import AmbiguousRun, UnknownRun
from batch_resend.journal.encoding import request_of, run_of
from batch_resend.journal.orders import OrdersReader
from batch_resend.journal.results import ResultReader, StatisticsReader
from batch_resend.journal.runs import clock_values
from batch_resend.journal.statements import journal_errors
from batch_resend.model import PlannedRequest, Run, RunState

LATEST = "latest"  # the name of the newest run
_LAST = 2**62  # behind every position
_MOST_NAMED = 5  # of the runs that a name may mean


class JournalReader(ResultReader, StatisticsReader, OrdersReader):
    """Reads a journal through a connection that cannot write. One task at a time."""

    async def run(self, name: str) -> Run:
        """Return a run by its id, by the beginning of its id, or as `latest`, the newest.

        Raises UnknownRun; AmbiguousRun where the ids of several begin so.
        """
        if name == LATEST:
            found = await self.fetch("runs", most=1)
        else:
            found = await self.fetch("run", id=name) or await self.fetch(
                "runs_beginning", beginning=name, most=_MOST_NAMED + 1
            )
        if not found:
            none = "no run yet" if name == LATEST else f"no run {name!r}"
            raise UnknownRun(
                f"{self._place}: {none}; `batch-resend runs --journal {self._place}` lists them"
            )
        if len(found) > 1:
            names = [record.id for record in found[:_MOST_NAMED]]
            more = " and others" if len(found) > _MOST_NAMED else ""
            raise AmbiguousRun(
                f"{name!r} is the beginning of several runs: {', '.join(names)}{more}. Write more "
                "of the name"
            )
        return run_of(found[0])

    async def runs(self, most: int = _LAST) -> list[Run]:
        """Return the runs that sending was begun for, newest first, at most so many."""
        return [run_of(record) for record in await self.fetch("runs", most=most)]

    async def count_in_flight(self, run: Run) -> int:
        """Return how many requests a living process has in flight for a run."""
        if run.state is not RunState.RUNNING or await self.holder(run) is None:
            return 0
        return await self.count("unanswered", run=run.number)

    async def latest_unfinished(self) -> Run | None:
        """Return the newest run that began to send, did not complete, and is in nobody's hand."""
        found = await self.fetch("latest_unfinished", session=self._session)
        return run_of(found[0]) if found else None

    async def holder(self, run: Run) -> str | None:
        """Return which living process has a run in hand, if one does, as far as can be told."""
        if run.is_with_workers:
            return "workers"
        held_by = None
        with journal_errors(self._place), anyio.CancelScope(shield=True):
            async with self._turn, self.connection.begin():
                held_by = await self._backend.holder(self.connection, run.session)
        return held_by

    async def count_second_mails(self, run: Run) -> int:
        """Return how many orders without an outcome may have been mailed before, unanswered."""
        return await self.count("count_second_mails", run=run.number)

    async def count_by_account(self, run: Run) -> dict[str | None, int]:
        """Return how many orders without an outcome each account has; None: the command's own."""
        return dict(await self.fetch("count_by_account", run=run.number))

    async def accounts(self, run: Run) -> list[str | None]:
        """Return the accounts that a run asks; None: the command's own."""
        return [record.account for record in await self.fetch("accounts", run=run.number)]

    async def pending(
        self,
        run: Run,
        accounts: Sequence[str | None] | None = None,
        first: int = 0,
        last: int = _LAST,
    ) -> AsyncIterator[PlannedRequest]:
        """Yield the orders of a run that have no outcome yet, in the list's order.

        `accounts` has those whose orders they are to be; without it, they are all accounts'. Their
        positions are `first` to `last`. Read page by page: one long reading transaction would keep
        the journal's log growing.
        """
        name, of = "pending", dict[str, object](run=run.number, last=last)
        if accounts is not None:
            name, of["accounts"] = "pending_of_accounts", [name or "" for name in accounts]
        after = first - 1
        while page := await self.fetch(name, **of, after=after):
            for r in page:
                doubts = r.doubts + r.doubted_before
                yield PlannedRequest(
                    r.number, r.position, request_of(r), r.digest, r.attempts, doubts
                )
            after = page[-1].position

    async def recent_ends(
        self,
        base_url: str,
        since: float,
        clock: Clock,
        linger_s: float = 0.0,
        budget: str | None = None,
    ) -> list[float]:
        """Return when attempts at this CA, by this budget, ended since then, oldest first.

        Seconds since the epoch by `clock`; of a process whose clock said something else, the later
        reading, but none after now. One in doubt may arrive up to `linger_s` seconds after it was
        given up. A few from before `since` may be among them.
        """
        found = await self.fetch(
            "recent_ends",
            base_url=base_url,
            budget=budget,
            since=since,
            now=clock(),
            linger_s=linger_s,
            **clock_values(clock),
        )
        return [record.at for record in found]

    async def recent_shares(
        self, budget: str, since: float, clock: Clock
    ) -> list[tuple[float, float]]:
        """Return from when on which part of a key's windows was taken, oldest first.

        Seconds since the epoch by `clock`; of a process whose clock said something else, the later
        reading, but none after now.
        """
        values = clock_values(clock)
        found = await self.fetch("recent_shares", budget=budget, since=since, **values)
        return [(min(record.at, clock()), record.share) for record in found]
