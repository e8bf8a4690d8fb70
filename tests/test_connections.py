"""A test's own server leaves no connection open behind it."""

import asyncio
import gc
import socket

import pytest

from tests.certcentral.fault_server import FaultServer, hangs


@pytest.mark.parametrize("turns", range(8))
def test_a_server_that_ends_while_it_accepts_leaves_no_transport(turns: int) -> None:
    """A transport left open fails this test, or one that runs later, when it is collected."""

    async def end_early() -> None:
        async with FaultServer(hangs) as server:
            with socket.socket() as client:
                client.setblocking(False)
                with pytest.raises(BlockingIOError):
                    client.connect(("127.0.0.1", server.port))
                for _ in range(turns):
                    await asyncio.sleep(0)

    asyncio.run(end_early())
    gc.collect()
