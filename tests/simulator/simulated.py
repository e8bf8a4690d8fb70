"""Clients and clocks for the simulator's tests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from batch_resend.certcentral.contract import ErrorBody
from batch_resend.simulator import (
    Simulator,
    SimulatorSettings,
    World,
    WorldOrder,
)

NOVEMBER_1 = 1_793_491_200.0  # 2026-11-01T00:00:00Z
DAY_S = 86_400.0
DV, OV = "ssl_dv_geotrust_flex", "ssl_basic"
KEY = {"X-DC-DEVKEY": "a key"}
ENTRY = {"domain": "example.com", "email": "admin@example.com"}
RATE_LIMITED = (
    b'{"errors":[{"code":"request_limit_exceeded",'
    b'"message":"Service unavailable, please limit request volume"}]}'
)
WRONG_KEY = (
    b'{"errors":[{"code":"access_denied|access_denied_invalid_key",'
    b'"message":"Access denied due to access_denied_invalid_key."}]}'
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

    async def put(self, path: str, body: object) -> tuple[int, bytes]:
        """Make any call that mails, below the base URL."""
        url = f"{self.simulator.base_url}{path}"
        return await self.request("PUT", url, json=body, headers=KEY)

    async def read(self, path: str, **headers: str) -> tuple[int, Any]:
        """Read something below the base URL; return the answer's status and its JSON."""
        status, body = await self.get(path, **headers)
        return status, json.loads(body)

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Read something below the base URL; return the answer's status and body."""
        url = URL(f"{self.simulator.base_url}{path}", encoded=True)
        return await self.request("GET", url, headers=KEY | headers)

    async def request(self, method: str, url: str | URL, **more: Any) -> tuple[int, bytes]:
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


def fill(client: Client) -> World:
    """Let five orders be, of four states, made on the days from 2 November 2026."""
    world = client.simulator.world
    for number, (status, product, container) in enumerate(
        (
            ("pending", DV, "Main"),
            ("pending", OV, "Shop"),
            ("reissue_pending", DV, "Main"),
            ("issued", DV, "Main"),
            ("expired", OV, "Shop"),
        ),
        start=1,
    ):
        world.add(
            WorldOrder(
                number,
                status=status,
                product=product,
                container=container,
                domains=(f"a{number}.example", f"*.a{number}.example"),
                created_at=NOVEMBER_1 + number * DAY_S,
            )
        )
    return world


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
            await asyncio.sleep(0.001)  # a turn of the loop, in which the server works


def code_of(body: bytes) -> str | None:
    return ErrorBody.model_validate_json(body).errors[0].code
