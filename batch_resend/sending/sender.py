"""Pending orders -> outcomes: workers that carry each order to its end.

pending orders -> worker -> channel: an attempt -> outcome, or again beside the workers
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from batch_resend.errors import JournalError
from batch_resend.journal import Recorder
from batch_resend.model import Outcome, PlannedRequest, RunState, Verdict
from batch_resend.sending.breaker_state import Advice, Flow
from batch_resend.sending.channel import Channel, Mail, Progress
from batch_resend.sending.failures import History
from batch_resend.sending.retry import RetryPolicy, Step
from batch_resend.windows import KeyStopped

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

    state: RunState = RunState.COMPLETED  # how the run ends, unless something else shows
    stop_reason: str | None = None
    journal_error: JournalError | None = None  # what it ended by, if it was that
    finished: bool = False

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        # Neither gives way to other tasks where there is nothing to wait for.
        self._places = asyncio.Semaphore(self.concurrency)
        self._backing_off = asyncio.Semaphore(MAX_BACKING_OFF)
        self._tasks = anyio.create_task_group()

    def stop(self, state: RunState, reason: str) -> None:
        """Let nothing more leave. What is in flight is waited for. The first call counts."""
        if self.stop_reason is None and not self.finished:
            self.state, self.stop_reason = state, reason
            self._tasks.cancel_scope.cancel()

    async def run(
        self, pending: AsyncIterator[PlannedRequest], delivered: MemoryObjectSendStream[Outcome]
    ) -> None:
        """Carry the orders to their outcomes, which are sent on as they come, until the last.

        Closes `delivered` at the end. How the run ended stands in `state` and `stop_reason`.
        """
        self._delivered = delivered
        with delivered:
            try:
                async with self._tasks:
                    for _ in range(self.concurrency):
                        self._tasks.start_soon(self._work, pending)
            except* JournalError as errors:
                # What cannot be written down must not be sent: the run ends here.
                self.journal_error = JournalError(str(errors.exceptions[0]))
                self.stop(RunState.STOPPED, str(self.journal_error))
            except* KeyStopped as errors:
                self.stop(RunState.STOPPED, str(errors.exceptions[0]))
            await self._end_pause()
            self.finished = True

    async def _end_pause(self) -> None:
        """Write down that nothing waits by this key any more, where others may send for long."""
        breaker = self.channel.breaker
        if breaker.of and breaker.flow is Flow.PAUSED:
            with anyio.CancelScope(shield=True), suppress(JournalError):
                await self.recorder.flow_again(self.channel.clock())

    async def _work(self, pending: AsyncIterator[PlannedRequest]) -> None:
        with anyio.CancelScope() as shield:
            while (planned := await self._next(pending)) is not None:
                mail = Mail(
                    history=History(planned.number),
                    progress=self.progress,
                    made=planned.attempts,
                    doubts=planned.doubts,
                    planned=planned,
                    recorder=self.recorder,
                    retry_in_doubt=self.policy.retry_in_doubt,
                    scope=self._tasks.cancel_scope,
                )
                step = await self._attempt(mail, shield)
                if self.policy.retries(step):
                    # The worker resumes the next order: one in trouble keeps nobody from it.
                    await self._backing_off.acquire()
                    self._tasks.start_soon(self._carry_on, mail, step)
                    await anyio.lowlevel.checkpoint()  # it comes before the next order

    async def _next(self, pending: AsyncIterator[PlannedRequest]) -> PlannedRequest | None:
        """Return the next order for a worker, or None: there is no more."""
        async with self._turn:
            return await anext(pending, None)

    async def _attempt(self, mail: Mail, shield: anyio.CancelScope) -> Step:
        """Make an attempt, and take in what it has brought."""
        if self._tasks.cancel_scope.cancel_called:
            await anyio.lowlevel.checkpoint()  # no further
        step = await self.channel.exchange(mail, self._places, shield)
        if log.isEnabledFor(logging.DEBUG):
            _log(f"attempt {step.verdict.ruling.value.replace('_', ' ')}", mail, step.verdict)
        if step.advice is Advice.STOP:
            self.stop(RunState.STOPPED, str(self.channel.breaker.stopped))
        if step.outcome is not None:
            await self.deliver(step.outcome)
        return step

    async def _carry_on(self, mail: Mail, first: Step) -> None:
        """Try an order again, beside the workers, until it has its outcome."""

        def announce(step: Step, wait_s: float) -> None:
            if step.counts:
                _log("to be tried again", mail, step.verdict, wait_s=round(wait_s, 3))

        try:
            with anyio.CancelScope() as shield:
                attempt = partial(self._attempt, mail, shield)
                elapsed_s = partial(self.channel.elapsed_s, mail)
                last = await self.policy.carry_on(attempt, elapsed_s, first, announce)
        finally:
            self._backing_off.release()
        if self.policy.wants_another(last):
            with anyio.CancelScope(shield=True):
                _log("given up: attempts or time used up", mail, last)
                outcome = mail.given_up(last)
                await self.recorder.settle(outcome)
                await self.deliver(outcome)

    async def deliver(self, outcome: Outcome) -> None:
        """Count an outcome that is on disk, and hand it to the listener, stopped or not."""
        self.progress.done += 1
        self.progress.outcomes[outcome.status] += 1
        try:
            self._delivered.send_nowait(outcome)
        except anyio.BrokenResourceError:
            pass  # nobody listens any more; the journal has it
        except anyio.WouldBlock:
            with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):
                await self._delivered.send(outcome)


def _log(text: str, mail: Mail, verdict: Verdict, **more: object) -> None:
    """Log what has become of an attempt."""
    particulars = {
        "order_id": mail.planned.request.subject,
        "locale": mail.planned.request.locale,
        "attempt": mail.made,
        "http_status": verdict.http_status,
        "error_code": verdict.error_code,
        "said": verdict.error_message,
    }
    log.debug(text, extra=particulars | more)
