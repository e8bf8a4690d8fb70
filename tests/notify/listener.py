"""Somebody who is to be told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

SECRET = "T0P/S3CR3T"  # of a URL


class Listener:
    """A server that writes down what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[tuple[str, str]] = []  # path with query, body
        self.statuses: list[int] = []  # of the next answers; then 200
        self.hangs = False
        self._go = anyio.Event()

    def let_go(self) -> None:
        """Answer what hangs, and hang no more."""
        self.hangs = False
        self._go.set()

    async def take(self, request: web.Request) -> web.Response:
        """Write down what was posted, and answer."""
        self.posts.append((request.path_qs, await request.text()))
        if self.hangs:
            await self._go.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Open a listener on loopback."""
    listener = Listener()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", listener.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    listener.url = f"http://{host}:{port}/{SECRET}"
    try:
        yield listener
    finally:
        await runner.cleanup()
