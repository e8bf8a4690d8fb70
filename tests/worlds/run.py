"""A world from its beginning to its end: its processes, one after another, and what they left."""

import gc
import itertools
import random
import sqlite3
import tempfile
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from batch_resend.batch import Batch, open_batch
from batch_resend.channels import RunHandle
from batch_resend.errors import BatchResendError, CallError, UnknownRun
from batch_resend.intake import ListSource, Source
from batch_resend.journal import Purpose
from batch_resend.model import Outcome, Plan, RequestStatus, Run, RunState
from batch_resend.results import RequestResult
from batch_resend.sending import Progress
from batch_resend.settings import Settings
from batch_resend.sweep import Rules, sweep
from tests.worlds.ca import FIRST_ORDER, Asked, Client, ModelCA
from tests.worlds.disk import Disk, mounted
from tests.worlds.host import EPOCH_S, Host, WorldClock
from tests.worlds.lists import (
    Row,
    damaged,
    first_list,
    orders_alone,
    reading_of,
    requests_of,
    row_of,
    rows_in,
    settings_of,
    written,
)
from tests.worlds.loop import Outside
from tests.worlds.spec import Blow, How, Start, World

CALM_STARTS = 6  # in calm weather; far fewer bring every world to its end
REPORTED = 0.05  # of the worlds: after each process
LOOKED_AT = 0.3  # of them: what its journal says of its run, after each process, and not at the end
READING = "reading"  # what a process does at the CA that does not send


@dataclass(eq=False)
class Process:
    """What one process was given, and what came of it."""

    number: int
    start: Start
    calm: bool
    began_at: float
    rows: list[Row] | None = None  # of its list; None: nobody can say how many there are
    ended_at: float = 0.0
    crashed: Blow | None = None
    run: Run | None = None
    state: RunState | None = None
    stop_reason: str | None = None
    error: BatchResendError | None = None
    plan: Plan | None = None
    has_planned: bool = False  # rows of its own, and not resumed with those of another
    heard: list[tuple[float, Outcome]] = field(default_factory=list)
    rows_read: int | None = None  # as the report counts them
    struck: tuple[str, ...] = ()
    interrupted_at: float | None = None
    cancelled_at: float | None = None
    woke_at: list[float] = field(default_factory=list)  # when it had stood still
    left_late: list[float] = field(default_factory=list)  # when requests did, their time over
    is_second: bool = False  # began while another one stood still
    shares: tuple[float, float] | None = None  # of the own key's windows, as it began and ended
    shares_at: float = 0.0  # when it had sent
    progress: Progress | None = None  # as it had counted by then


@dataclass(eq=False)
class History:
    """All that is known of a world at its end."""

    world: World
    ca: ModelCA
    processes: list[Process] = field(default_factory=list)
    results: dict[str, list[RequestResult]] = field(default_factory=dict)  # by run
    ended: bool = False  # healthy: every order has what it can have
    asked_for: set[Asked] = field(default_factory=set)  # by lists as they were written
    # As the journal has them at the end: the order, when it began, and ended, and with what error.
    attempts: list[tuple[str, float, float | None, str | None]] = field(default_factory=list)

    def processes_of(self, run: str) -> set[int]:
        """Return the numbers of the processes that have sent of a run; none: nobody can say."""
        return {p.number for p in self.processes if p.run is not None and p.run.id == run}

    def met(self) -> Iterator[tuple[str, Hashable]]:
        """Yield what it has met, each with what that is one of."""
        policy = "hold" if self.world.hold else "retry"
        for kind, state in self.ca.met:
            yield "troubles", (kind, state, policy)
        for process in self.processes:
            yield "starts", process.start.how
            yield from (("blows", blow) for blow in process.struck)

    def trace(self) -> list[object]:
        """Return what is the same whenever a world is run again."""
        return [
            [(p.began_at, p.ended_at, p.crashed, p.state, type(p.error)) for p in self.processes],
            [(v.left_at, v.arrived_at, v.path, v.mailed, v.heard_at) for v in self.ca.visits],
        ]


class WorldRun:
    """Runs one world, in a folder of its own."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.outside = Outside(world.seed)
        self.ca = ModelCA(world, self.outside)
        self.disk = Disk(folder / "disk")
        self.history = History(world, self.ca)
        self._dice = random.Random(f"{world.seed}/run")
        self._writes_reports = self._dice.random() < REPORTED
        self._looks_often = self._dice.random() < LOOKED_AT
        self._disks = 0
        self._boots = 0
        self._batch: Batch | None = None  # of the process that runs now
        self._sending: RunHandle | None = None
        self._list = first_list(world, self._dice)
        self._on_disk.mkdir(parents=True)

    def run(self) -> History:
        """Return what happened."""
        with mounted(self.disk):
            for place, start in enumerate(self.world.starts):
                following = self.world.starts[place + 1 : place + 2]
                is_fed_back = any(one.how is How.UNSENT for one in following)
                self._one(start, writes_report=is_fed_back or self._writes_reports)
            self.ca.calm = True
            for _ in range(CALM_STARTS):
                # The clock stays as it was last: see `_readable_clocks`.
                skew_s = self.world.starts[-1].clock_skew_s
                process = self._one(Start(How.SAME, 400.0, skew_s), calm=True)
                if self._is_whole(process):
                    self.history.ended = True
                    break
        self.history.attempts = _attempts_in(self._on_disk / "journal.db")
        return self.history

    # --- one process ------------------------------------------------------------------------

    def _one(
        self, start: Start, *, calm: bool = False, writes_report: bool = False,
        journal: Path | None = None,
    ) -> Process:  # fmt: skip
        """Run a process from its beginning to its end."""
        self.outside.pass_time(start.gap_s)
        self._boots += start.reboot
        number = len(self.history.processes) + 1
        process = Process(number, start, calm, self.outside.now, is_second=journal is not None)
        self.history.processes.append(process)
        before, self._batch, self._sending = (self._batch, self._sending), None, None
        is_struck = any(one.strikes for one in self.world.starts)
        client = Client(number, state_of_run=self._state_of_run, is_struck=is_struck)
        host = Host(
            f"{self.world.seed}/{number}", self.outside, self.ca, self.disk, client,
            start.strikes, self.world.timers_first,
            woke_at=process.woke_at, left_late=process.left_late,
        )  # fmt: skip
        clock = WorldClock(
            self.outside, f"boot {self._boots}", EPOCH_S + start.clock_skew_s, host.look
        )
        host.on_crash = self._crash
        host.on_interrupt = lambda: self._interrupt(process)
        host.on_second_process = lambda: self._second(start)
        settings = settings_of(self.world, journal or self._on_disk / "journal.db")
        try:
            process.crashed = host.run(lambda: self._job(process, settings, clock, writes_report))
        except BatchResendError as error:
            process.error = error
        finally:
            self._batch, self._sending = before
            process.ended_at = self.outside.now
            process.cancelled_at = host.cancelled_at
            process.struck = tuple(f"{s.blow}@{s.on}" for s in host.struck)
        return process

    def _second(self, start: Start) -> None:
        """Run another process at the same journal, by whichever name of it."""
        real = self._on_disk / "journal.db"
        link = self.folder / "links" / str(len(self.history.processes))
        link.mkdir(parents=True)
        if self._dice.random() < 0.5:
            name = link / "journal.db"
            name.symlink_to(real)
        else:
            (link / "folder").symlink_to(real.parent)
            name = self._dice.choice((real, link / "folder" / "journal.db"))
        self._one(Start(How.SAME, 0.0, start.clock_skew_s), journal=name)

    async def _job(
        self, process: Process, settings: Settings, clock: WorldClock, writes_report: bool
    ) -> None:
        async with open_batch(settings, clock) as batch:
            self._batch = batch
            plan = process.plan = await self._plan(batch, process)
            if plan is None:
                process.state = RunState.COMPLETED  # of nothing: no order is due
                return
            process.run = plan.run
            if self.world.preflight:
                plan = process.plan = await batch.preflight(plan)
            async with batch.send(plan) as sending:
                self._sending = sending
                began = _share_of(sending)
                async for outcome in sending:
                    process.heard.append((self.outside.now, outcome))
                ended = _share_of(sending)
                process.shares = None if began is None or ended is None else (began, ended)
                process.shares_at = self.outside.now
                process.progress = sending.progress
            process.state, process.stop_reason = sending.state, sending.stop_reason
            if self.world.verify and process.state is RunState.COMPLETED:
                with suppress(CallError):  # the CA may be in trouble, too
                    await batch.verify(plan.run.id)
            if process.calm or self._looks_often:
                await self._read_results(batch, process, plan.run)
            if writes_report:
                await batch.report(plan.run, self.folder / "report")

    async def _plan(self, batch: Batch, process: Process) -> Plan | None:
        """Plan what a start is to send; None: there is nothing."""
        how = process.start.how
        if how is How.RESUME:
            with suppress(UnknownRun):
                return await batch.take_up()
        source: Source | None
        if how in (How.SWEEP, How.EXPORTED):
            find = self._due if how is How.SWEEP else self._exported
            if (source := await find(batch)) is None:
                return None
        else:
            source = ListSource(str(self._list_for(process)), reading_of(self.world))
        process.has_planned = True
        return await batch.plan([source])

    async def _due(self, batch: Batch) -> Source | None:
        """Return the orders that a sweep finds due."""
        rules = Rules(
            older_than_s=0.0, cooldown_s=batch.settings.cooldown_s, max_mails=5, max_orders=1_000
        )
        mailed, now = await batch.mailed(), batch.journal.now()
        async with batch.order_reader(purpose=Purpose.SWEEP) as order_reader:
            swept = await sweep(order_reader, mailed, rules, now)
        asked = orders_alone(self.world, (order.order_id for order in swept.due))
        self.history.asked_for |= asked
        return swept.source(None) if swept.due else None

    async def _exported(self, batch: Batch) -> Source | None:
        """Return the list that an export makes of the orders that wait."""
        async with batch.order_reader(purpose=Purpose.EXPORT) as order_reader:
            orders = [order.order_id async for order in order_reader.orders()]
            await order_reader.reader.forget()
        path = self.folder / "exported.csv"
        path.write_text("\n".join(("order_id", *orders, "")), encoding="utf-8")
        self.history.asked_for |= orders_alone(self.world, orders)
        return ListSource(str(path), reading_of(self.world)) if orders else None

    async def _read_results(self, batch: Batch, process: Process, run: Run) -> None:
        reader = batch.reader
        # Those of other runs are read once, at the end: nobody changes them before.
        runs = await reader.runs() if process.calm else [await reader.run(run.id)]
        for one in runs:
            self.history.results[one.id] = [result async for result in reader.results(one)]
            if one.id == run.id:
                process.rows_read = sum((await reader.tally(one)).rows.values())

    def _interrupt(self, process: Process) -> None:
        if self._sending is not None:  # before that, a signal is the command line's affair
            process.interrupted_at = self.outside.now
            self._sending.stop("interrupted")

    def _crash(self, blow: Blow) -> None:
        """Leave the disk to the next process as this one leaves it."""
        before = self._on_disk
        self._disks += 1
        dice = self._dice if blow is Blow.POWER_LOSS else None
        self.disk.crash(before, self._on_disk, dice)

    def _state_of_run(self) -> str:
        """Return how the process stands to the CA: reading of it, or how requests may leave."""
        if self._sending is None or self._sending.finished:
            return READING
        flows = {sender.channel.breaker.flow for sender in self._sending.senders}
        return min(flow.value for flow in flows)

    # --- what a process is given ------------------------------------------------------------

    @property
    def _on_disk(self) -> Path:
        return self.folder / "disk" / str(self._disks)

    def _list_for(self, process: Process) -> Path:
        """Return the list that a process is given, as a file."""
        rows, how = list(self._list), process.start.how
        if how is How.SHUFFLED:
            rows = self._dice.sample(rows, len(rows))
        if how is How.EDITED:
            left_out = self._dice.choice(rows)[0]
            rows = [row for row in rows if row[0] != left_out]
            rows.append(row_of(self.world.orders + len(self.history.processes)))
            self._list = list(rows)
        text = written(self.world, rows)
        unsent = self.folder / "report" / "unsent.csv"
        if how is How.UNSENT and unsent.is_file():
            fed_back = unsent.read_text(encoding="utf-8")
            if found := rows_in(fed_back):
                text, rows = fed_back, found
        self.history.asked_for |= requests_of(self.world, rows)
        process.rows = rows
        if how is How.DAMAGED:
            text, process.rows = damaged(text, self._dice), None
        path = self.folder / "list.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    def _is_whole(self, process: Process) -> bool:
        """Whether every order of its list has what it can have."""
        if process.run is None or process.rows_read is None:
            return False  # it was cut off before it could be looked at
        if process.state is not RunState.COMPLETED:
            return False
        good = {RequestStatus.SENT, RequestStatus.SKIPPED, RequestStatus.REFUSED}
        if self.world.hold:
            good.add(RequestStatus.IN_DOUBT)
        sick = {str(FIRST_ORDER + number) for number in self.world.sick}
        results = self.history.results[process.run.id]
        return all(one.result.status in good or one.order.subject in sick for one in results)


def _attempts_in(journal: Path) -> list[tuple[str, float, float | None, str | None]]:
    """Return the attempts that a journal has, read as a file; of none that can be read, none."""
    with closing(sqlite3.connect(journal)) as connection, suppress(sqlite3.OperationalError):
        return connection.execute(_ATTEMPTS).fetchall()
    return []


_ATTEMPTS = """
    SELECT requests.order_id, attempts.begun_at, attempts.ended_at, attempts.error_message
    FROM attempts
    JOIN requests ON requests.run = attempts.run AND requests.number = attempts.request
"""


def _share_of(sending: RunHandle) -> float | None:
    """Return what part of the windows of the command's own key is taken; None: it is not used."""
    own = [sender for sender in sending.senders if None in sender.channel.names]
    return own[0].channel.limiter.share if own else None


@contextmanager
def _room() -> Iterator[Path]:
    memory = Path("/dev/shm")  # where there is one, nothing of a world touches a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


_WORLDS_A_COLLECTION = 20
_worlds = itertools.count(1)  # that this process has run


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Have no collection fall into a world: it takes time, and closes what a kill left open."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if next(_worlds) % _WORLDS_A_COLLECTION == 0:
            gc.collect()  # what worlds leave makes each collection longer


def run_world(world: World) -> History:
    """Run a world; what it wrote is gone afterwards."""
    with _room() as folder, _garbage_kept():
        return WorldRun(world, folder).run()
