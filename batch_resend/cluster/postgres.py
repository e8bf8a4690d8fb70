"""A journal on PostgreSQL: how it is reached, encrypted, locked and cleared.

Every process that writes has a session: a lock, which its connection holds and which ends with it,
however it ends. A process that has lost it can write nothing more, so nothing more leaves. A host
that is gone without a word is given up after half a minute, by the server's own keepalive.

Left to itself libpq prefers TLS and sends plain text where a server, or a proxy before it, says
that there is none: orders, domains and addresses would cross the network readable, and the
password with them. What does not leave the machine needs no TLS: a local socket, loopback.
"""

import os
import platform
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar

from batch_resend.clock import Clock, timestamp
from batch_resend.cluster.limiter import limiters
from batch_resend.cluster.slots import define_take_slots, open_slots
from batch_resend.errors import JournalError
from batch_resend.folders import Database
from batch_resend.journal.connection import (
    Connection,
    add_driver_error,
    create_tables,
    execute,
    journal_errors,
    records,
)
from batch_resend.journal.journal_file import HeldFile
from batch_resend.journal.statements import Dialect, Record, read_statements
from batch_resend.windows import SharedLimiters

try:
    import psycopg
    from psycopg import pq
except ModuleNotFoundError as missing:
    raise JournalError(
        "a journal in PostgreSQL needs psycopg: pip install 'batch-resend[cluster]'"
    ) from missing

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

# What is read is mostly a whole run. Statistics that are older than the run have the server expect
# one row of it, and look through all rows of one table for each row of another.
_SET_UP_TO_READ = (
    "SET enable_nestloop TO off",
    "SET cursor_tuple_fraction TO 1",  # all of a stream is read
    "SET jit TO off",  # the price of a nested loop that nothing can replace would call for it
)

read_statements("batch_resend.cluster")
add_driver_error(psycopg.Error)


class PostgresConnection(Connection):
    """A connection to a server."""

    dialect: ClassVar[Dialect] = "postgresql"

    @property
    def is_lost(self) -> bool:
        """Whether it broke, and its locks and its session have ended."""
        return bool(self.driver.closed)

    def transaction(self) -> AbstractContextManager[object]:
        """Begin a transaction; commit it at the end, or undo it if an error comes through."""
        transaction: AbstractContextManager[object] = self.driver.transaction()
        return transaction

    def pages(self, text: str, values: Sequence[object], size: int) -> Generator[Iterable[Record]]:
        """Yield what a statement finds, `size` records at a time, however many there are."""
        with self.driver.transaction(), psycopg.RawServerCursor(self.driver, "pages") as cursor:
            cursor.execute(text, values)
            while rows := cursor.fetchmany(size):
                yield records(cursor, rows)


@dataclass(frozen=True, slots=True)
class PostgresBackend:
    """A database that holds a journal."""

    place: Database
    own_tables_of_runs: ClassVar[Sequence[str]] = ("claims", "stops")
    is_shared: ClassVar[bool] = True

    @contextmanager
    def exclusive(self, _now: float) -> Iterator[HeldFile | None]:
        """Do nothing: it is shared."""
        yield None

    def serialize(self, connection: Connection) -> None:
        """Let no other process decide anything until this transaction ends."""
        execute(connection, "decide_alone")

    def enter(self, connection: Connection, now: float, title: str) -> int:
        """Begin a session, which ends with the connection; return its number."""
        name = f"{title} {os.getpid()} on {platform.node()}, since {timestamp(now)}"
        execute(connection, "forget_sessions")
        number: int = execute(connection, "add_session", name=name, now=now).value()
        execute(connection, "lock_session", number=number)
        return number

    def holder(self, connection: Connection, session: int) -> str | None:
        """Return which living process has a session, if it is one."""
        name: str | None = execute(connection, "holder", number=session).value()
        return name

    def create(self) -> bool:
        """Make no database: its owner does."""
        return True

    def prepare(self, connection: Connection) -> None:
        """Create the schema, if there is none."""
        self.serialize(connection)
        # Looked for first: a user that may use it need not be able to make it.
        if execute(connection, "find_schema").value() is None:
            connection.driver.execute("CREATE SCHEMA batch_resend")

    def add_tables(self, connection: Connection) -> None:
        """Make what hosts share beside the journal's tables."""
        create_tables(connection, "tables_of_hosts")
        define_take_slots(connection)

    @asynccontextmanager
    async def shared_limiters(self, session: int, clock: Clock) -> AsyncIterator[SharedLimiters]:
        """Open the way to the limits that all hosts keep together."""
        async with open_slots(self, session, clock) as slots:
            yield limiters(slots)

    def analyze(self, connection: Connection) -> None:
        """Have the server count what planning wrote: what settles a plan joins it with all runs."""
        connection.driver.execute("ANALYZE rows, requests")

    def size(self) -> int | None:
        """Return how many bytes the journal takes; None: there is none. Raises JournalError."""
        with journal_errors(self.place), closing(self.connect_to_read()) as connection:
            found = execute(connection, "size").value()
        return None if found is None else int(found)

    def compact(self) -> None:
        """Leave it to the server, which does so by itself."""

    def connect_to_write(self) -> Connection:
        """Open the one connection of this process that writes. Raises JournalError."""
        reached = {**_REACHED, **encryption_options(self.place)}
        driver = psycopg.connect(
            self.place.url, autocommit=True, cursor_factory=psycopg.RawCursor, **reached
        )
        for setting in _SET_UP:
            driver.execute(setting)
        return PostgresConnection(driver)

    def connect_to_read(self) -> Connection:
        """Open a connection that reads. Raises JournalError."""
        connection = self.connect_to_write()
        for setting in _SET_UP_TO_READ:
            connection.driver.execute(setting)
        return connection


_ENCRYPTED = ("require", "verify-ca", "verify-full")
_FALLS_BACK = ("allow", "prefer")  # to plain text, or to TLS from it


def encryption_options(database: Database) -> Mapping[str, str]:
    """Return what to connect with beside the URL. Raises JournalError where that falls back.

    Names and meanings are libpq's: the URL goes before the environment (PGSSLMODE, PGHOST and a
    service that PGSERVICE names).
    """
    try:
        given = _values(pq.Conninfo.parse(database.url.encode()))
        defaults = _values(pq.Conninfo.get_defaults())
    except psycopg.Error as error:
        raise JournalError(f"{database} is not the URL of a database: {error}") from error
    mode = given.get("sslmode")
    if mode is not None and mode not in _FALLS_BACK:
        return {}
    if "service" in given:  # libpq looks it up while it connects; nothing is known of it here
        raise JournalError(
            f"{database}: say in the URL whether the way to the service is encrypted: "
            "sslmode=verify-full, or require; disable, if it needs no TLS"
        )
    if is_local(given, defaults):
        return {}
    if mode in _FALLS_BACK:
        raise JournalError(
            f"{database}: sslmode={mode} continues in plain text where TLS fails: write "
            "sslmode=verify-full, or require; disable, if the way to the server needs no TLS"
        )
    return {} if defaults.get("sslmode") in _ENCRYPTED else {"sslmode": "require"}


def is_local(given: Mapping[str, str], defaults: Mapping[str, str]) -> bool:
    """Whether nothing leaves this machine, whichever of the hosts is connected to."""
    words = {**defaults, **given}
    hosts, addresses = words.get("host", "").split(","), words.get("hostaddr", "").split(",")
    return all(_is_local_host(host) for host in _reached(hosts, addresses))


def _reached(hosts: Sequence[str], addresses: Sequence[str]) -> Sequence[str]:
    """Return where connections go: an address, where there is one, in the place of its host."""
    if not any(addresses):
        return hosts
    names = hosts if len(hosts) == len(addresses) else [""] * len(addresses)
    return [address or name for address, name in zip(addresses, names, strict=True)]


def _is_local_host(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":  # a socket, by default too
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _values(options: Sequence[pq.ConninfoOption]) -> dict[str, str]:
    return {option.keyword.decode(): option.val.decode() for option in options if option.val}
