"""The circuit breaker: when requests may leave, whose trouble it is, and how long it waits."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest

from batch_resend.sending import CircuitBreaker, Flow
from batch_resend.sending.breaker_state import PROBES, Advice, Permit
from batch_resend.sending.failures import History
from tests.sending.conftest import LONG_S
from tests.sending.scripted import verdict

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]


@asynccontextmanager
async def leave(breaker: CircuitBreaker, tried: int, history: History) -> AsyncIterator[Permit]:
    """Wait for a permit that holds. One that does not, since a pause began, is given back."""
    while True:
        permit = await breaker.permit(tried, has_failed=history.has_failed)
        try:
            if breaker.leaves(permit):
                yield permit
                return
        finally:
            breaker.give_back(permit)


@dataclass
class Door:
    """A circuit breaker, and what went through it. Times are seconds since it was opened."""

    breaker: CircuitBreaker
    left: list[tuple[float, int]] = field(default_factory=list)
    under_way: int = 0
    tried: Counter[int] = field(default_factory=Counter)
    histories: dict[int, History] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start = anyio.current_time()

    def now(self) -> float:
        return anyio.current_time() - self.start

    async def go(self, order: int, word: str, takes_s: float = 0.0) -> Advice:
        """Make one request that is answered with `word`."""
        history = self.histories.setdefault(order, History(order))
        async with leave(self.breaker, self.tried[order], history) as permit:
            self.tried[order] += 1
            self.left.append((self.now(), order))
            self.under_way += 1
            try:
                await anyio.sleep(takes_s)
            finally:
                self.under_way -= 1
            return self.breaker.record(permit, verdict(word), history).advice

    async def all_go(self, requests: Sequence[tuple[int, str, float]]) -> dict[int, Advice]:
        """Make requests at once."""
        advice: dict[int, Advice] = {}

        async def one(order: int, word: str, takes_s: float) -> None:
            advice[order] = await self.go(order, word, takes_s)

        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(one, *request)
        return advice


def closed(patience_s: float = LONG_S) -> Door:
    return Door(CircuitBreaker(patience_s))


async def flowing(patience_s: float = LONG_S) -> Door:
    """Return a door through which one request got."""
    door = closed(patience_s)
    assert await door.go(0, "204") is Advice.COUNT
    door.left.clear()
    return door


async def told(door: Door, words: str) -> list[Advice]:
    """Let orders 1, 2, .. go one after another; return the advice for each."""
    return [await door.go(order, word) for order, word in enumerate(words.split(), 1)]


TIMES_1_TO_60 = [1, 2, 4, 8, 16, 32, 60, 60]


# --- opening ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["204", "404", "400"])
async def test_a_run_opens_with_one_request_and_the_first_answer_about_an_order_frees_all(
    word: str,
) -> None:
    door = closed()
    await door.all_go([(1, word, 2), (2, "204", 3), (3, "204", 3), (4, "204", 3)])
    assert door.left == [(0, 1), (2, 2), (2, 3), (2, 4)]


@pytest.mark.parametrize("word", ["503", "timeout", "noconn", "403"])
async def test_until_an_answer_shows_key_and_address_to_be_right_requests_go_one_by_one(
    word: str,
) -> None:
    door = closed()
    advice = await door.all_go([(1, word, 2), (2, word, 2), (3, "204", 2), (4, "204", 2)])
    assert door.left == [(0, 1), (2, 2), (4, 3), (6, 4)]
    assert set(advice.values()) == {Advice.COUNT}


async def test_who_gives_up_during_the_opening_lets_the_next_one_open() -> None:
    door = closed()
    with anyio.move_on_after(3):
        await door.go(1, "204", 60)
    with anyio.move_on_after(3):
        await door.go(2, "204", 60)
    await door.all_go([(3, "204", 1), (4, "204", 1)])
    assert door.left == [(0, 1), (3, 2), (6, 3), (7, 4)]


# --- when going on is pointless -----------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "opening", "later"),
    [
        pytest.param("401 key route", Advice.STOP, Advice.STOP, id="none will pass"),
        pytest.param(
            "nohost tls page200 302 page401 page404 405 407 501 511",
            Advice.STOP, Advice.COUNT, id="the CA is not at the URL, unless it has answered before",
        ),
        pytest.param(
            "page403 page406 page400 page451", Advice.AGAIN, Advice.COUNT, id="a page in its place"
        ),
        pytest.param("noconn 503", Advice.COUNT, Advice.COUNT, id="that order's affair"),
    ],
)  # fmt: skip
async def test_what_an_answer_means_at_the_opening_and_once_the_ca_has_answered(
    words: str, opening: Advice, later: Advice
) -> None:
    for word in words.split():
        assert await closed().go(1, word) is opening
        assert await (await flowing()).go(1, word) is later


async def test_a_429_at_the_opening_lets_the_next_one_open() -> None:
    door = closed()
    assert await told(door, "429 204 204") == [Advice.WAIT, Advice.COUNT, Advice.COUNT]
    assert [at for at, _ in door.left] == [0, 0, 0]


@pytest.mark.parametrize(
    ("words", "stops_at"),
    [
        pytest.param("403 403 403 403 403", 5, id="five in a row: it is the key"),
        pytest.param("403 403 403 403 204 403 403 403 403 403 403", None, id="one was accepted"),
        pytest.param("204 403 403 403 403 403 403 403", None, id="one was accepted at the start"),
        pytest.param(
            "403 403 404 403 403 404 403 403",
            None,
            id="not in a row: the key is good for something",
        ),
        pytest.param("404 403 403 403 403", None, id="four in a row are too few"),
    ],
)
async def test_denials_stop_the_run_when_they_are_the_keys(
    words: str, stops_at: int | None
) -> None:
    advice = await told(closed(), words)
    stopped = [place for place, said in enumerate(advice, 1) if said is Advice.STOP]
    assert stopped[:1] == ([stops_at] if stops_at else [])


# --- too many requests --------------------------------------------------------------------


async def test_a_429_with_a_time_lets_nothing_leave_until_then_and_then_a_few() -> None:
    door = await flowing()
    assert await door.go(1, "429/5") is Advice.AGAIN
    advice = await door.all_go([(order, "204", 3) for order in range(2, 10)])
    assert door.left == [(0, 1), *[(5, n) for n in range(2, 7)], *[(8, n) for n in range(7, 10)]]
    assert set(advice.values()) == {Advice.COUNT}
    assert (door.breaker.flow, door.breaker.reason) == (Flow.FLOWING, None)


@pytest.mark.parametrize(
    ("words", "pauses"),
    [
        pytest.param("429", False, id="a single one: only its order waits"),
        pytest.param("429 204 204 429 204 429 204 204 429", False, id="four of the last ten"),
        pytest.param("429 204 429 204 429 204 429 204 429", True, id="five of the last ten"),
        pytest.param("429 429 429 429 429", True, id="five in a row"),
        pytest.param("429 503 429 404 429 lost 429 204 429", True, id="among answers of any kind"),
        pytest.param("429/2", True, id="one that names a time"),
    ],
)
async def test_which_429s_pause_all(words: str, pauses: bool) -> None:
    door = await flowing()
    *_, last = await told(door, words)
    assert last is (Advice.AGAIN if pauses else Advice.WAIT)
    assert (door.breaker.flow is Flow.PAUSED) is pauses


async def test_an_order_that_gets_429_while_others_pass_is_its_own_affair_after_a_while() -> None:
    door = await flowing()
    advice: list[Advice] = []
    for _ in range(6):
        advice.append(await door.go(1, "429/3" if len(advice) > 2 else "429"))
        await anyio.sleep(1)
        await door.go(2, "204")
    assert advice == [*[Advice.WAIT] * 3, *[Advice.COUNT] * 3]
    assert door.breaker.paused_s == 0


async def test_429s_cost_an_order_nothing_while_no_other_passes() -> None:
    door = await flowing()
    advice = [await door.go(1, "429") for _ in range(50)]
    assert set(advice) == {Advice.WAIT, Advice.AGAIN}


@pytest.mark.parametrize(
    ("words", "probed_after_s"),
    [
        pytest.param(["429/1", *["429"] * 7], TIMES_1_TO_60, id="429: growing to a minute"),
        pytest.param(["429/1", "503", "timeout", "429"], [1, 2, 4, 8], id="trouble of all kinds"),
        pytest.param(["429/1", *["page403"] * 4], [1, 10, 20, 40, 60], id="pages: five times that"),
        pytest.param(["429/7"] * 3, [7, 7, 7], id="Retry-After is obeyed"),
        pytest.param(["429/300"] * 3, [300, 300, 300], id="also beyond a minute"),
        pytest.param(["429/0"] * 3, [1, 1, 1], id="but for less than a second"),
        pytest.param(["429/5", "429/2", "429", "503/9"], [5, 2, 4, 9], id="where it is given"),
    ],
)
async def test_how_long_pauses_are(words: list[str], probed_after_s: list[float]) -> None:
    door = await flowing()
    for order, word in enumerate(words):
        # What may have been mailed counts, whatever the trouble.
        assert await door.go(order, word) is (Advice.COUNT if word == "timeout" else Advice.AGAIN)
    assert await door.go(99, "204") is Advice.COUNT
    left = [at for at, _ in door.left]
    gaps = [later - sooner for sooner, later in pairwise(left)]
    assert gaps == probed_after_s


async def test_short_pauses_for_one_reason_are_said_now_and_then_and_all_are_in_the_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    door = await flowing()
    for order in range(30):
        await door.go(order, "429/1")
    text = "paused: the CA asks for fewer requests (scripted: 429); next try in 1s"
    pauses = [r.levelno for r in caplog.records if r.getMessage() == text]
    assert len(pauses) == 30
    assert pauses.count(logging.WARNING) == 3, "one in ten seconds, of 30 that last one each"
    await door.go(0, "204")
    end = caplog.records[-1]
    assert end.getMessage() == "the CA takes requests again: sending resumes"
    assert end.levelno == logging.INFO


async def test_pauses_begin_short_again_once_one_got_through() -> None:
    door = await flowing()
    assert await told(door, "429/1 429 429 204 429/1 429 204")
    assert [at for at, _ in door.left] == [0, 1, 3, 7, 7, 8, 10]


async def test_after_each_pause_fewer_probe_and_all_others_wait_for_the_next_ones() -> None:
    door = await flowing()
    await door.go(0, "429/1")
    bad = [(order, "503", 1) for order in range(1, 14)]
    advice = await door.all_go([*bad, *[(order, "204", 1) for order in range(14, 20)]])
    left = Counter(at for at, _ in door.left[1:])
    assert list(left.values()) == [5, 3, 2, 1, 1, 1, 1, 5], "the last five once one got through"
    assert list(left) == [1, 4, 9, 18, 35, 68, 129, 130]
    assert [order for _, order in door.left] == list(range(20))
    assert {advice[order] for order, *_ in bad} == {Advice.AGAIN}


async def test_those_that_never_failed_probe_first_and_then_those_tried_least() -> None:
    door = await flowing()
    for order in (1, 1, 1, 2, 2, 3):
        await door.go(order, "503")
    await door.go(4, "204")
    await door.go(5, "429/1")
    door.left.clear()
    await door.all_go([(order, "503", 1) for order in (1, 2, 3, 5, 4, 6)])
    assert [order for _, order in door.left[:5]] == [6, 4, 3, 5, 2]


async def test_one_probe_that_gets_through_is_enough() -> None:
    door = await flowing()
    await door.go(1, "429/1")
    await door.all_go([(2, "503", 1), (3, "429", 1), (4, "204", 2), (5, "lost", 3), (6, "503", 4)])
    assert door.breaker.flow is Flow.FLOWING
    assert door.now() == 1 + 4


async def test_an_order_in_trouble_by_itself_gives_its_permit_back_and_lengthens_no_pause() -> None:
    door = await flowing()
    await door.go(1, "503")
    await anyio.sleep(1)
    await door.go(2, "204")
    await door.go(3, "429/1")
    for _ in range(9):
        assert await door.go(1, "503") is Advice.COUNT
    assert {at for at, order in door.left if order == 1} == {0, 2}
    assert await door.go(4, "204") is Advice.COUNT
    assert door.now() == 2


@pytest.mark.parametrize("word", ["204", "404", "403", "429", "429/2", "503", "503/500", "timeout"])
async def test_late_answers_from_before_a_pause_neither_prolong_nor_end_it(word: str) -> None:
    door = await flowing()
    late = [(order, word, 2.0) for order in range(2, 12)]
    advice = await door.all_go([(1, "429/5", 1), *late])
    assert {at for at, _ in door.left} == {0}, "all had left before the pause"
    assert (door.breaker.flow, door.breaker.paused_until - door.start) == (Flow.PAUSED, 6)
    counts = word in ("204", "404", "403", "timeout")
    assert set(advice.values()) == ({Advice.AGAIN, Advice.COUNT} if counts else {Advice.AGAIN})
    await door.go(20, "429")
    await door.go(21, "204")
    assert door.left[-2:] == [(6, 20), (8, 21)]


async def test_late_answers_from_between_two_pauses_do_not_end_the_second_one() -> None:
    door = await flowing()
    await told(door, "429/1 204")
    advice = await door.all_go([(3, "429/9", 1), (4, "204", 2)])
    assert advice == {3: Advice.AGAIN, 4: Advice.COUNT}
    assert door.breaker.flow is Flow.PAUSED


async def test_a_time_that_a_late_429_names_is_kept_too() -> None:
    door = await flowing()
    await door.all_go([(1, "429/5", 1), (2, "429/30", 2), (3, "429/10", 3)])
    await door.go(4, "204")
    assert door.left[-1] == (32, 4)


async def test_a_time_that_a_late_429_names_is_not_waited_for_beyond_the_patience() -> None:
    door = await flowing(patience_s=100)
    advice = await door.all_go([(1, "429/5", 1), (2, "429/86400", 2)])
    assert advice[2] is Advice.STOP or door.breaker.paused_until - door.start <= 101


@pytest.mark.parametrize("word", ["429", "429/500", "503/500", "timeout"])
async def test_a_bad_answer_from_before_a_pause_that_comes_after_it_pauses_nobody(
    word: str,
) -> None:
    door = await flowing()
    async with anyio.create_task_group() as tasks:
        for order, takes_s in ((1, 0), *((order, 30) for order in range(2, 12))):
            tasks.start_soon(door.go, order, word if takes_s else "429/5", takes_s)
        await anyio.sleep(6)
        await door.go(20, "204")
        await anyio.sleep(30)
        assert door.breaker.flow is Flow.FLOWING
        await door.go(21, "503")
    assert door.left[-2:] == [(6, 20), (36, 21)]
    assert door.breaker.flow is Flow.FLOWING, "one order in trouble by itself is no reason"


async def test_who_gives_up_just_when_called_in_leaves_the_permit_to_the_next_one() -> None:
    breaker = CircuitBreaker(LONG_S)
    opening = await breaker.permit()
    first, second = (asyncio.create_task(breaker.permit()) for _ in range(2))
    await asyncio.sleep(0)  # both are in line
    breaker.give_back(opening)
    first.cancel()  # before it can hear that the permit is its own
    with anyio.fail_after(1):
        assert breaker.leaves(await second)


async def test_who_gives_up_during_a_pause_or_probing_does_not_block_the_others() -> None:
    door = await flowing()
    await door.go(1, "429/5")
    with anyio.move_on_after(2):
        await door.go(2, "204")
    async with anyio.create_task_group() as tasks:
        for order in range(3, 3 + PROBES[0]):
            tasks.start_soon(door.go, order, "204", 60)
        await anyio.sleep(6)
        tasks.cancel_scope.cancel()
    await door.all_go([(10, "204", 1), (11, "204", 1)])
    assert door.left[-2:] == [(8, 10), (8, 11)]
