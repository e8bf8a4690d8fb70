"""What SQLite and PostgreSQL say in different words: functions, and errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, Text, func
from sqlalchemy import cast as as_type
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from batch_resend.errors import JournalError
from batch_resend.folders import Database, Place


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


# Sorted by code points in both, whatever the database's language: requests are numbered by it.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def total(summed: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the sum of whole numbers as one (PostgreSQL's would be a decimal)."""
    return as_type(func.sum(summed), BigInteger)


def _compiled_as(element: type[GenericFunction[Any]], **words: str) -> None:
    """Note how each database says a function of one value, which stands at {}."""
    for dialect, text in words.items():

        def in_its_words(
            of: GenericFunction[Any], compiler: SQLCompiler, text: str = text, **options: Any
        ) -> str:
            return text.format(compiler.process(of.clauses, **options))

        compiles(element, dialect)(in_its_words)


class whole(GenericFunction[int]):
    """A number without what stands behind its point."""

    type = Integer()
    inherit_cache = True


class each_entry(GenericFunction[Any]):
    """The entries of a request, a row each, as they stand in its column: a JSON array."""

    inherit_cache = True


class mail_domain(GenericFunction[str]):
    """Where the address of an entry is, in small letters."""

    type = Text()
    inherit_cache = True


class is_living(GenericFunction[bool]):
    """Whether a session is one of a process that lives: at work with the journal right now.

    A file is open to one process at a time, so there is no other.
    """

    type = Boolean()
    inherit_cache = True


_compiled_as(whole, sqlite="CAST({0} AS INTEGER)", postgresql="CAST(trunc({0}) AS BIGINT)")
_compiled_as(
    each_entry,
    sqlite="json_each(nullif({0}, ''))",
    postgresql="json_array_elements(CAST(nullif({0}, '') AS json))",
)
_compiled_as(
    mail_domain,
    sqlite="lower(substr(json_extract({0}, '$[1]'), instr(json_extract({0}, '$[1]'), '@') + 1))",
    postgresql="lower(substr({0} ->> 1, strpos({0} ->> 1, '@') + 1)) COLLATE \"C\"",
)
_compiled_as(is_living, sqlite="(1 = 0)", postgresql="({0} IN (SELECT number FROM living))")
