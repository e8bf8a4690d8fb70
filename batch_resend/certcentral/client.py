"""One call to the CA: "Resend order DCV emails" (dev.digicert.com).

    PUT {base}/order/certificate/{order_id}/resend-emails

A call that fails is a value, a `Fault`, not an exception.
"""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from urllib.parse import quote

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from pydantic import SecretStr
from yarl import URL

from batch_resend.model import Entry, Fault, FaultKind, Order, Reply
from batch_resend.version import __version__

USER_AGENT = f"batch-resend/{__version__}"
KEY_SHOWN = "[API key]"
MAX_BODY_BYTES = 16 * 1024  # of an answer; the CA's are empty or a few hundred bytes


class _Broken(aiohttp.ClientError):
    """A connection broke. Not one of the errors on which aiohttp sends a PUT once more."""


async def _never_send_twice(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stop aiohttp from re-sending by itself.

    It sends an idempotent request again when a connection breaks under it, and has no public
    switch for that. Errors of connecting pass: those requests never left.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except aiohttp.ServerDisconnectedError as error:
        # Its own text is the inside of a half-read answer.
        raise _Broken("the server closed it") from error
    except aiohttp.ClientOSError as error:
        raise _Broken(error.strerror or type(error).__name__) from error


class _Connector(aiohttp.TCPConnector):
    """Takes no connection on which something has come that nobody asked for.

    aiohttp would take it for the answer to the next request.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> Connection:
        """Return a connection that is new, or has been silent since its last answer."""
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


@dataclass(frozen=True, slots=True)
class CertCentral:
    """The CA, reached through one session. Made by `open_certcentral`."""

    session: aiohttp.ClientSession
    base_url: str
    api_key: SecretStr
    timeout_s: float
    clock: Callable[[], float]

    async def resend(self, order: Order) -> Reply | Fault:
        """Ask the CA to mail an order again: one request, whatever happens to it.

        A server that repeats the API key does not bring it into what is returned.
        """
        return _without_key(await self._call(order), self.api_key.get_secret_value())

    async def _call(self, order: Order) -> Reply | Fault:
        url = URL(self.base_url + request_path(order), encoded=True)
        exchange = _Exchange()
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self.session.put(
                    url, data=request_body(order), allow_redirects=False, trace_request_ctx=exchange
                ) as response,
            ):
                exchange.reply = Reply(
                    status=response.status,
                    body=b"",
                    received_at=self.clock(),
                    retry_after=response.headers.get("Retry-After"),
                    location=response.headers.get("Location"),
                )
                return replace(exchange.reply, body=await _bounded_body(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A body that breaks off takes nothing away from the status that has come.
            return exchange.reply or classify(error, connected=exchange.connected)


@dataclass(slots=True)
class _Exchange:
    """How far a call has come."""

    connected: bool = False
    reply: Reply | None = None


def _without_key(result: Reply | Fault, key: str) -> Reply | Fault:
    if isinstance(result, Fault):
        return replace(result, detail=result.detail.replace(key, KEY_SHOWN))
    body = result.body.replace(key.encode(), KEY_SHOWN.encode())
    if len(result.body) >= MAX_BODY_BYTES:  # the bound may have cut one in two
        for length in range(len(key) - 1, 0, -1):
            body = body.removesuffix(key[:length].encode())
    location = result.location and result.location.replace(key, KEY_SHOWN)
    retry_after = result.retry_after and result.retry_after.replace(key, KEY_SHOWN)
    return replace(result, body=body, location=location, retry_after=retry_after)


def classify(error: Exception, *, connected: bool) -> Fault:
    """Return the fault that an exception of a call stands for.

    Without a connection nothing was sent; with one, something may have been, and arrived.
    """
    detail = str(error) or type(error).__name__
    if connected:
        return _broken_off(error, detail)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        unknown = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
        return Fault(FaultKind.NO_SUCH_HOST if unknown else FaultKind.NOT_CONNECTED, detail)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Fault(FaultKind.TLS_REFUSED, detail)
    timed_out = isinstance(error, TimeoutError)
    return Fault(FaultKind.NOT_CONNECTED, "no connection in time" if timed_out else detail)


def _broken_off(error: Exception, detail: str) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault(FaultKind.TIMED_OUT, "no answer in time")
    if isinstance(error, aiohttp.ClientResponseError):
        # Raised for bytes that are no HTTP answer; whatever status it claims, the CA sent none.
        return Fault(FaultKind.GARBLED, f"the answer is not HTTP: {error.message}")
    return Fault(FaultKind.LOST, f"the connection broke: {detail}")


def request_path(order: Order) -> str:
    """Return where the call goes, below the base URL."""
    return f"/order/certificate/{quote(order.order_id, safe='')}/resend-emails"


def request_body(order: Order) -> bytes:
    """Return the body of the call. Without entries the CA mails all domains that still wait."""
    body: dict[str, object] = {}
    if order.entries:
        body["domain_approval_emails"] = [_entry_object(entry) for entry in order.entries]
    if order.locale is not None:
        body["locale"] = order.locale
    return json.dumps(body, separators=(",", ":")).encode()


def _entry_object(entry: Entry) -> dict[str, str]:
    described = {"domain": entry.domain, "email": entry.email}
    if entry.email_domain is not None:
        described["email_domain"] = entry.email_domain
    return described


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer's body to its bound; a connection with more to say is not used again."""
    body = b""
    while len(body) < MAX_BODY_BYTES:
        part = await response.content.read(MAX_BODY_BYTES - len(body))
        if not part:
            return body
        body += part
    response.close()
    return body


@asynccontextmanager
async def open_certcentral(
    base_url: str,
    api_key: SecretStr,
    timeout_s: float,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[CertCentral]:
    """Open a session with the CA. Certificates are verified, redirects are not followed.

    How many requests are in flight is the caller's to bound; the session has no bound of its own,
    so that no request waits, its time running, for a connection.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(_note_connection)
    tracing.on_connection_reuseconn.append(_note_connection)
    async with aiohttp.ClientSession(
        connector=_Connector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),  # `resend` has a deadline around all of it
        headers={
            "X-DC-DEVKEY": api_key.get_secret_value(),
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        },
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[tracing],
        middlewares=(_never_send_twice,),
    ) as session:
        yield CertCentral(session, base_url, api_key, timeout_s, clock)


async def _note_connection(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
) -> None:
    context.trace_request_ctx.connected = True
