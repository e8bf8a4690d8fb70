"""The plan, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from batch_resend.durations import format_duration
from batch_resend.journal import JournalReader
from batch_resend.model import OrderStatus, Plan, RowStatus
from batch_resend.windows import Window


@dataclass(frozen=True, slots=True)
class Rejects:
    """How many rejected rows a plan lists, and where the others are."""

    shown: int
    elsewhere: str


BEFORE_SENDING = Rejects(5, "all are in rejected.csv of the report")
WHEN_CHECKING = Rejects(10, "-v lists them")
WHEN_CHECKING_CLOSELY = Rejects(100_000, "mend these first")


async def show_plan(
    plan: Plan,
    reader: JournalReader,
    windows: Sequence[Window],
    to: TextIO,
    rejects: Rejects,
) -> None:
    """Print what a run is about to do."""
    rows, settled = plan.rows, plan.settled

    def say(label: str, text: str) -> None:
        click.echo(f"  {label:<9} {text}", file=to)

    if plan.taken_up:
        click.echo(f"Run {plan.run.id} did not finish and goes on.", file=to)
    click.echo("Plan", file=to)
    say(
        "rows",
        f"{sum(rows.values()):,} read: {rows[RowStatus.ACCEPTED]:,} accepted, "
        f"{rows[RowStatus.DUPLICATE]:,} duplicate, {rows[RowStatus.REJECTED]:,} rejected",
    )
    say("requests", f"{plan.orders:,} (an order, in one language), {plan.to_send:,} to send")
    if skipped := settled.get(OrderStatus.SKIPPED):
        say("skipped", f"{skipped:,} acknowledged within the cooldown; --again sends them again")
    if held := settled.get(OrderStatus.IN_DOUBT):
        say("in doubt", f"{held:,} may have been mailed before; --in-doubt retry sends them again")
    limits = " and ".join(map(str, windows)) or "no limit"
    say("time", f"{format_duration(plan.duration_s)} at the least, within {limits}")
    if rows[RowStatus.REJECTED]:
        await _show_rejects(plan, reader, to, rejects)


async def _show_rejects(plan: Plan, reader: JournalReader, to: TextIO, rejects: Rejects) -> None:
    inputs = await reader.inputs(plan.run)
    click.echo("Rejected", file=to)
    for row in await reader.first_rejected(plan.run, rejects.shown):
        click.echo(f"  {inputs[row.input_ordinal].name}, line {row.line}: {row.reason}", file=to)
    more = plan.rows[RowStatus.REJECTED] - rejects.shown
    if more > 0:
        click.echo(f"  and {more:,} more: {rejects.elsewhere}", file=to)
