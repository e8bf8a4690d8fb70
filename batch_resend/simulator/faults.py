"""What goes wrong at the simulated CA, and by what source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from batch_resend.simulator import pages
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

Item = dict[str, Any]


class Oddity(StrEnum):
    """What is odd about an order."""

    NO_DATE = "empty date_created"
    ZERO_DATE = "date of zeros"
    NO_ZONE = "date without zone"
    NULL_NAMES = "names null"
    BLANK_NAME = "blank name"
    NULL_NAME = "null among names"
    TEXT_NAMES = "names a text"
    LIST_CERTIFICATE = "certificate a list"
    LIST_CONTAINER = "container a list"
    LIST_PRODUCT = "product a list"
    LETTERS = "id with letters"
    UNKNOWN_STATUS = "unknown status"


def _date(value: str) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item["date_created"] = value

    return spoil


def _no_zone(item: Item) -> None:
    item["date_created"] = item["date_created"].partition("+")[0].replace("T", " ")


def _names(value: Callable[[list[str]], object]) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item["certificate"]["dns_names"] = value(item["certificate"]["dns_names"])

    return spoil


def _list(field: str) -> Callable[[Item], None]:
    def spoil(item: Item) -> None:
        item[field] = []

    return spoil


def _letters(item: Item) -> None:
    item["id"] = f"WEB-{item['id']}"


def _unknown_status(item: Item) -> None:
    item["status"] = "awaiting_review"


_SPOILING: Mapping[Oddity, tuple[str, Callable[[Item], None]]] = {
    Oddity.NO_DATE: ('date_created: ""', _date("")),
    Oddity.ZERO_DATE: ("0000-00-00 00:00:00", _date("0000-00-00 00:00:00")),
    Oddity.NO_ZONE: ("2026-11-23 17:15:15", _no_zone),
    Oddity.NULL_NAMES: ("dns_names: null", _names(lambda _: None)),
    Oddity.BLANK_NAME: ('dns_names: [" "]', _names(lambda _: [" "])),
    Oddity.NULL_NAME: ("dns_names: [null, ..]", _names(lambda names: [None, *names])),
    Oddity.TEXT_NAMES: ('dns_names: "a, b"', _names(", ".join)),
    Oddity.LIST_CERTIFICATE: ("[] in place of an object", _list("certificate")),
    Oddity.LIST_CONTAINER: ("[] in place of an object", _list("container")),
    Oddity.LIST_PRODUCT: ("[] in place of an object", _list("product")),
    Oddity.LETTERS: ("WEB-100200301", _letters),
    Oddity.UNKNOWN_STATUS: ("a word that no page names", _unknown_status),
}
_SOURCES = {Oddity.BLANK_NAME: (Source.DOCUMENTED, "change log of May 2022")}


def spoil(oddity: Oddity, item: Item) -> None:
    """Make an order odd, in its place."""
    _SPOILING[oddity][1](item)


def provenance(oddity: Oddity) -> Provenance:
    """Return an oddity's line of the table."""
    source, where = _SOURCES.get(oddity, (Source.GUESSED, ""))
    return Provenance(f"odd: {oddity}", _SPOILING[oddity][0], source, where)


class FaultName(StrEnum):
    """A way to fail, by the name a user gives it. `FAULTS` says what each does."""

    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    MAINTENANCE = "503"
    RATE_LIMITED = "429"
    BAD_REQUEST = "400"
    NO_SUCH_ORDER = "404"
    NO_PERMISSION = "403"
    RESET = "reset"
    DROP = "drop"
    HANG = "hang"
    GARBAGE = "garbage"
    # Pages of what stands before the service.
    CDN_BLOCK = "403-cdn"
    CDN_DENIED = "403-denied"
    CDN_WAIT = "403-wait"
    EMPTY_DENIED = "403-empty"
    PROXY_DENIED = "403-proxy"
    PROXY_NOT_ACCEPTABLE = "406-proxy"
    MAINTENANCE_PAGE = "503-page"
    UNKNOWN_ERROR = "520"
    TIMED_OUT = "524"
    READ_TIMED_OUT = "598"
    # The service's own, in an unusual form.
    SUCCESS_WITH_ERRORS = "200-errors"
    ERRORS_AS_OBJECT = "400-object"
    # A whole status line, and something wrong behind it.
    BODY_BEHIND_204 = "204-body"
    CHUNK_BEHIND_204 = "204-chunk"
    LENGTH_OF_204 = "204-length"
    LONG_HEADER = "204-header"
    MANY_HEADERS = "204-headers"
    BAD_HEADER_NAME = "204-name"
    LENGTH_TOO_LONG = "400-long"
    LENGTH_TOO_SHORT = "400-short"
    UNREADABLE_ENCODING = "429-encoded"

    @property
    def mails(self) -> bool:
        """Whether the CA has acted on the request before it fails."""
        return FAULTS[self].mails


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault does: it answers, sends bytes as they are, or breaks the connection."""

    words: str
    source: Source = Source.GUESSED
    where: str = ""
    answer: Answer | None = None
    raw: bytes | None = None  # sent as they are; then the connection is closed
    mails: bool = False  # the mails are sent before it fails
    resets: bool = False  # the connection ends by RST in place of FIN

    @property
    def is_for_reads(self) -> bool:
        """Whether a read meets it as it is. Else a read finds its connection reset."""
        return self.answer is not None or (self.raw is not None and not self.mails)

    def provenance(self, name: str) -> Provenance:
        """Return its line of the table, under a name."""
        return Provenance(name, self.words, self.source, self.where)


def _json(status: int, code: str, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, Source.GUESSED, error_body(code, message), headers=named)


def _page(status: int, html: str, **headers: str) -> Answer:
    """Return a page of something that stands before the service."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, Source.GUESSED, html.encode(), HTML, named, is_of_service=False)


def _raw(status: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Server: nginx", *headers, "", "")).encode() + body


_JSON_TYPE = "Content-Type: application/json; charset=utf-8"
_REFUSAL = error_body(BAD_REQUEST_CODE, "This order's mails cannot be sent.")
_ERRORS = "Errors"

_FAULTS: Mapping[FaultName, Fault] = {
    FaultName.SERVER_ERROR: Fault(
        "the service's error; no source has its code",
        answer=_json(500, "internal_server_error", "Something went wrong."),
    ),
    FaultName.BAD_GATEWAY: Fault(
        "a gateway's page; no mail", answer=_page(502, pages.BAD_GATEWAY, Server="nginx")
    ),
    FaultName.MAINTENANCE: Fault(
        "maintenance; only the status is documented",
        answer=_json(503, "service_unavailable", "Service is unavailable", Retry_After="1"),
    ),
    FaultName.RATE_LIMITED: Fault(
        "though the limit is kept",
        Source.DOCUMENTED,
        "Rate limits",
        RATE_LIMITED,
    ),
    FaultName.BAD_REQUEST: Fault(
        "bad_request_format, whatever the body",
        Source.DOCUMENTED,
        _ERRORS,
        _json(400, BAD_REQUEST_CODE, "This order's mails cannot be sent."),
    ),
    FaultName.NO_SUCH_ORDER: Fault("not_found|order", Source.DOCUMENTED, _ERRORS, NO_SUCH_ORDER),
    FaultName.NO_PERMISSION: Fault(
        "access_denied|missing_permission",
        Source.DOCUMENTED,
        _ERRORS,
        _json(403, "access_denied|missing_permission", "The API key may not do this."),
    ),
    FaultName.RESET: Fault("the connection is reset; no mail", resets=True),
    FaultName.DROP: Fault("mails, then closes the connection", mails=True),
    FaultName.HANG: Fault("mails, then never answers", mails=True),
    FaultName.GARBAGE: Fault(
        "mails, then answers bytes that are not HTTP",
        raw=b"\x15\x03\x01 this is not HTTP\r\n\r\n",
        mails=True,
    ),
    FaultName.CDN_BLOCK: Fault(
        "the CDN's page, untitled",
        where="Imperva elsewhere",
        answer=_page(403, pages.CDN_BLOCK, X_CDN="Imperva", X_Iinfo=pages.IINFO),
    ),
    FaultName.CDN_DENIED: Fault(
        "the CDN's page: Access Denied",
        where="Imperva elsewhere",
        answer=_page(403, pages.CDN_DENIED, X_CDN="Imperva", X_Iinfo=pages.IINFO),
    ),
    FaultName.CDN_WAIT: Fault(
        "the same page with Retry-After: 2",
        answer=_page(403, pages.CDN_DENIED, X_CDN="Imperva", X_Iinfo=pages.IINFO, Retry_After="2"),
    ),
    FaultName.EMPTY_DENIED: Fault(
        "no body at all", answer=Answer(403, Source.GUESSED, is_of_service=False)
    ),
    FaultName.PROXY_DENIED: Fault(
        "a proxy's page",
        where="Squid elsewhere",
        answer=_page(
            403, pages.PROXY_DENIED, Server="squid/5.7", X_Squid_Error="ERR_ACCESS_DENIED 0"
        ),
    ),
    FaultName.PROXY_NOT_ACCEPTABLE: Fault(
        "a filter's page",
        where="ModSecurity elsewhere",
        answer=_page(406, pages.NOT_ACCEPTABLE, Server="Apache"),
    ),
    FaultName.MAINTENANCE_PAGE: Fault(
        "maintenance as a page, without Retry-After",
        answer=_page(503, pages.MAINTENANCE, Server="nginx"),
    ),
    FaultName.UNKNOWN_ERROR: Fault(
        "mails; a gateway made nothing of the answer",
        answer=_page(520, pages.UNKNOWN_ERROR),
        mails=True,
    ),
    FaultName.TIMED_OUT: Fault(
        "mails; a gateway waited in vain for the answer",
        answer=_page(524, pages.TIMED_OUT),
        mails=True,
    ),
    FaultName.READ_TIMED_OUT: Fault(
        "mails; a proxy waited in vain; no body",
        answer=Answer(598, Source.GUESSED, is_of_service=False),
        mails=True,
    ),
    FaultName.SUCCESS_WITH_ERRORS: Fault(
        "a success that carries errors; no mail",
        answer=_json(200, "internal_error", "The mails could not be sent."),
    ),
    FaultName.ERRORS_AS_OBJECT: Fault(
        "`errors` as one object",
        Source.RECORDED,
        "an old fixture",
        Answer(400, Source.RECORDED, b'{"errors":{"code":"bad_request_format","message":"No."}}'),
    ),
    FaultName.BODY_BEHIND_204: Fault(
        "mails; a body behind it",
        raw=_raw("204 No Content", _JSON_TYPE, "Content-Length: 17", body=b'{"status":"sent"}'),
        mails=True,
    ),
    FaultName.CHUNK_BEHIND_204: Fault(
        "mails; a chunk behind it",
        raw=_raw("204 No Content", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
        mails=True,
    ),
    FaultName.LENGTH_OF_204: Fault(
        "mails; a Content-Length of 64, and no body",
        raw=_raw("204 No Content", "Content-Length: 64"),
        mails=True,
    ),
    FaultName.LONG_HEADER: Fault(
        "mails; a header of 9 KB",
        raw=_raw("204 No Content", f"Set-Cookie: visid_incap={'x' * 9_216}"),
        mails=True,
    ),
    FaultName.MANY_HEADERS: Fault(
        "mails; 150 headers",
        raw=_raw("204 No Content", *(f"X-Header-{number}: 1" for number in range(150))),
        mails=True,
    ),
    FaultName.BAD_HEADER_NAME: Fault(
        "mails; a header name no standard allows",
        raw=_raw("204 No Content", "X-CDN (1): Imperva"),
        mails=True,
    ),
    FaultName.LENGTH_TOO_LONG: Fault(
        "an error, shorter than its Content-Length",
        raw=_raw(
            "400 Bad Request", _JSON_TYPE, f"Content-Length: {len(_REFUSAL) + 64}", body=_REFUSAL
        ),
    ),
    FaultName.LENGTH_TOO_SHORT: Fault(
        "an error, longer than its Content-Length",
        raw=_raw("400 Bad Request", _JSON_TYPE, "Content-Length: 10", body=_REFUSAL),
    ),
    FaultName.UNREADABLE_ENCODING: Fault(
        "a Content-Encoding that nobody can read",
        raw=_raw(
            "429 Too Many Requests",
            _JSON_TYPE,
            "Content-Encoding: br",
            "Content-Length: 8",
            body=b"\xff\x00\xff\x00\xff\x00\xff\x00",
        ),
    ),
}


def _with_its_source(fault: Fault) -> Fault:
    """Return a fault whose answer rests on what the fault rests on."""
    if fault.answer is None:
        return fault
    return replace(fault, answer=replace(fault.answer, source=fault.source))


FAULTS: Mapping[FaultName, Fault] = {name: _with_its_source(f) for name, f in _FAULTS.items()}


IN_WORDS: Mapping[Source, str] = {
    Source.RECORDED: "Recorded: real answers of the service, in public recordings",
    Source.DOCUMENTED: "Documented: the vendor's public pages",
    Source.CLIENTS: "Seen in clients: several public programs handle it, none shows an answer",
    Source.GUESSED: "Guessed: no source says it",
}


def all_sources() -> Mapping[Source, Sequence[Provenance]]:
    """Return every answer, fault and oddity of the simulator, by what it rests on."""
    every = [
        *(known.value for known in Known),
        *(fault.provenance(f"--fail {name}") for name, fault in FAULTS.items()),
        *(provenance(oddity) for oddity in Oddity),
    ]
    return {source: [each for each in every if each.source is source] for source in Source}
