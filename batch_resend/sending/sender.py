"""Pending orders -> outcomes: workers that carry each order to its end.

    pending orders -> worker -> in flight? -> slot? -> gate? -> journal -> CA -> journal -> outcome

What waits, waits on the left of the journal: it can be stopped at any moment. Once an attempt is
in the journal nothing stops it but its own timeout, so that its answer is not lost.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from batch_resend.clock import running_time
from batch_resend.errors import JournalError
from batch_resend.journal import Recorder
from batch_resend.model import (
    Attempt,
    Fault,
    Order,
    OrderStatus,
    Outcome,
    Pause,
    PlannedOrder,
    Reply,
    Ruling,
    RunState,
    Verdict,
)
from batch_resend.sending.gate import TROUBLE, Advice, Gate, Passage
from batch_resend.sending.limiter import Limiter, Slot
from batch_resend.sending.outlet import Lesson, Outlet
from batch_resend.sending.retry import RetryPolicy

log = logging.getLogger(__name__)

MAX_BACKING_OFF = 1_000  # orders that wait for another attempt; beyond it workers wait too


@dataclass(slots=True)
class Progress:
    """How far sending has come, since it began or went on. For whoever shows it."""

    total: int
    outcomes: dict[OrderStatus, int] = field(default_factory=lambda: dict.fromkeys(OrderStatus, 0))
    attempts: int = 0
    rate_limited: int = 0
    in_flight: int = 0

    @property
    def done(self) -> int:
        """Orders that have their outcome."""
        return sum(self.outcomes.values())


@dataclass(eq=False, slots=True)
class _Tries:
    """What is known of an order while it is carried."""

    planned: PlannedOrder
    attempts: int  # made so far, over all starts of the run
    doubts: int  # of them, or of another run's
    began: float | None = None  # when the first of this start was made, by the running clock
    in_trouble_since: float | None = None  # when it failed first, by the same


@dataclass(frozen=True, slots=True)
class _Step:
    """What one attempt has brought."""

    verdict: Verdict
    counts: bool  # against the order's budget; an answer that concerns the whole run does not
    is_last: bool


@dataclass(eq=False, kw_only=True)
class Sender:
    """Sends the pending orders of one run."""

    resend: Callable[[Order], Awaitable[Reply | Fault]]
    judge: Callable[[Reply | Fault], Verdict]
    explain: Callable[[Verdict], str]  # what a person can do when nothing will pass
    recorder: Recorder
    limiter: Limiter
    gate: Gate
    policy: RetryPolicy
    concurrency: int
    progress: Progress
    clock: Callable[[], float]
    tell_of_stop: Callable[[str], None] | None = None  # those who send by the same key

    state: RunState = RunState.COMPLETED  # how the run ends, unless something else is learned
    stop_reason: str | None = None
    journal_error: JournalError | None = None  # what it ended by, if it was that
    finished: bool = False

    def __post_init__(self) -> None:
        self._outlet = Outlet(self.gate, self.limiter)
        # Fast: none of these gives way to other tasks where there is nothing to wait for.
        self._turn = anyio.Lock(fast_acquire=True)
        self._in_flight = anyio.Semaphore(self.concurrency, fast_acquire=True)
        self._backing_off = anyio.Semaphore(MAX_BACKING_OFF, fast_acquire=True)
        self._scope = anyio.CancelScope()

    def stop(self, state: RunState, reason: str) -> None:
        """Let nothing more leave. What is in flight is waited for. The first call counts."""
        if self.stop_reason is None and not self.finished:
            self.state, self.stop_reason = state, reason
            self._scope.cancel()

    async def run(
        self, pending: AsyncIterator[PlannedOrder], delivered: MemoryObjectSendStream[Outcome]
    ) -> None:
        """Carry the orders to their outcomes, which are sent on as they come, until the last.

        Closes `delivered` at the end. How the run ended stands in `state` and `stop_reason`.
        """
        with delivered, self._scope:
            try:
                async with anyio.create_task_group() as tasks:
                    for _ in range(self.concurrency):
                        tasks.start_soon(self._work, pending, delivered, tasks)
            except* JournalError as errors:
                # What cannot be written down must not be sent: the run ends here.
                self.journal_error = JournalError(str(errors.exceptions[0]))
                self.stop(RunState.STOPPED, str(self.journal_error))
            self.finished = True

    async def _work(
        self,
        pending: AsyncIterator[PlannedOrder],
        delivered: MemoryObjectSendStream[Outcome],
        tasks: TaskGroup,
    ) -> None:
        while (planned := await self._next(pending)) is not None:
            tries = _Tries(planned, planned.attempts, planned.doubts)
            step = await self._attempt(tries, delivered)
            if not step.is_last:
                # The worker goes on with the next order: one in trouble keeps nobody from it.
                await self._backing_off.acquire()
                tasks.start_soon(self._carry_on, tries, step, delivered)
                await anyio.lowlevel.checkpoint()  # it comes before the next order

    async def _next(self, pending: AsyncIterator[PlannedOrder]) -> PlannedOrder | None:
        """Return the next order for a worker, or None: there is no more."""
        async with self._turn:
            return await anext(pending, None)

    async def _carry_on(
        self, tries: _Tries, first: _Step, delivered: MemoryObjectSendStream[Outcome]
    ) -> None:
        """Try an order again, beside the workers, until it has its outcome."""

        async def attempt_that_counts() -> Verdict:
            while not (step := await self._attempt(tries, delivered)).counts:
                pass
            return step.verdict

        def announce(verdict: Verdict, wait_s: float) -> None:
            waits = {"wait_s": round(wait_s, 3)}
            log.debug("to be tried again", extra=_particulars(tries, verdict) | waits)

        try:
            last = await self.policy.carry_on(
                first.verdict if first.counts else None,
                lambda: self._running_time() - (tries.began or 0.0),
                attempt_that_counts,
                announce,
            )
        finally:
            self._backing_off.release()
        if self.policy.wants_another(last):
            with anyio.CancelScope(shield=True):
                outcome = _used_up(tries, last)
                log.debug("given up: attempts or time used up", extra=_particulars(tries, last))
                await self.recorder.settle(outcome)
                await self._deliver(outcome, delivered)

    async def _attempt(self, tries: _Tries, delivered: MemoryObjectSendStream[Outcome]) -> _Step:
        """Make one attempt; settle the order if that does it."""
        async with self._in_flight, self.limiter.slot() as slot, self.gate.passage() as passage:
            if tries.began is None:
                tries.began = self._running_time()
            with anyio.CancelScope(shield=True):
                attempt = Attempt(tries.planned, tries.attempts + 1, self.clock())
                await self.recorder.begin(attempt)
                verdict = await self._request(tries, slot)
                lesson = self._learn(passage, tries, verdict)
                outcome = self._settled(tries, verdict)
                pause = self._pause() if lesson.begins_pause or lesson.prolongs_pause else None
                await self.recorder.end(attempt, self.clock(), verdict, outcome)
                if pause is not None and lesson.begins_pause:
                    await self.recorder.pause(pause)
                elif pause is not None:
                    await self.recorder.prolong_pause(pause.until_at)
                elif lesson.ends_pause:
                    await self.recorder.flow_again(self.clock())
                if outcome is not None:
                    await self._deliver(outcome, delivered)
        counts = lesson.advice is not Advice.AGAIN or outcome is not None
        return _Step(verdict, counts, counts and not self.policy.wants_another(verdict))

    async def _request(self, tries: _Tries, slot: Slot) -> Verdict:
        """Make one request, and count it."""
        tries.attempts += 1
        self.progress.attempts += 1
        self.progress.in_flight += 1
        try:
            verdict = self.judge(await self.resend(tries.planned.order))
        finally:
            self.progress.in_flight -= 1
        if verdict.ruling is Ruling.IN_DOUBT:
            slot.given_up()
        else:
            slot.answered()
        self.progress.rate_limited += verdict.ruling is Ruling.RATE_LIMITED
        tries.doubts += verdict.ruling is Ruling.IN_DOUBT
        return verdict

    def _learn(self, passage: Passage, tries: _Tries, verdict: Verdict) -> Lesson:
        """Let all others know what an answer says of the CA, before it is even written down."""
        if log.isEnabledFor(logging.DEBUG):
            ruling = verdict.ruling.value.replace("_", " ")
            log.debug("attempt %s", ruling, extra=_particulars(tries, verdict))
        number = tries.planned.number
        lesson = self._outlet.learn(passage, number, verdict, tries.in_trouble_since)
        if tries.in_trouble_since is None and verdict.ruling in TROUBLE:
            tries.in_trouble_since = running_time()
        if lesson.advice is Advice.STOP:
            why = self._outlet.why_stop(verdict, self.explain)
            self.stop(RunState.STOPPED, why)
            if self.tell_of_stop is not None:  # at once: the next one is waiting at the gate
                self.tell_of_stop(why)
        return lesson

    def _pause(self) -> Pause:
        """Return the pause that there is, as if it began now: by the time of day."""
        now = self.clock()
        until_at = now + self.gate.paused_until - running_time()
        return Pause(now, until_at, self.gate.reason or "", self.limiter.share)

    def _running_time(self) -> float:
        """Return the loop's time, less the pauses: they cost no order any of its own."""
        return running_time() - self.gate.paused_s

    def _settled(self, tries: _Tries, verdict: Verdict) -> Outcome | None:
        """Return the outcome that a verdict means by itself; None where the order goes on."""
        status = {
            Ruling.ACCEPTED: OrderStatus.SENT,
            Ruling.REFUSED: OrderStatus.REFUSED,
            Ruling.IN_DOUBT: None if self.policy.retry_in_doubt else OrderStatus.IN_DOUBT,
        }.get(verdict.ruling)
        return _outcome(tries, status, verdict) if status else None

    async def _deliver(self, outcome: Outcome, delivered: MemoryObjectSendStream[Outcome]) -> None:
        self.progress.outcomes[outcome.status] += 1
        with suppress(anyio.BrokenResourceError):  # nobody listens any more; the journal has it
            try:
                delivered.send_nowait(outcome)
            except anyio.WouldBlock:
                await delivered.send(outcome)


def _particulars(tries: _Tries, verdict: Verdict) -> dict[str, object]:
    """Return what a log line says of an attempt, beside its text."""
    return {
        "order_id": tries.planned.order.order_id,
        "locale": tries.planned.order.locale,
        "attempt": tries.attempts,
        "http_status": verdict.http_status,
        "error_code": verdict.error_code,
        "said": verdict.error_message,
    }


def _used_up(tries: _Tries, last: Verdict) -> Outcome:
    """Return the outcome of an order whose budget is used up."""
    status = OrderStatus.IN_DOUBT if tries.doubts else OrderStatus.FAILED
    return _outcome(tries, status, last)


def _outcome(tries: _Tries, status: OrderStatus, verdict: Verdict) -> Outcome:
    said = verdict.error_message
    if tries.doubts and verdict.ruling not in (Ruling.ACCEPTED, Ruling.IN_DOUBT):
        said = said or verdict.said
        said += " (an attempt before had no answer: it may have been mailed)"
    return Outcome(tries.planned, status, verdict.http_status, verdict.error_code, said)
