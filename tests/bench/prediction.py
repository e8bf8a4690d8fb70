"""Further than the machine goes: the real pipeline under the real windows, in virtual time.

Sender, limiter, gate and retries are the program's own; the CA answers after some tenths of a
second, and the journal writes nothing down. Each run takes the time that it takes to reckon.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import anyio
import looptime

from batch_resend.certcentral import judge
from batch_resend.channels import RunHandle
from batch_resend.clock import format_duration
from batch_resend.journal import Pause, ReadRecorder, Recorder
from batch_resend.model import (
    Attempt,
    Fault,
    Outcome,
    PlannedRequest,
    Reply,
    Request,
    Verdict,
)
from batch_resend.sending import (
    CA,
    Channel,
    CircuitBreaker,
    Leave,
    Progress,
    RetryPolicy,
    Sender,
    WindowLimiter,
)
from batch_resend.windows import CA_WINDOWS, Window, dictated_time
from tests.bench.findings import Finding

SIZES = (10_000, 100_000, 1_000_000)
ANSWER_S = (0.1, 0.5)
CONCURRENCY = 32


class Forgetful(Recorder):
    """A journal that writes nothing down."""

    def __init__(self) -> None: ...

    async def begin(self, attempt: Attempt) -> None:
        """Forget."""

    async def end(
        self, attempt: Attempt, ended_at: float, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        """Forget."""

    async def settle(self, outcome: Outcome) -> None:
        """Forget."""

    async def pause(self, pause: Pause) -> None:
        """Forget."""


async def orders(count: int) -> AsyncIterator[PlannedRequest]:
    """Yield so many orders."""
    for number in range(1, count + 1):
        yield PlannedRequest(number, number, Request(str(number), None, ()), b"")


class SlowCA:
    """A CA that takes its time."""

    def __init__(self) -> None:
        self._chance = random.Random(1)

    async def resend(self, _order: Request, leave: Leave) -> Reply:
        """Answer in steps that virtual time can hold."""
        leave()
        await asyncio.sleep(round(self._chance.uniform(*ANSWER_S) * 64) / 64)
        return Reply(204, b"", 0.0)

    async def get(self, path: str, leave: Leave) -> Reply:
        """Nothing is read."""
        raise AssertionError(path)

    def judge(self, result: Reply | Fault) -> Verdict:
        """Judge as ever."""
        return judge(result)

    def remedy(self, verdict: Verdict, key_named: str) -> str:
        """Nothing stops."""
        raise AssertionError(verdict, key_named)


async def no_reads() -> ReadRecorder:
    """Nothing is read."""
    raise AssertionError("nothing is read")


async def send(count: int, ca: CA, windows: Sequence[Window]) -> float:
    """Send so many orders; return the seconds until the last outcome."""
    loop = asyncio.get_running_loop()
    sender = Sender(
        channel=Channel(
            windows=windows,
            ca=ca,
            limiter=WindowLimiter(windows, linger_s=30.0),
            breaker=CircuitBreaker(3600.0),
            start_reading=no_reads,
            clock=loop.time,
        ),
        recorder=Forgetful(),
        policy=RetryPolicy(6, 3600.0, True),
        concurrency=CONCURRENCY,
        progress=Progress(count),
    )
    deliver, outcomes = anyio.create_memory_object_stream[Outcome](1_000)
    began, heard = loop.time(), 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run, orders(count), deliver)
        with outcomes:
            async for _ in RunHandle([], outcomes):
                heard += 1
    assert heard == count, sender.stop_reason
    return loop.time() - began


def measure(sizes: Sequence[int] = SIZES) -> list[Finding]:
    """Return the time each size takes, beside what the windows dictate."""
    findings = []
    for count in sizes:
        loop = looptime.new_event_loop(start=1000)
        try:
            took_s = loop.run_until_complete(send(count, SlowCA(), CA_WINDOWS))
        finally:
            loop.close()
        dictated_s = dictated_time(count, CA_WINDOWS)
        windows = " and ".join(map(str, CA_WINDOWS))
        print(
            f"{count:>10,} orders under {windows}: {format_duration(took_s)}; the windows alone "
            f"dictate {format_duration(dictated_s)}",
            flush=True,
        )
        later = (took_s / dictated_s - 1) * 100
        findings += [
            Finding("prediction", f"{count:,} orders, predicted", took_s / 60, "min"),
            Finding("prediction", f"{count:,} orders, dictated", dictated_s / 60, "min"),
            Finding("prediction", f"{count:,} orders, later than dictated", later, "%", 2.0),
        ]
    return findings
