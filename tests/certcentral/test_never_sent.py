"""Where no connection comes about nothing was sent, and nothing is in doubt. TLS: test_tls.py."""

import contextlib
import socket

import pytest

from batch_resend.certcentral import judge
from batch_resend.model import Fault, FaultKind, Ruling
from tests.certcentral.conftest import KEY, LONG_S, ORDER, SHORT_S, ca_at, free_port
from tests.certcentral.fault_server import (
    FaultServer,
    Step,
    Visit,
    closes_at_once,
    hangs_at_once,
    resets_at_once,
    says_and_closes,
)


async def assert_never_sent(base_url: str, kinds: set[FaultKind], timeout_s: float) -> None:
    async with ca_at(base_url, timeout_s) as ca:
        result = await ca.resend(ORDER)
    assert isinstance(result, Fault)
    assert result.kind in kinds
    assert not result.kind.may_have_arrived
    assert judge(result).ruling is Ruling.UNAVAILABLE
    assert result.detail
    assert KEY not in result.detail


@pytest.mark.asyncio
async def test_a_refused_connection_was_never_sent_over() -> None:
    base_url = f"http://127.0.0.1:{free_port()}"
    await assert_never_sent(base_url, {FaultKind.NOT_CONNECTED}, LONG_S)


@pytest.mark.asyncio
async def test_to_a_name_that_does_not_resolve_nothing_was_sent() -> None:
    # Where no name server answers, nobody can say that there is no such name.
    kinds = {FaultKind.NO_SUCH_HOST, FaultKind.NOT_CONNECTED}
    await assert_never_sent("https://nosuch.invalid/services/v2", kinds, 2.0)


@pytest.mark.asyncio
async def test_over_a_connection_that_does_not_come_about_in_time_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as held:
        address = full.getsockname()
        for _ in range(4):  # what does not fit the queue gets no answer at all
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        base_url = f"http://127.0.0.1:{address[1]}"
        await assert_never_sent(base_url, {FaultKind.NOT_CONNECTED}, SHORT_S)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "kinds", "timeout_s"),
    [
        pytest.param(
            says_and_closes(b"HTTP/1.1 400 No TLS here\r\n\r\n"),
            {FaultKind.NOT_CONNECTED, FaultKind.TLS_REFUSED}, SHORT_S, id="waits for a request",
        ),
        pytest.param(hangs_at_once, {FaultKind.NOT_CONNECTED}, SHORT_S, id="says nothing"),
        pytest.param(
            closes_at_once, {FaultKind.NOT_CONNECTED, FaultKind.TLS_REFUSED}, LONG_S, id="closes"
        ),
        pytest.param(
            resets_at_once, {FaultKind.NOT_CONNECTED, FaultKind.TLS_REFUSED}, LONG_S, id="resets"
        ),
    ],
)  # fmt: skip
async def test_to_a_port_that_speaks_no_tls_nothing_was_sent(
    step: Step, kinds: set[FaultKind], timeout_s: float
) -> None:
    async with FaultServer(step) as server:
        base_url = server.base_url.replace("http:", "https:")
        await assert_never_sent(base_url, kinds, timeout_s)
        assert server.requests == 0


@pytest.mark.asyncio
async def test_a_port_that_answers_tls_in_plain_http_refuses_it_and_nothing_was_sent() -> None:
    async def answers_anything(visit: Visit) -> None:
        await visit.reader.read(1)
        await visit.send(b"HTTP/1.1 400 No TLS here\r\n\r\n")
        visit.close()

    async with FaultServer(answers_anything) as server:
        base_url = server.base_url.replace("http:", "https:")
        await assert_never_sent(base_url, {FaultKind.TLS_REFUSED}, LONG_S)
        assert server.requests == 0
