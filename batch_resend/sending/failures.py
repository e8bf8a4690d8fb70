"""What failures say: a verdict alone, those of one order, and all since the last good answer."""

from collections import Counter
from dataclasses import dataclass
from math import inf

from batch_resend.model import FaultKind, Ruling, Verdict

TROUBLE = frozenset((Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.IN_DOUBT))
CLOSED_FOR_LONG_S = 60.0
# Of an answer that is not the CA's: where the CA is, there would be one of its own. Other than 403
# and 406, with which proxies and CDNs block what they take for a robot, for a while.
_NO_CA_HERE = frozenset((*range(200, 400), 401, 404, 405, 407, 501, 511))


def is_wrong_address(verdict: Verdict) -> bool:
    """Whether a first answer, or its absence, shows that the CA is not at the URL."""
    if verdict.ruling is Ruling.BLOCKED:
        return verdict.http_status in _NO_CA_HERE
    return verdict.error_code in (FaultKind.NO_SUCH_HOST, FaultKind.TLS_REFUSED)


def never_left(verdict: Verdict) -> bool:
    """Whether there was no connection: the CA has not seen the request."""
    return verdict.http_status is None and verdict.ruling is Ruling.UNAVAILABLE


def closes_for_all(verdict: Verdict) -> bool:
    """Whether a failure names a time before which no request will pass.

    What stands before the CA does, with any; the service itself where it is closed for long: for
    less, the order alone waits.
    """
    wait_s = verdict.retry_after_s
    if wait_s is None:
        return False
    is_closed = verdict.http_status == 503 and wait_s >= CLOSED_FOR_LONG_S
    return verdict.ruling is Ruling.BLOCKED or is_closed


def in_words(verdict: Verdict) -> str:
    """Return what is wrong with the CA, for the reason of a pause."""
    if verdict.ruling is Ruling.RATE_LIMITED:
        trouble = "the CA asks for fewer requests"
    elif verdict.ruling is Ruling.BLOCKED:
        trouble = (
            f"something in front of the CA answers in its place, with HTTP {verdict.http_status}"
        )
    elif never_left(verdict):
        trouble = "the CA cannot be reached"
    else:
        trouble = "the CA has problems"
    return f"{trouble} ({verdict.error_message or verdict.error_code})"


@dataclass(slots=True)
class History:
    """What has become of one order, or one read, until now."""

    order: int  # its number; of reads, below zero
    failed_at: float = inf  # first
    limited_at: float = inf  # when it met the first 429
    limited: int = 0  # answers of 429

    @property
    def has_failed(self) -> bool:
        """Whether any request had another answer than a good one."""
        return min(self.failed_at, self.limited_at) < inf

    def add(self, ruling: Ruling, now: float) -> None:
        """Take in one more answer."""
        if ruling in TROUBLE:
            self.failed_at = min(self.failed_at, now)
        if ruling is Ruling.RATE_LIMITED:
            self.limited += 1
            self.limited_at = min(self.limited_at, now)


# What a failure weighs. What may have been mailed weighs more: to try on costs second mails. A page
# of a CDN weighs most: it takes this host for a robot, and every request makes that worse. A 429
# says that the CA is there.
_WEIGHTS = {Ruling.RATE_LIMITED: 0, Ruling.UNAVAILABLE: 4, Ruling.IN_DOUBT: 5, Ruling.BLOCKED: 16}
_OUTAGE = 80  # twenty sure failures
_OF_ONE_ORDER = 5  # failures: where as many of one order have come, there is none left that passes


@dataclass(frozen=True, slots=True)
class _Failure:
    left: int
    order: int
    weight: int


class Streak:
    """Failures, each later than all that was answered well. Requests are known by their number.

    Answers come in another order than requests leave. One that left before a failure did, and is
    answered well after it, says nothing of what has happened since: it ends no streak.
    """

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
        if sum(failure.weight for failure in self._failures) >= _OUTAGE:
            return True
        of_each = Counter(failure.order for failure in self._failures if failure.weight)
        return max(of_each.values(), default=0) >= _OF_ONE_ORDER

    def failed(self, left: int, order: int, ruling: Ruling) -> None:
        """Take in a failure; one that left before a good answer's request did is none."""
        if left > self._good:
            self._failures.append(_Failure(left, order, _WEIGHTS[ruling]))

    def passed(self, left: int) -> None:
        """Take in a good answer: what left before it was no outage."""
        self._good = max(self._good, left)
        if self._failures:
            self._failures = [failure for failure in self._failures if failure.left > self._good]
