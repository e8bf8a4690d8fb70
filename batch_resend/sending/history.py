"""What the circuit breaker is given and answers, and the failures since a good answer."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from batch_resend.model import Ruling, Verdict

TROUBLE = frozenset((Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.IN_DOUBT))


class Flow(Enum):
    """How requests may leave."""

    OPENING = "opening"  # one at a time, until one gets through
    FLOWING = "flowing"  # as the windows allow
    PAUSED = "paused"  # none until the pause is over, then a few


class Advice(Enum):
    """What to do after an answer."""

    COUNT = "count"  # the order's own affair: its attempt counts
    AGAIN = "again"  # the run's affair: the attempt costs the order nothing
    WAIT = "wait"  # the same, but the order alone waits for a while
    STOP = "stop"  # nothing of this run will pass


class Change(Enum):
    """What an answer changes for all."""

    NOTHING = "nothing"
    BEGINS = "begins"  # a pause
    PROLONGS = "prolongs"  # the pause that there is
    ENDS = "ends"  # the pause


@dataclass(frozen=True, slots=True)
class Action:
    """What to do after an answer, and what it changes for all."""

    advice: Advice
    change: Change = Change.NOTHING
    is_limited: bool = False  # the windows are smaller than thought: take a smaller part of them


@dataclass(eq=False, slots=True)
class Permit:
    """Leave for one request."""

    epoch: int
    is_probe: bool = False
    is_canary: bool = False  # a harmless read is to leave in the place of a mail
    number: int = 0  # in the order of leaving; 0: it has not left
    left_at: float = -inf
    is_open: bool = True  # nothing is known yet of what became of it


@dataclass(slots=True)
class History:
    """What has become of one order, or one read, until now, as far as the breaker has to know."""

    failed_at: float | None = None  # first
    limited_at: float | None = None  # when it met the first 429
    limited: int = 0  # answers of 429

    @property
    def has_failed(self) -> bool:
        """Whether any request had another answer than a good one."""
        return self.failed_at is not None or self.limited_at is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """An event: what came of a request."""

    permit: Permit
    order: int
    verdict: Verdict
    at: float
    history: History = field(default_factory=History)  # before this answer


# What a failure weighs. What may have been mailed weighs more: to try on costs second mails. A page
# of a CDN weighs most: it takes this host for a robot, and every request makes that worse. A 429
# says that the CA is there.
WEIGHTS = {Ruling.RATE_LIMITED: 0, Ruling.UNAVAILABLE: 4, Ruling.IN_DOUBT: 5, Ruling.BLOCKED: 16}
OPENS_AT = 80  # twenty sure failures
OF_ONE_ORDER = 5  # failures: where as many of one order have come, there is none left that passes


@dataclass(frozen=True, slots=True)
class _Failure:
    left: int
    order: int
    weight: int


class Streak:
    """Failures, each later than all that was answered well. Requests are known by their number."""

    def __init__(self) -> None:
        self._failures: list[_Failure] = []
        self._good = 0  # the last one that left of all that were answered well

    @property
    def orders(self) -> set[int]:
        """The orders that failed, or were answered with 429."""
        return {failure.order for failure in self._failures}

    @property
    def is_outage(self) -> bool:
        """Whether so much fails that it is not by chance."""
        if sum(failure.weight for failure in self._failures) >= OPENS_AT:
            return True
        of_each = Counter(failure.order for failure in self._failures if failure.weight)
        return max(of_each.values(), default=0) >= OF_ONE_ORDER

    def failed(self, left: int, order: int, ruling: Ruling) -> None:
        """Take in a failure; one that left before a good answer's request did is none."""
        if left > self._good:
            self._failures.append(_Failure(left, order, WEIGHTS[ruling]))

    def passed(self, left: int) -> None:
        """Take in a good answer: what left before it was no outage."""
        self._good = max(self._good, left)
        if self._failures:
            self._failures = [failure for failure in self._failures if failure.left > self._good]
