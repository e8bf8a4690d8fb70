"""Back-pressure is not failure: when the CA is in trouble, or in doubt, all wait who go by the key.

A run opens with a single request; only an answer that shows key and URL to be right lets the
others follow. When nothing leaves, and for how long, `breaker_state` decides. Here is what goes
with it: the clock, the line of those who wait, and what is logged of pauses.

Waiting costs the orders neither attempts nor time; only what may have been mailed counts, whatever
the trouble: else it would be mailed on and on.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf

from batch_resend.clock import format_duration, running_time
from batch_resend.model import Verdict
from batch_resend.sending.breaker_state import (
    FEW_ORDERS,
    Action,
    Answer,
    BreakerState,
    Change,
    Flow,
    Permit,
)
from batch_resend.sending.failures import History, never_left
from batch_resend.windows import KeyStopped

_TICK_S = 1e-6  # less than a clock may tell apart is not waited for: time would stand still
SHORT_PAUSE_S = 5.0
LOG_EVERY_S = 10.0  # of short pauses for one reason

log = logging.getLogger(__name__)


@dataclass(order=True, slots=True)
class _Waiting:
    """An order that waits in line: those that never failed come first, then those tried least."""

    has_failed: bool
    tried: int
    number: int  # of those tried as often, who came first
    called: asyncio.Future[Permit] = field(compare=False)


class CircuitBreaker:
    """Lets requests leave while the CA takes them. Clock: the event loop's."""

    def __init__(
        self,
        patience_s: float,
        few_orders: int = FEW_ORDERS,
        *,
        has_canary: bool = False,
        of: str = "",
    ) -> None:
        """Begin. `few_orders`: so many may fail by themselves when no others are left.

        `of`: whose key it is, in words, where others are at work beside it.
        """
        self.of = of
        self.stopped: KeyStopped | None = None
        self._state = BreakerState(patience_s, few_orders, has_canary=has_canary)
        self._line: list[_Waiting] = []  # a heap
        self._numbers = count()
        self._pause_end: asyncio.TimerHandle | None = None
        self._paused_since: float | None = None
        self._paused_before_s = 0.0
        self._logged: str | None = None  # the last reason to pause that was logged, and when
        self._logged_at = -inf

    @property
    def prefix(self) -> str:
        """What a message of this key begins with."""
        return f"{self.of}: " if self.of else ""

    @property
    def flow(self) -> Flow:
        """How requests may leave."""
        return self._state.flow

    @property
    def paused_until(self) -> float:
        """When the pause ends, by the event loop's clock; holds while paused."""
        return self._state.paused_until

    @property
    def reason(self) -> str | None:
        """Why requests do not flow, or why to stop."""
        return self._state.reason

    @property
    def is_outage(self) -> bool:
        """Whether nothing leaves because the CA is in trouble: nobody knows for how long."""
        return self.flow is Flow.PAUSED and not self._state.is_limited

    @property
    def paused_s(self) -> float:
        """How long requests have not flowed because of the CA, in all, until now."""
        if self._paused_since is None:
            return self._paused_before_s
        return self._paused_before_s + running_time() - self._paused_since

    @property
    def flowing_time(self) -> float:
        """The loop's time, less the pauses: they cost no order any of its own."""
        return running_time() - self.paused_s

    async def permit(self, tried: int = 0, *, has_failed: bool = False) -> Permit:
        """Wait for a permit. While requests do not flow there are few, for those tried least.

        `tried`: how often its order was; `has_failed`: in this process. The permit is to be given
        back, whatever becomes of it. Raises KeyStopped.
        """
        if self.stopped is not None:
            self.raise_stopped()
        if self._state.flow is Flow.FLOWING:
            return self._state.permit(has_failed=has_failed)
        called: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        heappush(self._line, _Waiting(has_failed, tried, next(self._numbers), called))
        self._call_in()
        try:
            return await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled() and called.exception() is None:
                self.give_back(called.result())
            raise

    def give_back(self, permit: Permit) -> None:
        """Take back a permit. One whose answer was recorded is used up, any other is free again."""
        if permit.is_open:
            self._state.give_back(permit)
            self._call_in()

    def leaves(self, permit: Permit) -> bool:
        """Whether a permit still holds: its request leaves now. Else wait for another."""
        return self.stopped is None and self._state.leaves(permit, running_time())

    def stop(self, why: str, *, is_refused: bool) -> None:
        """Let nothing leave any more: what waits, and what comes later, is given the reason."""
        self.stopped = KeyStopped(why, is_refused)
        for waiting in self._line:
            if not waiting.called.done():
                waiting.called.set_exception(KeyStopped(why, is_refused))
        self._line.clear()

    def raise_stopped(self) -> None:
        """Raise KeyStopped if nothing more is to leave: a new error for each."""
        if self.stopped is not None:
            raise KeyStopped(self.stopped.why, self.stopped.is_refused)

    def record(self, permit: Permit, verdict: Verdict, history: History) -> Action:
        """Take in an answer, before its permit is given back; return what to do next.

        `history` is what is known of its order, and is kept up.
        """
        now = running_time()
        # With a wrong port or host there is nothing else: so -q shows it, too.
        is_error = never_left(verdict) and not self._state.has_answered
        action = self._state.record(Answer(permit, verdict, now, history))
        return self._done(action, now, logging.ERROR if is_error else logging.WARNING)

    def record_canary(self, permit: Permit, verdict: Verdict) -> Action:
        """Take in the answer to a canary, before its permit is given back."""
        now = running_time()
        return self._done(self._state.record_canary(permit, verdict, now), now)

    def _done(self, action: Action, now: float, level: int = logging.WARNING) -> Action:
        if self._paused_since is None and self.flow is Flow.PAUSED:
            self._paused_since = now
        if action.change is Change.ENDS:
            log.info("%sthe CA takes requests again: sending resumes", self.prefix)
            self._paused_before_s, self._paused_since = self.paused_s, None
        elif action.change is not Change.NOTHING:
            self._log_pause(now, level)
        if action.change is not Change.NOTHING:
            self._call_in_later()
        if self._line:
            self._call_in()
        return action

    def _call_in(self) -> None:
        """Give the permits that there are to the first in line."""
        while self._line and self._state.free(running_time()) > 0:
            first = heappop(self._line)
            if not first.called.done():  # else it has gone meanwhile
                first.called.set_result(self._state.permit(has_failed=first.has_failed))

    def _call_in_later(self) -> None:
        """Do so at the end of the pause."""
        if self._pause_end is not None:
            self._pause_end.cancel()
            self._pause_end = None
        now = running_time()
        if self.flow is Flow.PAUSED and now < self.paused_until:
            at = max(self.paused_until, now + _TICK_S)
            self._pause_end = asyncio.get_running_loop().call_at(at, self._end_pause)

    def _end_pause(self) -> None:
        self._call_in_later()  # a timer may be early by what its clock cannot tell apart
        self._call_in()

    def _log_pause(self, now: float, level: int) -> None:
        """Log that nothing leaves. A CA that asks for a second, for an hour, fills no screen.

        An error is one only the first time.
        """
        pause_s = self.paused_until - now
        is_short = pause_s < SHORT_PAUSE_S and now - self._logged_at < LOG_EVERY_S
        is_news = self.reason != self._logged or not is_short
        if self._logged is not None:
            level = logging.WARNING
        log.log(
            level if is_news else logging.DEBUG,
            "%spaused: %s; next try in %s",
            f"{self.of} " if self.of else "",
            self.reason,
            format_duration(pause_s),
        )
        if is_news:
            self._logged, self._logged_at = self.reason, now
