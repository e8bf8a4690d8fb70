"""Whether a row of a table is whole: what a copy, a paste or a spreadsheet does to rows.

A row that lost a cell, or gained one, has its other cells under wrong headings; one that was cut
off names another order, or leaves its address out. Each would mail others than those its list
asks for. What cannot be told from damage is rejected.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from batch_resend.intake.asked_about import is_title, says_not_to_send_these
from batch_resend.intake.cells import (
    Malformed,
    domain_name,
    failed_formula,
    is_nothing,
    trimmed,
)
from batch_resend.intake.fields import Field
from batch_resend.intake.headings import Columns
from batch_resend.intake.lengths import OrderNumbers, digits_of, number_of
from batch_resend.intake.looks import (
    has_address,
    is_domain,
    is_order_number,
    is_parent,
    separated_otherwise,
)

# For a carriage return that ends no line: half a character, which no cell may have anyway.
STRAY_CR = "\udc0d"

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
# Of few values: the last of a list that is cut off has one that no row before has.
_OF_FEW_VALUES = (
    Field.LOCALE, Field.CALL, Field.ACCOUNT, Field.ALL_DOMAINS, Field.STATUS, Field.DCV_METHOD,
    Field.PRODUCT,
)  # fmt: skip
_MAX_VALUES = 1_000
_LONG_NUMBER = 12  # digits; those of the CA have had ten at the most
_NUMBERS = (Field.ORDER_ID, Field.DOMAIN_ID)


@dataclass(slots=True)
class Shape:
    """What the rows of one table have in common, as far as they were seen."""

    columns: Columns
    width: int  # how many cells a row has to have
    heading: int = 0  # how many the heading has; 0: there is none
    usual: int = 0  # how many most of the first rows have
    is_sure: bool = True  # the heading says it, or most rows do
    is_single: bool = False  # there is one row alone
    aside: frozenset[int] = frozenset()  # columns about what was wrong with a row before
    by_order: bool = True  # rows that name no call are about orders
    alone: bool = False  # no row can name whom to mail, and no word says that all are meant
    by_word: bool = False  # it is said that rows that name nobody may
    rows: int = 0
    longest: dict[Field, int] = field(default_factory=dict)  # of the numbers
    blank: set[int] = field(default_factory=set)  # columns that some row leaves empty
    values: dict[Field, set[str]] = field(default_factory=dict)
    email_at: int | None = None
    numbers: tuple[tuple[Field, int], ...] = ()  # those there are, and their columns
    of_few_values: tuple[Field, ...] = ()
    order_at: int | None = None
    orders: OrderNumbers = field(default_factory=lambda: OrderNumbers("", ()))
    hashed: frozenset[int] = frozenset()  # columns whose cells all begin with #
    last_labels: set[str] = field(default_factory=set)  # of domains that stand without an address

    def __post_init__(self) -> None:
        """Look up once what each row is asked for."""
        places = self.columns.places
        email_at, *_ = places.get(Field.EMAIL, (self.width,))
        self.email_at = email_at if email_at < self.width else None
        self.order_at, *_ = places.get(Field.ORDER_ID, (None,))
        self.numbers = tuple((which, places[which][0]) for which in _NUMBERS if which in places)
        self.of_few_values = tuple(which for which in _OF_FEW_VALUES if which in places)

    def expect_orders(self, name: str, sample: Sequence[Sequence[str]], *, by_word: bool) -> None:
        """Take from some rows how order numbers look. `by_word`: who names nobody may do so."""
        orders = (row for row in sample if not _TOTALS.search("\n".join(row)))
        numbers = (number_of(row, self.order_at) for row in orders) if self.by_order else ()
        has_addresses = self.columns.has_addresses
        self.orders = OrderNumbers(name, numbers, with_addresses=has_addresses)
        self.by_word = by_word
        by_cell = Field.ALL_DOMAINS in self.columns.places
        self.alone = self.by_order and not (by_word or by_cell or has_addresses)

    def complaint(
        self,
        cells: Sequence[str],
        before: Sequence[str] | None,
        after: Sequence[str] | None,
        line: int,
        *,
        cut_off: bool,
    ) -> str:
        """Return why a row may not be what its list means; empty where nothing speaks for that.

        `before` and `after`: the rows beside it. `cut_off`: it has no line end. Raises InputError
        where it stands below a title.
        """
        if why := self._commented_out(cells):
            return why
        if cut_off or not self._is_plainly_whole(cells, before, after):
            why = (
                self._width(cells)
                or self._broken(cells, before, after)
                or self._group(cells, after)
                or self._totals(cells)
                or self._joined_number(cells)
                or (self._cut_off(cells) if cut_off else "")
            )
        return why or self._none_of_an_order(cells, before, after, line)

    def title(self, cells: Sequence[str]) -> str:
        """Return the title that a row is of those below it; empty where it is none.

        Beside addresses only one that says not to send them: others are often what broke off.
        """
        texts = [cell.strip() for cell in cells if cell.strip()]
        text = texts[0] if len(texts) == 1 else ""
        if not text or _TOTALS.search(text) or not is_title(text):
            return ""
        if self.columns.has_addresses or len(cells) < self.width:
            return text if says_not_to_send_these(text) else ""
        return text

    def _is_plainly_whole(
        self, cells: Sequence[str], before: Sequence[str] | None, after: Sequence[str] | None
    ) -> bool:
        """Whether a row is as wide as all around it, and no more need be asked: most are that."""
        if (
            not len(cells) == self.width == self.usual
            or not self.is_sure
            or (before is not None and len(before) < self.width)
            or after is None
            or len(after) == 1 < self.width
            or STRAY_CR in after[0]
            or any(at < len(cells) and len(cells[at]) > _LONG_NUMBER for _, at in self.numbers)
        ):
            return False
        text = "\n".join(cells)
        if self.email_at is not None:
            return "@" in cells[self.email_at] and STRAY_CR not in text
        # Without addresses anywhere a group has no details, and a total is called so.
        no_address = not self.columns.has_addresses
        return no_address and STRAY_CR not in text and not _TOTALS.search(text)

    def observe(self, cells: Sequence[str]) -> None:
        """Take note of a row that is whole."""
        self.rows += 1
        if not all(cells):
            self.blank.update(at for at, cell in enumerate(cells) if not cell.strip())
        for which, at in self.numbers:
            digits = cells[at] if at < len(cells) else ""
            if not (digits.isascii() and digits.isdigit()):
                digits = digits_of(trimmed(digits))
            if len(digits) > self.longest.get(which, 0):
                self.longest[which] = len(digits)
        if self.email_at is None and (domain := self._cell(cells, Field.DOMAIN)):
            self.last_labels.add(domain.rpartition(".")[2].lower())
        for which in self.of_few_values:
            seen = self.values.setdefault(which, set())
            if len(seen) < _MAX_VALUES:
                seen.add(self._cell(cells, which))

    def _width(self, cells: Sequence[str]) -> str:
        count = len(cells)
        if count < self.width:
            if between := separated_otherwise(cells, self.width):
                return f"its cells are separated by {between!r}, and the heading's are not"
            return (
                f"{_counted(count)}, where {self._whose} {self.width}: was the row cut off, or "
                "broken in two?"
            )
        most = max(self.heading, self.width)
        if count > most and any(map(str.strip, cells[most:])):
            return f"{_counted(count)}, where {self._whose} {self.heading or self.width}"
        # Where each row ends with a delimiter that the heading has not, it is the same in all.
        same_in_all = count == self.usual and self._is_unmistakable(cells)
        if (count > most or self.usual > most or not self.is_sure) and not same_in_all:
            if not self.is_sure:
                return "which cell holds what cannot be known for sure: the rows differ in width"
            return (
                f"{_counted(count)}, where {self._whose} {most}, and which is which cannot be "
                "known for sure"
            )
        return ""

    def _is_unmistakable(self, cells: Sequence[str]) -> bool:
        """Whether no other cell can be taken for one that is read, should they be shifted."""
        if self.is_single and not self._why_elsewhere(cells):
            return True  # nothing can be compared, and what is written behind it may be anything
        own = self.columns.read | self.aside
        others = [trimmed(cell) for at, cell in enumerate(cells) if at not in own]
        if any(has_address(cell) or is_domain(cell) or is_order_number(cell) for cell in others):
            return False
        # Rows of different widths show that one is damaged, and not which.
        return self.is_sure or self.is_single or not self._why_elsewhere(cells)

    @property
    def _whose(self) -> str:
        return "the heading has" if self.heading else "the other rows have"

    def _broken(
        self, cells: Sequence[str], before: Sequence[str] | None, after: Sequence[str] | None
    ) -> str:
        read = self.columns.read
        if any(STRAY_CR in cells[at] for at in read if at < len(cells)):
            return "a carriage return stands within a cell: was the row broken in two?"
        before, after = self._if_a_piece(before), self._if_a_piece(after)
        if before is not None and self.width > 1 and len(before) == 1:
            return (
                f"the row before has a single cell, {before[0].strip()[:40]!r}, which may be the "
                "beginning of this one's first"
            )
        if before is not None and len(before) < self.width:
            return f"the row before has {_counted(len(before))}: is this one its rest?"
        if after is not None and STRAY_CR in after[0].strip(STRAY_CR):
            return (
                "a carriage return stands in the first cell of the row below, which may begin with "
                "the end of this one's last"
            )
        if after is not None and self._may_be_end_of(cells, after):
            return (
                f"the row below has a single cell, {after[0].strip()[:40]!r}, which may be the end "
                "of this one's last"
            )
        return ""

    def _if_a_piece(self, cells: Sequence[str] | None) -> Sequence[str] | None:
        """Return a row beside another, unless it is a whole one with other delimiters."""
        return None if cells and separated_otherwise(cells, self.width) else cells

    def _may_be_end_of(self, cells: Sequence[str], after: Sequence[str]) -> bool:
        """Whether the row below may be the end of this one's last cell, and that is one read."""
        if len(after) > 1 or self.width < 2 or len(cells) - 1 not in self.columns.read:
            return False
        numbers = {at for which in _NUMBERS for at in self.columns.places.get(which, ())}
        return len(cells) - 1 in numbers or not after[0].strip().isdigit()

    def _group(self, cells: Sequence[str], after: Sequence[str] | None) -> str:
        if after is None or not self.by_order or self._names_somebody(cells):
            return ""
        if not self._cell(cells, Field.ORDER_ID):
            return ""
        if self._cell(after, Field.CALL):  # which may be about the domain alone
            return ""
        if not self._cell(after, Field.ORDER_ID) and self._names_somebody(after):
            return (
                "its details stand in the rows below, which have no order number: write it into "
                "each of them"
            )
        return ""

    def _totals(self, cells: Sequence[str]) -> str:
        if self._names_somebody(cells):
            return ""
        own = self.columns.read
        others = [cell for at, cell in enumerate(cells) if at not in own | self.aside]
        return "it looks like a row of totals" if _TOTALS.search("\n".join(others)) else ""

    def _joined_number(self, cells: Sequence[str]) -> str:
        """Where a list was cut off in a number and another one put behind, they are one."""
        for which, _ in self.numbers:
            digits = digits_of(self._cell(cells, which))
            if self.rows and len(digits) > max(_LONG_NUMBER, self.longest.get(which, 0) + 2):
                return f"its number {digits} is much longer than those before: are there two in it?"
        return ""

    def _none_of_an_order(
        self,
        cells: Sequence[str],
        before: Sequence[str] | None,
        after: Sequence[str] | None,
        line: int,
    ) -> str:
        number = number_of(cells, self.order_at)
        if Field.ALL_DOMAINS in self.columns.places and self._cell(cells, Field.ALL_DOMAINS):
            number = ""
        beside = (number_of(row, self.order_at) for row in (before, after))
        return self.orders.complaint(number, beside, line, alone=self.alone, by_word=self.by_word)

    def _commented_out(self, cells: Sequence[str]) -> str:
        for at in (0, self.order_at):
            text = cells[at].lstrip(" \t'\"") if at is not None and at < len(cells) else ""
            if not text.startswith("#") or failed_formula(text):
                continue
            if at not in self.hashed or (at == self.order_at and text[1:2].isspace()):
                return f"begins with #, as what is commented out does: {text[:40]!r}"
        return ""

    def _cut_off(self, cells: Sequence[str]) -> str:
        why = self._why_incomparable(cells) or self._why_cut_off(cells)
        if not why:
            return ""
        return f"the last line has no line end, and {why}: was the list cut off there?"

    def _why_incomparable(self, cells: Sequence[str]) -> str:
        """Return why a row without an address cannot be known to be whole."""
        if not (self.rows or self._cell(cells, Field.EMAIL)):
            return "no row before shows what is usual"
        domain = self._cell(cells, Field.DOMAIN)
        label = domain.rpartition(".")[2].lower()
        if domain and not self._cell(cells, Field.EMAIL) and label not in self.last_labels:
            return f"no row before has a domain that ends in {label!r}"
        return ""

    def _why_cut_off(self, cells: Sequence[str]) -> str:
        if self.rows:
            for at, cell in enumerate(cells):
                if not cell.strip() and at not in self.blank:
                    return f"its cell {at + 1} is empty, as in no row before"
        for which in _NUMBERS:
            digits = digits_of(self._cell(cells, which))
            if digits and len(digits) < self.longest.get(which, 0):
                return f"its number {digits} is shorter than those before"
            is_last = len(cells) - 1 in self.columns.places.get(which, ())
            if is_last and not self.rows and self.columns.has_addresses:
                return f"its number {digits} comes last, and no row before shows how long they are"
        if self.rows:
            for which in _OF_FEW_VALUES:
                value = self._cell(cells, which)
                if value and value not in self.values.get(which, ()):
                    return f"no row before has {value!r} for the {which}"
        return self._why_elsewhere(cells)

    def _why_elsewhere(self, cells: Sequence[str]) -> str:
        """Return why the address may have been cut off; empty where it is at its domain."""
        domains = [_domain(text) for text in _split(self._cell(cells, Field.DOMAIN))]
        mails = [_domain(t.rpartition("@")[2]) for t in _split(self._cell(cells, Field.EMAIL))]
        if Field.DOMAIN in self.columns.places:
            for mail in mails:
                if not all(mail == domain or is_parent(mail, domain) for domain in domains):
                    return "its address is not at its domain"
        named = self._cell(cells, Field.EMAIL_DOMAIN)
        if named and _domain(named) not in mails:
            return "its e-mail domain is not that of its address"
        return ""

    def _names_somebody(self, cells: Sequence[str]) -> bool:
        return bool(self._cell(cells, Field.DOMAIN) or self._cell(cells, Field.EMAIL))

    def _cell(self, cells: Sequence[str], which: Field) -> str:
        places = self.columns.places.get(which, ())
        texts = [trimmed(cells[at]) for at in places if at < len(cells)]
        return ", ".join(text for text in texts if not is_nothing(text))


def shape_of(
    columns: Columns,
    heading: Sequence[str] | None,
    sample: Sequence[Sequence[str]],
    *,
    by_order: bool,
    aside: frozenset[int] = frozenset(),
) -> Shape:
    """Return the shape that rows have to have: as wide as the heading, or as most of the first.

    Headings that are empty, at the end, are none.
    """
    widths = [len(row) for row in sample]
    of_heading = len(heading) if heading is not None else 0
    usual = max(
        set(widths), key=lambda width: (widths.count(width), width == of_heading, width), default=0
    )
    if heading is None:
        is_sure = len(widths) > 1 and widths.count(usual) * 2 > len(widths)
        is_single = len(widths) == 1
        shape = Shape(columns, usual, 0, usual, is_sure, is_single, by_order=by_order)
    else:
        width = _without_blank_end(heading)
        shape = Shape(columns, width, len(heading), usual, by_order=by_order, aside=aside)
    places = {0, *columns.places.get(Field.ORDER_ID, ())}
    shape.hashed = frozenset(at for at in places if _all_begin_with_hash(sample, at))
    return shape


def _all_begin_with_hash(sample: Sequence[Sequence[str]], at: int) -> bool:
    texts = [row[at].lstrip(" \t'\"") for row in sample if at < len(row) and row[at].strip()]
    return all(text.startswith("#") for text in texts)


def _without_blank_end(cells: Sequence[str]) -> int:
    width = len(cells)
    while width > 1 and not cells[width - 1].strip():
        width -= 1
    return width


def _domain(text: str) -> str:
    try:
        return domain_name(text)
    except Malformed:
        return text


def _split(text: str) -> list[str]:
    return [one for one in re.split(r"[;,\s]+", text) if one]


def _counted(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
