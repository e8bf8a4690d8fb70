"""Killed, interrupted, cut off: the next start knows what was sent, and goes on."""

import asyncio
import os
import pty
import shlex
import signal
from collections import Counter
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from batch_resend.windows import Window
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
from tests.cli.meddling import run_ids

pytestmark = pytest.mark.asyncio

SLOW = {"latency_s": (0.02, 0.2)}


async def send_until(
    desk: Desk, ca: Simulator, requests: int, *arguments: str, by: signal.Signals
) -> Ended:
    """Start to send, and signal the process once the CA has seen so many more requests."""
    enough = ca.books.requests + requests
    process = await desk.start("send", "orders.csv", *arguments)
    await until(lambda: ca.books.requests >= enough)
    process.send_signal(by)
    return await ended(process)


@pytest.mark.parametrize("policy", ["retry", "hold"])
async def test_after_a_kill_the_run_goes_on_under_its_id_and_repeats_nothing_acknowledged(
    tmp_path: Path, policy: str
) -> None:
    async with desk_with_ca(tmp_path, **SLOW) as (desk, ca):
        numbers = desk.write_list(300)
        killed = await send_until(
            desk, ca, 100, "--in-doubt", policy, "--concurrency", "16", by=signal.SIGKILL
        )
        assert killed.code == -signal.SIGKILL
        await asyncio.sleep(0.3)  # the CA acts on what it has, though nobody listens any more
        mailed_before = Counter(ca.books.mails_per_order)

        ended = await desk.run("send", "orders.csv", "--in-doubt", policy)

        assert ", which did not finish" in ended.err
        summary = desk.summary()  # there is just one report: that of the run, under its id
        assert_adds_up(summary)
        found = results(desk.report())
        in_doubt = {r["order_id"] for r in found if r["status"] == "in_doubt"}
        repeated = {n for n, count in ca.books.mails_per_order.items() if count > 1}
        assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
        if policy == "hold":
            assert repeated == set()
            assert 0 < len(in_doubt) <= 16
            assert ended.code == 3
        else:
            assert in_doubt == set()
            assert ended.code == 0, ended.err
            assert "of those to send may have been mailed before" in " ".join(ended.err.split())
            marked = {r["order_id"] for r in found if r["possible_duplicate"]}
            assert repeated <= marked
            assert 0 < len(marked) <= 16
            assert summary["requests"]["possible_duplicates"] == len(marked)
        assert all(count <= 2 for count in ca.books.mails_per_order.values())
        assert mailed_before.total() >= 84


async def test_resume_goes_on_without_the_list(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, **SLOW) as (desk, ca):
        numbers = desk.write_list(120)
        await send_until(desk, ca, 40, by=signal.SIGKILL)
        (tmp_path / "orders.csv").unlink()
        del desk.environment["BATCH_RESEND_BASE_URL"]  # the journal knows where the run was sent

        ended = await desk.run("resume")

        assert ended.code == 0, ended.err
        assert set(ca.books.mails_per_order) == set(numbers)
        assert desk.summary()["orders"]["sent"] == 120


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_lets_requests_in_flight_finish_and_the_report_be_written(
    tmp_path: Path, by: signal.Signals
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.2, 0.4)) as (desk, ca):
        numbers = desk.write_list(300)
        stopped = await send_until(desk, ca, 60, by=by)

        assert stopped.code == 128 + by
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "interrupted"
        assert summary["stop_reason"] == f"interrupted by {by.name}"
        assert summary["orders"]["sent"] == ca.books.requests == ca.books.mails
        assert summary["orders"]["in_doubt"] == 0
        assert summary["orders"]["not_attempted"] == 300 - ca.books.requests
        assert f"To go on:\n  batch-resend resume {summary['run_id']}" in stopped.out

        again = await desk.run("resume", "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert read_summary(tmp_path / "again")["run_id"] == summary["run_id"]


async def test_a_terminal_that_closes_ends_the_run_in_good_order(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.2, 0.4)) as (desk, ca):
        numbers = desk.write_list(300)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(tmp_path)
            command = desk.command("send", "orders.csv", "--yes")
            os.execve(command[0], command, desk.environment | {"TERM": "xterm"})
        await until(lambda: ca.books.requests >= 60)
        os.close(terminal)  # the kernel sends SIGHUP, and nothing can be written any more
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)

        assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
        assert desk.summary()["state"] == "interrupted"
        assert (
            desk.summary()["orders"]["sent"] == ca.books.requests == ca.books.mails < len(numbers)
        )


async def test_unsent_csv_of_an_interrupted_run_sends_just_the_rest(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, **SLOW) as (desk, ca):
        numbers = desk.write_list(200)
        await send_until(desk, ca, 60, by=signal.SIGINT)
        unsent = desk.report() / "unsent.csv"

        again = await desk.run("send", str(unsent), "--report-dir", "again")

        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def test_a_second_signal_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(60.0, 60.0)) as (desk, ca):
        desk.write_list(10)
        process = await desk.start("send", "orders.csv")
        await until(lambda: ca.books.requests == 1)  # the one that opens the run
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        async with asyncio.timeout(10):
            while b"Stopping" not in await process.stderr.readline():
                pass
        quitting = asyncio.create_task(ended(process))
        while not quitting.done():  # just after the first, it would pass for the same one
            process.send_signal(signal.SIGINT)
            await asyncio.wait([quitting], timeout=0.1)
        quit_at_once = quitting.result()

        assert quit_at_once.code == 130
        assert not (tmp_path / "reports").exists()

        (run_id,) = await run_ids(desk)
        await desk.run("report", run_id)
        assert desk.summary()["orders"]["in_doubt"] == 1
        assert desk.summary()["orders"]["not_attempted"] == 9


async def test_the_windows_hold_across_a_kill(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(40, 3.0),)) as (desk, ca):
        numbers = desk.write_list(70)
        await send_until(desk, ca, 35, by=signal.SIGKILL)
        ended = await desk.run("send", "orders.csv", "--in-doubt", "hold")
        assert ended.code in (0, 3)
        assert ca.books.windows[0].refused == 0
        assert ca.books.windows[0].peak <= 40
        assert len(ca.books.mails_per_order) >= len(numbers) - 32


async def test_the_printed_resume_mails_nothing_again_that_was_held_for_a_person(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"drop": 0.4}, seed=3) as (desk, ca):
        desk.write("orders.csv", "Nr\n" + "\n".join(map(str, range(1, 41))) + "\n")
        process = await desk.start(
            "send", "orders.csv", "--map", "order_id=Nr", "--in-doubt", "hold", "--limit", "10/1s",
            "--timeout", "2s",
        )  # fmt: skip
        await until(lambda: ca.books.requests >= 20)
        process.send_signal(signal.SIGINT)
        stopped = await ended(process)
        assert desk.summary()["orders"]["in_doubt"] > 0
        printed = stopped.out.partition("To go on:\n  batch-resend ")[2].splitlines()[0]
        # For so long, what was dropped holds its slot of the windows.
        resumed = await desk.run(*shlex.split(printed), "--report-dir", "again", "--timeout", "2s")
        assert resumed.code == 3, resumed.err
        assert set(ca.books.mails_per_order.values()) == {1}
        assert len(ca.books.mails_per_order) == 40


async def test_a_bare_resume_keeps_the_limits_and_the_policy_that_the_run_had(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.3, 0.5)) as (desk, ca):
        numbers = desk.write_list(60)
        del desk.environment["BATCH_RESEND_LIMIT"]
        soon = ("--timeout", "2s")  # what was in flight holds its slot for so long
        first = ("send", "orders.csv", "--limit", "30/2s", "--in-doubt", "hold", *soon)
        process = await desk.start(*first)
        await until(lambda: ca.books.requests >= 5)
        process.send_signal(signal.SIGKILL)
        await ended(process)
        resumed = await desk.run("resume", *soon)
        assert resumed.code == 3, resumed.err
        assert set(ca.books.requests_per_order.values()) == {1}
        held = {r["order_id"] for r in results(desk.report()) if r["status"] == "in_doubt"}
        assert held
        # Killed between the journal and the network, a request has not even left.
        assert set(ca.books.requests_per_order) | held == set(numbers)
        assert desk.summary()["limits"] == ["30/2s"]
        assert "--in-doubt retry" in resumed.out


async def test_a_resume_that_says_otherwise_does_otherwise(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.3, 0.5)) as (desk, ca):
        desk.write_list(20)
        process = await desk.start("send", "orders.csv", "--limit", "9/2s", "--in-doubt", "hold")
        await until(lambda: ca.books.requests >= 5)
        process.send_signal(signal.SIGKILL)
        await ended(process)
        resumed = await desk.run("resume", "--in-doubt", "retry", "--limit", "none")
        assert resumed.code == 0, resumed.err
        assert desk.summary()["orders"]["sent"] == 20
        assert desk.summary()["limits"] == []
