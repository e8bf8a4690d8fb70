"""A journal in a PostgreSQL database, in a schema of its own: any host may go on with its runs.

The lock is held by the connection that writes: it ends with it, however it ends, and whoever has
lost it can write nothing more, so nothing more leaves. A host that is gone without a word is given
up after half a minute, by the server's own keepalive.
"""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from batch_resend.durations import timestamp
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.journal.complaints import journal_errors
from batch_resend.places import Database

try:
    import psycopg
except ModuleNotFoundError as missing:
    raise JournalError(
        "a journal in PostgreSQL needs psycopg: pip install 'batch-resend[cluster]'"
    ) from missing

_DRIVER = "postgresql+psycopg://"
_REACHED: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_SET_UP = (
    "SET search_path TO batch_resend",
    # What is written is to survive the server's death, whatever its settings say of others.
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'",
    # A host that is gone without a word: its lock is not to outlive it by much.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_FIND_SCHEMA = "SELECT to_regnamespace('batch_resend')"
_CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS batch_resend"
# "bres", and which lock of ours: the one there is. A moment's patience, for a holder that has just
# been killed: the server must notice first.
_LOCK = ("SET lock_timeout = '1s'", "SELECT pg_advisory_lock(x'62726573'::int, 1)")
_HOLDER = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND classid = x'62726573'::int::oid AND objid = 1::oid"
)
_SIZE = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
    "WHERE relnamespace = to_regnamespace('batch_resend') AND relkind = 'r'"
)
_LONGEST_NAME = 63  # of an application, to the server


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """A database that holds a journal."""

    place: Database
    upgrades: ClassVar[Mapping[int, Sequence[str]]] = {}  # none is older than schema 8

    @contextmanager
    def exclusive(self, _now: float) -> Iterator[None]:
        """Do nothing yet: the connection that writes holds the lock, see `writing_engine`."""
        yield

    async def holder(self, connection: AsyncConnection) -> str | None:
        """Return which living process, on which host, holds the journal, if one does."""
        return (await connection.execute(text(_HOLDER))).scalar_one_or_none()

    def create(self) -> None:
        """Create the schema, if there is none. Raises JournalError."""
        with self._briefly() as connection:
            # Looked for first: whoever may use it need not be able to make it.
            if connection.exec_driver_sql(_FIND_SCHEMA).scalar_one() is None:
                connection.exec_driver_sql(_CREATE_SCHEMA)

    def size(self) -> int | None:
        """Return how many bytes the journal takes; None: there is none. Raises JournalError."""
        with self._briefly() as connection:
            found = connection.exec_driver_sql(_SIZE).scalar_one()
        return None if found is None else int(found)

    def compact(self) -> None:
        """Leave it to the server, which does so by itself."""

    def writing_engine(self, now: float) -> Engine:
        """Return what opens the one connection that writes. It raises JournalBusy as it does so."""
        me = f"process {os.getpid()} on {platform.node()[:20]}, since {timestamp(now)}"

        def connect() -> psycopg.Connection[Any]:
            connection = self._connect(me)
            try:
                for statement in _LOCK:
                    connection.execute(statement)
            except psycopg.errors.LockNotAvailable:
                holder = connection.execute(_HOLDER).fetchone()
                connection.close()
                told = f" ({holder[0]})" if holder else ""
                raise JournalBusy(
                    f"{self.place}: another run holds the journal{told}; wait for it"
                ) from None
            connection.execute("RESET lock_timeout")
            connection.autocommit = False
            return connection

        return create_engine(_DRIVER, creator=connect)

    def reading_engine(self) -> AsyncEngine:
        """Return what opens connections that read."""

        async def connect() -> psycopg.AsyncConnection[Any]:
            connection = await psycopg.AsyncConnection.connect(
                self.place.url, autocommit=True, application_name="batch-resend", **_REACHED
            )
            for statement in _SET_UP:
                await connection.execute(statement)
            await connection.set_autocommit(False)
            return connection

        return create_async_engine(_DRIVER, async_creator=connect)

    @contextmanager
    def _briefly(self) -> Iterator[Connection]:
        """Open a connection for a question or two; what it does is done at once."""
        engine = create_engine(
            _DRIVER,
            creator=partial(self._connect, "batch-resend"),
            isolation_level="AUTOCOMMIT",
        )
        try:
            with journal_errors(self.place), engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self.place.url, autocommit=True, application_name=name[:_LONGEST_NAME], **_REACHED
        )
        for statement in _SET_UP:
            connection.execute(statement)
        return connection
