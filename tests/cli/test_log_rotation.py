"""The log's file may be rotated, in any way, while a run writes it."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from batch_resend.cli.logs import set_up_logs
from tests.cli.conftest import desk_with_ca, ended, until
from tests.cli.test_logs import EVERY_ATTEMPT, say


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Return the log file, in a folder of its own, of logs that are set up."""
    logger = logging.getLogger("batch_resend")
    before = (logger.handlers, logger.level, logger.propagate)
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / "resend.log"
    with click.Context(click.Command("send")):
        set_up_logs({"log_file": path})
    yield path
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level, logger.propagate = before


def words_in(path: Path) -> list[str]:
    """Return the last word of each line."""
    return [line.split()[-1] for line in path.read_text().splitlines()]


def rename(path: Path) -> None:
    path.rename(path.with_suffix(".1"))


def rename_and_create(path: Path) -> None:
    rename(path)
    path.touch(0o640)


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.touch()
    other.replace(path)


def move_folder_and_make_another(path: Path) -> None:
    count = len(list(path.parent.parent.iterdir()))
    path.parent.rename(path.parent.with_suffix(f".{count}"))
    path.parent.mkdir()


@pytest.mark.parametrize(
    "rotate", [rename, rename_and_create, Path.unlink, replace, move_folder_and_make_another]
)
def test_after_a_rotation_the_file_of_that_name_is_written(
    path: Path, rotate: Callable[[Path], None]
) -> None:
    for number in range(3):
        say(f"one{number}")
        rotate(path)
        say(f"two{number}")
        assert words_in(path)[-1] == f"two{number}"
        assert f"one{number}" not in words_in(path), "that one has gone with the file before"
        if path.with_suffix(".1").exists():
            assert words_in(path.with_suffix(".1"))[-1] == f"one{number}"


def test_the_file_that_it_makes_is_its_owner_s_alone_and_another_s_mode_is_kept(
    path: Path,
) -> None:
    rename(path)
    say("one")
    assert path.stat().st_mode & 0o777 == 0o600
    rename_and_create(path)
    say("two")
    assert path.stat().st_mode & 0o777 == 0o640


def test_one_that_is_copied_and_cut_is_appended_to(path: Path) -> None:
    say("one")
    shutil.copy(path, path.with_suffix(".1"))
    os.truncate(path, 0)
    say("two")
    assert words_in(path) == ["two"]


def test_while_the_folder_is_gone_the_lines_go_to_the_old_file_and_it_is_said_once(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = path.parent.with_suffix(".away")
    path.parent.rename(away)
    for word in ("one", "two"):
        say(word)
    assert {"one", "two"} <= set(words_in(away / path.name))
    assert capsys.readouterr().err.count("No such file or directory") == 1
    path.parent.mkdir()
    say("three")
    assert words_in(path) == ["three"]


@pytest.mark.parametrize("put", ["folder", "pipe"])
def test_what_is_no_file_in_its_place_ends_nothing(path: Path, put: str) -> None:
    rename(path)
    path.mkdir() if put == "folder" else os.mkfifo(path)
    say("one")
    assert "one" in words_in(path.with_suffix(".1"))


def test_no_descriptor_is_left_open(path: Path) -> None:
    say("one")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        path.rename(path.with_suffix(f".{number}"))
        say("two")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_run_whose_log_is_rotated_loses_no_attempt(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        desk.write_list(60)
        (tmp_path / "logs").mkdir()
        path = tmp_path / "logs" / "resend.log"
        words = ("--concurrency", "2", "--log-file", str(path), *EVERY_ATTEMPT)
        sending = await desk.start("send", "orders.csv", *words)
        for number in (1, 2, 3):
            await until(lambda number=number: ca.books.mails >= 10 * number)  # type: ignore[misc]
            path.rename(path.with_suffix(f".{number}"))
        assert (await ended(sending)).code == 0
        files = list((tmp_path / "logs").iterdir())
        assert len(files) == 4
        lines = [line for file in files for line in file.read_text().splitlines()]
        assert sum("attempt " in line for line in lines) == 60
        assert "run ended: completed" in path.read_text()
