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
