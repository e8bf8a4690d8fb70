"""How long the order numbers of a list are: a row whose number is of another length is no request.

A number that was broken in two, or joined with another, is that of another order, and so is a year
or a count. Where the row names an address the CA refuses it; without one it mails all domains.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from batch_resend.errors import InputError
from batch_resend.intake.cells import Malformed, order_number, trimmed
from batch_resend.intake.records import RawRecord
from batch_resend.intake.vocabulary import Field
from batch_resend.model import RejectedRow

_SAMPLE = 50
_FEW = 3  # rows that have a length make it usual
_NEAR = 100  # orders apart: a number of one digit more may follow


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


def with_usual_numbers(
    records: Iterable[RawRecord | RejectedRow],
) -> Iterator[RawRecord | RejectedRow]:
    """Yield JSON records; those that name nobody only with a number as long as others."""
    broken: list[InputError] = []
    rest = _until_broken(records, broken)
    ahead = list(islice(rest, _SAMPLE))
    lengths = Lengths(map(_number, ahead))
    before = ""
    while ahead:
        record = ahead.pop(0)
        ahead += islice(rest, 1)
        number = _number(record)
        after = _number(ahead[0]) if ahead else ""
        if isinstance(record, RawRecord) and not record.complaint and _names_nobody(record):
            why = lengths.complaint(number, (before, after))
            yield record._replace(complaint=why) if why else record
        else:
            yield record
        before = number
    for error in broken:
        raise error


def _until_broken(
    records: Iterable[RawRecord | RejectedRow], broken: list[InputError]
) -> Iterator[RawRecord | RejectedRow]:
    """Yield records, and note why there are no more: those read ahead come first."""
    try:
        yield from records
    except InputError as error:
        broken.append(error)


def digits_of(text: object) -> str:
    """Return an order number's digits; empty where it is none."""
    try:
        return order_number(text) if text else ""
    except Malformed:
        return ""


def _number(record: RawRecord | RejectedRow) -> str:
    number = record.order_id if isinstance(record, RawRecord) else None
    return digits_of(number) if isinstance(number, str | int) else ""


def _names_nobody(record: RawRecord) -> bool:
    return not (record.of_the_ca or record.all_domains or any(map(any, record.entries)))


def number_of(cells: Sequence[str] | None, at: int | None) -> str:
    """Return the number in a row of cells."""
    if cells is None or at is None or at >= len(cells):
        return ""
    return digits_of(trimmed(cells[at]).lstrip("#"))
