"""Reads of the CA, one at a time, under the same windows and the same patience as what is sent.

A read changes nothing at the CA, so one without an answer is simply made again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio

from batch_resend.clock import running_time
from batch_resend.errors import CallError, CallRefused
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending.gate import Advice, Gate
from batch_resend.sending.limiter import Limiter
from batch_resend.sending.outlet import Outlet
from batch_resend.sending.retry import RetryPolicy

log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Fetcher:
    """Reads what a CA has."""

    get: Callable[[str], Awaitable[Reply | Fault]]
    judge: Callable[[Reply | Fault], Verdict]
    explain: Callable[[Verdict], str]  # what a person can do when nothing will pass
    recorder: ReadRecorder
    limiter: Limiter
    gate: Gate
    policy: RetryPolicy
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._number = 0
        self._outlet = Outlet(self.gate, self.limiter)

    async def fetch(self, path: str) -> Reply:
        """Return what the CA has at a path below the base URL. Raises CallError, JournalError."""
        began = running_time()
        paused_before_s = self.gate.paused_s
        replies: list[Reply] = []

        async def attempt() -> Verdict:
            while True:
                verdict, advice = await self._attempt(path, replies)
                if advice is Advice.STOP:
                    raise CallError(self._outlet.why_stop(verdict, self.explain))
                if advice is Advice.COUNT:
                    return verdict

        verdict = await self.policy.carry_on(
            None,
            lambda: running_time() - began - (self.gate.paused_s - paused_before_s),
            attempt,
        )
        if verdict.ruling is Ruling.ACCEPTED:
            return replies[-1]
        place = path.partition("?")[0]
        if verdict.ruling is Ruling.REFUSED:
            raise CallRefused(f"the CA refuses {place}: {_said(verdict)}")
        raise CallError(f"{place} cannot be read: {_said(verdict)}")

    async def _attempt(self, path: str, replies: list[Reply]) -> tuple[Verdict, Advice]:
        """Make one request; what it brings goes into `replies`."""
        self._number += 1
        async with self.limiter.slot() as slot, self.gate.passage() as passage:
            with anyio.CancelScope(shield=True):
                number = await self.recorder.begin(self.clock())
                result = await self.get(path)
                verdict = self.judge(result)
                in_doubt = verdict.ruling is Ruling.IN_DOUBT
                if in_doubt:
                    slot.given_up()
                else:
                    slot.answered()
                verdict = _as_read(verdict)
                lesson = self._outlet.learn(passage, self._number, verdict)
                await self.recorder.end(number, self.clock(), in_doubt=in_doubt)
        if isinstance(result, Reply):
            replies.append(result)
        log.debug(
            "read %s",
            path,
            extra={
                "http_status": verdict.http_status,
                "error_code": verdict.error_code,
                "said": verdict.error_message,
            },
        )
        return verdict, lesson.advice


def _as_read(verdict: Verdict) -> Verdict:
    """Return what a verdict means for a read: what is in doubt was surely not read."""
    if verdict.ruling is not Ruling.IN_DOUBT:
        return verdict
    return replace(verdict, ruling=Ruling.UNAVAILABLE)


def _said(verdict: Verdict) -> str:
    message = verdict.error_message or ""
    return verdict.said if message in verdict.said else f"{verdict.said}, {message}"
