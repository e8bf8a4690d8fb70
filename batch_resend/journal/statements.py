"""The journal's statements, by name, for SQLite and PostgreSQL; the errors of both; kept values.

All SQL is in the folders `sql`, a file for each theme. `-- name: x` begins a statement, and
`-- part: x` what several have in common, which stands in them as {x}. So do the words in which the
two databases differ.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from operator import itemgetter
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Dialect, Row, Text, TextClause, bindparam, text
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from batch_resend.errors import JournalError
from batch_resend.folders import Database, Place
from batch_resend.model import Call, Entry, ListForm, ListKind, Request, Run, RunState

Record = Row[*tuple[Any, ...]]  # what a statement finds: its columns by name
Values = Mapping[str, object]
Change = tuple[str, Values]  # a statement's name, and what it is carried out with

# Texts are sorted by code points in both, whatever the database's language: requests are numbered
# by it. A session lives as long as its process works with the journal; a file is open to one at a
# time, so there is no other.
_WORDS = {
    "sqlite": {
        "text": "TEXT",
        "blob": "BLOB",
        "serial": "INTEGER",
        "without_rowid": "WITHOUT ROWID",
        "living": "()",
        "trunc": "",
        "each_entry": "json_each(nullif(requests.entries, '')) AS entry",
        "mail_domain": "lower(substr(json_extract(entry.value, '$[1]'), "
        "instr(json_extract(entry.value, '$[1]'), '@') + 1))",
    },
    "postgresql": {
        "text": 'TEXT COLLATE "C"',
        "blob": "BYTEA",
        "serial": "SERIAL",
        "without_rowid": "",
        "living": "(SELECT number FROM living)",
        "trunc": "trunc",
        "each_entry": "json_array_elements(CAST(nullif(requests.entries, '') AS json)) AS entry",
        "mail_domain": "lower(substr(entry.value ->> 1, strpos(entry.value ->> 1, '@') + 1)) "
        'COLLATE "C"',
    },
}
_BEGINNING = re.compile(r"^-- (?:name|part): (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"\s*--.*$", re.MULTILINE)
_SEVERAL = re.compile(r"\bIN :(\w+)")  # values, all of them texts
_texts: dict[str, str] = {}


def read_statements(package: str) -> None:
    """Make the statements of a package known, by their names."""
    for file in files(package).joinpath("sql").iterdir():
        _, *found = _BEGINNING.split(file.read_text(encoding="utf-8"))
        for name, body in zip(found[::2], found[1::2], strict=True):
            _texts[name] = _COMMENT.sub("", body).strip()


class _Words(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return _texts[name].format_map(self)


def sql(name: str, dialect: str, words: Mapping[str, object] = {}) -> str:
    """Return a statement's text, for one of the databases. `words`: more that it leaves open."""
    return _texts[name].format_map(_Words(_WORDS[dialect], **{k: str(v) for k, v in words.items()}))


@cache
def statement(name: str, dialect: str, words: tuple[tuple[str, str], ...] = ()) -> TextClause:
    """Return a statement, for one of the databases."""
    found = sql(name, dialect, dict(words))
    several = [bindparam(of, expanding=True, type_=Text) for of in _SEVERAL.findall(found)]
    return text(found).bindparams(*several)


def execute(
    connection: Connection, name: str, words: tuple[tuple[str, str], ...] = (), /, **values: object
) -> CursorResult[Any]:
    """Carry out a statement. `words`: what it leaves open, other than values."""
    return connection.execute(statement(name, connection.dialect.name, words), values)


def execute_many(
    connection: Connection, name: str, many: Sequence[Values] | Sequence[NamedTuple]
) -> None:
    """Carry out an insert, update or delete once for each of `many`, all of them of one form.

    What there is one of for every row is a named tuple, which is made in a third of the time.
    """
    if many:
        fields: tuple[str, ...] | None = getattr(many[0], "_fields", None)
        driver_text, parameters = _as_the_driver_has_it(name, connection.dialect, fields)
        connection.exec_driver_sql(driver_text, list(map(parameters, many)))


@cache
def _as_the_driver_has_it(
    name: str, dialect: Dialect, fields: tuple[str, ...] | None
) -> tuple[str, Callable[[Any], Any]]:
    """Return a statement's text, and what makes the driver's parameters of values.

    `fields`: the names of values that come by place.
    """
    compiled = statement(name, dialect.name).compile(dialect=dialect)
    order = compiled.positiontup
    if order is None:  # by name
        return str(compiled), dict if fields is None else lambda values: values._asdict()
    if fields is None:
        return str(compiled), lambda values: tuple(map(values.__getitem__, order))
    return str(compiled), itemgetter(*map(fields.index, order))


def create_tables(connection: Connection, name: str) -> None:
    """Carry out what a statement of several statements says."""
    for one in sql(name, connection.dialect.name).split(";\n"):
        connection.exec_driver_sql(one)


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
        remedies = _SERVER_REMEDIES if isinstance(place, Database) else _FILE_REMEDIES
        remedy = next(remedy for sign, remedy in remedies if re.search(sign, message))
        raise JournalError(f"{place}: the journal cannot be used: {message}; {remedy}") from error


# What a person can do, by what the message says.
_FILE_REMEDIES = (
    (
        "disk I/O|disk is full|No space left",
        "is the disk full, or the one for temporary files (TMPDIR)?",
    ),
    ("malformed", "put back a copy of it, or name another with --journal, which knows of no run"),
    (
        "locked",
        "another program, such as a backup, has it open for writing: once it has ended, run the "
        "same command again",
    ),
    ("", "name another with --journal, which knows of no run"),
)
_SERVER_REMEDIES = (
    ("password", "give it in PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"),
    (
        "permission denied",
        "its user needs a schema batch_resend of its own, or the right to create it",
    ),
    (
        "does not support SSL",
        "set up TLS there, or, if its network is yours alone, add sslmode=disable to the URL",
    ),
    ("does not exist", "create it, or name another with --journal"),
    ("", "is the server up, and can it be reached from here?"),
)

read_statements("batch_resend.journal")

# --- how values are kept -------------------------------------------------------------------------


def encode_entries(entries: Sequence[Entry]) -> str:
    """Return entries as a JSON array; nothing for none."""
    return to_json(entries).decode() if entries else ""


def decode_entries(text: str | None) -> tuple[Entry, ...]:
    """Return entries as they were kept."""
    return tuple(map(Entry._make, from_json(text))) if text else ()


def encode_kept(kept: Sequence[tuple[str, str]]) -> str | None:
    """Return what stays with a row as a JSON object; None for nothing."""
    return to_json(dict(kept)).decode() if kept else None


def decode_kept(text: str | None) -> Mapping[str, str]:
    """Return what stays with a row as it was kept, by field."""
    return from_json(text) if text else {}


def encode_form(form: ListForm) -> str:
    """Return how a list was read as a JSON object."""
    return to_json(form).decode()


def decode_form(text: str) -> ListForm:
    """Return how a list was read as it was kept."""
    values = from_json(text)
    for name in ("columns", "kept"):
        values[name] = tuple(values[name])
    return ListForm(kind=ListKind(values.pop("kind")), **values)


def encode_call(call: Call) -> str | None:
    """Return a call's name; None for the usual one."""
    return None if call is Call.DV_RESEND else call.value


def decode_call(text: str | None) -> Call:
    """Return a call as it was kept."""
    return Call.DV_RESEND if text is None else Call(text)


def decode_request(
    order_id: str, locale: str | None, entries: str, call: str | None, account: str | None
) -> Request:
    """Return a request of its columns."""
    return Request(order_id, locale, decode_entries(entries), decode_call(call), account)


def request_of(record: Record) -> Request:
    """Return the request of a record that has its columns."""
    return decode_request(
        record.order_id, record.locale, record.entries, record.call, record.account
    )


def run_of(record: Record) -> Run:
    """Return the run of a record of `runs`."""
    settings = json.loads(record.settings)
    return Run(
        number=record.number,
        id=record.id,
        base_url=record.base_url,
        state=RunState(record.state),
        stop_reason=record.stop_reason,
        limits=tuple(record.limits.split()),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        next_flags=settings.pop("next_flags", {}),  # of the command line's, for nobody else
        settings=settings,
        session=record.session,
        distributed_by=record.distributed_by,
    )
