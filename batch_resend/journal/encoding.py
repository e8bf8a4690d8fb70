"""How values are kept in the database, and many rows written at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from batch_resend.journal.schema import Record
from batch_resend.model import Call, Entry, ListForm, ListKind, Request, entry_list


def encode_entries(entries: Iterable[Entry]) -> str:
    """Return entries as the journal stores them."""
    listed = [entry_list(entry) for entry in entries]
    return to_json(listed).decode() if listed else ""


def encode_form(form: ListForm) -> str:
    """Return how a list was read as the journal stores it."""
    values = {
        "kind": form.kind,
        "columns": form.columns,
        "fields": dict(form.fields),
        "delimiter": form.delimiter,
        "encoding": form.encoding,
        "orders_only": form.orders_only,
        "with_addresses": form.with_addresses,
        "remarks": dict(form.remarks),
        "under": form.under,
    }
    return to_json(values).decode()


def decode_form(text: str) -> ListForm:
    """Return how a list was read as the journal stored it."""
    values = from_json(text)
    columns = tuple(values.pop("columns"))
    return ListForm(kind=ListKind(values.pop("kind")), columns=columns, **values)


def encode_call(call: Call) -> str | None:
    """Return a call as the journal stores it."""
    return None if call is Call.DV_RESEND else call.value


def decode_call(text: str | None) -> Call:
    """Return a call as the journal stored it."""
    return Call.DV_RESEND if text is None else Call(text)


def decode_entries(text: str | None) -> tuple[Entry, ...]:
    """Return entries as the journal stored them."""
    return tuple(Entry(*listed) for listed in from_json(text)) if text else ()


def decode_order(
    order_id: str, locale: str | None, entries: str, call: str | None, account: str | None
) -> Request:
    """Return the order of a request as the journal stored it, from the columns of its order."""
    return Request(order_id, locale, decode_entries(entries), decode_call(call), account)


def request_of(record: Record) -> Request:
    """Return the order of a request, from a record that has the columns of its order."""
    return decode_order(record.order_id, record.locale, record.entries, record.call, record.account)


Values = Mapping[str, object]

_STATEMENTS_KEPT = 64


def execute_many(connection: Connection, statement: Executable, many: Sequence[Values]) -> None:
    """Carry out an insert, update or delete once for each of `many`, which name the same values."""
    text, parameters = _made_once(statement, connection.dialect, tuple(many[0]))
    connection.exec_driver_sql(text, [parameters(values) for values in many])


@lru_cache(maxsize=_STATEMENTS_KEPT)
def _made_once(
    statement: Executable, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Callable[[Values], Any]]:
    """Return a statement's text, and what makes the driver's parameters of named values."""
    clause = cast("ClauseElement", statement)
    compiled = cast("SQLCompiler", clause.compile(dialect=dialect, column_keys=list(names)))
    # What the statement itself says, as a state that it compares with.
    own = {name: value for name, value in compiled.params.items() if name not in names}
    if compiled.positiontup is None:  # by name
        return str(compiled), (lambda values: {**own, **values}) if own else dict
    order = compiled.positiontup
    if not own and len(order) > 1:
        return str(compiled), itemgetter(*order)
    return str(compiled), lambda values: tuple({**own, **values}[name] for name in order)
