"""One call: what leaves, what comes back, and who must not hear of it."""

import asyncio
import gzip
import logging
import time
import traceback

import pytest
from pydantic import SecretStr

from batch_resend.certcentral import open_certcentral
from batch_resend.certcentral.client import MAX_BODY_BYTES, USER_AGENT, request_body
from batch_resend.model import Fault, FaultKind, Reply
from batch_resend.simulator import FaultName, Simulator, SimulatorSettings
from tests.certcentral.conftest import KEY, LONG_S, ORDER, SHORT_S, ca_at, order
from tests.certcentral.fault_server import (
    NO_CONTENT,
    FaultServer,
    Visit,
    answer,
    closes_after_head,
    drops,
    hangs,
    in_turn,
    says,
    says_and_closes,
)

BASE_URL = "https://ca.example/services/v2"
HEADERS = {"X-DC-DEVKEY": KEY, "Content-Type": "application/json", "User-Agent": USER_AGENT}


# --- against the simulator: what leaves is what the contract asks for -------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "order_id",
    ["1", "a/b?c", "a#b", "a%2Fb", "a b", "a&b=c;d", "jörg", "\U0001f4e7", "a\r\nX: 1", "//", "..",
     "."],
)  # fmt: skip
async def test_an_order_number_stays_one_segment_of_the_path_whatever_it_holds(
    order_id: str,
) -> None:
    async with Simulator(SimulatorSettings(windows=())) as simulator:
        async with ca_at(simulator.base_url) as ca:
            reply = await ca.resend(order(order_id))
        assert isinstance(reply, Reply)
        assert reply.status == 204
        assert simulator.books.mails_per_order == {order_id: 1}
        assert simulator.books.wrong_requests == []


SIMULATED: dict[FaultName, int | FaultKind] = {
    FaultName.RESET: FaultKind.LOST,
    FaultName.DROP: FaultKind.LOST,
    FaultName.HANG: FaultKind.TIMED_OUT,
    FaultName.GARBAGE: FaultKind.GARBLED,
    # Once a status line has come, the status stands, whatever is wrong behind it.
    **{name: int(name[:3]) for name in FaultName if name[:3].isdecimal()},
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FaultName)
async def test_every_fault_of_the_simulator_is_told_as_what_it_is_and_costs_one_request(
    name: FaultName,
) -> None:
    settings = SimulatorSettings(windows=(), faults={name: 1.0})
    timeout_s = SHORT_S if name is FaultName.HANG else LONG_S
    async with Simulator(settings) as simulator, ca_at(simulator.base_url, timeout_s) as ca:
        result = await ca.resend(ORDER)
        told = result.status if isinstance(result, Reply) else result.kind
        assert told == SIMULATED[name]
        assert simulator.books.requests == 1
        assert simulator.books.mails == name.does.mails
        if isinstance(result, Fault):
            assert result.kind.may_have_arrived


# --- the bytes --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_request_on_the_wire_has_its_length_its_key_and_nothing_that_is_not_needed() -> (
    None
):
    async with FaultServer(says(NO_CONTENT)) as server, ca_at(server.base_url) as ca:
        await ca.resend(ORDER)
    line, *fields = server.heads[0].decode().rstrip("\r\n").split("\r\n")
    sent = dict(field.split(": ", 1) for field in fields)
    assert line == "PUT /services/v2/order/certificate/1001/resend-emails HTTP/1.1"
    assert {name: sent[name] for name in HEADERS} == HEADERS
    assert sent["Content-Length"] == str(len(request_body(ORDER)))
    assert sent["Host"] == f"127.0.0.1:{server.port}"
    assert set(sent) <= {*HEADERS, "Content-Length", "Host", "Accept", "Accept-Encoding"}
    assert server.bodies == [request_body(ORDER)]


@pytest.mark.asyncio
async def test_a_reply_is_the_answer_as_it_came_with_the_moment_it_came() -> None:
    date = "Tue, 24 Nov 2026 13:35:48 GMT"
    said = ("Retry-After: 7", "Location: /elsewhere", f"Date: {date}", "Content-Type: Text/A;q")
    step = in_turn(says(answer(503, b"later", *said)), says(NO_CONTENT))
    async with (
        FaultServer(step) as server,
        open_certcentral(server.base_url, SecretStr(KEY), LONG_S, clock=lambda: 12.5) as ca,
    ):
        assert await ca.resend(ORDER) == Reply(
            503, b"later", 12.5, "7", "/elsewhere", "text/a", date
        )
        assert await ca.resend(ORDER) == Reply(204, b"", 12.5)


@pytest.mark.asyncio
async def test_a_connection_is_used_again_after_an_answer() -> None:
    step = in_turn(says(NO_CONTENT), says(answer(400, b"{}")), says(NO_CONTENT))
    async with FaultServer(step) as server, ca_at(server.base_url) as ca:
        for _ in range(5):
            assert isinstance(await ca.resend(ORDER), Reply)
        assert (server.requests, server.connections) == (5, 1)


@pytest.mark.asyncio
async def test_cookies_are_not_kept() -> None:
    baked = answer(400, b"", "Set-Cookie: session=1; Path=/")
    async with (
        FaultServer(says(baked)) as server,
        # By its name: aiohttp keeps no cookies of a bare address anyway.
        ca_at(server.base_url.replace("127.0.0.1", "localhost")) as ca,
    ):
        await ca.resend(ORDER)
        await ca.resend(ORDER)
    assert server.requests == 2
    assert b"cookie" not in server.heads[1].lower()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param(b"x" * (MAX_BODY_BYTES - 1), MAX_BODY_BYTES - 1, id="within the bound"),
        pytest.param(b"x" * MAX_BODY_BYTES, MAX_BODY_BYTES, id="just the bound"),
        pytest.param(b"x" * (MAX_BODY_BYTES + 1), MAX_BODY_BYTES, id="a byte beyond"),
        pytest.param(b"x" * 3_000_000, MAX_BODY_BYTES, id="megabytes beyond"),
    ],
)
async def test_a_body_is_read_to_its_bound_and_the_next_call_gets_its_own_answer(
    body: bytes, kept: int
) -> None:
    step = in_turn(says(answer(400, body)), says(answer(422, b"next")))
    async with FaultServer(step) as server, ca_at(server.base_url) as ca:
        first, second = await ca.resend(ORDER), await ca.resend(ORDER)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert (first.status, first.body) == (400, body[:kept])
    assert (second.status, second.body) == (422, b"next")


@pytest.mark.asyncio
async def test_a_body_that_is_small_only_while_compressed_is_read_to_its_bound() -> None:
    bomb = answer(500, gzip.compress(bytes(20_000_000), 1), "Content-Encoding: gzip")
    async with FaultServer(says(bomb)) as server, ca_at(server.base_url) as ca:
        result = await ca.resend(ORDER)
    assert isinstance(result, Reply)
    assert (result.status, result.body) == (500, bytes(MAX_BODY_BYTES))


@pytest.mark.asyncio
@pytest.mark.parametrize("early", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n"])
async def test_an_interim_answer_is_not_the_answer(early: bytes) -> None:
    async with FaultServer(says(early + NO_CONTENT)) as server, ca_at(server.base_url) as ca:
        result = await ca.resend(ORDER)
    assert isinstance(result, Reply)
    assert result.status == 204


# --- time -------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_time_allowed_counts_from_the_calls_beginning_not_from_the_last_byte() -> None:
    allowed_s = 0.5

    async def step(visit: Visit) -> None:
        await visit.mail()
        await asyncio.sleep(0.8 * allowed_s)  # a slow server, on a real socket
        await visit.send(b"HTTP/1.1 503 Said\r\nRetry-After: 9\r\nContent-Length: 9\r\n\r\n")
        await visit.hang()

    async with FaultServer(step) as server, ca_at(server.base_url, allowed_s) as ca:
        begun = time.monotonic()
        result = await ca.resend(ORDER)
        took_s = time.monotonic() - begun
    assert isinstance(result, Reply)
    assert (result.status, result.retry_after) == (503, "9")
    assert allowed_s <= took_s < 1.7 * allowed_s


@pytest.mark.asyncio
async def test_many_hanging_calls_all_end_when_their_time_is_up() -> None:
    async with FaultServer(hangs) as server, ca_at(server.base_url, 2 * SHORT_S) as ca:
        begun = time.monotonic()
        results = await asyncio.gather(*(ca.resend(order(n)) for n in range(20)))
        took_s = time.monotonic() - begun
        assert {result.kind for result in results if isinstance(result, Fault)} == {
            FaultKind.TIMED_OUT
        }
        assert len(results) == server.mails == 20
    assert 2 * SHORT_S <= took_s < 4 * SHORT_S


@pytest.mark.asyncio
async def test_a_call_that_is_cancelled_is_cancelled_and_no_fault() -> None:
    async with FaultServer(hangs) as server, ca_at(server.base_url) as ca:
        call = asyncio.create_task(ca.resend(ORDER))
        async with asyncio.timeout(LONG_S):
            while not server.mails:  # noqa: ASYNC110 - the server has no event to tell of it
                await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.asyncio
async def test_two_hundred_calls_are_all_in_flight_at_once_and_one_request_each() -> None:
    calls = 200
    all_there = asyncio.Event()

    async def step(visit: Visit) -> None:
        await visit.mail()
        if visit.server.mails == calls:
            all_there.set()
        await all_there.wait()  # no call ends before the last one has arrived
        await visit.send(NO_CONTENT)

    async with FaultServer(step) as server, ca_at(server.base_url) as ca:
        results = await asyncio.gather(*(ca.resend(order(n)) for n in range(calls)))
    assert [result.status for result in results if isinstance(result, Reply)] == [204] * calls
    asked = sorted(int(head.split(b"/")[5]) for head in server.heads)
    assert asked == list(range(calls))


# --- the key ----------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_not_followed_so_its_target_sees_neither_call_nor_key(
    status: int,
) -> None:
    async with FaultServer(says(NO_CONTENT)) as other:
        target = f"{other.base_url}/elsewhere"
        moved = says(answer(status, b"", f"Location: {target}"))
        async with FaultServer(moved) as server, ca_at(server.base_url) as ca:
            result = await ca.resend(ORDER)
            assert isinstance(result, Reply)
            assert (result.status, result.location) == (status, target)
            assert (server.requests, other.connections) == (1, 0)


@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_is_not_told_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FaultServer(says(NO_CONTENT)) as proxy, FaultServer(says(NO_CONTENT)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with ca_at(server.base_url) as ca:
            await ca.resend(ORDER)
        assert (server.requests, proxy.connections) == (1, 0)


@pytest.mark.asyncio
async def test_the_key_is_in_no_log_and_in_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    step = in_turn(
        says(answer(400, b"no")), drops, closes_after_head, says_and_closes(b"what?\r\n")
    )
    async with FaultServer(step) as server, ca_at(server.base_url) as ca:
        results = [await ca.resend(ORDER) for _ in range(4)]
        texts = [repr(ca), str(ca), repr(ca.connections), repr(results), caplog.text]
    assert server.requests == 4
    assert all(KEY.encode() in head for head in server.heads)
    assert [text for text in texts if KEY in text] == []


@pytest.mark.asyncio
async def test_the_key_is_in_no_traceback() -> None:
    async with ca_at(BASE_URL) as ca:
        pass
    with pytest.raises(RuntimeError, match="closed") as caught:
        await ca.resend(ORDER)
    assert KEY not in "".join(traceback.format_exception(caught.value))
