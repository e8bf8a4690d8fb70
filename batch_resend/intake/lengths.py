"""How long the order numbers of a list are: a row whose number is of another length is no request.

A number that was broken in two, or joined with another, is that of another order, and so is a year
or a count. Where the row names an address the CA refuses it; without one it mails all domains.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, cast

from batch_resend.errors import InputError
from batch_resend.intake.cells import Malformed, order_number, trimmed
from batch_resend.intake.raw_records import RawRecord
from batch_resend.intake.vocabulary import Field
from batch_resend.model import RejectedRow, Row

_SAMPLE = 50
_FEW = 3  # rows that have a length make it usual
_NEAR = 100  # orders apart: a number of one digit more may follow


Record = TypeVar("Record", bound=RawRecord | RejectedRow | Row)


class Lengths:
    """Which lengths, in digits, are usual; what is near those beside it is so as well."""

    def __init__(self, numbers: Iterable[str]) -> None:
        counts = Counter(len(number) for number in numbers if number)
        most = max(counts, key=lambda length: (counts[length], length), default=0)
        total = counts.total()
        self._usual = {most} if most else set[int]()
        self._usual |= {
            length
            for length, count in counts.items()
            if count >= _FEW and (count * 5 >= total or abs(length - most) == 1)
        }

    def is_usual(self, number: str) -> bool:
        """Whether others are as long."""
        return not self._usual or len(number) in self._usual

    def complaint(self, number: str, beside: Iterable[str]) -> str:
        """Return what is wrong with a number, by those `beside` it; empty where nothing is."""
        if not number or self.is_usual(number):
            return ""
        length = len(number)
        for other in filter(None, beside):
            is_next = any(abs(length - usual) == 1 for usual in self._usual)
            apart = abs(int(number) - int(other))
            if (is_next and len(other) == length) or apart <= max(_NEAR, int(other) // 10):
                self._usual.add(length)
                return ""
        usual = " or ".join(map(str, sorted(self._usual)))
        return (
            f"its number {number} has {length} digits, where others have {usual}: is it a whole "
            f"one, and an order's? If it is, write yes into a column {Field.ALL_DOMAINS}"
        )


class NumberCheck(Generic[Record]):
    """Checks the numbers of records that name nobody, as they come, by those around them.

    It keeps some back, to see which lengths are usual: `end` hands these over.
    """

    def __init__(self) -> None:
        self._ahead: list[Record] = []
        self._lengths: Lengths | None = None
        self._before = ""

    def take(self, record: Record) -> Record | None:
        """Take a record; return the one that is checked now, if there is one."""
        self._ahead.append(record)
        return self._next() if len(self._ahead) > _SAMPLE else None

    def end(self) -> Iterator[Record]:
        """Yield what was kept back."""
        while self._ahead:
            yield self._next()

    def _next(self) -> Record:
        if self._lengths is None:
            self._lengths = Lengths(map(_number, self._ahead[:_SAMPLE]))
        record = self._ahead.pop(0)
        number = _number(record)
        after = _number(self._ahead[0]) if self._ahead else ""
        before, self._before = self._before, number
        if not isinstance(record, RawRecord) or record.complaint or not _names_nobody(record):
            return record
        why = self._lengths.complaint(number, (before, after))
        return cast("Record", record._replace(complaint=why)) if why else record


def with_usual_numbers(
    records: Iterable[RawRecord | RejectedRow],
) -> Iterator[RawRecord | RejectedRow]:
    """Yield JSON records; those that name nobody only with a number as long as others."""
    check = NumberCheck[RawRecord | RejectedRow]()
    try:
        for record in records:
            if (checked := check.take(record)) is not None:
                yield checked
    except InputError:  # those read before it come first
        yield from check.end()
        raise
    yield from check.end()


def digits_of(text: object) -> str:
    """Return an order number's digits; empty where it is none."""
    try:
        return order_number(text) if text else ""
    except Malformed:
        return ""


def _number(record: object) -> str:
    number = record.order_id if isinstance(record, RawRecord) else None
    return digits_of(number) if isinstance(number, str | int) else ""


def _names_nobody(record: RawRecord) -> bool:
    return not (record.of_the_ca or record.all_domains or any(map(any, record.entries)))


def number_of(cells: Sequence[str] | None, at: int | None) -> str:
    """Return the number in a row of cells."""
    if cells is None or at is None or at >= len(cells):
        return ""
    return digits_of(trimmed(cells[at]).lstrip("#"))
