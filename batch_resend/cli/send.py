"""`send` and `resume`: from a list to a plan, and from a plan to a report."""

import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import click

from batch_resend.batch import Batch, Sending, open_batch
from batch_resend.cli.exits import SIGNAL_BASE, ExitCode
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import (
    hold_back_options,
    inputs_argument,
    limit_option,
    list_options,
    log_options,
    reading_of,
    same_options,
    send_options,
    settings_of,
)
from batch_resend.cli.plan import BEFORE_SENDING, show_plan
from batch_resend.cli.progress import follow
from batch_resend.cli.summary import show_summary
from batch_resend.cli.values import Share
from batch_resend.errors import BatchResendError, ReportError
from batch_resend.intake import ListSource
from batch_resend.journal import read_journal
from batch_resend.model import Plan, RowStatus, RunState
from batch_resend.report import make_preview

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is shown and reported."""

    report_dir: Path | None
    assume_yes: bool
    quiet: bool
    strict: bool
    max_rejected: Share | None
    again: str  # the options that a next command needs as well


@click.command(
    epilog="Example: batch-resend send --api-key-file key.txt --map order_id=Number export.csv"
)
@inputs_argument
@list_options
@hold_back_options
@limit_option
@send_options
@log_options
@click.pass_context
def send(context: click.Context, /, inputs: Sequence[str], **options: Any) -> int:
    """Read lists, send every order's mails once, and report on every row.

    INPUT is a list of any form, or - for standard input. Orders that the CA acknowledged
    within the cooldown are skipped; a run of the same requests that did not finish goes on.
    """
    _set_up_logs(options)
    sources, manner = _sources(inputs, options), _manner(context, options)

    async def work(interruption: Interruption) -> int:
        async with open_batch(settings_of(options)) as batch:
            return await _carry_out(batch, await batch.plan(sources), manner, interruption)

    return run_interruptibly(work)


@click.command(epilog="Example: batch-resend resume 20261123-211952-753e")
@click.argument("run_id", required=False, metavar="[RUN]")
@limit_option
@send_options
@log_options
@click.pass_context
def resume(context: click.Context, /, run_id: str | None, **options: Any) -> int:
    """Go on with a run that did not finish (the newest, unless named), from the journal alone."""
    _set_up_logs(options)
    manner = _manner(context, options)

    async def work(interruption: Interruption) -> int:
        async with read_journal(options["journal"]) as reader:
            run = await (reader.run(run_id) if run_id else reader.latest_unfinished())
        settings = settings_of(options, base_url=run.base_url if run else None)
        async with open_batch(settings) as batch:
            return await _carry_out(batch, await batch.take_up(run_id), manner, interruption)

    return run_interruptibly(work)


async def _carry_out(batch: Batch, plan: Plan, manner: Manner, interruption: Interruption) -> int:
    """Show the plan, ask, send, report; return the exit code."""
    if not manner.quiet:
        await _show_plan(batch, plan)
    if reason := _hold_back_reason(plan, manner):
        await batch.decline(plan, reason)
        return await _report(batch, plan, manner, interruption) or ExitCode.NOT_ALL_SENT
    if plan.to_send and not manner.assume_yes and not await _confirmed(plan):
        await batch.discard(plan)
        click.echo("Nothing was sent.", err=True)
        return ExitCode.NOT_STARTED
    # From here on there is something to report, whatever a signal finds being done.
    with interruption.leads_to(lambda _: "Stopping"):
        state = await _send(batch, plan, manner, interruption)
        code = await _report(batch, plan, manner, interruption)
    if interruption.caught is not None:
        return SIGNAL_BASE + interruption.caught
    return code if state is RunState.COMPLETED else ExitCode.STOPPED


async def _send(batch: Batch, plan: Plan, manner: Manner, interruption: Interruption) -> RunState:
    """Send what is planned; return how that ended."""
    try:
        async with batch.send(plan) as sending:
            with interruption.leads_to(lambda name: _stop(sending, name)):
                if interruption.caught is not None:
                    _stop(sending, signal.Signals(interruption.caught).name)
                await follow(sending, quiet=manner.quiet)
    except BatchResendError:
        raise  # such as a journal that cannot be written when sending is to begin: no error of ours
    except Exception:
        # An error of ours, not the user's: what was sent is in the journal, and so in the report.
        log.exception("an error in batch-resend itself; please report it")
        return RunState.STOPPED
    if sending.state is RunState.STOPPED:
        with suppress(OSError):
            click.echo(f"batch-resend: stopped: {sending.stop_reason}", err=True)
    return sending.state


def _stop(sending: Sending, signal_name: str) -> str:
    sending.stop(f"interrupted by {signal_name}")
    return f"Stopping: waiting for {sending.progress.in_flight} requests in flight"


async def _show_plan(batch: Batch, plan: Plan) -> None:
    limits = [str(window) for window in batch.settings.windows]
    preview = await make_preview(plan, batch.reader, limits, shown=BEFORE_SENDING.first)
    if plan.taken_up:
        click.echo(f"Run {plan.run.id} did not finish and goes on.", err=True)
    show_plan(preview, sys.stderr, BEFORE_SENDING)


def _hold_back_reason(plan: Plan, manner: Manner) -> str | None:
    """Return why nothing is to be sent, so many rows being rejected."""
    rejected, read = plan.rows[RowStatus.REJECTED], sum(plan.rows.values())
    if manner.strict and rejected:
        return f"--strict: {rejected:,} rows were rejected; nothing was sent"
    limit = manner.max_rejected
    if limit is not None and limit.is_exceeded(rejected, read):
        return (
            f"{rejected:,} of {read:,} rows were rejected, more than --max-rejected "
            f"{limit.text}; nothing was sent"
        )
    return None


async def _report(batch: Batch, plan: Plan, manner: Manner, interruption: Interruption) -> int:
    """Write the report and say what came of the run; return the exit code they mean."""
    folder = manner.report_dir or Path("reports") / plan.run.id
    try:
        with interruption.leads_to(lambda _: "Writing the report"):
            summary = await batch.report(plan.run, folder)
    except ReportError as error:
        click.echo(
            f"batch-resend: {error}\nThe run is safe in the journal; write its report with:\n"
            f"  batch-resend report {plan.run.id} --report-dir DIR",
            err=True,
        )
        return ExitCode.NOT_ALL_SENT
    with suppress(OSError):
        show_summary(summary, folder, manner.again)
    return ExitCode.ALL_WELL if summary.all_well else ExitCode.NOT_ALL_SENT


def _sources(inputs: Sequence[str], options: dict[str, Any]) -> list[ListSource]:
    reading = reading_of(options)
    return [ListSource(path, reading) for path in inputs]


def _manner(context: click.Context, options: dict[str, Any]) -> Manner:
    return Manner(
        report_dir=options["report_dir"],
        assume_yes=options["yes"],
        quiet=options["quiet"],
        strict=options.get("strict", False),
        max_rejected=options.get("max_rejected"),
        again=same_options(context),
    )


def _set_up_logs(options: dict[str, Any]) -> None:
    set_up_logs(int(options["verbose"]) - int(options["quiet"]), options["log_format"])


async def _confirmed(plan: Plan) -> bool:
    """Ask a person whether to send; where there is none, the command line was the answer."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return True
    question = f"Send {plan.to_send:,} requests now?"
    return await anyio.to_thread.run_sync(
        lambda: click.confirm(question, err=True), abandon_on_cancel=True
    )
