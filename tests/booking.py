"""What the database keeps of the windows that several hosts share, kept in memory: the model."""

from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from math import floor, inf

import anyio.lowlevel

from batch_resend.cluster.slots import Budget, Grant, News, Slots
from batch_resend.sending import Share
from batch_resend.sending.channel import LEAVES_WITHIN_S

LEARNED_ONCE_S = 1.0  # two who are told 429 within it learn it once


@dataclass(eq=False)
class Key:
    """What is known of a key's windows."""

    share: Share = field(default_factory=lambda: Share(1.0))
    decreased_at: float = -inf
    paused_until: float = -inf
    why_paused: str = ""
    longest_s: float = 0.0
    out: dict[int, int] = field(default_factory=dict)  # slots whose answers have not come: by whom
    arrived_by: dict[int, float] = field(default_factory=dict)


class Booking:
    """Keeps the windows of all keys, by one clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.living: Set[int] | None = None  # sessions; None: all
        self.takes: Counter[str] = Counter()
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._numbers = 0

    def of_session(self, session: int) -> "Desk":
        """Return what a session takes slots of."""
        return Desk(self, session)

    def take(self, session: int, budget: Budget, wanted: int, news: News) -> Grant:
        """Tell the news, and take as many slots as are free and wanted."""
        self.takes[budget.name] += 1
        now, key = self._clock(), self._keys.setdefault(budget.name, Key())
        longest_s = max(window.period_s for window in budget.windows)
        if longest_s > key.longest_s:
            key.longest_s = longest_s
            key.share = Share(longest_s, key.share._then, key.share._at_s)
        if news.decrease and now - key.decreased_at > LEARNED_ONCE_S:
            key.share.decrease(now)
            key.decreased_at = now
        if news.pause_s > 0 and now + news.pause_s > key.paused_until:
            key.paused_until, key.why_paused = now + news.pause_s, news.why_paused
        for number in news.unused:
            del key.out[number]
        self._end(key, news.ended, now)
        self._end(key, news.lingering, now + budget.linger_s)
        share = key.share.at(now)
        free, wait_s = wanted, 0.0
        for window in budget.windows:
            waiting = sorted(
                at + window.period_s for at in key.arrived_by.values() if at + window.period_s > now
            )
            taken, most = len(key.out) + len(waiting), max(1, floor(window.limit * share + 1e-9))
            if taken >= most:
                place = taken - most
                comes_free = waiting[place] - now if place < len(waiting) else inf
                wait_s = max(wait_s, comes_free)
            free = min(free, most - taken)
        paused_s = max(0.0, key.paused_until - now)
        if paused_s > 0:
            free, wait_s = 0, max(wait_s, paused_s)
        if free <= 0 < wanted and self.living is not None:
            dead = [number for number, by in key.out.items() if by not in self.living]
            self._end(key, dead, now + LEAVES_WITHIN_S + budget.linger_s)
        numbers = [self._numbers + n + 1 for n in range(max(0, free))]
        self._numbers += len(numbers)
        key.out.update(dict.fromkeys(numbers, session))
        return Grant(numbers, wait_s, share, paused_s, key.why_paused if paused_s > 0 else "")

    def _end(self, key: Key, numbers: list[int], at: float) -> None:
        for number in numbers:
            del key.out[number]
            key.arrived_by[number] = at


class Desk(Slots):
    """Takes slots for one session."""

    def __init__(self, booking: Booking, session: int) -> None:
        self._booking = booking
        self._number = session

    async def take(self, budget: Budget, wanted: int, news: News) -> Grant:
        """Give way, as one does who asks a database."""
        await anyio.lowlevel.checkpoint()
        return self._booking.take(self._number, budget, wanted, news)
