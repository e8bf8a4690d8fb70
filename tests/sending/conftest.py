"""A journal that only remembers, and a sender between it and a CA that answers by a script.

Times are those of the loop's virtual clock, which counts whole microseconds: latencies, windows
and backoffs keep to sixty-fourths of a second, which both it and a float hold exactly.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio
import pytest

from batch_resend.errors import JournalError
from batch_resend.journal import Pause, ReadRecorder, Recorder
from batch_resend.model import (
    Attempt,
    Outcome,
    PlannedRequest,
    RequestStatus,
    Ruling,
    RunState,
    Verdict,
)
from batch_resend.sending import (
    CA,
    Channel,
    CircuitBreaker,
    Progress,
    RetryPolicy,
    Sender,
    WindowLimiter,
)
from batch_resend.windows import Window
from tests.sending.scripted import Line, ScriptedCA

HOUR_S = 3600.0
JITTER = random.Random()
LONG_S = 1e9
FOLLOWS = {
    "begin": (None, "end"),
    "call": ("begin",),
    "answer": ("call",),
    "end": ("answer", "begin"),  # stopped before it left
}


class Notebook(Recorder):
    """The journal's words, kept in memory: its thread knows nothing of virtual time."""

    def __init__(self, lines: list[Line], commit_s: float) -> None:
        self._lines = lines
        self._commit_s = commit_s
        self.broken_from: tuple[str, int] | None = None  # the line that fails, and all after it
        self.broken = False

    async def begin(self, attempt: Attempt) -> None:
        await self._write("begin", attempt.planned.number, None, attempt.attempt)

    async def end(
        self, attempt: Attempt, ended_at: float, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        assert ended_at >= attempt.begun_at
        await self._write("end", attempt.planned.number, verdict.ruling, attempt.attempt)
        if outcome is not None:
            self._note("outcome", outcome.planned.number, outcome.status)

    async def pause(self, pause: Pause) -> None:
        assert pause.began_at == anyio.current_time() - self._commit_s, "that of its answer"
        await self._write("pause", 0, f"{pause.share:g} {pause.reason}")

    async def prolong_pause(self, pause: Pause) -> None:
        # A pause of less than a commit is over when it is written down.
        assert pause.until_at >= anyio.current_time() - self._commit_s
        self._note("prolonged", 0, f"{pause.share:g}")

    async def flow_again(self, now: float) -> None:
        assert now == anyio.current_time()
        await self._write("flow again", 0, None)

    async def settle(self, outcome: Outcome) -> None:
        await self._write("outcome", outcome.planned.number, outcome.status)

    def _check(self, what: str, order: int) -> None:
        self.broken |= (what, order) == self.broken_from
        if self.broken:
            raise JournalError("the disk is full")

    async def _write(self, what: str, order: int, said: str | None, attempt: int = 0) -> None:
        await anyio.sleep(self._commit_s)
        self._check(what, order)
        self._note(what, order, said, attempt)

    def _note(self, what: str, order: int, said: str | None, attempt: int = 0) -> None:
        self._lines.append(Line(anyio.current_time(), what, order, said, attempt))


class Reads(ReadRecorder):
    """The journal's reads, kept in memory."""

    def __init__(self) -> None:
        self.answers = None
        self.under_way: set[int] = set()
        self.ended: list[bool] = []  # whether in doubt, one after another
        self._begun = 0

    async def begin(self, begun_at: float) -> int:
        assert begun_at == anyio.current_time()
        self._begun += 1
        self.under_way.add(self._begun)
        return self._begun

    async def end(self, number: int, ended_at: float, *, in_doubt: bool = False) -> None:
        assert ended_at == anyio.current_time()
        self.under_way.remove(number)
        self.ended.append(in_doubt)


async def _start_reading() -> Reads:
    return Reads()


def channel_to(
    ca: CA,
    windows: Sequence[Window] = (),
    breaker: CircuitBreaker | None = None,
    linger_s: float = 0.0,
) -> Channel:
    """Return a channel with all its parts, real but for the CA and the journal."""
    return Channel(
        windows=windows,
        ca=ca,
        limiter=WindowLimiter(windows, linger_s=linger_s),
        breaker=breaker or CircuitBreaker(HOUR_S),
        start_reading=_start_reading,
        clock=anyio.current_time,
    )


class Rig:
    """A sender with all its parts, real but for the CA and the journal."""

    def __init__(
        self,
        script: Mapping[int, str] | None = None,
        *,
        windows: Sequence[Window] = (),
        linger_s: float = 0.0,
        concurrency: int = 8,
        max_attempts: int = 6,
        max_elapsed_s: float = LONG_S,
        patience_s: float = HOUR_S,
        retry_in_doubt: bool = True,
        commit_s: float = 0.0,
        latency_s: float = 0.0,
        otherwise: str = "204",
        outages: Sequence[tuple[float, float, str]] = (),
        has_canary: bool = False,
        canary: str = "200",
        ca: Callable[[list[Line]], ScriptedCA] | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.start = anyio.current_time()
        self.lines: list[Line] = []
        self.ca = (
            ca(self.lines)
            if ca
            else ScriptedCA(self.lines, script or {}, latency_s, otherwise, outages, canary)
        )
        self.notebook = Notebook(self.lines, commit_s)
        self.progress = Progress()
        self.heard: list[Outcome] = []
        breaker = breaker or CircuitBreaker(patience_s, concurrency, has_canary=has_canary)
        self.sender = Sender(
            channel=channel_to(self.ca, windows, breaker, linger_s),
            recorder=self.notebook,
            policy=RetryPolicy(max_attempts, max_elapsed_s, retry_in_doubt),
            concurrency=concurrency,
            progress=self.progress,
        )

    async def carry(
        self, pending: Sequence[PlannedRequest], *, hear_at_most: int | None = None
    ) -> list[Outcome]:
        """Run the sender to its end; return the outcomes heard. It must end by itself."""
        self.progress.total = len(pending)
        deliver, outcomes = anyio.create_memory_object_stream[Outcome](0)
        with anyio.fail_after(100 * HOUR_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.sender.run, one_by_one(pending), deliver)
                async with outcomes:
                    while hear_at_most is None or len(self.heard) < hear_at_most:
                        try:
                            self.heard.append(await outcomes.receive())
                        except anyio.EndOfStream:
                            break
        return self.heard

    async def stop_at(self, at_s: float, pending: Sequence[PlannedRequest]) -> None:
        """Run the sender, and stop it so many seconds after the start."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.carry, pending)
            await anyio.sleep(self.start + at_s - anyio.current_time())
            self.sender.stop(RunState.INTERRUPTED, "a person said so")

    def elapsed_s(self) -> float:
        return anyio.current_time() - self.start

    def noted(self, what: str, order: int | None = None) -> list[Line]:
        """Return the lines of one kind, times since the start."""
        return [
            line._replace(at=line.at - self.start)
            for line in self.lines
            if line.what == what and order in (None, line.order)
        ]

    def request_of(self, what: str) -> list[int]:
        return [line.order for line in self.noted(what)]

    def statuses(self) -> dict[int, str]:
        """Return what was heard of each order; none may be heard of twice."""
        told = {outcome.planned.number: outcome.status.value for outcome in self.heard}
        assert len(told) == len(self.heard), "an order had two outcomes"
        return told


async def one_by_one(pending: Sequence[PlannedRequest]) -> AsyncIterator[PlannedRequest]:
    for order in pending:
        yield order


def crowded(moments: Sequence[float], window: Window) -> list[tuple[float, float]]:
    """Return where more than a window's limit fall into its length: [t, t + W) each."""
    at = sorted(moments)
    return [
        (first, last)
        for first, last in zip(at, at[window.limit :], strict=False)
        if last - first < window.period_s
    ]


def check_the_books(rig: Rig) -> None:
    """Check what holds however a run ends."""
    last: dict[int, str] = {}
    numbers: Counter[int] = Counter()
    for line in rig.lines:
        if line.what in FOLLOWS:
            assert last.get(line.order) in FOLLOWS[line.what], line
            last[line.order] = line.what
        if line.what == "begin":
            numbers[line.order] += 1
            assert line.attempt == numbers[line.order]
    assert set(last.values()) <= {"end"}, "an attempt has no end"
    settled = [(line.order, line.said) for line in rig.noted("outcome")]
    assert dict(settled) == rig.statuses(), "what was told is not what was written down"
    assert len(settled) == len(dict(settled)), "two outcomes"
    progress = rig.progress
    assert progress.outcomes == {s: Counter(rig.statuses().values())[s] for s in RequestStatus}
    assert progress.done == len(settled)
    assert (progress.attempts, progress.in_flight) == (len(rig.noted("begin")), 0)
    assert progress.retries == len([line for line in rig.noted("begin") if line.attempt > 1])
    limited = [line for line in rig.noted("end") if line.said is Ruling.RATE_LIMITED]
    assert progress.rate_limited == len(limited)
    assert rig.ca.most_in_flight <= rig.sender.concurrency


@pytest.fixture(autouse=True)
def _jitter_on_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the backoffs from a known seed, in steps that virtual time can hold."""
    JITTER.seed(20261123)

    def uniform(low: float, high: float) -> float:
        return round(JITTER.uniform(low, high) * 64) / 64

    monkeypatch.setattr("random.uniform", uniform)
