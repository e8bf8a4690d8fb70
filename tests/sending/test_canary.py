"""The canary: a harmless read tells the CA's trouble from that of the last orders."""

import pytest

from batch_resend.model import RunState
from batch_resend.sending.breaker_state import FREE_FOR_FEW_S
from batch_resend.windows import Window
from tests.sending.conftest import HOUR_S, Rig, check_the_books, crowded
from tests.sending.scripted import orders

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

LAST = dict.fromkeys(range(5, 9), "503")  # of eight orders


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_last_orders_that_fail_while_the_canary_passes_end_within_their_attempts(
    concurrency: int,
) -> None:
    rig = Rig(LAST, concurrency=concurrency, has_canary=True, latency_s=0.5)
    await rig.carry(orders(1, 8))
    assert [rig.statuses()[n] for n in range(1, 9)] == [*["sent"] * 4, *["failed"] * 4]
    canaries = rig.noted("canary")
    assert 1 <= len(canaries) <= 2
    left = [line.at for line in rig.noted("call")]
    assert [at for at in left for one in canaries if one.at <= at < one.at + 0.5] == [], "alone"
    assert rig.elapsed_s() <= 60
    assert len(rig.noted("flow again")) == len(rig.noted("pause")) >= 1, "a pause stays open"
    check_the_books(rig)


async def test_without_a_canary_they_are_taken_for_the_cas_trouble_for_some_minutes() -> None:
    rig = Rig(LAST, concurrency=8, latency_s=0.5)
    await rig.carry(orders(1, 8))
    assert [rig.statuses()[n] for n in range(5, 9)] == ["failed"] * 4
    assert FREE_FOR_FEW_S <= rig.elapsed_s() <= FREE_FOR_FEW_S + 100


@pytest.mark.parametrize("word", ["503", "noconn", "lost", "429", "page403"])
async def test_last_orders_that_meet_an_outage_wait_for_it_as_the_canary_fails_too(
    word: str,
) -> None:
    rig = Rig(
        outages=[(1.5, 1500.0, word)],
        concurrency=2,
        latency_s=0.5,
        has_canary=True,
        max_attempts=30,
    )
    await rig.carry(orders(1, 8))
    assert set(rig.statuses().values()) == {"sent"}
    assert rig.elapsed_s() <= 1500 + 60 + 10
    asked = len(rig.noted("canary"))
    assert 5 <= asked <= 25, "every other time a mail probes: it may be that only canaries fail"


async def test_a_canary_that_is_not_there_stops_nothing_and_is_not_asked_again() -> None:
    rig = Rig(LAST, concurrency=8, has_canary=True, latency_s=0.5, canary="route")
    await rig.carry(orders(1, 8))
    assert rig.sender.state is RunState.COMPLETED
    assert len(rig.noted("canary")) == 1
    assert FREE_FOR_FEW_S <= rig.elapsed_s() <= FREE_FOR_FEW_S + 100


@pytest.mark.parametrize("word", ["401", "key"])
async def test_nothing_leaves_behind_a_canary_whose_key_is_refused(word: str) -> None:
    rig = Rig(LAST, concurrency=8, has_canary=True, latency_s=0.5, canary=word)
    await rig.carry(orders(1, 8))
    assert rig.sender.state is RunState.STOPPED
    assert rig.sender.channel.breaker.stopped is not None
    assert rig.sender.channel.breaker.stopped.is_refused
    (canary,) = rig.noted("canary")
    assert max(line.at for line in rig.noted("call")) <= canary.at
    assert [rig.statuses().get(n) for n in range(5, 9)] == [None] * 4
    check_the_books(rig)


async def test_a_canary_that_alone_fails_keeps_no_mail_from_passing() -> None:
    rig = Rig(
        dict.fromkeys(range(5, 9), "503 503 503 503 503 503 204"),
        concurrency=8,
        has_canary=True,
        latency_s=0.5,
        canary="503",
    )
    await rig.carry(orders(1, 8))
    assert set(rig.statuses().values()) == {"sent"}
    assert len(rig.noted("canary")) >= 1


async def test_beyond_the_patience_it_is_a_mail_that_stops_the_run_and_says_why() -> None:
    rig = Rig(
        outages=[(1.5, 1e9, "503")], concurrency=2, latency_s=0.5, has_canary=True, patience_s=200
    )
    await rig.carry(orders(1, 8))
    assert rig.sender.state is RunState.STOPPED
    assert (rig.sender.stop_reason or "").startswith("the CA has problems (HTTP 503), for ")
    assert 200 - 60 <= rig.elapsed_s() <= 200 + 60


async def test_no_canary_is_asked_while_an_order_is_left_that_may_tell() -> None:
    rig = Rig(outages=[(1.5, HOUR_S, "503")], concurrency=8, latency_s=0.5, has_canary=True,
              patience_s=2 * HOUR_S)  # fmt: skip
    await rig.carry(orders(1, 300))
    assert set(rig.statuses().values()) == {"sent"}
    assert rig.noted("canary") == []


async def test_a_canary_counts_in_the_limits() -> None:
    window = Window(4, 10.0)
    rig = Rig(LAST, concurrency=8, windows=[window], has_canary=True, latency_s=0.5)
    await rig.carry(orders(1, 8))
    assert rig.noted("canary")
    left = [line.at for line in rig.noted("call") + rig.noted("canary")]
    assert crowded(left, window) == []
