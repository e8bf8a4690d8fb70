"""The report's tables, each streamed from the journal into its file."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TextIO

from batch_resend.durations import timestamp
from batch_resend.intake import Field
from batch_resend.model import Entry, InputNote, OrderStatus, Result, RowResult, RowStatus

FIELDS = tuple(Field)
RESULT_COLUMNS = (
    "file", "line", *FIELDS, "status", "reason", "http_status", "error_code", "attempts",
    "possible_duplicate", "first_attempt_at", "last_attempt_at",
)  # fmt: skip
UNSENT = frozenset((OrderStatus.FAILED, OrderStatus.IN_DOUBT, OrderStatus.NOT_ATTEMPTED))

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Rows = AsyncIterator[RowResult]


async def write_results_csv(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write a line a row, in the order of the lists."""
    table = csv.writer(file)
    table.writerow(RESULT_COLUMNS)
    async for row in rows:
        table.writerow(map(_defused, _result_cells(row, inputs)))


def _result_cells(row: RowResult, inputs: Sequence[InputNote]) -> Iterator[object]:
    result = row.result
    yield from (inputs[row.input_ordinal].name, row.line, row.order_id)
    yield from (
        "; ".join(texts)
        for texts in (
            [entry.domain for entry in row.entries],
            [entry.email for entry in row.entries],
            [entry.email_domain for entry in row.entries if entry.email_domain],
        )
    )
    yield row.locale
    if result is None or row.status is not RowStatus.ACCEPTED:
        yield from (row.status, row.reason, *[None] * 6)
        return
    yield from (result.status, result.error_message, result.http_status, result.error_code)
    yield from (result.attempts, _yes_no(result.possible_duplicates > 0))
    yield from (_time(result.first_attempt_at), _time(result.last_attempt_at))


async def write_results_jsonl(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write an object a request. `rows` has the rows of one request together."""
    source: list[dict[str, object]] = []
    result: Result | None = None
    async for row in rows:
        if row.result is None:
            continue
        if result is not None and row.result.number != result.number:
            _write_object(result, source, file)
            source = []
        result = row.result
        source.append({"file": inputs[row.input_ordinal].name, "line": row.line})
    if result is not None:
        _write_object(result, source, file)


def _write_object(result: Result, source: list[dict[str, object]], file: TextIO) -> None:
    described = {
        "order_id": result.order_id,
        "locale": result.locale,
        "entries": [_entry_object(entry) for entry in result.entries],
        "status": result.status,
        "http_status": result.http_status,
        "error_code": result.error_code,
        "error_message": result.error_message,
        "attempts": result.attempts,
        "possible_duplicate": result.possible_duplicates > 0,
        "first_attempt_at": _time(result.first_attempt_at),
        "last_attempt_at": _time(result.last_attempt_at),
        "source": source,
    }
    file.write(json.dumps(described, ensure_ascii=False) + "\n")


def _entry_object(entry: Entry) -> dict[str, str]:
    described = {"domain": entry.domain, "email": entry.email}
    return described | ({"email_domain": entry.email_domain} if entry.email_domain else {})


async def write_unsent(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write all that a next run should take, in the inputs' own form.

    That is their heading row and their rows as they stood, where the inputs share one heading;
    otherwise a line an entry, under the fields' own names, or the headings `--map` gave them.
    """
    form = _common_form(inputs)
    table = csv.writer(file)
    # Unquoted, a first heading such as [Order] would pass for the beginning of JSON.
    looks_like_json = form.columns[0].lstrip().startswith(("{", "["))
    heading = csv.writer(file, quoting=csv.QUOTE_ALL) if looks_like_json else table
    heading.writerow(form.columns)
    async for row in rows:
        if row.status is RowStatus.ACCEPTED and row.result and row.result.status in UNSENT:
            table.writerows(form.lines(row))


async def write_rejected(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write the rejected rows: file, line, reason, and the row as it stood."""
    columns = _common_columns(inputs)
    table = csv.writer(file)
    table.writerow(("file", "line", "reason", *map(_defused, columns or ("row",))))
    async for row in rows:
        cells = json.loads(row.raw) if columns else [_as_text(row, inputs)]
        place = (inputs[row.input_ordinal].name, row.line, row.reason)
        table.writerow(map(_defused, (*place, *cells)))


def _as_text(row: RowResult, inputs: Sequence[InputNote]) -> str:
    """Return a row as one text: a CSV row as a line of CSV."""
    if not inputs[row.input_ordinal].columns:
        return row.raw
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(json.loads(row.raw))
    return line.getvalue()


class _Form:
    """How unsent rows are written."""

    def __init__(
        self, columns: Sequence[str], lines: Callable[[RowResult], Iterable[Sequence[object]]]
    ) -> None:
        self.columns = columns
        self.lines = lines


def _common_form(inputs: Sequence[InputNote]) -> _Form:
    if columns := _common_columns(inputs):
        return _Form(columns, lambda row: [json.loads(row.raw)])
    named = inputs[0].fields if inputs else {}
    return _Form([named.get(name, name) for name in FIELDS], _canonical_lines)


def _common_columns(inputs: Sequence[InputNote]) -> tuple[str, ...]:
    """Return the heading row that all inputs share; empty where they do not."""
    headings = {note.columns for note in inputs}
    return headings.pop() if len(headings) == 1 else ()


def _canonical_lines(row: RowResult) -> Iterator[Sequence[object]]:
    if not row.entries:
        yield (row.order_id, None, None, None, row.locale)
    for entry in row.entries:
        yield (row.order_id, entry.domain, entry.email, entry.email_domain, row.locale)


def _defused(cell: object) -> object:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
