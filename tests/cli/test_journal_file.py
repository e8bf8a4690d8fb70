"""The journal's file as a user meets it: what is wrong with it, or becomes of it in a run."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    orders_of,
    read_summary,
    run_ids,
    until,
    without_the_right_to_write_everywhere,
)
from tests.report.carried import FILES

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


@pytest.mark.parametrize(
    "make", [make_foreign_database, make_foreign_database_with_a_log, make_text]
)
async def test_another_programs_file_is_named_and_stays_as_it_is_byte_for_byte(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        journal = tmp_path / "theirs.db"
        make(journal)
        before = journal.read_bytes()
        for command in (("send", "orders.csv"), ("resume",), ("runs",)):
            said = said_in_a_line(await desk.run(*command, "--journal", str(journal)), journal)
            assert "not a journal of batch-resend" in said or "file is not a database" in said
            assert make is not make_text or command[0] == "runs" or "--journal" in said
        assert journal.read_bytes() == before
        assert ca.books.requests == 0
        assert not (tmp_path / "reports").exists()


# --- journals that are damaged ------------------------------------------------------------------


def overwrite_the_middle(content: bytes, by: bytes = b"\xa5") -> bytes:
    pages = len(content) // PAGE
    first, last = pages // 4 * PAGE, pages * 3 // 4 * PAGE
    return content[:first] + by * (last - first) + content[last:]


def keep_half(content: bytes) -> bytes:
    return content[: len(content) // PAGE // 2 * PAGE]


def keep_the_head(content: bytes) -> bytes:
    return content[:100]


@pytest.mark.parametrize(
    "damage",
    [overwrite_the_middle, partial(overwrite_the_middle, by=b"\0"), keep_half, keep_the_head],
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
            assert "is the disk full" not in said
        assert ca.books.requests == asked_before


# --- journals that may not be written -----------------------------------------------------------


async def run_bound_by_permissions(desk: Desk, *arguments: str) -> Ended:
    program = without_the_right_to_write_everywhere(desk.command(*arguments))
    return await ended(await desk.start(program=program))


async def test_a_read_only_journal_is_named_and_nothing_sent_meanwhile(tmp_path: Path) -> None:
    """What SQLite puts beside a database to look at it has its mode, and stays."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        journal = tmp_path / "journal.db"
        numbers = desk.write_list(20)
        desk.write("half.csv", "order_id,domain,email\n700000,example.com,admin@example.com\n")
        assert (await desk.run("send", "half.csv")).code == 0
        journal.chmod(0o400)
        before = journal.read_bytes()

        said = said_in_a_line(await run_bound_by_permissions(desk, "send", "orders.csv"), journal)
        assert "Permission denied" in said
        assert "--journal" in said
        assert journal.read_bytes() == before
        assert ca.books.requests == 1
        for command in ("runs", "resume"):
            await run_bound_by_permissions(desk, command)

        journal.chmod(0o600)
        again = await run_bound_by_permissions(desk, "send", "orders.csv", "--report-dir", "again")
        assert again.code == 0, again.err
        assert set(ca.books.mails_per_order) == set(numbers)


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
        assert {path.name for path in report.iterdir()} == FILES
        folders = (folder, folder.parent, report, report.parent)
        assert {mode(path) for path in folders} == {"0o700"}


# --- beside a run, and after one that died ------------------------------------------------------


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


async def test_beside_a_run_others_tell_of_it_none_sends_and_once_it_was_killed_one_goes_on(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        numbers = desk.write_list(200)
        hold = ("--in-doubt", "hold")
        first = await desk.start("send", "orders.csv", "--concurrency", "2", *hold)
        await until(lambda: ca.books.requests >= 10)
        (run_id,) = await run_ids(desk)
        told = await desk.run("runs")
        assert f"running (process {first.pid}, since 20" in told.out
        assert f"running (process {first.pid}" in (await desk.run("show", run_id)).out
        assert (await desk.run("report", run_id, "--report-dir", "early")).code == 0
        early = read_summary(tmp_path / "early")
        assert_adds_up(early)
        assert (early["run_id"], early["orders"]["total"]) == (run_id, 200)
        assert 0 < early["orders"]["sent"] <= ca.books.mails
        for command in (("send", "orders.csv"), ("resume",)):
            second = await desk.run(*command)
            assert second.code == 5
            (line,) = second.err.splitlines()
            assert f"{tmp_path}/journal.db: another run holds the journal" in line
            assert f"(process {first.pid}, since 20" in line
            assert "wait for it; `batch-resend watch` shows how it goes" in line
        seen = ca.books.requests
        await until(lambda: ca.books.requests > seen + 4)  # it goes on
        first.send_signal(signal.SIGKILL)
        await ended(first)
        # Its number may be another process now.
        holder = tmp_path / "journal.db.holder"
        holder.write_text(holder.read_text().replace(f"{first.pid},", f"{os.getpid()},"))
        (run,) = json.loads((await desk.run("runs", "--json")).out)
        assert run["state"] == "interrupted"

        third = await desk.run("send", "orders.csv", *hold)

        assert ", which did not finish" in third.err
        assert set(ca.books.requests_per_order.values()) == {1}
        assert len(ca.books.mails_per_order) >= len(numbers) - 2
        assert [path.name for path in (tmp_path / "reports").iterdir()] == await run_ids(desk)


# --- by another name ------------------------------------------------------------------------------


def link(journal: Path, other: Path) -> None:
    other.symlink_to(journal)


def hard_link(journal: Path, other: Path) -> None:
    other.hardlink_to(journal)


def move_to(journal: Path, other: Path) -> None:
    journal.rename(other)


def move_with_its_log(journal: Path, other: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{journal}{ending}").rename(f"{other}{ending}")


@pytest.mark.parametrize(
    ("name", "code"), [(link, 5), (hard_link, 1), (move_to, 5), (move_with_its_log, 5)]
)
async def test_while_a_run_is_under_way_none_begins_by_another_name_of_its_journal(
    tmp_path: Path, name: Callable[[Path, Path], None], code: int
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.5, 0.5)) as (desk, ca):
        desk.write_list(60)
        first = await desk.start("send", "orders.csv", "--concurrency", "2")
        await until(lambda: ca.books.requests >= 3)
        first.send_signal(signal.SIGSTOP)  # so that it does not notice first
        name(tmp_path / "journal.db", tmp_path / "other.db")
        second = await desk.run(
            "send", "orders.csv", "--journal", "other.db", "--report-dir", "second"
        )
        first.send_signal(signal.SIGCONT)
        first.send_signal(signal.SIGINT)
        await ended(first)
        assert second.code == code, second.err
        assert set(ca.books.requests_per_order.values()) == {1}


# --- lost in the middle of a run: nothing leaves unrecorded -------------------------------------

AT_ONCE = 4


def delete(journal: Path) -> None:
    journal.unlink()


def delete_all(journal: Path) -> None:
    shutil.rmtree(journal.parent)


def replace_with_a_copy(journal: Path) -> None:
    copy = journal.with_name("copy.db")
    shutil.copy(journal, copy)
    copy.replace(journal)


def replace_with_a_link(journal: Path) -> None:
    journal.rename(journal.with_name("other.db"))
    journal.symlink_to(journal.with_name("copy-of-last-week.db"))


def delete_log(journal: Path) -> None:
    Path(f"{journal}-wal").unlink()


def replace_log(journal: Path) -> None:
    log = Path(f"{journal}-wal")
    copy = journal.with_name("copy")
    shutil.copy(log, copy)
    copy.replace(log)


def delete_index_of_log(journal: Path) -> None:
    Path(f"{journal}-shm").unlink()


def move(journal: Path) -> None:
    journal.rename(journal.with_name("moved.db"))


def move_folder(journal: Path) -> None:
    journal.parent.rename(journal.parent.with_name("moved"))


def put_a_circle_of_links_in_the_place_of_its_folder(journal: Path) -> None:
    move_folder(journal)
    journal.parent.symlink_to(journal.parent)


WAYS = {
    put_a_circle_of_links_in_the_place_of_its_folder: "can no longer be reached",
    delete: "was deleted",
    delete_all: "was deleted",
    replace_with_a_copy: "another file is in its place",
    replace_with_a_link: "another file is in its place",
    delete_log: "journal.db-wal was deleted",
    replace_log: "another file is in the place of journal.db-wal",
    delete_index_of_log: "journal.db-shm was deleted",
    move: "moved away",
    move_folder: "moved away",
}


def journal_in_a_folder(desk: Desk) -> Path:
    """Have the journal in a folder of its own; return where it is."""
    journal = desk.folder / "state" / "journal.db"
    desk.environment["BATCH_RESEND_JOURNAL"] = str(journal)
    return journal


def link_to(journal: Path) -> Path:
    """Have a link lead to a journal that is to be made."""
    journal.parent.mkdir()
    link = journal.parent.with_name("link.db")
    link.symlink_to(journal)
    return link


def link_to_folder(journal: Path) -> Path:
    """Have a link lead to the folder of a journal that is to be made."""
    journal.parent.mkdir()
    link = journal.parent.with_name("link")
    link.symlink_to(journal.parent)
    return link / journal.name


@pytest.mark.parametrize("by_link", [link_to, link_to_folder])
async def test_nothing_leaves_once_a_link_in_the_journals_name_leads_elsewhere(
    tmp_path: Path, by_link: Callable[[Path], Path]
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        named = by_link(journal)
        desk.environment["BATCH_RESEND_JOURNAL"] = str(named)
        numbers = desk.write_list(300)
        process = await desk.start("send", "orders.csv", "--concurrency", str(AT_ONCE))
        await until(lambda: ca.books.requests >= 20)
        link = named if named.is_symlink() else named.parent
        there = link.readlink()
        link.unlink()
        link.symlink_to(there.with_name("other"))
        seen = ca.books.requests
        stopped = await ended(process)
        assert stopped.code == 4, stopped.err
        assert ca.books.requests <= seen + AT_ONCE
        assert "a link in its name that now leads to another file" in stopped.err
        assert "To go on" not in stopped.out + stopped.err

        link.unlink()
        link.symlink_to(there)
        resumed = await desk.run("resume", "--report-dir", "resumed")
        assert resumed.code == 0, resumed.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


@pytest.mark.parametrize(
    ("lose", "said"), WAYS.items(), ids=lambda way: getattr(way, "__name__", "")
)
async def test_nothing_leaves_once_the_journal_is_lost_and_the_report_has_what_was_acknowledged(
    tmp_path: Path, lose: Callable[[Path], None], said: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        numbers = desk.write_list(300)
        process = await desk.start("send", "orders.csv", "--concurrency", str(AT_ONCE))
        await until(lambda: ca.books.requests >= 20)

        lose(journal)
        seen = ca.books.requests
        stopped = await ended(process)

        assert stopped.code == 4, stopped.err
        assert ca.books.requests <= seen + AT_ONCE
        assert said in stopped.err
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "stopped"
        assert said in summary["stop_reason"]
        await everything_acted_on(ca)
        assert orders_of(desk.report(), "sent") == set(ca.books.mails_per_order)
        with (desk.report() / "unsent.csv").open(newline="") as file:
            unsent = {row["order_id"] for row in csv.DictReader(file)}
        assert unsent == set(numbers) - set(ca.books.mails_per_order)
        if lose in (delete_log, replace_log, delete_index_of_log):
            resumed = await desk.run("resume", "--report-dir", "resumed")
            assert resumed.code == 0, resumed.err
            assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
            assert ca.books.requests == len(numbers)


@pytest.mark.parametrize("lose", [delete, move_folder, delete_log])
async def test_it_is_noticed_though_nothing_is_due_to_leave_for_an_hour(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(5, 3_600.0),)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        desk.write_list(20)
        process = await desk.start("send", "orders.csv")
        await until(lambda: ca.books.mails == 5)
        lose(journal)
        stopped = await ended(process)  # within the minute that a test waits
        assert stopped.code == 4, stopped.err
        assert ca.books.requests == 5


async def test_a_journal_that_goes_after_the_last_request_is_no_success(tmp_path: Path) -> None:
    """The next run of the same lists would mail all of them again."""
    async with desk_with_ca(tmp_path, latency_s=(1.0, 1.0)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        numbers = desk.write_list(3)
        process = await desk.start("send", "orders.csv")
        await until(lambda: ca.books.requests == len(numbers))
        delete_all(journal)
        stopped = await ended(process)
        assert stopped.code == 4, stopped.err
        assert "would be mailed twice" in stopped.err
        assert orders_of(desk.report(), "sent") == set(numbers)
