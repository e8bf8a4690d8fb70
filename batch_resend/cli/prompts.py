"""The question before anything leaves, and the commands to run next."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TextIO

import click
from click.core import ParameterSource

from batch_resend.cli import rehearsal
from batch_resend.cli.config import given_for_this_command
from batch_resend.cli.manual import ManualOption
from batch_resend.cli.options import RESUME, SEND
from batch_resend.cli.profiles import PARAMETERS, profiles_of
from batch_resend.cli.values import DurationType
from batch_resend.model import Run
from batch_resend.report import NextFlags
from batch_resend.settings import InDoubt, Region
from batch_resend.visible import visible
from batch_resend.windows import CA_WINDOWS


def next_flags(context: click.Context) -> NextFlags:
    """Return what this command was told, where the next commands need to be told it as well.

    By the environment or the TOML file too: whoever reads a report may have neither.
    """
    return NextFlags(
        config="".join(f" {shlex.quote(word)}" for word in config_words(context)),
        send=_flags(context, _carried_to(SEND, context)),
        resume=_flags(context, _carried_to(RESUME, context)),
        in_doubt=_flags(context, ("in_doubt",)),
        watch=_flags(context, ("journal",)),
        none_will_do=rehearsal.is_on(),
    )


def next_flags_of_run(
    context: click.Context, run: Run, accounts: Sequence[str | None]
) -> NextFlags:
    """Return what the next commands for a run need that another command line began.

    What the accounts have in common was a flag then, or goes without one: as a flag it changes
    nothing for any of them. What sets them apart the file says.
    """
    flags = next_flags(context)
    names = accounts or (None,)
    place, limits = "", ""
    urls = {run.url_of(name) for name in names}
    if len(urls) == 1 and urls.isdisjoint({None, Region.US.base_url}):
        place = f" --base-url {run.url_of(names[0])}"
    windows = {run.windows_of(name) for name in names}
    if len(windows) == 1 and windows.isdisjoint({None, tuple(map(str, CA_WINDOWS))}):
        limits = "".join(f" --limit {one}" for one in run.windows_of(names[0]) or ("none",))
    hold = run.settings.get("in_doubt") == InDoubt.HOLD
    return replace(
        flags,
        send=f"{flags.send}{place}{limits}",
        resume=flags.resume if set(names) == {None} else f"{flags.resume}{place}",
        in_doubt=" --in-doubt hold" if hold else "",
    )


def config_words(context: click.Context) -> list[str]:
    """Return the words that name the TOML file, wherever it was found; they stand before all."""
    path = context.find_root().params.get("config")
    return ["--config", str(path)] if path else []


def _carried_to(command: str, context: click.Context) -> list[str | None]:
    return [
        param.name
        for param in context.command.params
        if isinstance(param, ManualOption) and command in param.carried_to
    ]


def _flags(context: click.Context, names: Sequence[str | None]) -> str:
    return "".join(f" {shlex.quote(word)}" for word in option_words(context, names))


def taken_over(context: click.Context, values: Mapping[str, object]) -> dict[str, object]:
    """Have options that nobody gave the values that they had earlier; return those.

    The next commands are then told of them, as if they had been given.
    """
    taken = {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.DEFAULT
    }
    for name, value in taken.items():
        context.params[name] = value
        context.set_parameter_source(name, ParameterSource.DEFAULT_MAP)
    return taken


def _as_written(value: object, kind: click.ParamType[Any]) -> str:
    """Return a value as a person would write it on the command line."""
    if isinstance(value, tuple):
        return "=".join(value)
    if isinstance(kind, DurationType) and isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".") + "s"
    return str(value)


def _is_in_the_file_of(then: str, context: click.Context, name: str) -> bool:
    """Whether the next commands find an option of the file by themselves, or are not to have it.

    What the file says of one account, or of all that say nothing else, would go as a flag for each
    account that a list names.
    """
    if name not in given_for_this_command(context):
        return name in PARAMETERS or bool(then)
    root = context.find_root().default_map or {}
    if name in root.get(then, {}):
        return True
    # Where there are other accounts, only the key may be a flag: the rest would go for them too.
    return name in PARAMETERS and name != "api_key_file" and bool(profiles_of(context))


def option_words(context: click.Context, names: Sequence[str | None], then: str = "") -> list[str]:
    """Return the words by which a command was told of some options, wherever that was.

    `then` is the command that they are for, if it is known: what the file says for it stands.
    """
    words: list[str] = []
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "")
        if param.name not in names or given in (None, ParameterSource.DEFAULT):
            continue
        by_file = given is ParameterSource.DEFAULT_MAP and param.name in (context.default_map or {})
        if by_file and _is_in_the_file_of(then, context, param.name or ""):
            continue
        words += _words_of(param, context.params[param.name])
    return words


def _words_of(param: click.Parameter, value: object) -> list[str]:
    """Return the words by which an option has a value; none for a flag that is off."""
    name = param.opts[0]
    if isinstance(value, bool) or value is None:
        return [name] if value else []
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (name, _as_written(one, param.type))]


_CONTROLLING_TERMINAL = "/dev/tty"
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}
_LONGEST_LINE = 4096  # bytes; a terminal hands over no longer one


class CannotAskError(Exception):
    """There is a terminal, but nobody can be asked at it; its text says why."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a question is shown, and the descriptor that the answer is read from."""

    shows: TextIO
    answers: int

    def confirm(self, question: str) -> bool:
        """Return whether the answer is yes; asks again until it is an answer.

        Raises click.Abort at the end of input, and CannotAskError where the terminal has gone.
        """
        try:
            while True:
                self.shows.write(f"{visible(question)} [y/N]: ")
                self.shows.flush()
                line = os.read(self.answers, _LONGEST_LINE)
                if not line:
                    raise click.Abort
                answer = line.decode(errors="replace").strip().lower()
                if answer in _ANSWERS:
                    return _ANSWERS[answer]
                self.shows.write("Answer y or n.\n")
        except OSError:
            raise CannotAskError("the terminal has gone") from None


def has_terminal() -> bool:
    """Whether this process has a terminal: its controlling one, or a stream that is one."""
    with suppress(OSError):
        os.close(_open_controlling_terminal())
        return True
    return any(map(_is_terminal, (sys.stdin, sys.stdout, sys.stderr)))


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Open the terminal at which to ask. Raises CannotAskError."""
    try:
        descriptor = _open_controlling_terminal()
    except OSError:
        # None controls this process, as after setsid: a terminal may still be its streams.
        if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
            raise CannotAskError("the terminal is not this command's own") from None
        yield Terminal(sys.stderr, sys.stdin.fileno())
        return
    if _is_in_background(descriptor):
        os.close(descriptor)
        # To read there would stop it, with the journal locked.
        raise CannotAskError("the command runs in the background of the terminal")
    with os.fdopen(descriptor, "w", errors="backslashreplace", closefd=False) as screen:
        yield Terminal(sys.stderr if _is_terminal(sys.stderr) else screen, descriptor)
    os.close(descriptor)  # left open after an error: a thread may still wait there for an answer


def _open_controlling_terminal() -> int:
    return os.open(_CONTROLLING_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def _is_in_background(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # hung up
        return True


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
