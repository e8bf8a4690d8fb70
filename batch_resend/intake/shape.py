"""Whether a row of a table is whole: what a copy, a paste or a spreadsheet does to rows.

A row that lost a cell, or gained one, has its other cells under wrong headings; one that was cut
off names another order, or leaves its address out. Each would mail others than those its list
asks for. What may be damage is rejected.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from batch_resend.calls import CALLS
from batch_resend.intake.cells import shown, trimmed
from batch_resend.intake.fields import SUBJECTS, Field
from batch_resend.intake.headings import Columns
from batch_resend.intake.layout import (
    LONG_NUMBER,
    STRAY_CR,
    RowsBefore,
    TableRow,
    why_elsewhere,
)
from batch_resend.intake.lengths import OrderNumbers, sample_of
from batch_resend.intake.looks import has_address, is_domain, is_order_number, separated_otherwise
from batch_resend.intake.numbers import number_of, why_commented_out, with_hash
from batch_resend.intake.reading import Reading
from batch_resend.intake.remarks import Titles, written_for_a_row
from batch_resend.intake.signs import is_title, may_narrow, narrows

# A cell that ends in such a word, or begins with it; of several cells, a line each. The feature of
# spreadsheets that makes subtotals writes `x Count`, `Grand Total`, `Gesamtanzahl`.
_TOTAL_WORDS = (
    r"(?:(?:sub|grand|running)[ -]?)?totals?|sum|count|average|summe|zwischensumme|teilergebnis"
    r"|gesamt(?:summe|ergebnis|anzahl|zahl|wert)?|anzahl|ergebnis|mittelwert|somme|nombre|totaux"
    r"|totale|totali|totales|conteggio|suma|cuenta|som|totaal"
)
_TOTALS = re.compile(
    rf"^[^\S\n]*(?:(?:[^\n]*[\s_:-])?(?:{_TOTAL_WORDS})[:=\s\d]*"
    rf"|(?:{_TOTAL_WORDS})[\s:][^\n]*"
    r"|\(?\d+ (?:rows?|orders?|records?|zeilen)\)?"
    r"|(?:page|seite|pagina|p\u00e1gina)\s*\d+[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)

_LETTER = re.compile(r"[^\W\d_]")  # any total is called so: for speed


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rows of one table have in common, as far as they were seen."""

    columns: Columns
    width: int  # how many cells a row has to have
    heading: int  # how many the heading has; 0: there is none
    usual: int  # how many most of the first rows have
    is_sure: bool  # the heading says it, or most rows do
    is_regular: bool  # that, and most rows are of that width
    is_single: bool  # there is one row alone, and no heading
    own: frozenset[int]  # columns that are read, or say what was wrong with a row before
    hashed: frozenset[int]  # columns whose cells all begin with #
    by_order: bool  # rows that name no call are about orders
    names_nobody: bool  # no row can name whom to mail, nor does a column say that all are meant
    by_word: bool  # an option says so
    has_word: bool  # there is a column for that
    email_at: int | None
    order_at: int | None
    number_at: tuple[int, ...]  # of all numbers
    titles: Titles
    orders: OrderNumbers
    rows: RowsBefore
    number: Callable[[Sequence[str]], str]  # of the order that a row is about

    def defect(self, row: TableRow, *, cut_off: bool) -> str:
        """Return why a row may not be what its list means; empty where nothing speaks for that.

        `cut_off`: it has no line end. Raises InputError where it stands below a title.
        """
        text = row.text  # in which # is, or what is repaired to it, as `with_hash` finds it
        if (
            "#" in text or "%23" in text or "0023" in text or "\uff03" in text or "num;" in text
        ) and (why := self._commented_out(row.cells)):
            return why
        why = ""
        if cut_off or not self._is_plainly_whole(row):
            cells = row.cells
            why = (
                self._width(cells)
                or self._broken(row)
                or self._group(row)
                or self._totals(cells)
                or self.rows.why_joined(cells)
                or (self.rows.why_cut_off(cells) if cut_off else "")
            )
        return why or self._none_of_an_order(row) or row.misfit

    def note_title(self, row: TableRow) -> None:
        """Take note of a row that is a title of those below it, or a remark on the list, if it is.

        Beside addresses only of one that narrows the list: others are often what broke off.
        """
        text = written_for_a_row(row.cells, self.order_at)
        if not text:
            return
        is_alone = self.names_nobody and not self.by_word
        is_remark = may_narrow(text) if is_alone else narrows(text)
        is_any = not self.columns.has_addresses and len(row.cells) >= self.width
        if is_remark or (is_any and is_title(text) and not _TOTALS.search(text)):
            self.titles.note(row.line, text, is_remark=is_remark)

    def _is_plainly_whole(self, row: TableRow) -> bool:
        """Whether a row is as wide as all around it, and no more need be asked: most are that."""
        cells, before, after = row.cells, row.before, row.after
        if not (
            self.is_regular
            and len(cells) == self.width
            and (before is None or len(before) >= self.width)
            and after is not None
            and (len(after) > 1 or self.width == 1)
            and STRAY_CR not in after[0]
            and STRAY_CR not in row.text
        ):
            return False
        for at in self.number_at:
            if len(cells[at]) > LONG_NUMBER:
                return False
        if self.email_at is not None:
            return "@" in cells[self.email_at]
        # Without addresses anywhere a group has no details, and a total is called so.
        return not (self.columns.has_addresses or self._called_a_total(cells))

    def _width(self, cells: Sequence[str]) -> str:
        count = len(cells)
        if count < self.width:
            if between := separated_otherwise(cells, self.width):
                return (
                    f"its cells are separated by {between!r}, and the heading's are not: separate "
                    "all by one"
                )
            return (
                f"{_counted(count)}, where {self._whose} {self.width}: was the row cut off, or "
                "broken in two?"
            )
        most = max(self.heading, self.width)
        if count > most and any(map(str.strip, cells[most:])):
            return (
                f"{_counted(count)}, where {self._whose} {self.heading or self.width}: are "
                "quotation marks missing around a cell, or is one too many?"
            )
        # Where each row ends with a delimiter that the heading has not, it is the same in all.
        same_in_all = count == self.usual and self._is_unmistakable(cells)
        if (count > most or self.usual > most or not self.is_sure) and not same_in_all:
            if not self.is_sure:
                return "it is unclear which cell holds what: the rows differ in width"
            return (
                f"{_counted(count)}, where {self._whose} {most}, and it is unclear which is which"
            )
        return ""

    def _is_unmistakable(self, cells: Sequence[str]) -> bool:
        """Whether no other cell can be taken for one that is read, should they be shifted."""
        if self.is_single and not why_elsewhere(self.columns, cells):
            return True  # nothing can be compared, and what is written behind it may be anything
        others = [trimmed(cell) for at, cell in enumerate(cells) if at not in self.own]
        if any(has_address(cell) or is_domain(cell) or is_order_number(cell) for cell in others):
            return False
        # Rows of different widths show that one is damaged, and not which.
        return self.is_sure or self.is_single or not why_elsewhere(self.columns, cells)

    @property
    def widths(self) -> frozenset[int]:
        """How wide rows are, with blank ends or without."""
        return frozenset((self.width, self.heading or self.width, self.usual))

    @property
    def _whose(self) -> str:
        return "the heading has" if self.heading else "the other rows have"

    def _broken(self, row: TableRow) -> str:
        cells, read = row.cells, self.columns.read
        if any(STRAY_CR in cells[at] for at in read if at < len(cells)):
            return "there is a carriage return within a cell: was the row broken in two?"
        before, after = self._if_a_piece(row.before), self._if_a_piece(row.after)
        if before is not None and self.width > 1 and len(before) == 1:
            return (
                f"the row before has a single cell, {before[0].strip()[:40]!r}, which may be the "
                "beginning of this row's first"
            )
        if before is not None and len(before) < self.width:
            return f"the row before has {_counted(len(before))}: is this one the rest of it?"
        if after is not None and STRAY_CR in after[0].strip(STRAY_CR):
            return (
                "there is a carriage return in the first cell of the row below, which may begin "
                "with the end of this row's last"
            )
        if after is not None and self._may_be_end_of(cells, after):
            return (
                f"the row below has a single cell, {after[0].strip()[:40]!r}, which may be the "
                "end of this row's last"
            )
        return ""

    def _if_a_piece(self, cells: Sequence[str] | None) -> Sequence[str] | None:
        """Return a row beside another, unless it is a whole one with other delimiters."""
        return None if cells and separated_otherwise(cells, self.width) else cells

    def _may_be_end_of(self, cells: Sequence[str], after: Sequence[str]) -> bool:
        """Whether the row below may be the end of this one's last cell, and that is one read."""
        if len(after) > 1 or self.width < 2 or len(cells) - 1 not in self.columns.read:
            return False
        numbers = {at for which in SUBJECTS for at in self.columns.places.get(which, ())}
        return len(cells) - 1 in numbers or not after[0].strip().isdigit()

    def _group(self, row: TableRow) -> str:
        cells, after = row.cells, row.after
        if after is None or not self.by_order or self._names_somebody(cells):
            return ""
        if not self.columns.cell(cells, Field.ORDER_ID):
            return ""
        if self.columns.cell(after, Field.CALL):  # which may be about the domain alone
            return ""
        if not self.columns.cell(after, Field.ORDER_ID) and self._names_somebody(after):
            return (
                "its details are in the rows below, which have no order number: write it in each "
                "of them"
            )
        return ""

    def _totals(self, cells: Sequence[str]) -> str:
        number = self.columns.cell(cells, Field.ORDER_ID)
        total = number if _TOTALS.search(number) else ""
        if not (total or self._names_somebody(cells)):
            total = self._called_a_total(cells)
        return f"it looks like a row of totals ({shown(total)}): if it is, delete it" * bool(total)

    def _called_a_total(self, cells: Sequence[str]) -> str:
        """Return the first cell that is not read and has one of the words for that."""
        for at, cell in enumerate(cells):
            if at not in self.own and _LETTER.search(cell) and _TOTALS.search(cell):
                return cell
        return ""

    def _none_of_an_order(self, row: TableRow) -> str:
        number = self.number(row.cells)
        if self.has_word and self.columns.cell(row.cells, Field.ALL_DOMAINS):
            number = ""
        beside = map(number_of, (row.before, row.after), repeat(self.order_at))
        return self.orders.defect(
            number, beside, row.line, names_nobody=self.names_nobody, by_word=self.by_word
        )

    def _commented_out(self, cells: Sequence[str]) -> str:
        for at in dict.fromkeys((0, self.order_at)):
            text, is_order = _with_hash(cells, at), at == self.order_at
            in_all = at in self.hashed
            if text and (why := why_commented_out(text, in_all=in_all, is_order=is_order)):
                return why
        return ""

    def _names_somebody(self, cells: Sequence[str]) -> bool:
        return bool(self.columns.cell(cells, Field.DOMAIN) or self.columns.cell(cells, Field.EMAIL))


def shape_of(
    name: str,
    columns: Columns,
    heading: Sequence[str],
    sample: Sequence[Sequence[str]],
    reading: Reading,
) -> Shape:
    """Return the shape that rows have to have: as wide as the heading, or as most of the first.

    `heading`: without those that are empty, at the end; itself empty where there is none.
    """
    widths = [len(row) for row in sample]
    usual = max(
        set(widths),
        key=lambda width: (widths.count(width), width == len(heading), width),
        default=0,
    )
    places = columns.places
    width = _without_blank_end(heading) if heading else usual
    email_at, *_ = places.get(Field.EMAIL, (width,))
    order_at, *_ = places.get(Field.ORDER_ID, (None,))
    has_email = email_at < width
    by_order = not CALLS[reading.call].is_about_domain
    rows = RowsBefore(columns, has_email)
    number = _number(columns, order_at, reading)
    orders = (row for row in sample if by_order and not _TOTALS.search("\n".join(row)))
    numbers = sample_of(
        (one, one != number(row)) for row in orders if (one := number_of(row, order_at))
    )
    has_word = Field.ALL_DOMAINS in places
    titles = Titles(name, reading.flags)
    is_sure = bool(heading) or 1 < len(widths) < widths.count(usual) * 2
    return Shape(
        columns,
        width=width,
        heading=len(heading),
        usual=usual,
        is_sure=is_sure,
        is_regular=is_sure and width == usual,
        is_single=not heading and len(widths) == 1,
        own=frozenset(range(len(heading)))
        if reading.numbers_only
        else columns.read | columns.of_rejected,
        hashed=frozenset(
            at for at in (0, *places.get(Field.ORDER_ID, ())) if _all_begin_with_hash(sample, at)
        ),
        by_order=by_order,
        names_nobody=by_order and not (reading.numbers_only or has_word or columns.has_addresses),
        by_word=reading.all_domains,
        has_word=has_word,
        email_at=email_at if has_email else None,
        order_at=order_at,
        number_at=tuple(at for _, at in rows.numbers if at < width),
        titles=titles,
        orders=OrderNumbers(name, numbers, titles, with_addresses=columns.has_addresses),
        rows=rows,
        number=number,
    )


def _number(
    columns: Columns, order_at: int | None, reading: Reading
) -> Callable[[Sequence[str]], str]:
    """Return what reads the number of the order that a row is about; empty: it is about none."""
    says = {Field.CALL, Field.PRODUCT} if reading.auto_call else {Field.CALL}
    if says.isdisjoint(columns.places):
        return partial(number_of, at=order_at)

    def of_order(cells: Sequence[str]) -> str:
        call, product = (columns.cell(cells, one) for one in (Field.CALL, Field.PRODUCT))
        return "" if reading.is_about_domain(call, product) else number_of(cells, order_at)

    return of_order


def _all_begin_with_hash(sample: Sequence[Sequence[str]], at: int) -> bool:
    return all(_with_hash(row, at) for row in sample if at < len(row) and row[at].strip())


def _with_hash(cells: Sequence[str], at: int | None) -> str:
    return with_hash(cells[at]) if at is not None and at < len(cells) else ""


def _without_blank_end(cells: Sequence[str]) -> int:
    width = len(cells)
    while width > 1 and not cells[width - 1].strip():
        width -= 1
    return width


def _counted(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
