"""What goes wrong at the simulated CA, and by what source.

Some answer as the service, some as what stands before it: a CDN, a gateway, a company's proxy. Some
send bytes that no library lets through: the status line of these is whole, what follows is not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from batch_resend.simulator.answers import (
    BAD_REQUEST_CODE,
    HTML,
    NO_SUCH_ORDER,
    RATE_LIMITED,
    Answer,
    Known,
    Provenance,
    Source,
    error_body,
)

Item = Mapping[str, Any]
Spoil = Callable[[Item], Item]


def _with(name: str, make: Callable[[Any], object]) -> Spoil:
    """Return what gives a field of an order another value, made of the usual one."""
    return lambda item: {**item, name: make(item[name])}


def _with_names(make: Callable[[list[str]], object]) -> Spoil:
    return _with("certificate", _with("dns_names", make))


def _no_zone(date: str) -> str:
    return date.partition("+")[0].replace("T", " ")


def _empty(_: object) -> list[object]:
    return []


class Oddity(StrEnum):
    """What is odd about an order."""

    words: str
    spoil: Spoil  # returns a listed order made odd

    def __new__(cls, name: str, words: str = "", spoil: Spoil = dict) -> "Oddity":
        """Take how it looks; the defaults are for `Oddity(name)`, which never comes here."""
        oddity = str.__new__(cls, name)
        oddity._value_, oddity.words, oddity.spoil = name, words, spoil
        return oddity

    NO_DATE = "empty date_created", 'date_created: ""', _with("date_created", lambda _: "")
    ZERO_DATE = (
        "date of zeros",
        "0000-00-00 00:00:00",
        _with("date_created", lambda _: "0000-00-00 00:00:00"),
    )
    NO_ZONE = "date without zone", "2026-11-23 17:15:15", _with("date_created", _no_zone)
    NULL_NAMES = "names null", "dns_names: null", _with_names(lambda _: None)
    BLANK_NAME = "blank name", 'dns_names: [" "]', _with_names(lambda _: [" "])
    NULL_NAME = "null among names", "dns_names: [null, ..]", _with_names(lambda n: [None, *n])
    TEXT_NAMES = "names a text", 'dns_names: "a, b"', _with_names(", ".join)
    LIST_CERTIFICATE = (
        "certificate a list",
        "[] in place of an object",
        _with("certificate", _empty),
    )
    LIST_CONTAINER = "container a list", "[] in place of an object", _with("container", _empty)
    LIST_PRODUCT = "product a list", "[] in place of an object", _with("product", _empty)
    LETTERS = "id with letters", "WEB-100200301", _with("id", "WEB-{}".format)
    UNKNOWN_STATUS = (
        "unknown status",
        "a word that no page names",
        _with("status", lambda _: "awaiting_review"),
    )

    @property
    def provenance(self) -> Provenance:
        """Its line of the table."""
        source, where = Source.GUESSED, ""
        if self is Oddity.BLANK_NAME:
            source, where = Source.DOCUMENTED, "change log of May 2022"
        return Provenance(f"odd: {self}", self.words, source, where)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault does: it answers, sends bytes as they are, or breaks the connection."""

    words: str
    where: str = ""
    answer: Answer | None = None
    raw: bytes | None = None  # sent as they are; then the connection is closed
    mails: bool = False  # the CA has acted on the request before it fails
    resets: bool = False  # the connection ends by RST in place of FIN

    @property
    def source(self) -> Source:
        """What it rests on."""
        return Source.GUESSED if self.answer is None else self.answer.source

    @property
    def is_for_reads(self) -> bool:
        """Whether a read meets it as it is. Else a read finds its connection reset."""
        return self.answer is not None or (self.raw is not None and not self.mails)


def _error(words: str, status: int, code: str, message: str, where: str = "") -> Fault:
    """Return an error of the service: documented where it names a page, else guessed."""
    source = Source.DOCUMENTED if where else Source.GUESSED
    return Fault(words, where, Answer(status, source, error_body(code, message)))


def _page(
    words: str, status: int, html: str = "", headers: Mapping[str, str] = {}, where: str = ""
) -> Fault:
    """Return a page, or nothing, of what stands before the service; from 520 on it has mailed."""
    body = html.encode() or None
    answer = Answer(status, Source.GUESSED, body, HTML, headers, is_of_service=False)
    return Fault(words, where, answer, mails=status >= 520)


def _raw(words: str, status: str, *headers: str, body: bytes = b"") -> Fault:
    """Return a whole status line with something wrong behind it; a 204 has mailed."""
    head = "\r\n".join((f"HTTP/1.1 {status}", "Server: nginx", *headers, "", ""))
    return Fault(words, raw=head.encode() + body, mails=status.startswith("204"))


# Pages of what stands before the service: none is the CA's word. Their text is made up.
IINFO = "9-31415926-31415927 NNNN CT(0 0 0) RT(0 0) q(0 0)"
_INCIDENT = "992000010093141592-31415926535897"
_CDN = {"X-CDN": "Imperva", "X-Iinfo": IINFO}
_BAD_GATEWAY = "<html><body><h1>502 Bad Gateway</h1></body></html>\n"
_CDN_BLOCK = f"""<html style="height:100%"><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW">
</head><body style="margin:0px;height:100%"><iframe id="main-iframe"
src="/_Incapsula_Resource?incident_id={_INCIDENT}" width="100%">Request unsuccessful.
Incapsula incident ID: {_INCIDENT}</iframe></body></html>
"""


def _titled(title: str, heading: str, *text: str) -> str:
    paragraphs = "\n".join(f"<p>{one}</p>" for one in text)
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>\n"
        f"<h1>{heading}</h1>\n{paragraphs}</body></html>\n"
    )


_CDN_DENIED = _titled(
    "Access Denied",
    "Error 15",
    "This request was blocked by our security service.",
    f"Incident ID: {_INCIDENT}",
)
_PROXY_DENIED = _titled(
    "ERROR: The requested URL could not be retrieved",
    "ERROR",
    "Access Denied. Access control configuration prevents your request from being allowed at this "
    "time.",
    "Generated by proxy.example (squid/5.7)",
)
_NOT_ACCEPTABLE = _titled(
    "Not Acceptable!",
    "Not Acceptable!",
    "An appropriate representation of the requested resource could not be found on this server. "
    "This error was generated by Mod_Security.",
)
_MAINTENANCE = _titled("Scheduled maintenance", "Service is unavailable", "Please try again later.")
_UNKNOWN_ERROR = "Web server is returning an unknown error"
_A_TIMEOUT = "A timeout occurred"
_JSON_TYPE = "Content-Type: application/json; charset=utf-8"
_NO = "This order's mails cannot be sent."
_REFUSAL = error_body(BAD_REQUEST_CODE, _NO)


class FaultName(StrEnum):
    """A way to fail, by the name a user gives it. A seed deals them in this order."""

    does: Fault

    def __new__(cls, name: str, does: Fault | None = None) -> "FaultName":
        """Take what it does; None is for `FaultName(name)`, which never comes here."""
        member = str.__new__(cls, name)
        member._value_, member.does = name, does or Fault("")
        return member

    SERVER_ERROR = "500", _error(
        "the service's error; no source has its code",
        500, "internal_server_error", "Something went wrong.",
    )  # fmt: skip
    BAD_GATEWAY = "502", _page("a gateway's page; no mail", 502, _BAD_GATEWAY, {"Server": "nginx"})
    MAINTENANCE = (
        "503",
        Fault(
            "maintenance; only the status is documented",
            answer=Answer(
                503,
                Source.GUESSED,
                error_body("service_unavailable", "Service is unavailable"),
                headers={"Retry-After": "1"},
            ),
        ),
    )
    RATE_LIMITED = "429", Fault("though the limit is kept", "Rate limits", RATE_LIMITED)
    BAD_REQUEST = (
        "400",
        _error("bad_request_format, whatever the body", 400, BAD_REQUEST_CODE, _NO, "Errors"),
    )
    NO_SUCH_ORDER = "404", Fault("not_found|order", "Errors", NO_SUCH_ORDER)
    NO_PERMISSION = "403", _error(
        "access_denied|missing_permission",
        403, "access_denied|missing_permission", "The API key may not do this.", "Errors",
    )  # fmt: skip
    RESET = "reset", Fault("the connection is reset; no mail", resets=True)
    DROP = "drop", Fault("mails, then closes the connection", mails=True)
    HANG = "hang", Fault("mails, then never answers", mails=True)
    GARBAGE = (
        "garbage",
        Fault(
            "mails, then answers bytes that are not HTTP",
            raw=b"\x15\x03\x01 this is not HTTP\r\n\r\n",
            mails=True,
        ),
    )
    # Pages of what stands before the service.
    CDN_BLOCK = (
        "403-cdn",
        _page("the CDN's page, untitled", 403, _CDN_BLOCK, _CDN, "Imperva elsewhere"),
    )
    CDN_DENIED = (
        "403-denied",
        _page("the CDN's page: Access Denied", 403, _CDN_DENIED, _CDN, "Imperva elsewhere"),
    )
    CDN_WAIT = (
        "403-wait",
        _page("the same page with Retry-After: 2", 403, _CDN_DENIED, {**_CDN, "Retry-After": "2"}),
    )
    EMPTY_DENIED = "403-empty", _page("no body at all", 403)
    PROXY_DENIED = "403-proxy", _page(
        "a proxy's page", 403, _PROXY_DENIED,
        {"Server": "squid/5.7", "X-Squid-Error": "ERR_ACCESS_DENIED 0"}, "Squid elsewhere",
    )  # fmt: skip
    PROXY_NOT_ACCEPTABLE = (
        "406-proxy",
        _page(
            "a filter's page", 406, _NOT_ACCEPTABLE, {"Server": "Apache"}, "ModSecurity elsewhere"
        ),
    )
    MAINTENANCE_PAGE = (
        "503-page",
        _page("maintenance as a page, without Retry-After", 503, _MAINTENANCE, {"Server": "nginx"}),
    )
    UNKNOWN_ERROR = "520", _page(
        "mails; a gateway made nothing of the answer",
        520, _titled(f"520: {_UNKNOWN_ERROR}", _UNKNOWN_ERROR),
    )  # fmt: skip
    TIMED_OUT = "524", _page(
        "mails; a gateway waited in vain for the answer",
        524, _titled(f"524: {_A_TIMEOUT}", _A_TIMEOUT),
    )  # fmt: skip
    READ_TIMED_OUT = "598", _page("mails; a proxy waited in vain; no body", 598)
    # The service's own, in an unusual form.
    SUCCESS_WITH_ERRORS = "200-errors", _error(
        "a success that carries errors; no mail",
        200, "internal_error", "The mails could not be sent.",
    )  # fmt: skip
    ERRORS_AS_OBJECT = (
        "400-object",
        Fault(
            "`errors` as one object",
            "an old fixture",
            Answer(
                400, Source.RECORDED, b'{"errors":{"code":"bad_request_format","message":"No."}}'
            ),
        ),
    )
    # A whole status line, and something wrong behind it.
    BODY_BEHIND_204 = "204-body", _raw(
        "mails; a body behind it",
        "204 No Content", _JSON_TYPE, "Content-Length: 17", body=b'{"status":"sent"}',
    )  # fmt: skip
    CHUNK_BEHIND_204 = "204-chunk", _raw(
        "mails; a chunk behind it",
        "204 No Content", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n",
    )  # fmt: skip
    LENGTH_OF_204 = (
        "204-length",
        _raw("mails; a Content-Length of 64, and no body", "204 No Content", "Content-Length: 64"),
    )
    LONG_HEADER = (
        "204-header",
        _raw("mails; a header of 9 KB", "204 No Content", f"Set-Cookie: visid_incap={'x' * 9_216}"),
    )
    MANY_HEADERS = (
        "204-headers",
        _raw("mails; 150 headers", "204 No Content", *(f"X-Header-{n}: 1" for n in range(150))),
    )
    BAD_HEADER_NAME = (
        "204-name",
        _raw("mails; a header name no standard allows", "204 No Content", "X-CDN (1): Imperva"),
    )
    LENGTH_TOO_LONG = "400-long", _raw(
        "an error, shorter than its Content-Length",
        "400 Bad Request", _JSON_TYPE, f"Content-Length: {len(_REFUSAL) + 64}", body=_REFUSAL,
    )  # fmt: skip
    LENGTH_TOO_SHORT = "400-short", _raw(
        "an error, longer than its Content-Length",
        "400 Bad Request", _JSON_TYPE, "Content-Length: 10", body=_REFUSAL,
    )  # fmt: skip
    UNREADABLE_ENCODING = "429-encoded", _raw(
        "a Content-Encoding that nobody can read",
        "429 Too Many Requests", _JSON_TYPE, "Content-Encoding: br", "Content-Length: 8",
        body=b"\xff\x00" * 4,
    )  # fmt: skip

    @property
    def provenance(self) -> Provenance:
        """Its line of the table."""
        fault = self.does
        return Provenance(f"--fail {self}", fault.words, fault.source, fault.where)


def all_sources() -> Mapping[Source, Sequence[Provenance]]:
    """Return every answer, fault and oddity of the simulator, by what it rests on."""
    every = [
        *(known.value for known in Known),
        *(fault.provenance for fault in FaultName),
        *(oddity.provenance for oddity in Oddity),
    ]
    return {source: [each for each in every if each.source is source] for source in Source}
