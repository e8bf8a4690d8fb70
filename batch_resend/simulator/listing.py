"""A page of the list of orders: filters, sort, offset, as the page "List orders" describes them.

    filters[status]=pending&filters[product_name_id]=..&sort=order_id&limit=1000&offset=0
    filters[status][0]=pending&filters[status][1]=reissue_pending
    filters[date_created]=2026-11-01...2026-11-07      filters[id]=>100200300

Several values of one filter are alternatives; an order has to pass all filters.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from operator import attrgetter
from typing import Any

from batch_resend.simulator.shapes import certificate_id
from batch_resend.simulator.world import World, WorldOrder

MOST_A_PAGE = 1_000
USUAL_PAGE = 100
MOST_CHANGES = 1_000_000  # a bound for its own sake: no page names one
_FILTER = re.compile(r"filters\[(\w+)\](?:\[\d*\])?")
_DAY_S = 86_400 - 0.001  # to its end, and not into the next
_MOUNTAIN = timezone(timedelta(hours=-6))  # of status_last_updated (page "Status change list")

Asked = Iterable[tuple[str, str]]  # names and values of a query, in its order; names may repeat
Wanted = Callable[[WorldOrder], bool]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a list."""

    orders: Sequence[WorldOrder]
    total: int  # of the whole list
    limit: int
    offset: int


def slice_of(world: World, query: Asked, most: int = MOST_A_PAGE, usual: int = USUAL_PAGE) -> Slice:
    """Return what a query asks for, the newest orders first. Raises ValueError.

    `most` and `usual`: how many orders it may ask for, and how many it gets without saying.
    """
    asked = list(query)
    plain = dict(asked)
    limit, offset = _bounds(plain, usual, most)
    world.let_approve()
    is_wanted = wanted(world, asked)
    found = sorted(
        (order for order in world.orders.values() if is_wanted(order)),
        key=attrgetter("order_id"),
        reverse=True,
    )
    # From the last name to the first: each sort leaves those of equal value as they were.
    for name in reversed(plain.get("sort", "").split(",")):
        if key := _SORTED_BY.get(name.strip().removeprefix("-")):
            found.sort(key=key, reverse=name.strip().startswith("-"))
    return Slice(found[offset : offset + limit], len(found), limit, offset)


def _bounds(plain: Mapping[str, str], usual: int, most: int) -> tuple[int, int]:
    """Return the limit and the offset of a query. Raises ValueError."""
    limit, offset = int(plain.get("limit", usual)), int(plain.get("offset", 0))
    if not 0 < limit <= most or offset < 0:
        raise ValueError(f"limit={limit}&offset={offset} makes no sense")
    return limit, offset


def changed(world: World, query: Asked, within_s: float | None) -> Sequence[WorldOrder]:
    """Return the orders whose status changed, the latest change first. Raises ValueError.

    `within_s`: seconds up to now; None: whenever, as far as filters of the query allow.
    """
    asked = list(query)
    plain = dict(asked)
    world.let_approve()
    is_wanted = wanted(world, asked)
    since = 0.0 if within_s is None else world.clock() - within_s
    at = {
        order.order_id: order.changed_at
        for order in world.orders.values()
        if order.changed_at is not None and order.changed_at >= since and is_wanted(order)
    }
    latest_first = sorted(at, key=lambda order_id: (at[order_id], order_id), reverse=True)
    limit, offset = _bounds(plain, MOST_CHANGES, MOST_CHANGES)
    return [world.orders[order_id] for order_id in latest_first[offset : offset + limit]]


_SORTED_BY: Mapping[str, Callable[[WorldOrder], Any]] = {
    "order_id": attrgetter("order_id"),
    "date_created": attrgetter("created_at"),
    "status": attrgetter("status"),
    "common_name": lambda order: order.domains[0],
    "product_name_id": attrgetter("product"),
}


def wanted(world: World, query: Asked) -> Wanted:
    """Return whether an order passes all filters of a query. Raises ValueError."""
    alternatives: dict[str, list[Wanted]] = {}
    for name, value in query:
        if filter_ := _FILTER.fullmatch(name):
            alternatives.setdefault(filter_[1], []).append(_passes(world, filter_[1], value))
        elif name.startswith("filters"):
            raise ValueError(f"{name!r} is no filter: write filters[status]=pending")
    return lambda order: all(
        any(passes(order) for passes in passing) for passing in alternatives.values()
    )


def _passes(world: World, name: str, value: str) -> Wanted:
    if name == "domain_name":
        return lambda order: value.lower() in order.domains
    if name == "status" and value == "issued":
        # Also orders whose certificate has expired since (page "List orders").
        return lambda order: order.status in ("issued", "expired")
    if (text := _TEXTS.get(name)) is not None:
        return lambda order: text(order) == value
    if (number := _NUMBERS.get(name)) is not None:
        within = _range(value, int, 0)
        return lambda order: within(number(world, order))
    if (moment := _MOMENTS.get(name)) is not None:
        since, zone = moment
        within_s = _range(value, lambda text: _moment(text, zone), _DAY_S)
        return lambda order: (at := since(order)) is not None and within_s(at)
    raise ValueError(
        f"the simulator has no filter {name!r}, only"
        f" {', '.join((*_TEXTS, *_NUMBERS, *_MOMENTS, 'domain_name'))}"
    )


_TEXTS: Mapping[str, Callable[[WorldOrder], str]] = {
    "status": attrgetter("status"),
    "product_name_id": attrgetter("product"),
    "common_name": lambda order: order.domains[0],
    "is_renewed": lambda _: "0",
}
_NUMBERS: Mapping[str, Callable[[World, WorldOrder], int]] = {
    "id": lambda _, order: order.order_id,
    "certificate_id": lambda _, order: certificate_id(order),
    "container_id": lambda world, order: world.container_id(order.container),
}
_MOMENTS: Mapping[str, tuple[Callable[[WorldOrder], float | None], tzinfo]] = {
    "date_created": (attrgetter("created_at"), UTC),
    "status_last_updated": (attrgetter("changed_at"), _MOUNTAIN),
}


def _range(text: str, read: Callable[[str], float], a_day: float) -> Callable[[float], bool]:
    """Return whether a value lies in `a...b`, above `>a`, below `<b`, or is `a`. Raises ValueError.

    `a_day`: how much a value that names a whole day stands for.
    """
    first, dots, last = text.partition("...")
    if dots:
        low, high = read(first), read(last) + (a_day if _is_day(last) else 0)
        return lambda value: low <= value <= high
    if text.startswith(">"):
        above = read(text[1:]) + (a_day if _is_day(text[1:]) else 0)
        return lambda value: value > above
    if text.startswith("<"):
        below = read(text[1:])
        return lambda value: value < below
    exact = read(text)
    return lambda value: exact <= value <= exact + (a_day if _is_day(text) else 0)


def _is_day(text: str) -> bool:
    return re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", text) is not None


def _moment(text: str, zone: tzinfo) -> float:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
