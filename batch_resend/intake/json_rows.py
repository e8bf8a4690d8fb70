"""JSON records, flat or nested, a line each or handed over by a program -> raw records.

{"order_id": 1, "domain": "example.com", "email": "admin@example.com"}
{"order_id": 1, "domain_approval_emails": [{"domain": ..., "email": ...}], "locale": "en"}
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, ValidationError

from batch_resend.errors import InputError
from batch_resend.intake.headings import Field, find_columns
from batch_resend.intake.records import RawEntry, RawRecord
from batch_resend.model import RejectedRow

NESTED = "domain_approval_emails"


class JsonEntry(BaseModel):
    """One entry of the nested form."""

    model_config = ConfigDict(extra="ignore")

    domain: str
    email: str
    email_domain: str | None = None


class JsonRecord(BaseModel):
    """A record of either form, its keys already brought to the fields' names."""

    model_config = ConfigDict(extra="ignore")

    order_id: object = None
    domain: str | None = None
    email: str | None = None
    email_domain: str | None = None
    domain_approval_emails: list[JsonEntry] | None = None
    locale: str | None = None


class JsonRows:
    """The records of one JSONL list, blank lines left out."""

    columns: tuple[str, ...] = ()  # a JSON list has no heading row

    def __init__(self, lines: Iterator[str], mapping: Mapping[Field, str]) -> None:
        self._lines = lines
        self._mapping = mapping

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a line."""
        for number, line in enumerate(self._lines, start=1):
            text = line.strip()
            if not text:
                continue
            try:
                # Numbers keep their digits as they stand.
                value = json.loads(text, parse_float=str, object_pairs_hook=_each_key_once)
            except (ValueError, RecursionError) as error:
                yield RejectedRow(number, f"not a JSON object: {error}"[:300], text)
                continue
            yield json_record(number, value, text, self._mapping)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return fields


def json_record(
    line: int, value: object, raw: str, mapping: Mapping[Field, str]
) -> RawRecord | RejectedRow:
    """Return the raw record that a decoded JSON value stands for."""
    if not isinstance(value, dict):
        return RejectedRow(line, "not a JSON object", raw)
    try:
        names = _field_names(tuple(value), tuple(mapping.items()))
        named = {field: value[key] for field, key in names}
        record = JsonRecord.model_validate(named)
        return RawRecord(line, record.order_id, tuple(_entries(record)), record.locale or "", raw)
    except ValidationError as error:
        return RejectedRow(line, _first_complaint(error), raw)
    except (InputError, ValueError) as error:
        return RejectedRow(line, str(error), raw)


@lru_cache(maxsize=256)
def _field_names(
    keys: tuple[str, ...], mapping: tuple[tuple[Field, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return (field, key) for every key that holds a field. Raises InputError."""
    flat = [key for key in keys if key != NESTED]
    # A record may leave out what is optional.
    present = {f: key for f, key in mapping if key in flat or f is Field.ORDER_ID}
    columns = find_columns(flat, present, "record")
    names = [(field.value, flat[index]) for field, index in columns.items()]
    if NESTED in keys:
        names.append((NESTED, NESTED))
    return tuple(names)


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


def _first_complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
