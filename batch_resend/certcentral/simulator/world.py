"""The orders that the simulator has, and its list of them, as the page "List orders" describes.

An order that is mailed may be approved a while later, by the luck that a seed gives it.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MOST_A_PAGE = 1_000
FIRST_ORDER = 100_200_001
_USUAL_PAGE = 100
_PRODUCTS = ("ssl_dv_geotrust_flex", "ssl_dv_rapidssl", "ssl_dv_geotrust_flex", "ssl_basic")
_METHODS = ("email", "email", "email", "dns-txt-token")


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
    mails: int = 0
    approved_at: float | None = None  # from then on it is issued


class World:
    """All orders. Tests let them come, go and change, also while they are listed."""

    def __init__(
        self,
        seed: int = 0,
        chance: float = 0.0,
        within_s: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`chance`: that a mail brings about an approval, at some time `within_s` seconds."""
        self.orders: dict[int, WorldOrder] = {}
        self.chance = chance
        self._seed = seed
        self._within_s = within_s
        self._clock = clock

    def add(self, order: WorldOrder) -> None:
        """Let an order come into the world."""
        self.orders[order.order_id] = order

    def populate(self, count: int) -> None:
        """Let orders wait: of several products, up to ten days old, three in four validated so."""
        now, luck = self._clock(), self._luck()
        for number in range(FIRST_ORDER, FIRST_ORDER + count):
            self.add(
                WorldOrder(
                    number,
                    product=luck.choice(_PRODUCTS),
                    domains=(f"shop{number}.example.com",),
                    created_at=now - luck.uniform(0, 10) * 86_400,
                    dcv_method=luck.choice(_METHODS),
                    is_told=luck.random() < 0.5,
                )
            )

    def is_dv(self, order_id: str) -> bool:
        """Whether an order is DV, as far as is known: one that is not in the world may be."""
        order = self._order(order_id)
        return order is None or "_dv" in order.product

    def mail(self, order_id: str) -> None:
        """Note that an order was mailed; it may be approved by that, later."""
        order = self._order(order_id)
        if order is None:
            return
        order.mails += 1
        luck = self._luck(order.order_id, order.mails)
        if order.approved_at is None and luck.random() < self.chance:
            order.approved_at = self._clock() + luck.uniform(0, self._within_s)

    def _luck(self, *of: int) -> random.Random:
        """Return the luck of something, the same for the same seed."""
        return random.Random(f"{self._seed}/{of}")  # noqa: S311 - dice, no secret

    def _order(self, order_id: str) -> WorldOrder | None:
        return self.orders.get(int(order_id)) if order_id.isdigit() else None

    def _let_approve(self) -> None:
        now = self._clock()
        for order in self.orders.values():
            if order.approved_at is not None and order.approved_at <= now:
                order.status, order.approved_at = "issued", None

    def info(self, order_id: str) -> dict[str, Any] | None:
        """Return all that is told of an order; None where there is none of that number."""
        self._let_approve()
        order = self._order(order_id)
        return None if order is None else {**_shown(order), "dcv_method": order.dcv_method}

    def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the list, the newest orders first. Raises ValueError."""
        limit, offset = int(query.get("limit", _USUAL_PAGE)), int(query.get("offset", 0))
        if not 0 < limit <= MOST_A_PAGE or offset < 0:
            raise ValueError(f"limit={limit}&offset={offset} makes no sense")
        self._let_approve()
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
