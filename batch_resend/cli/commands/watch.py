"""`watch`: a run that another process sends."""

from typing import Any

import anyio
import click

from batch_resend.cli.arguments import run_argument
from batch_resend.cli.command import (
    SHOWN,
    SIGNAL_BASE,
    ExitCode,
    command,
    option_of_its_own,
    together,
)
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import Style, journal_option, progress_option, report_dir_option
from batch_resend.cli.output.following import follow_others
from batch_resend.cli.output.summary import show_summary
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.standing import as_it_stands, await_report
from batch_resend.errors import NoJournal
from batch_resend.folders import Place
from batch_resend.journal import LATEST, JournalReader, read_journal
from batch_resend.model import Run
from batch_resend.notify import CommandResult

_LOOK_EVERY_S = 1.0  # whether a run has begun


@command(
    examples={
        "Watch the run that another terminal, or a timer, has begun": "batch-resend watch",
        "Watch the run that a terminal is about to begin": "batch-resend watch --wait",
    },
    exit_codes=(ExitCode.NOT_ALL_SENT, ExitCode.STOPPED),
    see_also=("runs", "show"),
)
@run_argument(default=None)
@journal_option
@report_dir_option
@option_of_its_own(
    "--wait",
    is_flag=True,
    help="If no run is under way, wait for the next one to begin; also for a journal.",
)
@together(SHOWN, progress_option)
@click.pass_context
def watch(context: click.Context, /, run_id: str | None, journal: Place, **options: Any) -> int:
    """Watch a run that another process sends (default: the one under way), without disturbing it.

    RUN is the name of a run, its beginning or end, or latest. If no run is under way, it shows the
    newest, and what to do next; with --wait, it waits for the next one to begin, and for a journal
    if there is none yet. Ctrl-C stops the watching, not the run. It ends once the run's report is
    written, with the run's exit code: 0 if every order was accepted, 3 if not, 4 if it ended early.
    """
    set_up_logs()
    try:
        return anyio.run(_watch, context, run_id, journal, Style(options["progress"]))
    except KeyboardInterrupt:
        click.echo("No longer watching; that stops no run.", err=True)
        return SIGNAL_BASE + 2


async def _watch(context: click.Context, run_id: str | None, journal: Place, style: Style) -> int:
    waits = context.params["wait"] and run_id is None
    is_new = waits and await _wait_for_journal(journal)
    async with read_journal(journal, clock_of_command()) as reader:
        run = await (_next_run(reader, is_new=is_new) if waits else _run_to_watch(reader, run_id))
        is_over = False
        while not is_over:  # of --max-orders, the rest may be sent once a person has agreed
            await follow_others(reader, run, style)
            run = await await_report(context, reader, run.id)
            is_over = not await reader.is_under_way(run)
        standing = await as_it_stands(context, reader, run)
        summary, code = standing.summary, ExitCode.STOPPED
        if summary.state == "completed":
            code = ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT
        if context.params["is_json"]:
            result = CommandResult(code, summary, standing.folder, next_steps=standing.steps)
            show_json(result.as_json())
            return code
        await show_summary(reader, run, standing)
        return code


async def _run_to_watch(reader: JournalReader, run_id: str | None) -> Run:
    if run_id is not None:
        return await reader.run(run_id)
    if (run := await _under_way(reader)) is not None:
        return run
    newest = " The newest run:" if await reader.runs(1) else ""
    say(
        "No run is under way. (A process that still reads its list, or asks the CA or you, sends "
        f"nothing yet: --wait waits for it.){newest}"
    )
    return await reader.run(LATEST)


async def _wait_for_journal(journal: Place) -> bool:
    """Return, once there is a journal, whether there was none before. Raises JournalError."""
    is_new = False
    while True:
        try:
            async with read_journal(journal, clock_of_command()):
                return is_new
        except NoJournal:
            if not is_new:
                say(f"{journal}: there is no journal here yet: waiting for it.")
            is_new = True
        await anyio.sleep(_LOOK_EVERY_S)


async def _next_run(reader: JournalReader, *, is_new: bool) -> Run:
    """Return the run under way, or the next one to begin, which may have ended by then.

    `is_new`: the journal came while it was waited for, so its runs did, too.
    """
    # What a killed run left is settled before a question about the rest: that is no beginning.
    before = 0 if is_new else await reader.newest_start()
    run = await _under_way(reader) or await reader.begun_since(before)
    if run is None:
        say("No run is under way: waiting for the next one to begin.")
    while run is None:
        await anyio.sleep(_LOOK_EVERY_S)
        run = await reader.begun_since(before)
    return run


async def _under_way(reader: JournalReader) -> Run | None:
    # Not always the newest: with a journal that hosts share, another one may have ended meanwhile.
    for run in await reader.runs():
        if await reader.is_under_way(run):
            return run
    return None
