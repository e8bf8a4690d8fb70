"""`watch`: a run that another process sends, as that process shows it."""

from typing import cast

import anyio
import click

from batch_resend.cli.command import SHOWN, SIGNAL_BASE, ExitCode, command, together
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import next_flags_of_run
from batch_resend.cli.options import Style, journal_option, progress_option, run_argument
from batch_resend.cli.output.progress import showing
from batch_resend.cli.output.summary import show_counts
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.cli.output.view import View
from batch_resend.clock import SystemClock
from batch_resend.folders import Place
from batch_resend.journal import LATEST, RATE_OVER_S, JournalReader, LiveStatus, read_journal
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import NextFlags, Summary, make_summary
from batch_resend.sending import Share
from batch_resend.windows import Course, Schedule, parse_windows, time_left_s

_LOOK_EVERY_S = 1.0
_WORK_SHARE = 0.05  # of the time, at most, that looking takes


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
        if await _is_under_way(run, reader):
            return run
    say(
        "No run is under way. (A process that is still reading its list, or asking the CA, has not "
        f"begun one yet.){' The newest run:' if runs else ''}"
    )
    return await reader.run(LATEST)


async def follow_others(reader: JournalReader, run: Run, style: Style) -> None:
    """Show how a run goes that other processes send, until it ends. Raises JournalError."""
    watcher = _Watcher(reader, run)
    if not await watcher.look():
        return
    async with showing(watcher.view, style, at_once=True):
        while await watcher.look_again():
            pass


async def _is_under_way(run: Run, reader: JournalReader) -> bool:
    return run.state is RunState.RUNNING and await reader.holder(run) is not None


class _Watcher:
    """Looks at a run now and then, through the journal."""

    def __init__(self, reader: JournalReader, run: Run) -> None:
        self.rest_s = _LOOK_EVERY_S
        self._reader = reader
        self._run = run
        self._clock = SystemClock()
        self._windows = parse_windows(run.limits)
        self._schedule = Schedule(self._windows)
        self._standing: LiveStatus | None = None
        self._looked_at = 0.0

    async def look(self) -> bool:
        """Look where the run stands; return whether it is still under way."""
        began = anyio.current_time()
        self._run = await self._reader.run(self._run.id)
        self._standing = await self._reader.standing(self._run, self._clock)
        self._looked_at = anyio.current_time()
        self.rest_s = max(_LOOK_EVERY_S, (self._looked_at - began) / _WORK_SHARE)
        return await _is_under_way(self._run, self._reader)

    async def look_again(self) -> bool:
        await anyio.sleep(self.rest_s)
        return await self.look()

    def view(self) -> View:
        """Return how the run goes, as it was when last looked at."""
        standing = cast("LiveStatus", self._standing)  # a run under way, once looked at, has one
        since_look_s = anyio.current_time() - self._looked_at
        outcomes = dict(standing.outcomes)
        total = standing.planned - outcomes.pop(RequestStatus.SKIPPED, 0)
        pausing = standing.pausing
        held_up_s = None
        if pausing is not None and pausing.left_s is not None:
            held_up_s = max(0.0, pausing.left_s - since_look_s)
        period_s = max((window.period_s for window in self._windows), default=1.0)
        share = Share(period_s, standing.share, -standing.share_since_s).at(since_look_s)
        return View(
            total=total,
            outcomes=outcomes,
            in_flight=standing.in_flight,
            rate_per_s=standing.ended_lately / RATE_OVER_S,
            limits=self._run.limits,
            share=share,
            held_up_by=f"paused: {pausing.reason}" if pausing else None,
            held_up_s=held_up_s,
            retries=standing.retries,
            unsettled=standing.unsettled,
            left_s=time_left_s(
                self._schedule,
                Course(
                    made=standing.made,
                    done=standing.made - standing.retries - standing.in_flight,
                    to_make=total - sum(outcomes.values()),
                    since_last_s=(standing.since_last_s or 0.0) + since_look_s,
                    elapsed_s=standing.since_start_s,
                    paused_s=held_up_s or 0.0,
                    share=share,
                ),
            ),
        )
