"""Which of the orders that wait are due for another mail: the nightly sweep's decision.

    the CA's list -> old enough? -> not mailed lately? -> not too often? -> validated by e-mail?

Those that have waited longest come first: they expire first. What is not due costs no request; how
an order is validated, which the CA's list never tells, is asked only of those that are due
otherwise, and of no more than are wanted.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from batch_resend.intake import RecordSource
from batch_resend.journal import Mailed
from batch_resend.listed import ListedOrder
from batch_resend.model import Row
from batch_resend.order_reader import OrderReader, nothing_to_mail

SOURCE_NAME = "orders that wait at the CA"
_NEVER = Mailed(0, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an order due."""

    older_than_s: float
    cooldown_s: float  # since its last mail that was acknowledged
    max_mails: int  # in all
    max_orders: int  # in one sweep
    filters: Sequence[tuple[str, str]] = ()  # of the CA's call "List orders"
    any_product: bool = False  # those that are not DV, too
    is_wanted: Callable[[ListedOrder], bool] = lambda _: True

    def leaves_out(self, order: ListedOrder) -> bool:
        """Whether an order has nothing to resend, as far as the CA tells."""
        return nothing_to_mail(order, any_product=self.any_product) is not None


@dataclass(slots=True)
class SweepResult:
    """What a sweep has found. An order is counted once."""

    waiting: int = 0
    too_young: int = 0
    mailed_lately: int = 0
    mailed_enough: int = 0
    nothing_to_mail: int = 0  # not DV, not validated by e-mail, or issued since it was listed
    left_for_later: int = 0  # beyond the most of one sweep
    unusable: int = 0  # items of the CA's list without an order number; in no other count
    due: list[ListedOrder] = field(default_factory=list)  # those that have waited longest first
    numbers: set[str] = field(default_factory=set)  # of all that wait

    def is_candidate(self, order: ListedOrder, known: Mailed, rules: Rules, now: float) -> bool:
        """Whether an order is due unless the CA has nothing to mail for it; counts it if not."""
        if order.created_at is not None and now - order.created_at < rules.older_than_s:
            self.too_young += 1
        elif known.last_at is not None and now - known.last_at < rules.cooldown_s:
            self.mailed_lately += 1
        elif known.mails >= rules.max_mails:
            self.mailed_enough += 1
        else:
            return True
        return False

    def source(self, locale: str | None) -> RecordSource:
        """Return the orders that are due as rows, which leave it to the CA whom to mail."""
        rows = [
            Row(line, order.order_id, (), locale, json.dumps({"order_id": order.order_id}))
            for line, order in enumerate(self.due, start=1)
        ]
        return RecordSource(rows, name=SOURCE_NAME, all_domains=True)


async def sweep(
    order_reader: OrderReader, mailed: Mapping[str, Mailed], rules: Rules, now: float
) -> SweepResult:
    """Return which orders are due. Raises CallError, JournalError."""
    swept = SweepResult()
    orders = []
    async for order in order_reader.orders(filters=rules.filters):
        swept.numbers.add(order.order_id)
        if rules.is_wanted(order):
            orders.append(order)
    swept.waiting = len(orders)
    candidates = [
        order
        for order in sorted(orders, key=_age_key)
        if swept.is_candidate(order, mailed.get(order.order_id, _NEVER), rules, now)
    ]
    to_ask = [order for order in candidates if not rules.leaves_out(order)]
    swept.nothing_to_mail = len(candidates) - len(to_ask)

    def take(order: ListedOrder) -> None:
        if rules.leaves_out(order):
            swept.nothing_to_mail += 1
        else:
            swept.due.append(order)

    await order_reader.with_methods(to_ask, take, lambda: rules.max_orders - len(swept.due))
    swept.left_for_later = len(candidates) - len(swept.due) - swept.nothing_to_mail
    swept.unusable = len(order_reader.unusable)
    return swept


def _age_key(order: ListedOrder) -> tuple[float, int]:
    """Return what sorts orders by age, the oldest first; of unknown age before all."""
    return (order.created_at or 0.0, int(order.order_id))
