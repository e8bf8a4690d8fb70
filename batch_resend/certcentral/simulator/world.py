"""The orders that the simulator has, and its list of them, as the page "List orders" describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MOST_A_PAGE = 1_000
_USUAL_PAGE = 100


@dataclass(slots=True)
class WorldOrder:
    """One order."""

    order_id: int
    status: str = "pending"
    product: str = "ssl_dv_geotrust_flex"
    domains: tuple[str, ...] = ("example.com",)
    created_at: float = 0.0
    container: str = "Main"
    dcv_method: str = "email"
    is_told: bool = False  # whether the list tells how it is validated; else only Order info


class World:
    """All orders. Tests let them come, go and change, also while they are listed."""

    def __init__(self) -> None:
        self.orders: dict[int, WorldOrder] = {}

    def add(self, order: WorldOrder) -> None:
        """Let an order come into the world."""
        self.orders[order.order_id] = order

    def info(self, order_id: str) -> dict[str, Any] | None:
        """Return all that is told of an order; None where there is none of that number."""
        order = self.orders.get(int(order_id)) if order_id.isdigit() else None
        return None if order is None else {**_shown(order), "dcv_method": order.dcv_method}

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the list, the newest orders first. Raises ValueError."""
        limit, offset = int(query.get("limit", _USUAL_PAGE)), int(query.get("offset", 0))
        if not 0 < limit <= MOST_A_PAGE or offset < 0:
            raise ValueError(f"limit={limit}&offset={offset} makes no sense")
        filters = {
            name[8:-1]: value for name, value in query.items() if name.startswith("filters[")
        }
        found = [
            order
            for order in sorted(self.orders.values(), key=lambda order: -order.order_id)
            if all(_matches(order, name, value) for name, value in filters.items())
        ]
        return {
            "orders": [_shown(order) for order in found[offset : offset + limit]],
            "page": {"total": len(found), "limit": limit, "offset": offset},
        }


def _matches(order: WorldOrder, name: str, value: str) -> bool:
    known = {"status": order.status, "product_name_id": order.product}
    if name not in known:
        raise ValueError(f"there is no filter {name!r}")
    return known[name] == value


def _shown(order: WorldOrder) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": order.order_id,
        "certificate": {"common_name": order.domains[0], "dns_names": list(order.domains)},
        "status": order.status,
        "date_created": datetime.fromtimestamp(order.created_at, UTC).isoformat(),
        "container": {"id": 1, "name": order.container},
        "product": {"name_id": order.product, "name": order.product, "type": "dv_ssl_certificate"},
    }
    return shown | ({"dcv_method": order.dcv_method} if order.is_told else {})
