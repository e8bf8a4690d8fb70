"""The calls that only read, answered from the simulator's world."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

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
from batch_resend.simulator.listing import changed, slice_of
from batch_resend.simulator.mailing import constructed, dns_txt
from batch_resend.simulator.shapes import USER, certificate_id, informed, listed
from batch_resend.simulator.shapes import validated as in_names
from batch_resend.simulator.tables import list_table, report_table
from batch_resend.simulator.world import World

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
