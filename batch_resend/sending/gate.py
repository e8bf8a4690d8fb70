"""May a request of this key leave? The breaker's permit, the canary, and news for all."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf

from batch_resend.clock import format_duration, running_time
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending.breaker import FEW_ORDERS, CircuitBreaker
from batch_resend.sending.history import (
    TROUBLE,
    Action,
    Answer,
    Change,
    Flow,
    History,
    Permit,
)
from batch_resend.windows import Limiter, Slot

_TICK_S = 1e-6  # less than a clock may tell apart is not waited for: time would stand still
SHORT_PAUSE_S = 5.0
SAY_EVERY_S = 10.0  # of short pauses for one reason

log = logging.getLogger(__name__)


@dataclass(order=True, slots=True)
class _Waiting:
    """An order that waits in line: those that never failed come first, then those tried least."""

    has_failed: bool
    tried: int
    number: int  # of those tried as often, who came first
    may_ask: bool = field(compare=False)
    called: asyncio.Future[Permit] = field(compare=False)


class Gate:
    """Lets requests leave while the CA takes them. Clock: the event loop's."""

    def __init__(self, patience_s: float, few_orders: int = FEW_ORDERS) -> None:
        """Begin. `few_orders`: so many may fail by themselves when no others are left."""
        self._breaker = CircuitBreaker(patience_s, few_orders)
        self._line: list[_Waiting] = []  # a heap
        self._numbers = count()
        self._pause_end: asyncio.TimerHandle | None = None
        self._paused_since: float | None = None
        self._paused_before_s = 0.0
        self._said: str | None = None  # the last reason to pause that was said, and when
        self._said_at = -inf

    @property
    def flow(self) -> Flow:
        """How requests may leave."""
        return self._breaker.flow

    @property
    def paused_until(self) -> float:
        """When the pause ends, by the event loop's clock; holds while paused."""
        return self._breaker.paused_until

    @property
    def reason(self) -> str | None:
        """Why requests do not flow, or why to stop."""
        return self._breaker.reason

    @property
    def paused_s(self) -> float:
        """How long requests have not flowed because of the CA, in all, until now."""
        if self._paused_since is None:
            return self._paused_before_s
        return self._paused_before_s + running_time() - self._paused_since

    # --- leaving ----------------------------------------------------------------------------

    async def permit(
        self, tried: int = 0, *, has_failed: bool = False, may_ask: bool = False
    ) -> Permit:
        """Wait for a permit. While requests do not flow there are few, for those tried least.

        `tried`: how often its order was; `has_failed`: in this process; `may_ask`: the permit may
        be for a canary. It is to be given back, whatever becomes of it.
        """
        if self._breaker.flow is Flow.FLOWING:
            return self._breaker.permit(has_failed=has_failed, may_ask=may_ask)
        called: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        heappush(self._line, _Waiting(has_failed, tried, next(self._numbers), may_ask, called))
        self._call_in()
        try:
            return await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self.give_back(called.result())
            raise

    def give_back(self, permit: Permit) -> None:
        """Take back a permit. One whose answer was recorded is used up, any other is free again."""
        if permit.is_open:
            self._breaker.give_back(permit)
            self._call_in()

    def leaves(self, permit: Permit) -> bool:
        """Whether a permit still holds: its request leaves now. Else wait for another."""
        return self._breaker.leaves(permit, running_time())

    def _call_in(self) -> None:
        """Give the permits that there are to the first in line."""
        while self._line and self._breaker.free(running_time()) > 0:
            first = heappop(self._line)
            if not first.called.done():  # else it has gone meanwhile
                permit = self._breaker.permit(has_failed=first.has_failed, may_ask=first.may_ask)
                first.called.set_result(permit)

    def _call_in_later(self) -> None:
        """Do so at the end of the pause."""
        if self._pause_end is not None:
            self._pause_end.cancel()
            self._pause_end = None
        now = running_time()
        if self.flow is Flow.PAUSED and now < self.paused_until:
            loop = asyncio.get_running_loop()
            at = max(self.paused_until, now + _TICK_S)
            self._pause_end = loop.call_at(at, self._pause_is_over)

    def _pause_is_over(self) -> None:
        self._call_in_later()  # a timer may be early by what its clock cannot tell apart
        self._call_in()

    # --- answers ----------------------------------------------------------------------------

    def record(
        self, permit: Permit, order: int, verdict: Verdict, history: History | None = None
    ) -> Action:
        """Take in an answer, before its passage ends; return what to do next.

        `order` is the number of the order it was for, `history` what is known of it, which is kept
        up here.
        """
        now = running_time()
        history = history or History()
        action = self._breaker.record(Answer(permit, order, verdict, now, history))
        if verdict.ruling in TROUBLE and history.failed_at is None:
            history.failed_at = now
        if verdict.ruling is Ruling.RATE_LIMITED:
            history.limited += 1
            history.limited_at = now if history.limited_at is None else history.limited_at
        return self._done(action, now)

    def record_canary(self, permit: Permit, verdict: Verdict) -> Action:
        """Take in the answer to a canary, before its passage ends."""
        now = running_time()
        return self._done(self._breaker.record_canary(permit, verdict, now), now)

    def _done(self, action: Action, now: float) -> Action:
        if self._paused_since is None and self._breaker.flow is Flow.PAUSED:
            self._paused_since = now
        if action.change is Change.ENDS:
            log.info("the CA takes requests again: going on")
            self._paused_before_s, self._paused_since = self.paused_s, None
        elif action.change is not Change.NOTHING:
            self._say(now)
        if action.change is not Change.NOTHING:
            self._call_in_later()
        if self._line:
            self._call_in()
        return action

    def _say(self, now: float) -> None:
        """Say that nothing leaves. A CA that asks for a second, for an hour, fills no screen."""
        pause_s = self.paused_until - now
        is_short = pause_s < SHORT_PAUSE_S and now - self._said_at < SAY_EVERY_S
        is_news = self.reason != self._said or not is_short
        level = logging.WARNING if is_news else logging.DEBUG
        log.log(level, "paused: %s; next try in %s", self.reason, format_duration(pause_s))
        if is_news:
            self._said, self._said_at = self.reason, now


BEFORE_THE_CA = (
    "That answer is not the CA's. Look at what stands before it: your proxy (--trust-env), a rule "
    "for IP addresses in CertCentral's account, the CA's CDN, which may take this host for a robot"
)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A gate and a limiter."""

    gate: Gate
    limiter: Limiter
    places: AbstractAsyncContextManager[object]  # of requests in flight

    @asynccontextmanager
    async def way(
        self, tried: int, history: History, *, may_ask: bool = False
    ) -> AsyncIterator[tuple[Permit, Slot]]:
        """Wait until a request of an order may leave, which it then must at once.

        The gate comes first: who waits at it holds neither a place nor a slot. A pause that begins
        while it waits for these sends it back to the line.
        """
        while True:
            has_failed = history.has_failed
            permit = await self.gate.permit(tried, has_failed=has_failed, may_ask=may_ask)
            try:
                async with self.places, self.limiter.slot() as slot:
                    if self.gate.leaves(permit):
                        yield permit, slot
                        return
                    slot.unused()
            finally:
                self.gate.give_back(permit)

    def feedback(self, permit: Permit, order: int, verdict: Verdict, history: History) -> Action:
        """Let all others know what an answer says of the CA, before its passage ends.

        As `Gate.record`; and where a limit was reached sooner than it should be, a part of the
        windows is left to whoever else uses the key.
        """
        return self._heed(self.gate.record(permit, order, verdict, history))

    def canary_feedback(self, permit: Permit, verdict: Verdict) -> Action:
        """Let all others know what the answer to a canary says."""
        return self._heed(self.gate.record_canary(permit, verdict))

    def _heed(self, action: Action) -> Action:
        if action.is_limited:
            self._decrease()
        if action.change in (Change.BEGINS, Change.PROLONGS):
            self.limiter.hold(self.gate.paused_until - running_time(), self.gate.reason or "")
        return action

    def _decrease(self) -> None:
        if windows := self.limiter.decrease():
            log.warning(
                "others use this key, or its limit is lower than told: from now on %s, and more "
                "again as time goes by",
                " and ".join(map(str, windows)),
            )

    def why_stop(self, verdict: Verdict, explain: Callable[[Verdict], str]) -> str:
        """Return why an answer stops all that go by this key, and what a person can do."""
        is_of_gate = verdict.ruling in TROUBLE or verdict.ruling is Ruling.RATE_LIMITED
        reason = self.gate.reason if is_of_gate else None
        if reason and verdict.ruling is Ruling.BLOCKED:
            return f"{reason}. {BEFORE_THE_CA}"
        return reason or explain(verdict)


PATH = "/user/me"


@dataclass(eq=False, slots=True)
class Canary:
    """Reads what is there as long as the CA is."""

    get: Callable[[str], Awaitable[Reply | Fault]]
    judge: Callable[[Reply | Fault], Verdict]
    start_reading: Callable[[], Awaitable[ReadRecorder]]
    clock: Callable[[], float]
    _recorder: ReadRecorder | None = None

    async def ask(self, slot: Slot) -> Verdict:
        """Make one request, written down before it leaves. Raises JournalError."""
        if self._recorder is None:  # most runs never ask
            self._recorder = await self.start_reading()
        number = await self._recorder.begin(self.clock())
        verdict = self.judge(await self.get(PATH))
        in_doubt = verdict.ruling is Ruling.IN_DOUBT
        if in_doubt:
            slot.given_up()
        else:
            slot.answered()
        await self._recorder.end(number, self.clock(), in_doubt=in_doubt)
        return verdict
