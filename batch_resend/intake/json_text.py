"""JSON text -> values: each key once, and numbers with their digits as they stand."""

import json
from collections.abc import Iterable, Iterator

from batch_resend.intake.plain_text import without_invisible

_OF_PRODUCT = ("name", "name_id", "type")  # keys of it, as the CA has it


def decode(text: str) -> object:
    """Return what a JSON text says. Raises ValueError, RecursionError."""
    return DECODER.decode(text)


def why_not(error: ValueError | RecursionError) -> str:
    """Return why a text is not JSON, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} appears twice")
    return fields


def whole_number(digits: str) -> int | str:
    """Return a JSON integer; one that no order number is, and Python would not take, as text."""
    return int(digits) if len(digits) < 1_000 else digits


# Numbers keep their digits as they stand.
DECODER = json.JSONDecoder(
    parse_float=str, parse_int=whole_number, object_pairs_hook=_each_key_once
)
# The same, of a text that may have a key twice.
ANY_OBJECT = json.JSONDecoder(parse_float=str, parse_int=whole_number)


def may_go_on(text: str, at: int) -> bool:
    """Whether a value that is not complete before a place may go on there, as JSON has it."""
    if not text.startswith("{", at):
        return True
    try:
        ANY_OBJECT.raw_decode(text)
    except json.JSONDecodeError as error:
        return error.pos > at
    except (ValueError, RecursionError):
        return False
    return True


def each_text(values: Iterable[object]) -> Iterator[str]:
    """Yield the texts of values that are texts, or lists of some."""
    for value in values:
        several = value if isinstance(value, list) else [value]
        yield from (one for one in several if isinstance(one, str))


def together(value: object) -> object:
    """Return several texts as one cell has them; anything else as it is."""
    several = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    return "; ".join(value) if several and isinstance(value, list) else value


def product_in(values: Iterable[object]) -> str:
    """Return what says which product it is: texts, or those of an object as the CA has it."""
    each = (map(one.get, _OF_PRODUCT) if isinstance(one, dict) else [one] for one in values)
    return ", ".join(part for parts in each for part in parts if isinstance(part, str) and part)


def joined(values: Iterable[object]) -> str:
    """Return values as one text; half characters, which no file holds, as `?`."""
    texts = (one if isinstance(one, str) else json.dumps(one) for one in values if one is not None)
    return without_invisible(", ".join(texts)).encode(errors="replace").decode()
