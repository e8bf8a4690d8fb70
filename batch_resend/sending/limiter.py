"""Never over the limit, never idle below it.

**The argument.** A window allows N arrivals at the CA in any W seconds. What this program knows
of a request is when it let it go (g) and when its answer, or its failure, came (e); it arrived at
some moment a with g <= a <= e. A slot is taken at g and given back at e + W. Suppose N + 1
arrivals fell into one window of length W, the last of them let go at g'. At g' one of the N
slots of the others must have been free: that request's e + W <= g'. Then its arrival a <= e <=
g' - W, and the last arrival a' >= g' >= a + W: they are not in one window of length W. So no
latency, however it changes, brings more than N arrivals into a window, and a log of grants alone
(which takes a for g) would not do.

One case is outside of it: a request that timed out here and is still on its way (held up in a
proxy, say) arrives after e. How long it may be held up nobody here can know.

Of all the rules that know only g and e this one grants earliest: at any moment before e + W the
request may have arrived just at e, and one more would be one too many.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from math import inf

import anyio

from batch_resend.windows import Window


class Slot:
    """Leave for one request."""

    __slots__ = ("_limiter",)

    def __init__(self, limiter: "WindowLimiter") -> None:
        self._limiter: WindowLimiter | None = limiter

    def answered(self) -> None:
        """Note that the answer, or the failure, has come now. The first call counts."""
        if self._limiter is not None:
            self._limiter._end()
            self._limiter = None


class WindowLimiter:
    """Grants slots in the order they are asked for, within all windows at once."""

    def __init__(self, windows: Sequence[Window], ages_s: Iterable[float] = ()) -> None:
        """Begin with the attempts of earlier processes: how many seconds ago each one ended."""
        now = anyio.current_time()
        self._out = 0  # slots granted whose answer has not come
        self._windows = windows
        # When the slots that were answered come free, one queue a window, soonest first.
        self._free_at: list[deque[float]] = [deque() for _ in windows]
        for age_s in sorted(ages_s, reverse=True):
            self._give_back(now - max(0.0, age_s))
        self._turn = anyio.Lock(fast_acquire=True)  # first come, first served
        self._answered = anyio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator["Slot"]:
        """Hold a slot from when every window has one; it comes free W seconds after its answer.

        Without a word of an answer, the end of the block counts as one.
        """
        async with self._turn:
            while (wait_s := self._wait_s(anyio.current_time())) > 0:
                if wait_s == inf:
                    self._answered = anyio.Event()
                    await self._answered.wait()
                else:
                    await anyio.sleep(wait_s)
            self._out += 1
        slot = Slot(self)
        try:
            yield slot
        finally:
            slot.answered()

    def _end(self) -> None:
        self._out -= 1
        self._give_back(anyio.current_time())
        self._answered.set()

    def _give_back(self, ended_at: float) -> None:
        for window, free_at in zip(self._windows, self._free_at, strict=True):
            free_at.append(ended_at + window.period_s)

    def _wait_s(self, now: float) -> float:
        """Return the seconds until a slot may be free; infinite: not before an answer comes."""
        wait_s = 0.0
        for window, free_at in zip(self._windows, self._free_at, strict=True):
            while free_at and free_at[0] <= now:
                free_at.popleft()
            if self._out + len(free_at) >= window.limit:
                wait_s = max(wait_s, free_at[0] - now if free_at else inf)
        return wait_s
