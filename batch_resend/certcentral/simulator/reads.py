"""The calls that only read, answered from the simulator's world."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO

from pydantic_core import to_json

from batch_resend.certcentral.simulator.answers import (
    BAD_REQUEST_CODE,
    CSV,
    EMPTY,
    NO_SUCH_ORDER,
    Answer,
    Known,
    answer,
    error,
)
from batch_resend.certcentral.simulator.listing import slice_of
from batch_resend.certcentral.simulator.shapes import informed, listed, validated
from batch_resend.certcentral.simulator.world import World

Query = Iterable[tuple[str, str]]


class Read(StrEnum):
    """A call that only reads."""

    ORDERS = "list"  # "List orders"
    ORDER = "order"  # "Order info"
    VALIDATION = "validation"  # "Order validation status"


@dataclass(frozen=True, slots=True)
class AskedRead:
    """What a request reads."""

    read: Read
    subject: str = ""  # an order's number, or a domain's number or name; quoted as it came


_ADDRESSES: Mapping[Read, re.Pattern[str]] = {
    Read.ORDERS: re.compile(r"/order/certificate"),
    Read.VALIDATION: re.compile(r"/order/certificate/([^/]+)/validation"),
    Read.ORDER: re.compile(r"/order/certificate/([^/]+)"),
}


def asked_read(path: str) -> AskedRead | None:
    """Return what is read at a path below the base URL; None where nothing is."""
    for read, address in _ADDRESSES.items():
        if match := address.fullmatch(path):
            return AskedRead(read, *match.groups())
    return None


def answer_read(world: World, asked: AskedRead, query: Query, accept: str) -> Answer:
    """Return what the service answers to a read. `accept`: the request's header of that name."""
    try:
        return _ANSWERS[asked.read](world, asked.subject, query, accept)
    except ValueError as problem:
        return error(Known.BAD_QUERY, 400, BAD_REQUEST_CODE, str(problem))


def _orders(world: World, _: str, query: Query, accept: str) -> Answer:
    part = slice_of(world, query)
    items = [listed(world, order) for order in part.orders]
    if "text/csv" in accept.lower():
        return answer(Known.ORDERS, 200, _table(items), CSV)
    if not items:
        return answer(Known.NO_ORDERS if not part.total else Known.BEYOND_THE_END, 200, EMPTY)
    page = {"total": part.total, "limit": part.limit, "offset": part.offset}
    return answer(Known.ORDERS, 200, to_json({"orders": items, "page": page}))


def _table(items: Iterable[Mapping[str, object]]) -> bytes:
    """Return a list of orders as CSV. That it can be had so is documented, its columns are not."""
    text = StringIO()
    table: csv.DictWriter[str] | None = None
    for item in items:
        row = {
            name: part if isinstance(part, str | int) else to_json(part).decode()
            for name, part in item.items()
        }
        if table is None:
            table = csv.DictWriter(text, list(row))
            table.writeheader()
        table.writerow(row)
    return text.getvalue().encode()


def _order(world: World, order_id: str, _: Query, __: str) -> Answer:
    order = world.order(order_id)
    if order is None:
        return NO_SUCH_ORDER
    return answer(Known.ORDER, 200, to_json(informed(world, order)))


def _validation(world: World, order_id: str, _: Query, __: str) -> Answer:
    order = world.order(order_id)
    if order is None:
        return NO_SUCH_ORDER
    return answer(Known.VALIDATION, 200, to_json(validated(world, order)))


_ANSWERS: Mapping[Read, Callable[[World, str, Query, str], Answer]] = {
    Read.ORDERS: _orders,
    Read.ORDER: _order,
    Read.VALIDATION: _validation,
}
