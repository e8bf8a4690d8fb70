"""The tables of a report: results, unsent and rejected rows."""

import csv
import io
import json
from collections.abc import (
    AsyncIterator,
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from typing import TextIO

from pydantic_core import to_json

from batch_resend.calls import list_fields
from batch_resend.clock import timestamp
from batch_resend.intake import FORMULA_SIGNS, OWN_COLUMNS, REQUEST_FIELDS, Field
from batch_resend.intake.json_rows import NESTED, decode
from batch_resend.intake.vocabulary import fields_of, in_one_line, known_field, second_fields
from batch_resend.model import Call, Entry, ListForm, RequestStatus, RowStatus
from batch_resend.results import InputNote, RequestResult, Result, RowResult

_ADDRESSES = (Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN)
_OF_THE_CA = "certificate"  # what an order of the CA's names is not for us to mail

Texts = Mapping[Field, str]


def texts_of(raw: str, form: ListForm) -> Iterator[Texts]:
    """Yield what a rejected row of a list says of each field, once for each of its entries."""
    if form.is_table:
        cells: Sequence[str] = json.loads(raw)
        if form.columns:
            yield _of_columns(form, cells)
        else:
            yield {
                Field(name): cells[int(position) - 1]
                for name, position in form.fields.items()
                if int(position) <= len(cells)
            }
        return
    try:
        value = decode(raw)
    except (ValueError, RecursionError):
        value = None  # it stands beside, as it is
    yield from _of_object(form, value) if isinstance(value, dict) else ({},)


def _of_columns(form: ListForm, cells: Sequence[str]) -> Texts:
    found: dict[Field, str] = {}
    fields = [
        _field_of(heading, form, known)
        for heading, known in _known(form.columns, second_fields(form.columns))
    ]
    for field, cell in zip(fields, cells, strict=False):
        if field is not None and not (form.orders_only and field in _ADDRESSES):
            found[field] = "; ".join(filter(None, (found.get(field), cell)))
    return found


def _of_object(form: ListForm, value: dict[str, object]) -> Iterator[Texts]:
    """Yield what an object says; of a nested one, all its entries."""
    body = value.get("body")
    if isinstance(body, dict) and "method" in value:  # a line of `check --out`
        value = {**value, **body}
    found: dict[Field, str] = {}
    for (key, known), one in zip(_known(value, ()), value.values(), strict=True):
        field = _field_of(key, form, known)
        if field is not None and not (_OF_THE_CA in value and field in _ADDRESSES):
            found[field] = "; ".join(filter(None, (found.get(field), _text(one))))
    if NESTED not in value:
        yield found
        return
    entries = value[NESTED]
    if not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
        yield {**found, Field.EMAIL: _text([entries])}
        return
    if not found.keys().isdisjoint(_ADDRESSES):
        yield {**found, Field.EMAIL: _text([value])}
        return
    for entry in entries:
        yield found | {field: _text(entry[field]) for field in _ADDRESSES if field in entry}


def _is_entry(value: object) -> bool:
    # Of one that names neither, an order would be left alone: mailed for all its domains.
    return isinstance(value, dict) and bool(value.get("domain") or value.get("email"))


def _known(
    headings: Iterable[str], second: Container[int]
) -> Iterator[tuple[str, Field | None]]:  # fmt: skip
    names = list(headings)
    return zip(names, fields_of(names, second), strict=True)


def _field_of(heading: str, form: ListForm, known: Field | None) -> Field | None:
    for name, column in form.fields.items():
        if column == in_one_line(heading):
            return Field(name)
    return None if known in form.fields else known


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    several = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    return "; ".join(value) if several and isinstance(value, list) else json.dumps(value)


RESULT_COLUMNS = (
    "file", "line", *REQUEST_FIELDS, "status", "reason", "http_status", "error_code", "attempts",
    "possible_duplicate", "first_attempt_at", "last_attempt_at", "call",
    "account",
)  # fmt: skip
# Of rows that have no common form, where some need another call or are an account's.
FOR_OTHER_CALLS = (Field.DOMAIN_ID, Field.CALL, Field.ACCOUNT)
_ALL_FIELDS = (*REQUEST_FIELDS, *FOR_OTHER_CALLS, Field.ALL_DOMAINS)
# Those of rejected rows: a field left out would have the row ask for something else.
_OF_REJECTED = tuple(
    sorted(set(Field) - {Field.DCV_METHOD, Field.PRODUCT}, key=[*_ALL_FIELDS, *Field].index)
)
UNSENT = frozenset((RequestStatus.FAILED, RequestStatus.IN_DOUBT, RequestStatus.NOT_ATTEMPTED))

_NO_ENTRY = Entry("", "")

Rows = AsyncIterator[RowResult]


async def write_results_csv(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write a line a row, in the order of the lists."""
    table = csv.writer(file)
    table.writerow(RESULT_COLUMNS)
    names = [defused(note.name) for note in inputs]
    async for row in rows:
        table.writerow((names[row.input_ordinal], row.line, *_row_cells(row), *_came_of(row)))


def _row_cells(row: RowResult) -> Iterator[object]:
    """Yield what a row asks for."""
    yield defused(row.order_id)
    yield defused("; ".join([entry.domain for entry in row.entries if entry.domain]))
    yield defused("; ".join([entry.email for entry in row.entries]))
    yield defused("; ".join([e.email_domain for e in row.entries if e.email_domain]))
    yield defused(row.locale)


def _came_of(row: RowResult) -> tuple[object, ...]:
    """Return what came of a row, and by which call, of which account."""
    result, by = row.result, (row.call, defused(row.account))
    if result is None or row.status is not RowStatus.ACCEPTED:
        return row.status, defused(row.reason), *[None] * 6, *by
    return (
        result.status,
        defused(result.error_message),
        result.http_status,
        defused(result.error_code),
        result.attempts,
        _yes_no(result.possible_duplicates > 0),
        _time(result.first_attempt_at),
        _time(result.last_attempt_at),
        *by,
    )


async def write_results_jsonl(
    results: AsyncIterator[RequestResult], inputs: Sequence[InputNote], file: TextIO
) -> None:
    """Write an object a request."""
    async for found in results:
        file.write(to_json(_request_object(found, inputs)).decode() + "\n")


def _request_object(found: RequestResult, inputs: Sequence[InputNote]) -> dict[str, object]:
    order, result = found.order, found.result
    described: dict[str, object] = {
        "order_id": order.subject,
        "locale": order.locale,
        "entries": [_entry_object(entry) for entry in order.entries],
        "status": result.status,
        "http_status": result.http_status,
        "error_code": result.error_code,
        "error_message": result.error_message,
        "attempts": result.attempts,
        "possible_duplicate": result.possible_duplicates > 0,
        "first_attempt_at": _time(result.first_attempt_at),
        "last_attempt_at": _time(result.last_attempt_at),
        "source": [
            {"file": inputs[source.input_ordinal].name, "line": source.line}
            for source in found.sources
        ],
    }
    if order.call is not Call.DV_RESEND:
        described["call"] = order.call
    if order.account is not None:
        described["account"] = order.account
    return described


def _entry_object(entry: Entry) -> dict[str, str]:
    described = {"domain": entry.domain, "email": entry.email}
    return described | ({"email_domain": entry.email_domain} if entry.email_domain else {})


async def write_unsent(
    rows: Rows,
    inputs: Sequence[InputNote],
    file: TextIO,
    *,
    denied_too: bool,
    others: Sequence[Field] = (),
) -> None:
    """Write all that a next run should take, in the inputs' own form; `denied_too`: after 403 too.

    `others`: the columns beyond the first five that some of them need.

    That is their heading row and their rows as they stood, where the inputs share one heading;
    otherwise a line an entry, under the fields' own names, or the columns `--map` gave them. The
    same options read it: their delimiter stands here too, and a byte order mark tells that it is
    UTF-8 where --encoding says that the inputs were not.
    """
    form = _common_form(inputs, (*REQUEST_FIELDS, *others))
    table = csv.writer(file, delimiter=form.delimiter)
    _begin(file, form)
    async for row in rows:
        if row.status is RowStatus.ACCEPTED and row.result and _is_unsent(row.result, denied_too):
            table.writerows(form.lines(row))


def _is_unsent(result: Result, denied_too: bool) -> bool:
    denied = result.status is RequestStatus.REFUSED and result.http_status == 403
    return result.status in UNSENT or (denied and denied_too)


def _begin(file: TextIO, form: "_Form") -> None:
    """Write what stands in front of the rows: a byte order mark, and the heading row."""
    if form.marked:
        file.write("\ufeff")
    if form.heading:
        # Unquoted, a first heading such as [Order] would pass for the beginning of JSON.
        looks_like_json = str(form.heading[0]).lstrip().startswith(("{", "["))
        heading = (
            csv.writer(file, delimiter=form.delimiter, quoting=csv.QUOTE_ALL)
            if looks_like_json
            else csv.writer(file, delimiter=form.delimiter)
        )
        heading.writerow(form.heading)


async def write_rejected(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> None:
    """Write the rejected rows in the form of unsent.csv, so that they can be corrected and sent.

    Behind what their list had stand the file, the line, the reason, and the row as it stood, as one
    text: `intake.fed_back` knows by it what was not corrected.
    """
    form = _form_of_rejected(inputs)
    table = csv.writer(file, delimiter=form.delimiter)
    _begin(file, form)
    async for row in rows:
        table.writerows(map(defused, line) for line in form.lines(row))


def _form_of_rejected(inputs: Sequence[InputNote]) -> "_Form":
    form = _common_form(inputs, _OF_REJECTED)
    fields = inputs[0].form.fields if inputs else {}

    def about(row: RowResult) -> tuple[object, ...]:
        return inputs[row.input_ordinal].name, row.line, row.reason

    if columns := _common_columns(inputs):
        own = _own_columns(columns)
        width = len(columns) - own

        def as_they_stood(row: RowResult) -> Iterator[Sequence[object]]:
            cells = json.loads(row.raw)
            padded = cells[:width] + [""] * (width - len(cells))
            more = cells[width + own :]
            yield (*padded, *about(row), as_line([*cells[:width], *more]), *more)

        heading = (*(_harmless(name, fields) for name in columns[:width]), *OWN_COLUMNS)
        return replace(form, heading=heading, lines=as_they_stood)

    def by_fields(row: RowResult) -> Iterator[Sequence[object]]:
        for texts in texts_of(row.raw, inputs[row.input_ordinal].form):
            if form.heading:
                cells = [texts.get(name, "") for name in _OF_REJECTED]
            else:
                cells = [""] * max(map(int, fields.values()))
                for name, position in fields.items():
                    cells[int(position) - 1] = texts.get(Field(name), "")
            yield (*cells, *about(row), as_text(row, inputs))

    heading = (*form.heading, *OWN_COLUMNS) if form.heading else ()
    return replace(form, heading=heading, lines=by_fields)


def _own_columns(columns: Sequence[str]) -> int:
    """Return how many columns are those of a rejected.csv, where that is what was read."""
    return len(OWN_COLUMNS) if tuple(columns[-len(OWN_COLUMNS) :]) == OWN_COLUMNS else 0


def _harmless(heading: str, fields: Mapping[str, str]) -> object:
    """Return a heading that no spreadsheet runs as a formula; what it is known by stays."""
    is_known = heading.strip() in fields.values() or known_field(heading) is not None
    return heading if is_known else defused(heading)


def as_text(row: RowResult, inputs: Sequence[InputNote]) -> str:
    """Return a row as one text: a CSV row as a line of CSV."""
    if not inputs[row.input_ordinal].form.is_table:
        return row.raw
    return as_line(json.loads(row.raw))


def as_line(cells: Sequence[str]) -> str:
    """Return cells as a line of CSV, without a line end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


@dataclass(frozen=True, slots=True)
class _Form:
    """How unsent rows are written."""

    delimiter: str
    marked: bool  # with a byte order mark
    heading: Sequence[object]
    lines: Callable[[RowResult], Iterable[Sequence[object]]]


def _common_form(inputs: Sequence[InputNote], names: Sequence[Field]) -> _Form:
    delimiters = {note.form.delimiter for note in inputs} - {None}
    delimiter = next(iter(delimiters)) if len(delimiters) == 1 else None
    marked = any(note.form.encoding for note in inputs)
    fields = inputs[0].form.fields if inputs else {}
    if columns := _common_columns(inputs):
        return _Form(delimiter or ",", marked, columns, _as_it_stood)
    if fields and _by_position(inputs):
        # Not as they stood: of few rows without a heading nothing would show what is not read.
        places = {field: int(position) - 1 for field, position in fields.items()}
        return _Form(delimiter or ",", marked, (), lambda row: _placed(row, places))
    heading = [fields.get(name, name) for name in names]

    def lines(row: RowResult) -> Iterator[Sequence[object]]:
        for line in _canonical_lines(row):
            cells = dict(zip(_ALL_FIELDS, line, strict=True))
            yield [cells[name] for name in names]

    return _Form(delimiter or ",", marked, heading, lines)


def _common_columns(inputs: Sequence[InputNote]) -> tuple[str, ...]:
    """Return the heading row that all inputs share; empty where they do not."""
    headings = {note.form.columns for note in inputs}
    return headings.pop() if len(headings) == 1 else ()


def _by_position(inputs: Sequence[InputNote]) -> bool:
    """Whether --map counts columns, as it does in tables without a heading row."""
    return any(note.form.is_table and not note.form.columns for note in inputs)


def _as_it_stood(row: RowResult) -> Iterable[Sequence[object]]:
    return (json.loads(row.raw),)


def _placed(row: RowResult, places: Mapping[str, int]) -> Iterator[Sequence[object]]:
    """Yield the lines of a row with every field where --map says."""
    for cells in _canonical_lines(row):
        line: list[object] = [None] * (max(places.values()) + 1)
        for field, cell in zip(_ALL_FIELDS, cells, strict=True):
            if field in places:
                line[places[field]] = cell
        yield line


def _canonical_lines(row: RowResult) -> Iterator[Sequence[object]]:
    named = list_fields(row.order_id or "", row.call)
    call = None if row.call is Call.DV_RESEND else row.call
    for entry in row.entries or (_NO_ENTRY,):
        yield (
            named.get("order_id"),
            entry.domain or named.get("domain"),
            entry.email or None,
            entry.email_domain,
            row.locale,
            named.get("domain_id"),
            call,
            row.account,
            # Beside rows with addresses it needs the word.
            None if entry.email else _yes_no(True),
        )


def defused(cell: object) -> object:
    """Return a cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
