"""`watch`: a run that another process sends, as that process shows it."""

import anyio
import click

from batch_resend.cli.as_settings import next_flags_of_run
from batch_resend.cli.command import SIGNAL_BASE, ExitCode, command
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import journal_option, run_argument
from batch_resend.cli.output.progress import follow_others, is_under_way
from batch_resend.cli.output.summary import show_counts
from batch_resend.errors import UnknownRun
from batch_resend.folders import Place
from batch_resend.journal import JournalReader, read_journal
from batch_resend.model import Run
from batch_resend.report import NextFlags, Summary, make_summary


@command(
    examples={"Watch the run that another terminal, or a timer, has begun": "batch-resend watch"},
    exit_codes=(ExitCode.NOT_ALL_SENT, ExitCode.STOPPED),
    see_also=("runs", "show"),
)
@run_argument(required=False)
@journal_option
@click.pass_context
def watch(context: click.Context, run_id: str | None, journal: Place) -> int:
    """Watch a run that another process sends, the one under way unless named. Disturbs nothing.

    Ctrl-C ends the watching, not the run. Ends with the run, and with its exit code: 0 if every
    order was accepted, 3 if not, 4 if it ended early.
    """
    set_up_logs()
    try:
        summary, flags = anyio.run(_watch, context, run_id, journal)
    except KeyboardInterrupt:
        click.echo("No longer watching; the run continues.", err=True)
        return SIGNAL_BASE + 2
    show_counts(summary)
    if summary.finished_at is None:
        click.echo(
            "The process that sent it is gone (killed, or the power failed). To go on:\n"
            f"  batch-resend{flags.config} resume {summary.run_id}{flags.resume}"
        )
    if summary.state != "completed":
        return ExitCode.STOPPED
    return ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT


async def _watch(
    context: click.Context, run_id: str | None, journal: Place
) -> tuple[Summary, NextFlags]:
    async with read_journal(journal) as reader:
        run = await _run_under_way(reader, run_id, journal)
        await follow_others(reader, run)
        run = await reader.run(run.id)
        flags = next_flags_of_run(context, run, await reader.accounts(run))
        return await make_summary(reader, run), flags


async def _run_under_way(reader: JournalReader, run_id: str | None, journal: Place) -> Run:
    if run_id is not None:
        return await reader.run(run_id)
    # Not always the newest: an older one may be resumed.
    for run in await reader.runs():
        if await is_under_way(run, reader):
            return run
    raise UnknownRun(
        f"{journal}: no run is under way; `batch-resend runs --journal {journal}` lists all. A "
        "process that is still reading, a list or which orders wait at the CA, has none yet"
    )
