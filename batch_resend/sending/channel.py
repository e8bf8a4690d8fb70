"""All that goes by one key, and the one way to its CA: an attempt, and its retry.

    permit? -> place in flight? -> slot? -> begun on disk -> CA -> judged -> ended on disk

What waits, waits on the left of the disk: it can be stopped at any moment. Once an attempt is on
disk nothing stops it but its own timeout, so that its answer is not lost.
"""

import logging
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, cast

import anyio
from tenacity import AsyncRetrying, Future, RetryCallState, retry_if_result

from batch_resend.clock import running_time
from batch_resend.errors import BatchResendError
from batch_resend.journal import ReadRecorder
from batch_resend.model import SETTLING, Fault, Reply, Request, RequestStatus, Ruling, Verdict
from batch_resend.sending.breaker import CircuitBreaker
from batch_resend.sending.breaker_state import COUNTED, Action, Advice, Change, Permit
from batch_resend.sending.failures import TROUBLE, History
from batch_resend.windows import Fate, Limiter, Slot, Window

log = logging.getLogger(__name__)

CANARY_PATH = "/user/me"  # there as long as the CA is
BEFORE_THE_CA = (
    "That answer is not the CA's. Look at what stands before it: your proxy (--trust-env), a rule "
    "for IP addresses in CertCentral's account, the CA's CDN, which may take this host for a robot"
)
FIRST_SPAN_S = 1.0  # of what is waited between attempts
LONGEST_SPAN_S = 60.0


class CA(Protocol):
    """The CA of a key."""

    async def resend(self, order: Request, /) -> Reply | Fault:
        """Ask for an order's mails: one request, whatever happens to it."""

    async def get(self, path: str, /) -> Reply | Fault:
        """Read what there is at a path below the base URL."""

    def judge(self, result: Reply | Fault, /) -> Verdict:
        """Return what an answer, or its absence, means."""

    def remedy(self, verdict: Verdict, /) -> str:
        """Return why nothing will pass, and what a person can do."""


@dataclass(slots=True)
class Progress:
    """How far sending, or reading, has come since it began."""

    total: int = 0  # orders to carry, or to ask about, as far as is known
    done: int = 0
    outcomes: dict[RequestStatus, int] = field(
        default_factory=lambda: dict.fromkeys(RequestStatus, 0)
    )
    attempts: int = 0
    rate_limited: int = 0
    retries: int = 0  # attempts at what had been attempted before
    # Answers that settled nothing, such as a 503, by HTTP status; 0: none came.
    unsettled: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0


@dataclass(eq=False, kw_only=True, slots=True)
class Attempts(ABC):
    """All attempts at one thing: the mails of an order, or a read."""

    history: History  # as the circuit breaker has to know it
    progress: Progress  # in which they are counted
    made: int = 0  # over all starts of the run
    counted: int = 0  # of this start, against its budget
    began: float | None = None  # when the first of this start was made, by the flowing time
    is_optional: bool = False  # there is another way: that it is refused tells nothing of others

    @abstractmethod
    async def begin(self) -> None:
        """Write down that a request is about to leave. Whatever this raises keeps it from that."""

    @abstractmethod
    async def request(self) -> Reply | Fault:
        """Make it."""

    @abstractmethod
    async def end(self, verdict: Verdict, action: Action) -> None:
        """Write down what came of it, and do what that asks for."""

    def meaning(self, verdict: Verdict) -> Verdict:
        """Return what a verdict means for what is asked."""
        return verdict

    async def note_change(self, change: Change) -> None:
        """Write down what the answer to a canary has changed for all: of reads, nothing."""
        del change


@dataclass(eq=False, kw_only=True, slots=True)
class Read(Attempts):
    """Attempts to read."""

    path: str
    get: Callable[[str], Awaitable[Reply | Fault]]
    recorder: ReadRecorder
    clock: Callable[[], float]
    reply: Reply | None = None  # the newest
    _number: int = 0

    async def begin(self) -> None:
        """Write down that a request is about to leave."""
        self._number = await self.recorder.begin(self.clock())

    async def request(self) -> Reply | Fault:
        """Make it, and keep the reply."""
        result = await self.get(self.path)
        if isinstance(result, Reply):
            self.reply = result
        return result

    async def end(self, verdict: Verdict, action: Action) -> None:
        """Write down that its answer came, or that it may still arrive."""
        in_doubt = verdict.ruling is Ruling.IN_DOUBT
        await self.recorder.end(self._number, self.clock(), in_doubt=in_doubt)


@dataclass(frozen=True, slots=True)
class Step:
    """What one attempt has brought."""

    verdict: Verdict
    advice: Advice = Advice.COUNT
    nth: int = 0  # of those that count, or of its 429s; 0: the next may follow at once

    @property
    def counts(self) -> bool:
        """Whether it counts against the budget; what concerns the whole run does not."""
        return self.advice in (Advice.COUNT, Advice.STOP)


@dataclass(eq=False, kw_only=True)
class Channel:
    """Where requests by one key leave from: whoever sends or reads by it shares this."""

    names: tuple[str | None, ...] = (None,)  # accounts that go by the key; None: the command's own
    windows: Sequence[Window]
    ca: CA
    limiter: Limiter
    breaker: CircuitBreaker
    start_reading: Callable[[], Awaitable[ReadRecorder]]  # for the canary; most runs never ask
    clock: Callable[[], float]
    _canary: Read | None = None

    async def exchange(
        self, attempts: Attempts, places: AbstractAsyncContextManager[object]
    ) -> Step:
        """Make one attempt, as soon as one may leave. Raises HeldTooLong, JournalError.

        `places` bounds what is in flight. Who waits at the breaker holds neither a place nor a
        slot; a pause that begins while it waits for these sends it back to the line.
        """
        while True:
            has_failed = attempts.history.has_failed
            permit = await self.breaker.permit(attempts.made, has_failed=has_failed)
            try:
                async with places, self.limiter.slot() as slot:
                    if not self.breaker.leaves(permit):
                        slot.end(Fate.UNUSED)
                        continue
                    if attempts.began is None:
                        attempts.began = self.breaker.flowing_time
                    with anyio.CancelScope(shield=True):
                        if not permit.is_canary:
                            return await self._attempt(attempts, permit, slot)
                        await self._ask_canary(attempts, permit, slot)
            finally:
                self.breaker.give_back(permit)

    def elapsed_s(self, attempts: Attempts) -> float:
        """Return how much of its time has been used since the first attempt."""
        return self.breaker.flowing_time - (attempts.began or 0.0)

    def why_stop(self, verdict: Verdict) -> str:
        """Return why an answer stops all that go by this key, and what a person can do."""
        is_of_breaker = verdict.ruling in TROUBLE or verdict.ruling is Ruling.RATE_LIMITED
        reason = self.breaker.reason if is_of_breaker else None
        if reason and verdict.ruling is Ruling.BLOCKED:
            return f"{reason}. {BEFORE_THE_CA}"
        return reason or self.ca.remedy(verdict)

    async def _attempt(self, attempts: Attempts, permit: Permit, slot: Slot) -> Step:
        """Make one attempt now. All others learn of its answer before it is even written down."""
        verdict = await self._request(attempts, slot)
        meaning = attempts.meaning(verdict)
        action, history = COUNTED, attempts.history
        if not (attempts.is_optional and meaning.ruling is Ruling.REFUSED):
            action = self._heed(self.breaker.record(permit, meaning, history))
        await attempts.end(verdict, action)
        if action.advice is Advice.AGAIN:
            return Step(meaning, Advice.AGAIN)
        if action.advice is Advice.WAIT:
            return Step(meaning, Advice.WAIT, history.limited)
        attempts.counted += 1
        return Step(meaning, action.advice, attempts.counted)

    async def _ask_canary(self, attempts: Attempts, permit: Permit, slot: Slot) -> None:
        """Read what tells whether the CA is up, when only orders are left that all fail.

        It is asked whose key this is: any key may ask that, and the CA need do nothing for it.
        """
        if self._canary is None:
            self._canary = Read(
                history=History(0),
                progress=Progress(),
                path=CANARY_PATH,
                get=self.ca.get,
                recorder=await self.start_reading(),
                clock=self.clock,
            )
        verdict = await self._request(self._canary, slot)
        await self._canary.end(verdict, COUNTED)
        action = self._heed(self.breaker.record_canary(permit, verdict))
        await attempts.note_change(action.change)

    async def _request(self, attempts: Attempts, slot: Slot) -> Verdict:
        """Make one request, which is on disk before it leaves, and count it."""
        try:
            await attempts.begin()
        except BatchResendError:
            slot.end(Fate.UNUSED)
            raise
        progress = attempts.progress
        progress.retries += attempts.made > 0
        attempts.made += 1
        progress.attempts += 1
        progress.in_flight += 1
        try:
            verdict = self.ca.judge(await attempts.request())
        finally:
            progress.in_flight -= 1
        slot.end(Fate.GIVEN_UP if verdict.ruling is Ruling.IN_DOUBT else Fate.ANSWERED)
        progress.rate_limited += verdict.ruling is Ruling.RATE_LIMITED
        if verdict.ruling not in SETTLING:
            progress.unsettled[verdict.http_status or 0] += 1
        return verdict

    def _heed(self, action: Action) -> Action:
        """Leave a part of the windows to others who use the key, and have them pause too."""
        if action.is_limited and (windows := self.limiter.decrease()):
            log.warning(
                "others use this key, or its limit is lower than told: from now on %s, and more "
                "again as time goes by",
                " and ".join(map(str, windows)),
            )
        if action.change in (Change.BEGINS, Change.PROLONGS):
            pause_s = self.breaker.paused_until - running_time()
            self.limiter.hold(pause_s, self.breaker.reason or "")
        return action


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When something is attempted again: tenacity, behind one door.

    Its budget is bounded by attempts and by time. Between attempts it waits for a random share of
    an exponentially growing span (full jitter), or for what Retry-After says.
    """

    max_attempts: int
    max_elapsed_s: float
    retry_in_doubt: bool

    def wants_another(self, verdict: Verdict) -> bool:
        """Whether another attempt could change what a verdict says."""
        if verdict.ruling is Ruling.IN_DOUBT:
            return self.retry_in_doubt
        return verdict.ruling in (Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.RATE_LIMITED)

    def goes_on(self, step: Step) -> bool:
        """Whether there is to be another attempt, as far as the budget allows."""
        return not step.counts or self.wants_another(step.verdict)

    async def carry_on(
        self,
        attempt: Callable[[], Awaitable[Step]],
        elapsed_s: Callable[[], float],
        first: Step | None = None,
        announce: Callable[[Step, float], None] = lambda _step, _wait_s: None,
    ) -> Verdict:
        """Attempt, after the `first`, until a verdict is final or the budget used up; return it.

        `elapsed_s` tells how much of its time is used; `announce` hears of each step that is not
        the last, and of the seconds until the next. Entered only once a first attempt has failed
        where there are many: it costs more than a request does.
        """
        known = [first] if first else []

        async def next_step() -> Step:
            return known.pop() if known else await attempt()

        def is_used_up(state: RetryCallState) -> bool:
            step = _last(state)
            is_late = elapsed_s() + state.upcoming_sleep >= self.max_elapsed_s
            return step.counts and (step.nth >= self.max_attempts or is_late)

        retrying = AsyncRetrying(
            retry=retry_if_result(self.goes_on),
            stop=is_used_up,
            wait=lambda state: _wait_s(_last(state)),
            sleep=_sleep,
            before_sleep=lambda state: announce(_last(state), state.upcoming_sleep),
            retry_error_callback=_last,
        )
        last: Step = await retrying(next_step)
        return last.verdict


def _last(state: RetryCallState) -> Step:
    outcome = cast("Future", state.outcome)  # there is one whenever tenacity asks
    return cast("Step", outcome.result())


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)


def _wait_s(step: Step) -> float:
    """Return a random share of a span that doubles each time, or what Retry-After says if more."""
    if not step.nth:
        return 0.0
    span_s = min(FIRST_SPAN_S * 2.0 ** min(step.nth - 1, 10), LONGEST_SPAN_S)
    drawn_s = random.uniform(0.0, span_s)  # noqa: S311 - no secret
    return max(drawn_s, step.verdict.retry_after_s or 0.0)
