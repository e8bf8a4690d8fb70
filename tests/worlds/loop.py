"""An event loop in virtual time: one process of a world, with all that happens outside it.

The loop is asyncio's own, with its own order of callbacks and timers; only its selector is
replaced. Where a real selector waits for the kernel, this one moves the world on: it carries out
what is due outside (a packet arrives, a thread ends its work, the power fails) until that concerns
the process, or one of its timers is due. A loop that waits for nothing, with nothing due outside,
hangs for ever: that raises `Stuck`.

What the package does in threads (SQLite's two connections, reading lists) is carried out outside,
at a moment of the world's, and reported to the loop a moment later, so a kill can fall in between.
"""

import asyncio
import heapq
import itertools
import random
import selectors
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, cast

TURN_S = 1e-5  # what one turn of the loop takes: a loop that spins gets on in time, too
MOST_TURNS = 100_000  # of one process; most worlds need some hundred, few some thousand


class Killed(BaseException):
    """The process ends here: no handler of its own runs."""


class Stuck(Exception):
    """The process waits for something that will never come."""


@dataclass(eq=False)
class Outside:
    """What happens outside the process, in order of time; equal times in an order of chance."""

    seed: str
    now: float = 0.0
    suspended_s: float = 0.0  # that the machine slept: the loop's clock stood still
    _due: list[tuple[float, float, int, Callable[[], None], object]] = field(default_factory=list)
    _serial: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/outside")
        self._frozen_until = -inf

    def at(self, when: float, act: Callable[[], None], *, of_process: object = None) -> None:
        """Have something done at a time; `of_process`: by it, so not while it is frozen."""
        entry = (max(when, self.now), self._chance.random(), next(self._serial), act, of_process)
        heapq.heappush(self._due, entry)

    def after(self, delay_s: float, act: Callable[[], None], *, of_process: object = None) -> None:
        """Have something done in so many seconds."""
        self.at(self.now + delay_s, act, of_process=of_process)

    def freeze(self, for_s: float, *, suspend: bool = False) -> None:
        """Let the process do nothing for a while; `suspend`: nor its clock."""
        frozen_until = max(self._frozen_until, self.now + for_s)
        if suspend:  # of two sleeps at once, each moment counts once: its clock does not go back
            self.suspended_s += frozen_until - max(self._frozen_until, self.now)
        self._frozen_until = frozen_until

    def stand_still(self, for_s: float, *, suspend: bool = False) -> None:
        """Freeze the process here and now, in the middle of its turn."""
        self.freeze(for_s, suspend=suspend)
        self.run_until(self.now + for_s, lambda: False)

    def forget_process(self, process: object) -> None:
        """Drop what a process that is gone would have done."""
        self._due = [entry for entry in self._due if entry[4] is not process]
        heapq.heapify(self._due)
        self._frozen_until = -inf

    def run_until(self, deadline: float, is_news: Callable[[], bool]) -> None:
        """Move on until something concerns the process, or to the deadline."""
        while True:
            frozen = self._frozen_until > self.now
            if is_news() and not frozen:
                return
            until = max(deadline, self._frozen_until) if frozen else deadline
            if self._due and self._due[0][0] <= until:
                when, _, _, act, of_process = heapq.heappop(self._due)
                self.now = max(self.now, when)
                if of_process is not None and self._frozen_until > self.now:
                    self.at(self._frozen_until, act, of_process=of_process)
                else:
                    act()
            elif frozen:
                self.now = self._frozen_until
            elif deadline == inf:
                raise Stuck("nothing is due, neither in the process nor outside it")
            else:
                self.now = max(self.now, deadline)
                return

    def pass_time(self, seconds: float) -> None:
        """Let time pass with no process there."""
        self.run_until(self.now + seconds, lambda: False)


@contextmanager
def out_of_the_loop() -> Iterator[None]:
    """Leave the loop that runs, and its task, where they are: others run meanwhile."""
    loop = asyncio._get_running_loop()
    swap: Any = getattr(asyncio.tasks, "_swap_current_task", None)  # each loop has its own in 3.11
    task = swap(loop, None) if loop and swap else None
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        if loop and swap:
            swap(loop, task)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on its loop alone, not on where it lies in memory."""

    def __init__(self, *args: Any, loop: "WorldLoop", **kwargs: Any) -> None:
        self._serial = next(loop.serials)
        super().__init__(*args, loop=loop, **kwargs)

    def __hash__(self) -> int:
        return self._serial


class _Selector(selectors.BaseSelector):
    """Waits in the world. It knows no files: what is ready are the loop's own handles."""

    def __init__(self, loop: "WorldLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        return self._loop.wait(timeout)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("a world has no files to wait for")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("a world has no files to wait for")


class WorldLoop(asyncio.SelectorEventLoop):
    """The loop of one process in a world."""

    def __init__(self, outside: Outside, seed: str, *, timers_first: bool = False) -> None:
        """`timers_first`: within a turn, as uvloop does; asyncio's own looks at sockets first."""
        self.outside = outside
        self._chance = random.Random(f"{seed}/loop")
        self._timers_first = timers_first
        self._news: list[asyncio.Handle] = []
        self._free_at: dict[int, float] = {}  # by executor: when its thread has done its work
        self.turns = 0
        self.serials = itertools.count()  # of its tasks
        self.kill: str | None = None  # why the process ends at its next turn
        self.looks = 0  # that what runs on it has taken at its clock, not it itself
        self._is_own_look = True
        self.on_look: Callable[[int], None] = lambda _: None  # before it is taken
        self.on_work: Callable[[], None] = lambda: None  # after each piece of work of a thread
        self.on_turn: Callable[[int], None] = lambda _: None
        self.network: Any = None
        self.left_late: list[float] = []
        super().__init__(_Selector(self))
        self.set_task_factory(cast("Any", _make_task))

    # --- time -------------------------------------------------------------------------------

    def time(self) -> float:
        if self._is_own_look:  # once in each turn, for its timers
            self._is_own_look = False
        else:
            self.look()
        return self.now_s

    @property
    def now_s(self) -> float:
        """What its clock says: no look of the process's."""
        return self.outside.now - self.outside.suspended_s

    def look(self) -> None:
        """Note that the process looks at a clock now, in the middle of its turn."""
        self.looks += 1
        self.on_look(self.looks)

    def wait(self, timeout: float | None) -> list[asyncio.Handle]:
        """Let the world move on; return what has become ready."""
        self.turns += 1
        self.outside.now += TURN_S
        self.on_turn(self.turns)
        if self.turns > MOST_TURNS:
            raise Stuck("the process turns and turns")
        deadline = inf if timeout is None else self.outside.now + max(0.0, timeout)
        self.outside.run_until(deadline, lambda: bool(self._news) or self.kill is not None)
        if self.kill is not None:
            raise Killed(self.kill)
        news, self._news = self._news, []
        return news

    def _process_events(self, event_list: Any) -> None:
        if self._timers_first:
            loop: Any = self
            while loop._scheduled and loop._scheduled[0]._when <= self.now_s:
                timer = heapq.heappop(loop._scheduled)
                timer._scheduled = False
                loop._ready.append(timer)
        for handle in event_list:
            self._add_callback(handle)  # type: ignore[attr-defined]
        self._is_own_look = True

    def notify(self, callback: Callable[..., object], *args: Any) -> None:
        """Have the process learn something at its next turn, as from its selector."""
        self._news.append(asyncio.Handle(callback, args, self, None))

    # --- threads ----------------------------------------------------------------------------

    def work(
        self, thread: object, function: Callable[[], Any], report: Callable[[Any, Any], None]
    ) -> None:
        """Carry out a thread's work, after what it has to do before; report result or error."""
        began = max(self.outside.now, self._free_at.get(id(thread), 0.0) if thread else 0.0)
        took_s = self._chance.choice((2e-5, 2e-5, 1e-4, 1e-4, 1e-3, 1e-2))
        if thread:
            self._free_at[id(thread)] = began + took_s

        def execute() -> None:
            try:
                made, error = function(), None
            except Killed:
                raise
            except BaseException as raised:  # whatever it is: a thread reports it
                made, error = None, raised
            self.on_work()
            heard_s = self._chance.choice((1e-6, 1e-6, 1e-5, 1e-5, 5e-3))
            hear = partial(self.notify, report, made, error)
            self.outside.after(heard_s, hear, of_process=self)

        self.outside.at(began + took_s, execute, of_process=self)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self.create_future()
        self.work(executor, partial(func, *args), partial(_settle, future))
        return future

    # --- network ----------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        return await self.network.resolve(host, port)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await self.network.connect(sock, address)

    async def create_connection(self, protocol_factory: Any, *_: Any, **options: Any) -> Any:
        return await self.network.open(protocol_factory, options["sock"], options.get("ssl"))

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def _make_task(
    loop: WorldLoop, coro: Coroutine[Any, Any, Any], context: Context | None = None
) -> "asyncio.Task[Any]":
    return _Task(coro, loop=loop, context=context)


def _settle(future: "asyncio.Future[Any]", made: Any, error: Any) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(made)
