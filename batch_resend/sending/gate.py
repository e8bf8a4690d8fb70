"""Back-pressure is not failure: when the CA is in trouble, or in doubt, the whole run waits.

A run opens with a single request; only an answer that shows key and URL to be right lets the
others follow. When the CA asks for fewer requests (429), or fails several times in a row (the
circuit breaker), nothing leaves for a while; then single requests probe, at growing intervals,
until one gets through. Waiting costs the orders neither attempts nor time; only what may have been
mailed counts, whatever the trouble: else it would be mailed on and on.

Whether it is the CA that fails or an order is plain once others have passed since that order
failed first: then it is the order. While the last few orders of a run fail and no other is left to
tell, it is taken for the CA for some minutes, and for the orders from then on.

An answer that is not the CA's (a proxy's page, a CDN's) is trouble of the same kind, but never that
of the last few orders: it says nothing of them. As the answer to a run's first request some of them
show that the URL is wrong, and so stop it at once. Where such an answer names a time (Retry-After),
all wait at once; where a 503 does, from a minute on.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from math import inf

import anyio

from batch_resend.clock import running_time
from batch_resend.durations import format_duration
from batch_resend.model import FaultKind, Ruling, Verdict

FIRST_PAUSE_S = 5.0
SHORTEST_PAUSE_S = 1.0  # when the CA itself names a time
LONGEST_PAUSE_S = 60.0
TELL_EVERY_S = 10.0  # of short pauses for one reason
FAILURES_IN_A_ROW = 5  # so many attempts, and nothing passes: it is the CA, not an order
FEW_ORDERS = 5  # fewer may fail by themselves for as long as they are tried
FREE_FOR_FEW_S = 300.0  # how long they are given the benefit of the doubt
DENIALS = 5  # so many 403 in a row, none accepted before: it is the key, not an order
# Of an answer that is not the CA's: where the CA is, there would be one of its own. Other than 403
# and 406, with which proxies and CDNs block what they take for a robot, for a while.
NO_CA_HERE = frozenset((*range(200, 400), 401, 404, 405, 407, 501, 511))

_OF_ALL = frozenset((Ruling.HOPELESS, Ruling.KEY_REFUSED))  # no request will fare better
TROUBLE = frozenset((Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.IN_DOUBT))

log = logging.getLogger(__name__)


class Flow(Enum):
    """How requests may leave."""

    OPENING = "opening"  # one at a time, until one gets through
    FLOWING = "flowing"  # as the windows allow
    PAUSED = "paused"  # none until the pause is over, then one at a time


class Advice(Enum):
    """What to do after an answer."""

    COUNT = "count"  # the order's own affair: its attempt counts
    AGAIN = "again"  # the run's affair: the attempt costs the order nothing
    STOP = "stop"  # nothing of this run will pass


@dataclass(eq=False, slots=True)
class Passage:
    """One request's way through the gate."""

    epoch: int
    left_at: float


class Gate:
    """Lets requests leave while the CA takes them. Clock: the event loop's."""

    def __init__(self, patience_s: float) -> None:
        self.flow = Flow.OPENING
        self.paused_until = 0.0  # of the event loop's clock; holds while PAUSED
        self.reason: str | None = None  # why requests do not flow, or why to stop
        self._patience_s = patience_s
        self._probe = anyio.Lock(fast_acquire=True)  # held by the one request that may leave
        self._epoch = 0  # counts pauses: answers to what left before one do not prolong it
        self._pauses = 0  # in a row
        self._trouble_since: float | None = None
        self._failures = 0  # attempts, since the last good answer
        self._in_trouble: set[int] = set()  # their orders
        self._first_failed_at = 0.0  # of those
        self._paused_since: float | None = None
        self._paused_before_s = 0.0
        self._told: str | None = None  # the last reason to pause that was said, and when
        self._told_at = -inf
        self._last_good_at = -inf
        self._accepted_any = False
        self._denials = 0

    @property
    def paused_s(self) -> float:
        """How long requests have not flowed because of the CA, in all, until now."""
        if self._paused_since is None:
            return self._paused_before_s
        return self._paused_before_s + running_time() - self._paused_since

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[Passage]:
        """Wait until a request may leave; while requests do not flow, it is the only one."""
        if not self._flows():
            async with self._probe:
                await self._pause_to_end()
                if not self._flows():
                    yield self._pass()
                    return
        yield self._pass()

    def _pass(self) -> Passage:
        return Passage(self._epoch, running_time())

    def _flows(self) -> bool:
        return self.flow is Flow.FLOWING

    async def _pause_to_end(self) -> None:
        while self.flow is Flow.PAUSED:
            wait_s = self.paused_until - running_time()
            if wait_s <= 0:
                return
            await anyio.sleep(wait_s)

    def tell(
        self,
        passage: Passage,
        order: int,
        verdict: Verdict,
        in_trouble_since: float | None = None,
    ) -> Advice:
        """Learn from an answer, before its passage ends; return what to do next.

        `order` is the number of the order it was for, `in_trouble_since` when that order failed
        first, by the event loop's clock.
        """
        is_first = self.flow is Flow.OPENING
        if verdict.ruling in _OF_ALL or (is_first and _is_wrong_address(verdict)):
            return Advice.STOP
        is_current = passage.epoch == self._epoch
        if verdict.ruling in (Ruling.ACCEPTED, Ruling.REFUSED):
            return self._answered(verdict, is_current=is_current)
        if verdict.ruling is Ruling.RATE_LIMITED:
            if is_current:
                return self._pause("the CA asks for fewer requests", verdict)
            return self._prolong(verdict)
        return self._failed(passage, order, verdict, in_trouble_since)

    def _failed(
        self, passage: Passage, order: int, verdict: Verdict, in_trouble_since: float | None
    ) -> Advice:
        """Learn from an attempt that failed, by the CA, by what stands before it, or by itself."""
        # It failed before, others have passed since, it fails again: that is its own affair.
        own_affair = in_trouble_since is not None and in_trouble_since < self._last_good_at
        if not own_affair:
            self._note_trouble(passage, order)
        is_foreign = verdict.ruling is Ruling.BLOCKED  # it says nothing of the order
        # Unless it comes to one order alone, where others have had the CA's answers.
        own_affair |= is_foreign and self._last_good_at > -inf and self._in_trouble <= {order}
        is_down = self.flow is Flow.PAUSED or (
            not own_affair and (self._failures >= FAILURES_IN_A_ROW or _closes_for_all(verdict))
        )
        surely_not_done = verdict.ruling is not Ruling.IN_DOUBT
        free = is_foreign or (is_down and surely_not_done and self._is_the_ca())
        free = free and not own_affair
        advice = Advice.AGAIN if free else Advice.COUNT
        if is_down and passage.epoch == self._epoch:
            return self._pause(_trouble(verdict), verdict, advice)
        return advice

    def _is_the_ca(self) -> bool:
        """Whether trouble is the CA's, as far as one can tell."""
        if len(self._in_trouble) >= FEW_ORDERS or self._trouble_since is None:
            return True
        return running_time() - self._trouble_since < FREE_FOR_FEW_S

    def _note_trouble(self, passage: Passage, order: int) -> None:
        """Count an attempt that failed.

        What had left before the first one failed says no more than that one: a hiccup takes all
        requests with it that are in flight.
        """
        if not self._failures:
            self._first_failed_at = running_time()
        elif passage.left_at < self._first_failed_at:
            return
        self._failures += 1
        self._in_trouble.add(order)

    def _answered(self, verdict: Verdict, *, is_current: bool) -> Advice:
        if verdict.http_status == 403 and not self._accepted_any:
            self._denials += 1
            return Advice.STOP if self._denials >= DENIALS else Advice.COUNT
        self._denials = 0
        self._accepted_any |= verdict.ruling is Ruling.ACCEPTED
        self._failures = 0
        self._in_trouble.clear()
        self._last_good_at = running_time()
        if is_current and self.flow is not Flow.FLOWING:
            if self.flow is Flow.PAUSED:
                log.info("the CA takes requests again: going on")
            self._paused_before_s, self._paused_since = self.paused_s, None
            self.flow, self.reason = Flow.FLOWING, None
            self._pauses, self._trouble_since = 0, None
        return Advice.COUNT

    def _pause(self, trouble: str, verdict: Verdict, advice: Advice = Advice.AGAIN) -> Advice:
        """Let nothing leave for a while, or give up when that is beyond the user's patience."""
        if verdict.retry_after_s is not None:
            pause_s = max(verdict.retry_after_s, SHORTEST_PAUSE_S)
        else:
            pause_s = min(FIRST_PAUSE_S * 2 ** min(self._pauses, 10), LONGEST_PAUSE_S)
        self.reason = f"{trouble} ({verdict.error_message or verdict.error_code})"
        if self.flow is not Flow.PAUSED:
            self.flow, self._paused_since = Flow.PAUSED, running_time()
        self._epoch += 1
        self._pauses += 1
        return self._wait(pause_s, advice)

    def _prolong(self, verdict: Verdict) -> Advice:
        """Take in what an answer to something that left before the pause asks for."""
        asked_s = verdict.retry_after_s or 0.0
        longer = running_time() + asked_s > self.paused_until
        if longer and self.flow is Flow.PAUSED:
            return self._wait(asked_s, Advice.AGAIN)
        return Advice.AGAIN

    def _wait(self, pause_s: float, advice: Advice) -> Advice:
        now = running_time()
        if self._trouble_since is None:
            self._trouble_since = now
        if now + pause_s > self._trouble_since + self._patience_s:
            self.reason = (
                f"{self.reason}, for {format_duration(now - self._trouble_since)}; the next try "
                f"would be in {format_duration(pause_s)}, beyond the patience of "
                f"{format_duration(self._patience_s)}"
            )
            return Advice.STOP
        self.paused_until = now + pause_s
        # A CA that asks for a second, for an hour, is to fill no screen: the file has it all.
        is_short = pause_s < FIRST_PAUSE_S and now - self._told_at < TELL_EVERY_S
        is_news = self.reason != self._told or not is_short
        level = logging.WARNING if is_news else logging.DEBUG
        log.log(level, "paused: %s; next try in %s", self.reason, format_duration(pause_s))
        if is_news:
            self._told, self._told_at = self.reason, now
        return advice


def _is_wrong_address(verdict: Verdict) -> bool:
    """Whether a first answer, or its absence, shows that the CA is not at the URL."""
    if verdict.ruling is Ruling.BLOCKED:
        return verdict.http_status in NO_CA_HERE
    return verdict.error_code in (FaultKind.NO_SUCH_HOST, FaultKind.TLS_REFUSED)


def _closes_for_all(verdict: Verdict) -> bool:
    """Whether an answer names a time before which no request will pass.

    What stands before the CA does, with any; the service itself where it is closed for long: for
    less, the order alone waits.
    """
    wait_s = verdict.retry_after_s
    if wait_s is None:
        return False
    is_closed = verdict.http_status == 503 and wait_s >= LONGEST_PAUSE_S
    return verdict.ruling is Ruling.BLOCKED or is_closed


def _trouble(verdict: Verdict) -> str:
    """Return what is wrong, for the reason of a pause."""
    if verdict.ruling is Ruling.BLOCKED:
        return f"something before the CA answers in its place, with HTTP {verdict.http_status}"
    return "the CA is in trouble"
