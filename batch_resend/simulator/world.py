"""The simulated CA's state: orders, mails sent, requests counted.

In "Resend domain DCV emails" addresses that the CA does not know for the domain are ignored; and if
it knows none of those given, or none is given, all constructed and DNS TXT addresses are mailed. So
a typo mails everyone. WHOIS addresses ended on 8 May 2025.
"""

import heapq
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from batch_resend.calls import CALLS, Addresses
from batch_resend.certcentral.contract import MailBody
from batch_resend.intake.looks import is_constructed
from batch_resend.listed import WAITING
from batch_resend.model import USUAL_LOCAL_PARTS, Call
from batch_resend.simulator.faults import Oddity
from batch_resend.windows import Window

_WRONG_REQUESTS_KEPT = 100
_RECIPIENTS_KEPT = 10_000  # mails
_PATH_KEPT = 200  # characters


class WindowLog:
    """The arrivals that a rolling window still holds, each key by itself (page "Rate limits")."""

    __slots__ = ("_arrivals", "peak", "refused", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.peak = 0  # most arrivals by one key that any period held, refused ones included
        self.refused = 0
        self._arrivals: defaultdict[str, deque[float]] = defaultdict(deque)

    def arrive(self, now: float, key: str) -> bool:
        """Record an arrival; return whether the window, the half-open (now - W, now], is kept."""
        arrivals = self._arrivals[key]
        arrivals.append(now)
        period_s = self.window.period_s
        while arrivals[0] + period_s <= now:
            arrivals.popleft()
        self.peak = max(self.peak, len(arrivals))
        kept = len(arrivals) <= self.window.limit
        self.refused += not kept
        return kept


class Books:
    """Everything received so far. Tests may read the fields; a report is `snapshot()`."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.reads_of: Counter[str] = Counter()  # requests of each call that only reads
        self.requests = 0  # to the API, whatever came of them
        self.requests_per_order: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()  # a status, or the fault that gave no answer
        self.sources: Counter[str] = Counter()  # what the answers rest on: recorded, guessed ..
        self.mails = 0
        self.mails_per_order: Counter[str] = Counter()
        self.addresses_mailed = 0
        # Whom each request about an order or a domain mailed, of the first mails.
        self.recipients: defaultdict[str, list[list[str]]] = defaultdict(list)
        self.windows = [WindowLog(window) for window in windows]
        self.wrong_requests: list[dict[str, str]] = []  # the first hundred
        self.wrong_request_count = 0
        self.bodies: dict[str, list[dict[str, Any]]] = {}  # an order's, if they are to be kept

    def arrive(self, now: float, order_id: str | None, key: str) -> bool:
        """Record a request at `now`, in seconds of any clock; return whether all windows are kept.

        It counts in every window of its key, refused or not: that is the CA's rule ("Rate limits").
        """
        self.requests += 1
        if order_id is not None:
            self.requests_per_order[order_id] += 1
        kept = [log.arrive(now, key) for log in self.windows]  # every one records it
        return all(kept)

    @property
    def reads(self) -> int:
        """Requests of all calls that only read."""
        return self.reads_of.total()

    def answer(self, what: str, source: str) -> None:
        """Record an answer, by its status or its fault, and what it rests on."""
        self.answers[what] += 1
        self.sources[source] += 1

    def mail(self, subject: str, recipients: Sequence[str]) -> None:
        """Record that the mails of an order or a domain went out, and to whom."""
        self.mails += 1
        self.mails_per_order[subject] += 1
        self.addresses_mailed += len(recipients)
        if self.mails <= _RECIPIENTS_KEPT:
            self.recipients[subject].append(list(recipients))

    def wrong(self, method: str, path: str, reason: str) -> None:
        """Record a request that a correct client does not make."""
        self.wrong_request_count += 1
        if len(self.wrong_requests) < _WRONG_REQUESTS_KEPT:
            wrong = {"method": method, "path": path[:_PATH_KEPT], "reason": reason}
            self.wrong_requests.append(wrong)

    def snapshot(self) -> dict[str, Any]:
        """Return the books as plain data, fit for JSON: what `GET /` shows."""
        return {
            "requests": self.requests,
            "answers": dict(sorted(self.answers.items())),
            "answers_rest_on": dict(sorted(self.sources.items())),
            "reads": dict(sorted(self.reads_of.items())),
            "mails": self.mails,
            "addresses_mailed": self.addresses_mailed,
            "orders_mailed": len(self.mails_per_order),
            "mails_per_order": dict(self.mails_per_order),
            "windows": [
                {"limit": str(log.window), "peak": log.peak, "refused": log.refused}
                for log in self.windows
            ],
            "wrong_request_count": self.wrong_request_count,
            "wrong_requests": list(self.wrong_requests),
        }


DAY_S = 86_400.0
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
        within_s: float = DAY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`chance`: that a mail brings about an approval, at some time `within_s` seconds."""
        self.orders: dict[int, WorldOrder] = {}
        self.chance = chance
        self.ahead_s = 0.0  # of the clock: days that were let go by
        self._clock = clock
        # Addresses in a domain's DNS, at _validation-contactemail; by the domain.
        self.dns_txt: dict[str, tuple[str, ...]] = {}
        # What the account's setting "Send verification DCV emails to" selects.
        self.mailed_local_parts: frozenset[str] = USUAL_LOCAL_PARTS
        self._mailed: set[str] = set()  # that are not among these orders
        self._seed = seed
        self._within_s = within_s
        self._approvals: list[tuple[float, int]] = []  # a heap: when, of which order
        self._domains: dict[str, int] = {}
        self._domain_names: dict[str, str] = {}
        self._containers: dict[str, int] = {}

    def clock(self) -> float:
        """Return the time of this world, in seconds since the epoch."""
        return self._clock() + self.ahead_s

    def add(self, order: WorldOrder) -> None:
        """Let an order come into the world."""
        order.clock = self.clock
        self.container_id(order.container)
        self.orders[order.order_id] = order

    def populate(self, count: int, oldest_days: float = 10.0) -> None:
        """Let more orders wait: of several products, up to so old, three in four by e-mail."""
        first = max(self.orders, default=FIRST_ORDER - 1) + 1
        now, luck = self.clock(), self._luck(*((first,) if self.orders else ()))
        for number in range(first, first + count):
            self.add(
                WorldOrder(
                    number,
                    product=luck.choice(_PRODUCTS),
                    domains=(f"shop{number}.example.com",),
                    created_at=now - luck.uniform(0, oldest_days) * DAY_S,
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
                    created_at=self.clock() - 5 * DAY_S,
                    oddity=oddity,
                )
            )

    def order(self, order_id: str) -> WorldOrder | None:
        """Return an order by its number as it stands in an address, after approvals are in.

        One that was mailed is there, and waits, though only the list of the caller has it.
        """
        self.let_approve()
        found = self._order(order_id)
        if found is None and order_id in self._mailed:
            name, ordered_at = f"order{order_id}.example.com", self.clock() - DAY_S
            return WorldOrder(int(order_id), domains=(name,), created_at=ordered_at)
        return found

    def waiting(self, order_id: str) -> list[str] | None:
        """Return the names of an order that wait for an approval; None: it is not in the world."""
        self.let_approve()
        if (order := self._order(order_id)) is None:
            return None
        return [name for name in order.domains if name not in order.approved]

    def is_dv(self, order_id: str) -> bool:
        """Whether an order is DV, as far as is known: one that is not in the world may be."""
        order = self._order(order_id)
        return order is None or order.is_dv

    def mail(self, order_id: str) -> None:
        """Note that an order was mailed; it may be approved by that, later."""
        if (order := self._order(order_id)) is None:
            if order_id.isdecimal():
                self._mailed.add(order_id)
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

    def count_waiting(self) -> int:
        """Return how many orders wait, after approvals are in."""
        self.let_approve()
        return sum(order.status in WAITING for order in self.orders.values())

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


# Whom an order without addresses has mailed of which the world knows no names.
EVERYONE = "everyone whom the order's domains have"


def recipients(world: World, call: Call, subject: str, body: MailBody) -> list[str]:
    """Return whom a request mails, in its order. `subject`: an order's number, or a domain."""
    described = CALLS[call]
    names = [world.domain_name(subject)] if described.is_about_domain else world.waiting(subject)
    emails = body.emails
    if described.addresses is Addresses.SOME and names is not None:
        emails = tuple(email for email in emails if _is_known_at_any(world, email, names))
    if emails:
        return list(emails)
    if names is None:
        return [EVERYONE]
    names = [body.name_scope] if body.name_scope else names
    return list(dict.fromkeys(address for name in names for address in everyone(world, name)))


def _is_known_at_any(world: World, address: str, names: Iterable[str]) -> bool:
    return any(is_known(world, address, name) for name in names)


def is_known(world: World, address: str, domain: str) -> bool:
    """Whether the CA mails an address for a domain: constructed, or in the domain's DNS."""
    local, _, of = address.lower().rpartition("@")
    if local in world.mailed_local_parts and is_constructed(local, of, domain):
        return True
    return address.lower() in (a.lower() for a in dns_txt(world, domain))


def everyone(world: World, domain: str) -> list[str]:
    """Return all whom the CA can mail for a domain."""
    return [*constructed(domain, sorted(USUAL_LOCAL_PARTS)), *dns_txt(world, domain)]


def constructed(domain: str, local_parts: Iterable[str]) -> list[str]:
    """Return the addresses that are constructed at a domain."""
    return [f"{local}@{domain.removeprefix('*.')}" for local in local_parts]


def dns_txt(world: World, domain: str) -> list[str]:
    """Return the addresses that stand in a domain's DNS, at `_validation-contactemail`."""
    return list(world.dns_txt.get(domain.removeprefix("*."), ()))
