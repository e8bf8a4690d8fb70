"""Lists as a user hands them over, and what becomes of their rows."""

import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest
import xlsxwriter

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row

REFUSED = ["refused"]  # nothing of a list is sent


class EndlessList(io.RawIOBase):
    """Standard input with no end in sight, a line a read, and no more than was asked for.

    It does end after 10,000 lines, so that whoever waits for the end fails.
    """

    def __init__(self, first: bytes, line: bytes) -> None:
        self.lines_handed_over = 0
        self._first = first
        self._rest = b""
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if self.lines_handed_over == 10_000:
            return 0
        if not self._rest:
            self._rest = self._line if self.lines_handed_over else self._first
            self.lines_handed_over += 1
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


@contextmanager
def standard_input(content: bytes | io.RawIOBase) -> Iterator[None]:
    """Let `content` be standard input."""
    raw = io.BytesIO(content) if isinstance(content, bytes) else io.BufferedReader(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(raw, encoding="utf-8"))
        yield


def workbook(rows: Iterable[Iterable[object]], sheet_name: str | None = None) -> bytes:
    """Return rows as a workbook; texts that begin with = are formulas that were never computed."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet(sheet_name)
    for at, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            formula = isinstance(cell, str) and cell.startswith("=")
            sheet.write(at, column, cell, None, *([""] if formula else []))
    book.close()
    return file.getvalue()


def read(
    content: str | bytes, mapping: Mapping[Field, str] | None = None, locale: str | None = None
) -> list[Row | RejectedRow]:
    """Return what becomes of the rows of a list."""
    with standard_input(content.encode() if isinstance(content, str) else content):
        return list(ListSource("-", Reading(mapping or {}, locale)))


def read_row(
    content: str | bytes, mapping: Mapping[Field, str] | None = None, locale: str | None = None
) -> Row:
    """Return the only row of a list, which must be a good one."""
    (row,) = read(content, mapping, locale)
    assert isinstance(row, Row), row
    return row


def read_rejected(content: str | bytes, mapping: Mapping[Field, str] | None = None) -> RejectedRow:
    """Return the only row of a list, which must be a rejected one."""
    (row,) = read(content, mapping)
    assert isinstance(row, RejectedRow), row
    return row


def refusal(content: str | bytes, mapping: Mapping[Field, str] | None = None) -> str:
    """Return the words with which a whole list is refused."""
    with pytest.raises(InputError) as caught:
        read(content, mapping)
    return str(caught.value)


def goes(content: str | bytes, reading: Reading | None = None) -> list[str]:
    """Return the orders of the rows of a list that are sent."""
    found = []
    with standard_input(content.encode() if isinstance(content, str) else content):
        source = ListSource("-", reading)
        try:
            rows = [row for row in source if isinstance(row, Row)]
        except InputError:
            return REFUSED
        for row in rows:
            if row.entries or not source.form.with_addresses or "all_domains" in row.notes:
                found.append(row.order_id)
    return found
