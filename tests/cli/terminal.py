"""A command on a terminal of its own, which controls it as a shell's does."""

import asyncio
import fcntl
import os
import termios

from tests.cli.conftest import Desk


async def answered_on_terminal(desk: Desk, question: bytes, answer: bytes) -> tuple[int, str]:
    """Run `send`, type an answer once it asks; return its exit code and all it has shown."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *desk.command("send", "orders.csv"),
        cwd=desk.folder,
        env=desk.environment | {"TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # Only the terminal that controls a process makes a signal of a key.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    told = b""
    async with asyncio.timeout(30):
        while question not in told:
            told += await asyncio.to_thread(os.read, ours, 65_536)
        os.write(ours, answer)
        code = await process.wait()
        told += await asyncio.to_thread(os.read, ours, 65_536)
    os.close(ours)
    return code, told.decode()
