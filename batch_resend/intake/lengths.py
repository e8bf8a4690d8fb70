"""The order numbers of a list: which of them, or whether all, may be none of the CA's orders.

A number that was broken in two, or joined with another, is that of another order; a year, a count
or a sum is none at all. Of a row that names nobody the CA would mail all domains.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, islice, pairwise
from typing import Generic, TypeVar, cast

from batch_resend.errors import InputError
from batch_resend.intake.fields import Field, RawRecord
from batch_resend.intake.numbers import as_written, why_commented_out, with_hash
from batch_resend.intake.reading import Reading
from batch_resend.intake.remarks import Titles
from batch_resend.intake.signs import is_title, may_narrow, narrows
from batch_resend.model import RejectedRow, Row

_OF_ITS_OWN = "put its row into a list of its own"
_LEAST_DIGITS, _MOST_DIGITS = 6, 10  # of the CA's order numbers, as far as they were seen
_SAMPLE = 50
_MOST_SUMMED = 100  # rows of a group: the sum of as many of the CA's numbers has more digits
_FEW = 3  # rows that have a length make it usual
_NEAR = 100  # orders apart: a number of one digit more may follow
_BY_TURNS = 0.9  # of the rows differ in length from the one before
_DATES = ("%Y%m%d", "%d%m%Y", "%m%d%Y")
_IN_THIS_AGE = range(1990, 2100)

Record = TypeVar("Record", bound=RawRecord | RejectedRow | Row)
Form = tuple[bool, int]  # whether zeros stand in front, and how many digits follow


@dataclass(slots=True)
class _Part:
    """The numbers of one length."""

    number: str  # the first
    line: int  # of the first
    first: int  # which row it stands in
    last: int = 0
    count: int = 0


class OrderNumbers:
    """What the order numbers of one list have in common, as far as they were seen.

    A number is its digits, behind one 0 where it is written with zeros in front.
    """

    def __init__(
        self, name: str, sample: Iterable[str], titles: Titles, *, with_addresses: bool = False
    ) -> None:
        """Take some numbers. Where rows name addresses, few numbers show no usual length."""
        seen = list(filter(None, sample))
        counts = Counter(map(_form, seen))
        most = max(counts, key=lambda form: (counts[form], form), default=(False, 0))
        self._usual = set[Form]()
        if counts[most] >= (_FEW if with_addresses else 1):
            good = (form for form, n in counts.items() if n >= _FEW and n * 4 > counts.total())
            self._usual = {most, *good}
        self._whole = [int(number) for number in seen if _form(number) in self._usual]
        self._name = name
        self._titles = titles
        self._rows = self._total = self._rows_of_part = self._total_of_part = 0
        self._values = deque[int](maxlen=_MOST_SUMMED)  # the last ones
        self._last_two = 0  # their sum: most numbers are smaller
        self._greatest = 0, 0  # a number, and its line
        self._before = ""
        self._changes = 0  # of the length, from row to row
        self._last = ""  # of those that nothing was said of
        self._last_value: int | None = None  # as long as they rise, or fall
        self._in_order = 0  # how many of these there were
        self._rises = self._falls = True
        self._parts: dict[int, _Part] = {}
        self._are_dates = True
        self._are_alone = False  # some name nobody, and no option says that they may

    def is_usual(self, number: str) -> bool:
        """Whether others have its form; where there is none, it is."""
        return not (number and self._usual) or _form(number) in self._usual

    def defect(
        self,
        number: str,
        beside: Iterable[str],
        line: int,
        *,
        names_nobody: bool,
        by_word: bool = False,
    ) -> str:
        """Return why a row, in order as far as else is known, may be none of an order to mail.

        `beside`: the numbers before and after; `by_word`: an option says that the row may name
        nobody. A total is no order by that. Raises InputError below a title.
        """
        alone = names_nobody and not by_word
        is_looked_at = alone or (names_nobody and len(number) >= _LEAST_DIGITS)
        why = self._why_none(number, line, alone=alone) if number and is_looked_at else ""
        if not (why or self.is_usual(number)):
            why = self._why_unusual(number, beside, names_nobody=alone)
        if number and not why:
            self._follow(number)
        if not why:
            self._titles.refuse_above(line)
        return why

    def _why_none(self, number: str, line: int, *, alone: bool) -> str:
        """Return why the number of a row that names nobody may be none of an order."""
        self._are_alone = self._are_alone or alone
        why = self._sum(number) or (self._unlike_the_cas(number) if alone else "")
        if not why:
            self._observe(number, line)
        return why

    def _unlike_the_cas(self, number: str) -> str:
        if number.startswith("0"):
            why = "begins with 0, as no order number of the CA does"
        elif not _LEAST_DIGITS <= len(number) <= _MOST_DIGITS:
            why = (
                f"has {_digits(len(number))}; those of the CA have {_LEAST_DIGITS} to "
                f"{_MOST_DIGITS}"
            )
        else:
            return ""
        return (
            f"its number {number} {why}: is it an order's? If it is, --all-domains has the CA "
            f"mail all its pending domains (or write yes in a column, or key, {Field.ALL_DOMAINS})"
        )

    def _sum(self, number: str) -> str:
        value = int(number)
        is_sum = value in (self._total, self._total_of_part) and self._rows_of_part > 1
        is_sum = is_sum or (value >= self._last_two and self._is_sum_of_last(value))
        if is_sum or value in (self._rows, self._rows_of_part):
            self._rows_of_part = self._total_of_part = 0
            return "its number is the count or the sum of rows before it: a row of totals?"
        return ""

    def _is_sum_of_last(self, value: int) -> bool:
        """Whether it is the sum of some rows directly before, as a group has below it."""
        return value in islice(accumulate(reversed(self._values)), 1, None)

    def _observe(self, number: str, line: int) -> None:
        value, length = int(number), len(number)
        if value > self._greatest[0]:
            self._greatest = value, line
        self._last_two = value + self._values[-1] if self._values else value
        self._values.append(value)
        self._rows += 1
        self._total += value
        self._rows_of_part += 1
        self._total_of_part += value
        if (part := self._parts.get(length)) is None:
            part = self._parts[length] = _Part(number, line, self._rows)
        part.last, part.count = self._rows, part.count + 1
        if self._before and len(self._before) != length:
            self._changes += 1
        self._before = number
        self._are_dates = self._are_dates and _is_date(number)

    def _follow(self, number: str) -> None:
        if self._rises or self._falls:
            value, last = int(number), self._last_value
            if last is not None:
                self._rises = self._rises and last <= value
                self._falls = self._falls and last >= value
            self._last_value = value
        self._last = number
        self._in_order += 1

    def _has_grown(self, number: str, after: str) -> bool:
        """Whether a sorted list continues with numbers of one digit more, or of one fewer."""
        if len(after) != len(number) or self._in_order < _FEW:
            return False
        digits = len(number) - len(self._last)
        rises = self._rises and digits == 1 and int(after) >= int(number)
        return rises or (self._falls and digits == -1 and int(after) <= int(number))

    def _why_unusual(self, number: str, beside: Iterable[str], *, names_nobody: bool) -> str:
        before, after = beside
        if number[0] != "0" and self._has_grown(number, after):
            self._usual.add(_form(number))
            return ""
        near = (int(one) for one in (before, after) if one and self.is_usual(one))
        whole = (*self._whole, *near)
        if number[0] != "0" and any(abs(int(number) - n) <= max(_NEAR, n // 10) for n in whole):
            self._usual.add(_form(number))
            return ""
        usual = " or ".join(str(zero + digits) for zero, digits in sorted(self._usual))
        remedy = f"write yes in a column (or key) {Field.ALL_DOMAINS}"
        return (
            f"its number {number} has {_digits(len(number))}, where others have {usual}: is it "
            "complete, and an order's? If it is, "
            + (f"{remedy}, in every row that is to be sent" if names_nobody else _OF_ITS_OWN)
        )

    def refuse(self) -> None:
        """Raise InputError where the numbers as a whole may be none of orders."""
        of_the_cas = "are these orders of the CA? If they are: --all-domains"
        if self._are_alone and self._rows and self._are_dates:
            number = next(iter(self._parts.values())).number
            raise InputError(
                f"{self._name}: every number looks like a date, such as {number}: {of_the_cas}"
            )
        greatest, line = self._greatest  # no other can be the sum of the rest
        if self._rows > 2 and greatest * 2 == self._total:
            raise InputError(
                f"{self._name}, line {line}: its number is the sum of all others, as in a row of "
                "totals: remove it"
            )
        if self._are_alone and (two := self._two_kinds()):
            one, other = two
            raise InputError(
                f"{self._name}, line {other.line}: numbers of {_digits(len(other.number))}, such "
                f"as {other.number}, are beside about as many of {_digits(len(one.number))}, such "
                f"as {one.number}: which are orders of the CA? Remove the others; if all are: "
                "--all-domains"
            )

    def _two_kinds(self) -> tuple[_Part, _Part] | None:
        """Return two parts of the list that look like two columns put into one.

        Each is more than a quarter of it, and they stand below each other or by turns. Not where
        numbers rise, or fall, throughout and none of the lengths between is missing: these have
        grown, and are sorted.
        """
        parts = [p for p in self._parts.values() if p.count > 1 and p.count * 4 > self._rows]
        parts.sort(key=lambda part: part.first)
        by_turns = self._changes >= (self._rows - 1) * _BY_TURNS
        lengths = sorted(self._parts)
        has_grown = lengths == list(range(lengths[0], lengths[-1] + 1)) if lengths else True
        if has_grown and (self._rises or self._falls):
            return None
        for one, other in pairwise(parts):
            if by_turns or one.last < other.first:
                return one, other
        return None


class NumberCheck(Generic[Record]):
    """Checks the numbers of records as they come, by those around them.

    It keeps some back, to see which lengths are usual: `end` hands these over.
    """

    def __init__(self, name: str, reading: Reading) -> None:
        self._name = name
        self._reading = reading
        self._is_usually_of_domain = reading.is_about_domain("", "")
        self._ahead: deque[tuple[Record, str]] = deque()  # with their numbers
        self._titles = Titles(name, reading.flags)
        self._numbers: OrderNumbers | None = None
        self._before = ""
        self._are_alone = True  # nobody is named, and there is no word for that
        self._have_hash = False  # the numbers begin with that sign

    def take(self, record: Record) -> Record | None:
        """Take a record; return the one that is checked now, if there is one."""
        self._ahead.append((record, _number(record)))
        return self._next() if len(self._ahead) > _SAMPLE else None

    def end(self) -> Iterator[Record]:
        """Yield what was kept back. Raises InputError where the list as a whole is in doubt."""
        yield from self.rest()
        self._titles.refuse_remark()
        if self._numbers is not None and self._are_alone:
            self._numbers.refuse()

    def rest(self) -> Iterator[Record]:
        """Yield what was kept back."""
        while self._ahead:
            yield self._next()

    def _next(self) -> Record:
        self._numbers = self._numbers or self._expected()
        record, number = self._ahead.popleft()
        beside = self._before, self._ahead[0][1] if self._ahead else ""
        self._before = number
        if not isinstance(record, RawRecord):
            return record
        why = self._defect(record, number, beside, self._numbers)
        return cast("Record", record._replace(defect=why)) if why else record

    def _defect(
        self, record: RawRecord, number: str, beside: tuple[str, str], numbers: OrderNumbers
    ) -> str:
        """Return what is wrong with a record, or with its number."""
        self._are_alone = self._are_alone and not (record.has_addresses or record.of_the_ca)
        by_word = bool(record.texts.get(Field.ALL_DOMAINS))
        of_domain = self._is_of_domain(record)
        order = record.texts.get(Field.ORDER_ID)
        is_read = not (of_domain or self._reading.numbers_only)
        if is_read and isinstance(order, str) and self._is_title(record.line, order):
            return record.defect
        if record.defect or by_word or record.of_the_ca or of_domain:
            return record.defect
        return self._why(record, numbers, number, beside)

    def _why(
        self, record: RawRecord, numbers: OrderNumbers, number: str, beside: tuple[str, str]
    ) -> str:
        """Return why a number may be none of an order to mail. Raises InputError below a title."""
        names_nobody = self._are_alone and not self._reading.numbers_only
        by_word = self._reading.all_domains
        alone = names_nobody and not by_word
        if alone and (why := why_commented_out(_with_hash(record), in_all=self._have_hash)):
            return why
        why = numbers.defect(
            number, beside, record.line, names_nobody=names_nobody, by_word=by_word
        )
        if not why:  # several records may begin on one line
            self._titles.refuse_above()
        return why

    def _is_title(self, line: int, text: str) -> bool:
        """Whether a title stands in the place of a number, as among the rows of a table."""
        if not is_title(text):
            return False
        is_remark = may_narrow(text) if self._are_alone else narrows(text)
        if is_remark or self._are_alone:
            self._titles.note(line, text, is_remark=is_remark)
        return is_remark or self._are_alone

    def _is_of_domain(self, record: RawRecord) -> bool:
        if record.texts.keys().isdisjoint((Field.CALL, Field.PRODUCT)):
            return self._is_usually_of_domain
        said = record.text(Field.CALL), record.text(Field.PRODUCT)
        return self._reading.is_about_domain(*said)

    def _expected(self) -> OrderNumbers:
        ahead = islice(self._ahead, _SAMPLE)
        raw = [(record, number) for record, number in ahead if isinstance(record, RawRecord)]
        self._are_alone = not any(record.may_say_whom for record, _ in raw)
        self._have_hash = all(map(_with_hash, (record for record, _ in raw)))
        named = any(any(entry) for record, _ in raw for entry in record.entries)
        seen = sample_of((number, self._is_of_domain(record)) for record, number in raw)
        return OrderNumbers(self._name, seen, self._titles, with_addresses=named)


def with_usual_numbers(
    records: Iterable[RawRecord | RejectedRow], name: str, reading: Reading
) -> Iterator[RawRecord | RejectedRow]:
    """Yield JSON records; one whose number is not as others' are, with that defect.

    Raises InputError where they may be no orders at all.
    """
    check = NumberCheck[RawRecord | RejectedRow](name, reading)
    try:
        for record in records:
            if (checked := check.take(record)) is not None:
                yield checked
    except InputError:  # those read before it come first
        yield from check.rest()
        raise
    yield from check.end()


def sample_of(numbers: Iterable[tuple[str, bool]]) -> Sequence[str]:
    """Return the numbers by which those of orders to mail are judged.

    Each comes with whether its row is about a domain, and only has the number beside: such numbers
    show a usual length where the others are few, and may be anything where they are not.
    """
    found = [one for one in numbers if one[0]]
    asked = [number for number, is_beside in found if not is_beside]
    return asked if len(asked) >= _FEW else [number for number, _ in found]


def _number(record: object) -> str:
    return as_written(record.texts.get(Field.ORDER_ID)) if isinstance(record, RawRecord) else ""


def _with_hash(record: RawRecord) -> str:
    order = record.texts.get(Field.ORDER_ID)
    return with_hash(order) if isinstance(order, str) else ""


def _form(number: str) -> Form:
    return (True, len(number) - 1) if number.startswith("0") else (False, len(number))


def _digits(count: int) -> str:
    return "1 digit" if count == 1 else f"{count} digits"


def _is_date(number: str) -> bool:
    """Whether a number begins with a day of our time; a counter of two digits may follow."""
    if len(number) not in (8, 10):
        return False
    return any(_is_day(number[:8], form) for form in _DATES[: 1 if len(number) > 8 else None])


def _is_day(digits: str, form: str) -> bool:
    try:
        return datetime.strptime(digits, form).year in _IN_THIS_AGE
    except ValueError:
        return False
