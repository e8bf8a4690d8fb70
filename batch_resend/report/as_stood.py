"""A rejected row as it stood in its list -> the texts of the fields, for a person to correct.

What the row asked for is not understood: nothing here repairs it. What has another type than a cell
can hold becomes its JSON text, which no field takes, so that uncorrected it is rejected again.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from batch_resend.intake import Field
from batch_resend.intake.json_rows import NESTED, decode
from batch_resend.intake.vocabulary import fields_of, in_one_line, second_fields
from batch_resend.model import ListForm

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
