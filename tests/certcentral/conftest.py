"""A client of the CA as the tests open it, a key that must not leak, and answers off the wire."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from pydantic import SecretStr

from batch_resend.certcentral import CertCentral, open_certcentral
from batch_resend.model import Entry, Fault, FaultKind, Request
from tests.certcentral.fault_server import FaultServer

KEY = "s3cr3t-key-of-a-test-0123456789"
ORDER = Request("1001", "en", (Entry("a.example", "admin@a.example"),))
LONG_S = 10.0  # a time that no test should need
SHORT_S = 0.4  # a time that a test waits out


def ca_at(base_url: str, timeout_s: float = LONG_S) -> AbstractAsyncContextManager[CertCentral]:
    """Open the client under test at an address."""
    return open_certcentral(base_url, SecretStr(KEY), timeout_s)


def order(order_id: object) -> Request:
    """Return an order that asks for nothing in particular."""
    return Request(str(order_id), None, ())


# --- many calls -------------------------------------------------------------------------------

Put = Callable[[int], Awaitable[bool]]


@asynccontextmanager
async def ours(server: FaultServer) -> AsyncIterator[Put]:
    """Open the client under test; a call tells whether it was answered 204."""
    async with ca_at(server.base_url) as ca:

        async def put(number: int) -> bool:
            result = await ca.resend(order(number))
            if isinstance(result, Fault):
                assert result.kind is FaultKind.LOST
                return False
            return result.status == 204

        yield put


@asynccontextmanager
async def plain(server: FaultServer) -> AsyncIterator[Put]:
    """Open what everyone writes: aiohttp without the middleware."""
    async with aiohttp.ClientSession() as session:

        async def put(number: int) -> bool:
            url = f"{server.base_url}/order/certificate/{number}/resend-emails"
            try:
                async with session.put(url, data=b"{}") as response:
                    return response.status == 204
            except aiohttp.ClientError:
                return False

        yield put


async def calls(put: Put, count: int, workers: int) -> int:
    """Make many calls, some in parallel; return how many were answered."""
    numbers = iter(range(count))

    async def work() -> int:
        return sum([await put(number) for number in numbers])

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# --- answers off the wire ---------------------------------------------------------------------


class _Response(aiohttp.ClientResponse):
    """What aioresponses makes its answers of.

    aiohttp 3.14 wants a `stream_writer`, which aioresponses 0.7.9 does not give. aiohttp asks it
    for nothing but how much was sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Answers in the place of a server. They bypass middlewares, traces and the wire itself."""
    monkeypatch.setattr("aioresponses.core.ClientResponse", _Response)
    with aioresponses() as mocked:
        yield mocked
