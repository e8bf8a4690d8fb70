"""`prune`: what the journal may forget."""

import anyio
import click

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import journal_option, option_of_its_own
from batch_resend.cli.values import DURATION
from batch_resend.folders import Place
from batch_resend.journal import prune_journal, size_of_journal

LEAST_S = 2 * 86_400.0  # the cooldown is read off runs: they stay for longer than a usual one


@click.command(
    cls=ManualCommand,
    examples={"Once a month": "batch-resend prune --older-than 90d"},
    exit_codes=(ExitCode.JOURNAL_BUSY,),
    see_also=("runs",),
)
@option_of_its_own(
    "--older-than",
    type=DURATION,
    default="90d",
    show_default=True,
    help="Forget the runs that ended longer ago; at least 2d.",
)
@journal_option
def prune(older_than: float, journal: Place) -> int:
    """Forget old runs, for the journal not to grow for ever.

    How often each order was mailed is kept. A file that is then a quarter empty is made smaller.
    """
    if older_than < LEAST_S:
        raise click.UsageError("--older-than: at least 2d, for the cooldown needs what is younger")
    before = size_of_journal(journal)
    if before is None:
        click.echo(f"{journal}: there is no journal here yet.")
        return ExitCode.ALL_WELL
    forgotten = anyio.run(prune_journal, journal, older_than)
    click.echo(
        f"{forgotten.runs:,} runs with {forgotten.rows:,} rows forgotten; {journal} had "
        f"{size(before)}, has {size(size_of_journal(journal) or 0)}"
    )
    return ExitCode.ALL_WELL


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{count / 1_000_000:,.1f} MB"
