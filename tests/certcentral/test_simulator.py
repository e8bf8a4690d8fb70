"""The simulator against real clients: aiohttp sessions and, where the bytes matter, raw streams."""

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from batch_resend.certcentral.contract import ErrorBody, ErrorItem, ResendBody
from batch_resend.certcentral.simulator import (
    FaultName,
    Simulator,
    SimulatorSettings,
    parse_fault,
    parse_latency,
)
from batch_resend.certcentral.simulator.behaviour import Fates
from batch_resend.windows import Window

KEY = {"X-DC-DEVKEY": "a key"}
ENTRY = {"domain": "example.com", "email": "admin@example.com"}
RATE_LIMITED = (
    b'{"errors":[{"code":"request_limit_exceeded",'
    b'"message":"Service unavailable, please limit request volume"}]}'
)


class Clock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A sleep that lasts until it is opened, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.entered.set()
        await self.open.wait()


async def no_sleep(_seconds: float) -> None:
    """Take no time."""


class Client:
    """A client that sends what it is told to and judges nothing."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.books = simulator.books
        self._session = session

    async def resend(
        self, order_id: str = "1", body: object = None, **more: Any
    ) -> tuple[int, bytes]:
        """Make the documented call; return the answer's status and body."""
        url = f"{self.simulator.base_url}/order/certificate/{order_id}/resend-emails"
        return await self.request("PUT", url, **{"json": body or {}, "headers": KEY} | more)

    async def request(self, method: str, url: str, **more: Any) -> tuple[int, bytes]:
        async with self._session.request(method, url, **more) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def client_of(
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    **settings: Any,
) -> AsyncIterator[Client]:
    settings.setdefault("windows", ())
    told = SimulatorSettings(**settings)

    async def send_once(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp sends a PUT again when its connection breaks, unless it sees another error.
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise aiohttp.ClientError(type(error).__name__) from error

    async with (
        Simulator(told, clock=clock, sleep=sleep) as simulator,
        aiohttp.ClientSession(middlewares=(send_once,)) as session,
    ):
        yield Client(simulator, session)


@asynccontextmanager
async def raw_request(
    simulator: Simulator, *more_headers: str, body: bytes = b""
) -> AsyncIterator[asyncio.StreamReader]:
    """Send the documented call byte by byte; the connection is closed at the end of the block."""
    host, _, port = simulator.books_url[len("http://") :].strip("/").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        "PUT /services/v2/order/certificate/1/resend-emails HTTP/1.1",
        "Host: localhost",
        "User-Agent: test",
        "Content-Type: application/json",
        "X-DC-DEVKEY: a key",
        *more_headers,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def until(holds: Callable[[], object]) -> None:
    """Let the server work until something holds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - the server has no event to tell of it
            await asyncio.sleep(0.001)


def code_of(body: bytes) -> str | None:
    return ErrorBody.model_validate_json(body).errors[0].code


# --- the contract ---------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"locale": "en"},
        {"domain_approval_emails": [ENTRY]},
        {"domain_approval_emails": [ENTRY | {"email_domain": "example.com"}], "locale": "de"},
    ],
)
async def test_a_documented_request_is_answered_204_without_a_body_and_mails_once(
    body: dict[str, Any],
) -> None:
    async with client_of(keep_bodies=True) as client:
        assert await client.resend("77", body) == (204, b"")
        assert client.books.mails_per_order == {"77": 1}
        assert client.books.bodies == {"77": [body]}
        assert client.books.wrong_request_count == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"locale": null}',
        b'{"locale": ""}',
        b'{"locale": 1}',
        b'{"emails": []}',
        b'{"domain_approval_emails": null}',
        b'{"domain_approval_emails": []}',
        b'{"domain_approval_emails": {}}',
        b'{"domain_approval_emails": [{"domain": "a.example"}]}',
        b'{"domain_approval_emails": [{"email": "a@a.example"}]}',
        b'{"domain_approval_emails": [{"domain": "", "email": "a@a.example"}]}',
        b'{"domain_approval_emails": [{"domain": "a.example", "email": 7}]}',
        b'{"domain_approval_emails": [{"domain": "a", "email": "b", "name": "c"}]}',
        b'{"domain_approval_emails": [{"domain": "a", "email": "b", "email_domain": null}]}',
    ],
)
async def test_any_other_body_is_answered_400_and_is_a_wrong_request(body: bytes) -> None:
    async with client_of() as client:
        headers = KEY | {"Content-Type": "application/json"}
        status, answer = await client.resend(data=body, json=None, headers=headers)
        assert (status, code_of(answer)) == (400, "bad_request_format")
        assert client.books.wrong_request_count == 1
        assert client.books.mails == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"skip_auto_headers": ["User-Agent"]}, "no User-Agent"),
        ({"chunked": True}, "a body in chunks instead of a Content-Length"),
        (
            {"json": None, "data": b"{}", "headers": KEY | {"Content-Type": "text/plain"}},
            "Content-Type is not application/json",
        ),
        (
            {
                "json": None,
                "data": io.BytesIO(b" " * 1048577),
                "headers": KEY | {"Content-Type": "application/json"},
            },
            "a body of more than 1048576 bytes",
        ),
    ],
)
async def test_a_request_that_is_not_well_formed_is_answered_400_and_is_a_wrong_request(
    more: dict[str, Any], reason: str
) -> None:
    async with client_of() as client:
        status, _ = await client.resend(**more)
        assert status == 400
        assert [wrong["reason"] for wrong in client.books.wrong_requests] == [reason]


@pytest.mark.asyncio
async def test_a_request_without_a_length_is_answered_400_and_is_a_wrong_request() -> None:
    async with client_of() as client:
        async with raw_request(client.simulator, "Connection: close") as answer:
            assert (await answer.read()).startswith(b"HTTP/1.1 400 ")
        assert client.books.wrong_requests[0]["reason"] == "no Content-Length"


@pytest.mark.asyncio
async def test_a_body_that_breaks_off_is_a_wrong_request_and_mails_nothing() -> None:
    async with client_of() as client:
        async with raw_request(client.simulator, "Content-Length: 20", body=b"{"):
            await until(lambda: client.books.requests)
        await until(lambda: client.books.answers)
        assert client.books.wrong_requests[0]["reason"] == "the connection broke within the body"
        assert client.books.mails == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/services/v2/order/certificate/1/resend-emails"),
        ("PUT", "/services/v2/order/certificate//resend-emails"),
        ("PUT", "/services/v2/order/certificate/1/2/resend-emails"),
        ("PUT", "/services/v2/order/certificate/1/resend-emails/"),
        ("PUT", "/services/v2/order/certificate/1/resend-emails?x=1"),
        ("PUT", "/order/certificate/1/resend-emails"),
        ("GET", "/services/v2"),
        ("HEAD", "/"),
    ],
)
async def test_any_other_address_or_method_is_answered_404_and_is_a_wrong_request(
    method: str, path: str
) -> None:
    async with client_of() as client:
        url = client.simulator.books_url.removesuffix("/") + path
        status, body = await client.request(method, url, headers=KEY)
        assert status == 404
        assert method == "HEAD" or code_of(body) == "not_found|route"
        assert client.books.wrong_requests == [
            {"method": method, "path": path, "reason": "no call of the contract"}
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("told", "sent", "status"),
    [
        (None, {"X-DC-DEVKEY": "any"}, 204),
        (None, {"X-DC-DEVKEY": ""}, 401),
        (None, {}, 401),
        ("right", {"X-DC-DEVKEY": "right"}, 204),
        ("right", {"X-DC-DEVKEY": "wrong"}, 401),
        ("right", {}, 401),
    ],
)
async def test_a_wrong_key_is_answered_401(
    told: str | None, sent: dict[str, str], status: int
) -> None:
    async with client_of(api_key=told) as client:
        got, body = await client.resend(headers=sent)
        assert got == status
        assert status == 204 or code_of(body) == "invalid_api_key"
        assert client.books.mails == (status == 204)


@pytest.mark.asyncio
async def test_an_order_it_is_told_not_to_know_is_answered_404_of_the_order() -> None:
    async with client_of(unknown_orders=frozenset({"2"})) as client:
        status, body = await client.resend("2")
        assert (status, code_of(body)) == (404, "not_found|order")
        assert (await client.resend("1"))[0] == 204
        assert client.books.mails_per_order == {"1": 1}
        assert client.books.wrong_request_count == 0


@pytest.mark.asyncio
async def test_checks_come_in_order_window_address_key_body_order() -> None:
    clock = Clock()
    async with client_of(
        windows=(Window(4, 5.0),),
        clock=clock,
        unknown_orders=frozenset({"1"}),
        faults={FaultName.SERVER_ERROR: 1.0},
    ) as client:
        wrong_url = f"{client.simulator.base_url}/nowhere"
        answers = [
            await client.request("PUT", wrong_url, data=b"{"),
            await client.resend(data=b"{", json=None, headers={}),
            await client.resend(data=b"{", json=None),
            await client.resend(),
            await client.request("PUT", wrong_url, data=b"{"),
        ]
        assert [(status, code_of(body)) for status, body in answers] == [
            (404, "not_found|route"),
            (401, "invalid_api_key"),
            (400, "bad_request_format"),
            (404, "not_found|order"),
            (429, "request_limit_exceeded"),
        ]


# --- windows --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_arrival_after_a_full_window_is_answered_429_as_documented() -> None:
    async with client_of(windows=(Window(2, 5.0),), clock=Clock()) as client:
        url = f"{client.simulator.base_url}/order/certificate/1/resend-emails"
        assert [(await client.resend())[0] for _ in range(2)] == [204, 204]
        async with aiohttp.ClientSession() as session:
            answer = await session.put(url, json={}, headers=KEY)
            assert (answer.status, await answer.read()) == (429, RATE_LIMITED)
            assert answer.content_type == "application/json"
            assert "Retry-After" not in answer.headers
        assert client.books.mails == 2


@pytest.mark.asyncio
async def test_a_window_is_half_open_an_arrival_leaves_it_just_as_its_period_ends() -> None:
    clock = Clock()
    async with client_of(windows=(Window(1, 5.0),), clock=clock) as client:
        answers = []
        for moment in (1000.0, 1005.0, 1009.999, 1014.999):
            clock.now = moment
            answers.append((await client.resend())[0])
        assert answers == [204, 204, 429, 204]


@pytest.mark.asyncio
async def test_windows_roll_a_burst_across_a_boundary_is_seen() -> None:
    clock = Clock()
    async with client_of(windows=(Window(3, 10.0),), clock=clock) as client:
        answers = []
        for moment in (1008, 1009, 1009.5, 1011, 1019.2):
            clock.now = moment
            answers.append((await client.resend())[0])
        assert answers == [204, 204, 204, 429, 204]


@pytest.mark.asyncio
async def test_a_refused_request_counts_in_the_windows_and_in_their_peaks() -> None:
    clock = Clock()
    async with client_of(windows=(Window(2, 10.0), Window(9, 60.0)), clock=clock) as client:
        for _ in range(5):
            await client.resend()
        clock.now += 9.0
        await client.resend(headers={})  # not even a key
        clock.now += 1.5
        await client.resend()
        assert client.books.answers == {"204": 3, "429": 4}
        assert client.books.snapshot()["windows"] == [
            {"limit": "2/10s", "peak": 6, "refused": 4},
            {"limit": "9/1m", "peak": 7, "refused": 0},
        ]


@pytest.mark.asyncio
async def test_every_window_is_kept_at_once_and_counts_what_another_refused() -> None:
    clock = Clock()
    async with client_of(windows=(Window(1, 1.0), Window(3, 10.0)), clock=clock) as client:
        answers = []
        for moment in (1000.0, 1000.5, 1002.0, 1004.0, 1011.0):
            clock.now = moment
            answers.append((await client.resend())[0])
        assert answers == [204, 429, 204, 429, 204]


# --- latency --------------------------------------------------------------------------------


@pytest.mark.asyncio
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


@pytest.mark.asyncio
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


@pytest.mark.asyncio
async def test_a_request_whose_client_hangs_up_with_its_last_byte_mails() -> None:
    async with client_of(latency_s=(0.001, 0.002)) as client:
        for _ in range(20):
            async with raw_request(client.simulator, "Content-Length: 2", body=b"{}"):
                pass
        await until(lambda: client.books.mails == 20)


@pytest.mark.asyncio
async def test_refusals_at_the_door_come_without_latency() -> None:
    gate = Gate()
    async with client_of(
        latency_s=(1, 1), sleep=gate, windows=(Window(2, 60.0),), clock=Clock()
    ) as client:
        assert (await client.resend(headers={}))[0] == 401
        assert (await client.resend(body={"what": 1}))[0] == 400
        assert (await client.resend())[0] == 429
        assert gate.asked == []


# --- faults ---------------------------------------------------------------------------------


@pytest.mark.asyncio
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


@pytest.mark.asyncio
async def test_502_has_the_html_body_of_a_gateway_and_503_says_when_to_come_back() -> None:
    shares = {FaultName.BAD_GATEWAY: 0.5, FaultName.MAINTENANCE: 0.5}
    async with client_of(faults=shares) as client, aiohttp.ClientSession() as session:
        seen = {}
        for order in range(20):
            url = f"{client.simulator.base_url}/order/certificate/{order}/resend-emails"
            answer = await session.put(url, json={}, headers=KEY)
            text = await answer.text()
            seen[answer.status] = (
                answer.content_type,
                answer.headers.get("Retry-After"),
                text.startswith("<html>"),
            )
        assert seen == {
            502: ("text/html", None, True),
            503: ("application/json", "1", False),
        }


@pytest.mark.asyncio
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


@pytest.mark.asyncio
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


@pytest.mark.asyncio
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


@pytest.mark.asyncio
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


@pytest.mark.asyncio
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


def test_fates_do_not_depend_on_the_order_of_arrival_nor_on_how_the_shares_are_listed() -> None:
    shares = {FaultName.HANG: 0.2, FaultName.BAD_GATEWAY: 0.3}
    there = Fates(SimulatorSettings(faults=shares, latency_s=(0.1, 0.4), seed=3))
    back = Fates(
        SimulatorSettings(faults=dict(reversed(shares.items())), latency_s=(0.1, 0.4), seed=3)
    )
    orders = [str(n) for n in range(50)]
    assert {o: there.deal(o) for o in orders} == {o: back.deal(o) for o in reversed(orders)}


def test_faults_and_latencies_come_in_the_shares_and_within_the_bounds_asked_for() -> None:
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


@pytest.mark.asyncio
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


# --- the books ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_get_of_the_root_tells_what_was_received_and_is_itself_not_counted() -> None:
    async with client_of(windows=(Window(3, 5.0),), clock=Clock()) as client:
        for order in ("1", "1", "2", "3"):
            await client.resend(order)
        first = await client.request("GET", client.simulator.books_url)
        assert await client.request("GET", client.simulator.books_url) == first
        assert json.loads(first[1]) == client.books.snapshot()
        assert client.books.snapshot() == {
            "requests": 4,
            "answers": {"204": 3, "429": 1},
            "mails": 3,
            "orders_mailed": 2,
            "mails_per_order": {"1": 2, "2": 1},
            "windows": [{"limit": "3/5s", "peak": 4, "refused": 1}],
            "wrong_request_count": 0,
            "wrong_requests": [],
        }
        assert client.books.requests_per_order == {"1": 2, "2": 1, "3": 1}


@pytest.mark.asyncio
async def test_only_the_first_hundred_wrong_requests_are_kept_and_all_are_counted() -> None:
    async with client_of() as client:
        for number in range(105):
            await client.request("GET", f"{client.simulator.base_url}/{number}")
        snapshot = client.books.snapshot()
        assert snapshot["wrong_request_count"] == 105
        assert len(snapshot["wrong_requests"]) == 100
        assert snapshot["wrong_requests"][-1]["path"] == "/services/v2/99"


@pytest.mark.asyncio
async def test_bodies_are_not_kept_unless_asked_for() -> None:
    async with client_of() as client:
        await client.resend("1", {"locale": "en"})
        assert client.books.bodies == {}


# --- where it listens -----------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_it_listens_on_loopback_at_the_address_that_it_tells(host: str) -> None:
    async with client_of(host=host) as client:
        assert client.simulator.base_url.endswith("/services/v2")
        assert (await client.resend())[0] == 204


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        SimulatorSettings(host=host)


@pytest.mark.asyncio
async def test_a_port_in_use_is_an_os_error_and_leaves_nothing_open() -> None:
    async with Simulator() as simulator:
        port = int(simulator.books_url.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Simulator(SimulatorSettings(port=port)).__aenter__()


def test_it_has_no_address_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="no address"):
        _ = Simulator().base_url


# --- what users write -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", (0.05, 0.05)),
        ("10-300ms", (0.01, 0.3)),
        (" 10 - 300 ms ", (0.01, 0.3)),
        ("0.1s-2s", (0.1, 2.0)),
        ("500ms-2s", (0.5, 2.0)),
        ("0-1s", (0.0, 1.0)),
        ("2", (2.0, 2.0)),
        ("1-2", (1.0, 2.0)),
    ],
)
def test_a_latency_is_read_as_people_write_it(text: str, seconds: tuple[float, float]) -> None:
    assert parse_latency(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "fast", "10-", "-10ms", "300-10ms", "1-2-3ms", "1ms-"])
def test_what_is_not_a_latency_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a latency: write 50ms, 10-300ms or") as caught:
        parse_latency(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500=0.05", (FaultName.SERVER_ERROR, 0.05)),
        ("drop=5%", (FaultName.DROP, 0.05)),
        (" hang = 100 % ", (FaultName.HANG, 1.0)),
        ("garbage=0", (FaultName.GARBAGE, 0.0)),
    ],
)
def test_a_fault_is_read_with_its_share(text: str, fault: tuple[FaultName, float]) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["", "drop", "drop=", "=5%", "dorp=5%", "drop=5", "drop=-1%", "drop=nan", "drop=101%"]
)
def test_what_is_not_a_fault_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(ValueError, match="is not a fault") as caught:
        parse_fault(text)
    assert all(name in str(caught.value) for name in FaultName)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"faults": {FaultName.DROP: 0.6, FaultName.HANG: 0.6}},
        {"faults": {FaultName.DROP: -0.1}},
        {"faults": {FaultName.DROP: float("nan")}},
        {"latency_s": (2.0, 1.0)},
        {"latency_s": (-1.0, 1.0)},
        {"latency_s": (0.0, float("inf"))},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"makes no sense|shares of faults"):
        SimulatorSettings(**settings)


def test_shares_that_add_up_to_one_but_for_rounding_are_taken() -> None:
    SimulatorSettings(faults=dict.fromkeys(list(FaultName)[:10], 0.1))
    SimulatorSettings(faults=dict.fromkeys(list(FaultName), 1 / 11))


# --- the contract's types -------------------------------------------------------------------


def test_a_body_without_optional_fields_is_dumped_without_them() -> None:
    body = ResendBody(domain_approval_emails=None, locale=None)
    assert body.model_dump_json(exclude_none=True) == "{}"


def test_a_body_built_in_python_keeps_to_the_contract_too() -> None:
    with pytest.raises(ValidationError):
        ResendBody(domain_approval_emails=())


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("{}", ()),
        ('{"errors": [{"code": "a", "message": "b"}]}', (ErrorItem(code="a", message="b"),)),
        ('{"errors": [{"code": 7, "description": "b"}]}', (ErrorItem(code="7", message="b"),)),
        ('{"errors": [{"more": 1}], "more": 1}', (ErrorItem(),)),
    ],
)
def test_an_error_body_is_read_leniently(body: str, errors: tuple[ErrorItem, ...]) -> None:
    assert ErrorBody.model_validate_json(body).errors == errors
