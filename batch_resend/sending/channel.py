"""All that goes by one key, and the one way to its CA.

    permit? -> place in flight? -> slot? -> begun on disk -> CA -> judged -> ended on disk

What waits can be stopped at any moment, and so can an attempt that is on disk while it has no
connection: it is written down as not sent. Once a request leaves, nothing stops it but its own
timeout, so that its answer is not lost.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import anyio.lowlevel

from batch_resend.clock import running_time
from batch_resend.errors import BatchResendError
from batch_resend.journal import Pause, ReadRecorder, Recorder
from batch_resend.model import (
    SETTLING,
    Attempt,
    Fault,
    FaultKind,
    Outcome,
    PlannedRequest,
    Reply,
    Request,
    RequestStatus,
    Ruling,
    Verdict,
)
from batch_resend.sending.breaker import CircuitBreaker
from batch_resend.sending.breaker_state import COUNTED, Action, Advice, Change, Permit
from batch_resend.sending.failures import TROUBLE, History, never_left
from batch_resend.sending.retry import Step
from batch_resend.windows import Fate, KeyStopped, Limiter, Slot, Window

log = logging.getLogger(__name__)

CANARY_PATH = "/user/me"  # there as long as the CA is
# Of being on disk: a host from which nothing is heard for longer is taken for dead, and what it had
# in flight is sent by others (`cluster/postgres.py`).
LEAVES_WITHIN_S = 20.0
STOPPED = Fault(FaultKind.STOPPED, "stopped before there was a connection: not sent")
BEFORE_THE_CA = (
    "That answer is not from the CA. Look at what is in between: your proxy (--trust-env), an IP "
    "rule of the CertCentral account, or the CA's CDN, which may take this host for a robot"
)
# With which even a read that the CA may not have is waited for: they are about all requests.
_OF_ALL = frozenset((Ruling.ACCEPTED, Ruling.RATE_LIMITED, Ruling.KEY_REFUSED))
_PAUSES = frozenset((Change.BEGINS, Change.PROLONGS))


# Called when a request has a connection, directly before it leaves: nothing stops it from then on.
# Raises TimeoutError or KeyStopped where it is not to leave any more.
Leave = Callable[[], None]
Places = AbstractAsyncContextManager[object]  # each of one request in flight


class CA(Protocol):
    """The CA of a key."""

    def resend(self, order: Request, leave: Leave, /) -> Awaitable[Reply | Fault]:
        """Ask for an order's mails: one request, whatever happens to it."""

    def get(self, path: str, leave: Leave, /) -> Awaitable[Reply | Fault]:
        """Read what there is at a path below the base URL."""

    def judge(self, result: Reply | Fault, /) -> Verdict:
        """Return what an answer, or its absence, means."""

    def remedy(self, verdict: Verdict, key_named: str, /) -> str:
        """Return why nothing will pass, and what a person can do; `key_named`: which key it is."""


@dataclass(slots=True)
class Progress:
    """How far sending, or reading, has come since it began."""

    total: int = 0  # orders to carry, or to ask about, as far as is known
    done: int = 0
    outcomes: dict[RequestStatus, int] = field(
        default_factory=lambda: dict.fromkeys(RequestStatus, 0)
    )
    attempts: int = 0
    retries: int = 0  # of these, beyond an order's first
    rate_limited: int = 0
    # Answers that settled nothing, such as a 503, by HTTP status; 0: none came.
    unsettled: Counter[int] = field(default_factory=Counter)
    unconnected: int = 0  # of these, for which there was no connection: nothing left
    possible_duplicates: int = 0  # mails beyond an order's first that may have gone out
    in_flight: int = 0


@dataclass(eq=False, kw_only=True, slots=True)
class Attempts(ABC):
    """All attempts at one thing: the mails of an order, or a read. Times are the channel's."""

    history: History  # as the circuit breaker has to know it
    progress: Progress  # in which they are counted
    made: int = 0  # over all starts of the run
    counted: int = 0  # of this start, against its budget
    began: float | None = None  # when the first of this start was made, by the flowing time
    scope: anyio.CancelScope | None = None  # once it is cancelled, none is to leave
    is_optional: bool = False  # there is another way: that it is refused tells nothing of others

    @abstractmethod
    def begin(self, now: float) -> Awaitable[None]:
        """Write down that a request is about to leave. Whatever this raises keeps it from that."""

    @abstractmethod
    def request(self, ca: CA, leave: Leave) -> Awaitable[Reply | Fault]:
        """Make it."""

    @abstractmethod
    async def end(self, verdict: Verdict, now: float) -> Outcome | None:
        """Write down what came of it; return what became of the order, if that is settled by it."""

    def meaning(self, verdict: Verdict) -> Verdict:
        """Return what a verdict means for what is asked."""
        return verdict

    async def note_change(self, change: Change, pause: Pause | None, now: float) -> None:
        """Write down what an answer has changed for all; of one to a read, nothing."""
        del change, pause, now


@dataclass(eq=False, kw_only=True, slots=True)
class Mail(Attempts):
    """Attempts at one order's mails."""

    planned: PlannedRequest
    recorder: Recorder
    doubts: int  # attempts, of whichever run, that may have reached the CA unanswered
    retry_in_doubt: bool
    _attempt: Attempt = field(init=False)  # the newest

    def begin(self, now: float) -> Awaitable[None]:
        """Write down that a request is about to leave."""
        self._attempt = Attempt(self.planned, self.made + 1, now)
        return self.recorder.begin(self._attempt)

    def request(self, ca: CA, leave: Leave) -> Awaitable[Reply | Fault]:
        """Make it."""
        return ca.resend(self.planned.request, leave)

    async def end(self, verdict: Verdict, now: float) -> Outcome | None:
        """Write down what came of it, and of the order, if that is settled by it."""
        may_have_mailed = verdict.ruling in (Ruling.ACCEPTED, Ruling.IN_DOUBT)
        self.progress.possible_duplicates += may_have_mailed and self.doubts > 0
        self.doubts += verdict.ruling is Ruling.IN_DOUBT
        outcome = self._settled(verdict)
        await self.recorder.end(self._attempt, now, verdict, outcome)
        return outcome

    async def note_change(self, change: Change, pause: Pause | None, now: float) -> None:
        """Write down what an answer has changed for all; `pause` is as it was when it came."""
        if pause is None:
            await self.recorder.flow_again(now)
        elif change is Change.BEGINS:
            await self.recorder.pause(pause)
        else:
            await self.recorder.prolong_pause(pause)

    def given_up(self, last: Verdict) -> Outcome:
        """Return what becomes of the order when attempts or time are used up."""
        return self._outcome(RequestStatus.IN_DOUBT if self.doubts else RequestStatus.FAILED, last)

    def _settled(self, verdict: Verdict) -> Outcome | None:
        """Return the outcome that a verdict means by itself; None: there may be another attempt."""
        status = {
            Ruling.ACCEPTED: RequestStatus.SENT,
            Ruling.REFUSED: RequestStatus.REFUSED,
            Ruling.IN_DOUBT: None if self.retry_in_doubt else RequestStatus.IN_DOUBT,
        }.get(verdict.ruling)
        return self._outcome(status, verdict) if status else None

    def _outcome(self, status: RequestStatus, verdict: Verdict) -> Outcome:
        message = verdict.error_message
        if self.doubts and verdict.ruling not in (Ruling.ACCEPTED, Ruling.IN_DOUBT):
            message = message or verdict.summary
            message += " (an earlier attempt had no answer: it may have been mailed)"
        return Outcome(self.planned, status, verdict.http_status, verdict.error_code, message)


@dataclass(eq=False, kw_only=True, slots=True)
class Read(Attempts):
    """Attempts to read."""

    path: str
    recorder: ReadRecorder
    reply: Reply | None = None  # the newest
    took_s: float = 0.0  # how long that took
    _number: int = 0

    async def begin(self, now: float) -> None:
        """Write down that a request is about to leave."""
        self._number = await self.recorder.begin(now)

    async def request(self, ca: CA, leave: Leave) -> Reply | Fault:
        """Make it, and keep the reply."""
        await anyio.lowlevel.checkpoint_if_cancelled()  # it may have been, while it was shielded
        began = running_time()
        result = await ca.get(self.path, leave)
        if isinstance(result, Reply):
            self.reply, self.took_s = result, running_time() - began
        return result

    async def end(self, verdict: Verdict, now: float) -> None:
        """Write down that its answer came, or that it may still arrive."""
        await self.recorder.end(self._number, now, in_doubt=verdict.ruling is Ruling.IN_DOUBT)

    def meaning(self, verdict: Verdict) -> Verdict:
        """Return what a verdict means for a read: what is in doubt was surely not read."""
        asks_to_wait = verdict.http_status == 503 and verdict.retry_after_s is not None
        is_of_all = verdict.ruling in _OF_ALL or asks_to_wait or never_left(verdict)
        if self.is_optional and not is_of_all:
            return replace(verdict, ruling=Ruling.REFUSED)
        if verdict.ruling is Ruling.IN_DOUBT:
            return replace(verdict, ruling=Ruling.UNAVAILABLE)
        return verdict


@dataclass(eq=False, kw_only=True)
class Channel:
    """Where requests by one key leave from: all that send or read by it share this."""

    names: tuple[str | None, ...] = (None,)  # accounts that go by the key; None: the command's own
    key_named: str = ""  # which key it is, for messages
    windows: Sequence[Window]
    ca: CA
    limiter: Limiter
    breaker: CircuitBreaker
    start_reading: Callable[[], Awaitable[ReadRecorder]]  # for the canary; most runs never ask
    clock: Callable[[], float]
    ages_s: Sequence[float] = ()  # how long ago earlier requests ended, when it was opened
    _canary: Read | None = None

    async def exchange(self, attempts: Attempts, places: Places, shield: anyio.CancelScope) -> Step:
        """Make one attempt, as soon as one may leave. Raises KeyStopped, JournalError.

        `places` bounds what is in flight. What waits at the breaker holds neither a place nor a
        slot; a pause that begins while it waits for these sends it back to the line. `shield`: a
        scope that the calling task is in, which shields it while nothing may stop the attempt.
        """
        while True:
            has_failed = attempts.history.has_failed
            permit = await self.breaker.permit(attempts.made, has_failed=has_failed)
            try:
                async with places:
                    with await self.limiter.slot() as slot:
                        if not self.breaker.leaves(permit):
                            slot.end(Fate.UNUSED)
                            continue
                        if attempts.began is None:
                            attempts.began = self.breaker.flowing_time
                        shield.shield = True
                        if not permit.is_canary:
                            return await self._attempt(attempts, permit, slot, shield)
                        await self._ask_canary(attempts, permit, slot, shield)
            finally:
                shield.shield = False
                self.breaker.give_back(permit)

    def elapsed_s(self, attempts: Attempts) -> float:
        """Return how much of its time has been used since the first attempt."""
        return self.breaker.flowing_time - (attempts.began or 0.0)

    async def _attempt(
        self, attempts: Attempts, permit: Permit, slot: Slot, shield: anyio.CancelScope
    ) -> Step:
        """Make one attempt now. All others learn of its answer before it is even written down."""
        verdict = await self._request(attempts, slot, shield)
        meaning = attempts.meaning(verdict)
        action, history = COUNTED, attempts.history
        if not (attempts.is_optional and meaning.ruling is Ruling.REFUSED):
            action = self._heed(self.breaker.record(permit, meaning, history))
        if action.advice is Advice.STOP:
            is_refused = verdict.ruling is Ruling.KEY_REFUSED
            self.breaker.stop(self._why_stop(verdict), is_refused=is_refused)
        is_change = action.change is not Change.NOTHING
        pause = self._pause(action) if is_change else None
        outcome = await attempts.end(verdict, self.clock())
        if is_change:
            await attempts.note_change(action.change, pause, self.clock())
        if action.advice is Advice.AGAIN:
            return Step(meaning, Advice.AGAIN)
        if action.advice is Advice.WAIT:
            return Step(meaning, Advice.WAIT, history.limited)
        attempts.counted += 1
        return Step(meaning, action.advice, attempts.counted, outcome)

    async def _ask_canary(
        self, attempts: Attempts, permit: Permit, slot: Slot, shield: anyio.CancelScope
    ) -> None:
        """Read what tells whether the CA is up, when only orders are left that all fail.

        It is asked whose key this is: any key may ask that, and the CA need do nothing for it.
        """
        if self._canary is None:
            self._canary = Read(
                history=History(0),
                progress=Progress(),
                path=CANARY_PATH,
                recorder=await self.start_reading(),
            )
        verdict = await self._request(self._canary, slot, shield)
        await self._canary.end(verdict, self.clock())
        action = self._heed(self.breaker.record_canary(permit, verdict))
        if action.advice is Advice.STOP:
            self.breaker.stop(self._why_stop(verdict), is_refused=True)
        if action.change is not Change.NOTHING:
            await attempts.note_change(action.change, self._pause(action), self.clock())

    async def _request(self, attempts: Attempts, slot: Slot, shield: anyio.CancelScope) -> Verdict:
        """Make one request, which is on disk before it leaves, and count it."""
        now, has_left = self.clock(), False

        def leave() -> None:
            nonlocal has_left
            self._look(attempts, now)
            shield.shield = has_left = True

        try:
            await attempts.begin(now)
        except BatchResendError:
            slot.end(Fate.UNUSED)
            raise
        progress = attempts.progress
        progress.retries += attempts.made > 0
        attempts.made += 1
        progress.attempts += 1
        progress.in_flight += 1
        shield.shield = False
        try:
            verdict = self.ca.judge(await attempts.request(self.ca, leave))
        except (asyncio.CancelledError, KeyStopped):
            if not has_left:
                shield.shield = True
                slot.end(Fate.UNUSED)
                await attempts.end(self.ca.judge(STOPPED), self.clock())
            raise
        finally:
            progress.in_flight -= 1
        if not has_left:
            shield.shield = True
        slot.end(Fate.GIVEN_UP if verdict.ruling is Ruling.IN_DOUBT else Fate.ANSWERED)
        progress.unconnected += never_left(verdict)
        progress.rate_limited += verdict.ruling is Ruling.RATE_LIMITED
        if verdict.ruling not in SETTLING:
            progress.unsettled[verdict.http_status or 0] += 1
        return verdict

    def _look(self, attempts: Attempts, written_at: float) -> None:
        """Look for the last time whether an attempt may leave. Raises KeyStopped, TimeoutError."""
        if self.breaker.stopped is not None:
            self.breaker.raise_stopped()
        if attempts.scope is not None and attempts.scope.cancel_called:
            raise KeyStopped("stopped")
        if self.clock() - written_at >= LEAVES_WITHIN_S:
            raise TimeoutError

    def _heed(self, action: Action) -> Action:
        """Leave a part of the windows to others who use the key, and have them pause too."""
        if action.is_limited and (windows := self.limiter.decrease()):
            log.warning(
                "%sothers use this key, or its limit is lower than configured: from now on %s, "
                "rising again over time",
                self.breaker.prefix,
                " and ".join(map(str, windows)),
            )
        if action.change in _PAUSES:
            pause_s = self.breaker.paused_until - running_time()
            self.limiter.hold(pause_s, self.breaker.reason or "")
        return action

    def _pause(self, action: Action) -> Pause | None:
        """Return the pause that begins or continues now, as if it began now: by the time of day."""
        if action.change not in _PAUSES:
            return None
        now, breaker = self.clock(), self.breaker
        until_at = now + breaker.paused_until - running_time()
        return Pause(
            now, until_at, breaker.reason or "", self.limiter.share, is_smaller=action.is_limited
        )

    def _why_stop(self, verdict: Verdict) -> str:
        """Return why an answer stops all that go by this key, and what a person can do."""
        is_of_breaker = verdict.ruling in TROUBLE or verdict.ruling is Ruling.RATE_LIMITED
        reason = self.breaker.reason if is_of_breaker else None
        if reason and verdict.ruling is Ruling.BLOCKED:
            return f"{reason}. {BEFORE_THE_CA}"
        return reason or self.ca.remedy(verdict, self.key_named)
