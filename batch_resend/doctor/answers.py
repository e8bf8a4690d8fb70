"""The CA's answers, read once each and compared with what this program expects."""

import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

import anyio
from pydantic_core import from_json

from batch_resend.certcentral.judge import REDIRECT
from batch_resend.clock import Clock, format_duration
from batch_resend.explanations import explain
from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending import Channel
from batch_resend.windows import HeldTooLong, Slot


class Kind(StrEnum):
    """What a value may be."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    DIGITS = "a text of digits"
    TEXT = "a text"  # not an empty one
    WORD = "a word of the CA's own"  # such as a status
    DATE = "a date with time and zone"  # 2021-06-08T14:59:13+00:00
    BOOLEAN = "true or false"
    OBJECT = "an object"
    LIST = "a list"
    EMPTY_LIST = "an empty list"


class Need(StrEnum):
    """Whether a field has to be there."""

    REQUIRED = "required"  # and not null
    OF_DV = "required of DV"  # in what is about a DV order
    OPTIONAL = "optional"  # and may be null


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an answer."""

    path: str  # names, with dots between; [] stands for each item of a list
    kinds: tuple[Kind, ...]
    need: Need = Need.OPTIONAL
    words: frozenset[str] = frozenset()  # the words that are known; none: any is fine


# Those to filter by are from the page "List orders"; the others were seen in lists and clients.
STATUSES = frozenset(
    (
        "pending", "reissue_pending", "issued", "rejected", "revoked", "waiting_pickup", "canceled",
        "cancelled", "expired", "denied", "needs_approval", "needs_csr", "processing", "approved",
        "failed", "suspended",
    )
)  # fmt: skip
DCV_METHODS = frozenset(("email", "dns-txt-token", "dns-cname-token", "http-token"))
NAME_STATUSES = frozenset(("approved", "unapproved", "pending", "valid"))
DV = "dv_ssl_certificate"  # the `product.type` of DV orders

_ID = (Kind.INTEGER, Kind.DIGITS)  # an old recording has numbers as texts
_REQUIRED, _OF_DV = Need.REQUIRED, Need.OF_DV


def _optional(paths: str, *kinds: Kind) -> tuple[Field, ...]:
    return tuple(Field(path, kinds) for path in paths.split())


_CONTAINER = (
    *_optional("container", Kind.OBJECT),
    *_optional("container.id container.parent_id container.template_id", *_ID),
    *_optional("container.name container.public_id container.ekey", Kind.TEXT),
    *_optional("container.is_active container.has_logo", Kind.BOOLEAN),
)

USER = (
    Field("id", _ID, _REQUIRED),
    *_optional("account_id language_id account_language_id", *_ID),
    *_optional("username first_name last_name email job_title telephone", Kind.TEXT),
    *_optional("last_login_date", Kind.TEXT),
    *_optional("status type", Kind.WORD),
    *_optional("is_cert_central is_enterprise is_saml_sso_only", Kind.BOOLEAN),
    *_optional("has_container_assignments", Kind.BOOLEAN),
    *_optional("container_visibility container_assignments", Kind.LIST),
    *_CONTAINER,
    Field("access_roles", (Kind.LIST,), _REQUIRED),
    Field("access_roles[]", (Kind.OBJECT,)),
    Field("access_roles[].id", _ID, _REQUIRED),
    Field("access_roles[].name", (Kind.TEXT,)),
)

# What a list and "Order info" have in common.
_ORDER = (
    Field("id", _ID, _REQUIRED),
    Field("status", (Kind.WORD,), _REQUIRED, STATUSES),
    Field("certificate", (Kind.OBJECT,), _REQUIRED),
    *_optional("certificate.id certificate.days_remaining", *_ID),
    *_optional("certificate.common_name certificate.serial_number", Kind.TEXT),
    *_optional("certificate.valid_from certificate.valid_till", Kind.TEXT),
    *_optional("certificate.signature_hash", Kind.WORD),
    *_optional("certificate.cert_validity", Kind.OBJECT),
    Field("certificate.dns_names", (Kind.LIST,)),
    Field("certificate.dns_names[]", (Kind.TEXT,), _REQUIRED),
    *_CONTAINER,
    Field("product", (Kind.OBJECT,), _REQUIRED),
    Field("product.name_id", (Kind.WORD,), _REQUIRED),
    Field("product.name", (Kind.TEXT,)),
    Field("product.type", (Kind.WORD,)),
    *_optional("product_name_id", Kind.WORD),
    Field("organization", (Kind.OBJECT, Kind.EMPTY_LIST)),
    *_optional("organization.id", *_ID),
    *_optional("organization.name", Kind.TEXT),
    *_optional("order_validity", Kind.OBJECT),
    *_optional("validity_years number_of_sans is_multi_year_plan", *_ID),
    *_optional("is_renewed disable_renewal_notifications has_duplicates", Kind.BOOLEAN),
    *_optional("price", Kind.NUMBER),
)

LISTED_ORDER = (*_ORDER, Field("date_created", (Kind.DATE,), _REQUIRED))

ORDER = (
    *_ORDER,
    Field("dcv_method", (Kind.WORD,), _OF_DV, DCV_METHODS),
    *_optional("date_created certificate.date_created", Kind.DATE),
    *_optional("contacts", Kind.LIST),
)

VALIDATION = (
    Field("order_status", (Kind.WORD,), _REQUIRED, STATUSES),
    Field("order_dcv_method", (Kind.WORD,), Need.OPTIONAL, DCV_METHODS),
    *_optional("order_id organization_id", *_ID),
    *_optional("organization_name", Kind.TEXT),
    *_optional("order_name_scope", Kind.WORD),
    *_optional("organization_validations", Kind.LIST),
    Field("dns_name_validations", (Kind.LIST,), _REQUIRED),
    Field("dns_name_validations[]", (Kind.OBJECT,), _REQUIRED),
    *_optional("dns_name_validations[].domain_id", *_ID),
    *_optional("dns_name_validations[].name_scope", Kind.TEXT),
    *_optional("dns_name_validations[].approval_scope", Kind.WORD),
    Field("dns_name_validations[].status", (Kind.WORD,), _REQUIRED, NAME_STATUSES),
    Field("dns_name_validations[].method", (Kind.WORD,), Need.OPTIONAL, DCV_METHODS),
    Field("dns_name_validations[].dns_names", (Kind.LIST,)),
    Field("dns_name_validations[].dns_names[]", (Kind.TEXT,), _REQUIRED),
)

CHANGE = (
    Field("order_id", _ID, _REQUIRED),
    Field("certificate_id", _ID),
    Field("status", (Kind.WORD,), _REQUIRED, STATUSES),
)

PAGE = (
    Field("page", (Kind.OBJECT,), _REQUIRED),
    Field("page.total", (Kind.INTEGER,), _REQUIRED),
    *_optional("page.limit page.offset", Kind.INTEGER),
    Field("orders", (Kind.LIST,)),  # an empty list may be left out
)
CHANGES = (Field("orders", (Kind.LIST,)),)

TABLES = (USER, LISTED_ORDER, ORDER, VALIDATION, CHANGE, PAGE, CHANGES)


def _names(fields: Iterable[Field]) -> Iterable[str]:
    return (name.removesuffix("[]") for field in fields for name in field.path.split("."))


KNOWN_KEYS = frozenset(name for table in TABLES for name in _names(table))
KNOWN_WORDS = frozenset((*STATUSES, *DCV_METHODS, *NAME_STATUSES, DV))
# The names under which an answer has words of the CA's own, whatever they stand in.
WORD_KEYS = frozenset(
    field.path.rpartition(".")[2] for table in TABLES for field in table if Kind.WORD in field.kinds
)


NOTHING = object()  # the content of an answer without any, such as a 204
_LOOK_BETWEEN = (
    "A proxy, a firewall or the CA's CDN answers in its place. Look at the proxy, and ask whether "
    "the address of this machine is blocked; check --base-url."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one read."""

    result: Reply | Fault
    verdict: Verdict  # its message is bounded, and does not have the key
    sent_at: float  # seconds since the epoch, by this machine's clock


class Trouble(StrEnum):
    """Why there is nothing to look at."""

    NO_ANSWER = "no answer"  # the connection broke, or nothing came in time
    PAGE = "page"  # not the CA's word: of a CDN, a proxy, a portal, or of the wrong URL
    REDIRECT = "redirect"  # to another URL, which is not followed
    KEY_REFUSED = "key refused"  # mistyped, revoked, expired, of the other region
    FORBIDDEN = "forbidden"  # this key may not read this
    WRONG_URL = "wrong URL"  # the CA has no such call there, or it is not the CA
    NOT_FOUND = "not found"  # the CA has the call, and not what it is about
    TOO_MANY = "too many requests"
    UNAVAILABLE = "unavailable"  # an error of the CA's, or of a gateway before it
    REFUSED = "refused"  # any other no
    UNREADABLE = "unreadable"  # a yes that is not JSON, or has errors in it


# What leaves nothing more to be asked by this key now.
ENDS_ALL = frozenset((Trouble.KEY_REFUSED, Trouble.TOO_MANY, Trouble.NO_ANSWER))


@dataclass(frozen=True, slots=True)
class Failed:
    """A read without something to look at."""

    trouble: Trouble
    detail: str
    remedy: str


_OF_RULING = {
    Ruling.BLOCKED: Trouble.PAGE,
    Ruling.KEY_REFUSED: Trouble.KEY_REFUSED,
    Ruling.RATE_LIMITED: Trouble.TOO_MANY,
    Ruling.HOPELESS: Trouble.WRONG_URL,
    Ruling.UNAVAILABLE: Trouble.UNAVAILABLE,
    Ruling.IN_DOUBT: Trouble.UNAVAILABLE,
    Ruling.REFUSED: Trouble.REFUSED,
}
# What is said of trouble, and what to do; None: what is known of the CA's code.
_WORDS = {
    Trouble.REDIRECT: ("{} redirects, which is not followed", None),
    Trouble.WRONG_URL: ("{} has no such call", None),
    Trouble.KEY_REFUSED: ("the CA refuses the API key", None),
    Trouble.TOO_MANY: (
        "the CA asks for fewer requests",
        "Others use this key, or its limit is lower than --limit: wait for some minutes.",
    ),
    Trouble.UNAVAILABLE: (
        "the CA is not available",
        "Run this again later; a run would wait for --patience.",
    ),
    Trouble.UNREADABLE: ("the CA answers with errors in what is no error", None),
    Trouble.FORBIDDEN: ("the key may not read this", None),
    Trouble.NOT_FOUND: ("the CA does not have this", None),
    Trouble.REFUSED: ("the CA refuses this", None),
}


def content_of(answer: Answer, base_url: str) -> Any:
    """Return what an answer has, as JSON; NOTHING where it is empty; or Failed."""
    reply, verdict = answer.result, answer.verdict
    if isinstance(reply, Fault):
        remedy = "Run this again; if it stays so, look at the network, and raise --timeout."
        return Failed(Trouble.NO_ANSWER, f"no answer: {verdict.error_message}", remedy)
    if trouble := _trouble(verdict):
        return Failed(trouble, *_in_words(trouble, verdict, base_url))
    if not reply.body.strip():
        return NOTHING
    try:
        content = from_json(reply.body)
    except ValueError:
        detail = f"HTTP {reply.status}, and what came is not JSON"
        return Failed(Trouble.UNREADABLE, detail, "Check --base-url, and what stands in between.")
    return content


def _trouble(verdict: Verdict) -> Trouble | None:
    """Return what is wrong with an answer, by its verdict."""
    match verdict.ruling:
        case Ruling.BLOCKED if verdict.error_code == REDIRECT:
            return Trouble.REDIRECT
        case Ruling.REFUSED if verdict.http_status in (403, 404):
            return Trouble.FORBIDDEN if verdict.http_status == 403 else Trouble.NOT_FOUND
        case Ruling.REFUSED if (verdict.http_status or 0) < 300:
            return Trouble.UNREADABLE
    return _OF_RULING.get(verdict.ruling)


def _in_words(trouble: Trouble, verdict: Verdict, base_url: str) -> tuple[str, str]:
    """Return what is wrong, and what to do."""
    status = f"HTTP {verdict.http_status}"
    message = verdict.error_message if verdict.error_message != status else None
    if trouble is Trouble.PAGE:
        titled = f", titled {message!r}" if message else ""
        return f"{status}, an answer that is not the CA's{titled}", _LOOK_BETWEEN
    detail = f"{status} {verdict.error_code}" if verdict.error_code else status
    detail = f"{detail} ({message})" if message else detail
    what, remedy = _WORDS[trouble]
    if not remedy:
        known = explain(verdict.http_status, verdict.error_code)
        remedy = known.remedy if known else "Please tell us what the CA said."
    return f"{what.format(base_url)}: {detail}", remedy


log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0  # for a slot of the rate limits


class LimitsFull(Exception):
    """The rate limits of the key let no request leave soon: a run has used them up."""

    def __init__(self, for_s: float) -> None:
        """Take how many seconds no request can leave, as far as is known."""
        super().__init__(for_s)
        known = f" for another {format_duration(for_s)}" if isfinite(for_s) else " for a while"
        self.failed = Failed(
            Trouble.TOO_MANY,
            f"the rate limits of this key let no request leave{known}: a run has used them up",
            "Run this again then.",
        )


@dataclass(slots=True)
class Reads:
    """Reads by one key."""

    channel: Channel
    recorder: ReadRecorder
    clock: Clock
    made: int = 0

    async def get(self, path: str) -> Answer:
        """Read what the CA has at a path below the base URL, in one try.

        Raises LimitsFull, JournalError.
        """
        async with AsyncExitStack() as stack:
            slot = await self._slot(stack)
            number = await self.recorder.begin(self.clock())
            self.made += 1
            is_doubtful = True  # until an answer says otherwise: it may still arrive
            try:
                sent_at = self.clock()
                result = await self.channel.ca.get(path)
                verdict = self.channel.ca.judge(result)
                is_doubtful = verdict.ruling is Ruling.IN_DOUBT
            finally:
                if not is_doubtful:
                    slot.answered()
                with anyio.CancelScope(shield=True):
                    await self.recorder.end(number, self.clock(), in_doubt=is_doubtful)
        log.debug(
            "read %s", path, extra={"http_status": verdict.http_status, "said": verdict.summary}
        )
        return Answer(result, verdict, sent_at)

    async def _slot(self, stack: AsyncExitStack) -> Slot:
        """Take a slot, to be given back when `stack` ends. Raises LimitsFull."""
        limiter = self.channel.limiter
        if limiter.full_for_s <= LONGEST_WAIT_S:
            with suppress(HeldTooLong), anyio.move_on_after(LONGEST_WAIT_S):
                return await stack.enter_async_context(limiter.slot())
        raise LimitsFull(limiter.full_for_s)
