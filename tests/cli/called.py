"""`batch-resend` called in this process: half the cost of one of its own.

All else is as there: its folder, environment, streams and exit code. What only the first thread of
a process, or a process alone, can have needs `Desk.start`: signals, kills, locks, a terminal,
streams by their number, log files (a thread writes them), and processes of its own.
"""

import asyncio
import fcntl
import gc
import io
import logging
import os
import resource
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ctypes import CDLL
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from batch_resend.cli import lifecycle, main
from batch_resend.cli.streams import STREAMS

_IN_A_PROCESS = {"--log-file", "simulate", "worker", "/dev/stdin", "/dev/full"}
_CHANGED = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
_PR_SET_DUMPABLE = 4
_one_at_a_time = threading.Lock()  # folder, environment and streams are the whole process's


class _LeftError(BaseException):
    """The command has ended its process at once."""


def can_be_called(arguments: Sequence[str]) -> bool:
    """Whether a command needs no process of its own, and no other is being called now."""
    is_alone = "--help" not in arguments and not _IN_A_PROCESS.isdisjoint(arguments)
    return not is_alone and not _one_at_a_time.locked()


async def call(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes,
    timeout_s: float,
) -> tuple[int, str, str]:
    """Call `batch-resend` in a thread; return its exit code, and what it has printed."""
    loop = asyncio.get_running_loop()
    called = loop.create_future()

    def run() -> None:
        try:
            ended = _run(arguments, folder, environment, stdin)
        except BaseException as error:
            loop.call_soon_threadsafe(called.set_exception, error)
        else:
            loop.call_soon_threadsafe(called.set_result, ended)

    threading.Thread(target=run, name="batch-resend", daemon=True).start()
    ended: tuple[int, str, str] = await asyncio.wait_for(called, timeout_s)
    return ended


def _run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: bytes
) -> tuple[int, str, str]:
    out, err, logger = io.BytesIO(), io.BytesIO(), logging.getLogger("batch_resend")
    with _one_at_a_time, pytest.MonkeyPatch.context() as patch:
        _have_no_terminal()
        patch.chdir(folder)
        before = dict(os.environ)
        limits = {limit: resource.getrlimit(limit) for limit in _CHANGED}
        os.environ.clear()
        os.environ.update(environment)
        patch.setattr(sys, "argv", ["batch-resend", *arguments])
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # click looks for its name
        for name, stream, errors in (
            ("stdin", io.BytesIO(stdin), "strict"),
            ("stdout", out, "backslashreplace"),
            ("stderr", err, "backslashreplace"),
        ):
            text = io.TextIOWrapper(stream, "utf-8", errors, write_through=name != "stdin")
            patch.setattr(sys, name, text)
        patch.setattr(lifecycle, "SIGNALS", ())  # only the first thread may listen to them
        patch.setattr(STREAMS, "take_over", lambda: None)
        patch.setattr(os, "_exit", _leave)
        patch.setattr(gc, "freeze", lambda: None)  # what is garbage of tests would stay
        patch.setattr(logger, "handlers", [])
        patch.setattr(logger, "propagate", logger.propagate)
        try:
            main()
        except SystemExit as ending:
            code = int(ending.code or 0)
        except _LeftError as ending:
            code = int(ending.args[0])
        finally:
            os.environ.clear()
            os.environ.update(before)
            logger.setLevel(logging.NOTSET)
            for limit, values in limits.items():
                resource.setrlimit(limit, values)
            if sys.platform == "linux":
                CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        return code, out.getvalue().decode(), err.getvalue().decode()


def _leave(code: int) -> NoReturn:
    raise _LeftError(code)


def _have_no_terminal() -> None:
    """Leave the terminal of whoever runs the tests: a command would ask there."""
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        with suppress(OSError):
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
        os.close(terminal)
