"""Several processes of one world, each in an event loop of its own: who goes on, and when.

Each process is a greenlet. Where its loop would wait for the kernel it stands still, and whoever is
due next goes on: another process, or something outside. One that is frozen is not due; its clock,
or only the world's, goes on meanwhile.
"""

import heapq
import random
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

from greenlet import getcurrent, greenlet

from tests.worlds.database import Thread
from tests.worlds.loop import Outside, Stuck, WorldLoop, out_of_the_loop

IsNews = Callable[[], bool]
MOST_STEPS = 3_000_000  # of one world; far beyond what any needs


@dataclass(slots=True)
class _Parked:
    """A process that stands still until its loop is to go on."""

    place: greenlet
    deadline: float
    is_news: IsNews
    since: int


class Together(Outside):
    """The time of a world, and the processes that share it."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self._main = getcurrent()
        self._parked: dict[HostOutside, _Parked] = {}
        self._living: list[greenlet] = []
        self._steps = 0

    def begin(self, live: Callable[[], None]) -> None:
        """Have a process, or several one after another, live beside the others."""
        self._living.append(greenlet(live, self._main))
        self.at(self.now, self._living[-1].switch)

    def run(self) -> None:
        """Let all live to their end. Raises Stuck, and what one of them raises."""
        while any(not one.dead for one in self._living):
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise Stuck("the world goes on and on")
            host, when = self._next()
            if self._due and self._due[0][0] <= when:
                self._act()
            elif host is None or when == inf:
                raise Stuck("nothing is due, neither in a process nor outside")
            else:
                self.now = max(self.now, when)
                self._parked.pop(host).place.switch()
        self._living.clear()

    def _next(self) -> "tuple[HostOutside | None, float]":
        """Return which process goes on next, and when; of several, who has waited longest."""
        found: tuple[float, int, HostOutside | None] = (inf, 0, None)
        for host, parked in self._parked.items():
            when = self.now if parked.is_news() else max(parked.deadline, self.now)
            when = max(when, host.frozen_until)
            if (when, parked.since) < found[:2]:
                found = when, parked.since, host
        return found[2], found[0]

    def _act(self) -> None:
        """Carry out what is due next outside, unless it is a frozen process that is to do it."""
        when, _, _, act, of_process = heapq.heappop(self._due)
        self.now = max(self.now, when)
        until = of_process.outside.frozen_until if isinstance(of_process, HostLoop) else -inf
        if until > self.now:
            self.at(until, act, of_process=of_process)
        else:
            act()

    def park(self, host: "HostOutside", deadline: float, is_news: IsNews) -> None:
        """Let others go on until a process has news, or to its deadline."""
        hooks = sys.get_asyncgen_hooks()
        self._parked[host] = _Parked(getcurrent(), deadline, is_news, self._steps)
        with out_of_the_loop():
            self._main.switch()
        sys.set_asyncgen_hooks(*hooks)


class HostOutside(Outside):
    """The world as one process sees it: its time, and what it has missed of it."""

    def __init__(self, together: Together, on_going_on: Callable[[], None]) -> None:
        self._together = together
        self._on_going_on = on_going_on
        self.suspended_s = 0.0
        self.frozen_until = -inf

    @property
    def now(self) -> float:
        return self._together.now

    @now.setter
    def now(self, at: float) -> None:
        self._together.now = at

    def at(self, when: float, act: Callable[[], None], *, of_process: object = None) -> None:
        self._together.at(when, act, of_process=of_process)

    def freeze(self, for_s: float, *, suspend: bool = False) -> None:
        self.frozen_until = max(self.frozen_until, self.now + for_s)
        if suspend:
            self.suspended_s += for_s

    def stand_still(self, for_s: float, *, suspend: bool = False) -> None:
        self.freeze(for_s, suspend=suspend)
        if not isinstance(getcurrent(), Thread):  # else its loop has a turn meanwhile, and waits
            self.run_until(self.frozen_until, lambda: False)

    def thaw(self) -> None:
        """End a freeze: the process is dead."""
        self.frozen_until = -inf

    def forget_process(self, process: object) -> None:
        self._together.forget_process(process)
        self.thaw()

    def run_until(self, deadline: float, is_news: IsNews) -> None:
        self._together.park(self, deadline, is_news)
        self._on_going_on()


class HostLoop(WorldLoop):
    """The loop of one process of several. What its threads do takes as long as it takes."""

    outside: HostOutside

    def __init__(
        self, outside: HostOutside, seed: str, host: int, process: Any, *, timers_first: bool
    ) -> None:
        super().__init__(outside, seed, timers_first=timers_first)
        self.host = host
        self.process = process
        self.is_dead = False
        self._chance_of_threads = random.Random(f"{seed}/threads")
        self._work_of: defaultdict[Any, deque[Any]] = defaultdict(deque)

    def work(
        self, thread: object, function: Callable[[], Any], report: Callable[[Any, Any], None]
    ) -> None:
        """Carry out a thread's work after what it has to do before, question by question."""
        waiting = deque[Any]() if thread is None else self._work_of[thread]
        waiting.append((function, report))
        if len(waiting) == 1:
            self._begin(waiting)

    def _begin(self, waiting: "deque[Any]") -> None:
        delay_s = self._chance_of_threads.choice((1e-5, 1e-5, 1e-4, 1e-3))
        self.outside.after(delay_s, partial(self._carry_out, waiting), of_process=self)

    def _carry_out(self, waiting: "deque[Any]") -> None:
        function, report = waiting[0]

        def whole() -> None:
            try:
                made, error = function(), None
            except BaseException as raised:  # whatever it is: a thread reports it
                made, error = None, raised
            waiting.popleft()
            if waiting:
                self._begin(waiting)
            self.on_work()
            heard_s = self._chance_of_threads.choice((1e-6, 1e-6, 1e-5, 5e-3))
            hear = partial(self.notify, report, made, error)
            self.outside.after(heard_s, hear, of_process=self)

        thread = Thread(whole)
        thread.loop = self
        thread.switch()
