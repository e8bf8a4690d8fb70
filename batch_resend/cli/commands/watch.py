"""`watch`: a run that another process sends, as that process shows it."""

import anyio
import click

from batch_resend.cli.command import SHOWN, SIGNAL_BASE, ExitCode, command, together
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import next_flags_of_run
from batch_resend.cli.options import Style, journal_option, progress_option, run_argument
from batch_resend.cli.output.progress import follow_others, is_under_way
from batch_resend.cli.output.summary import show_counts
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.folders import Place
from batch_resend.journal import LATEST, JournalReader, read_journal
from batch_resend.model import Run
from batch_resend.notify import CommandResult
from batch_resend.report import NextFlags, Summary, make_summary


@command(
    examples={"Watch the run that another terminal, or a timer, has begun": "batch-resend watch"},
    exit_codes=(ExitCode.NOT_ALL_SENT, ExitCode.STOPPED),
    see_also=("runs", "show"),
)
@run_argument(default=None)
@journal_option
@together(SHOWN, progress_option)
@click.pass_context
def watch(
    context: click.Context, run_id: str | None, journal: Place, progress: str, is_json: bool
) -> int:
    """Watch a run that another process sends (default: the one under way), without disturbing it.

    RUN is the name of a run, the beginning of it, or latest. If no run is under way, it shows the
    newest, and how to resume it. Ctrl-C stops the watching, not the run. It ends with the run and
    with the run's exit code: 0 if every order was accepted, 3 if not, 4 if it ended early.
    """
    set_up_logs()
    try:
        summary, flags = anyio.run(_watch, context, run_id, journal, Style(progress))
    except KeyboardInterrupt:
        click.echo("No longer watching; the run continues.", err=True)
        return SIGNAL_BASE + 2
    code = ExitCode.STOPPED
    if summary.state == "completed":
        code = ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT
    if is_json:
        show_json(CommandResult(code, summary).as_json())
        return code
    show_counts(summary)
    if summary.finished_at is None:
        click.echo("The process that sent it is gone (killed, or the power failed).")
    if code is ExitCode.STOPPED and not flags.none_will_do:
        command = f"batch-resend{flags.config} resume {summary.run_id}{flags.resume}"
        click.echo(f"To resume:\n  {command}")
    return code


async def _watch(
    context: click.Context, run_id: str | None, journal: Place, style: Style
) -> tuple[Summary, NextFlags]:
    async with read_journal(journal) as reader:
        run = await _run_to_watch(reader, run_id)
        await follow_others(reader, run, style)
        run = await reader.run(run.id)
        flags = next_flags_of_run(context, run, await reader.accounts(run))
        return await make_summary(reader, run), flags


async def _run_to_watch(reader: JournalReader, run_id: str | None) -> Run:
    if run_id is not None:
        return await reader.run(run_id)
    runs = await reader.runs()
    # Not always the newest: an older one may be resumed.
    for run in runs:
        if await is_under_way(run, reader):
            return run
    say(
        "No run is under way. (A process that is still reading its list, or asking the CA, has not "
        f"begun one yet.){' The newest run:' if runs else ''}"
    )
    return await reader.run(LATEST)
