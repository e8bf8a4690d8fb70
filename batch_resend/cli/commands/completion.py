"""`completion`: what a shell needs to complete commands, options and runs."""

import os
from contextlib import suppress

import anyio
import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.manual import ManualCommand
from batch_resend.errors import BatchResendError
from batch_resend.folders import parse_place
from batch_resend.journal import read_journal
from batch_resend.settings import default_journal

PROGRAM = "batch-resend"
VARIABLE = "_BATCH_RESEND_COMPLETE"  # by which the shell asks; click answers
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_MOST_RUNS = 50


@click.command(
    cls=ManualCommand,
    examples={
        "bash, in ~/.bashrc": 'eval "$(batch-resend completion bash)"',
        "zsh, in ~/.zshrc": 'eval "$(batch-resend completion zsh)"',
        "fish": "batch-resend completion fish > ~/.config/fish/completions/batch-resend.fish",
    },
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print what a shell needs to complete commands, options and the names of runs."""
    click.echo(SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE).source())
    return ExitCode.ALL_WELL


def complete_file(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Leave it to the shell, which knows its files."""
    return [CompletionItem(incomplete, type="file")]


def complete_run(
    context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the runs of the journal whose names begin so, the newest first."""
    journal = context.params.get("journal") or os.environ.get("BATCH_RESEND_JOURNAL")

    async def found() -> list[CompletionItem]:
        async with read_journal(parse_place(journal or default_journal())) as reader:
            return [
                CompletionItem(run.id, help=run.state.value)
                for run in await reader.runs()
                if run.id.startswith(incomplete)
            ]

    with suppress(BatchResendError, ValueError):
        return anyio.run(found)[:_MOST_RUNS]
    return []
