"""The report of a run under way, as somebody who looks into its folder meets it."""

import asyncio
import json
import os
import re
import shlex
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

import pytest

from batch_resend.batch import Batch
from batch_resend.cli import standing
from batch_resend.model import Run
from batch_resend.report import Presentation, Summary, live
from tests.cli.conftest import (
    Desk,
    desk_with_ca,
    ended,
    read_summary,
    run_ids,
    until,
    until_told,
)
from tests.cli.counting_server import CountingServer, silent_after
from tests.cli.screen import on_screen
from tests.report.test_page import text_of

REPORT = ("--report-dir", "report")
LIVE_FILES = ["report.html", "summary.json"]


def hurry() -> None:
    """Have a half minute pass in a fifth of a second, in the process that this is called in."""
    live.EVERY_S, live._SAMPLE_S = 0.2, 0.1


async def test_a_run_is_seen_coming_along_in_its_folder_until_its_report_is_there(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, _):
        desk.write_list(150)
        report = tmp_path / "report"
        process = await desk.start_after(
            hurry, "send", "orders.csv", "--yes", "--concurrency", "2", *REPORT
        )
        over = asyncio.create_task(ended(process))
        seen = set()

        def is_under_way() -> bool:
            if (report / "summary.json").exists():
                summary = read_summary(report)
                if summary["state"] == "running":
                    seen.add(summary["orders"]["sent"])
            return len(seen) >= 3

        await until(is_under_way)
        page = text_of((report / "report.html").read_text())
        assert "Under way: " in page
        assert "batch-resend watch " in page
        assert (await over).code == 0
        assert read_summary(report)["state"] == "completed"
        assert 'http-equiv="refresh"' not in (report / "report.html").read_text()
        assert not [path for path in report.iterdir() if path.name.startswith(".")]


async def test_a_report_of_a_run_under_way_says_so_and_calls_nothing_not_sent(
    tmp_path: Path,
) -> None:
    fate, may_answer = silent_after(3)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(8)
        process = await desk.start_after(
            hurry, "send", "orders.csv", "--yes", "--concurrency", "2", "--timeout", "2m", *REPORT
        )
        over = asyncio.create_task(ended(process))
        await until(lambda: ca.requests == 5)
        await until((tmp_path / "report" / "summary.json").exists)
        for command in ("show", "report"):
            told = (
                await desk.run(command, *(["--report-dir", "mine"] * (command == "report")))
            ).out
            assert "Under way: 3 of 8 orders sent" in told
            assert "3 to go" in told
            assert "why" not in told, "what is in flight is neither unsent nor in doubt"
            where = "mine" if command == "report" else f"{tmp_path}/report"
            assert f"Report so far: {where}/report.html\n" in told
        assert sorted(one.name for one in (tmp_path / "mine").iterdir()) == LIVE_FILES
        assert read_summary(tmp_path / "mine")["orders"]["in_flight"] == 2
        page = text_of((tmp_path / "mine" / "report.html").read_text())
        assert "not sent yet" in page
        assert "this page does not change by itself" in page
        assert "the run stopped" not in page
        assert "If this page is no longer updated" not in page
        may_answer.set()
        assert (await over).code == 0


async def test_watch_and_show_end_with_what_send_said_at_its_end(tmp_path: Path) -> None:
    """The report's place, why orders were skipped, what to do next."""
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n1\n2\n3\n")
        await desk.run("send", "orders.csv", "--all-domains", *REPORT)
        desk.write("orders.csv", "order_id\n2\n3\n4\nx\n")
        sent = await desk.run("send", "orders.csv", "--all-domains", "--max-rejected", "1", *REPORT)
        assert "Skipped, and why\n  2 skipped" in sent.out
        assert (await desk.run("watch", *REPORT)).out == sent.out
        _, skips, end = sent.out.partition("Skipped, and why")
        assert (await desk.run("show", *REPORT)).out.endswith(skips + end)
        asked = json.loads((await desk.run("watch", "--json", *REPORT)).out)
        assert asked["report"] == str(tmp_path / "report")


def put_a_folder_in_the_place_of(file: Path) -> None:
    """Do so although a process may write the file again meanwhile."""
    while not file.is_dir():
        file.unlink(missing_ok=True)
        with suppress(FileExistsError):
            file.mkdir()


async def test_a_page_that_cannot_be_written_costs_no_order_its_mail(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        numbers = desk.write_list(40)
        process = await desk.start_after(
            hurry, "send", "orders.csv", "--yes", "--concurrency", "2", *REPORT
        )
        await until(lambda: ca.books.requests >= 2)
        put_a_folder_in_the_place_of(tmp_path / "report" / "report.html")
        sent = await ended(process)
        assert set(ca.books.mails_per_order) == set(numbers)
        assert sent.err.count("the report of the run under way cannot be written") == 1
        assert sent.code == 3, "the report at the end could not be written either"


async def test_a_run_that_was_killed_is_said_to_be_resumed_by_the_page_that_stays(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, _):
        desk.write_list(150)
        process = await desk.start_after(
            hurry, "send", "orders.csv", "--yes", "--concurrency", "2", *REPORT
        )
        over = asyncio.create_task(ended(process))
        await until((tmp_path / "report" / "summary.json").exists)
        process.kill()
        await over
        run = json.loads((tmp_path / "report" / "summary.json").read_text())["run_id"]
        page = text_of((tmp_path / "report" / "report.html").read_text())
        assert f"batch-resend resume {run}" in page
        resumed = await desk.run("resume", *REPORT)
        assert resumed.code == 0, resumed.err
        assert read_summary(tmp_path / "report")["orders"]["sent"] == 150


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "report").iterdir()}


async def test_a_run_taken_up_and_killed_at_once_leaves_no_report_that_seems_complete(
    tmp_path: Path,
) -> None:
    """The report of the earlier stop is marked before the first request leaves."""
    fate, may_answer = silent_after(5)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(40)
        with (tmp_path / "orders.csv").open("a") as file:
            file.write("a total\n")
        stopped = await desk.run("send", "orders.csv", "--max-orders", "5", *REPORT)
        assert {"results.csv", "unsent.csv", "report.zip", "rejected.csv"} < files(tmp_path)
        assert (stopped.code, read_summary(tmp_path / "report")["state"]) == (4, "stopped")
        process = await desk.start("send", "orders.csv", "--yes", "--timeout", "2m", *REPORT)
        over = asyncio.create_task(ended(process))
        await until(lambda: ca.requests > 5)
        summary = read_summary(tmp_path / "report")
        assert (summary["state"], summary["orders"]["sent"]) == ("running", 5)
        left = {name for name in files(tmp_path) if not name.startswith(".")}
        assert left == {"report.html", "summary.json", "rejected.csv"}, (
            "the other files are no longer true; a person may be correcting the rejected rows"
        )
        assert "Under way: 5 of 40 orders" in text_of((tmp_path / "report/report.html").read_text())
        process.kill()
        await over
        may_answer.set()
        watched = await desk.run("watch", *REPORT)
        assert ".csv" not in watched.out, "what the report would have is named once it is written"
        advised = watched.out.partition("There is no up-to-date report of it in report.")[2]
        (command,) = re.findall(r"batch-resend (report .*)", advised)
        reported = await desk.run(*shlex.split(command), *REPORT)
        assert reported.code == 0, reported.err
        assert "To resume:\n" in reported.out
        assert "report/rejected.csv says why" in reported.out
        assert "if it is under way" not in reported.out, "its process is known to be gone"
        assert read_summary(tmp_path / "report")["state"] == "interrupted"
        assert "up-to-date" not in (await desk.run("watch", *REPORT)).out


# --- a report that takes its time ---------------------------------------------------------------

WAITING = b"The run has ended: waiting for its report.\n"


def write_once_open(gate: Path) -> None:
    """Have this process write its report only once somebody opens this pipe to write."""
    report = Batch.report

    async def report_later(
        self: Batch, run: Run, folder: Path, presentation: Presentation | None = None
    ) -> Summary:
        await asyncio.to_thread(gate.read_bytes)
        return await report(self, run, folder, presentation)

    Batch.report = report_later  # type: ignore[method-assign]


def be_patient() -> None:
    """Have this process wait for a report as long as there is any reason to."""
    standing._REPORT_WITHIN_S = standing._REPORT_WITHIN_S_IF_ASKED = 86_400.0


@asynccontextmanager
async def watched_up_to_the_report(
    folder: Path, watchers: int
) -> AsyncIterator[tuple[list[asyncio.subprocess.Process], asyncio.subprocess.Process, Path]]:
    """Yield who watch a run and wait for its report, its process, and the pipe it waits for."""
    fate, may_answer = silent_after(1)
    async with CountingServer(fate) as ca:
        desk, gate = Desk(folder, ca.base_url), folder / "gate"
        desk.write_list(3)
        os.mkfifo(gate)
        words = ("send", "orders.csv", "--yes", "--timeout", "2m", *REPORT)
        sending = await desk.start_after(partial(write_once_open, gate), *words)
        await until(lambda: ca.requests > 1)
        watching = [await desk.start_after(be_patient, "watch", *REPORT) for _ in range(watchers)]
        for one in watching:
            await until_told(one, b" of 3 orders, ")
        may_answer.set()
        for one in watching:
            await until_told(one, WAITING)
        yield watching, sending, gate


async def test_watch_waits_for_the_report_that_is_still_being_written(tmp_path: Path) -> None:
    async with watched_up_to_the_report(tmp_path, 1) as ((watching,), sending, gate):
        await asyncio.to_thread(gate.write_bytes, b"")
        sent, watched = await ended(sending), await ended(watching)
        assert (watched.code, watched.out) == (0, sent.out), watched.err
        assert "Report: report/report.html\n" in watched.out


async def test_who_waits_for_a_report_is_done_by_ctrl_c_or_once_its_process_is_gone(
    tmp_path: Path,
) -> None:
    async with watched_up_to_the_report(tmp_path, 2) as ((first, second), sending, _):
        first.send_signal(signal.SIGINT)
        assert (await ended(first)).code == 130
        sending.kill()
        await ended(sending)
        watched = await ended(second)
        assert watched.code == 0, watched.err
        assert "3 of 3 orders sent" in watched.out
        assert "There is no up-to-date report of it in report." in watched.out


@pytest.mark.parametrize("how", ["killed", "ended long ago"])
async def test_no_report_is_waited_for_whose_process_is_gone_while_another_has_the_journal(
    tmp_path: Path, how: str
) -> None:
    fate, may_answer = silent_after(3)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(3 if how == "ended long ago" else 4)
        first = await desk.start("send", "orders.csv", "--yes", "--timeout", "2m", *REPORT)
        await until(lambda: ca.requests == 4 or first.returncode is not None)
        if first.returncode is None:
            first.kill()
        await ended(first)
        (run,) = await run_ids(desk)
        (tmp_path / "report" / "summary.json").unlink(missing_ok=True)
        if how == "ended long ago":
            with closing(sqlite3.connect(tmp_path / "journal.db")) as journal, journal:
                journal.execute("UPDATE runs SET finished_at = finished_at - 86400")
        desk.write("others.csv", "order_id\n100200301\n")
        seen = ca.requests
        others = await desk.start(
            "send", "others.csv", "--yes", "--all-domains", "--timeout", "2m",
            "--report-dir", "others",
        )  # fmt: skip
        await until(lambda: ca.requests > seen)
        watched = await desk.run("watch", run, *REPORT)
        assert "waiting" not in watched.err
        assert "There is no up-to-date report of it in report." in watched.out
        may_answer.set()
        assert (await ended(others)).code == 0


async def test_watch_goes_on_with_a_run_of_which_a_person_has_the_rest_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        words = ("send", "orders.csv", "--max-orders", "1", "--limit", "none", *REPORT)
        async with on_screen(desk, *words) as sending:
            await sending.shows(lambda screen: "the first 1 of 3 requests" in screen.text)
            watching = await desk.start_after(be_patient, "watch", "--wait", *REPORT)
            await until_told(watching, b"waiting for the next one to begin")
            sending.type(b"y\n")
            await sending.shows(lambda screen: "Send the other 2 requests now?" in screen.text)
            await until_told(watching, WAITING)
            sending.type(b"y\n")
            assert await sending.ended() == 0
        watched = await ended(watching)
        assert watched.code == 0, watched.err
        assert "3 of 3 orders sent" in watched.out
