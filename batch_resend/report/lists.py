"""Lists that go back in: unsent.csv, refused.csv, and rejected.csv, which is to be corrected.

They have the form that the lists have in common, so that the same options read them.
"""

import csv
import io
import json
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Literal, NamedTuple, TextIO, TypeVar, cast

from batch_resend.calls import list_fields
from batch_resend.intake import OWN_COLUMNS, REQUEST_FIELDS, Field
from batch_resend.intake.csv_cells import DELIMITERS
from batch_resend.intake.fed_back import (
    ABOUT_REJECTED,
    OWN_OF_OTHER_FORM,
    WAITS,
    folded,
    is_of_spreadsheet,
    own_columns,
    own_place,
)
from batch_resend.intake.fields import (
    COLUMNS,
    Role,
    known_field,
    of_role,
)
from batch_resend.intake.numbers import digits_of
from batch_resend.intake.spreadsheet import may_remake
from batch_resend.list_form import ListForm
from batch_resend.model import Entry, RequestStatus, RowStatus
from batch_resend.report.files import REFUSED, UNSENT
from batch_resend.report.rejected_texts import Cells, fields_in, texts_of, waiting
from batch_resend.report.tables import kept_of
from batch_resend.results import InputNote, Result, RowResult
from batch_resend.visible import defused, defused_row

Rows = AsyncIterator[RowResult]
Value = TypeVar("Value")

# --- orders that were not sent -------------------------------------------------------------------

# What a line has of each field, where it is not the row as it stood.
_OF_ORDERS: Mapping[Field, Callable[[RowResult, Entry, Mapping[str, str]], object]] = {
    Field.ORDER_ID: lambda _, __, named: named.get("order_id"),
    Field.DOMAIN: lambda _, entry, named: entry.domain or named.get("domain"),
    Field.EMAIL: lambda _, entry, __: entry.email,
    Field.EMAIL_DOMAIN: lambda _, entry, __: entry.email_domain,
    Field.LOCALE: lambda row, _, __: row.locale,
    Field.DOMAIN_ID: lambda _, __, named: named.get("domain_id"),
    Field.CALL: lambda row, _, __: row.call,  # the usual one too: --call may name another
    Field.ACCOUNT: lambda row, _, __: row.account,
    # Beside rows with addresses one without needs the word.
    Field.ALL_DOMAINS: lambda _, entry, __: None if entry.email else "yes",
}
# Of rows that have no common form, where some need another call or are an account's.
FOR_OTHER_CALLS = (Field.DOMAIN_ID, Field.CALL, Field.ACCOUNT)
# Those of rejected rows: a field left out would have the row ask for something else.
_OF_REJECTED = tuple(sorted(set(Field) - {*of_role(Role.KEPT)}, key=[*_OF_ORDERS, *Field].index))
_ONLY_WHERE_SAID = frozenset((Field.DCV_METHOD, Field.PRODUCT))  # of these, columns of few lists
# In which list orders are, by what became of them: in one at most, so that none is mailed by both.
_LIST_OF = {
    RequestStatus.FAILED: UNSENT,
    RequestStatus.IN_DOUBT: UNSENT,
    RequestStatus.NOT_ATTEMPTED: UNSENT,
    RequestStatus.REFUSED: REFUSED,
}


async def write_orders(
    rows: Rows,
    inputs: Sequence[InputNote],
    file: TextIO,
    *,
    takes: Callable[[Result], bool],
    others: Sequence[Field] = (),
) -> int:
    """Write the orders that a list takes, in the inputs' own form; return how many rows they have.

    `others`: the columns beyond the first five that some of them need.

    That is their heading row and their rows as they stood, where the inputs share one heading;
    otherwise a line an entry, under the fields' own names, or the columns `--map` gave them. The
    same options read it: their delimiter stands here too, and a byte order mark tells that it is
    UTF-8 where --encoding was given, or where an input had one itself (as this file has, should it
    be the next input: the command for that has --encoding again).
    """
    if Field.CALL in fields_in(inputs):  # which may name but the usual one, where --call does not
        others = tuple(dict.fromkeys((*FOR_OTHER_CALLS, *others)))
    form = _common_form(inputs, (*REQUEST_FIELDS, *others, *_only_kept(inputs)))
    table = csv.writer(file, delimiter=form.delimiter)
    _begin(file, form, form.heading)
    count = 0
    async for row in rows:
        if row.status is RowStatus.ACCEPTED and row.result and takes(row.result):
            count += 1
            table.writerows(
                [json.loads(row.raw)] if form.as_it_stood else map(form.line, _canonical(row))
            )
    return count


def list_of(result: Result, *, with_denied: bool) -> str | None:
    """Return which list an order is in, if any; `with_denied`: unsent.csv takes a 403, too."""
    is_denied = result.status is RequestStatus.REFUSED and result.http_status == 403
    return UNSENT if is_denied and with_denied else _LIST_OF.get(result.status)


def _canonical(row: RowResult) -> Iterator[Cells]:
    named = list_fields(row.order_id or "", row.call)
    for entry in row.entries or (Entry("", ""),):
        made = {field: make(row, entry, named) for field, make in _OF_ORDERS.items()}
        yield {**made, **cast("Cells", row.kept)}


def _only_kept(inputs: Sequence[InputNote]) -> list[Field]:
    """Return which columns of the lists ask for nothing: the CA's words may decide what is sent."""
    return [which for which in kept_of(inputs) if COLUMNS[which].role is Role.KEPT]


async def write_rejected(rows: Rows, inputs: Sequence[InputNote], file: TextIO) -> int:
    """Write the rejected rows in the form of unsent.csv, to be corrected; return how many.

    Behind what their list had stand the file, the line, the reason, and these cells as they stand,
    as one text: `intake.fed_back` knows by it what was not corrected. Where the list has another
    form, the record as it stood there comes before that.
    """
    without = _ONLY_WHERE_SAID - fields_in(inputs)
    fields = [which for which in _OF_REJECTED if which not in without]
    form = _common_form(inputs, (*fields, *_only_kept(inputs)))
    before = _own_at_end(form.heading)
    named = {column for note in inputs for column in note.form.fields.values()}
    width = len(form.heading) - len(before)  # without the columns of such a file, if one was sent
    heading = [_harmless(name, named) for name in form.heading[:width]]
    table = csv.writer(file, delimiter=form.delimiter)
    own = (before or OWN_COLUMNS) if form.as_it_stood else OWN_OF_OTHER_FORM
    _begin(file, form, (*heading, *own) if heading else ())
    count = 0
    async for row in rows:
        count += 1
        if form.as_it_stood:
            lines = _as_it_stood(row, inputs, width, len(before), form.delimiter)
        else:
            lines = _field_by_field(row, inputs, form)
        table.writerows(map(defused_row, lines))
    return count


def _own_at_end(heading: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a rejected.csv with which a heading ends, if it is that of one."""
    forms = (OWN_OF_OTHER_FORM, OWN_COLUMNS)
    return next((own for own in forms if heading[-len(own) :] == own), ())


def _as_it_stood(
    row: RowResult, inputs: Sequence[InputNote], width: int, own: int, delimiter: str
) -> Iterator[list[object]]:
    """Yield a row in so many columns, and what is said about it, as it stood among that.

    `own`: how many of its columns said that before.
    """
    cells: list[str] = json.loads(row.raw)
    about = cells[width : width + own]
    del cells[width : width + own]
    delimiter = _of_text(delimiter)
    inside = folded(cells, width, delimiter)
    padding = [""] * (width - len(inside))
    text = _stood_before(row, about) or _as_line(cells, delimiter)
    origin = origin_of(row, inputs)
    record = [origin.record] if own == len(OWN_OF_OTHER_FORM) else []
    yield [*inside, *padding, origin.file, origin.line, row.reason, *record, text]


def _field_by_field(
    row: RowResult, inputs: Sequence[InputNote], form: "_Form"
) -> Iterator[list[object]]:
    origin = origin_of(row, inputs)
    entries = list(texts_of(row, inputs[row.input_ordinal].form))
    for texts, waits in zip(entries, waiting(entries, row), strict=True):
        reason = WAITS if waits else row.reason
        cells = form.line(texts)
        stood = origin.stood or _as_line(cells, _of_text(form.delimiter))
        yield [*cells, origin.file, origin.line, reason, origin.record, stood]


def _harmless(heading: str, named: set[str]) -> str:
    """Return a heading that no spreadsheet runs as a formula; what it is known by stays."""
    is_known = heading.strip() in named or known_field(heading) is not None
    return heading if is_known else defused(heading)


class Origin(NamedTuple):
    """Where a row was first, and what of it was not written by us."""

    file: str
    line: int
    text: str  # a row of cells as a line of CSV
    record: str  # the same as the list had it of which this was made
    stood: str = ""  # as a rejected.csv has its cells, before only a spreadsheet changed them


def origin_of(row: RowResult, inputs: Sequence[InputNote]) -> Origin:
    """Return where a row stood; of one in a rejected.csv, in the list that this was made of."""
    note = inputs[row.input_ordinal]
    if not note.form.is_table:
        return Origin(note.name, row.line, row.raw, row.raw)
    cells: list[str] = json.loads(row.raw)
    own = _own_place(note.form, cells)
    about = cells[own]
    del cells[own]
    text = _as_line(cells, _of_text(note.form.delimiter))
    stood = _stood_before(row, about)
    record = about[len(ABOUT_REJECTED)] if len(about) == len(OWN_OF_OTHER_FORM) else text
    match about:
        case [file, line, *_] if file and (number := digits_of(line)):
            return Origin(file, int(number), stood or text, record, stood)
    return Origin(note.name, row.line, stood or text, record, stood)


def _stood_before(row: RowResult, about: Sequence[str]) -> str:
    """Return a row as one text, as it stood before a spreadsheet changed its number; or "".

    That is compared again, next time. `about`: what a rejected.csv said of it.
    """
    has_all = len(about) >= len(OWN_COLUMNS)
    return about[-1] if has_all and is_of_spreadsheet(row.reason or "") else ""


def _own_place(form: ListForm, cells: Sequence[str]) -> slice:
    """Return where the columns of a rejected.csv are in a row of a list, if it has them all."""
    if not form.columns:
        at = own_place(cells, [int(position) - 1 for position in form.fields.values()])
        return slice(0, 0) if at is None else slice(at, at + len(OWN_OF_OTHER_FORM))
    places = own_columns(form.columns)
    has_all = len(places) >= len(OWN_COLUMNS)
    return slice(min(places), max(places) + 1) if has_all else slice(0, 0)


def _of_text(delimiter: str | None) -> str:
    """Return what separates the cells of a row as one text: it is read again without options."""
    return delimiter if delimiter in DELIMITERS else ","


def _as_line(cells: Sequence[object], delimiter: str) -> str:
    """Return a row as one text that no spreadsheet takes for something else."""
    line = _joined(cells, delimiter, csv.QUOTE_MINIMAL)
    return _joined(cells, delimiter, csv.QUOTE_ALL) if may_remake(line) else line


def _joined(cells: Sequence[object], delimiter: str, quoting: Literal[0, 1]) -> str:
    line, end = io.StringIO(newline=""), "\r\n"  # what is part of it, is quoted in a cell
    csv.writer(line, delimiter=delimiter, lineterminator=end, quoting=quoting).writerow(cells)
    return line.getvalue().removesuffix(end)


# --- the form that lists have in common ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """How rows are written that go back into `send`."""

    delimiter: str
    marked: bool  # with a byte order mark
    heading: tuple[str, ...]
    places: Mapping[Field, int] | None  # None: rows are written as they stood

    @property
    def as_it_stood(self) -> bool:
        """Whether rows are written as they stood: the lists share a heading."""
        return self.places is None

    def line(self, cells: Cells) -> list[object]:
        """Return a line with each field in its place."""
        places = self.places or {}
        line: list[object] = [None] * (max(places.values()) + 1)
        for field, place in places.items():
            line[place] = cells.get(field)
        return line


def _common_form(inputs: Sequence[InputNote], names: Sequence[Field]) -> _Form:
    forms = [note.form for note in inputs]
    delimiter = _common({form.delimiter for form in forms} - {None}) or ","
    marked = any(form.marked for form in forms)
    fields = forms[0].fields if forms else {}
    if heading := _common({form.columns for form in forms}):
        return _Form(delimiter, marked, heading, None)
    if fields and any(form.is_table and not form.columns for form in forms):
        # Not as they stood: of few rows without a heading nothing would show what is not read.
        counted = {Field(field): int(position) - 1 for field, position in fields.items()}
        return _Form(delimiter, marked, (), counted)
    heading = tuple(fields.get(name, name) for name in names)
    return _Form(delimiter, marked, heading, {name: place for place, name in enumerate(names)})


def _common(values: set[Value]) -> Value | None:
    """Return the one value that there is; None where there are several, or none."""
    return values.pop() if len(values) == 1 else None


def _begin(file: TextIO, form: _Form, heading: Sequence[str]) -> None:
    """Write what stands in front of the rows: a byte order mark, and the heading row."""
    if form.marked:
        file.write("\ufeff")
    if heading:
        # Unquoted, a first heading such as [Order] would pass for the beginning of JSON.
        like_json = heading[0].lstrip().startswith(("{", "["))
        csv.writer(
            file,
            delimiter=form.delimiter,
            quoting=csv.QUOTE_ALL if like_json else csv.QUOTE_MINIMAL,
        ).writerow(heading)
