"""Lists that go back in: unsent.csv, refused.csv, and rejected.csv, which is to be corrected.

They have the form that the lists have in common, so that the same options read them.
"""

import csv
import io
import json
from collections.abc import (
    AsyncIterator,
    Callable,
    Container,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Literal, NamedTuple, TextIO, TypeVar, cast

from batch_resend.calls import list_fields
from batch_resend.intake import OWN_COLUMNS, REQUEST_FIELDS, Field
from batch_resend.intake.as_it_stood import Stood, as_it_stood, in_columns, stood_in
from batch_resend.intake.fed_back import (
    OWN_OF_OTHER_FORM,
    WAITS,
    is_unchanged,
    made_of,
    own_of,
    places_of,
    text_of,
)
from batch_resend.intake.fields import (
    COLUMNS,
    SUBJECTS,
    Role,
    known_field,
    of_role,
)
from batch_resend.intake.numbers import digits_of
from batch_resend.intake.spreadsheet import may_remake
from batch_resend.list_form import DELIMITERS, ListForm
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
    by heading, as one text: `intake.fed_back` knows by it what was not corrected. Where the list
    has another form, the record as it stood there comes before that.
    """
    form = _form_of_rejected(inputs)
    names, own = _columns_of_rejected(form, inputs)
    named = {column for note in inputs for column in note.form.fields.values()}
    heading = [_harmless(name, named) for name in names]
    table = csv.writer(file, delimiter=form.delimiter)
    _begin(file, form, (*heading, *own) if heading else ())
    count = 0
    async for row in rows:
        count += 1
        if form.as_it_stood:
            lines = _as_it_stood(row, inputs, names, own, form.delimiter)
        else:
            lines = _field_by_field(row, inputs, form)
        table.writerows(map(defused_row, lines))
    return count


def _form_of_rejected(inputs: Sequence[InputNote]) -> "_Form":
    without = _ONLY_WHERE_SAID - fields_in(inputs)
    fields = [which for which in _OF_REJECTED if which not in without]
    return _common_form(inputs, (*fields, *_only_kept(inputs)))


def _columns_of_rejected(
    form: "_Form", inputs: Sequence[InputNote]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the columns of the lists, and ours: once, also where such a file was sent."""
    if not form.as_it_stood:
        return form.heading, OWN_OF_OTHER_FORM
    before = next((note.form.own for note in inputs if note.form.own), {})
    own = OWN_OF_OTHER_FORM if "record" in before else OWN_COLUMNS
    return _without(form.heading, places_of(before)), own


def _without(cells: Sequence[str], places: Container[int]) -> list[str]:
    return [cell for at, cell in enumerate(cells) if at not in places]


def _as_it_stood(
    row: RowResult,
    inputs: Sequence[InputNote],
    names: Sequence[str],
    own: Container[str],
    delimiter: str,
) -> Iterator[list[object]]:
    """Yield a row below these names, and what is said about it, as it stood among that."""
    origin = origin_of(row, inputs)
    stood = origin.stood if is_unchanged(row.reason or "") else ""
    inside = in_columns(origin.cells, len(names), _of_text(delimiter))
    record = [origin.record] if "record" in own else []
    text = stood or as_it_stood(names, origin.cells, stood_in(origin.stood))
    yield [*inside, origin.file, origin.line, row.reason, *record, text]


def _field_by_field(
    row: RowResult, inputs: Sequence[InputNote], form: "_Form"
) -> Iterator[list[object]]:
    origin = origin_of(row, inputs)
    entries = list(texts_of(row, inputs[row.input_ordinal].form))
    before = stood_in(origin.stood) if is_unchanged(row.reason or "") else None
    for texts, waits in zip(entries, waiting(entries, row), strict=True):
        reason = WAITS if waits else row.reason
        stood = _fields_as_they_stood(texts, form, before)
        yield [*form.line(texts), origin.file, origin.line, reason, origin.record, stood]


def _fields_as_they_stood(texts: Cells, form: "_Form", before: Stood | None) -> str:
    """Return the fields of a row as one text, with numbers before a spreadsheet changed them."""
    said = {field: texts.get(field) for field in form.places or ()}
    if before:
        numbers = {of: str(said[of]) for of in SUBJECTS if said.get(of)}
        said |= {of: made_of(before.texts, now) or now for of, now in numbers.items()}
    return as_it_stood([form.called(field) for field in said], list(said.values()))


def _harmless(heading: str, named: set[str]) -> str:
    """Return a heading that no spreadsheet runs as a formula; what it is known by stays."""
    is_known = heading.strip() in named or known_field(heading) is not None
    return heading if is_known else defused(heading)


class Origin(NamedTuple):
    """Where a row was first, and what of it was not written by us."""

    file: str
    line: int
    cells: Sequence[str]  # of a table
    text: str  # these as a line of CSV, or the record
    record: str  # the same as the list had it of which this was made
    stood: str = ""  # its cells, as a rejected.csv says that they stood


def origin_of(row: RowResult, inputs: Sequence[InputNote]) -> Origin:
    """Return where a row stood; of one in a rejected.csv, in the list that this was made of."""
    note = inputs[row.input_ordinal]
    if not note.form.is_table:
        return Origin(note.name, row.line, (), row.raw, row.raw)
    raw: list[str] = json.loads(row.raw)
    own = note.form.own if note.form.columns else own_of(raw)
    file, line, _, record, stood = (text_of(name, raw, own) for name in OWN_OF_OTHER_FORM)
    cells = _without(raw, places_of(own))
    text = _as_line(cells, _of_text(note.form.delimiter))
    if not (file and digits_of(line)):
        file, line = note.name, str(row.line)
    return Origin(file, int(digits_of(line)), cells, text, record or text, stood)


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

    def called(self, field: Field) -> str:
        """Return the heading of a field; where there is none, its own name."""
        return self.heading[(self.places or {})[field]] if self.heading else field

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
    marked = any(form.marked for form in forms)
    fields = forms[0].fields if forms else {}
    heading = _common({form.columns for form in forms}) or ()
    delimiter = _delimiter(forms, heading)
    if heading:
        return _Form(delimiter, marked, heading, None)
    if fields and any(form.is_table and not form.columns for form in forms):
        # Not as they stood: of few rows without a heading nothing would show what is not read.
        counted = {Field(field): int(position) - 1 for field, position in fields.items()}
        return _Form(delimiter, marked, (), counted)
    heading = tuple(fields.get(name, name) for name in names)
    return _Form(delimiter, marked, heading, {name: place for place, name in enumerate(names)})


def _delimiter(forms: Sequence[ListForm], heading: Sequence[str]) -> str:
    """Return what stands between cells: of one column a heading shows nothing, and a comma is read.

    Unless the delimiter is none of the usual ones, which only --delimiter says.
    """
    shared = _common({form.delimiter for form in forms} - {None}) or ","
    return "," if len(heading) == 1 and shared in DELIMITERS else shared


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
