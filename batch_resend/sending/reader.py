"""Reads of the CA, under the same rate limits and the same patience as what is sent.

Many may be under way beside each other. A read changes nothing at the CA, so one without an answer
is simply made again.
"""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import TypeVar

import anyio

from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.explanations import explain
from batch_resend.journal import ReadRecorder
from batch_resend.model import SETTLING, Reply, Ruling, Verdict
from batch_resend.sending.breaker_state import Advice
from batch_resend.sending.channel import Channel, Progress, Read
from batch_resend.sending.failures import History
from batch_resend.sending.retry import RetryPolicy, Step
from batch_resend.windows import KeyStopped, fastest

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
        read = Read(
            history=History(-self._reads),
            progress=self.progress,
            is_optional=optional,
            path=path,
            recorder=self.recorder,
        )
        verdict = await self.policy.carry_on(
            partial(self._attempt, read), partial(self.channel.elapsed_s, read)
        )
        if verdict.ruling is Ruling.ACCEPTED and read.reply is not None:
            return read.reply
        place = path.partition("?")[0]
        if verdict.ruling is Ruling.REFUSED:
            status, code = verdict.http_status, verdict.error_code
            # What to do is for a person whose command ends with this: where there is another way,
            # it does not.
            known = None if optional or status != 403 else explain(status, code)
            what_to_do = f". {known.remedy}" if known else ""
            raise CallRefused(
                f"the CA refuses {place}: {_describe(verdict)}{what_to_do}", status, code
            )
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

    async def _attempt(self, read: Read) -> Step:
        try:
            with anyio.CancelScope() as shield:
                step = await self.channel.exchange(read, self._places, shield)
            self._note(read, step.verdict)
            if step.advice is Advice.STOP or step.verdict.ruling not in SETTLING:
                self.channel.breaker.raise_stopped()
            return step
        except KeyStopped as stop:
            self.stopped = KeyRefused(stop.why) if stop.is_refused else CallError(stop.why)
            raise self.stopped from None

    def _note(self, read: Read, verdict: Verdict) -> None:
        """Log what came of an attempt, and go by how long its answer took."""
        log.debug(
            "read %s",
            read.path,
            extra={
                "http_status": verdict.http_status,
                "error_code": verdict.error_code,
                "said": verdict.error_message,
            },
        )
        if verdict.http_status is not None:
            self._answer_s += _SMOOTHING * (read.took_s - self._answer_s)
            self._places.total_tokens = self._most_in_flight()

    def _most_in_flight(self) -> int:
        """Return how many reads keep the limits' pace while answers take as long as they do."""
        if self._pace == inf:
            return self.concurrency
        return min(self.concurrency, max(_FEWEST, ceil(_AMPLE * self._pace * self._answer_s)))


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
