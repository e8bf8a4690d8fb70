"""Where rows come from: a list in a file or on standard input, or a program's own records."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from batch_resend.errors import InputError, SettingsError
from batch_resend.intake import workbook
from batch_resend.intake.cells import Malformed, locale_code
from batch_resend.intake.csv_cells import CsvCells, find_delimiter
from batch_resend.intake.headings import ADDRESSES, Field
from batch_resend.intake.json_rows import json_record, records_of_lines
from batch_resend.intake.json_stream import JsonStream, is_document
from batch_resend.intake.no_lists import OLE, of_ole, refuse_bytes, refuse_text
from batch_resend.intake.packing import Bytes, ListFile
from batch_resend.intake.records import Defaults, RawRecord, check_record
from batch_resend.intake.table_rows import TableRows
from batch_resend.intake.text import Text, known_encoding
from batch_resend.model import Call, ListForm, ListKind, Problem, RejectedRow, Row


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read lists, where they do not say it themselves. Raises SettingsError."""

    mapping: Mapping[Field, str] = field(default_factory=dict)  # the column of a field
    locale: str | None = None  # for rows that name none
    headed: bool = True  # False: no heading row, and `mapping` counts columns from 1
    delimiter: str | None = None  # of CSV lists
    encoding: str | None = None  # of text without a byte order mark, if it is not UTF-8
    sheet: str | None = None  # of Excel files
    all_statuses: bool = False  # leave aside what the CA's exports say of an order
    any_product: bool = False  # leave aside what they say of its product
    call: Call = Call.DV_RESEND  # of rows that name none
    auto_call: bool = False  # of those, by their product where they name one
    # The accounts that rows may name, each with the locale of its rows that name none.
    accounts: Mapping[str, str | None] = field(default_factory=dict)
    own_account: str | None = None  # of these, the one whose settings are the run's own

    def __post_init__(self) -> None:
        """Check what can be checked before a list is opened."""
        object.__setattr__(self, "mapping", MappingProxyType(dict(self.mapping)))
        if self.locale is not None:
            object.__setattr__(self, "locale", _checked_locale(self.locale))
        if self.encoding is not None:
            object.__setattr__(self, "encoding", known_encoding(self.encoding))
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise SettingsError(f"delimiter: {self.delimiter!r} is not a single character")

    @property
    def defaults(self) -> Defaults:
        """What holds for rows that do not say it themselves."""
        return Defaults(
            self.locale,
            self.call,
            self.auto_call,
            self.all_statuses,
            self.any_product,
            self.accounts,
            self.own_account,
        )


class ListSource:
    """A list in a file, or `-` for standard input. Its form is found by its content.

    CSV, JSONL, JSON arrays, the CA's own JSON, Excel; packed or not. See `Reading` for the rest.
    """

    def __init__(self, path: str, reading: Reading | None = None) -> None:
        self._file = ListFile(path)
        self._reading = reading or Reading()
        self.form = ListForm(ListKind.CSV)

    @property
    def name(self) -> str:
        """The path as it was given."""
        return self._file.name

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, as they are on disk, in hexadecimal."""
        return self._file.sha256

    def __iter__(self) -> Iterator[Row | RejectedRow]:
        """Yield the rows. Raises InputError when the list cannot be read, or has no row.

        `form` says how it was read, once it has been.
        """
        defaults = self._reading.defaults
        empty = True
        with self._file.open() as file:
            for record in self._records(file):
                empty = False
                yield _checked(record, defaults)
        if empty:
            headed = self.form.columns
            raise InputError(
                f"{self.name}: {'has a heading, but no rows' if headed else 'is empty'}"
            )

    def _records(self, file: Bytes) -> Iterator[RawRecord | RejectedRow]:
        """Yield the raw records, and note the form they were found in."""
        head = file.peek()
        refuse_bytes(self.name, head)
        if head.startswith(OLE):
            raise of_ole(self.name, file.read(workbook.MAX_PACKED_BYTES))
        if head.startswith(workbook.ZIP):
            rows = workbook.sheet_rows(self.name, file, self._reading.sheet)
            yield from self._table(rows, ListForm(ListKind.EXCEL))
            return
        text = Text(self.name, file, self._reading.encoding)
        refuse_text(self.name, text.sample)
        begin = text.sample.lstrip()
        form = ListForm(ListKind.JSON, fields=self._fields, encoding=text.encoding)
        if begin.startswith(("{", "[")):
            self.form = form
            mapping, call = self._reading.mapping, self._reading.call
            if is_document(begin, mapping, call):
                records = iter(JsonStream(self.name, text, mapping, call))
            else:
                records = records_of_lines(text.lines(), mapping, call)
            yield from self._with_all_mapped(records)
        elif begin or not text.sample_is_all:
            delimiter = self._reading.delimiter or find_delimiter(
                self.name, text, self._reading.mapping, headed=self._reading.headed
            )
            cells = CsvCells(self.name, text, delimiter)
            yield from self._table(cells, replace(form, kind=ListKind.CSV, delimiter=delimiter))

    def _with_all_mapped(
        self, records: Iterator[RawRecord | RejectedRow]
    ) -> Iterator[RawRecord | RejectedRow]:
        """Yield JSON records. Raises InputError where a key that --map names was in none of them.

        Without its domains and addresses an order would be mailed as a whole.
        """
        reading = self._reading
        missing = {f for f in reading.mapping if f in ADDRESSES} if reading.headed else set()
        for record in records:
            if missing and isinstance(record, RawRecord):
                missing -= record.names.keys()
            yield record
        for which in missing:
            raise InputError(
                f"{self.name}: --map {which}={reading.mapping[which]!r} names a key that no record "
                "has"
            )

    def _table(
        self, rows: Iterable[tuple[int, list[str]]], form: ListForm
    ) -> Iterator[RawRecord | RejectedRow]:
        reading = self._reading
        table = TableRows(
            self.name, rows, reading.mapping, headed=reading.headed, call=reading.call
        )
        yield from table
        self.form = replace(
            form,
            columns=table.heading,
            fields=self._fields,
            orders_only=table.orders_only,
            with_accounts=bool(reading.accounts),
        )

    @property
    def _fields(self) -> Mapping[str, str]:
        return {field.value: column for field, column in self._reading.mapping.items()}


class RecordSource:
    """A program's own rows: checked `Row`s, or mappings of the form that JSONL lists have.

    They may come from any iterable or async iterable. A record's line is its place, from 1.
    """

    sha256 = None
    form = ListForm(ListKind.RECORDS)

    def __init__(
        self,
        records: Iterable[Row | Mapping[str, object]] | AsyncIterable[Row | Mapping[str, object]],
        name: str = "records",
        locale: str | None = None,
        call: Call = Call.DV_RESEND,
        accounts: Mapping[str, str | None] | None = None,
    ) -> None:
        """Take records; `accounts` has those that they may name, each with its usual locale."""
        self.name = name
        self._records = records
        usual = None if locale is None else _checked_locale(locale)
        self._defaults = Defaults(usual, call, accounts=accounts or {})

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
            return RejectedRow(line, Problem.FORM, f"not a JSON object: {error}", "{}")
        raw = json_record(line, fields, text, {}, self._defaults.call)
        return _checked(raw, self._defaults)


def _checked(record: RawRecord | RejectedRow, defaults: Defaults) -> Row | RejectedRow:
    """Return what a record comes to; of one without a form nobody can tell its own call."""
    if isinstance(record, RejectedRow):
        return replace(record, call=defaults.call)
    return check_record(record, defaults)


def _checked_locale(locale: str) -> str:
    try:
        return locale_code(locale)
    except Malformed as reason:
        raise SettingsError(f"locale: {reason}") from None


Source = ListSource | RecordSource
