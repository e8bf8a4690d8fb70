"""Pending orders -> outcomes: workers that carry each order to its end.

pending orders -> worker -> channel: an attempt -> outcome, or again beside the workers
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

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
    RequestStatus,
    Ruling,
    RunState,
    Verdict,
)
from batch_resend.sending.breaker_state import Action, Advice, Change
from batch_resend.sending.channel import Attempts, Channel, Progress, RetryPolicy, Step
from batch_resend.sending.failures import History
from batch_resend.windows import HeldTooLong

log = logging.getLogger(__name__)

MAX_BACKING_OFF = 1_000  # orders that wait for another attempt; beyond it workers wait too


@dataclass(eq=False, kw_only=True)
class Sender:
    """Sends the pending orders of one run by one key."""

    channel: Channel
    recorder: Recorder
    policy: RetryPolicy
    concurrency: int
    progress: Progress = field(default_factory=Progress)
    on_stop: Callable[[str], None] | None = None  # those who send by the same key

    state: RunState = RunState.COMPLETED  # how the run ends, unless something else is learned
    stop_reason: str | None = None
    journal_error: JournalError | None = None  # what it ended by, if it was that
    finished: bool = False

    def __post_init__(self) -> None:
        # Fast: none of these gives way to other tasks where there is nothing to wait for.
        self._turn = anyio.Lock(fast_acquire=True)
        self._places = anyio.Semaphore(self.concurrency, fast_acquire=True)
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
        self._delivered = delivered
        with delivered, self._scope:
            try:
                async with anyio.create_task_group() as tasks:
                    for _ in range(self.concurrency):
                        tasks.start_soon(self._work, pending, tasks)
            except* JournalError as errors:
                # What cannot be written down must not be sent: the run ends here.
                self.journal_error = JournalError(str(errors.exceptions[0]))
                self.stop(RunState.STOPPED, str(self.journal_error))
            except* HeldTooLong as errors:
                self.stop(RunState.STOPPED, str(errors.exceptions[0]))
            self.finished = True

    async def _work(self, pending: AsyncIterator[PlannedRequest], tasks: TaskGroup) -> None:
        while (planned := await self._next(pending)) is not None:
            mail = _Mail(
                history=History(planned.number),
                progress=self.progress,
                made=planned.attempts,
                doubts=planned.doubts,
                planned=planned,
                sender=self,
            )
            step = await self.channel.exchange(mail, self._places)
            if self.policy.goes_on(step):
                # The worker resumes the next order: one in trouble keeps nobody from it.
                await self._backing_off.acquire()
                tasks.start_soon(self._carry_on, mail, step)
                await anyio.lowlevel.checkpoint()  # it comes before the next order

    async def _next(self, pending: AsyncIterator[PlannedRequest]) -> PlannedRequest | None:
        """Return the next order for a worker, or None: there is no more."""
        async with self._turn:
            return await anext(pending, None)

    async def _carry_on(self, mail: "_Mail", first: Step) -> None:
        """Try an order again, beside the workers, until it has its outcome."""

        def announce(step: Step, wait_s: float) -> None:
            if step.counts:
                mail.log("to be tried again", step.verdict, wait_s=round(wait_s, 3))

        try:
            last = await self.policy.carry_on(
                partial(self.channel.exchange, mail, self._places),
                partial(self.channel.elapsed_s, mail),
                first,
                announce,
            )
        finally:
            self._backing_off.release()
        if self.policy.wants_another(last):
            with anyio.CancelScope(shield=True):
                mail.log("given up: attempts or time used up", last)
                outcome = mail.outcome(
                    RequestStatus.IN_DOUBT if mail.doubts else RequestStatus.FAILED, last
                )
                await self.recorder.settle(outcome)
                await self.deliver(outcome)

    def stop_all(self, verdict: Verdict) -> None:
        """Stop all that go by the key, at once: the next one is waiting at the breaker."""
        why = self.channel.why_stop(verdict)
        self.stop(RunState.STOPPED, why)
        if self.on_stop is not None:
            self.on_stop(why)

    def pause_of(self, change: Change) -> Pause | None:
        """Return the pause that begins or goes on now, as if it began now: by the time of day."""
        if change not in (Change.BEGINS, Change.PROLONGS):
            return None
        now, breaker = self.channel.clock(), self.channel.breaker
        until_at = now + breaker.paused_until - running_time()
        return Pause(now, until_at, breaker.reason or "", self.channel.limiter.share)

    async def note_change(self, change: Change, pause: Pause | None) -> None:
        """Write down what an answer has changed for all; `pause` is as it was when it came."""
        if pause is not None and change is Change.BEGINS:
            await self.recorder.pause(pause)
        elif pause is not None:
            await self.recorder.prolong_pause(pause.until_at, pause.share)
        elif change is Change.ENDS:
            await self.recorder.flow_again(self.channel.clock())

    async def deliver(self, outcome: Outcome) -> None:
        """Count an outcome that is on disk, and hand it to whoever listens."""
        self.progress.done += 1
        self.progress.outcomes[outcome.status] += 1
        with suppress(anyio.BrokenResourceError):  # nobody listens any more; the journal has it
            try:
                self._delivered.send_nowait(outcome)
            except anyio.WouldBlock:
                await self._delivered.send(outcome)


@dataclass(eq=False, kw_only=True, slots=True)
class _Mail(Attempts):
    """The attempts at one order's mails."""

    sender: Sender
    planned: PlannedRequest
    doubts: int  # attempts, of whichever run, that may have reached the CA unanswered
    _attempt: Attempt = field(init=False)  # the newest

    async def begin(self) -> None:
        self._attempt = Attempt(self.planned, self.made + 1, self.sender.channel.clock())
        await self.sender.recorder.begin(self._attempt)

    async def request(self) -> Reply | Fault:
        return await self.sender.channel.ca.resend(self.planned.request)

    async def end(self, verdict: Verdict, action: Action) -> None:
        sender = self.sender
        may_have_mailed = verdict.ruling in (Ruling.ACCEPTED, Ruling.IN_DOUBT)
        self.progress.possible_duplicates += may_have_mailed and self.doubts > 0
        self.doubts += verdict.ruling is Ruling.IN_DOUBT
        if log.isEnabledFor(logging.DEBUG):
            self.log(f"attempt {verdict.ruling.value.replace('_', ' ')}", verdict)
        if action.advice is Advice.STOP:
            sender.stop_all(verdict)
        outcome = self._settled(verdict)
        is_change = action.change is not Change.NOTHING
        pause = sender.pause_of(action.change) if is_change else None
        await sender.recorder.end(self._attempt, sender.channel.clock(), verdict, outcome)
        if is_change:
            await sender.note_change(action.change, pause)
        if outcome is not None:
            await sender.deliver(outcome)

    async def note_change(self, change: Change) -> None:
        await self.sender.note_change(change, self.sender.pause_of(change))

    def _settled(self, verdict: Verdict) -> Outcome | None:
        """Return the outcome that a verdict means by itself; None where the order goes on."""
        retries = self.sender.policy.retry_in_doubt
        status = {
            Ruling.ACCEPTED: RequestStatus.SENT,
            Ruling.REFUSED: RequestStatus.REFUSED,
            Ruling.IN_DOUBT: None if retries else RequestStatus.IN_DOUBT,
        }.get(verdict.ruling)
        return self.outcome(status, verdict) if status else None

    def outcome(self, status: RequestStatus, verdict: Verdict) -> Outcome:
        message = verdict.error_message
        if self.doubts and verdict.ruling not in (Ruling.ACCEPTED, Ruling.IN_DOUBT):
            message = message or verdict.summary
            message += " (an attempt before had no answer: it may have been mailed)"
        return Outcome(self.planned, status, verdict.http_status, verdict.error_code, message)

    def log(self, text: str, verdict: Verdict, **more: object) -> None:
        """Log what has become of an attempt."""
        particulars = {
            "order_id": self.planned.request.subject,
            "locale": self.planned.request.locale,
            "attempt": self.made,
            "http_status": verdict.http_status,
            "error_code": verdict.error_code,
            "said": verdict.error_message,
        }
        log.debug(text, extra=particulars | more)
