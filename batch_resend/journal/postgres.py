"""A journal in a PostgreSQL database, in a schema of its own: any number of hosts share it.

Every process that writes has a session: a lock, which its connection holds and which ends with it,
however it ends. Whoever has lost it can write nothing more, so nothing more leaves. A host that is
gone without a word is given up after half a minute, by the server's own keepalive.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from batch_resend.durations import timestamp
from batch_resend.errors import JournalError
from batch_resend.journal.database_errors import journal_errors
from batch_resend.journal.journal_file import HeldFile
from batch_resend.journal.slots import TABLES
from batch_resend.places import Database

try:
    import psycopg

    from batch_resend.journal.encryption import encryption_options
except ModuleNotFoundError as missing:
    raise JournalError(
        "a journal in PostgreSQL needs psycopg: pip install 'batch-resend[cluster]'"
    ) from missing

_DRIVER = "postgresql+psycopg://"
_REACHED: dict[str, Any] = {
    "application_name": "batch-resend",
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
    "SET default_transaction_isolation TO 'read committed'",  # take_slots counts on it
    # A session waits through pauses, and a process may be stopped for a while: to end it for that
    # would let others take up what is in flight. (Some of these are not in every version.)
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN "
    "('idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')",
    # A host that is gone without a word: its lock is not to outlive it by much.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_FIND_SCHEMA = "SELECT to_regnamespace('batch_resend')"
# "bres", and which lock of ours: 0 for decisions, another for each session.
_BY_TURNS = "SELECT pg_advisory_xact_lock(x'62726573'::int, 0)"
_ADD_SESSION = text("INSERT INTO sessions (name, began_at) VALUES (:name, :now) RETURNING number")
_LOCK_SESSION = text("SELECT pg_advisory_lock(x'62726573'::int, :number)")
_FORGET_SESSIONS = text(
    "DELETE FROM sessions WHERE number NOT IN (SELECT number FROM living) "
    "AND number NOT IN (SELECT session FROM runs) AND number NOT IN (SELECT session FROM starts)"
)
_HOLDER = text("SELECT name FROM living WHERE number = :number")
_SIZE = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
    "WHERE relnamespace = to_regnamespace('batch_resend') AND relkind = 'r'"
)


@dataclass(frozen=True, slots=True)
class PostgresBackend:
    """A database that holds a journal."""

    place: Database
    additions: ClassVar[Sequence[str]] = TABLES
    is_shared: ClassVar[bool] = True

    @contextmanager
    def exclusive(self, _now: float) -> Iterator[HeldFile | None]:
        """Do nothing: it is shared."""
        yield None

    def serialize(self, connection: Connection) -> None:
        """Let no other process decide anything until this transaction ends."""
        connection.exec_driver_sql(_BY_TURNS)

    def enter(self, connection: Connection, now: float, title: str) -> int:
        """Begin a session, which ends with the connection; return its number."""
        name = f"{title} {os.getpid()} on {platform.node()}, since {timestamp(now)}"
        connection.execute(_FORGET_SESSIONS)
        number: int = connection.execute(_ADD_SESSION, {"name": name, "now": now}).scalar_one()
        connection.execute(_LOCK_SESSION, {"number": number})
        return number

    async def holder(self, connection: AsyncConnection, session: int) -> str | None:
        """Return which living process has a session, if it is one."""
        found = await connection.execute(_HOLDER, {"number": session})
        return found.scalar_one_or_none()

    def create(self) -> bool:
        """Make no database: whoever has the server does."""
        return True

    def prepare(self, connection: Connection) -> None:
        """Create the schema, if there is none."""
        self.serialize(connection)
        # Looked for first: whoever may use it need not be able to make it.
        if connection.exec_driver_sql(_FIND_SCHEMA).scalar_one() is None:
            connection.exec_driver_sql("CREATE SCHEMA batch_resend")

    def size(self) -> int | None:
        """Return how many bytes the journal takes; None: there is none. Raises JournalError."""
        engine = self.writing_engine()
        try:
            with journal_errors(self.place), engine.connect() as connection:
                found = connection.exec_driver_sql(_SIZE).scalar_one()
        finally:
            engine.dispose()
        return None if found is None else int(found)

    def compact(self) -> None:
        """Leave it to the server, which does so by itself."""

    def writing_engine(self) -> Engine:
        """Return what opens the one connection of this process that writes. Raises JournalError."""
        reached = self._reached()

        def connect() -> psycopg.Connection[Any]:
            connection = psycopg.connect(self.place.url, autocommit=True, **reached)
            for statement in _SET_UP:
                connection.execute(statement)
            connection.autocommit = False
            return connection

        return create_engine(_DRIVER, creator=connect)

    def reading_engine(self) -> AsyncEngine:
        """Return what opens connections that read. Raises JournalError."""
        reached = self._reached()

        async def connect() -> psycopg.AsyncConnection[Any]:
            connection = await psycopg.AsyncConnection.connect(
                self.place.url, autocommit=True, **reached
            )
            for statement in _SET_UP:
                await connection.execute(statement)
            await connection.set_autocommit(False)
            return connection

        return create_async_engine(_DRIVER, async_creator=connect)

    def _reached(self) -> dict[str, Any]:
        """Return how the server is reached."""
        return {**_REACHED, **encryption_options(self.place)}
