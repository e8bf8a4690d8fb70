"""What the CA answers to a read counts for all that go by its key, as with a mail."""

from collections import Counter
from functools import partial

import anyio
import pytest

from batch_resend.certcentral.judge import judge, remedy
from batch_resend.errors import CallError
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply
from batch_resend.sending import Fetcher, Gate, RetryPolicy, WindowLimiter
from batch_resend.windows import Window
from tests.sending.conftest import HOUR_S, LONG_S, answer, crowded

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

WINDOW = Window(8, 16.0)
LINGER_S = 4.0


class ReadsRemembered(ReadRecorder):
    """The journal's reads, kept in memory."""

    def __init__(self) -> None:
        self.ended: list[bool] = []  # whether in doubt, one after another
        self.under_way = 0

    async def begin(self, begun_at: float) -> int:
        assert begun_at == anyio.current_time()
        self.under_way += 1
        return len(self.ended) + self.under_way

    async def end(self, number: int, ended_at: float, *, in_doubt: bool = False) -> None:
        assert (number, ended_at) == (len(self.ended) + 1, anyio.current_time())
        self.under_way -= 1
        self.ended.append(in_doubt)


class Reading:
    """A fetcher with all its parts, real but for the CA, which answers by a script, then 200."""

    def __init__(self, *script: str, max_attempts: int = 6, concurrency: int = 1) -> None:
        self._script = list(script)
        self.at: list[float] = []  # when each request left, since the start
        self.start = anyio.current_time()
        self.journal = ReadsRemembered()
        self.fetcher = Fetcher(
            get=self._get,
            judge=judge,
            explain=partial(remedy, base_url="https://ca.example"),
            recorder=self.journal,
            limiter=WindowLimiter([WINDOW], linger_s=LINGER_S),
            gate=Gate(HOUR_S),
            policy=RetryPolicy(max_attempts, LONG_S, retry_in_doubt=True),
            concurrency=concurrency,
            clock=anyio.current_time,
        )

    async def _get(self, _path: str) -> Reply | Fault:
        assert self.journal.under_way == 1, "it is written down before it leaves"
        self.at.append(anyio.current_time() - self.start)
        return answer(self._script.pop(0) if self._script else "200")

    async def read(self, pages: int) -> None:
        for page in range(pages):
            assert (await self.fetcher.fetch(f"/order/certificate?offset={page}")).status == 200

    def in_window(self, first: int) -> int:
        """Return how many requests left within a window's length, from one of them on."""
        since = self.at[first]
        return sum(since <= at < since + WINDOW.period_s for at in self.at)


async def test_a_read_answered_with_429_leaves_a_part_of_the_windows_to_others() -> None:
    reading = Reading("429/64")  # seconds, after which the windows are empty
    await reading.read(13)
    assert reading.at[:2] == [0.0, 64.0]
    assert reading.in_window(1) == WINDOW.limit // 2 + 1  # a half, and what has grown since


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
