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
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, cast

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.cli.preloaded"])
_STREAM_LIMIT = 2**16  # bytes, as asyncio has it
_HEEDED_AT_THE_START = ("PYTHON", "LC_", "LANG", "COVERAGE_", "SSL_CERT_")


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether these variables say nothing that is heeded only when a process starts."""
    return not any(
        name.startswith(_HEEDED_AT_THE_START) and os.environ.get(name) != value
        for name, value in environment.items()
    )


async def fork(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Process:
    """Start `batch-resend` with a pipe for each stream, as `create_subprocess_exec` would."""
    loop = asyncio.get_running_loop()
    protocol = SubprocessStreamProtocol(limit=_STREAM_LIMIT, loop=loop)
    connected = loop.create_future()
    transport = _Transport(
        loop, protocol, arguments, False, PIPE, PIPE, PIPE, 0, connected,
        folder=folder, environment=environment,
    )  # fmt: skip
    await connected
    return Process(transport, protocol, loop)


class _Transport(BaseSubprocessTransport):
    """asyncio's own, for a child of another process than this one."""

    def _start(self, *_: Any, **how: Any) -> None:
        child = _Child(how["args"], how["folder"], how["environment"])
        self._proc = cast("subprocess.Popen[bytes]", child)

        def ended() -> None:
            self._loop.remove_reader(child.sentinel)
            self._process_exited(child.poll() or 0)

        self._loop.add_reader(child.sentinel, ended)


class _Child:
    """As much of a `subprocess.Popen` as asyncio's transport asks for."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        ours_err, theirs_err = os.pipe()
        theirs = [theirs_in, theirs_out, theirs_err]
        target = _Program(list(arguments), folder, dict(environment), theirs)
        self._process = _FORKS.Process(target=target, daemon=True)
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


class _Program:
    """What is to be done in the child."""

    def __init__(
        self, arguments: list[str], folder: Path, environment: dict[str, str], streams: list[int]
    ) -> None:
        self._arguments = arguments
        self._folder = folder
        self._environment = environment
        self._streams = streams

    def __reduce__(self) -> tuple[Any, ...]:
        streams = [DupFd(stream) for stream in self._streams]
        return _received, (self._arguments, self._folder, self._environment, streams)

    def __call__(self) -> None:
        os.chdir(self._folder)
        os.environ.clear()
        os.environ.update(self._environment)
        for number, stream in enumerate(self._streams):
            os.dup2(stream, number)
            os.close(stream)
        encoding = locale.getencoding()
        sys.stdin = os.fdopen(0, encoding=encoding)
        sys.stdout = os.fdopen(1, "w", encoding=encoding)
        sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace")
        sys.argv[1:] = self._arguments
        runpy.run_module("batch_resend", run_name="__main__", alter_sys=True)


def _received(
    arguments: list[str], folder: Path, environment: dict[str, str], streams: list[Any]
) -> _Program:
    return _Program(arguments, folder, environment, [stream.detach() for stream in streams])
