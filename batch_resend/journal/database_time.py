"""The time of a database's clock, which somebody may set, as a client's steady clock bounds it.

The database stamps what all hosts count, so one clock reads every stamp. When that clock is set
forward, every slot of the windows comes free at once; when it is set back, none does for as long.
So each client checks it. Between a question and its answer the database read its clock once: what
that said, and the steady time that has gone by since, bound what it may say now, give or take the
time the question was under way.

    too low    proven when the question leaves: it is read later than that. The database corrects it
    too high   by the question: it may have been under way for long. Believed for this question, and
               proven when the answer is there; another question has the database correct it

After a correction by another client, what does not agree with it is forgotten. Whether a clock was
set just before it asked first, a client cannot tell: while it is new, and others are there who can,
the time goes on for it as they say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

TOLERANCE_S = 0.1
NEW_S = 1.5  # whoever knows it for longer asks more often than that, while it waits for slots
DRIFT = 0.001  # of the time gone by, that two clocks may go apart; a clock that is slewed included


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a question says of the database's time. None: the client has not asked before."""

    correction_s: float | None = None  # that was in force when it learned the rest
    at_least: float | None = None
    at_most: float | None = None
    too_high_s: float = 0.0  # proven
    is_new: bool = True


@dataclass(slots=True)
class _Sample:
    """The database's time less the steady time, at a steady time."""

    offset_s: float
    at: float


class DatabaseTime:
    """What is known of the time that a database counts by."""

    def __init__(self, steady_time: Callable[[], float]) -> None:
        """`steady_time`: seconds of a clock that nobody sets."""
        self._steady_time = steady_time
        self._correction_s: float | None = None
        self._since = inf  # when it learned something first
        self._lowest = _Sample(0.0, 0.0)
        self._highest = _Sample(0.0, 0.0)
        self._too_high_s = 0.0
        self._asked_at = 0.0

    def ask(self) -> Bounds:
        """Return what a question that leaves now says."""
        now = self._asked_at = self._steady_time()
        if self._correction_s is None:
            return Bounds()
        return Bounds(
            self._correction_s,
            now + self._lowest_at(now) - TOLERANCE_S,
            now + self._highest_at(now),
            self._too_high_s,
            now < self._since + NEW_S,
        )

    def learn(self, said: float, correction_s: float) -> None:
        """Take in what the database's clock said, corrected by so much, while the question was out.

        That is the clock as it is, whether or not the database believed it.
        """
        sent, received = self._asked_at, self._steady_time()
        lowest, highest = _Sample(said - received, received), _Sample(said - sent, sent)
        is_too_high = lowest.offset_s > self._highest_at(received) + TOLERANCE_S
        is_too_low = highest.offset_s < self._lowest_at(received) - TOLERANCE_S
        if correction_s != self._correction_s:
            is_first, self._correction_s = self._correction_s is None, correction_s
            self._since = received if is_first else self._since
            if is_first or is_too_high or is_too_low:
                self._lowest, self._highest = lowest, highest
                is_too_high = False
        # Rather too much: what is a little late holds a slot for a little longer.
        self._too_high_s = highest.offset_s - self._lowest_at(sent) if is_too_high else 0.0
        if is_too_high:
            return
        if lowest.offset_s > self._lowest_at(received):
            self._lowest = lowest
        if highest.offset_s < self._highest_at(received):
            self._highest = highest

    @property
    def is_too_high(self) -> bool:
        """Whether the last answer has proven that the clock was set forward."""
        return self._too_high_s > 0

    def _lowest_at(self, now: float) -> float:
        return self._lowest.offset_s - DRIFT * (now - self._lowest.at)

    def _highest_at(self, now: float) -> float:
        return self._highest.offset_s + DRIFT * (now - self._highest.at)
