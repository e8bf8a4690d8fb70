"""Whether the last row of a list is whole that ends within a line: by what the rows before it had.

A number that lost its last digits is another order's; an address that did, another person's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from batch_resend.intake.cells import Malformed, domain_name, trimmed
from batch_resend.intake.fields import Field
from batch_resend.intake.headings import Columns
from batch_resend.intake.lengths import digits_of
from batch_resend.intake.looks import is_parent

LONG_NUMBER = 12  # digits; those of the CA have had ten at the most
NUMBERS = (Field.ORDER_ID, Field.DOMAIN_ID)
# Of few values: the last of a list that is cut off has one that no row before has.
_OF_FEW_VALUES = (
    Field.LOCALE, Field.CALL, Field.ACCOUNT, Field.ALL_DOMAINS, Field.STATUS, Field.DCV_METHOD,
    Field.PRODUCT,
)  # fmt: skip
_MAX_VALUES = 1_000


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
        self.numbers = tuple((which, places[which][0]) for which in NUMBERS if which in places)
        self.longest = {which: 0 for which, _ in self.numbers}
        self.values = {which: set() for which in _OF_FEW_VALUES if which in places}

    def observe(self, cells: Sequence[str]) -> None:
        """Take note of a row that is whole."""
        self.count += 1
        if not all(cells):
            self.blank.update(at for at, cell in enumerate(cells) if not cell.strip())
        for which, at in self.numbers:
            digits = cells[at] if at < len(cells) else ""
            if not (digits.isascii() and digits.isdigit()):
                digits = digits_of(trimmed(digits))
            self.longest[which] = max(self.longest[which], len(digits))
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
        return f"the last line has no line end, and {why}: was the list cut off there?"

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
    domains = [_domain(text) for text in _split(columns.cell(cells, Field.DOMAIN))]
    emails = _split(columns.cell(cells, Field.EMAIL))
    mails = [_domain(text.rpartition("@")[2]) for text in emails]
    apart = any(
        mail != domain and not is_parent(mail, domain) for mail in mails for domain in domains
    )
    if apart:
        return "its address is not at its domain"
    named = columns.cell(cells, Field.EMAIL_DOMAIN)
    if named and _domain(named) not in mails:
        return "its e-mail domain is not that of its address"
    return ""


def _last_label(domain: str) -> str:
    return domain.rpartition(".")[2].lower()


def _domain(text: str) -> str:
    try:
        return domain_name(text)
    except Malformed:
        return text


def _split(text: str) -> list[str]:
    return [one for one in re.split(r"[;,\s]+", text) if one]
