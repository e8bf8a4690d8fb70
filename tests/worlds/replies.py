"""What the CA of a world answers, and what others answer in its place."""

import re

from tests.cli.raw_service import BLOCK_PAGE, WRONG_KEY, as_json, error, http
from tests.worlds.spec import Kind

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
TOO_MANY = error(429, "request_limit_exceeded", "Service unavailable, please limit request volume")
NO_MORE = error(400, "order_not_pending", "The order is not pending.")
NO_SUCH_ORDER = error(404, "not_found|order", "Order not found.")
NOT_FOUND = error(404, "not_found", "The specified route was not found.")
GATEWAY = http(504, b"<html><title>Gateway Time-out</title></html>", "text/html")
SICK = error(500, "server_error")
ACCEPTED = (NO_CONTENT, NO_CONTENT, http(200, b"{}"))

# By which of them the CA's own books say that it did nothing.
INSTEAD = {
    Kind.ERROR_500: SICK,
    Kind.MAINTENANCE: http(503, b"<html><title>Service is unavailable</title></html>", "text/html"),
    Kind.CDN_PAGE: http(403, BLOCK_PAGE, "text/html"),
    Kind.PAGE_200: http(200, b"<html><title>Log in to this network</title></html>", "text/html"),
    Kind.REDIRECTED: http(302, b"", "text/html", "Location: http://portal.invalid/login"),
    Kind.ERRORS_IN_200: as_json({"errors": [{"code": "order_locked", "message": "No."}]}),
    Kind.RATE_LIMITED: TOO_MANY,
    Kind.KEY_SHARED: TOO_MANY,
    Kind.KEY_REVOKED: WRONG_KEY,
}

REFUSALS = frozenset((NO_MORE, NO_SUCH_ORDER, INSTEAD[Kind.ERRORS_IN_200]))  # of an order

_INFO = re.compile(r"/order/certificate/(\d+)(/validation)?")
_LIST = re.compile(r"/order/certificate\?filters%5Bstatus%5D=(\w+)&.*limit=(\d+)&offset=(\d+)")
_PRODUCT = {"name_id": "ssl_dv_geotrust_flex", "type": "dv_ssl_certificate"}


def answer_to_read(path: str, orders: list[str], approved: set[str]) -> bytes:
    """Return what a read is answered; of other calls, that there are none.

    `orders`: those of the key's account. `approved`: of these, those that wait no more.
    """
    if found := _INFO.fullmatch(path):
        order, is_approved = found[1], found[1] in approved
        return as_json(_validation(is_approved) if found[2] else _info(order, is_approved))
    if found := _LIST.fullmatch(path):
        waiting = [order for order in orders if order not in approved]
        offset = int(found[3])
        part = waiting[offset : offset + int(found[2])] if found[1] == "pending" else []
        total = len(waiting) if found[1] == "pending" else 0
        listed = [_listed(order) for order in part]
        return as_json({"orders": listed, "page": {"total": total, "offset": offset}})
    if path == "/user/me":
        return as_json({"id": 1, "access_roles": [{"id": 101, "name": "Administrator"}]})
    return NOT_FOUND


def _info(order: str, is_approved: bool) -> dict[str, object]:
    status = "issued" if is_approved else "pending"
    return {"id": int(order), "status": status, "dcv_method": "email", "product": _PRODUCT}


def _listed(order: str) -> dict[str, object]:
    return {
        "id": int(order),
        "status": "pending",
        "date_created": "2026-01-02T03:04:05+00:00",
        "certificate": {"common_name": f"{order}.example.com", "dns_names": []},
        "organization": [],
        "product": _PRODUCT,
    }


def _validation(is_approved: bool) -> dict[str, object]:
    status = "approved" if is_approved else "unapproved"
    name = {"domain_id": "7", "name_scope": "d.example.com", "dns_names": ["d"], "status": status}
    return {
        "order_status": "issued" if is_approved else "pending",
        "order_dcv_method": "email",
        "dns_name_validations": [name],
    }
