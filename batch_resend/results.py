"""What came of a run, as the journal tells it: of each request, of each row, and in numbers.

What there is one of for every row is a tuple: a dataclass takes several times as long to make.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from batch_resend.list_form import ListForm
from batch_resend.model import Call, Entry, Request, RequestStatus, RowStatus, Run


class Result(NamedTuple):
    """What came of one request of a run, for reports."""

    number: int
    status: RequestStatus
    http_status: int | None
    error_code: str | None
    error_message: str | None
    attempts: int
    possible_duplicates: int  # mails that may have gone out beyond the first
    first_attempt_at: float | None
    last_attempt_at: float | None


class Since(StrEnum):
    """What became of a request that its run has not sent, from the run's planning until now."""

    SETTLED = "settled"  # its outcome stands, whatever other runs do
    SENT_ELSEWHERE = "sent_elsewhere"  # another run has sent it
    IN_DOUBT = "in_doubt"  # it may have been sent, as its run knows
    IN_DOUBT_ELSEWHERE = "in_doubt_elsewhere"  # another run may have sent it
    NOTHING = "nothing"


class RestCount(NamedTuple):
    """How many requests that their run has not sent have all this in common."""

    account: str | None
    status: RequestStatus  # as the run counts them
    since: Since
    may_be_sent: bool  # by `resume`, unless others have sent them, or they are held in doubt
    requests: int
    is_left_out: bool = False  # a successor does not ask for them


class Successor(NamedTuple):
    """The last run that has sent what another one had left, from its list or its unsent.csv.

    A person has deleted or changed the rows of what is not in that list any more.
    """

    run_id: str
    list_name: str


@dataclass(frozen=True, slots=True)
class Rest:
    """What became of the requests that a run that has ended has not sent."""

    counts: Sequence[RestCount] = ()
    holds_doubts: bool = False  # resumed on its own terms, the run leaves them to a person
    successor: Successor | None = None

    def moved(self, since: Since) -> Counter[RequestStatus]:
        """Count what other runs have sent, or left in doubt, by how the run itself counts it."""
        found = Counter[RequestStatus]()
        for one in self.counts:
            if one.since is since and one.status in _OPEN_TO_OTHERS:
                found[one.status] += one.requests
        return found

    @property
    def left(self) -> dict[str | None, int]:
        """Requests that `resume` would send now, by the accounts that have some."""
        found = Counter[str | None]()
        for one in self._to_send():
            found[one.account] += one.requests
        return dict(sorted(found.items(), key=lambda of: of[0] or ""))

    @property
    def doubts_left(self) -> int:
        """How many of these may have been mailed already."""
        in_doubt = Since.IN_DOUBT, Since.IN_DOUBT_ELSEWHERE
        return sum(one.requests for one in self._to_send() if one.since in in_doubt)

    @property
    def left_out(self) -> int:
        """How many of these its successor does not ask for."""
        return sum(one.requests for one in self._to_send() if one.is_left_out)

    def _to_send(self) -> Iterator[RestCount]:
        stay = {Since.SETTLED, Since.SENT_ELSEWHERE}
        if self.holds_doubts:
            stay |= {Since.IN_DOUBT, Since.IN_DOUBT_ELSEWHERE}
        return (one for one in self.counts if one.may_be_sent and one.since not in stay)


_OPEN_TO_OTHERS = (RequestStatus.NOT_ATTEMPTED, RequestStatus.FAILED, RequestStatus.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that was begun, did not complete, and is in no process's hand."""

    run: Run
    rest: Rest
    budgets: Collection[str]  # of the keys that it was sent by
    last_begun_at: float  # when a process last began to send it, or planned to
    was_useless: bool  # it failed before anything was sent: most have had a wrong URL or key

    @property
    def left(self) -> Mapping[str | None, int]:
        """Requests, by account, that resuming it would send."""
        return self.rest.left

    @property
    def is_resumed_by_name_only(self) -> bool:
        """Whether somebody may have decided against what is left: it was not sent with the rest."""
        return self.rest.successor is not None and bool(self.left)


class Source(NamedTuple):
    """Where a row of a request stands."""

    input_ordinal: int
    line: int
    kept: Mapping[str, str]  # what the row has beside, by field


class RequestResult(NamedTuple):
    """One request with what came of it, and all rows that ask for it, in the order of the lists."""

    order: Request
    result: Result
    sources: tuple[Source, ...]


class RowResult(NamedTuple):
    """One input row with what came of it, for reports. No result: it is part of no request."""

    input_ordinal: int
    line: int
    status: RowStatus
    order_id: str | None  # None where the row was rejected before it was understood
    locale: str | None
    entries: tuple[Entry, ...]
    call: Call
    account: str | None
    reason: str | None
    raw: str
    kept: Mapping[str, str]  # what its list has beside, by field
    result: Result | None


@dataclass(frozen=True, slots=True)
class InputNote:
    """One input of a run."""

    name: str
    sha256: str | None
    form: ListForm
    rows: int


class Decision(StrEnum):
    """What a sweep decides about an order that waits: each is a field of `SweepCounts`."""

    EXCLUDED = "excluded"  # known to be hopeless
    TOO_YOUNG = "too_young"  # its first mail may yet be read
    MAILED_LATELY = "mailed_lately"  # within the cooldown
    STUCK = "stuck"  # mailed as often as allowed, without effect
    NOTHING_TO_MAIL = "nothing_to_mail"  # not validated by e-mail, or issued meanwhile
    OTHER_CALL = "other_call"  # due but for its product, not DV: another call mails for it
    LEFT_FOR_LATER = "left_for_later"  # due, but beyond the most of one sweep
    NOT_ASKED = "not_asked"  # beyond it, and due or with nothing to mail: nobody asked the CA
    DUE = "due"  # and in this sweep


@dataclass(frozen=True, slots=True)
class SweepCounts:
    """The orders that wait at the CA, by what a sweep decided: `waiting` is the sum of these.

    An order is counted once.
    """

    waiting: int
    too_young: int
    mailed_lately: int  # within the cooldown
    stuck: int  # mailed as often as allowed, and waiting still
    excluded: int  # by --exclude
    nothing_to_mail: int  # not validated by e-mail, or issued since it was listed
    left_for_later: int  # due, but beyond the most of one sweep
    not_asked: int  # beyond it, and due or with nothing to mail: nobody asked the CA
    due: int
    unusable: int  # items of the CA's list without an order number
    max_mails: int  # of one order, over all runs
    other_call: int = 0  # due but for their product: they may wait for mails of another call
    mailed_before: int | None = None  # by the last run to mail any; None: nobody looked
    mailed_by: str | None = None  # that run
    no_longer_waiting: int | None = None  # of those
    filters: tuple[str, ...] = ()  # by which it looked only at some orders, as options
    older_than_s: float = 0.0  # likewise
    other_products: tuple[str, ...] = ()  # of those that may wait for mails of another call
    unfinished: tuple[str, ...] = ()  # runs that it named: it sends what they left
    unfinished_later: tuple[str, ...] = ()  # of these, those of which it leaves some for later


@dataclass(frozen=True, slots=True)
class Mailed:
    """How often an order was mailed, or may have been, as far as the journal knows."""

    mails: int = 0  # that were acknowledged, or are in doubt
    in_doubt: int = 0  # of these
    acknowledged_at: float | None = None  # the last of those; None: there is none
    doubted_at: float | None = None  # when the last in doubt was tried, likewise
    refused_at: float | None = None  # when the CA last refused to mail it
    tried_at: float | None = None  # when a request for it last left, whatever came of it

    @property
    def last_at(self) -> float | None:
        """When the last of all was."""
        return _later(self.acknowledged_at, self.doubted_at)

    @property
    def is_last_in_doubt(self) -> bool:
        """Whether the last of all is in doubt."""
        return self.doubted_at is not None and self.doubted_at == self.last_at

    def __add__(self, other: "Mailed") -> "Mailed":
        """Return both together: they are of one order."""
        return Mailed(
            self.mails + other.mails,
            self.in_doubt + other.in_doubt,
            _later(self.acknowledged_at, other.acknowledged_at),
            _later(self.doubted_at, other.doubted_at),
            _later(self.refused_at, other.refused_at),
            _later(self.tried_at, other.tried_at),
        )


def _later(one: float | None, other: float | None) -> float | None:
    return max((at for at in (one, other) if at is not None), default=None)


@dataclass(frozen=True, slots=True)
class StuckOrder:
    """An order that was mailed as often as allowed, and waits still."""

    order_id: str
    mailed: Mailed  # by all runs
    created_at: float | None  # None: the CA does not say
    product: str
    container: str
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """What the CA says of an order that was mailed."""

    status: str  # in the CA's words, or what was concluded from its lists
    names: int | None = None  # that the order is for; None: that was not asked
    approved: int | None = None  # of these


@dataclass(frozen=True, slots=True)
class WaitingNames:
    """An order of which names still wait for their approval."""

    order_id: str
    approved: int
    names: int


@dataclass(frozen=True, slots=True)
class Checked:
    """How many of the orders that a run has mailed were in which status when last asked about.

    Statuses are in the CA's words, the most frequent first. An account that cannot be asked leaves
    its orders as they were: with older answers, or not asked about.
    """

    asked_at: float  # the last time
    statuses: dict[str, int]  # of those sent
    in_doubt: dict[str, int] = field(default_factory=dict)  # of those that may have been mailed
    oldest_at: float | None = None  # of the oldest of these answers; None: all came at once
    not_asked: int = 0  # orders sent
    not_asked_in_doubt: int = 0  # likewise

    @property
    def orders(self) -> int:
        """Those sent that were asked about."""
        return sum(self.statuses.values())

    @property
    def orders_in_doubt(self) -> int:
        """Those in doubt that were asked about."""
        return sum(self.in_doubt.values())


class PartCount(NamedTuple):
    """How many orders of a run that have these in common came to this."""

    locale: str | None
    call: Call
    account: str | None
    status: RequestStatus
    orders: int


@dataclass(frozen=True, slots=True)
class ProductCount:
    """How many orders of a run are of one product."""

    product: str | None  # None: their list does not say
    orders: int
    sent: int  # of these
    products: int  # that the run has in all


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of a run. The rows add up to the rows read, the orders to the orders planned."""

    rows: dict[RowStatus, int]
    planned: int  # orders
    orders: dict[RequestStatus, int]
    attempts: int
    retries: int  # attempts of an order beyond its first
    rate_limited: int
    unconnected: int  # attempts for which there was no connection: nothing left
    possible_duplicates: int
    pauses: int
    paused_s: float
    lowest_share: float  # of the windows; 1 where there was no 429
    pausing_accounts: tuple[str, ...] = ()  # of a run of several, those that have paused
