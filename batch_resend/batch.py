"""The whole job as a library: plan rows into a run, send it, write its report.

    async with open_batch(settings) as batch:
        plan = await batch.plan([ListSource("orders.csv")])
        async with batch.send(plan) as sending:
            async for outcome in sending:
                ...
        summary = await batch.report(plan.run, Path("report"))

It prints nothing, sets up no logging and no signal handler, and holds no global state.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.calls import CALLS
from batch_resend.census import Census, nothing_to_mail
from batch_resend.certcentral import CertCentral, Route, open_certcentral, remedy
from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import CallRefused, InputError, JournalError, UnknownRun
from batch_resend.intake import ListSource, Source
from batch_resend.journal import Checked, Journal, JournalReader, Staging, open_journal
from batch_resend.model import Outcome, Plan, RejectedRow, Row, Run, RunState, Verdict
from batch_resend.report import Presentation, Summary, prepare_report, write_report
from batch_resend.sending import Fetcher, Gate, Progress, RetryPolicy, Sender, WindowLimiter
from batch_resend.settings import DEFAULT_COOLDOWN_S, InDoubt, Settings, proxy_of_environment
from batch_resend.windows import Window, dictated_time

_ROWS_A_BATCH = 5_000
_MAX_REJECTED = 1_000_000  # beyond it a list is none, and the journal no place for it
_OUTCOMES_WAITING = 1_000  # for whoever iterates; beyond it sending waits
LEFT_EARLY = "the program stopped listening"


@asynccontextmanager
async def open_batch(settings: Settings, clock: Clock | None = None) -> AsyncIterator["Batch"]:
    """Open the journal, for this process alone. Raises JournalError, JournalBusy.

    Raises SettingsError where the environment names a proxy that cannot be used.
    """
    clock = clock or SystemClock()
    route = _route(settings)
    async with open_journal(settings.journal, clock) as journal:
        yield Batch(settings, journal, clock, route)


class Batch:
    """Plans, sends and reports runs, one at a time."""

    def __init__(self, settings: Settings, journal: Journal, clock: Clock, route: Route) -> None:
        self.settings = settings
        self._journal = journal
        self._clock = clock
        self._route = route
        self._has_sent = False

    async def plan(self, sources: Sequence[Source]) -> Plan:
        """Read all rows into the journal and make requests of them. Nothing is sent.

        The plan is that of a new run, or of an unfinished one of just the same requests.
        Raises InputError where a list cannot be read or there is no row at all, JournalError.
        """
        run, staging = await self._journal.new_run(self.settings.base_url, self.settings.windows)
        try:
            await stage(sources, staging)
            planned = await self._journal.finish_planning(run, staging, self._take_up_since())
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(JournalError):
                await self._journal.discard(run)
            raise
        return await self._plan_of(planned, taken_up=planned.number != run.number)

    async def take_up(self, run_id: str | None = None) -> Plan:
        """Plan to go on with a run that did not finish: the newest, unless named.

        Raises UnknownRun where there is none, or it was completed, or is another CA's.
        """
        reader = self._journal.reader
        run = await (reader.run(run_id) if run_id else reader.latest_unfinished())
        if run is None:
            raise UnknownRun("no run is unfinished; `batch-resend runs` lists all")
        if run.state is RunState.COMPLETED:
            raise UnknownRun(f"run {run.id} is complete: there is nothing to go on with")
        if run.base_url != self.settings.base_url:
            raise UnknownRun(
                f"run {run.id} is for {run.base_url}, not {self.settings.base_url}; "
                f"give --base-url {run.base_url} (or, if that was wrong, send its list again)"
            )
        return await self._plan_of(run, taken_up=True)

    async def preflight(self, plan: Plan) -> Plan:
        """Ask the CA about each order that is to be sent; skip those that wait for no mail.

        A request each, under the windows. Raises CallError where the CA cannot be read.
        """
        reader = self._journal.reader
        skipped: list[tuple[int, str]] = []
        async with self.census() as census:
            async for planned in reader.pending(plan.run):
                if CALLS[planned.order.call].is_about_domain:
                    continue
                try:
                    told = await census.order(planned.order.order_id)
                except CallRefused:
                    continue  # what it says of the order it will say of the mail, for the report
                if reason := nothing_to_mail(told, planned.order.call):
                    skipped.append((planned.number, reason))
        await self._journal.skip(plan.run, skipped)
        return await make_plan(reader, plan.run, self.settings.windows, taken_up=plan.taken_up)

    async def verify(self, run_id: str) -> Checked | None:
        """Ask the CA what has come of the orders that a run has sent; keep that for its report.

        A request an order, under the windows. None: the run has sent none. Raises UnknownRun,
        CallError where the CA cannot be read.
        """
        reader = self._journal.reader
        run = await reader.run(run_id)
        found: list[tuple[int, str]] = []
        statuses: dict[str, str] = {}  # of the order before: the languages of one come together
        async with self.census() as census:
            async for number, order in reader.sent_requests(run):
                if CALLS[order.call].is_about_domain:
                    continue  # it may be part of many orders, or of none
                if order.order_id not in statuses:
                    statuses = {order.order_id: await _status_of(census, order.order_id)}
                found.append((number, statuses[order.order_id]))
        await self._journal.note_checks(run, found)
        return await reader.checked(run)

    async def discard(self, plan: Plan) -> None:
        """Forget a plan that is not to be sent; a run taken up stays as it is."""
        if not plan.taken_up:
            await self._journal.discard(plan.run)

    async def decline(self, plan: Plan, reason: str) -> None:
        """Stop a run before anything of it is sent; a later run may take it up."""
        await self._journal.finish(plan.run, RunState.STOPPED, reason)

    @asynccontextmanager
    async def send(self, plan: Plan) -> AsyncIterator["Sending"]:
        """Send what is planned; iterate the outcomes as they come.

        Leaving the block early lets nothing more leave, and waits for what is in flight.
        """
        settings = self.settings
        reader = self._journal.reader
        if self._has_sent:  # what was sent since this was planned is not sent again
            plan = await self._plan_of(plan.run, taken_up=plan.taken_up)
        self._has_sent = True
        limiter = await self._limiter()
        recorder = await self._journal.start(plan.run, settings.windows, settings.told())
        deliver, outcomes = anyio.create_memory_object_stream[Outcome](_OUTCOMES_WAITING)
        async with self._certcentral() as ca:
            sender = Sender(
                resend=ca.resend,
                judge=ca.judge,
                explain=self._explain,
                recorder=recorder,
                limiter=limiter,
                gate=Gate(settings.patience_s),
                policy=self._policy(retry_in_doubt=settings.in_doubt is InDoubt.RETRY),
                concurrency=settings.concurrency,
                progress=Progress(plan.to_send),
                clock=self._clock,
            )
            work = asyncio.create_task(sender.run(reader.pending(plan.run), deliver))
            # Beside the first request: at the end of a long run the program's files may be others.
            prepared = asyncio.create_task(asyncio.to_thread(prepare_report))
            try:
                yield Sending(sender, outcomes, settings.windows)
            finally:
                outcomes.close()
                with anyio.CancelScope(shield=True):
                    if not work.done():
                        sender.stop(RunState.INTERRUPTED, LEFT_EARLY)
                    await asyncio.wait([work, prepared])
                    await self._note_end(plan.run, sender)
            work.result()

    @asynccontextmanager
    async def census(self) -> AsyncIterator[Census]:
        """Open a way to read which orders the CA has. Raises JournalError."""
        settings = self.settings
        recorder = await self._journal.start_reading(settings.base_url)
        limiter = await self._limiter()
        async with self._certcentral() as ca:
            yield Census(
                Fetcher(
                    get=ca.get,
                    judge=ca.judge,
                    explain=self._explain,
                    recorder=recorder,
                    limiter=limiter,
                    gate=Gate(settings.patience_s),
                    policy=self._policy(retry_in_doubt=True),
                    clock=self._clock,
                )
            )

    def _certcentral(self) -> AbstractAsyncContextManager[CertCentral]:
        settings = self.settings
        return open_certcentral(
            settings.base_url, settings.api_key, settings.timeout_s, self._clock, self._route
        )

    def _policy(self, *, retry_in_doubt: bool) -> RetryPolicy:
        settings = self.settings
        return RetryPolicy(
            settings.max_attempts, settings.max_elapsed_s, retry_in_doubt=retry_in_doubt
        )

    async def report(
        self, run: Run, folder: Path, presentation: Presentation | None = None
    ) -> Summary:
        """Write the report of a run into `folder`. Raises ReportError, JournalError."""
        reader = self._journal.reader
        return await write_report(
            reader, await reader.run(run.id), folder, presentation or Presentation()
        )

    @property
    def reader(self) -> JournalReader:
        """What the journal tells. Not to be used while sending: it reads for the sender then."""
        return self._journal.reader

    async def _plan_of(self, run: Run, *, taken_up: bool) -> Plan:
        settings = self.settings
        hold_doubts = settings.in_doubt is InDoubt.HOLD
        await self._journal.settle(run, settings.cooldown_s, hold_doubts=hold_doubts)
        return await make_plan(self._journal.reader, run, settings.windows, taken_up=taken_up)

    def _take_up_since(self) -> float:
        """Return since when a run must have been at work to be gone on with.

        What an older one had acknowledged may be sent again by now, so it would leave out too
        much. `--again` says nothing of runs that did not finish.
        """
        return self._clock() - (self.settings.cooldown_s or DEFAULT_COOLDOWN_S)

    async def _limiter(self) -> WindowLimiter:
        settings, windows = self.settings, self.settings.windows
        if not windows:
            return WindowLimiter(())
        # A request that was given up is taken to arrive within its own timeout again, or never.
        linger_s = settings.timeout_s
        since = self._clock() - max(window.period_s for window in windows)
        ends = await self._journal.reader.recent_ends(
            settings.base_url, since, self._clock, linger_s
        )
        now = self._clock()
        return WindowLimiter(windows, [now - end for end in ends], linger_s=linger_s)

    def _explain(self, verdict: Verdict) -> str:
        return remedy(verdict, self.settings.base_url)

    async def _note_end(self, run: Run, sender: Sender) -> None:
        state, reason = sender.state, sender.stop_reason
        if not sender.finished and reason is None:
            state, reason = RunState.STOPPED, "an error in batch-resend itself"
        try:
            await self._journal.finish(run, state, reason)
        except JournalError as error:
            # The next start finds the run cut off, and goes on with it.
            sender.state, sender.stop_reason = RunState.STOPPED, str(error)


class Sending:
    """A run on its way: iterate it for the outcomes, as they come."""

    def __init__(
        self,
        sender: Sender,
        outcomes: MemoryObjectReceiveStream[Outcome],
        windows: Sequence[Window],
    ) -> None:
        self._sender = sender
        self._outcomes = outcomes
        self.windows = windows

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self._outcomes.__aiter__()

    @property
    def progress(self) -> Progress:
        """Counts so far."""
        return self._sender.progress

    @property
    def gate(self) -> Gate:
        """Whether requests flow, and if not, why and until when."""
        return self._sender.gate

    @property
    def share(self) -> float:
        """What part of the windows is taken: all, 1, unless there was a 429 a while ago."""
        return self._sender.limiter.share

    @property
    def windows_full_for_s(self) -> float:
        """How many seconds the windows let nothing leave; infinite: not before an answer comes."""
        return self._sender.limiter.full_for_s

    @property
    def state(self) -> RunState:
        """How the run ends, as far as is known."""
        return self._sender.state

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its end; None where it does not."""
        return self._sender.stop_reason

    def stop(self, reason: str) -> None:
        """Let nothing more leave; the iteration ends once what is in flight is answered."""
        self._sender.stop(RunState.INTERRUPTED, reason)


async def _status_of(census: Census, order_id: str) -> str:
    try:
        return (await census.order(order_id)).status or "not told"
    except CallRefused:
        return "not known to the CA"


def _route(settings: Settings) -> Route:
    proxy = proxy_of_environment(settings.base_url) if settings.trust_env else None
    return Route(settings.ca_file, proxy)


async def stage(sources: Sequence[Source], staging: Staging) -> None:
    """Read all rows of all sources into the staging, a batch at a time. Raises InputError."""
    rejected = 0
    for source in sources:
        before = staging.rows_read
        async for batch in _batches(source):
            await staging.add_rows(batch)
            bad = [row for row in batch if isinstance(row, RejectedRow)]
            rejected += len(bad)
            if rejected > _MAX_REJECTED:
                raise InputError(
                    f"{source.name}, line {bad[-1].line}: more than {_MAX_REJECTED:,} rows are "
                    f"rejected, this one because {bad[-1].reason}; is this the right list, and "
                    "--map right?"
                )
        count = staging.rows_read - before
        await staging.end_input(source.name, source.sha256, source.form, count)
    if not staging.rows_read:
        raise InputError("there are no rows to send")


async def _batches(source: Source) -> AsyncIterator[list[Row | RejectedRow]]:
    """Yield the rows of a source, many at a time. A file is read beside the event loop."""
    if isinstance(source, ListSource):
        rows = iter(source)
        while batch := await anyio.to_thread.run_sync(
            lambda: list(islice(rows, _ROWS_A_BATCH)), abandon_on_cancel=True
        ):
            yield batch
    else:
        batch = []
        async for row in source:
            batch.append(row)
            if len(batch) >= _ROWS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def make_plan(
    reader: JournalReader, run: Run, windows: Sequence[Window], *, taken_up: bool
) -> Plan:
    """Return the plan of a run as the journal has it now."""
    to_send = await reader.count_pending(run)
    return Plan(
        run=run,
        taken_up=taken_up,
        rows=await reader.count_rows(run),
        orders=await reader.count_orders(run),
        settled=await reader.count_outcomes(run),
        to_send=to_send,
        duration_s=dictated_time(to_send, windows),
    )
