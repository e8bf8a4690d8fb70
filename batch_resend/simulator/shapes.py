"""Orders as the service shows them: in a list, alone, by their names. Only the forms have a source.

Fields are those of the pages "List orders", "Order info", "Order validation status" and "Order
report" (dev.digicert.com), and of recordings of 2023. A list never has how an order is validated.
"""

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from batch_resend.listed import REPORT_COLUMNS
from batch_resend.simulator.world import FIRST_CERTIFICATE, FIRST_ORDER, World, WorldOrder

_ORGANIZATION = {"id": 112_233, "name": "Example Organization"}
_PERSON = {"first_name": "Jane", "last_name": "Doe"}
_CONTACT = {
    **_PERSON,
    "email": "jane.doe@example.com",
    "job_title": "Administrator",
    "telephone": "555-555-5555",
}
# Who the key is (page "User info"); its values are made up.
USER: Mapping[str, Any] = {
    "id": 153_208,
    "username": "jane.doe@example.com",
    "account_id": 123_654,
    **_CONTACT,
    "status": "active",
    "last_login_date": "2026-11-02 13:37:00",
    "container": {"id": 1, "name": "Main", "parent_id": 0, "template_id": 5, "is_active": True},
    "access_roles": [{"id": 1, "name": "Administrator"}],
    "is_cert_central": True,
    "is_enterprise": False,
    "is_saml_sso_only": False,
    "type": "standard",
    "has_container_assignments": False,
}
_ISSUED = frozenset(("issued", "expired", "revoked"))
_YEAR_S = 365 * 86_400


def listed(world: World, order: WorldOrder) -> Mapping[str, Any]:
    """Return an order as an item of the list."""
    item = {
        "id": order.order_id,
        "certificate": _certificate(order),
        "status": order.status,
        "is_renewed": False,
        "date_created": _timestamp(order.created_at),
        # A list in the place of an object: so it was recorded of orders without one.
        "organization": [] if order.is_dv else _ORGANIZATION,
        "container": {
            "id": world.container_id(order.container),
            "name": order.container,
            "is_active": True,
        },
        "product": {"name_id": order.product, "name": order.product, "type": _product_type(order)},
        "product_name_id": order.product,
        "price": 157,
        "order_validity": {"years": 1},
        "number_of_sans": len(order.domains),
        "is_multi_year_plan": "0",
    }
    return item if order.oddity is None else order.oddity.spoil(item)


def informed(world: World, order: WorldOrder) -> Mapping[str, Any]:
    """Return an order as the call "Order info" has it."""
    contacts = {} if order.is_dv else {"organization_contact": _CONTACT}
    return {
        **listed(world, order),
        "dcv_method": order.dcv_method,
        **contacts,
        "technical_contact": _CONTACT,
        "user": {"id": USER["id"], **_PERSON},
        "requests": [{"id": order.order_id, "type": "new_request", "status": "approved"}],
    }


def validated(world: World, order: WorldOrder) -> Mapping[str, Any]:
    """Return which names of an order wait, as the call "Order validation status" has it."""
    scopes: dict[str, list[str]] = {}  # what is validated, and the names that it covers
    for name in order.domains:
        scopes.setdefault(name.removeprefix("*."), []).append(name)
    organization = {
        "organization_id": str(_ORGANIZATION["id"]),
        "organization_name": _ORGANIZATION["name"],
        "organization_validations": [
            {"type": "ov", "name": "OV", "status": "complete", "description": "Normal"}
        ],
    }

    def is_approved(names: Iterable[str]) -> bool:
        return order.status in _ISSUED or order.approved.issuperset(names)

    return {
        "order_id": str(order.order_id),
        "order_status": order.status,
        "order_dcv_method": order.dcv_method,
        "order_name_scope": "fqdn",
        **({} if order.is_dv else organization),
        "dns_name_validations": [
            {
                "domain_id": str(world.domain_id(scope)),
                "name_scope": scope,
                "approval_scope": "exact",
                "status": "approved" if is_approved(names) else "unapproved",
                "method": order.dcv_method,
                "dns_names": names,
            }
            for scope, names in scopes.items()
        ],
    }


def changed(order: WorldOrder) -> Mapping[str, Any]:
    """Return an order as the call "Status change list" has it."""
    return {
        "order_id": order.order_id,
        "certificate_id": certificate_id(order),
        "status": order.status,
    }


def report_table(world: World, orders: Iterable[WorldOrder]) -> bytes:
    """Return the order report: a plain heading, and values that all are quoted."""
    text = StringIO()
    text.write(",".join(REPORT_COLUMNS) + "\n")
    table = csv.DictWriter(
        text, REPORT_COLUMNS, restval="", quoting=csv.QUOTE_ALL, lineterminator="\n"
    )
    table.writerows(
        {
            "order_id": order.order_id,
            "date_created": f"{datetime.fromtimestamp(order.created_at, UTC):%Y-%m-%d %H:%M:%S}",
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
            "product_type": _product_type(order),
            "is_renewed": 0,
        }
        for order in orders
    )
    return text.getvalue().encode()


def certificate_id(order: WorldOrder) -> int:
    """Return the number of an order's certificate."""
    return FIRST_CERTIFICATE - FIRST_ORDER + order.order_id


def _product_type(order: WorldOrder) -> str:
    return "dv_ssl_certificate" if order.is_dv else "ssl_certificate"  # only DV has its own


def _certificate(order: WorldOrder) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": certificate_id(order),
        "common_name": order.domains[0],
        "dns_names": list(order.domains),
        "signature_hash": "sha256",
        "cert_validity": {"years": 1},
    }
    if order.status in _ISSUED:
        from_s = order.created_at if order.changed_at is None else order.changed_at
        shown |= {
            "serial_number": f"{certificate_id(order):032X}",
            "valid_from": _timestamp(from_s)[:10],
            "valid_till": _timestamp(from_s + _YEAR_S)[:10],
            "days_remaining": 365,
        }
    return shown


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
