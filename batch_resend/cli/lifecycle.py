"""A command with its notifications: that it has begun, and how it ended, whatever ends it."""

import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import click

from batch_resend.cli.as_settings import notifier_of
from batch_resend.cli.exits import SIGNAL_BASE, ExitCode, code_of_error
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.errors import BatchResendError, SettingsError
from batch_resend.notify import CommandResult

START_GRACE_S = 3.0  # for the word of a start to be taken, once the command has ended

log = logging.getLogger(__name__)


def run_with_notifier(
    work: Callable[[Interruption], Awaitable[CommandResult]], options: dict[str, Any]
) -> int:
    """Run a command to its end, with its logs, and tell of it; return its exit code."""
    notifier = notifier_of(options)

    async def notified(interruption: Interruption) -> int:
        results: list[CommandResult] = []
        errors: list[Exception] = []  # passed on below: from the tasks they would come in a group
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    _notify_safely, notifier.started
                )  # a slow notification holds up nothing
                try:
                    set_up_logs_of(options)
                    notifier.check()
                    results.append(await work(interruption))
                except Exception as error:
                    errors.append(error)
                    results.append(_failed(error))
                # A start that could not be notified by then is left out: the end is notified.
                tasks.cancel_scope.deadline = anyio.current_time() + START_GRACE_S
        finally:
            result = results[0] if results else _cut_short(interruption)
            with (
                anyio.CancelScope(shield=True) as notifying,
                interruption.leads_to(lambda _: _cut(notifying)),
            ):
                await _notify_safely(lambda: notifier.ended(result))
        if errors:
            raise errors[0]
        return result.code

    return run_interruptibly(notified)


def _cut(notifying: anyio.CancelScope) -> str:
    """End a telling that takes long; the command's own ending stands."""
    notifying.cancel()
    return "Telling nobody any more"


async def _notify_safely(notify: Callable[[], Awaitable[None]]) -> None:
    """Tell somebody. Whatever comes of it, nothing comes of it for the command."""
    try:
        await notify()
    except Exception as error:
        log.error("nobody could be told: %s", type(error).__name__)  # its text may have a URL


def notify_wrong_usage(error: click.UsageError, context: click.Context) -> None:
    """Notify whom a command line names, as far as it was understood, that it was wrong.

    Of a timer's nobody would see.
    """
    _notify(context, CommandResult(ExitCode.WRONG_USAGE, error=error.format_message()))


def notify_bad_settings(
    error: SettingsError, parent: click.Context, command: click.Command, words: list[str]
) -> None:
    """Notify likewise where a file or a variable is wrong, and the command was not yet parsed."""
    with suppress(click.ClickException):  # the words are wrong as well
        context = command.make_context(command.name, list(words), parent, resilient_parsing=True)
        _notify(context, CommandResult(ExitCode.NOT_STARTED, error=str(error)))


def _notify(context: click.Context, result: CommandResult) -> None:
    # What click has not come to yet, or was not given, has a mark of click's own.
    known = {n: v for n, v in context.params.items() if isinstance(v, str | Path | bool)}
    notifier = notifier_of(known)
    anyio.run(_notify_safely, lambda: notifier.ended(result))


def _failed(error: Exception) -> CommandResult:
    """Return how a command ends that an error has ended."""
    if isinstance(error, click.Abort):  # the end of input, where a person was asked
        return CommandResult(
            SIGNAL_BASE + signal.SIGINT, declined="nothing was sent: nobody answered"
        )
    if isinstance(error, BrokenPipeError):
        return CommandResult(
            SIGNAL_BASE + signal.SIGPIPE, error="the reader of the output has left"
        )
    if isinstance(error, BatchResendError):
        return CommandResult(code_of_error(error), error=str(error))
    return CommandResult(ExitCode.NOT_STARTED, error=f"{type(error).__name__}: {error}")


def _cut_short(interruption: Interruption) -> CommandResult:
    """Return how a command ends that a signal has cut short before it had begun to send."""
    return CommandResult(
        SIGNAL_BASE + (interruption.caught or signal.SIGINT),
        declined="interrupted; nothing more was sent",
    )
