"""Rows of a table that are no records, and rows that are perhaps not whole.

Titles, headings once more, and footers: what programs write below, as how many rows there are, of
which page, by whom. And the last row of a list that ends within a line, by what the rows before it
had: a number that lost its last digits is another order's; an address that did, another person's.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from batch_resend.errors import InputError
from batch_resend.intake.cells import Malformed, domain_name, is_nothing, several, trimmed
from batch_resend.intake.fields import (
    SUBJECTS,
    Field,
    Role,
    in_one_line,
    known_field,
    known_fields,
    of_role,
    plain,
)
from batch_resend.intake.headings import Columns, is_heading_row, names_orders
from batch_resend.intake.looks import has_address, is_at, is_domain, is_order_number
from batch_resend.intake.numbers import digits_of
from batch_resend.intake.remarks import only_text
from batch_resend.intake.signs import narrows

Numbered = tuple[int, list[str]]  # the number of a row in its file, and its cells
# For a carriage return that ends no line: half a character, which no cell may have anyway.
STRAY_CR = "\udc0d"
_MAX_TITLE_ROWS = 5

LONG_NUMBER = 12  # digits; those of the CA have had ten at the most
# Of few values: the last of a list that is cut off has one that no row before has.
_OF_FEW_VALUES = of_role(Role.REQUEST, Role.OF_EXPORTS)
_MAX_VALUES = 1_000

# By the words of programs alone: what a person writes there may say what is not to be sent.
_MADE = (
    r"generated|created|exported|printed|produced|erstellt|erzeugt|exportiert|gedruckt|generiert"
    r"|g\u00e9n\u00e9r\u00e9|export\u00e9|imprim\u00e9|generato|esportato|stampato|generado|exportado|impreso"
)
_COUNTED = (
    r"rows?|records?|orders?|lines?|entries|entry|zeilen?|datens\u00e4tze?|lignes?|righe|filas?"
    r"|registros?"
)
_FOOTER = re.compile(
    r"[-*=_~ ]*(?:"
    rf"(?:(?:report|list|file|bericht|liste|datei|rapport)\s+)?(?:{_MADE})(?:\s+[^@]*)?"
    r"|(?:end|ende|fin|fine|einde)\s+(?:of|der|des|du|de|del|della|van)\s[^@]*|eof"
    r"|(?:page|seite|p\u00e1gina|pagina|blatt)\s*\d+[^@]*|\d{1,4}\s*(?:/|of|von|sur|di|de)\s*\d{1,4}"
    r"|(?<=- )\d{1,4}(?= -)"
    rf"|\(?\d[\d.,]*\s+(?:{_COUNTED})(?:\s+(?:in|selected|returned|affected|exported)[^@]*)?\)?"
    r"|(?:strictly\s+)?confidential|vertraulich|confidentiel|riservato"
    r"|(?:copyright|\u00a9|powered\s+by)\s[^@]*"
    r")[-*=_~. ]*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Unseen:
    """What of a table a person does not see, or sees marked; of CSV there is nothing such.

    But for the counts, all is known when the first row is.
    """

    columns: Collection[int] = ()  # hidden, from 0
    sheets: Sequence[str] = ()  # hidden, with cells, of a workbook of which another one is read
    struck: Mapping[int, Collection[int]] = field(default_factory=dict)  # row -> cells struck out
    defects: Mapping[int, str] = field(default_factory=dict)  # row -> what is marked in it
    hidden_rows: int = 0  # left out so far: filtered away, or folded up
    struck_rows: int = 0  # left out so far: all of their cells are struck out


class TableRow(NamedTuple):
    """A row of data, its cells where the list's own heading has them."""

    line: int
    cells: list[str]
    original: list[str]  # as they stood
    text: str  # all cells, a line each
    before: list[str] | None  # the row above, unless that is a heading
    after: list[str] | None
    misfit: str = ""  # why it does not go with another heading above it
    order: Sequence[int] | None = None  # of its cells in the file, below such a heading

    @property
    def in_file(self) -> Sequence[str]:
        """Its cells in the order of the file, as they stood."""
        order = self.order
        if order is None or self.misfit:
            return self.original
        return [self.original[order.index(at)] for at in range(len(order))]

    def arranged(self, order: Sequence[int]) -> "TableRow":
        """Return it with its cells where the list's own heading has them, if it has them all."""
        count = len(self.cells)
        misfit = f"{count} cells, where its heading has {len(order)}" if count != len(order) else ""
        return self._replace(
            cells=_arranged(self.cells, order),
            original=_arranged(self.original, order),
            after=self.after and _arranged(self.after, order),
            misfit=misfit,
            order=order,
        )


def _arranged(cells: list[str], order: Sequence[int]) -> list[str]:
    """Return cells in the order of the list's own columns; a row of another width as it is."""
    return [cells[at] for at in order] if len(cells) == len(order) else cells


def with_footers_apart(rows: Iterable[Numbered], footers: list[Numbered]) -> Iterator[Numbered]:
    """Yield rows; those below all others that are footers are added to `footers` instead."""
    for row in rows:
        if (text := only_text(row[1])) and _FOOTER.fullmatch(text) and not narrows(text):
            footers.append(row)
            continue
        if footers:
            yield from footers
            footers.clear()
        yield row


def count_titles(rows: Sequence[Sequence[str]], mapped: Collection[str]) -> int:
    """Return how many rows stand above one that is plainly the heading; 0 where data are there.

    `mapped`: headings that were named.
    """
    for at, cells in enumerate(rows[: _MAX_TITLE_ROWS + 1]):
        names = {in_one_line(cell) for cell in cells if cell.strip()}
        is_plain = at == 0 or len(names) == 1 or any(map(names_orders, names))
        enough = 1 if is_plain else 2
        if not names.isdisjoint(mapped) or len(known_fields(names)) >= enough:
            return at
        if any(map(_holds_data, names)):
            break
    return 0


def _holds_data(cell: str) -> bool:
    return is_order_number(cell) or has_address(cell)


class HeadingsAgain:
    """Knows headings that stand once more among the rows of a list."""

    def __init__(self, name: str, heading: Sequence[str], *, headed: bool) -> None:
        """Take the list's name and its heading, which is empty where there is to be none."""
        self._name = name
        self._heading = heading
        self._own = {plain(name) for name in heading if name.strip()}
        self._headed = headed

    def is_one(self, line: int, cells: Sequence[str]) -> bool:
        """Whether a row is a heading once more. Raises InputError where it is half of one."""
        # Worth a closer look are few: they end with a heading, or begin with a word.
        last = cells[-1] or next(filter(None, reversed(cells)), "")
        if not cells[0][:1].isalpha() and ("@" in last or last.isdigit() or not self._is_own(last)):
            return False
        where = f"{self._name}, line {line}"
        if not is_heading_row(cells, self._heading):
            if why := self._why_in_part(cells):
                raise InputError(f"{where}: {why}")
            return False
        if self._headed:
            return True
        if len(known_fields(cells)) < 2:
            return False
        raise InputError(f"{where}: this is a heading row, and --no-header says that there is none")

    def _is_own(self, cell: str) -> bool:
        return plain(cell) in self._own or known_field(cell) is not None

    def _why_in_part(self, cells: Sequence[str]) -> str:
        """Return why a row that is no whole heading may be one in part; empty: it is none."""
        names = [cell for cell in map(str.strip, cells) if cell]
        heads = [cell for cell in names if plain(cell) in self._own or names_orders(cell)]
        if len(heads) > 1 or any(map(names_orders, heads)):
            return (
                f"holds headings, {heads[0]!r} among them, and other cells: were two lists joined "
                "there? Put each into a file of its own"
            )
        if len(names) > 2 and len(names) >= len(self._own) > 0 and all(map(_is_word, names)):
            return (
                f"looks like the headings of another list, {names[0]!r} and others, which are not "
                "known: put each list into a file of its own, or delete that line"
            )
        return ""

    def order_below(self, line: int, cells: Sequence[str]) -> Sequence[int] | None:
        """Return where the list's columns stand below another heading; None: where they stood.

        Raises InputError where some are not there.
        """
        names, own = list(map(_meaning, cells)), list(map(_meaning, self._heading))
        if names == own or list(map(plain, cells)) == list(map(plain, self._heading)):
            return None
        if sorted(names) != sorted(own) or len(set(own)) < len(own):
            raise InputError(
                f"{self._name}, line {line}: another heading row, with other columns than the "
                "first: were two lists joined? Put each into a file of its own"
            )
        return [names.index(name) for name in own]


def _meaning(heading: str) -> str:
    """Return the field of a heading, by whichever of its names, or the heading itself."""
    return known_field(heading) or plain(heading)


def _is_word(text: str) -> bool:
    """Whether a text could be a heading: letters, and none of what data are made of.

    Abbreviations such as `Lfd.Nr` look like domains, which are hardly written so.
    """
    return (
        text[:1].isalpha()
        and not any(sign.isdigit() or sign in "@" for sign in text)
        and not (text.islower() and is_domain(text))
        and not is_nothing(text)
    )


@dataclass(slots=True)
class RowsBefore:
    """What the rows of a list had, as far as they were whole."""

    columns: Columns
    has_email: bool  # they reach as far as the column of addresses
    count: int = 0
    longest: dict[Field, int] = field(default_factory=dict)  # of the numbers
    blank: set[int] = field(default_factory=set)  # columns that some row leaves empty
    values: dict[Field, set[str]] = field(default_factory=dict)
    last_labels: set[str] = field(default_factory=set)  # of domains that stand without an address
    numbers: tuple[tuple[Field, int], ...] = ()  # those there are, and their columns
    has_domain_alone: bool = False  # they do not, and there are domains

    def __post_init__(self) -> None:
        """Look up once what each row is asked for."""
        places = self.columns.places
        self.has_domain_alone = Field.DOMAIN in places and not self.has_email
        self.numbers = tuple((which, places[which][0]) for which in SUBJECTS if which in places)
        self.longest = {which: 0 for which, _ in self.numbers}
        self.values = {which: set() for which in _OF_FEW_VALUES if which in places}

    def observe(self, cells: Sequence[str]) -> None:
        """Take note of a row that is whole."""
        self.count += 1
        if not all(cells):
            self.blank.update(at for at, cell in enumerate(cells) if not cell.strip())
        for which, at in self.numbers:
            length = _count_digits(cells[at] if at < len(cells) else "")
            self.longest[which] = max(self.longest[which], length)
        if self.has_domain_alone and (domain := self.columns.cell(cells, Field.DOMAIN)):
            self.last_labels.add(_last_label(domain))
        for which, seen in self.values.items():
            if len(seen) < _MAX_VALUES:
                seen.add(self.columns.cell(cells, which))

    def why_joined(self, cells: Sequence[str]) -> str:
        """Return why a number may be two: of a list that was cut off in one, with another behind.

        Empty where nothing speaks for that.
        """
        for which, _ in self.numbers:
            digits = digits_of(self.columns.cell(cells, which))
            if self.count and len(digits) > max(LONG_NUMBER, self.longest[which] + 2):
                return f"its number {digits} is much longer than those before: are there two in it?"
        return ""

    def why_cut_off(self, cells: Sequence[str]) -> str:
        """Return why a row without a line end may not be whole; empty where it plainly is."""
        why = (
            self._why_incomparable(cells)
            or self._why_empty(cells)
            or self._why_shorter(cells)
            or self._why_other_value(cells)
            or why_elsewhere(self.columns, cells)
        )
        if not why:
            return ""
        return (
            f"the last line has no line end, and {why}: was the list cut off there? If not, add "
            "a line break at its end"
        )

    def _why_incomparable(self, cells: Sequence[str]) -> str:
        """Return why a row without an address cannot be known to be whole."""
        if self.columns.cell(cells, Field.EMAIL):
            return ""
        if not self.count:
            return "no row before shows what is usual"
        domain = self.columns.cell(cells, Field.DOMAIN)
        label = _last_label(domain)
        if domain and label not in self.last_labels:
            return f"no row before has a domain that ends in {label!r}"
        return ""

    def _why_empty(self, cells: Sequence[str]) -> str:
        blank = (at for at, cell in enumerate(cells) if not cell.strip() and at not in self.blank)
        at = next(blank, None) if self.count else None
        return "" if at is None else f"its cell {at + 1} is empty, as in no row before"

    def _why_shorter(self, cells: Sequence[str]) -> str:
        for which, _ in self.numbers:
            digits = digits_of(self.columns.cell(cells, which))
            if digits and len(digits) < self.longest[which]:
                return f"its number {digits} is shorter than those before"
            is_last = len(cells) - 1 in self.columns.places[which]
            if is_last and not self.count and self.columns.has_addresses:
                return f"its number {digits} comes last, and no row before shows how long they are"
        return ""

    def _why_other_value(self, cells: Sequence[str]) -> str:
        for which, seen in self.values.items() if self.count else ():
            value = self.columns.cell(cells, which)
            if value and value not in seen:
                return f"no row before has {value!r} for the {which}"
        return ""


def why_elsewhere(columns: Columns, cells: Sequence[str]) -> str:
    """Return why an address may have been cut off; empty where it is at its domain."""
    domains = [_domain(text) for text in several(columns.cell(cells, Field.DOMAIN))]
    emails = several(columns.cell(cells, Field.EMAIL))
    mails = [_domain(text.rpartition("@")[2]) for text in emails]
    if not all(is_at(mail, domain) for mail in mails for domain in domains):
        return "its address is not at its domain"
    named = columns.cell(cells, Field.EMAIL_DOMAIN)
    if named and _domain(named) not in mails:
        return "its e-mail domain is not that of its address"
    return ""


def _count_digits(cell: str) -> int:
    is_plain = cell.isascii() and cell.isdigit()
    return len(cell if is_plain else digits_of(trimmed(cell)))


def _last_label(domain: str) -> str:
    return domain.rpartition(".")[2].lower()


def _domain(text: str) -> str:
    try:
        return domain_name(text)
    except Malformed:
        return text
