"""The simulator: the documented contract of the calls that mail and read, over HTTP on loopback."""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from batch_resend.certcentral.contract import (
    DomainEmailsBody,
    ErrorBody,
    ErrorItem,
    OrderApprovalBody,
    ResendBody,
)
from batch_resend.certcentral.simulator.behaviour import Fates, FaultName, SimulatorSettings
from batch_resend.certcentral.simulator.books import Books
from batch_resend.certcentral.simulator.world import World

_BASE_PATH = "/services/v2"
_BODIES: tuple[tuple[re.Pattern[str], type[BaseModel]], ...] = tuple(
    (re.compile(_BASE_PATH + path), body)
    for path, body in (
        ("/order/certificate/([^/?#]+)/resend-emails", ResendBody),
        ("/domain/([^/?#]+)/dcv/emails", DomainEmailsBody),
        ("/order/certificate/([^/?#]+)/order-approval/resend-emails", OrderApprovalBody),
    )
)
_READ = re.compile(rf"{_BASE_PATH}/order/certificate(?:/([^/]+))?")
_MAX_BODY = 1024 * 1024  # bytes
# What waits at the stop is cancelled; this bounds what aiohttp may still add on its own.
_SHUTDOWN_TIMEOUT_S = 0.1
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class _Asked:
    subject: str  # an order's number, or a domain's number or name
    body: type[BaseModel]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes | None = None
    content_type: str = "application/json"
    retry_after: str | None = None


def _error(status: int, code: str, message: str, retry_after: str | None = None) -> _Answer:
    body = ErrorBody(errors=(ErrorItem(code=code, message=message),))
    return _Answer(status, body.model_dump_json().encode(), retry_after=retry_after)


_DONE = _Answer(204)
_RATE_LIMITED = _error(
    429, "request_limit_exceeded", "Service unavailable, please limit request volume"
)
_WRONG_KEY = _error(401, "invalid_api_key", "The API key is missing or not valid.")
_NO_SUCH_ORDER = _error(404, "not_found|order", "There is no such order in this account.")
_NO_SUCH_DOMAIN = _error(404, "not_found|domain", "There is no such domain in this account.")
_NOT_DV = _error(400, "invalid_product", "This order is not DV: use the call of its domains.")
_NO_SUCH_ROUTE = _error(404, "not_found|route", "There is nothing at this address.")
_BAD_REQUEST = "bad_request_format"
_ANSWERED_FAULTS = {
    FaultName.SERVER_ERROR: _error(500, "internal_server_error", "Something went wrong."),
    FaultName.BAD_GATEWAY: _Answer(
        502, b"<html><body><h1>502 Bad Gateway</h1></body></html>\n", "text/html"
    ),
    FaultName.MAINTENANCE: _error(503, "service_unavailable", "Down for maintenance.", "1"),
    FaultName.RATE_LIMITED: _RATE_LIMITED,
    FaultName.BAD_REQUEST: _error(400, _BAD_REQUEST, "This order's mails cannot be sent."),
    FaultName.NO_SUCH_ORDER: _NO_SUCH_ORDER,
    FaultName.NO_PERMISSION: _error(
        403, "access_denied|missing_permission", "The API key may not do this."
    ),
}


class Simulator:
    """A local CertCentral: `async with Simulator(settings) as simulator: simulator.base_url`.

    What it was sent stands in `books`, and as JSON at `GET /` of its address; every request but
    that one counts in the windows. Checks come in this order: windows (429), address (404), key
    (401), form and body (400), order (404), fault, and else 204. The last three come after the
    latency. Entering raises OSError where the port cannot be had.

    `clock` gives the seconds by which windows roll; `sleep` waits out the latency.
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.settings = settings or SimulatorSettings()
        self.books = Books(self.settings.windows)
        self.world = World(seed=self.settings.seed)
        self.world.populate(self.settings.orders)
        self._fates = Fates(self.settings)
        self._clock = clock
        self._sleep = sleep
        self._waiting: set[asyncio.Task[object]] = set()
        self._runner: web.ServerRunner | None = None
        self._origin = ""

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL: `http://127.0.0.1:PORT/services/v2`."""
        return self.books_url.removesuffix("/") + _BASE_PATH

    @property
    def books_url(self) -> str:
        """Where the books can be read: `http://127.0.0.1:PORT/`."""
        if not self._origin:
            raise RuntimeError("the simulator has no address before it is entered")
        return self._origin

    def fail(self, faults: Mapping[FaultName, float]) -> None:
        """Fail another share of requests from now on."""
        self._fates = Fates(replace(self.settings, faults=faults))

    async def __aenter__(self) -> Self:
        # localhost may stand for two addresses, and port 0 for a port of each.
        host = "127.0.0.1" if self.settings.host == "localhost" else self.settings.host
        # A compressed body is not in the contract: undone, it would look as if it were.
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, self.settings.port, backlog=_BACKLOG).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        name = f"[{host}]" if ":" in host else host
        self._origin = f"http://{name}:{runner.addresses[0][1]}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # aiohttp does not cancel a handler whose client has gone, so this is ours to do.
        for task in self._waiting:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.raw_path == "/":
            return web.json_response(self.books.snapshot())
        asked = _asked(request)
        if request.method == "GET" and (read := _READ.fullmatch(request.path)):
            return await self._read(request, read[1])
        if not self._arrives(request, asked.subject if asked else None):
            answer = _RATE_LIMITED
        elif asked is None:
            self.books.wrong(request.method, request.raw_path, "no call of the contract")
            answer = _NO_SUCH_ROUTE
        elif not self._takes_key(_key_of(request)):
            answer = _WRONG_KEY
        elif (reason := await self._wrong_with(request, asked)) is not None:
            self.books.wrong(request.method, request.raw_path, reason)
            answer = _error(400, _BAD_REQUEST, reason)
        else:
            return await self._act(request, asked)
        return self._send(answer)

    def _arrives(self, request: web.BaseRequest, order_id: str | None) -> bool:
        return self.books.arrive(self._clock(), order_id, _key_of(request))

    async def _read(self, request: web.BaseRequest, order_id: str | None) -> web.Response:
        """Answer the calls "List orders" and "Order info", from the simulator's world."""
        self.books.reads += 1
        if not self._arrives(request, None):
            return self._send(_RATE_LIMITED)
        if not self._takes_key(_key_of(request)):
            return self._send(_WRONG_KEY)
        fate = self._fates.deal(request.raw_path)
        if fate.latency_s > 0:
            await self._wait(self._sleep(fate.latency_s))
        if fate.fault is not None and (answer := _ANSWERED_FAULTS.get(fate.fault)) is not None:
            return self._send(answer)
        if fate.fault is not None and request.transport is not None:
            self.books.answers[str(fate.fault)] += 1
            _break_off(request.transport, FaultName.RESET)
            return web.Response()
        return self._send(self._told_of_world(order_id, request.query))

    def _told_of_world(self, order_id: str | None, query: Mapping[str, str]) -> _Answer:
        if order_id is not None:
            info = self.world.info(order_id)
            return _NO_SUCH_ORDER if info is None else _Answer(200, to_json(info))
        try:
            return _Answer(200, to_json(self.world.page(query)))
        except ValueError as error:
            return _error(400, _BAD_REQUEST, str(error))

    def _takes_key(self, key: str) -> bool:
        wanted = self.settings.api_key
        return bool(key) if wanted is None else key == wanted

    async def _wrong_with(self, request: web.BaseRequest, asked: _Asked) -> str | None:
        """Return what is wrong with the request's form or body; None if nothing is."""
        reason = _wrong_with_headers(request)
        if reason is not None:
            return reason
        try:
            # Before any waiting: once the client has gone, aiohttp withholds even what has come.
            body = await request.read()
            asked.body.model_validate_json(body)
        except OSError:
            return "the connection broke within the body"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return f"body: {'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"
        if self.settings.keep_bodies:
            self.books.bodies.setdefault(asked.subject, []).append(from_json(body))
        return None

    async def _act(self, request: web.BaseRequest, asked: _Asked) -> web.StreamResponse:
        """Do what the CA does with a well-formed request, after its latency.

        Without cancellation by aiohttp (its default), a client that goes away changes nothing.
        """
        subject = asked.subject
        fate = self._fates.deal(subject)
        if fate.latency_s > 0:
            await self._wait(self._sleep(fate.latency_s))
        if subject in self.settings.unknown_orders:
            return self._send(_NO_SUCH_DOMAIN if asked.body is DomainEmailsBody else _NO_SUCH_ORDER)
        if asked.body is ResendBody and not self.world.is_dv(subject):
            return self._send(_NOT_DV)
        fault = fate.fault
        if fault is None or fault.mails:
            self.books.mail(subject)
            self.world.mail(subject)
        answer = _DONE if fault is None else _ANSWERED_FAULTS.get(fault)
        if answer is not None:
            return self._send(answer)
        self.books.answers[str(fault)] += 1
        if fault is FaultName.HANG:
            await self._wait(asyncio.get_running_loop().create_future())
        elif request.transport is not None:
            _break_off(request.transport, fault)
        return web.Response()  # aiohttp wants one, and finds the connection closed

    async def _wait(self, until: Awaitable[object]) -> None:
        """Wait, but not beyond the stop of the simulator."""
        task = cast("asyncio.Task[object]", asyncio.current_task())  # a coroutine runs in one
        self._waiting.add(task)
        try:
            await until
        finally:
            self._waiting.discard(task)

    def _send(self, answer: _Answer) -> web.Response:
        self.books.answers[str(answer.status)] += 1
        if answer.body is None:
            return web.Response(status=answer.status)
        headers = {"Retry-After": answer.retry_after} if answer.retry_after else None
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers=headers,
        )


def _key_of(request: web.BaseRequest) -> str:
    return request.headers.get("X-DC-DEVKEY", "")


def _asked(request: web.BaseRequest) -> _Asked | None:
    """Return what a request asks for; None if it is not one of the documented calls."""
    if request.method != "PUT":
        return None
    for path, body in _BODIES:
        if match := path.fullmatch(request.raw_path):
            return _Asked(unquote(match[1]), body)
    return None


def _wrong_with_headers(request: web.BaseRequest) -> str | None:
    headers = request.headers
    if not headers.get("User-Agent"):
        return "no User-Agent"
    if "Transfer-Encoding" in headers:
        return "a body in chunks instead of a Content-Length"
    if "Content-Length" not in headers:
        return "no Content-Length"
    if request.content_type != "application/json":
        return "Content-Type is not application/json"
    if (request.content_length or 0) > _MAX_BODY:
        return f"a body of more than {_MAX_BODY} bytes"
    return None


def _break_off(transport: asyncio.Transport, fault: FaultName | None) -> None:
    if fault is FaultName.RESET:
        # Lingering for 0 s makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    elif fault is FaultName.GARBAGE:
        transport.write(b"\x15\x03\x01 this is not HTTP\r\n\r\n")
        transport.close()
    else:
        transport.abort()
