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
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
    Set,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from inspect import isawaitable
from pathlib import Path

import anyio

from batch_resend.calls import CALLS
from batch_resend.channels import Channels, RunHandle, first_of, hold_back, route_to
from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import CallError, JournalError, KeyRefused, UnknownRun
from batch_resend.intake import Given, RecordSource, Source
from batch_resend.journal import (
    Checked,
    Endpoint,
    Journal,
    JournalReader,
    Mailed,
    OrderCheck,
    Purpose,
    Terms,
    open_journal,
)
from batch_resend.model import Outcome, Plan, PlannedRequest, Run, RunState
from batch_resend.order_reader import OrderReader
from batch_resend.planning import Objection, Part, make_plan, object_to, stage
from batch_resend.report import (
    Presentation,
    Summary,
    make_summary,
    prepare_report,
    write_report,
)
from batch_resend.sending import Reader, Sender, ask_each
from batch_resend.settings import DEFAULT_COOLDOWN_S, InDoubt, Key, Settings
from batch_resend.sweep import SweepResult
from batch_resend.verification import look_up, look_whether_waiting
from batch_resend.windows import joint

log = logging.getLogger(__name__)

_OUTCOMES_WAITING = 1_000  # for whoever iterates; beyond it sending waits
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
        self._channels = Channels(settings, journal, clock)
        self.stopped_keys: dict[str, str] = {}  # by budget: why nothing by it is to be sent
        self.reading: list[Reader] = []  # what is asked of the CA now, by key

    async def plan(self, sources: Sequence[Source], *, may_be_empty: bool = False) -> Plan:
        """Read all rows into the journal and make requests of them. Nothing is sent.

        The plan is that of a new run, or of an unfinished one of just the same requests.
        Raises JournalError; InputError where a list cannot be read, or no row is there.
        """
        settings = self.settings
        run, staging = await self.journal.new_run(
            settings.base_url, settings.windows, settings.snapshot()
        )
        accounts = {name: settings.account(name) for name in settings.names}
        parties = {name: Endpoint(one.base_url, one.budget) for name, one in accounts.items()}
        try:
            keyed = None not in settings.names
            await stage(sources, staging, each_names_an_account=keyed, may_be_empty=may_be_empty)
            planned = await self.journal.finish_planning(
                run, staging, self._take_up_since(), parties
            )
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(JournalError):
                await self.journal.discard(run)
            raise
        return await self._plan_of(planned, taken_up=planned.number != run.number)

    async def plan_sweep(self, swept: SweepResult, locale: str | None = None) -> Plan:
        """Plan to send what a sweep has found due, perhaps nothing; keep its findings for reports.

        Raises JournalError.
        """
        plan = await self.plan([swept.source(locale)], may_be_empty=True)
        await self.journal.note_sweep(plan.run, swept.counts, swept.stuck)
        return plan

    async def take_up(self, run_id: str | None = None) -> Plan:
        """Plan to resume a run that did not finish: the newest, unless named.

        Raises UnknownRun where there is none, or it was completed; SettingsError where it is for
        another CA; JournalBusy where another process has it in hand.
        """
        reader = self.journal.reader
        run = await (reader.run(run_id) if run_id else reader.latest_unfinished())
        if run is None:
            raise UnknownRun("no run is unfinished; `batch-resend runs` lists all")
        if run.state is RunState.COMPLETED:
            raise UnknownRun(f"run {run.id} is complete: there is nothing to go on with")
        self._channels.refuse_elsewhere(run, await reader.count_by_account(run))
        await self.journal.claim(run)
        return await self._plan_of(run, taken_up=True)

    async def preflight(self, plan: Plan, *, any_product: bool = False) -> Plan:
        """Ask the CA about what is to be sent: leave out what waits for no mail.

        What would mail others than it asks for is refused. `any_product`: what is not DV is sent
        by the order call, too.

        Each account's requests are asked about beside each other, within its limits; whatever ends
        it, what was learned is kept, and the run can be taken up. An account whose key is refused
        sends nothing then (`stopped_keys`), nor does one of several that cannot be read; neither
        keeps others from their mails. Raises CallError where the CA cannot be read, JournalError.
        """
        reader = self.journal.reader
        counts = await reader.count_by_account(plan.run)
        keys = self.settings.keys(counts)
        objections: list[Objection] = []

        async def ask(key: Key) -> None:
            requests = reader.pending(plan.run, key.names)
            count = sum(counts.get(name, 0) for name in key.names)
            try:
                async with self.order_reader(key.names[0], Purpose.PREFLIGHT) as order_reader:
                    await object_to(
                        order_reader, requests, count, objections.append, any_product=any_product
                    )
                    await order_reader.reader.forget()
            except CallError as error:
                if len(keys) == 1 and not isinstance(error, KeyRefused):
                    raise
                # Unasked, it might mail others than its rows ask for.
                self.stopped_keys[key.account.budget] = str(error)

        try:
            await ask_each(keys, ask)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._object(plan.run, objections)
                await self.decline(plan, "ended before anything was sent", RunState.INTERRUPTED)
            raise
        await self._object(plan.run, objections)
        return await make_plan(reader, plan.run, self._parts, taken_up=plan.taken_up)

    async def _object(self, run: Run, objections: Sequence[Objection]) -> None:
        """Settle what is not to be sent."""
        await self.journal.skip(
            run, [(one.number, one.reason) for one in objections if not one.would_widen]
        )
        await self.journal.refuse(
            run, [(one.number, one.reason) for one in objections if one.would_widen]
        )

    async def count_stopped(self, plan: Plan) -> int:
        """Return how many of the requests to send go by keys that the preflight has stopped."""
        counts = await self.journal.reader.count_by_account(plan.run)
        refused = [key for key in self._keys(counts) if key.account.budget in self.stopped_keys]
        return sum(counts.get(name, 0) for key in refused for name in key.names)

    async def verify(self, run_id: str, *, with_names: bool | None = None) -> Checked | None:
        """Ask the CA what has come of the orders that a run has sent; keep that for its report.

        `with_names`: also which of their names are approved (None: where few orders wait); see
        `verification`. None: the run has sent none. Raises UnknownRun, SettingsError where it is
        for another CA, KeyRefused, CallError where that cannot be read.
        """
        reader = self.journal.reader
        run = await reader.run(run_id)
        self._channels.refuse_elsewhere(run, await reader.accounts(run))
        sent: dict[str, dict[str, list[int]]] = {}  # by key: an order's requests, one a language
        async for number, order in reader.sent_requests(run):
            if not CALLS[order.call].is_about_domain:  # a domain may be of many orders, or none
                key = self.settings.key(order.account)
                orders = sent.setdefault(key.account.budget, {})
                orders.setdefault(order.subject, []).append(number)
        found: dict[int, OrderCheck] = {}
        since_s = self._clock() - (run.started_at or run.created_at)
        errors: list[CallError] = []

        async def ask(key: Key) -> None:
            requests = sent.get(key.account.budget, {})

            def note(order_id: str, check: OrderCheck) -> None:
                found.update(dict.fromkeys(requests[order_id], check))

            try:
                async with self.order_reader(key.names[0]) as order_reader:
                    await look_up(order_reader, requests, since_s, note, with_names=with_names)
            except CallError as error:
                errors.append(error)  # the other accounts are asked all the same
                if len(sent) > 1:
                    log.error("account %s: %s", key.title, error)

        try:
            keys = self.settings.keys(self.settings.names)
            await ask_each([key for key in keys if key.account.budget in sent], ask)
        finally:
            # Whatever ends it, hours of answers are not lost.
            with anyio.CancelScope(shield=True):
                await self.journal.note_checks(run, found)
        if errors:
            raise errors[0]
        return await reader.checked(run)

    async def mailed(self) -> dict[str, Mailed]:
        """Return how often orders of the command's own account were mailed, and when last."""
        settings = self.settings
        return await self.reader.mails(settings.base_url, self._clock, settings.budget)

    async def note_waiting(self, run: Run, waiting: Set[str]) -> None:
        """Keep, for a run's report, which of the orders it has sent still wait.

        `waiting` has the numbers of all that do, as the CA's list tells: that costs no request.
        """
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
        send no more requests, and leave the rest to another `send`, or to whoever takes it up.
        """

        def pending_of(sender: Sender) -> AsyncIterator[PlannedRequest]:
            pending = self.reader.pending(plan.run, sender.channel.names)
            return first_of(pending, sender.progress.total) if held_back else pending

        async with AsyncExitStack() as sessions:
            senders = await self._senders(plan, sessions)
            held_back = 0 if most is None else hold_back(senders, most)
            deliver, outcomes = anyio.create_memory_object_stream[Outcome](_OUTCOMES_WAITING)
            sending = RunHandle(senders, outcomes)
            with deliver:
                work = [
                    asyncio.create_task(sender.run(pending_of(sender), deliver.clone()))
                    for sender in senders
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

    async def _senders(self, plan: Plan, sessions: AsyncExitStack) -> list[Sender]:
        """Return a sender for each key that has something to send, or for the command's own."""
        reader = self.journal.reader
        keys = await self.keys_of(plan)
        shared = await sessions.enter_async_context(self.journal.shared_limiters())
        channels = [await self._channels.open_channel(key, shared, sessions) for key in keys]
        recorder = await self.journal.start(plan.run, self.terms(keys))
        left = await reader.count_by_account(plan.run)  # some are settled by what others did
        senders = [
            self._channels.sender(channel, recorder, sum(left.get(n, 0) for n in channel.names))
            for channel in channels
        ]
        for sender, key in zip(senders, keys, strict=True):
            if why := self.stopped_keys.get(key.account.budget):
                sender.stop(RunState.STOPPED, why)
        return senders

    async def keys_of(self, plan: Plan) -> list[Key]:
        """Return the keys by which something of a plan is to be sent."""
        return self._keys(await self.reader.count_by_account(plan.run))

    def _keys(self, names: Collection[str | None]) -> list[Key]:
        """Return the keys of accounts; of none the first that there is, which then has no work."""
        return self.settings.keys(names or self.settings.names[:1])

    def terms(self, keys: Sequence[Key]) -> Terms:
        """Return on what terms a run is sent by these keys."""
        return Terms(
            windows=joint([key.windows for key in keys]),
            settings=self.settings.snapshot(),
            budgets={name: key.account.budget for key in keys for name in key.names},
            cooldown_s=self.settings.cooldown_s,
            hold_doubts=self.settings.in_doubt is InDoubt.HOLD,
        )

    @asynccontextmanager
    async def order_reader(
        self, name: str | None = None, purpose: Purpose | None = None
    ) -> AsyncIterator[OrderReader]:
        """Open a way to read which orders an account has. Raises JournalError, SettingsError.

        One a key at a time, and not while sending: each keeps the limits of its key by itself. For
        a purpose, answers are kept: one that is cut off does not ask for them again.
        """
        key = self.settings.key(name)
        account = key.account
        recorder = await self.journal.start_reading(account.base_url, account.budget, purpose)
        async with AsyncExitStack() as sessions:
            shared = await sessions.enter_async_context(self.journal.shared_limiters())
            channel = await self._channels.open_channel(key, shared, sessions)
            reader = self._channels.reader(channel, recorder)
            self.reading.append(reader)
            try:
                yield OrderReader(reader)
            finally:
                self.reading.remove(reader)

    async def report(
        self, run: Run, folder: Path, presentation: Presentation | None = None
    ) -> Summary:
        """Write the report of a run into `folder`. Raises ReportError, JournalError."""
        reader = self.journal.reader
        return await write_report(
            reader, await reader.run(run.id), folder, presentation or Presentation()
        )

    @property
    def reader(self) -> JournalReader:
        """What the journal tells. Not to be used while sending: it reads for the sender then."""
        return self.journal.reader

    async def _plan_of(self, run: Run, *, taken_up: bool) -> Plan:
        holds, cooldown_s = self.settings.in_doubt is InDoubt.HOLD, self.settings.cooldown_s
        await self.journal.settle(run, cooldown_s, hold_doubts=holds)
        return await make_plan(self.journal.reader, run, self._parts, taken_up=taken_up)

    def _parts(self, counts: Mapping[str | None, int]) -> list[Part]:
        return [
            (sum(counts.get(name, 0) for name in key.names), key.windows)
            for key in self._keys(counts)
        ]

    def _take_up_since(self) -> float:
        """Return since when a run must have been at work to be resumed.

        What an older one had acknowledged may be sent again by now, so it would leave out too
        much. `--again` says nothing of runs that did not finish.
        """
        return self._clock() - (self.settings.cooldown_s or DEFAULT_COOLDOWN_S)

    async def journal_loss(self) -> str | None:
        """Return what has become of the journal since it was opened, and what to do; None: nothing.

        Once it is lost, the next run of the same lists would mail all of them again.
        """
        return await self.journal.loss()

    async def _note_end(self, run: Run, sending: RunHandle) -> None:
        state, reason = sending.state, sending.stop_reason
        if not sending.finished and reason is None:
            state, reason = RunState.STOPPED, "an error in batch-resend itself"
        if (lost := await self.journal.loss()) is not None:
            # Whatever was sent: the next run would not know of it.
            state, reason = RunState.STOPPED, lost
            sending.lose(lost)
        try:
            await self.journal.finish(run, state, reason)
        except JournalError as error:
            # The next start finds the run cut off, and resumes it.
            sending.lose(str(error))


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
