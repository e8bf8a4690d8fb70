"""Orders that are odd in one thing each, as lists of a service that is old have some.

Only what the table says of one has a source. The others are there because a program that reads a
thousand orders at once is not to stumble over one of them.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from batch_resend.simulator.answers import Provenance, Source

Item = dict[str, Any]


class Oddity(StrEnum):
    """What is odd about an order."""

    NO_DATE = "empty date_created"
    ZERO_DATE = "date of zeros"
    NO_ZONE = "date without zone"
    NULL_NAMES = "names null"
    BLANK_NAME = "blank name"
    NULL_NAME = "null among names"
    TEXT_NAMES = "names a text"
    LIST_CERTIFICATE = "certificate a list"
    LIST_CONTAINER = "container a list"
    LIST_PRODUCT = "product a list"
    LETTERS = "id with letters"
    UNKNOWN_STATUS = "unknown status"


def _date(value: str) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item["date_created"] = value

    return spoil


def _no_zone(item: Item) -> None:
    item["date_created"] = item["date_created"].partition("+")[0].replace("T", " ")


def _names(value: Callable[[list[str]], object]) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item["certificate"]["dns_names"] = value(item["certificate"]["dns_names"])

    return spoil


def _list(field: str) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item[field] = []

    return spoil


def _letters(item: Item) -> None:
    item["id"] = f"WEB-{item['id']}"


def _unknown_status(item: Item) -> None:
    item["status"] = "awaiting_review"


_SPOILING: Mapping[Oddity, tuple[str, Callable[[Item], None]]] = {
    Oddity.NO_DATE: ('date_created: ""', _date("")),
    Oddity.ZERO_DATE: ("0000-00-00 00:00:00", _date("0000-00-00 00:00:00")),
    Oddity.NO_ZONE: ("2026-11-23 17:15:15", _no_zone),
    Oddity.NULL_NAMES: ("dns_names: null", _names(lambda _: None)),
    Oddity.BLANK_NAME: ('dns_names: [" "]', _names(lambda _: [" "])),
    Oddity.NULL_NAME: ("dns_names: [null, ..]", _names(lambda names: [None, *names])),
    Oddity.TEXT_NAMES: ('dns_names: "a, b"', _names(", ".join)),
    Oddity.LIST_CERTIFICATE: ("[] in place of an object", _list("certificate")),
    Oddity.LIST_CONTAINER: ("[] in place of an object", _list("container")),
    Oddity.LIST_PRODUCT: ("[] in place of an object", _list("product")),
    Oddity.LETTERS: ("WEB-100200301", _letters),
    Oddity.UNKNOWN_STATUS: ("a word that no page names", _unknown_status),
}
_SOURCES = {Oddity.BLANK_NAME: (Source.DOCUMENTED, "change log of May 2022")}


def spoil(oddity: Oddity, item: Item) -> None:
    """Make an order odd, in its place."""
    _SPOILING[oddity][1](item)


def provenance(oddity: Oddity) -> Provenance:
    """Return an oddity's line of the table."""
    source, where = _SOURCES.get(oddity, (Source.GUESSED, ""))
    return Provenance(f"odd: {oddity}", _SPOILING[oddity][0], source, where)
