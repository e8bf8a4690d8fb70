"""The simulator: how it is set to behave, and the contract of its calls, over HTTP on loopback."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import accumulate
from math import fsum, isfinite
from typing import Self, cast

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import from_json

from batch_resend.calls import CALLS
from batch_resend.certcentral.contract import MailBody, read_body
from batch_resend.clock import parse_duration
from batch_resend.model import Call
from batch_resend.settings import is_loopback
from batch_resend.simulator import answers
from batch_resend.simulator.answers import Answer, Known
from batch_resend.simulator.calls import BASE_PATH, Asked, answer_read, asked_call
from batch_resend.simulator.faults import IINFO, Fault, FaultName
from batch_resend.simulator.world import DAY_S, Books, World, recipients
from batch_resend.windows import CA_WINDOWS, Window

# Of the recordings of 2023; what stands in them is made up.
_OF_THE_SERVICE = {"Server": "nginx", "X-CDN": "Imperva", "X-Iinfo": IINFO}
_MAX_BODY = 1024 * 1024  # bytes
# What waits at the stop is cancelled; this bounds what aiohttp may still add on its own.
_SHUTDOWN_TIMEOUT_S = 0.1
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """How the simulator behaves. Raises ValueError where that makes no sense."""

    host: str = "127.0.0.1"  # loopback only
    port: int = 0  # 0: any free one
    windows: tuple[Window, ...] = CA_WINDOWS
    api_key: str | None = None  # None: any key will do, as long as there is one
    revoke_after: int | None = None  # requests; every later one finds the key revoked
    unknown_orders: frozenset[str] = frozenset()  # answered 404 not_found|order
    latency_s: tuple[float, float] = (0.0, 0.0)  # from, to; evenly spread between
    faults: Mapping[FaultName, float] = field(default_factory=dict)  # a share of 0..1 each
    seed: int = 0
    keep_bodies: bool = False  # keep what was asked for every order, for tests
    orders: int = 0  # that wait in its world from the beginning
    odd_orders: int = 0  # more of them, each of which is shown oddly
    approve: float = 0.0  # the share of mails by which their order is approved within a day

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ValueError(
                f"{self.host!r} is not a loopback address: use 127.0.0.1, ::1 or localhost"
            )
        low, high = self.latency_s
        if not (0 <= low <= high and isfinite(high)):
            raise ValueError(f"a latency of {low:g} to {high:g} s makes no sense")
        if self.revoke_after is not None and self.revoke_after < 0:
            raise ValueError(f"a key revoked after {self.revoke_after} requests makes no sense")
        if not 0 <= self.approve <= 1:
            raise ValueError("the share of approvals lies between 0 and 1")
        shares = self.faults.values()
        # What is meant to be 1 in all may come out above it by a rounding.
        if not all(0 <= share <= 1 for share in shares) or fsum(shares) > 1 + 1e-9:
            raise ValueError("the shares of faults lie between 0 and 1, and so does their sum")


def parse_latency(text: str) -> tuple[float, float]:
    """Return the seconds, from and to, of `50ms`, `10-300ms` or `0.1s-2s`. Raises ValueError."""
    first, dash, second = (part.strip() for part in text.partition("-"))
    if not dash:
        second = first
    unit = second.lstrip("0123456789. ")
    try:
        high = parse_duration(second)
        # In `10-300ms` the unit stands for both.
        low = parse_duration(first if first[-1:].isalpha() else first + unit)
    except ValueError:
        low, high = 1.0, 0.0
    if low > high:
        raise ValueError(f"{text!r} is not a latency: write 50ms, 10-300ms or 0.1s-2s")
    return low, high


def parse_fault(text: str) -> tuple[FaultName, float]:
    """Return the fault and its share, 0..1, of `500=0.05` or `drop=5%`. Raises ValueError."""
    name, _, amount = (part.strip() for part in text.partition("="))
    try:
        return FaultName(name), parse_share(amount)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a fault: write NAME=SHARE, as 500=0.05 or drop=5%,"
            f" where NAME is one of {', '.join(FaultName)}"
        ) from None


_SHARES = {"none": "0%", "all": "100%"}


def parse_share(text: str) -> float:
    """Return the share, 0..1, of `0.05`, `5%`, `none` or `all`. Raises ValueError."""
    text = _SHARES.get(text.strip().lower(), text)
    number = text.removesuffix("%")
    try:
        share = float(number) / (1 if number == text else 100)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not a share: write 30%, 0.3, none or all")
    return share


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become of one request."""

    latency_s: float
    fault: FaultName | None


class Fates:
    """Deals a fate to every request, the same whatever the concurrency.

    The fate of an order's k-th request depends on nothing but the seed, the order and k; requests
    refused before they come this far (429 of a window, a wrong key, 400) do not count.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._low, self._high = settings.latency_s
        # In the order of the names: how the shares were listed must not matter.
        named = [(name, settings.faults[name]) for name in FaultName if name in settings.faults]
        bounds = accumulate(share for _, share in named)
        self._bounds = [(bound, name) for bound, (name, _) in zip(bounds, named, strict=True)]
        self._dealt: dict[str, int] = {}

    def deal(self, order_id: str) -> Fate:
        """Return the fate of the order's next request."""
        turn = self._dealt[order_id] = self._dealt.get(order_id, 0) + 1
        digest = blake2b(f"{self._seed}/{turn}/{order_id}".encode(), digest_size=14).digest()
        # Seven bytes each: 53 bits and a few fit a float without ever rounding up to 1.
        slowness = (int.from_bytes(digest[:7]) >> 3) / 2**53
        luck = (int.from_bytes(digest[7:]) >> 3) / 2**53
        return Fate(
            latency_s=self._low + (self._high - self._low) * slowness,
            fault=next((name for bound, name in self._bounds if luck < bound), None),
        )


class Simulator:
    """A local CertCentral: `async with Simulator(settings) as simulator: simulator.base_url`.

    What it was sent stands in `books`, and as JSON at `GET /` of its address; every request but
    that one counts in the windows. Checks come in this order: windows (429), address (404), key
    (403), form and body (400), order (404), fault, and else 204. The last three come after the
    latency. Once the key is revoked, that is the answer to everything. Entering raises OSError
    where the port cannot be had.

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
        self.world = World(self.settings.seed, self.settings.approve)
        self.world.populate(self.settings.orders)
        self.world.populate_oddly(self.settings.odd_orders)
        self._fates = Fates(self.settings)
        self._clock = clock
        self._sleep = sleep
        self._waiting: set[asyncio.Task[object]] = set()
        self._runner: web.ServerRunner | None = None
        self._origin = ""

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL: `http://127.0.0.1:PORT/services/v2`."""
        return self.books_url.removesuffix("/") + BASE_PATH

    @property
    def books_url(self) -> str:
        """Where the books can be read: `http://127.0.0.1:PORT/`."""
        if not self._origin:
            raise RuntimeError("the simulator has no address before it is entered")
        return self._origin

    def fail(self, faults: Mapping[FaultName, float]) -> None:
        """Fail another share of requests from now on."""
        self._fates = Fates(replace(self.settings, faults=faults))

    def pass_day(self) -> None:
        """Let a day go by: orders age, some are approved, and a tenth as many come."""
        self.world.ahead_s += DAY_S
        self.world.populate(self.settings.orders // 10, oldest_days=1.0)

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

    async def __aexit__(self, *_: object) -> None:
        # aiohttp does not cancel a handler whose client has gone, so this is ours to do.
        for task in self._waiting:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET" and request.raw_path == "/":
            return web.json_response(self.books.snapshot())
        asked = asked_call(request.method, request.raw_path)
        refusal = self._refuses(request, asked)
        if asked is None or refusal is not None:
            return self._send(refusal or answers.NO_SUCH_ADDRESS)
        call = asked.call.mails
        if call is None:
            return await self._read(request, asked)
        body = await self._body(request, call, asked.subject)
        if isinstance(body, str):
            self._is_wrong(request, body)
            return self._send(answers.error(Known.BAD_REQUEST, 400, answers.BAD_REQUEST_CODE, body))
        return await self._mail(request, asked, call, body)

    def _refuses(self, request: web.BaseRequest, asked: Asked | None) -> Answer | None:
        """Count a request; return what keeps it out before it is looked at. None: nothing does."""
        key = request.headers.get("X-DC-DEVKEY", "")
        is_read = asked is not None and asked.call.mails is None
        is_within = self.books.arrive(
            self._clock() + self.world.ahead_s,
            None if asked is None or is_read else asked.subject,
            key,
        )
        if asked is not None and is_read:
            self.books.reads_of[asked.call.name] += 1
        after, wanted = self.settings.revoke_after, self.settings.api_key
        if after is not None and self.books.requests > after:
            return answers.WRONG_KEY
        if not is_within:
            return answers.RATE_LIMITED
        if asked is None:
            self._is_wrong(request, "no call of the contract")
            return answers.NO_SUCH_ADDRESS
        takes_key = bool(key) if wanted is None else key == wanted
        return None if takes_key else answers.WRONG_KEY

    async def _read(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        """Answer a call that only reads, from the simulator's world."""
        fate = await self._meet_fate(request.raw_path)
        answer = self._lacks(asked)
        if answer is None and fate.fault is not None:
            # A fault that comes after the mails has no meaning for a read: its connection breaks.
            does = fate.fault.does if fate.fault.does.is_for_reads else FaultName.RESET.does
            return await self._fail(request, fate, does)
        if answer is None:
            query = tuple(request.query.items())
            answer = answer_read(asked.call, self.world, asked.subject, query)
        return self._send(answer, fate.latency_s)

    async def _mail(
        self, request: web.BaseRequest, asked: Asked, call: Call, body: MailBody
    ) -> web.StreamResponse:
        """Do what the CA does with a well-formed request, after its latency.

        Without cancellation by aiohttp (its default), a client that goes away changes nothing.
        """
        subject = asked.subject
        fate = await self._meet_fate(subject)
        answer = self._lacks(asked)
        if CALLS[call].is_for_dv and not self.world.is_dv(subject):
            answer = answer or answers.NOT_DV
        if answer is not None:
            return self._send(answer, fate.latency_s)
        if fate.fault is None or fate.fault.does.mails:
            self.books.mail(subject, recipients(self.world, call, subject, body))
            if not asked.call.is_about_domain:
                self.world.mail(subject)
        if fate.fault is None:
            return self._send(answers.DONE, fate.latency_s)
        return await self._fail(request, fate, fate.fault.does)

    async def _meet_fate(self, of: str) -> Fate:
        """Return the fate of a request, after its latency."""
        fate = self._fates.deal(of)
        if fate.latency_s > 0:
            await self._wait(self._sleep(fate.latency_s))
        return fate

    def _lacks(self, asked: Asked) -> Answer | None:
        """Return what is answered about what the simulator is set not to have."""
        if asked.subject not in self.settings.unknown_orders:
            return None
        return answers.NO_SUCH_DOMAIN if asked.call.is_about_domain else answers.NO_SUCH_ORDER

    async def _body(self, request: web.BaseRequest, call: Call, subject: str) -> MailBody | str:
        """Return what a request asks for, or in words what is wrong with its form or body."""
        if reason := _wrong_with_headers(request):
            return reason
        try:
            # Before any waiting: once the client has gone, aiohttp withholds even what has come.
            sent = await request.read()
            body = read_body(call, sent)
        except OSError:
            return "the connection broke within the body"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return f"body: {'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}"
        if self.settings.keep_bodies:
            self.books.bodies.setdefault(subject, []).append(from_json(sent))
        return body

    def _is_wrong(self, request: web.BaseRequest, reason: str) -> None:
        self.books.wrong(request.method, request.raw_path, reason)

    async def _fail(self, request: web.BaseRequest, fate: Fate, fault: Fault) -> web.Response:
        """Answer as a fault says, or send its bytes, if it has any, and end the connection."""
        if fault.answer is not None:
            return self._send(fault.answer, fate.latency_s)
        self.books.answer(str(fate.fault), fault.source)
        if fault is FaultName.HANG.does:
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

    def _send(self, answer: Answer, latency_s: float = 0.0) -> web.Response:
        self.books.answer(str(answer.status), answer.source)
        # Where nothing is said of the server, aiohttp would name itself.
        headers = {"Server": "proxy"}
        if answer.is_of_service:
            passed_ms = str(round(latency_s * 1000))
            headers = _OF_THE_SERVICE | {"X-Envoy-Upstream-Service-Time": passed_ms}
        headers |= answer.headers
        if answer.body is None:
            return web.Response(status=answer.status, headers=headers)
        headers["Content-Type"] = answer.content_type
        return web.Response(status=answer.status, body=answer.body, headers=headers)


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


def _break_off(transport: asyncio.Transport, fault: Fault) -> None:
    if fault.resets:
        # Lingering for 0 s makes the kernel send RST in place of FIN.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if fault.raw is None:
        transport.abort()
    else:
        transport.write(fault.raw)
        transport.close()
