"""A journal's database: connections and transactions."""

import sqlite3
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    closing,
    suppress,
)
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio

from batch_resend.clock import Clock
from batch_resend.errors import JournalError, NoJournal
from batch_resend.folders import Place
from batch_resend.journal.connection import (
    AsyncConnection,
    Connection,
    create_tables,
    execute,
    in_thread,
    journal_errors,
)
from batch_resend.journal.journal_file import HeldFile, real_path
from batch_resend.journal.sqlite import SqliteBackend
from batch_resend.journal.statements import Record
from batch_resend.model import Run
from batch_resend.windows import SharedLimiters

SCHEMA_VERSION = 1
_VERSIONED = "batch_resend_schema"  # the table that says which

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

    def holder(self, connection: Connection, session: int) -> str | None:
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

    def analyze(self, connection: Connection) -> None:
        """Learn how much there is, now that a plan has been written."""

    def size(self) -> int | None:
        """Return how many bytes it takes; None: there is none. Raises JournalError."""

    def compact(self) -> None:
        """Give back the room that is no longer needed. Raises JournalError."""

    def connect_to_write(self) -> Connection:
        """Open the one connection of this process that writes. Raises JournalError."""

    def connect_to_read(self) -> Connection:
        """Open a connection that reads. Raises JournalError."""


def backend_of(place: Place) -> Backend:
    """Return where a journal lives. Raises JournalError where its driver is not installed.

    By name, so that nothing here knows of several hosts but this one line.
    """
    if isinstance(place, Path):
        return SqliteBackend(place, real_path(place))
    backend: Backend = import_module("batch_resend.cluster.postgres").PostgresBackend(place)
    return backend


@asynccontextmanager
async def writing_connection(backend: Backend) -> AsyncIterator[AsyncConnection]:
    """Open the one connection that writes; creates the tables. Raises JournalError, JournalBusy."""

    def connect() -> Connection:
        if backend.create():  # whose it is comes before anything that might change it
            with closing(backend.connect_to_read()) as reading:
                _version(reading, backend.place)
        return backend.connect_to_write()

    async with _opened(connect, backend.place) as connection:
        with journal_errors(backend.place):
            await connection.transaction(lambda writing: _create_tables(writing, backend))
        yield connection


async def write_back(writing: AsyncConnection) -> None:
    """Have SQLite write into the file what is only in its log, as far as no reader keeps it."""

    def checkpoint(connection: Connection) -> None:
        with suppress(sqlite3.Error):  # the log is still there to be read
            connection.driver.execute("PRAGMA wal_checkpoint(PASSIVE)")

    await writing.run(checkpoint)


@asynccontextmanager
async def reading_connection(backend: Backend) -> AsyncIterator[AsyncConnection]:
    """Open a connection that reads. Raises JournalError."""
    place = backend.place
    if isinstance(place, Path) and not place.is_file():
        raise _no_journal(place)
    async with _opened(backend.connect_to_read, place) as connection:
        connection.reconnect = backend.connect_to_read
        with journal_errors(place):
            version = await connection.run(lambda reading: _version(reading, place))
        if version is None:
            raise _no_journal(place)
        yield connection


class Reader:
    """Reads through a connection that cannot write, one statement at a time."""

    def __init__(
        self, connection: AsyncConnection, backend: Backend, clock: Clock, session: int = 0
    ) -> None:
        """Read for the process that has this session; 0: for one that only reads."""
        self.connection = connection
        self.place = backend.place
        self.clock = clock
        self.is_shared = backend.is_shared
        self._backend = backend
        self._session = session
        self._kept_run: int | None = None  # of which the results are kept,
        self._keeping = anyio.Lock()  # those of one run at a time
        # How runs of this process ended, by their numbers, where the journal could not be written:
        # fields of a `Run`.
        self.unwritten_ends: dict[int, dict[str, Any]] = {}

    async def ask(self, work: Callable[[Connection], Made]) -> Made:
        """Return what `work` reads. Raises JournalError."""
        with journal_errors(self.place):
            return await self.connection.run(work)

    async def fetch(
        self, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
    ) -> Sequence[Record]:
        """Return all that a statement finds. `words`: what it leaves open. Raises JournalError."""
        words += self._instead(values)
        return await self.ask(lambda connection: execute(connection, name, words, **values))

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
        async with aclosing(self.pages(name, **values)) as pages:
            async for page in pages:
                for record in page:
                    yield make(record)

    async def pages(self, name: str, **values: object) -> AsyncGenerator[Iterable[Record], None]:
        """Yield all that a statement finds, page by page. Raises JournalError.

        For what has a line for every row: to hand over records one by one takes as long as to
        write them.
        """
        with journal_errors(self.place):
            found = self.connection.pages(name, self._instead(values), **values)
            async with aclosing(found) as pages:
                async for page in pages:
                    yield page

    @asynccontextmanager
    async def results_kept(self, run: Run) -> AsyncIterator[None]:
        """Work out once what came of a run's requests, for all that is read of them meanwhile."""
        async with self._keeping:
            try:
                with suppress(JournalError):  # without room for them, each works them out itself
                    await self.fetch("create_kept_results")
                    await self.fetch("keep_results", run=run.number)
                    self._kept_run = run.number
                yield
            finally:
                self._kept_run = None
                with anyio.CancelScope(shield=True), suppress(JournalError):
                    await self.fetch("drop_table", (("table", "kept_results"),))

    def _instead(self, values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
        """Return what stands in a statement in place of one of its parts."""
        is_kept = self._kept_run is not None and values.get("run") == self._kept_run
        return (("results", "kept_results AS results"),) if is_kept else ()


@asynccontextmanager
async def _opened(
    connect: Callable[[], Connection], place: Place
) -> AsyncIterator[AsyncConnection]:
    """Open a connection in a thread of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="journal") as thread:
        with journal_errors(place), anyio.CancelScope(shield=True):
            connection = await in_thread(thread, connect)
        opened = AsyncConnection(connection, thread)
        try:
            yield opened
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(thread, opened.connection.close)


def _no_journal(place: Place) -> NoJournal:
    return NoJournal(f"{place}: there is no journal here yet; `send` creates it")


def _create_tables(connection: Connection, backend: Backend) -> None:
    """Create the tables where there are none."""
    backend.prepare(connection)
    if _VERSIONED not in _tables(connection):
        create_tables(connection, "tables")
        backend.add_tables(connection)
        execute(connection, "note_version", version=SCHEMA_VERSION)


def _version(connection: Connection, place: Place) -> int | None:
    """Return the schema's version; None in a database without tables. Raises JournalError."""
    tables = _tables(connection)
    if not tables:
        return None
    version: int | None = None
    if _VERSIONED in tables:
        version = execute(connection, "version").value()
    if version is None:
        raise JournalError(f"{place} is not a journal of batch-resend; name another with --journal")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"{place}: was written by a newer batch-resend (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); use that one, or another --journal"
        )
    return version


def _tables(connection: Connection) -> Sequence[str]:
    return [record.name for record in execute(connection, "tables_there")]
