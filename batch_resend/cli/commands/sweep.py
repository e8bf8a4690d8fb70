"""`sweep`: the nightly job. Ask the CA which orders wait, and have those mailed that are due."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from batch_resend.batch import Batch, open_batch
from batch_resend.cli.as_settings import RunOptions, run_options_of, settings_of
from batch_resend.cli.command import (
    FILE,
    OF_SENDING,
    WholeNumber,
    command,
    option,
    together,
)
from batch_resend.cli.commands.send import fail_option, failing_on
from batch_resend.cli.execution import execute
from batch_resend.cli.filters import filter_options, filter_words, filters_of, wanted_of
from batch_resend.cli.lifecycle import Interruption, run_with_notifier
from batch_resend.cli.logs import run_log
from batch_resend.cli.options import SEND, any_product_option, send_options
from batch_resend.cli.output.progress import while_asking
from batch_resend.cli.output.summary import stuck_in_words
from batch_resend.cli.output.terminal import say, show_lines, show_table
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.values import DURATION
from batch_resend.clock import timestamp, whole_days
from batch_resend.errors import InputError, NoRows
from batch_resend.intake import ListSource, Reading, checked_or_none, listed
from batch_resend.journal import OwnAccount, Purpose
from batch_resend.listed import ListedOrder
from batch_resend.model import RejectedRow, Run
from batch_resend.notify import CommandResult
from batch_resend.report import counted, of_profile, sweep_in_words
from batch_resend.results import StuckOrder
from batch_resend.settings import Settings
from batch_resend.sweep import Rules, SweepResult
from batch_resend.sweep import sweep as find_due

_NO_BOUND = 10**9
_STRANGE_SHOWN = 5  # of the numbers of --exclude
_DUE_SHOWN = 50  # with --dry-run
# From the first sentence or clause on that names an option of `send`; after a colon, the last one.
_ADVICE = re.compile(r"(?:(?:[;.]|(?<=\?)) (?=[^;.?]* --)|: (?=[^:;.?]* --)).*", re.DOTALL)

sweep_options = together(
    "Which orders are due",
    option(
        "--older-than",
        type=DURATION,
        default="1d",
        help="Only orders that have waited for longer than this.",
    ),
    option(
        "--max-mails-per-order",
        type=WholeNumber(min=1),
        default=5,
        help="Orders that were mailed this often, by all runs with this journal, are not due. A "
        "run's retries may mail more often, unless --in-doubt hold.",
    ),
    option(
        "--max-orders",
        type=WholeNumber(min=1),
        help="At most N orders in one sweep. First come those that were never mailed, the oldest "
        "first; then those whose last mail is longest ago.",
    ),
    filter_options,
    any_product_option,
    option(
        "--exclude",
        type=FILE,
        multiple=True,
        help="A list of orders to leave out, such as hopeless ones: they are not mailed, and not "
        "counted as stuck; repeatable. Those of the command line replace those of the TOML file.",
    ),
    option(
        "--locale", metavar="CODE", carried_to=(SEND,), help="Language of the mails, such as en."
    ),
)


@command(
    examples={
        "Every night, from a timer": "batch-resend sweep --yes -q --log-file resend.log "
        "--ping-url https://hc-ping.com/UUID --fail-on stuck",
        "See what is due, by hand": "batch-resend sweep --dry-run --older-than 2d",
        "Leave out hopeless orders": "batch-resend sweep --exclude hopeless.csv",
    },
    exit_codes=OF_SENDING,
    see_also=("export", "send", "history"),
)
@sweep_options
@fail_option
@send_options
@click.pass_context
def sweep(context: click.Context, /, **options: Any) -> int:
    """Resend the mails of the orders that still wait for an approval and are due.

    Asks the CA for its pending orders, and picks those that are validated by e-mail, have waited
    long enough, were not mailed within the cooldown, and have not reached the limit of mails. How
    an order is validated comes from the CA's order report, in one request, or else from one request
    per order. Orders that are not DV are mailed with --any-product only; otherwise those that may
    wait for mails of another call are counted. Sends and reports as `send` does. A night with
    nothing to do also has a report, and exit code 0. Orders at the limit of mails that still wait
    are stuck: the report, stuck.csv, notifications and metrics say so every night.
    """
    filters = filters_of(options)

    async def work(interruption: Interruption) -> CommandResult:
        run_options = run_options_of(context, options)
        settings = settings_of(options, names=(None,))
        locale = checked_or_none(options["locale"])
        excluded = partial(_excluded, quiet=run_options.quiet)
        rules = Rules(
            older_than_s=options["older_than"],
            cooldown_s=settings.cooldown_s,
            max_mails=options["max_mails_per_order"],
            max_orders=options["max_orders"] or _NO_BOUND,
            filters=filters,
            any_product=options["any_product"],
            excluded=frozenset(chain.from_iterable(map(excluded, options["exclude"]))),
            is_wanted=wanted_of(options),
        )
        async with open_batch(settings, clock_of_command()) as batch:
            if not run_options.quiet:
                say("Asking the CA which orders wait")
            swept = await while_asking(
                _look(batch, rules, filter_words(options), quiet=run_options.quiet),
                batch,
                run_options.style,
            )
            found = sweep_in_words(swept.counts)
            swept, before = await _with_unfinished(batch, swept)
            if before:
                run_log.warning("%s", before)
                say(f"{before[0].upper()}{before[1:]}")
            of = of_profile(settings.profile)
            _say_found(found, of, run_options, is_any_due=bool(swept.due))
            if run_options.dry_run:
                _show_found(swept, batch.journal.now())
            planning = batch.plan_sweep(swept, locale)
            result = await execute(batch, planning, run_options, interruption)
            result = replace(result, before=before)
            if run_options.dry_run:
                more = {"due": _for_programs(swept.due), "stuck": _for_programs(swept.stuck)}
                result = replace(
                    result, note=f"{result.note}; {found}", would_send={**result.would_send, **more}
                )
        return failing_on(options["fail_on"], result, len(swept.stuck))

    return run_with_notifier(work, options)


def _for_programs(orders: Iterable[ListedOrder | StuckOrder]) -> list[dict[str, object]]:
    return [
        {
            "order_id": order.order_id,
            "created_at": order.created_at and timestamp(order.created_at),
            "product": order.product or None,
            "domains": order.domains,
        }
        for order in orders
    ]


def _excluded(path: Path, *, quiet: bool) -> list[str]:
    """Return the orders of a list. Raises InputError, also where a row names none that can be read.

    Left out, such a row would have its order mailed. A heading alone names no order, and is fine.
    """
    source, numbers = ListSource(str(path), Reading(numbers_only=True)), list[str]()
    try:
        for row in source:
            if isinstance(row, RejectedRow):
                raise InputError(f"{path}, line {row.line}: {row.reason}")
            numbers.append(row.order_id)
    except NoRows:
        pass
    except InputError as error:
        if isinstance(error.__cause__, OSError):  # nothing of it was read
            raise InputError(f"--exclude {error}") from None
        raise InputError(
            f"--exclude {_without_advice(str(error))}\n{path} names the orders to leave out. "
            "It needs only the heading order_id and one number per line: correct that file, or "
            "remove from it what is no order to leave out."
        ) from None
    only = f"; only the numbers count, not {listed([*source.form.unread])}"
    found = f"--exclude {path}: {counted(len(numbers), 'row')}{only if source.form.unread else ''}"
    run_log.info("%s", found)
    if not quiet:
        say(found)
    return numbers


def _without_advice(reason: str) -> str:
    """Return why a list cannot be read, up to what `send` advises: `sweep` lacks those options."""
    return _ADVICE.sub("", reason)


def _not_waiting(excluded: Sequence[str]) -> str:
    """Return that numbers of --exclude name no order that waits."""
    first, others = ", ".join(excluded[:_STRANGE_SHOWN]), excluded[_STRANGE_SHOWN:]
    return (
        f"--exclude: {len(excluded):,} of its numbers {'is' if len(excluded) == 1 else 'are'} not "
        f"among the waiting orders ({first}{' and others' if others else ''}): approved since "
        "then, another account's, or mistyped"
    )


async def _look(
    batch: Batch, rules: Rules, filters: tuple[str, ...], *, quiet: bool
) -> SweepResult:
    """Return which orders are due, and what came of those of the last run to mail any."""
    reader, settings = batch.reader, batch.settings
    mailed = await batch.mailed()
    async with batch.order_reader(purpose=Purpose.SWEEP) as order_reader:
        swept = await find_due(order_reader, mailed, rules, batch.journal.now())
    swept = replace(swept, filters=filters)
    if not rules.filters and (strange := sorted(rules.excluded - swept.numbers, key=int)):
        about_excluded = _not_waiting(strange)
        run_log.info("%s", about_excluded)
        if not quiet:
            say(about_excluded)
    found = await reader.newest_run(_own(settings, swept), filters, swept.own)
    if found is None or rules.filters:  # what they leave out may wait as well
        return swept
    newest, account = found
    mailed_last = await reader.sent_by(newest, account)
    if not mailed_last:
        return swept
    if account is None:
        await batch.note_waiting(newest, swept.numbers)
    return replace(swept, mailed_before=mailed_last, mailed_by=newest.id)


def _own(settings: Settings, swept: SweepResult) -> OwnAccount:
    return OwnAccount(settings.base_url, {settings.budget}, settings.profile, swept.numbers)


async def _with_unfinished(batch: Batch, swept: SweepResult) -> tuple[SweepResult, str]:
    """Return a sweep with the runs of its account that did not finish, and in words."""
    own, reader = _own(batch.settings, swept), batch.reader
    runs = await reader.left_by(own, swept.own)
    later = await reader.left_by(own, swept.later) if swept.later else []
    names, names_later = (tuple(run.id for run in some) for some in (runs, later))
    swept = replace(swept, unfinished=names, unfinished_later=names_later)
    return swept, _unfinished_in_words(runs, is_left_for_later=bool(later))


def _unfinished_in_words(runs: Sequence[Run], *, is_left_for_later: bool) -> str:
    """Return that runs of the account did not finish; nothing where all did."""
    if not runs:
        return ""
    which = " and ".join(
        run.id + (f" ({run.stop_reason})" if run.stop_reason else "") for run in runs
    )
    noun, it = ("run", "it") if len(runs) == 1 else ("runs", "they")
    what = "still waits and is due"
    if is_left_for_later:
        what = "still waits, is due, and is within --max-orders; a later sweep sends the rest"
    return f"{noun} {which} did not finish; this sweep sends what {it} left, as far as that {what}"


def _say_found(found: str, of: str, options: RunOptions, *, is_any_due: bool) -> None:
    """Say what a sweep has found: the whole summary of a night with nothing to send."""
    if is_any_due:
        run_log.info("%s", found)
        if not options.quiet:
            say(f"{found[0].upper()}{found[1:]}")
        return
    run_log.info("nothing to send%s: %s", of, found)
    click.echo(f"Nothing to send{of}: {found}")


def _show_found(swept: SweepResult, now: float) -> None:
    """Show which orders would be mailed, and which are stuck."""
    if swept.due:
        rows = [
            (
                order.order_id,
                "" if order.created_at is None else f"{whole_days(now - order.created_at):,}",
                order.product or "",
                ", ".join(order.domains),
            )
            for order in swept.due[:_DUE_SHOWN]
        ]
        show_table(("due", "days", "product", "domains"), rows, sys.stdout)
    if (more := len(swept.due) - _DUE_SHOWN) > 0:
        click.echo(f"and {more:,} more")
    show_lines(list(stuck_in_words(swept.stuck[:_DUE_SHOWN], len(swept.stuck))), sys.stdout)
