"""JSON records, flat or nested -> raw records.

{"order_id": 1, "domain": "example.com", "email": "admin@example.com"}
{"order_id": 1, "domain_approval_emails": [{"domain": ..., "email": ...}], "locale": "en"}
{"id": 1, "certificate": {...}, "status": "pending", "product": {...}}    as the CA lists orders
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from batch_resend.errors import InputError
from batch_resend.intake.asked_about import refuse_other_trade
from batch_resend.intake.exports import is_order_of_the_ca, is_own_heading, is_own_key
from batch_resend.intake.fields import (
    ADDRESSES,
    COLUMNS,
    Field,
    RawEntry,
    RawRecord,
    Role,
    kept_places,
    known_field,
    of_role,
)
from batch_resend.intake.headings import Columns, HeadingRules, find_columns, require_subject
from batch_resend.intake.json_shapes import NESTED, refuse_record_beneath, request_unwrapped
from batch_resend.intake.json_unread import (
    key_with_address,
    key_with_signs,
    refuse_address_data,
    refuse_marks,
    refuse_unread_address,
    refuse_unread_of_entries,
)
from batch_resend.intake.looks import is_order_number
from batch_resend.intake.repairs import without_invisible
from batch_resend.model import Call, Problem, RejectedRow

_PRODUCT_KEYS = ("name", "name_id", "type")
# What is taken of a record that is broken: by it other rows of its order mail no more than before.
_OF_BROKEN = (*of_role(Role.SUBJECT), Field.CALL, Field.ACCOUNT)
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


class _Record(BaseModel):
    """A record of any form, its keys already brought to the fields' names."""

    model_config = ConfigDict(extra="ignore")

    domain_approval_emails: list[JsonEntry] | None = None


@cache  # made when a list of JSON is read: it takes a millisecond
def _record_type() -> type[_Record]:
    types: dict[str, Any] = {
        str(field): (object if column.takes_more_than_text else str | None, None)
        for field, column in COLUMNS.items()
        if column.role is not Role.KEPT
    }
    return create_model("Record", __base__=_Record, **types)


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
    record = _Object(value, rules)
    try:
        return record.read(line, raw)
    except ValidationError as error:
        reason = _first_error(error, record.keys.names)
    except (InputError, ValueError) as error:
        reason = str(error)
    return record.broken(line, raw, reason)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of a record, by what they hold."""

    places: Mapping[Field, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[Field, str] = field(default_factory=dict)  # what messages call them
    aside: tuple[str, ...] = ()  # of domains that are not those to approve
    read: frozenset[str] = frozenset()


class _Object:
    """A JSON object that is to be a record; what is known of it stays where it turns out broken."""

    def __init__(self, value: dict[str, object], rules: HeadingRules) -> None:
        self.keys = _Keys()
        self._value = value
        self._rules = rules
        self._has_addresses = NESTED in value
        self._is_order = is_order_of_the_ca(value)

    def read(self, line: int, raw: str) -> RawRecord:
        """Return the record. Raises ValidationError, ValueError, InputError."""
        rules = self._rules
        value = self._value = request_unwrapped(self._value, all_domains=rules.all_domains)
        self._has_addresses = NESTED in value
        refuse_record_beneath(value, dict(rules.mapping), rules.call)
        keys = self.keys = _keys_of_fields(tuple(value), rules, is_order=self._is_order)
        self._has_addresses = NESTED in value or not ADDRESSES.isdisjoint(keys.places)
        unread = self._unread()
        if not rules.all_domains:
            self._refuse_to_widen(unread)
        record = self._checked()
        texts = self._texts(record)
        unread = {key: held for key, held in unread.items() if key not in rules.ignored}
        refuse_marks(unread)
        return RawRecord(
            line=line,
            texts=texts,
            entries=tuple(_entries(record.domain_approval_emails, texts)),
            raw=raw,
            names=keys.names,
            kept=_kept(value, unread, keys.places),
            domains_aside="; ".join(_texts(value[key] for key in keys.aside)),
            has_addresses=self._has_addresses,
            of_the_ca=self._is_order,
            addresses_aside=not self._has_addresses and key_with_address(value) is not None,
            unread=key_with_signs(unread) if rules.all_domains else "",
        )

    def broken(self, line: int, raw: str, reason: str) -> RawRecord:
        """Return a record that is to be rejected, with as much of it as was understood."""
        texts = {which: self._value[key] for which, (key, *_) in self.keys.places.items()}
        return RawRecord(
            line=line,
            complaint=reason,
            texts={which: texts[which] for which in _OF_BROKEN if which in texts},
            entries=(RawEntry(_text(texts.get(Field.DOMAIN)), "", ""),),
            raw=raw,
            names=self.keys.names,
            has_addresses=self._has_addresses,
        )

    def _unread(self) -> dict[str, object]:
        """Return what stands under keys that hold no field, and are none of the CA's or ours."""
        passed = self.keys.read | {NESTED}
        if self._is_order:
            passed |= set(filter(is_own_key, self._value))
        elif self.keys.aside:  # a record of our own export: other columns are no approvers' either
            passed |= set(filter(is_own_heading, self._value))
        return {key: held for key, held in self._value.items() if key not in passed}

    def _refuse_to_widen(self, unread: Mapping[str, object]) -> None:
        """Raise ValueError, InputError where one that names nobody may not mean all domains."""
        places, value, rules = self.keys.places, self._value, self._rules
        if NESTED not in value and Field.EMAIL not in places:
            without_domain = not self._has_addresses
            self._has_addresses = self._has_addresses or key_with_address(value) is not None
            refuse_unread_address(value, places, rules, without_domain=without_domain)
        if self._has_addresses:
            return
        refuse_address_data(unread, rules.ignored, of_the_ca=self._is_order)
        if not self._is_order:
            self._refuse_other_trade()

    def _refuse_other_trade(self) -> None:
        """Raise InputError where a record may be about no order of the CA's."""
        if Field.ORDER_ID in self.keys.places and Field.ALL_DOMAINS not in self.keys.places:
            names = ["" if key in self._rules.ignored else key for key in self._value]
            read = [at for at, key in enumerate(self._value) if key in self.keys.read]
            refuse_other_trade(names, read, "record")

    def _checked(self) -> _Record:
        """Return the record with each value of its type. Raises ValidationError, ValueError."""
        fields = {str(which): self._value[key] for which, (key, *_) in self.keys.places.items()}
        if Field.EMAIL in fields:
            fields[Field.EMAIL] = _together(fields[Field.EMAIL])
        if NESTED in self._value:
            fields[NESTED] = self._value[NESTED]
            known = JsonEntry.model_fields.keys() | self._rules.ignored
            refuse_unread_of_entries(fields[NESTED], known)
        return _record_type().model_validate(fields)

    def _texts(self, record: _Record) -> dict[Field, object]:
        """Return what the record says of each field. Raises ValueError."""
        held = dict(record)
        places = self.keys.places
        texts = {which: held[which] for which in places if held.get(which) is not None}
        if products := places.get(Field.PRODUCT):
            texts[Field.PRODUCT] = ", ".join(_product(self._value[key] for key in products))
        if entries := record.domain_approval_emails:
            texts[Field.LOCALE] = _common_locale(entries, _text(texts.get(Field.LOCALE)))
        return texts


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@lru_cache(maxsize=256)
def _keys_of_fields(keys: tuple[str, ...], rules: HeadingRules, *, is_order: bool) -> _Keys:
    """Return which keys hold which field. Raises InputError."""
    flat = [key for key in keys if key != NESTED and key not in rules.ignored]
    _refuse_numbers(flat)
    # A record may leave out what is optional.
    present = {f: key for f, key in rules.mapping if key in flat or f is Field.ORDER_ID}
    shown = ", ".join(map(repr, flat[:20])) or "none"
    require_subject(
        {*present, *filter(None, map(known_field, flat))},
        rules.call,
        f"no key holds the order number; the keys are {shown}. Say which it is: "
        '--map order_id="KEY"',
        "record",
    )
    # The nested form is one that only orders have.
    of_the_ca = is_order or NESTED in keys
    ruled_out = frozenset(which for which, _ in rules.mapping)
    rules = replace(rules, mapping=tuple(present.items()), of_the_ca=of_the_ca, ruled_out=ruled_out)
    return _keys_of_columns(find_columns(flat, rules, "record"), flat)


def _keys_of_columns(columns: Columns, keys: Sequence[str]) -> _Keys:
    places = {which: tuple(keys[at] for at in found) for which, found in columns.places.items()}
    return _Keys(
        places,
        {which: f"key {found[0]!r}" for which, found in places.items()},
        tuple(keys[at] for at in columns.aside),
        frozenset(chain.from_iterable(places.values())),
    )


def _refuse_numbers(keys: Sequence[str]) -> None:
    if keys and all(map(is_order_number, keys)):
        raise InputError(
            "the orders' numbers are keys, and only what stands below them is a record: make "
            f'objects of them with the number in each, [{{"order_id": {keys[0][:20]}, ...}}, ...]; '
            "with jq: to_entries | map(.value + {order_id: .key})"
        )


def _entries(
    nested: Sequence[JsonEntry] | None, texts: Mapping[Field, object]
) -> Iterator[RawEntry]:
    """Yield the entries of either form. Raises ValueError."""
    beside = RawEntry(*(_text(texts.get(Field(name))) for name in RawEntry._fields))
    if nested is None:
        yield beside
        return
    if any(beside):
        raise ValueError(f"both {NESTED} and a domain or e-mail beside it: give one of them")
    if not nested:
        raise ValueError(f"{NESTED} is empty: leave it out to have the CA mail all waiting domains")
    for entry in nested:
        if not entry.domain.strip() or not entry.email.strip():
            raise ValueError(f"an entry of {NESTED} lacks its domain or its email")
        yield RawEntry(entry.domain, entry.email, entry.email_domain or "")


def _common_locale(entries: Sequence[JsonEntry], usual: str) -> str:
    """Return a record's language, which may stand in each of its entries. Raises ValueError."""
    locales = {entry.locale or usual for entry in entries}
    if any(entry.locale for entry in entries):
        locales |= {usual} - {""}
    if len(locales) > 1:
        raise ValueError(
            f"entries of {NESTED} are in several languages: give each language a record of its own"
        )
    return locales.pop()


def _kept(
    value: Mapping[str, object], unread: Mapping[str, object], mapped: Mapping[Field, Sequence[str]]
) -> dict[Field, str]:
    """Return what stays with its row, as text; half characters, which no file holds, as `?`."""
    if not of_role(Role.KEPT):
        return {}
    keys = list(value)
    names = [key if key in unread else "" for key in keys]
    at_keys = {which: [keys.index(key) for key in found] for which, found in mapped.items()}
    places = kept_places(names, at_keys)
    return {which: _joined(value[keys[at]] for at in found) for which, found in places.items()}


def _joined(values: Iterable[object]) -> str:
    texts = (one if isinstance(one, str) else json.dumps(one) for one in values if one is not None)
    return without_invisible(", ".join(texts)).encode(errors="replace").decode()


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
