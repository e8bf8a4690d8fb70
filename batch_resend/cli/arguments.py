"""The arguments that several commands share: lists, and the name of a run."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from batch_resend.cli.values import complete_file, complete_run
from batch_resend.journal import LATEST

Command = TypeVar("Command", bound=Callable[..., Any])

inputs_argument = click.argument(
    "inputs", nargs=-1, required=True, metavar="INPUT...", shell_complete=complete_file
)


def run_argument(default: str | None = LATEST) -> Callable[[Command], Command]:
    """Return the argument that names a run, which a shell completes from the journal."""
    return click.argument(
        "run_id",
        metavar="[RUN]",
        required=False,
        default=default,
        callback=_not_empty,
        shell_complete=complete_run,
    )


def _not_empty(_context: click.Context, _param: click.Parameter, run: str | None) -> str | None:
    """Refuse the name that a script's empty variable is: it is not the newest run."""
    if run is not None and not run.strip():
        raise click.UsageError("RUN is empty. Name a run, or leave it out for the newest.")
    return run
