"""What commands are made of: exit codes, help as a manual page, and options."""

import io
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from batch_resend.errors import (
    AmbiguousRun,
    BatchResendError,
    JournalBusy,
    KeyRefused,
    UnknownColumn,
)


class ExitCode(IntEnum):
    """How a command ended. An interrupted one ends with 128 and the signal's number."""

    ALL_WELL = 0
    NOT_STARTED = 1
    WRONG_USAGE = 2
    NOT_ALL_SENT = 3
    STOPPED = 4
    JOURNAL_BUSY = 5


SIGNAL_BASE = 128
OF_ALL = (ExitCode.ALL_WELL, ExitCode.NOT_STARTED, ExitCode.WRONG_USAGE)
OF_SENDING = (ExitCode.NOT_ALL_SENT, ExitCode.STOPPED, ExitCode.JOURNAL_BUSY)
OF_READING = (ExitCode.STOPPED, ExitCode.JOURNAL_BUSY)  # which asks the CA, and sends nothing

MEANINGS = {
    ExitCode.ALL_WELL: "every order accepted, or rightly skipped",
    ExitCode.NOT_STARTED: "could not start, nothing was sent: unreadable input, no key, bad "
    "settings, or (sweep, --preflight) a CA that cannot be asked first",
    ExitCode.WRONG_USAGE: "wrong usage",
    ExitCode.NOT_ALL_SENT: "finished, but a row was rejected or an order was not accepted, or the "
    "report could not be written; or nothing was sent, because of --strict or --max-rejected",
    ExitCode.STOPPED: "stopped early: the CA refused the API key; or, while sending: wrong URL, "
    "pages of a proxy or CDN instead of the CA's answers, CA down for too long, journal not "
    "writable, or --max-orders reached",
    ExitCode.JOURNAL_BUSY: "another run holds the journal",
}
WITHOUT_ORDERS = {  # what they mean of commands that send nothing
    ExitCode.ALL_WELL: "done",
    ExitCode.NOT_STARTED: "could not be done; the message says why",
    ExitCode.STOPPED: "the CA refused the API key",
}
OF_DOCTOR = {  # of a command that looks whether a run could send
    ExitCode.ALL_WELL: "nothing would keep a run from sending; there may be warnings",
    ExitCode.NOT_STARTED: "could not start: bad settings",
    ExitCode.STOPPED: "a problem would keep a run from sending; its line says what to do",
    ExitCode.JOURNAL_BUSY: "another run holds the journal, so the CA was not asked; no other "
    "problem was found",
}
SIGNALLED = ("129, 130, 143", "interrupted by SIGHUP, SIGINT, SIGTERM")


class Interrupted(Exception):
    """A signal has ended a command before there was anything to bring to an end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def code_of_error(error: BatchResendError) -> ExitCode:
    """Return the code of a command that an error has ended."""
    if isinstance(error, JournalBusy):
        return ExitCode.JOURNAL_BUSY
    if isinstance(error, UnknownColumn | AmbiguousRun):
        return ExitCode.WRONG_USAGE
    return ExitCode.STOPPED if isinstance(error, KeyRefused) else ExitCode.NOT_STARTED


class DocumentsOnly(io.TextIOBase):
    """A standard output that leaves out what is for people; `documents` takes what is not."""

    def __init__(self, documents: TextIO) -> None:
        super().__init__()
        self.documents = documents

    def write(self, text: str) -> int:
        """Leave it out."""
        return len(text)


SHOWN, NOTIFICATIONS, OTHER = "What is shown", "Notifications", "Other options"


class ManualOption(click.Option):
    """An option that knows under which heading it is listed, and which commands need it next."""

    section = OTHER

    def __init__(
        self, *args: Any, carried_to: Collection[str] = (), is_secret: bool = False, **how: Any
    ) -> None:
        """Take the commands that a report names, and that are to be given what this one was.

        `is_secret`: its value is never shown.
        """
        super().__init__(*args, **how)
        self.carried_to = carried_to
        self.is_secret = is_secret


class ManualCommand(click.Command):
    """A command with a manual: what its help has beyond click's."""

    def __init__(
        self,
        *args: Any,
        examples: Mapping[str, str],
        exit_codes: Sequence[ExitCode] = (),
        see_also: Sequence[str] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        **how: Any,
    ) -> None:
        """Take `examples` by what each shows, and the exit codes beyond 0, 1 and 2.

        `meanings`: of those that mean something of their own here.
        """
        super().__init__(*args, **how)
        if not isinstance(self, click.Group):
            as_json = _json_option()
            if any(getattr(one, "section", OTHER) == SHOWN for one in self.params):
                as_json.section = SHOWN
            self.params.append(as_json)
            # Without an action it shows which there are, as the program does without a command.
            self.no_args_is_help = any(map(_is_action, self.params))
        self.examples = examples
        self._see_also = see_also
        usual = {} if ExitCode.NOT_ALL_SENT in exit_codes else WITHOUT_ORDERS
        known = {**MEANINGS, **usual, **(meanings or {})}
        self._exit_codes = [(str(int(code)), known[code]) for code in (*OF_ALL, *exit_codes)]

    def invoke(self, context: click.Context) -> Any:
        """Carry it out. With --json nothing else comes to standard output, whatever it prints."""
        if not context.params.get("is_json"):
            return super().invoke(context)
        with redirect_stdout(DocumentsOnly(sys.stdout)):
            return super().invoke(context)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options by section, the sections in the order of their first options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(context):
            if isinstance(param, click.Option) and (record := param.get_help_record(context)):
                sections.setdefault(getattr(param, "section", OTHER), []).append(record)
        others = sections.pop(OTHER)  # --help is one
        for section, records in (*sections.items(), (OTHER if sections else "Options", others)):
            with formatter.section(section):
                formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Add examples, exit codes, and what else to look at."""
        del context
        with formatter.section("Examples"):
            pad = " " * formatter.current_indent
            for text, command in self.examples.items():  # a line each, however long: it is copied
                formatter.write(f"{pad}{text}:\n{pad}  $ {command}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([*self._exit_codes, SIGNALLED])
        if self._see_also:
            with formatter.section("See also"):
                formatter.write_text(", ".join(f"batch-resend {name}" for name in self._see_also))


def _is_action(param: click.Parameter) -> bool:
    return isinstance(param, click.Argument) and param.required and type(param.type) is click.Choice


def _json_option() -> ManualOption:
    return ManualOption(
        ["--json", "is_json"],
        is_flag=True,
        help="For programs: one JSON document on standard output, and nothing else there.",
    )


def command(**how: Any) -> Callable[[Callable[..., int]], ManualCommand]:
    """Return what makes a command of a function: `how` is what `ManualCommand` takes."""
    return click.command(cls=ManualCommand, **how)


# --- options ------------------------------------------------------------------------------------


class Parsed(click.ParamType[Any]):
    """What a function makes of a text; it raises ValueError where it can make nothing of it."""

    def __init__(
        self,
        name: str,
        parse: Callable[[Any], Any],
        in_toml: tuple[tuple[type, ...], str] = ((str,), "a string"),
    ) -> None:
        """Take the types too that it may have in a TOML file, and how they are called."""
        self.name = name
        self.in_toml = in_toml
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what a text stands for."""
        if not isinstance(value, str | int | float):  # it is that already
            return value
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class WholeNumber(click.IntRange):
    """A whole number within bounds; an error says which."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that a text stands for."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            up_to = "" if self.max is None else f", at most {self.max:,}"
            self.fail(f"{value!r}: write a whole number, at least {self.min:,}{up_to}", param, ctx)


FILE = click.Path(dir_okay=False, path_type=Path)

Command = TypeVar("Command", bound=Callable[..., Any])


def option(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option that is also an environment variable."""
    variable = "BATCH_RESEND_" + name.removeprefix("--").replace("-", "_").upper()
    return option_of_its_own(name, *more, envvar=variable, show_envvar=False, **how)


def flag(name: str, help: str, **how: Any) -> Callable[[Command], Command]:
    """Return such an option that takes no value."""
    return option(name, is_flag=True, help=help, **how)


def option_of_its_own(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option by whose name other commands mean something else."""
    return click.option(name, *more, cls=ManualOption, **{"show_default": True, **how})


def together(
    section: str | None, *options: Callable[[Any], Any], carried_to: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Return one decorator for several options, in this order, under a heading if there is one."""

    def decorate(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for add in reversed(options):
            command = add(command)
        for param in getattr(command, "__click_params__", ())[before:]:
            param.section = section or param.section
            param.carried_to = {*param.carried_to, *carried_to}
        return command

    return decorate


def format_option(
    *forms: str, help: str = "A table for people, or for a spreadsheet."
) -> Callable[..., Any]:
    """Return the option that says how a command's output is written; the first form is usual."""
    return option_of_its_own(
        "--format", "form", type=click.Choice(forms), default=forms[0], help=help
    )
