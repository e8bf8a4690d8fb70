"""`batch-resend` in a process that is forked from one which has imported it already.

To import it takes half a second of a processor, and these tests start it a thousand times. All else
is as in a process that was just started: its folder, environment, streams, signals and exit code.
"""

import asyncio
import locale
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from asyncio.base_subprocess import BaseSubprocessTransport
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, cast

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.cli.preloaded"])
_STREAM_LIMIT = 2**16  # bytes, as asyncio has it
_HEEDED_AT_THE_START = ("PYTHON", "LC_", "LANG", "COVERAGE_", "SSL_CERT_", "TMPDIR")


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether these variables say nothing that is heeded only when a process starts."""
    return not any(
        name.startswith(_HEEDED_AT_THE_START) and os.environ.get(name) != value
        for name, value in environment.items()
    )


def nothing() -> None:
    """Do not meddle."""


async def fork(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    meddling: Callable[[], object] = nothing,
) -> Process:
    """Start `batch-resend` with a pipe for each stream, as `create_subprocess_exec` would.

    `meddling` is called there first, and may change what is imported: a function of a module's, or
    a `functools.partial` of one, for it is handed over by its name.
    """
    loop = asyncio.get_running_loop()
    protocol = SubprocessStreamProtocol(limit=_STREAM_LIMIT, loop=loop)
    connected = loop.create_future()
    transport = _Transport(
        loop, protocol, arguments, False, PIPE, PIPE, PIPE, 0, connected,
        program=_Program(tuple(arguments), folder, dict(environment), meddling),
    )  # fmt: skip
    await connected
    return Process(transport, protocol, loop)


@dataclass(frozen=True, slots=True)
class _Program:
    """What is to be run."""

    arguments: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    meddling: Callable[[], object]


class _Transport(BaseSubprocessTransport):
    """asyncio's own, for a child of another process than this one."""

    def _start(self, *_: Any, **how: Any) -> None:
        child = _Child(how["program"])
        self._proc = cast("subprocess.Popen[bytes]", child)

        def ended() -> None:
            self._loop.remove_reader(child.sentinel)
            self._process_exited(child.poll() or 0)

        self._loop.add_reader(child.sentinel, ended)


class _Child:
    """As much of a `subprocess.Popen` as asyncio's transport asks for."""

    def __init__(self, program: _Program) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        ours_err, theirs_err = os.pipe()
        theirs = [theirs_in, theirs_out, theirs_err]
        self._process = _FORKS.Process(target=_InTheChild(program, theirs), daemon=True)
        self._process.start()
        for stream in theirs:
            os.close(stream)
        self.pid = self._process.pid or 0
        self.sentinel = self._process.sentinel
        self.returncode: int | None = None
        self.stdin = os.fdopen(ours_in, "wb", buffering=0)
        self.stdout = os.fdopen(ours_out, "rb", buffering=0)
        self.stderr = os.fdopen(ours_err, "rb", buffering=0)

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _InTheChild:
    """What is done there, once it has been handed over."""

    def __init__(self, program: _Program, streams: list[int]) -> None:
        self._program = program
        self._streams = streams

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self._program, [DupFd(stream) for stream in self._streams])

    def __call__(self) -> None:
        os.setsid()  # on no terminal, whoever runs the tests
        os.chdir(self._program.folder)
        os.environ.clear()
        os.environ.update(self._program.environment)
        for number, stream in enumerate(self._streams):
            os.dup2(stream, number)
            os.close(stream)
        encoding = locale.getencoding()
        sys.stdin = os.fdopen(0, encoding=encoding)
        sys.stdout = os.fdopen(1, "w", encoding=encoding)
        sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace")
        sys.argv[1:] = self._program.arguments
        self._program.meddling()
        runpy.run_module("batch_resend", run_name="__main__", alter_sys=True)


def _received(program: _Program, streams: list[Any]) -> _InTheChild:
    return _InTheChild(program, [stream.detach() for stream in streams])
