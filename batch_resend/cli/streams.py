"""The standard streams and log files: a thread writes what is printed.

A pipe that nobody reads, a terminal that is held (Ctrl-S), a file on a server that hangs: whatever
writes there waits for ever, and where that is the event loop, no request leaves and no signal is
heard. What waits here is bounded: beyond that it is left out, and counted.

Both are written by a thread (`Outflow`). Messages on standard error are left out where nobody reads
them; what is on standard output is not: it is data, or the summary of a run.
"""

import atexit
import errno
import io
import math
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

from batch_resend.cli.command import SIGNAL_BASE

if TYPE_CHECKING:
    import logging

CHUNK_BYTES = 4096  # of one write: how often it is seen that somebody reads
MOST_WAITING_BYTES = 256 * 1024  # a reader of 5 kB/s has them within LONGEST_WAIT_S
STALLED_S = 5.0  # without one chunk taken: nobody reads
GRACE_S = 2.0  # for a reader who has not read for longer than that
LONGEST_WAIT_S = 60.0


class Outflow:
    """A queue of texts, and the thread that writes them in their order.

    `write` takes all of what it is given, however long that takes, or raises OSError. `failed` is
    called once, in that thread, with the first error; what comes later is tried all the same.
    """

    def __init__(
        self, write: Callable[[bytes], None], failed: Callable[[OSError], object] | None = None
    ) -> None:
        self.error: OSError | None = None  # the first one
        self._write = write
        self._failed = failed
        self._queue: deque[bytes] = deque()
        self.waiting_bytes = 0  # in the queue, and of what is being written
        self.left_out = 0  # lines: there was no room for them, or an error met them
        self._taken_at = time.monotonic()  # the last chunk, or the first one came to wait
        self._given_up = False
        self._changed = threading.Condition()  # on an RLock: a signal may come while it is held
        self._thread: threading.Thread | None = None

    def put(self, data: bytes, *, may_be_left_out: bool) -> None:
        """Have whole lines written when their turn comes. Never waits."""
        with self._changed:
            # One text alone is taken, whatever its size.
            is_full = 0 < self.waiting_bytes > MOST_WAITING_BYTES - len(data)
            if self._given_up or (is_full and may_be_left_out):
                self.left_out += data.count(b"\n")
                return
            if not self.waiting_bytes:
                self._taken_at = time.monotonic()
            self._queue.append(data)
            self.waiting_bytes += len(data)
            if self._thread is None:
                # A daemon: what it waits for may never come, and is to hold up no exit.
                self._thread = threading.Thread(target=self._run, name="outflow", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, stalled_s: float, longest_s: float = LONGEST_WAIT_S) -> bool:
        """Wait until all is written, as long as somebody reads; return whether it is.

        Somebody does who takes a chunk within `stalled_s`. At most `longest_s` in all.
        """
        began = time.monotonic()
        with self._changed:
            while self.waiting_bytes and not self._given_up:
                ends_at = max(self._taken_at + stalled_s, began + GRACE_S)
                left_s = min(ends_at, began + longest_s) - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(min(left_s, threading.TIMEOUT_MAX))
            return not self.waiting_bytes

    def give_up(self) -> int:
        """Take nothing more; return how many lines were not written, and never will be."""
        with self._changed:
            if not self._given_up:
                self._given_up = True
                self.left_out += sum(data.count(b"\n") for data in self._queue)
                self._queue.clear()
                self._changed.notify_all()
            return self.left_out

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                data = b"".join(self._queue)
                self._queue.clear()
            for start in range(0, len(data), CHUNK_BYTES):
                if self._given_up:
                    return
                self._write_one(data[start : start + CHUNK_BYTES])

    def _write_one(self, chunk: bytes) -> None:
        left_out = 0
        try:
            self._write(chunk)
        except OSError as error:
            left_out = chunk.count(b"\n")
            is_first, self.error = self.error is None, self.error or error
            if is_first and self._failed is not None:
                self._failed(error)
        with self._changed:
            self.waiting_bytes -= len(chunk)
            self.left_out += left_out
            self._taken_at = time.monotonic()
            self._changed.notify_all()


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, however long that takes. Raises OSError."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process has set what they share not to block
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()


_PACE_S = 0.02  # how often it is looked whether a reader has taken data
_OUTPUT, _ERROR = 1, 2


class _Face(io.BufferedIOBase):
    """What a text stream writes into: its bytes join an outflow."""

    def __init__(self, of: TextIO, outflow: Outflow, *, is_data: bool) -> None:
        self._of = of  # kept: it may close its descriptor when it is forgotten
        self._outflow = outflow
        self._is_data = is_data
        self.name = of.name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._of.fileno()

    def isatty(self) -> bool:
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
        self.in_short = ""  # what the output says, for where it cannot be written
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
        # What the locale does not know ends no command that has sent.
        how = "backslashreplace"
        face = _Face(output, outflow, is_data=True)
        sys.stdout = io.TextIOWrapper(face, output.encoding, how, line_buffering=output.isatty())
        face = _Face(error, messages, is_data=False)
        sys.stderr = io.TextIOWrapper(face, error.encoding, how, line_buffering=True)
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
        while output is not None and output.waiting_bytes > MOST_WAITING_BYTES:  # noqa: ASYNC110 - as above
            await sleep(_PACE_S)

    @property
    def output_failed(self) -> bool:
        """Whether data could not be written, and its reader did not choose that."""
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
            self._output.wait(math.inf, math.inf)
        elif not self._output.wait(stalled_s):
            self._output.give_up()
        if self.output_failed and self._output.error is not None:
            why = self._output.error.strerror
            say = f"batch-resend: the output cannot be written: {why}\n{self.in_short}"
            self._outflows["on standard error"].put(say.encode(), may_be_left_out=False)
        self._say_what_is_missing(stalled_s)

    def leave(self, code: int, stalled_s: float = 1.0) -> NoReturn:
        """End at once, whatever threads still wait for."""
        self.prints_data = False
        self.finish(stalled_s)
        os._exit(code)

    def _say_what_is_missing(self, stalled_s: float) -> None:
        """Say how many messages nobody has read, where somebody reads; the log file has it too."""
        text = ""
        for where, outflow in self._outflows.items():
            is_written = outflow.wait(stalled_s)
            lines = outflow.left_out if is_written else outflow.give_up()
            if lines and outflow.error is None:
                words = f"{lines:,} lines {where} were not written: nobody read them in time"
                log_for_file(__name__).warning(words)
                text += f"batch-resend: {words}\n"
        where_to = messages = self._outflows["on standard error"]
        is_read = messages.error is None and not messages.waiting_bytes
        if not (is_read or self.prints_data or self._output is None):
            where_to = self._output
        where_to.put(text.encode(), may_be_left_out=False)
        where_to.wait(stalled_s)


def log_for_file(name: str) -> "logging.Logger":
    """Return a log of what standard error has in other words: it is for a file alone (`logs`).

    Until a command has one, it goes nowhere.
    """
    import logging  # noqa: PLC0415 - a tenth of the time of --help, which logs nothing

    of_all = logging.getLogger("batch_resend")
    if not of_all.handlers:
        of_all.addHandler(logging.NullHandler())
    return logging.getLogger(name)


def _quit_on_signals() -> None:
    """Have signals end the process while it waits, also where it is process 1 of a container."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda caught, _: os._exit(SIGNAL_BASE + caught))


STREAMS = Streams()
