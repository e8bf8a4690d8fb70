"""A command on a terminal of some size, and what a person sees on it."""

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import pyte

from tests.cli.conftest import Desk


class Screen:
    """What a terminal shows, now and before."""

    def __init__(self, terminal: int, process: asyncio.subprocess.Process, columns: int) -> None:
        self._terminal = terminal
        self._process = process
        self._screen = pyte.HistoryScreen(columns, 40, history=5_000)
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

    def type(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._terminal, keys)

    async def ended(self) -> int:
        """Wait for the command to end; return its exit code."""
        code = await asyncio.wait_for(self._process.wait(), 60)
        await asyncio.sleep(0)
        self.take()
        return code


def _take_over(terminal: int, is_controlling: bool) -> None:
    """In the new process: make a terminal the controlling one; leave no other descriptor of it."""
    if is_controlling:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.close(terminal)


@asynccontextmanager
async def on_screen(
    desk: Desk,
    *arguments: str,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (),
    streams: Mapping[str, int] | None = None,
    is_controlling: bool = True,
) -> AsyncIterator[Screen]:
    """Run `batch-resend`, or another program, on a terminal.

    `streams` are those that go elsewhere: `stdin`, `stdout` or `stderr`, with a descriptor each.
    A terminal that is not the controlling one is found through the streams alone, as after setsid.
    """
    ours, theirs = os.openpty()
    elsewhere = streams or {}
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(program or desk.command(*arguments)),
        cwd=desk.folder,
        env=desk.environment | {"TERM": "xterm-256color"} | dict(environment or {}),
        stdin=elsewhere.get("stdin", theirs),
        stdout=elsewhere.get("stdout", theirs),
        stderr=elsewhere.get("stderr", theirs),
        start_new_session=True,
        pass_fds=(theirs,),
        preexec_fn=partial(_take_over, theirs, is_controlling),
    )
    os.close(theirs)
    screen = Screen(ours, process, columns)
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
