"""A client of the CA as the tests open it, and a key that must not leak."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from batch_resend.certcentral import CertCentral, Route, judge, open_certcentral
from batch_resend.model import Entry, Fault, FaultKind, Request, Ruling
from tests.certcentral.fault_server import FaultServer

KEY = "s3cr3t-key-of-a-test-0123456789"
ORDER = Request("1001", "en", (Entry("a.example", "admin@a.example"),))
LONG_S = 10.0  # a time that no test should need
SHORT_S = 0.4  # a time that a test waits out


def ca_at(
    base_url: str, timeout_s: float = LONG_S, trusted: Path | None = None
) -> AbstractAsyncContextManager[CertCentral]:
    """Open the client under test at an address; it trusts the system, or what is in a file."""
    return open_certcentral(base_url, SecretStr(KEY), timeout_s, route=Route(ca_file=trusted))


async def assert_never_sent(
    base_url: str,
    *kinds: FaultKind,
    timeout_s: float = LONG_S,
    trusted: Path | None = None,
    said: str = "",
) -> None:
    """Check that a call comes to one of these faults, and that nobody can have acted on it."""
    async with ca_at(base_url, timeout_s, trusted) as ca:
        fault = await ca.resend(ORDER)
    assert isinstance(fault, Fault)
    assert fault.kind in kinds, fault
    assert not fault.kind.may_have_arrived
    assert judge(fault).ruling is Ruling.UNAVAILABLE
    assert fault.detail
    assert said in fault.detail
    assert "object at 0x" not in fault.detail  # nothing of Python's insides
    assert "None" not in fault.detail
    assert KEY not in fault.detail


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


async def calls(put: Put, count: int, workers: int) -> int:
    """Make many calls, some in parallel; return how many were answered."""
    numbers = iter(range(count))

    async def work() -> int:
        return sum([await put(number) for number in numbers])

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


_BOUND: list[socket.socket] = []  # as long as the tests run


def free_port() -> int:
    """Return a port at which nobody listens, nor will: it is bound, so no other test has it."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    _BOUND.append(bound)
    return int(bound.getsockname()[1])
