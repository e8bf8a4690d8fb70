"""The network below aiohttp: its real connector, protocol and parser run over these connections.

A connection carries bytes both ways, each way in order, with delays that the world chooses. What
arrives lies in a buffer, as in a kernel's, until the process has a turn to read it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from tests.worlds.loop import WorldLoop

ADDRESS = "192.0.2.7"  # TEST-NET-1 (RFC 5737)
_READ = 256 * 1024  # bytes that asyncio reads in one turn
SECURING_S = 0.01  # what TLS takes
_APART_S = 1e-9  # what a connection brings stays in order; what is due at once does not


class Weather(Protocol):
    """What the network does, as the world says."""

    def resolving(self) -> tuple[float, bool | None]:
        """Return seconds, and whether the name is found; None: no server answers for now."""

    def connecting(self) -> tuple[float, OSError | None]:
        """Return seconds, and why no connection is made."""

    def securing(self) -> ssl.SSLError | None:
        """Return why TLS is refused."""


class Peer(Protocol):
    """What is at the other end of connections."""

    def connected(self, connection: "Connection") -> None:
        """Take a new connection."""

    def received(self, connection: "Connection", data: bytes) -> None:
        """Take what the process has written, the moment it is written: it is on its way now."""


class Connection(asyncio.Transport):
    """The process's end of a connection."""

    def __init__(self, loop: WorldLoop, protocol: Any, peer: Peer, tls: object) -> None:
        super().__init__({"peername": (ADDRESS, 443), "sslcontext": tls})
        self._loop = loop
        self._protocol = protocol
        self._peer = peer
        self._arrived = bytearray()
        self._ended: str | None = None  # by the other end: "closed" or "reset"
        self._closing = False
        self._lost = False
        self._reads = True
        self._reader_is_due = False
        self.last_arrival = 0.0
        self.number = 0  # of all connections of the world
        self.heard: Callable[[bytes], None] = lambda _: None  # what the process has read
        self.given_up: Callable[[], None] = lambda: None  # the process closes it

    # --- what happens outside ---------------------------------------------------------------

    def bring(self, at: float, data: bytes) -> None:
        """Have bytes arrive at a time, or after what is to arrive before them."""
        self.last_arrival = max(at, self.last_arrival + _APART_S)
        self._loop.outside.at(self.last_arrival, partial(self._arrive, data))

    def end(self, at: float, how: str) -> None:
        """Have the other end close, or reset, the connection."""
        when = self.last_arrival = max(at, self.last_arrival + _APART_S)
        self._loop.outside.at(when, partial(self._end, how))

    def _arrive(self, data: bytes) -> None:
        if self._ended is None and not self._lost:
            self._arrived += data
            self._wake()

    def _end(self, how: str) -> None:
        if self._ended is None:
            self._ended = how
            if how == "reset":
                self._arrived.clear()  # as TCP does
            self._wake()

    def _wake(self) -> None:
        if self._reads and not self._reader_is_due and not self._lost:
            self._reader_is_due = True
            self._loop.notify(self._read)

    # --- what the process's turn does -------------------------------------------------------

    def _read(self) -> None:
        self._reader_is_due = False
        if self._lost or self._closing or not self._reads:
            return
        if self._arrived:
            data = bytes(self._arrived[:_READ])
            del self._arrived[:_READ]
            self.heard(data)
            self._protocol.data_received(data)
            if self._arrived or self._ended:
                self._wake()
        elif self._ended == "reset":
            self._lose(ConnectionResetError(104, "Connection reset by peer"))
        elif self._ended == "closed" and not self._protocol.eof_received():
            self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def write(self, data: Any) -> None:
        if self._closing or self._lost:
            return
        if self._ended == "reset":
            self._lose(ConnectionResetError(104, "Connection reset by peer"))
            return
        self._peer.received(self, bytes(data))

    def close(self) -> None:
        if not self._closing:
            self.given_up()
        self._lose(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        if self._arrived or self._ended:
            self._wake()

    def is_reading(self) -> bool:
        return self._reads

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol


class Network:
    """The ways out of one process."""

    def __init__(self, loop: WorldLoop, weather: Weather, peer: Peer) -> None:
        self._loop = loop
        self._weather = weather
        self._peer = peer
        self.is_gone = False  # the process is dead, and only unwinds
        self._connections: list[Connection] = []

    async def resolve(self, host: str, port: int) -> list[Any]:
        """Return the addresses of a name, as `getaddrinfo` does."""
        delay_s, found = self._weather.resolving()
        await asyncio.sleep(0.0 if self.is_gone else delay_s)
        if found is None or self.is_gone:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, port))]

    async def connect(self, _sock: socket.socket, _address: object) -> None:
        """Make a connection, or raise OSError."""
        delay_s, error = self._weather.connecting()
        await asyncio.sleep(0.0 if self.is_gone else delay_s)
        if self.is_gone:
            raise ConnectionRefusedError(111, "Connection refused")
        if error is not None:
            raise error

    async def open(
        self, protocol_factory: Callable[[], Any], sock: socket.socket, tls: object
    ) -> tuple[Connection, Any]:
        """Return a transport over a connection that was made, with its protocol."""
        sock.close()
        error = self._weather.securing() if tls else None
        await asyncio.sleep(0.0 if self.is_gone else SECURING_S)
        if error is not None:
            raise error
        protocol = protocol_factory()
        connection = Connection(self._loop, protocol, self._peer, tls)
        protocol.connection_made(connection)
        self._connections.append(connection)
        self._peer.connected(connection)
        return connection, protocol

    def vanish(self) -> None:
        """Cut every connection: the process is dead, and what it still does reaches nobody."""
        self.is_gone = True
        for connection in self._connections:
            connection._end("reset")
