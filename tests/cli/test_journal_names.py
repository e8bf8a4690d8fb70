"""A journal that has two names: what one knows, the other knows, or it is refused."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca, ended, until


def link(journal: Path, other: Path) -> None:
    other.symlink_to(journal)


def hard_link(journal: Path, other: Path) -> None:
    other.hardlink_to(journal)


def move(journal: Path, other: Path) -> None:
    journal.rename(other)


def move_with_its_log(journal: Path, other: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{journal}{ending}").rename(f"{other}{ending}")


@pytest.mark.parametrize(
    ("name", "code"), [(link, 5), (hard_link, 1), (move, 5), (move_with_its_log, 5)]
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


@pytest.mark.parametrize(("name", "code"), [(link, 0), (hard_link, 1)])
async def test_what_was_acknowledged_before_a_kill_is_not_mailed_again_by_another_name(
    tmp_path: Path, name: Callable[[Path, Path], None], code: int
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        numbers = desk.write_list(60)
        hold = ("--in-doubt", "hold")
        first = await desk.start("send", "orders.csv", "--concurrency", "2", *hold)
        await until(lambda: ca.books.requests >= 20)
        first.send_signal(signal.SIGKILL)
        await ended(first)
        name(tmp_path / "journal.db", tmp_path / "other.db")
        second = await desk.run("send", "orders.csv", "--journal", "other.db", *hold)
        assert set(ca.books.requests_per_order.values()) == {1}
        if code:
            assert second.code == code
            assert "has 2 names (hard links)" in second.err
        else:
            assert len(ca.books.requests_per_order) == len(numbers), second.err
