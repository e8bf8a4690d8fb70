"""A world with several hosts from its beginning to its end: their processes, side by side."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import anyio

from batch_resend.batch import Batch, open_batch
from batch_resend.channels import Channels
from batch_resend.cluster import leases, slots
from batch_resend.cluster.leases import runs_with_workers
from batch_resend.cluster.worker import Worker
from batch_resend.errors import BatchResendError, JournalError, UnknownRun
from batch_resend.intake import ListSource
from batch_resend.journal import open_journal
from batch_resend.journal.recording import Recorder
from batch_resend.model import Outcome, Plan, RequestStatus, RunState
from batch_resend.settings import Settings
from tests.worlds.ca import FIRST_ORDER, Client, ModelCA
from tests.worlds.database import (
    KEEPALIVE_S,
    WorldDatabase,
    asked_in_the_world,
)
from tests.worlds.host import EPOCH_S, Host, WorldClock, in_the_world
from tests.worlds.hosts import HostPlan, HostsWorld, Part, Role
from tests.worlds.lists import Row, first_list, reading_of, requests_of, settings_of, written
from tests.worlds.queue_model import HostQueue, ModelQueue
from tests.worlds.run import CALM_STARTS, History, Process
from tests.worlds.server import PreparedServer
from tests.worlds.spec import Blow, How, Start, Strike
from tests.worlds.together import HostLoop, HostOutside, Together

LEAST_IN_A_CHUNK = 3  # requests: a world's lists are short
AGAIN_AFTER_S = 2.0  # the database being gone, as `worker` waits
LOOK_EVERY_S = 5.0
LONGEST_CALM_S = 20_000.0  # in which workers end what is left, once all is well


@dataclass(eq=False)
class SharedHistory(History):
    """All that is known of a world with several hosts."""

    hosts: HostsWorld = field(kw_only=True)
    database: WorldDatabase = field(kw_only=True)
    roles: dict[int, Role] = field(default_factory=dict)  # of processes
    # When it was asked and heard, of which budget, what, by which process.
    shares: list[tuple[float, float, str, float, int]] = field(default_factory=list)

    def met(self) -> Iterator[tuple[str, Hashable]]:
        yield from super().met()
        yield from (("database", kind) for kind in set(self.database.met))

    def trace(self) -> list[object]:
        return [*super().trace(), self.shares]

    def processes_of(self, run: str) -> set[int]:
        """Of one run alone it is known that workers sent it."""
        found = super().processes_of(run)
        roles = self.roles.items()
        by_workers = {
            p.run.id for p in self.processes
            if p.run is not None and self.roles[p.number] is Role.DISTRIBUTOR
        }  # fmt: skip
        if run not in by_workers:
            return found
        workers = {number for number, role in roles if role is Role.WORKER}
        return found | workers if len(by_workers) == 1 else set()


@dataclass(eq=False)
class _Host(Host):
    """A process of one host among others."""

    number: int = field(kw_only=True)
    process: Process = field(kw_only=True)
    database: WorldDatabase = field(kw_only=True)

    def _make_loop(self) -> HostLoop:
        assert isinstance(self.outside, HostOutside)
        loop = HostLoop(
            self.outside, self.seed, self.number, self.process, timers_first=self.timers_first
        )
        self.own_loop = loop
        return loop

    def _strike(self, strike: Strike) -> None:
        super()._strike(strike)
        if self._crashed is not None and not self.own_loop.is_dead:
            self.own_loop.is_dead = True
            assert isinstance(self.outside, HostOutside)
            self.outside.thaw()
            # A process that is killed closes its connections; a host without power does not.
            silent_s = KEEPALIVE_S if self._crashed is Blow.POWER_LOSS else 0.0
            self.database.lose_host(self.own_loop, silent_s)
        if strike.blow is Blow.SUSPEND and strike.for_s > KEEPALIVE_S:
            lose = partial(self.database.give_up, self.number)
            self.outside.after(KEEPALIVE_S, lose)

    def _unwind(self, loop: Any, task: Any) -> None:
        self.database.unwind(loop)
        super()._unwind(loop, task)


class HostsRun:
    """Runs one world, in a folder of its own."""

    def __init__(self, world: HostsWorld, server: PreparedServer, folder: Path) -> None:
        self.world = world
        self.base = world.whole
        self.folder = folder
        self.outside = Together(world.base.seed)
        self.ca = ModelCA(self.base, self.outside)
        self.database = WorldDatabase(
            server, world.base.seed, self.outside, EPOCH_S, world.database
        )
        self.queue = ModelQueue(world.base.seed, self.database)
        self.history = SharedHistory(self.base, self.ca, hosts=world, database=self.database)
        self._dice = random.Random(f"{world.base.seed}/run")
        self._rows = first_list(self.base, self._dice)
        self._is_calm = False

    def run(self) -> SharedHistory:
        """Return what happened."""
        server = self.database.server
        server.empty()
        server.define(slots.define_take_slots)  # as it is now: a fault may be put back
        with in_the_world(self.world.base.seed, self.outside), self._observed():
            try:
                for number, host in enumerate(self.world.hosts):
                    self.outside.begin(partial(self._live, number, host))
                self.outside.run()
                self.ca.calm = self.database.calm = self._is_calm = True
                self.outside.begin(self._live_calmly)
                self.outside.run()
            finally:
                self.database.end_all()
        return self.history

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Have psycopg ask in the world; note what is told and granted."""
        with ExitStack() as stack:
            stack.enter_context(asked_in_the_world(self.database))
            for owner, name, instead in (
                (leases, "LEAST", LEAST_IN_A_CHUNK),
                (Recorder, "end", _noting(Recorder.end, self._note_end)),
                (slots.Slots, "_ask", _noting(slots.Slots._ask, self._note_grant)),
            ):
                stack.enter_context(mock.patch.object(owner, name, instead))
            yield

    def _note_end(self, _asked_at: float, _made: Any, *given: Any) -> None:
        outcome = given[-1]
        if isinstance(outcome, Outcome):
            loop: Any = asyncio.get_running_loop()
            loop.process.heard.append((self.outside.now, outcome))

    def _note_grant(self, asked_at: float, grant: slots.Grant, _own: Any, *given: Any) -> None:
        loop: Any = asyncio.get_running_loop()
        found = asked_at, self.outside.now, str(given[0]), grant.share, loop.process.number
        self.history.shares.append(found)

    # --- hosts and processes ------------------------------------------------------------------

    def _live(self, number: int, host: HostPlan) -> None:
        """Run the processes of a host, one after another."""
        for start in host.starts:
            self._one(number, host, start)

    def _live_calmly(self) -> None:
        """Once all is well, have everything sent that is left."""
        number, start = len(self.world.hosts), Start(How.SAME, 400.0)
        if any(host.role is Role.DISTRIBUTOR for host in self.world.hosts):
            self._one(number, HostPlan(Role.WORKER, (start,), stays_s=LONGEST_CALM_S), start)
        for _ in range(CALM_STARTS):
            process = self._one(number, HostPlan(Role.SENDER, (start,)), start)
            if self._is_whole(process):
                self.history.ended = True
                break

    def _one(self, number: int, host: HostPlan, start: Start) -> Process:
        client = Client(len(self.history.processes) + 1, is_struck=bool(start.strikes))
        outside = HostOutside(self.outside, lambda: setattr(self.ca, "client", client))
        outside.pass_time(start.gap_s)
        client.number = len(self.history.processes) + 1
        process = Process(client.number, start, self._is_calm, self.outside.now)
        self.history.processes.append(process)
        self.history.roles[process.number] = host.role
        one = _Host(
            f"{self.base.seed}/{process.number}", outside, self.ca, None, client,  # type: ignore[arg-type]
            start.strikes, self.base.timers_first,
            number=number, process=process, database=self.database, woke_at=process.woke_at,
            left_late=process.left_late,
        )  # fmt: skip
        clock = WorldClock(outside, f"boot of {number}", EPOCH_S + start.clock_skew_s, one.look)
        try:
            process.crashed = one.live(partial(self._job, process, host, clock, one))
        except BatchResendError as error:
            process.error = error
        finally:
            if not process.crashed:  # else the database hears of it when it does
                self.database.lose_host(one.own_loop, 0.0)
            process.ended_at = self.outside.now
            process.struck = tuple(f"{s.blow}@{s.on}" for s in one.struck)
        return process

    async def _job(self, process: Process, host: HostPlan, clock: WorldClock, one: _Host) -> None:
        settings = settings_of(self.base, self.database.server.database)
        if host.role is Role.WORKER:
            await self._work(process, settings, clock, host.stays_s)
            return
        async with open_batch(settings, clock) as batch:
            plan = process.plan = await self._plan(batch, process, host.part)
            process.run = plan.run
            if host.role is Role.DISTRIBUTOR and plan.to_send:
                await HostQueue(self.queue).add(await leases.distribute(batch, plan))
                process.state = RunState.RUNNING
                return
            async with batch.send(plan) as sending:
                one.on_interrupt = partial(sending.stop, "interrupted")
                async for _ in sending:
                    pass
            process.state, process.stop_reason = sending.state, sending.stop_reason
            process.error = next(
                (s.journal_error for s in sending.senders if s.journal_error), None
            )
            if process.calm:
                await self._read_results(batch, process, plan)

    async def _plan(self, batch: Batch, process: Process, part: Part) -> Plan:
        if process.start.how is How.RESUME:
            with suppress(UnknownRun):
                return await batch.take_up()
        process.has_planned = True
        return await batch.plan(
            [ListSource(str(self._list_for(process, part)), reading_of(self.base))]
        )

    async def _work(
        self, process: Process, settings: Settings, clock: WorldClock, stays_s: float
    ) -> None:
        """Work for a while, as `worker` does: begin again whenever the database was gone."""
        ends_at, opened = self.outside.now + stays_s, False
        while self.outside.now < ends_at:
            try:
                async with open_journal(settings.journal, clock, "worker") as journal:
                    opened = True
                    channels = Channels(settings, journal, clock)
                    worker = Worker(channels, HostQueue(self.queue), self.world.jobs)  # type: ignore[arg-type]
                    async with _watched(worker, partial(self._is_over, worker, journal, ends_at)):
                        await worker.run()
                    break
            except JournalError as error:
                process.error = error
                if not opened:
                    raise
                await anyio.sleep(AGAIN_AFTER_S)
        process.state = RunState.INTERRUPTED

    async def _is_over(self, worker: Worker, journal: Any, ends_at: float) -> bool:
        """Whether a worker is to end: its time is over, or nothing is left where all is well."""
        if self.outside.now >= ends_at:
            return True
        return self._is_calm and not await runs_with_workers(journal.reader)

    async def _read_results(self, batch: Batch, process: Process, plan: Plan) -> None:
        reader = batch.reader
        for one in await reader.runs():
            self.history.results[one.id] = [result async for result in reader.results(one)]
            if one.id == plan.run.id:
                process.rows_read = sum((await reader.tally(one)).rows.values())

    # --- what a process is given --------------------------------------------------------------

    def _list_for(self, process: Process, part: Part) -> Path:
        rows = _part_of(self._rows, part)
        if process.start.how is How.SHUFFLED:
            rows = self._dice.sample(rows, len(rows))
        self.history.asked_for |= requests_of(self.base, rows)
        process.rows = rows
        path = self.folder / f"list-{process.number}.csv"
        path.write_text(written(self.base, rows), encoding="utf-8", newline="")
        return path

    def _is_whole(self, process: Process) -> bool:
        """Whether every order of all lists has what it can have."""
        if process.state is not RunState.COMPLETED or process.rows_read is None:
            return False
        good = {RequestStatus.SENT, RequestStatus.SKIPPED, RequestStatus.REFUSED}
        if self.base.hold:
            good.add(RequestStatus.IN_DOUBT)
        sick = {str(FIRST_ORDER + number) for number in self.base.sick}
        assert process.run is not None
        results = self.history.results[process.run.id]
        return all(one.result.status in good or one.order.subject in sick for one in results)


def _part_of(rows: list[Row], part: Part) -> list[Row]:
    """Return the rows of some orders: all rows of an order are in a list, or none."""
    orders = sorted({row[0] for row in rows})
    most = max(1, 2 * len(orders) // 3)
    chosen = {
        Part.ALL: orders,
        Part.FIRST: orders[:most],
        Part.LAST: orders[-most:],
        Part.EVEN: orders[::2],
        Part.ODD: orders[1::2] or orders,
    }[part]
    return [row for row in rows if row[0] in chosen]


@asynccontextmanager
async def _watched(worker: Worker, is_over: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    async def watch() -> None:
        with suppress(JournalError):
            while not await is_over():  # noqa: ASYNC110 - the journal tells of no event
                await anyio.sleep(LOOK_EVERY_S)
            worker.stop()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def _noting(real: Any, note: Callable[..., None]) -> Any:
    async def noted(*given: Any) -> Any:
        asked_at = asyncio.get_running_loop().outside.now  # type: ignore[attr-defined]
        made = await real(*given)
        note(asked_at, made, *given)
        return made

    return noted


def run_hosts(world: HostsWorld, server: PreparedServer) -> SharedHistory:
    """Run a world; what it wrote is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        return HostsRun(world, server, Path(folder)).run()
