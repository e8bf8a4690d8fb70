"""What a plan comes to, and what came of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from batch_resend.cli.output.terminal import show_lines, show_pairs
from batch_resend.cli.streams import STREAMS
from batch_resend.clock import format_duration, timestamp
from batch_resend.explanations import explain
from batch_resend.journal import JournalReader, Reason
from batch_resend.model import Note, Plan, RequestStatus, Run
from batch_resend.report import (
    BackPressure,
    NextFlags,
    NextStep,
    Summary,
    answer_in_words,
    counted,
    headline,
    in_words,
    of_profile,
    outcome_in_words,
    resume_command,
    sweep_in_words,
    verdict_in_words,
)
from batch_resend.results import StuckOrder
from batch_resend.visible import visible, with_unicode, without_quotes

if TYPE_CHECKING:
    from batch_resend.report import Kind, MailDomainsAsked, Preview


@dataclass(frozen=True, slots=True)
class Closeness:
    """How closely a plan is shown."""

    first: int  # rows or orders of each kind, at most
    other_rows: str  # where the others are
    other_orders: str


BEFORE_SENDING = Closeness(2, "all are in rejected.csv of the report", "`check -v` lists them")
WHEN_CHECKING = Closeness(5, "-v lists them", "-v lists them")
WHEN_CHECKING_CLOSELY = Closeness(10_000, "correct these first", "look at these first")
_USUAL = (Note.EMAIL_DOMAIN_FILLED_IN,)  # of www.X; an unusual address there has a note of its own
_LISTS_SHOWN = 4
_ALIKE_SHOWN = 2  # of domains that all get one mail
_ROUTES_IN_WORDS = {  # by mail_domains.MailRoute
    "mx": "with an MX record",
    "no_mx": "without one, but with an address",
    "null_mx": "that accept no mail",
    "no_mail_records": "with neither MX record nor address",
    "no_such_domain": "that do not exist",
    "unknown": "not known, because no answer came",
    "not_asked": "not asked about (at most {most:,} are, within two minutes)",
}


def show_plan(
    preview: Preview, to: TextIO, closeness: Closeness, now: str = "", *, redact: bool = False
) -> None:
    """Print what a run is about to do; with `redact`, without whatever a row says.

    `now`: what of it is sent first.
    """
    usual = () if closeness is WHEN_CHECKING_CLOSELY else _USUAL
    rejected = _kinds("Rejected", "row", preview.rejected, closeness.other_rows)
    warnings = _kinds("Worth a look", "order", preview.warnings, closeness.other_orders, usual)
    hide = without_quotes if redact else str
    show_lines([(indent, hide(text)) for indent, text in (*rejected, *warnings)], to)
    show_pairs(
        "Plan", list(_pairs(preview, now)), to
    )  # last: a low screen shows it beside the question


def show_left(plan: Plan, preview: Preview, to: TextIO, now: str = "") -> None:
    """Print what is left of a run that did not finish; its lists were shown when it began."""
    rejected = preview.rows.rejected
    settled = [f"{plan.settled[s]:,} {in_words(s)}" for s in RequestStatus if s in plan.settled]
    pairs = [
        ("requests", f"{plan.to_send:,} to send of {plan.orders:,}"),
        *((("so far", " · ".join(settled)),) if settled else ()),
        *((("left out", counted(rejected, "rejected row")),) if rejected else ()),
        *_to_send(preview, now),
    ]
    show_pairs(f"Left of run {plan.run.id}", pairs, to)


def stopping(in_flight: int) -> str:
    """Return what is said when a signal stops the sending."""
    if not in_flight:
        return "Stopping"
    return f"Stopping: waiting for {counted(in_flight, 'request')} in flight"


def quitting(run_id: str, flags: NextFlags) -> str:
    """Return what is said of a run where a second signal ends its process."""
    known = f"\nQuit. Run {run_id} is in the journal"
    if flags.none_will_do:
        return f"{known}.\n"
    return f"{known}; to resume it:\n  {resume_command(run_id, 0, flags)}\n"


def sending_in_words(plan: Plan, preview: Preview) -> str:
    """Return what sending comes to, in one line: whom it mails, what is left out, how long."""
    whom = []
    if preview.mails:
        domains = counted(preview.recipient_domains, "domain")
        whom.append(f"{counted(preview.mails, 'mail')} at {domains}")
    if others := preview.without_addresses + preview.domains_without_addresses:
        whom.append(f"{counted(others, 'request')} to the CA's contacts on file")
    left_out = [f"{plan.settled[s]:,} {in_words(s)}" for s in RequestStatus if s in plan.settled]
    if rejected := preview.rows.rejected:
        left_out.append(counted(rejected, "rejected row"))
    parts = [" and ".join(whom), _time_needed(preview.duration_s, preview.waits_s)]
    if left_out and not plan.taken_up:
        parts.append(f"left out: {', '.join(left_out)}")
    return "; ".join(parts)


def _time_needed(least_s: float, waits_s: float) -> str:
    """Return how long sending takes, as a range: a 429 halves what is taken of the limits.

    Not so of what is waited for before (`Plan.waits_s`).
    """
    if least_s < _FEW_SECONDS:
        return "a few seconds"
    return f"{format_duration(least_s)} to {format_duration(2 * least_s - waits_s)}"


def _pairs(preview: Preview, now: str) -> Iterator[tuple[str, str]]:
    for read in preview.inputs[:_LISTS_SHOWN]:
        yield (
            "list",
            f"{read.path}: {'; '.join(filter(None, (counted(read.rows, 'row'), read.form)))}",
        )
    if others := preview.inputs[_LISTS_SHOWN:]:
        rows = counted(sum(read.rows for read in others), "row")
        yield "", f"and {counted(len(others), 'other list')}: {rows}"
    yield "rows", _rows_in_words(preview)
    orders = f"{counted(preview.orders, 'order')} (one per order and language)"
    yield "requests", f"{preview.requests:,} for {orders}, {preview.to_send:,} to send"
    yield from _skipped(preview)
    yield from _to_send(preview, now)


def _to_send(preview: Preview, now: str) -> Iterator[tuple[str, str]]:
    if held := preview.held:
        again = "--in-doubt retry sends them again"
        yield "in doubt", f"{held:,} may have been mailed before; {again}"
    if second := preview.second_mails:
        hold = "--in-doubt hold leaves them to you"
        yield "in doubt", f"{second:,} of those to send may have been mailed before; {hold}"
    if others := preview.mailed_otherwise:
        were = f"{counted(others, 'order')} to send {'was' if others == 1 else 'were'}"
        how = "with other addresses or in another language"
        yield "mailed", f"{were} mailed by another run within the cooldown, {how}"
    yield from _under("mails to", _recipients(preview))
    if preview.mail_domains is not None:
        yield from _under("dns", _of_dns(preview.mail_domains))
    if preview.accounts:
        yield "accounts", ", ".join(f"{one.text} {one.count:,}" for one in preview.accounts)
    if not preview.to_send:
        return
    if now:
        yield "now", now
    several = len(preview.accounts) > 1  # whose limits, put together, are none that anybody knows
    limits = ("the rate limits of each account",) if several and preview.limits else preview.limits
    yield "time", _least_time(preview.duration_s, limits) + (", for all of them" if now else "")
    if preview.waits_s >= _FEW_SECONDS:
        wait = format_duration(preview.waits_s)
        yield "", f"of which {wait} because requests of the last minutes count in these limits"


def _least_time(least_s: float, limits: Sequence[str]) -> str:
    if not limits:
        return "without a rate limit"
    is_short = least_s < _FEW_SECONDS
    time = "a few seconds at best" if is_short else f"at least {format_duration(least_s)}"
    return f"{time}, within {' and '.join(limits)}"


def _rows_in_words(of: Preview | Summary) -> str:
    return f"{of.rows.read:,} read: {of.rows.in_words()}"


def _under(label: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, text in enumerate(texts):
        yield "" if number else label, text


def _recipients(preview: Preview) -> Iterator[str]:
    recipients = preview.recipients
    if len(recipients) < preview.recipient_domains == preview.mails:  # the most is one each
        such = ", ".join(with_unicode(one.text) for one in recipients[:_ALIKE_SHOWN])
        yield f"{counted(preview.recipient_domains, 'domain')}, one each, such as {such}"
    elif recipients:
        shown = [f"{with_unicode(one.text)} {one.count:,}" for one in recipients]
        if others := preview.recipient_domains - len(shown):
            mails = preview.mails - sum(one.count for one in recipients)
            shown.append(f"and {counted(mails, 'mail')} at {counted(others, 'other domain')}")
        yield ", ".join(shown)
    for requests, domains in (
        (preview.without_addresses, "every pending domain"),
        (preview.domains_without_addresses, "the domain named"),
    ):
        if requests:
            have = f"{counted(requests, 'request')} {'has' if requests == 1 else 'have'} no address"
            yield f"{have}: the CA will mail the contacts on file for {domains}"


def _of_dns(asked: MailDomainsAsked) -> Iterator[str]:
    from batch_resend.report import MOST_DOMAINS_ASKED  # noqa: PLC0415 - slow, and runs need no plan

    found = [
        f"{count:,} {_ROUTES_IN_WORDS[route].format(most=MOST_DOMAINS_ASKED)}"
        for route, count in asked.routes.items()
        if count
    ]
    domains = counted(asked.domains, "domain")
    yield f"{domains} of addresses{': ' if found else ''}{', '.join(found)}"
    if asked.unknown:
        more = asked.routes["unknown"] - len(asked.unknown)
        yield f"not known: {', '.join(asked.unknown)}" + (f" and {more:,} more" if more else "")


def _skipped(preview: Preview) -> Iterator[tuple[str, str]]:
    for skip in preview.skipped_by_ca:
        yield "skipped", f"{skip.count:,}, says the CA: {skip.text}"
    for skip in preview.skipped:
        yield "skipped", f"{skip.count:,}: {skip.text}"
    if preview.skipped_otherwise:
        yield "skipped", f"{preview.skipped_otherwise:,}: for other reasons"
    if preview.skipped:
        yield "", "--all-statuses sends those too"
    if cooling := preview.cooling_down:
        again = "--again sends them again"
        yield "skipped", f"{cooling:,} acknowledged within the cooldown; {again}"


def _kinds(
    title: str, of: str, kinds: Sequence[Kind], elsewhere: str, folded: Sequence[str] = ()
) -> Iterator[tuple[int, str]]:
    """Yield what was found, by kind, with the first rows of each: lines and their indents.

    `folded`: the kinds that are only counted.
    """
    if kinds:
        yield 0, title
    for kind in kinds:
        yield 2, f"{counted(kind.count, of)}: {kind.text}"
        if kind.kind in folded:
            continue
        for place in kind.first:
            yield 4, f"{place.file}, line {place.line}: {place.text}"
        if (more := kind.count - len(kind.first)) > 0:
            yield 4, f"and {more:,} more: {elsewhere}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A run as a command found it, or left it."""

    summary: Summary
    folder: Path | None  # of its report; None: there is none that says how it stands
    steps: Sequence[NextStep]  # what to do next


_OF_DOUBTS = (
    "They may have been mailed. `batch-resend verify` says which of them still wait at the CA; "
    "--in-doubt retry mails them once more, --in-doubt hold leaves them to you."
)
_FEW_SECONDS = 2.0
_STUCK_SHOWN = 5
_REASONS_SHOWN = 5  # for which orders were not sent
_REASONS_READ = _REASONS_SHOWN + 2  # are there more? And those not attempted, which are not shown


async def show_summary(
    reader: JournalReader,
    run: Run,
    of: Standing,
    before: Iterable[tuple[str, str]] = (),
    *,
    with_counts: bool = True,
) -> None:
    """Print a run in a few lines, and the next commands. Raises JournalError.

    `before` its numbers, what else there is to say of it.
    """
    summary, is_under_way = of.summary, of.summary.state == "running"
    if of.folder is not None:
        in_short = f"Run {run.id}: {headline(summary)}. Its report is in {of.folder}"
        STREAMS.in_short = f"{visible(in_short)}\n"
    if with_counts:
        show_counts(summary, before=before)
    if not is_under_way:  # what is in flight would pass for in doubt
        await show_why_not_sent(reader, run, sys.stdout)
    stuck = [order async for order in reader.stuck(run, _STUCK_SHOWN)]
    show_lines(list(stuck_in_words(stuck, summary.stuck)), sys.stdout)
    if of.folder is not None:
        what = "Report so far" if is_under_way else "Report"
        show_lines([(0, f"{what}: {of.folder}/report.html")], sys.stdout)
    show_next_steps(of.steps)


def show_next_steps(steps: Iterable[NextStep], to: TextIO | None = None) -> None:
    """Print what to do after a run."""
    for step in steps:
        show_lines([(0, step.text)], to or sys.stdout)
        if step.command:
            click.echo(f"  {step.command}", file=to)  # never wrapped: it is to be copied


def show_counts(
    summary: Summary, to: TextIO | None = None, before: Iterable[tuple[str, str]] = ()
) -> None:
    """Print a run in numbers; `before` them, what else there is to say of it."""
    requests, pairs = summary.requests, list(before)
    if summary.sweep:
        pairs.append(("sweep", sweep_in_words(summary.sweep)))
    orders = [
        f"{count:,} {outcome_in_words(name, summary)}"
        for name, count in summary.orders
        if name != "total" and (count or name != "in_flight")
    ]
    if summary.stop_reason and summary.started_at is not None:
        pairs.append(("why", summary.stop_reason))
    pairs += [
        ("orders", " · ".join(orders)),
        ("rows", _rows_in_words(summary)),
        (
            "requests",
            f"{requests.attempts:,} {_without_connection(requests.unconnected)}, "
            f"{requests.retries:,} of them retries, "
            f"{requests.rate_limited:,} answered with 429, "
            f"{requests.possible_duplicates:,} possible duplicate mails",
        ),
    ]
    if summary.back_pressure.pauses:
        pairs.append(("pauses", _held_up(summary.back_pressure)))
    run = f"Run {summary.run_id}{of_profile(summary.profile)}"
    show_pairs(f"{run}: {headline(summary)}.", pairs, to or sys.stdout)


def _without_connection(unconnected: int) -> str:
    return f"tried, {unconnected:,} of them without a connection" if unconnected else "made"


async def show_why_not_sent(reader: JournalReader, run: Run, to: TextIO) -> None:
    """Print why orders of a run were not sent. Raises JournalError."""
    not_sent, skips = (
        await reader.reasons(run, _REASONS_READ),
        await reader.skips(run, _REASONS_READ),
    )
    show_lines([*_why("Not sent, and why", not_sent), *_why("Skipped, and why", skips)], to)


def _why(title: str, reasons: Sequence[Reason]) -> Iterator[tuple[int, str]]:
    """Yield why orders were not sent, the most frequent first, as the CA said and as it means."""
    not_attempted = RequestStatus.NOT_ATTEMPTED
    shown = [one for one in reasons if one.status is not not_attempted or _answer(one)]
    if shown:
        yield 0, title
    for reason in shown[:_REASONS_SHOWN]:
        answer = _answer(reason)
        verdict = verdict_in_words(reason.status, answer)
        yield 2, f"{reason.orders:,} {verdict}: {answer or 'no answer'}"
        if known := explain(reason.http_status, reason.error_code):
            yield 4, f"{known.meaning} {known.remedy}"
        elif reason.status is RequestStatus.IN_DOUBT:
            yield 4, _OF_DOUBTS
    if len(shown) > _REASONS_SHOWN:
        yield 2, "and other reasons: report.html has them all"


def stuck_in_words(first: Sequence[StuckOrder], count: int) -> Iterator[tuple[int, str]]:
    """Yield lines about the orders that a sweep has given up on: the first, and how many more."""
    if first:
        yield 0, "Stuck: at the limit of mails, and still waiting"
    for order in first:
        last = f", the last on {_day(order.last_mail_at)}" if order.last_mail_at else ""
        ordered = f", ordered on {_day(order.created_at)}" if order.created_at else ""
        names = f": {', '.join(order.domains)}" if order.domains else ""
        yield 2, f"{order.order_id}, {counted(order.mails, 'mail')}{last}{ordered}{names}"
    if count > len(first):
        yield 2, f"and {count - len(first):,} more: stuck.csv of the report has them all"


def _day(at: float) -> str:
    return timestamp(at)[:10]


def _answer(reason: Reason) -> str:
    """Return what the CA answered to orders, or why they were skipped, and an example of words."""
    answer = answer_in_words(reason.status, reason.http_status, reason.error_code)
    message = f"such as: {reason.message}" if reason.messages > 1 else reason.message
    return ", ".join(text for text in (answer, message) if text)


def _held_up(by: BackPressure) -> str:
    shown = f"{by.pauses:,} because of the CA, {format_duration(by.paused_s)} in all"
    if by.lowest_share < 1:
        shown += f"; after a 429 at most {by.lowest_share:.0%} of the rate limits was used"
    return shown
