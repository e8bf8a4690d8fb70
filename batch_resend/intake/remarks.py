"""What a person writes about a list: above its rows, among them or below, or in place of a record.

It may say that not all of the list is to be mailed. Then nothing of it is.
"""

import re
from collections.abc import Iterable, Sequence

from batch_resend.errors import InputError
from batch_resend.intake.cells import shown
from batch_resend.intake.looks import is_order_number
from batch_resend.intake.signs import may_narrow
from batch_resend.intake.suggestions import check_command

# A number that may be an order's, with words behind it: a row, which is rejected for these.
_DIGITS = 6
_BEGINS_WITH_NUMBER = re.compile(rf"\W*\d{{{_DIGITS}}}")


def only_text(cells: Sequence[str]) -> str:
    """Return the text of a row that has one alone; empty where it has several, or none."""
    if len(cells) == 1:
        return cells[0].strip()
    if cells[0][:1].isalnum() and cells[1][:1].isalnum():  # as most have
        return ""
    texts = [text for text in map(str.strip, cells) if text]
    return texts[0] if len(texts) == 1 else ""


def written_for_a_row(cells: Sequence[str], order_at: int | None) -> str:
    """Return what may be a title or a remark in the place of a row; empty where it is a row.

    A sentence with a delimiter in it stands in several cells. `order_at`: where rows have the
    numbers of their orders.
    """
    text = only_text(cells)
    if not text:
        first = cells[order_at] if order_at is not None and order_at < len(cells) else cells[0]
        if first[:1].isdigit() or not first.strip() or any(map(_is_value, cells)):
            return ""
        text = ", ".join(filter(None, map(str.strip, cells)))
    is_number = len(text) >= _DIGITS and text[:_DIGITS].isdigit()  # as most are
    return "" if is_number or _BEGINS_WITH_NUMBER.match(text) else text


def _is_value(cell: str) -> bool:
    """Whether a cell is no word of a sentence, but a number, a domain or an address."""
    word = cell.strip()
    is_name = " " not in word and ("@" in word or "." in word[:-1])
    return is_name or is_order_number(word)


def refuse_above(titles: Iterable[tuple[int, Sequence[str]]], name: str, flags: str) -> None:
    """Raise InputError where a title above the headings may say what not to mail.

    `flags`: the options that were given.
    """
    for line, cells in titles:
        text = " ".join(filter(None, map(str.strip, cells)))
        if may_narrow(text):
            raise InputError(
                f"{name}, line {line}: {shown(text)} is above the headings, and may say that not "
                f"all of the list is to be mailed. {_without_that_line(name, flags)}"
            )


class Titles:
    """The titles and remarks of one list, in the order in which they stand there."""

    def __init__(self, name: str, flags: str) -> None:
        """Take the list's name, and the options that were given."""
        self._name = name
        self._flags = flags
        self._last: tuple[int, str] | None = None
        self._remark: tuple[int, str] | None = None  # the first that may narrow the list

    def note(self, line: int, text: str, *, is_remark: bool) -> None:
        """Take note of one; `is_remark`: it may narrow the list, wherever it stands."""
        self._last = line, text
        if is_remark and self._remark is None:
            self._remark = self._last

    def refuse_above(self, line: int = 0) -> None:
        """Raise InputError where a title is above a row: that may be something else.

        `line`: the row's, if it may be the title itself.
        """
        if self._last is not None and self._last[0] != line:
            raise self._error(*self._last)

    def refuse_remark(self) -> None:
        """Raise InputError where a remark may say that not all of the list is to be mailed."""
        if self._remark is not None:
            raise self._error(*self._remark)

    def _error(self, line: int, text: str) -> InputError:
        return InputError(
            f"{self._name}, line {line}: {shown(text)} is there, like a title or a remark: are all "
            f"rows of the list orders to mail? {_without_that_line(self._name, self._flags)}"
        )


def _without_that_line(name: str, flags: str) -> str:
    again = check_command(name, (flags,))
    return f"Remove the rows that are not to be sent, and that line, then: {again}"
