"""What the doctor finds: a line for each check; what a read brings to look at, or why nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic_core import from_json

from batch_resend.certcentral.judge import REDIRECT
from batch_resend.explanations import explain
from batch_resend.model import Fault, Reply, Ruling, Verdict


class Check(StrEnum):
    """What is checked, in this order: each explains why the next ones fail."""

    JOURNAL = "journal"  # it can be opened and written, and its disk has room
    KEY = "key"  # there is an API key, and who else can read its file
    NAME = "name"  # the CA's name, or the proxy's, has an address
    CONNECTION = "connection"  # that address takes a connection
    PROXY = "proxy"  # the proxy connects to the CA
    TLS = "TLS"  # the CA shows a certificate that is trusted here
    ACCOUNT = "account"  # the CA takes the key, and says whose it is
    CLOCK = "clock"  # this machine's clock agrees with the CA's
    PERMISSION = "permission"  # the key may have mails sent
    USER_SHAPE = "user info"  # whether the CA's answers look as this program expects them to
    ORDERS = "orders"  # how many orders wait
    LIST_SHAPE = "order list"
    ORDER_SHAPE = "order info"
    VALIDATION_SHAPE = "validation"
    CHANGES_SHAPE = "changes"


class Result(StrEnum):
    """What a check came to."""

    OK = "ok"  # as it should be
    WARNING = "warning"  # worth a look; a run can send
    PROBLEM = "problem"  # keeps a run from sending
    NOT_CHECKED = "not checked"  # an earlier check failed, or there is nothing to check


@dataclass(frozen=True, slots=True)
class Deviation:
    """Where an answer is not as this program expects it. Holds nothing of what it says."""

    path: str  # such as orders[].certificate.dns_names
    expected: str
    found: str
    times: int = 1  # in how many orders


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: Check
    result: Result
    detail: str
    remedy: str | None = None  # what to do
    deviations: tuple[Deviation, ...] = ()
    unknown_fields: tuple[str, ...] = ()  # that the answer has, and this program does not know
    sample: object = None  # of the answer, sanitized, as JSON has it; None: there is none


@dataclass(slots=True)
class Group:
    """What was found of one account, or of this machine."""

    title: str
    names: tuple[str, ...] = ()  # of the profiles, which go by one key
    base_url: str | None = None  # None: this machine
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Diagnosis:
    """All that was found."""

    groups: list[Group] = field(default_factory=list)
    requests: int = 0  # that were made of the CA, all of them reads
    is_journal_busy: bool = False

    def count(self, result: Result) -> int:
        """Return how many findings came to a result."""
        return sum(finding.result is result for finding in self.findings)

    @property
    def findings(self) -> Sequence[Finding]:
        """All findings, in the order in which they were made."""
        return [finding for group in self.groups for finding in group.findings]


# --- what a read brings -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one read."""

    result: Reply | Fault
    verdict: Verdict  # its message is bounded, and does not have the key
    sent_at: float  # seconds since the epoch, by this machine's clock


NOTHING = object()  # the content of an answer without any, such as a 204


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

    @property
    def ends_all(self) -> bool:
        """Whether it leaves nothing more to be asked by this key now."""
        return self in (Trouble.KEY_REFUSED, Trouble.TOO_MANY, Trouble.NO_ANSWER)


@dataclass(frozen=True, slots=True)
class Failed:
    """A read without something to look at."""

    trouble: Trouble
    detail: str
    remedy: str

    @property
    def result(self) -> Result:
        """What it means that something cannot be read which `send` does without."""
        return Result.PROBLEM if self.trouble is Trouble.KEY_REFUSED else Result.WARNING


_OF_RULING = {
    Ruling.BLOCKED: Trouble.PAGE,
    Ruling.KEY_REFUSED: Trouble.KEY_REFUSED,
    Ruling.RATE_LIMITED: Trouble.TOO_MANY,
    Ruling.HOPELESS: Trouble.WRONG_URL,
    Ruling.UNAVAILABLE: Trouble.UNAVAILABLE,
    Ruling.IN_DOUBT: Trouble.UNAVAILABLE,
    Ruling.REFUSED: Trouble.REFUSED,
}
_WORDS = {
    Trouble.REDIRECT: "{} redirects, which is not followed",
    Trouble.WRONG_URL: "{} has no such call",
    Trouble.KEY_REFUSED: "the CA refuses the API key",
    Trouble.TOO_MANY: "the CA asks for fewer requests",
    Trouble.UNAVAILABLE: "the CA is not available",
    Trouble.UNREADABLE: "the CA answers with errors although the status is no error",
    Trouble.FORBIDDEN: "the key may not read this",
    Trouble.NOT_FOUND: "the CA does not have this",
    Trouble.REFUSED: "the CA refuses this",
}
_REMEDIES = {  # where it is not that of the CA's code
    Trouble.TOO_MANY: "Others use this key, or its limit is lower than --limit: wait a few "
    "minutes.",
    Trouble.WRONG_URL: "Check --base-url (it ends in /services/v2) or --region. Then your proxy.",
    Trouble.UNAVAILABLE: "Run this again later; a run would wait for --patience.",
}
_LOOK_BETWEEN = (
    "A proxy, a firewall or the CA's CDN answers in its place. Look at the proxy, and ask whether "
    "the address of this machine is blocked; check --base-url."
)


def content_of(answer: Answer, base_url: str, *, of_order: bool = True) -> Any:
    """Return what an answer has, as JSON; NOTHING where it is empty; or Failed.

    `of_order`: one order was asked about, which the CA may not have.
    """
    reply, verdict = answer.result, answer.verdict
    if isinstance(reply, Fault):
        remedy = "Run this again; if that does not help, look at the network, and raise --timeout."
        return Failed(Trouble.NO_ANSWER, f"no answer: {verdict.error_message}", remedy)
    if trouble := _trouble(verdict, of_order=of_order):
        return Failed(trouble, *_in_words(trouble, verdict, base_url))
    if not reply.body.strip():
        return NOTHING
    try:
        content = from_json(reply.body)
    except ValueError:
        detail = f"HTTP {reply.status}, and what came is not JSON"
        return Failed(
            Trouble.UNREADABLE, detail, "Check --base-url, and the proxy or firewall in between."
        )
    return content


def _trouble(verdict: Verdict, *, of_order: bool) -> Trouble | None:
    """Return what is wrong with an answer, by its verdict."""
    match verdict.ruling:
        case Ruling.BLOCKED if verdict.error_code == REDIRECT:
            return Trouble.REDIRECT
        case Ruling.REFUSED if verdict.http_status in (403, 404):
            is_forbidden = verdict.http_status == 403
            missing = Trouble.NOT_FOUND if of_order else Trouble.WRONG_URL
            return Trouble.FORBIDDEN if is_forbidden else missing
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
    known = explain(verdict.http_status, verdict.error_code)
    remedy = known.remedy if known else "Please tell us what the CA said."
    return f"{_WORDS[trouble].format(base_url)}: {detail}", _REMEDIES.get(trouble, remedy)
