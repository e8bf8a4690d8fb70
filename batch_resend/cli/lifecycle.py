"""A command of which somebody is told: that it has begun, and how it ended, whatever ends it."""

import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import click

from batch_resend.cli.as_settings import alarm_of
from batch_resend.cli.exits import SIGNAL_BASE, ExitCode, code_of_error
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.errors import BatchResendError, SettingsError
from batch_resend.notify import Ending

START_GRACE_S = 3.0  # for the word of a start to be taken, once the command has ended

log = logging.getLogger(__name__)


def run_with_alarm(
    work: Callable[[Interruption], Awaitable[Ending]], options: dict[str, Any]
) -> int:
    """Run a command to its end, with its logs, and tell of it; return its exit code."""
    alarm = alarm_of(options)

    async def told(interruption: Interruption) -> int:
        endings: list[Ending] = []
        errors: list[Exception] = []  # passed on below: from the tasks they would come in a group
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_tell, alarm.started)  # whoever is slow holds up nothing
                try:
                    set_up_logs_of(options)
                    alarm.check()
                    endings.append(await work(interruption))
                except Exception as error:
                    errors.append(error)
                    endings.append(_failed(error))
                # Who has not heard of the start by then is told of the end alone.
                tasks.cancel_scope.deadline = anyio.current_time() + START_GRACE_S
        finally:
            ending = endings[0] if endings else _cut_short(interruption)
            with (
                anyio.CancelScope(shield=True) as telling,
                interruption.leads_to(lambda _: _cut(telling)),
            ):
                await _tell(lambda: alarm.ended(ending))
        if errors:
            raise errors[0]
        return ending.code

    return run_interruptibly(told)


def _cut(telling: anyio.CancelScope) -> str:
    """End a telling that takes long; the command's own ending stands."""
    telling.cancel()
    return "Telling nobody any more"


async def _tell(tell: Callable[[], Awaitable[None]]) -> None:
    """Tell somebody. Whatever comes of it, nothing comes of it for the command."""
    try:
        await tell()
    except Exception as error:
        log.error("nobody could be told: %s", type(error).__name__)  # its text may have a URL


def tell_of_wrong_usage(error: click.UsageError, context: click.Context) -> None:
    """Notify whom a command line names, as far as it was understood, that it was wrong.

    Of a timer's nobody would see.
    """
    _notify(context, Ending(ExitCode.WRONG_USAGE, error=error.format_message()))


def tell_of_bad_settings(
    error: SettingsError, parent: click.Context, command: click.Command, words: list[str]
) -> None:
    """Notify likewise where a file or a variable is wrong, and the command was not yet parsed."""
    with suppress(click.ClickException):  # the words are wrong as well
        context = command.make_context(command.name, list(words), parent, resilient_parsing=True)
        _notify(context, Ending(ExitCode.NOT_STARTED, error=str(error)))


def _notify(context: click.Context, ending: Ending) -> None:
    # What click has not come to yet, or was not given, has a mark of click's own.
    known = {n: v for n, v in context.params.items() if isinstance(v, str | Path | bool)}
    alarm = alarm_of(known)
    anyio.run(_tell, lambda: alarm.ended(ending))


def _failed(error: Exception) -> Ending:
    """Return how a command ends that an error has ended."""
    if isinstance(error, click.Abort):  # the end of input, where a person was asked
        return Ending(SIGNAL_BASE + signal.SIGINT, declined="nothing was sent: nobody answered")
    if isinstance(error, BrokenPipeError):
        return Ending(SIGNAL_BASE + signal.SIGPIPE, error="whoever read the output is gone")
    if isinstance(error, BatchResendError):
        return Ending(code_of_error(error), error=str(error))
    return Ending(ExitCode.NOT_STARTED, error=f"{type(error).__name__}: {error}")


def _cut_short(interruption: Interruption) -> Ending:
    """Return how a command ends that a signal has cut short before it had begun to send."""
    return Ending(
        SIGNAL_BASE + (interruption.caught or signal.SIGINT),
        declined="interrupted; nothing more was sent",
    )
