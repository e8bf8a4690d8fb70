"""Rolling windows: at most N requests in any W seconds, and the time they dictate.

The CA's own are 1000 in 3 minutes and 100 in 5 seconds ("Rate limits", dev.digicert.com).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.durations import parse_duration


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` arrivals in any `period_s` seconds."""

    limit: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read `N/W`, such as `1000/3m` or `100/5s`. Raises ValueError."""
        count, slash, period = text.strip().partition("/")
        if not (slash and count.isascii() and count.isdigit() and int(count) > 0):
            raise ValueError(f"{text!r} is not a limit: write 1000/3m, 100/5s or none")
        period_s = parse_duration(period)
        if period_s <= 0:
            raise ValueError(f"{text!r}: a window needs a length")
        return cls(int(count), period_s)

    def __str__(self) -> str:
        for unit, seconds in (("h", 3600), ("m", 60)):
            if self.period_s % seconds == 0:
                return f"{self.limit}/{self.period_s / seconds:g}{unit}"
        return f"{self.limit}/{self.period_s:g}s"


CA_WINDOWS = (Window(1000, 180.0), Window(100, 5.0))


def parse_windows(texts: Sequence[str]) -> tuple[Window, ...]:
    """Read several windows; `none`, alone, means no limit. Raises ValueError."""
    words = [text.strip() for text in texts]
    if words == ["none"]:
        return ()
    if "none" in words:
        raise ValueError("a limit of none cannot stand beside another")
    return tuple(dict.fromkeys(Window.parse(word) for word in words))


def dictated_time(requests: int, windows: Sequence[Window]) -> float:
    """Return the seconds from the first to the last of `requests`, each let go as soon as allowed.

    The answers are taken to come at once. Requests let go together are counted as one burst, so
    that the work grows with the number of bursts.
    """
    if not windows:
        return 0.0
    bursts: deque[tuple[float, int]] = deque()  # let go at, how many; the longest window's worth
    longest = max(window.period_s for window in windows)
    now, left = 0.0, requests
    while True:
        while bursts and bursts[0][0] + longest <= now:
            bursts.popleft()
        room = min(
            window.limit - sum(n for at, n in bursts if at + window.period_s > now)
            for window in windows
        )
        if left <= room:
            return now
        if room > 0:
            bursts.append((now, room))
            left -= room
        now = min(
            at + window.period_s
            for at, _ in bursts
            for window in windows
            if at + window.period_s > now
        )
