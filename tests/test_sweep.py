"""Which orders are due for another mail: decided once, in one place, order by order."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from batch_resend.listed import WAITING, ListedOrder, NameValidation
from batch_resend.order_reader import OrderReader
from batch_resend.results import Decision, Mailed
from batch_resend.sending import Progress, Reader
from batch_resend.sweep import Rules, SweepResult, sweep

pytestmark = pytest.mark.asyncio

NOW, DAY_S, HOUR_S = 1_800_000_000.0, 86_400.0, 3_600.0
RULES = Rules(
    older_than_s=DAY_S, cooldown_s=20 * HOUR_S, max_mails=5, max_orders=100, excluded={"666"}
)
WAITS = ListedOrder("1", "pending", created_at=NOW - 3 * DAY_S, dcv_method="email")
OV = replace(WAITS, product="ssl_basic", dcv_method=None)


class Listed(OrderReader):
    """A CA whose list, whose order report and whose word on one order are a test's.

    It counts what is asked of it about one order.
    """

    def __init__(
        self,
        orders: Sequence[ListedOrder],
        details: Sequence[ListedOrder] = (),
        report: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(cast("Reader", SimpleNamespace(progress=Progress())))
        self._orders = orders
        self._details = {order.order_id: order for order in details}
        self._report = report
        self.asked: list[str] = []

    async def orders(
        self,
        statuses: Sequence[str] = WAITING,
        filters: Sequence[tuple[str, str]] = (),
        *,
        optional: bool = False,
    ) -> AsyncIterator[ListedOrder]:
        for order in self._orders:
            yield order

    async def methods(self) -> dict[str, str]:
        return dict(self._report or {})

    async def completed(self, order: ListedOrder) -> ListedOrder:
        self.asked.append(order.order_id)
        return self._details.get(order.order_id, order)


async def swept(
    *orders: ListedOrder, mailed: dict[str, Mailed] | None = None, rules: Rules = RULES
) -> SweepResult:
    return await sweep(Listed(orders), mailed or {}, rules, NOW)


@pytest.mark.parametrize(
    ("order", "mailed", "counted"),
    [
        pytest.param(WAITS, None, "due", id="it has waited long enough"),
        pytest.param(replace(WAITS, created_at=NOW - DAY_S), None, "due", id="just long enough"),
        pytest.param(replace(WAITS, created_at=NOW - DAY_S + 1), None, "too_young", id="not yet"),
        pytest.param(replace(WAITS, created_at=None), None, "due", id="nobody knows how long"),
        pytest.param(WAITS, Mailed(1, 0, NOW - 20 * HOUR_S), "due", id="mailed a cooldown ago"),
        pytest.param(WAITS, Mailed(1, 0, NOW - 19 * HOUR_S), "mailed_lately", id="mailed lately"),
        pytest.param(WAITS, Mailed(4, 0, NOW - 9 * DAY_S), "due", id="mailed four times"),
        pytest.param(WAITS, Mailed(5, 0, NOW - 9 * DAY_S), "stuck", id="mailed five times"),
        pytest.param(
            WAITS, Mailed(5, 5, None, NOW - 20 * HOUR_S), "stuck", id="perhaps mailed five times"
        ),
        pytest.param(
            WAITS, Mailed(4, 1, NOW - 9 * DAY_S, NOW - HOUR_S), "due", id="in doubt, sent again"
        ),
        pytest.param(
            WAITS,
            Mailed(5, 1, NOW - 9 * DAY_S, NOW - HOUR_S),
            "mailed_lately",
            id="perhaps mailed lately, and as often as allowed",
        ),
        pytest.param(
            replace(WAITS, order_id="666"), Mailed(5, 0, NOW - 9 * DAY_S), "excluded", id="hopeless"
        ),
        pytest.param(replace(WAITS, dcv_method="E-Mail"), None, "due", id="e-mail, otherwise said"),
        pytest.param(
            replace(WAITS, dcv_method="dns-txt-token"),
            None,
            "nothing_to_mail",
            id="validated by DNS",
        ),
        pytest.param(replace(OV, dcv_method="email"), None, "other_call", id="not a DV product"),
        pytest.param(OV, None, "other_call", id="not DV, and nobody knows how it is validated"),
        pytest.param(replace(OV, product_type="dv_ssl_certificate"), None, "due", id="of DV type"),
        pytest.param(
            replace(OV, dcv_method="dns-txt-token"), None, "nothing_to_mail", id="not DV, by DNS"
        ),
        pytest.param(
            replace(OV, names=(NameValidation("a.example", True),)),
            None,
            "nothing_to_mail",
            id="not DV, and approved",
        ),
        pytest.param(replace(OV, created_at=NOW), None, "too_young", id="not DV, and too young"),
        pytest.param(replace(OV, order_id="666"), None, "excluded", id="not DV, and hopeless"),
        pytest.param(
            replace(WAITS, status="new"), None, "nothing_to_mail", id="a status nobody knows"
        ),
    ],
)
async def test_an_order_is_due_or_counted_by_why_it_is_not(
    order: ListedOrder, mailed: Mailed | None, counted: str
) -> None:
    found = await swept(order, mailed={order.order_id: mailed} if mailed else {})
    assert found.decided == {Decision(counted): 1}
    assert found.counts.waiting == getattr(found.counts, counted) == 1
    assert [order.order_id for order in found.stuck] == (["1"] if counted == "stuck" else [])


async def test_those_that_have_waited_longest_come_first_and_the_others_are_left_for_later() -> (
    None
):
    orders = [replace(WAITS, order_id=str(n), created_at=NOW - n * DAY_S) for n in (2, 5, 3, 4)]
    found = await swept(*orders, rules=replace(RULES, max_orders=3))
    assert [order.order_id for order in found.due] == ["5", "4", "3"]
    assert found.counts.left_for_later == 1


async def test_of_those_that_are_due_it_mails_those_that_have_waited_longest_for_their_turn() -> (
    None
):
    ages = {"1": 9, "2": 3, "3": 8, "4": 2, "5": 7, "6": 6, "7": 5}
    orders = [replace(WAITS, order_id=n, created_at=NOW - age * DAY_S) for n, age in ages.items()]
    mailed = {
        "1": Mailed(1, 0, NOW - 2 * DAY_S),
        "3": Mailed(3, 0, NOW - 3 * DAY_S),
        "5": Mailed(1, 1, None, NOW - 1 * DAY_S),
        "6": Mailed(refused_at=NOW - 5 * DAY_S, tried_at=NOW - 5 * DAY_S),
        "7": Mailed(tried_at=NOW - 2 * DAY_S),
    }
    stuck = [replace(WAITS, order_id=n, created_at=NOW - int(n) * DAY_S) for n in ("20", "30")]
    mailed |= {"20": Mailed(5, 0, NOW - 9 * DAY_S), "30": Mailed(5, 0, NOW - 2 * DAY_S)}
    found = await swept(*orders, *stuck, mailed=mailed, rules=replace(RULES, max_orders=6))
    never_tried, no_answer, answered = ["2", "4"], ["7", "5"], ["6", "3", "1"]
    in_turn = [*never_tried, *no_answer, *answered]
    assert [order.order_id for order in found.due] == in_turn[:6]
    assert found.counts.left_for_later == 1
    assert [order.order_id for order in found.stuck] == ["30", "20"], "the oldest first"


async def test_what_is_not_due_takes_no_place_of_what_is() -> None:
    orders = [replace(WAITS, order_id=str(n), created_at=NOW - n * DAY_S) for n in range(2, 8)]
    mailed = {str(n): Mailed(5, 0, NOW - 9 * DAY_S) for n in (7, 6, 5)}
    found = await swept(*orders, mailed=mailed, rules=replace(RULES, max_orders=2))
    assert [order.order_id for order in found.due] == ["4", "3"]


async def test_how_an_order_is_validated_is_asked_only_of_those_that_are_due_otherwise() -> None:
    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in range(1, 6)]
    young = replace(WAITS, order_id="9", dcv_method=None, created_at=NOW)
    told = [
        replace(WAITS, order_id="1"),
        replace(WAITS, order_id="2", dcv_method="http-token"),
        replace(WAITS, order_id="3", status="issued"),
        replace(WAITS, order_id="4"),
    ]
    order_reader = Listed([*lacking, young], told)
    rules = replace(RULES, max_orders=2)
    found = await sweep(order_reader, {"5": Mailed(5, 5)}, rules, NOW)
    assert [order.order_id for order in found.due] == ["1", "4"]
    assert order_reader.asked == ["1", "2", "3", "4"]
    counts = found.counts
    assert (counts.nothing_to_mail, counts.stuck, counts.too_young) == (2, 1, 1)


async def test_no_more_orders_are_asked_about_than_may_still_be_due() -> None:
    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in range(1, 50)]
    details = [replace(o, dcv_method="email" if int(o.order_id) % 2 else "http") for o in lacking]
    order_reader = Listed(lacking, details)
    found = await sweep(order_reader, {}, replace(RULES, max_orders=5), NOW)
    assert [order.order_id for order in found.due] == ["1", "3", "5", "7", "9"]
    assert order_reader.asked == [str(n) for n in range(1, 10)]
    counts = found.counts
    assert (counts.nothing_to_mail, counts.left_for_later, counts.not_asked) == (4, 0, 40)


async def test_of_those_beyond_the_most_what_the_order_report_tells_is_counted_by_what_it_is() -> (
    None
):
    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in range(1, 31)]
    report = {str(n): "email" if n % 2 else "dns-txt-token" for n in range(1, 28)}
    order_reader = Listed(lacking, report=report)
    found = await sweep(order_reader, {}, replace(RULES, max_orders=5), NOW)
    assert [order.order_id for order in found.due] == ["1", "3", "5", "7", "9"]
    assert order_reader.asked == [], "no request is made for a count"
    counts = found.counts
    assert (counts.nothing_to_mail, counts.left_for_later, counts.not_asked) == (13, 9, 3)
    assert counts.waiting == 30


async def test_what_the_order_report_tells_of_many_is_not_asked_of_each() -> None:
    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in range(1, 31)]
    report = {str(n): "email" if n > 3 else "dns-txt-token" for n in range(1, 28)}
    order_reader = Listed(lacking, [replace(lacking[28], dcv_method="http-token")], report)
    found = await sweep(order_reader, {}, RULES, NOW)
    assert order_reader.asked == ["28", "29", "30"], "those that the report leaves out"
    assert [order.order_id for order in found.due] == [str(n) for n in (*range(4, 29), 30)]
    assert found.counts.nothing_to_mail == 4


async def test_an_order_all_names_of_which_are_approved_waits_for_no_mail() -> None:
    def named(*approved: bool) -> tuple[NameValidation, ...]:
        return tuple(NameValidation(f"{n}.example", one) for n, one in enumerate(approved))

    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in (1, 2)]
    details = [
        replace(WAITS, order_id="1", names=named(True, True)),
        replace(WAITS, order_id="2", names=named(True, False)),
    ]
    found = await sweep(Listed(lacking, details), {}, RULES, NOW)
    assert [order.order_id for order in found.due] == ["2"]


async def test_orders_that_are_not_wanted_are_not_counted_but_known_to_wait() -> None:
    other = replace(WAITS, order_id="2", product="other")
    found = await swept(WAITS, other, rules=replace(RULES, is_wanted=lambda o: o.product is None))
    assert (found.counts.waiting, [order.order_id for order in found.due]) == (1, ["1"])
    assert found.numbers == {"1", "2"}


async def test_one_order_that_cannot_be_asked_about_keeps_no_other_from_its_mail() -> None:
    lacking = [replace(WAITS, order_id=str(n), dcv_method=None) for n in (1, 2)]
    found = await sweep(Listed(lacking, [replace(WAITS, order_id="2")]), {}, RULES, NOW)
    assert [order.order_id for order in found.due] == ["1", "2"], "what is wrong, its mail will say"
