"""The ways in which the simulator fails, by the names that users give them, with their sources."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from batch_resend.certcentral.simulator.answers import (
    BAD_REQUEST_CODE,
    HTML,
    NO_SUCH_ORDER,
    RATE_LIMITED,
    Answer,
    Provenance,
    Source,
    error_body,
)


class FaultName(StrEnum):
    """A way to fail, by the name a user gives it."""

    SERVER_ERROR = "500"  # the CA's JSON error body; no mail
    BAD_GATEWAY = "502"  # an HTML body, as a gateway before the CA writes it; no mail
    MAINTENANCE = "503"  # with Retry-After: 1; no mail
    RATE_LIMITED = "429"  # although the windows are kept, as when others use the key; no mail
    BAD_REQUEST = "400"  # although the body is well-formed; no mail
    NO_SUCH_ORDER = "404"  # not_found|order; no mail
    NO_PERMISSION = "403"  # access_denied|missing_permission; no mail
    RESET = "reset"  # the connection is reset before anything is done; no mail
    DROP = "drop"  # mails, then closes the connection without an answer
    HANG = "hang"  # mails, then never answers
    GARBAGE = "garbage"  # mails, then answers bytes that are not HTTP

    @property
    def mails(self) -> bool:
        """Whether the CA has acted on the request before it fails."""
        return FAULTS[self].mails


@dataclass(frozen=True, slots=True)
class Fault:
    """What a fault does: it answers, sends bytes as they are, or breaks the connection."""

    provenance: Provenance
    answer: Answer | None = None
    raw: bytes | None = None  # sent as they are; then the connection is closed
    mails: bool = False  # the mails are sent before it fails


def _answers(words: str, source: Source, where: str, answer: Answer, mails: bool = False) -> Fault:
    return Fault(Provenance("", words, source, where), replace(answer, source=source), mails=mails)


def _breaks(words: str, raw: bytes | None = None, mails: bool = False) -> Fault:
    return Fault(Provenance("", words, Source.GUESSED), raw=raw, mails=mails)


def _json(status: int, code: str, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, Source.GUESSED, error_body(code, message), headers=named)


def _page(status: int, html: str) -> Answer:
    return Answer(status, Source.GUESSED, html.encode(), HTML)


FAULTS: Mapping[FaultName, Fault] = {
    FaultName.SERVER_ERROR: _answers(
        "an error of the service, as JSON; its code is made up",
        Source.GUESSED,
        "",
        _json(500, "internal_server_error", "Something went wrong."),
    ),
    FaultName.BAD_GATEWAY: _answers(
        "a gateway's page",
        Source.GUESSED,
        "",
        _page(502, "<html><body><h1>502 Bad Gateway</h1></body></html>\n"),
    ),
    FaultName.MAINTENANCE: _answers(
        "maintenance: the status is documented, its JSON body and Retry-After are not",
        Source.GUESSED,
        "",
        _json(503, "service_unavailable", "Service is unavailable", Retry_After="1"),
    ),
    FaultName.RATE_LIMITED: _answers(
        "the rate limit, as when others use the key too",
        Source.DOCUMENTED,
        "page Rate limits",
        RATE_LIMITED,
    ),
    FaultName.BAD_REQUEST: _answers(
        "400 bad_request_format, though the body is well-formed",
        Source.DOCUMENTED,
        "page Errors",
        _json(400, BAD_REQUEST_CODE, "This order's mails cannot be sent."),
    ),
    FaultName.NO_SUCH_ORDER: _answers(
        "404 not_found|order", Source.DOCUMENTED, "page Errors", NO_SUCH_ORDER
    ),
    FaultName.NO_PERMISSION: _answers(
        "403 access_denied|missing_permission",
        Source.DOCUMENTED,
        "page Errors",
        _json(403, "access_denied|missing_permission", "The API key may not do this."),
    ),
    FaultName.RESET: _breaks("the connection is reset before anything is done"),
    FaultName.DROP: _breaks("mails, then closes the connection without an answer", mails=True),
    FaultName.HANG: _breaks("mails, then never answers", mails=True),
    FaultName.GARBAGE: _breaks(
        "mails, then answers bytes that are not HTTP",
        b"\x15\x03\x01 this is not HTTP\r\n\r\n",
        mails=True,
    ),
}
