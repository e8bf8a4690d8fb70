"""The number of an order in a cell: the digits that are sent, and whether zeros are in front.

Whatever sends a number, or judges one, reads it here. What a check took for no number at all could
otherwise be repaired after it, and be sent without having been checked.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from batch_resend.intake.cells import Malformed, failed_formula, order_number
from batch_resend.intake.plain_text import noted, plain_text
from batch_resend.list_form import Remark

_PLAIN_NUMBER = re.compile("[1-9][0-9]{0,19}|")  # most are that
_DIGIT = re.compile("[0-9]")
_HASH = re.compile("#|\uff03|%23|0023|num;")  # in whatever form it is repaired from
_AROUND_HASH = " \t'\""


def bare_number(cell: str, counts: Counter[Remark]) -> str:
    """Return a cell without what is around its number, and count what that was."""
    text = plain_text(cell, counts)
    without = text.lstrip("#\u2116").lstrip()
    if not without[:1].isdigit():  # the sign is none of a number: a formula has failed
        return text
    return noted(without, Remark.REPAIRED_SIGNS, counts) if without != text else text


def digits_of(cell: object) -> str:
    """Return the digits of an order's number, as they are sent; empty where it is none."""
    return _digits(bare_number(cell, Counter()) if isinstance(cell, str) else cell)


def as_written(cell: object) -> str:
    """Return the digits of an order's number, after one 0 where zeros are in front of them."""
    if not isinstance(cell, str):
        return _digits(cell)
    plain = cell.removeprefix("#")
    return plain if _PLAIN_NUMBER.fullmatch(plain) else _as_written(cell)


def number_of(cells: Sequence[str] | None, at: int | None) -> str:
    """Return the number in a row of cells, as `as_written` does; empty where none is."""
    if cells is None or at is None or at >= len(cells):
        return ""
    cell = cells[at]
    return cell if _PLAIN_NUMBER.fullmatch(cell) else as_written(cell)


def with_hash(cell: str) -> str:
    """Return a cell that begins with #, without what is around it; empty where it does not."""
    if cell.isdigit() or not _HASH.search(cell):  # most are digits alone
        return ""
    bare = cell.lstrip(_AROUND_HASH)
    text = bare if bare.startswith("#") else plain_text(cell, Counter()).lstrip(_AROUND_HASH)
    return text if text.startswith("#") else ""


def why_commented_out(text: str, *, in_all: bool, is_order: bool = True) -> str:
    """Return why a row may be a comment, by a cell of it as `with_hash` returns it.

    `in_all`: the same cell of all rows begins so; `is_order`: it holds the order's number.
    """
    is_sign = in_all and not (is_order and text[1:2].isspace())
    if not text or is_sign or failed_formula(text):
        return ""
    return f"begins with #, as a comment does: {text[:40]!r}; remove the # if it is none"


@lru_cache(maxsize=64)  # a row is looked at with the ones before and after it
def _as_written(cell: str) -> str:
    text = bare_number(cell, Counter())
    number = _digits(text)
    first = _DIGIT.search(text)
    return f"0{number}" if number and first and first[0] == "0" else number


def _digits(value: object) -> str:
    try:
        return order_number(value) if value and isinstance(value, str | int | float) else ""
    except Malformed:
        return ""
