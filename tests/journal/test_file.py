"""The journal's file: who may open it, what it is, and what is said when it is something else."""

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batch_resend.clock import with_local_times
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.journal import open_journal, read_journal, size_of_journal
from batch_resend.journal.database import SCHEMA_VERSION
from tests.journal.conftest import (
    Clock,
    opened,
    orders,
    pending_ids,
    plan,
    send,
)

pytestmark = pytest.mark.asyncio


async def error_of(path: Path) -> str:
    """Return with which words opening a journal fails, for writing and for reading."""
    with pytest.raises(JournalError) as writing:
        async with open_journal(path):
            pass
    with pytest.raises(JournalError) as reading:
        async with read_journal(path):
            pass
    assert str(path) in str(writing.value)
    assert str(path) in str(reading.value)
    return str(writing.value)


async def test_a_journal_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "state" / "of" / "batch resend" / "journal.db"
    async with opened(path, Clock()):
        assert path.is_file()


NAMES = [
    "with blanks.db", "ümläut-日本.db", "a#b.db", "a?mode=memory.db", "100%41.db", "a&b=c;d.db",
    "'quoted\"\\.db", "file:x.db", ":memory:", "no-suffix", "+plus.db",
]  # fmt: skip


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", NAMES)
async def test_any_file_name_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "földer #1").mkdir()
    path = Path(name) if relative else tmp_path / "földer #1" / name
    clock = Clock()
    async with opened(path, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await send(journal, clock, run, {"1": "204"})
    async with read_journal(path) as reader:
        assert await pending_ids(reader, run) == ["2"]
    left = {p.name for p in path.parent.iterdir() if p.is_file()}
    assert left <= {name + end for end in ("", ".lock", "-wal", "-shm")}, "and nothing elsewhere"


async def test_reading_where_no_journal_is_says_so_and_makes_none(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal here yet"):
        async with read_journal(path):
            pass
    assert not path.exists()


async def test_a_reader_cannot_write(path: Path) -> None:
    async with opened(path, Clock()) as journal:
        await plan(journal, orders(1))
        async with read_journal(path) as reader:
            for connection in (reader.connection, journal.reader.connection):
                with pytest.raises(Exception, match="readonly"):
                    await connection.run(lambda reading: reading.driver.execute("DELETE FROM rows"))


async def test_a_second_opening_says_busy_and_who_holds_the_journal_since_when(path: Path) -> None:
    clock = Clock()
    async with opened(path, clock) as journal:
        with pytest.raises(JournalBusy) as caught:
            async with open_journal(path, clock):
                pass
        since = with_local_times("2027-01-15T08:00:00.000Z")
        assert f"process {os.getpid()}, since {since}" in str(caught.value)
        assert "follow it with `batch-resend watch`" in str(caught.value)
        run = await plan(journal, orders(1))  # the first is none the worse
        assert await pending_ids(journal.reader, run) == ["1"]
    async with opened(path, clock):
        pass


async def test_journals_in_two_files_know_nothing_of_each_other(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "a.db", clock) as a, opened(tmp_path / "b.db", clock) as b:
        await send(a, clock, await plan(a, orders(1)), {"1": "204"})
        run = await plan(b, orders(1))
        await b.settle(run, 3600.0, hold_doubts=True)
        assert await pending_ids(b.reader, run) == ["1"]


async def test_an_error_while_the_journal_is_open_frees_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(path, Clock()):
            raise ZeroDivisionError
    async with opened(path, Clock()):
        assert path.with_name("journal.db.holder").exists()
    assert not path.with_name("journal.db.holder").exists()


@pytest.mark.parametrize("name", ["folder", "file/journal.db"])
async def test_a_folder_is_no_journal_nor_is_a_file_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    await error_of(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [b"a list of things to do\n", b"order_id,domain\n" * 100, b"SQLite format 4\0" * 100],
    ids=["short", "long", "nearly SQLite"],
)
async def test_another_kind_of_file_is_no_journal_and_stays_as_it_is(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    assert "not a database" in await error_of(path)
    assert path.read_bytes() == content


def make_foreign_database(path: Path, log: str) -> None:
    """Make an SQLite database of some other program."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode={log}")
        database.execute("CREATE TABLE runs (id TEXT)")
        database.execute("INSERT INTO runs VALUES ('of another program')")
        database.commit()


@pytest.mark.parametrize("log", ["DELETE", "WAL"])
async def test_another_programs_database_is_no_journal_stays_as_it_is_and_is_not_held(
    path: Path, log: str
) -> None:
    make_foreign_database(path, log)
    before = path.read_bytes()
    for _ in range(2):
        assert "not a journal of batch-resend" in await error_of(path), "not that it is busy"
    assert path.read_bytes() == before


async def test_a_journal_of_a_newer_version_is_left_to_it(path: Path) -> None:
    async with opened(path, Clock()):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE batch_resend_schema SET version = version + 1")
        database.commit()
    said = await error_of(path)
    assert f"newer batch-resend (schema {SCHEMA_VERSION + 1}" in said


async def test_a_journal_without_its_version_is_refused(path: Path) -> None:
    async with opened(path, Clock()):
        pass
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM batch_resend_schema")
        database.commit()
    await error_of(path)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to write everywhere, for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    path = folder / "journal.db"
    with as_nobody(), pytest.raises(JournalError, match="Permission denied") as caught:
        async with open_journal(path):
            pass
    assert str(path) in str(caught.value)


@contextmanager
def full_disk(room_bytes: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "room_bytes",
    [
        pytest.param(0, id="no room for the holder's note"),
        pytest.param(8_192, id="no room for the write-ahead log's index"),
        pytest.param(40_000, id="no room for the tables"),
    ],
)
async def test_a_disk_that_is_full_when_the_journal_is_made_is_a_journal_error(
    path: Path, room_bytes: int
) -> None:
    with full_disk(room_bytes), pytest.raises(JournalError):
        async with open_journal(path):
            pass
    async with opened(path, Clock()) as journal:  # with room again, all is well
        assert await journal.reader.runs() == []


async def test_a_stray_folder_where_the_holders_note_goes_is_a_journal_error(path: Path) -> None:
    path.with_name("journal.db.holder").mkdir()
    with pytest.raises(JournalError):
        async with open_journal(path):
            pass


async def test_the_size_of_a_journal_is_that_of_its_log_too(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.db"
    assert size_of_journal(path) is None
    async with opened(path, clock) as journal:
        await plan(journal, orders(*range(500)))
        files = [path, tmp_path / "journal.db-wal"]
        assert size_of_journal(path) == sum(file.stat().st_size for file in files)
        assert files[1].stat().st_size > 0
