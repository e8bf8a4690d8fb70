"""Signals: the first one ends a command in good order, a second one at once.

They are listened for from the beginning to the end: in a container a command is process 1, for
which the kernel does nothing on a signal that nobody listens for.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TypeVar

import anyio
from anyio.abc import TaskStatus

from batch_resend.cli.exits import SIGNAL_BASE, Interrupted
from batch_resend.cli.output.terminal import say
from batch_resend.errors import SettingsError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SIGNAL_S = 0.5
LOOP_VARIABLE = "BATCH_RESEND_EVENT_LOOP"  # asyncio or uvloop

Act = Callable[[str], str]  # from the signal's name to what a person is told
Result = TypeVar("Result")


class Interruption:
    """What a signal leads to, which depends on how far the command is."""

    def __init__(self) -> None:
        self.caught: int | None = None  # the first signal
        self.scope = anyio.CancelScope()
        self._act: Act = self._leave

    @contextmanager
    def leads_to(self, act: Act) -> Iterator[None]:
        """Have the first signal do something else than end the command, for a while."""
        self._act, before = act, self._act
        try:
            yield
        finally:
            self._act = before

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        """Take signals as they come. What whoever started us has switched off stays off."""
        again_from = 0.0
        wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        with anyio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                now = anyio.current_time()
                if self.caught is not None and now < again_from:
                    continue  # one request to stop may come twice: to the process and to its group
                if self.caught is not None:
                    # All that matters is in the journal: the next start goes on from there.
                    os._exit(SIGNAL_BASE + number)
                self.caught, again_from = number, now + SAME_SIGNAL_S
                message = self._act(signal.Signals(number).name)
                with suppress(OSError):  # the terminal may be what has gone
                    say(f"{message} (once more: quit at once)")

    def _leave(self, _name: str) -> str:
        self.scope.cancel()
        return "Stopping"


def run_interruptibly(work: Callable[[Interruption], Awaitable[Result]]) -> Result:
    """Run a command to its end. Raises SettingsError; Interrupted, where a signal cuts it short."""

    async def main() -> Result:
        interruption = Interruption()
        found: list[Result] = []
        raised: list[Exception] = []
        async with anyio.create_task_group() as tasks:
            await tasks.start(interruption.listen)
            with interruption.scope:
                try:
                    found.append(await work(interruption))
                except Exception as error:  # passed on below: from here it would come in a group
                    raised.append(error)
            tasks.cancel_scope.cancel()
        if raised:
            raise raised[0]
        if not found:
            raise Interrupted(interruption.caught or signal.SIGINT)
        return found[0]

    return anyio.run(main, backend_options={"use_uvloop": _wants_uvloop()})


def _wants_uvloop() -> bool:
    """Whether to run on uvloop: where it is installed, unless told otherwise."""
    wanted = os.environ.get(LOOP_VARIABLE, "")
    if wanted not in ("", "asyncio", "uvloop"):
        raise SettingsError(f"{LOOP_VARIABLE}: {wanted!r} is neither asyncio nor uvloop")
    installed = find_spec("uvloop") is not None
    if wanted == "uvloop" and not installed:
        raise SettingsError(
            f"{LOOP_VARIABLE}: uvloop is not installed; it comes with batch-resend[uvloop]"
        )
    return installed and wanted != "asyncio"
