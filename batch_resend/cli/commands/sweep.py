"""`sweep`: the nightly job. Ask the CA which orders wait, and have those mailed that are due."""

import logging
import time
from typing import Any

import click

from batch_resend.batch import Batch, open_batch
from batch_resend.cli.as_settings import run_options_of, settings_of
from batch_resend.cli.command import OF_SENDING, ExitCode, command, option, together
from batch_resend.cli.commands.export import filter_options, filters_of, wanted_of
from batch_resend.cli.execution import execute
from batch_resend.cli.lifecycle import Interruption, run_with_notifier
from batch_resend.cli.options import DURATION, SEND, any_product_option, send_options
from batch_resend.cli.output.progress import while_asking
from batch_resend.cli.output.terminal import say
from batch_resend.intake import checked_or_none
from batch_resend.journal import Purpose
from batch_resend.notify import CommandResult
from batch_resend.report import counted
from batch_resend.sweep import Rules, SweepResult
from batch_resend.sweep import sweep as find_due

log = logging.getLogger(__name__)

_NO_BOUND = 10**9

sweep_options = together(
    "Which orders are due",
    option(
        "--older-than",
        type=DURATION,
        default="1d",
        help="Only orders that have waited longer than this.",
    ),
    option(
        "--max-mails-per-order",
        type=click.IntRange(min=1),
        default=5,
        help="No more than so many mails for one order, over all runs.",
    ),
    option(
        "--max-orders",
        type=click.IntRange(min=1),
        help="No more than so many orders in one sweep; those that have waited longest first.",
    ),
    filter_options,
    any_product_option,
    option(
        "--locale", metavar="CODE", carried_to=(SEND,), help="Language of the mails, such as en."
    ),
)


@command(
    examples={
        "Every night, from a timer": "batch-resend sweep --yes -q --log-file resend.log "
        "--ping-url https://hc-ping.com/UUID",
        "By hand, first looking at the plan": "batch-resend sweep --older-than 2d --max-orders 100",
    },
    exit_codes=OF_SENDING,
    see_also=("export", "send", "history"),
)
@sweep_options
@send_options
@click.pass_context
def sweep(context: click.Context, /, **options: Any) -> int:
    """Have the CA mail again what still waits for an approval, where that is due.

    Asks the CA for its orders that are pending, and takes those that are validated by e-mail, have
    waited long enough, were not mailed within the cooldown and not too often. How they are
    validated is read from the CA's order report, in one request, or else asked order by order. They
    are sent and reported as by `send`. A night with nothing to do ends with one line and exit code
    0.
    """
    filters = filters_of(options)

    async def work(interruption: Interruption) -> CommandResult:
        run_options = run_options_of(context, options)
        settings = settings_of(options, needs_own_key=True)
        locale = checked_or_none(options["locale"])
        rules = Rules(
            older_than_s=options["older_than"],
            cooldown_s=settings.cooldown_s,
            max_mails=options["max_mails_per_order"],
            max_orders=options["max_orders"] or _NO_BOUND,
            filters=filters,
            is_wanted=wanted_of(options),
            any_product=options["any_product"],
        )
        async with open_batch(settings) as batch:
            if not run_options.quiet:
                say("Asking the CA which orders wait")
            swept, news = await while_asking(_look(batch, rules), batch, quiet=run_options.quiet)
            found = _in_words(swept, news, rules)
            if not swept.due:
                click.echo(f"Nothing to send: {found}")
                log.debug("nothing to send: %s", found)
                return CommandResult(ExitCode.ALL_WELL, note=f"nothing to send: {found}")
            if not run_options.quiet:
                click.echo(f"{found[0].upper()}{found[1:]}", err=True)
            planning = batch.plan([swept.source(locale)])
            return await execute(batch, planning, run_options, interruption)

    return run_with_notifier(work, options)


async def _look(batch: Batch, rules: Rules) -> tuple[SweepResult, str]:
    """Return which orders are due, and what came of those that the newest run has mailed."""
    reader, settings = batch.reader, batch.settings
    run_id = await reader.newest_run(settings.base_url, settings.budget)
    newest = await reader.run(run_id) if run_id else None
    mailed_last = await reader.sent_by(newest) if newest else set()
    mailed = await reader.mails(settings.base_url, settings.budget)
    async with batch.order_reader(purpose=Purpose.SWEEP) as order_reader:
        swept = await find_due(order_reader, mailed, rules, time.time())
    if newest is None or not mailed_last or rules.filters:  # what they leave out may wait as well
        return swept, ""
    await batch.note_waiting(newest, swept.numbers)
    gone = len(mailed_last - swept.numbers)
    return swept, f"; of {len(mailed_last):,} mailed by the last run {gone:,} no longer wait"


def _in_words(swept: SweepResult, news: str, rules: Rules) -> str:
    most = counted(rules.max_mails, "mail")
    not_dv = "" if rules.any_product else "not DV, "
    counts = (
        (len(swept.due), "due"),
        (swept.too_young, "too young"),
        (swept.mailed_lately, "mailed within the cooldown"),
        (swept.mailed_enough, f"at the limit of {most} (--max-mails-per-order)"),
        (swept.nothing_to_mail, f"with nothing to mail ({not_dv}not by e-mail, or approved)"),
        (swept.left_for_later, "left for the next sweep (--max-orders)"),
        (swept.unusable, "more in the CA's list without an order number (the log names them)"),
    )
    parts = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    waits = f"{counted(swept.waiting, 'order')} {'waits' if swept.waiting == 1 else 'wait'}"
    return f"{waits}{f': {parts}' if parts else ''}{news}"
