"""JSON records, flat or nested -> raw records.

{"order_id": 1, "domain": "example.com", "email": "admin@example.com"}
{"order_id": 1, "domain_approval_emails": [{"domain": ..., "email": ...}], "locale": "en"}
{"id": 1, "certificate": {...}, "status": "pending", "product": {...}}    as the CA lists orders
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from batch_resend.errors import InputError
from batch_resend.intake.asked_about import one_more_of, refuse_other_trade
from batch_resend.intake.exports import is_order_of_the_ca, is_own_heading, is_own_key
from batch_resend.intake.fields import ADDRESSES, Field, RawEntry, RawRecord, known_field
from batch_resend.intake.headings import HeadingRules, find_columns, require_subject
from batch_resend.intake.json_shapes import (
    all_texts,
    key_with_address,
    key_with_signs,
    record_beneath,
    refuse_address_data,
    refuse_marks,
    refuse_unread_address,
    request_unwrapped,
)
from batch_resend.intake.looks import has_address, is_order_number
from batch_resend.intake.signs import holds_domain, is_remark, says_whether
from batch_resend.intake.suggestions import ignore_flag
from batch_resend.model import Call, Problem, RejectedRow

NESTED = "domain_approval_emails"
_PRODUCT_KEYS = ("name", "name_id", "type")
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
    locale: str | None = None


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
    all_domains: object = None


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
    lines: Iterable[str],
    mapping: Mapping[Field, str],
    call: Call,
    rules: HeadingRules | None = None,
) -> Iterator[RawRecord | RejectedRow]:
    """Yield a record a line; blank lines are none. `rules`: beside mapping and call."""
    rules = rules or rules_of(mapping, call)
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        try:
            value = decode(text)
        except (ValueError, RecursionError) as error:
            yield RejectedRow(number, Problem.FORM, f"not a JSON object: {_describe(error)}", text)
            continue
        yield json_record(number, value, text, rules)


def _describe(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def rules_of(
    mapping: Mapping[Field, str],
    call: Call,
    *,
    all_domains: bool = False,
    ignored: frozenset[str] = frozenset(),
) -> HeadingRules:
    """Return how the keys of a record are to be understood.

    `call`: if it names none; `all_domains`: if it names nobody, all domains are meant.
    """
    named = tuple(mapping.items())
    return HeadingRules(named, call, all_domains, of_record=True, ignored=ignored)


def json_record(line: int, value: object, raw: str, rules: HeadingRules) -> RawRecord | RejectedRow:
    """Return the raw record that a decoded JSON value stands for."""
    if not isinstance(value, dict):
        why = f'not a JSON object: write what it is, such as {{"order_id": {raw[:40]}}}'
        is_alone = isinstance(value, str | int)
        return RejectedRow(line, Problem.FORM, why if is_alone else "not a JSON object", raw)
    names: Mapping[Field, str] = {}
    keys: Mapping[Field, tuple[str, ...]] = {}
    has_addresses = NESTED in value
    is_order = is_order_of_the_ca(value)
    try:
        value = request_unwrapped(value, all_domains=rules.all_domains)
        has_addresses = NESTED in value
        if (beneath := record_beneath(value, dict(rules.mapping), rules.call)) is not None:
            raise ValueError(
                f"the record stands under the key {beneath!r}: give what is below it, without the "
                "object around it"
            )
        keys, names, aside = _keys_of_fields(tuple(value), rules, is_order=is_order)
        has_addresses = has_addresses or not ADDRESSES.isdisjoint(keys)
        if not (NESTED in value or Field.EMAIL in keys or rules.all_domains):
            without_domain = not has_addresses
            has_addresses = has_addresses or key_with_address(value) is not None
            refuse_unread_address(value, keys, rules, without_domain=without_domain)
        if is_order and not (has_addresses or rules.all_domains):
            _refuse_added(value, rules)
            added = {
                key: held
                for key, held in value.items()
                if not is_own_key(key) and key not in rules.ignored and key not in _read(keys)
            }
            refuse_address_data(added, rules.ignored)
        if not (is_order or has_addresses or rules.all_domains):
            # A record of our own export: its other columns are no approvers' either.
            own = {key for key in value if aside and is_own_heading(key)}
            unread = {k: held for k, held in value.items() if k not in _read(keys) | own}
            refuse_address_data(unread, rules.ignored)
        if not (is_order or has_addresses or rules.all_domains):
            _refuse_other_trade(value, keys, rules)
        fields = {field.value: value[found[0]] for field, found in keys.items()}
        if NESTED in value:
            fields[NESTED] = value[NESTED]
            _refuse_unread(value[NESTED], rules)
        record = JsonRecord.model_validate(fields)
        passed = _read(keys) | rules.ignored | {NESTED}
        is_own = is_own_key if is_order else is_own_heading if aside else passed.__contains__
        others = [k for k in value if k not in passed and not is_own(k)]
        refuse_marks({key: value[key] for key in others})
        return RawRecord(
            line=line,
            order_id=record.order_id,
            entries=tuple(_entries(record)),
            locale=_locale(record),
            raw=raw,
            names=names,
            status=record.status or "",
            dcv_method=record.dcv_method or "",
            product=", ".join(_product(value[key] for key in keys.get(Field.PRODUCT, ()))),
            domains_aside="; ".join(_texts(value[key] for key in aside)),
            call=record.call or "",
            account=record.account or "",
            domain_id=record.domain_id,
            all_domains=record.all_domains,
            has_addresses=has_addresses,
            of_the_ca=is_order,
            addresses_aside=not has_addresses and key_with_address(value) is not None,
            unread=key_with_signs(value, others) if rules.all_domains else "",
        )
    except ValidationError as error:
        reason = _first_error(error, names)
    except (InputError, ValueError) as error:
        reason = str(error)
    texts = {field: value[found[0]] for field, found in keys.items()}
    return RawRecord(
        line=line,
        complaint=reason,
        order_id=texts.get(Field.ORDER_ID),
        entries=(RawEntry(_text(texts.get(Field.DOMAIN)), "", ""),),
        locale="",
        raw=raw,
        names=names,
        call=_text(texts.get(Field.CALL)),
        account=_text(texts.get(Field.ACCOUNT)),
        domain_id=texts.get(Field.DOMAIN_ID),
        has_addresses=has_addresses,
    )


def _read(keys: Mapping[Field, tuple[str, ...]]) -> set[str]:
    return {key for found in keys.values() for key in found}


def _refuse_other_trade(
    value: Mapping[str, object], keys: Mapping[Field, tuple[str, ...]], rules: HeadingRules
) -> None:
    """Raise InputError where a record that names nobody may be about no order of the CA's."""
    if Field.ORDER_ID not in keys or Field.ALL_DOMAINS in keys:
        return
    names = ["" if key in rules.ignored else key for key in value]
    known = _read(keys)
    read = [at for at, key in enumerate(value) if key in known]
    refuse_other_trade(names, read, "record")


def _refuse_added(value: Mapping[str, object], rules: HeadingRules) -> None:
    """Raise ValueError where somebody added to an order of the CA's what may say whom to mail."""
    mapped = {key for _, key in rules.mapping}
    for key, held in value.items():
        if is_own_key(key) or key in mapped | rules.ignored or known_field(key) is not None:
            continue
        texts = [text for text in all_texts(held) if text.strip()]
        if (texts and is_remark(key)) or any(map(holds_domain, texts)):
            raise ValueError(
                f"the key {key!r} is none of the CA's and is not read, and all domains of the "
                f"order would be mailed: if that is right, {ignore_flag(key)}"
            )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@lru_cache(maxsize=256)
def _keys_of_fields(
    keys: tuple[str, ...], rules: HeadingRules, *, is_order: bool
) -> tuple[Mapping[Field, tuple[str, ...]], Mapping[Field, str], tuple[str, ...]]:
    """Return the keys that hold each field, what messages call them, and those left aside.

    Raises InputError.
    """
    flat = [key for key in keys if key != NESTED and key not in rules.ignored]
    # A record may leave out what is optional.
    present = {f: key for f, key in rules.mapping if key in flat or f is Field.ORDER_ID}
    shown = ", ".join(map(repr, flat[:20])) or "none"
    if flat and all(map(is_order_number, flat)):
        raise InputError(
            "the orders' numbers are keys, and only what stands below them is a record: make "
            'objects of them with the number in each, [{"order_id": '
            + flat[0][:20]
            + ", ...}, ...]; "
            "with jq: to_entries | map(.value + {order_id: .key})"
        )
    require_subject(
        {*present, *(field for key in flat if (field := known_field(key)))},
        rules.call,
        f"no key holds the order number; the keys are {shown}. Say which it is: "
        '--map order_id="KEY"',
        "record",
    )
    # The nested form is one that only orders have.
    of_the_ca = is_order or NESTED in keys
    ruled_out = frozenset(field for field, _ in rules.mapping)
    rules = replace(rules, mapping=tuple(present.items()), of_the_ca=of_the_ca, ruled_out=ruled_out)
    columns = find_columns(flat, rules, "record")
    found = {
        field: tuple(flat[index] for index in indexes) for field, indexes in columns.places.items()
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


def _locale(record: JsonRecord) -> str:
    """Return a record's language, which may stand in each of its entries. Raises ValueError."""
    if record.domain_approval_emails is None:
        return record.locale or ""
    of_entries = {entry.locale or "" for entry in record.domain_approval_emails} - {""}
    if not of_entries:
        return record.locale or ""
    entries = record.domain_approval_emails
    if len({*of_entries, record.locale or next(iter(of_entries))}) > 1 or not all(
        entry.locale or record.locale for entry in entries
    ):
        raise ValueError(
            f"entries of {NESTED} are in several languages: give each language a record of its own"
        )
    return of_entries.pop()


def _refuse_unread(entries: object, rules: HeadingRules) -> None:
    """Raise ValueError where an entry has a key that is not read and may say whom to mail."""
    for number, entry in enumerate(entries if isinstance(entries, list) else (), start=1):
        for key, held in entry.items() if isinstance(entry, dict) else ():
            if key in JsonEntry.model_fields or key in rules.ignored:
                continue
            may_say = known_field(key) is not None or one_more_of(key) or says_whether(key)
            if may_say or any(map(has_address, all_texts(held))):
                raise ValueError(
                    f"entry {number} of {NESTED} has the key {key!r}, which is not read: give each "
                    f"domain and address an entry of their own; or say {ignore_flag(key)}"
                )


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


def _first_error(error: ValidationError, names: Mapping[Field, str]) -> str:
    first = error.errors(include_url=False)[0]
    known: Mapping[object, str] = {field.value: name for field, name in names.items()}
    where = [known.get(part, part) for part in first["loc"]]
    shown = ", ".join(f"entry {p + 1}" if isinstance(p, int) else str(p) for p in where)
    return f"{shown}: {_IN_WORDS.get(first['type'], first['msg'])}"
