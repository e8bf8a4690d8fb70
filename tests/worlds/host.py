"""One process of a world: the real library in virtual time, until it ends or is struck."""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp.connector
import anyio._backends._asyncio as anyio_tasks
import anyio.to_thread
from filelock import FileLock

from batch_resend.certcentral.client import Deadline
from batch_resend.certcentral.wire import Connections
from batch_resend.journal import journal_file, sqlite
from tests.worlds.ca import Client, ModelCA
from tests.worlds.disk import IOERR_WRITE, SQLITE_FULL, SQLITE_OK, Disk
from tests.worlds.loop import Killed, Outside, WorldLoop, out_of_the_loop
from tests.worlds.network import Network
from tests.worlds.spec import OF_DISK, Blow, On, Strike

_NO_FILE = Path("/dev/null/no-file")
EPOCH_S = 1_795_000_000.0  # what the system's clock says when a world begins


@dataclass(slots=True)
class WorldClock:
    """The package's clock: the steady time of a machine, and what its system's clock said."""

    outside: Outside
    boot: str
    offset_s: float
    look: Callable[[], None] = lambda: None  # called first: the process looks at a clock

    def __call__(self) -> float:
        self.look()
        return self.outside.now + self.offset_s


@dataclass(eq=False, slots=True)
class _Pending:
    """A strike that is still to fall, at which count of what it waits for, and how often."""

    strike: Strike
    due: int
    times: int


@dataclass(eq=False)
class Host:
    """What a process runs on, and what strikes it."""

    seed: str
    outside: Outside
    ca: ModelCA
    disk: Disk
    client: Client
    strikes: tuple[Strike, ...]
    timers_first: bool
    on_crash: Callable[[Blow], None] = lambda _: None  # the moment the process is gone
    on_interrupt: Callable[[], None] = lambda: None
    on_second_process: Callable[[], None] = lambda: None
    struck: list[Strike] = field(default_factory=list)
    stands_still: bool = False  # while another one runs
    woke_at: list[float] = field(default_factory=list)
    left_late: list[float] = field(default_factory=list)  # when requests did, their time over

    def run(self, job: Callable[[], Awaitable[None]]) -> Blow | None:
        """Run a process to its end; return what ended it, or None: it ended by itself.

        Raises what the process itself ends with, Stuck where it does not end.
        """
        with in_the_world(self.seed, self.outside), self._in_charge():
            return self.live(job)

    def live(self, job: Callable[[], Awaitable[None]]) -> Blow | None:
        """Run a process to its end, in a world that is put up already."""
        self._left = [_Pending(strike, strike.count, strike.times) for strike in self.strikes]
        self._works = 0
        self._full = False
        loop = self._loop = self._make_loop()
        self._crashed: Blow | None = None
        self.cancelled_at: float | None = None
        loop.network = Network(loop, self.ca, self.ca)
        loop.left_late = self.left_late
        awaited = {strike.on for strike in self.strikes}  # of these moments there are many
        if On.TURN in awaited:
            loop.on_turn = lambda turn: self._count(On.TURN, turn)
        if On.LOOK in awaited:
            loop.on_look = lambda look: self._count(On.LOOK, look)
        loop.on_work = self._worked
        client = self.client
        client.is_alive = lambda: not (loop.network.is_gone or loop.kill)
        client.on_arrival = lambda count: self._count(On.ARRIVAL, count)
        client.on_answer = lambda count: self._count(On.ANSWER, count)
        task = self._task = loop.create_task(_awaited(job))
        try:
            loop.run_until_complete(task)
        except Killed:
            self._unwind(loop, task)
        except asyncio.CancelledError:
            if self.cancelled_at is None:
                raise
        finally:
            self._left.clear()
            self._full = False
            self.outside.forget_process(loop)
            loop.close()
        return self._crashed

    def _make_loop(self) -> WorldLoop:
        return WorldLoop(self.outside, self.seed, timers_first=self.timers_first)

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        """Have the CA and the disk take what comes for this process's; one before stands still."""
        before = self.ca.client, self.disk.on_write, self.disk.writes
        self.ca.client, self.disk.on_write, self.disk.writes = self.client, self._wrote, 0
        try:
            with out_of_the_loop():
                yield
        finally:
            self.ca.client, self.disk.on_write, self.disk.writes = before

    def _unwind(self, loop: WorldLoop, task: "asyncio.Task[Any]") -> None:
        """Let what the dead process has open be closed: it reaches neither CA nor its disk."""
        self._left.clear()
        loop.kill = None
        loop.network.vanish()
        loop.turns = 0
        task.cancel()
        with suppress(BaseException):
            loop.run_until_complete(task)
        others = asyncio.all_tasks(loop)
        for other in others:
            other.cancel()
        with suppress(BaseException):
            loop.run_until_complete(asyncio.gather(*others, return_exceptions=True))

    def _worked(self) -> None:
        self._works += 1
        self._count(On.WORK, self._works)

    def _wrote(self, count: int) -> int:
        self._count(On.WRITE, count)
        for strike in self._due(On.WRITE, count, of_disk=True):
            self._full |= strike.blow is Blow.DISK_FULL
            if strike.blow is Blow.DISK_ERROR:
                return IOERR_WRITE
        return SQLITE_FULL if self._full else SQLITE_OK

    def look(self) -> None:
        """Note that the process looks at a clock."""
        self._loop.look()

    def _count(self, on: On, count: int) -> None:
        """Strike what is due; a disk's strikes are its writes' own affair."""
        if self._left and not self.stands_still:
            for strike in self._due(on, count, of_disk=False):
                self._strike(strike)

    def _due(self, on: On, count: int, *, of_disk: bool) -> Iterator[Strike]:
        """Yield what is to fall now."""
        for pending in list(self._left):
            strike = pending.strike
            is_due = strike.on is on and count >= pending.due
            if is_due and (strike.blow in OF_DISK) == of_disk and pending in self._left:
                pending.due, pending.times = count + strike.count, pending.times - 1
                if not pending.times:
                    self._left.remove(pending)
                self.struck.append(strike)
                yield strike

    def _strike(self, strike: Strike) -> None:
        if strike.blow in (Blow.KILL, Blow.POWER_LOSS):
            if self._crashed is None:
                self._crashed = strike.blow
                self.on_crash(strike.blow)
                self._loop.kill = strike.blow.value
        elif strike.blow is Blow.CANCEL:
            self.cancelled_at = self.outside.now
            self._loop.notify(self._task.cancel)
        elif strike.blow is Blow.INTERRUPT:
            self._loop.notify(self.on_interrupt)
        elif strike.blow is Blow.SECOND_PROCESS:
            self.stands_still = True
            self.on_second_process()
            self.stands_still = False
            self.woke_at.append(self.outside.now)
        else:
            self.woke_at.append(self.outside.now + strike.for_s)
            is_in_turn = strike.on is On.LOOK
            stand = self.outside.stand_still if is_in_turn else self.outside.freeze
            stand(strike.for_s, suspend=strike.blow is Blow.SUSPEND)


async def _awaited(job: Callable[[], Awaitable[None]]) -> None:
    await job()


_NOTHING: Any = object()


@contextmanager
def _replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Have other values in modules and classes; `mock.patch` takes ten times as long."""
    before = [vars(owner).get(name, _NOTHING) for owner, name, _ in places]
    for place in places:
        setattr(*place)
    try:
        yield
    finally:
        for (owner, name, _), real in zip(places, before, strict=True):
            if real is _NOTHING:
                delattr(owner, name)
            else:
                setattr(owner, name, real)


@contextmanager
def in_the_world(seed: str, outside: Outside) -> Iterator[None]:
    """Put what the package and its libraries take for granted under the world's rule."""
    state = random.getstate()
    random.seed(f"{seed}/libraries")
    dice = random.Random(f"{seed}/secrets")
    with _replaced(
        (anyio.to_thread, "run_sync", _in_a_thread),
        (anyio_tasks, "set", _InOrder),
        (aiohttp.connector, "set", _InOrder),
        (Deadline, "__init__", _noting_deadlines(Deadline.__init__)),
        (Connections, "_connect", _noting_departures(Connections._connect)),
        (journal_file, "_MOUNTS", _NO_FILE),
        (journal_file, "_held", set()),  # each process has its own
        (sqlite, "FileLock", _at_once),
        (aiohttp.connector, "monotonic", lambda: outside.now),
        (secrets, "token_hex", lambda size=8: dice.randbytes(size).hex()),
    ):
        try:
            yield
        finally:
            random.setstate(state)


_ENDS_AT: ContextVar[float] = ContextVar("ends_at")  # of a call: its time


def _noting_deadlines(begin: Any) -> Any:
    def begun(own: Any, exchange: Any, limit_s: float, *given: Any) -> None:
        begin(own, exchange, limit_s, *given)
        loop: Any = asyncio.get_running_loop()
        _ENDS_AT.set(loop.now_s + limit_s)

    return begun


def _noting_departures(connect: Any) -> Any:
    """Have noted what leaves once its time is over."""

    async def connected(own: Any, *given: Any, **options: Any) -> Any:
        connection = await connect(own, *given, **options)
        loop = own._loop
        if loop.now_s >= _ENDS_AT.get():
            loop.left_late.append(loop.outside.now)
        return connection

    return connected


class _InOrder(dict[Any, None]):
    """A set that yields its members as they came: another goes by where they lie in memory."""

    def add(self, member: Any) -> None:
        self[member] = None

    def discard(self, member: Any) -> None:
        self.pop(member, None)

    remove = dict.__delitem__


def _at_once(path: str, timeout: float, **options: Any) -> FileLock:
    """Return a lock without its moment's patience, which would be one of the real clock's."""
    del timeout
    return FileLock(path, timeout=0, **options)


async def _in_a_thread(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)
