"""Pages of a JSON list: the orders in one, and what it says of others: how many, where the next is.

A part that is taken for the whole forgets orders. Where not all seem to be here, the plan says so.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from batch_resend.intake.fields import plain
from batch_resend.intake.json_shapes import Path
from batch_resend.intake.json_text import DECODER
from batch_resend.intake.signs import has_content

PAGE = "orders"  # the key of these in the CA's pages
_BLANK = re.compile(r"\s*")
_NO_VALUE = re.compile(r"[\s,:]*")  # what stands between keys and values
# Letters of keys, and of the object that they are in where they say too little alone.
_TOTAL = re.compile(
    r"(?:odata|record)?count|numfound"
    r"|total(?:count|items|elements|records|results|rows|hits|orders|value)?"
)
_NEXT = re.compile(
    r"(?:odata)?next(?:page|cursor)?(?:url|uri|link|href|token|cursor|number)?"
    r"|has(?:more|next)(?:page)?"
)
_OF_LITTLE = ("href", "url", "value")
# Objects in which programs tell of pages, beside those around the list itself.
_ABOUT_PAGES = re.compile(r"page|paging|pagination|pageinfo|meta|metadata|links?|next|total")
_NO_LETTER = re.compile("[^a-z]")
_NO = ("false", "0")


def is_page(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value is a page as the CA has them."""
    return isinstance(value, dict) and isinstance(value.get(PAGE), list)


def records_in(value: object, raw: str) -> Iterator[tuple[int, object, str]]:
    """Yield a value with its text; of a page with something else before its orders, each order.

    With each, how many lines below the value's first it begins.
    """
    if not is_page(value):
        yield 0, value, raw
        return
    below = counted = 0  # the lines before a place
    at = _orders_of_page(raw)
    while raw[at] != "]":
        at = _after(_NO_VALUE, raw, at)
        order, end = DECODER.raw_decode(raw, at)
        below, counted = below + raw.count("\n", counted, at), at
        yield below, order, raw[at:end]
        at = _after(_BLANK, raw, end)


def _orders_of_page(raw: str) -> int:
    """Return where the list of orders of a page begins, in its text."""
    at = 1  # behind its brace
    while True:
        key, at = DECODER.raw_decode(raw, _after(_NO_VALUE, raw, at))
        at = _after(_NO_VALUE, raw, at)
        if key == PAGE:
            return _after(_BLANK, raw, at + 1)
        _, at = DECODER.raw_decode(raw, at)


def _after(signs: re.Pattern[str], raw: str, at: int) -> int:
    found = signs.match(raw, at)
    return found.end() if found else at


class Pages:
    """What the pages of a list have said so far."""

    def __init__(self) -> None:
        self.in_all = 0  # how many orders there are; 0: none says it
        self.has_next: bool | None = None  # whether the last page names a next one, if it tells

    def note(self, beside: Iterable[tuple[Path, object]], taken: Path) -> None:
        """Take note of what stands beside the list of a page; `taken`: where that list stands."""
        nexts = []
        for path, held in _leaves(beside):
            if not _is_about_pages(path[:-1], taken):
                continue
            name = _name(path)
            if _TOTAL.fullmatch(name) and type(held) is int:
                self.in_all = max(self.in_all, held)
            elif _NEXT.fullmatch(name):
                nexts.append(_is_one(held))
        if nexts:
            self.has_next = any(nexts)


def _leaves(beside: Iterable[tuple[Path, object]]) -> Iterator[tuple[Path, object]]:
    """Yield single values with their keys, however deep."""
    rest = list(beside)
    while rest:
        path, held = rest.pop()
        if isinstance(held, (list, dict)) and held:
            rest += _parts(path, held)
        else:
            yield path, held


def _parts(path: Path, held: list[object] | dict[str, object]) -> Iterator[tuple[Path, object]]:
    """Yield what is in a list or an object; a link, which says what it is, under that."""
    if isinstance(held, list):
        yield from ((path, one) for one in held if isinstance(one, dict))
    elif "rel" in held:
        yield (*path, str(held["rel"])), held.get("href")
    else:
        yield from (((*path, key), one) for key, one in held.items())


def _is_about_pages(parents: Path, taken: Path) -> bool:
    """Whether objects with these keys are around the list, or are known to be about its pages."""
    return all(
        parents[: at + 1] == taken[: at + 1] or _ABOUT_PAGES.fullmatch(_letters(key))
        for at, key in enumerate(parents)
    )


def _name(path: Path) -> str:
    name = _letters(path[-1])
    return _letters(path[-2]) + name if name in _OF_LITTLE and len(path) > 1 else name


def _letters(key: str) -> str:
    return _NO_LETTER.sub("", plain(key))


def _is_one(held: object) -> bool:
    """Whether a value says that there is a next page, or where."""
    return has_content(held) and held.lower() not in _NO if isinstance(held, str) else bool(held)
