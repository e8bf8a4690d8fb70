"""Standard output and standard error, which hold up nothing, however slowly they are read.

Both are written by a thread (`outflow`). Messages on standard error are left out where nobody reads
them; what is on standard output is not: it is data, or the summary of a run.
"""

import atexit
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TextIO

from batch_resend.cli.exits import SIGNAL_BASE
from batch_resend.cli.outflow import MOST_WAITING_BYTES, STALLED_S, Outflow, write_all

_PACE_S = 0.02  # how often it is looked whether a reader has taken data
_OUTPUT, _ERROR = 1, 2

log = logging.getLogger(__name__)  # for a file alone: see `logs`


class _Face(io.BufferedIOBase):
    """What a text stream writes into: its bytes join an outflow."""

    def __init__(self, of: TextIO, outflow: Outflow, *, is_data: bool) -> None:
        self._of = of  # kept: it may close its descriptor when it is forgotten
        self._outflow = outflow
        self._is_data = is_data
        self.name = of.name

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._of.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._of.isatty()

    def write(self, data: object) -> int:
        """Have bytes written. Raises the OSError that data of before has met."""
        content = bytes(data)  # type: ignore[call-overload]  # a buffer, as the base class has it
        if self._is_data and (error := self._outflow.error) is not None:
            raise OSError(error.errno, error.strerror)
        self._outflow.put(content, may_be_left_out=not self._is_data)
        return len(content)


class Streams:
    """The standard streams of this process, and all else that is written by a thread."""

    def __init__(self) -> None:
        self.prints_data = True  # on standard output: it is waited for without an end
        self._outflows: dict[str, Outflow] = {}  # of messages, by where they go
        self._output: Outflow | None = None
        self._was_terminal = False
        self._finished = False

    def take_over(self) -> None:
        """Put threads behind sys.stdout and sys.stderr."""
        output, error = sys.stdout, sys.stderr
        outflow = Outflow(lambda data: write_all(_OUTPUT, data))
        # One file has one order: a message stays where it was among the data.
        is_one = os.path.samestat(os.fstat(_OUTPUT), os.fstat(_ERROR))
        messages = outflow if is_one else Outflow(lambda data: write_all(_ERROR, data))
        self._output, self._was_terminal = outflow, output.isatty()
        self._outflows["on standard error"] = messages
        sys.stdout = io.TextIOWrapper(
            _Face(output, outflow, is_data=True),
            output.encoding,
            "backslashreplace",  # what the locale does not know ends no command that has sent
            line_buffering=output.isatty(),
        )
        sys.stderr = io.TextIOWrapper(
            _Face(error, messages, is_data=False),
            error.encoding,
            "backslashreplace",
            line_buffering=True,
        )
        atexit.register(self.finish)  # after an error of ours, whose traceback is on its way

    def add(
        self, where: str, write: Callable[[bytes], None], failed: Callable[[OSError], object]
    ) -> Outflow:
        """Return an outflow for messages that is waited for at the end, such as a log file."""
        self._outflows[where] = Outflow(write, failed)
        return self._outflows[where]

    def is_behind(self) -> bool:
        """Whether messages wait to be taken: what is drawn again and again can be left out."""
        return any(outflow.waiting_bytes for outflow in self._outflows.values())

    async def keep_pace(self) -> None:
        """Wait, with the event loop going on, until no more than a bounded part of data waits."""
        from anyio import sleep  # noqa: PLC0415 - slow, and --help needs none

        output = self._output
        # A thread has no event of the loop's to set.
        while output is not None and output.waiting_bytes > MOST_WAITING_BYTES:  # noqa: ASYNC110
            await sleep(_PACE_S)

    @property
    def output_failed(self) -> bool:
        """Whether data could not be written, by no choice of whoever was to read it."""
        error = self._output.error if self._output is not None else None
        has_left = isinstance(error, BrokenPipeError) or (
            error is not None and error.errno == errno.EIO and self._was_terminal
        )
        return error is not None and not has_left

    def finish(self, stalled_s: float = STALLED_S) -> None:
        """Have all written that somebody reads; say what was not, as far as somebody reads that."""
        if self._finished or self._output is None:
            return
        self._finished = True
        _quit_on_signals()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        if self.prints_data:
            self._output.wait(None, None)
        elif not self._output.wait(stalled_s):
            self._output.give_up()
        if self.output_failed and self._output.error is not None:
            why = self._output.error.strerror
            say = f"batch-resend: the output cannot be written: {why}\n".encode()
            self._outflows["on standard error"].put(say, may_be_left_out=False)
        self._say_what_is_missing(stalled_s)

    def leave(self, code: int, stalled_s: float = 1.0) -> NoReturn:
        """End at once, whatever threads still wait for."""
        self.prints_data = False
        self.finish(stalled_s)
        os._exit(code)

    def _say_what_is_missing(self, stalled_s: float) -> None:
        """Say how many messages nobody has read, where somebody reads; the log file has it too."""
        told = ""
        for where, outflow in self._outflows.items():
            is_written = outflow.wait(stalled_s)
            lines = outflow.left_out if is_written else outflow.give_up()
            if lines and outflow.error is None:
                words = f"{lines:,} lines {where} were not written: nobody read them in time"
                log.warning(words)
                told += f"batch-resend: {words}\n"
        messages, output = self._outflows["on standard error"], self._output
        is_read = messages.error is None and not messages.waiting_bytes
        if is_read or self.prints_data or output is None:
            messages.put(told.encode(), may_be_left_out=False)
            messages.wait(stalled_s)
        else:
            output.put(told.encode(), may_be_left_out=False)
            output.wait(stalled_s)


def _quit_on_signals() -> None:
    """Have signals end the process while it waits, also where it is process 1 of a container."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda caught, _: os._exit(SIGNAL_BASE + caught))


STREAMS = Streams()
