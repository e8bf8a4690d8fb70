"""The simulator is slow and fails as it is told, and repeats itself from a seed."""

import asyncio
import time
from collections import Counter

import aiohttp
import pytest

from batch_resend.simulator import (
    FaultName,
    SimulatorSettings,
)
from batch_resend.simulator.server import Fates
from batch_resend.windows import Window
from tests.simulator.simulated import (
    Clock,
    Gate,
    client_of,
    code_of,
    no_sleep,
    raw_request,
    until,
)

pytestmark = pytest.mark.asyncio

# --- latency --------------------------------------------------------------------------------


async def test_an_answer_waits_for_its_latency_and_an_arrival_counts_before_it() -> None:
    gate = Gate()
    async with client_of(latency_s=(0.2, 0.2), sleep=gate) as client:
        answer = asyncio.create_task(client.resend())
        await gate.entered.wait()
        assert gate.asked == [0.2]
        assert (client.books.requests, client.books.mails) == (1, 0)
        gate.open.set()
        assert (await answer)[0] == 204
        assert client.books.mails == 1


async def test_a_request_that_arrived_mails_although_its_client_went_away() -> None:
    gate = Gate()
    async with client_of(latency_s=(1, 1), sleep=gate) as client:
        answer = asyncio.create_task(client.resend())
        await gate.entered.wait()
        answer.cancel()
        await asyncio.wait([answer])
        await asyncio.sleep(0.02)  # the server learns that the connection is gone
        assert client.books.mails == 0
        gate.open.set()
        await until(lambda: client.books.answers)
        assert client.books.mails_per_order == {"1": 1}


async def test_a_request_whose_client_hangs_up_with_its_last_byte_mails() -> None:
    async with client_of(latency_s=(0.001, 0.002)) as client:
        for _ in range(20):
            async with raw_request(client.simulator, "Content-Length: 2", body=b"{}"):
                pass
        await until(lambda: client.books.mails == 20)


async def test_refusals_at_the_door_come_without_latency() -> None:
    gate = Gate()
    async with client_of(
        latency_s=(1, 1), sleep=gate, windows=(Window(1, 60.0),), clock=Clock()
    ) as client:
        assert (await client.resend(headers={}))[0] == 403
        assert (await client.resend(body={"what": 1}))[0] == 400
        assert (await client.resend())[0] == 429
        assert gate.asked == []


# --- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("500", "internal_server_error"),
        ("503", "service_unavailable"),
        ("429", "request_limit_exceeded"),
        ("400", "bad_request_format"),
        ("404", "not_found|order"),
        ("403", "access_denied|missing_permission"),
    ],
)
async def test_a_fault_named_by_a_status_answers_with_it_and_mails_nothing(
    fault: str, code: str
) -> None:
    async with client_of(faults={FaultName(fault): 1.0}) as client:
        status, body = await client.resend()
        assert (str(status), code_of(body)) == (fault, code)
        assert client.books.answers == {fault: 1}
        assert client.books.mails == 0
        assert client.books.wrong_request_count == 0


async def test_maintenance_says_when_to_come_back() -> None:
    async with (
        client_of(faults={FaultName.MAINTENANCE: 1.0}) as client,
        raw_request(client.simulator, "Content-Length: 2", body=b"{}") as answer,
    ):
        assert b"\r\nRetry-After: 1\r\n" in await answer.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("fault", "error", "mails"),
    [
        (FaultName.RESET, "ClientOSError", 0),
        (FaultName.DROP, "ServerDisconnectedError", 1),
        (FaultName.GARBAGE, "Bad status line", 1),
    ],
)
async def test_a_fault_of_the_connection_breaks_it_once_and_mails_as_its_meaning_says(
    fault: FaultName, error: str, mails: int
) -> None:
    async with client_of(faults={fault: 1.0}) as client:
        with pytest.raises(aiohttp.ClientError, match=error):
            await client.resend("5")
        assert client.books.answers == {fault.value: 1}
        assert client.books.mails == mails
        assert client.books.requests_per_order == {"5": 1}


async def test_a_fault_also_breaks_a_connection_that_was_kept_alive() -> None:
    settings = SimulatorSettings(faults={FaultName.DROP: 0.5}, seed=1)
    fates = Fates(settings)
    expected = [fates.deal("1").fault is None for _ in range(12)]
    async with client_of(faults=settings.faults, seed=1) as client:
        answered = []
        for _ in expected:
            try:
                answered.append((await client.resend())[0] == 204)
            except aiohttp.ClientError:
                answered.append(False)
        assert answered == expected
        assert 0 < sum(expected) < 12
        assert client.books.mails == 12


async def test_a_hanging_request_mails_gives_no_answer_and_does_not_delay_the_stop() -> None:
    before = asyncio.all_tasks()
    async with client_of(faults={FaultName.HANG: 1.0}) as client:
        requests = [asyncio.create_task(client.resend(str(order))) for order in range(20)]
        gone = asyncio.create_task(client.resend("gone"))
        await until(lambda: client.books.mails == 21)
        gone.cancel()
        await asyncio.sleep(0.02)  # the server learns that the connection is gone
        assert not any(request.done() for request in requests)
        stopping = time.monotonic()
        await client.simulator.__aexit__(None, None, None)
        assert time.monotonic() - stopping < 0.5
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
        assert client.books.answers == {"hang": 21}
    # aiohttp alone forgets the handler whose client has gone.
    assert asyncio.all_tasks() == before


async def test_a_slow_request_does_not_delay_the_stop_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with client_of(latency_s=(3600, 3600)) as client:
        request = asyncio.create_task(client.resend())
        await until(lambda: client.books.requests)
        await asyncio.sleep(0.01)
        stopping = time.monotonic()
        await client.simulator.__aexit__(None, None, None)
        assert time.monotonic() - stopping < 0.5
        with pytest.raises(aiohttp.ClientError):
            await request
    assert asyncio.all_tasks() == before


# --- repeatability --------------------------------------------------------------------------


async def test_a_seed_repeats_the_fate_of_every_order_whatever_the_concurrency() -> None:
    shares = {FaultName.SERVER_ERROR: 0.3, FaultName.NO_PERMISSION: 0.2, FaultName.DROP: 0.2}

    async def rehearse(concurrency: int, seed: int) -> dict[str, list[str]]:
        turns = asyncio.Semaphore(concurrency)
        seen: dict[str, list[str]] = {}
        async with client_of(faults=shares, seed=seed, latency_s=(0, 1), sleep=no_sleep) as client:

            async def three_times(order: str) -> None:
                async with turns:
                    for _ in range(3):
                        try:
                            said = str((await client.resend(order))[0])
                        except aiohttp.ClientError:
                            said = "broken"
                        seen.setdefault(order, []).append(said)

            await asyncio.gather(*(three_times(str(order)) for order in range(40)))
        return dict(sorted(seen.items()))

    alone = await rehearse(1, seed=7)
    assert await rehearse(16, seed=7) == alone
    assert await rehearse(16, seed=8) != alone


async def test_fates_do_not_depend_on_the_order_of_arrival_nor_on_how_the_shares_are_listed() -> (
    None
):
    shares = {FaultName.HANG: 0.2, FaultName.BAD_GATEWAY: 0.3}
    there = Fates(SimulatorSettings(faults=shares, latency_s=(0.1, 0.4), seed=3))
    back = Fates(
        SimulatorSettings(faults=dict(reversed(shares.items())), latency_s=(0.1, 0.4), seed=3)
    )
    orders = [str(n) for n in range(50)]
    assert {o: there.deal(o) for o in orders} == {o: back.deal(o) for o in reversed(orders)}


async def test_faults_and_latencies_come_in_the_shares_and_within_the_bounds_asked_for() -> None:
    fates = Fates(
        SimulatorSettings(
            faults={FaultName.DROP: 0.05, FaultName.SERVER_ERROR: 0.25}, latency_s=(0.01, 0.03)
        )
    )
    dealt = [fates.deal(str(n)) for n in range(10_000)]
    counts = Counter(fate.fault for fate in dealt)
    assert counts[FaultName.DROP] == pytest.approx(500, rel=0.2)
    assert counts[FaultName.SERVER_ERROR] == pytest.approx(2500, rel=0.1)
    assert counts[None] == pytest.approx(7000, rel=0.1)
    latencies = [fate.latency_s for fate in dealt]
    assert min(latencies) >= 0.01
    assert max(latencies) <= 0.03
    assert sum(latencies) / len(latencies) == pytest.approx(0.02, rel=0.05)


async def test_a_request_refused_by_a_window_uses_up_no_fate() -> None:
    clock = Clock()
    settings = SimulatorSettings(faults={FaultName.SERVER_ERROR: 0.5}, seed=2)
    fates = Fates(settings)
    expected = [204 if fates.deal("1").fault is None else 500 for _ in range(6)]
    async with client_of(
        windows=(Window(1, 1.0),), clock=clock, faults=settings.faults, seed=2
    ) as client:
        answered = []
        for _ in expected:
            answered.append((await client.resend())[0])
            clock.now += 0.5
            assert (await client.resend())[0] == 429
            clock.now += 1.5
        assert answered == expected
