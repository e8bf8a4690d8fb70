"""The CA's answers byte for byte, after its public pages, and a server that gives them."""

import json
import re
import time
from email.utils import formatdate
from typing import Any

from tests.certcentral.fault_server import FaultServer, Step, Visit, answer

ORDER_ID = 104_200_311
EMAIL, DOMAIN = "jill.valentine@shop-of-theirs.example", "www.shop-of-theirs.example"
ACCOUNT, USER_NAME = "Racoon Trading GmbH", "jill.valentine"
THEIRS = (EMAIL, DOMAIN, ACCOUNT, USER_NAME, str(ORDER_ID), "Valentine", "shop-of-theirs")

USER_BODY: dict[str, Any] = {
    "id": 125039,
    "username": USER_NAME,
    "account_id": 123654,
    "first_name": "Jill",
    "last_name": "Valentine",
    "email": EMAIL,
    "job_title": "Sys Admin",
    "telephone": "555-555-5555",
    "status": "active",
    "last_login_date": "2026-06-21 13:37:00",
    "container": {"id": 5, "name": ACCOUNT, "parent_id": 0, "is_active": True},
    "access_roles": [{"id": 1, "name": "Administrator"}],
    "type": "standard",
    "has_container_assignments": False,
}
LISTED: dict[str, Any] = {
    "id": ORDER_ID,
    "certificate": {
        "id": 104,
        "common_name": DOMAIN,
        "dns_names": [DOMAIN, "shop-of-theirs.example"],
        "signature_hash": "sha256",
    },
    "status": "pending",
    "is_renewed": False,
    "date_created": "2026-10-16T17:29:56+00:00",
    "organization": [],
    "container": {"id": 14, "name": ACCOUNT, "is_active": True},
    "product": {"name_id": "ssl_dv_geotrust", "name": "GeoTrust DV", "type": "dv_ssl_certificate"},
    "product_name_id": "ssl_dv_geotrust",
    "price": 97,
}
LIST_BODY: dict[str, Any] = {
    "orders": [LISTED],
    "page": {"total": 1, "limit": 100, "offset": 0},
}
ORDER_BODY: dict[str, Any] = {
    **LISTED,
    "dcv_method": "email",
    "organization": {"id": 112233, "name": ACCOUNT},
    "contacts": [{"first_name": "Jill", "last_name": "Valentine", "email": EMAIL}],
}
VALIDATION_BODY: dict[str, Any] = {
    "order_id": str(ORDER_ID),
    "order_status": "pending",
    "order_name_scope": "base_domain",
    "order_dcv_method": "email",
    "dns_name_validations": [
        {
            "domain_id": "1234",
            "name_scope": DOMAIN,
            "approval_scope": "subdomains",
            "status": "unapproved",
            "method": "email",
            "dns_names": [DOMAIN],
        }
    ],
}
CHANGES_BODY: dict[str, Any] = {
    "orders": [{"order_id": ORDER_ID, "certificate_id": 112233, "status": "issued"}]
}
KEYS_BODY: dict[str, Any] = {
    "api_keys": [
        {"id": 182, "name": "batch", "status": "active", "restricted_to_role_id": 0},
        {"id": 183, "name": "old", "status": "revoked", "restricted_to_role_id": 102},
    ]
}

USER, KEYS, PENDING, REISSUES = "user", "keys", "pending", "reissues"
ORDER, VALIDATION, CHANGES = "order", "validation", "changes"
READS = (USER, KEYS, PENDING, REISSUES, ORDER, VALIDATION, CHANGES)


def page_of(*orders: Any) -> dict[str, Any]:
    """Return a page of the list with these orders."""
    return {"orders": [*orders], "page": {"total": len(orders), "limit": 100, "offset": 0}}


def date(off_s: float = 0.0) -> str:
    """Return a header that is to say what time it is, or was, once the answer leaves."""
    return f"Date: now{off_s:+g}"


def dated(data: bytes) -> bytes:
    """Return an answer that leaves now."""

    def at(found: re.Match[bytes]) -> bytes:
        return b"Date: " + formatdate(time.time() + float(found[1]), usegmt=True).encode()

    return re.sub(rb"Date: now([+-][0-9]+)", at, data)


def says(body: Any, status: int = 200, *headers: str, off_s: float = 0.0) -> bytes:
    """Return an answer with a body as JSON, which is dated once it leaves."""
    content = json.dumps(body).encode()
    return answer(status, content, "Content-Type: application/json", date(off_s), *headers)


def error(status: int, code: str, message: str = "No.") -> bytes:
    """Return an error answer, as the CA words it."""
    return says({"errors": [{"code": code, "message": message}]}, status)


def page(status: int, title: str) -> bytes:
    """Return a web page, as a CDN or a proxy answers with one."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head></html>".encode()
    return answer(status, body, "Content-Type: text/html; charset=utf-8", date())


def name_of(target: str) -> str:
    """Return which read a request's target is."""
    path, _, query = target.removeprefix("/services/v2/").partition("?")
    if path == "order/certificate":
        return REISSUES if "reissue_pending" in query else PENDING
    if path == "order/certificate/status-changes":
        return CHANGES
    fixed = {"user/me": USER, "key": KEYS, f"order/certificate/{ORDER_ID}": ORDER}
    return fixed.get(path, VALIDATION if path.endswith("/validation") else path)


def ca(**changed: bytes) -> Step:
    """Return what a CA does that answers as it is expected to, but for what is changed."""
    usual = {
        USER: USER_BODY,
        KEYS: KEYS_BODY,
        PENDING: LIST_BODY,
        REISSUES: {},
        ORDER: ORDER_BODY,
        VALIDATION: VALIDATION_BODY,
        CHANGES: CHANGES_BODY,
    }

    async def step(visit: Visit) -> None:
        await visit.mail()
        name = name_of(visit.head.split(b" ")[1].decode())
        if name in changed:
            await visit.send(dated(changed[name]))
        elif name in usual:
            await visit.send(dated(says(usual[name])))
        else:
            await visit.send(dated(error(404, "not_found|route")))

    return step


INVALID_KEY = error(
    403,
    "access_denied|access_denied_invalid_key",
    "Access denied due to access_denied_invalid_key.",
)
LIMITED = error(429, "request_limit_exceeded", "Service unavailable, please limit request volume")


def assert_only_read(server: FaultServer) -> list[str]:
    """Check that each request was a GET with no body; return what was read."""
    for head in server.heads:
        assert head.startswith(b"GET /"), head
        assert b"\r\nContent-Length" not in head
    assert not any(server.bodies)
    return [name_of(head.split(b" ")[1].decode()) for head in server.heads]


def of_check(found: dict[str, Any], check: str) -> dict[str, Any]:
    """Return the finding of a check."""
    return next(
        finding
        for group in found["groups"]
        for finding in group["findings"]
        if finding["check"] == check
    )
