"""The report of a run under way: written every half minute, whole or not, at little cost."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from batch_resend.intake import RecordSource
from batch_resend.journal import Journal, Pause, Recorder, Terms
from batch_resend.model import Plan, RequestStatus, RowStatus, RunState
from batch_resend.report import LiveReport, Presentation, live_report, write_report
from batch_resend.report.live import EVERY_S, _Course
from batch_resend.sending import Progress
from tests.journal.conftest import WINDOWS, Clock, counted_steps, opened
from tests.report.carried import Report, plan_lists
from tests.report.schemas import schema

pytestmark = pytest.mark.asyncio


@dataclass(eq=False)
class Night:
    """A run under way, whose time passes as its live report waits."""

    journal: Journal
    clock: Clock
    live: LiveReport
    recorder: Recorder
    progress: Progress = field(default_factory=Progress)

    async def pass_rounds(self, rounds: float, each: Callable[[], object] = lambda: None) -> None:
        """Let so many half minutes pass; `each`: what the run does in each five seconds."""
        left_s = rounds * EVERY_S

        async def sleep(seconds: float) -> None:
            nonlocal left_s
            if left_s <= 0:
                raise asyncio.CancelledError
            left_s -= seconds
            self.clock.now += seconds
            each()

        live = self.live.__class__(**{
            name: getattr(self.live, name) for name in self.live.__dataclass_fields__
        } | {"sleep": sleep})  # fmt: skip
        with suppress(asyncio.CancelledError):
            await live.keep(lambda: self.progress)

    def settle(self, status: RequestStatus, orders: int = 1) -> None:
        """Have some orders come to this, with an attempt each."""
        self.progress.outcomes[status] += orders
        self.progress.attempts += orders


@asynccontextmanager
async def night(folder: Path, orders: int, *, settled: int = 0) -> AsyncIterator[Night]:
    """Begin a run of so many orders, some of which have their outcome before."""
    clock = Clock()
    async with opened(folder / "journal.db", clock) as journal:
        records = [{"order_id": 100_200_000 + n} for n in range(orders)]
        run = await plan_lists(journal, RecordSource(records))
        plan = Plan(
            run,
            taken_up=False,
            rows=dict.fromkeys(RowStatus, 0) | {RowStatus.ACCEPTED: orders},
            orders=orders,
            settled={RequestStatus.SKIPPED: settled} if settled else {},
            to_send=orders - settled,
            limits=(),
            duration_s=0.0,
        )
        waits_no_more = [(number, "it waits no more") for number in range(1, settled + 1)]
        await journal.leave_out(run, waits_no_more, RequestStatus.SKIPPED, "preflight")
        recorder = await journal.start(run, Terms(WINDOWS, {"sent_by": "night@host"}))
        live = await live_report(journal.reader, plan, folder / "report", Presentation(), clock)
        yield Night(journal, clock, live, recorder)


def page_of(folder: Path) -> str:
    return (folder / "report" / "report.html").read_text()


async def test_every_half_minute_the_page_and_the_summary_say_how_far_the_run_has_come(
    tmp_path: Path,
) -> None:
    async with night(tmp_path, 40, settled=4) as run:
        report = Report(tmp_path / "report")
        seen = []
        for _ in range(3):
            await run.pass_rounds(1, lambda: run.settle(RequestStatus.SENT))
            seen.append((report.summary["orders"]["sent"], report.summary["written_at"]))
        summary = report.summary
    schema("summary").validate(summary)
    assert [sent for sent, _ in seen] == [6, 12, 18]
    assert [at[11:19] for _, at in seen] == ["08:00:30", "08:01:00", "08:01:30"]
    assert (summary["state"], summary["finished_at"], summary["elapsed_s"]) == (
        "running", None, 90.0
    )  # fmt: skip
    assert summary["orders"]["not_attempted"] == 40 - 4 - 18
    page = page_of(tmp_path)
    assert "<h1>Under way: 18 of 36 orders sent in 1m 30s; 18 to go, 4 skipped</h1>" in page
    assert 'class="banner under_way"' in page
    assert 'http-equiv="refresh" content="30"' in page
    assert "As of 2027-01-15 08:01:30 UTC" in page
    assert "50 %" in page
    assert ": about 30s left. " in page
    assert re.search(r"> to go</th><td[^>]*>18</td><td>not sent yet<", page)
    assert 'href="results.csv"' not in page, "it is not there yet"
    assert set(report.texts()) == {"report.html", "summary.json"}, "and no draft"


async def test_the_first_page_comes_soon_for_that_of_an_earlier_start_may_be_there(
    tmp_path: Path,
) -> None:
    async with night(tmp_path, 3) as run:
        run.progress.attempts, run.progress.in_flight, run.progress.possible_duplicates = 2, 1, 1
        await run.pass_rounds(1 / 6)
        page, summary = page_of(tmp_path), Report(tmp_path / "report").summary
    assert summary["written_at"][11:19] == "08:00:05"
    assert re.search(r"> in flight</th><td[^>]*>1</td>", page)
    assert "results.csv" not in page, "it is not there yet"


async def test_at_the_end_the_page_no_longer_loads_itself_again(tmp_path: Path) -> None:
    async with night(tmp_path, 2) as run:
        await run.pass_rounds(1)
        await run.journal.finish(run.live.run, RunState.STOPPED, "so it was")
        ended = await run.journal.reader.run(run.live.run.id)
        await write_report(run.journal.reader, ended, tmp_path / "report")
    assert 'http-equiv="refresh"' not in page_of(tmp_path)
    assert "As of " not in page_of(tmp_path)
    assert Report(tmp_path / "report").summary["written_at"] is None


async def test_the_live_page_has_the_chart_with_trouble_and_pauses(tmp_path: Path) -> None:
    async with night(tmp_path, 500) as run:
        await run.recorder.pause(Pause(run.clock() + 20, run.clock() + 80, "HTTP 503", 0.5))
        numbers = count()

        def each() -> None:
            if next(numbers) < 4:
                run.settle(RequestStatus.SENT, 50)
                run.progress.attempts += 10
                run.progress.unsettled[503] += 10

        await run.pass_rounds(3, each)
        page = page_of(tmp_path)
    assert "240 requests in 1m 30s of work" in page
    assert page.count('<rect class="troubled"') == 4
    assert "60 requests, 10 answered with 429, 5xx or not at all" in page
    assert 'class="pause"' in page
    assert Report(tmp_path / "report").summary["back_pressure"] == {
        "pauses": 1, "paused_s": 70.0, "lowest_share": 0.5, "accounts": []
    }  # fmt: skip


async def test_that_it_cannot_be_written_is_logged_once_and_disturbs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "report").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        async with night(tmp_path, 2) as run:
            await run.pass_rounds(4)
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert "report: cannot be made" in caplog.text
            (tmp_path / "report").unlink()
            await run.pass_rounds(1)
    assert "Under way" in page_of(tmp_path), "it is tried again"


async def test_writing_it_costs_the_same_for_ten_orders_and_for_thousands(tmp_path: Path) -> None:
    steps = {}
    for orders in (10, 5_000):
        (tmp_path / str(orders)).mkdir()
        async with night(tmp_path / str(orders), orders) as run:
            await run.pass_rounds(1)
            ten_rounds = partial(run.pass_rounds, 10)
            steps[orders] = await counted_steps(run.journal.reader, ten_rounds)
    assert steps[5_000] <= steps[10] + 1, "thousands of SQLite's steps"


async def test_days_under_way_take_no_more_memory_than_an_hour_and_no_request_is_lost() -> None:
    course, progress = _Course(1e9), Progress()
    for sample in range(200_000):  # eleven days
        progress.attempts += 2
        progress.unsettled[0] += 1
        course.take(1e9 + sample * 5.0 + 2.5, progress)
    steps, step_s = course.steps(("1000/3m",), 1e9 + 1e6)
    assert len(course.made) <= 720
    assert len(steps) * step_s == pytest.approx(1e6, rel=0.05)
    assert sum(step.made for step in steps) == 400_000
    assert sum(step.troubled for step in steps) == 200_000
