"""Bytes on their way to a place that may not take them: a thread writes, and nobody else waits.

A pipe that nobody reads, a terminal that is held (Ctrl-S), a file on a server that hangs: whatever
writes there waits for ever, and where that is the event loop, no request leaves and no signal is
heard. What waits here is bounded: beyond that it is left out, and counted.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

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
        self._waiting_bytes = 0  # in the queue, and of what is being written
        self._left_out = 0  # lines
        self._taken_at = time.monotonic()  # the last chunk, or the first one came to wait
        self._given_up = False
        self._changed = threading.Condition()  # on an RLock: a signal may come while it is held
        self._thread: threading.Thread | None = None

    @property
    def waiting_bytes(self) -> int:
        """How much is not written yet."""
        return self._waiting_bytes

    @property
    def left_out(self) -> int:
        """How many lines are missing: there was no room for them, or an error met them."""
        return self._left_out

    def put(self, data: bytes, *, may_be_left_out: bool) -> None:
        """Have whole lines written when their turn comes. Never waits."""
        with self._changed:
            # One text alone is taken, whatever its size.
            is_full = 0 < self._waiting_bytes > MOST_WAITING_BYTES - len(data)
            if self._given_up or (is_full and may_be_left_out):
                self._left_out += data.count(b"\n")
                return
            if not self._waiting_bytes:
                self._taken_at = time.monotonic()
            self._queue.append(data)
            self._waiting_bytes += len(data)
            if self._thread is None:
                # A daemon: what it waits for may never come, and is to hold up no exit.
                self._thread = threading.Thread(target=self._run, name="outflow", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, stalled_s: float | None, longest_s: float | None = LONGEST_WAIT_S) -> bool:
        """Wait until all is written; return whether it is.

        That takes as long as somebody reads: no more than `stalled_s` without a chunk taken, and
        `longest_s` in all; None: without an end.
        """
        began = time.monotonic()
        with self._changed:
            while self._waiting_bytes and not self._given_up:
                ends = []
                if stalled_s is not None:
                    ends.append(max(self._taken_at + stalled_s, began + GRACE_S))
                if longest_s is not None:
                    ends.append(began + longest_s)
                left_s = min(ends) - time.monotonic() if ends else None
                if left_s is not None and left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return not self._waiting_bytes

    def give_up(self) -> int:
        """Take nothing more; return how many lines were not written, and never will be."""
        with self._changed:
            if not self._given_up:
                self._given_up = True
                self._left_out += sum(data.count(b"\n") for data in self._queue)
                self._queue.clear()
                self._changed.notify_all()
            return self._left_out

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
                chunk = data[start : start + CHUNK_BYTES]
                failed = self._write_one(chunk)
                with self._changed:
                    self._waiting_bytes -= len(chunk)
                    self._taken_at = time.monotonic()
                    self._left_out += chunk.count(b"\n") if failed else 0
                    self._changed.notify_all()

    def _write_one(self, chunk: bytes) -> bool:
        """Write; return whether that has failed."""
        try:
            self._write(chunk)
        except OSError as error:
            is_first, self.error = self.error is None, self.error or error
            if is_first and self._failed is not None:
                self._failed(error)
            return True
        return False


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, however long that takes. Raises OSError."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process has set what they share not to block
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()
