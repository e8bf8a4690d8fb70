"""Rolling windows: at most N requests in any W seconds, the time they dictate, what keeps them.

The CA's own are 1000 in 3 minutes and 100 in 5 seconds ("Rate limits", dev.digicert.com).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from math import ceil, inf
from typing import Protocol, Self

from batch_resend.clock import exact_duration, format_duration, parse_duration


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` arrivals in any `period_s` seconds."""

    limit: int
    period_s: float

    def __post_init__(self) -> None:
        if self.limit < 1 or not 0 < self.period_s < inf:
            raise ValueError(f"{self.limit} in {self.period_s} s is not a limit: write 1000/3m")

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read `N/W`, such as `1000/3m` or `100/5s`. Raises ValueError."""
        count, slash, period = text.strip().partition("/")
        if not (slash and count.isascii() and count.isdigit() and int(count) > 0):
            raise ValueError(f"{text!r} is not a limit: write 1000/3m, 100/5s or none")
        return cls(int(count), parse_duration(period))

    def __str__(self) -> str:
        return f"{self.limit}/{exact_duration(self.period_s)}"


CA_WINDOWS = (Window(1000, 180.0), Window(100, 5.0))


def parse_windows(texts: Sequence[str]) -> tuple[Window, ...]:
    """Read several windows; `none`, alone, means no limit. Raises ValueError."""
    words = [text.strip() for text in texts]
    if words == ["none"]:
        return ()
    if "none" in words:
        raise ValueError("none cannot be combined with another limit")
    return tuple(dict.fromkeys(Window.parse(word) for word in words))


def of_one_key(several: Iterable[Sequence[Window]]) -> tuple[Window, ...]:
    """Return the windows of accounts that go by one key: whatever one of them says is kept."""
    return tuple(dict.fromkeys(window for windows in several for window in windows))


def joint(several: Sequence[Sequence[Window]]) -> tuple[Window, ...]:
    """Return the windows that those who each keep their own keep together; none: there is no limit.

    A time of any length is covered by ceil(length / W) windows of W seconds.
    """
    if not all(several):
        return ()
    if len(several) == 1:
        return tuple(several[0])  # as they were given, though one may cover another
    periods = dict.fromkeys(window.period_s for windows in several for window in windows)
    return tuple(
        Window(sum(_most_in(period_s, windows) for windows in several), period_s)
        for period_s in periods
    )


def _most_in(period_s: float, windows: Sequence[Window]) -> int:
    return min(window.limit * ceil(period_s / window.period_s) for window in windows)


def fastest(windows: Sequence[Window]) -> float:
    """Return the requests a second that the fastest of some windows lets through; of none: inf."""
    return max((window.limit / window.period_s for window in windows), default=inf)


class Schedule:
    """When each of many requests may leave at the earliest, and their answers come at once.

    Requests let go together are one burst, so that the work grows with the number of bursts. It is
    reckoned no further than anybody asked.
    """

    def __init__(self, windows: Sequence[Window], ages_s: Iterable[float] = ()) -> None:
        """Begin with earlier requests: how many seconds ago each one ended, as a limiter does."""
        self._full = [_Filling(window) for window in windows]
        for age_s in sorted(ages_s, reverse=True):
            for filling in self._full:
                filling.add(-age_s, 1)
        self._at: list[float] = []  # when a burst leaves
        self._made: list[int] = []  # requests up to and including it

    @property
    def has_windows(self) -> bool:
        """Whether anything is dictated."""
        return bool(self._full)

    def time_of(self, request: int) -> float:
        """Return the seconds from the first request to this one; the first is number 1."""
        if request < 1 or not self._full:
            return 0.0
        while not self._made or self._made[-1] < request:
            self._add_burst()
        return self._at[bisect_left(self._made, request)]

    def left_s(
        self, made: int, to_make: int, since_last_s: float, share: float = 1.0
    ) -> float:  # fmt: skip
        """Return the seconds until the last of `to_make` requests may leave, `made` having left.

        The last of those left `since_last_s` seconds ago; the schedule is resumed from there,
        with no more than a `share` of the windows taken.
        """
        ahead = self.time_of(made + to_make) - self.time_of(made)
        return max(0.0, ahead / share - since_last_s)

    def _add_burst(self) -> None:
        now = self._at[-1] if self._at else 0.0
        now = max(filling.free_at(now) for filling in self._full)
        room = min(filling.room(now) for filling in self._full)
        for filling in self._full:
            filling.add(now, room)
        self._at.append(now)
        self._made.append((self._made[-1] if self._made else 0) + room)


@dataclass(frozen=True, slots=True)
class Course:
    """How far a run has come."""

    made: int  # requests
    done: int  # of them, with an end
    to_make: int
    since_last_s: float  # since the last one left
    elapsed_s: float  # since it began, its pauses too: where there were some, there may be more
    paused_s: float  # still to come, of a pause
    share: float  # of the windows that is taken


def time_left_s(schedule: Schedule, course: Course) -> float | None:
    """Return about how long a run still takes, in seconds; None while nothing is known.

    That is what the windows dictate for what is left, or more where the CA's answers and pauses
    have been the slower of the two, on the average of all the time until now.
    """
    if not course.to_make:
        return 0.0
    by_windows_s = schedule.left_s(course.made, course.to_make, course.since_last_s, course.share)
    if not course.done:
        return by_windows_s + course.paused_s if schedule.has_windows else None
    by_answers_s = course.to_make * course.elapsed_s / course.done
    return max(by_windows_s, by_answers_s) + course.paused_s


def dictated_time(requests: int, windows: Sequence[Window], ages_s: Iterable[float] = ()) -> float:
    """Return the seconds until the last of `requests` leaves, each let go as soon as allowed.

    The answers are taken to come at once. `ages_s`: how many seconds ago earlier requests ended.
    """
    return Schedule(windows, ages_s).time_of(requests)


def time_with_earlier_s(requests: int, windows: Sequence[Window], ages_s: Iterable[float]) -> float:
    """Return about the seconds until the last of `requests` may leave, after earlier ones.

    Like `dictated_time`, but as quick for any number: what earlier ones took comes free one by one.
    Once that is over, as many as the slowest window lets through take as long as it lasts.
    """
    if requests < 1 or not windows:
        return 0.0
    slowest = min(windows, key=lambda window: window.limit / window.period_s)
    rounds = max(0, (requests - 1) // slowest.limit - 1)
    reckoned = requests - rounds * slowest.limit
    return dictated_time(reckoned, windows, ages_s) + rounds * slowest.period_s


class _Filling:
    """How full one window is, burst by burst."""

    def __init__(self, window: Window) -> None:
        self._window = window
        # When it leaves the window, and how many. Sorted, not in the order in which they came:
        # what may still arrive keeps its slots for longer than what is let go after it.
        self._bursts: deque[tuple[float, int]] = deque()
        self._inside = 0

    def room(self, now: float) -> int:
        """Return how many may be let go now."""
        while self._bursts and self._bursts[0][0] <= now:
            self._inside -= self._bursts.popleft()[1]
        return self._window.limit - self._inside

    def add(self, now: float, count: int) -> None:
        """Let some go."""
        if count:
            insort(self._bursts, (now + self._window.period_s, count))
            self._inside += count

    def free_at(self, now: float) -> float:
        """Return when at least one may be let go."""
        too_many = self._inside - self._window.limit + 1  # earlier ones may have had a wider window
        for leaves_at, count in self._bursts:
            if too_many <= 0:
                break
            too_many -= count
            now = max(now, leaves_at)
        return now


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause that another process has begun, for all that send by the key."""

    reason: str
    until: float  # of the event loop's clock


def beyond_patience(reason: str, since_s: float, next_s: float, patience_s: float) -> str:
    """Return why nothing more is sent: what there was to wait for takes too long."""
    in_all = format_duration(ceil(since_s + next_s))  # to be seen to be more than the patience
    return (
        f"{reason}, for {format_duration(since_s)}; with the wait for the next try it would be "
        f"{in_all}, beyond the patience of {format_duration(patience_s)}. Run the same command "
        "again later, or with a longer --patience."
    )


@dataclass(eq=False)
class KeyStopped(Exception):
    """Nothing more by a key is to leave."""

    why: str  # and what a person can do
    is_refused: bool = False  # the key itself is

    def __str__(self) -> str:
        return self.why


class Fate(Enum):
    """What became of the request that a slot is for."""

    ANSWERED = "answered"  # the answer has come now, or surely nothing left
    GIVEN_UP = "given up"  # no answer has come until now; the request may still arrive
    UNUSED = "unused"  # no request has left


class Slot:
    """Leave for one request. The first word of what became of it counts.

    At the end of its block, without a word of an answer, the request counts as given up.
    """

    __slots__ = ("_note",)

    def __init__(self, note: Callable[[Fate], None]) -> None:
        self._note: Callable[[Fate], None] | None = note

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(Fate.GIVEN_UP)

    def end(self, fate: Fate) -> None:
        """Note what became of the request."""
        note, self._note = self._note, None
        if note is not None:
            note(fate)


class Limiter(Protocol):
    """Grants slots, for this process alone or together with others."""

    async def slot(self) -> Slot:
        """Take a slot as soon as every window has one; it comes free W seconds after its answer."""

    @property
    def share(self) -> float:
        """What part of the windows is taken now: 1, unless there was a 429 a while ago."""

    @property
    def full_for_s(self) -> float:
        """How many seconds no slot comes free; infinite: not before an answer comes."""

    def decrease(self) -> Sequence[Window]:
        """Take a smaller part of the windows, if there are any; return what they come to now."""

    def hold(self, pause_s: float, reason: str) -> None:
        """Let nobody else take a slot for so long either: the CA is in trouble, or asks for it."""

    @property
    def held(self) -> Hold | None:
        """The pause of another process that holds up this one, if there is one."""


# Makes the limiter of a key that several processes send by. Of its budget (a digest of CA and key),
# its windows, how many seconds a request that was given up may still arrive, and how many the
# pauses of others are waited for.
SharedLimiters = Callable[
    [str, Sequence[Window], float, float], AbstractAsyncContextManager[Limiter]
]
