"""The simulated CA's lists, reports and single orders."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from io import StringIO
from operator import attrgetter
from typing import Any

from pydantic_core import to_json

from batch_resend.model import USUAL_LOCAL_PARTS
from batch_resend.simulator.answers import (
    BAD_REQUEST_CODE,
    CSV,
    EMPTY,
    NO_SUCH_ORDER,
    Answer,
    Known,
    answer,
    error,
)
from batch_resend.simulator.shapes import USER, certificate_id, informed, listed, product_type
from batch_resend.simulator.shapes import validated as in_names
from batch_resend.simulator.world import World, WorldOrder, constructed, dns_txt

# Of the page "Order report", in its order.
_REPORT_HEADING = (
    "order_id,customer_order_id,date_created,container_id,container_name,status,user_id,"
    "organization_id,organization_name,organization_address_1,organization_address_2,"
    "organization_city,organization_state,organization_country,organization_unit,tech_first_name,"
    "tech_last_name,tech_email,tech_title,tech_telephone,server_type,issuing_ca,agreement_id,"
    "validity_years,signature_hash,dcv_method,common_name,plus_feature,dns_names,product_id,"
    "product_name_id,product_name,product_type,email,csr,valid_from,valid_till,"
    "certificate_tracker_id,is_renewed,renewed_order_id,receipt_id,disable_issuance_email,"
    "pay_type,is_out_of_contract,disable_renewal_notifications,additional_emails,auto_renew,"
    "custom_renewal_message,thumbprint,serial_number,account_id,user_first_name,user_last_name,"
    "user_email,user_assignments,cost,metadata,has_duplicates"
)
REPORT_COLUMNS = _REPORT_HEADING.split(",")


def report_table(world: World, orders: Iterable[WorldOrder]) -> bytes:
    """Return the order report: a plain heading, and values that all are quoted."""
    text = StringIO()
    text.write(_REPORT_HEADING + "\n")
    table = csv.DictWriter(
        text, REPORT_COLUMNS, restval="", quoting=csv.QUOTE_ALL, lineterminator="\n"
    )
    for order in orders:
        created = datetime.fromtimestamp(order.created_at, UTC)
        table.writerow(
            {
                "order_id": order.order_id,
                "date_created": f"{created:%Y-%m-%d %H:%M:%S}",
                "container_id": world.container_id(order.container),
                "container_name": order.container,
                "status": order.status,
                "validity_years": 1,
                "signature_hash": "sha256",
                "dcv_method": order.dcv_method,
                "common_name": order.domains[0],
                "dns_names": ",".join(order.domains),
                "product_name_id": order.product,
                "product_name": order.product,
                "product_type": product_type(order),
                "is_renewed": 0,
            }
        )
    return text.getvalue().encode()


def list_table(items: Iterable[Mapping[str, object]]) -> bytes:
    """Return a list of orders as CSV. That it can be had so is documented, its columns are not."""
    text = StringIO()
    table: csv.DictWriter[str] | None = None
    for item in items:
        row = {
            name: part if isinstance(part, str | int) else to_json(part).decode()
            for name, part in item.items()
        }
        if table is None:
            table = csv.DictWriter(text, list(row), lineterminator="\n")
            table.writeheader()
        table.writerow(row)
    return text.getvalue().encode()


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


Query = Iterable[tuple[str, str]]
_MOST_OF_REPORT, _USUAL_REPORT = 100_000, 50_000  # orders (page "Order report")
_LONGEST_FRAME_S = 7 * 86_400
_UNITS_S = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_DOCUMENTED_UNITS = frozenset(("seconds", "minutes"))


class Read(StrEnum):
    """A call that only reads."""

    ORDERS = "list"  # "List orders"
    STATUS_CHANGES = "status-changes"  # "Status change list"
    VALIDATION = "validation"  # "Order validation status"
    ORDER = "order"  # "Order info"
    REPORT = "report"  # "Order report"
    USER = "user"  # "User info", of the key itself
    DOMAIN_EMAILS = "domain-emails"  # "Domain emails"


@dataclass(frozen=True, slots=True)
class AskedRead:
    """What a request reads."""

    read: Read
    subject: str = ""  # an order's number, or a domain's number or name


# The first that matches: the list of status changes looks like an order of that name.
_ADDRESSES: Mapping[Read, re.Pattern[str]] = {
    Read.ORDERS: re.compile(r"/order/certificate"),
    Read.STATUS_CHANGES: re.compile(r"/order/certificate/status-changes"),
    Read.VALIDATION: re.compile(r"/order/certificate/([^/]+)/validation"),
    Read.ORDER: re.compile(r"/order/certificate/([^/]+)"),
    Read.REPORT: re.compile(r"/report/order"),
    Read.USER: re.compile(r"/user/me"),
    Read.DOMAIN_EMAILS: re.compile(r"/domain/([^/]+)/dcv/emails"),
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
        if asked.read is Read.ORDERS and "text/csv" in accept.lower():
            return _orders_as_table(world, query)
        return _ANSWERS[asked.read](world, asked.subject, list(query))
    except ValueError as problem:
        return error(Known.BAD_QUERY, 400, BAD_REQUEST_CODE, str(problem))


def _orders(world: World, _: str, query: Query) -> Answer:
    part = slice_of(world, query)
    items = [listed(world, order) for order in part.orders]
    if not items:
        return answer(Known.BEYOND_THE_END if part.total else Known.NO_ORDERS, 200, EMPTY)
    page = {"total": part.total, "limit": part.limit, "offset": part.offset}
    return answer(Known.ORDERS, 200, to_json({"orders": items, "page": page}))


def _orders_as_table(world: World, query: Query) -> Answer:
    part = slice_of(world, query)
    table = list_table([listed(world, order) for order in part.orders])
    return answer(Known.ORDERS_AS_CSV, 200, table, CSV)


def _order(world: World, order_id: str, _: Query) -> Answer:
    order = world.order(order_id)
    if order is None:
        return NO_SUCH_ORDER
    return answer(Known.ORDER, 200, to_json(informed(world, order)))


def _validation(world: World, order_id: str, _: Query) -> Answer:
    order = world.order(order_id)
    if order is None:
        return NO_SUCH_ORDER
    return answer(Known.VALIDATION, 200, to_json(in_names(world, order)))


def _status_changes(world: World, _: str, query: Query) -> Answer:
    named = dict(query)
    asked = {unit: float(named[unit]) for unit in _UNITS_S if unit in named}
    has_filter = any(name.startswith("filters[status_last_updated]") for name in named)
    if not asked and not has_filter:
        raise ValueError("name a time frame: minutes, seconds, or filters[status_last_updated]")
    if not all(0 <= amount < float("inf") for amount in asked.values()):
        raise ValueError("a time frame is a number of minutes or seconds")
    frame_s = sum(_UNITS_S[unit] * amount for unit, amount in asked.items()) if asked else None
    if frame_s is not None and frame_s > _LONGEST_FRAME_S:
        return error(
            Known.FRAME_TOO_LONG, 400, "time_frame_too_long", "The time frame exceeds 7 days."
        )
    known = Known.STATUS_CHANGES if asked.keys() <= _DOCUMENTED_UNITS else Known.HOURS_AND_DAYS
    items = [
        {
            "order_id": order.order_id,
            "certificate_id": certificate_id(order),
            "status": order.status,
        }
        for order in changed(world, query, frame_s)
    ]
    return answer(known, 200, to_json({"orders": items}) if items else EMPTY)


def _report(world: World, _: str, query: Query) -> Answer:
    part = slice_of(world, query, _MOST_OF_REPORT, _USUAL_REPORT)
    return answer(Known.REPORT, 200, report_table(world, part.orders), CSV)


def _user(_: World, __: str, ___: Query) -> Answer:
    return answer(Known.USER, 200, to_json(USER))


def _domain_emails(world: World, subject: str, query: Query) -> Answer:
    domain = world.domain_name(subject)
    considers = dict(query).get("consider_dcv_email_preferences", "").lower() in ("true", "1")
    local_parts = USUAL_LOCAL_PARTS & world.mailed_local_parts if considers else USUAL_LOCAL_PARTS
    emails = {
        "name_scope": domain,
        "base_emails": constructed(domain, sorted(local_parts)),
        "whois_emails": [],
        "dns_txt_emails": dns_txt(world, domain),
    }
    return answer(Known.DOMAIN_EMAILS, 200, to_json(emails))


_ANSWERS: Mapping[Read, Callable[[World, str, Query], Answer]] = {
    Read.ORDERS: _orders,
    Read.STATUS_CHANGES: _status_changes,
    Read.VALIDATION: _validation,
    Read.ORDER: _order,
    Read.REPORT: _report,
    Read.USER: _user,
    Read.DOMAIN_EMAILS: _domain_emails,
}
