"""Rows of cells, from CSV or from a sheet -> raw records."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain, islice
from json import dumps
from typing import Protocol

from pydantic_core import to_json

from batch_resend.calls import CALLS
from batch_resend.errors import InputError
from batch_resend.intake.asked_about import refuse_other_trade
from batch_resend.intake.fields import (
    REQUEST_FIELDS,
    Field,
    RawEntry,
    RawRecord,
    in_one_line,
    kept_places,
    known_field,
    known_fields,
    plain,
)
from batch_resend.intake.footers import Numbered, with_footers_apart
from batch_resend.intake.headings import (
    Columns,
    HeadingRules,
    find_columns,
    find_positions,
    is_heading_row,
    names_orders,
    require_width,
)
from batch_resend.intake.looks import has_address, is_domain, is_order_number
from batch_resend.intake.passed_over import FedBack, PassedOver, ask_for_language, own_columns
from batch_resend.intake.reading import Reading
from batch_resend.intake.repairs import TAKES_NO_ROOM, without_invisible
from batch_resend.intake.shape import STRAY_CR, Shape, shape_of
from batch_resend.intake.suggestions import map_flag
from batch_resend.model import RejectedRow, Remark

_SAMPLE_ROWS = 50
_MAX_TITLE_ROWS = 5
_SUBJECTS = (Field.ORDER_ID, Field.DOMAIN_ID)  # struck out, the row is


class Table(Protocol):
    """The rows of cells of one list."""

    ends_open: bool  # the last row, once it is read, has no line end
    hidden_rows: int  # left out, as far as it was read
    hidden_columns: frozenset[int]  # from 0; known when the first row is
    hidden_sheets: Sequence[str]  # of a workbook, not read; likewise
    struck_rows: int  # left out, as far as it was read: all of their cells are struck out
    struck: Mapping[int, Collection[int]]  # row -> columns, from 0, of cells that are
    complaints: Mapping[int, str]  # row -> what a person marked in it

    def __iter__(self) -> Iterator[Numbered]: ...


class TableRows:
    """The records of one list that is a table; what else is known of it, is once it is read."""

    def __init__(self, name: str, table: Table, reading: Reading) -> None:
        self.heading: tuple[str, ...] = ()
        self.names: Sequence[str] = ()  # those in its heading
        self.width = 0  # how many columns there are
        self.orders_only = False
        self.remarks: Counter[Remark] = Counter()
        self._names: tuple[str, ...] = ()  # the heading, hidden columns and all
        self._own_names: set[str] = set()  # those in it
        self._kept: Mapping[Field, Sequence[int]] = {}  # columns of what stays with its row
        self._about_rejected: set[int] = set()  # columns of a rejected.csv, behind the list's own
        self._name = name
        self._table = table
        self._reading = reading

    def __iter__(self) -> Iterator[RawRecord | RejectedRow]:
        """Yield a record a row. Raises InputError."""
        rows = iter(self._table)
        first = list(islice(rows, _SAMPLE_ROWS))
        if not first:
            return
        reading, name = self._reading, self._name
        if reading.headed:
            self._pass_titles(first)
            line, heading = first.pop(0)
            self._names = tuple(name.replace(STRAY_CR, "\r") for name in heading)
            heading = [_without_stray_cr(name) for name in heading]
            self._own_names = {plain(name) for name in heading if name.strip()}
            self._about_rejected = own_columns(heading)
            rules = HeadingRules(
                tuple(reading.mapping.items()),
                reading.call,
                reading.all_domains,
                given=reading.flags,
            )
            sample = [cells for _, cells in first]
            where = f"{name}, line {line}"
            seen = self._seen(heading, where, self._table.struck.get(line, ()))
            without = Field.ORDER_ID not in known_fields(seen) | set(reading.mapping)
            if (sheets := self._table.hidden_sheets) and without:
                where = f"{where} (not of the hidden sheet {sheets[0]!r}, which --sheet names)"
            columns = find_columns(seen, rules, where, sample)
            # What is written in its form is read again by what was seen, and has nothing hidden.
            self.heading = tuple(
                "" if at in self._table.hidden_columns and not name else self._names[at]
                for at, name in enumerate(seen)
            )
            self._ask_for_trade(seen, columns, where)
            if not (Field.LOCALE in columns.places or reading.locale or columns.orders_only):
                ask_for_language(seen, columns.read, sample, where)
            self.orders_only = columns.orders_only
        else:
            columns, seen = find_positions(reading.mapping, name, reading.call), []
        self._kept = kept_places(seen, columns.places)
        by_order = not CALLS[reading.call].is_about_domain
        sample = [cells for _, cells in first]
        aside = frozenset(self._about_rejected)
        shape = shape_of(columns, self._names or None, sample, by_order=by_order, aside=aside)
        shape.expect_orders(name, sample, by_word=reading.all_domains)
        widest = 0
        footers: list[Numbered] = []
        body = with_footers_apart(chain(first, rows), footers)
        for record, width in self._records(body, columns, shape, footers):
            widest = max(widest, width)
            yield record
        self.names = list(filter(None, map(in_one_line, self._names)))
        self.width = max(widest, len(self._names))
        self.remarks[Remark.HIDDEN_ROWS] += self._table.hidden_rows
        self.remarks[Remark.HIDDEN_SHEETS] += len(self._table.hidden_sheets)
        self.remarks[Remark.STRUCK_ROWS] += self._table.struck_rows
        self.remarks[Remark.FOOTER_ROWS] = len(footers)
        self.remarks = +self.remarks
        if widest and not reading.headed:
            require_width(columns, widest, name)
        if not columns.orders_only:
            shape.orders.refuse()

    def _seen(self, heading: Sequence[str], where: str, struck: Collection[int]) -> list[str]:
        """Return a heading without what is hidden, or struck out, but for what --map names.

        Raises InputError where one would be read that no visible one stands for.
        """
        mapped = self._reading.mapping.values()
        names = list(map(in_one_line, heading))
        hidden = {
            at: name
            for at, name in enumerate(names)
            if (at in self._table.hidden_columns or at in struck) and name not in mapped
        }
        ignored = self._reading.ignored
        seen = [
            "" if at in hidden or names[at] in ignored else name for at, name in enumerate(heading)
        ]
        there = known_fields(seen) | set(self._reading.mapping)
        for name in hidden.values():
            field = None if name in ignored else known_field(name)
            if field is not None and field not in there:
                raise InputError(
                    f"{where}: the column {name!r} is hidden, or struck out: is it meant? Show it, "
                    f"delete it, or say {map_flag(field, name)}"
                )
        return seen

    def _ask_for_trade(self, seen: Sequence[str], columns: Columns, where: str) -> None:
        """Raise InputError where rows that name nobody may be about no orders of the CA's."""
        by_word = self._reading.all_domains or Field.ALL_DOMAINS in columns.places
        by_order = Field.ORDER_ID in columns.places
        if by_order and not (by_word or columns.orders_only or columns.has_addresses):
            read = columns.read | self._about_rejected
            refuse_other_trade(list(map(in_one_line, seen)), read, where)

    def _pass_titles(self, first: list[Numbered]) -> None:
        """Pass over what stands above a row that is plainly the heading, if it is no data."""
        mapped = set(self._reading.mapping.values())
        for at, (_, cells) in enumerate(first[: _MAX_TITLE_ROWS + 1]):
            names = {in_one_line(cell) for cell in cells if cell.strip()}
            fields = known_fields(names)
            if mapped & names or len(fields) > 1 or (fields and (at == 0 or len(names) == 1)):
                del first[:at]
                if at:
                    self.remarks[Remark.TITLE_ROWS] += at
                return
            if any(is_order_number(name) or has_address(name) for name in names):
                return

    def _records(
        self, rows: Iterable[Numbered], columns: Columns, shape: Shape, footers: Sized
    ) -> Iterator[tuple[RawRecord, int]]:
        """Yield a record a row, and how many cells the row has; `footers`: left out below."""
        asks_for_all = self._asks_for_all(columns)
        fed_back = self._fed_back(columns)
        passed_over = PassedOver(self._names, columns, self._about_rejected, self._reading.ignored)
        subject = {at for field in _SUBJECTS for at in columns.places.get(field, ())}
        order: Sequence[int] | None = None  # of the columns, under a heading in the middle
        before: list[str] | None = None
        for (line, as_is), after in _with_next(rows):
            cells, joined = as_is, "".join(as_is)
            is_plain = joined.isascii()
            if not is_plain and TAKES_NO_ROOM.search(joined):
                cells = self._visible(as_is)
            if self._may_be_heading(cells) and self._is_heading(line, cells):
                order = self._order_of(line, cells)
                self.remarks[Remark.HEADING_AGAIN] += 1
                before = None
                continue
            struck = self._table.struck.get(line, ())
            if not subject.isdisjoint(struck):
                self.remarks[Remark.STRUCK_ROWS] += 1
                continue
            cut_off = after is None and self._table.ends_open and not footers
            beside = _arranged(after[1], order) if after else None
            whole = _arranged(cells, order)
            original = whole if cells is as_is else _arranged(as_is, order)
            if not is_plain and STRAY_CR in joined:
                whole = [cell.strip(STRAY_CR) for cell in whole]
                original = [cell.replace(STRAY_CR, "\r") for cell in original]
            if title := shape.title(whole):
                shape.orders.begin_part(line, title)
            complaint = self._table.complaints.get(line) or shape.complaint(
                whole, before, beside, line, cut_off=cut_off
            )
            if order is not None and len(cells) != len(order):
                complaint = complaint or f"{len(cells)} cells, where its heading has {len(order)}"
            if not complaint:
                shape.observe(whole)
                if cut_off:
                    self.remarks[Remark.OPEN_END] += 1
                passed_over.refuse_marks(whole, f"{self._name}, line {line}")
                if asks_for_all:
                    passed_over.refuse(whole, f"{self._name}, line {line}")
            before = cells
            record = self._record(line, whole, original, columns, complaint)
            if self._reading.all_domains:
                domains = not CALLS[self._reading.call].is_about_domain
                record = record._replace(unread=passed_over.holding(whole, domains=domains))
            if reason := fed_back.uncorrected(whole):
                record = record._replace(uncorrected=reason)
            yield record, len(cells)

    def _visible(self, cells: list[str]) -> list[str]:
        """Return cells without characters that take no room, and count those that had some."""
        seen = [without_invisible(cell) for cell in cells]
        if changed := sum(one != other for one, other in zip(cells, seen, strict=True)):
            self.remarks[Remark.REPAIRED_INVISIBLE] += changed
        return seen

    def _fed_back(self, columns: Columns) -> FedBack:
        before = self._names[: min(self._about_rejected, default=0)]
        mapped = self._reading.mapping.values()
        by_fields = len(before) >= len(REQUEST_FIELDS) + 2 and all(
            in_one_line(name) in mapped or known_field(name) is not None for name in before
        )
        read = columns.read
        all_domains = self._reading.all_domains
        headed = self._reading.headed
        return FedBack(self._about_rejected, headed, by_fields, read, all_domains)

    def _may_be_heading(self, cells: Sequence[str]) -> bool:
        """Whether it is worth a closer look: few rows end with a heading or begin with a word."""
        if cells[0][:1].isalpha():
            return True
        last = cells[-1] or next(filter(None, reversed(cells)), "")
        if "@" in last or last.isdigit():
            return False
        return plain(last) in self._own_names or known_field(last) is not None

    def _is_heading(self, line: int, cells: Sequence[str]) -> bool:
        """Whether a row is a heading once more. Raises InputError where it is half of one."""
        where = f"{self._name}, line {line}"
        if is_heading_row(cells, self._names):
            if not self._reading.headed:
                if len(known_fields(cells)) < 2:
                    return False
                raise InputError(f"{where}: is a heading row, and --no-header says there is none")
            return True
        own = self._own_names
        names = [cell for cell in map(str.strip, cells) if cell]
        heads = [cell for cell in names if plain(cell) in own or names_orders(cell)]
        if len(heads) > 1 or any(map(names_orders, heads)):
            raise InputError(
                f"{where}: holds headings, {heads[0]!r} among them, and other cells: were two "
                "lists joined there? Send them one by one"
            )
        if len(names) > 2 and len(names) >= len(own) > 0 and all(map(_is_word, names)):
            raise InputError(
                f"{where}: looks like the headings of another list, {names[0]!r} and others, which "
                "are not known: send the lists one by one, or delete that line"
            )
        return False

    def _order_of(self, line: int, cells: Sequence[str]) -> Sequence[int] | None:
        """Return where the columns of the list's own heading stand under another one."""
        names = [_meaning(cell) for cell in cells]
        own = [_meaning(name) for name in self._names]
        if names == own or list(map(plain, cells)) == list(map(plain, self._names)):
            return None
        if sorted(names) != sorted(own) or len(set(own)) < len(own):
            raise InputError(
                f"{self._name}, line {line}: is another heading row, with other columns than the "
                "first: were two lists joined? Send them one by one"
            )
        return [names.index(name) for name in own]

    def _asks_for_all(self, columns: Columns) -> bool:
        """Whether no row can name whom to mail, and no word says that all are meant."""
        if self._reading.all_domains:
            return False
        about_domain = CALLS[self._reading.call].is_about_domain
        return not columns.has_addresses or (about_domain and Field.EMAIL not in columns.places)

    def _record(
        self,
        line: int,
        cells: Sequence[str],
        original: Sequence[str],
        columns: Columns,
        complaint: str,
    ) -> RawRecord:
        try:
            raw = to_json(original).decode()
        except ValueError:
            raw = dumps(original)
            complaint = "a cell has half a character (a surrogate); is --encoding right?"
        width = len(cells)
        texts = {
            field: cells[at[0]] if len(at) == 1 and at[0] < width else _text(cells, at)
            for field, at in columns.places.items()
        }
        text, kept = texts.get, self._kept
        return RawRecord(
            line=line,
            complaint=complaint,
            texts=texts,
            entries=(
                RawEntry(
                    text(Field.DOMAIN, ""), text(Field.EMAIL, ""), text(Field.EMAIL_DOMAIN, "")
                ),
            ),
            raw=raw,
            names=columns.names,
            kept={which: _text(cells, at) for which, at in kept.items()} if kept else {},
            domains_aside=_text(cells, columns.aside, "; ") if columns.aside else "",
            has_addresses=columns.has_addresses,
            addresses_aside=not columns.orders_only
            and Field.EMAIL not in columns.places
            and any("@" in cell for cell in cells),
        )


def _with_next(rows: Iterable[Numbered]) -> Iterator[tuple[Numbered, Numbered | None]]:
    """Yield each row with the one after it."""
    rest = iter(rows)
    row = next(rest, None)
    while row is not None:
        after = next(rest, None)
        yield row, after
        row = after


def _arranged(cells: list[str], order: Sequence[int] | None) -> list[str]:
    """Return cells in the order of the list's own columns; a row of another width as it is."""
    if order is None or len(cells) != len(order):
        return cells
    return [cells[at] for at in order]


def _meaning(heading: str) -> str:
    """Return the field of a heading, by whichever of its names, or the heading itself."""
    return known_field(heading) or plain(heading)


def _without_stray_cr(cell: str) -> str:
    """Return a cell without the carriage returns around it that end no line."""
    return cell.strip(STRAY_CR) if STRAY_CR in cell else cell


def _is_word(text: str) -> bool:
    """Whether a text could be a heading: letters, and none of what data are made of."""
    return (
        text[:1].isalpha()
        and not any(sign.isdigit() or sign in "@" for sign in text)
        and not is_domain(text)
        and text.lower() not in ("n/a", "null", "none", "nan")
    )


def _text(cells: Sequence[str], places: Sequence[int], between: str = ", ") -> str:
    """Return what stands in one column, or in several; a row may be shorter than the heading."""
    if len(places) == 1:
        return cells[places[0]] if places[0] < len(cells) else ""
    return between.join(filter(None, (cells[place] for place in places if place < len(cells))))
