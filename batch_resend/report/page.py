"""The HTML page of a report and its charts."""

import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pygal
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from batch_resend.clock import format_duration, timestamp
from batch_resend.explanations import Explanation, explain
from batch_resend.journal import AnswerTimes, JournalReader, PauseNote, Reason
from batch_resend.listed import names_in_words
from batch_resend.model import RequestStatus, Run
from batch_resend.report.pace import (
    Step,
    at_work_s,
    end_of,
    lasting_per_minute,
    most_per_minute,
    step_length_s,
    steps_of,
    with_pauses,
)
from batch_resend.report.preview import list_orders, list_rejected
from batch_resend.report.redaction import redacted
from batch_resend.report.report import REPORT_FILES
from batch_resend.report.summary import (
    REHEARSED,
    STATUS_MEANINGS,
    Presentation,
    Summary,
    counted,
    headline,
    in_words,
    next_steps,
)
from batch_resend.topics import mail_advice
from batch_resend.version import __version__
from batch_resend.visible import visible
from batch_resend.windows import parse_windows

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


MOST_REASONS = 50
MOST_PAUSES = 200
MOST_UNAPPROVED = 200
MOST_WAITING = 200
ANSWER_BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


@dataclass(frozen=True, slots=True)
class Explained:
    """Why orders were not sent, and what is known of that."""

    reason: Reason
    known: Explanation | None


@dataclass(frozen=True, slots=True)
class Pace:
    """Requests over time."""

    steps: Sequence[Step]
    step_s: float
    lasting: float | None  # requests a minute, that the windows allow in the long run
    starts: int
    at_work_s: float
    chart: Markup


@dataclass(frozen=True, slots=True)
class Answers:
    """How long answers took."""

    times: AnswerTimes
    ranges: Sequence[tuple[str, int]]
    chart: Markup


async def make_page(
    reader: JournalReader, run: Run, summary: Summary, folder: Path, presentation: Presentation
) -> str:
    """Return the page of a run, all of it, in less than 5 MB."""
    inputs = await reader.inputs(run)
    pauses = await reader.pauses(run, MOST_PAUSES)
    counts = [
        (status, getattr(summary.orders, status), STATUS_MEANINGS[status])
        for status in RequestStatus
    ]
    if summary.is_rehearsal:
        counts[0] = (RequestStatus.SENT, summary.orders.sent, REHEARSED)
    unapproved_count, unapproved = await reader.unapproved(run, MOST_UNAPPROVED)
    reasons = await reader.reasons(run, MOST_REASONS + 1)
    counted = ", ".join(f"{in_words(status)} {count:,}" for status, count, _ in counts if count)
    return (
        _environment(presentation.redact)
        .get_template("page.html")
        .render(
            run=run,
            summary=summary,
            headline=headline(summary),
            next_steps=next_steps(summary, folder, presentation.flags),
            counts=counts,
            checked=await reader.checked(run),
            waiting_names=await reader.waiting_names(run, MOST_WAITING),
            unapproved=unapproved,
            unapproved_count=unapproved_count,
            mail_advice=mail_advice(),
            outcome_chart=outcome_chart([count for _, count, _ in counts], f"Outcomes: {counted}"),
            pace=await _pace(reader, run, pauses),
            pauses=pauses,
            meanings=STATUS_MEANINGS,
            answers=await _answers(reader, run),
            reasons=[
                Explained(reason, explain(reason.http_status, reason.error_code))
                for reason in reasons[:MOST_REASONS]
            ],
            more_reasons=len(reasons) > MOST_REASONS,
            orders=await list_orders(reader, run, inputs),
            not_sent=summary.orders.total - summary.orders.sent,
            rejected=await list_rejected(reader, run, inputs, redact=presentation.redact),
            settings=_settings(run),
            folder=folder,
            files=[name for name in REPORT_FILES if name != "report.html"],
            version=__version__,
            css=Markup(_asset("page.css")),  # noqa: S704 # ours
            script=Markup(_asset("page.js")),  # noqa: S704 # ours
            script_digest=b64encode(sha256(_asset("page.js").encode()).digest()).decode(),
        )
    )


async def _pace(reader: JournalReader, run: Run, pauses: Sequence[PauseNote]) -> Pace | None:
    periods = with_pauses(await reader.periods(run), pauses)
    if not periods:
        return None
    lasted_s = sum(period.to_at - period.from_at for period in periods)
    windows = parse_windows(run.limits)
    step_s = step_length_s(lasted_s, windows)
    steps: list[Step] = []
    for period in periods:
        most = most_per_minute(step_s, parse_windows(period.limits))
        made = await reader.pace(run, period, step_s)
        steps += steps_of(made, step_s, period, steps[-1].to_s if steps else 0.0, most)
    highest, most = max(step.per_minute for step in steps), steps[-1].most
    allowed = f"the windows allow {most:,.0f}" if most is not None else "there is no limit"
    text = (
        f"Requests a minute over {format_duration(lasted_s)} at work: {highest:,.0f} at the most; "
        f"{allowed}; {counted(len(pauses), 'pause')}"
    )
    marks = [(at_work_s(p.began_at, steps), at_work_s(end_of(p), steps)) for p in pauses]
    chart = pace_chart(steps, marks, text)
    return Pace(steps, step_s, lasting_per_minute(windows), len(periods), lasted_s, chart)


async def _answers(reader: JournalReader, run: Run) -> Answers | None:
    times = await reader.answer_times(run, ANSWER_BOUNDS_S)
    if times is None:
        return None
    ranges = list(zip(answer_ranges(ANSWER_BOUNDS_S), times.counts, strict=True))
    while len(ranges) > 1 and not ranges[0][1]:
        ranges.pop(0)
    while len(ranges) > 1 and not ranges[-1][1]:
        ranges.pop()
    text = f"{times.answers:,} answers; " + ", ".join(f"{label} {n:,}" for label, n in ranges)
    return Answers(times, ranges, answer_chart(ranges, text))


def _settings(run: Run) -> list[tuple[str, str]]:
    """Return the settings of a run, by their options' names."""
    counted = [("limits", " and ".join(run.limits) or "none")]
    counted += [
        (name.removesuffix("_s").replace("_", "-"), _setting(name, value))
        for name, value in run.settings.items()
        if value is not None and value != {"": list(run.limits)}  # which are told
    ]
    return counted


def _setting(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_s") and isinstance(value, int | float):
        return format_duration(value)
    if isinstance(value, dict):
        return ", ".join(f"{key or 'own'}: {_setting('', one)}" for key, one in value.items())
    if isinstance(value, list):
        return " and ".join(map(str, value)) or "none"
    return str(value)


@cache
def _asset(name: str) -> str:
    return (files("batch_resend.report") / name).read_text(encoding="utf-8")


@cache
def _environment(redact: bool) -> Environment:
    def shown(value: object) -> object:
        """Return a value as the page shows it; what is markup, is ours."""
        if isinstance(value, Markup) or not isinstance(value, str | Path):
            return value
        text = visible(str(value))
        return redacted(text) if redact else text

    environment = Environment(
        loader=PackageLoader("batch_resend.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda count: f"{count:,}",
        "duration": format_duration,
        "seconds": lambda s: f"{s * 1000:,.0f} ms" if s < 1 else f"{s:,.1f} s",
        "time": lambda at: timestamp(at)[:19].replace("T", " ") + " UTC",
        "words": in_words,
        "counted": counted,
        "names": lambda one: names_in_words(one.approved, one.names),
    }
    return environment
