"""`prune`: forget old runs and their reports; or show which these are."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import anyio
import click

from batch_resend.cli.command import ExitCode, command, flag, option_of_its_own
from batch_resend.cli.commands.runs import megabytes
from batch_resend.cli.next_flags import own_report_dir
from batch_resend.cli.options import journal_option, report_dir_option
from batch_resend.cli.output.terminal import Record, show_json, show_records
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.values import DURATION
from batch_resend.clock import timestamp
from batch_resend.folders import Place
from batch_resend.journal import Pruned, prune_journal, size_of_journal
from batch_resend.report import (
    OldReport,
    count_not_started,
    counted,
    found_in,
    old_reports,
    remove_reports,
)

LEAST_S = 2 * 86_400.0  # the cooldown is read off runs: they stay for longer than a usual one


@command(
    examples={
        "See what would go": "batch-resend prune --dry-run",
        "Once a month": "batch-resend prune --older-than 90d",
    },
    exit_codes=(ExitCode.JOURNAL_BUSY,),
    see_also=("runs",),
)
@option_of_its_own(
    "--older-than",
    type=DURATION,
    default="90d",
    help="Forget runs that ended longer ago than this; at least 2d.",
)
@journal_option
@report_dir_option
@option_of_its_own(
    "--keep-reports", is_flag=True, help="Leave the reports of these runs where they are."
)
@flag("--dry-run", "Show what would be forgotten and removed, and change nothing.")
def prune(older_than: float, journal: Place, report_dir: Path, **options: bool) -> int:
    """Forget old runs and remove their reports, to keep the journal small.

    How often each order was mailed is kept. The journal's file shrinks if a quarter of it is then
    empty. A report is removed from where --report-dir points now, and from where the run put it,
    and only if its summary.json names the run, or is missing in a folder of the run's name. An
    empty folder of its day goes, too. Reports of other rehearsals, whose journal is mostly gone, go
    from the folder of --report-dir by when they were written.
    """
    if older_than < LEAST_S:
        raise click.UsageError(
            "--older-than: at least 2d, because the cooldown needs the runs since then"
        )
    dry_run = options["dry_run"]
    before = size_of_journal(journal)
    pruned = Pruned((), ())
    clock = clock_of_command()  # in a rehearsed week, that of its nights
    if before is not None:
        pruned = anyio.run(partial(prune_journal, journal, older_than, clock, dry_run=dry_run))
    since = (time.time() - older_than, clock() - older_than)
    reports, not_started = list[OldReport](), 0
    if not options["keep_reports"]:
        reports = old_reports(report_dir, pruned.runs, since[0], own_report_dir)
        not_started = count_not_started(report_dir, reports, *since)
    records = _of_pruned(pruned, reports)
    removed = len(reports)
    if not (dry_run or options["keep_reports"]):
        removed = remove_reports(report_dir, reports, *since)
    after = size_of_journal(journal)
    if options["is_json"]:
        counts = {"runs": len(pruned.runs), "rows": pruned.rows, "reports": removed}
        counts["not_started"] = not_started
        sizes = {"bytes_before": before, "bytes_after": after}
        show_json(
            {"journal": str(journal), "dry_run": dry_run, **counts, **sizes, "forgotten": records}
        )
    else:
        what = f"{counted(len(pruned.runs), 'run')} with {counted(pruned.rows, 'row')}"
        rehearsals = sum(one.of is None for one in reports)
        _say(records, what, (removed, rehearsals, not_started), dry_run=dry_run)
        if before is None:
            click.echo(f"{journal}: there is no journal here yet.")
        elif not dry_run:
            click.echo(f"{journal} had {megabytes(before)}, now has {megabytes(after or 0)}")
    return ExitCode.ALL_WELL


def _say(
    records: Sequence[Record], what: str, also: tuple[int, int, int], *, dry_run: bool
) -> None:
    if dry_run and records:
        show_records(records, [*_TABLE], "table", _TABLE)
    would, end = (" would be", " Nothing was changed: --dry-run.") if dry_run else ("", "")
    removed, rehearsals, not_started = also
    text = f"; {counted(removed, 'report')}{would} removed" if removed else ""
    text += f", {rehearsals:,} of them of old rehearsals" if removed and rehearsals else ""
    if not_started:
        text += f"; {counted(not_started, 'command')} that could not start{would} forgotten"
    click.echo(f"{what}{would} forgotten{text}.{end}")


def _of_pruned(pruned: Pruned, reports: Sequence[OldReport]) -> list[Record]:
    """Return a record of each run, and of each rehearsal that has left only its report."""
    records: list[Record] = []
    of_runs = {one.of.id: one.folder for one in reports if one.of is not None}
    for run, rows in zip(pruned.runs, pruned.rows_of, strict=True):
        ended_at = run.finished_at or run.started_at or run.created_at
        records.append(_record(run.id, ended_at, rows, of_runs.get(run.id)))
    for one in reports:
        if one.of is None and (found := found_in(one.folder)):
            records.append(_record(found.run_id, found.ended_at, None, one.folder))
    return records


def _record(run: str, ended_at: float, rows: int | None, report: Path | None) -> Record:
    return {
        "run": run,
        "ended_at": timestamp(ended_at),
        "rows": rows,
        "report": None if report is None else str(report),
    }


_TABLE: dict[str, Callable[[Any], str]] = {
    "run": itemgetter("run"),
    "ended (UTC)": lambda run: run["ended_at"][:10],
    "rows": lambda run: "" if run["rows"] is None else f"{run['rows']:,}",
    "report": lambda run: run["report"] or "",
}
