"""How `send`, `resume` and `sweep` carry out a run: here, by workers."""

import logging
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import click

from batch_resend.batch import Batch
from batch_resend.channels import RunHandle
from batch_resend.cli.as_settings import RunOptions
from batch_resend.cli.commands.watch import follow_others
from batch_resend.cli.exits import SIGNAL_BASE, ExitCode
from batch_resend.cli.lifecycle import Interruption
from batch_resend.cli.logs import with_run_id
from batch_resend.cli.output.progress import follow, while_asking
from batch_resend.cli.output.summary import (
    BEFORE_SENDING,
    REASONS_SHOWN,
    show_counts,
    show_plan,
    show_summary,
)
from batch_resend.cli.output.terminal import say
from batch_resend.cli.prompts import CannotAskError, open_terminal
from batch_resend.cluster import leases
from batch_resend.cluster.queue import open_queue
from batch_resend.errors import BatchResendError, JournalError, ReportError
from batch_resend.model import Plan, RowStatus, Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import NextFlags, counted, make_preview, make_summary

AGAIN_AFTER_S = 2.0  # the database being gone

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Following:
    """Follows a run until it ends, or a signal ends the following."""

    run: Run
    flags: NextFlags
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def detach(self, _name: str) -> str:
        """End the following."""
        self.scope.cancel()
        program = f"batch-resend{self.flags.config}"
        return (
            f"The run goes on with the workers: `{program} watch {self.run.id}{self.flags.watch}` "
            f"follows it, `{program} report {self.run.id}{self.flags.watch}` writes its report"
        )


async def distribute(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> Run:
    """Have workers send what is planned; return the run when it has ended, or was left alone."""
    async with open_queue(batch.settings.journal) as queue:
        following = _Following(plan.run, run_options.presentation.flags)
        with interruption.leads_to(following.detach), following.scope:
            if interruption.caught is not None:  # before there was anything to follow
                name = signal.Signals(interruption.caught).name
                await batch.decline(plan, f"interrupted by {name}", RunState.INTERRUPTED)
                return await batch.reader.run(plan.run.id)
            await queue.add(await leases.distribute(batch, plan))
            if not any(worker.is_alive for worker in await queue.workers()):
                say(
                    "No worker is alive: the run begins as soon as there is one, `batch-resend "
                    "worker` on any host"
                )
            await _follow(batch, plan.run, quiet=run_options.quiet)
        return await batch.reader.run(plan.run.id)


async def _follow(batch: Batch, run: Run, *, quiet: bool) -> None:
    """Show how a run goes until it ends; while the database is gone, wait for it, as workers do."""
    while True:
        try:
            await follow_others(batch.reader, await batch.reader.run(run.id), quiet=quiet)
        except JournalError as error:
            log.error("%s; trying again in %gs", error, AGAIN_AFTER_S)
            await anyio.sleep(AGAIN_AFTER_S)
        else:
            return


async def execute(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> CommandResult:
    """Show the plan, ask, send, report; return how that ended."""
    reason = _hold_back_reason(plan, run_options)
    if run_options.preflight and plan.to_send and not reason:
        plan = await _preflight(batch, plan, run_options)
    will_pass = not batch.stopped_keys or plan.to_send > await batch.count_stopped(plan)
    asks = bool(plan.to_send) and will_pass and run_options.asks
    if not run_options.quiet or (asks and reason):
        await _show_plan(batch, plan, run_options, sys.stderr)
    if reason:
        log.debug("held back", extra={"why": reason})
        await batch.decline(plan, reason)
        ending = await _report(batch, plan, run_options, interruption)
        return replace(ending, code=ending.code or ExitCode.NOT_ALL_SENT)
    if asks and (refusal := await _refusal(batch, plan, run_options)) is not None:
        log.debug("declined", extra={"why": refusal})
        await batch.discard(plan)
        click.echo("Nothing was sent.", err=True)
        return CommandResult(ExitCode.NOT_STARTED, declined=f"nothing was sent: {refusal}")
    return await _send_and_report(batch, plan, run_options, interruption)


async def _preflight(batch: Batch, plan: Plan, run_options: RunOptions) -> Plan:
    """Ask the CA about what is to be sent; return the plan without what it objects to."""
    if not run_options.quiet:
        say(f"Asking the CA about {counted(plan.to_send, 'request')}")
    asking = batch.preflight(plan, any_product=run_options.any_product)
    return await while_asking(asking, batch, quiet=run_options.quiet)


async def _send_and_report(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> CommandResult:
    """Send, or have workers send, and report, whatever a signal finds being done."""
    with interruption.leads_to(lambda _: "Stopping"), with_run_id(plan.run.id):
        if run_options.distribute and plan.to_send:
            run = await _distribute(batch, plan, run_options, interruption)
            if run.is_with_workers:
                return CommandResult(
                    SIGNAL_BASE + (interruption.caught or 0), note="left to the workers"
                )
            state = run.state
        else:
            state = await _send(batch, plan, run_options, interruption)
        ending = await _report(batch, plan, run_options, interruption)
    if interruption.caught is not None:
        return replace(ending, code=SIGNAL_BASE + interruption.caught)
    return ending if state is RunState.COMPLETED else replace(ending, code=ExitCode.STOPPED)


async def _send(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> RunState:
    """Send what is planned; return how that ended."""
    log.debug("run begins", extra={"orders": plan.orders, "to_send": plan.to_send})
    try:
        async with batch.send(plan) as sending:
            with interruption.leads_to(lambda name: _stop(sending, name)):
                if interruption.caught is not None:
                    _stop(sending, signal.Signals(interruption.caught).name)
                await follow(sending, quiet=run_options.quiet)
    except BatchResendError:
        raise  # such as a journal that cannot be written when sending is to begin: no error of ours
    except Exception:
        # An error of ours, not the user's: what was sent is in the journal, and so in the report.
        log.exception("an error in batch-resend itself; please report it")
        return RunState.STOPPED
    log.debug("run ended: %s", sending.state, extra={"why": sending.stop_reason})
    if sending.state is RunState.STOPPED:
        with suppress(OSError):
            say(f"batch-resend: stopped: {sending.stop_reason}")
    return sending.state


async def _distribute(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> Run:
    """Have workers send what is planned; return the run as it was left."""
    from batch_resend.cli.execution import distribute  # noqa: PLC0415 - needs the extra cluster

    run = await distribute(batch, plan, run_options, interruption)
    if run.state is RunState.STOPPED:
        with suppress(OSError):
            say(f"batch-resend: stopped: {run.stop_reason}")
    return run


def _stop(sending: RunHandle, signal_name: str) -> str:
    sending.stop(f"interrupted by {signal_name}")
    return f"Stopping: waiting for {sending.progress.in_flight} requests in flight"


async def _show_plan(batch: Batch, plan: Plan, run_options: RunOptions, to: TextIO) -> None:
    preview = await make_preview(plan, batch.reader, shown=BEFORE_SENDING.first)
    if plan.taken_up:
        click.echo(f"Run {plan.run.id} did not finish and goes on.", file=to)
    show_plan(preview, to, BEFORE_SENDING, redact=run_options.presentation.redact)


def _hold_back_reason(plan: Plan, run_options: RunOptions) -> str | None:
    """Return why nothing is to be sent, so many rows being rejected."""
    rejected, read = plan.rows[RowStatus.REJECTED], sum(plan.rows.values())
    if run_options.strict and rejected:
        rows = "row was" if rejected == 1 else "rows were"
        return f"--strict: {rejected:,} {rows} rejected"
    limit = run_options.max_rejected
    if limit is not None and limit.is_exceeded(rejected, read):
        return f"{rejected:,} of {read:,} rows were rejected, more than --max-rejected {limit.text}"
    return None


async def _report(
    batch: Batch, plan: Plan, run_options: RunOptions, interruption: Interruption
) -> CommandResult:
    """Write the report and say what came of the run; return how a command ends by that."""
    flags = run_options.presentation.flags
    report_command = f"batch-resend{flags.config} report {plan.run.id}{flags.watch}"
    try:
        return await _write_report(batch, plan, run_options, interruption, report_command)
    except JournalError as error:
        note = f"run {plan.run.id} is over, and of what came of it nothing can be told: {error}"
        say(
            f"batch-resend: {note}\nOnce it can be used again, this writes the report:\n"
            f"  {report_command}"
        )
        return CommandResult(ExitCode.STOPPED, note=note, error=str(error))


async def _write_report(
    batch: Batch,
    plan: Plan,
    run_options: RunOptions,
    interruption: Interruption,
    report_command: str,
) -> CommandResult:
    """Report as `_report` does; `report_command` writes it later. Raises JournalError."""
    folder = run_options.report_dir or Path("reports") / plan.run.id
    presentation = run_options.presentation
    lost = await batch.journal_loss()
    if lost:  # what to do, its message says: no command would find the run
        flags = replace(presentation.flags, none_will_do=True)
        presentation = replace(presentation, flags=flags)
    try:
        with interruption.leads_to(lambda _: "Writing the report"):
            summary = await batch.report(plan.run, folder, presentation)
    except ReportError as error:
        say(
            f"batch-resend: {error}\nThe run is safe in the journal; write its report with:\n"
            f"  {report_command} --report-dir DIR"
        )
        summary = await make_summary(batch.reader, await batch.reader.run(plan.run.id))
        with suppress(OSError):
            show_counts(summary)
        return CommandResult(ExitCode.NOT_ALL_SENT, summary, error=str(error))
    with suppress(OSError):
        reasons = await batch.reader.reasons(plan.run, REASONS_SHOWN + 2)
        show_summary(summary, reasons, folder, presentation.flags)
    if not lost and (lost := await batch.journal_loss()):
        say(f"batch-resend: {lost}")
        return CommandResult(ExitCode.STOPPED, summary, folder, error=lost)
    code = ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT
    return CommandResult(code, summary, folder)


async def _refusal(batch: Batch, plan: Plan, run_options: RunOptions) -> str | None:
    """Ask at the terminal whether to send; return why not, or None if the answer is yes."""
    try:
        with open_terminal() as terminal:
            if (
                run_options.quiet or terminal.shows is not sys.stderr
            ):  # where the plan was not shown
                await _show_plan(batch, plan, run_options, terminal.shows)
            question = await _question(batch, plan)
            confirmed = await anyio.to_thread.run_sync(
                terminal.confirm, question, abandon_on_cancel=True
            )
    except CannotAskError as error:
        say(f"batch-resend: nobody can be asked whether to send: {error}; --yes sends unasked")
        return f"nobody could be asked: {error}"
    return None if confirmed else "a person said no"


async def _question(batch: Batch, plan: Plan) -> str:
    requests = counted(plan.to_send, "request")
    accounts = map(batch.settings.account, await batch.reader.count_by_account(plan.run))
    hosts = sorted({urlsplit(account.base_url).hostname or "" for account in accounts})
    return f"Send {requests} to {' and '.join(hosts)} now?"
