"""What part of the windows is ours, when others use the same key, or its limit is lower than told.

A 429 while our own windows are kept says so. From then on we take half of what we took before
(multiplicative decrease), and after a while a twentieth of the whole more in every period of the
longest window (additive increase): the rule by which senders who know nothing of each other come to
share a line fairly (Chiu and Jain, 1989).

Two things are as in later rules for lines (CUBIC, RFC 9438): near where the limit was met the share
stays for some periods, and once it is known to be shared a limit costs less than a half. Measured
with another client that takes half of the windows: without the first, it got a third more answers
of 429; without the second, we took a third longer than a fair share takes.
"""

from math import inf

from batch_resend.windows import Window

DECREASE = 0.5  # of the whole
DECREASE_LATER = 0.7  # of what there is, once that is less
HOLD = 6  # periods, before it rises
RISE = 0.05  # of the whole, in one period
LEAST = 0.05

_ROUNDING = 1e-9  # a share that is to make just n of N must not come out below n


def part(window: Window, share: float) -> int:
    """Return how many requests a share of a window comes to: at least one."""
    return max(1, int(window.limit * share + _ROUNDING))


def decreased(share: float) -> float:
    """Return what a limit that was met leaves of a share."""
    return max(LEAST, share * (DECREASE if share >= 1.0 else DECREASE_LATER))


class Share:
    """A share of the whole, as a pure function of time. Seconds of any one clock."""

    def __init__(self, period_s: float, then: float = 1.0, at_s: float = -inf) -> None:
        """Begin with all, or with what it was `then`. `period_s`: of the longest window."""
        self._period_s = period_s
        self._at_s = at_s
        self._then = then

    def at(self, now: float) -> float:
        """Return the share at a time: above 0, at most 1."""
        if self._then >= 1.0:
            return 1.0
        rising_s = max(0.0, now - self._rises_at_s)
        return min(1.0, self._then + RISE * rising_s / self._period_s)

    def decrease(self, now: float) -> float:
        """Take less from now on; return how much."""
        self._then, self._at_s = decreased(self.at(now)), now
        return self._then

    def time_of(self, share: float, now: float) -> float:
        """Return when the share will have risen so far; now, if it has already."""
        if self.at(now) >= share:
            return now
        if share > 1.0:
            return inf
        return self._rises_at_s + (share - self._then) / RISE * self._period_s

    @property
    def _rises_at_s(self) -> float:
        return self._at_s + HOLD * self._period_s
