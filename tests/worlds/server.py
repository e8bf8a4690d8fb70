"""A PostgreSQL server with the tables of a journal, made ready for worlds; how it is asked."""

import asyncio
import os
import select
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import psycopg.waiting
from psycopg.pq import ConnStatus

from batch_resend.cluster.postgres import PostgresConnection
from batch_resend.folders import Database
from batch_resend.journal import open_journal

_LOOK_S = 0.004  # without an answer for so long, the server is asked whether it waits for a lock
_LONGEST_S = 30.0  # of real time: nothing that is asked here takes as long
_FASTER = (  # it is nobody's memory; and it does nothing at moments of its own
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET autovacuum = off",
    "ALTER SYSTEM SET jit = off",
    "ALTER SYSTEM SET max_connections = 200",
    "SELECT pg_reload_conf()",
)
# Between what it counts and what it takes, take_slots stands still while the world holds it there:
# others are carried out meanwhile.
_STAND_STILL = (
    "CREATE OR REPLACE FUNCTION batch_resend.stand_still() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN PERFORM pg_advisory_lock(1, pg_backend_pid()); "
    "PERFORM pg_advisory_unlock(1, pg_backend_pid()); RETURN NULL; END'",
    "CREATE OR REPLACE TRIGGER stand_still BEFORE INSERT ON batch_resend.slots "
    "FOR EACH STATEMENT EXECUTE FUNCTION batch_resend.stand_still()",
)
_TABLES = (
    "SELECT string_agg(format('batch_resend.%I', relname), ', ') FROM pg_class "
    "WHERE relnamespace = 'batch_resend'::regnamespace AND relkind = 'r' "
    "AND relname <> 'batch_resend_schema'"
)


@dataclass(eq=False)
class Question:
    """What is asked of the server, until its answer is there."""

    connection: Any  # None: it asks for one
    gen: Any
    wanted: Any = None  # what it waits for at the socket; None: it has not begun
    socket: int = -1
    made: Any = None
    error: BaseException | None = None

    def carry_on(self, is_blocked: Callable[[int], bool]) -> bool:
        """Have the server answer; return whether it has, and does not wait for a lock."""
        until = time.monotonic() + _LONGEST_S
        try:
            if self.wanted is None:
                self._note(next(self.gen))
            while time.monotonic() < until:
                if ready := _ready(self.socket, self.wanted):
                    self._note(self.gen.send(ready))
                elif self.connection and is_blocked(self.connection.pgconn.backend_pid):
                    return False
            raise AssertionError("the server neither answers nor waits for a lock")
        except StopIteration as done:
            self.made = done.value
        except psycopg.Error as error:
            self.error = error
            self.abandon()  # it may be the connection that is gone, while this waits for more
        return True

    def _note(self, wanted: Any) -> None:
        if self.connection is None:  # one that is being made also says where
            self.socket, self.wanted = wanted
        else:
            self.socket, self.wanted = self.connection.pgconn.socket, wanted

    def abandon(self) -> None:
        """Have it end without an answer."""
        with suppress(psycopg.Error):  # in a pipeline, it would read what is left
            self.gen.close()

    def lose_answer(self) -> None:
        """Have the connection be broken, which the server has ended, and the answer be lost."""
        pgconn = self.connection.pgconn
        while pgconn.status == ConnStatus.OK:
            with suppress(psycopg.Error):
                pgconn.consume_input()
        self.error = psycopg.OperationalError("the server closed the connection unexpectedly")


def _ready(socket: int, wanted: int) -> int:
    poll = select.poll()
    events = (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)
    poll.register(socket, events)
    ready = 0
    for _, found in poll.poll(_LOOK_S * 1000):
        ready |= (1 if found & ~select.POLLOUT else 0) | (2 if found & select.POLLOUT else 0)
    return psycopg.waiting.Ready(ready & wanted or wanted) if ready else 0


class _Control(psycopg.Connection[Any]):
    """A connection of nobody's in the world."""

    def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
        return psycopg.waiting.wait(gen, self.pgconn.socket, interval=0.1)


class PreparedServer:
    """A server with the tables of a journal, whose clock is a file."""

    def __init__(self, database: Database) -> None:
        """Make use of a database that has a journal, made by the program."""
        self.database = database
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        Path(self._folder.name).chmod(0o755)
        clock = Path(self._folder.name) / "clock"
        self._clock = os.open(clock, os.O_CREAT | os.O_RDWR, 0o644)
        self.show_time(0.0)
        self._control = _Control.connect(database.url, autocommit=True)
        self._control.execute("SET search_path TO batch_resend")
        for statement in (*_FASTER, *_STAND_STILL):
            self._control.execute(statement)
        self._control.execute(
            "CREATE OR REPLACE FUNCTION batch_resend.clock_s() RETURNS double precision "
            f"LANGUAGE sql VOLATILE AS 'SELECT pg_read_file(''{clock}'')::double precision'"
        )
        found = self._control.execute(_TABLES).fetchone()
        assert found is not None
        self._empty = f"TRUNCATE {found[0]} RESTART IDENTITY"

    def define(self, define: Callable[[Any], None]) -> None:
        """Have a function of the database be as the program has it now."""
        define(PostgresConnection(self._control))

    def empty(self) -> None:
        """Forget the world before."""
        self._control.execute(self._empty)
        self._control.execute("SELECT pg_advisory_unlock_all()")

    def show_time(self, at: float) -> None:
        """Have the server's clock say so."""
        os.pwrite(self._clock, f"{at:25.6f}".encode(), 0)

    def hold(self, pid: int) -> None:
        """Have what a connection asks stand still where it is about to take slots."""
        self._control.execute("SELECT pg_advisory_lock(1, %s)", (pid,))

    def let_go(self, pid: int) -> None:
        """Have it go on."""
        self._control.execute("SELECT pg_advisory_unlock(1, %s)", (pid,))

    def is_blocked(self, pid: int) -> bool:
        """Whether a connection waits for a lock that another one has."""
        found = self._control.execute("SELECT pg_blocking_pids(%s) <> '{}'", (pid,)).fetchone()
        assert found is not None
        return bool(found[0])

    def end(self, pids: list[int]) -> None:
        """End connections, by their processes, and wait until their locks are free."""
        for pid in pids:
            self._control.execute("SELECT pg_terminate_backend(%s)", (pid,))
        self.await_end(pids)

    def await_end(self, pids: list[int]) -> None:
        """Wait until connections are gone for the server, too."""
        there = "SELECT FROM pg_stat_activity WHERE pid = ANY (%s)"
        while self._control.execute(there, (pids,)).fetchone():
            time.sleep(0.0005)

    def close(self) -> None:
        """Leave it."""
        self._control.close()
        os.close(self._clock)
        self._folder.cleanup()


@contextmanager
def prepared(database: Database) -> Iterator[PreparedServer]:
    """Have a database ready for worlds: the program makes its tables."""

    async def make_tables() -> None:
        async with open_journal(database):
            pass

    asyncio.run(make_tables())
    server = PreparedServer(database)
    try:
        yield server
    finally:
        server.close()
