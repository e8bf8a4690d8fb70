"""What a database says when it cannot do what it is told, as a JournalError with a remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from batch_resend.errors import JournalError
from batch_resend.places import Database, Place


@contextmanager
def journal_errors(place: Place) -> Iterator[None]:
    """Turn what the database says into a JournalError that names the journal."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
        message = str(error.orig if isinstance(error, DatabaseError) else error)
        if isinstance(error, OSError):
            message = error.strerror or message
        message = " ".join(message.split())
        hint = _hint_of_server(message) if isinstance(place, Database) else _hint_of_file(message)
        raise JournalError(f"{place}: the journal cannot be used: {message}{hint}") from error


def _hint_of_file(message: str) -> str:
    """Return what a person can do about an error of a file."""
    if any(sign in message for sign in ("disk I/O", "disk is full", "No space left")):
        return "; is the disk full, or that of temporary files (TMPDIR)?"
    if "malformed" in message:
        return "; put back a copy of it, or name another with --journal: that knows of no run"
    if "locked" in message:
        return (
            "; another program, such as a backup, has it open for writing: once it has ended, run "
            "the same command again"
        )
    return "; name another with --journal: that knows of no run"


def _hint_of_server(message: str) -> str:
    """Return what a person can do about an error of a server."""
    if "password" in message:
        return "; give it in PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"
    if "permission denied" in message:
        return "; its user needs a schema batch_resend of its own, or the right to create it"
    if "does not support SSL" in message:
        return (
            "; set up TLS there, or, if its network is yours alone, add sslmode=disable to the URL"
        )
    if "does not exist" in message:
        return "; create it, or name another with --journal"
    return "; is the server up, and can it be reached from here?"
