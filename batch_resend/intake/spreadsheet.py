"""What a spreadsheet makes of a cell by itself, as it opens a list and saves it again.

It takes a text for a number, a date, or true and false, where it can, and shows that in a format of
its own: in other digits, and often in fewer of them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

_LONGEST = 100  # characters of what is taken for anything
_EXACT_DIGITS = 15  # that a spreadsheet keeps of a number
_CURRENCY = "[$\u00a2-\u00a5\u20a0-\u20cf]?"
_NUMBER = re.compile(
    rf"([+-]?) ?{_CURRENCY} ?(\d[\d .,'\u2019]*|[.,]\d+) ?"
    rf"(?:e ?([+-]? ?\d{{1,3}}))? ?(%?) ?{_CURRENCY}"
)
_ACCOUNTING = re.compile(rf"({_CURRENCY}) ?\((.*)\)")  # (5), which is less than nothing
_WHOLE = re.compile(r"\d+|\d{1,3}([ .,'\u2019])\d{2,3}(?:\1\d{2,3})*")  # in India by two
_TRUTH = dict.fromkeys(("true", "wahr", "vrai", "vero", "verdadero", "verdadeiro", "waar"), 1)
_TRUTH |= dict.fromkeys(("false", "falsch", "faux", "falso", "onwaar"), 0)
_CLOCK = re.compile(r"\d+:\d\d(?::\d\d(?:[.,]\d+)?)? ?(?:[ap]\.? ?m\.?)?")
_CLOCK_BEHIND = re.compile(rf"[ t,]+{_CLOCK.pattern}(?:z|[+-]\d\d:?\d\d)?$")
_WORDS = re.compile(r"\d+|[^\W\d_]+")
_BETWEEN_WORDS = re.compile(r"[-./, ]*")
_MONTHS = frozenset(  # as their names begin
    ("jan", "gen", "ene", "feb", "f\u00e9v", "fev", "mar", "m\u00e4r", "mrz", "mrt", "maa", "apr",
     "avr", "abr", "may", "mai", "mag", "mei", "maj", "jun", "jui", "giu", "jul", "lug", "aug",
     "ao\u00fb", "ago", "sep", "set", "oct", "okt", "ott", "out", "nov", "dec", "dez", "d\u00e9c",
     "dic", "\u5e74", "\u6708", "\u65e5", "\ub144", "\uc6d4", "\uc77c")
)  # fmt: skip
_DAYS_ZERO = (date(1899, 12, 30), date(1904, 1, 1))  # from which days are counted
_LAST_DAY = 2_950_000  # about the year 9970
_MOST_NUMBERS, _OF_YEAR = 3, 4  # of a date; and the digits of a year
_FEW_DAYS = 1000  # beyond what any time of day, or length of time, is as a number


@dataclass(frozen=True, slots=True)
class _Number:
    """What a text means as a number."""

    value: Decimal
    is_exact: bool  # all its digits are there to be kept

    @property
    def unit(self) -> Decimal:
        """What its last digit counts."""
        return _power_of_ten(self.value)

    def may_show(self, other: "_Number") -> bool:
        """Whether it is another number, as that is stored and shown: cut off, or rounded."""
        # Shown in fewer digits first, then in full, a number has zeros for what was lost.
        unit = (
            self.unit if other.is_exact else max(self.unit, _power_of_ten(self.value.normalize()))
        )
        return abs(self.value - other.value) < unit


def remakes(stood: str, now: str) -> bool:
    """Whether a spreadsheet may have made `now` of what stood in a cell, or has left it."""
    before, after = bare(stood), bare(now)
    if before == after:
        return True
    numbers = list(_numbers(after))
    return any(number.may_show(one) for one in _numbers(before) for number in numbers) or (
        _is_moment_of(before, after, numbers)
    )


def may_remake(text: str) -> bool:
    """Whether a spreadsheet may take a text for something else."""
    cell = bare(text)
    return any(_numbers(cell)) or _CLOCK.fullmatch(cell) is not None or bool(_day_of(cell))


def bare(text: str) -> str:
    """Return a cell without what a spreadsheet, or the report, adds to any text or takes from it.

    That is the apostrophe in front, blanks around it, its kind of blanks and line ends, and case.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    return plain.lstrip("'").lstrip().lower()


def _numbers(text: str) -> Iterator[_Number]:
    """Yield what a text may mean as a number: a comma is a decimal mark here, and none there."""
    if (truth := _TRUTH.get(text)) is not None:
        yield _Number(Decimal(truth), is_exact=True)
    if len(text) > _LONGEST:
        return
    if less := _ACCOUNTING.fullmatch(text):
        text = f"-{less[1]}{less[2].strip()}"
    if not (found := _NUMBER.fullmatch(text)):
        return
    sign, digits, exponent, percent = found.groups()
    shift = int((exponent or "0").replace(" ", "")) - 2 * bool(percent)
    for spelled in _spelled(digits.strip()):
        value = Decimal(f"{sign}{spelled}E{shift}")
        is_exact = exponent is None and len(value.as_tuple().digits) <= _EXACT_DIGITS
        yield _Number(value, is_exact)


def _spelled(digits: str) -> Iterator[str]:
    """Yield the plain spellings of digits with marks of thousands or decimals between them."""
    if _WHOLE.fullmatch(digits):
        yield _only_digits(digits)
    for mark in ".,":
        whole, found, part = digits.rpartition(mark)
        is_whole = not whole or (mark not in whole and _WHOLE.fullmatch(whole))
        if found and is_whole and (part.isdecimal() or (whole and not part)):
            yield f"{_only_digits(whole) or '0'}.{part}"


def _only_digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _power_of_ten(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0)


def _is_moment_of(stood: str, now: str, numbers: list[_Number]) -> bool:
    """Whether a text was taken for a date, or a time, and is shown as one now, or as its number."""
    if _CLOCK.fullmatch(stood):
        return ":" in now or any(number.value < _FEW_DAYS for number in numbers)
    if not (day := _day_of(stood)):
        return False
    return bool(_day_of(now, is_shown=True)) or any(_is_day(one.value, day) for one in numbers)


def _day_of(text: str, *, is_shown: bool = False) -> list[int]:
    """Return the numbers in a date: of day, month and year, or of some of them; else none.

    `is_shown`: as a spreadsheet shows one, which may have more words, in any language.
    """
    if len(text) > _LONGEST:
        return []
    day = _CLOCK_BEHIND.sub("", text)
    parts = _WORDS.findall(day)
    numbers = [one for one in parts if one.isdecimal()]
    is_one = (
        all(map(_BETWEEN_WORDS.fullmatch, _WORDS.split(day)))
        and len(parts) > 1
        and 1 <= len(numbers) <= _MOST_NUMBERS
        and all(len(one) in (1, 2, _OF_YEAR) for one in numbers)
        and sum(len(one) == _OF_YEAR for one in numbers) <= 1
        and (is_shown or all(one.isdecimal() or one[:3] in _MONTHS for one in parts))
    )
    return list(map(int, numbers)) if is_one else []


def _is_day(value: Decimal, numbers: list[int]) -> bool:
    """Whether a number, as that of a day, is of a date that has these numbers."""
    if not 1 <= value < _LAST_DAY:
        return False
    days = [zero + timedelta(days=int(value)) for zero in _DAYS_ZERO]
    return any(
        {one % 100 for one in numbers} <= {day.day, day.month, day.year % 100} for day in days
    )
