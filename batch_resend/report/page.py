"""The HTML page of a report.

One file that asks nothing of anybody: styles, script and charts are in it, and its content
security policy lets nothing else run or load. Whatever a list or a CA says is text.
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from batch_resend.clock import format_duration, timestamp
from batch_resend.explanations import explain
from batch_resend.journal import JournalReader, PauseNote
from batch_resend.listed import names_in_words
from batch_resend.model import Call, Request, RequestStatus, Run
from batch_resend.report import charts
from batch_resend.report.lists import as_text
from batch_resend.report.report import OF_SWEEPS, REPORT_FILES
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
from batch_resend.results import InputNote
from batch_resend.topics import mail_advice
from batch_resend.version import __version__
from batch_resend.visible import NOT_SHOWN, redacted, visible, without_quotes
from batch_resend.windows import parse_windows

MOST_REASONS = 50
MOST_PAUSES = 200
MOST_UNAPPROVED = 200
MOST_STUCK = 500
MOST_WAITING = 200
MOST_ORDERS = 5_000  # listed; the others are counted
MOST_REJECTED = 1_000
MOST_TEXT = 1_500_000  # characters of what is listed, as HTML, in each of both tables
MOST_ENTRIES = 20  # of an order, and of its source lines
MOST_OF_A_ROW = 1_000  # characters
ANSWER_BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)

Listed = TypeVar("Listed")


async def make_page(
    reader: JournalReader, run: Run, summary: Summary, folder: Path, presentation: Presentation
) -> str:
    """Return the page of a run, all of it, in less than 5 MB."""
    inputs = await reader.inputs(run)
    pauses = await reader.pauses(run, MOST_PAUSES)
    meanings = STATUS_MEANINGS | ({RequestStatus.SENT: REHEARSED} if summary.is_rehearsal else {})
    counts = [(s, getattr(summary.orders, s), meanings[s]) for s in RequestStatus]
    outcomes = ", ".join(f"{in_words(status)} {count:,}" for status, count, _ in counts if count)
    unapproved_count, unapproved = await reader.unapproved(run, MOST_UNAPPROVED)
    reasons = await reader.reasons(run, MOST_REASONS + 1)
    rejected = _rejected(reader, run, inputs, redact=presentation.redact)
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
            stuck=await _bounded(reader.stuck(run), MOST_STUCK),
            mail_advice=mail_advice(),
            outcome_chart=charts.outcome_chart([n for _, n, _ in counts], f"Outcomes: {outcomes}"),
            pace=await _pace(reader, run, pauses),
            pauses=pauses,
            meanings=STATUS_MEANINGS,
            answers=await _answers(reader, run),
            reasons=[(one, explain(one.http_status, one.error_code)) for one in reasons],
            most_reasons=MOST_REASONS,
            orders=await _bounded(_not_sent(reader, run, inputs), MOST_ORDERS),
            not_sent=summary.orders.total - summary.orders.sent,
            rejected=await _bounded(rejected, MOST_REJECTED),
            settings=_settings(run),
            files=[
                name
                for name in REPORT_FILES
                if name != "report.html" and (summary.sweep is not None or name != OF_SWEEPS)
            ],
            version=__version__,
            css=Markup(_asset("page.css")),  # noqa: S704 # ours
            script=Markup(_asset("page.js")),  # noqa: S704 # ours
            script_digest=b64encode(sha256(_asset("page.js").encode()).digest()).decode(),
        )
    )


# --- what is listed, to a bound -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestNotSent:
    """An order that was not sent."""

    order_id: str
    locale: str | None
    status: RequestStatus
    answer: str
    message: str
    entries: tuple[str, ...]  # address for domain
    sources: tuple[str, ...]  # file, line


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row."""

    file: str
    line: int
    reason: str
    raw: str


async def _bounded(listed: AsyncGenerator[Listed, None], most: int) -> list[Listed]:
    """Return the first of many, as many as fit the page."""
    fitting: list[Listed] = []
    room = MOST_TEXT
    async with aclosing(listed):
        async for one in listed:
            room -= len(escape(str(one)))  # about what its HTML takes
            if len(fitting) == most or room < 0:
                break
            fitting.append(one)
    return fitting


async def _not_sent(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote]
) -> AsyncGenerator[RequestNotSent, None]:
    """Yield the orders that were not sent; those rightly skipped come last."""
    for results in (reader.results_not_sent(run), reader.results_skipped(run)):
        async with aclosing(results):
            async for order, result, sources in results:
                yield RequestNotSent(
                    _named(order),
                    order.locale,
                    result.status,
                    " ".join(str(word) for word in (result.http_status, result.error_code) if word),
                    result.error_message or "",
                    _cut([str(entry) for entry in order.entries]),
                    _cut([f"{inputs[at.input_ordinal].name}, line {at.line}" for at in sources]),
                )


async def _rejected(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote], *, redact: bool
) -> AsyncGenerator[RejectedRow, None]:
    """Yield the rejected rows as the lists had them; with `redact`, only why."""
    async with aclosing(reader.rejected_rows(run)) as rows:
        async for row in rows:
            text = NOT_SHOWN if redact else as_text(row, inputs)
            reason = without_quotes(row.reason or "") if redact else row.reason or ""
            if len(text) > MOST_OF_A_ROW:
                text = f"{text[:MOST_OF_A_ROW]}..."
            yield RejectedRow(inputs[row.input_ordinal].name, row.line, reason, text)


def _named(order: Request) -> str:
    """Return the order, with what sets it apart from the usual ones."""
    by = "" if order.call is Call.DV_RESEND else f" by {order.call}"
    of = "" if order.account is None else f" of {order.account}"
    return f"{order.subject}{by}{of}"


def _cut(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the first of many texts, and how many more there are."""
    more = len(texts) - MOST_ENTRIES
    return (*texts[:MOST_ENTRIES], *((f"and {more:,} more",) if more > 0 else ()))


# --- the other parts ----------------------------------------------------------------------------


async def _pace(
    reader: JournalReader, run: Run, pauses: Sequence[PauseNote]
) -> dict[str, object] | None:
    """Return what the page says of requests over time; None: none was made."""
    periods = charts.with_pauses(await reader.periods(run), pauses)
    if not periods:
        return None
    lasted_s = sum(period.to_at - period.from_at for period in periods)
    windows = parse_windows(run.limits)
    step_s = charts.step_length_s(lasted_s, windows)
    steps: list[charts.Step] = []
    for period in periods:
        most = charts.most_per_minute(step_s, parse_windows(period.limits))
        made = await reader.pace(run, period, step_s)
        steps += charts.steps_of(made, step_s, period, steps[-1].to_s if steps else 0.0, most)
    highest, most = max(step.per_minute for step in steps), steps[-1].most
    allowed = f"the windows allow {most:,.0f}" if most is not None else "there is no limit"
    text = (
        f"Requests a minute over {format_duration(lasted_s)} at work: {highest:,.0f} at the most; "
        f"{allowed}; {counted(len(pauses), 'pause')}"
    )
    marks = [
        (charts.at_work_s(p.began_at, steps), charts.at_work_s(charts.end_of(p), steps))
        for p in pauses
    ]
    return {
        "steps": steps,
        "step_s": step_s,
        "lasting": charts.lasting_per_minute(windows),  # requests a minute, in the long run
        "starts": len(periods),
        "at_work_s": lasted_s,
        "chart": charts.pace_chart(steps, marks, text),
    }


async def _answers(reader: JournalReader, run: Run) -> dict[str, object] | None:
    """Return what the page says of how long answers took; None: there was none."""
    times = await reader.answer_times(run, ANSWER_BOUNDS_S)
    if times is None:
        return None
    ranges = list(zip(charts.answer_ranges(ANSWER_BOUNDS_S), times.counts, strict=True))
    while len(ranges) > 1 and not ranges[0][1]:
        ranges.pop(0)
    while len(ranges) > 1 and not ranges[-1][1]:
        ranges.pop()
    text = f"{times.answers:,} answers; " + ", ".join(f"{label} {n:,}" for label, n in ranges)
    return {"times": times, "ranges": ranges, "chart": charts.answer_chart(ranges, text)}


def _settings(run: Run) -> list[tuple[str, str]]:
    """Return the settings of a run, by their options' names."""
    limits = ("limits", " and ".join(run.limits) or "none")
    return [
        limits,
        *(
            (name.removesuffix("_s").replace("_", "-"), _setting(name, value))
            for name, value in run.settings.items()
            if value is not None and value != {"": list(run.limits)}  # which stand first
        ),
    ]


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
