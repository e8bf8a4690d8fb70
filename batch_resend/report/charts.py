"""Requests by the clock, laid out as a chart: bars, pauses, waits for the limit, resumptions.

All places are shares of the chart's width and height, in percent; the page draws them. A run that
was resumed has a stretch for each start, drawn side by side; nothing is said of the time between.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from math import ceil, floor, inf, log10

from batch_resend.clock import format_duration
from batch_resend.journal import ActivePeriod, MadeInStep, PauseNote
from batch_resend.windows import Window, parse_windows

# --- the time at work, in steps -----------------------------------------------------------------

MOST_STEPS = 60
_NICE_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)  # where no limit says how long a step is


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the time at work, and the requests made in it."""

    began_at: float  # seconds since the epoch
    lasts_s: float
    made: int
    troubled: int  # of these, that brought neither yes nor no: 429, 5xx, drops
    most: float | None  # requests a minute, that the limits allowed

    @property
    def per_minute(self) -> float:
        """Requests a minute in this step."""
        return self.made * 60 / self.lasts_s

    @property
    def ended_at(self) -> float:
        """When the next one begins."""
        return self.began_at + self.lasts_s


@dataclass(frozen=True, slots=True)
class Stretch:
    """One start of a run, in steps from its first request to its last sign of life; it has one."""

    steps: tuple[Step, ...]
    windows: tuple[Window, ...]
    worked_until: float  # within the last step

    @property
    def began_at(self) -> float:
        """When its first request began."""
        return self.steps[0].began_at

    @property
    def ended_at(self) -> float:
        """When its last step ends."""
        return self.steps[-1].ended_at


def end_of(pause: PauseNote) -> float:
    """Return when a pause ended, or was to end where it was cut off."""
    if pause.ended_at is not None and pause.ended_at > pause.began_at:
        return pause.ended_at
    return pause.until_at or pause.began_at


def with_pauses(periods: Sequence[ActivePeriod], pauses: Sequence[PauseNote]) -> list[ActivePeriod]:
    """Return times at work that last as long as the pauses in them, not only as their requests."""
    lasting: list[ActivePeriod] = []
    for place, period in enumerate(periods):
        next_at = periods[place + 1].from_at if place + 1 < len(periods) else inf
        ends = [end_of(pause) for pause in pauses if period.from_at <= pause.began_at < next_at]
        to_at = min(next_at, max([period.to_at, *ends]))
        lasting.append(ActivePeriod(period.start, period.from_at, to_at, period.limits))
    return lasting


def step_length_s(lasted_s: float, windows: Iterable[Window]) -> float:
    """Return how long the steps of a run that was at work so long are, in seconds.

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


def lasting_per_minute(windows: Sequence[Window]) -> float | None:
    """Return the most requests a minute that windows allow in the long run; None: no limit."""
    return min((window.limit * 60 / window.period_s for window in windows), default=None)


def stretch_of(made: Sequence[MadeInStep], step_s: float, period: ActivePeriod) -> Stretch:
    """Return a start of a run in steps, those without a request too."""
    windows = parse_windows(period.limits)
    most = most_per_minute(step_s, windows)
    counts = {one.step: one for one in made}
    last = max(max(counts, default=0), ceil((period.to_at - period.from_at) / step_s) - 1)
    none = MadeInStep(0, 0, 0)
    steps = tuple(
        Step(
            period.from_at + place * step_s,
            step_s,
            counts.get(place, none).made,
            counts.get(place, none).troubled,
            most,
        )
        for place in range(last + 1)
    )
    return Stretch(steps, windows, period.to_at)


# --- the chart ----------------------------------------------------------------------------------

_GAP = 4.0  # between two stretches, in percent; all of them take no more than _GAPS
_GAPS = 30.0
_MOST_TICKS = 6
_TICK_ROOM = 100 / (_MOST_TICKS + 3)
_TICK_ROOM_ON_A_PHONE = 24.0
FIRST, LAST = 3.0, 95.0  # percent: a word before or behind stands within the chart
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAY_S = 86_400
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_ABOVE = 3.0  # a limit that is so many times what was made would leave no room for that
_LIMIT_TAKEN = 0.5  # of a window: beyond it, a time without requests is a wait for the limit
_NARROW = 18.0  # percent: words stand upright in what is narrower
_LEAST_WIDTH = 0.4


class BandKind(StrEnum):
    """Why no request was made for a while."""

    PAUSE = "pause"  # because of the CA
    LIMIT = "limit"  # as many had been made as the limits allow
    GAP = "gap"  # between two starts


@dataclass(frozen=True, slots=True)
class Band:
    """A time in which no request was made, and why."""

    kind: BandKind
    left: float
    width: float
    label: str
    is_narrow: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """The requests of a step: its whole height, and how much of it is trouble."""

    left: float
    width: float
    height: float
    troubled: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word at a place of an axis."""

    at: float
    label: str
    has_room: bool = True  # on a phone, too


@dataclass(frozen=True, slots=True)
class PaceChart:
    """Requests a minute by the clock."""

    bars: list[Bar]
    bands: list[Band]
    limits: list[tuple[float, float, float]]  # from, to, height: the most that is allowed
    ticks: list[Mark]
    levels: list[Mark]  # requests a minute
    text: str  # what it shows, in words
    zone: str  # whose clock it is
    at_work_s: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where on the chart a moment is."""

    stretches: Sequence[Stretch]

    @property
    def gap(self) -> float:
        return min(_GAP, _GAPS / max(1, len(self.stretches) - 1))

    @property
    def length_s(self) -> float:
        return sum(one.ended_at - one.began_at for one in self.stretches)

    def __call__(self, at: float) -> float:
        """Return the place of a moment; of one between two starts, the end of the former."""
        room = 100 - self.gap * (len(self.stretches) - 1)
        passed_s, place = 0.0, 0.0
        for number, one in enumerate(self.stretches):
            if number and at < one.began_at:
                break
            within_s = min(max(at - one.began_at, 0.0), one.ended_at - one.began_at)
            place = number * self.gap + (passed_s + within_s) * room / self.length_s
            passed_s += one.ended_at - one.began_at
        return place


def pace_chart(stretches: Sequence[Stretch], pauses: Sequence[PauseNote]) -> PaceChart:
    """Return a run's requests by the clock; there is a stretch."""
    axis = _Axis(stretches)
    at_work_s = sum(one.worked_until - one.began_at for one in stretches)
    steps = [step for one in stretches for step in one.steps]
    highest = max(step.per_minute for step in steps)
    most = max(step.most or 0.0 for step in steps)
    top = nice(max(highest, most if most <= highest * _MOST_ABOVE else 0.0, 1.0))
    troubled = sum(step.troubled for step in steps)
    text = (
        f"Requests per minute over {format_duration(at_work_s)} of work: at most "
        f"{highest:,.0f}; {troubled:,} answered with 429, 5xx or not at all; {len(pauses):,} "
        f"pauses, {len(stretches) - 1:,} resumptions"
    )
    return PaceChart(
        bars=[_bar(step, axis, top) for step in steps if step.made],
        bands=[
            *_gaps(axis),
            *_waits(axis, pauses),
            *(_pause(axis, p.began_at, end_of(p)) for p in pauses if not p.accounts),
            *_paused_in_part(axis, [one for one in pauses if one.accounts]),
        ],
        limits=list(_limits(axis, top)),
        ticks=_ticks(axis),
        levels=[Mark(share, f"{top * share / 100:,.10g}") for share in (0.0, 50.0, 100.0)],
        text=text,
        zone=datetime.fromtimestamp(stretches[0].began_at).astimezone().tzname() or "local time",
        at_work_s=at_work_s,
    )


def _limits(axis: _Axis, top: float) -> Iterator[tuple[float, float, float]]:
    """Yield the most that was allowed in each stretch, where the chart is high enough for it."""
    for one in axis.stretches:
        most = one.steps[0].most
        if most is not None and most <= top:
            yield axis(one.began_at), axis(one.ended_at - 1e-6), most * 100 / top


def nice(number: float) -> float:
    """Return the next round number, upwards."""
    unit = 10.0 ** floor(log10(number))
    return next(unit * nice for nice in _NICE if unit * nice >= number * (1 - 1e-9))


def _bar(step: Step, axis: _Axis, top: float) -> Bar:
    left, height = axis(step.began_at), step.per_minute * 100 / top
    label = f"{_clock_time(step.began_at)}: {step.made:,} requests"
    if step.troubled:
        label += f", {step.troubled:,} answered with 429, 5xx or not at all"
    troubled = height * step.troubled / step.made
    # To just before its end: at it, the next start may begin, beyond a gap.
    return Bar(left, axis(step.ended_at - 1e-6) - left, height, troubled, label)


def _band(kind: BandKind, left: float, right: float, label: str) -> Band:
    width = max(right - left, _LEAST_WIDTH)
    return Band(kind, left, width, label, width < _NARROW)


def _gaps(axis: _Axis) -> Iterator[Band]:
    for before, after in zip(axis.stretches, axis.stretches[1:], strict=False):
        right = axis(after.began_at)
        later = format_duration(after.began_at - before.worked_until)
        yield _band(BandKind.GAP, right - axis.gap, right, f"continued {later} later")


def _paused_in_part(axis: _Axis, pauses: Sequence[PauseNote]) -> Iterator[Band]:
    """Yield when some account paused, and no other one made requests."""
    for stretch in axis.stretches:
        in_turn = groupby(stretch.steps, lambda step: not step.made and _is_paused(step, pauses))
        for steps in (list(group) for is_gap, group in in_turn if is_gap):
            yield _pause(axis, *_paused_within(steps, pauses))


def _paused_within(steps: Sequence[Step], pauses: Sequence[PauseNote]) -> tuple[float, float]:
    """Return from when to when, within steps that follow each other, there were pauses."""
    began, ended = steps[0].began_at, steps[-1].ended_at
    during = [one for one in pauses if one.began_at < ended and end_of(one) > began]
    return max(began, min(p.began_at for p in during)), min(ended, max(map(end_of, during)))


def _pause(axis: _Axis, began: float, ended: float) -> Band:
    label = f"paused {format_duration(ended - began)}"
    return _band(BandKind.PAUSE, axis(began), axis(ended), label)


def _waits(axis: _Axis, pauses: Sequence[PauseNote]) -> Iterator[Band]:
    """Yield the times without requests in which as many had been made as the limits allow."""
    for stretch in axis.stretches:
        waiting: list[Step] = []
        # Behind the last request nothing waits.
        last = max((place for place, step in enumerate(stretch.steps) if step.made), default=-1)
        for step in stretch.steps[: last + 1]:
            if not step.made and _is_at_limit(step, stretch) and not _is_paused(step, pauses):
                waiting.append(step)
                continue
            yield from _wait(axis, waiting)
            waiting = []


def _wait(axis: _Axis, steps: Sequence[Step]) -> Iterator[Band]:
    if steps:
        label = f"limit reached: waited {format_duration(steps[-1].ended_at - steps[0].began_at)}"
        yield _band(BandKind.LIMIT, axis(steps[0].began_at), axis(steps[-1].ended_at), label)


def _is_at_limit(step: Step, stretch: Stretch) -> bool:
    """Whether so many requests were made lately that the limits keep more from leaving."""

    def made_within(period_s: float) -> int:
        since = step.began_at - period_s
        return sum(s.made for s in stretch.steps if since < s.ended_at <= step.began_at + 1e-6)

    return any(
        made_within(window.period_s) >= window.limit * _LIMIT_TAKEN for window in stretch.windows
    )


def _is_paused(step: Step, pauses: Sequence[PauseNote]) -> bool:
    return any(p.began_at < step.ended_at and end_of(p) > step.began_at for p in pauses)


# --- the clock ----------------------------------------------------------------------------------


def _clock_time(at: float) -> str:
    """Return a moment as the clock of this machine has it."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%d %b}"


def _ticks(axis: _Axis) -> list[Mark]:
    """Return the times that stand under the chart: each start, and round ones with room."""
    unit_s = next((s for s in _TICKS_S if axis.length_s / s <= _MOST_TICKS), _DAY_S)
    ticks: list[Mark] = []
    for at, label in (*_starts(axis), *_round_times(axis, unit_s)):
        place = axis(at)
        if all(abs(tick.at - place) >= _TICK_ROOM for tick in ticks):
            ticks.append(Mark(place, label))
    return [*_with_room(sorted(ticks, key=lambda tick: tick.at))]


def _starts(axis: _Axis) -> Iterator[tuple[float, str]]:
    """Yield when each start began, with the day where that is another one than the first."""
    first = _day(axis.stretches[0].began_at)
    for one in axis.stretches:
        day = _day(one.began_at)
        yield one.began_at, f"{day if day != first else ''} {_clock_time(one.began_at)}".strip()


def _round_times(axis: _Axis, unit_s: float) -> Iterator[tuple[float, str]]:
    """Yield the moments at work that are round by the clock of this machine."""
    for one in axis.stretches:
        ahead = datetime.fromtimestamp(one.began_at).astimezone().utcoffset()
        ahead_s = ahead.total_seconds() if ahead else 0.0
        at = ceil((one.began_at + ahead_s) / unit_s) * unit_s - ahead_s
        while at < one.ended_at:
            yield at, _clock_time(at) if unit_s < 60 else _clock_time(at)[:5]
            at += unit_s


def _with_room(ticks: Iterable[Mark]) -> Iterator[Mark]:
    """Yield words with whether a phone has room for them; at the edges they lean inwards."""
    free_from = 0.0
    for tick in ticks:
        leans = _TICK_ROOM_ON_A_PHONE / 2
        begins = tick.at - (leans if tick.at > LAST else 0.0)
        yield Mark(tick.at, tick.label, begins >= free_from)
        if begins >= free_from:
            free_from = tick.at + _TICK_ROOM_ON_A_PHONE + (leans if tick.at < FIRST else 0.0)
