"""The command line: the subcommands, each imported when it is used, and the entry point."""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from batch_resend.cli.command import (
    OF_SENDING,
    SIGNAL_BASE,
    ExitCode,
    Interrupted,
    ManualCommand,
    code_of_error,
)
from batch_resend.cli.streams import STREAMS, log_for_file
from batch_resend.errors import BatchResendError, JournalError, SettingsError
from batch_resend.version import __version__

# name: module, and what the command is for, short enough for a line of its own in a narrow terminal
SUBCOMMANDS = {
    "check": ("check", "Show what lists would send. Sends nothing."),
    "cluster": ("worker", "Show how the workers of several hosts are doing."),
    "config": ("config", "Show each option's value and source; write a file of options."),
    "completion": ("help", "Print the completion script for a shell."),
    "doctor": ("doctor", "Check key, network, clock and journal before a run."),
    "export": ("export", "Write the CA's waiting orders as a list for `send`."),
    "help": ("help", "Show a page of the manual, such as on lost mail."),
    "history": ("attempts", "Show what was ever done for an order, domain or address."),
    "prune": ("prune", "Forget old runs, to keep the journal small."),
    "report": ("runs", "Write a run's report again, from the journal alone."),
    "resume": ("send", "Resume a run that did not finish."),
    "runs": ("runs", "List all runs, newest first."),
    "send": ("send", "Send every order's mails once, and report on every row."),
    "show": ("runs", "Show one run: its lists, limits and counts."),
    "simulate": ("simulate", "Run a local CertCentral to rehearse against."),
    "sweep": ("sweep", "Resend the mails of waiting orders that are due."),
    "verify": ("verify", "Ask the CA what became of a run's orders."),
    "watch": ("watch", "Watch a run that another process sends."),
    "worker": ("worker", "Send what `send --distribute` distributes, on any host."),
}
# What they print is a summary: nobody has to read it for them to end.
SENDING = frozenset({"resume", "send", "sweep", "worker"})
# Variables of the program that are no option of a command.
NOT_OPTIONS = (
    "BATCH_RESEND_CONFIG", "BATCH_RESEND_EVENT_LOOP", "BATCH_RESEND_REHEARSAL",
    "BATCH_RESEND_REHEARSAL_AHEAD", "BATCH_RESEND_REHEARSAL_BY", "BATCH_RESEND_REHEARSAL_NOTIFIES",
)  # fmt: skip
_WORDS = f"{__name__}.words"  # in a context: those of a command line behind the command's name
_UNTIL_COLLECTING = 20_000  # new objects. Python's 700 cost a run a twentieth of its time


class _Subcommands(Mapping[str, click.Command]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        module, summary = SUBCOMMANDS[name]
        log_for_file(__name__)  # before anything logs
        gc.disable()  # what is imported stays: nobody looks for garbage in it
        try:
            imported = import_module(f"batch_resend.cli.commands.{module}")
        finally:
            gc.freeze()
            gc.set_threshold(_UNTIL_COLLECTING)
            gc.enable()
        command: click.Command = getattr(imported, name)
        command.short_help = summary
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(SUBCOMMANDS)

    def __len__(self) -> int:
        return len(SUBCOMMANDS)


class CommandsOnDemand(click.Group, ManualCommand):
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
        ctx.meta[_WORDS] = list(words)  # the parser takes them from that list
        return name, command, words

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out the command; an error that does not name one is the command's."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if error.ctx is None and (name := ctx.invoked_subcommand):
                error.ctx = click.Context(self.commands[name], ctx, name)
            raise

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        del context
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in SUBCOMMANDS.items()])


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    cls=CommandsOnDemand,
    examples={
        "See what a list would send": "batch-resend check orders.csv",
        "Rehearse it; this mails nobody": "batch-resend simulate -- batch-resend send orders.csv",
        "Send it": "batch-resend send --api-key-file key.txt orders.csv",
    },
    exit_codes=OF_SENDING,
)
@click.version_option(__version__, prog_name="batch-resend")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="BATCH_RESEND_CONFIG",
    help="TOML file with options. Default: config.toml in your configuration folder (on Linux "
    "~/.config/batch-resend/config.toml). Goes before the command. `config init` writes one.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Resend the approval (DCV) e-mails of many CertCentral orders.

    Reads lists of orders, domains and e-mail addresses (CSV, JSON, Excel), sends one request per
    order within the CA's rate limits, and reports what became of every row. The API key comes from
    --api-key-file or the variable DIGICERT_API_KEY. Each option is also a variable: BATCH_RESEND_
    and its name.
    """
    words: list[str] = context.meta.get(_WORDS, [])
    if not set(context.help_option_names).isdisjoint(words):
        return
    wanted = context.invoked_subcommand or ""
    if wanted == "config" and "init" in words:
        return  # there is none yet
    from batch_resend.cli.config import find_config, read_config  # noqa: PLC0415 - slow, and --help needs none
    from batch_resend.cli.variables import check_variables  # noqa: PLC0415 - likewise

    STREAMS.prints_data = wanted not in SENDING
    command = cli.commands[wanted]
    try:
        check_variables(os.environ, NOT_OPTIONS, command, lambda: _installed(wanted))
        if (path := find_config(config)) is not None:
            about = next((word for word in words if word in SUBCOMMANDS), "send")
            about = about if wanted == "config" else wanted
            read_config(path, _installed(wanted), SUBCOMMANDS, about).apply_to(context)
            context.params["config"] = path  # also where nobody named it: the next commands do
    except SettingsError as error:
        _notify_not_begun(ExitCode.NOT_STARTED, str(error), context, command)
        raise


def _notify_not_begun(
    code: ExitCode, error: str, context: click.Context, command: click.Command
) -> None:
    from batch_resend.cli.lifecycle import notify_not_begun  # noqa: PLC0415 - slow, and rare

    notify_not_begun(code, error, context.find_root(), command, context.meta[_WORDS])


def _installed(wanted: str) -> list[click.Command]:
    """Return the commands of which all is installed; raises JournalError where the wanted's not."""
    found: list[click.Command] = []
    for name in SUBCOMMANDS:
        try:
            found.append(cli.commands[name])
        except JournalError:  # one that needs an extra
            if name == wanted:
                raise
    return found


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    STREAMS.take_over()
    code = _run()
    STREAMS.finish()
    if STREAMS.output_failed and code == ExitCode.ALL_WELL:
        code = ExitCode.NOT_STARTED if STREAMS.prints_data else ExitCode.NOT_ALL_SENT
    if code > SIGNAL_BASE:  # a thread may still wait for an answer at the terminal
        STREAMS.leave(code)
    sys.exit(code)


def _run() -> int:
    try:
        return int(cli.main(standalone_mode=False))
    except click.ClickException as error:
        return _say_wrong_usage(error)
    except BatchResendError as error:
        code = code_of_error(error)
        _log_end(code, str(error))
        from batch_resend.cli.output.terminal import say  # noqa: PLC0415 - slow, and rarely needed

        with suppress(OSError):
            say(f"batch-resend: {error}")
            _say_to_programs(code, str(error))
        return code
    except (click.Abort, KeyboardInterrupt):
        _leave_at_once(signal.SIGINT)
    except Interrupted as error:
        _leave_at_once(error.number)
    except (BrokenPipeError, SystemExit):  # click exits where the reader has left
        return SIGNAL_BASE + signal.SIGPIPE
    except OSError as error:
        if not STREAMS.output_failed:  # whose message comes at the end
            click.echo(f"batch-resend: {error.strerror or error}", err=True)
            _say_to_programs(ExitCode.NOT_STARTED, error.strerror or str(error))
        return ExitCode.NOT_STARTED


def _log_end(code: int, why: str) -> None:
    log_for_file(__name__).error("ended", extra={"exit_code": int(code), "why": why})


def _say_to_programs(code: int, error: str) -> None:
    """Say as JSON why a command ended, where that is asked for: it has written no document."""
    if "--json" in sys.argv:  # not by the options: they may be what is wrong
        from batch_resend.cli.output.terminal import show_json  # noqa: PLC0415 - slow, and rare

        show_json({"exit_code": int(code), "error": error})


def _say_wrong_usage(error: click.ClickException) -> ExitCode:
    if isinstance(error, click.NoSuchOption) and error.option_name == "--config":
        where = "--config goes before the command: batch-resend --config FILE ..."
        error = click.UsageError(where, error.ctx)
    error.show()
    _say_to_programs(ExitCode.WRONG_USAGE, error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None and _WORDS in error.ctx.meta:
        message, context = error.format_message(), error.ctx
        _notify_not_begun(ExitCode.WRONG_USAGE, message, context, context.command)
        _log_end(ExitCode.WRONG_USAGE, message)
    return ExitCode.WRONG_USAGE


def _leave_at_once(number: int) -> NoReturn:
    """End although a thread may still wait for standard input, which would hold up an exit."""
    log_for_file(__name__).error(
        "interrupted by %s; nothing more was sent", signal.Signals(number).name
    )
    click.echo("batch-resend: interrupted; nothing more was sent", err=True)
    _say_to_programs(SIGNAL_BASE + number, "interrupted; nothing more was sent")
    STREAMS.leave(SIGNAL_BASE + number)
