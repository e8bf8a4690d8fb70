"""The journal's file as a user meets it: what is wrong with it, or becomes of it in a run."""

import csv
import html
import json
import os
import re
import shutil
import signal
import stat
from collections.abc import Callable
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


async def test_beside_a_run_others_tell_of_it_none_sends_and_once_it_was_killed_one_resumes_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        numbers = desk.write_list(200)
        hold = ("--in-doubt", "hold")
        first = await desk.start("send", "orders.csv", "--concurrency", "2", *hold)
        await until(lambda: ca.books.requests >= 10)
        (run_id,) = await run_ids(desk)
        assert " running, rehearsal " in (await desk.run("runs")).out
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
            assert "wait for it, or follow it with `batch-resend watch`" in line
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
        assert [path.name for path in (tmp_path / "reports").glob("*/")] == await run_ids(desk)


# --- lost in the middle of a run: nothing leaves unrecorded -------------------------------------

AT_ONCE = 4


def delete(journal: Path) -> None:
    shutil.rmtree(journal.parent)


def move(journal: Path) -> None:
    journal.rename(journal.parent.with_suffix(".moved"))


def replace(journal: Path) -> None:
    copy = journal.with_name("copy.db")
    shutil.copy(journal, copy)
    copy.replace(journal)


def delete_log(journal: Path) -> None:
    Path(f"{journal}-wal").unlink()


def empty(journal: Path) -> None:
    os.truncate(journal, 0)


def empty_log(journal: Path) -> None:
    os.truncate(f"{journal}-wal", 0)


WAYS = {
    delete: "was deleted",
    move: "was moved away",
    replace: "another file is in its place",
    delete_log: "journal.db-wal was deleted",
    empty: "was emptied",
    empty_log: "journal.db-wal was emptied",
}


def journal_in_a_folder(desk: Desk) -> Path:
    """Have the journal in a folder of its own; return where it is."""
    journal = desk.folder / "state" / "journal.db"
    desk.environment["BATCH_RESEND_JOURNAL"] = str(journal)
    return journal


async def test_nothing_leaves_once_a_link_in_the_journals_name_leads_elsewhere(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        journal.parent.mkdir()
        link = tmp_path / "link.db"
        link.symlink_to(journal)
        desk.environment["BATCH_RESEND_JOURNAL"] = str(link)
        numbers = desk.write_list(300)
        process = await desk.start("send", "orders.csv", "--concurrency", str(AT_ONCE))
        await until(lambda: ca.books.requests >= 20)
        link.unlink()
        link.symlink_to(journal.with_name("other"))
        seen = ca.books.requests
        stopped = await ended(process)
        assert stopped.code == 4, stopped.err
        assert ca.books.requests <= seen + AT_ONCE
        assert "named by a link that now leads to another file" in stopped.err
        assert "To resume" not in stopped.out + stopped.err

        link.unlink()
        link.symlink_to(journal)
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
        if lose is empty_log:  # what was sent cannot be read any more, and that is said
            assert "its results cannot be read" in stopped.err
            return
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "stopped"
        assert said in summary["stop_reason"]
        said_last = (stopped.out + stopped.err).replace(summary["stop_reason"], "")
        page = (desk.report() / "report.html").read_text()
        for text in (said_last, page.replace(html.escape(summary["stop_reason"]), "")):
            assert not re.search("[Tt]o resume|cannot be resumed|simulator has ended", text)
        await everything_acted_on(ca)
        assert orders_of(desk.report(), "sent") == set(ca.books.mails_per_order)
        with (desk.report() / "unsent.csv").open(newline="") as file:
            unsent = {row["order_id"] for row in csv.DictReader(file)}
        assert unsent == set(numbers) - set(ca.books.mails_per_order)
        if lose is delete_log:
            resumed = await desk.run("resume", "--report-dir", "resumed")
            assert resumed.code == 0, resumed.err
            assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
            assert ca.books.requests == len(numbers)


async def test_it_is_noticed_though_nothing_is_due_to_leave_for_an_hour(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(5, 3_600.0),)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        desk.write_list(20)
        process = await desk.start("send", "orders.csv")
        await until(lambda: ca.books.mails == 5)
        delete(journal)
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
        delete(journal)
        stopped = await ended(process)
        assert stopped.code == 4, stopped.err
        assert "would mail them twice" in stopped.err
        assert "batch-resend " not in stopped.out
        assert orders_of(desk.report(), "sent") == set(numbers)


# --- journals with a second name ----------------------------------------------------------------

OF_JOURNALS = (
    ("send", "orders.csv"),
    ("resume",),
    ("resume", "--dry-run"),
    ("runs",),
    ("show",),
    ("history", "700000"),
    ("watch",),
    ("watch", "--wait"),
    ("report",),
    ("verify",),
    ("sweep", "--dry-run"),
    ("sweep",),
    ("prune",),
    ("prune", "--dry-run"),
)


@pytest.mark.parametrize("words", OF_JOURNALS, ids=" ".join)
@pytest.mark.parametrize("name", ["journal.db", "other.db"])
async def test_a_journal_with_a_second_name_is_neither_written_nor_read(
    tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    """What was sent under one name may be in a log that the other one does not know."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        assert (await desk.run("send", "orders.csv")).code == 0
        seen = ca.books.requests
        (tmp_path / "other.db").hardlink_to(tmp_path / "journal.db")
        desk.environment["BATCH_RESEND_JOURNAL"] = str(tmp_path / name)
        said = said_in_a_line(await desk.run(*words), tmp_path / name)
        assert "2 names (hard links)" in said
        assert ca.books.requests == seen
        dry = await desk.run("send", "--dry-run", "-q", "orders.csv")
        assert "What was sent before is not left out of this plan: " in dry.err
        assert "2 names (hard links)" in dry.err
