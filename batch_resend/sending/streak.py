"""The failures since the CA last gave a good answer, in the order in which requests left.

Answers come in another order than requests leave. One that left before a failure did, and is
answered well after it, says nothing of what has happened since: it ends no streak.
"""

from collections import Counter
from dataclasses import dataclass

from batch_resend.model import Ruling

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
