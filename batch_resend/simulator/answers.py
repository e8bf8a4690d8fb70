"""What the simulator answers, and what each answer rests on: one table, which `--help` shows.

Nothing leaves the simulator without its source. A recording stands above what clients do, and that
above the vendor's pages; what none of them says is a guess, and is called one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from batch_resend.certcentral.contract import ErrorBody, ErrorItem

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
CSV = "text/csv; charset=utf-8"


class Source(StrEnum):
    """What an answer rests on."""

    in_words: str

    def __new__(cls, name: str, in_words: str) -> "Source":
        """Take the words that `--help` has for it."""
        source = str.__new__(cls, name)
        source._value_, source.in_words = name, in_words
        return source

    RECORDED = "recorded", "Recorded: real answers of the service, in public recordings"
    DOCUMENTED = "documented", "Documented: the vendor's public pages"
    CLIENTS = (
        "seen in clients",
        "Seen in clients: several public programs handle it, none shows an answer",
    )
    GUESSED = "guessed", "Guessed: no source says it"


_RECORDED, _DOCUMENTED, _GUESSED = Source.RECORDED, Source.DOCUMENTED, Source.GUESSED


@dataclass(frozen=True, slots=True)
class Provenance:
    """An answer, or a part of one, in a few words, and where they come from."""

    name: str  # few words, or the name of a fault
    words: str
    source: Source
    where: str = ""  # the page, by its title, or the year of the recording


class Known(Enum):
    """Each answer of the simulator but its faults, and each part of one with its own source."""

    WRONG_KEY = Provenance(
        "wrong key", "403 access_denied|access_denied_invalid_key", _RECORDED, "2017, 2023"
    )
    HEADERS = Provenance("headers", "server, x-cdn, x-iinfo, x-envoy-..", _RECORDED, "2023")
    NO_ORGANIZATION = Provenance(
        "organization", "[] of an order without one", _RECORDED, "List orders too"
    )
    NO_METHOD = Provenance("dcv_method", "in no list of orders", _RECORDED, "List orders too")
    PAGE_SIZE = Provenance("limit", "up to 1000 orders a page", _RECORDED, "2023")

    ACCEPTED = Provenance("mails sent", "204, empty", _DOCUMENTED, "pages of these calls")
    RATE_LIMITED = Provenance("rate limit", "429, without Retry-After", _DOCUMENTED, "Rate limits")
    NO_SUCH_ORDER = Provenance("unknown order", "404 not_found|order", _DOCUMENTED, "Errors")
    NO_SUCH_ADDRESS = Provenance("unknown address", "404 not_found", _DOCUMENTED, "Errors")
    BAD_REQUEST = Provenance("malformed body", "400 bad_request_format", _DOCUMENTED, "Errors")
    ORDERS = Provenance(
        "list of orders", "its fields, filters, sort, offset", _DOCUMENTED, "List orders"
    )
    ORDER = Provenance("order", "its fields", _DOCUMENTED, "Order info")
    VALIDATION = Provenance(
        "which names wait", "of an order, with domain ids", _DOCUMENTED, "Order validation status"
    )
    REPORT = Provenance(
        "order report", "CSV, with every order's dcv_method", _DOCUMENTED, "Order report"
    )
    STATUS_CHANGES = Provenance(
        "status changes", "minutes, seconds; {} for none", _DOCUMENTED, "Status change list"
    )
    FRAME_TOO_LONG = Provenance(
        "more than 7 days", "400 time_frame_too_long", _DOCUMENTED, "Status change list"
    )
    USER = Provenance("user/me", "its fields", _DOCUMENTED, "User info")
    DOMAIN_EMAILS = Provenance(
        "domain's addresses", "whois_emails empty since May 2025", _DOCUMENTED, "Domain emails"
    )
    WIDENED = Provenance(
        "domain-dcv", "mails everyone if it knows no address", _DOCUMENTED, "its page"
    )

    ARRAY_FILTERS = Provenance(
        "array filters", "filters[status][0]=..&filters[status][1]=..", Source.CLIENTS
    )
    SORT_BY_ID = Provenance("sort", "order_id and -order_id", Source.CLIENTS)
    NO_ORDERS = Provenance("empty list", "{}, as documented for status changes", Source.CLIENTS)

    CHECKS = Provenance("order of checks", "limit, address, key, form and body, order", _GUESSED)
    NOT_DV = Provenance(
        "OV or EV order", "400 invalid_product, as older pages say: DV only", _GUESSED
    )
    NO_SUCH_DOMAIN = Provenance("unknown domain", "404 not_found|domain", _GUESSED)
    BAD_QUERY = Provenance("bad filter, limit", "400; an unknown sort is ignored", _GUESSED)
    NEWEST_FIRST = Provenance("without sort", "the newest orders first", _GUESSED)
    BEYOND_THE_END = Provenance("page beyond the end", "{}, as for an empty list", _GUESSED)
    FIRST_STATUS = Provenance("new orders", "have no status change yet", _GUESSED)
    SCOPES = Provenance("name scopes", "a name its own; *.a and a share one", _GUESSED)
    EVERYONE = Provenance("no addresses", "all five of each pending name", _GUESSED)
    ANY_ADDRESS = Provenance("order's addresses", "mailed whatever they are", _GUESSED)
    CHARSET = Provenance("charset", "utf-8, in every content-type", _GUESSED)
    VALUES = Provenance("values", "made up: orders, names, people, messages", _GUESSED)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is sent whole."""

    status: int
    source: Source
    body: bytes | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # beside those of every answer
    is_of_service: bool = True  # else it comes from what stands before, without its headers


def answer(
    known: Known, status: int = 200, body: bytes | None = None, content_type: str = JSON
) -> Answer:
    """Return an answer that stands in the table."""
    return Answer(status, known.value.source, body, content_type)


def error(known: Known, status: int, code: str, message: str) -> Answer:
    """Return an error as the page "Errors" has them."""
    return answer(known, status, error_body(code, message))


def error_body(code: str, message: str) -> bytes:
    """Return the body of an error: `{"errors": [{"code": .., "message": ..}]}`."""
    return ErrorBody(errors=(ErrorItem(code=code, message=message),)).model_dump_json().encode()


BAD_REQUEST_CODE = "bad_request_format"
DONE = answer(Known.ACCEPTED, 204)
RATE_LIMITED = error(
    Known.RATE_LIMITED,
    429,
    "request_limit_exceeded",
    "Service unavailable, please limit request volume",
)
WRONG_KEY = error(
    Known.WRONG_KEY,
    403,
    "access_denied|access_denied_invalid_key",
    "Access denied due to access_denied_invalid_key.",
)
NO_SUCH_ORDER = error(
    Known.NO_SUCH_ORDER, 404, "not_found|order", "The specified order was not found."
)
NO_SUCH_DOMAIN = error(
    Known.NO_SUCH_DOMAIN, 404, "not_found|domain", "The specified domain was not found."
)
NO_SUCH_ADDRESS = error(Known.NO_SUCH_ADDRESS, 404, "not_found", "Not found.")
NOT_DV = error(
    Known.NOT_DV, 400, "invalid_product", "This order is not DV: use the call of its domains."
)
