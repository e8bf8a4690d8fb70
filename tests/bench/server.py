"""A CA for benches: answers every request with 204 at once, so that the client is what is measured.

    python -m tests.bench.server

Prints its port. A protocol on the bare event loop, on uvloop where that is installed.
"""

import asyncio
import re
import sys
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_DONE = b"HTTP/1.1 204 No Content\r\n\r\n"


class Acknowledging(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._waiting, 0, end + 2)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._waiting) < whole:
                return
            self._waiting = self._waiting[whole:]
            self._transport.write(_DONE)


async def serve() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(
        Acknowledging, "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        sys.exit(asyncio.run(serve()))
    sys.exit(uvloop.run(serve()))
