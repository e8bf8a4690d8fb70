"""The time limit of a call: on time, but for what has arrived already."""

import asyncio
from typing import cast

import pytest

from batch_resend.certcentral import client as deadline
from batch_resend.certcentral.client import Deadline
from batch_resend.certcentral.wire import Connections, Exchange

pytestmark = pytest.mark.asyncio


def begun(*, connected: bool = True) -> Exchange:
    """Return the exchange of a call."""
    return Exchange(connections=cast("Connections", object()) if connected else None)


def limited(exchange: Exchange, limit_s: float) -> Deadline:
    """Return a limit whose clock is the event loop's, which stands still as a whole."""
    return Deadline(exchange, limit_s, asyncio.get_running_loop().time)


@pytest.mark.looptime
@pytest.mark.parametrize("connected", [True, False])
async def test_a_call_without_an_answer_ends_on_time(connected: bool) -> None:
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError), limited(begun(connected=connected), 30.0):
        await asyncio.sleep(100)
    assert asyncio.get_running_loop().time() - began == 30.0


@pytest.mark.looptime
async def test_a_call_that_ends_before_is_not_disturbed_later() -> None:
    with limited(begun(), 30.0):
        await asyncio.sleep(29)
    await asyncio.sleep(29)


async def test_a_call_to_which_something_comes_without_an_end_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadline, "GRACE_S", 0.05)
    exchange = begun()
    with pytest.raises(TimeoutError), limited(exchange, 0.01):
        while True:
            exchange.keep(b"x")
            await asyncio.sleep(0)


async def test_a_loop_that_stood_still_past_the_limit_hears_what_comes_within_its_grace() -> None:
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    with limited(begun(), 0.01):
        # As when a process is stopped: time goes by, and no turn is taken.
        stand_still_s = deadline.LATE_S + 0.1
        until = loop.time() + stand_still_s
        while loop.time() < until:
            pass
        loop.call_later(0.01, answer.set_result, "said")
        assert await answer == "said"


async def test_a_loop_that_stands_still_while_it_listens_hears_what_comes_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, exchange = asyncio.get_running_loop(), begun()
    own_time, still_s = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: own_time() + still_s)
    with limited(exchange, 0.01):
        await asyncio.sleep(0.01)
        for _ in range(3):
            still_s += 2 * deadline.GRACE_S
            exchange.keep(b"x")
            await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(deadline.QUIET_TURNS - 1))
@pytest.mark.parametrize("how", ["stopped", "the machine asleep"])
async def test_in_whichever_turn_it_stands_still_the_loop_hears_what_it_reads_afterwards(
    monkeypatch: pytest.MonkeyPatch, turns: int, how: str
) -> None:
    loop, exchange = asyncio.get_running_loop(), begun()
    own_time, still_s = loop.time, 0.0
    if how == "stopped":
        monkeypatch.setattr(loop, "time", lambda: own_time() + still_s)
    with Deadline(exchange, 0.01, lambda: own_time() + still_s):
        await asyncio.sleep(0.01)
        for _ in range(turns):
            await asyncio.sleep(0)
        still_s += 2 * deadline.GRACE_S
        for _ in range(deadline.QUIET_TURNS - 1):
            await asyncio.sleep(0)
        exchange.keep(b"x")
        await asyncio.sleep(0)


async def test_a_loop_that_is_late_in_every_turn_ends_the_call_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    own_time, still_s = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: own_time() + still_s)
    with pytest.raises(TimeoutError), limited(begun(), 0.01):
        while True:
            still_s += 2 * deadline.LATE_S
            await asyncio.sleep(0)


async def test_without_a_connection_a_loop_that_stood_still_lets_no_request_leave_late() -> None:
    loop = asyncio.get_running_loop()
    connected = loop.create_future()
    with pytest.raises(TimeoutError), limited(begun(connected=False), 0.01):
        until = loop.time() + deadline.LATE_S + 0.1
        while loop.time() < until:
            pass
        loop.call_later(0.5, connected.set_result, None)
        await connected
