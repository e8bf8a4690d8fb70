"""Never over the limit, never idle below it.

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
read off clocks that disagree is said in `journal/schema.py`.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Protocol

import anyio

from batch_resend.clock import running_time
from batch_resend.sending.share import Share, part
from batch_resend.windows import Window

_TICK_S = 1e-6  # less than a clock may tell apart is not waited for: time would stand still


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that another process has begun, for all that send by the key."""

    reason: str
    until: float  # of the event loop's clock


class HeldTooLong(Exception):
    """A pause that another process has begun lasts beyond the user's patience."""


class Slot(Protocol):
    """Leave for one request."""

    def answered(self) -> None:
        """Note that the answer has come now, or that surely nothing left. The first word counts."""

    def given_up(self) -> None:
        """Note that no answer has come until now; the request may still arrive."""

    def unused(self) -> None:
        """Give it back: no request has left."""


class Limiter(Protocol):
    """Grants slots, for this process alone or together with others."""

    def slot(self) -> AbstractAsyncContextManager[Slot]:
        """Hold a slot from when every window has one; it comes free W seconds after its answer.

        Without a word of an answer, the request counts as given up at the end of the block.
        """

    @property
    def share(self) -> float:
        """What part of the windows is taken now: 1, unless there was a 429 a while ago."""

    @property
    def full_for_s(self) -> float:
        """How many seconds no slot comes free; infinite: not before an answer comes."""

    def decrease(self) -> Sequence[Window]:
        """Take a smaller part of the windows, if there are any; return what they come to now."""

    def hold(self, pause_s: float, reason: str) -> None:
        """Let nobody else take a slot for so long either: the CA is in trouble, or asks for it."""

    @property
    def held(self) -> "Hold | None":
        """The pause of another process that holds up this one, if there is one."""


class WindowSlot:
    """Leave for one request of this process."""

    __slots__ = ("_limiter",)

    def __init__(self, limiter: "WindowLimiter") -> None:
        self._limiter: WindowLimiter | None = limiter

    def answered(self) -> None:
        """Note that the answer has come now, or that surely nothing left. The first word counts."""
        self._end(may_arrive=False)

    def given_up(self) -> None:
        """Note that no answer has come until now; the request may still arrive."""
        self._end(may_arrive=True)

    def unused(self) -> None:
        """Give it back: no request has left."""
        if self._limiter is not None:
            self._limiter._unused()
            self._limiter = None

    def _end(self, *, may_arrive: bool) -> None:
        if self._limiter is not None:
            self._limiter._end(self._limiter.linger_s if may_arrive else 0.0)
            self._limiter = None


class WindowLimiter:
    """Grants slots in the order they are asked for, within all windows at once."""

    def __init__(
        self, windows: Sequence[Window], ages_s: Iterable[float] = (), *, linger_s: float = 0.0
    ) -> None:
        """Begin with the attempts of earlier processes: how many seconds ago each one ended.

        A negative age is one that may still arrive, so many seconds from now. `linger_s`: how long
        a request that was given up may still arrive.
        """
        now = running_time()
        self.linger_s = linger_s
        self._out = 0  # slots granted whose answer has not come
        self._windows = windows
        self._share = Share(max((window.period_s for window in windows), default=1.0))
        # When the slots that were answered come free, a heap for each window.
        self._free_at: list[list[float]] = [[] for _ in windows]
        for age_s in ages_s:
            self._give_back(now - age_s)
        self._turn = anyio.Lock(fast_acquire=True)  # first come, first served
        self._answered = anyio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[WindowSlot]:
        """Hold a slot from when every window has one; it comes free W seconds after its answer.

        Without a word of an answer, the request counts as given up at the end of the block.
        """
        async with self._turn if self._windows else nullcontext():
            while (wait_s := self._wait_s(running_time())) > 0:
                # An answer meanwhile may make a slot come free before all that is known of now.
                self._answered = anyio.Event()
                with anyio.move_on_after(max(wait_s, _TICK_S)):
                    await self._answered.wait()
            self._out += 1
        slot = WindowSlot(self)
        try:
            yield slot
        finally:
            slot.given_up()

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
        """Do nothing: whom this limiter serves, the gate holds up."""

    @property
    def held(self) -> "Hold | None":
        """None: there is no other process."""
        return None

    def _end(self, linger_s: float) -> None:
        self._out -= 1
        self._give_back(running_time() + linger_s)
        self._answered.set()

    def _unused(self) -> None:
        self._out -= 1
        self._answered.set()

    def _give_back(self, arrived_by: float) -> None:
        for window, free_at in zip(self._windows, self._free_at, strict=True):
            heappush(free_at, arrived_by + window.period_s)

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
