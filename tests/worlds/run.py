"""A world from its beginning to its end: its processes, one after another, and what they left."""

import csv
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from batch_resend.batch import Batch, open_batch
from batch_resend.channels import RunHandle
from batch_resend.errors import BatchResendError, CallError, UnknownRun
from batch_resend.intake import ListSource
from batch_resend.model import Outcome, Plan, RequestStatus, Run, RunState
from batch_resend.results import RequestResult
from batch_resend.settings import Settings, make_settings
from tests.worlds.ca import ModelCA
from tests.worlds.disk import Disk, mounted
from tests.worlds.host import EPOCH_S, Host, WorldClock
from tests.worlds.loop import Outside
from tests.worlds.spec import Blow, How, Start, World

FIRST_ORDER = 100_000_001
CALM_STARTS = 6  # in calm weather; far fewer bring every world to its end
REPORTED = 0.05  # of the worlds: after each process
LOOKED_AT = 0.3  # of them: what its journal says of its run, after each process, and not at the end
_COLUMNS = ("order_id", "domain", "email")
Rows = list[tuple[str, str, str]]


@dataclass(eq=False)
class Process:
    """What one process was given, and what came of it."""

    number: int
    start: Start
    calm: bool
    rows: Rows
    began_at: float
    ended_at: float = 0.0
    crashed: Blow | None = None
    run: Run | None = None
    state: RunState | None = None
    stop_reason: str | None = None
    error: BatchResendError | None = None
    plan: Plan | None = None
    has_planned: bool = False  # rows of its own, and not gone on with those of another
    heard: list[tuple[float, Outcome]] = field(default_factory=list)
    rows_read: int | None = None  # as the report counts them
    attempts_after_stop: int = 0
    struck: tuple[str, ...] = ()
    interrupted_at: float | None = None
    cancelled_at: float | None = None


@dataclass(eq=False)
class History:
    """All that is known of a world at its end."""

    world: World
    ca: ModelCA
    processes: list[Process] = field(default_factory=list)
    results: dict[str, list[RequestResult]] = field(default_factory=dict)  # by run
    ended: bool = False  # healthy: every order has what it can have
    stuck: str | None = None
    asked_for: set[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=set)

    def trace(self) -> list[object]:
        """Return what is the same whenever a world is run again."""
        return [
            [(p.began_at, p.ended_at, p.crashed, p.state, str(p.error)) for p in self.processes],
            [(v.left_at, v.arrived_at, v.path, v.mailed, v.heard_at) for v in self.ca.visits],
        ]


class WorldRun:
    """Runs one world, in a folder of its own."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.outside = Outside(world.seed)
        self.ca = ModelCA(world, self.outside, FIRST_ORDER)
        self.ca.state_of_run = self._state_of_run
        self.disk = Disk(folder / "disk")
        self.history = History(world, self.ca)
        self._dice = random.Random(f"{world.seed}/run")
        self._writes_reports = self._dice.random() < REPORTED
        self._looks_often = self._dice.random() < LOOKED_AT
        self._disks = 0
        self._boots = 0
        self._sending: RunHandle | None = None
        self._list = self._first_list()
        self._on_disk.mkdir(parents=True)

    def run(self) -> History:
        """Return what happened."""
        with mounted(self.disk):
            for start in self.world.starts:
                self._one(start, calm=False)
            self.ca.calm = True
            for _ in range(CALM_STARTS):
                # The clock stays as it was last: see `_readable_clocks`.
                skew_s = self.world.starts[-1].clock_skew_s
                if self._one(Start(How.SAME, 400.0, skew_s), calm=True):
                    self.history.ended = True
                    break
        return self.history

    # --- one process ------------------------------------------------------------------------

    def _one(self, start: Start, *, calm: bool) -> bool:
        """Run a process; return whether it has brought the list to a healthy end."""
        self.outside.pass_time(start.gap_s)
        self._boots += start.reboot
        number = len(self.history.processes) + 1
        rows = self._rows_for(start)
        process = Process(number, start, calm, rows, self.outside.now)
        self.history.processes.append(process)
        self.ca.begin_process(number)
        self.disk.begin_process()
        self._sending = None
        host = Host(
            f"{self.world.seed}/{number}", self.outside, self.ca, self.disk, start.strikes,
            self.world.timers_first,
        )  # fmt: skip
        host.on_crash = self._crash
        host.on_interrupt = lambda: self._interrupt(process)
        try:
            process.crashed = host.run(lambda: self._job(process))
        except BatchResendError as error:
            process.error = error
        finally:
            process.ended_at = self.outside.now
            process.cancelled_at = host.cancelled_at
            process.struck = tuple(f"{s.blow}@{s.on}" for s in host.struck)
        return process.crashed is None and process.error is None and self._is_whole(process)

    async def _job(self, process: Process) -> None:
        settings, clock = self._settings(), self._clock(process.start)
        async with open_batch(settings, clock) as batch:
            plan = process.plan = await self._plan(batch, process)
            process.run = plan.run
            if self.world.preflight:
                plan = process.plan = await batch.preflight(plan)
            async with batch.send(plan) as sending:
                self._sending = sending
                async for outcome in sending:
                    process.heard.append((self.outside.now, outcome))
            process.state, process.stop_reason = sending.state, sending.stop_reason
            if self.world.verify and process.state is RunState.COMPLETED:
                with suppress(CallError):  # the CA may be in trouble, too
                    await batch.verify(plan.run.id)
            if process.calm or self._looks_often:
                await self._read_results(batch, process)
            if self._is_reported(process):
                await batch.report(plan.run, self.folder / "report")

    def _is_reported(self, process: Process) -> bool:
        """Whether a report is written: for `unsent.csv`, and in some worlds for its own sake.

        To write one takes as long as all else that a process does.
        """
        following = self.world.starts[process.number : process.number + 1]
        return any(start.how is How.UNSENT for start in following) or self._writes_reports

    async def _plan(self, batch: Batch, process: Process) -> Plan:
        if process.start.how is How.RESUME:
            try:
                return await batch.take_up()
            except UnknownRun:
                pass
        process.has_planned = True
        return await batch.plan([ListSource(str(self._written(process.rows)))])

    async def _read_results(self, batch: Batch, process: Process) -> None:
        reader = batch.reader
        # Those of other runs are read once, at the end: nobody changes them before.
        runs = await reader.runs() if process.calm else [await reader.run(process.plan.run.id)]
        for run in runs:
            found = [result async for result in reader.results(run)]
            self.history.results[run.id] = found
            if process.run is not None and run.id == process.run.id:
                process.rows_read = sum((await reader.tally(run)).rows.values())

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
        if self._sending is None:
            return "not sending"
        return ", ".join(sender.channel.breaker.flow.value for sender in self._sending.senders)

    # --- what a process is given ------------------------------------------------------------

    @property
    def _on_disk(self) -> Path:
        return self.folder / "disk" / str(self._disks)

    def _settings(self) -> Settings:
        world = self.world
        return make_settings(
            api_key="a-key-of-a-world",
            windows=() if world.windows == ("none",) else world.windows,
            journal=self._on_disk / "journal.db",
            timeout_s=world.timeout_s,
            concurrency=world.concurrency,
            in_doubt="hold" if world.hold else "retry",
            max_attempts=world.max_attempts,
            patience_s=world.patience_s,
        )

    def _clock(self, start: Start) -> WorldClock:
        return WorldClock(self.outside, f"boot {self._boots}", EPOCH_S + start.clock_skew_s)

    def _first_list(self) -> Rows:
        rows = [_row(number) for number in range(self.world.orders)]
        for extra in range(self.world.rows - self.world.orders):
            number = self._dice.randrange(self.world.orders)
            rows.append(_row(number, f"s{extra % 2}."))  # another domain of the order, or twice
        return rows

    def _rows_for(self, start: Start) -> Rows:
        if start.how is How.SHUFFLED:
            return self._dice.sample(self._list, len(self._list))
        if start.how is How.EDITED:
            left_out = self._dice.choice(self._list)[0]
            number = self.world.orders + len(self.history.processes)
            rows = [row for row in self._list if row[0] != left_out]
            self._list = [*rows, _row(number)]
        unsent = self.folder / "report" / "unsent.csv"
        if start.how is How.UNSENT and unsent.is_file():
            with unsent.open(encoding="utf-8", newline="") as file:
                found = [tuple(row[name] for name in _COLUMNS) for row in csv.DictReader(file)]
            return [(a, b, c) for a, b, c in found] or self._list
        return list(self._list)

    def _written(self, rows: Rows) -> Path:
        path = self.folder / "list.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])
        self.history.asked_for |= requests_of(rows)
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
        results = self.history.results[process.run.id]
        return all(one.result.status in good for one in results)


def _row(number: int, prefix: str = "") -> tuple[str, str, str]:
    domain = f"{prefix}d{number}.example.com"
    return str(FIRST_ORDER + number), domain, f"admin@{domain}"


def requests_of(rows: Rows) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return what rows ask for: order numbers, each with its domains and addresses."""
    entries: dict[str, set[tuple[str, str]]] = {}
    for order_id, domain, email in rows:
        entries.setdefault(order_id, set()).add((domain, email))
    return {(order_id, tuple(sorted(found))) for order_id, found in entries.items()}


@contextmanager
def _room() -> Iterator[Path]:
    memory = Path("/dev/shm")  # where there is one, nothing of a world touches a disk
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def run_world(world: World) -> History:
    """Run a world; what it wrote is gone afterwards."""
    with _room() as folder:
        return WorldRun(world, folder).run()
