"""The whole job as a library: plan rows into a run, send it, write its report.

    summary = await resend(rows, settings)

does it in one call. Step by step, for what is to happen in between:

    async with open_batch(settings) as batch:
        plan = await batch.plan([ListSource("orders.csv")])
        async with batch.send(plan) as sending:
            async for outcome in sending:
                ...
        summary = await batch.report(plan.run, Path("report"))

It prints nothing, sets up no logging and no signal handler, and holds no global state.
"""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from inspect import isawaitable
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from batch_resend.channels import Channels, RunHandle, route_to
from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import JournalError, UnknownRun
from batch_resend.first_part import first_part, pending_of
from batch_resend.intake import Given, RecordSource, Source
from batch_resend.journal import (
    Checked,
    Endpoint,
    Journal,
    JournalReader,
    Purpose,
    open_journal,
)
from batch_resend.model import Asked, Outcome, Plan, Run, RunState
from batch_resend.report import (
    LiveReport,
    Presentation,
    Summary,
    live_report,
    make_summary,
    plan_of,
    prepare_report,
    write_report,
)
from batch_resend.results import Mailed
from batch_resend.settings import DEFAULT_COOLDOWN_S, InDoubt, Settings
from batch_resend.staging import done_since, stage
from batch_resend.windows import Schedule, parse_windows

if TYPE_CHECKING:
    from batch_resend.order_reader import OrderReader
    from batch_resend.sweep import SweepResult

log = logging.getLogger(__name__)

_OUTCOMES_WAITING = 1_000  # until they are iterated; beyond it sending waits
LEFT_EARLY = "the program stopped listening"


@asynccontextmanager
async def open_batch(settings: Settings, clock: Clock | None = None) -> AsyncIterator["Batch"]:
    """Open the journal; a file is this process's alone. Raises JournalError, JournalBusy.

    Raises SettingsError where the environment names a proxy that cannot be used.
    """
    clock = clock or SystemClock()
    for account in (settings, *settings.accounts.values()):
        route_to(settings, account.base_url)
    async with open_journal(settings.journal, clock) as journal:
        yield Batch(settings, journal, clock)


class Batch:
    """Plans, sends and reports runs, one at a time."""

    def __init__(self, settings: Settings, journal: Journal, clock: Clock) -> None:
        self.settings = settings
        self.journal = journal
        self._clock = clock
        self.channels = Channels(settings, journal, clock)
        self.stopped_keys: dict[str, str] = {}  # by budget: why nothing by it is to be sent
        self.reading = self.channels.reading

    async def plan(
        self,
        sources: Sequence[Source],
        *,
        may_be_empty: bool = False,
        budgets: Mapping[str | None, str] = MappingProxyType({}),
        since: float | None = None,
    ) -> Plan:
        """Read all rows into the journal and make requests of them. Nothing is sent.

        The plan is that of a new run, or of an unfinished one of just the same requests. `budgets`:
        of accounts whose keys these settings do not have, to plan by; `since`: as another journal
        says it, see `staging.done_since`. Raises JournalError; InputError where a list cannot be
        read, or no row is there.
        """
        settings = self.settings
        if since is None:
            since = await done_since(sources, self.journal.reader, settings.base_url)
        run, staging = await self.journal.new_run(
            settings.base_url, settings.windows, settings.snapshot(), since
        )
        endpoints = {}
        for name in settings.names:
            account = settings.account(name)
            endpoints[name] = Endpoint(account.base_url, budgets.get(name, account.budget))
        try:
            await stage(sources, staging, refused=settings.refused, may_be_empty=may_be_empty)
            digest = await staging.group(endpoints)
            # What an older run had acknowledged may be sent again by now, so to resume it would
            # leave out too much. `--again` says nothing of runs that did not finish.
            since = self._clock() - (settings.cooldown_s or DEFAULT_COOLDOWN_S)
            planned = await self.journal.finish_planning(run, digest, since)
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(JournalError):
                await self.journal.discard(run)
            raise
        return await self._settled(planned, taken_up=planned.number != run.number)

    async def plan_sweep(self, swept: "SweepResult", locale: str | None = None) -> Plan:
        """Plan to send what a sweep has found due, perhaps nothing; keep its findings for reports.

        Raises JournalError.
        """
        plan = await self.plan([swept.source(locale)], may_be_empty=True)
        await self.journal.note_sweep(plan.run, swept.counts, swept.stuck)
        return plan

    async def take_up(self, run_id: str | None = None) -> Plan:
        """Plan to resume a run that did not finish: the last at work for this CA, unless named.

        Raises UnknownRun where there is none, or it was completed; SettingsError where it is for
        another CA; JournalBusy where another process has it in hand.
        """
        reader = self.journal.reader
        run = unfinished(await (reader.run(run_id) if run_id else self.channels.to_resume()))
        self.channels.refuse_elsewhere(run, await reader.count_by_account(run))
        await self.journal.claim(run)
        return await self._settled(run, taken_up=True)

    async def preflight(
        self, plan: Plan, most: int | None = None, *, any_product: bool = False
    ) -> Plan:
        """Ask the CA about what is to be sent: leave out what waits for no mail.

        What would mail others than it asks for is refused. `most`: so many are to be sent now, and
        no more are asked about than it takes to find them. `any_product`: what is not DV is sent by
        the order call, too. Whatever ends it, what was learned is kept, and the run can be taken
        up. An account whose key is refused sends nothing then (`stopped_keys`), nor does one of
        several that cannot be read. Raises CallError where the CA cannot be read, JournalError.
        """
        from batch_resend.preflight import ask_beforehand  # noqa: PLC0415 - slow; most runs send only

        await self.journal.note_preflight(plan.run, is_due=True)
        try:
            stopped = self.stopped_keys
            asked, stopped = await ask_beforehand(
                self.channels, plan.run, most, any_product=any_product, stopped=stopped
            )
            self.stopped_keys |= stopped
            run = await self.journal.note_preflight(plan.run, is_due=bool(stopped or asked.to_ask))
        except BaseException:
            with anyio.CancelScope(shield=True):
                why = "ended while the CA was asked what to send"
                await self.decline(plan, why, RunState.INTERRUPTED)
            raise
        return await self.current_plan(run, taken_up=plan.taken_up, asked=asked)

    async def count_stopped(self, plan: Plan) -> int:
        """Return how many of the requests to send go by keys that the preflight has stopped."""
        counts = await self.journal.reader.count_by_account(plan.run)
        keys = self.channels.keys_of(counts)
        refused = [key for key in keys if key.account.budget in self.stopped_keys]
        return sum(counts.get(name, 0) for key in refused for name in key.names)

    async def verify(self, run_id: str, *, with_names: bool | None = None) -> Checked | None:
        """Ask the CA what has come of the orders that a run has mailed, or may have; keep that.

        `with_names`: also which of their names are approved (None: where few orders wait); see
        `verification`. None: the run has mailed none. Raises UnknownRun, SettingsError where it is
        for another CA, KeyRefused, CallError where that cannot be read.
        """
        from batch_resend.verification import verify  # noqa: PLC0415 - slow; not for sending

        run = await self.reader.run(run_id)
        return await verify(self.channels, run, with_names=with_names)

    async def mailed(self) -> dict[str, Mailed]:
        """Return how often orders of the command's own account were mailed, and when last."""
        settings = self.settings
        return await self.reader.mails(settings.base_url, self._clock, settings.budget)

    async def note_waiting(self, run: Run, waiting: Set[str]) -> None:
        """Keep, for a run's report, which of the orders it has mailed still wait.

        `waiting` has the numbers of all that do, as the CA's list tells: that costs no request.
        """
        from batch_resend.verification import look_whether_waiting  # noqa: PLC0415 - slow; not for sending

        await self.journal.note_checks(run, await look_whether_waiting(self.reader, run, waiting))

    async def discard(self, plan: Plan) -> None:
        """Forget a plan that is not to be sent; a run taken up stays as it is."""
        if not plan.taken_up:
            await self.journal.discard(plan.run)

    async def decline(self, plan: Plan, reason: str, state: RunState = RunState.STOPPED) -> None:
        """End a run before anything of it is sent; a later run may take it up."""
        await self.journal.finish(plan.run, state, reason)

    @asynccontextmanager
    async def send(self, plan: Plan, most: int | None = None) -> AsyncIterator["RunHandle"]:
        """Send what is planned; iterate the outcomes as they come.

        Leaving the block early lets nothing more leave, and waits for what is in flight. `most`:
        send no more requests, of all accounts by turns, and leave the rest to another `send`, or to
        the run that resumes it.
        """
        async with AsyncExitStack() as sessions:
            senders = await self.channels.senders(plan.run, self.stopped_keys, sessions)
            first = await first_part(self.reader, plan.run, most)
            held_back = first.hold_back(senders) if first else 0
            deliver, outcomes = anyio.create_memory_object_stream[Outcome](_OUTCOMES_WAITING)
            sending = RunHandle(senders, outcomes)
            with deliver:
                work = [
                    asyncio.create_task(sender.run(pending, deliver.clone()))
                    for sender, pending in pending_of(self.reader, plan.run, senders, first)
                ]
            # Beside the first request: at the end of a long run the program's files may be others.
            prepared = asyncio.create_task(asyncio.to_thread(prepare_report))
            watch = asyncio.create_task(self.journal.watch(sending.lose))
            try:
                yield sending
            finally:
                outcomes.close()
                watch.cancel()
                with anyio.CancelScope(shield=True):
                    if not all(task.done() for task in work):
                        sending.stop(LEFT_EARLY)
                    await asyncio.wait([*work, prepared])
                    if error := prepared.exception():
                        log.warning("the report may not be written: %r", error)
                    if held_back:
                        sending.note_held_back(held_back)
                    await self._note_end(plan.run, sending)
            for task in work:
                task.result()

    def order_reader(
        self, name: str | None = None, purpose: Purpose | None = None
    ) -> "AbstractAsyncContextManager[OrderReader]":
        """Open a way to read which orders an account has; see `Channels.order_reader`."""
        return self.channels.order_reader(name, purpose)

    async def report(
        self, run: Run, folder: Path, presentation: Presentation | None = None
    ) -> Summary:
        """Write the report of a run into `folder`. Raises ReportError, JournalError."""
        reader, how = self.journal.reader, presentation or Presentation()
        return await write_report(reader, await reader.run(run.id), folder, how)

    async def live_report(
        self, plan: Plan, folder: Path, presentation: Presentation | None = None
    ) -> LiveReport:
        """Return what keeps a report of a run while it is sent: `keep` it beside `send`.

        Made before sending begins. Raises JournalError.
        """
        how = presentation or Presentation()
        live = await live_report(self.journal.reader, plan, folder, how, self._clock)
        ages_s = chain.from_iterable(ages for *_, ages in await self.channels.left(plan.run))
        return replace(live, schedule=Schedule(parse_windows(plan.limits), ages_s))

    @property
    def reader(self) -> JournalReader:
        """What the journal tells. Not to be used while sending: it reads for the sender then."""
        return self.journal.reader

    async def current_plan(self, run: Run, *, taken_up: bool, asked: Asked | None = None) -> Plan:
        """Return the plan of a run as the journal has it now."""
        asked = asked or Asked()
        left = await self.channels.left(run, asked.to_ask)
        return await plan_of(self.reader, run, left, taken_up=taken_up, asked=asked)

    async def _settled(self, run: Run, *, taken_up: bool) -> Plan:
        """Settle what of a run is settled before anything is sent; return its plan."""
        if taken_up:
            await self.journal.note_settings(run, self.settings.snapshot())
        hold_doubts = self.settings.in_doubt is InDoubt.HOLD
        await self.journal.settle(run, self.settings.cooldown_s, hold_doubts=hold_doubts)
        return await self.current_plan(run, taken_up=taken_up)

    async def _note_end(self, run: Run, sending: RunHandle) -> None:
        state, reason = sending.state, sending.stop_reason
        if not sending.finished and reason is None:
            state, reason = RunState.STOPPED, "internal error of batch-resend"
        if (lost := await self.journal.loss()) is not None:
            # Whatever was sent: the next run would not know of it.
            state, reason = RunState.STOPPED, lost
            sending.lose(lost)
        try:
            await self.journal.finish(run, state, reason)
        except JournalError as error:
            # The next start finds the run cut off, and resumes it.
            sending.lose(str(error))


def unfinished(run: Run | None) -> Run:
    """Return a run that can be resumed. Raises UnknownRun."""
    if run is None:
        raise UnknownRun("no run is unfinished; `batch-resend runs` lists all")
    if run.state is RunState.COMPLETED:
        raise UnknownRun(f"run {run.id} is complete: nothing is left to send")
    return run


async def resend(
    rows: Source | Iterable[Given] | AsyncIterable[Given],
    settings: Settings,
    *,
    on_outcome: Callable[[Outcome], object] | None = None,
    report_dir: Path | None = None,
) -> Summary:
    """Plan rows, send every order's mails once, and return what came of it, in numbers.

    `rows` are mappings with the names of a list's columns, or a source such as `ListSource(path)`.
    `on_outcome`, a function or a coroutine function, is called with each outcome, once it is on
    disk. What it raises ends the run, which the next call with the same rows resumes.
    `report_dir`: where to write the report, if that is wanted.

    Raises InputError where there is no row or a list cannot be read, JournalError, JournalBusy
    where another process has the journal, SettingsError, ReportError. An order that fails is no
    error: it is counted.
    """
    source = rows if isinstance(rows, Source) else RecordSource(rows)
    async with open_batch(settings) as batch:
        plan = await batch.plan([source])
        async with batch.send(plan) as sending:
            async for outcome in sending:
                noted = None if on_outcome is None else on_outcome(outcome)
                if isawaitable(noted):
                    await noted
        if report_dir is not None:
            return await batch.report(plan.run, report_dir)
        return await make_summary(batch.reader, await batch.reader.run(plan.run.id))
