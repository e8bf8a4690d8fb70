"""Signals to a run, in whatever part of it, as a process of its own and as a container's first."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    read_summary,
    results,
    until,
)
from tests.cli.meddling import everything_acted_on, has_draft, run_ids, write_long_list
from tests.cli.screen import answered_on_terminal

pytestmark = pytest.mark.asyncio

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
ROWS = 30_000  # more than a pipe holds, and than are read at a time


async def ended_with_its_input_open(process: asyncio.subprocess.Process) -> Ended:
    """Wait for a command to end whose standard input stays open."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(30):
        out, err, code = await asyncio.gather(
            process.stdout.read(), process.stderr.read(), process.wait()
        )
    return Ended(code, out.decode(), err.decode())


async def start_to_plan(
    desk: Desk, *arguments: str, in_front: tuple[str, ...] = ()
) -> asyncio.subprocess.Process:
    """Start to send a list that does not end, and return once its rows are being read."""
    words = ("send", "-", *arguments)
    program = [*in_front, *desk.command(*words)] if in_front else ()
    process = await desk.start(*words, program=program)
    assert process.stdin is not None
    process.stdin.write(
        b"order_id\n" + b"".join(b"%d\n" % n for n in range(100_200_301, 100_200_300 + ROWS))
    )
    await process.stdin.drain()  # a pipe takes only a part of it before somebody reads
    await until((desk.folder / "journal.db.holder").exists)
    return process


def rows_in_journal(desk: Desk) -> tuple[int, int]:
    """Return how many runs and rows the journal holds, of whichever state."""
    with closing(sqlite3.connect(desk.folder / "journal.db")) as journal:
        (counts,) = journal.execute(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM rows)"
        ).fetchall()
    return int(counts[0]), int(counts[1])


# --- while planning -----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ALL)
async def test_a_signal_while_a_list_is_read_ends_at_once_and_leaves_no_half_of_a_run(
    tmp_path: Path, by: signal.Signals
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        process = await start_to_plan(desk)
        process.send_signal(by)
        stopped = await ended_with_its_input_open(process)

        assert stopped.code == 128 + by, stopped.err
        assert "batch-resend: interrupted; nothing more was sent\n" in stopped.err
        assert "Traceback" not in stopped.err
        assert ca.books.requests == 0
        assert await run_ids(desk) == []
        assert rows_in_journal(desk) == (0, 0)
        assert not (tmp_path / "reports").exists()

        numbers = desk.write_list(5)
        later = await desk.run("send", "orders.csv")
        assert later.code == 0, later.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def test_ctrl_c_at_the_question_whether_to_send_ends_with_130_and_sends_nothing(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        code, told = await answered_on_terminal(
            desk, "Send 3 requests to 127.0.0.1 now? [y/N]", b"\x03"
        )
        assert code == 130
        assert "nothing more was sent" in told
        assert ca.books.requests == 0
        assert await run_ids(desk) == []
        assert not (tmp_path / "reports").exists()


# --- while the report is written ----------------------------------------------------------------


@pytest.mark.parametrize("by", ALL)
async def test_a_signal_while_the_report_is_written_leaves_it_to_be_written_to_its_end(
    tmp_path: Path, by: signal.Signals
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = write_long_list(desk, ROWS)
        report = tmp_path / "report"
        process = await desk.start("send", "orders.csv", "--report-dir", str(report))
        emptied = asyncio.create_task(ended(process))
        await until(lambda: has_draft(report, "results.csv", process.pid))
        process.send_signal(by)
        stopped = await emptied

        assert stopped.code == 128 + by, stopped.err
        assert "Writing the report (once more: quit at once)\n" in stopped.err
        assert len((report / "results.csv").read_text().splitlines()) == ROWS + 1
        assert len(results(report)) == 10
        assert_adds_up(summary := read_summary(report))
        assert summary["orders"]["sent"] == 10
        assert not list(report.glob(".*"))
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert f"Report: {report}" in stopped.out


# --- what was switched off stays off ------------------------------------------------------------


async def test_under_nohup_a_closed_terminal_does_not_end_a_run_but_sigterm_does(
    tmp_path: Path,
) -> None:
    if not shutil.which("nohup"):
        pytest.skip("there is no nohup here")
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
        desk.write_list(400)
        command = desk.command("send", "orders.csv", "--concurrency", "4")
        process = await desk.start(program=["nohup", *command])
        await until(lambda: ca.books.requests >= 10)
        for requests in (20, 40, 60):
            process.send_signal(signal.SIGHUP)
            await until(lambda enough=requests: ca.books.requests >= enough)  # type: ignore[misc]
        process.send_signal(signal.SIGTERM)
        stopped = await ended(process)

        assert stopped.code == 143, stopped.err
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["stop_reason"] == "interrupted by SIGTERM"
        assert summary["orders"]["sent"] == ca.books.mails == ca.books.requests < 400


# --- the first process of a container -----------------------------------------------------------

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def skip_without_containers() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to have a process be the first of its namespace")
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of processes can be made here")


def first_of_container(unshare: asyncio.subprocess.Process) -> int:
    """Return, as seen from outside, the number of the process that is 1 inside."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text()
    return int(children.split()[0])


async def test_as_process_1_sigterm_lets_what_is_in_flight_finish_and_the_report_be_written(
    tmp_path: Path,
) -> None:
    skip_without_containers()
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        numbers = desk.write_list(300)
        process = await desk.start(program=[*CONTAINER, *desk.command("send", "orders.csv")])
        await until(lambda: ca.books.requests >= 40)
        assert "process 1," in (tmp_path / "journal.db.holder").read_text()
        os.kill(first_of_container(process), signal.SIGTERM)
        stopped = await ended(process)

        assert stopped.code == 143, stopped.err
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "interrupted"
        assert summary["stop_reason"] == "interrupted by SIGTERM"
        assert summary["orders"]["sent"] == ca.books.mails == ca.books.requests < 300
        assert summary["orders"]["in_doubt"] == 0

        again = await desk.run("resume", "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def test_as_process_1_sigterm_ends_the_reading_of_a_list(tmp_path: Path) -> None:
    skip_without_containers()
    async with desk_with_ca(tmp_path) as (desk, ca):
        process = await start_to_plan(desk, in_front=CONTAINER)
        os.kill(first_of_container(process), signal.SIGTERM)
        stopped = await ended_with_its_input_open(process)
        assert stopped.code == 143, stopped.err
        assert "nothing more was sent" in stopped.err
        assert ca.books.requests == 0
        assert rows_in_journal(desk) == (0, 0)


# --- how long it takes --------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["hold", "retry"])
async def test_waiting_for_a_ca_that_hangs_ends_with_the_timeout_of_what_is_in_flight(
    tmp_path: Path, policy: str
) -> None:
    async with desk_with_ca(tmp_path, faults={FaultName.HANG: 1.0}) as (desk, ca):
        numbers = desk.write_list(20)
        arguments = ("--timeout", "2s", "--in-doubt", policy)
        process = await desk.start("send", "orders.csv", *arguments)
        await until(lambda: ca.books.answers["hang"] == 1)  # the one that opens the run
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        stopped = await ended(process)

        assert time.monotonic() - began < 20
        assert stopped.code == 143, stopped.err
        assert "Stopping: waiting for 1 request in flight" in stopped.err
        assert ca.books.requests == ca.books.mails == 1
        orders = desk.summary()["orders"]
        assert (orders["in_doubt"], orders["not_attempted"]) == (1, len(numbers) - 1)
        (doubted,) = (r for r in results(desk.report()) if r["status"] == "in_doubt")
        assert doubted["order_id"] in ca.books.mails_per_order


async def test_many_requests_that_hang_are_in_doubt_after_one_timeout_for_them_all(
    tmp_path: Path,
) -> None:
    faults = {FaultName.HANG: 0.2}
    async with desk_with_ca(tmp_path, faults=faults, latency_s=(0.01, 0.05)) as (desk, ca):
        numbers = desk.write_list(200)
        process = await desk.start("send", "orders.csv", "--timeout", "3s", "--in-doubt", "hold")
        await until(lambda: ca.books.answers["hang"] >= 8)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        stopped = await ended(process)

        assert time.monotonic() - began < 20
        assert stopped.code == 143, stopped.err
        await everything_acted_on(ca)
        summary, found = desk.summary(), results(desk.report())
        assert_adds_up(summary)
        in_doubt = {r["order_id"] for r in found if r["status"] == "in_doubt"}
        sent = {r["order_id"] for r in found if r["status"] == "sent"}
        assert len(in_doubt) == ca.books.answers["hang"] >= 8
        assert in_doubt | sent == set(ca.books.mails_per_order) < set(numbers)
        assert set(ca.books.mails_per_order.values()) == {1}
