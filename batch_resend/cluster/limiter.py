"""The windows of a key, kept together with other processes and hosts that send by it.

Many tasks here ask for slots, few ways to the database are made: one question serves all that wait,
and also says what was answered since the last one.

The windows are also kept here, for this process alone. Its own requests are the ones that all
hosts' windows count, so that takes no time, as long as the database's clock goes as ours does.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from math import inf

import anyio

from batch_resend.clock import running_time
from batch_resend.cluster.slots import Budget, Grant, News, Slots
from batch_resend.errors import JournalError
from batch_resend.sending.limiter import WindowLimiter, decreased, part
from batch_resend.windows import (
    Fate,
    Hold,
    KeyStopped,
    SharedLimiters,
    Slot,
    Window,
    beyond_patience,
)

POLLS_A_PERIOD = 50  # while only others' answers can make a slot come free
LONGEST_POLL_S = 1.0


class SharedLimiter:
    """Grants slots in the order they are asked for, within all windows, over all hosts."""

    def __init__(self, slots: Slots, budget: Budget, patience_s: float = inf) -> None:
        """Have slots taken of a budget, which must have windows.

        `patience_s`: how long the pauses of other processes are waited for.
        """
        self._patience_s = patience_s
        self._held_since: float | None = None
        self.held: Hold | None = None  # the pause that holds up all
        self._slots = slots
        self._budget = budget
        # Whatever the database says, whose clock may be set: of this process nothing is over them.
        self._own = WindowLimiter(budget.windows, linger_s=budget.linger_s)
        period_s = min(window.period_s for window in budget.windows)
        self._poll_s = min(period_s / POLLS_A_PERIOD, LONGEST_POLL_S)
        self._news = News()
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._stirred = asyncio.Event()
        self._full_until = -inf
        self._broken: JournalError | None = None
        self._closed = False
        self.share = 1.0  # what part of the windows is taken by those who share them

    async def slot(self) -> Slot:
        """Take a slot as soon as every window has one; it comes free W seconds after its answer.

        Raises JournalError where the database cannot be asked, KeyStopped.
        """
        self._check()
        number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(number)
        self._stirred.set()
        try:
            granted = await number
            own = await self._own.slot()
        except BaseException:
            # Ended before it had both: then nothing has left.
            if number.done() and not number.cancelled() and number.exception() is None:
                self._note(self._news.unused, number.result())
            raise
        return Slot(partial(self._end, granted, own))

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

    def hold(self, pause_s: float, reason: str) -> None:
        """Let nobody take a slot for so long: the CA is in trouble, or asks for it."""
        if pause_s > self._news.pause_s:
            self._news.pause_s, self._news.why_paused = pause_s, reason
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

    def _end(self, number: int, own: Slot, fate: Fate) -> None:
        own.end(fate)
        news = self._news
        ends = {Fate.ANSWERED: news.ended, Fate.GIVEN_UP: news.lingering, Fate.UNUSED: news.unused}
        self._note(ends[fate], number)

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
            self._heed_pause(grant)

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
        self._news.unused += left  # the task that wanted them has gone meanwhile

    def _heed_pause(self, grant: Grant) -> None:
        """Note a pause of others, and give up those who wait where it lasts too long for them."""
        if grant.paused_s <= 0:
            self.held, self._held_since = None, None
            return
        now = running_time()
        self.held = Hold(grant.paused_for, now + grant.paused_s)
        if not self._waiting:
            return
        self._held_since = now if self._held_since is None else self._held_since
        if self.held.until <= self._held_since + self._patience_s:
            return
        reason = beyond_patience(
            f"another process that uses this key has paused: {grant.paused_for}",
            now - self._held_since,
            grant.paused_s,
            self._patience_s,
        )
        for number in self._waiting:
            if not number.done():
                number.set_exception(KeyStopped(reason))

    def _break(self, error: JournalError) -> None:
        self._broken = error
        for number in self._waiting:
            if not number.done():
                number.set_exception(JournalError(str(error)))


def limiters(slots: Slots) -> SharedLimiters:
    """Return what makes limiters of any keys that take their slots there."""
    return lambda budget, windows, linger_s, patience_s: SharedLimiter(
        slots, Budget(budget, windows, linger_s), patience_s
    )
