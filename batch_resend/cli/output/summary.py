"""What became of a run, and what to do next."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from batch_resend.cli.output.terminal import show_lines, show_pairs
from batch_resend.durations import format_duration
from batch_resend.explanations import explain
from batch_resend.journal import Reason
from batch_resend.model import RequestStatus
from batch_resend.report import BackPressure, NextFlags, Summary, headline, in_words, next_steps

REASONS_SHOWN = 5  # for which orders were not sent


def show_summary(
    summary: Summary, reasons: Sequence[Reason], folder: Path, flags: NextFlags
) -> None:
    """Print a run in a few lines, and the next commands."""
    show_counts(summary)
    show_lines(list(_why_not_sent(reasons)), sys.stdout)
    show_lines([(0, f"Report: {folder}/report.html")], sys.stdout)
    for step in next_steps(summary, folder, flags):
        show_lines([(0, step.text)], sys.stdout)
        if step.command:
            click.echo(f"  {step.command}")  # never wrapped: it is to be copied


def show_counts(summary: Summary) -> None:
    """Print a run in numbers."""
    orders, rows, requests = summary.orders, summary.rows, summary.requests
    pairs = []
    if summary.stop_reason and summary.started_at is not None:
        pairs.append(("why", summary.stop_reason))
    counts = [f"{getattr(orders, s):,} {in_words(s)}" for s in RequestStatus]
    pairs += [
        ("orders", " · ".join(counts)),
        (
            "rows",
            f"{rows.read:,} read: {rows.accepted:,} accepted, {rows.duplicate:,} duplicate, "
            f"{rows.rejected:,} rejected",
        ),
        (
            "requests",
            f"{requests.attempts:,} made, {requests.retries:,} of them retries, "
            f"{requests.rate_limited:,} answered with 429, "
            f"{requests.possible_duplicates:,} possible duplicate mails",
        ),
    ]
    if summary.back_pressure.pauses:
        pairs.append(("pauses", _held_up(summary.back_pressure)))
    show_pairs(f"Run {summary.run_id}: {headline(summary)}.", pairs, sys.stdout)


def _why_not_sent(reasons: Sequence[Reason]) -> Iterator[tuple[int, str]]:
    """Yield why orders were not sent, the most frequent first, as the CA said and as it means."""
    shown = [reason for reason in reasons if reason.status is not RequestStatus.NOT_ATTEMPTED]
    if shown:
        yield 0, "Not sent, and why"
    for reason in shown[:REASONS_SHOWN]:
        yield 2, f"{reason.orders:,} {in_words(reason.status)}: {_answer(reason) or 'no answer'}"
        if known := explain(reason.http_status, reason.error_code):
            yield 4, f"{known.meaning} {known.remedy}"
    if len(shown) > REASONS_SHOWN:
        yield 2, "and other reasons: report.html has them all"


def _answer(reason: Reason) -> str:
    """Return what the CA answered to orders: its status and code, and an example of its words."""
    answer = " ".join(str(word) for word in (reason.http_status, reason.error_code) if word)
    message = f"such as: {reason.message}" if reason.messages > 1 else reason.message
    return ", ".join(text for text in (answer, message) if text)


def _held_up(by: BackPressure) -> str:
    """Return how far the CA held a run up."""
    shown = f"{by.pauses:,} because of the CA, {format_duration(by.paused_s)} in all"
    if by.lowest_share < 1:
        shown += f"; after a 429 no more than {by.lowest_share:.0%} of the windows was taken"
    return shown
