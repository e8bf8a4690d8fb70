"""JSON records, flat or nested -> raw records.

{"order_id": 1, "domain": "example.com", "email": "admin@example.com"}
{"order_id": 1, "domain_approval_emails": [{"domain": ..., "email": ...}], "locale": "en"}
{"id": 1, "certificate": {...}, "status": "pending", "product": {...}}    as the CA lists orders
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from itertools import chain, islice
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from batch_resend.errors import InputError
from batch_resend.intake.asked_about import refuse_other_trade
from batch_resend.intake.exports import is_order_of_the_ca, is_own_heading, is_own_key
from batch_resend.intake.fields import (
    ADDRESSES,
    COLUMNS,
    SUBJECTS,
    Field,
    RawEntry,
    RawRecord,
    Role,
    kept_places,
    known_fields,
)
from batch_resend.intake.headings import (
    Columns,
    Headed,
    find_columns,
    lacks_subject,
    unread_of,
)
from batch_resend.intake.json_entries import (
    JsonEntry,
    common_locale,
    path_of_entries,
    raw_entries,
    refuse_compound,
    why_invalid,
    with_entries,
    with_names_of_entries,
)
from batch_resend.intake.json_shapes import (
    NESTED,
    lifted,
    paths_in,
    refuse_numbers,
    refuse_record_beneath,
    request_unwrapped,
    why_no_subject,
    without,
)
from batch_resend.intake.json_text import (
    decode,
    each_text,
    joined,
    product_in,
    together,
    why_not,
)
from batch_resend.intake.json_unread import (
    all_texts,
    key_with_address,
    key_with_signs,
    refuse_address_data,
    refuse_choice,
    refuse_half_a_pair,
    refuse_marks,
    refuse_unread_address,
    refuse_unread_of_entries,
)
from batch_resend.intake.json_usual import UsualKeys
from batch_resend.intake.reading import Reading
from batch_resend.intake.remarks import Titles
from batch_resend.intake.signs import narrows
from batch_resend.intake.suggestions import Head, Noun
from batch_resend.model import Problem, RejectedRow

# What is taken of a record that is broken: by it other rows of its order mail no more than before.
_OF_BROKEN = (*SUBJECTS, Field.CALL, Field.ACCOUNT)
_WHERE = "record"  # of which messages speak; what shows them knows the line
NOTHING: Mapping[str, object] = {}
_MOST_UNREAD = 1000  # keys that are named
_OF_ENTRY = (Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN)


class _Record(BaseModel):
    """A record of any form, its keys already brought to the fields' names."""

    domain_approval_emails: list[JsonEntry] | None = None


@cache  # made when a list of JSON is read: it takes a millisecond
def _record_type() -> type[_Record]:
    types: dict[str, Any] = {
        str(field): (object if column.takes_more_than_text else str | None, None)
        for field, column in COLUMNS.items()
        if column.role is not Role.KEPT
    }
    return create_model("Record", __base__=_Record, **types)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of a record, by what they hold: the same for all records that have them."""

    places: Mapping[Field, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[Field, str] = field(default_factory=dict)  # what messages call them
    aside: tuple[str, ...] = ()  # of domains that are not those to approve
    read: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()  # those that hold no field, and are none of the CA's or ours
    kept: Mapping[Field, tuple[str, ...]] = field(default_factory=dict)  # for the report


class JsonRecords:
    """Makes raw records of the JSON values of one list."""

    def __init__(self, reading: Reading, sample: str = "", name: str = "") -> None:
        self.reading = reading
        self.usual = UsualKeys(reading.mapping, sample)  # by the beginning of the list
        self.unread: dict[str, str] = {}  # see `ListForm`; as far as they are counted
        self.known: set[Field] = set()  # by the keys, ignored ones as well
        # Objects of which something is read.
        self._opened = {name.split(".")[0] for name in reading.mapping.values()} - reading.ignored
        self.entries_at = path_of_entries(reading.mapping)
        self.titles = Titles(name, reading.flags)
        self.ignored_within = [name.split(".") for name in sorted(reading.ignored) if "." in name]
        self.keys_of = lru_cache(maxsize=256)(self._keys_of)
        self.unread_of_entry = lru_cache(maxsize=256)(self._unread_of_entry)

    def of_lines(self, lines: Iterable[str]) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a line; blank lines are none."""
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text:
                continue
            try:
                value = decode(text)
            except (ValueError, RecursionError) as error:
                why = f"not a JSON object: {why_not(error)}"
                self.note_remark(number, text)
                yield RejectedRow(number, Problem.FORM, why, text)
                continue
            yield self.record(number, value, text)

    def record(
        self, line: int, value: object, raw: str, around: Mapping[str, object] = NOTHING
    ) -> RawRecord | RejectedRow:
        """Return the raw record that a decoded JSON value stands for.

        `around`: what else is in an object that has this record in it, and may be about it.
        """
        if not isinstance(value, dict):
            self.note_remark(line, value)
            why = f'not a JSON object: write what it is, such as {{"order_id": {raw[:40]}}}'
            why = why if isinstance(value, str | int) else "not a JSON object"
            return RejectedRow(line, Problem.FORM, why, raw)
        if around:
            self._note_unread([key for key in around if key not in self.unread], ())
        record = _Object(value, self, around)
        try:
            return record.read(line, raw)
        except ValidationError as error:
            reason = why_invalid(error, record.keys.names)
        except (InputError, ValueError) as error:
            reason = self.usual.corrected(str(error).removeprefix(f"{_WHERE}: "), value)
        return record.broken(line, raw, reason.replace(NESTED, record.entries_at))

    def note_remark(self, line: int, value: object) -> None:
        """Take note of what stands in the place of a record, if it may narrow the list."""
        for text in () if self.reading.numbers_only else filter(narrows, all_texts(value)):
            self.titles.note(line, text, is_remark=True)

    def _keys_of(self, keys: tuple[str, ...], *, is_order: bool) -> _Keys:
        """Return which keys hold which field. Raises InputError."""
        reading = self.reading
        self.note_keys(keys)
        flat = [key for key in keys if key != NESTED and key not in reading.ignored]
        refuse_numbers(flat)
        # The nested form is one that only orders have.
        of = Headed.ORDER_OF_THE_CA if is_order or NESTED in keys else Headed.RECORD
        found = _named(find_columns(flat, reading, _WHERE, of=of), flat)
        self.usual.note(found.places)
        passed = {NESTED, *found.read}
        if is_order:
            passed.update(filter(is_own_key, keys))
        elif found.aside:  # a record of our own export: other columns are no approvers' either
            passed.update(filter(is_own_heading, keys))
        unread = tuple(key for key in keys if key not in passed)
        kept = self._kept(keys, unread, found.places)
        aside = self._opened.union(*kept.values())
        self._note_unread((key for key in unread if key not in aside), found.places)
        return replace(found, unread=unread, kept=kept)

    def note_keys(self, keys: Iterable[str]) -> None:
        """Take note of what keys of a record are known for, also of one that is broken."""
        self.known |= known_fields(keys)

    def note_below(self, value: Mapping[str, object], keys: _Keys) -> None:
        """Take note of what is not read in objects of a record of which something is."""
        if self._opened:
            opened = {key: value[key] for key in keys.unread if key in self._opened}
            below = (name for name, _ in paths_in(opened) if name not in self.unread)
            self._note_unread(below, keys.places)

    def _unread_of_entry(self, at: str, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return which keys of an entry are not read, and take note of them; `at`: its list."""
        unread = tuple(key for key in keys if key not in JsonEntry.model_fields)
        self._note_unread((f"{at}.{key}" for key in unread), ())
        return unread

    def _note_unread(self, names: Iterable[str], read: Container[Field]) -> None:
        most = max(0, _MOST_UNREAD - len(self.unread))
        self.unread |= unread_of(islice(names, most), read, self.reading.ignored)

    def _kept(
        self, keys: Sequence[str], unread: Sequence[str], mapped: Mapping[Field, Sequence[str]]
    ) -> dict[Field, tuple[str, ...]]:
        ignored = self.reading.ignored
        names = [key if key in unread and key not in ignored else "" for key in keys]
        by_place = {which: [keys.index(key) for key in found] for which, found in mapped.items()}
        kept = kept_places(names, by_place).items()
        return {which: tuple(keys[at] for at in found) for which, found in kept}


def _named(columns: Columns, keys: Sequence[str]) -> _Keys:
    """Return columns, which are places in a record, by their keys."""
    places = {which: tuple(keys[at] for at in found) for which, found in columns.places.items()}
    return _Keys(
        places,
        columns.names,
        tuple(keys[at] for at in columns.aside),
        frozenset(chain.from_iterable(places.values())),
    )


class _Object:
    """A JSON object that is to be a record; what is known of it stays where it turns out broken."""

    def __init__(
        self, value: dict[str, object], records: JsonRecords, around: Mapping[str, object]
    ) -> None:
        self.keys = _Keys()
        self._value = value
        self._around = around
        self._of = records
        self._has_addresses = NESTED in value
        self._is_order = is_order_of_the_ca(value)
        self.entries_at = NESTED  # what the record calls them

    def read(self, line: int, raw: str) -> RawRecord:
        """Return the record. Raises ValidationError, ValueError, InputError."""
        reading = self._of.reading
        value = request_unwrapped(self._value, all_domains=reading.names_nobody)
        for path in self._of.ignored_within:
            value = without(value, path)
        if self._of.entries_at:
            value = self._with_entries(value)
        value = self._value = lifted(value, reading.mapping.values())
        self._has_addresses = NESTED in value
        refuse_record_beneath(value, reading)
        keys = self.keys = self._keys_in(value)
        if lacks_subject(keys.places, reading.call):
            self._of.note_remark(line, self._value)
            places = {which: at for which, (at, *_) in keys.places.items()}
            raise InputError(why_no_subject(value, places, reading, _WHERE))
        if reading.numbers_only:
            number = value[keys.places[Field.ORDER_ID][0]]
            return RawRecord(line, {Field.ORDER_ID: number}, (), raw, keys.names)
        self._has_addresses = NESTED in value or not ADDRESSES.isdisjoint(keys.places)
        self._of.note_below(value, keys)
        unread = {**self._around, **{key: value[key] for key in keys.unread}}
        self._refuse_to_widen(unread)
        record = self._checked()
        texts = self._texts(record)
        if reading.ignored:
            unread = {key: held for key, held in unread.items() if key not in reading.ignored}
        refuse_marks(unread)
        entry = RawEntry(*[_text(texts.get(which)) for which in _OF_ENTRY])
        entries = tuple(raw_entries(record.domain_approval_emails, entry))
        return RawRecord(
            line,
            texts,
            entries,
            raw,
            keys.names,
            self._has_addresses,
            kept={which: joined(map(value.get, found)) for which, found in keys.kept.items()},
            domains_aside="; ".join(each_text(map(value.get, keys.aside))),
            of_the_ca=self._is_order,
            addresses_aside=not self._has_addresses and key_with_address(value) is not None,
            unread=key_with_signs(unread) if reading.all_domains else "",
        )

    def _with_entries(self, value: dict[str, object]) -> dict[str, object]:
        """Return the object with the entries that --map names in our form. Raises ValueError."""
        given = with_entries(value, self._of.reading.mapping)
        if given is not value:
            self.entries_at = self._of.entries_at
        return given

    def _keys_in(self, value: dict[str, object]) -> _Keys:
        keys = self._of.keys_of(tuple(value), is_order=self._is_order)
        if self.entries_at != self._of.entries_at or NESTED not in value:
            return keys
        return replace(keys, names=with_names_of_entries(keys.names, self._of.reading.mapping))

    def broken(self, line: int, raw: str, reason: str) -> RawRecord:
        """Return a record that is to be rejected, with as much of it as was understood."""
        self._of.note_keys(self._value)
        texts = {which: self._value[key] for which, (key, *_) in self.keys.places.items()}
        return RawRecord(
            line,
            {which: texts[which] for which in _OF_BROKEN if which in texts},
            (RawEntry(_text(texts.get(Field.DOMAIN)), "", ""),),
            raw,
            self.keys.names,
            self._has_addresses,
            reason,
        )

    def _refuse_to_widen(self, unread: Mapping[str, object]) -> None:
        """Raise ValueError, InputError where one that names nobody may not mean all domains."""
        places, value, reading = self.keys.places, self._value, self._of.reading
        if self._is_order:
            refuse_half_a_pair(value, places, reading.call)
        if reading.all_domains:
            refuse_choice({} if self._has_addresses else unread, reading.ignored)
            return
        if NESTED not in value and Field.EMAIL not in places:
            without_domain = not self._has_addresses
            self._has_addresses = self._has_addresses or key_with_address(value) is not None
            refuse_unread_address(value, places, reading.call, without_domain=without_domain)
        if self._has_addresses:
            return
        refuse_address_data(unread, reading.ignored, of_the_ca=self._is_order)
        if not self._is_order:
            self._refuse_other_trade()

    def _refuse_other_trade(self) -> None:
        """Raise InputError where a record may be about no order of the CA's."""
        keys, ignored = self.keys, self._of.reading.ignored
        if Field.ORDER_ID in keys.places and Field.ALL_DOMAINS not in keys.places:
            names = ["" if key in ignored else key for key in self._value]
            read = [at for at, key in enumerate(self._value) if key in keys.read]
            refuse_other_trade(Head(names, _WHERE, noun=Noun.KEY), read)

    def _checked(self) -> _Record:
        """Return the record with each value of its type. Raises ValidationError, ValueError."""
        value = self._value
        fields = {str(which): value[found[0]] for which, found in self.keys.places.items()}
        if Field.EMAIL in fields:
            fields[Field.EMAIL] = together(fields[Field.EMAIL])
        for which, (key, *_) in self.keys.places.items():
            if isinstance(fields[which], (list, dict)) and self._is_single(which):
                refuse_compound(which, key, fields[which])
        if NESTED in value:
            fields[NESTED] = value[NESTED]
            unread_in = partial(self._of.unread_of_entry, self.entries_at)
            refuse_unread_of_entries(fields[NESTED], unread_in)
        return _record_type().model_validate(fields)

    def _is_single(self, which: Field) -> bool:
        """Whether a field holds one value, where it matters what it holds."""
        if which is Field.ORDER_ID:
            call, product = (
                map(self._value.get, self.keys.places.get(one, ()))
                for one in (Field.CALL, Field.PRODUCT)
            )
            return not self._of.reading.is_about_domain(joined(call), product_in(product))
        return COLUMNS[which].role is not Role.KEPT and which is not Field.PRODUCT

    def _texts(self, record: _Record) -> dict[Field, object]:
        """Return what the record says of each field. Raises ValueError."""
        held, places = vars(record), self.keys.places
        texts = {which: held[which] for which in places if held.get(which) is not None}
        if products := places.get(Field.PRODUCT):
            texts[Field.PRODUCT] = product_in(self._value[key] for key in products)
        if entries := record.domain_approval_emails:
            texts[Field.LOCALE] = common_locale(entries, _text(texts.get(Field.LOCALE)))
        return texts


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
