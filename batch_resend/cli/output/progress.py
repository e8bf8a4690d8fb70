"""A run on its way, on a terminal or in a log; `following` has one that other processes send."""

import json
import logging
import sys
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import anyio
from rich.live import Live

from batch_resend.batch import Batch
from batch_resend.channels import RunHandle
from batch_resend.cli.lifecycle import beside
from batch_resend.cli.options import Style
from batch_resend.cli.output.terminal import console_of, is_screen, say
from batch_resend.cli.output.view import PausedKey, View, as_json, live_lines, plain_line, together
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.streams import STREAMS
from batch_resend.clock import timestamp
from batch_resend.journal import RATE_OVER_S
from batch_resend.model import RequestStatus
from batch_resend.sending import Flow, Progress, Reader, Sender
from batch_resend.windows import (
    Course,
    Schedule,
    Window,
    fastest,
    joint,
    time_left_s,
)

_SCREEN_EVERY_S = 0.2
_LINE_EVERY_S = 10.0
_OBJECT_EVERY_S = 1.0
_MOST_READS_EACH = 2.0  # of an order; few need more
STOPPING = "stopping: nothing more is sent; waiting for the answers to what is in flight"
TRYING = "trying with a few requests"
FULL = "waiting: the rate limits are used up"
WORTH_SHOWING_S = 2.0  # of waiting for the rate limits
Result = TypeVar("Result")
log = logging.getLogger(__name__)


async def follow(
    sending: RunHandle, earlier: Mapping[RequestStatus, int], style: Style, *, is_resumed: bool
) -> None:
    """Take in the outcomes of a run to its end, showing how far it is.

    `earlier`: those that the run had before this start of it, of another process if it is resumed.
    """
    watched = _Watched(lambda: sending.senders, earlier, is_resumed=is_resumed)
    async with showing(watched.view, style):
        async for _ in sending:
            pass


async def while_asking(work: Awaitable[Result], batch: Batch, style: Style) -> Result:
    """Return what comes of asking the CA about orders, showing how far that is."""
    async with showing(_Watched(lambda: batch.reading).view, style):
        return await work


@asynccontextmanager
async def showing(
    view: Callable[[], View], style: Style, *, at_once: bool = False
) -> AsyncIterator[None]:
    """Show how a run goes while a block is carried out, and for programs how it was at the end."""
    shows = {
        Style.AUTO: [partial(show_views, view, at_once=at_once)],
        Style.JSON: [partial(_write_views, view)],
        Style.NONE: [],
    }
    async with beside(*shows[style]):
        yield
    if style is Style.JSON:
        _write(view())


async def _write_views(view: Callable[[], View]) -> None:
    """Write how a run goes as JSON, an object a line, until cancelled."""
    while True:
        if not STREAMS.is_behind():
            _write(view())
        await anyio.sleep(_OBJECT_EVERY_S)


def _write(view: View) -> None:
    values = {"event": "progress", "at": timestamp(clock_of_command()()), **as_json(view)}
    with suppress(OSError):
        say(json.dumps(values, ensure_ascii=False))


async def show_views(view: Callable[[], View], *, at_once: bool = False) -> None:
    """Show how a run goes until cancelled. A terminal that is closed ends the show, not the run.

    A log has its first line after some seconds, unless `at_once`.
    """
    with suppress(OSError):
        if is_screen(sys.stderr):
            with _screen() as show:
                while True:
                    if not STREAMS.is_behind():  # as while Ctrl-S holds the terminal
                        show(view())
                    await anyio.sleep(_SCREEN_EVERY_S)
        while True:
            if not at_once:
                await anyio.sleep(_LINE_EVERY_S)
            at_once = False
            log.info(plain_line(view()))


@contextmanager
def _screen() -> Iterator[Callable[[View], None]]:
    with Live(
        console=console_of(sys.stderr),
        auto_refresh=False,
        transient=True,  # the summary says it all, for good
        redirect_stdout=False,
    ) as live:
        yield lambda view: live.update(live_lines(view), refresh=True)


class _Watched:
    """What goes by some keys of this process, watched from its beginning."""

    def __init__(
        self,
        now: Callable[[], Iterable[Sender | Reader]],
        earlier: Mapping[RequestStatus, int] = MappingProxyType({}),
        *,
        is_resumed: bool = False,
    ) -> None:
        self._now = now  # what there is; a reader leaves it when it ends, and counts on
        # What is skipped is no part of what there is to send.
        self._earlier = Counter(earlier) - Counter({RequestStatus.SKIPPED: sum(earlier.values())})
        self._is_resumed = is_resumed and RequestStatus.SENT in earlier
        self._watched: dict[Sender | Reader, _WatchedKey] = {}
        self._looked_at = anyio.current_time()

    def view(self) -> View:
        for by_key in self._now():
            if by_key not in self._watched:
                self._watched[by_key] = _WatchedKey(by_key, self._looked_at)
        self._looked_at = anyio.current_time()
        windows = joint([by_key.channel.windows for by_key in self._watched])
        views = [watched.view() for watched in self._watched.values()]
        if not views:
            return _NOTHING_YET
        view = together(views, tuple(map(str, windows)))
        return replace(
            view,
            total=view.total + self._earlier.total(),
            outcomes=self._earlier + Counter(view.outcomes),
            is_resumed=self._is_resumed,
        )


_NOTHING_YET = View(0, {}, 0, 0.0, None, 1.0, None, None, None, answered=0)


def rate_per_s(ended: int, over_s: float, windows: Sequence[Window]) -> float:
    """Return the requests a second of the last time, of which so many have ended.

    A burst at each end of that time may be one more than its windows have room for: no more than
    they let through is ever kept up.
    """
    return min(ended / max(over_s, 1.0), fastest(windows))


def reads_of(progress: Progress) -> tuple[int, int]:
    """Return how many reads were answered, and about how many it takes in all.

    The first reads of all orders come before the second ones: until orders are done, each is taken
    to need both; then as many as those did.
    """
    answered = max(progress.attempts - progress.in_flight - progress.unsettled.total(), 0)
    each = min(_MOST_READS_EACH, answered / progress.done) if progress.done else _MOST_READS_EACH
    left = progress.total - progress.done
    return answered, max(round(each * progress.total), answered + left)


class _WatchedKey:
    """What goes by one key."""

    def __init__(self, by_key: Sender | Reader, since: float) -> None:
        """Watch a key that did nothing before `since`: in a log its first view comes late."""
        self._channel = by_key.channel
        self._progress = by_key.progress
        self._sender = by_key if isinstance(by_key, Sender) else None
        self._is_asking = isinstance(by_key, Reader)
        self._schedule = Schedule(self._channel.windows, self._channel.ages_s)
        self._began = since
        self._attempts = 0
        self._last_left = self._began
        self._seen: deque[tuple[float, int]] = deque([(self._began, 0)])  # when, how many ended

    def view(self) -> View:
        channel, progress, now = self._channel, self._progress, anyio.current_time()
        limiter, breaker = channel.limiter, channel.breaker
        if progress.attempts > self._attempts:
            self._attempts, self._last_left = progress.attempts, now
        why, held_up_s = self._held_up(now)
        paused_keys = self._paused_keys(why, held_up_s)
        is_paused = breaker.flow is Flow.PAUSED or limiter.held is not None
        paused_s = (held_up_s or 0.0) if is_paused else 0.0
        reads = reads_of(progress) if self._is_asking else (0, 0)
        made, done, to_make = progress.attempts, progress.done, progress.total - progress.done
        if self._is_asking:
            done, to_make = reads[0], reads[1] - reads[0]
        is_unknown = breaker.is_outage or (self._is_asking and not progress.done)
        have_all_left = not self._is_asking and 0 < to_make <= progress.in_flight
        return View(
            total=progress.total,
            outcomes=progress.outcomes,
            in_flight=progress.in_flight,
            rate_per_s=self._rate_per_s(now),
            limits=tuple(str(window) for window in channel.windows),
            share=limiter.share,
            held_up_by=paused_keys[0].held_up_by if paused_keys else why,
            held_up_s=held_up_s,
            left_s=None
            if is_unknown or have_all_left or self._is_stopped
            else time_left_s(
                self._schedule,
                Course(
                    made=made,
                    done=done,
                    to_make=to_make,
                    since_last_s=now - self._last_left,
                    elapsed_s=now - self._began,
                    paused_s=paused_s,
                    share=limiter.share,
                ),
            ),
            answered=progress.done if self._is_asking else None,
            reads=reads,
            retries=progress.retries,
            unsettled=progress.unsettled,
            paused_keys=paused_keys,
        )

    def _paused_keys(self, why: str | None, left_s: float | None) -> tuple[PausedKey, ...]:
        """Return the key, of several, where it is paused."""
        called = self._channel.breaker.of
        if not called or why in (None, STOPPING, FULL):
            return ()
        return (PausedKey(self._channel.names, called, str(why), left_s),)

    @property
    def _is_stopped(self) -> bool:
        return self._sender is not None and self._sender.stop_reason is not None

    def _held_up(self, now: float) -> tuple[str | None, float | None]:
        """Return why nothing leaves, if so, and for how many seconds still."""
        in_flight = self._progress.in_flight
        if self._is_stopped and (in_flight or self._channel.breaker.of):
            return (STOPPING if in_flight else None), None  # of several, others may send for long
        limiter, breaker = self._channel.limiter, self._channel.breaker
        wait_s = 0.0 if self._progress.in_flight else limiter.full_for_s
        if breaker.flow is Flow.PAUSED and (pause_s := breaker.paused_until - now) > 0:
            return f"paused: {breaker.reason}", pause_s
        if (held := limiter.held) is not None and held.until > now:
            return f"paused by another process: {held.reason}", held.until - now
        if wait_s > WORTH_SHOWING_S:
            return FULL, wait_s
        if breaker.flow is Flow.PAUSED:
            return f"paused: {breaker.reason}; {TRYING}", None
        return None, None

    def _rate_per_s(self, now: float) -> float:
        ended = self._progress.attempts - self._progress.in_flight
        self._seen.append((now, ended))
        while len(self._seen) > 1 and self._seen[1][0] <= now - RATE_OVER_S:
            self._seen.popleft()
        since, before = self._seen[0]
        return rate_per_s(ended - before, now - since, self._channel.windows)
