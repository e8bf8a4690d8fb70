"""A rejected row, read again: what it says of each field, whatever the form of its list.

Of a row that is to be corrected nothing may be lost that decides whether, by which call, in which
language and to whom it is mailed: without it, the row would ask for more than its list did.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from batch_resend.calls import CALLS
from batch_resend.intake import Field
from batch_resend.intake.fed_back import asks_for_word
from batch_resend.intake.fields import (
    RawEntry,
    RawRecord,
    fields_of,
    in_one_line,
    kept_places,
    known_fields,
    second_fields,
)
from batch_resend.intake.json_entries import is_about_entry, with_entries
from batch_resend.intake.json_rows import JsonRecords
from batch_resend.intake.json_shapes import NESTED, inner_record, lifted
from batch_resend.intake.json_text import decode, product_in, together
from batch_resend.intake.reading import Reading
from batch_resend.intake.waiting import as_row
from batch_resend.list_form import ListForm
from batch_resend.model import RejectedRow
from batch_resend.results import InputNote, RowResult

Cells = Mapping[Field, object]

_ADDRESSES = (Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN)
_OF_ENTRY = (*_ADDRESSES, Field.LOCALE)
_OF_THE_CA = "certificate"  # what an order of the CA's names is not for us to mail


def fields_in(inputs: Iterable[InputNote]) -> set[Field]:
    """Return which fields any of the lists has a column or a key for."""
    found: set[Field] = set()
    for form in (note.form for note in inputs):
        known = known_fields(form.columns) if form.is_table else map(Field, form.keys)
        found.update(known, map(Field, form.fields))
    return found


def texts_of(row: RowResult, form: ListForm) -> Iterator[Cells]:
    """Yield what a rejected row of a list says of each field, once for each of its entries."""
    if not form.is_table:
        try:
            value = decode(row.raw)
        except (ValueError, RecursionError):
            value = None  # it stands beside, as it is
        yield from _of_object(form, value, row) if isinstance(value, dict) else ({},)
        return
    cells: Sequence[str] = json.loads(row.raw)
    if form.columns:
        second = second_fields(form.columns)
        known = _known(form.columns, second)
        yield _by_field(form, form.columns, known, cells, without_addresses=form.orders_only)
    else:
        places = {Field(name): int(position) - 1 for name, position in form.fields.items()}
        yield {field: cells[at] for field, at in places.items() if at < len(cells)}


def waiting(entries: Sequence[Cells], row: RowResult) -> list[bool]:
    """Return of each entry of a rejected row whether it is right, and only others are wrong.

    None is where the row as a whole was rejected for something else.
    """
    if len(entries) == 1:
        return [False]
    reason = row.reason or ""
    wrong = [_why_wrong(texts, row) for texts in entries]
    is_by_entry = is_about_entry(reason) or any(why and why in reason for why in wrong)
    is_by_some = is_by_entry and any(wrong)
    return [is_by_some and not why for why in wrong]


def _why_wrong(texts: Cells, row: RowResult) -> str:
    """Return why an entry of a row would be rejected by itself; empty where it is right."""
    accounts = {} if row.account is None else {row.account: None}
    cells = (texts.get(field) for field in (Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN))
    entry = RawEntry(*(str(cell or "") for cell in cells))
    record = RawRecord(row.line, texts, (entry,), row.raw, {}, has_addresses=True)
    found = as_row(record, Reading(call=row.call, accounts=accounts))
    return found.reason if isinstance(found, RejectedRow) else ""


def _known(headings: Sequence[str], second: Container[int] = ()) -> list[Field | None]:
    """Return the field of each heading, of those too that only stay with their rows."""
    kept = {at: field for field, places in kept_places(headings, {}).items() for at in places}
    return [field or kept.get(at) for at, field in enumerate(fields_of(headings, second))]


def _by_field(
    form: ListForm,
    headings: Iterable[str],
    known: Iterable[Field | None],
    values: Iterable[object],
    *,
    without_addresses: bool,
) -> dict[Field, str]:
    """Return the texts of each field; `--map` stands above what a heading is known for."""
    named = {column: Field(field) for field, column in form.fields.items()}
    found: dict[Field, str] = {}
    for heading, meant, value in zip(headings, known, values, strict=False):
        field = named.get(in_one_line(heading)) or (None if meant in form.fields else meant)
        if field is not None and not (without_addresses and field in _ADDRESSES):
            before = found.get(field)
            if field is Field.PRODUCT:  # as it is read in each form
                found[field] = product_in((before, value))
            else:
                found[field] = "; ".join(filter(None, (before, _text(value))))
    return found


def _of_object(form: ListForm, value: dict[str, object], row: RowResult) -> Iterator[Cells]:
    """Yield what an object says; of a nested one, all its entries."""
    mapping = {Field(field): name for field, name in form.fields.items()}
    reading = Reading(mapping, call=row.call)
    value = inner_record(value, reading)
    names_nobody = not form.with_addresses and _names_nobody(value, row, reading)
    body = value.get("body")
    if isinstance(body, dict) and "method" in value:  # a line of `check --out`
        value = {**value, **body}
    with suppress(ValueError):
        value = with_entries(value, form.fields)
    value = lifted(value, form.fields.values())
    found = _by_field(
        form, value, _known(list(value)), value.values(), without_addresses=_OF_THE_CA in value
    )
    entries = value.get(NESTED)
    if NESTED not in value:
        yield {**found, Field.ALL_DOMAINS: "yes"} if names_nobody else found
    elif not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
        yield {**found, Field.EMAIL: _text([entries])}
    elif not found.keys().isdisjoint(_ADDRESSES):
        yield {**found, Field.EMAIL: _text([value])}
    else:
        for entry in entries:
            yield found | {field: _text(entry[field]) for field in _OF_ENTRY if entry.get(field)}


def _names_nobody(value: dict[str, object], row: RowResult, reading: Reading) -> bool:
    """Whether an object is understood, and is about an order of which all domains are meant.

    In a table, which has columns for addresses, it needs the word for that. A person has to write
    it for an object that is not understood, that is about a domain, or whose reason asks for it.
    """
    if CALLS[row.call].is_about_domain or asks_for_word(row.reason or ""):
        return False
    record = JsonRecords(reading).record(row.line, value, row.raw)
    return isinstance(record, RawRecord) and not (
        record.defect or record.may_say_whom or record.texts.get(Field.DOMAIN_ID)
    )


def _is_entry(value: object) -> bool:
    # Of one that names neither, an order would be left alone: mailed for all its domains.
    return isinstance(value, dict) and bool(value.get("domain") or value.get("email"))


def _text(value: object) -> str:
    text = "" if value is None else together(value)
    text = text if isinstance(text, str) else json.dumps(text)
    return text.encode(errors="replace").decode()  # half a character is in no file
