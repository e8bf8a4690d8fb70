"""What part of the windows is ours, when others use the same key, or its limit is lower than told.

A 429 while our own windows are kept says so. From then on we take half of what we took before
(multiplicative decrease), and a twentieth of the whole more in every period of the longest window
(additive increase): the rule by which senders who know nothing of each other come to share a line
fairly (Chiu and Jain, 1989).
"""

from math import inf

from batch_resend.windows import Window

DECREASE = 0.5
RISE = 0.05  # of the whole, in one period
LEAST = 0.05

_ROUNDING = 1e-9  # a share that is to make just n of N must not come out below n


def part(window: Window, share: float) -> int:
    """Return how many requests a share of a window comes to: at least one."""
    return max(1, int(window.limit * share + _ROUNDING))


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
        return min(1.0, self._then + RISE * (now - self._at_s) / self._period_s)

    def decrease(self, now: float) -> float:
        """Take less from now on; return how much."""
        self._then, self._at_s = max(LEAST, DECREASE * self.at(now)), now
        return self._then

    def time_of(self, share: float, now: float) -> float:
        """Return when the share will have risen so far; now, if it has already."""
        if self.at(now) >= share:
            return now
        if share > 1.0:
            return inf
        return self._at_s + (share - self._then) / RISE * self._period_s
