"""When trouble is the CA's and all wait, for how long, and whatever is answered."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.model import Ruling
from batch_resend.sending import CircuitBreaker, Flow
from batch_resend.sending.breaker_state import FREE_FOR_FEW_S, FREE_LIMITED, PROBES, Advice
from batch_resend.sending.failures import History
from tests.sending.conftest import HOUR_S, LONG_S
from tests.sending.scripted import verdict
from tests.sending.test_breaker import closed, flowing, leave, told

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]


# --- the circuit breaker ------------------------------------------------------------------


def each(count: int, word: str) -> list[tuple[int, str]]:
    return [(order, word) for order in range(1, count + 1)]


@pytest.mark.parametrize(
    ("troubled", "pauses"),
    [
        pytest.param(each(19, "503"), False, id="nineteen in a row may be chance"),
        pytest.param(each(20, "503"), True, id="twenty in a row: the CA's"),
        pytest.param(each(15, "lost"), False, id="what may have been mailed weighs more: 15"),
        pytest.param(each(16, "timeout"), True, id="16"),
        pytest.param(each(4, "page403"), False, id="a page weighs most: four"),
        pytest.param(each(5, "page403"), True, id="five"),
        pytest.param([(o % 2, "503") for o in range(8)], False, id="four of an order"),
        pytest.param([(o % 2, "503") for o in range(9)], True, id="five of an order: none passes"),
        pytest.param(
            [*each(9, "503"), (10, "timeout"), (11, "noconn"), *each(9, "500")],
            True,
            id="trouble of any kind counts",
        ),
        pytest.param(
            [*each(19, "503"), (20, "204"), *[(o + 30, "503") for o in range(19)]],
            False,
            id="a success in between ends the streak",
        ),
        pytest.param(
            [*each(19, "503"), (20, "404"), *[(o + 30, "503") for o in range(19)]],
            False,
            id="so does a refusal: the CA is at work",
        ),
        pytest.param(
            [(o, "429" if o % 3 == 0 else "503") for o in range(30)],
            True,
            id="a 429 ends none",
        ),
        pytest.param([(1, "503/59")], False, id="a time of less than a minute: that order's"),
        pytest.param([(1, "503/60")], True, id="closed for a minute or more"),
    ],
)
async def test_when_the_breaker_opens(troubled: list[tuple[int, str]], pauses: bool) -> None:
    door = await flowing()
    for request in troubled:
        await door.go(*request)
    assert door.now() == 0, "it opened sooner"
    assert (door.breaker.flow is Flow.PAUSED) is pauses


async def test_a_good_answer_to_what_left_before_an_outage_began_ends_no_streak() -> None:
    door = await flowing()
    late = [(order, "204", 2.0) for order in range(30)]
    await door.all_go([*late, *[(order, "503", 1 + order / 64) for order in range(30, 50)]])
    assert door.breaker.flow is Flow.PAUSED


async def test_a_good_answer_to_what_left_later_ends_it_whichever_comes_first() -> None:
    door = await flowing()
    bad = [(order, "503", 1.0) for order in range(19)]
    await door.all_go([*bad, (20, "204", 0.5), (21, "503", 1.0), (22, "503", 1.0)])
    assert door.breaker.flow is Flow.FLOWING
    assert await told(door, "503 " * 17) == [Advice.COUNT] * 17
    assert await door.go(50, "503") is Advice.AGAIN


async def test_what_is_lost_together_costs_one_short_pause() -> None:
    door = await flowing()
    await door.all_go([(order, "lost", 1) for order in range(32)])
    await door.all_go([(order, "204", 1) for order in range(32)])
    assert door.breaker.paused_s == 2, "a second, and the answer to a probe"


async def test_the_breaker_opens_while_the_run_has_not_yet_opened() -> None:
    door = closed()
    advice = await told(door, "503 " * 20 + "204")
    assert advice == [*[Advice.COUNT] * 19, Advice.AGAIN, Advice.COUNT]
    assert [at for at, _ in door.left] == [*[0] * 20, 1]


async def test_a_lone_order_that_fails_on_is_the_cas_fault_for_some_minutes_and_then_its_own() -> (
    None
):
    door = await flowing()
    said = [(await door.go(1, "503"), door.left[-1][0]) for _ in range(16)]
    free = [at for advice, at in said if advice is Advice.AGAIN]
    assert [advice for advice, _ in said] == [
        *[Advice.COUNT] * 4, *[Advice.AGAIN] * 9, *[Advice.COUNT] * 3,
    ]  # fmt: skip
    assert max(free) < FREE_FOR_FEW_S <= said[-3][1]
    assert said[-1][1] == said[-3][1], "and pauses nobody any more"


@pytest.mark.parametrize("word", ["503", "lost"])
async def test_a_429_costs_orders_in_trouble_nothing_while_nothing_passes(word: str) -> None:
    """That they fail is taken for their own affair after some minutes; not that all are limited."""
    door = await flowing()
    await told(door, "429 429 429")
    while door.now() < 2 * FREE_FOR_FEW_S:
        advice = await told(door, f"{word} 429")
        assert advice[-1] is not Advice.COUNT
        await anyio.sleep(FREE_FOR_FEW_S / 10)


async def test_an_outage_that_meets_many_orders_is_the_cas_for_as_long_as_it_lasts() -> None:
    door = await flowing()
    advice = [await door.go(order, "503") for order in range(40)]
    assert advice == [*[Advice.COUNT] * 19, *[Advice.AGAIN] * 21]
    assert door.now() > 2 * FREE_FOR_FEW_S


async def test_the_time_that_requests_did_not_flow_is_known() -> None:
    door = await flowing()
    assert door.breaker.paused_s == 0
    await door.go(1, "429/5")
    await anyio.sleep(3)
    assert door.breaker.paused_s == 3
    await door.go(2, "429/10", 1)  # left after 5 s, answered after 6 s
    await door.go(3, "204", 2)  # left 10 s after that answer
    assert door.breaker.paused_s == 18
    await anyio.sleep(60)
    assert door.breaker.paused_s == 18
    await door.go(4, "429/5")
    await anyio.sleep(2)
    assert door.breaker.paused_s == 20


# --- patience -----------------------------------------------------------------------------


async def test_patience_ends_before_a_wait_that_would_go_beyond_it_and_says_so() -> None:
    door = await flowing(patience_s=100)
    await anyio.sleep(7)
    words = "429/5 429/10 429/20 429/40 429/60"
    assert await told(door, words) == [*[Advice.AGAIN] * 4, Advice.STOP]
    assert [at for at, _ in door.left] == [7, 12, 22, 42, 82]
    assert door.breaker.reason == (
        "the CA asks for fewer requests (scripted: 429), for 1m 15s; "
        "with the wait for the next try it would be 2m 15s, beyond the patience of 1m 40s. Run the "
        "same command again later, or with a longer --patience."
    )


async def test_a_wait_that_just_fits_the_patience_is_waited() -> None:
    door = await flowing(patience_s=35)
    words = "429/5 429/10 429/20 204"
    assert await told(door, words) == [*[Advice.AGAIN] * 3, Advice.COUNT]


async def test_patience_begins_again_with_every_trouble() -> None:
    door = await flowing(patience_s=20)
    assert Advice.STOP not in await told(door, "429/5 429/10 204 " * 3)


async def test_without_patience_the_first_trouble_of_the_ca_stops() -> None:
    door = await flowing(patience_s=0)
    assert await told(door, "503 " * 20) == [*[Advice.COUNT] * 19, Advice.STOP]
    assert "the CA has problems (HTTP 503)" in (door.breaker.reason or "")


async def test_a_maintenance_longer_than_the_patience_stops_at_once() -> None:
    door = await flowing(patience_s=HOUR_S)
    assert await door.go(1, "429/86400") is Advice.STOP


async def test_patience_of_days_is_waited_out() -> None:
    door = await flowing(patience_s=2 * 24 * HOUR_S)
    while await door.go(1, "429") is not Advice.STOP:
        pass
    assert door.now() > 2 * 24 * HOUR_S - 60


# --- whatever comes -----------------------------------------------------------------------

words = st.sampled_from(
    ["204", "204", "404", "403", "429", "429/3", "503", "503/2", "timeout", "lost", "noconn"]
)
requests_of = st.lists(
    st.tuples(st.integers(0, 8), words, st.sampled_from([0.0, 0.5, 1.0, 4.0, 30.0])), max_size=40
)


@settings(max_examples=150)
@given(st.lists(requests_of, min_size=1, max_size=3))
async def test_whatever_is_answered_pauses_are_kept_and_probes_are_few(
    rounds: list[list[tuple[int, str, float]]],
) -> None:
    breaker = CircuitBreaker(LONG_S)
    under_way: list[tuple[int, bool]] = []
    histories: dict[int, History] = {}

    async def one(order: int, word: str, takes_s: float) -> None:
        history = histories.setdefault(order, History(order))
        async with leave(breaker, 0, history) as permit:
            if breaker.flow is Flow.PAUSED:
                assert anyio.current_time() >= breaker.paused_until, "left during a pause"
                assert under_way.count((permit.epoch, True)) < PROBES[0], "too many probes at once"
            elif breaker.flow is Flow.OPENING:
                assert under_way == [], "two at the opening"
            kind = permit.epoch, permit.is_probe
            under_way.append(kind)
            await anyio.sleep(takes_s)
            under_way.remove(kind)
            advice = breaker.record(permit, verdict(word), history).advice
        said = verdict(word).ruling
        if said in (Ruling.ACCEPTED, Ruling.REFUSED):
            assert advice is Advice.COUNT or (advice is Advice.STOP and word == "403")
        if said is Ruling.RATE_LIMITED and history.limited <= FREE_LIMITED:
            assert advice in (Advice.AGAIN, Advice.WAIT), "a 429 cost an order an attempt"

    for requests in rounds:
        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(one, *request)
    assert under_way == []
