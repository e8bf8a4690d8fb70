"""How the simulator is told to behave, and the fate that a seed gives to every request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from math import fsum, isfinite

from batch_resend.clock import parse_duration
from batch_resend.settings import is_loopback
from batch_resend.simulator.faults import FaultName
from batch_resend.windows import CA_WINDOWS, Window


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """How the simulator behaves. Raises ValueError where that makes no sense."""

    host: str = "127.0.0.1"  # loopback only
    port: int = 0  # 0: any free one
    windows: tuple[Window, ...] = CA_WINDOWS
    api_key: str | None = None  # None: any key will do, as long as there is one
    revoke_after: int | None = None  # requests; every later one finds the key revoked
    unknown_orders: frozenset[str] = frozenset()  # answered 404 not_found|order
    latency_s: tuple[float, float] = (0.0, 0.0)  # from, to; evenly spread between
    faults: Mapping[FaultName, float] = field(default_factory=dict)  # a share of 0..1 each
    seed: int = 0
    keep_bodies: bool = False  # keep what was asked for every order, for tests
    orders: int = 0  # that wait in its world from the beginning
    odd_orders: int = 0  # more of them, each of which is shown oddly

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ValueError(
                f"{self.host!r} is not a loopback address: use 127.0.0.1, ::1 or localhost"
            )
        low, high = self.latency_s
        if not (0 <= low <= high and isfinite(high)):
            raise ValueError(f"a latency of {low:g} to {high:g} s makes no sense")
        if self.revoke_after is not None and self.revoke_after < 0:
            raise ValueError(f"a key revoked after {self.revoke_after} requests makes no sense")
        shares = self.faults.values()
        # What is meant to be 1 in all may come out above it by a rounding.
        if not all(0 <= share <= 1 for share in shares) or fsum(shares) > 1 + 1e-9:
            raise ValueError("the shares of faults lie between 0 and 1, and so does their sum")


def parse_latency(text: str) -> tuple[float, float]:
    """Return the seconds, from and to, of `50ms`, `10-300ms` or `0.1s-2s`. Raises ValueError."""
    first, dash, second = (part.strip() for part in text.partition("-"))
    if not dash:
        second = first
    unit = second.lstrip("0123456789. ")
    try:
        high = parse_duration(second)
        # In `10-300ms` the unit stands for both.
        low = parse_duration(first if first[-1:].isalpha() else first + unit)
    except ValueError:
        low, high = 1.0, 0.0
    if low > high:
        raise ValueError(f"{text!r} is not a latency: write 50ms, 10-300ms or 0.1s-2s")
    return low, high


def parse_fault(text: str) -> tuple[FaultName, float]:
    """Return the fault and its share, 0..1, of `500=0.05` or `drop=5%`. Raises ValueError."""
    name, equals, amount = (part.strip() for part in text.partition("="))
    number = amount.removesuffix("%")
    try:
        fault = FaultName(name)
        share = float(number) / (1 if number == amount else 100)
    except ValueError:
        equals, share = "", 0.0
    if not equals or not 0 <= share <= 1:
        raise ValueError(
            f"{text!r} is not a fault: write NAME=SHARE, as 500=0.05 or drop=5%,"
            f" where NAME is one of {', '.join(FaultName)}"
        )
    return fault, share


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become of one request."""

    latency_s: float
    fault: FaultName | None


class Fates:
    """Deals a fate to every request, the same whatever the concurrency.

    The fate of an order's k-th request depends on nothing but the seed, the order and k; requests
    refused before they come this far (429 of a window, a wrong key, 400) do not count.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._low, self._high = settings.latency_s
        # In the order of the names: how the shares were listed must not matter.
        named = [(name, settings.faults[name]) for name in FaultName if name in settings.faults]
        bounds = accumulate(share for _, share in named)
        self._bounds = [(bound, name) for bound, (name, _) in zip(bounds, named, strict=True)]
        self._dealt: dict[str, int] = {}

    def deal(self, order_id: str) -> Fate:
        """Return the fate of the order's next request."""
        turn = self._dealt[order_id] = self._dealt.get(order_id, 0) + 1
        digest = blake2b(f"{self._seed}/{turn}/{order_id}".encode(), digest_size=14).digest()
        # Seven bytes each: 53 bits and a few fit a float without ever rounding up to 1.
        slowness = (int.from_bytes(digest[:7]) >> 3) / 2**53
        luck = (int.from_bytes(digest[7:]) >> 3) / 2**53
        return Fate(
            latency_s=self._low + (self._high - self._low) * slowness,
            fault=next((name for bound, name in self._bounds if luck < bound), None),
        )
