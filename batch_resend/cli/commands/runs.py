"""`runs`, `show` and `report`: what the journal knows of earlier runs."""

from collections.abc import Callable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

import anyio
import click

from batch_resend.cli.arguments import run_argument
from batch_resend.cli.command import (
    ExitCode,
    WholeNumber,
    command,
    format_option,
    option_of_its_own,
)
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import next_flags_of_run, report_dir_for, show_as_begun
from batch_resend.cli.options import (
    journal_option,
    order_url_option,
    redact_option,
    report_dir_option,
)
from batch_resend.cli.output.summary import Standing, show_summary
from batch_resend.cli.output.terminal import Record, records_of, show_json, show_records
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.standing import as_it_stands
from batch_resend.clock import in_local_time, with_local_times
from batch_resend.folders import Place
from batch_resend.journal import read_journal, size_of_journal
from batch_resend.model import Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import (
    OrdersNow,
    Presentation,
    Summary,
    beside_skipped,
    counted,
    folder_of,
    in_words,
    make_summary,
    next_steps,
    of_profile,
    set_aside,
    time_taken,
    update_index,
    write_report,
)

_COUNTS = tuple(OrdersNow.model_fields)
_TO_RESUME = ("not_attempted", "in_doubt", "in_doubt_elsewhere")
_ALL_RUNS = 2**31


@command(
    examples={
        "All runs": "batch-resend runs",
        "The newest three": "batch-resend runs --last 3",
        "For a spreadsheet": "batch-resend runs --format csv",
    },
    see_also=("show", "watch"),
)
@option_of_its_own(
    "--last",
    metavar="N",
    type=WholeNumber(min=1),
    show_default="all",
    help="Only the newest N runs.",
)
@format_option("table", "csv")
@journal_option
def runs(journal: Place, form: str, last: int | None, is_json: bool) -> int:
    """List all runs, newest first.

    The newest is the one that was begun, resumed or ended last. Times are local; in CSV and JSON
    they are UTC.
    """

    async def found() -> list[tuple[Summary, str]]:
        if size_of_journal(journal) is None:
            return []
        async with read_journal(journal, clock_of_command()) as reader:
            return [
                (await make_summary(reader, run), _state(run, await reader.holder(run)))
                for run in await reader.runs(last or _ALL_RUNS)
            ]

    records = records_of(anyio.run(found), _RUN_FIELDS)
    if is_json:
        show_json(records)
        return ExitCode.ALL_WELL
    if not records and form == "table":
        click.echo(f"No runs yet in {journal}.")
        return ExitCode.ALL_WELL
    show_records(records, [*_RUN_FIELDS], form, _RUN_TABLE)
    if form == "table":
        size = megabytes(size_of_journal(journal) or 0)
        click.echo(f"Size of the journal {journal}: {size}", err=True)
    return ExitCode.ALL_WELL


def _state(run: Run, holder: str | None) -> str:
    """Return where a run stands; one that was cut off is not under way."""
    if run.state is not RunState.RUNNING:
        return run.state.value
    return f"running ({holder})" if holder else RunState.INTERRUPTED.value


def _local(at: str | None) -> str:
    """Return a time in this time zone, and how long ago it was; "" where there is none."""
    if at is None:
        return ""
    return in_local_time(datetime.fromisoformat(at).timestamp(), clock_of_command()())


def _count(status: str) -> Callable[[tuple[Summary, str]], object]:
    return lambda run: getattr(run[0].orders_now, status)


_RUN_FIELDS: dict[str, Callable[[tuple[Summary, str]], object]] = {
    "run": lambda run: run[0].run_id,
    "state": lambda run: run[1],
    "profile": lambda run: run[0].profile,
    "is_rehearsal": lambda run: run[0].is_rehearsal,
    "started_at": lambda run: run[0].started_at,
    "elapsed_s": lambda run: run[0].elapsed_s,
    "between_starts_s": lambda run: run[0].between_starts_s,
    **{status: _count(status) for status in _COUNTS},
    "other_call": lambda run: run[0].skipped.other_call,
    "sent_of": lambda run: run[0].sent_of,
    "left": lambda run: run[0].left,
    "left_out": lambda run: run[0].left_out,
    "stuck": lambda run: run[0].stuck,
    "attempts": lambda run: run[0].requests.attempts,
    "inputs": lambda run: [note.path for note in run[0].inputs],
}


def _took(elapsed_s: float | None, between_s: float) -> str:
    return "" if elapsed_s is None else time_taken(elapsed_s - between_s, between_s)


def _not_sent(record: Any) -> str:
    """Return what became of what was not sent, and what `resume` sends, where that differs."""
    counts = [(name, record[name]) for name in _COUNTS if name not in ("total", "sent")]
    words = {"not_attempted": "to go"} if str(record["state"]).startswith("running") else {}
    beside = {"skipped": beside_skipped(record["skipped"], record["other_call"])}
    shown = [
        f"{count:,} {words.get(status) or in_words(status)}{beside.get(status, '')}"
        for status, count in counts
        if count
    ]
    open_ones = sum(record[status] for status in _TO_RESUME)
    if record["left"] not in (None, open_ones):
        shown.append(f"{record['left']:,} left")
    if record["stuck"]:
        shown.append(f"{record['stuck']:,} stuck")
    left_out = f"; of what is left, {record['left_out']:,} left out of a later list"
    return f"{', '.join(shown)}{left_out if record['left_out'] else ''}"


_RUN_TABLE: dict[str, Callable[[Any], str]] = {
    "run": itemgetter("run"),
    "state": lambda run: (
        run["state"].partition(" (")[0]  # without the process
        + (", rehearsal" if run["is_rehearsal"] else "")
    ),
    "started": lambda run: _local(run["started_at"]),
    "took": lambda run: _took(run["elapsed_s"], run["between_starts_s"]),
    "sent": lambda run: f"{run['sent']:,} of {run['sent_of']:,}",
    "not sent": _not_sent,
    "lists": lambda run: f"{', '.join(run['inputs'])}{of_profile(run['profile'])}",
}


@command(
    examples={
        "The newest run in numbers": "batch-resend show",
        "Another run, by the beginning of its name, or its end": "batch-resend show 753e",
        "For a program, as summary.json has it": "batch-resend show --json",
    },
    see_also=("runs", "report"),
)
@run_argument()
@format_option("table", "csv")
@journal_option
@report_dir_option
@click.pass_context
def show(context: click.Context, /, run_id: str, journal: Place, **options: Any) -> int:
    """Show a run (default: the newest): its lists, limits and counts, and what to do next.

    RUN is the name of a run, its beginning or end, or latest. --json prints it as in summary.json.
    """

    async def shown() -> None:
        async with read_journal(journal, clock_of_command()) as reader:
            run = await reader.run(run_id)
            standing = await as_it_stands(context, reader, run)
            summary = standing.summary
            state = _state(run, await reader.holder(run))
            if options["is_json"]:
                show_json(summary.model_dump(mode="json"))
                return
            if options["form"] == "csv":
                show_records(_facts(summary, state), ["fact", "value"], "csv", {})
                return
            local = with_local_times(state)
            await show_summary(reader, run, standing, _when_and_where(summary, local))

    anyio.run(shown)
    return ExitCode.ALL_WELL


def _when_and_where(summary: Summary, state: str) -> Iterator[tuple[str, str]]:
    yield "state", state
    yield "started", _local(summary.started_at) or "never"
    finished = "not yet" if summary.state == "running" else "never"
    yield "finished", _local(summary.finished_at) or finished
    for url in summary.urls:
        yield "CA", url
    yield "limits", " and ".join(summary.limits) or "none"
    for note in summary.inputs:
        yield "list", f"{note.path}: {counted(note.rows, 'row')}"


def _facts(summary: Summary, state: str) -> list[Record]:
    facts: list[tuple[str, object]] = [
        ("run", summary.run_id),
        ("profile", summary.profile or ""),
        ("state", state),
        ("why", summary.stop_reason or ""),
        ("started", summary.started_at or "never"),
        ("finished", summary.finished_at or "not yet"),
        ("took", _took(summary.elapsed_s, summary.between_starts_s)),
        *(("CA", url) for url in summary.urls),
        ("limits", " and ".join(summary.limits) or "none"),
        *(("input", f"{note.path}: {counted(note.rows, 'row')}") for note in summary.inputs),
    ]
    for group, counts in (
        ("rows", summary.rows),
        ("orders", summary.orders),
        ("skipped orders", summary.skipped),
        ("requests", summary.requests),
    ):
        facts += [(f"{group}, {in_words(name)}", count) for name, count in counts]
    held_up = summary.back_pressure
    facts += [
        ("pauses because of the CA", held_up.pauses),
        ("paused for, seconds", held_up.paused_s),
        ("least share of the limits used", held_up.lowest_share),
    ]
    return [{"fact": name, "value": value} for name, value in facts if value != ""]


@command(
    examples={
        "Of the newest run": "batch-resend report",
        "Mask the addresses in report.html (the tables keep them)": "batch-resend report "
        "--redact 20261123-211952-753e",
    },
    see_also=("show",),
)
@run_argument()
@journal_option
@report_dir_option
@order_url_option
@redact_option
@click.pass_context
def report(context: click.Context, /, run_id: str, journal: Place, **options: Any) -> int:
    """Write a run's report again (default: the newest run's), from the journal alone.

    RUN is the name of a run, its beginning or end, or latest. Without --report-dir, it is written
    where the run wrote it. This never replaces the report of a newer run: it then writes to a
    folder of its own beside it.
    """
    set_up_logs(options)

    async def written() -> CommandResult:
        async with read_journal(journal, clock_of_command()) as reader:
            run = await reader.run(run_id)
            pattern = report_dir_for(context, run)
            folder = set_aside(folder_of(pattern, run), run)
            flags = await next_flags_of_run(context, reader, run)
            show_as_begun(context, run)
            options.update((name, context.params[name]) for name in ("redact", "order_url"))
            presentation = Presentation(
                flags, redact=options["redact"], order_url=options["order_url"]
            )
            summary = await write_report(reader, run, folder, presentation)
            update_index(pattern)
            steps = next_steps(summary, folder, flags)
            if not options["is_json"]:
                await show_summary(reader, run, Standing(summary, folder, steps))
            return CommandResult(ExitCode.ALL_WELL, summary, folder, next_steps=steps)

    result = anyio.run(written)
    if options["is_json"]:
        show_json(result.as_json(redact=options["redact"]))
    elif options["redact"]:
        click.echo("Only report.html is masked; the other files have the addresses.", err=True)
    return ExitCode.ALL_WELL


def megabytes(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1_000_000:,.1f} MB"
