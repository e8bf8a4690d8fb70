"""The subcommands: what each is for, and where it is. Each is imported when it is asked for."""

import gc
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from types import ModuleType
from typing import Any, cast

import click

from batch_resend.cli.manual import ManualGroup

# name: module, and what the command is for, short enough for a line of its own in a narrow terminal
SUBCOMMANDS = {
    "check": ("check", "Show what lists would send. Sends nothing."),
    "cluster": ("cluster", "Show how the workers of several hosts are doing."),
    "completion": ("completion", "Print what a shell needs to complete commands."),
    "doctor": ("doctor", "Check key, network, clock and journal before a run."),
    "export": ("export", "Write the CA's waiting orders as a list for `send`."),
    "help": ("help", "Show a page of the manual, such as on lost mail."),
    "history": ("history", "Show every attempt ever made for an order or domain."),
    "prune": ("prune", "Forget old runs, for the journal not to grow for ever."),
    "report": ("history", "Write a run's report again, from the journal alone."),
    "resume": ("send", "Go on with a run that did not finish."),
    "runs": ("history", "List all runs, the newest first."),
    "send": ("send", "Send every order's mails once, and report on every row."),
    "show": ("history", "Show one run: its lists, limits and counts."),
    "simulate": ("simulate", "Run a local CertCentral to rehearse against."),
    "sweep": ("sweep", "Have the CA mail again what still waits and is due."),
    "verify": ("verify", "Ask the CA what has come of a run's orders."),
    "watch": ("watch", "Watch a run that another process sends."),
    "worker": ("worker", "Send what `send --distribute` hands out, on any host."),
}
# What they print is a summary: nobody has to read it for them to end.
SENDING = frozenset({"resume", "send", "sweep", "worker"})
_WORDS = f"{__name__}.words"  # in a context
_UNTIL_COLLECTING = 20_000  # new objects. Python's 700 cost a run a twentieth of its time


def words_of(context: click.Context) -> list[str]:
    """Return the words of a command line behind the command's name."""
    words: list[str] = context.meta.get(_WORDS, [])
    return words


class CommandsOnDemand(ManualGroup):
    """A group that lists its commands without importing them."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        # click may add to its own; nobody does to these.
        self.commands = cast("MutableMapping[str, click.Command]", _Subcommands())

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is asked for, and keep its words for the group to look at."""
        name, command, words = super().resolve_command(ctx, args)
        ctx.meta[_WORDS] = words
        return name, command, words

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        del context
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in SUBCOMMANDS.items()])


class _Subcommands(Mapping[str, click.Command]):
    """The commands by name."""

    def __getitem__(self, name: str) -> click.Command:
        module, summary = SUBCOMMANDS[name]
        command: click.Command = getattr(_imported(f"batch_resend.cli.commands.{module}"), name)
        command.short_help = summary
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(SUBCOMMANDS)

    def __len__(self) -> int:
        return len(SUBCOMMANDS)


def _imported(name: str) -> ModuleType:
    """Import a module with all that it needs, which stays: nobody looks for garbage in it."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.set_threshold(_UNTIL_COLLECTING)
        gc.enable()
