"""What the CA answers to a read counts for all that go by its key, as with a mail."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from math import ceil

import anyio
import pytest

from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.model import Fault, Reply, Request
from batch_resend.order_reader import OrderReader
from batch_resend.sending import CircuitBreaker, Flow, Leave, Reader, RetryPolicy, ask_each
from batch_resend.windows import Window, dictated_time
from tests.sending.conftest import HOUR_S, LONG_S, Reads, channel_to, crowded
from tests.sending.scripted import Judged, answer

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

WINDOW = Window(8, 16.0)
LINGER_S = 4.0


Answering = Callable[[str, int], str]  # path and the number of the request -> a word of `answer`


class Reading(Judged):
    """A reader with all its parts, real but for the CA.

    The CA answers by a script, then 200; or by a function.
    """

    def __init__(
        self,
        *script: str,
        max_attempts: int = 6,
        max_elapsed_s: float = LONG_S,
        concurrency: int = 1,
        windows: Sequence[Window] = (WINDOW,),
        answering: Answering | None = None,
        latency_s: Callable[[int], float] = lambda _: 0.0,
        has_canary: bool = False,
    ) -> None:
        self._script = list(script)
        self._answering = answering
        self._latency_s = latency_s
        self.at: list[float] = []  # when each request left, since the start
        self.paths: list[str] = []
        self.most_in_flight = 0
        self.start = anyio.current_time()
        self.journal = Reads()
        self.reader = Reader(
            channel=channel_to(
                self, windows, CircuitBreaker(HOUR_S, has_canary=has_canary), LINGER_S
            ),
            recorder=self.journal,
            policy=RetryPolicy(max_attempts, max_elapsed_s, retry_in_doubt=True),
            concurrency=concurrency,
        )

    @property
    def paused_s(self) -> float:
        return self.reader.channel.breaker.paused_s

    async def resend(self, order: Request, leave: Leave) -> Reply | Fault:
        raise AssertionError("nothing is mailed")

    async def get(self, path: str, leave: Leave) -> Reply | Fault:
        leave()
        self.at.append(anyio.current_time() - self.start)
        self.paths.append(path)
        number = len(self.at)
        self.most_in_flight = max(self.most_in_flight, self.reader.progress.in_flight)
        assert len(self.journal.under_way) >= self.reader.progress.in_flight, (
            "written down, then sent"
        )
        await anyio.sleep(self._latency_s(number))
        if self._answering is not None:
            return answer(self._answering(path, number))
        return answer(self._script.pop(0) if self._script else "200")

    async def read(self, pages: int) -> None:
        for page in range(pages):
            assert (await self.reader.fetch(f"/order/certificate?offset={page}")).status == 200

    async def read_beside(self, count: int) -> None:
        """Read so many orders beside each other."""
        await ask_each(range(count), lambda n: self.reader.fetch(f"/{n}"))

    def in_window(self, first: int) -> int:
        """Return how many requests left within a window's length, from one of them on."""
        since = self.at[first]
        return sum(since <= at < since + WINDOW.period_s for at in self.at)

    def elapsed_s(self) -> float:
        return anyio.current_time() - self.start


async def test_reads_answered_with_429_leave_a_part_of_the_windows_to_others() -> None:
    reading = Reading(*["429"] * 5, concurrency=5)
    await reading.read_beside(20)
    assert len(reading.at) == 25
    assert max(map(reading.in_window, range(5, 10))) == WINDOW.limit // 2


async def test_a_time_that_a_429_names_is_waited_for_by_all_reads() -> None:
    reading = Reading("429/64")
    await reading.read(2)
    assert reading.at == [0.0, 64.0, 64.0]


async def test_each_read_is_logged_with_what_came_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "batch_resend")
    reading = Reading("503", "404")
    with pytest.raises(CallRefused):
        await reading.reader.fetch("/order/certificate/7")
    lines = [r for r in caplog.records if r.name == "batch_resend.sending.reader"]
    of = ("http_status", "error_code", "said")
    assert [(r.getMessage(), *(vars(r)[name] for name in of)) for r in lines] == [
        ("read /order/certificate/7", 503, None, "HTTP 503"),
        ("read /order/certificate/7", 404, "not_found|order", "scripted: 404"),
    ]


@pytest.mark.parametrize("word", ["503", "noconn"])
async def test_a_ca_that_is_down_while_it_is_read_has_lost_no_part_of_the_windows(
    word: str,
) -> None:
    reading = Reading(word)
    await reading.read(3 * WINDOW.limit)
    assert max(map(reading.in_window, range(len(reading.at)))) == WINDOW.limit
    assert not crowded(reading.at, WINDOW)


async def test_a_read_without_an_answer_is_made_again_and_may_yet_arrive_late() -> None:
    """Until then, and a window's length beyond, its slot is taken."""
    reading = Reading(*["timeout"] * WINDOW.limit, max_attempts=2 * WINDOW.limit)
    await reading.read(1)
    assert Counter(reading.journal.ended) == {True: WINDOW.limit, False: 1}
    assert reading.at[WINDOW.limit] - reading.at[0] >= WINDOW.period_s + LINGER_S


async def test_a_read_that_finds_no_answer_says_what_and_why_and_wastes_no_slot() -> None:
    reading = Reading("503", "503", "503", max_attempts=3)
    with pytest.raises(CallError, match=r"^/order/certificate cannot be read: HTTP 503$"):
        await reading.read(1)
    assert reading.journal.ended == [False] * 3


# --- beside each other ----------------------------------------------------------------------------

CA_WINDOWS = (Window(1000, 180.0), Window(100, 5.0))


def between(low_s: float, high_s: float) -> Callable[[int], float]:
    """Return latencies between two bounds, in sixty-fourths, that look like chance."""
    steps = int((high_s - low_s) * 64)
    return lambda number: low_s + (number * 37 % (steps + 1)) / 64


@pytest.mark.parametrize(
    ("windows", "count", "latency_s"),
    [
        pytest.param((Window(20, 2.0),), 200, between(0.5, 0.5), id="200 at half a second"),
        pytest.param(CA_WINDOWS, 1_000, between(0.3125, 0.5), id="1,000 under the CA's limits"),
        pytest.param(CA_WINDOWS, 2_500, between(0.125, 2.0), id="2,500, some slow"),
    ],
)
async def test_reads_take_what_the_limits_dictate_and_never_exceed_them(
    windows: tuple[Window, ...], count: int, latency_s: Callable[[int], float]
) -> None:
    reading = Reading(windows=windows, concurrency=32, latency_s=latency_s)
    await reading.read_beside(count)
    assert len(reading.at) == count
    for window in windows:
        assert not crowded(reading.at, window)
    # A slot comes free a window's length after its answer, so each burst adds its latency; and the
    # first one goes with no more in flight than may be.
    limit = min(window.limit for window in windows)
    turns = ceil(count / limit) + ceil(limit / reading.most_in_flight)
    slowest_s = max(map(latency_s, range(count)))
    assert reading.elapsed_s() <= dictated_time(count, windows) + turns * slowest_s


async def test_no_more_reads_are_in_flight_than_requests_for_mails_may_be() -> None:
    reading = Reading(windows=(), concurrency=7, latency_s=between(0.5, 0.5))
    await reading.read_beside(50)
    assert reading.most_in_flight == 7


@pytest.mark.parametrize(
    ("answer_s", "most"),
    [
        pytest.param(0.05, 20, id="fast: few serve, the first ones apart"),
        pytest.param(0.4, 20, id="usual"),
        pytest.param(5.0, 64, id="slow: as many as may be"),
    ],
)
async def test_no_more_reads_are_in_flight_than_keep_the_pace_of_the_limits(
    answer_s: float, most: int
) -> None:
    window = Window(100, 5.0)
    reading = Reading(windows=(window,), concurrency=64, latency_s=lambda _: answer_s)
    await reading.read_beside(600)
    assert reading.most_in_flight <= most
    burst_s = answer_s * ceil(window.limit / (most / 2))  # until a window's reads have left
    bursts = 600 // window.limit
    assert reading.elapsed_s() <= dictated_time(600, [window]) + bursts * max(burst_s, answer_s)


async def test_a_read_that_always_fails_holds_up_no_other_and_ends_within_its_attempts() -> None:
    reading = Reading(
        windows=(Window(20, 1.0),),
        concurrency=8,
        answering=lambda path, _: "500" if path == "/7" else "200",
        latency_s=between(0.125, 0.25),
    )
    with pytest.raises(CallError, match=r"^/7 cannot be read: HTTP 500$"):
        await reading.read_beside(500)
    assert reading.paths.count("/7") == 6
    assert reading.paused_s == 0


async def test_a_key_refused_in_the_middle_stops_all_reads_at_once() -> None:
    reading = Reading(
        windows=(),
        concurrency=8,
        answering=lambda _, number: "key" if number > 100 else "200",
        latency_s=between(0.125, 0.25),
    )
    with pytest.raises(KeyRefused, match="the CA refused the API key"):
        await reading.read_beside(1_000)
    assert len(reading.at) <= 100 + 8
    assert not reading.journal.under_way, "what was in flight has its end in the journal"
    with pytest.raises(KeyRefused):
        await reading.reader.fetch("/later")
    assert "/later" not in reading.paths


async def test_reads_that_wait_when_the_key_is_refused_are_refused_with_it() -> None:
    reading = Reading("key", windows=(), concurrency=8, latency_s=lambda _: 1.0)
    reads = [reading.reader.fetch(f"/{number}") for number in range(5)]
    with anyio.fail_after(2):
        ended = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(error) for error in ended] == [KeyRefused] * 5
    assert len(reading.at) == 1


async def test_a_refused_key_loses_no_answer_and_ends_at_once_what_has_to_be_read_again() -> None:
    words = {"/first": "200", "/refused": "key", "/good": "200", "/failed": "500"}
    reading = Reading(
        windows=(), concurrency=3, answering=lambda path, _: words[path], latency_s=float
    )
    await reading.reader.fetch("/first")  # only then may others leave beside each other
    reads = [reading.reader.fetch(path) for path in ("/refused", "/good", "/failed")]
    refused, good, failed = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(refused, KeyRefused)
    assert isinstance(good, Reply)
    assert isinstance(failed, KeyRefused)
    assert reading.elapsed_s() == 1 + 4, "when the last answer came: nothing was waited for"


@pytest.mark.parametrize("word", ["404", "403", "page403", "route", "405", "500", "504", "timeout"])
async def test_a_call_that_the_ca_need_not_have_is_given_up_at_once_and_says_nothing_of_others(
    word: str,
) -> None:
    reading = Reading(word, windows=())
    with pytest.raises(CallRefused):
        await reading.reader.fetch("/report/order", optional=True)
    await reading.read(3)
    assert reading.elapsed_s() == 0
    assert reading.paused_s == 0


async def test_that_such_a_call_is_refused_ends_no_pause_of_others() -> None:
    reading = Reading(windows=(), answering=lambda path, _: "429/5" if path == "/1" else "404")
    with anyio.move_on_after(2):
        await reading.reader.fetch("/1")
    with pytest.raises(CallRefused):
        await reading.reader.fetch("/report/order", optional=True)
    assert reading.at == [0, 5]
    assert reading.reader.channel.breaker.flow is Flow.PAUSED


@pytest.mark.parametrize("word", ["429/9", "503/9", "noconn"])
async def test_even_such_a_call_is_waited_for_where_all_calls_have_to_wait(word: str) -> None:
    reading = Reading(word, windows=())
    assert (await reading.reader.fetch("/report/order", optional=True)).status == 200
    assert len(reading.at) == 2
    assert reading.elapsed_s() > 0


@pytest.mark.parametrize("word", ["500", "502", "503", "503/9", "timeout", "lost", "page403"])
@pytest.mark.parametrize("pages_before", [0, 1])
async def test_where_there_is_another_way_a_call_that_always_fails_is_given_up_before_long(
    word: str, pages_before: int
) -> None:
    reading = Reading(
        windows=(),
        answering=lambda path, _: word if path.startswith("/report") else "200",
        has_canary=True,
    )
    await reading.read(pages_before)
    with pytest.raises(CallRefused, match="/report/order cannot be read: "):
        await OrderReader(reading.reader).methods()
    assert 1 + 6 <= reading.paths.count("/report/order") <= 1 + 6 + 6
    assert reading.elapsed_s() < 90
    await reading.read(3)


# --- asking about many things ---------------------------------------------------------------------


async def test_answers_are_taken_in_the_order_of_the_items_however_late_they_come() -> None:
    taken: list[int] = []

    async def ask(item: int) -> int:
        await anyio.sleep(item * 37 % 11)
        return item

    await ask_each(range(200), ask, taken.append)
    assert taken == list(range(200))


async def test_a_late_answer_to_an_early_item_keeps_no_later_one_from_being_asked() -> None:
    asked: list[tuple[float, int]] = []
    start = anyio.current_time()

    async def ask(item: int) -> None:
        asked.append((anyio.current_time() - start, item))
        await anyio.sleep(1_000 if item == 0 else 1)

    await ask_each(range(900), ask)
    assert {at for at, _ in asked} == {0}


@pytest.mark.parametrize("wanted", [1, 3, 10])
async def test_no_more_is_asked_than_could_still_be_wanted(wanted: int) -> None:
    """Of the items every third is of use: just as many are asked about as it takes."""
    asked: list[int] = []
    useful: list[int] = []

    async def ask(item: int) -> int:
        asked.append(item)
        await anyio.sleep(item * 37 % 11)
        return item

    def take(item: int) -> None:
        if item % 3 == 0:
            useful.append(item)

    await ask_each(range(1_000), ask, take, wanted=lambda: wanted - len(useful))
    assert useful == [3 * n for n in range(wanted)]
    assert asked == list(range(3 * (wanted - 1) + 1))


@pytest.mark.parametrize("where", ["items", "ask", "take"])
async def test_the_first_error_ends_it_and_comes_alone(where: str) -> None:
    asked: list[int] = []

    async def items() -> AsyncIterator[int]:
        for item in range(100):
            if where == "items" and item == 50:
                raise CallError("here")
            yield item

    async def ask(item: int) -> int:
        asked.append(item)
        await anyio.sleep(1 + item / 64)
        if where == "ask" and item >= 50:
            raise CallError("here")
        return item

    def take(item: int) -> None:
        if where == "take" and item == 50:
            raise CallError("here")

    with pytest.raises(CallError, match="here"):
        await ask_each(items(), ask, take)
    assert len(asked) <= 100


async def test_a_read_has_all_its_time_from_when_it_first_leaves() -> None:
    """Until then it waits for the limits, as the orders of a run do."""
    reading = Reading(
        windows=(Window(5, 1.0),),
        concurrency=4,
        answering=lambda path, number: "502" if number == 90 else "200",
        max_elapsed_s=4.0,
    )
    await reading.read_beside(100)
    assert len(reading.at) == 101
    assert reading.elapsed_s() > 4.0
