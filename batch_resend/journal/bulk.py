"""One statement for many rows: its text is made once, the rows go to the driver as they are.

SQLAlchemy's own way takes each row through its compiler's parameters and its types' processors,
which here change nothing: it costs several times what SQLite does.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

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
