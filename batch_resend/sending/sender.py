"""Pending orders -> outcomes: workers that carry each order to its end.

    pending orders -> worker -> gate? -> in flight? -> slot? -> journal -> CA -> journal -> outcome

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
    Outcome,
    Pause,
    PlannedRequest,
    Reply,
    Request,
    RequestStatus,
    Ruling,
    RunState,
    Verdict,
)
from batch_resend.sending.gate import Canary, Dispatcher, Gate
from batch_resend.sending.history import Action, Advice, Change, History, Permit
from batch_resend.sending.retry import RetryPolicy, limited_wait_s
from batch_resend.windows import HeldTooLong, Limiter, Slot

log = logging.getLogger(__name__)

MAX_BACKING_OFF = 1_000  # orders that wait for another attempt; beyond it workers wait too


@dataclass(slots=True)
class Progress:
    """How far sending has come, since it began or went on. For whoever shows it."""

    total: int
    outcomes: dict[RequestStatus, int] = field(
        default_factory=lambda: dict.fromkeys(RequestStatus, 0)
    )
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

    planned: PlannedRequest
    attempts: int  # made so far, over all starts of the run
    doubts: int  # of them, or of another run's
    began: float | None = None  # when the first of this start was made, by the running clock
    history: History = field(default_factory=History)  # as the circuit breaker has to know it


@dataclass(frozen=True, slots=True)
class _Step:
    """What one attempt has brought."""

    verdict: Verdict
    counts: bool  # against the order's budget; an answer that concerns the whole run does not
    is_last: bool
    wait_s: float = 0.0  # before the next one, where this one does not count


@dataclass(eq=False, kw_only=True)
class Sender:
    """Sends the pending orders of one run."""

    resend: Callable[[Request], Awaitable[Reply | Fault]]
    judge: Callable[[Reply | Fault], Verdict]
    explain: Callable[[Verdict], str]  # what a person can do when nothing will pass
    recorder: Recorder
    limiter: Limiter
    gate: Gate
    policy: RetryPolicy
    concurrency: int
    progress: Progress
    clock: Callable[[], float]
    on_stop: Callable[[str], None] | None = None  # those who send by the same key
    canary: Canary | None = None  # tells whether the CA is up when only orders in trouble are left

    state: RunState = RunState.COMPLETED  # how the run ends, unless something else is learned
    stop_reason: str | None = None
    journal_error: JournalError | None = None  # what it ended by, if it was that
    finished: bool = False

    def __post_init__(self) -> None:
        # Fast: none of these gives way to other tasks where there is nothing to wait for.
        self._turn = anyio.Lock(fast_acquire=True)
        in_flight = anyio.Semaphore(self.concurrency, fast_acquire=True)
        self._dispatcher = Dispatcher(self.gate, self.limiter, in_flight)
        self._backing_off = anyio.Semaphore(MAX_BACKING_OFF, fast_acquire=True)
        self._scope = anyio.CancelScope()

    def stop(self, state: RunState, reason: str) -> None:
        """Let nothing more leave. What is in flight is waited for. The first call counts."""
        if self.stop_reason is None and not self.finished:
            self.state, self.stop_reason = state, reason
            self._scope.cancel()

    async def run(
        self, pending: AsyncIterator[PlannedRequest], delivered: MemoryObjectSendStream[Outcome]
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
            except* HeldTooLong as errors:
                self.stop(RunState.STOPPED, str(errors.exceptions[0]))
            self.finished = True

    async def _work(
        self,
        pending: AsyncIterator[PlannedRequest],
        delivered: MemoryObjectSendStream[Outcome],
        tasks: TaskGroup,
    ) -> None:
        while (planned := await self._next(pending)) is not None:
            tries = _Tries(planned, planned.attempts, planned.doubts)
            step = await self._attempt(tries, delivered)
            if not step.is_last:
                # The worker resumes the next order: one in trouble keeps nobody from it.
                await self._backing_off.acquire()
                tasks.start_soon(self._carry_on, tries, step, delivered)
                await anyio.lowlevel.checkpoint()  # it comes before the next order

    async def _next(self, pending: AsyncIterator[PlannedRequest]) -> PlannedRequest | None:
        """Return the next order for a worker, or None: there is no more."""
        async with self._turn:
            return await anext(pending, None)

    async def _carry_on(
        self, tries: _Tries, first: _Step, delivered: MemoryObjectSendStream[Outcome]
    ) -> None:
        """Try an order again, beside the workers, until it has its outcome."""
        wait_s = first.wait_s

        async def attempt_that_counts() -> Verdict:
            nonlocal wait_s
            while True:
                if wait_s:
                    await anyio.sleep(wait_s)
                step = await self._attempt(tries, delivered)
                wait_s = step.wait_s
                if step.counts:
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
        """Make one attempt, as soon as one may leave; settle the order if that does it."""
        may_ask = self.canary is not None
        while True:
            way = self._dispatcher.way(tries.attempts, tries.history, may_ask=may_ask)
            async with way as (permit, slot):
                if tries.began is None:
                    tries.began = self._running_time()
                with anyio.CancelScope(shield=True):
                    if self.canary is None or not permit.is_canary:
                        return await self._send(tries, permit, slot, delivered)
                    verdict = await self.canary.ask(slot)
                    change = self._dispatcher.canary_feedback(permit, verdict).change
                    await self._write_down(change, self._pause_of(change))

    async def _send(
        self,
        tries: _Tries,
        permit: Permit,
        slot: Slot,
        delivered: MemoryObjectSendStream[Outcome],
    ) -> _Step:
        """Make one attempt now."""
        attempt = Attempt(tries.planned, tries.attempts + 1, self.clock())
        await self.recorder.begin(attempt)
        verdict = await self._request(tries, slot)
        action = self._learn(permit, tries, verdict)
        outcome = self._settled(tries, verdict)
        change = action.change
        pause = None if change is Change.NOTHING else self._pause_of(change)
        await self.recorder.end(attempt, self.clock(), verdict, outcome)
        if change is not Change.NOTHING:
            await self._write_down(change, pause)
        if outcome is not None:
            await self._deliver(outcome, delivered)
        counts = action.advice in (Advice.COUNT, Advice.STOP) or outcome is not None
        is_last = counts and not self.policy.wants_another(verdict)
        waits = action.advice is Advice.WAIT
        wait_s = limited_wait_s(tries.history.limited, verdict) if waits else 0.0
        return _Step(verdict, counts, is_last, wait_s)

    async def _write_down(self, change: Change, pause: Pause | None) -> None:
        """Write down what an answer has changed for all; `pause` is as it was when it came."""
        if pause is not None and change is Change.BEGINS:
            await self.recorder.pause(pause)
        elif pause is not None:
            await self.recorder.prolong_pause(pause.until_at, pause.share)
        elif change is Change.ENDS:
            await self.recorder.flow_again(self.clock())

    async def _request(self, tries: _Tries, slot: Slot) -> Verdict:
        """Make one request, and count it."""
        tries.attempts += 1
        self.progress.attempts += 1
        self.progress.in_flight += 1
        try:
            verdict = self.judge(await self.resend(tries.planned.request))
        finally:
            self.progress.in_flight -= 1
        if verdict.ruling is Ruling.IN_DOUBT:
            slot.given_up()
        else:
            slot.answered()
        self.progress.rate_limited += verdict.ruling is Ruling.RATE_LIMITED
        tries.doubts += verdict.ruling is Ruling.IN_DOUBT
        return verdict

    def _learn(self, permit: Permit, tries: _Tries, verdict: Verdict) -> Action:
        """Let all others know what an answer says of the CA, before it is even written down."""
        if log.isEnabledFor(logging.DEBUG):
            ruling = verdict.ruling.value.replace("_", " ")
            log.debug("attempt %s", ruling, extra=_particulars(tries, verdict))
        action = self._dispatcher.feedback(permit, tries.planned.number, verdict, tries.history)
        if action.advice is Advice.STOP:
            why = self._dispatcher.why_stop(verdict, self.explain)
            self.stop(RunState.STOPPED, why)
            if self.on_stop is not None:  # at once: the next one is waiting at the gate
                self.on_stop(why)
        return action

    def _pause_of(self, change: Change) -> Pause | None:
        """Return the pause that begins or goes on now, as if it began now: by the time of day."""
        if change not in (Change.BEGINS, Change.PROLONGS):
            return None
        now = self.clock()
        until_at = now + self.gate.paused_until - running_time()
        return Pause(now, until_at, self.gate.reason or "", self.limiter.share)

    def _running_time(self) -> float:
        """Return the loop's time, less the pauses: they cost no order any of its own."""
        return running_time() - self.gate.paused_s

    def _settled(self, tries: _Tries, verdict: Verdict) -> Outcome | None:
        """Return the outcome that a verdict means by itself; None where the order goes on."""
        status = {
            Ruling.ACCEPTED: RequestStatus.SENT,
            Ruling.REFUSED: RequestStatus.REFUSED,
            Ruling.IN_DOUBT: None if self.policy.retry_in_doubt else RequestStatus.IN_DOUBT,
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
        "order_id": tries.planned.request.subject,
        "locale": tries.planned.request.locale,
        "attempt": tries.attempts,
        "http_status": verdict.http_status,
        "error_code": verdict.error_code,
        "said": verdict.error_message,
    }


def _used_up(tries: _Tries, last: Verdict) -> Outcome:
    """Return the outcome of an order whose budget is used up."""
    status = RequestStatus.IN_DOUBT if tries.doubts else RequestStatus.FAILED
    return _outcome(tries, status, last)


def _outcome(tries: _Tries, status: RequestStatus, verdict: Verdict) -> Outcome:
    message = verdict.error_message
    if tries.doubts and verdict.ruling not in (Ruling.ACCEPTED, Ruling.IN_DOUBT):
        message = message or verdict.summary
        message += " (an attempt before had no answer: it may have been mailed)"
    return Outcome(tries.planned, status, verdict.http_status, verdict.error_code, message)
