"""What is seen while a run sends: a bar on a terminal, a log line now and then elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from batch_resend.batch import Sending
from batch_resend.durations import format_duration
from batch_resend.model import OrderStatus
from batch_resend.sending import Flow

_BAR_EVERY_S = 0.2
_LINE_EVERY_S = 10.0

log = logging.getLogger(__name__)


async def follow(sending: Sending, *, quiet: bool) -> None:
    """Take in the outcomes of a run to its end, showing how far it is."""
    async with anyio.create_task_group() as tasks:
        if not quiet:
            tasks.start_soon(_show, sending, sys.stderr.isatty())
        async for _ in sending:
            pass
        tasks.cancel_scope.cancel()


async def _show(sending: Sending, on_terminal: bool) -> None:
    began = monotonic()
    # A terminal that is closed takes the bar with it, not the run.
    with suppress(OSError), _bar(sending) if on_terminal else _lines(sending) as show:
        while True:
            show(monotonic() - began)
            await anyio.sleep(_BAR_EVERY_S if on_terminal else _LINE_EVERY_S)


@contextmanager
def _bar(sending: Sending) -> Iterator[Callable[[float], None]]:
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        console=Console(stderr=True),
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("sending", total=sending.progress.total, told="")

        def show(elapsed_s: float) -> None:
            told = f"{_counts(sending)} · {_pace(sending, elapsed_s)}"
            bar.update(task, completed=sending.progress.done, told=told)

        try:
            yield show
        finally:
            bar.update(task, completed=sending.progress.done, told=_counts(sending))


@contextmanager
def _lines(sending: Sending) -> Iterator[Callable[[float], None]]:
    def show(elapsed_s: float) -> None:
        if elapsed_s >= _LINE_EVERY_S / 2:
            done, total = sending.progress.done, sending.progress.total
            log.info(
                "%s of %s orders; %s; %s",
                f"{done:,}", f"{total:,}", _counts(sending), _pace(sending, elapsed_s),
            )  # fmt: skip

    yield show


def _counts(sending: Sending) -> str:
    outcomes = sending.progress.outcomes
    told = [f"{outcomes[OrderStatus.SENT]:,} sent"]
    for status in (OrderStatus.REFUSED, OrderStatus.FAILED, OrderStatus.IN_DOUBT):
        if outcomes[status]:
            told.append(f"{outcomes[status]:,} {status.value.replace('_', ' ')}")
    return " · ".join(told)


def _pace(sending: Sending, elapsed_s: float) -> str:
    gate, progress = sending.gate, sending.progress
    if gate.flow is Flow.PAUSED:
        wait = format_duration(gate.paused_until - anyio.current_time())
        return f"paused: {gate.reason}; next try in {wait}"
    rate = progress.done / elapsed_s if elapsed_s > 0 else 0.0
    share_left = 1 - progress.done / max(progress.total, 1)
    left_s = sending.duration_s * share_left / sending.share
    taken = f" · {sending.share:.0%} of the windows" if sending.share < 1 else ""
    return f"{rate:.1f}/s{taken} · {format_duration(left_s)} left"
