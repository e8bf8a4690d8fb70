"""report.html: the HTML page of a run, for who reads it next morning."""

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePath
from typing import TypeVar
from urllib.parse import quote

from batch_resend.calls import CALLS
from batch_resend.clock import format_duration
from batch_resend.explanations import explain
from batch_resend.intake import Field
from batch_resend.journal import JournalReader, PauseNote
from batch_resend.model import SENT_BY, Call, Request, RequestStatus, Run
from batch_resend.report import charts
from batch_resend.report.advice import if_cut_off, next_steps
from batch_resend.report.banner import Banner, banner_in_words
from batch_resend.report.breakdowns import (
    MOST_PARTS,
    Breakdown,
    by_domain,
    by_part,
    by_product,
    parent_of,
)
from batch_resend.report.counts import left_for_next
from batch_resend.report.files import REJECTED, Lists, files_in_words, newest
from batch_resend.report.lists import origin_of
from batch_resend.report.presentation import Presentation
from batch_resend.report.rendering import render
from batch_resend.report.summary import (
    REHEARSED,
    STATUS_MEANINGS,
    Summary,
    answer_in_words,
    headline,
    how_counted,
    outcome_in_words,
    percentage_sent,
    verdict_in_words,
)
from batch_resend.report.sweeps import sweep_in_words
from batch_resend.results import InputNote, Source
from batch_resend.topics import mail_advice
from batch_resend.visible import NOT_SHOWN, with_unicode, without_quotes
from batch_resend.windows import parse_windows

LIVE_EVERY_S = 30.0  # a page of a run under way is written, and read, again
MOST_REASONS = 50
MOST_PAUSES = 200
MOST_UNAPPROVED = 200
MOST_STUCK = 500
MOST_WAITING = 200
MOST_ORDERS = 5_000  # listed; the others are counted
MOST_REJECTED = 1_000
MOST_OPEN = 50  # of a list; a longer one is folded
MOST_TEXT = 1_500_000  # characters of what is listed, as HTML, in each of both tables
MOST_ENTRIES = 20  # of an order, and of its source lines
MOST_OF_A_ROW = 1_000  # characters
ANSWER_BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)

Listed = TypeVar("Listed")


async def make_page(
    reader: JournalReader, run: Run, summary: Summary, lists: Lists, presentation: Presentation
) -> str:
    """Return the page of a run, all of it, in less than 5 MB; `lists`: those beside it."""
    inputs = await reader.inputs(run)
    pauses = await reader.pauses(run, MOST_PAUSES)
    unapproved_count, unapproved = await reader.unapproved(run, MOST_UNAPPROVED)
    reasons = [*await reader.reasons(run, MOST_REASONS + 1)]
    reasons += await reader.skips(run, MOST_REASONS + 1 - len(reasons))
    rejected = _rejected(reader, run, inputs, redact=presentation.redact)
    not_sent = _not_sent(reader, run, inputs, presentation.order_url)
    listed = await _bounded(not_sent, MOST_ORDERS)
    values = {
        **_of_summary(run, summary, lists.folder, presentation),
        "files": files_in_words(summary, lists),
        "pauses": pauses,
        "pace": _pace_of(await stretches_of(reader, run, pauses), pauses),
        "checked": await reader.checked(run),
        "waiting_names": await reader.waiting_names(run, MOST_WAITING),
        "stuck": await _bounded(reader.stuck(run), MOST_STUCK),
        "unapproved": unapproved,
        "unapproved_count": unapproved_count,
        "mail_advice": mail_advice(),
        "answers": await _answers(reader, run),
        "reasons": [
            (
                one,
                answer := answer_in_words(one.status, one.http_status, one.error_code),
                verdict_in_words(one.status, answer),
                explain(one.http_status, one.error_code),
            )
            for one in reasons
        ],
        "most_reasons": MOST_REASONS,
        "orders": listed,
        "most_open": MOST_OPEN,
        "not_sent": summary.orders.total - summary.orders.sent,
        "breakdowns": [] if summary.all_well else await _breakdowns(reader, run, inputs, listed),
        "rejected": await _bounded(rejected, MOST_REJECTED),
    }
    return render("page.html", values, redact=presentation.redact)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What a page of a run under way has beside its counts."""

    stretches: Sequence[charts.Stretch]  # the requests over time, as far as they are known
    pauses: Sequence[PauseNote]  # of the whole run
    left_s: float | None = None  # about what it still takes, where that is known
    is_kept: bool = True  # the page is written again every half minute


def make_live_page(
    run: Run, summary: Summary, folder: Path, presentation: Presentation, course: UnderWay
) -> str:
    """Return the page of a run under way."""
    stretches, pauses = course.stretches, course.pauses
    since = min((one.began_at for one in stretches), default=0.0)
    flags = presentation.flags
    values = _of_summary(run, summary, folder, presentation)
    if course.is_kept:
        values["refresh_s"] = LIVE_EVERY_S
        values["next_steps"] = [
            *next_steps(summary, folder.absolute(), flags),
            *if_cut_off(summary, flags),
        ]
    values |= {
        "left_s": course.left_s,
        "pauses": pauses[:MOST_PAUSES],
        "pace": _pace_of(stretches, [one for one in pauses if one.began_at >= since]),
        **dict.fromkeys(("checked", "answers")),
        **dict.fromkeys(
            ("files", "waiting_names", "stuck", "unapproved", "reasons", "orders", "breakdowns"), ()
        ),
        "rejected": None,
        "not_sent": 0,
    }
    return render("page.html", values, redact=presentation.redact)


def _of_summary(
    run: Run, summary: Summary, folder: Path, presentation: Presentation
) -> dict[str, object]:
    """Return what the page says of a run as a whole."""
    left = left_for_next(summary.sweep)
    return {
        "run": run,
        "sent_by": run.settings.get(SENT_BY),
        "summary": summary,
        "banner": summary.verdict,
        "banner_in_words": banner_in_words(
            summary.verdict, summary.state, summary.sent_elsewhere, left
        ),
        "left_for_next": left,
        "percentage": percentage_sent(summary),
        "how_counted": how_counted(summary),
        "headline": headline(summary),
        "sweep": summary.sweep and sweep_in_words(summary.sweep),
        "next_steps": next_steps(summary, folder.absolute(), presentation.flags),
        "counts": [one for one in _counts(summary) if one[2]],
        "meanings": STATUS_MEANINGS,
        "settings": _settings(run, summary.accounts),
        "rejected_file": newest(folder, REJECTED, summary.run_id).name,
        "written_at": summary.written_at,
        "refresh_s": None,
        "all_well": summary.verdict is Banner.COMPLETE,
    }


def _counts(summary: Summary) -> Iterator[tuple[str, str, int, str]]:
    """Yield each status of orders: its name for programs and for people, how many, its meaning."""
    meanings = STATUS_MEANINGS | ({RequestStatus.SENT: REHEARSED} if summary.is_rehearsal else {})
    names = {status: outcome_in_words(status, summary) for status in RequestStatus}
    if summary.state == "running":
        meanings[RequestStatus.NOT_ATTEMPTED] = "not sent yet"
    for status in RequestStatus:
        yield status.value, names[status], getattr(summary.orders, status), meanings[status]
    yield "in_flight", "in flight", summary.orders.in_flight, "its answer has not come yet"


# --- what is listed, to a bound -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestNotSent:
    """An order that was not sent."""

    order_id: str
    beside: str  # what sets it apart from the usual ones
    orders: tuple[str, ...]  # that a domain is for, as its rows have it beside
    url: str | None  # in the CA's console
    status: RequestStatus
    verdict: str
    answer: str
    message: str
    parents: tuple[str, ...]  # of its domains
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
    reader: JournalReader, run: Run, inputs: Sequence[InputNote], order_url: str | None
) -> AsyncGenerator[RequestNotSent, None]:
    """Yield the orders that were not sent; those rightly skipped come last."""
    names = _short_names(inputs)
    for results in (reader.results_not_sent(run), reader.results_skipped(run)):
        async with aclosing(results):
            async for order, result, sources in results:
                answer = answer_in_words(result.status, result.http_status, result.error_code)
                yield RequestNotSent(
                    order.subject,
                    _beside(order),
                    _cut(_orders_of(sources)),
                    _url_of(order, order_url),
                    result.status,
                    verdict_in_words(result.status, answer),
                    answer,
                    result.error_message or "",
                    tuple({parent_of(entry.domain) for entry in order.entries[:MOST_ENTRIES]}),
                    _cut([with_unicode(str(entry)) for entry in order.entries]),
                    _cut([f"{names[at.input_ordinal]}, line {at.line}" for at in sources]),
                )


def _short_names(inputs: Sequence[InputNote]) -> list[str]:
    """Return the names of files without their folders, where that tells them apart."""
    short = [PurePath(note.name).name or note.name for note in inputs]
    return short if len(set(short)) == len(short) else [note.name for note in inputs]


def _url_of(order: Request, order_url: str | None) -> str | None:
    if order_url is None or CALLS[order.call].is_about_domain:
        return None
    return order_url.replace("{order}", quote(order.subject, safe=""))


async def _rejected(
    reader: JournalReader, run: Run, inputs: Sequence[InputNote], *, redact: bool
) -> AsyncGenerator[RejectedRow, None]:
    """Yield the rejected rows as the lists had them; with `redact`, only why."""
    names = _short_names(inputs)
    async with aclosing(reader.rejected_rows(run)) as rows:
        async for row in rows:
            origin, note = origin_of(row, inputs), inputs[row.input_ordinal]
            is_first = origin.file == note.name
            file = names[row.input_ordinal] if is_first else PurePath(origin.file).name
            text = NOT_SHOWN if redact else origin.text
            reason = without_quotes(row.reason or "") if redact else row.reason or ""
            if len(text) > MOST_OF_A_ROW:
                text = f"{text[:MOST_OF_A_ROW]}..."
            yield RejectedRow(file, origin.line, reason, text)


def _beside(order: Request) -> str:
    """Return what sets an order apart from the usual ones, with a blank in front."""
    language = "" if order.locale is None else f" ({order.locale})"
    by = "" if order.call is Call.DV_RESEND else f" by {order.call}"
    of = "" if order.account is None else f" of {order.account}"
    return f"{language}{by}{of}"


def _orders_of(sources: Sequence[Source]) -> list[str]:
    """Return the orders that rows about a domain have beside, each once."""
    numbers = (at.kept.get(Field.ORDER_ID) for at in sources)
    return list(dict.fromkeys(filter(None, numbers)))


def _cut(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the first of many texts, and how many more there are."""
    more = len(texts) - MOST_ENTRIES
    return (*texts[:MOST_ENTRIES], *((f"and {more:,} more",) if more > 0 else ()))


async def _breakdowns(
    reader: JournalReader,
    run: Run,
    inputs: Sequence[InputNote],
    not_sent: Sequence[RequestNotSent],
) -> list[Breakdown]:
    """Return a run by what its orders have in common, where there is something to see."""
    names_products = any(Field.PRODUCT in note.form.kept for note in inputs)
    products = await reader.products(run, MOST_PARTS) if names_products else []
    of_parts = by_part(await reader.parts(run))
    return [*of_parts, *by_product(products), *by_domain(_domains_of(not_sent))]


def _domains_of(orders: Sequence[RequestNotSent]) -> list[tuple[str, ...]]:
    """Return the domains of those orders that a next run may send."""
    return [order.parents for order in orders if order.status is not RequestStatus.SKIPPED]


# --- the other parts ----------------------------------------------------------------------------


async def stretches_of(
    reader: JournalReader, run: Run, pauses: Sequence[PauseNote]
) -> list[charts.Stretch]:
    """Return the requests of a run over time, as the journal has them."""
    periods = charts.with_pauses(await reader.periods(run), pauses)
    lasted_s = sum(period.to_at - period.from_at for period in periods)
    step_s = charts.step_length_s(lasted_s, parse_windows(run.limits))
    return [
        charts.stretch_of(await reader.pace(run, period, step_s), step_s, period)
        for period in periods
    ]


def _pace_of(
    stretches: Sequence[charts.Stretch], pauses: Sequence[PauseNote]
) -> dict[str, object] | None:
    """Return what the page says of requests over time; None: none was made."""
    if not stretches:
        return None
    last = stretches[-1]
    return {
        "chart": charts.pace_chart(stretches, pauses),
        "steps": [step for one in stretches for step in one.steps],
        "step_s": last.steps[-1].lasts_s,
        "most": last.steps[-1].most,
        "lasting": charts.lasting_per_minute(last.windows),  # requests a minute, in the long run
        "edges": (charts.FIRST, charts.LAST),
    }


async def _answers(reader: JournalReader, run: Run) -> dict[str, object] | None:
    """Return what the page says of how long answers took; None: there was none."""
    times = await reader.answer_times(run, ANSWER_BOUNDS_S)
    if times is None:
        return None
    ranges = list(zip(_ranges(ANSWER_BOUNDS_S), times.counts, strict=True))
    while len(ranges) > 1 and not ranges[0][1]:
        ranges.pop(0)
    while len(ranges) > 1 and not ranges[-1][1]:
        ranges.pop()
    return {"times": times, "ranges": ranges, "most": max(times.counts)}


def _ranges(bounds_s: Sequence[float]) -> list[str]:
    """Return the labels of the ranges that bounds make, the one beyond the last included."""
    labels = [f"{b * 1000:g} ms" if b < 1 else format_duration(b) for b in bounds_s]
    return [*(f"to {label}" for label in labels), f"over {labels[-1]}"]


def _settings(run: Run, accounts: Collection[str | None]) -> list[tuple[str, str]]:
    """Return the settings of a run, by their options' names; those of accounts that it asks."""
    settings = {
        name: {of: one for of, one in value.items() if (of or None) in accounts}
        if isinstance(value, dict)
        else value
        for name, value in run.settings.items()
    }
    # The limits stand first; who sent it and for which profile, at the top of the page.
    left_out: tuple[object, ...] = (None, {}, {"": list(run.limits)})
    return [("limits", " and ".join(run.limits) or "none")] + [
        (name.removesuffix("_s").replace("_", "-"), _setting(name, value))
        for name, value in settings.items()
        if value not in left_out and name not in (SENT_BY, "profile")
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
