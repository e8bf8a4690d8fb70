"""What aiohttp does unasked, undone; and what its errors say of a request's way."""

import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from batch_resend.model import Fault, FaultKind


class _Broken(aiohttp.ClientError):
    """A connection broke. Not one of the errors on which aiohttp sends a PUT once more."""


@dataclass(slots=True)
class Exchange:
    """How far the call that a task makes has come.

    aiohttp's own tracing would tell as well, and cost a tenth of a request.
    """

    connected: bool = False

    @classmethod
    def begin(cls) -> "Exchange":
        """Return a new one, which is told from now on what becomes of this task's call."""
        exchange = cls()
        _EXCHANGE.set(exchange)
        return exchange


_EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


async def never_send_twice(
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
    except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
        raise _Broken(error.strerror or type(error).__name__) from error


class SilentConnector(aiohttp.TCPConnector):
    """Takes no connection on which something has come that nobody asked for.

    aiohttp would take it for the answer to the next request.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - it overrides aiohttp's
    ) -> Connection:
        """Return a connection that is new, or has been silent since its last answer."""
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        _EXCHANGE.get().connected = True
        return connection


def classify(error: Exception, *, connected: bool) -> Fault:
    """Return the fault that an exception of a call stands for.

    Without a connection nothing was sent; with one, something may have been, and arrived.
    """
    detail = _told(error)
    if connected:
        return _broken_off(error, detail)
    if isinstance(
        error, aiohttp.ClientProxyConnectionError | aiohttp.ClientResponseError | _Broken
    ):
        return Fault(FaultKind.PROXY_REFUSED, _said_of_proxy(error, detail))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        unknown = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
        return Fault(FaultKind.NO_SUCH_HOST if unknown else FaultKind.NOT_CONNECTED, detail)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Fault(FaultKind.TLS_REFUSED, detail)
    timed_out = isinstance(error, TimeoutError)
    return Fault(FaultKind.NOT_CONNECTED, "no connection in time" if timed_out else detail)


def _said_of_proxy(error: Exception, detail: str) -> str:
    """Return what a proxy did: without a connection to the CA only it can answer, or break off.

    Not the whole text of a bad answer, which has the proxy's URL and so the password in it.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy says {error.status} {error.message}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the proxy's answer is not HTTP: {error.message}"
    reached = not isinstance(error, aiohttp.ClientProxyConnectionError)
    return f"the proxy {'broke off' if reached else 'cannot be reached'}: {detail}"


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.strerror is None:
        # Closed within the TLS handshake; its own text says "None".
        return f"Cannot connect to host {error.host}:{error.port} [it closed the connection]"
    return str(error) or type(error).__name__


def _broken_off(error: Exception, detail: str) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault(FaultKind.TIMED_OUT, "no answer in time")
    if isinstance(error, aiohttp.ClientResponseError):
        # Raised for bytes that are no HTTP answer; whatever status it claims, the CA sent none.
        return Fault(FaultKind.GARBLED, f"the answer is not HTTP: {error.message}")
    return Fault(FaultKind.LOST, f"the connection broke: {detail}")
