"""The connections that a test's own server has accepted, so that none outlives the server."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

_TURNS = 3  # of the event loop, until a connection that a listener has taken is accepted
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """`asyncio.start_server(connections.accept, ...)`: a task a connection, broken by `end`.

    A connection is broken when its task ends, also when the task was cancelled before its first
    step: otherwise the transport would stay open after its event loop, and fail a later test.
    """

    def __init__(self, serve: Serve) -> None:
        self.open: set[asyncio.StreamWriter] = set()
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self.open.discard(writer)
            writer.transport.abort()

        self.open.add(writer)
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):  # the client has gone
            await self._serve(reader, writer)

    async def end(self, server: asyncio.Server) -> None:
        """Take no more connections, and break those that are open, whatever they are about."""
        loop = asyncio.get_running_loop()
        for listener in server.sockets:
            loop.remove_reader(listener.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
