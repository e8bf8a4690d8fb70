"""What SQLite and PostgreSQL say in different words: all of it stands here."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Integer, Text, cast, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

# Sorted by code points in both, whatever the database's language: requests are numbered by it.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def total(summed: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the sum of whole numbers as one (PostgreSQL's would be a decimal)."""
    return cast(func.sum(summed), BigInteger)


class whole(GenericFunction[int]):
    """A number without what stands behind its point."""

    type = Integer()
    inherit_cache = True


@compiles(whole, "sqlite")
def _whole_in_sqlite(element: whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


@compiles(whole, "postgresql")
def _whole_in_postgresql(element: whole, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(trunc({compiler.process(element.clauses, **options)}) AS BIGINT)"


class each_entry(GenericFunction[Any]):
    """The entries of a request, a row each, as they stand in its column: a JSON array."""

    inherit_cache = True


@compiles(each_entry, "sqlite")
def _entries_in_sqlite(element: each_entry, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each(nullif({compiler.process(element.clauses, **options)}, ''))"


@compiles(each_entry, "postgresql")
def _entries_in_postgresql(element: each_entry, compiler: SQLCompiler, **options: Any) -> str:
    array = f"nullif({compiler.process(element.clauses, **options)}, '')"
    return f"json_array_elements(CAST({array} AS json))"


class mail_domain(GenericFunction[str]):
    """Where the address of an entry is, in small letters."""

    type = Text()
    inherit_cache = True


@compiles(mail_domain, "sqlite")
def _domain_in_sqlite(element: mail_domain, compiler: SQLCompiler, **options: Any) -> str:
    address = f"json_extract({compiler.process(element.clauses, **options)}, '$[1]')"
    return f"lower(substr({address}, instr({address}, '@') + 1))"


@compiles(mail_domain, "postgresql")
def _domain_in_postgresql(element: mail_domain, compiler: SQLCompiler, **options: Any) -> str:
    address = f"(({compiler.process(element.clauses, **options)}) ->> 1)"
    return f"lower(substr({address}, strpos({address}, '@') + 1)) COLLATE \"C\""


class is_living(GenericFunction[bool]):
    """Whether a session is one of a process that lives: at work with the journal right now.

    A file is open to one process at a time, so there is no other.
    """

    type = Boolean()
    inherit_cache = True


@compiles(is_living, "sqlite")
def _living_in_sqlite(_element: is_living, _compiler: SQLCompiler, **_options: Any) -> str:
    return "(1 = 0)"


@compiles(is_living, "postgresql")
def _living_in_postgresql(element: is_living, compiler: SQLCompiler, **options: Any) -> str:
    session = compiler.process(element.clauses, **options)
    return f"({session} IN (SELECT number FROM living))"  # noqa: S608 - an expression of ours
