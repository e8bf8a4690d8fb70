"""What the doctor finds: a line for each check, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


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
