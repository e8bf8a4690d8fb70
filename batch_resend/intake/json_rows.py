"""JSON records, flat or nested -> raw records.

{"order_id": 1, "domain": "example.com", "email": "admin@example.com"}
{"order_id": 1, "domain_approval_emails": [{"domain": ..., "email": ...}], "locale": "en"}
{"id": 1, "certificate": {...}, "status": "pending", "product": {...}}    as the CA lists orders
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from batch_resend.errors import InputError
from batch_resend.intake.headings import (
    ADDRESSES,
    Field,
    find_columns,
    known_field,
    require_subject,
)
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import Call, Problem, RejectedRow

NESTED = "domain_approval_emails"
_OF_THE_CA = "certificate"  # every order of the pages "List orders" and "Order info" has one
_PRODUCT_KEYS = ("name", "name_id", "type")
_NAMING_KEYS = ("order_id", "domain_id", "domain", "call", "account")
_IN_WORDS = {
    "string_type": "a text is expected",
    "list_type": "a list is expected",
    "model_type": "an object is expected",
    "missing": "is missing",
}


def _together(value: object) -> object:
    """Return several texts as one cell has them."""
    several = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    return "; ".join(value) if several and isinstance(value, list) else value


class JsonEntry(BaseModel):
    """One entry of the nested form."""

    model_config = ConfigDict(extra="ignore")

    domain: str
    email: str
    email_domain: str | None = None


class JsonRecord(BaseModel):
    """A record of any form, its keys already brought to the fields' names."""

    model_config = ConfigDict(extra="ignore")

    order_id: object = None
    domain_id: object = None
    domain: str | None = None
    email: Annotated[str | None, BeforeValidator(_together)] = None
    email_domain: str | None = None
    domain_approval_emails: list[JsonEntry] | None = None
    locale: str | None = None
    status: str | None = None
    dcv_method: str | None = None
    call: str | None = None
    account: str | None = None


def decode(text: str) -> object:
    """Return what a JSON text says. Raises ValueError, RecursionError."""
    return DECODER.decode(text)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return fields


def whole_number(digits: str) -> int | str:
    """Return a JSON integer; one that no order number is, and Python would not take, as text."""
    return int(digits) if len(digits) < 1_000 else digits


# Numbers keep their digits as they stand.
DECODER = json.JSONDecoder(
    parse_float=str, parse_int=whole_number, object_pairs_hook=_each_key_once
)


def records_of_lines(
    lines: Iterable[str], mapping: Mapping[Field, str], call: Call
) -> Iterator[RawRecord | RejectedRow]:
    """Yield a record a line; blank lines are none."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        try:
            value = decode(text)
        except (ValueError, RecursionError) as error:
            yield RejectedRow(number, Problem.FORM, f"not a JSON object: {_told(error)}", text)
            continue
        yield json_record(number, value, text, mapping, call)


def _told(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def json_record(
    line: int, value: object, raw: str, mapping: Mapping[Field, str], call: Call
) -> RawRecord | RejectedRow:
    """Return the raw record that a decoded JSON value stands for; `call`: if it names none."""
    if not isinstance(value, dict):
        return RejectedRow(line, Problem.FORM, "not a JSON object", raw)
    names: Mapping[Field, str] = {}
    keys: Mapping[Field, tuple[str, ...]] = {}
    value = _request_unwrapped(value)
    try:
        keys, names, aside = _keys_of_fields(tuple(value), tuple(mapping.items()), call)
        fields = {field.value: value[found[0]] for field, found in keys.items()}
        if NESTED in value:
            fields[NESTED] = value[NESTED]
        record = JsonRecord.model_validate(fields)
        return RawRecord(
            line=line,
            order_id=record.order_id,
            entries=tuple(_entries(record)),
            locale=record.locale or "",
            raw=raw,
            names=names,
            status=record.status or "",
            dcv_method=record.dcv_method or "",
            product=", ".join(_product(value[key] for key in keys.get(Field.PRODUCT, ()))),
            domains_aside="; ".join(_texts(value[key] for key in aside)),
            call=record.call or "",
            account=record.account or "",
            domain_id=record.domain_id,
            addresses_aside="@" in raw and _OF_THE_CA not in value and Field.EMAIL not in keys,
        )
    except ValidationError as error:
        reason = _first_complaint(error, names)
    except (InputError, ValueError) as error:
        reason = str(error)
    told = {field: value[found[0]] for field, found in keys.items()}
    return RawRecord(
        line=line,
        complaint=reason,
        order_id=told.get(Field.ORDER_ID),
        entries=(RawEntry(_text(told.get(Field.DOMAIN)), "", ""),),
        locale="",
        raw=raw,
        names=names,
        call=_text(told.get(Field.CALL)),
        account=_text(told.get(Field.ACCOUNT)),
        domain_id=told.get(Field.DOMAIN_ID),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _request_unwrapped(value: dict[str, object]) -> dict[str, object]:
    """Return what a line of `check --out` asks for, in the form of a list."""
    body = value.get("body")
    if not isinstance(body, dict) or value.get("method") != "PUT":
        return value
    known = _NAMING_KEYS if "name_scope" not in body else ("domain_id", "call", "account")
    named = {key: value[key] for key in known if key in value}
    return {**named, **body} if named else value


@lru_cache(maxsize=256)
def _keys_of_fields(
    keys: tuple[str, ...], mapping: tuple[tuple[Field, str], ...], call: Call
) -> tuple[Mapping[Field, tuple[str, ...]], Mapping[Field, str], tuple[str, ...]]:
    """Return the keys that hold each field, what messages call them, and those left aside.

    Raises InputError.
    """
    flat = [key for key in keys if key != NESTED]
    # A record may leave out what is optional.
    present = {f: key for f, key in mapping if key in flat or f is Field.ORDER_ID}
    shown = ", ".join(map(repr, flat[:20])) or "none"
    require_subject(
        {*present, *(field for key in flat if (field := known_field(key)))},
        call,
        f"no key holds the order number; the keys are {shown}. Say which it is: "
        '--map order_id="KEY"',
        "record",
    )
    columns = find_columns(flat, present, "record", call)
    found = {
        field: tuple(flat[index] for index in indexes)
        for field, indexes in columns.places.items()
        if not (field in ADDRESSES and _OF_THE_CA in keys)
    }
    names = {field: f"key {known[0]!r}" for field, known in found.items()}
    return found, names, tuple(flat[index] for index in columns.aside)


def _entries(record: JsonRecord) -> Iterable[RawEntry]:
    if record.domain_approval_emails is None:
        yield RawEntry(record.domain or "", record.email or "", record.email_domain or "")
        return
    if record.domain or record.email or record.email_domain:
        raise ValueError(f"both {NESTED} and a domain or e-mail beside it: give one of them")
    if not record.domain_approval_emails:
        raise ValueError(f"{NESTED} is empty: leave it out to have the CA mail all waiting domains")
    for entry in record.domain_approval_emails:
        if not entry.domain.strip() or not entry.email.strip():
            raise ValueError(f"an entry of {NESTED} lacks its domain or its email")
        yield RawEntry(entry.domain, entry.email, entry.email_domain or "")


def _texts(values: Iterable[object]) -> Iterator[str]:
    """Yield the texts of values that are texts, or lists of some."""
    for value in values:
        several = value if isinstance(value, list) else [value]
        yield from (one for one in several if isinstance(one, str))


def _product(values: Iterable[object]) -> Iterator[str]:
    """Yield what says which product it is: a text, or those of an object as the CA has it."""
    for value in values:
        parts = [value.get(key) for key in _PRODUCT_KEYS] if isinstance(value, dict) else [value]
        yield from (part for part in parts if isinstance(part, str) and part)


def _first_complaint(error: ValidationError, names: Mapping[Field, str]) -> str:
    first = error.errors(include_url=False)[0]
    known: Mapping[object, str] = {field.value: name for field, name in names.items()}
    where = [known.get(part, part) for part in first["loc"]]
    shown = ", ".join(f"entry {p + 1}" if isinstance(p, int) else str(p) for p in where)
    return f"{shown}: {_IN_WORDS.get(first['type'], first['msg'])}"
