"""What became of a run, and what to do next."""

from pathlib import Path

import click

from batch_resend.durations import format_duration
from batch_resend.model import OrderStatus
from batch_resend.report import BackPressure, Summary


def show_summary(summary: Summary, folder: Path, options: str) -> None:
    """Print a run in a few lines, and the next command. `options`: flags it needs as well."""
    orders, rows, requests = summary.orders, summary.rows, summary.requests
    took = f" in {format_duration(summary.elapsed_s)}" if summary.elapsed_s else ""
    click.echo(
        f"Run {summary.run_id} {summary.state}{took}: "
        f"{orders.sent:,} of {orders.total:,} requests sent."
    )
    if summary.stop_reason:
        click.echo(f"  why       {summary.stop_reason}")
    counts = [f"{getattr(orders, s):,} {s.value.replace('_', ' ')}" for s in OrderStatus]
    click.echo(f"  orders    {' · '.join(counts)}")
    click.echo(
        f"  rows      {rows.read:,} read: {rows.accepted:,} accepted, {rows.duplicate:,} "
        f"duplicate, {rows.rejected:,} rejected"
    )
    click.echo(
        f"  requests  {requests.attempts:,} made, {requests.retries:,} of them retries, "
        f"{requests.rate_limited:,} answered with 429, "
        f"{requests.possible_duplicates:,} possible duplicate mails"
    )
    if summary.back_pressure.pauses:
        click.echo(f"  pauses    {_held_up(summary.back_pressure)}")
    click.echo(f"Report: {folder}")
    for line in _next_steps(summary, folder, options):
        click.echo(line)


def _held_up(by: BackPressure) -> str:
    """Return how far the CA held a run up."""
    told = f"{by.pauses:,} because of the CA, {format_duration(by.paused_s)} in all"
    if by.lowest_share < 1:
        told += f"; after a 429 no more than {by.lowest_share:.0%} of the windows was taken"
    return told


def _next_steps(summary: Summary, folder: Path, options: str) -> list[str]:
    orders = summary.orders
    steps: list[str] = []
    if orders.skipped:
        steps.append(
            f"{orders.skipped:,} skipped: acknowledged within the cooldown (--again sends them "
            "again), or not waiting for a mail, says their list (--all-statuses sends them). "
            f"{folder}/results.csv says which, when and by which run."
        )
    unsent = f"batch-resend send {folder}/unsent.csv{options}"
    if summary.started_at is None:
        steps.append(
            "To send: mend the rejected rows, or allow more (--max-rejected; without --strict)."
        )
    elif summary.state != "completed":
        steps.append(f"To go on: batch-resend resume {summary.run_id}{options}")
    elif orders.failed or orders.not_attempted:
        steps.append(f"To send what is left: {unsent}")
    if summary.state == "completed" and orders.in_doubt:
        steps.append(
            f"{orders.in_doubt:,} in doubt: they may have been mailed. To mail them once more: "
            f"{unsent} --in-doubt retry"
        )
    if orders.refused:
        steps.append(
            f"{orders.refused:,} refused by the CA: {folder}/results.csv says why, order by order."
        )
    if rejected := summary.rows.rejected:
        rows, them = ("row", "it") if rejected == 1 else ("rows", "them")
        steps.append(
            f"{rejected:,} rejected {rows}: {folder}/rejected.csv says why; mend {them} and send "
            f"{them} again."
        )
    return steps
