"""The nouns: what a row becomes on its way from a file to the report.

    Row -> Request -> Attempt -> Reply | Fault -> Verdict -> Outcome

All are immutable values without behaviour beyond their own data. Times are seconds since the
Unix epoch (UTC), durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from json import JSONEncoder
from typing import NamedTuple, Self

# Of which the CA makes addresses up itself (Baseline Requirements 3.2.2.4.4).
USUAL_LOCAL_PARTS = frozenset(("admin", "administrator", "webmaster", "hostmaster", "postmaster"))


class Entry(NamedTuple):
    """One address to mail for one domain, as the CA's `domain_approval_emails` takes it."""

    domain: str
    email: str
    email_domain: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it asks for: entries of one key are one mail, however the list spells them.

        By RFC 5321 (2.4) a mailbox may tell upper case from lower case; mail systems do not.
        """
        return self.domain, self.email.lower(), self.email_domain or ""

    def __str__(self) -> str:
        """Return the entry as a person reads it; some calls pair addresses with no domain."""
        return f"{self.domain}: {self.email}" if self.domain else self.email


class Call(StrEnum):
    """Which of the CA's calls a request is; `calls` has what sets them apart."""

    DV_RESEND = "dv-resend"  # the approval mails of a DV order's domains
    DOMAIN_DCV = "domain-dcv"  # those of one domain: of OV and EV orders, and before any order
    ORDER_APPROVAL = "order-approval"  # the mail that asks to approve an EV order itself


class Note(StrEnum):
    """Something about a row, or a whole order, that a person should know before it is sent."""

    MAY_MAIL_ALL = "may_mail_all"  # of a domain: if the CA knows none of the addresses given
    NUMBER_ALONE = "number_alone"  # of a domain, without addresses: nobody sees which one it is
    UNKNOWN_STATUS = "unknown_status"  # one that orders of the CA are not known to have: skipped
    UNKNOWN_METHOD = "unknown_method"  # a validation that the CA is not known to have: skipped
    UNKNOWN_PRODUCT = "unknown_product"  # one that the CA is not known to have: skipped
    OTHER_CALL = "other_call"  # its product is not DV, so another call mails for it: skipped
    NOT_CONSTRUCTED = "not_constructed"  # an address that is none of the five usual ones
    UNKNOWN_LOCALE = "unknown_locale"  # a code the CA's documentation does not name
    SEVERAL_ADDRESSES = "several_addresses"  # for one domain; all are mailed
    ADDRESSES_ASIDE = "addresses_aside"  # in cells of no known heading; the CA mails whom it will
    EMAIL_DOMAIN_FILLED_IN = "email_domain_filled_in"  # the address lives at a parent domain
    ALL_DOMAINS = "all_domains"  # its row asks for all domains by the word for it
    ROWS_DISAGREE = "rows_disagree"  # some say that nothing waits for a mail: the others are sent


# For which an order is skipped, although nobody knows whether that is right.
UNKNOWN_WORDS = (Note.UNKNOWN_STATUS, Note.UNKNOWN_METHOD, Note.UNKNOWN_PRODUCT)


class Row(NamedTuple):  # made of every row there is: a dataclass takes several times as long
    """One row of a list, checked. No entries: the CA mails all domains that still wait."""

    line: int
    order_id: str  # or what names the domain, for a call that is about one
    entries: tuple[Entry, ...]
    locale: str | None
    raw: str  # as it stood: CSV cells as a JSON array, or the JSON text itself
    skip: str | None = None  # why the list itself says that there is nothing to resend
    notes: tuple[Note, ...] = ()
    call: Call = Call.DV_RESEND
    account: str | None = None  # by whose key; None: by the command's own
    kept: tuple[tuple[str, str], ...] = ()  # what its list has beside, by field, for the report


class Problem(StrEnum):
    """What is wrong with a rejected row, and in words."""

    words: str

    def __new__(cls, value: str, words: str = "") -> Self:
        """Make a member that is its name, and has its words."""
        problem = str.__new__(cls, value)
        problem._value_, problem.words = value, words
        return problem

    ORDER_ID = "order_id", "no valid order number"
    DOMAIN = "domain", "no valid domain"
    EMAIL = "email", "no valid e-mail address"
    EMAIL_DOMAIN = "email_domain", "no valid e-mail domain"
    LOCALE = "locale", "no valid locale code"
    PAIR = "pair", "domains and addresses that do not form pairs"
    NO_ADDRESS = "no_address", "no domain and address, in a list that has some"
    CALL = "call", "none of the CA's calls"
    ACCOUNT = "account", "an account that no profile describes"
    FORM = "form", "not in the list's form"
    AMBIGUOUS = "ambiguous", "an order that two rows ask for differently"
    UNCHANGED = "unchanged", "not corrected yet, in a rejected.csv"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One row of a list that cannot be sent, and why."""

    line: int
    problem: Problem
    reason: str
    raw: str
    order_id: str | None = None  # where that much was understood
    call: Call = Call.DV_RESEND
    account: str | None = None
    entries: tuple[Entry, ...] = ()  # likewise
    kept: tuple[tuple[str, str], ...] = ()  # likewise


class RowStatus(StrEnum):
    """What planning made of a row."""

    ACCEPTED = "accepted"  # part of a request
    DUPLICATE = "duplicate"  # adds nothing to what other rows of its order ask for
    SKIPPED = "skipped"  # says that nothing waits for a mail, as other rows of its order do not
    REJECTED = "rejected"  # cannot be sent, the reason is beside it


_to_json = JSONEncoder(separators=(",", ":")).encode  # in ASCII, whatever is in it


@dataclass(frozen=True, slots=True)
class Request:
    """One request to make: an order's mails in one language. `entries` are sorted, unique.

    What a call that is about a domain has in place of the order's number, `calls` says.
    """

    subject: str
    locale: str | None
    entries: tuple[Entry, ...]
    call: Call = Call.DV_RESEND
    account: str | None = None

    def digest(self, base_url: str, budget: str | None = None) -> bytes:
        """Sixteen bytes that name what is asked of whom, whichever list or line it came from.

        `budget` is given where what two keys ask for is not the same, though named the same.
        """
        keys = [[*entry.key[:2], entry.email_domain] for entry in self.entries]
        asked: list[object] = [base_url, self.subject, self.locale, keys, self.call]
        if budget is not None:
            asked.append(budget)
        return blake2b(_to_json(asked).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """An order as it stands in a run's plan."""

    number: int  # its place in canonical order: the same requests have the same numbers
    position: int  # its place in the list: requests go out in this order
    request: Request
    digest: bytes
    attempts: int = 0  # made by this run so far
    doubts: int = 0  # attempts, of whichever run, that may have reached the CA unanswered


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to a bound."""

    status: int
    body: bytes
    received_at: float
    retry_after: str | None = None  # the header as it came
    location: str | None = None
    content_type: str | None = None  # without its parameters, in lower case
    server_date: str | None = None  # the header Date as it came


class FaultKind(StrEnum):
    """Why no answer came. The kind alone tells whether the request may have arrived."""

    NO_SUCH_HOST = "no_such_host"  # the name does not resolve: never sent
    NOT_CONNECTED = "not_connected"  # refused, unreachable, timed out connecting: never sent
    PROXY_REFUSED = "proxy_refused"  # the proxy opened no way to the CA: never sent
    TLS_REFUSED = "tls_refused"  # no trusted connection could be made: never sent
    STOPPED = "stopped"  # its run stopped before there was a connection: never sent
    LOST = "lost"  # the connection broke once there was one: may have arrived
    TIMED_OUT = "timed_out"  # no answer within the time allowed: may have arrived
    GARBLED = "garbled"  # the answer was not HTTP: may have arrived

    @property
    def may_have_arrived(self) -> bool:
        """Whether the CA may have acted on the request."""
        return self in (FaultKind.LOST, FaultKind.TIMED_OUT, FaultKind.GARBLED)


@dataclass(frozen=True, slots=True)
class Fault:
    """No answer, and why."""

    kind: FaultKind
    detail: str


class Ruling(StrEnum):
    """What an attempt's reply or fault means for its order and for the run."""

    ACCEPTED = "accepted"  # the CA acknowledged it
    REFUSED = "refused"  # the CA says no to this order, for good
    UNAVAILABLE = "unavailable"  # surely not done: an error that may pass, or never sent
    BLOCKED = "blocked"  # not the CA's word: a proxy, a CDN or a portal answered in its place
    IN_DOUBT = "in_doubt"  # it may have reached the CA and no answer came
    RATE_LIMITED = "rate_limited"  # too many requests: wait, all of us
    KEY_REFUSED = "key_refused"  # the key is wrong, revoked or expired: nothing by it will pass
    HOPELESS = "hopeless"  # no request of this run will pass: the URL is wrong


SETTLING = (Ruling.ACCEPTED, Ruling.REFUSED)  # what says what becomes of an order


@dataclass(frozen=True, slots=True)
class Verdict:
    """A ruling with what the CA said, in words that fit a report."""

    ruling: Ruling
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    retry_after_s: float | None = None

    @property
    def summary(self) -> str:
        """What the CA said, in few words: `HTTP 401, invalid_api_key`, `HTTP 401`, or a fault."""
        status = f"HTTP {self.http_status}" if self.http_status else None
        words = (status, self.error_code or self.error_message)
        return ", ".join(dict.fromkeys(word for word in words if word))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that is let go."""

    planned: PlannedRequest
    attempt: int  # 1 for the order's first
    begun_at: float


class RequestStatus(StrEnum):
    """What became of a request to make."""

    SENT = "sent"  # the CA acknowledged it
    REFUSED = "refused"  # the CA said no, for good; or we did: it would mail others, or might
    FAILED = "failed"  # attempts or time used up, and no attempt can have been acted on
    IN_DOUBT = "in_doubt"  # an attempt may have reached the CA, none was acknowledged
    NOT_ATTEMPTED = "not_attempted"  # the run stopped before it was done
    SKIPPED = "skipped"  # not to be sent; `SkipReason` is its code, and the message says more


class SkipReason(StrEnum):
    """Why a request was skipped: the code of its outcome."""

    COOLDOWN = "cooldown"  # another run had it acknowledged recently enough
    LIST = "list"  # its list says that it waits for no mail
    PREFLIGHT = "preflight"  # the CA said so, asked before sending
    OTHER_CALL = "other_call"  # it may wait for mails, which its call does not send
    UNDER_WAY = "under_way"  # another run, which is under way, sends it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one order in one run."""

    planned: PlannedRequest
    status: RequestStatus
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def request(self) -> Request:
        """What was asked for."""
        return self.planned.request


class RunState(StrEnum):
    """Where a run stands."""

    PLANNING = "planning"  # rows are being read; nothing was sent
    PLANNED = "planned"  # every row is in the journal; nothing was sent
    RUNNING = "running"  # sending, or cut off while sending
    COMPLETED = "completed"  # every order has its outcome
    STOPPED = "stopped"  # nothing more would pass; the reason is beside it
    INTERRUPTED = "interrupted"  # a person or the system ended it


SENT_BY = "sent_by"  # among what is noted of a run's settings: the user and host that sent it
MAX_ORDERS_REACHED = "--max-orders reached"  # how the reason of a run begins that stopped there


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the journal has it."""

    number: int  # its key in the journal
    id: str  # its name for people
    base_url: str
    state: RunState
    stop_reason: str | None
    limits: tuple[str, ...]
    created_at: float
    started_at: float | None
    finished_at: float | None
    settings: Mapping[str, object] = field(default_factory=dict)  # of its last try; no secret
    session: int = 0  # which has it in hand, or had it last
    distributed_by: int | None = None  # the start that gave it to workers; None: one sends it all
    order_numbers: int = 0  # of its requests, of which an order has one a language
    preflight_due: bool = False  # the CA is to be asked first, and was not about all of it yet
    # What other runs have sent since then is done, and what they left in doubt is in doubt. Of
    # lists that an earlier run's report wrote, all of them: since when that run looked; None: since
    # this one was planned.
    done_since: float | None = None
    # What the next commands for it take beside the journal: of `settings.Settings`. None of the
    # library's has any.
    next_flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_with_workers(self) -> bool:
        """Whether workers are to send it now, as long as there are any."""
        return self.distributed_by is not None and self.state is RunState.RUNNING

    @property
    def cooldown_s(self) -> float:
        """For how long it left alone what other runs had acknowledged before it was planned."""
        return float(str(self.settings.get("cooldown_s", 0.0)))

    @property
    def profile(self) -> str | None:
        """The name of the profile that it was for; None: it was for none."""
        profile = self.settings.get("profile")
        return profile if isinstance(profile, str) else None

    def url_of(self, account: str | None) -> str | None:
        """Return where an account's CA was; None: that is not known."""
        if account is None:
            return self.base_url
        recorded = self.settings.get("accounts")
        return recorded.get(account) if isinstance(recorded, Mapping) else None

    def windows_of(self, account: str | None) -> tuple[str, ...] | None:
        """Return the windows that an account was to keep; None: that is not known."""
        recorded = self.settings.get("windows")
        windows = recorded.get(account or "") if isinstance(recorded, Mapping) else None
        return None if windows is None else tuple(windows)


@dataclass(frozen=True, slots=True)
class Asked:
    """About how much of a plan the CA was asked before sending."""

    about: int | None = None  # only these, the first ones, so far; None: all
    unanswered: int = 0  # of those to send: nothing could be read of them
    # By account, how many requests are still to be asked about before they are sent.
    to_ask: Mapping[str | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is about to do."""

    run: Run
    taken_up: bool  # an earlier run that did not finish, resumed
    rows: dict[RowStatus, int]
    orders: int
    settled: dict[RequestStatus, int]  # orders that have their outcome before sending begins
    to_send: int
    limits: tuple[str, ...]  # of all the accounts together
    # What the windows dictate, after what was sent lately, for those to send and to ask about.
    duration_s: float
    waits_s: float = 0.0  # of that, for what was sent lately
    asked: Asked = Asked()
