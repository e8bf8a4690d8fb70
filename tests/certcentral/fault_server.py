"""A server that breaks its connections just where it is told to, and counts what it was sent.

Raw TCP: no HTTP library between a test and the bytes. What it does with a request is a `Step`, a
coroutine function of a `Visit`; most tests put one together from the steps below.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.connections import Connections

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)

Step = Callable[["Visit"], Awaitable[object]]


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


class Visit:
    """One request of a connection, from before its first byte."""

    def __init__(
        self,
        server: "FaultServer",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        turn: int,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.turn = turn  # 1 for the connection's first request
        self.head = b""

    async def read_head(self) -> bytes:
        """Read to the end of the headers, once; the request is counted then."""
        if not self.head:
            self.head = await self.reader.readuntil(b"\r\n\r\n")
            self.server.heads.append(self.head)
        return self.head

    async def read_all(self) -> bytes:
        """Read the whole request; return its body."""
        length = _LENGTH.search(await self.read_head())
        body = await self.reader.readexactly(int(length[1]) if length else 0)
        self.server.bodies.append(body)
        return body

    async def mail(self) -> None:
        """Read the whole request and do what it asks for."""
        await self.read_all()
        self.server.mails += 1

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Close the connection with FIN, without a word."""
        self.writer.close()

    def reset(self) -> None:
        """Close the connection with RST: the kernel does that when told to linger for 0 s."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Do nothing more until the server is stopped."""
        await asyncio.get_running_loop().create_future()


class FaultServer:
    """`async with FaultServer(step) as server:`; the step is taken for every request.

    It counts every request head that it read whole (`heads`), and as `mails` what it acted on.
    """

    def __init__(self, step: Step, *, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.mails = 0
        self.connections = 0
        self.port = 0
        self._step = step
        self._tls = tls
        self._connections = Connections(self._serve)
        self._server: asyncio.Server | None = None

    @property
    def requests(self) -> int:
        """How many requests it saw."""
        return len(self.heads)

    @property
    def open(self) -> set[asyncio.StreamWriter]:
        """The connections that it holds."""
        return self._connections.open

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/services/v2"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def listen(self) -> None:
        """Take connections: at a free port, or again at the one that it had."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self._tls, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def close_port(self) -> None:
        """Take no more connections; those that are open stay."""
        assert self._server is not None
        self._server.close()

    async def crash(self) -> None:
        """Take no more connections, and break those that are open, whatever they are about."""
        assert self._server is not None
        await self._connections.end(self._server)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.crash()
        assert self._server is not None
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._connections.accept(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while not writer.is_closing():
            turn += 1
            await self._step(Visit(self, reader, writer, turn))


# --- steps ------------------------------------------------------------------------------------


async def hangs_at_once(visit: Visit) -> None:
    """Take the connection and nothing more."""
    await visit.hang()


async def closes_at_once(visit: Visit) -> None:
    visit.close()


async def resets_at_once(visit: Visit) -> None:
    visit.reset()


async def hangs_after_head(visit: Visit) -> None:
    await visit.read_head()
    await visit.hang()


async def closes_after_head(visit: Visit) -> None:
    await visit.read_head()
    visit.close()


async def resets_after_head(visit: Visit) -> None:
    await visit.read_head()
    visit.reset()


async def hangs_within_body(visit: Visit) -> None:
    await visit.read_head()
    await visit.reader.readexactly(5)
    await visit.hang()


async def closes_within_body(visit: Visit) -> None:
    await visit.read_head()
    await visit.reader.readexactly(5)
    visit.close()


async def hangs(visit: Visit) -> None:
    """Act on the request and never answer."""
    await visit.mail()
    await visit.hang()


async def drops(visit: Visit) -> None:
    """Act on the request and close instead of answering."""
    await visit.mail()
    visit.close()


async def resets(visit: Visit) -> None:
    """Act on the request and reset instead of answering."""
    await visit.mail()
    visit.reset()


def says(data: bytes) -> Step:
    """Act on the request, answer with these bytes, and keep the connection."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(data)

    return step


def says_and_closes(data: bytes) -> Step:
    """Act on the request, send these bytes, and close."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(data)
        visit.close()

    return step


def says_and_resets(data: bytes) -> Step:
    """Act on the request, send these bytes, and reset once they are read."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(data)
        await asyncio.sleep(0.05)  # a reset takes with it what was not read yet
        visit.reset()

    return step


def says_later(data: bytes, more: bytes) -> Step:
    """Act on the request, answer with these bytes, and with more in a packet of its own."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(data)
        await asyncio.sleep(0.01)
        await visit.send(more)

    return step


def drips(before: bytes, drop: bytes, every_s: float) -> Step:
    """Act on the request, send the first bytes, then a drop now and then for ever."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(before)
        while True:
            await asyncio.sleep(every_s)
            await visit.send(drop)

    return step


def floods(before: bytes, wave: bytes) -> Step:
    """Act on the request, then send as fast as the client reads, without an end."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        await visit.send(before)
        while not visit.writer.is_closing():
            await visit.send(wave)
            await asyncio.sleep(0)

    return step


def drops_every(nth: int) -> Step:
    """Answer 204, but act on every nth request of a connection and drop it unanswered."""

    async def step(visit: Visit) -> None:
        await visit.mail()
        if visit.turn % nth == 0:
            visit.close()
        else:
            await visit.send(NO_CONTENT)

    return step


def in_turn(*steps: Step) -> Step:
    """Take the steps one after another, a request each, and the last one ever after."""

    async def step(visit: Visit) -> None:
        await visit.read_head()
        await steps[min(visit.server.requests, len(steps)) - 1](visit)

    return step
