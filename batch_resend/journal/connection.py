"""A connection to a journal's database: what its statements find, and the errors of its driver.

The statements are SQL for either database already (`statements`), so nothing stands between them
and the drivers, sqlite3 and psycopg. Both block, so each connection has a thread of its own: what
takes several statements is one way there and back.
"""

import asyncio
import re
import sqlite3
from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple, TypeVar

import anyio

from batch_resend.errors import JournalError
from batch_resend.folders import Database, Place
from batch_resend.journal.statements import Dialect, Record, Values, sql, statement

PAGE = 1_000  # records read at once, where there may be any number of them

Made = TypeVar("Made")


class Found(list[Record]):
    """All that a statement found."""

    changed = 0  # how many rows it changed, if it changes any

    def first(self) -> Record | None:
        """Return the first record, if there is one."""
        return self[0] if self else None

    def value(self) -> Any:
        """Return the first column of the first record; None where there is no record."""
        return self[0][0] if self else None


class Connection(ABC):
    """A connection to a database, for use in one thread: what the two drivers do differently.

    Outside a transaction, each statement is one by itself.
    """

    dialect: ClassVar[Dialect]

    def __init__(self, driver: Any) -> None:
        """`driver`: the connection as sqlite3 or psycopg has it."""
        self.driver = driver

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Whether it broke, and what the server had for it (locks, a session) has ended."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[object]:
        """Begin a transaction; commit it at the end, or undo it if an error comes through."""

    def found(self, text: str, values: Sequence[object]) -> Found:
        """Carry out a statement, and return all that it finds."""
        cursor = self.driver.execute(text, values)
        found = Found(records(cursor, cursor.fetchall()) if cursor.description else ())
        found.changed = cursor.rowcount
        return found

    @abstractmethod
    def pages(self, text: str, values: Sequence[object], size: int) -> Generator[Iterable[Record]]:
        """Yield what a statement finds, `size` records at a time, however many there are."""

    def close(self) -> None:
        """Close it."""
        self.driver.close()


def records(cursor: Any, rows: Iterable[tuple[Any, ...]]) -> Iterable[Record]:
    """Return rows as records, by the columns of the cursor that they come from."""
    columns = tuple(column[0] for column in cursor.description)
    return map(partial(tuple.__new__, _record_type(columns)), rows)


@cache
def _record_type(columns: tuple[str, ...]) -> type[tuple[Any, ...]]:
    return namedtuple("Record", columns, rename=True)  # no names are known before


def execute(
    connection: Connection, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
) -> Found:
    """Carry out a statement. `words`: what it leaves open, other than values."""
    text, names = statement(name, connection.dialect, words)
    return connection.found(text, [values[each] for each in names])


def execute_many(
    connection: Connection, name: str, many: Sequence[Values] | Sequence[NamedTuple]
) -> None:
    """Carry out an insert, update or delete once for each of `many`, all of them of one form.

    What there is one of for every row is a named tuple, which is made in a third of the time.
    """
    if many:
        fields: tuple[str, ...] | None = getattr(many[0], "_fields", None)
        text, by_place = _by_place(name, connection.dialect, fields)
        connection.driver.cursor().executemany(text, map(by_place, many))


@cache
def _by_place(
    name: str, dialect: Dialect, fields: tuple[str, ...] | None
) -> tuple[str, Callable[[Any], Sequence[object]]]:
    """Return a statement's text, and what puts values into the order of its places.

    `fields`: the names of values that are named tuples.
    """
    text, names = statement(name, dialect)
    keys: Sequence[Any] = names if fields is None else [fields.index(each) for each in names]
    if len(keys) == 1:  # itemgetter would return the one value, in no sequence
        return text, lambda values: (values[keys[0]],)
    return text, itemgetter(*keys)


def create_tables(connection: Connection, name: str) -> None:
    """Carry out what a statement of several statements says."""
    for one in sql(name, connection.dialect).split(";\n"):
        connection.driver.execute(one)


@dataclass(slots=True)
class AsyncConnection:
    """A connection in a thread of its own.

    No cancellation cuts off its work: what has come is still to be written down, and the report
    still to be read.
    """

    connection: Connection
    thread: Executor
    # Opens another one in the place of one that is lost. None: that would not be in its session.
    reconnect: Callable[[], Connection] | None = None

    async def run(self, work: Callable[[Connection], Made]) -> Made:
        """Carry out `work` in its thread."""

        def work_on_connection() -> Made:
            if self.reconnect is not None and self.connection.is_lost:
                self.connection = self.reconnect()
            return work(self.connection)

        with anyio.CancelScope(shield=True):
            made = await in_thread(self.thread, work_on_connection)
        return made  # noqa: RET504  # type checkers think that a scope swallows errors

    async def transaction(self, work: Callable[[Connection], Made]) -> Made:
        """Carry out `work` in one transaction; durable on return."""

        def whole(connection: Connection) -> Made:
            with connection.transaction():
                return work(connection)

        return await self.run(whole)

    async def pages(
        self, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
    ) -> AsyncGenerator[Iterable[Record], None]:
        """Yield what a statement finds, PAGE records at a time, however many there are."""
        text, names = statement(name, self.connection.dialect, words)
        in_order = [values[each] for each in names]
        pages = await self.run(lambda connection: connection.pages(text, in_order, PAGE))
        try:
            while page := await self.run(lambda _: next(pages, None)):
                yield page
        finally:
            await self.run(lambda _: pages.close())


async def in_thread(thread: Executor, work: Callable[[], Made]) -> Made:
    """Carry out `work` in a thread."""
    return await asyncio.get_running_loop().run_in_executor(thread, work)


# --- errors --------------------------------------------------------------------------------------

_errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError, UnicodeError)


def add_driver_error(error: type[Exception]) -> None:
    """Have a driver's errors be those of the journal, too."""
    global _errors  # noqa: PLW0603  # a driver that is not installed is never imported
    _errors = (*_errors, error)


@contextmanager
def journal_errors(place: Place) -> Iterator[None]:
    """Turn what the database says into a JournalError that names the journal."""
    try:
        yield
    except _errors as error:
        message = (error.strerror if isinstance(error, OSError) else None) or str(error)
        message = " ".join(message.split())
        remedies = _SERVER_REMEDIES if isinstance(place, Database) else _FILE_REMEDIES
        remedy = next(remedy for sign, remedy in remedies if re.search(sign, message))
        raise JournalError(f"{place}: the journal cannot be used: {message}; {remedy}") from error


# What a person can do, by what the message says.
_FILE_REMEDIES = (
    (
        "disk I/O|disk is full|No space left",
        "is the disk full, or the one for temporary files (TMPDIR)?",
    ),
    ("malformed", "put back a copy of it, or name another with --journal, which knows of no run"),
    (
        "locked",
        "another program, such as a backup, has it open for writing: once it has ended, run the "
        "same command again",
    ),
    ("", "name another with --journal, which knows of no run"),
)
_SERVER_REMEDIES = (
    ("password", "give it in PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"),
    (
        "permission denied",
        "its user needs a schema batch_resend of its own, or the right to create it",
    ),
    (
        "does not support SSL",
        "set up TLS there, or, if its network is yours alone, add sslmode=disable to the URL",
    ),
    ("does not exist", "create it, or name another with --journal"),
    ("", "is the server up, and can it be reached from here?"),
)
