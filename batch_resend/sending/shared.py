"""The windows of a key, kept together with other processes and hosts that send by it.

Many tasks here ask for slots, few ways to the database are made: whoever waits is served by one and
the same question, which also tells what was answered since the last one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf

import anyio

from batch_resend.clock import running_time
from batch_resend.errors import JournalError
from batch_resend.journal import Budget, News, Slots
from batch_resend.sending.share import decreased, part
from batch_resend.windows import Window

POLLS_A_PERIOD = 50  # while only others' answers can make a slot come free
LONGEST_POLL_S = 1.0


class SharedSlot:
    """Leave for one request."""

    __slots__ = ("_limiter", "_number")

    def __init__(self, limiter: "SharedLimiter", number: int) -> None:
        self._limiter: SharedLimiter | None = limiter
        self._number = number

    def answered(self) -> None:
        """Note that the answer has come now, or that surely nothing left. The first word counts."""
        if self._limiter is not None:
            self._limiter._note(self._limiter._news.ended, self._number)
            self._limiter = None

    def given_up(self) -> None:
        """Note that no answer has come until now; the request may still arrive."""
        if self._limiter is not None:
            self._limiter._note(self._limiter._news.lingering, self._number)
            self._limiter = None

    def unused(self) -> None:
        """Give it back: no request has left."""
        if self._limiter is not None:
            self._limiter._note(self._limiter._news.unused, self._number)
            self._limiter = None


class SharedLimiter:
    """Grants slots in the order they are asked for, within all windows, over all hosts."""

    def __init__(self, slots: Slots, budget: Budget) -> None:
        """Have slots taken of a budget, which must have windows."""
        self._slots = slots
        self._budget = budget
        period_s = min(window.period_s for window in budget.windows)
        self._poll_s = min(period_s / POLLS_A_PERIOD, LONGEST_POLL_S)
        self._news = News()
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._stirred = asyncio.Event()
        self._full_until = -inf
        self._broken: JournalError | None = None
        self._closed = False
        self.share = 1.0  # what part of the windows is taken by those who share them

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[SharedSlot]:
        """Hold a slot from when every window has one; it comes free W seconds after its answer.

        Without a word of an answer, the request counts as given up at the end of the block.
        Raises JournalError where the database cannot be asked.
        """
        self._check()
        number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(number)
        self._stirred.set()
        try:
            slot = SharedSlot(self, await number)
        except asyncio.CancelledError:
            if number.done() and not number.cancelled() and number.exception() is None:
                self._note(self._news.unused, number.result())
            raise
        try:
            yield slot
        finally:
            slot.given_up()

    @property
    def full_for_s(self) -> float:
        """How many seconds no slot comes free; infinite: not before an answer comes."""
        return max(0.0, self._full_until - running_time())

    def decrease(self) -> Sequence[Window]:
        """Take a smaller part of the windows; return what they come to now."""
        self._news.decrease = True
        self._stirred.set()
        self.share = decreased(self.share)
        return [
            Window(part(window, self.share), window.period_s) for window in self._budget.windows
        ]

    def hold(self, pause_s: float) -> None:
        """Let nobody take a slot for so long: the CA is in trouble, or asks for it."""
        self._news.pause_s = max(self._news.pause_s, pause_s)
        self._stirred.set()

    async def __aenter__(self) -> "SharedLimiter":
        self._task = asyncio.create_task(self._serve(), name="shared limiter")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tell what is left to tell, then end."""
        self._closed = True
        self._stirred.set()
        with anyio.CancelScope(shield=True):
            await self._task

    def _note(self, numbers: list[int], number: int) -> None:
        numbers.append(number)
        self._stirred.set()

    def _check(self) -> None:
        if self._broken is not None:
            raise JournalError(str(self._broken)) from self._broken

    async def _serve(self) -> None:
        """Ask for those who wait, and tell what has come, until closed."""
        while not self._closed or self._news != News():
            await self._until_there_is_something_to_say()
            self._stirred.clear()
            news, self._news = self._news, News()
            self._forget_cancelled()
            try:
                grant = await self._slots.take(self._budget, len(self._waiting), news)
            except JournalError as error:
                self._break(error)
                return
            self.share = grant.share
            self._full_until = running_time() + grant.wait_s
            self._hand_out(grant.slots)

    async def _until_there_is_something_to_say(self) -> None:
        """Wait for news, or for a slot to come free where one is wanted."""
        self._forget_cancelled()
        if not self._waiting:
            await self._stirred.wait()
            return
        wait_s = min(self.full_for_s, LONGEST_POLL_S)  # others may do what makes it shorter
        if self._full_until == inf:
            wait_s = self._poll_s
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stirred.wait()

    def _forget_cancelled(self) -> None:
        self._waiting = deque(number for number in self._waiting if not number.done())

    def _hand_out(self, slots: Sequence[int]) -> None:
        left = list(slots)
        while left and self._waiting:
            number = self._waiting.popleft()
            if not number.done():
                number.set_result(left.pop(0))
        self._news.unused += left  # whoever wanted them has gone meanwhile

    def _break(self, error: JournalError) -> None:
        self._broken = error
        for number in self._waiting:
            if not number.done():
                number.set_exception(JournalError(str(error)))
