"""A disk that is full: what cannot be written down is not sent, and what was sent is not lost."""

import asyncio
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch_resend.report.report import REPORT_FILES
from batch_resend.simulator import Simulator
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
from tests.cli.meddling import (
    everything_acted_on,
    has_draft,
    run_ids,
    without_the_right_to_write_everywhere,
    write_long_list,
)

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2), of Linux"),
]

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


async def send_until_full(desk: Desk, ca: Simulator, requests: int) -> tuple[Ended, int]:
    """Send, with no room left for the journal after so many requests; return how many there were.

    The report goes to where there is room, as on another disk.
    """
    process = await unmeasured(desk).start("send", "orders.csv", *HOLD, "--concurrency", "16")
    await until(lambda: ca.books.requests >= requests)
    let_files_grow_to(0, process.pid)
    seen = ca.books.requests
    return await ended(process), seen


@pytest.mark.parametrize("requests", [1, 100])
async def test_once_the_journal_cannot_grow_nothing_more_leaves_and_later_the_run_goes_on(
    tmp_path: Path, requests: int
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
        numbers = desk.write_list(300)
        full, seen = await send_until_full(desk, ca, requests)

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


async def test_with_retry_a_full_disk_loses_nothing_and_every_repeat_is_marked(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
        numbers = desk.write_list(120)
        full, _ = await send_until_full(desk, ca, 40)
        assert full.code == 4, full.err

        again = await desk.run("send", "orders.csv")

        assert again.code == 0, again.err
        assert set(ca.books.mails_per_order) == set(numbers)
        assert_adds_up(desk.summary())
        marked = {r["order_id"] for r in results(desk.report()) if r["possible_duplicate"]}
        assert {n for n, count in ca.books.mails_per_order.items() if count > 1} <= marked
        assert max(ca.books.mails_per_order.values()) <= 2


async def test_a_disk_that_fills_up_for_real_stops_the_run_until_there_is_room(
    tmp_path: Path,
) -> None:
    with tiny_disk(tmp_path / "disk", "8m") as disk:
        async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
            desk.environment["BATCH_RESEND_JOURNAL"] = str(disk / "journal.db")
            numbers = desk.write_list(400)
            process = await desk.start("send", "orders.csv", *HOLD, "--concurrency", "16")
            await until(lambda: ca.books.requests >= 100)
            fill_up(disk / "ballast")
            full = await ended(process)
            assert full.code == 4, full.err
            assert f"{disk}/journal.db: the journal cannot be used" in full.err
            assert "is the disk full" in full.err
            assert ca.books.requests < 400

            still_full = await desk.run("send", "orders.csv", *HOLD)

            assert still_full.code == 1, still_full.err
            assert f"{disk}/journal.db" in still_full.err
            assert "disk" in still_full.err or "No space left" in still_full.err
            assert "Traceback" not in still_full.err
            await everything_acted_on(ca)
            asked_before = ca.books.requests
            (disk / "ballast").unlink()

            again = await desk.run("send", "orders.csv", *HOLD, "--report-dir", "again")

            assert again.code in (0, 3), again.err
            found = results(tmp_path / "again")
            in_doubt = {r["order_id"] for r in found if r["status"] == "in_doubt"}
            assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
            assert set(ca.books.requests_per_order.values()) == {1}
            assert asked_before < ca.books.requests


def fill_up(ballast: Path) -> None:
    """Write until there is no room left."""
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        return


# --- before anything is sent --------------------------------------------------------------------


@pytest.mark.parametrize("size", ["16k", "64k", "200k"])
async def test_a_disk_too_small_for_the_plan_sends_nothing_and_is_named(
    tmp_path: Path, size: str
) -> None:
    with tiny_disk(tmp_path / "disk", size) as disk:
        async with desk_with_ca(tmp_path) as (desk, ca):
            desk.write_list(2_000)
            refused = await desk.run("send", "orders.csv", "--journal", str(disk / "journal.db"))
            assert refused.code == 1
            (said,) = refused.err.splitlines()
            assert said.startswith(f"batch-resend: {disk}/journal.db: the journal cannot be used: ")
            assert said.endswith("is the disk full, or that of temporary files (TMPDIR)?")
            assert ca.books.requests == 0
            assert not (tmp_path / "reports").exists()


async def test_no_room_for_temporary_files_sends_nothing_and_they_are_named(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "temporary", "100k") as temporary:
        async with desk_with_ca(tmp_path) as (desk, ca):
            desk.write_list(3_000)
            refused = await desk.run("send", "orders.csv", TMPDIR=str(temporary))
            assert refused.code == 1
            assert refused.err == (
                f"batch-resend: {tmp_path}/journal.db: the journal cannot be used: database or "
                "disk is full; is the disk full, or that of temporary files (TMPDIR)?\n"
            )
            assert ca.books.requests == 0
            assert await run_ids(desk) == []


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
    assert {path.name for path in (desk.folder / "later").iterdir()} == set(REPORT_FILES)
    assert_adds_up(read_summary(desk.folder / "later"))
    assert read_summary(desk.folder / "later")["orders"]["sent"] == sent
    assert len(results(desk.folder / "later")) == sent


async def test_a_report_without_room_leaves_no_half_of_a_file_and_can_be_written_later(
    tmp_path: Path,
) -> None:
    with tiny_disk(tmp_path / "disk", "64k") as disk:
        async with desk_with_ca(tmp_path) as (desk, ca):
            numbers = desk.write_list(500)
            full = await desk.run("send", "orders.csv", "--report-dir", str(disk / "report"))

            assert full.code == 3
            assert f"{disk}/report/results.csv: cannot be written: No space left" in full.err
            assert list((disk / "report").iterdir()) == []
            assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
            await assert_can_be_written_later(desk, full, sent=500)


async def test_without_room_for_a_new_report_the_files_of_the_older_one_stay_whole(
    tmp_path: Path,
) -> None:
    with tiny_disk(tmp_path / "disk", "600k") as disk:
        async with desk_with_ca(tmp_path) as (desk, ca):
            numbers = desk.write_list(500)
            report = disk / "report"
            first = await desk.run("send", "orders.csv", "--report-dir", str(report))
            assert first.code == 0, first.err
            before = {path.name: path.read_bytes() for path in report.iterdir()}
            fill_up(disk / "ballast")

            full = await desk.run("send", "orders.csv", "--report-dir", str(report))

            assert full.code == 3
            assert "No space left on device" in full.err
            assert {path.name: path.read_bytes() for path in report.iterdir()} == before
            assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


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


async def test_a_report_folder_that_is_a_file_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        desk.write("taken", "a file")
        refused = await desk.run("send", "orders.csv", "--report-dir", "taken")
        assert refused.code == 2
        assert "'taken' is a file" in refused.err
        assert ca.books.requests == 0
        assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("read-only", "read-only/results.csv: cannot be written: Permission denied"),
        ("read-only/report", "read-only/report: cannot be made: Permission denied"),
    ],
)
async def test_a_report_folder_that_may_not_be_written_is_named_and_the_report_written_later(
    tmp_path: Path, report: str, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(20)
        (tmp_path / "read-only").mkdir(mode=0o500)
        command = desk.command("send", "orders.csv", "--report-dir", report)
        program = without_the_right_to_write_everywhere(command)
        sent = await ended(await desk.start(program=program))
        assert sent.code == 3, sent.err
        assert said in sent.err
        assert "20 of 20 orders sent" in sent.out
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        await assert_can_be_written_later(desk, sent, sent=20)
