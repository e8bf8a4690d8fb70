"""A signal in whatever part of a run, as a process of its own and as a container's first."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial, reduce, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from batch_resend.errors import JournalError
from batch_resend.simulator import FaultName
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    has_draft,
    read_summary,
    results,
    run_ids,
    until,
    write_long_list,
)

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


async def test_a_signal_while_a_list_is_read_leaves_no_half_of_a_run(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        process = await start_to_plan(desk)
        process.send_signal(signal.SIGHUP)
        stopped = await ended_with_its_input_open(process)

        assert stopped.code == 129, stopped.err
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


# --- while the report is written ----------------------------------------------------------------


async def test_a_signal_while_the_report_is_written_lets_it_be_finished(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = write_long_list(desk, ROWS)
        report = tmp_path / "report"
        process = await desk.start("send", "orders.csv", "--report-dir", str(report))
        emptied = asyncio.create_task(ended(process))
        await until(lambda: has_draft(report, "results.csv", process.pid))
        process.send_signal(signal.SIGINT)
        stopped = await emptied

        assert stopped.code == 130, stopped.err
        assert "Writing the report (repeat it to quit at once)\n" in stopped.err
        assert len((report / "results.csv").read_text().splitlines()) == ROWS + 1
        assert len(results(report)) == 10
        assert_adds_up(summary := read_summary(report))
        assert summary["orders"]["sent"] == 10
        assert not list(report.glob(".*"))
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert f"Report: {report}" in stopped.out


# --- what was switched off stays off ------------------------------------------------------------


async def test_under_nohup_a_closed_terminal_does_not_end_a_run(tmp_path: Path) -> None:
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


# --- how long it takes --------------------------------------------------------------------------


async def test_many_requests_that_hang_cost_one_timeout_for_them_all(tmp_path: Path) -> None:
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


BEFORE_SENDING = [
    "journal.database:_create_tables",
    "journal.planning:Staging.add_rows",
    "journal.grouping:Grouping.add",
    "cli.execution:make_preview",
]
FROM_SENDING_ON = [
    "journal.journal:Journal.start",
    "journal.recording:Recorder.begin",
    "certcentral.client:CertCentral.resend",
    "journal.journal:Journal.finish",
    "report.tables:write_results_csv",
]


def signal_at(step: str) -> None:
    """Have the process signal itself as it takes a step for the first time."""
    module, _, path = step.partition(":")
    *owners, name = path.split(".")
    owner: Any = reduce(getattr, owners, import_module(f"batch_resend.{module}"))
    function: Callable[..., Any] = getattr(owner, name)
    given = False

    @wraps(function)
    def signalled(*arguments: Any, **options: Any) -> Any:
        nonlocal given
        if not given:
            given = True
            os.kill(os.getpid(), signal.SIGTERM)
        return function(*arguments, **options)

    pytest.MonkeyPatch().setattr(owner, name, signalled)


@pytest.mark.parametrize("step", [*BEFORE_SENDING, *FROM_SENDING_ON])
async def test_a_signal_at_any_step_ends_it_with_nothing_sent_or_with_a_report(
    tmp_path: Path, step: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(10)
        process = await desk.start_after(partial(signal_at, step), "send", "orders.csv")
        stopped = await ended(process, timeout_s=15)
        assert "Traceback" not in stopped.err, stopped.err
        assert stopped.code == 143, stopped.err
        if step in BEFORE_SENDING:
            assert "nothing more was sent" in stopped.err
            assert ca.books.requests == 0
            assert await run_ids(desk) == []
        else:
            summary = desk.summary()
            assert_adds_up(summary)
            assert summary["orders"]["sent"] == ca.books.mails == ca.books.requests
            assert await run_ids(desk) == [summary["run_id"]]
        later = await desk.run("send", "orders.csv", "--report-dir", "later")
        assert later.code == 0, later.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert_adds_up(read_summary(tmp_path / "later"))


DISK = "journal.db: the journal cannot be used: disk I/O error"


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (("journal.Journal.start",), 1),
        (("batch.write_report",), 4),
        (("batch.write_report", "cli.execution.make_summary"), 4),
    ],
)
async def test_a_journal_that_fails_after_the_last_mail_is_no_failed_start_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[str, ...], code: int
) -> None:
    async def fails(*_: object) -> None:
        raise JournalError(DISK)

    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(3)
        with monkeypatch.context() as patch:
            for name in failing:
                patch.setattr(f"batch_resend.{name}", fails)
            failed = await desk.run("send", "orders.csv", "--quiet")
        assert failed.code == code
        assert DISK in failed.err
        if code == 1:
            assert failed.err == f"batch-resend: {DISK}\n"
            assert ca.books.requests == 0
            return
        (run,) = await run_ids(desk)
        assert "its results cannot be read" in failed.err
        assert f"batch-resend report {run} --journal {desk.folder}/journal.db" in failed.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert (await desk.run("report", run)).code == 0
        assert desk.summary()["orders"]["sent"] == len(numbers)
