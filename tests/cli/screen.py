"""A command on a terminal of some size, and what a person sees on it."""

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from multiprocessing.reduction import DupFd
from typing import Any

import pyte

from tests.cli.conftest import Desk
from tests.cli.forked import fork


class Screen:
    """What a terminal shows, now and before."""

    def __init__(
        self, terminal: int, process: asyncio.subprocess.Process, columns: int, lines: int
    ) -> None:
        self._terminal = terminal
        self._process = process
        self._screen = pyte.HistoryScreen(columns, lines, history=5_000)
        self._stream = pyte.ByteStream(self._screen)
        self.sent = b""  # all that came, codes and all
        self._changed = asyncio.Event()

    def take(self) -> None:
        """Take in what has come."""
        with suppress(OSError):  # nobody writes any more
            data = os.read(self._terminal, 65_536)
            self.sent += data
            self._stream.feed(data)
            self._changed.set()

    @property
    def lines(self) -> list[str]:
        """The lines that are seen, without those that have left the screen at its top."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """All lines, those that have left the screen too."""
        gone = [
            "".join(line[column].data for column in range(self._screen.columns)).rstrip()
            for line in self._screen.history.top
        ]
        return "\n".join(gone + self.lines)

    async def shows(self, seen: Callable[["Screen"], bool]) -> list[str]:
        """Wait until something is seen; return the lines that are seen then."""
        async with asyncio.timeout(60):
            while not seen(self):
                self._changed.clear()
                await self._changed.wait()
        return self.lines

    def signal(self, number: int) -> None:
        """Send a signal to the command."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def type(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._terminal, keys)

    async def ended(self) -> int:
        """Wait for the command to end; return its exit code."""
        code = await asyncio.wait_for(self._process.wait(), 60)
        await asyncio.sleep(0)
        self.take()
        return code


class _OnTerminal:
    """In a new process: has a terminal be the controlling one, and all its streams."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self._terminal),)

    def __call__(self) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
        for stream in range(3):
            os.dup2(self._terminal, stream)
        os.close(self._terminal)


def _received(terminal: Any) -> _OnTerminal:
    return _OnTerminal(terminal.detach())


@asynccontextmanager
async def on_screen(
    desk: Desk,
    *arguments: str,
    columns: int = 80,
    lines: int = 40,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Screen]:
    """Run `batch-resend` on a terminal of its own."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = desk.environment | {"TERM": "xterm-256color"} | dict(environment or {})
    process = await fork(arguments, desk.folder, variables, _OnTerminal(theirs))
    assert process.stdin is not None
    process.stdin.close()
    os.close(theirs)
    screen = Screen(ours, process, columns, lines)
    loop = asyncio.get_running_loop()
    os.set_blocking(ours, False)
    loop.add_reader(ours, screen.take)
    try:
        yield screen
    finally:
        loop.remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def answered_on_terminal(
    desk: Desk, question: str, answer: bytes, *options: str
) -> tuple[int, str]:
    """Run `send`, type an answer once it asks; return its exit code and all it has shown."""
    words = ("send", "orders.csv", *options)
    async with on_screen(desk, *words, environment={"TERM": "dumb"}) as screen:
        await screen.shows(lambda shown: question in shown.text)
        screen.type(answer)
        return await screen.ended(), screen.text
