"""A proxy that opens tunnels (CONNECT), or does not, and keeps every byte it was told."""

import asyncio
import ssl

from tests.certcentral.fault_server import FaultServer, Step, Visit

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ConnectProxy(FaultServer):
    """`async with ConnectProxy(step) as proxy:`; `heads` are the requests for tunnels."""

    def __init__(self, step: Step, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(step, tls=tls)
        self.told = bytearray()  # by the client and through its tunnels, in whatever order

    @property
    def address(self) -> str:
        """Return its host and port."""
        return f"127.0.0.1:{self.port}"


def tunnels_to(port: int) -> Step:
    """Open a tunnel to a port of this machine, whatever host is asked for."""

    async def step(visit: Visit) -> None:
        proxy = visit.server
        assert isinstance(proxy, ConnectProxy)
        proxy.told += await visit.read_head()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await visit.send(OPENED)
            out = asyncio.ensure_future(_carry(visit.reader, writer, proxy.told))
            back = asyncio.ensure_future(_carry(reader, visit.writer, proxy.told))
            await asyncio.wait((out, back), return_when=asyncio.FIRST_COMPLETED)
            for direction in (out, back):
                direction.cancel()
            await asyncio.gather(out, back, return_exceptions=True)
        finally:
            writer.transport.abort()
            visit.close()

    return step


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: bytearray
) -> None:
    while data := await reader.read(65536):
        told += data
        writer.write(data)
        await writer.drain()


def refuses(said: bytes) -> Step:
    """Answer a request for a tunnel with these bytes, and close."""

    async def step(visit: Visit) -> None:
        proxy = visit.server
        assert isinstance(proxy, ConnectProxy)
        proxy.told += await visit.read_head()
        await visit.send(said)
        visit.close()

    return step
