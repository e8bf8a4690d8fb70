"""Where rows come from: a list in a file or on standard input, or a program's own records."""

import json
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

import anyio.to_thread

from batch_resend.errors import InputError, NoRows, UnknownColumn
from batch_resend.intake.csv_cells import CsvCells, delimiter_of
from batch_resend.intake.exports import WordsSeen
from batch_resend.intake.fields import ADDRESSES, OF_EXPORTS, Field, RawRecord
from batch_resend.intake.files import Bytes, ListFile
from batch_resend.intake.lengths import NumberCheck, with_usual_numbers
from batch_resend.intake.no_lists import OLE, ZIP, of_ole, refuse_bytes, refuse_text
from batch_resend.intake.own_files import is_named_as_part, refuse_own_tables
from batch_resend.intake.reading import Reading
from batch_resend.intake.records import check_record
from batch_resend.intake.repairs import repaired
from batch_resend.intake.suggestions import listed, unnamed
from batch_resend.intake.table_rows import Table, TableRows
from batch_resend.intake.text import Text
from batch_resend.list_form import ListForm, ListKind, Remark
from batch_resend.model import Call, Problem, RejectedRow, Row

Given = Row | Mapping[str, object]  # of a program
Record = TypeVar("Record")

_BATCH = 100  # records
_ROWS_A_BATCH = 5_000


class ListSource:
    """A list in a file, or `-` for standard input. Its form is found by its content.

    CSV, JSONL, JSON arrays, the CA's own JSON, Excel; packed or not. See `Reading` for the rest.
    """

    def __init__(self, path: str, reading: Reading | None = None) -> None:
        self._file = ListFile(path)
        self._reading = reading or Reading()
        self.form = ListForm(ListKind.CSV)
        self.columns: Sequence[str] = ()  # its headings, or the keys of its first record
        self.not_there = set(self._reading.ignored)  # columns to ignore, as far as none was found

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
        maker, words = _RowMaker(self._reading), WordsSeen(self._reading.unasked)
        empty = True
        with self._file.open() as file:
            for batch in _in_batches(self._records(file)):
                empty = False
                _note_words(batch, words)
                yield from list(map(maker.row, batch))
        self.form = maker.completed(self.form)
        if not self._reading.all_statuses:
            words.refuse(self.name)
        if empty:
            if self.form.columns:
                raise NoRows(f"{self.name} has a heading, but no rows: there is nothing to send")
            raise InputError(f"{self.name} is empty")

    def _records(self, file: Bytes) -> Iterator[RawRecord | RejectedRow]:
        """Yield the raw records, and note the form they were found in."""
        head = file.peek()
        refuse_bytes(self.name, head)
        if head.startswith((OLE, *ZIP)):
            from batch_resend.intake import workbook  # noqa: PLC0415 - slow, and most lists are none

            if head.startswith(OLE):
                raise of_ole(self.name, file.read(workbook.MAX_PACKED_BYTES))
            sheet = workbook.Sheet(self.name, file, self._reading)
            form = ListForm(ListKind.EXCEL, marked=self._reading.encoding is not None)
            yield from self._table(sheet, form)
            return
        reading = self._reading
        text = Text(self.name, file, reading.encoding, numbers_only=reading.numbers_only)
        refuse_text(self.name, text.sample)
        begin = text.sample.lstrip()
        form = ListForm(
            ListKind.JSON,
            fields=self._fields,
            encoding=text.encoding,
            marked=bool(text.mark) or self._reading.encoding is not None,
        )
        if begin.startswith(("{", "[")):
            # As slow to load: most lists are tables.
            from batch_resend.intake.json_rows import JsonRecords  # noqa: PLC0415
            from batch_resend.intake.json_stream import JsonStream, is_document  # noqa: PLC0415

            self.form = form
            of, stream = JsonRecords(self._reading, text.sample, self.name), None
            if is_document(begin, self._reading):
                stream = JsonStream(self.name, text, of)
                records = iter(stream)
            else:
                records = of.of_lines(text.lines())
            checked = with_usual_numbers(records, self.name, self._reading)
            yield from self._with_all_mapped(checked)
            of.titles.refuse_remark()
            if stream is not None:
                pages = stream.pages
                self.form = replace(
                    self.form, under=stream.under, in_all=pages.in_all, has_next=pages.has_next
                )
            others = of.usual.of_others(of.unread)
            self.form = replace(
                self.form,
                unread=of.unread,
                of_others=others,
                keys=tuple(sorted(of.known)),
            )
        elif begin or not text.sample_is_all:
            delimiter = delimiter_of(self.name, text, reading)
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
        with_addresses = has_records = False
        for record in records:
            self._note_keys(record.raw)
            if isinstance(record, RawRecord):
                has_records = True
                with_addresses = with_addresses or record.may_say_whom
                missing -= record.names.keys()
            yield record
        if with_addresses and not reading.all_domains:
            self.form = replace(self.form, with_addresses=True)
        for which in missing if has_records else ():
            raise InputError(
                f"{self.name}: --map {which}={reading.mapping[which]!r} names a key that no record "
                f"has; the keys of the first one are {listed(self.columns)}"
            )

    def _note_keys(self, raw: str) -> None:
        """Take note of the keys of a JSON record, at whatever depth: by its text."""
        if not self.columns:
            with suppress(ValueError, TypeError):
                self.columns = tuple(dict(json.loads(raw)))
            if not self._reading.numbers_only:
                refuse_own_tables(self.name, set(self.columns) - self._reading.ignored)
        if self.not_there:
            self.not_there -= {key for key in self.not_there if _is_key_in(raw, key)}

    def _table(self, table: Table, form: ListForm) -> Iterator[RawRecord | RejectedRow]:
        rows = TableRows(self.name, table, self._reading)
        yield from rows
        by_place = list(map(unnamed, range(rows.width)))
        self.columns = rows.names or by_place
        self.not_there -= {*rows.names, *by_place}
        self.form = replace(
            form,
            columns=rows.heading,
            fields=self._fields,
            orders_only=rows.orders_only,
            unread=rows.unread,
            own=rows.own,
        )
        self.form = _with_remarks(self.form, rows.remarks)

    @property
    def _fields(self) -> Mapping[str, str]:
        return {field.value: column for field, column in self._reading.mapping.items()}


def _is_key_in(raw: str, key: str) -> bool:
    """Whether a JSON record has a key, by its text; one within others is called `order.note`."""
    names = [key] if f'"{key}"' in raw else key.split(".")
    return all(json.dumps(name) in raw or f'"{name}"' in raw for name in names)


class RecordSource:
    """A program's own rows: checked `Row`s, or mappings of the form that JSONL lists have.

    They may come from any iterable or async iterable. A record's line is its place, from 1.
    """

    sha256 = None

    def __init__(  # noqa: PLR0913 - a program names them
        self,
        records: Iterable[Given] | AsyncIterable[Given],
        name: str = "records",
        locale: str | None = None,
        call: Call = Call.DV_RESEND,
        accounts: Mapping[str, str | None] | None = None,
        *,
        all_domains: bool = False,
    ) -> None:
        """Take records; `accounts` has those that they may name, each with its usual locale.

        `all_domains`: mappings without addresses mail all domains, though others have some. A
        `Row` without entries says so by itself.
        """
        from batch_resend.intake.json_rows import JsonRecords  # noqa: PLC0415 - as for a list

        self.name = name
        self._has_addresses = self._has_checked_rows = False
        self._records = records
        self._reading = Reading(
            locale=locale, call=call, accounts=accounts or {}, all_domains=all_domains
        )
        self._numbers = NumberCheck[Row | RawRecord | RejectedRow](name, self._reading)
        self._maker = _RowMaker(self._reading)
        self._json = JsonRecords(self._reading)

    @property
    def form(self) -> ListForm:
        """How the rows so far were read."""
        # A program that hands over checked rows knows which of them are to name nobody.
        by_word = self._reading.all_domains or self._has_checked_rows
        with_addresses = self._has_addresses and not by_word
        form = ListForm(
            ListKind.RECORDS,
            with_addresses=with_addresses,
            keys=tuple(sorted(self._json.known)),
        )
        return self._maker.completed(form)

    async def __aiter__(self) -> AsyncIterator[Row | RejectedRow]:
        """Yield the rows; some are kept back until it is known how long order numbers are."""
        line = 0
        async for record in _each(self._records):
            line += 1
            if (row := self._numbers.take(self._raw(line, record))) is not None:
                yield self._row(row)
        for row in self._numbers.end():
            yield self._row(row)

    def _raw(self, line: int, record: Given) -> Row | RawRecord | RejectedRow:
        if isinstance(record, Row):
            self._has_checked_rows = True
            if record.kept:
                self._maker.note_kept(which for which, _ in record.kept)
            return record
        fields = dict(record)
        try:
            text = json.dumps(fields)
        except (TypeError, ValueError, RecursionError) as error:
            return RejectedRow(line, Problem.FORM, f"not a JSON object: {error}", "{}")
        raw = self._json.record(line, fields, text)
        if isinstance(raw, RawRecord) and raw.may_say_whom:
            self._has_addresses = True
        return raw

    def _row(self, record: Row | RawRecord | RejectedRow) -> Row | RejectedRow:
        return record if isinstance(record, Row) else self._maker.row(record)


async def _each(records: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    if isinstance(records, AsyncIterable):
        async for record in records:
            yield record
    else:
        for record in records:
            yield record


class _RowMaker:
    """Makes rows of raw records, and notes what of it belongs to the form of their list."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._kept: dict[str, None] = {}  # fields that stay with their rows, for the report
        self._repairs: Counter[Remark] = Counter()
        self._of_row: Counter[Remark] = Counter()
        self._some_say_whom = False  # by what their call does not take: they are rejected

    def row(self, record: RawRecord | RejectedRow) -> Row | RejectedRow:
        """Return what a record comes to; of one without a form nobody can tell its own call."""
        if isinstance(record, RejectedRow):
            return replace(record, call=self._reading.call)
        if record.kept:
            self.note_kept(record.kept)
        if Field.PRODUCT in record.texts and Field.PRODUCT not in self._kept:
            self.note_kept((Field.PRODUCT,))
        row = check_record(repaired(record, self._of_row, self._reading), self._reading)
        if row.kept and row.kept[0][0] not in self._kept:  # an order's number comes first
            self.note_kept(which for which, _ in row.kept)
        if isinstance(row, RejectedRow):
            self._of_row.clear()  # nothing that was repaired is sent
            self._some_say_whom |= row.problem is Problem.NO_ADDRESS
        elif self._of_row:
            self._repairs.update(self._of_row)
            self._of_row.clear()
        return row

    def note_kept(self, fields: Iterable[str]) -> None:
        """Take note of fields that a list has for the report."""
        self._kept |= dict.fromkeys(fields)

    def completed(self, form: ListForm) -> ListForm:
        """Return a form with what was noted."""
        some_say_whom = self._some_say_whom and not self._reading.all_domains
        with_addresses = form.with_addresses or some_say_whom
        form = replace(form, with_addresses=with_addresses, kept=tuple(self._kept))
        return _with_remarks(form, self._repairs)


def _note_words(records: Sequence[RawRecord | RejectedRow], words: WordsSeen) -> None:
    for record in records:
        if isinstance(record, RejectedRow) or record.is_of_rejected:
            continue
        if not record.texts.keys().isdisjoint(OF_EXPORTS):
            words.note(record.said(), record.line, record.names)


def _in_batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Yield records some at a time: what is done to many in a row, a processor does faster.

    Those before an error come before it.
    """
    batch: list[Record] = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    except Exception:
        yield batch
        raise
    if batch:
        yield batch


def _with_remarks(form: ListForm, remarks: Mapping[Remark, int]) -> ListForm:
    counts = {remark.value: count for remark, count in remarks.items()}
    return replace(form, remarks={**form.remarks, **counts})


Source = ListSource | RecordSource


async def batches(source: Source) -> AsyncIterator[list[Row | RejectedRow]]:
    """Yield the rows of a source, many at a time. A file is read beside the event loop."""
    if isinstance(source, ListSource):
        rows = iter(source)
        while batch := await anyio.to_thread.run_sync(
            lambda: list(islice(rows, _ROWS_A_BATCH)), abandon_on_cancel=True
        ):
            yield batch
    else:
        batch = []
        async for row in source:
            batch.append(row)
            if len(batch) >= _ROWS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def refuse_ignored(sources: Iterable[Source]) -> None:
    """Raise UnknownColumn where --ignore names a column that is in none of the lists.

    A list that a report has written may lack columns of the lists that it was made of, and is read
    with the same options.
    """
    read = [source for source in sources if isinstance(source, ListSource)]
    if all(is_named_as_part(one.name, one.columns) for one in read):
        return
    columns = list(dict.fromkeys(name for one in read for name in one.columns))
    for name in sorted(set.intersection(*(one.not_there for one in read))):
        near = get_close_matches(name, columns, n=1)
        meant = f": is {near[0]!r} meant? The" if near else "; the"
        raise UnknownColumn(
            f"--ignore {name!r} names a column that is not there{meant} columns are "
            f"{listed(columns)}"
        )
