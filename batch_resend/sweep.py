"""Which of the orders that wait are due for another mail: the nightly sweep's decision.

    the CA's list -> excluded? -> old enough? -> not mailed lately? -> not too often? -> by e-mail?
    -> DV?

Each has its turn: a sweep that mails only some begins with those that were never mailed. What is
not due costs no request; how an order is validated, which the CA's list never tells, is asked only
of those that are due otherwise, and of no more than are wanted.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from batch_resend.intake import Field, RecordSource
from batch_resend.listed import ListedOrder
from batch_resend.model import Row, SkipReason
from batch_resend.order_reader import OrderReader, nothing_to_mail
from batch_resend.results import Decision, Mailed, StuckOrder, SweepCounts

SOURCE_NAME = "orders that wait at the CA"
_NEVER = Mailed()


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an order due."""

    older_than_s: float
    cooldown_s: float  # since its last mail
    max_mails: int  # in all
    max_orders: int  # in one sweep
    filters: Sequence[tuple[str, str]] = ()  # of the CA's call "List orders"
    any_product: bool = False  # those that are not DV, too
    excluded: Set[str] = frozenset()  # by their numbers
    is_wanted: Callable[[ListedOrder], bool] = lambda _: True

    def decide(self, order: ListedOrder, known: Mailed, now: float) -> Decision:
        """Decide about an order, as far as the CA's list and the journal tell."""
        if order.order_id in self.excluded:
            return Decision.EXCLUDED
        if order.created_at is not None and now - order.created_at < self.older_than_s:
            return Decision.TOO_YOUNG
        is_at_limit = known.mails >= self.max_mails
        # What is in doubt is sent again at once, but where that would be one too many: then it may
        # have arrived, as any other mail, and may yet have its effect.
        last_at = known.last_at if is_at_limit else known.acknowledged_at
        if last_at is not None and now - last_at < self.cooldown_s:
            return Decision.MAILED_LATELY
        if is_at_limit:
            return Decision.STUCK
        return self.decide_by_method(order)

    def decide_by_method(self, order: ListedOrder) -> Decision:
        """Decide whether the CA has anything to mail for an order, as far as it tells."""
        nothing = nothing_to_mail(order, any_product=self.any_product)
        if nothing is None:
            return Decision.DUE
        is_of_other_call = nothing[0] is SkipReason.OTHER_CALL
        return Decision.OTHER_CALL if is_of_other_call else Decision.NOTHING_TO_MAIL

    def decide_beyond_most(self, order: ListedOrder) -> Decision:
        """Decide about an order for which a sweep that mails its most has not asked the CA."""
        if order.dcv_method is None:
            return Decision.NOT_ASKED
        decision = self.decide_by_method(order)
        return Decision.LEFT_FOR_LATER if decision is Decision.DUE else decision


@dataclass(slots=True)
class SweepResult:
    """What a sweep has found."""

    max_mails: int  # of its rules
    older_than_s: float = 0.0  # likewise
    decided: Counter[Decision] = field(default_factory=Counter)
    due: list[ListedOrder] = field(default_factory=list)  # in the order of their turns
    stuck: list[StuckOrder] = field(default_factory=list)  # those that have waited longest first
    other_products: set[str] = field(default_factory=set)  # of those for another call
    numbers: set[str] = field(default_factory=set)  # of all that wait
    unusable: int = 0  # items of the CA's list without an order number
    mailed_before: Set[str] | None = None  # by the last run to mail any; None: nobody looked
    mailed_by: str | None = None  # that run
    own: set[str] = field(default_factory=set)  # of these numbers, those that it may send
    filters: tuple[str, ...] = ()  # by which it looked only at some orders, as options
    later: set[str] = field(default_factory=set)  # of its own, those beyond the most of one sweep
    unfinished: tuple[str, ...] = ()  # runs that left some of its own
    unfinished_later: tuple[str, ...] = ()  # of these, those that left some that are for later

    def count(self, order: ListedOrder, decision: Decision, known: Mailed = _NEVER) -> None:
        """Count an order by what was decided about it, and keep what is needed of it."""
        self.decided[decision] += 1
        if decision is Decision.DUE:
            self.due.append(order)
        elif decision is Decision.STUCK:
            self.stuck.append(_stuck(order, known))
        elif decision is Decision.OTHER_CALL and order.product:
            self.other_products.add(order.product)

    def leave(self, order: ListedOrder, decision: Decision) -> None:
        """Count an order that is beyond the most of one sweep by what was decided about it."""
        self.decided[decision] += 1
        if decision in (Decision.LEFT_FOR_LATER, Decision.NOT_ASKED):
            self.later.add(order.order_id)

    @property
    def counts(self) -> SweepCounts:
        """The whole in numbers."""
        before = self.mailed_before
        return SweepCounts(
            waiting=self.decided.total(),
            unusable=self.unusable,
            max_mails=self.max_mails,
            mailed_before=None if before is None else len(before),
            mailed_by=self.mailed_by,
            no_longer_waiting=None if before is None else len(before - self.numbers),
            filters=self.filters,
            older_than_s=self.older_than_s,
            other_products=tuple(sorted(self.other_products)),
            unfinished=self.unfinished,
            unfinished_later=self.unfinished_later,
            **{decision.value: self.decided[decision] for decision in Decision},
        )

    def source(self, locale: str | None) -> RecordSource:
        """Return the orders that are due as rows, which leave it to the CA whom to mail."""
        rows = [
            Row(
                line,
                order.order_id,
                (),
                locale,
                json.dumps({"order_id": order.order_id, "domains": order.domains}),
                kept=((Field.PRODUCT, order.product),) if order.product else (),
            )
            for line, order in enumerate(self.due, start=1)
        ]
        return RecordSource(rows, name=SOURCE_NAME, all_domains=True)


async def sweep(
    order_reader: OrderReader, mailed: Mapping[str, Mailed], rules: Rules, now: float
) -> SweepResult:
    """Return which orders are due. Raises CallError, JournalError."""
    swept = SweepResult(rules.max_mails, rules.older_than_s)
    orders = []
    async for order in order_reader.orders(filters=rules.filters):
        swept.numbers.add(order.order_id)
        if rules.is_wanted(order):
            orders.append(order)
    swept.own = {order.order_id for order in orders} - rules.excluded
    # What these two kinds wait for depends on how they are validated, which is asked at the end.
    asked: dict[Decision, list[ListedOrder]] = {Decision.DUE: [], Decision.OTHER_CALL: []}
    for order in sorted(orders, key=_age_key):
        known = mailed.get(order.order_id, _NEVER)
        decision = rules.decide(order, known, now)
        if decision in asked:
            asked[decision].append(order)
        else:
            swept.count(order, decision, known)

    def take(order: ListedOrder) -> None:
        swept.count(order, rules.decide_by_method(order))

    in_turn = sorted(
        asked[Decision.DUE],
        key=lambda order: _turn_key(order, mailed.get(order.order_id, _NEVER)),
    )
    others = asked[Decision.OTHER_CALL]
    left = await order_reader.with_methods(
        in_turn, take, lambda: rules.max_orders - len(swept.due), len(others)
    )
    for order in order_reader.as_reported(others):
        take(order)
    for order in left:
        swept.leave(order, rules.decide_beyond_most(order))
    swept.unusable = len(order_reader.unusable)
    return swept


def _stuck(order: ListedOrder, known: Mailed) -> StuckOrder:
    return StuckOrder(
        order.order_id,
        known,
        order.created_at,
        order.product or "",
        order.container or "",
        order.domains,
    )


def _turn_key(order: ListedOrder, known: Mailed) -> tuple[bool, float, tuple[float, int]]:
    """Return what sorts orders by whose turn it is: nobody is mailed twice before all were once.

    Those come first of which the CA has neither acknowledged nor refused any mail: of these, as of
    the others, those never tried, and then those tried longest ago. So an order that is always
    refused, or always in doubt, keeps no other from its turn.
    """
    has_answer = known.acknowledged_at is not None or known.refused_at is not None
    tried_at = max(known.tried_at or 0.0, known.last_at or 0.0)
    return has_answer, tried_at, _age_key(order)


def _age_key(order: ListedOrder) -> tuple[float, int]:
    """Return what sorts orders by age, the oldest first; of unknown age before all."""
    return (order.created_at or 0.0, int(order.order_id))
