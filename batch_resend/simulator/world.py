"""The account that the simulator plays: its orders, their names, and who may be mailed for them.

An order that is mailed may be approved a while later, by the luck that a seed gives it.
"""

import heapq
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import cycle

from batch_resend.model import USUAL_LOCAL_PARTS
from batch_resend.simulator.oddities import Oddity

FIRST_ORDER = 100_200_001
FIRST_DOMAIN = 4_000_001
FIRST_CERTIFICATE = 250_000_001
_PRODUCTS = ("ssl_dv_geotrust_flex", "ssl_dv_rapidssl", "ssl_dv_geotrust_flex", "ssl_basic")
_METHODS = ("email", "email", "email", "dns-txt-token")
_LONGEST_NUMBER = 20  # digits
_WHEN_ISSUED = "issued"


@dataclass(slots=True)
class WorldOrder:
    """One order. It notes by itself when its status changes."""

    order_id: int
    status: str = "pending"
    product: str = "ssl_dv_geotrust_flex"
    domains: tuple[str, ...] = ("example.com",)
    created_at: float = 0.0
    container: str = "Main"
    dcv_method: str = "email"
    approved: set[str] = field(default_factory=set)  # those of its domains that wait no more
    mails: int = 0
    approved_at: float | None = None  # from then on it is issued
    changed_at: float | None = None  # when its status last changed; None: it has the first one
    oddity: Oddity | None = None  # as it is shown
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    def __setattr__(self, name: str, value: object) -> None:
        before = getattr(self, name, value)
        object.__setattr__(self, name, value)
        if name == "status" and before != value:
            object.__setattr__(self, "changed_at", self.clock())

    @property
    def is_dv(self) -> bool:
        """Whether it is domain-validated: so its product's name says."""
        return "_dv" in self.product

    @property
    def is_wholly_approved(self) -> bool:
        """Whether none of its names waits."""
        return self.status == _WHEN_ISSUED or self.approved.issuperset(self.domains)


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
        self.clock = clock
        # Addresses in a domain's DNS, at _validation-contactemail; by the domain.
        self.dns_txt: dict[str, tuple[str, ...]] = {}
        # What the account's setting "Send verification DCV emails to" selects.
        self.mailed_local_parts: frozenset[str] = USUAL_LOCAL_PARTS
        self._seed = seed
        self._within_s = within_s
        self._approvals: list[tuple[float, int]] = []  # a heap: when, of which order
        self._domains: dict[str, int] = {}
        self._domain_names: dict[str, str] = {}
        self._containers: dict[str, int] = {}

    def add(self, order: WorldOrder) -> None:
        """Let an order come into the world."""
        order.clock = self.clock
        self.container_id(order.container)
        self.orders[order.order_id] = order

    def populate(self, count: int) -> None:
        """Let orders wait: of several products, up to ten days old, three in four validated so."""
        now, luck = self.clock(), self._luck()
        for number in range(FIRST_ORDER, FIRST_ORDER + count):
            self.add(
                WorldOrder(
                    number,
                    product=luck.choice(_PRODUCTS),
                    domains=(f"shop{number}.example.com",),
                    created_at=now - luck.uniform(0, 10) * 86_400,
                    dcv_method=luck.choice(_METHODS),
                )
            )

    def populate_oddly(self, count: int) -> None:
        """Let as many more orders wait, each odd in one thing, one oddity after another."""
        first = max(self.orders, default=FIRST_ORDER - 1) + 1
        for number, oddity in zip(range(first, first + count), cycle(Oddity), strict=False):
            self.add(
                WorldOrder(
                    number,
                    domains=(f"odd{number}.example.com", f"www.odd{number}.example.com"),
                    created_at=self.clock() - 5 * 86_400,
                    oddity=oddity,
                )
            )

    def order(self, order_id: str) -> WorldOrder | None:
        """Return an order by its number as it stands in an address, after approvals are in."""
        self.let_approve()
        return self._order(order_id)

    def is_dv(self, order_id: str) -> bool:
        """Whether an order is DV, as far as is known: one that is not in the world may be."""
        order = self._order(order_id)
        return order is None or order.is_dv

    def mail(self, order_id: str) -> None:
        """Note that an order was mailed; it may be approved by that, later."""
        order = self._order(order_id)
        if order is None:
            return
        order.mails += 1
        luck = self._luck(order.order_id, order.mails)
        if order.approved_at is None and luck.random() < self.chance:
            order.approved_at = self.clock() + luck.uniform(0, self._within_s)
            heapq.heappush(self._approvals, (order.approved_at, order.order_id))

    def approve(self, order_id: int, names: Iterable[str]) -> None:
        """Approve names of an order; with the last of them it is issued."""
        order = self.orders[order_id]
        order.approved |= set(names)
        if order.is_wholly_approved:
            order.status = _WHEN_ISSUED

    def let_approve(self) -> None:
        """Issue what was approved until now."""
        now = self.clock()
        while self._approvals and self._approvals[0][0] <= now:
            approved_at, order_id = heapq.heappop(self._approvals)
            order = self.orders.get(order_id)
            if order is not None and order.approved_at == approved_at:
                order.approved_at = None
                self.approve(order_id, order.domains)
                order.changed_at = approved_at

    def domain_id(self, name: str) -> int:
        """Return the number of a domain, the same whenever it is asked for."""
        number = self._domains.setdefault(name, FIRST_DOMAIN + len(self._domains))
        self._domain_names[str(number)] = name
        return number

    def add_domain(self, number: int, name: str) -> None:
        """Have a domain by a number that the caller chooses."""
        self._domains[name] = number
        self._domain_names[str(number)] = name

    def domain_name(self, subject: str) -> str:
        """Return the domain that an address names by its number or its name."""
        if not subject.isdecimal():
            return subject.lower()
        # As with orders, a number that is not known stands for one that is not shown.
        return self._domain_names.get(subject, f"domain{subject}.example")

    def container_id(self, name: str) -> int:
        """Return the number of a container (division), the same whenever it is asked for."""
        return self._containers.setdefault(name, 1 + len(self._containers))

    def _luck(self, *of: int) -> random.Random:
        """Return the luck of something, the same for the same seed."""
        return random.Random(f"{self._seed}/{of}")  # noqa: S311 - dice, no secret

    def _order(self, order_id: str) -> WorldOrder | None:
        # str.isdigit() is true of digits that int() refuses, which also refuses very long numbers.
        is_number = order_id.isdecimal() and len(order_id) <= _LONGEST_NUMBER
        return self.orders.get(int(order_id)) if is_number else None
