"""A journal's database: connections and transactions."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeVar, cast

import anyio
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from batch_resend.clock import Clock
from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal.journal_file import HeldFile, real_path
from batch_resend.journal.sqlite import SqliteBackend
from batch_resend.journal.statements import (
    Record,
    create_tables,
    execute,
    journal_errors,
    statement,
)
from batch_resend.windows import SharedLimiters

SCHEMA_VERSION = 1
_VERSIONED = "batch_resend_schema"  # the table that says which

_PAGE = 5_000  # records; as an option of its execution, a statement of text takes no notice of it

Made = TypeVar("Made")


class Backend(Protocol):
    """Where a journal lives, and how its database is to be treated."""

    @property
    def place(self) -> Place:
        """What names it."""

    @property
    def own_tables_of_runs(self) -> Sequence[str]:
        """The tables that only it has, with a column `run`."""

    @property
    def is_shared(self) -> bool:
        """Whether several processes may write at once."""

    def exclusive(self, now: float) -> AbstractContextManager[HeldFile | None]:
        """Hold the journal for one process, where it can't be shared. Raises JournalBusy.

        Yields the file that is held, to be watched; None where it is no file of this machine's.
        """

    def serialize(self, connection: Connection) -> None:
        """Let no other process decide anything until this transaction ends."""

    def enter(self, connection: Connection, now: float, title: str) -> int:
        """Begin a session, which ends with the connection; return its number.

        `title`: what this process is, for others.
        """

    async def holder(self, connection: AsyncConnection, session: int) -> str | None:
        """Return which living process has a session, if it is one."""

    def create(self) -> bool:
        """Make what is opened, if there is none; return whether there was. Raises JournalError."""

    def prepare(self, connection: Connection) -> None:
        """Make what holds the tables, if there is none, and nobody else does so meanwhile."""

    def add_tables(self, connection: Connection) -> None:
        """Make what there is beside the journal's tables, in this database alone."""

    def shared_limiters(
        self, session: int, clock: Clock
    ) -> AbstractAsyncContextManager[SharedLimiters | None]:
        """Open the way to the limits that several processes keep together; None: it has none."""

    def size(self) -> int | None:
        """Return how many bytes it takes; None: there is none. Raises JournalError."""

    def compact(self) -> None:
        """Give back the room that is no longer needed. Raises JournalError."""

    def writing_engine(self) -> Engine:
        """Return what opens the one connection of this process that writes."""

    def reading_engine(self) -> AsyncEngine:
        """Return what opens connections that read."""


def backend_of(place: Place) -> Backend:
    """Return where a journal lives. Raises JournalError where its driver is not installed.

    By name, so that nothing here knows of several hosts but this one line.
    """
    if isinstance(place, Path):
        return SqliteBackend(place, real_path(place))
    backend: Backend = import_module("batch_resend.cluster.postgres").PostgresBackend(place)
    return backend


@dataclass(frozen=True, slots=True)
class WritingConnection:
    """The one connection that writes, in a thread of its own: a transaction is one way there.

    (Through an asynchronous driver it is three ways for each statement.)
    """

    connection: Connection
    thread: Executor
    session: int = 0

    @property
    def is_lost(self) -> bool:
        """Whether it broke: another one would not be in the session, which has ended with it."""
        return self.connection.invalidated

    async def transaction(self, work: Callable[[Connection], Made]) -> Made:
        """Carry out `work` in one transaction; durable on return. No cancellation cuts it off."""
        made: list[Made] = []

        def whole() -> None:
            with self.connection.begin():
                made.append(work(self.connection))

        with anyio.CancelScope(shield=True):
            await _in_thread(self.thread, whole)
        return made[0]

    async def write_back(self) -> None:
        """Have SQLite write into the file what is only in its log, as far as no reader keeps it."""

        def checkpoint() -> None:
            connection = self.connection.connection.driver_connection
            with suppress(sqlite3.Error):  # the log is still there to be read
                cast("sqlite3.Connection", connection).execute("PRAGMA wal_checkpoint(PASSIVE)")

        with anyio.CancelScope(shield=True):
            await _in_thread(self.thread, checkpoint)


@asynccontextmanager
async def writing_connection(
    backend: Backend, now: float, title: str
) -> AsyncIterator[WritingConnection]:
    """Open the one connection that writes; creates the tables. Raises JournalError, JournalBusy."""
    with ThreadPoolExecutor(1, thread_name_prefix="journal") as thread:
        with anyio.CancelScope(shield=True):
            was_there = await _in_thread(thread, backend.create)
        if was_there:  # whose it is comes before anything that might change it
            async with reading_connection(backend, to_be_written=True):
                pass
        engine = backend.writing_engine()
        with journal_errors(backend.place), anyio.CancelScope(shield=True):
            connection = await _in_thread(thread, engine.connect)
        try:
            writing = WritingConnection(connection, thread)
            with journal_errors(backend.place):
                await writing.transaction(lambda connection: _create_tables(connection, backend))
                session = await writing.transaction(
                    lambda connection: backend.enter(connection, now, title)
                )
            yield replace(writing, session=session)
        finally:
            with anyio.CancelScope(shield=True):
                await _in_thread(thread, connection.close)
                await _in_thread(thread, engine.dispose)


@asynccontextmanager
async def reading_connection(
    backend: Backend, *, to_be_written: bool = False, at_once: bool = False
) -> AsyncIterator[AsyncConnection]:
    """Open a connection that reads; with `at_once`, each statement is its own transaction.

    Raises JournalError.
    """
    place = backend.place
    if isinstance(place, Path) and not place.is_file():
        raise _no_journal(place)
    async with _connected(backend.reading_engine(), place) as connection:
        with journal_errors(place), anyio.CancelScope(shield=True):
            async with connection.begin():
                version = await connection.run_sync(_version, place)
        if version is None and not to_be_written:
            raise _no_journal(place)
        if at_once:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


class Reader:
    """Reads through a connection that cannot write, one statement at a time."""

    def __init__(self, connection: AsyncConnection, backend: Backend, session: int = 0) -> None:
        """Read for the process that has this session; 0: for one that only reads."""
        self.connection = connection
        self._backend = backend
        self.place = backend.place
        self._session = session
        self._turn = anyio.Lock()

    async def fetch(
        self, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
    ) -> Sequence[Record]:
        """Return all that a statement finds. `words`: what it leaves open. Raises JournalError."""
        found: Sequence[Record] = ()

        def all_found(connection: Connection) -> Sequence[Record]:
            with connection.begin():
                result = execute(connection, name, words, **values)
                return result.all() if result.returns_rows else ()

        # One at a time, whichever task asks: a connection has no two transactions. A query cut off
        # by a cancellation would leave it unusable for the report.
        with journal_errors(self.place), anyio.CancelScope(shield=True):
            async with self._turn:
                found = await self.connection.run_sync(all_found)
        return found

    async def count(self, name: str, **values: object) -> int:
        """Return the one number that a statement finds. Raises JournalError."""
        ((number,),) = await self.fetch(name, **values)
        return int(number)

    async def stream(
        self, name: str, make: Callable[[Record], Made], if_any: str | None = None, **values: object
    ) -> AsyncGenerator[Made, None]:
        """Yield what is made of all that a statement finds, `if_any` other one finds something."""
        if if_any is not None and not await self.fetch(if_any, **values):
            return
        with journal_errors(self.place):
            async with self.connection.begin():
                records = await self.connection.stream(
                    statement(name, self.connection.dialect.name),
                    values,
                )
                async for page in records.partitions(_PAGE):
                    for record in page:
                        yield make(record)


@asynccontextmanager
async def _connected(engine: AsyncEngine, place: Place) -> AsyncIterator[AsyncConnection]:
    try:
        # Cut off while it opens, aiosqlite's thread would leave a close waiting for ever.
        with journal_errors(place), anyio.CancelScope(shield=True):
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


async def _in_thread(thread: Executor, work: Callable[[], Made]) -> Made:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _no_journal(place: Place) -> JournalError:
    return JournalError(f"{place}: there is no journal here yet; `send` creates it")


def _create_tables(connection: Connection, backend: Backend) -> None:
    """Create the tables where there are none."""
    backend.prepare(connection)
    if not inspect(connection).has_table(_VERSIONED):
        create_tables(connection, "tables")
        backend.add_tables(connection)
        execute(connection, "note_version", version=SCHEMA_VERSION)


def _version(connection: Connection, place: Place) -> int | None:
    """Return the schema's version; None in a database without tables. Raises JournalError."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if _VERSIONED not in tables:
        raise JournalError(f"{place} is not a journal of batch-resend; name another with --journal")
    version: int = execute(connection, "version").scalar_one()
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{place}: was written by a newer batch-resend (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); use that one, or another --journal"
        )
    return version
