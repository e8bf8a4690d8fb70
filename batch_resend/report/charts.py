"""The charts of the report, as SVG without style or script: the page's style sheet dresses them.

pygal draws; it stands only here. Every chart has a table beside it on the page, so it is a picture
to a screen reader, which is told the picture's text.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from batch_resend.durations import format_duration
from batch_resend.report.pace import Step

# pygal leaves a finder of the old kind behind, of which Python 3.11 warns at every import after it.
sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith("pygal")]

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
