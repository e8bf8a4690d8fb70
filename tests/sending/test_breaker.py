"""The circuit breaker: when trouble is the CA's, and how long it is waited for."""

import anyio
import pytest

from batch_resend.sending.gate import FREE_FOR_FEW_S, Advice, Flow
from tests.sending.conftest import HOUR_S
from tests.sending.door import closed, flowing, told

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]


# --- the circuit breaker ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("troubled", "pauses"),
    [
        pytest.param([(o, "503") for o in (1, 2, 3, 4)], False, id="four in a row: theirs"),
        pytest.param([(o, "503") for o in (1, 2, 3, 4, 5)], True, id="five in a row: the CA's"),
        pytest.param([(o % 2, "503") for o in range(5)], True, id="be it of two orders"),
        pytest.param([(1, "503")] * 5, True, id="or of the only one that is left"),
        pytest.param(
            list(enumerate(["503", "timeout", "noconn", "lost", "500"])),
            True,
            id="trouble of any kind counts",
        ),
        pytest.param(
            [(o, "204" if o == 4 else "503") for o in range(9)],
            False,
            id="a success in between begins the count anew",
        ),
        pytest.param(
            [(o, "404" if o == 4 else "503") for o in range(9)],
            False,
            id="so does a refusal: the CA is at work",
        ),
    ],
)
async def test_when_the_breaker_opens(troubled: list[tuple[int, str]], pauses: bool) -> None:
    door = await flowing()
    advice = [await door.go(*request) for request in troubled]
    assert advice[:-1] == [Advice.COUNT] * (len(troubled) - 1)
    assert advice[-1] is (Advice.AGAIN if pauses else Advice.COUNT)
    assert (door.gate.flow is Flow.PAUSED) is pauses


async def test_what_fails_together_counts_once() -> None:
    door = await flowing()
    advice = await door.all_go([(order, "lost", 1) for order in range(30)])
    assert set(advice.values()) == {Advice.COUNT}
    assert door.gate.flow is Flow.FLOWING
    assert await told(door, "503 503 503") == [Advice.COUNT] * 3
    assert await door.go(50, "503") is Advice.AGAIN


async def test_the_breaker_opens_while_the_run_has_not_yet_opened() -> None:
    door = closed()
    assert await told(door, "503 503 503 503 503 204") == [
        *[Advice.COUNT] * 4,
        Advice.AGAIN,
        Advice.COUNT,
    ]
    assert [at for at, _ in door.left] == [0, 0, 0, 0, 0, 5]


async def test_a_lone_order_that_fails_on_is_the_cas_fault_for_some_minutes_and_then_its_own() -> (
    None
):
    door = await flowing()
    said: dict[float, Advice] = {}
    for _ in range(15):
        advice = await door.go(1, "503")
        said[door.left[-1][0]] = advice
    opened_at = 0.0
    free = {at for at, advice in said.items() if advice is Advice.AGAIN}
    assert min(free) == opened_at
    assert max(free) < opened_at + FREE_FOR_FEW_S <= min(set(said) - free)
    assert len(set(said) - free) > 2


async def test_an_outage_that_meets_many_orders_is_the_cas_for_as_long_as_it_lasts() -> None:
    door = await flowing()
    advice = [await door.go(order, "503") for order in range(40)]
    assert advice == [*[Advice.COUNT] * 4, *[Advice.AGAIN] * 36]
    assert door.now() > 2 * FREE_FOR_FEW_S


async def test_the_time_that_requests_did_not_flow_is_known() -> None:
    door = await flowing()
    assert door.gate.paused_s == 0
    await door.go(1, "429")
    await anyio.sleep(3)
    assert door.gate.paused_s == 3
    await door.go(2, "429", 1)  # left after 5 s, answered after 6 s
    await door.go(3, "204", 2)  # left 10 s after that answer
    assert door.gate.paused_s == 18
    await anyio.sleep(60)
    assert door.gate.paused_s == 18
    await door.go(4, "429")
    await anyio.sleep(2)
    assert door.gate.paused_s == 20


# --- patience -----------------------------------------------------------------------------


async def test_patience_ends_before_a_wait_that_would_go_beyond_it_and_says_so() -> None:
    door = await flowing(patience_s=100)
    await anyio.sleep(7)
    assert await told(door, "429 429 429 429 429") == [*[Advice.AGAIN] * 4, Advice.STOP]
    assert [at for at, _ in door.left] == [7, 12, 22, 42, 82]
    assert door.gate.reason == (
        "the CA asks for fewer requests (scripted: 429), for 1m 15s; "
        "the next try would be in 1m 00s, beyond the patience of 1m 40s"
    )


async def test_a_wait_that_just_fits_the_patience_is_waited() -> None:
    door = await flowing(patience_s=35)
    assert await told(door, "429 429 429 204") == [*[Advice.AGAIN] * 3, Advice.COUNT]


async def test_patience_begins_anew_with_every_trouble() -> None:
    door = await flowing(patience_s=20)
    assert Advice.STOP not in await told(door, "429 429 204 429 429 204 429 429 204")


async def test_without_patience_the_first_trouble_of_the_ca_stops() -> None:
    door = await flowing(patience_s=0)
    assert await told(door, "503 503 503 503 503") == [*[Advice.COUNT] * 4, Advice.STOP]
    assert "the CA is in trouble (HTTP 503)" in (door.gate.reason or "")


async def test_a_maintenance_longer_than_the_patience_stops_at_once() -> None:
    door = await flowing(patience_s=HOUR_S)
    assert await door.go(1, "429/86400") is Advice.STOP


async def test_patience_of_days_is_waited_out() -> None:
    door = await flowing(patience_s=2 * 24 * HOUR_S)
    while await door.go(1, "429") is not Advice.STOP:
        pass
    assert door.now() > 2 * 24 * HOUR_S - 60
