"""A run on its way that other processes send, watched through the journal."""

from typing import cast

import anyio

from batch_resend.account_names import accounts_in_words
from batch_resend.cli.options import Style
from batch_resend.cli.output.progress import (
    FULL,
    STOPPING,
    TRYING,
    WORTH_SHOWING_S,
    rate_per_s,
    showing,
)
from batch_resend.cli.output.view import PausedKey, View
from batch_resend.journal import RATE_OVER_S, JournalReader, LiveStatus, Pausing
from batch_resend.model import RequestStatus, Run
from batch_resend.sending import Share
from batch_resend.sending.limiter import part
from batch_resend.windows import (
    Course,
    Schedule,
    Window,
    parse_windows,
    time_left_s,
    time_with_earlier_s,
)

_LOOK_EVERY_S = 1.0
_WORK_SHARE = 0.05  # of the time, at most, that looking takes


async def follow_others(reader: JournalReader, run: Run, style: Style) -> None:
    """Show how a run goes that other processes send, until it ends. Raises JournalError."""
    watcher = _Watcher(reader, run)
    if not await watcher.look():
        return
    async with showing(watcher.view, style, at_once=True):
        while await watcher.look_again():
            pass


class _Watcher:
    """Looks at a run now and then, through the journal."""

    def __init__(self, reader: JournalReader, run: Run) -> None:
        self.rest_s = _LOOK_EVERY_S
        self._reader = reader
        self._run = run
        self._windows = parse_windows(run.limits)
        self._schedule = Schedule(self._windows)
        self._standing: LiveStatus | None = None
        self._full_for_s = 0.0  # the limits, when last looked at
        self._at_least_s = 0.0  # what is left takes, by what the limits counted then
        self._looked_at = 0.0

    async def look(self) -> bool:
        """Look where the run stands; return whether it is still under way."""
        began = anyio.current_time()
        self._run = await self._reader.run(self._run.id)
        self._standing = await self._reader.standing(self._run, self._reader.clock)
        if self._standing is not None:
            self._reckon(self._standing)
        self._looked_at = anyio.current_time()
        self.rest_s = max(_LOOK_EVERY_S, (self._looked_at - began) / _WORK_SHARE)
        return await self._reader.is_under_way(self._run)

    def _reckon(self, standing: LiveStatus) -> None:
        """Reckon what the limits dictate after all that they count: also reads, and other runs."""
        share = self._share_of(standing, 0.0)
        windows = [Window(part(one, share), one.period_s) for one in self._windows]
        ages_s = (*standing.ages_s, *[0.0] * standing.in_flight)
        to_leave = standing.planned - sum(standing.outcomes.values()) - standing.in_flight
        self._full_for_s = time_with_earlier_s(min(to_leave, 1), windows, ages_s)
        self._at_least_s = time_with_earlier_s(to_leave, windows, ages_s)

    def _share_of(self, standing: LiveStatus, since_look_s: float) -> float:
        period_s = max((window.period_s for window in self._windows), default=1.0)
        return Share(period_s, standing.share, -standing.share_since_s).at(since_look_s)

    async def look_again(self) -> bool:
        await anyio.sleep(self.rest_s)
        return await self.look()

    def view(self) -> View:
        """Return how the run goes, as it was when last looked at."""
        standing = cast("LiveStatus", self._standing)  # a run under way, once looked at, has one
        since_look_s = anyio.current_time() - self._looked_at
        outcomes = dict(standing.outcomes)
        total = standing.planned - outcomes.pop(RequestStatus.SKIPPED, 0)
        held_up_by, held_up_s = self._held_up(standing, since_look_s)
        share = self._share_of(standing, since_look_s)
        to_make = total - sum(outcomes.values())
        left_s = time_left_s(
            self._schedule,
            Course(
                made=standing.made,
                done=standing.made - standing.retries - standing.in_flight,
                to_make=to_make,
                since_last_s=(standing.since_last_s or 0.0) + since_look_s,
                elapsed_s=standing.since_start_s,
                paused_s=standing.pause_s(since_look_s) or 0.0,
                share=share,
            ),
        )
        if left_s is not None:
            left_s = max(left_s, self._at_least_s - since_look_s)
        have_all_left = 0 < to_make <= standing.in_flight
        is_unknown = standing.is_outage or have_all_left or held_up_by == STOPPING
        return View(
            total=total,
            outcomes=outcomes,
            in_flight=standing.in_flight,
            rate_per_s=rate_per_s(standing.ended_lately, RATE_OVER_S, self._windows),
            limits=self._run.limits,
            share=share,
            held_up_by=held_up_by,
            held_up_s=held_up_s,
            retries=standing.retries,
            unsettled=standing.unsettled,
            is_resumed=standing.is_resumed,
            paused_keys=self._paused_keys(standing, since_look_s),
            left_s=None if is_unknown else left_s,
        )

    def _paused_keys(self, standing: LiveStatus, since_s: float) -> tuple[PausedKey, ...]:
        """Return the keys, of several, that are paused."""
        return tuple(
            PausedKey(pause.accounts, self._called(pause), *self._paused(pause, since_s))
            for pause in standing.paused_accounts
        )

    def _called(self, pause: Pausing) -> str:
        return accounts_in_words(pause.accounts, self._run.profile)

    def _paused(self, pause: Pausing, since_s: float) -> tuple[str, float | None]:
        """Return why nothing leaves during a pause, and for how many seconds still."""
        left_s = None if pause.left_s is None else max(0.0, pause.left_s - since_s)
        if left_s == 0.0:
            return f"paused: {pause.reason}; {TRYING}", None
        return f"paused: {pause.reason}", left_s

    def _held_up(self, standing: LiveStatus, since_s: float) -> tuple[str | None, float | None]:
        """Return why nothing leaves, if so, and for how many seconds still."""
        if self._run.stop_reason and standing.in_flight:
            return STOPPING, None
        pausing, wait_s = standing.pausing, self._full_for_s - since_s
        is_full = wait_s > WORTH_SHOWING_S and not standing.in_flight
        if pausing is not None and not (is_full and standing.pause_s(since_s) == 0.0):
            why, left_s = self._paused(pausing, since_s)
            return f"{self._called(pausing)} {why}" if pausing.accounts else why, left_s
        return (FULL, wait_s) if is_full else (None, None)
