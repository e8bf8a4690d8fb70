"""The journal's file: its lock, its schema, and the two ways to open it.

One connection writes and checkpoints; every other one is read-only (SQLite before 3.51.3 can
corrupt a WAL that two connections write and checkpoint at once). `synchronous=FULL` makes a
commit survive a power loss.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import anyio
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from batch_resend.durations import timestamp
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.folders import make_private
from batch_resend.journal.schema import SCHEMA_VERSION, UPGRADES, metadata, schema_version

Made = TypeVar("Made")

_WORTH_COMPACTING = 0.25  # of its pages, that are free
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-32768", "busy_timeout=10000")


@contextmanager
def exclusive(path: Path, now: float) -> Iterator[None]:
    """Hold the journal at `path` for one process. Raises JournalBusy.

    The lock is the operating system's: it ends with the process that holds it, however it ends.
    """
    # A moment's patience, for whoever looks whether it is held does so by holding it.
    lock = FileLock(f"{path}.lock", timeout=0.2, mode=0o600)
    holder = Path(f"{path}.holder")
    try:
        make_private(path.parent)
        lock.acquire()
    except Timeout:
        raise JournalBusy(
            f"{path}: another run holds the journal{_told_by(holder)}; wait for it, or give this "
            "run a journal of its own with --journal (the two then know nothing of each other)"
        ) from None
    except OSError as error:
        raise JournalError(
            f"{path}: the journal cannot be locked: {error.strerror}; name another with --journal"
        ) from error
    try:
        with journal_errors(path):
            holder.unlink(missing_ok=True)
            _create_private(holder)
            holder.write_text(f"process {os.getpid()}, since {timestamp(now)}\n")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def compact(path: Path) -> bool:
    """Give the room that a journal no longer needs back to the disk, where that pays.

    Only while nobody else has it open, and with room for a copy of it. Raises JournalError.
    """
    with journal_errors(path), closing(sqlite3.connect(path)) as database:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        (free,) = database.execute("PRAGMA freelist_count").fetchone()
        if free < pages * _WORTH_COMPACTING:
            return False
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return True


def held_by(path: Path) -> str | None:
    """Return which living process holds the journal, if one does.

    The lock tells, not the number: that may be another process by now, or one of a container's.
    """
    try:
        told = Path(f"{path}.holder").read_text().strip()
        with Path(f"{path}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return told
    except (OSError, UnicodeError):
        pass
    return None


def _told_by(holder: Path) -> str:
    try:
        return f" ({holder.read_text().strip()})"
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class WritingConnection:
    """The one connection that writes, in a thread of its own: a transaction is one way there.

    (Through an asynchronous driver it is three ways for each statement.)
    """

    connection: Connection
    thread: Executor

    async def transaction(self, work: Callable[[Connection], Made]) -> Made:
        """Carry out `work` in one transaction; durable on return. No cancellation cuts it off."""
        made: list[Made] = []

        def whole() -> None:
            with self.connection.begin():
                made.append(work(self.connection))

        with anyio.CancelScope(shield=True):
            await _in_thread(self.thread, whole)
        return made[0]


@asynccontextmanager
async def writing_connection(path: Path) -> AsyncIterator[WritingConnection]:
    """Open the one connection that writes; creates the file and its tables. Raises JournalError."""
    _create_private(path)
    for ending in ("-wal", "-shm"):  # as read-only as the journal was when they were made
        with suppress(OSError):
            Path(f"{path}{ending}").chmod(0o600)
    if path.stat().st_size:  # whose it is comes before the first pragma: that would change it
        async with reading_connection(path, to_be_written=True):
            pass
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"isolation_level": None}
    )
    _begin_with(engine, "BEGIN IMMEDIATE")

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    with ThreadPoolExecutor(1, thread_name_prefix="journal") as thread:
        with journal_errors(path), anyio.CancelScope(shield=True):
            connection = await _in_thread(thread, engine.connect)
        try:
            writing = WritingConnection(connection, thread)
            with journal_errors(path):
                await writing.transaction(_create_tables)
            yield writing
        finally:
            with anyio.CancelScope(shield=True):
                await _in_thread(thread, connection.close)
                await _in_thread(thread, engine.dispose)


@asynccontextmanager
async def reading_connection(
    path: Path, *, to_be_written: bool = False
) -> AsyncIterator[AsyncConnection]:
    """Open a connection that cannot write. Raises JournalError."""
    if not path.is_file():
        raise _no_journal(path)
    engine = create_async_engine(
        URL.create(
            "sqlite+aiosqlite",
            database=f"file:{quote(str(path.absolute()))}",
            query={"mode": "ro", "uri": "true"},
        ),
        connect_args={"isolation_level": None},
    )
    _begin_with(engine.sync_engine, "BEGIN")
    async with _connected(engine, path) as connection:
        with journal_errors(path), anyio.CancelScope(shield=True):
            async with connection.begin():
                version = await connection.run_sync(_version, path)
        if version is None and not to_be_written:
            raise _no_journal(path)
        if version is not None and version < SCHEMA_VERSION and not to_be_written:
            raise JournalError(
                f"{path}: was written by an older batch-resend (schema {version}, this one reads "
                f"{SCHEMA_VERSION}); the next `send` or `resume` brings it up to date"
            )
        yield connection


@asynccontextmanager
async def _connected(engine: AsyncEngine, path: Path) -> AsyncIterator[AsyncConnection]:
    try:
        # Cut off while it opens, aiosqlite's thread would leave a close waiting for ever.
        with journal_errors(path), anyio.CancelScope(shield=True):
            connection = await engine.connect()
        try:
            yield connection
        finally:
            # Left open by a cancellation, its thread would keep the program from ending.
            with anyio.CancelScope(shield=True):
                await connection.close()
    finally:
        with anyio.CancelScope(shield=True):
            await engine.dispose()


@contextmanager
def journal_errors(path: Path) -> Iterator[None]:
    """Turn what the database says into a JournalError that names the file."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
        told = str(error.orig if isinstance(error, DatabaseError) else error)
        if isinstance(error, OSError):
            told = error.strerror or told
        raise JournalError(f"{path}: the journal cannot be used: {told}{_hint(told)}") from error


def _hint(told: str) -> str:
    """Return what a person can do about an error of the database."""
    if any(sign in told for sign in ("disk I/O", "disk is full", "No space left")):
        return "; is the disk full?"
    if "malformed" in told:
        return "; put back a copy of it, or name another with --journal: that knows of no run"
    return "; name another with --journal"


async def _in_thread(thread: Executor, work: Callable[[], Made]) -> Made:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _begin_with(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _create_private(path: Path) -> None:
    """Create the file readable by its owner alone: it names domains and addresses."""
    with journal_errors(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _no_journal(path: Path) -> JournalError:
    return JournalError(f"{path}: there is no journal here yet; `send` makes one")


def _create_tables(connection: Connection) -> None:
    """Create the tables, or bring those of an older version up to date."""
    if not inspect(connection).has_table(schema_version.name):
        metadata.create_all(connection)
        connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
        return
    found = connection.execute(select(schema_version.c.version)).scalar_one()
    for version in range(found, SCHEMA_VERSION):
        for statement in UPGRADES[version]:
            connection.exec_driver_sql(statement)
    if found < SCHEMA_VERSION:
        connection.execute(schema_version.update().values(version=SCHEMA_VERSION))


def _version(connection: Connection, path: Path) -> int | None:
    """Return the schema's version; None in a database without tables. Raises JournalError."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if schema_version.name not in tables:
        raise JournalError(f"{path}: is not a journal of batch-resend; name another file")
    version = connection.execute(select(schema_version.c.version)).scalar_one()
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{path}: was written by a newer batch-resend (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); use that one, or another --journal"
        )
    return int(version)
