"""Orders as the service shows them: in a list, alone, by their names. Only the forms have a source.

Fields are those of the pages "List orders", "Order info" and "Order validation status"
(dev.digicert.com), and of recordings of 2023. A list never has how an order is validated.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from batch_resend.simulator.faults import spoil
from batch_resend.simulator.world import (
    FIRST_CERTIFICATE,
    FIRST_ORDER,
    World,
    WorldOrder,
)

_ORGANIZATION = {"id": 112_233, "name": "Example Organization"}
_CONTACT = {
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com",
    "job_title": "Administrator",
    "telephone": "555-555-5555",
}
# Who the key is (page "User info"); its values are made up.
USER: Mapping[str, Any] = {
    "id": 153_208,
    "username": "jane.doe@example.com",
    "account_id": 123_654,
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane.doe@example.com",
    "job_title": "Administrator",
    "telephone": "555-555-5555",
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


def listed(world: World, order: WorldOrder) -> dict[str, Any]:
    """Return an order as an item of the list."""
    item = _item(world, order)
    if order.oddity is not None:
        spoil(order.oddity, item)
    return item


def _item(world: World, order: WorldOrder) -> dict[str, Any]:
    return {
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
        "product": {
            "name_id": order.product,
            "name": order.product,
            "type": product_type(order),
        },
        "product_name_id": order.product,
        "price": 157,
        "order_validity": {"years": 1},
        "number_of_sans": len(order.domains),
        "is_multi_year_plan": "0",
    }


def informed(world: World, order: WorldOrder) -> dict[str, Any]:
    """Return an order as the call "Order info" has it."""
    contacts = {} if order.is_dv else {"organization_contact": _CONTACT}
    return {
        **listed(world, order),
        "dcv_method": order.dcv_method,
        **contacts,
        "technical_contact": _CONTACT,
        "user": {"id": 153_208, "first_name": "Jane", "last_name": "Doe"},
        "requests": [{"id": order.order_id, "type": "new_request", "status": "approved"}],
    }


def validated(world: World, order: WorldOrder) -> dict[str, Any]:
    """Return which names of an order wait, as the call "Order validation status" has it."""
    shown: dict[str, Any] = {
        "order_id": str(order.order_id),
        "order_status": order.status,
        "order_dcv_method": order.dcv_method,
        "order_name_scope": "fqdn",
    }
    if not order.is_dv:
        shown |= {
            "organization_id": str(_ORGANIZATION["id"]),
            "organization_name": _ORGANIZATION["name"],
            "organization_validations": [
                {"type": "ov", "name": "OV", "status": "complete", "description": "Normal"}
            ],
        }
    return shown | {
        "dns_name_validations": [
            {
                "domain_id": str(world.domain_id(scope)),
                "name_scope": scope,
                "approval_scope": "exact",
                "status": "approved" if is_approved else "unapproved",
                "method": order.dcv_method,
                "dns_names": names,
            }
            for scope, names, is_approved in _scopes(order)
        ]
    }


def _scopes(order: WorldOrder) -> Iterable[tuple[str, list[str], bool]]:
    """Yield the domains that are validated, the names each covers, and whether none waits."""
    scopes: dict[str, list[str]] = {}
    for name in order.domains:
        scopes.setdefault(name.removeprefix("*."), []).append(name)
    for scope, names in scopes.items():
        yield scope, names, order.status in _ISSUED or order.approved.issuperset(names)


def product_type(order: WorldOrder) -> str:
    """Return what kind of product an order is of: only DV has a word of its own."""
    return "dv_ssl_certificate" if order.is_dv else "ssl_certificate"


def certificate_id(order: WorldOrder) -> int:
    """Return the number of an order's certificate."""
    return FIRST_CERTIFICATE - FIRST_ORDER + order.order_id


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
