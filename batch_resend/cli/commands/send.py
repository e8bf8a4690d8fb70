"""`send` and `resume`: from a list to a report."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import click

from batch_resend.batch import open_batch, unfinished
from batch_resend.channels import best_fitting
from batch_resend.cli.arguments import inputs_argument, run_argument
from batch_resend.cli.as_settings import (
    accounts_to_plan_by,
    endpoint_of,
    reading_of,
    run_options_of,
    settings_by,
    settings_of,
)
from batch_resend.cli.command import (
    OF_SENDING,
    ExitCode,
    WholeNumber,
    command,
    option,
    together,
)
from batch_resend.cli.commands.check import check_lists, show_only
from batch_resend.cli.execution import execute
from batch_resend.cli.keys import FoundKey
from batch_resend.cli.left import plan_of_left
from batch_resend.cli.lifecycle import Interruption, run_with_notifier
from batch_resend.cli.logs import mask_logs, name_run, set_up_logs
from batch_resend.cli.next_flags import (
    AS_BEGUN,
    refuse_other_profile,
    resume_as_begun,
)
from batch_resend.cli.options import (
    RESUME,
    any_product_option,
    hold_back_options,
    list_options,
    send_options,
)
from batch_resend.cli.other_runs import how_to_send_held_back, resume_others
from batch_resend.cli.output.summary import show_next_steps
from batch_resend.cli.output.terminal import say
from batch_resend.cli.rehearsals import (
    RESUME_NO_REHEARSAL,
    are_all_ended,
    clock_of_command,
    is_over,
    refuse_ended_rehearsal,
    without_simulator,
)
from batch_resend.errors import JournalBusy, SettingsError, UnknownRun
from batch_resend.intake import ListSource
from batch_resend.journal import JournalReader, read_journal
from batch_resend.model import Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import counted
from batch_resend.results import Unfinished

_STUCK = "stuck"
_OTHERS_SHOWN = 2  # runs that did not finish either
fail_option = together(
    "What counts as a failure",
    option(
        "--fail-on",
        type=click.Choice([_STUCK]),
        carried_to=(RESUME,),
        help="Exit with code 3 also if orders are stuck, which means that they have reached "
        "--max-mails-per-order and still wait.",
    ),
)

_first_orders_option = together(
    "When not to send",
    option(
        "--max-orders",
        "first_orders",
        type=WholeNumber(min=1),
        metavar="N",
        help="Send N orders first, of several accounts by turns, and show the answers. On a "
        "terminal you are asked whether to send the rest; otherwise the run ends there, and "
        "`resume` sends the rest.",
    ),
)


@command(
    examples={
        "Send a list, with the key in a file": "batch-resend send --api-key-file key.txt "
        "orders.csv",
        "Send an export with headings of its own": "batch-resend send --map order_id=Number "
        '--map email="Approver address" export.csv',
        "Send what an earlier run left": "batch-resend send reports/RUN_ID/unsent.csv",
        "Send five, look at the answers, then send the rest": "batch-resend send --max-orders 5 "
        "orders.csv",
        "In a nightly job": "batch-resend send --yes -q --log-file resend.log "
        "--ping-url https://hc-ping.com/UUID orders.csv",
        "From another program": "export-orders | batch-resend send --in-doubt hold -",
    },
    exit_codes=OF_SENDING,
    see_also=("check", "simulate", "watch", "resume"),
)
@inputs_argument
@list_options
@_first_orders_option
@hold_back_options
@send_options
@click.pass_context
def send(context: click.Context, /, inputs: Sequence[str], **options: Any) -> int:
    """Read lists, send every order's mails once, and report on every row.

    INPUT is a list in any form, or - for standard input. Orders that the CA acknowledged within the
    cooldown are skipped. If a run of the same requests did not finish, it is resumed.
    """
    if options["dry_run"]:
        set_up_logs(options)
        code = check_lists(inputs, options)
        first = options["first_orders"]
        few = f" Without it, the first {first:,} would be sent (--max-orders)." if first else ""
        click.echo(f"Nothing was sent: --dry-run.{few}")
        return code
    _refuse_first_orders_of_workers(options)

    async def work(interruption: Interruption) -> CommandResult:
        run_options = run_options_of(context, options)
        reading = reading_of(options)
        sources = [ListSource(path, reading) for path in inputs]
        async with open_batch(settings_of(options), clock_of_command()) as batch:
            return await execute(batch, batch.plan(sources), run_options, interruption)

    return run_with_notifier(work, options)


def _refuse_first_orders_of_workers(options: dict[str, Any]) -> None:
    if options["distribute"] and options["first_orders"]:
        raise click.UsageError("--max-orders cannot be combined with --distribute")


@command(
    examples={
        "Resume the last run that did not finish": "batch-resend resume",
        "Resume another run, by the beginning of its name": "batch-resend resume 20261123",
        "Resume it, and leave to a person what is in doubt": "batch-resend resume --in-doubt hold",
        "See what is left of it": "batch-resend resume --dry-run",
    },
    exit_codes=OF_SENDING,
    see_also=("runs", "show"),
)
@run_argument(default=None)
@_first_orders_option
@together("When not to send", any_product_option)
@fail_option
@send_options
@click.pass_context
def resume(context: click.Context, /, run_id: str | None, **options: Any) -> int:
    """Resume a run that did not finish, from the journal alone.

    RUN is the name of a run, its beginning or end, or latest. Default: of the unfinished runs for
    this URL, and if possible this key, the one that was active last; the others are named. A run
    whose unsent.csv, or changed list, was sent since is only resumed by its name: you may have
    deleted rows there. A run keeps its limits, its --in-doubt, its --cooldown (or --again) and its
    --fail-on, unless you give others.
    """
    _refuse_first_orders_of_workers(options)
    found = _Found()

    async def newer_night() -> Run | None:
        nonlocal found
        found = await _find(context, run_id, options)
        return found.newer_night

    async def work(interruption: Interruption) -> CommandResult:
        run, names = found.run, found.names
        if run is not None:
            _take_as_begun(context, run, names, options)
        if options["dry_run"]:
            return await _show_left(run, options)
        if run is not None and found.has_ended:
            refuse_ended_rehearsal(run, names, RESUME_NO_REHEARSAL)
        settings = settings_of(options, run, names or (None,))
        run_options = run_options_of(context, options)
        async with open_batch(settings, clock_of_command()) as batch:
            batch.stopped_keys |= without_simulator(settings)
            planning = batch.take_up(run.id if run else None)
            result = await execute(batch, planning, run_options, interruption)
        stuck = result.summary.stuck if result.summary else 0
        return failing_on(context.params["fail_on"], result, stuck)

    return run_with_notifier(work, options, newer_night)


def failing_on(what: str | None, result: CommandResult, stuck: int) -> CommandResult:
    """Return how a command ends by --fail-on, where a sweep has found so many orders stuck."""
    if what == _STUCK and stuck:
        return replace(result, code=result.code or ExitCode.NOT_ALL_SENT)
    return result


class _Found(NamedTuple):
    """What is to be resumed."""

    run: Run | None = None  # None: no run is unfinished
    names: Sequence[str | None] = ()  # of its accounts
    has_ended: bool = False  # it was a rehearsal, whose simulators have ended
    newer_night: Run | None = None  # where it is a night itself


async def _find(context: click.Context, run_id: str | None, options: dict[str, Any]) -> _Found:
    """Find the run to resume. Raises UnknownRun, JournalError."""
    async with read_journal(options["journal"], clock_of_command()) as reader:
        run = await (reader.run(run_id) if run_id else _to_resume(context, reader, options))
        if run is None:
            return _Found()
        names = await reader.accounts(run)
        name_run(run, names, options["profile"] or run.profile)
        newer = await _newer_night(context, reader, run, names, options)
        return _Found(run, names, await is_over(reader, run), newer)


async def _newer_night(
    context: click.Context,
    reader: JournalReader,
    run: Run,
    names: Sequence[str | None],
    options: dict[str, Any],
) -> Run | None:
    """Return the newest sweep after a run that one began, of its account; None: there is none.

    What this command has for the account may be wrong: then it fails later, and leaves the watchdog
    of a newer night alone all the same.
    """
    if options["dry_run"]:  # which notifies nobody
        return None
    own = None
    with suppress(SettingsError):
        refuse_other_profile(context, run, names)
        own = endpoint_of(options, run, None)
    return await reader.newer_night(run, own, options["profile"])


def _take_as_begun(
    context: click.Context, run: Run, names: Sequence[str | None], options: dict[str, Any]
) -> None:
    """Take over the options that the run to resume keeps. Raises SettingsError."""
    refuse_other_profile(context, run, names)
    resume_as_begun(context, run, names)
    options.update((name, context.params[name]) for name in AS_BEGUN)
    if options["redact"]:
        mask_logs()


async def _show_left(found: Run | None, options: dict[str, Any]) -> CommandResult:
    """Show what resuming a run would send now. No key is needed, and nothing is changed."""
    run = unfinished(found)
    async with read_journal(options["journal"], clock_of_command()) as reader:
        if await reader.is_under_way(run):
            how = f"`batch-resend watch {run.id}` follows it"
            raise JournalBusy(f"run {run.id} is under way: {how}")
        settings = settings_by(options, FoundKey("own", ""), accounts_to_plan_by(options, run), run)
        plan = await plan_of_left(reader, run, settings, await reader.budgets(run))
        return await show_only(plan, reader, settings, redact=options["redact"])


async def _to_resume(
    context: click.Context, reader: JournalReader, options: dict[str, Any]
) -> Run | None:
    """Return the unfinished run that fits these options best, and name the others."""
    all_found = await reader.unfinished()
    by_name = [one for one in all_found if one.is_resumed_by_name_only]
    found = _best_first([one for one in all_found if one not in by_name], options)
    if not found:
        await _refuse_unnamed(context, reader, by_name)
        await _refuse_held_back(context, reader)
        return None
    if not options["quiet"]:
        await _name_others(context, reader, found[0].run, [*found[1:], *by_name])
    return found[0].run


def _best_first(all_found: Sequence[Unfinished], options: dict[str, Any]) -> Sequence[Unfinished]:
    """Return the runs that can be resumed, the one first that fits these options best."""
    found = [one for one in all_found if not are_all_ended(one.run, one.left)] or all_found
    if len(found) > 1:
        found = best_fitting(found, partial(endpoint_of, options))
    return found


async def _name_others(
    context: click.Context, reader: JournalReader, run: Run, others: Sequence[Unfinished]
) -> None:
    """Say how to resume the others; first what this one does, or they would seem to be why not."""
    if not (steps := await resume_others(context, reader, others)):
        return
    say(f"This resumes run {run.id}. These did not finish either:")
    show_next_steps(steps[:_OTHERS_SHOWN], sys.stderr)
    if (more := len(steps) - _OTHERS_SHOWN) > 0:
        say(f"and {counted(more, 'other run')}: `batch-resend runs` lists them")


async def _refuse_unnamed(
    context: click.Context, reader: JournalReader, runs: Sequence[Unfinished]
) -> None:
    """Raise UnknownRun where of each run that did not finish another has sent the unsent.csv."""
    if steps := await resume_others(context, reader, runs):
        words = "".join(f"\n{step.text}\n  {step.command}" for step in steps)
        raise UnknownRun(f"no run is resumed unless you name it:{words}")


async def _refuse_held_back(context: click.Context, reader: JournalReader) -> None:
    """Raise UnknownRun where the newest run was held back, with the command that sends it."""
    for run in await reader.runs(1):
        is_held_back = run.state is RunState.STOPPED and run.started_at is None
        if is_held_back and (command := await how_to_send_held_back(context, reader, run)):
            raise UnknownRun(
                f"no run is unfinished, but run {run.id} was held back: {run.stop_reason}. To send "
                f"its other rows all the same:\n  {command}"
            )
