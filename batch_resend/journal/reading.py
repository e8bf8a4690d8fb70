"""All that a journal's reader reads: of runs, of what is left to send, of orders."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from batch_resend.clock import Clock
from batch_resend.errors import AmbiguousRun, UnknownRun
from batch_resend.journal.results import ResultReader, row_result
from batch_resend.journal.runs import clock_values
from batch_resend.journal.statements import Record, decode_call, request_of, run_of
from batch_resend.journal.statistics import StatisticsReader
from batch_resend.journal.sweeps import SweepReader
from batch_resend.listed import WAITING, WAITS
from batch_resend.model import (
    UNKNOWN_WORDS,
    Call,
    Note,
    PlannedRequest,
    Problem,
    Request,
    Run,
    RunState,
)
from batch_resend.results import (
    Checked,
    Mailed,
    RowResult,
    Unfinished,
    WaitingNames,
)

LATEST = "latest"  # the name of the newest run: the one that was active last
_LAST = 2**62  # behind every position
_MOST_UNFINISHED = 20  # runs that are looked at
_MOST_NAMED = 5  # of the runs that a name may mean
SEVERAL = 2  # runs that mailed an order, from which on it is worth a look why they had no effect
# After the first of their mails. Nightly runs are never much less than a day apart.
ENOUGH_TO_APPROVE_S = 12 * 3600.0
# What was noted of an order that waits: in the CA's words, and what its lists come to.
STILL_WAITS = [*WAITING, WAITS]


@dataclass(frozen=True, slots=True)
class NotedRequest:
    """An order that a note is about, and the first of its rows."""

    order: Request
    input_ordinal: int
    line: int
    skip: str | None  # why its lists say that there is nothing to resend


@dataclass(frozen=True, slots=True)
class Recipients:
    """At which domains the addresses are that a run is to mail."""

    first: Sequence[tuple[str, int]] = ()  # with how many mails, the most first
    domains: int = 0  # all of them
    mails: int = 0  # at all of them


@dataclass(frozen=True, slots=True)
class Unapproved:
    """An order that several runs have mailed, and that waits."""

    order_id: str
    account: str | None
    runs: int  # by which mails went out, or may have
    since_at: float | None  # of the first that is known; it may have been mailed before


class JournalReader(ResultReader, StatisticsReader, SweepReader):
    """Reads a journal through a connection that cannot write. One task at a time.

    What may be of any number comes with a `limit`, or with the `most`.
    """

    async def run(self, name: str) -> Run:
        """Return a run by its id, by the beginning or end of its id, or as `latest`, the newest.

        Raises UnknownRun; AmbiguousRun where the ids of several begin or end so.
        """
        if name == LATEST:
            found = await self.fetch("runs", most=1)
        else:
            found = await self.fetch("run", id=name) or await self.fetch(
                "runs_by_part", part=name, most=_MOST_NAMED + 1
            )
        if not found:
            if name == LATEST:
                raise UnknownRun(f"{self.place}: no run yet")
            raise UnknownRun(
                f"{self.place}: no run {name!r}, and none whose name begins or ends so; "
                f"`batch-resend runs --journal {self.place}` lists all"
            )
        if len(found) > 1:
            names = [record.id for record in found[:_MOST_NAMED]]
            more = " and others" if len(found) > _MOST_NAMED else ""
            raise AmbiguousRun(
                f"the names of several runs begin or end with {name!r}: {', '.join(names)}{more}. "
                "Write more of the name"
            )
        run = run_of(found[0])
        return replace(run, **self.unwritten_ends.get(run.number, {}))

    async def runs(self, most: int = _LAST) -> list[Run]:
        """Return the runs that sending was begun for, the newest first, at most so many."""
        return [run_of(record) for record in await self.fetch("runs", most=most)]

    async def newest_start(self) -> int:
        """Return the number of the newest start of any run; 0: there was none."""
        return await self.count("newest_start")

    async def begun_since(self, start: int) -> Run | None:
        """Return the run that was the last to begin, or to be resumed, after a start."""
        found = await self.fetch("begun_since", start=start)
        return run_of(found[0]) if found else None

    async def is_under_way(self, run: Run) -> bool:
        """Whether another process sends a run now, or workers are to."""
        return run.state is RunState.RUNNING and await self.holder(run) is not None

    async def unfinished(self) -> list[Unfinished]:
        """Return the unfinished runs in nobody's hand, the last at work first, the useless last."""
        found = await self.fetch("unfinished_runs", session=self._session, most=_MOST_UNFINISHED)
        return [
            Unfinished(
                run=run_of(record),
                rest=await self.rest(run_of(record)),
                budgets={r.budget for r in await self.fetch("budgets_of_run", run=record.number)},
                last_begun_at=record.last_begun_at,
                was_useless=bool(record.was_useless),
            )
            for record in found
        ]

    async def budgets(self, run: Run) -> dict[str | None, str]:
        """Return by account whose windows the requests of a run's last start counted in."""
        found = await self.fetch("budgets_of_run", run=run.number)
        return {record.account or None: record.budget for record in found}

    async def holder(self, run: Run) -> str | None:
        """Return which other living process has a run in hand, if one does, as far as is known."""
        if run.is_with_workers:
            return "workers"
        if run.session == self._session:
            return None
        return await self.ask(lambda connection: self._backend.holder(connection, run.session))

    async def count_second_mails(self, run: Run) -> int:
        """Return how many orders without an outcome may have been mailed before, unanswered."""
        return await self.count("count_second_mails", run=run.number)

    async def count_in_list_order(self, run: Run) -> dict[str | None, int]:
        """Return `count_by_account` in the order in which the lists name the accounts."""
        found = await self.fetch("count_in_list_order", run=run.number)
        return {name: count for name, count in found if count}

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

        `accounts` has those whose orders they are to be, one account after another; without it,
        they are all accounts'. Their positions are `first` to `last`. Read page by page: one long
        reading transaction would keep the journal's log growing.
        """
        of_each: list[tuple[str, dict[str, object]]] = [("pending", {})]
        if accounts is not None:
            of_each = [
                ("pending_of_account", {"account": name}) if name
                else ("pending_without_account", {})
                for name in accounts
            ]  # fmt: skip
        for statement, values in of_each:
            after = first - 1
            while page := await self.fetch(
                statement, **values, run=run.number, after=after, last=last
            ):
                for r in page:
                    doubts = r.doubts + r.doubted_before
                    yield PlannedRequest(
                        r.number, r.position, request_of(r), r.digest, r.attempts, doubts
                    )
                after = page[-1].position

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

    # --- of a plan, before it is sent ----------------------------------------------------------

    async def count_problems(self, run: Run) -> dict[Problem, int]:
        """Return how many rows were rejected for what, the most frequent first."""
        found = await self.fetch("count_problems", run=run.number)
        return {Problem(problem): count for problem, count in found}

    async def first_rejected(self, run: Run, problem: Problem, limit: int) -> list[RowResult]:
        """Return the first rows rejected for a problem, as the lists had them."""
        of = {"run": run.number, "problem": problem}
        return [row_result(r) for r in await self.fetch("first_of_problem", **of, most=limit)]

    async def count_notes(self, run: Run) -> dict[Note, int]:
        """Return how many orders there is something to say of."""
        found = await self.fetch("count_notes", run=run.number)
        counts = {note: sum(n for notes, n in found if note in notes.split()) for note in Note}
        return {note: count for note, count in counts.items() if count}

    async def first_noted(self, run: Run, note: Note, limit: int) -> list[NotedRequest]:
        """Return the first orders that a note is about, as the lists had them."""
        found = await self.fetch("first_noted", run=run.number, note=note, most=limit)
        return [_noted(record) for record in found]

    async def count_unsure(self, run: Run) -> int:
        """Return how many orders are skipped for a word that is not known to be the CA's."""
        found = await self.fetch("notes_of_skipped", run=run.number)
        return sum(n for notes, n in found if not set(UNKNOWN_WORDS).isdisjoint(notes.split()))

    async def skipped_for_other_calls(self, run: Run) -> AsyncIterator[Request]:
        """Yield the requests that a run skipped: they may wait for mails of another call."""
        async for page in self.pages("skipped_for_other_calls", run=run.number):
            for record in page:
                yield request_of(record)

    async def count_without_addresses(self, run: Run) -> dict[Call, int]:
        """Return how many requests to send leave it to the CA whom to mail, by their call."""
        found = await self.fetch("count_without_addresses", run=run.number)
        return {decode_call(call): count for call, count in found}

    async def recipients(self, run: Run, limit: int) -> Recipients:
        """Return at which domains the addresses are: the first `limit`, and how many."""
        found = await self.fetch("recipients", run=run.number, most=limit)
        first = [(one.domain, one.mails) for one in found]
        return Recipients(first, found[0].domains, found[0].all_mails) if found else Recipients()

    async def mailed_at(
        self, run: Run, domains: Sequence[str], limit: int
    ) -> tuple[int, list[NotedRequest]]:
        """Return how many requests to send have addresses at some domains, and the first.

        Domains are as `recipients` has them.
        """
        of = {"run": run.number, "domains": list(domains)}
        first = await self.fetch("first_mailed_at", **of, most=limit)
        return await self.count("count_mailed_at", **of), [_noted(record) for record in first]

    # --- what the CA says of orders that were mailed --------------------------------------------

    async def mailed_requests(self, run: Run) -> AsyncIterator[tuple[int, Request]]:
        """Yield number and order of what a run has sent, or left in doubt; by order number.

        Not what was in doubt, and another run has sent since.
        """
        after = -1
        while page := await self.fetch("mailed_requests", **self.since_planned(run), after=after):
            for record in page:
                yield record.number, request_of(record)
            after = page[-1].number

    async def has_mailed_orders(self, run: Run) -> bool:
        """Return whether a run has itself sent an order, or left one in doubt."""
        return bool(await self.fetch("any_order_mailed", run=run.number))

    async def count_domains_mailed(self, run: Run) -> int:
        """Return how many requests for a domain a run has sent, or left in doubt."""
        return await self.count("count_domains_mailed", **self.since_planned(run))

    async def checked(self, run: Run) -> Checked | None:
        """Return what has come of the orders that a run has mailed; None: nobody has asked."""
        found = await self.fetch("count_checks", **self.since_planned(run))
        if not found:
            return None
        sent, in_doubt = (
            {r.status: r.orders for r in found if bool(r.is_sent) is is_sent}
            for is_sent in (True, False)
        )
        at, first_at = max(r.at for r in found), min(r.first_at for r in found)
        records = await self.fetch("count_not_asked", **self.since_planned(run))
        not_asked = {bool(record.is_sent): record.orders for record in records}
        return Checked(
            asked_at=at,
            statuses=sent,
            in_doubt=in_doubt,
            oldest_at=first_at if first_at < at else None,
            not_asked=not_asked.get(True, 0),
            not_asked_in_doubt=not_asked.get(False, 0),
        )

    async def waiting_names(self, run: Run, most: int) -> list[WaitingNames]:
        """Return the orders of a run with names that still wait, where that was asked."""
        found = await self.fetch("waiting_names", run=run.number, most=most)
        return [WaitingNames(*record) for record in found]

    # --- how often orders were mailed -----------------------------------------------------------

    async def mails(
        self, base_url: str, clock: Clock, budget: str | None = None
    ) -> dict[str, Mailed]:
        """Return the orders of a CA whose mails for their domains were tried, and what came of it.

        Those of rows that name an account are of this one where it has this budget. When is by
        `clock`; of a process whose clock said something else, the later reading.
        """
        found: dict[str, Mailed] = {}
        whose = {"base_url": base_url, "budget": budget}
        for record in await self.fetch("mails", **whose, **clock_values(clock)):
            order_id, *mailed = record
            found[order_id] = found.get(order_id, Mailed()) + Mailed(*mailed)
        return found

    async def unapproved(self, run: Run, most: int) -> tuple[int, list[Unapproved]]:
        """Return how many orders were mailed by several runs and wait, and those by the most.

        Only of what the CA was asked about since (`verify`, `sweep`), and only those that had
        time to be approved before it answered; else there are none.
        """
        by_url: dict[str, list[str]] = {}
        of_run = {"run": run.number, "waiting": STILL_WAITS}
        terms = {"several": SEVERAL, "enough_s": ENOUGH_TO_APPROVE_S}
        for record in await self.fetch("accounts_with_waiting", **of_run):
            by_url.setdefault(run.url_of(record.account or None) or "", []).append(record.account)
        count, found = 0, list[Unapproved]()
        for url, accounts in by_url.items():
            of = {**of_run, **terms, "base_url": url, "accounts": accounts}
            count += await self.count("count_unapproved", **of)
            records = await self.fetch("unapproved", **of, most=most)
            numbers = [record.order_id for record in records]
            of_those = await self.fetch("accounts_of", run=run.number, orders=numbers)
            owners: dict[str, str] = dict(of_those)
            found += [
                Unapproved(order_id, owners.get(order_id, run.profile), runs, since_at)
                for order_id, runs, since_at in records
            ]
        found.sort(key=lambda one: (-one.runs, one.since_at or 0.0, one.order_id))
        return count, found[:most]


def _noted(record: Record) -> NotedRequest:
    return NotedRequest(request_of(record), record.input, record.line, record.skip)
