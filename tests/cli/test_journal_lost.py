"""A journal that is lost in the middle of a run: counted at the CA, nothing leaves unrecorded."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, ended, results, until
from tests.cli.meddling import everything_acted_on

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


def orders_of(report: Path, status: str) -> set[str]:
    return {line["order_id"] for line in results(report) if line["status"] == status}


@pytest.mark.parametrize(
    ("lose", "said"), WAYS.items(), ids=lambda way: getattr(way, "__name__", "")
)
async def test_nothing_leaves_once_the_journal_is_lost_and_the_report_has_what_was_acknowledged(
    tmp_path: Path, lose: Callable[[Path], None], said: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        numbers = desk.write_list(1_000)
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


@pytest.mark.parametrize("lose", [delete_log, replace_log, delete_index_of_log])
async def test_a_run_whose_log_was_deleted_is_resumed_as_if_nothing_had_been(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        journal = journal_in_a_folder(desk)
        numbers = desk.write_list(200)
        process = await desk.start("send", "orders.csv", "--concurrency", str(AT_ONCE))
        await until(lambda: ca.books.requests >= 20)
        lose(journal)
        assert (await ended(process)).code == 4

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


async def test_a_journal_that_goes_after_the_last_request_makes_no_success_of_it(
    tmp_path: Path,
) -> None:
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
