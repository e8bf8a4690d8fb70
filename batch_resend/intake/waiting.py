"""Rows of a rejected.csv that were right all along, and wait for others of the same record.

A JSON record with several entries is rejected as a whole, and stands there in a row for each. One
of them is to be corrected. The others go along with it: only then is what the record asked for
complete, and nothing else is asked for.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from batch_resend.intake.fed_back import WAITS
from batch_resend.intake.fields import RawRecord
from batch_resend.intake.reading import Reading
from batch_resend.intake.records import check_record
from batch_resend.intake.repairs import repaired
from batch_resend.model import RejectedRow, Row


def with_those_that_wait(records: Iterable[RawRecord], reading: Reading) -> Iterator[RawRecord]:
    """Yield all records; those that wait for the ones beside them are released if these are right.

    They are looked for beside each other, as they were written: a list may have any length.
    """
    for record, parts in groupby(records, attrgetter("part_of")):
        if record:
            yield from _released(list(parts), reading)
        else:
            yield from parts


def _released(parts: Sequence[RawRecord], reading: Reading) -> Iterator[RawRecord]:
    """Yield the rows of one record."""
    others = [part for part in parts if part.uncorrected != WAITS]
    if len(others) in (0, len(parts)):
        yield from parts
        return
    asked = {_asked(as_row(part, reading)) for part in others}
    for part in parts:
        free = part._replace(uncorrected="")
        waits = part.uncorrected == WAITS
        is_free = waits and None not in asked and asked == {_asked(as_row(free, reading))}
        yield free if is_free else part


def _asked(row: Row | RejectedRow) -> tuple[object, ...] | None:
    """Return what all rows of one record ask for; None where one asks for nothing, or for all."""
    if isinstance(row, RejectedRow) or not row.entries:
        return None
    return row.order_id, row.call, row.account, row.locale


def as_row(record: RawRecord, reading: Reading) -> Row | RejectedRow:
    """Return what a record comes to, as if it were the only one."""
    return check_record(repaired(record, Counter(), reading), reading)
