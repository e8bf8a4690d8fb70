"""How many requests a run made in which time, and the most that its windows allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from batch_resend.windows import Window

MOST_STEPS = 60
_NICE_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)  # where no window says how long a step is


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a run's time, and the requests made in it. Seconds are since its first one."""

    from_s: float
    to_s: float
    made: int

    @property
    def per_minute(self) -> float:
        """Requests a minute in this step."""
        return self.made * 60 / (self.to_s - self.from_s)


def step_length_s(lasted_s: float, windows: Sequence[Window]) -> float:
    """Return how long the steps of a run that lasted so long are, in seconds.

    The longest window that fits several times, or a multiple of it: over less than a window, what
    was made says little, for a whole window's requests may leave at once.
    """
    periods = sorted(window.period_s for window in windows)
    fitting = [period for period in periods if period * 4 <= lasted_s]
    one = fitting[-1] if fitting else (periods[0] if periods else None)
    if one is None:
        one = next((nice for nice in _NICE_S if nice * MOST_STEPS >= lasted_s), _NICE_S[-1])
    return one * max(1, ceil(lasted_s / one / MOST_STEPS))


def most_per_minute(step_s: float, windows: Sequence[Window]) -> float | None:
    """Return the most requests a minute that windows allow over a step; None without a limit.

    A step is covered by ceil(step / W) windows of W seconds, each with N requests at most.
    """
    most = min((window.limit * ceil(step_s / window.period_s) for window in windows), default=inf)
    return None if most == inf else most * 60 / step_s


def steps_of(made: Sequence[tuple[int, int]], step_s: float, lasted_s: float) -> list[Step]:
    """Return the steps of a run, those without a request too. `made`: step -> requests."""
    counts = dict(made)
    last = max(counts, default=0)
    return [
        Step(place * step_s, max((place + 1) * step_s, lasted_s if place == last else 0.0), count)
        for place in range(last + 1)
        for count in (counts.get(place, 0),)
    ]
