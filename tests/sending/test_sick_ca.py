"""A sick CA, a sick order, a shared key: what a run then costs, in time and in requests.

The properties P1 to P7; P8 is `tests/certcentral/test_connections.py`. A
fate says what comes of a request: a word of `conftest.answer`, by chance, by its order, or by the
time.
"""

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Collection
from enum import Enum

import anyio
import pytest

from batch_resend.sending import CircuitBreaker
from batch_resend.sending.breaker_state import Permit
from batch_resend.windows import Window, dictated_time
from tests.sending.conftest import JITTER, Rig
from tests.sending.scripted import Line, ScriptedCA, orders

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

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


class WatchedBreaker(CircuitBreaker):
    """Notes where one probes again while another, tried less, has waited for longer."""

    def __init__(self, patience_s: float, few_orders: int) -> None:
        super().__init__(patience_s, few_orders, has_canary=True)
        self.unfair: list[tuple[float, int, int]] = []  # when, tried so often, the other so often
        self._waiting: dict[int, tuple[float, int]] = {}
        self._came = 0

    async def permit(self, tried: int = 0, *, has_failed: bool = False) -> Permit:
        self._came += 1
        number = self._came
        self._waiting[number] = anyio.current_time(), tried
        try:
            permit = await super().permit(tried, has_failed=has_failed)
        finally:
            del self._waiting[number]
        now = anyio.current_time()
        less = [t for came, t in self._waiting.values() if came < now and t < tried]
        if permit.is_probe and less and tried > 1:
            self.unfair.append((now, tried, min(less)))
        return permit


class SickCA(ScriptedCA):
    """A CA that answers by a fate; with a window, it keeps a limit over all who use the key."""

    def __init__(self, lines: list[Line], fate: Fate, seed: int, window: Window | None) -> None:
        super().__init__(lines, {})
        self.others_refused = 0
        self._fate = fate
        self._chance = random.Random(seed)
        self._window = window
        self._taken: deque[float] = deque()

    def _now(self) -> float:
        return anyio.current_time() - self._start

    def _latency(self, named: str) -> float:
        drawn_s = round(self._chance.uniform(*LATENCY_S) * 64) / 64
        return float(named) if named else drawn_s

    def _word(self, number: int) -> str:
        return self._fate(self._chance, number, self._now()) if self._has_room() else "429"

    def _has_room(self) -> bool:
        """Whether the window takes one more, which it then has."""
        if self._window is None:
            return True
        while self._taken and self._taken[0] <= self._now() - self._window.period_s:
            self._taken.popleft()
        if len(self._taken) >= self._window.limit:
            return False
        self._taken.append(self._now())
        return True

    async def serve(self, another: Another) -> None:
        """Let another client take half of the window without an end."""
        at_once = another is Another.AT_ONCE
        half, period_s = WINDOW.limit // 2, WINDOW.period_s
        while True:
            for _ in range(half if at_once else 1):
                self.others_refused += not self._has_room()
            await anyio.sleep(period_s if at_once else period_s / half)


class Course:
    """How a run went: so many orders, each within six attempts."""

    def __init__(self, fate: Fate, seed: int, concurrency: int, another: Another) -> None:
        window = None if another is Another.NONE else WINDOW
        self.ca = SickCA([], fate, seed, window)
        self.breaker = WatchedBreaker(3600.0, concurrency)
        self.rig = Rig(
            windows=[WINDOW],
            linger_s=1.0,
            concurrency=concurrency,
            max_elapsed_s=3600.0,
            ca=self._of_lines,
            breaker=self.breaker,
        )
        self.took_s = 0.0

    def _of_lines(self, lines: list[Line]) -> SickCA:
        self.ca.lines = lines
        return self.ca

    async def run(self, count: int, another: Another) -> None:
        async with anyio.create_task_group() as tasks:
            if another is not Another.NONE:
                tasks.start_soon(self.ca.serve, another)
                await anyio.sleep(WARM_UP_S)
            began = anyio.current_time()
            await self.rig.carry(orders(1, count))
            self.took_s = anyio.current_time() - began
            tasks.cancel_scope.cancel()

    @property
    def paused_s(self) -> float:
        return self.breaker.paused_s

    @property
    def pauses(self) -> list[float]:
        """When each began, since the start."""
        return [line.at for line in self.rig.noted("pause")]

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(self.rig.statuses().values())

    def asked_at(self, order: int | None = None) -> list[float]:
        """Return when requests left, canaries included, or those of an order."""
        left = self.rig.noted("call", order)
        return sorted(line.at for line in (left if order else left + self.rig.noted("canary")))

    def asked(self, since: float, until: float) -> int:
        """Return how many requests left in a time."""
        return sum(since <= at < until for at in self.asked_at())


async def send(
    fate: Fate,
    count: int,
    *,
    seed: int = 1,
    concurrency: int = 32,
    another: Another = Another.NONE,
) -> Course:
    JITTER.seed(seed)
    course = Course(fate, seed, concurrency, another)
    await course.run(count, another)
    return course


ATTEMPTS = 6
ROUND_TRIP_S = 0.1
OUT = ("503", "noconn", "lost", "timeout@5", "429", "page403")


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize("word", OUT)
async def test_p1_what_a_total_outage_costs_in_requests(word: str, concurrency: int) -> None:
    """At most concurrency + 20 before the pause, then ten probes and one a minute, and four."""
    since, long_s = 2.0, 900.0
    course = await send(out(since, since + long_s, word), 200, concurrency=concurrency)
    paused_at = course.pauses[0]
    assert course.asked(since, paused_at + 1e-9) <= concurrency + 20
    assert course.asked(paused_at + 1e-9, since + long_s) <= 10 + long_s / 60 + 4
    assert course.outcomes == {"sent": 200}, "an outage is no order's failure"


@pytest.mark.parametrize("word", [*OUT, "503/120"])
async def test_p2_it_continues_within_a_minute_of_the_cas_return(word: str) -> None:
    chance = random.Random(word)
    for seed in range(4):
        until = 2.0 + chance.uniform(20, 600)
        course = await send(out(2.0, until, word), 150, seed=seed)
        first = min(line.at for line in course.rig.noted("call") if line.at >= until)
        names_s = float(word.partition("/")[2] or 60)
        round_trip_s = float(word.partition("@")[2] or ROUND_TRIP_S)
        assert first - until <= names_s + round_trip_s


@pytest.mark.parametrize(
    ("word", "share"),
    [("429", 0.05), *itertools.product(["500", "noconn", "lost"], [0.3, 0.6])],
)
async def test_p3_failures_by_chance_pause_for_a_twentieth_of_the_run_at_most(
    word: str, share: float
) -> None:
    course = await send(by_chance(share, word), 300)
    assert course.paused_s <= course.took_s / 20
    assert course.outcomes.total() == 300


@pytest.mark.parametrize("order", [1, 40, 100])
@pytest.mark.parametrize("word", ["500", "noconn", "lost", "page403", "503/3", "429"])
async def test_p4_an_order_in_trouble_by_itself_pauses_nobody_and_ends_within_its_attempts(
    word: str, order: int
) -> None:
    """Some are free, since they may be the CA's: three 429, a page before any word of the CA's."""
    free = {"429": 3, "page403": order == 1}.get(word, 0)
    course = await send(of_orders({order}, word), 150)
    assert course.pauses == []
    assert course.outcomes["sent"] == 149
    assert len(course.asked_at(order)) <= ATTEMPTS + free


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize("word", ["503", "lost", "429"])
async def test_p5_none_probes_twice_while_one_that_was_tried_less_waits(
    word: str, concurrency: int
) -> None:
    course = await send(out(2.0, 900.0, word), 150, concurrency=concurrency)
    assert course.breaker.unfair == []


def places(count: int, of: int, where: str) -> set[int]:
    """Return the numbers of so many orders in a list."""
    first = {"first": 1, "in the middle": of // 2, "last": of - count + 1, "spread": 1}[where]
    step = of // count if where == "spread" else 1
    return {first + step * n for n in range(count)}


@pytest.mark.parametrize(
    ("count", "concurrency", "where"),
    [(1, 1, "last"), (1, 32, "first"), (8, 8, "spread"), (8, 32, "last"), (32, 32, "first"),
     (32, 32, "in the middle"), (32, 32, "last")],
)  # fmt: skip
async def test_p6_orders_that_always_fail_cost_a_minute_and_one_for_each_attempt(
    count: int, concurrency: int, where: str
) -> None:
    """At most, whatever the number up to what may be in flight, and wherever in the list."""
    healthy = await send(of_orders((), ""), 200, concurrency=concurrency)
    for word, becomes in (("500", "failed"), ("lost", "in_doubt"), ("429", "failed")):
        if word == "429" and where == "first" and count == 32:
            continue  # where nothing else has come, so many say that the key is out of requests
        course = await send(
            of_orders(places(count, 200, where), word), 200, concurrency=concurrency
        )
        assert course.took_s <= healthy.took_s + 60 + (ATTEMPTS - 1) * 60
        assert course.outcomes == Counter({"sent": 200 - count, becomes: count})


OTHERS_REFUSED = {
    Another.EVENLY: 36,
    Another.AT_ONCE: 0,
}  # by the rule before, which took 1.8 times the fair share's


@pytest.mark.parametrize("another", OTHERS_REFUSED)
async def test_p7_a_key_whose_other_client_takes_half_is_shared_fairly(another: Another) -> None:
    fair_s = dictated_time(500, [Window(WINDOW.limit // 2, WINDOW.period_s)])
    for seed in range(2):
        course = await send(of_orders((), ""), 500, seed=seed, another=another)
        assert course.took_s <= 1.4 * fair_s
        assert course.ca.others_refused <= OTHERS_REFUSED[another]
        assert course.outcomes == {"sent": 500}
