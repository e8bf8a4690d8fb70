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
        told = str(error.orig if isinstance(error, DatabaseError) else error)
        if isinstance(error, OSError):
            told = error.strerror or told
        told = " ".join(told.split())
        hint = _hint_of_server(told) if isinstance(place, Database) else _hint_of_file(told)
        raise JournalError(f"{place}: the journal cannot be used: {told}{hint}") from error


def _hint_of_file(told: str) -> str:
    """Return what a person can do about an error of a file."""
    if any(sign in told for sign in ("disk I/O", "disk is full", "No space left")):
        return "; is the disk full, or that of temporary files (TMPDIR)?"
    if "malformed" in told:
        return "; put back a copy of it, or name another with --journal: that knows of no run"
    return "; name another with --journal"


def _hint_of_server(told: str) -> str:
    """Return what a person can do about an error of a server."""
    if "password" in told:
        return "; give it in PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"
    if "permission denied" in told:
        return "; its user needs a schema batch_resend of its own, or the right to create it"
    if "does not support SSL" in told:
        return (
            "; set up TLS there, or, if its network is yours alone, add sslmode=disable to the URL"
        )
    if "does not exist" in told:
        return "; create it, or name another with --journal"
    return "; is the server up, and can it be reached from here?"
