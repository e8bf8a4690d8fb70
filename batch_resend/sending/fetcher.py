"""Reads of the CA, under the same rate limits and the same patience as what is sent.

Many may be under way beside each other. A read changes nothing at the CA, so one without an answer
is simply made again.
"""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from math import ceil, inf
from typing import TypeVar

import anyio

from batch_resend.clock import running_time
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending.gate import Canary, Dispatcher, Gate
from batch_resend.sending.history import Action, Advice, History, Permit
from batch_resend.sending.retry import RetryPolicy, limited_wait_s
from batch_resend.windows import HeldTooLong, Limiter, Slot

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


@dataclass(eq=False, slots=True)
class _Read:
    """What is known of one read while it is tried."""

    path: str
    number: int
    optional: bool
    reply: Reply | None = None  # the newest
    began: float | None = None  # when the first request left, by the clock that pauses stop
    history: History = field(default_factory=History)  # as the circuit breaker has to know it
    tried: int = 0  # requests made


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
    concurrency: int
    pace: float  # reads a second that the limits let through; infinite: there are none
    clock: Callable[[], float]
    canary: Canary | None = None  # tells whether the CA is up when only reads in trouble are left

    attempts: int = 0  # requests made
    in_flight: int = 0

    @property
    def is_stopped(self) -> bool:
        """Whether no read will pass any more: of an error it tells whether it is of them all."""
        return self._stopped is not None

    def __post_init__(self) -> None:
        self._reads = 0
        self._answer_s = _USUAL_ANSWER_S  # how long answers take, smoothed
        self._places = anyio.CapacityLimiter(self._most_in_flight())
        self._dispatcher = Dispatcher(self.gate, self.limiter, self._places)
        self._stopped: CallError | None = None  # why no read will pass

    async def fetch(self, path: str, *, optional: bool = False) -> Reply:
        """Return what the CA has at a path below the base URL.

        `optional`: there is another way to ask. The CA may not have this call, or be slow or fail
        at it: then it is refused at once, which says nothing of other calls.
        Raises CallRefused where the CA says no to this read; KeyRefused, CallError, JournalError.
        """
        self._reads += 1
        read = _Read(path, self._reads, optional)

        async def attempt() -> Verdict:
            while True:
                try:
                    verdict, advice = await self._attempt(read)
                except HeldTooLong as error:
                    self._stopped = self._stopped or CallError(str(error))
                    raise CallError(str(error)) from None
                if advice is Advice.WAIT:
                    await anyio.sleep(limited_wait_s(read.history.limited, verdict))
                if advice is Advice.STOP:
                    self._stopped = self._stopped or self._why_stop(verdict)
                if self._stopped is not None and verdict.ruling not in _ANSWERED:
                    raise type(self._stopped)(str(self._stopped))
                if advice is Advice.COUNT:
                    return verdict

        verdict = await self.policy.carry_on(
            None,
            lambda: self._unpaused_time() - (read.began or 0.0),
            attempt,
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
            await self.recorder.answers.keep(subject, found, self.clock())

    async def forget(self) -> None:
        """Forget what was kept: the reading is whole, and the next one asks again."""
        if self.recorder.answers:
            await self.recorder.answers.forget()

    async def _attempt(self, read: _Read) -> tuple[Verdict, Advice]:
        """Make one request; what it brings goes into `read`."""
        while True:
            way = self._dispatcher.way(read.tried, read.history, may_ask=self.canary is not None)
            async with way as (permit, slot):
                if self._stopped is not None:
                    slot.unused()
                    raise type(self._stopped)(str(self._stopped))
                if read.began is None:
                    read.began = self._unpaused_time()
                with anyio.CancelScope(shield=True):
                    if self.canary is None or not permit.is_canary:
                        return await self._make(read, permit, slot)
                    self._dispatcher.canary_feedback(permit, await self.canary.ask(slot))

    async def _make(self, read: _Read, permit: Permit, slot: Slot) -> tuple[Verdict, Advice]:
        """Make one request now; what it brings goes into `read`."""
        number = await self.recorder.begin(self.clock())
        read.tried += 1
        result = await self._request(read.path)
        verdict = self.judge(result)
        in_doubt = verdict.ruling is Ruling.IN_DOUBT
        if in_doubt:
            slot.given_up()
        else:
            slot.answered()
        verdict = _as_read(verdict, optional=read.optional)
        action = Action(Advice.COUNT)
        if not (read.optional and verdict.ruling is Ruling.REFUSED):
            # Else of a call that is not there: no news of the others.
            action = self._dispatcher.feedback(permit, -read.number, verdict, read.history)
        await self.recorder.end(number, self.clock(), in_doubt=in_doubt)
        if isinstance(result, Reply):
            read.reply = result
        log.debug(
            "read %s",
            read.path,
            extra={
                "http_status": verdict.http_status,
                "error_code": verdict.error_code,
                "said": verdict.error_message,
            },
        )
        return verdict, action.advice

    def _unpaused_time(self) -> float:
        """Return the loop's time, less the pauses: they cost no read any of its own."""
        return running_time() - self.gate.paused_s

    async def _request(self, path: str) -> Reply | Fault:
        self.attempts += 1
        self.in_flight += 1
        began = running_time()
        try:
            result = await self.get(path)
        finally:
            self.in_flight -= 1
        if isinstance(result, Reply):
            self._answer_s += _SMOOTHING * (running_time() - began - self._answer_s)
            self._places.total_tokens = self._most_in_flight()
        return result

    def _most_in_flight(self) -> int:
        """Return how many reads keep the limits' pace while answers take as long as they do."""
        if self.pace == inf:
            return self.concurrency
        return min(self.concurrency, max(_FEWEST, ceil(_AMPLE * self.pace * self._answer_s)))

    def _why_stop(self, verdict: Verdict) -> CallError:
        reason = self._dispatcher.why_stop(verdict, self.explain)
        refused = verdict.ruling is Ruling.KEY_REFUSED
        return KeyRefused(reason) if refused else CallError(reason)


def _as_read(verdict: Verdict, *, optional: bool) -> Verdict:
    """Return what a verdict means for a read: what is in doubt was surely not read."""
    asks_to_wait = verdict.http_status == 503 and verdict.retry_after_s is not None
    is_of_all = verdict.ruling in _OF_ALL or asks_to_wait or _never_left(verdict)
    if optional and not is_of_all:
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
