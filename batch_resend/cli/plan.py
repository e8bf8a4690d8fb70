"""The plan, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from batch_resend.durations import format_duration
from batch_resend.report import Kind, Preview


@dataclass(frozen=True, slots=True)
class Closeness:
    """How closely a plan is shown."""

    first: int  # rows or orders of each kind, at most
    other_rows: str  # where the others are
    other_orders: str


BEFORE_SENDING = Closeness(2, "all are in rejected.csv of the report", "`check -v` lists them")
WHEN_CHECKING = Closeness(5, "-v lists them", "-v lists them")
WHEN_CHECKING_CLOSELY = Closeness(10_000, "mend these first", "see to these first")


def show_plan(preview: Preview, to: TextIO, closeness: Closeness) -> None:
    """Print what a run is about to do."""

    def say(label: str, text: str) -> None:
        click.echo(f"  {label:<9} {text}", file=to)

    rows = preview.rows
    click.echo("Plan", file=to)
    for read in preview.inputs:
        say("list", f"{read.path}: {read.form}, {read.rows:,} rows")
    say(
        "rows",
        f"{rows.read:,} read: {rows.accepted:,} accepted, {rows.duplicate:,} duplicate, "
        f"{rows.rejected:,} rejected",
    )
    say(
        "requests",
        f"{preview.requests:,} for {preview.orders:,} orders (one an order and language), "
        f"{preview.to_send:,} to send",
    )
    for skip in preview.skipped:
        say("skipped", f"{skip.count:,}: {skip.text}")
    if preview.skipped_otherwise:
        say("skipped", f"{preview.skipped_otherwise:,}: for other reasons")
    if preview.skipped:
        say("", "--all-statuses sends those too")
    if preview.cooling_down:
        say(
            "skipped",
            f"{preview.cooling_down:,} acknowledged within the cooldown; --again sends them again",
        )
    if preview.held:
        say(
            "in doubt",
            f"{preview.held:,} may have been mailed before; --in-doubt retry sends them again",
        )
    if preview.recipients:
        shown = [f"{one.text} {one.count:,}" for one in preview.recipients]
        if others := preview.recipient_domains - len(shown):
            mails = preview.mails - sum(one.count for one in preview.recipients)
            shown.append(f"{others:,} other domains {mails:,}")
        say("mails to", ", ".join(shown))
    if preview.without_addresses:
        say(
            "",
            f"{preview.without_addresses:,} without addresses: the CA mails all domains of the "
            "order that wait",
        )
    limits = " and ".join(preview.limits) or "no limit"
    say("time", f"{format_duration(preview.duration_s)} at the least, within {limits}")
    _show_kinds("Rejected", "row", preview.rejected, to, closeness.other_rows)
    _show_kinds("Worth a look", "order", preview.warnings, to, closeness.other_orders)


def _show_kinds(title: str, of: str, kinds: Sequence[Kind], to: TextIO, elsewhere: str) -> None:
    """Print what was found, by kind, with the first rows of each."""
    if not kinds:
        return
    click.echo(title, file=to)
    for kind in kinds:
        some = f"{kind.count:,} {of}" + ("s" if kind.count > 1 else "")
        click.echo(f"  {some}: {kind.text}", file=to)
        for place in kind.first:
            click.echo(f"    {place.file}, line {place.line}: {place.text}", file=to)
        if (more := kind.count - len(kind.first)) > 0:
            click.echo(f"    and {more:,} more: {elsewhere}", file=to)
