"""`--help` as a manual page: options by what they are about, examples, exit codes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import click

from batch_resend.cli.exits import MEANINGS, SIGNALLED, WITHOUT_ORDERS, ExitCode

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
