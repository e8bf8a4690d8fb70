"""`verify`: what has come of the orders that a run has sent."""

import json
import sys
from typing import Any

import click

from batch_resend.batch import open_batch
from batch_resend.cli.as_settings import settings_of
from batch_resend.cli.exits import ExitCode
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import export_options, option_of_its_own, run_argument
from batch_resend.cli.terminal import show_pairs
from batch_resend.durations import timestamp
from batch_resend.journal import Checked, read_journal
from batch_resend.places import Place
from batch_resend.report import in_words


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
    page.
    """
    options |= {"journal": journal}
    set_up_logs_of(options)

    async def work(_: Interruption) -> Checked | None:
        async with read_journal(journal) as reader:
            run = await reader.run(run_id)
        async with open_batch(settings_of(options, run)) as batch:
            return await batch.verify(run_id)

    found = run_interruptibly(work)
    if options["form"] == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
    elif found is None:
        click.echo(f"Run {run_id} has sent no order.")
    else:
        statuses = [(in_words(status), f"{count:,}") for status, count in found.statuses.items()]
        show_pairs(f"Of {found.orders:,} orders sent by run {run_id}", statuses, sys.stdout)
    return ExitCode.ALL_WELL


def _as_json(found: Checked | None) -> dict[str, object]:
    if found is None:
        return {"orders": 0, "asked_at": None, "statuses": {}}
    return {
        "orders": found.orders,
        "asked_at": timestamp(found.asked_at),
        "statuses": found.statuses,
    }
