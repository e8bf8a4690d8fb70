"""The charts of a report's page: outcomes, requests over the time at work, answer times.

pygal draws; it stands only here. Every chart has a table beside it on the page, so it is a picture
to a screen reader, which is told the picture's text.

A run that was resumed has a time at work for each start. Nothing is said of the time between.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Any
from xml.etree.ElementTree import Element

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from batch_resend.clock import format_duration
from batch_resend.journal import ActivePeriod, PauseNote
from batch_resend.windows import Window

# pygal leaves a finder of the old kind behind, of which Python 3.11 warns at every import after it.
sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith("pygal")]

# --- the time at work, in steps -----------------------------------------------------------------

MOST_STEPS = 60
_NICE_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)  # where no window says how long a step is


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the time at work, and the requests made in it."""

    began_at: float  # seconds since the epoch
    from_s: float  # seconds at work before it
    to_s: float
    made: int
    most: float | None  # requests a minute, that the windows allowed
    is_first: bool = False  # of a start

    @property
    def per_minute(self) -> float:
        """Requests a minute in this step."""
        return self.made * 60 / (self.to_s - self.from_s)


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


def steps_of(
    made: Sequence[tuple[int, int]], step_s: float, period: ActivePeriod, at_work_s: float,
    most: float | None,
) -> list[Step]:  # fmt: skip
    """Return the steps of a time at work, those without a request too.

    `made`: step -> requests. `at_work_s`: how long earlier starts were.
    """
    counts = dict(made)
    last = max(max(counts, default=0), ceil((period.to_at - period.from_at) / step_s) - 1)
    return [
        Step(
            began_at=period.from_at + place * step_s,
            from_s=at_work_s + place * step_s,
            to_s=at_work_s + (place + 1) * step_s,
            made=counts.get(place, 0),
            most=most,
            is_first=place == 0,
        )
        for place in range(last + 1)
    ]


def at_work_s(at: float, steps: Sequence[Step]) -> float:
    """Return how many seconds at work there were before a moment; those between starts are none."""
    passed_s = 0.0
    for step in steps:
        if step.began_at > at:
            break
        passed_s = min(step.from_s + at - step.began_at, step.to_s)
    return passed_s


# --- the charts ---------------------------------------------------------------------------------

_SVG = "{http://www.w3.org/2000/svg}"
_WIDTH = 760
_COMMON: dict[str, Any] = {
    "js": (),
    "no_prefix": True,
    "disable_xml_declaration": True,
    "explicit_size": False,
    "show_legend": False,
    "margin": 8,
    # For the room that words take; how they look is the style sheet's.
    "style": Style(label_font_size=13, title_font_size=13),
    "value_formatter": lambda value: f"{value:,.10g}",
    "width": _WIDTH,
}
_MANY_S = 600.0  # beyond it, a time axis counts minutes


def outcome_chart(counts: Sequence[int], text: str) -> Markup:
    """Return one bar of as many parts as there are counts, side by side in their order."""
    chart = pygal.HorizontalStackedBar(
        **_COMMON,
        height=56,
        spacing=0,
        show_x_labels=False,
        show_y_labels=False,
        show_y_guides=False,
        range=(0, sum(counts) or 1),
    )
    for place, count in enumerate(counts):
        chart.add(str(place), count)
    return _drawn(chart, "outcomes", text)


def pace_chart(steps: Sequence[Step], pauses: Sequence[tuple[float, float]], text: str) -> Markup:
    """Return requests a minute over the time at work, the most that was allowed, and the pauses.

    `pauses`: from when to when, in seconds at work.
    """
    lasted_s = steps[-1].to_s
    unit_s = 60.0 if lasted_s > _MANY_S else 1.0
    chart = pygal.XY(
        **_COMMON,
        height=260,
        show_dots=False,
        x_title="minutes at work" if unit_s > 1 else "seconds at work",
        y_title="requests a minute",
        include_x_axis=True,
        xrange=(0, lasted_s / unit_s),
    )
    outline: list[tuple[float, float]] = []
    most: list[tuple[float, float | None]] = []  # None breaks the line: there is no limit there
    for step in steps:
        sides = (step.from_s / unit_s, step.to_s / unit_s)
        outline += [(side, step.per_minute) for side in sides]
        most += [(side, step.most) for side in sides]
    chart.add("made", [(0.0, 0.0), *outline, (lasted_s / unit_s, 0.0)], fill=True)
    chart.add("most", most)
    highest = max([step.per_minute for step in steps] + [step.most or 0.0 for step in steps])
    begun = [step.from_s / unit_s for step in steps if step.is_first and step.from_s]
    # One series for all starts: a line up and down again at each.
    chart.add("begun", [at for x in begun for at in ((x, 0.0), (x, highest), (x, 0.0))])
    for begin, end in pauses:
        chart.add("paused", [(begin / unit_s, 0.0), (end / unit_s, 0.0)])
    return _drawn(chart, "pace", text)


def answer_chart(counts: Sequence[tuple[str, int]], text: str) -> Markup:
    """Return bars, one for a range of answer times."""
    chart = pygal.Bar(**_COMMON, height=240, truncate_label=-1)
    chart.x_labels = [label for label, _ in counts]
    chart.add("answers", [count for _, count in counts])
    return _drawn(chart, "answers", text)


def answer_ranges(bounds_s: Sequence[float]) -> list[str]:
    """Return the labels of the ranges that bounds make, the one beyond the last included."""
    labels = [f"{b * 1000:g} ms" if b < 1 else format_duration(b) for b in bounds_s]
    return [*(f"to {label}" for label in labels), f"over {labels[-1]}"]


def _drawn(chart: Any, kind: str, text: str) -> Markup:
    """Return a chart as an element of an HTML page."""
    svg: Element = chart.render_tree()
    svg.attrib.pop("id", None)
    svg.set("class", f"chart {kind}")
    svg.set("role", "img")
    svg.set("aria-label", text)
    for parent in list(svg.iter()):
        for child in list(parent):
            if _is_left_out(child):
                parent.remove(child)
    return Markup(etree.tostring(svg, encoding="unicode"))  # noqa: S704 # escaped by its writer


def _is_left_out(element: Element) -> bool:
    """Whether an element is none of the picture: scripts, styles, what a mouse would show."""
    tag = element.tag if isinstance(element.tag, str) else ""
    classes: Iterable[str] = element.get("class", "").split()
    return (
        not tag
        or tag.removeprefix(_SVG) in ("defs", "title", "desc", "script", "style")
        or bool({"tooltip-overlay", "text-overlay"} & set(classes))
    )
