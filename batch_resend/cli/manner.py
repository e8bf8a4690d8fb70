"""How a command wants a run shown, asked about, sent and reported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batch_resend.cli.as_settings import named_in
from batch_resend.cli.asking import has_terminal
from batch_resend.cli.next_commands import next_flags
from batch_resend.cli.values import Share
from batch_resend.errors import SettingsError
from batch_resend.report import Presentation


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is shown and reported."""

    report_dir: Path | None
    preflight: bool
    asks: bool  # before anything leaves
    quiet: bool
    presentation: Presentation
    strict: bool = False
    max_rejected: Share | None = None
    distribute: bool = False  # to workers
    any_product: bool = False  # --preflight: orders that are not DV are sent too


def manner_of(context: click.Context, options: dict[str, Any]) -> Manner:
    """Return how a command's options want a run shown and reported. Raises SettingsError."""
    if options["distribute"] and isinstance(options["journal"], Path):
        raise SettingsError(
            f"--distribute: {options['journal']} is a file; workers need a journal in PostgreSQL, "
            "--journal postgresql://HOST/NAME"
        )
    return Manner(
        **named_in(Manner, options),
        # Decided at the start: a terminal that goes meanwhile has not said yes.
        asks=not options["yes"] and has_terminal(),
        presentation=Presentation(next_flags(context), redact=options["redact"]),
    )
