"""What every command has: a manual page as its help, and exit codes that mean one thing."""

import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import click

from batch_resend.errors import BatchResendError, JournalBusy, KeyRefused


class ExitCode(IntEnum):
    """How a command ended. An interrupted one ends with 128 and the signal's number."""

    ALL_WELL = 0
    NOT_STARTED = 1
    WRONG_USAGE = 2
    NOT_ALL_SENT = 3
    STOPPED = 4
    JOURNAL_BUSY = 5


SIGNAL_BASE = 128


MEANINGS = {
    ExitCode.ALL_WELL: "every order accepted, or rightly skipped",
    ExitCode.NOT_STARTED: "could not start, nothing was sent: unreadable input, no key, bad "
    "settings, or (sweep, --preflight) a CA that cannot be asked first",
    ExitCode.WRONG_USAGE: "wrong usage",
    ExitCode.NOT_ALL_SENT: "finished, but a row was rejected or an order was not accepted, or the "
    "report could not be written",
    ExitCode.STOPPED: "stopped early: the CA refused the API key; or, while sending, wrong URL, CA "
    "gone for too long, journal not writable",
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
    ExitCode.JOURNAL_BUSY: "another run holds the journal, so the CA was not asked; no problem "
    "was found besides",
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
    if isinstance(error, KeyRefused):
        return ExitCode.STOPPED
    return ExitCode.NOT_STARTED


OTHER = "Other options"


class ManualOption(click.Option):
    """An option that knows under which heading it is listed, and which commands need it next."""

    section = OTHER

    def __init__(self, *args: Any, carried_to: Collection[str] = (), **how: Any) -> None:
        """Take the commands that a report names, and that are to be given what this one was."""
        super().__init__(*args, **how)
        self.carried_to = carried_to


class ManualCommand(click.Command):
    """A command with a manual: what its help has beyond click's."""

    def __init__(
        self,
        *args: Any,
        examples: Mapping[str, str] | None = None,
        exit_codes: Sequence[ExitCode] = (),
        see_also: Sequence[str] = (),
        meanings: Mapping[ExitCode, str] | None = None,
        **how: Any,
    ) -> None:
        """Take `examples` by what each shows, and the exit codes beyond 0, 1 and 2.

        `meanings`: of those that mean something of their own here.
        """
        super().__init__(*args, **how)
        self.examples = dict(examples or {})
        self._exit_codes = exit_codes
        self._meanings = meanings or {}
        self._see_also = see_also

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options by section, the sections in the order of their first options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(context):
            record = param.get_help_record(context)
            if record is not None and isinstance(param, click.Option):
                section = getattr(param, "section", OTHER)
                sections.setdefault(section, []).append(record)
        others = sections.pop(OTHER, [])
        title = OTHER if sections else "Options"
        for section, records in (*sections.items(), (title, others)):
            if records:
                with formatter.section(section):
                    formatter.write_dl(records)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Add examples, exit codes, and what else to look at."""
        del context
        if self.examples:
            with formatter.section("Examples"):
                _write_examples(formatter, self.examples.items())
        codes = (ExitCode.ALL_WELL, ExitCode.NOT_STARTED, ExitCode.WRONG_USAGE, *self._exit_codes)
        others = {} if ExitCode.NOT_ALL_SENT in codes else WITHOUT_ORDERS
        meanings = {**MEANINGS, **others, **self._meanings}
        with formatter.section("Exit codes"):
            formatter.write_dl([*((str(int(code)), meanings[code]) for code in codes), SIGNALLED])
        if self._see_also:
            with formatter.section("See also"):
                formatter.write_text(", ".join(f"batch-resend {name}" for name in self._see_also))


class ManualGroup(ManualCommand, click.Group):
    """A group of commands with a manual."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options, then the commands."""
        ManualCommand.format_options(self, context, formatter)
        self.format_commands(context, formatter)


def _write_examples(formatter: click.HelpFormatter, examples: Iterable[tuple[str, str]]) -> None:
    """Write commands as they are typed: a line each, however long."""
    pad = " " * formatter.current_indent
    for text, command in examples:
        formatter.write(f"{pad}{text}:\n{pad}  $ {command}\n")
