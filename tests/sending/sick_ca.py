"""A CA that answers a share of its requests badly, and the real sender before it, in virtual time.

A fate says what comes of a request: a word of `conftest.answer`, by chance, by its order, or by the
time. Latencies are in sixty-fourths of a second, which virtual time holds exactly.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

import anyio
import looptime

from batch_resend.certcentral.judge import judge
from batch_resend.journal import Recorder
from batch_resend.model import (
    Attempt,
    Fault,
    Outcome,
    Pause,
    PlannedRequest,
    Reply,
    Request,
    Verdict,
)
from batch_resend.sending import Canary, Gate, Progress, RetryPolicy, Sender, WindowLimiter
from batch_resend.sending.history import Permit
from batch_resend.windows import Window
from tests.sending.conftest import ReadsCounted, answer, planned

WINDOW = Window(100, 2.0)
LATENCY_S = (2 / 64, 6 / 64)
WARM_UP_S = 1.0  # that another client has the key for itself

Fate = Callable[[random.Random, int, float], str]  # chance, order (0: a canary), seconds -> word


class Another(Enum):
    """Whether another client takes half of the window by the same key."""

    NONE = "none"
    EVENLY = "evenly"  # one request after another
    AT_ONCE = "at once"  # all that a period lets through at its beginning


def by_chance(share: float, word: str) -> Fate:
    """Answer a share of the requests so."""
    return lambda chance, _order, _now: word if chance.random() < share else "204"


def of_orders(orders: Collection[int], word: str) -> Fate:
    """Answer all requests of these orders so."""
    return lambda _chance, order, _now: word if order in orders else "204"


def out(since: float, until: float, word: str) -> Fate:
    """Answer all requests so, for a while."""
    return lambda _chance, _order, now: word if since <= now < until else "204"


class Pauses(Recorder):
    """The journal's words, of which only pauses are kept."""

    def __init__(self) -> None:
        self.began: list[float] = []

    async def begin(self, attempt: Attempt) -> None:
        await asyncio.sleep(0)

    async def end(
        self, attempt: Attempt, ended_at: float, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        await asyncio.sleep(0)

    async def settle(self, outcome: Outcome) -> None: ...

    async def pause(self, pause: Pause) -> None:
        self.began.append(pause.began_at)

    async def prolong_pause(self, until_at: float, share: float) -> None: ...

    async def flow_again(self, now: float) -> None: ...


class WatchedGate(Gate):
    """A gate that notes where one probes again while another, tried less, has waited for longer."""

    def __init__(self, patience_s: float, few_orders: int) -> None:
        super().__init__(patience_s, few_orders)
        self.unfair: list[tuple[float, int, int]] = []  # when, tried so often, the other so often
        self._waiting: dict[int, tuple[float, int]] = {}
        self._came = 0

    async def permit(
        self, tried: int = 0, *, has_failed: bool = False, may_ask: bool = False
    ) -> Permit:
        self._came += 1
        number = self._came
        self._waiting[number] = anyio.current_time(), tried
        try:
            permit = await super().permit(tried, has_failed=has_failed, may_ask=may_ask)
        finally:
            del self._waiting[number]
        now = anyio.current_time()
        less = [t for came, t in self._waiting.values() if came < now and t < tried]
        if permit.is_probe and less and tried > 1:
            self.unfair.append((now, tried, min(less)))
        return permit


class SickCA:
    """A CA that answers by a fate; with a window, it keeps a limit over all who use the key."""

    def __init__(self, fate: Fate, seed: int, window: Window | None) -> None:
        self.calls: list[tuple[float, int, str]] = []  # seconds since the start, order, word
        self.canaries: list[float] = []
        self.others_refused = 0
        self._fate = fate
        self._chance = random.Random(seed)
        self._window = window
        self._taken: deque[float] = deque()
        self._start = anyio.current_time()

    def now(self) -> float:
        return anyio.current_time() - self._start

    async def resend(self, order: Request) -> Reply | Fault:
        number = int(order.subject)
        word = self._word(number)
        self.calls.append((self.now(), number, word))
        return await self._answer(word)

    async def get(self, _path: str) -> Reply | Fault:
        word = self._word(0)
        self.canaries.append(self.now())
        return await self._answer(word)

    async def _answer(self, word: str) -> Reply | Fault:
        said, _, latency_s = word.partition("@")
        chosen = round(self._chance.uniform(*LATENCY_S) * 64) / 64
        await asyncio.sleep(float(latency_s) if latency_s else chosen)
        return answer(said)

    def _word(self, order: int) -> str:
        return self._fate(self._chance, order, self.now()) if self._has_room() else "429"

    def _has_room(self) -> bool:
        """Whether the window takes one more, which it then has."""
        if self._window is None:
            return True
        while self._taken and self._taken[0] <= self.now() - self._window.period_s:
            self._taken.popleft()
        if len(self._taken) >= self._window.limit:
            return False
        self._taken.append(self.now())
        return True

    async def serve(self, another: Another) -> None:
        """Let another client take half of the window without an end."""
        at_once = another is Another.AT_ONCE
        half, period_s = WINDOW.limit // 2, WINDOW.period_s
        while True:
            for _ in range(half if at_once else 1):
                self.others_refused += not self._has_room()
            await asyncio.sleep(period_s if at_once else period_s / half)


@dataclass
class Course:
    """How a run went."""

    ca: SickCA
    took_s: float = 0.0
    paused_s: float = 0.0
    pauses: list[float] = field(default_factory=list)  # when each began, since the start
    unfair: list[tuple[float, int, int]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def asked(self, since: float, until: float) -> int:
        """Return how many requests left in a time, canaries included."""
        left = [*(at for at, *_ in self.ca.calls), *self.ca.canaries]
        return sum(since <= at < until for at in left)

    def asked_for(self, order: int) -> int:
        """Return how many requests of an order left."""
        return sum(number == order for _, number, _ in self.ca.calls)


def send(
    fate: Fate,
    count: int,
    *,
    seed: int = 1,
    concurrency: int = 32,
    another: Another = Another.NONE,
) -> Course:
    """Send so many orders, each within six attempts; return how it went."""
    loop = looptime.new_event_loop(start=1000)
    with _jitter(seed):
        try:
            return loop.run_until_complete(_send(fate, count, seed, concurrency, another))
        finally:
            loop.close()


async def _send(fate: Fate, count: int, seed: int, concurrency: int, another: Another) -> Course:
    loop = asyncio.get_running_loop()
    ca = SickCA(fate, seed, None if another is Another.NONE else WINDOW)
    course, recorder = Course(ca), Pauses()
    gate = WatchedGate(3600.0, concurrency)
    sender = Sender(
        resend=ca.resend,
        judge=judge,
        explain=str,
        recorder=recorder,
        limiter=WindowLimiter([WINDOW], linger_s=1.0),
        gate=gate,
        policy=RetryPolicy(6, 3600.0, retry_in_doubt=True),
        concurrency=concurrency,
        progress=Progress(count),
        clock=loop.time,
        canary=Canary(ca.get, judge, _start_reading, loop.time),
    )
    deliver, outcomes = anyio.create_memory_object_stream[Outcome](count)
    async with anyio.create_task_group() as tasks:
        if another is not Another.NONE:
            tasks.start_soon(ca.serve, another)
            await asyncio.sleep(WARM_UP_S)
        began = loop.time()
        tasks.start_soon(sender.run, _orders(count), deliver)
        async with outcomes:
            async for outcome in outcomes:
                course.outcomes[outcome.status.value] += 1
        course.took_s = loop.time() - began
        tasks.cancel_scope.cancel()
    course.paused_s, course.unfair = gate.paused_s, gate.unfair
    course.pauses = [at - 1000 for at in recorder.began]
    return course


async def _start_reading() -> ReadsCounted:
    return ReadsCounted()


async def _orders(count: int) -> AsyncIterator[PlannedRequest]:
    for number in range(1, count + 1):
        yield planned(number)


@contextmanager
def _jitter(seed: int) -> Iterator[None]:
    """Draw the backoffs from a known seed, in steps that virtual time can hold."""
    source, plain = random.Random(seed), random.uniform

    def uniform(a: float, b: float) -> float:
        return round(source.uniform(a, b) * 64) / 64

    random.uniform = uniform
    try:
        yield
    finally:
        random.uniform = plain
