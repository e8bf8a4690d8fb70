"""The journal's file as a user meets it: what is wrong with it is said, and it is kept."""

import json
import os
import signal
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batch_resend.report.report import REPORT_FILES
from tests.cli.conftest import Desk, Ended, assert_adds_up, desk_with_ca, ended, read_summary, until
from tests.cli.meddling import run_ids, without_the_right_to_write_everywhere

pytestmark = pytest.mark.asyncio

PAGE = 4_096


def said_in_a_line(refused: Ended, journal: Path) -> str:
    """Return what a command said of its journal, after checking that it says little else."""
    assert refused.code == 1, refused.err
    (line,) = refused.err.splitlines()
    assert line.startswith(f"batch-resend: {journal}: ")
    return line


# --- files that are no journal ------------------------------------------------------------------


def make_foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (id TEXT)")
        database.execute("INSERT INTO runs VALUES ('of another program')")
        database.commit()


def make_foreign_database_with_a_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
    make_foreign_database(path)


def make_text(path: Path) -> None:
    path.write_text("a list of things to do\n" * 100)


@pytest.mark.parametrize("command", [("send", "orders.csv"), ("resume",), ("runs",)])
@pytest.mark.parametrize(
    "make", [make_foreign_database, make_foreign_database_with_a_log, make_text]
)
async def test_another_programs_file_is_named_and_stays_as_it_is_byte_for_byte(
    tmp_path: Path, make: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        journal = tmp_path / "theirs.db"
        make(journal)
        before = journal.read_bytes()
        refused = await desk.run(*command, "--journal", str(journal))
        said = said_in_a_line(refused, journal)
        assert "not a journal of batch-resend" in said or "file is not a database" in said
        assert journal.read_bytes() == before
        assert ca.books.requests == 0
        assert not (tmp_path / "reports").exists()


async def test_a_folder_is_no_journal_and_stays_empty(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        folder = tmp_path / "folder"
        folder.mkdir()
        refused = await desk.run("send", "orders.csv", "--journal", str(folder))
        assert refused.code == 2
        assert f"'--journal': File '{folder}' is a directory" in refused.err
        assert list(folder.iterdir()) == []
        assert ca.books.requests == 0


async def test_a_journal_below_a_file_is_said_to_be_so(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        journal = tmp_path / "orders.csv" / "journal.db"
        refused = await desk.run("send", "orders.csv", "--journal", str(journal))
        said = said_in_a_line(refused, journal)
        assert said.endswith("name another with --journal")
        assert ca.books.requests == 0


# --- journals that are damaged ------------------------------------------------------------------


def overwrite_the_middle(content: bytes) -> bytes:
    pages = len(content) // PAGE
    first, last = pages // 4 * PAGE, pages * 3 // 4 * PAGE
    return content[:first] + b"\xa5" * (last - first) + content[last:]


def zero_the_middle(content: bytes) -> bytes:
    return overwrite_the_middle(content).replace(b"\xa5", b"\0")


def keep_half(content: bytes) -> bytes:
    return content[: len(content) // PAGE // 2 * PAGE]


def keep_the_head(content: bytes) -> bytes:
    return content[:100]


@pytest.mark.parametrize(
    "damage", [overwrite_the_middle, zero_the_middle, keep_half, keep_the_head]
)
async def test_a_damaged_journal_is_named_and_nothing_is_sent(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        journal = tmp_path / "journal.db"
        desk.write_list(300)
        assert (await desk.run("send", "orders.csv")).code == 0
        journal.write_bytes(damage(journal.read_bytes()))
        asked_before = ca.books.requests
        for command in (("send", "orders.csv"), ("resume",), ("runs",)):
            said = said_in_a_line(await desk.run(*command), journal)
            assert "malformed" in said
        assert ca.books.requests == asked_before


# --- journals that may not be written -----------------------------------------------------------


async def run_bound_by_permissions(desk: Desk, *arguments: str) -> Ended:
    program = without_the_right_to_write_everywhere(desk.command(*arguments))
    return await ended(await desk.start(program=program))


async def test_a_read_only_journal_is_named_and_nothing_is_sent_until_it_can_be_written(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        journal = tmp_path / "journal.db"
        numbers = desk.write_list(20)
        desk.write("half.csv", "order_id,domain,email\n700000,example.com,admin@example.com\n")
        assert (await desk.run("send", "half.csv")).code == 0
        journal.chmod(0o400)
        before = journal.read_bytes()

        refused = await run_bound_by_permissions(desk, "send", "orders.csv")
        assert "Permission denied" in said_in_a_line(refused, journal)
        assert journal.read_bytes() == before
        assert ca.books.requests == 1

        journal.chmod(0o600)
        again = await run_bound_by_permissions(desk, "send", "orders.csv", "--report-dir", "again")
        assert again.code == 0, again.err
        assert set(ca.books.mails_per_order) == set(numbers)


async def test_a_journal_in_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        (tmp_path / "read-only").mkdir(mode=0o500)
        journal = tmp_path / "read-only" / "journal.db"
        refused = await run_bound_by_permissions(
            desk, "send", "orders.csv", "--journal", str(journal)
        )
        said = said_in_a_line(refused, journal)
        assert "Permission denied; name another with --journal" in said
        assert ca.books.requests == 0


# --- who may read them --------------------------------------------------------------------------


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


async def test_all_that_is_made_for_journal_and_report_is_its_owners_alone_whatever_the_umask(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.2, 0.2)) as (desk, ca):
        folder = tmp_path / "state" / "batch-resend"
        desk.environment["BATCH_RESEND_JOURNAL"] = str(folder / "journal.db")
        desk.write_list(40)
        program = ["sh", "-c", 'umask 000; exec "$@"', "sh", *desk.command("send", "orders.csv")]
        process = await desk.start(program=program)
        await until(lambda: ca.books.requests)
        modes = {path.name: mode(path) for path in folder.iterdir()}
        assert (await ended(process)).code == 0
        report = desk.report()
        assert modes == dict.fromkeys(
            [f"journal.db{ending}" for ending in ("", "-wal", "-shm", ".lock", ".holder")], "0o600"
        )
        assert {mode(path) for path in report.iterdir()} == {"0o600"}
        assert {path.name for path in report.iterdir()} == set(REPORT_FILES)
        folders = (folder, folder.parent, report, report.parent)
        assert {mode(path) for path in folders} == {"0o700"}


# --- beside a run, and after one that died ------------------------------------------------------


async def test_what_a_killed_process_leaves_behind_never_keeps_the_next_from_starting(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.1)) as (desk, ca):
        numbers = desk.write_list(60)
        pids = set()
        for requests in (5, 15):
            process = await desk.start("send", "orders.csv", "--concurrency", "4")
            await until(lambda enough=requests: ca.books.requests >= enough)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            await ended(process)
            pids.add(process.pid)
            assert (tmp_path / "journal.db.lock").exists()
            assert f"process {process.pid}," in (tmp_path / "journal.db.holder").read_text()
            (run,) = json.loads((await desk.run("runs", "--format", "json")).out)
            assert run["state"] == "interrupted"

        last = await desk.run("send", "orders.csv")

        assert last.code == 0, last.err
        assert len(pids) == 2
        assert set(ca.books.mails_per_order) == set(numbers)
        assert not (tmp_path / "journal.db.holder").exists()


async def test_a_holders_note_of_junk_is_no_hindrance(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(3)
        for junk in (b"", b"process many, since ever\n", b"\xff\xfe\0"):
            (tmp_path / "journal.db.holder").write_bytes(junk)
            sent = await desk.run("send", "orders.csv", "--report-dir", "report")
            assert sent.code == 0, sent.err
            (tmp_path / "journal.db.holder").write_bytes(junk)
            told = await desk.run("runs")
            assert told.code == 0, told.err
            assert "completed" in told.out
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def test_runs_show_and_report_tell_of_a_run_under_way_and_do_not_disturb_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        desk.write_list(2_000)  # more than can be sent while others look on
        process = await desk.start("send", "orders.csv", "--concurrency", "4")
        await until(lambda: ca.books.requests >= 20)
        (run_id,) = await run_ids(desk)
        told = await desk.run("runs")
        shown = await desk.run("show", run_id)
        reported = await desk.run("report", run_id, "--report-dir", "early")
        assert process.returncode is None
        assert f"running (process {process.pid}, since 20" in told.out
        assert f"running (process {process.pid}" in shown.out
        assert reported.code == 0, reported.err
        early = read_summary(tmp_path / "early")
        assert_adds_up(early)
        assert (early["run_id"], early["orders"]["total"]) == (run_id, 2_000)
        assert 0 < early["orders"]["sent"] <= ca.books.mails

        seen = ca.books.requests
        await until(lambda: ca.books.requests > seen + 4)  # it goes on
        process.send_signal(signal.SIGINT)
        sent = await ended(process)

        assert sent.code == 130, sent.err
        assert desk.summary()["stop_reason"] == "interrupted by SIGINT"
        assert desk.summary()["orders"]["sent"] == ca.books.mails == ca.books.requests
        assert set(ca.books.mails_per_order.values()) == {1}


async def test_a_second_start_neither_sends_nor_disturbs_and_goes_on_once_the_first_was_killed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        numbers = desk.write_list(300)
        first = await desk.start("send", "orders.csv", "--concurrency", "2")
        await until(lambda: ca.books.requests >= 3)
        for command in (("send", "orders.csv"), ("resume",)):
            second = await desk.run(*command)
            assert second.code == 5
            (line,) = second.err.splitlines()
            assert f"{tmp_path}/journal.db: another run holds the journal" in line
            assert f"(process {first.pid}, since 20" in line
            assert "wait for it; `batch-resend watch` shows how it goes" in line
        assert first.returncode is None
        first.send_signal(signal.SIGKILL)
        await ended(first)

        third = await desk.run("send", "orders.csv", "--in-doubt", "hold")

        assert ", which did not finish" in third.err
        assert set(ca.books.requests_per_order.values()) == {1}
        assert len(ca.books.mails_per_order) >= len(numbers) - 2
        assert [path.name for path in (tmp_path / "reports").iterdir()] == await run_ids(desk)


# --- what is not so yet -------------------------------------------------------------------------


async def test_a_damaged_journal_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        journal = tmp_path / "journal.db"
        desk.write_list(300)
        assert (await desk.run("send", "orders.csv")).code == 0
        journal.write_bytes(overwrite_the_middle(journal.read_bytes()))
        said = said_in_a_line(await desk.run("send", "orders.csv"), journal)
        assert "is the disk full" not in said
        assert "--journal" in said


async def test_what_is_said_of_a_file_that_is_no_database_names_a_remedy(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        journal = tmp_path / "theirs.db"
        make_text(journal)
        refused = await desk.run("send", "orders.csv", "--journal", str(journal))
        assert "--journal" in said_in_a_line(refused, journal)


async def test_what_is_said_of_a_read_only_journal_names_it_once_and_a_remedy(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        journal = tmp_path / "journal.db"
        desk.write_list(3)
        assert (await desk.run("send", "orders.csv")).code == 0
        journal.chmod(0o400)
        refused = await run_bound_by_permissions(desk, "send", "orders.csv")
        said = said_in_a_line(refused, journal)
        assert said.count(str(journal)) == 1
        assert "--journal" in said


@pytest.mark.parametrize("command", ["runs", "resume"])
async def test_a_journal_that_was_looked_at_while_read_only_can_be_written_once_that_is_lifted(
    tmp_path: Path, command: str
) -> None:
    """What SQLite puts beside a database has the mode of the database, and stays."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        journal = tmp_path / "journal.db"
        numbers = desk.write_list(3)
        desk.write("one.csv", "order_id\n100200301\n")
        assert (await desk.run("send", "one.csv", "--report-dir", "one")).code == 0
        journal.chmod(0o400)
        await run_bound_by_permissions(desk, command)
        journal.chmod(0o600)
        sent = await run_bound_by_permissions(desk, "send", "orders.csv")
        assert sent.code == 0, sent.err
        assert set(ca.books.mails_per_order) == {"100200301", *numbers}


async def test_a_run_that_was_killed_is_not_running_though_its_number_is_another_process_now(
    tmp_path: Path,
) -> None:
    """In a container that number is always 1, and the next command's own."""
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.1)) as (desk, ca):
        desk.write_list(20)
        process = await desk.start("send", "orders.csv", "--concurrency", "2")
        await until(lambda: ca.books.requests >= 3)
        process.send_signal(signal.SIGKILL)
        await ended(process)
        holder = tmp_path / "journal.db.holder"
        holder.write_text(holder.read_text().replace(f"{process.pid},", f"{os.getpid()},"))
        (run,) = json.loads((await desk.run("runs", "--format", "json")).out)
        assert run["state"] == "interrupted"
