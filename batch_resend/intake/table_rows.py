"""Rows of cells, from CSV or from a sheet -> raw records."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise
from json import dumps
from typing import Protocol

from pydantic_core import to_json

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake.asked_about import (
    ask_for_language,
    ask_for_language_by_position,
    refuse_other_trade,
)
from batch_resend.intake.exports import is_own_heading
from batch_resend.intake.fed_back import FedBack, Own, own_columns, places_of
from batch_resend.intake.fields import (
    SUBJECTS,
    Field,
    RawEntry,
    RawRecord,
    in_one_line,
    kept_places,
    known_field,
    known_fields,
)
from batch_resend.intake.first_row import is_plainly_heading
from batch_resend.intake.headings import (
    Columns,
    find_columns,
    find_positions,
    require_width,
    unread_of,
)
from batch_resend.intake.layout import (
    STRAY_CR,
    HeadingsAgain,
    Numbered,
    TableRow,
    Unseen,
    count_titles,
    with_footers_apart,
)
from batch_resend.intake.own_files import mail_counts_of_stuck, refuse_own_tables
from batch_resend.intake.passed_over import PassedOver
from batch_resend.intake.plain_text import TAKES_NO_ROOM, without_invisible
from batch_resend.intake.reading import Reading
from batch_resend.intake.remarks import refuse_above
from batch_resend.intake.shape import Shape, shape_of
from batch_resend.intake.suggestions import Head, map_flag, unnamed
from batch_resend.intake.swallowed import SwallowedRows
from batch_resend.intake.waiting import with_those_that_wait
from batch_resend.list_form import Remark
from batch_resend.model import RejectedRow
from batch_resend.part_names import is_named_rejected

_SAMPLE_ROWS = 50
_END: Numbered = 0, []  # behind the last row


class Table(Protocol):
    """The rows of cells of one list."""

    ends_open: bool  # the last row, once it is read, has no line end
    unseen: Unseen
    delimiters: Sequence[str]  # see `SwallowedRows`

    def __iter__(self) -> Iterator[Numbered]: ...


class TableRows:
    """The records of one list that is a table; what else is known of it, is once it is read."""

    def __init__(self, name: str, table: Table, reading: Reading) -> None:
        self.heading: tuple[str, ...] = ()
        self.names: Sequence[str] = ()  # those in its heading
        self.unread: Mapping[str, str] = {}  # of these: see `ListForm`
        self.width = 0  # how many columns there are
        self.orders_only = False
        self.remarks: Counter[Remark] = Counter()
        self._names: tuple[str, ...] = ()  # the heading, hidden columns and all
        self._heading_line = 0
        self._kept: Mapping[Field, Sequence[int]] = {}  # columns of what stays with its row
        self.own: Own = {}  # columns of a rejected.csv, beside the list's own
        self._name = name
        self._is_named = is_named_rejected(name)
        self._table = table
        self._reading = reading

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a row. Raises InputError."""
        rows = iter(self._table)
        first = list(islice(rows, _SAMPLE_ROWS))
        if not first:
            return
        columns = self._columns(first)
        sample = [cells for _, cells in first]
        shape = shape_of(self._name, columns, self._names, sample, self._reading)
        footers: list[Numbered] = []
        fed_back = self._fed_back(columns)
        records = self._records(chain(first, rows), columns, shape, footers, fed_back)
        yield from with_those_that_wait(records, self._reading) if fed_back else records
        unseen = self._table.unseen
        self.remarks[Remark.HIDDEN_ROWS] += unseen.hidden_rows
        self.remarks[Remark.HIDDEN_SHEETS] += len(unseen.sheets)
        self.remarks[Remark.STRUCK_ROWS] += unseen.struck_rows
        self.remarks[Remark.FOOTER_ROWS] = len(footers)
        self.remarks = +self.remarks
        if self.width and not self._reading.headed:
            require_width(columns, self.width, self._name)
            others = (at for at in range(self.width) if at not in columns.read)
            self.unread = dict.fromkeys(map(unnamed, others), "")
        shape.titles.refuse_remark()
        if not columns.orders_only:
            shape.orders.refuse()

    def _columns(self, first: list[Numbered]) -> Columns:
        """Return which column holds what; the heading, and titles above it, are taken from `first`.

        Raises InputError.
        """
        reading = self._reading
        if not reading.headed:
            return self._by_position(first)
        if titles := count_titles([cells for _, cells in first], set(reading.mapping.values())):
            if not reading.numbers_only:
                refuse_above(first[:titles], self._name, reading.flags)
            self.remarks[Remark.TITLE_ROWS] += titles
            del first[:titles]
        line, heading = first.pop(0)
        self._names = tuple(name.replace(STRAY_CR, "\r") for name in heading)
        self.names = list(filter(None, map(in_one_line, self._names)))
        self.width = len(self._names)
        heading = [name.strip(STRAY_CR) for name in heading]
        sample = _without(self._names, first)
        if not reading.numbers_only:
            self.own = own_columns(heading, sample, is_named=self._is_named)
        self._heading_line = line
        where = f"{self._name}, line {line}"
        if not reading.numbers_only:
            refuse_own_tables(self._name, set(map(in_one_line, heading)) - reading.ignored)
            counts = mail_counts_of_stuck(heading)
            self._reading = reading = replace(reading, ignored=reading.ignored | counts)
        seen = self._seen(heading, where, self._table.unseen.struck.get(line, ()))
        # What is written in its form is read again by what was seen, and has nothing hidden.
        self.heading = tuple(
            "" if at in self._table.unseen.columns and not name else self._names[at]
            for at, name in enumerate(seen)
        )
        columns = self._found(seen, where, sample)
        self._kept = kept_places(seen, columns.places)
        self.orders_only = columns.orders_only
        self.unread = unread_of(self._not_read(columns), columns.places, reading.ignored)
        return columns

    def _by_position(self, first: Sequence[Numbered]) -> Columns:
        """Return which column of a list without a heading row holds what. Raises InputError."""
        reading, (line, head) = self._reading, first[0]
        sample = [head, *_without(head, first)]
        columns = find_positions(reading.mapping, self._name, reading.call)
        if is_plainly_heading(head, sample[1:]):
            raise InputError(
                f"{self._name}, line {line}: this is a heading row, and --no-header says "
                "that there is none: leave that option out, or delete that line"
            )
        if not (reading.numbers_only or reading.locale or Field.LOCALE in columns.places):
            ask_for_language_by_position(columns.read, reading.ignored, sample, self._name)
        self._kept = kept_places((), columns.places)
        return columns

    def _not_read(self, columns: Columns) -> Iterator[str]:
        read = columns.read.union(*self._kept.values())
        for at, name in enumerate(map(in_one_line, self.heading)):
            if name and at not in read and not (columns.orders_only and is_own_heading(name)):
                yield name

    def _found(self, seen: Sequence[str], where: str, sample: Sequence[Sequence[str]]) -> Columns:
        """Return which column of a heading holds what. Raises InputError where some is in doubt."""
        reading = self._reading
        without = Field.ORDER_ID not in known_fields(seen) | set(reading.mapping)
        if (sheets := self._table.unseen.sheets) and without:
            where = f"{where} (not of the hidden sheet {sheets[0]!r}, which --sheet names)"
        columns = find_columns(seen, reading, where, sample)
        columns = replace(columns, of_rejected=frozenset(places_of(self.own)))
        if reading.numbers_only:
            return columns
        by_word = reading.all_domains or Field.ALL_DOMAINS in columns.places
        by_order = Field.ORDER_ID in columns.places
        if by_order and not (by_word or columns.orders_only or columns.has_addresses):
            read = columns.read | columns.of_rejected
            refuse_other_trade(Head(list(map(in_one_line, seen)), where, sample), read)
        if not (Field.LOCALE in columns.places or reading.locale or columns.orders_only):
            ask_for_language(seen, columns.read, sample, where)
        return columns

    def _seen(self, heading: Sequence[str], where: str, struck: Collection[int]) -> list[str]:
        """Return a heading without what is hidden, or struck out, but for what --map names.

        Raises InputError where one would be read that no visible one stands for.
        """
        mapping, ignored = self._reading.mapping, self._reading.ignored
        unseen = {*self._table.unseen.columns, *struck}
        names = list(map(in_one_line, heading))
        kept = {*mapping.values(), *ignored}
        hidden = [at for at, name in enumerate(names) if at in unseen and name not in kept]
        seen = [
            "" if at in hidden or names[at] in ignored else name for at, name in enumerate(heading)
        ]
        there = {*known_fields(seen), *mapping}
        for name in (names[at] for at in hidden):
            field = known_field(name)
            if field is not None and field not in there and self._reading.reads(field):
                raise InputError(
                    f"{where}: the column {name!r} is hidden, or struck out: is it meant? Show it, "
                    f"delete it, or say {map_flag(field, name)}"
                )
        return seen

    def _records(
        self,
        rows: Iterable[Numbered],
        columns: Columns,
        shape: Shape,
        footers: list[Numbered],
        fed_back: FedBack | None,
    ) -> Iterator[RawRecord]:
        """Yield a record a row; those at the end that are none are added to `footers` instead."""
        table, all_domains = self._table, self._reading.all_domains
        passed_over = self._passed_over(columns)
        swallowed = SwallowedRows(self._name, table.delimiters, columns.places, shape.widths)
        swallowed.refuse(self._heading_line, self._names)
        as_record = _Recorder(columns, self._kept)
        for row in self._rows(with_footers_apart(rows, footers), columns):
            cells = row.cells
            # Where some cell has several lines.
            if row.text.count("\n") >= len(cells) or "\r" in row.text:
                swallowed.refuse(row.line, row.in_file, row.order)
            self.width = max(self.width, len(cells))
            cut_off = row.after is None and table.ends_open and not footers
            if not self._reading.numbers_only:
                shape.note_title(row)
            marked = table.unseen.defects.get(row.line)
            defect = marked or shape.defect(row, cut_off=cut_off)
            if not defect:
                shape.rows.observe(cells)
                self.remarks[Remark.OPEN_END] += cut_off
                passed_over.refuse(row, self._name)
            record = as_record(row, defect)
            if all_domains:
                record = record._replace(unread=passed_over.holding(cells, domains=shape.by_order))
            yield _compared(record, cells, fed_back) if fed_back else record
        passed_over.refuse_marks(self._name)

    def _rows(self, rows: Iterable[Numbered], columns: Columns) -> Iterator[TableRow]:
        """Yield the rows that hold data; those struck out, and headings once more, are counted."""
        again = HeadingsAgain(self._name, self._names, headed=self._reading.headed)
        struck = self._struck_out(columns)
        order: Sequence[int] | None = None  # of the columns, below a heading in the middle
        before: list[str] | None = None
        for (line, as_is), (_, after) in pairwise(chain(rows, (_END,))):
            cells = original = as_is
            text = "\n".join(as_is)
            if not text.isascii():
                cells, original = self._cleaned(as_is)
                text = "\n".join(cells)
            if again.is_one(line, cells):
                order, before = again.order_below(line, cells), None
                self.remarks[Remark.HEADING_AGAIN] += 1
            elif line in struck:
                self.remarks[Remark.STRUCK_ROWS] += 1
            else:
                row = TableRow(line, cells, original, text, before, after or None)
                row = row if order is None else row.arranged(order)
                before = row.cells
                yield row

    def _struck_out(self, columns: Columns) -> set[int]:
        """Return the lines of rows in which what they are about is struck out."""
        subject = {at for field in SUBJECTS for at in columns.places.get(field, ())}
        struck = self._table.unseen.struck.items()
        return {line for line, places in struck if not subject.isdisjoint(places)}

    def _cleaned(self, as_is: list[str]) -> tuple[list[str], list[str]]:
        """Return a row without characters that take no room, which are counted; and as it stood."""
        cells, joined = as_is, "".join(as_is)
        if TAKES_NO_ROOM.search(joined):
            cells = [without_invisible(cell) for cell in as_is]
            changed = sum(one != other for one, other in zip(as_is, cells, strict=True))
            self.remarks[Remark.REPAIRED_INVISIBLE] += changed
        if STRAY_CR in joined:
            cells = [cell.strip(STRAY_CR) for cell in cells]
            as_is = [cell.replace(STRAY_CR, "\r") for cell in as_is]
        return cells, as_is

    def _passed_over(self, columns: Columns) -> PassedOver:
        """Return what looks at cells that are not read, closely where no row can name anybody."""
        reading = self._reading
        by_address = CALLS[reading.call].is_about_domain and Field.EMAIL not in columns.places
        names_nobody = not reading.numbers_only and (by_address or not columns.has_addresses)
        aside = range(len(self._names)) if reading.numbers_only else columns.of_rejected
        return PassedOver(
            self._names,
            columns,
            aside,
            reading.ignored,
            names_nobody=names_nobody,
            by_word=reading.all_domains,
        )

    def _fed_back(self, columns: Columns) -> FedBack | None:
        """Return what looks at rows of a rejected.csv; None: the list has no columns of it."""
        reading, own, is_named = self._reading, self.own, self._is_named
        if reading.numbers_only or (reading.headed and not (own or is_named)):
            return None
        return FedBack(own, self._names, columns, self._kept, reading.all_domains, is_named)


def _without(heading: Sequence[str], rows: Iterable[Numbered]) -> list[list[str]]:
    """Return the cells of rows but those of a heading that stands once more, as on each page."""
    return [cells for _, cells in rows if cells != list(heading)]


class _Recorder:
    """Makes raw records of the rows of one table."""

    def __init__(self, columns: Columns, kept: Mapping[Field, Sequence[int]]) -> None:
        places = columns.places
        self._columns = columns
        self._kept = kept
        self._single = [(which, at[0]) for which, at in places.items()]
        # How wide a row is that has a cell of each field; None: some stand in several columns.
        is_single = all(len(at) == 1 for at in places.values())
        width = 1 + max((at for _, at in self._single), default=-1)
        self._least_width = width if is_single else None
        self._takes_no_address = not columns.orders_only and Field.EMAIL not in places

    def __call__(self, row: TableRow, defect: str) -> RawRecord:
        """Return the record of a row; `defect`: why it may be none."""
        cells, columns = row.cells, self._columns
        try:
            raw = to_json(row.original).decode()
        except ValueError:
            raw = dumps(row.original)
            defect = "a cell has half a character (a surrogate); is --encoding right?"
        if self._least_width is not None and len(cells) >= self._least_width:
            texts = {which: cells[at] for which, at in self._single}
        else:
            texts = {which: _text(cells, at) for which, at in columns.places.items()}
        text = texts.get
        pair = RawEntry(text(Field.DOMAIN, ""), text(Field.EMAIL, ""), text(Field.EMAIL_DOMAIN, ""))
        record = RawRecord(
            row.line, texts, (pair,), raw, columns.names, columns.has_addresses, defect
        )
        addresses_aside = self._takes_no_address and "@" in row.text
        if not (addresses_aside or columns.aside or self._kept):
            return record
        return record._replace(
            kept={which: _text(cells, at) for which, at in self._kept.items()},
            domains_aside=_text(cells, columns.aside, "; "),
            addresses_aside=addresses_aside,
        )


def _compared(record: RawRecord, cells: Sequence[str], fed_back: FedBack) -> RawRecord:
    """Return a record with why it is not to be sent, where it was rejected before and still is."""
    record = record._replace(is_of_rejected=bool(fed_back.names), part_of=fed_back.record_of(cells))
    if why := fed_back.remade(cells):
        return record._replace(defect=why, uncorrected=why)
    reason = fed_back.uncorrected(cells)
    return record._replace(uncorrected=reason) if reason else record


def _text(cells: Sequence[str], places: Sequence[int], between: str = ", ") -> str:
    """Return what stands in one column, or in several; a row may be shorter than the heading."""
    return between.join(filter(None, (cells[place] for place in places if place < len(cells))))
