"""No request leaves on a connection that is older than the last loss: counted at the server."""

import asyncio

import pytest

from tests.certcentral.conftest import SHORT_S, ca_at, order
from tests.certcentral.fault_server import (
    NO_CONTENT,
    FaultServer,
    Step,
    Visit,
    answer,
    drops,
    drops_every,
    hangs,
    resets,
    says,
    says_and_closes,
)

pytestmark = pytest.mark.asyncio

CONNECTIONS = 4


class Pool:
    """A server that takes so many requests at once, each on a connection of its own."""

    def __init__(self, then: Step) -> None:
        self.server = FaultServer(self._step)
        self.older_used = 0  # requests that came on a connection from before the loss
        self._then = then
        self._together = asyncio.Barrier(CONNECTIONS)
        self._lost = False
        self._older: set[asyncio.StreamWriter] = set()

    async def _step(self, visit: Visit) -> None:
        await visit.read_head()
        if self.server.requests <= CONNECTIONS:
            self._older.add(visit.writer)
            await self._together.wait()
            await says(NO_CONTENT)(visit)
        elif not self._lost:
            self._lost = True
            await self._then(visit)
        else:
            self.older_used += visit.writer in self._older
            await says(NO_CONTENT)(visit)


@pytest.mark.parametrize(
    ("then", "is_loss"),
    [
        pytest.param(drops, True, id="closed without an answer"),
        pytest.param(resets, True, id="reset"),
        pytest.param(hangs, True, id="no answer in time: a router may have forgotten them all"),
        pytest.param(says_and_closes(b"\x15\x03\x01 what?\r\n\r\n"), True, id="no HTTP"),
        pytest.param(says_and_closes(b"HTTP/1.1 204 N\r\nServ"), True, id="within the headers"),
        pytest.param(says(NO_CONTENT), False, id="accepted"),
        pytest.param(says(answer(500)), False, id="an error is an answer"),
        pytest.param(says(answer(404, b"{}")), False, id="so is a refusal"),
    ],
)
async def test_after_a_loss_no_older_connection_is_used_and_without_one_they_are(
    then: Step, is_loss: bool
) -> None:
    pool = Pool(then)
    async with pool.server as server, ca_at(server.base_url, SHORT_S) as ca:
        await asyncio.gather(*(ca.resend(order(str(n))) for n in range(CONNECTIONS)))
        assert server.connections == CONNECTIONS
        for number in range(2 * CONNECTIONS):
            await ca.resend(order(str(number)))
    assert (pool.older_used == 0) is is_loss
    assert (server.connections > CONNECTIONS) is is_loss


async def test_a_loss_while_others_are_in_flight_breaks_none_of_them() -> None:
    async def step(visit: Visit) -> None:
        await visit.read_all()
        if server.requests == CONNECTIONS:
            visit.close()
        await asyncio.sleep(0.05)
        await visit.send(NO_CONTENT)

    server = FaultServer(step)
    async with server, ca_at(server.base_url) as ca:
        results = await asyncio.gather(*(ca.resend(order(str(n))) for n in range(CONNECTIONS)))
        statuses = [getattr(result, "status", None) for result in results]
    assert statuses.count(204) == CONNECTIONS - 1


async def test_losses_that_never_end_keep_no_request_from_leaving() -> None:
    """Each is lost while others make their connections: these are new all the same."""
    async with FaultServer(drops_every(1)) as server, ca_at(server.base_url) as ca:
        async with asyncio.timeout(20):
            await asyncio.gather(*(ca.resend(order(str(n))) for n in range(200)))
        assert server.requests == 200
