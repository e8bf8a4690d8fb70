"""`verify`: what has come of the orders that a run has sent."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from batch_resend.batch import open_batch
from batch_resend.cli.as_settings import settings_of
from batch_resend.cli.exits import ExitCode
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import export_options, option_of_its_own, run_argument
from batch_resend.cli.terminal import show_lines, show_pairs
from batch_resend.durations import timestamp
from batch_resend.journal import Checked, Unapproved, read_journal
from batch_resend.places import Place
from batch_resend.report import counted, in_words
from batch_resend.topics import mail_advice

MOST_UNAPPROVED = 1_000  # orders that are named to programs; to people the first few
_SHOWN = 10

# How many of the orders sent were mailed several times and wait, and the first of them.
_Waiting = tuple[int, Sequence[Unapproved]]


@click.command(
    cls=ManualCommand,
    examples={
        "The next morning": "batch-resend verify 20261123-211952-753e",
        "And the report with it": "batch-resend report 20261123-211952-753e",
    },
    exit_codes=(ExitCode.JOURNAL_BUSY,),
    see_also=("show", "report"),
)
@run_argument(required=True)
@option_of_its_own(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
@export_options
def verify(run_id: str, journal: Place, **options: Any) -> int:
    """Ask the CA what has come of the orders that a run has sent.

    A request an order, one after another, which counts in the windows; what was asked for a domain
    is left out, for the CA tells of orders. What it says is kept: `report` writes it into the run's
    page. Of orders that were mailed several times and wait still it says what to look at.
    """
    options |= {"journal": journal}
    set_up_logs_of(options)

    async def work(_: Interruption) -> tuple[Checked | None, _Waiting]:
        async with read_journal(journal) as reader:
            run = await reader.run(run_id)
        async with open_batch(settings_of(options, run)) as batch:
            checked = await batch.verify(run_id)
            return checked, await batch.reader.unapproved(run, MOST_UNAPPROVED)

    found, unapproved = run_interruptibly(work)
    if options["form"] == "json":
        click.echo(json.dumps(_as_json(found, *unapproved), indent=2))
    elif found is None:
        click.echo(f"Run {run_id} has sent no order.")
    else:
        statuses = [(in_words(status), f"{count:,}") for status, count in found.statuses.items()]
        show_pairs(f"Of {found.orders:,} orders sent by run {run_id}", statuses, sys.stdout)
        show_lines(list(_about_mail(*unapproved)), sys.stdout)
    return ExitCode.ALL_WELL


def _about_mail(count: int, unapproved: Sequence[Unapproved]) -> Iterator[tuple[int, str]]:
    """Yield which orders were mailed several times and wait, and what to look at, in lines."""
    if not count:
        return
    one = count == 1
    yield (
        0,
        f"{counted(count, 'order')} of these {'was' if one else 'were'} mailed two or more times "
        f"and {'waits' if one else 'wait'} still: perhaps the mails do not arrive",
    )
    for order in unapproved[:_SHOWN]:
        of = f" of {order.account}" if order.account else ""
        since = f" since {_when(order)}" if order.since_at else ""
        yield 2, f"order {order.order_id}{of}: {counted(order.mails, 'mail')}{since}"
    if count > _SHOWN:
        yield 2, f"and {count - _SHOWN:,} more: --format json, or the run's report, names them"
    yield 0, "What to look at before you send again (more: batch-resend help mail)"
    yield from ((2, f"- {point}") for point in mail_advice())


def _when(order: Unapproved) -> str | None:
    return None if order.since_at is None else timestamp(order.since_at)


def _as_json(
    found: Checked | None, count: int, unapproved: Sequence[Unapproved]
) -> dict[str, object]:
    several = {
        "count": count,
        "first": [
            {
                "order_id": order.order_id,
                "account": order.account,
                "mails": order.mails,
                "since": _when(order),
            }
            for order in unapproved
        ],
    }
    if found is None:
        return {"orders": 0, "asked_at": None, "statuses": {}, "mailed_several_times": several}
    return {
        "orders": found.orders,
        "asked_at": timestamp(found.asked_at),
        "statuses": found.statuses,
        "mailed_several_times": several,
    }
