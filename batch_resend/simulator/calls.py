"""The simulator's calls: one routing table, and what is answered to those that read.

Of a query: how it picks orders, by filters, sort, limit and offset (page "List orders").

    filters[status]=pending&filters[product_name_id]=..&sort=order_id&limit=1000&offset=0
    filters[status][0]=pending&filters[status][1]=reissue_pending
    filters[date_created]=2026-11-01...2026-11-07      filters[id]=>100200300

Several values of one filter are alternatives; an order has to pass all filters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from pydantic_core import to_json

from batch_resend import calls, model
from batch_resend.model import USUAL_LOCAL_PARTS
from batch_resend.simulator import shapes
from batch_resend.simulator.answers import (
    BAD_REQUEST_CODE,
    CSV,
    NO_SUCH_ORDER,
    Answer,
    Known,
    answer,
    error,
)
from batch_resend.simulator.world import World, WorldOrder, constructed, dns_txt

BASE_PATH = "/services/v2"
_MOST_A_PAGE, _USUAL_PAGE = 1_000, 100
_MOST_OF_REPORT, _USUAL_REPORT = 100_000, 50_000  # orders (page "Order report")
_MOST_CHANGES = 1_000_000  # a bound for its own sake: no page names one
_LONGEST_FRAME_S = 7 * 86_400
_UNITS_S = {"seconds": 1, "minutes": 60}
_FILTER = re.compile(r"filters\[(\w+)\](?:\[\d*\])?")
_DAY = re.compile(r"\s*\d{4}-\d\d-\d\d\s*")
_DAY_S = 86_400 - 0.001  # to its end, and not into the next
_MOUNTAIN = timezone(timedelta(hours=-6))  # of status_last_updated (page "Status change list")

Passes = Callable[[Any], bool]
Query = Sequence[tuple[str, str]]  # names and values, in their order; names may repeat
Reads = Callable[[World, str, Query], Answer]  # of an order's number or a domain; ValueError: 400


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the contract: one that mails, or one that reads, which has an answer."""

    name: str  # in the books
    path: str  # below the base URL, as a pattern; its group is what the call is about
    mails: model.Call | None = None
    reads: Reads = field(default=lambda *_: NO_SUCH_ORDER)  # of one that mails never asked

    @property
    def is_about_domain(self) -> bool:
        """Whether it is about a domain, and not about an order."""
        return self.path.startswith("/domain/")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a call."""

    call: Call
    subject: str  # an order's number, or a domain's number or name


def asked_call(method: str, raw_path: str) -> Asked | None:
    """Return which call a request is for; None if it is none of the documented ones."""
    path = raw_path.partition("?")[0] if method == "GET" else raw_path
    for call in CALLS:
        if method != ("PUT" if call.mails else "GET"):
            continue
        if match := re.fullmatch(BASE_PATH + call.path, path):
            return Asked(call, unquote("".join(match.groups())))
    return None


def answer_read(call: Call, world: World, subject: str, query: Query) -> Answer:
    """Return what the service answers to a call that reads."""
    try:
        return call.reads(world, subject, query)
    except ValueError as problem:
        return error(Known.BAD_QUERY, 400, BAD_REQUEST_CODE, str(problem))


def _orders(world: World, _: str, query: Query) -> Answer:
    orders, page = _part(_sorted(world, query), query, _USUAL_PAGE, _MOST_A_PAGE)
    if not orders:
        return answer(Known.BEYOND_THE_END if page["total"] else Known.NO_ORDERS, 200, b"{}")
    items = [shapes.listed(world, order) for order in orders]
    return _json(Known.ORDERS, {"orders": items, "page": page})


def _status_changes(world: World, _: str, query: Query) -> Answer:
    asked = {name: float(value) for name, value in query if name in _UNITS_S}
    if not asked and not any(name.startswith("filters[status_last_") for name, _ in query):
        raise ValueError("name a time frame: minutes, seconds, or filters[status_last_updated]")
    if not all(0 <= amount < float("inf") for amount in asked.values()):
        raise ValueError("a time frame is a number of minutes or seconds")
    frame_s = sum(_UNITS_S[unit] * amount for unit, amount in asked.items())
    if frame_s > _LONGEST_FRAME_S:
        return error(
            Known.FRAME_TOO_LONG, 400, "time_frame_too_long", "The time frame exceeds 7 days."
        )
    changed = _changed(world, query, world.clock() - frame_s if asked else 0.0)
    orders, _page = _part(changed, query, _MOST_CHANGES, _MOST_CHANGES)
    return _json(
        Known.STATUS_CHANGES, {"orders": [shapes.changed(one) for one in orders]} if orders else {}
    )


def _changed(world: World, query: Query, since: float) -> list[WorldOrder]:
    """Return the orders whose status changed since, the latest change first."""
    found = [one for one in _wanted(world, query)
             if one.changed_at is not None and one.changed_at >= since]  # fmt: skip
    return sorted(found, key=attrgetter("changed_at"), reverse=True)


def _of_an_order(known: Known, shape: Callable[[World, WorldOrder], object]) -> Reads:
    """Return what answers a call that reads one order."""

    def reads(world: World, order_id: str, _: Query) -> Answer:
        order = world.order(order_id)
        return NO_SUCH_ORDER if order is None else _json(known, shape(world, order))

    return reads


def _report(world: World, _: str, query: Query) -> Answer:
    orders, _page = _part(_sorted(world, query), query, _USUAL_REPORT, _MOST_OF_REPORT)
    return answer(Known.REPORT, 200, shapes.report_table(world, orders), CSV)


def _user(_: World, _subject: str, _query: Query) -> Answer:
    return _json(Known.USER, shapes.USER)


def _domain_emails(world: World, subject: str, query: Query) -> Answer:
    domain, local_parts = world.domain_name(subject), USUAL_LOCAL_PARTS
    if dict(query).get("consider_dcv_email_preferences", "").lower() in ("true", "1"):
        local_parts &= world.mailed_local_parts
    emails = {
        "name_scope": domain,
        "base_emails": constructed(domain, sorted(local_parts)),
        "whois_emails": [],
        "dns_txt_emails": dns_txt(world, domain),
    }
    return _json(Known.DOMAIN_EMAILS, emails)


def _json(known: Known, content: object) -> Answer:
    return answer(known, 200, to_json(content))


_SUBJECT = "([^/?#]+)"
_ORDER, _DOMAIN = f"/order/certificate/{_SUBJECT}", f"/domain/{_SUBJECT}"
# The first that matches: the list of status changes looks like an order of that name.
CALLS = (
    *(Call(name, call.path.format(_SUBJECT), name) for name, call in calls.CALLS.items()),
    Call("list", "/order/certificate", reads=_orders),
    Call("status-changes", "/order/certificate/status-changes", reads=_status_changes),
    Call(
        "validation", f"{_ORDER}/validation", reads=_of_an_order(Known.VALIDATION, shapes.validated)
    ),
    Call("order", _ORDER, reads=_of_an_order(Known.ORDER, shapes.informed)),
    Call("report", "/report/order", reads=_report),
    Call("user", "/user/me", reads=_user),
    Call("domain-emails", f"{_DOMAIN}/dcv/emails", reads=_domain_emails),
)


# --- which orders a query asks for --------------------------------------------------------------


def _sorted(world: World, query: Query) -> list[WorldOrder]:
    """Return the orders that are wanted, as `sort` has them, or else the newest first."""
    found = _wanted(world, query)
    # From the last name to the first: each sort leaves those of equal value as they were.
    for name in reversed(dict(query).get("sort", "").split(",")):
        if key := _SORTED_BY.get(name.strip().removeprefix("-")):
            found.sort(key=key, reverse=name.strip().startswith("-"))
    return found


def _part(
    orders: Sequence[WorldOrder], query: Query, usual: int, most: int
) -> tuple[Sequence[WorldOrder], Mapping[str, int]]:
    """Return the part of a list that is asked for, and which that is. Raises ValueError."""
    limit, offset = int(dict(query).get("limit", usual)), int(dict(query).get("offset", 0))
    if not 0 < limit <= most or offset < 0:
        raise ValueError(f"limit={limit}&offset={offset} makes no sense")
    page = {"total": len(orders), "limit": limit, "offset": offset}
    return orders[offset : offset + limit], page


def _wanted(world: World, query: Query) -> list[WorldOrder]:
    """Return the orders that pass all filters of a query, the newest first. Raises ValueError."""
    alternatives: dict[str, list[Passes]] = {}
    for name, value in query:
        if filter_ := _FILTER.fullmatch(name):
            alternatives.setdefault(filter_[1], []).append(_passes(world, filter_[1], value))
        elif name.startswith("filters"):
            raise ValueError(f"{name!r} is no filter: write filters[status]=pending")
    world.let_approve()
    found = [
        order
        for order in world.orders.values()
        if all(any(passes(order) for passes in passing) for passing in alternatives.values())
    ]
    return sorted(found, key=attrgetter("order_id"), reverse=True)


def _passes(world: World, name: str, text: str) -> Passes:
    if name not in _FILTERS:
        raise ValueError(f"the simulator has no filter {name!r}, only {', '.join(_FILTERS)}")
    value_of, read = _FILTERS[name]
    passes = read(text)
    return lambda order: (value := value_of(world, order)) is not None and passes(value)


def _is(text: str) -> Passes:
    return lambda value: value == text


def _is_status(text: str) -> Passes:
    # Also orders whose certificate has expired since (page "List orders").
    return lambda status: status == text or (text == "issued" and status == "expired")


def _is_among(text: str) -> Passes:
    return lambda names: text.lower() in names


def _in_range(text: str, read: Callable[[str], float] = int, a_day: float = 0) -> Passes:
    """Return whether a value lies in `a...b`, above `>a`, below `<b`, or is `a`. Raises ValueError.

    `a_day`: how much a value that names a whole day stands for.
    """

    def end_of(one: str) -> float:
        return read(one) + (a_day if _DAY.fullmatch(one) else 0)

    if text.startswith(">"):
        above = end_of(text[1:])
        return lambda value: value > above
    if text.startswith("<"):
        below = read(text[1:])
        return lambda value: value < below
    first, dots, last = text.partition("...")
    low, high = read(first), end_of(last if dots else first)
    return lambda value: low <= value <= high


def _in_time(zone: tzinfo, text: str) -> Passes:
    def read(one: str) -> float:
        moment = datetime.fromisoformat(one.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()

    return _in_range(text, read, _DAY_S)


_SORTED_BY: Mapping[str, Callable[[WorldOrder], Any]] = {
    "order_id": attrgetter("order_id"),
    "date_created": attrgetter("created_at"),
    "status": attrgetter("status"),
    "common_name": lambda order: order.domains[0],
    "product_name_id": attrgetter("product"),
}
_FILTERS: Mapping[str, tuple[Callable[[World, WorldOrder], Any], Callable[[str], Passes]]] = {
    "status": (lambda _, order: order.status, _is_status),
    "product_name_id": (lambda _, order: order.product, _is),
    "common_name": (lambda _, order: order.domains[0], _is),
    "is_renewed": (lambda _, __: "0", _is),
    "id": (lambda _, order: order.order_id, _in_range),
    "certificate_id": (lambda _, order: shapes.certificate_id(order), _in_range),
    "container_id": (lambda world, order: world.container_id(order.container), _in_range),
    "date_created": (lambda _, order: order.created_at, partial(_in_time, UTC)),
    "status_last_updated": (lambda _, order: order.changed_at, partial(_in_time, _MOUNTAIN)),
    "domain_name": (lambda _, order: order.domains, _is_among),
}
