"""The question before anything leaves, and the terminal at which it is asked.

Where there is a terminal, it is asked, whatever the standard streams are: a list that is piped in,
or messages that go to a file, are no consent. Where there is none (cron, systemd, CI), nobody can
be asked, and the command line was the answer.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

import click

from batch_resend.visible import visible

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
