"""Reads of the CA, under the same rate limits and the same patience as what is sent.

Many may be under way beside each other. A read changes nothing at the CA, so one without an answer
is simply made again.
"""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, inf
from typing import TypeVar

import anyio

from batch_resend.clock import running_time
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending.breaker_state import Action, Advice
from batch_resend.sending.channel import Channel, Progress, Read, RetryPolicy, Step
from batch_resend.sending.failures import History
from batch_resend.windows import HeldTooLong, fastest

log = logging.getLogger(__name__)

# Twice what the limits need, as answers do not take equally long. Every read in flight when the
# program is killed holds its slot for long, since it may still arrive: more than serve cost pace.
_AMPLE = 2.0
_FEWEST = 4
_SMOOTHING = 1 / 8  # of RFC 6298, "Computing TCP's Retransmission Timer"
_USUAL_ANSWER_S = 0.5  # until one has come

MOST_AHEAD = 1_000  # items that are asked about while the answer to an earlier one is not there

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_ANSWERED = frozenset((Ruling.ACCEPTED, Ruling.REFUSED))
# With which even a call that the CA may not have is waited for: they are about all calls.
_OF_ALL = frozenset((Ruling.ACCEPTED, Ruling.RATE_LIMITED, Ruling.KEY_REFUSED))


@dataclass(eq=False, kw_only=True)
class Reader:
    """Reads what a CA has by one key."""

    channel: Channel
    recorder: ReadRecorder
    policy: RetryPolicy
    concurrency: int
    progress: Progress = field(default_factory=Progress)  # those who ask for reads count in it
    stopped: CallError | None = None  # why no read will pass any more

    def __post_init__(self) -> None:
        self._reads = 0
        self._answer_s = _USUAL_ANSWER_S  # how long answers take, smoothed
        self._pace = fastest(self.channel.windows)  # reads a second that the limits let through
        self._places = anyio.CapacityLimiter(self._most_in_flight())

    async def fetch(self, path: str, *, optional: bool = False) -> Reply:
        """Return what the CA has at a path below the base URL.

        `optional`: there is another way to ask. The CA may not have this call, or be slow or fail
        at it: then it is refused at once, which says nothing of other calls.
        Raises CallRefused where the CA says no to this read; KeyRefused, CallError, JournalError.
        """
        self._reads += 1
        read = _Read(
            history=History(-self._reads),
            progress=self.progress,
            is_optional=optional,
            path=path,
            get=self._get,
            recorder=self.recorder,
            clock=self.channel.clock,
            reader=self,
        )
        verdict = await self.policy.carry_on(
            partial(self._attempt, read), partial(self.channel.elapsed_s, read)
        )
        if verdict.ruling is Ruling.ACCEPTED and read.reply is not None:
            return read.reply
        place = path.partition("?")[0]
        if verdict.ruling is Ruling.REFUSED:
            status, code = verdict.http_status, verdict.error_code
            raise CallRefused(f"the CA refuses {place}: {_describe(verdict)}", status, code)
        raise CallError(f"{place} cannot be read: {_describe(verdict)}")

    def kept(self, subject: str) -> str | None:
        """Return what an earlier reading that was cut off has kept of a subject (JSON)."""
        answers = self.recorder.answers
        return answers.found.get(subject) if answers else None

    async def keep(self, subject: str, found: str) -> None:
        """Keep what was found of a subject (JSON), should this reading be cut off."""
        if self.recorder.answers:
            await self.recorder.answers.keep(subject, found, self.channel.clock())

    async def forget(self) -> None:
        """Forget what was kept: the reading is whole, and the next one asks again."""
        if self.recorder.answers:
            await self.recorder.answers.forget()

    async def _attempt(self, read: "_Read") -> Step:
        try:
            step = await self.channel.exchange(read, self._places)
        except HeldTooLong as error:
            self.stop(CallError(str(error)))
            raise CallError(str(error)) from None
        if step.advice is Advice.STOP or step.verdict.ruling not in _ANSWERED:
            self.raise_stopped()
        return step

    def stop(self, error: CallError) -> None:
        """Let no read leave any more, and have them raise an error. The first one counts."""
        self.stopped = self.stopped or error

    def raise_stopped(self) -> None:
        """Raise why no read will pass, if none will: a new error for each."""
        if self.stopped is not None:
            raise type(self.stopped)(str(self.stopped))

    async def _get(self, path: str) -> Reply | Fault:
        """Make one request, and go by how long it took."""
        began = running_time()
        result = await self.channel.ca.get(path)
        if isinstance(result, Reply):
            self._answer_s += _SMOOTHING * (running_time() - began - self._answer_s)
            self._places.total_tokens = self._most_in_flight()
        return result

    def _most_in_flight(self) -> int:
        """Return how many reads keep the limits' pace while answers take as long as they do."""
        if self._pace == inf:
            return self.concurrency
        return min(self.concurrency, max(_FEWEST, ceil(_AMPLE * self._pace * self._answer_s)))


@dataclass(eq=False, kw_only=True, slots=True)
class _Read(Read):
    """Attempts to read, beside others that may learn that no read will pass."""

    reader: Reader

    async def begin(self) -> None:
        self.reader.raise_stopped()
        await Read.begin(self)

    async def end(self, verdict: Verdict, action: Action) -> None:
        if action.advice is Advice.STOP:
            reason = self.reader.channel.why_stop(verdict)
            refused = verdict.ruling is Ruling.KEY_REFUSED
            self.reader.stop(KeyRefused(reason) if refused else CallError(reason))
        await Read.end(self, verdict, action)
        log.debug(
            "read %s",
            self.path,
            extra={
                "http_status": verdict.http_status,
                "error_code": verdict.error_code,
                "said": verdict.error_message,
            },
        )

    def meaning(self, verdict: Verdict) -> Verdict:
        """Return what a verdict means for a read: what is in doubt was surely not read."""
        asks_to_wait = verdict.http_status == 503 and verdict.retry_after_s is not None
        is_of_all = verdict.ruling in _OF_ALL or asks_to_wait or _never_left(verdict)
        if self.is_optional and not is_of_all:
            return replace(verdict, ruling=Ruling.REFUSED)
        if verdict.ruling is Ruling.IN_DOUBT:
            return replace(verdict, ruling=Ruling.UNAVAILABLE)
        return verdict


def _never_left(verdict: Verdict) -> bool:
    return verdict.http_status is None and verdict.ruling is Ruling.UNAVAILABLE


def _describe(verdict: Verdict) -> str:
    message = verdict.error_message or ""
    return verdict.summary if message in verdict.summary else f"{verdict.summary}, {message}"


async def ask_each(
    items: AsyncIterable[Item] | Iterable[Item],
    ask: Callable[[Item], Awaitable[Answer]],
    take: Callable[[Answer], object] = lambda _: None,
    *,
    wanted: Callable[[], int] = lambda: MOST_AHEAD,
) -> None:
    """Ask about each item, many beside each other; take the answers in the order of the items.

    `wanted` says how many answers may still be of use: never more are asked for. The first error of
    `items`, `ask` or `take` ends it all, and is raised.
    """
    answers: dict[int, Answer] = {}
    errors: list[Exception] = []  # from the tasks they would come in a group
    asked = taken = 0
    taken_one = anyio.Event()

    async def ask_one(place: int, item: Item) -> None:
        nonlocal taken, taken_one
        try:
            answers[place] = await ask(item)
            while taken in answers:
                take(answers.pop(taken))
                taken += 1
        except Exception as error:
            fail(error)
        taken_one.set()

    def fail(error: Exception) -> None:
        errors.append(error)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        try:
            async for item in _one_by_one(items):
                while asked - taken >= min(MOST_AHEAD, wanted()) > 0:
                    taken_one = anyio.Event()
                    await taken_one.wait()
                if wanted() <= 0:
                    break
                tasks.start_soon(ask_one, asked, item)
                asked += 1
        except Exception as error:
            fail(error)
    if errors:
        raise errors[0]


async def _one_by_one(items: AsyncIterable[Item] | Iterable[Item]) -> AsyncIterator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
