"""The report of a run under way: its page and its summary, written again every half minute.

What they say comes from what the run counts as it goes, and from a handful of rows of the journal:
it costs the same for ten orders and for ten million. The lists of orders come with the report at
the end, which has the same names.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread

from batch_resend.clock import Clock, timestamp
from batch_resend.folders import Place
from batch_resend.journal import (
    ActivePeriod,
    JournalReader,
    MadeInStep,
    PauseNote,
    read_journal,
)
from batch_resend.model import Plan, RequestStatus, Run
from batch_resend.report.counts import BackPressure, SkipCounts
from batch_resend.report.files import forget_earlier
from batch_resend.report.folder import has_report
from batch_resend.report.presentation import Presentation
from batch_resend.report.report import make_folder, write_page_and_summary, write_report
from batch_resend.report.summary import Summary, summarize
from batch_resend.results import InputNote, SweepCounts, Tally
from batch_resend.windows import Course, Schedule, parse_windows, time_left_s

EVERY_S = 30.0
_SAMPLE_S = 5.0
_LONGEST_S = 5.0  # that writing it for the last time holds up the end of a command
_MOST_SAMPLES = 720
_MOST_PAUSES = 5_000  # read; the page lists fewer

log = logging.getLogger(__name__)


class Counts(Protocol):
    """What a run counts as it goes, since this process began to send it."""

    @property
    def outcomes(self) -> Mapping[RequestStatus, int]:
        """Orders, by what became of them."""

    @property
    def attempts(self) -> int:
        """Requests made."""

    @property
    def retries(self) -> int:
        """Of these, beyond an order's first."""

    @property
    def rate_limited(self) -> int:
        """Of these, answered with 429."""

    @property
    def unconnected(self) -> int:
        """Of these, for which there was no connection."""

    @property
    def unsettled(self) -> Mapping[int, int]:
        """Of these, that brought neither yes nor no, by HTTP status; 0: no answer came."""

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""

    @property
    def possible_duplicates(self) -> int:
        """Mails beyond an order's first that may have gone out."""


@dataclass(eq=False, slots=True)
class _Course:
    """How many requests were made when: by steps, which get longer as the run does."""

    began_at: float
    step_s: float = _SAMPLE_S
    made: Counter[int] = field(default_factory=Counter)
    troubled: Counter[int] = field(default_factory=Counter)
    _made_before: int = 0
    _troubled_before: int = 0

    def take(self, at: float, counts: Counts) -> None:
        """Note what was made since the last time, which was not long before `at`."""
        while (step := int((at - self.began_at) / self.step_s)) >= _MOST_SAMPLES:
            self.step_s *= 2
            self.made, self.troubled = self._in_steps(self.made), self._in_steps(self.troubled)
        self.made[step] += counts.attempts - self._made_before
        troubled = sum(counts.unsettled.values())
        self.troubled[step] += troubled - self._troubled_before
        self._made_before, self._troubled_before = counts.attempts, troubled

    @staticmethod
    def _in_steps(counts: Counter[int], together: int = 2) -> Counter[int]:
        joined: Counter[int] = Counter()
        for step, count in counts.items():
            joined[step // together] += count
        return joined

    def steps(self, limits: Sequence[str], now: float) -> tuple[list[MadeInStep], float]:
        """Return what was made in steps as a report has them, and how long those are."""
        from batch_resend.report import charts  # noqa: PLC0415 - see prepare_report

        wanted_s = charts.step_length_s(now - self.began_at, parse_windows(limits))
        together = max(1, ceil(wanted_s / self.step_s))
        made, troubled = (self._in_steps(one, together) for one in (self.made, self.troubled))
        steps = [MadeInStep(step, count, troubled[step]) for step, count in made.items() if count]
        return sorted(steps), together * self.step_s


async def live_report(
    reader: JournalReader, plan: Plan, folder: Path, presentation: Presentation, clock: Clock
) -> "LiveReport":
    """Return what keeps the report of a run that is about to be sent. Raises JournalError."""
    run = plan.run
    settled = await reader.count_outcomes(run)
    orders = {status: settled.get(status, 0) for status in RequestStatus}
    orders[RequestStatus.NOT_ATTEMPTED] += plan.orders - sum(settled.values())
    was_begun = plan.taken_up or settled != plan.settled  # the first of it may have been sent
    none = Tally(plan.rows, plan.orders, orders, 0, 0, 0, 0, 0, 0, 0.0, 1.0)
    return LiveReport(
        reader,
        run,
        inputs=await reader.inputs(run),
        accounts=await reader.accounts(run) if "accounts" in run.settings else (),
        sweep=await reader.swept(run),
        skipped=SkipCounts.model_validate(await reader.count_skipped(run)),
        schedule=Schedule(parse_windows(plan.limits)),
        before=replace(await reader.tally(run), orders=orders) if was_begun else none,
        folder=folder,
        presentation=presentation,
        clock=clock,
    )


@dataclass(frozen=True, slots=True)
class LiveReport:
    """Keeps the page and the summary of a run under way."""

    reader: JournalReader
    run: Run
    inputs: list[InputNote]
    accounts: Sequence[str | None]
    sweep: SweepCounts | None  # what began the run
    skipped: SkipCounts  # before it began
    schedule: Schedule  # of its limits
    before: Tally  # the counts of the run before this process began to send it
    folder: Path
    presentation: Presentation
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    async def begin(self, counts: Counts) -> None:
        """Write them before anything is sent, where the report of an earlier start is there.

        Whatever ends the process from now on does not leave that as if it were of this one.
        """
        if has_report(self.folder, self.run):
            await self._try_to_write(_Course(self.clock()), counts)
            forget_earlier(self.folder, self.run.id, [Path(one.name) for one in self.inputs])

    async def keep(self, counts: Callable[[], Counts]) -> None:
        """Write them soon, and every half minute, until cancelled; `counts`: those of the moment.

        That they cannot be written is logged once: the run does not depend on it, and the report
        at the end is tried all the same.
        """
        course, has_failed = _Course(self.clock()), False
        for sample in itertools.count(1):
            await self.sleep(_SAMPLE_S)
            course.take(self.clock() - _SAMPLE_S / 2, counts())
            # The first soon: the report of another run may be there.
            if sample > 1 and sample % int(EVERY_S / _SAMPLE_S):
                continue
            is_written = await self._try_to_write(course, counts(), to_log=not has_failed)
            has_failed = has_failed or not is_written

    async def _try_to_write(self, course: _Course, counts: Counts, *, to_log: bool = True) -> bool:
        return await _tried(self._write(course, counts), to_log=to_log)

    async def _write(self, course: _Course, counts: Counts) -> None:
        run = await self.reader.run(self.run.id)
        pauses = await self.reader.pauses(run, _MOST_PAUSES)
        now = self.clock()
        before = summarize(run, self.inputs, self.before, self.accounts)
        known = {
            "sweep": self.sweep,
            "skipped": self.skipped,
            "between_starts_s": round(await self.reader.between_starts_s(run), 3),
        }
        before = before.model_copy(update=known)
        summary = _brought_up_to(before, counts, pauses, now - (run.started_at or now), now)
        # In a thread, where it holds up no answer; a cancellation waits for it.
        left = Course(
            made=counts.attempts,
            done=sum(counts.outcomes.values()),
            to_make=summary.orders.not_attempted + summary.orders.in_flight,
            since_last_s=0.0,
            elapsed_s=now - course.began_at,
            paused_s=sum(
                max(0.0, (one.until_at or now) - now) for one in pauses if not one.ended_at
            ),
            share=1.0,
        )
        write = partial(self._write_files, run, summary, course, pauses, left)
        await anyio.to_thread.run_sync(write)

    def _write_files(
        self,
        run: Run,
        summary: Summary,
        course: _Course,
        pauses: Sequence[PauseNote],
        left: Course,
    ) -> None:
        from batch_resend.report import charts  # noqa: PLC0415 - see prepare_report
        from batch_resend.report.page import UnderWay, make_live_page  # noqa: PLC0415 - see prepare_report

        now = course.began_at + left.elapsed_s
        steps, step_s = course.steps(run.limits, now)
        period = ActivePeriod(0, course.began_at, now, run.limits)
        stretch = charts.stretch_of(steps, step_s, period)
        under_way = UnderWay([stretch], pauses, time_left_s(self.schedule, left))
        page = make_live_page(run, summary, self.folder, self.presentation, under_way)
        make_folder(self.folder)
        write_page_and_summary(self.folder, page, summary)


async def _tried(writing: Awaitable[object], *, to_log: bool) -> bool:
    try:
        await writing
    except Exception as error:  # whatever it is, the run continues
        if to_log:
            log.warning("the report of the run under way cannot be written: %s", error)
        return False
    return True


async def keep_report_of_workers(
    place: Place, run_id: str, folder: Path, presentation: Presentation, clock: Clock
) -> None:
    """Write page and summary of a run that workers send every half minute, until cancelled.

    Then once more, as ones that are no longer written.
    """

    async def write(*, is_kept: bool) -> None:
        async with read_journal(place, clock) as reader:
            run = await reader.run(run_id)
            if await reader.is_under_way(run):
                await write_report(reader, run, folder, presentation, is_kept=is_kept)

    has_failed = False
    try:
        while True:
            is_written = await _tried(write(is_kept=True), to_log=not has_failed)
            has_failed = has_failed or not is_written
            await anyio.sleep(EVERY_S)
    finally:
        with anyio.move_on_after(_LONGEST_S, shield=True):
            await _tried(write(is_kept=False), to_log=not has_failed)


def _brought_up_to(
    summary: Summary, counts: Counts, pauses: Sequence[PauseNote], elapsed_s: float, now: float
) -> Summary:
    """Return a summary of what was before this start with what has come since."""
    ended = sum(counts.outcomes.values())
    orders = {s.value: getattr(summary.orders, s) + counts.outcomes[s] for s in RequestStatus}
    left = orders[RequestStatus.NOT_ATTEMPTED.value] - ended
    in_flight = min(counts.in_flight, left)
    orders |= {RequestStatus.NOT_ATTEMPTED.value: left - in_flight, "in_flight": in_flight}
    requests = {
        name: value + getattr(counts, name) for name, value in summary.requests.model_dump().items()
    }
    paused_s = sum((pause.ended_at or now) - pause.began_at for pause in pauses)
    return summary.model_copy(
        update={
            "state": "running",
            "written_at": timestamp(now),
            "elapsed_s": round(elapsed_s, 3),
            "orders": summary.orders.model_copy(update=orders),
            "requests": summary.requests.model_copy(update=requests),
            "back_pressure": BackPressure(
                pauses=len(pauses),
                paused_s=round(paused_s, 3),
                lowest_share=round(min((pause.share for pause in pauses), default=1.0), 3),
                accounts=sorted({name for pause in pauses for name in pause.accounts}),
            ),
        }
    )
