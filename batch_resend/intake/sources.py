"""Where rows come from: a list in a file or on standard input, or a program's own records."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType

from batch_resend.errors import InputError, SettingsError
from batch_resend.intake.cells import Malformed, locale_code
from batch_resend.intake.csv_rows import CsvRows
from batch_resend.intake.headings import Field
from batch_resend.intake.json_rows import JsonRows, json_record
from batch_resend.intake.lines import Lines
from batch_resend.intake.records import RawRecord, check_record
from batch_resend.model import RejectedRow, Row


class ListSource:
    """A CSV or JSONL list, told apart by its first character.

    `path` is a file or `-` for standard input; `mapping` says which column holds a field, where
    the heading is not one of the usual; `locale` is for rows that name none.
    """

    def __init__(
        self,
        path: str,
        mapping: Mapping[Field, str] | None = None,
        locale: str | None = None,
    ) -> None:
        self._lines = Lines(path)
        self.fields: Mapping[Field, str] = mapping or {}
        self._locale = _checked(locale)
        self._records: CsvRows | JsonRows | None = None

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self._lines.name

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, in hexadecimal."""
        return self._lines.sha256

    @property
    def columns(self) -> tuple[str, ...]:
        """The heading row of a CSV list; empty for JSONL."""
        return self._records.columns if self._records else ()

    def __iter__(self) -> Iterator[Row | RejectedRow]:
        """Yield the rows. Raises InputError when the list cannot be read, or has no row."""
        self._records = self._open()
        empty = True
        for record in self._records:
            empty = False
            if isinstance(record, RawRecord):
                yield check_record(record, self._locale)
            else:
                yield record
        if empty:
            raise InputError(f"{self.name}: has a heading, but no rows")

    def _open(self) -> CsvRows | JsonRows:
        lines = iter(self._lines)
        blanks: list[str] = []
        for line in lines:
            text = line.strip()
            if not text:
                blanks.append(line)
                continue
            everything = chain(blanks, (line,), lines)
            if text.startswith("["):
                raise InputError(
                    f"{self.name}: is a JSON array; write one object a line (JSONL) instead"
                )
            if text.startswith("{"):
                return JsonRows(everything, self.fields)
            return CsvRows(self.name, everything, self.fields)
        raise InputError(f"{self.name}: is empty")


class RecordSource:
    """A program's own rows: checked `Row`s, or mappings of the form that JSONL lists have.

    They may come from any iterable or async iterable. A record's line is its place, from 1.
    """

    sha256 = None
    columns: tuple[str, ...] = ()
    fields: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        records: Iterable[Row | Mapping[str, object]] | AsyncIterable[Row | Mapping[str, object]],
        name: str = "records",
        locale: str | None = None,
    ) -> None:
        self.name = name
        self._records = records
        self._locale = _checked(locale)

    async def __aiter__(self) -> AsyncIterator[Row | RejectedRow]:
        """Yield the rows."""
        line = 0
        if isinstance(self._records, AsyncIterable):
            async for record in self._records:
                line += 1
                yield self._row(line, record)
        else:
            for record in self._records:
                line += 1
                yield self._row(line, record)

    def _row(self, line: int, record: Row | Mapping[str, object]) -> Row | RejectedRow:
        if isinstance(record, Row):
            return record
        fields = dict(record)
        try:
            text = json.dumps(fields)
        except (TypeError, ValueError, RecursionError) as error:
            return RejectedRow(line, f"not a JSON object: {error}", "{}")
        raw = json_record(line, fields, text, {})
        return check_record(raw, self._locale) if isinstance(raw, RawRecord) else raw


def _checked(locale: str | None) -> str | None:
    """Return the locale of rows that name none. Raises SettingsError."""
    try:
        return None if locale is None else locale_code(locale)
    except Malformed as reason:
        raise SettingsError(str(reason)) from None


Source = ListSource | RecordSource
