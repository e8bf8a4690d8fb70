"""A disk that is full, and few descriptors: what cannot be written is not sent, none is lost."""

import asyncio
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from batch_resend.cli.as_settings import within
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    has_draft,
    orders_of,
    read_summary,
    results,
    until,
    without_the_right_to_write_everywhere,
    write_long_list,
)
from tests.cli.counting_server import Call, CountingServer, accepts_and_closes
from tests.notify.listener import listening
from tests.report.carried import FILES

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs prlimit(2), of Linux"
)


HOLD = ("--in-doubt", "hold")


def let_files_grow_to(size: int, pid: int) -> None:
    """Let no file of a process grow beyond so many bytes: its disk is full, for all it knows."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def unmeasured(desk: Desk) -> Desk:
    """Have what is started here not measured for coverage, which would fail to write its data."""
    for name in [name for name in desk.environment if name.startswith("COVERAGE_")]:
        del desk.environment[name]
    return desk


@contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of so many bytes. Skips the test where that cannot be done."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root, to mount a small file system")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --- while sending ------------------------------------------------------------------------------


async def test_once_the_journal_cannot_grow_nothing_more_leaves_and_later_the_run_is_resumed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
        numbers = desk.write_list(150)
        process = await unmeasured(desk).start("send", "orders.csv", *HOLD, "--concurrency", "16")
        await until(lambda: ca.books.requests >= 50)
        let_files_grow_to(0, process.pid)
        seen = ca.books.requests
        full = await ended(process)

        assert full.code == 4, full.err
        assert ca.books.requests <= seen + 16
        assert f"stopped: {tmp_path}/journal.db: the journal cannot be used" in full.err
        assert "is the disk full" in full.err
        assert "Traceback" not in full.err
        await everything_acted_on(ca)
        asked_before = ca.books.requests

        again = await desk.run("send", "orders.csv", *HOLD)

        assert ", which did not finish" in again.err
        summary, found = desk.summary(), results(desk.report())
        assert_adds_up(summary)
        assert summary["state"] == "completed"
        in_doubt = {r["order_id"] for r in found if r["status"] == "in_doubt"}
        sent = {r["order_id"] for r in found if r["status"] == "sent"}
        assert sent | in_doubt == set(numbers)
        assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
        assert set(ca.books.requests_per_order.values()) == {1}
        assert len(in_doubt) <= 2 * 16  # in flight then, and begun in the journal just before
        assert asked_before < ca.books.requests
        assert again.code == (3 if in_doubt else 0), again.err


def fill(disk: Path) -> None:
    """Leave no byte of a disk free."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))


async def test_a_disk_that_fills_up_while_sending_is_named_wherever_the_end_of_the_run_is(
    tmp_path: Path,
) -> None:
    with tiny_disk(tmp_path / "disk", "8m") as disk:
        async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
            desk.write_list(300)
            journal = ("--journal", str(disk / "journal.db"))
            process = await desk.start(
                "send", "orders.csv", "--json", *journal, "--concurrency", "16"
            )
            await until(lambda: ca.books.requests >= 20)
            fill(disk)
            full = await ended(process)
            assert full.code == 4, full.err
            document, summary = json.loads(full.out), desk.summary()
            assert "disk is full" in document["error"]
            assert document["text"].endswith(f"({document['error']})")
            for told in (document, summary):
                assert (told["state"], told["stop_reason"]) == ("stopped", document["error"])
                assert told["orders"]["in_flight"] == 0, "nothing is, once the process has ended"
                assert told["orders"]["in_doubt"] == len(orders_of(desk.report(), "in_doubt")) > 0
            page = (desk.report() / "report.html").read_text()
            assert "disk is full" in page
            resume, _ = (step["command"] for step in document["next_steps"] if step["command"])
            for words in (("show", *journal), ("watch", *journal)):
                later = (await desk.run(*words)).out
                assert re.search(
                    r"^  why +\S+: the journal cannot be used: .*disk is full", later, re.M
                )
                assert "no up-to-date report" not in later
                assert f"Report: {desk.report().relative_to(tmp_path)}/report.html" in later
            (disk / "filler").unlink()
            again = await desk.run(*resume.split()[1:])
            assert again.code == 0, again.err


# --- before anything is sent --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "full"), [("16k", "journal"), ("200k", "journal"), ("100k", "temporary files")]
)
async def test_a_disk_too_small_for_the_plan_or_its_temporary_files_sends_nothing_and_is_named(
    tmp_path: Path, size: str, full: str
) -> None:
    with tiny_disk(tmp_path / "disk", size) as disk:
        async with desk_with_ca(tmp_path) as (desk, ca):
            desk.write_list(3_000)
            journal = disk / "journal.db" if full == "journal" else tmp_path / "journal.db"
            if full == "temporary files":
                desk.environment["TMPDIR"] = str(disk)
            refused = await desk.run("send", "orders.csv", "--journal", str(journal))
            assert refused.code == 1
            (said,) = refused.err.splitlines()
            assert said.startswith(f"batch-resend: {journal}: the journal cannot be used: ")
            assert said.endswith("is the disk full, or the one for temporary files (TMPDIR)?")
            assert ca.books.requests == 0
            assert not (tmp_path / "reports").exists()


# --- while the report is written ----------------------------------------------------------------


def report_command(told: str) -> list[str]:
    """Return the words of the command that a message names for writing the report later."""
    (line,) = (line for line in told.splitlines() if line.startswith("  batch-resend report "))
    return line.split()[1:-1]  # DIR, at the end, is for the user to fill in


async def assert_can_be_written_later(desk: Desk, told: Ended, sent: int) -> None:
    assert "The run is safe in the journal; write its report with:\n" in told.err
    assert "Traceback" not in told.err
    later = await desk.run(*report_command(told.err), "later")
    assert later.code == 0, later.err
    assert {path.name for path in (desk.folder / "later").iterdir()} == FILES
    assert_adds_up(read_summary(desk.folder / "later"))
    assert read_summary(desk.folder / "later")["orders"]["sent"] == sent
    assert len(results(desk.folder / "later")) == sent


async def test_a_disk_that_fills_up_while_the_report_is_written_leaves_no_half_of_a_file(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = write_long_list(desk)
        process = await unmeasured(desk).start("send", "orders.csv", "--report-dir", "report")
        emptied = asyncio.create_task(ended(process))
        await until(lambda: has_draft(tmp_path / "report", "results.csv", process.pid))
        let_files_grow_to(4_096, process.pid)
        full = await emptied

        assert full.code == 3
        assert re.search(r"report/results\.\w+: cannot be written: File too large", full.err)
        left = {path.name for path in (tmp_path / "report").iterdir()}
        assert left <= {"results.csv"}  # whole, if that much was written before
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        await assert_can_be_written_later(desk, full, sent=10)


# --- folders that cannot be written -------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("read-only", "read-only: no file can be written there"),
        ("read-only/report", "read-only/report: cannot be made: Permission denied"),
    ],
)
async def test_a_report_folder_that_may_not_be_written_is_named_before_anything_is_sent(
    tmp_path: Path, report: str, said: str
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(20)
        (tmp_path / "read-only").mkdir(mode=0o500)
        flags = ("--report-dir", report, "--log-file", "resend.log", "--notify-url", hook.url)
        command = desk.command("send", "orders.csv", *flags)
        program = without_the_right_to_write_everywhere(command)
        sent = await ended(await desk.start(program=program))
        assert (sent.code, ca.books.requests) == (1, 0), sent.err
        said += ". Nothing was sent: name another with --report-dir"
        assert said in sent.err
        ((_, posted),) = hook.posts
        assert said in json.loads(posted)["error"]
        assert said in (tmp_path / "resend.log").read_text().splitlines()[-1]
        assert (await desk.run("runs")).out.startswith("No runs yet")


# --- few descriptors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "wanted", "loop"),
    [
        ((40, 40), 32, "asyncio"),
        ((32, 32), 32, "uvloop"),
        ((40, 4_096), 100, "asyncio"),  # a soft limit, which is raised
    ],
)
async def test_with_few_files_every_order_is_sent_at_its_first_attempt_without_a_pause(
    tmp_path: Path, limit: tuple[int, int], wanted: int, loop: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        numbers = desk.write_list(120)
        desk.environment["BATCH_RESEND_EVENT_LOOP"] = loop
        meddling = partial(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        words = ("send", "orders.csv", "--concurrency", str(wanted), "--log-file", "resend.log")
        sent = await ended(await desk.start_after(meddling, *words))
        assert sent.code == 0, sent.err
        assert ca.books.requests_per_order == dict.fromkeys(numbers, 1)
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["requests"]["retries"] == summary["back_pressure"]["pauses"] == 0
        fewer = f"requests will be in flight instead of {wanted}: this process may have"
        assert (fewer in sent.err) == (limit[1] < 100)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_files_that_run_out_meanwhile_cost_no_order_an_attempt(
    tmp_path: Path, loop: str
) -> None:
    in_flight = 0

    async def fate(call: Call) -> None:
        nonlocal in_flight
        in_flight += 1
        await asyncio.sleep(0.05)  # as long as an answer takes, for many to be in flight
        in_flight -= 1
        await accepts_and_closes(call)  # each request needs a new connection

    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, f"http://127.0.0.1:{ca.port}/services/v2")
        numbers = desk.write_list(200)
        process = await desk.start(
            "send", "orders.csv", "--limit", "none", BATCH_RESEND_EVENT_LOOP=loop
        )
        await until(lambda: in_flight >= 24)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (34, 4_096))
        sent = await ended(process)
        assert sent.code == 0, sent.err
        assert ca.mails_of == dict.fromkeys(numbers, 1)
        summary = desk.summary()
        assert summary["requests"]["retries"] == summary["back_pressure"]["pauses"] == 0
        assert "no file descriptor is left for a connection" in sent.err


@pytest.mark.parametrize(
    ("descriptors", "keys", "requests"), [(100, 1, 100), (100, 3, 33), (2, 3, 1), (-5, 1, 1)]
)
def test_keys_share_what_there_is_and_each_has_at_least_one(
    descriptors: int, keys: int, requests: int
) -> None:
    assert within(descriptors, keys) == requests
