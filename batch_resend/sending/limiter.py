"""Never over the limit, never idle below it; and the share of a limit that is ours.

**The argument.** A window allows N arrivals at the CA in any W seconds. What this program knows
of a request is when it let it go (g) and when its answer, or its failure, came (e); it arrived at
some moment a with g <= a <= e. A slot is taken at g and given back at e + W. Suppose N + 1
arrivals fell into one window of length W, the last of them let go at g'. At g' one of the N
slots of the others must have been free: that request's e + W <= g'. Then its arrival a <= e <=
g' - W, and the last arrival a' >= g' >= a + W: they are not in one window of length W. So no
latency, however it changes, brings more than N arrivals into a window, and a log of grants alone
(which takes a for g) would not do.

A request that was given up without an answer may still be on its way, held up in a proxy, say, and
arrive after e. How long, nobody here can know; it is taken to arrive within L (`linger_s`) of its
failure or never, so its slot is given back at e + L + W, and the argument holds with e + L for e.

Of all the rules that know only g and e this one grants earliest: at any moment before e + W the
request may have arrived just at e, and one more would be one too many.

**Time** is the event loop's, which nobody sets. While the machine sleeps it may stand still: then
slots come free later, never sooner. What earlier processes did comes in as ages; how those are
read off clocks that disagree is said in `journal/sql/schema.sql`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from math import inf

from batch_resend.clock import running_time
from batch_resend.windows import Fate, Hold, Slot, Window

DECREASE = 0.5  # of the whole
DECREASE_LATER = 0.7  # of what there is, once that is less
HOLD = 6  # periods, before it rises
RISE = 0.05  # of the whole, in one period
LEAST = 0.05

FORGOTTEN = HOLD + (1.0 - LEAST) / RISE  # periods, after which all is taken again

_ROUNDING = 1e-9  # a share that is to make just n of N must not come out below n


def part(window: Window, share: float) -> int:
    """Return how many requests a share of a window comes to: at least one."""
    return max(1, int(window.limit * share + _ROUNDING))


def decreased(share: float) -> float:
    """Return what a limit that was met leaves of a share."""
    return max(LEAST, share * (DECREASE if share >= 1.0 else DECREASE_LATER))


class Share:
    """A share of the whole, as a pure function of time. Seconds of any one clock.

    A 429 while our own windows are kept says so. From then on we take half of what we took before
    (multiplicative decrease), and after a while a twentieth of the whole more in every period of
    the longest window (additive increase): the rule by which senders who know nothing of each other
    come to share a line fairly (Chiu and Jain, 1989).

    Two things are as in later rules for lines (CUBIC, RFC 9438): near where the limit was met the
    share stays for some periods, and once it is known to be shared a limit costs less than a half.
    Measured with another client that takes half of the windows: without the first, it got a third
    more answers of 429; without the second, we took a third longer than a fair share takes.
    """

    def __init__(self, period_s: float, then: float = 1.0, at_s: float = -inf) -> None:
        """Begin with all, or with what it was `then`. `period_s`: of the longest window."""
        self._period_s = period_s
        self._at_s = at_s
        self._then = then

    def at(self, now: float) -> float:
        """Return the share at a time: above 0, at most 1."""
        if self._then >= 1.0:
            return 1.0
        rising_s = max(0.0, now - self._rises_at_s)
        return min(1.0, self._then + RISE * rising_s / self._period_s)

    def remember(self, noted: Iterable[tuple[float, float]]) -> None:
        """Take in what an earlier process took, and from when on; oldest first.

        A part that is plainly smaller than it would have been by then was taken for a 429: each
        takes three tenths at least.
        """
        for at_s, then in noted:
            if then < 0.9 * self.at(at_s):
                self._then, self._at_s = then, at_s

    def decrease(self, now: float) -> float:
        """Take less from now on; return how much."""
        self._then, self._at_s = decreased(self.at(now)), now
        return self._then

    def time_of(self, share: float, now: float) -> float:
        """Return when the share will have risen so far; now, if it has already."""
        if self.at(now) >= share:
            return now
        if share > 1.0:
            return inf
        return self._rises_at_s + (share - self._then) / RISE * self._period_s

    @property
    def _rises_at_s(self) -> float:
        return self._at_s + HOLD * self._period_s


_TICK_S = 1e-6  # less than a clock may tell apart is not waited for: time would stand still


class WindowLimiter:
    """Grants slots in the order they are asked for, within all windows at once."""

    def __init__(
        self, windows: Sequence[Window], ages_s: Iterable[float] = (), *, linger_s: float = 0.0,
        shares: Iterable[tuple[float, float]] = (),
    ) -> None:  # fmt: skip
        """Begin with the attempts of earlier processes: how many seconds ago each one ended.

        A negative age is one that may still arrive, so many seconds from now. `linger_s`: how long
        a request that was given up may still arrive. `shares`: how many seconds ago which part of
        the windows was taken, oldest first.
        """
        now = running_time()
        self.linger_s = linger_s
        self._out = 0  # slots granted whose answer has not come
        self._windows = windows
        self._share = Share(max((window.period_s for window in windows), default=1.0))
        self._share.remember((now - age_s, share) for age_s, share in shares)
        # When the slots that were answered come free, a heap for each window.
        self._free_at: list[list[float]] = [[] for _ in windows]
        for age_s in ages_s:
            self._give_back(now - age_s)
        self._turn = asyncio.Lock()  # first come, first served
        self._news = asyncio.Event()  # by which the first in line may go sooner

    async def slot(self) -> Slot:
        """Take a slot as soon as every window has one; it comes free W seconds after its answer."""
        if self._windows:
            async with self._turn:
                while (wait_s := self._wait_s(running_time())) > 0:
                    self._news.clear()
                    at_most_s = None if wait_s == inf else max(wait_s, _TICK_S)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(at_most_s):
                            await self._news.wait()
        self._out += 1  # nobody else has had a turn since there was one
        return Slot(self._end)

    @property
    def share(self) -> float:
        """What part of the windows is ours now: 1, unless there was a 429 a while ago."""
        return self._share.at(running_time())

    @property
    def full_for_s(self) -> float:
        """How many seconds no slot comes free; infinite: not before an answer comes."""
        return self._wait_s(running_time())

    def decrease(self) -> Sequence[Window]:
        """Take a smaller part of the windows, if there are any; return what they come to now."""
        if not self._windows:
            return ()
        share = self._share.decrease(running_time())
        return [Window(part(window, share), window.period_s) for window in self._windows]

    def hold(self, pause_s: float, reason: str) -> None:
        """Do nothing: all that this limiter serves wait at the circuit breaker."""

    @property
    def held(self) -> "Hold | None":
        """None: there is no other process."""
        return None

    def _end(self, fate: Fate) -> None:
        self._out -= 1
        linger_s = self.linger_s if fate is Fate.GIVEN_UP else 0.0
        if fate is Fate.UNUSED or self._give_back(running_time() + linger_s):
            self._news.set()

    def _give_back(self, arrived_by: float) -> bool:
        """Note when a slot comes free; return whether it is the first that does, in any window."""
        is_first = False
        for window, free_at in zip(self._windows, self._free_at, strict=True):
            at = arrived_by + window.period_s
            is_first = is_first or not free_at or at < free_at[0]
            heappush(free_at, at)
        return is_first

    def _wait_s(self, now: float) -> float:
        """Return the seconds until a slot may be free; infinite: not before an answer comes."""
        share = self._share.at(now)
        wait_s = 0.0
        for window, free_at in zip(self._windows, self._free_at, strict=True):
            while free_at and free_at[0] <= now:
                heappop(free_at)
            taken = self._out + len(free_at)
            if taken >= part(window, share):
                comes_free = free_at[0] if free_at else inf
                risen = self._share.time_of((taken + 1) / window.limit, now)
                wait_s = max(wait_s, min(comes_free, risen) - now)
        return wait_s
