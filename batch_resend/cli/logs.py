"""Logs, on standard error and in a file: for a person or as JSON, one event a line.

An event has a short text and its particulars beside it (order, attempt, what the CA said); the run
that it is part of is added here.
"""

import errno
import json
import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

import anyio.to_thread

from batch_resend.cli.output.terminal import is_screen
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.streams import STALLED_S, STREAMS, write_all
from batch_resend.cli.urls import is_rehearsed, note_accounts
from batch_resend.errors import SettingsError
from batch_resend.folders import followed, is_everyones, is_trusted
from batch_resend.model import Run
from batch_resend.visible import redacted

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

_ON_STANDARD_ERROR_ANYHOW = ("batch_resend.cli.main", "batch_resend.cli.streams")
# What a log file is to have of a run, and a person sees without it, but for -v.
run_log = logging.getLogger("batch_resend.run")
# Which way the CA was asked: a log has it, and a person at a terminal only with -v.
_OF_ASKING = ("batch_resend.order_reader", "batch_resend.preflight", "batch_resend.verification")
LEVELS = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at the moment: a live view puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _LogFile(logging.Handler):
    """Appends to a file that only its owner may read. One that fails, or hangs, delays no run.

    What rotates logs gives the file another name, or removes it: the name is then opened again.
    Raises SettingsError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = _open_to_append(path)
        except OSError as error:
            raise SettingsError(f"--log-file {path}: {error.strerror}") from None
        super().__init__()
        self._path = path
        self._has_failed = False
        self._outflow = STREAMS.add(f"to --log-file {path}", self._write, self._say_failed)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
        except Exception:
            self.handleError(record)
            return
        self._outflow.put(line.encode("utf-8", "backslashreplace"), may_be_left_out=True)

    def flush(self) -> None:
        self._outflow.wait(STALLED_S)

    def close(self) -> None:
        self.flush()  # what is not written then is left out
        if not self._outflow.give_up():
            with suppress(OSError):
                os.close(self._descriptor)
        super().close()

    def _write(self, data: bytes) -> None:
        """Write to the file that has the name now. Raises OSError."""
        try:
            if self._has_lost_its_name():
                old, self._descriptor = self._descriptor, _open_to_append(self._path)
                os.close(old)
        except OSError as error:
            self._say_failed(error)  # the lines go to the file as it was
        write_all(self._descriptor, data)

    def _has_lost_its_name(self) -> bool:
        opened = os.fstat(self._descriptor)
        try:  # nobody rotates a pipe or a device
            return stat.S_ISREG(opened.st_mode) and not os.path.samestat(opened, self._path.stat())
        except FileNotFoundError:
            return True

    def _say_failed(self, error: OSError) -> None:
        """Say once that lines are missing; the journal has what matters."""
        if not self._has_failed:
            self._has_failed = True
            logging.getLogger(__name__).error("--log-file %s: %s", self._path, error)


def _open_to_append(path: Path) -> int:
    """Open a file that another user neither chose nor owns. Raises OSError."""
    place = followed(path)
    # A pipe that nobody reads is an error, instead of a wait without end.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW
    descriptor = os.open(place, flags, 0o600)
    try:
        if is_everyones(place.parent) and not is_trusted(os.fstat(descriptor)):
            raise PermissionError(errno.EPERM, "it belongs to another user, who could read the log")
        os.set_blocking(descriptor, True)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def set_up_logs(options: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Send this package's logs where a command's options say: to standard error, to a file as well.

    There with -q only errors, with -v every attempt; of a file --log-level says it. Raises
    SettingsError where it cannot be opened.
    """
    log_format, redact = options.get("log_format", "text"), options.get("redact", False)
    verbosity = int(options.get("verbose", False)) - int(options.get("quiet", False))
    handlers: list[logging.Handler] = [_StandardError()]
    handlers[0].setLevel(LEVELS[verbosity])
    elsewhere = (*_ON_STANDARD_ERROR_ANYHOW, *(() if verbosity > 0 else (run_log.name,)))
    details = _OF_ASKING if sys.stderr.isatty() and verbosity <= 0 else ()
    handlers[0].addFilter(
        lambda record: (
            record.name not in elsewhere
            and (record.name not in details or record.levelno > logging.INFO)
        )
    )
    handlers[0].setFormatter(_Formatter(log_format, redact, on_terminal=sys.stderr.isatty()))
    if (path := options.get("log_file")) is not None:
        handlers.append(_LogFile(path))
        handlers[1].setLevel(options.get("log_level", "info").upper())
        handlers[1].setFormatter(
            _Formatter(log_format, redact, on_terminal=False, whose=_whose(options))
        )
    logger = logging.getLogger("batch_resend")
    logger.handlers = handlers
    logger.setLevel(min(handler.level for handler in handlers))
    logger.propagate = False


def mask_logs() -> None:
    """Mask e-mail addresses in all logs from now on: the run that is resumed has --redact."""
    for formatter in _formatters():
        formatter.mask()


def name_run(run: Run, accounts: Sequence[str | None], profile: str | None) -> None:
    """Have all that is said of a command, from now on, be of the run that it sends.

    The accounts that the run asks decide whether it is a rehearsal.
    """
    rehearsal = note_accounts(run, accounts)
    for formatter in _formatters():
        formatter.name(profile, rehearsal=rehearsal)


def _formatters() -> Iterator["_Formatter"]:
    for handler in logging.getLogger("batch_resend").handlers:
        if isinstance(handler.formatter, _Formatter):
            yield handler.formatter


_run_id: ContextVar[str] = ContextVar("run_id")


@contextmanager
def with_run_id(run_id: str) -> Iterator[None]:
    """Have all events in a block, and in tasks begun there, name the run they are part of."""
    before = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(before)


async def prepare_logs() -> None:
    """Load what formats events, beside the first request: at the end the files may be others."""
    # Whatever it is, the run continues. No file may be opened where descriptors have run out.
    with suppress(ImportError, OSError):
        await anyio.to_thread.run_sync(import_module, "structlog")


class _Formatter(logging.Formatter):
    """Formats events by structlog, which is loaded with the first: a short run has none."""

    def __init__(
        self,
        log_format: str,
        redact: bool,
        *,
        on_terminal: bool,
        whose: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self._whose = dict(whose)
        self._is_json = log_format == "json"
        self._redact = redact
        self._brief = on_terminal and not self._is_json  # it shows one run, by the local clock
        # NO_COLOR: any value but none asks for it (no-color.org)
        is_coloured = on_terminal and is_screen(sys.stderr) and not os.environ.get("NO_COLOR")
        self._is_coloured = is_coloured

    def mask(self) -> None:
        """Mask addresses from now on."""
        self._redact = True
        self.__dict__.pop("_made", None)

    def name(self, profile: str | None, *, rehearsal: bool) -> None:
        """Name whose a run is from now on, where events say that."""
        if self._whose:
            self._whose |= {"profile": profile, "rehearsal": rehearsal or None}

    def format(self, record: logging.LogRecord) -> str:
        try:
            made = self._made
        except (ImportError, OSError):  # it cannot be loaded now: the next event tries again
            return self._plain(record)
        return made.format(record)

    def _plain(self, record: logging.LogRecord) -> str:
        """Return an event without structlog: the same, but for colours and further fields."""
        event = {"event": record.getMessage(), "level": record.levelname.lower()}
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        steps = [_with_run, self._with_whose, _with_time, _without_nothing]
        for step in (*steps, _redacted) if self._redact else steps:
            event = dict(step(None, "", event))
        if self._is_json:
            return json.dumps(event, ensure_ascii=False)
        begin = f"{event.pop('timestamp')} [{event.pop('level')}] {event.pop('event')}"
        return " ".join([begin, *(f"{name}={value}" for name, value in event.items())])

    @cached_property
    def _made(self) -> logging.Formatter:
        import structlog  # noqa: PLC0415 - slow

        brief = self._brief
        rendering: Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if self._is_json
            else structlog.dev.ConsoleRenderer(
                colors=self._is_coloured, pad_event_to=0, sort_keys=False
            )
        )
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                _with_run,
                self._with_whose,
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                _with_local_time if brief else _with_time,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # As plain text: a console's own would show the variables of every frame, the key
                # too.
                structlog.processors.format_exc_info,
                _without_nothing,
                *([_without_run] if brief else []),
                *([_redacted] if self._redact else []),
                rendering,
            ],
        )

    def _with_whose(self, _logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
        return {**self._whose, **event}


def _whose(options: Mapping[str, Any]) -> dict[str, object]:
    """Return whose events a command's are: accounts, rehearsals, dry runs may share a log file."""
    return {
        "profile": options.get("profile"),
        "rehearsal": is_rehearsed(options) or None,
        "dry_run": options.get("dry_run") or None,
    }


def _with_run(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    if run_id := _run_id.get(None):
        event.setdefault("run_id", run_id)
    return event


def _with_time(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """Add when it was, by the command's clock: in a rehearsed week each night has a day."""
    at = datetime.fromtimestamp(clock_of_command()(), UTC)
    event["timestamp"] = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


def _with_local_time(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    event["timestamp"] = f"{datetime.fromtimestamp(clock_of_command()()):%m-%d %H:%M:%S}"
    return event


def _without_nothing(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """Leave out what there is nothing to say of."""
    return {name: value for name, value in event.items() if value is not None}


def _without_run(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    event.pop("run_id", None)
    return event


def _redacted(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    return {n: redacted(value) if isinstance(value, str) else value for n, value in event.items()}
