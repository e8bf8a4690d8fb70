"""Fields of the CA's answers, read leniently: what cannot be read of one is not known.

Recorded answers have an empty text, a zero date, null and " " among names, and `[]` in the place of
an object. One such field is to spoil neither its order nor the page that the order stands on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator


def _text(value: object) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None


def _digits(value: object) -> str | None:
    """Return a whole number as its digits, which the CA gives as a number or as a text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    return text if text is not None and text.isascii() and text.isdigit() else None


def _whole(value: object) -> int | None:
    digits = _digits(value)
    return None if digits is None or len(digits) > 18 else int(digits)


def _names(value: object) -> tuple[str, ...]:
    listed: Sequence[object] = value if isinstance(value, list) else [value]
    return tuple(name for item in listed if (name := _text(item)) is not None)


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list) else ()


def _moment(value: object) -> float | None:
    """Return a date and time in seconds since the epoch; without a zone it is in UTC.

    A year in which there is no such order stands for no date, such as 0001, 1970 or 9999.
    """
    text = _text(value)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp() if 1990 < at.year < 2200 else None


Text = Annotated[str | None, BeforeValidator(_text)]  # without the blanks around it
Digits = Annotated[str | None, BeforeValidator(_digits)]
Whole = Annotated[int | None, BeforeValidator(_whole)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]  # a list of texts, or one alone
Items = Annotated[tuple[object, ...], BeforeValidator(_items)]  # of a list, whatever they are
Moment = Annotated[float | None, BeforeValidator(_moment)]  # seconds since the epoch
