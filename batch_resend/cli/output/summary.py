"""What came of a run, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click

from batch_resend.cli.output.plan import rows_in_words
from batch_resend.cli.output.terminal import show_lines, show_pairs
from batch_resend.cli.streams import STREAMS
from batch_resend.clock import format_duration, timestamp
from batch_resend.explanations import explain
from batch_resend.journal import JournalReader, Reason
from batch_resend.model import RequestStatus, Run
from batch_resend.report import (
    BackPressure,
    NextFlags,
    NextStep,
    Summary,
    answer_in_words,
    counted,
    headline,
    how_counted,
    of_profile,
    outcome_in_words,
    resume_command,
    sweep_in_words,
    verdict_in_words,
)
from batch_resend.results import Mailed, StuckOrder
from batch_resend.visible import visible


def stopping(in_flight: int) -> str:
    """Return what is said when a signal stops the sending."""
    if not in_flight:
        return "Stopping"
    return f"Stopping: waiting for {counted(in_flight, 'request')} in flight"


def quitting(run: Run, flags: NextFlags) -> str:
    """Return what is said of a run where a second signal ends its process."""
    known = f"\nQuit. Run {run.id} is in the journal"
    if flags.none_will_do:
        return f"{known}.\n"
    command = resume_command(run.id, 0, flags, preflight_due=run.preflight_due)
    return f"{known}; to resume it:\n  {command}\n"


@dataclass(frozen=True, slots=True)
class Standing:
    """A run as a command found it, or left it."""

    summary: Summary
    folder: Path | None  # of its report; None: there is none that says how it stands
    steps: Sequence[NextStep]  # what to do next


_OF_DOUBTS = (
    "They may have been mailed. --in-doubt retry mails them once more, --in-doubt hold leaves them "
    "to you."
)
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
        pairs.append(("stopping" if summary.state == "running" else "why", summary.stop_reason))
    pairs.append(("orders", " · ".join(orders)))
    if how := how_counted(summary):
        pairs.append(("counted", how))
    pairs += [
        ("rows", rows_in_words(summary)),
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


async def show_why_not_sent(reader: JournalReader, run: Run, to: TextIO, start: int = 0) -> None:
    """Print why orders of a run were not sent; `start`: without what only earlier starts attempted.

    Raises JournalError.
    """
    not_sent, skips = (
        await reader.reasons(run, _REASONS_READ, start),
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
        ordered = f", ordered on {_day(order.created_at)}" if order.created_at else ""
        names = f": {', '.join(order.domains)}" if order.domains else ""
        yield 2, f"{order.order_id}, {mails_in_words(order.mailed)}{ordered}{names}"
    if count > len(first):
        yield 2, f"and {count - len(first):,} more: stuck.csv of the report has them all"


def mails_in_words(mailed: Mailed, where: str = "") -> str:
    """Return how often an order was mailed, how often perhaps, and when last. `where`: all that."""
    doubt = last = ""
    if mailed.in_doubt:
        share = f"{mailed.in_doubt:,} of them " if mailed.in_doubt < mailed.mails else ""
        doubt = f", {share}in doubt"
    if mailed.last_at:
        how = " (in doubt)" if mailed.is_last_in_doubt and mailed.in_doubt < mailed.mails else ""
        last = f", the last{how} on {_day(mailed.last_at)}"
    return f"{counted(mailed.mails, 'mail')}{where}{doubt}{last}"


def _day(at: float) -> str:
    return timestamp(at)[:10]


def _answer(reason: Reason) -> str:
    """Return what the CA answered to orders, or why they were skipped, and an example of words."""
    answer = answer_in_words(reason.status, reason.http_status, reason.error_code)
    message = f"such as: {reason.message}" if reason.messages > 1 else reason.message
    return ", ".join(text for text in (answer, message) if text)


def _held_up(by: BackPressure) -> str:
    shown = f"{by.pauses:,}{by.whose} because of the CA, {format_duration(by.paused_s)} in all"
    if by.lowest_share < 1:
        shown += f"; after a 429 at most {by.lowest_share:.0%} of the rate limits was used"
    return shown
