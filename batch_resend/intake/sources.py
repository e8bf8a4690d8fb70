"""Where rows come from: a list in a file or on standard input, or a program's own records."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from batch_resend.errors import InputError
from batch_resend.intake.csv_rows import CsvRows
from batch_resend.intake.headings import Field
from batch_resend.intake.json_rows import JsonRows, json_record
from batch_resend.intake.lines import Lines
from batch_resend.intake.records import RawRecord, check_record
from batch_resend.model import RejectedRow, Row


class RowSource(Protocol):
    """Rows to plan, read once. All but `name` is final only when they are all read."""

    @property
    def name(self) -> str:
        """What messages and reports call it."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of its bytes in hexadecimal, where it has bytes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Its heading row; empty where it has none."""

    def __iter__(self) -> Iterator[Row | RejectedRow]:
        """Yield its rows in order. Raises InputError."""


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
        self._mapping = mapping or {}
        self._locale = locale
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
                return JsonRows(everything, self._mapping)
            return CsvRows(self.name, everything, self._mapping)
        raise InputError(f"{self.name}: is empty")


class RecordSource:
    """A program's own rows: checked `Row`s, or mappings of the form that JSONL lists have.

    A record's line is its place, counted from 1.
    """

    sha256 = None
    columns: tuple[str, ...] = ()

    def __init__(
        self,
        records: Iterable[Row | Mapping[str, object]],
        name: str = "records",
        locale: str | None = None,
    ) -> None:
        self.name = name
        self._records = records
        self._locale = locale

    def __iter__(self) -> Iterator[Row | RejectedRow]:
        """Yield the rows."""
        for line, record in enumerate(self._records, start=1):
            yield record if isinstance(record, Row) else self._checked(line, record)

    def _checked(self, line: int, record: Mapping[str, object]) -> Row | RejectedRow:
        fields = dict(record)
        try:
            text = json.dumps(fields, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            return RejectedRow(line, f"not a JSON object: {error}", repr(fields))
        raw = json_record(line, fields, text, {})
        return check_record(raw, self._locale) if isinstance(raw, RawRecord) else raw
