"""A command from its start to its exit code, with the signals that interrupt it.

They are listened for from the beginning to the end: in a container a command is process 1, for
which the kernel does nothing on a signal that nobody listens for.
"""

import logging
import os
import signal
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from select import select
from typing import Any, TypeVar

import anyio
import click
from anyio.abc import TaskGroup, TaskStatus

from batch_resend.cli.as_settings import notifier_of
from batch_resend.cli.command import SIGNAL_BASE, ExitCode, Interrupted, code_of_error
from batch_resend.cli.config import find_config, readable_anyhow
from batch_resend.cli.logs import run_log, set_up_logs
from batch_resend.cli.output.terminal import has_terminal, say, show_json
from batch_resend.cli.rehearsals import is_rehearsal_in_silence
from batch_resend.cli.urls import is_rehearsed
from batch_resend.clock import timestamp
from batch_resend.errors import BatchResendError, CallError, JournalBusy, SettingsError
from batch_resend.model import Run
from batch_resend.notify import CommandResult, Notifier
from batch_resend.report import NotStarted, note_not_started

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SIGNAL_S = 0.5
_STANDARD_ERROR = 2  # its descriptor
LOOP_VARIABLE = "BATCH_RESEND_EVENT_LOOP"  # asyncio or uvloop

START_GRACE_S = 3.0  # for the notification of a start to arrive, once the command has ended

log = logging.getLogger(__name__)

Act = Callable[[str], str]  # from the signal's name to the message for the user
Result = TypeVar("Result")


def ending_signals() -> AbstractContextManager[AsyncIterator[signal.Signals]]:
    """Receive what asks a command to end. What was switched off when we were started stays off."""
    wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return anyio.open_signal_receiver(*wanted)


def cancelling(scope: anyio.CancelScope, message: str) -> Act:
    """Return what has a signal cancel a scope, with a message for the user."""

    def act(_name: str) -> str:
        scope.cancel()
        return message

    return act


class Interruption:
    """What a signal leads to, which depends on how far the command is."""

    def __init__(self) -> None:
        self.caught: int | None = None  # the first signal
        self.last_words = ""  # what a second one leaves behind, for the user
        self.scope = anyio.CancelScope()
        self._act: Act = cancelling(self.scope, "Stopping")

    @contextmanager
    def leads_to(self, act: Act) -> Iterator[None]:
        """Have the first signal do something else than end the command, for a while."""
        self._act, before = act, self._act
        try:
            yield
        finally:
            self._act = before

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        """Take signals as they come."""
        again_from = 0.0
        with ending_signals() as signals:
            task_status.started()
            async for number in signals:
                now = anyio.current_time()
                if self.caught is not None and now < again_from:
                    continue  # one request to stop may come twice: to the process and to its group
                if self.caught is not None:
                    # All that matters is in the journal: the next start resumes from there.
                    _write_at_once(self.last_words)
                    os._exit(SIGNAL_BASE + number)
                self.caught, again_from = number, now + SAME_SIGNAL_S
                message = self._act(signal.Signals(number).name)
                with suppress(OSError):  # the terminal may be what has gone
                    say(f"{message} (repeat it to quit at once)")


def _write_at_once(text: str) -> None:
    """Write to standard error if that takes what is written now, past all that waits for it."""
    with suppress(OSError, ValueError):
        if text and select([], [_STANDARD_ERROR], [], 0)[1]:
            os.write(_STANDARD_ERROR, text.encode())


@asynccontextmanager
async def beside(
    *tasks: Callable[[], Coroutine[Any, Any, None]], grace_s: float = 0.0
) -> AsyncIterator[TaskGroup]:
    """Run tasks beside a block; they are cancelled when it has ended, after a grace.

    An error of the block is raised as it is, in no group.
    """
    failed: Exception | None = None
    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(task)
        try:
            yield group
        except Exception as error:
            failed = error
        group.cancel_scope.deadline = anyio.current_time() + grace_s
    if failed is not None:
        raise failed


def run_interruptibly(work: Callable[[Interruption], Awaitable[Result]]) -> Result:
    """Run a command to its end. Raises SettingsError; Interrupted, where a signal cuts it short."""

    async def main() -> Result:
        interruption = Interruption()
        async with beside() as tasks:
            await tasks.start(interruption.listen)
            with interruption.scope:
                return await work(interruption)
        raise Interrupted(interruption.caught or signal.SIGINT)

    return anyio.run(main, backend_options={"use_uvloop": _wants_uvloop()})


def _wants_uvloop() -> bool:
    """Whether to run on uvloop: where it is installed, unless the variable says otherwise."""
    wanted = os.environ.get(LOOP_VARIABLE, "")
    if wanted not in ("", "asyncio", "uvloop"):
        raise SettingsError(f"{LOOP_VARIABLE}: {wanted!r} is neither asyncio nor uvloop")
    installed = find_spec("uvloop") is not None
    if wanted == "uvloop" and not installed:
        raise SettingsError(
            f"{LOOP_VARIABLE}: uvloop is not installed; it comes with batch-resend[uvloop]"
        )
    return installed and wanted != "asyncio"


def run_with_notifier(
    work: Callable[[Interruption], Awaitable[CommandResult]],
    options: dict[str, Any],
    newer_night: Callable[[], Awaitable[Run | None]] | None = None,
) -> int:
    """Run a command to its end, with its logs, and notify of it; return its exit code.

    `newer_night` finds the sweep whose alarm and metrics this command is to leave alone.
    """
    notifier = notifier_of(options)

    def whole(result: CommandResult) -> CommandResult:
        return replace(result, profile=notifier.profile, in_rehearsal=is_rehearsed(options))

    async def begin() -> None:
        nonlocal notifier
        try:
            set_up_logs(options)
            notifier.check()
            _say_what_is_not_used(notifier)
        finally:  # a command that fails here leaves a newer night alone, too
            if newer_night and (newer := await newer_night()):
                notifier = _left_to(newer, notifier, quiet=options["quiet"])

    async def notified(interruption: Interruption) -> int:
        result = None
        try:
            # A slow notification holds up nothing. One of a start that has not arrived when the
            # command ends is left out, after a grace: the end is notified.
            async with beside(grace_s=START_GRACE_S) as tasks:
                try:
                    await begin()
                finally:
                    tasks.start_soon(_notify_safely, notifier.started)
                result = await work(interruption)
        except Exception as error:
            result = whole(_failed(error))
            if isinstance(error, BatchResendError):
                is_slip = not isinstance(error, CallError | JournalBusy)
                _have_listed(result, notifier, options, is_slip=is_slip)
            raise
        finally:
            result = whole(result or _cut_short(interruption))
            with (
                anyio.CancelScope(shield=True) as notifying,
                interruption.leads_to(
                    cancelling(notifying, "No longer waiting for the notification")
                ),
            ):
                await _notify_safely(partial(notifier.ended, result))
        if options["is_json"]:
            show_json(result.as_json(redact=options["redact"]))
        return result.code

    return run_interruptibly(notified)


def _say_what_is_not_used(notifier: Notifier) -> None:
    if notifier.options and is_rehearsal_in_silence():
        unused = ", ".join(notifier.options)
        say(f"This is a rehearsal: it does not use {unused}. To try them: simulate --notify")


def _left_to(newer: Run, notifier: Notifier, *, quiet: bool) -> Notifier:
    """Return a notifier that leaves a newer night's alarm and metrics as they are, and say so."""
    left = notifier.without_state()
    if unused := [one for one in notifier.options if one not in left.options]:
        text = (
            f"A newer sweep, {newer.id}, has begun since: this command does not use "
            f"{' and '.join(unused)}, which are about the newest one"
        )
        run_log.info("%s", text)
        if not quiet:
            say(text)
    return left


def _have_listed(
    result: CommandResult, notifier: Notifier, options: Mapping[str, Any], *, is_slip: bool
) -> None:
    """Have the index of reports list a night that could not start: it has no report.

    `is_slip`: of the command line or its files. At a terminal a person sees it, and corrects it.
    """
    if options.get("dry_run") or (is_slip and has_terminal()):
        return
    night = NotStarted(
        timestamp(notifier.clock()),
        int(result.code),
        result.error or "",
        result.profile,
        result.in_rehearsal,
    )
    note_not_started(options["report_dir"], night)


async def _notify_safely(notify: Callable[[], Awaitable[None]]) -> None:
    """Notify. A failure is logged, and does not affect the command."""
    try:
        await notify()
    except Exception as error:
        log.error("the notification failed: %s", type(error).__name__)  # its text may have a URL


def notify_not_begun(
    code: ExitCode, error: str, parent: click.Context, command: click.Command, words: Sequence[str]
) -> None:
    """Notify of a command whose command line, variables or TOML file are wrong; set up its log.

    Nobody sees the messages of a timer's. Whom to notify, and which log, is read from the rest of
    them.
    """
    config = readable_anyhow(find_config(parent.params.get("config")), command)
    # Where there is no home, the journal has no default. It is of no use here.
    parent.default_map = {command.name or "": {"journal": os.devnull} | config}
    with suppress(click.ClickException):
        context = command.make_context(
            command.name,
            list(words),
            parent,
            resilient_parsing=True,
            ignore_unknown_options=True,
            allow_extra_args=True,
        )
        # What was not given, or is wrong, has a mark of click's own, or none.
        known = {n: v for n, v in context.params.items() if isinstance(v, str | Path | bool)}
        notifier = notifier_of(known)
        with context.scope(cleanup=False):
            if "log_file" in known:
                with suppress(SettingsError):
                    set_up_logs(known)
            in_rehearsal = is_rehearsed(known)
        result = CommandResult(
            code, error=error, profile=notifier.profile, in_rehearsal=in_rehearsal
        )
        if {"report_dir", "dry_run"} <= known.keys() and "ping_url" in context.params:
            _have_listed(result, notifier, known, is_slip=True)
        anyio.run(_notify_safely, partial(notifier.ended, result))


def _failed(error: Exception) -> CommandResult:
    if isinstance(error, click.Abort):  # the end of input, where a person was asked
        code = SIGNAL_BASE + signal.SIGINT
        return CommandResult(code, declined="nothing was sent: nobody answered")
    if isinstance(error, BrokenPipeError):
        code = SIGNAL_BASE + signal.SIGPIPE
        return CommandResult(code, error="the reader of the output is gone")
    if isinstance(error, BatchResendError):
        return CommandResult(code_of_error(error), error=str(error))
    return CommandResult(ExitCode.NOT_STARTED, error=f"{type(error).__name__}: {error}")


def _cut_short(interruption: Interruption) -> CommandResult:
    """Return how a command ends that a signal has cut short before it had begun to send."""
    code = SIGNAL_BASE + (interruption.caught or signal.SIGINT)
    return CommandResult(code, declined="interrupted; nothing more was sent")
