"""A CA for benches: answers every request with 204, so that the client is what is measured.

    python -m tests.bench.server [--delay-ms 5-20] [--times FILE]

Prints its port. A protocol on the bare event loop, on uvloop where that is installed. With --times
it writes down when each request arrived, by the clock that nobody sets, when it is ended.
"""

import argparse
import asyncio
import random
import re
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import anyio

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_DONE = b"HTTP/1.1 204 No Content\r\n\r\n"


class Books:
    """When requests arrived, and how long an answer takes."""

    def __init__(self, delay_ms: tuple[float, float] | None) -> None:
        self.times: list[float] = []
        self._delay_ms = delay_ms
        self._chance = random.Random(7)

    def delay_s(self) -> float | None:
        """Return how long to wait with the next answer; None: not at all."""
        return self._chance.uniform(*self._delay_ms) / 1000 if self._delay_ms else None


class Acknowledging(asyncio.Protocol):
    """One connection."""

    def __init__(self, books: Books) -> None:
        self._books = books
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
            self._books.times.append(time.monotonic())
            if (delay_s := self._books.delay_s()) is None:
                self._transport.write(_DONE)
            else:
                loop = asyncio.get_running_loop()
                loop.call_later(delay_s, self._transport.write, _DONE)


async def serve(books: Books) -> None:
    """Serve until the process is told to end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Acknowledging(books), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


def main() -> None:
    """Serve; at the end, write down the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms")
    parser.add_argument("--times", type=Path)
    options = parser.parse_args()
    least, _, most = (options.delay_ms or "").partition("-")
    books = Books((float(least), float(most)) if least else None)
    anyio.run(serve, books, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    if options.times:
        options.times.write_text("\n".join(map(repr, books.times)))


if __name__ == "__main__":
    main()
