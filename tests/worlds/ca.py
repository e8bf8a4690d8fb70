"""The CA of a world: it keeps its own books of what arrived, what it mailed, what it answered."""

import json
import random
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Literal

from batch_resend.windows import parse_windows
from tests.cli.raw_service import WRONG_KEY
from tests.worlds import replies
from tests.worlds.loop import TURN_S, Outside
from tests.worlds.network import SECURING_S, Connection
from tests.worlds.spec import OF_CONNECTIONS, Kind, Trouble, World

FIRST_ORDER = 100_000_001
KEYS = ("first-key-of-a-world", "second-key-of-a-world")

_HEAD = re.compile(rb"(\w+) /services/v2(\S*) HTTP/1\.1\r\n(?:.*\r\n)*?\r\n", re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nx-dc-devkey: *(\S+)", re.IGNORECASE)
_RESEND = re.compile(r"/order/certificate/(\d+)/resend-emails")

Entries = tuple[tuple[str, str], ...]  # domains with addresses, sorted
Asked = tuple[str, str, Entries]  # by which key, of which order, for whom; without entries: for all


@dataclass(eq=False)
class Client:
    """A process, as the CA sees it, and who is to know of what comes of its requests."""

    number: int
    on_arrival: Callable[[int], None] = lambda _: None
    on_answer: Callable[[int], None] = lambda _: None
    is_alive: Callable[[], bool] = lambda: True  # one that is dead writes nothing
    state_of_run: Callable[[], str] = lambda: ""
    is_struck: bool = False  # some time, or another one before it
    arrivals: int = 0
    answers: int = 0


@dataclass(eq=False)
class Visit:
    """One request, from when it left the process."""

    client: Client
    left_at: float
    method: str
    path: str
    key: str
    body: bytes
    trouble: Kind | None
    follows_junk: bool  # on its connection, or what is to close it
    made_at: float | None  # its connection, where that had brought an answer before
    arrived_at: float | None = None
    mailed: bool = False
    answer: bytes = b""
    brought_at: float | None = None  # when the whole of its answer lay in the process's buffer
    heard_at: float | None = None  # when the process had read the whole of the answer
    given_up_at: float | None = None  # when the process closed its connection, no answer heard
    broke_at: float | None = None  # when its connection broke off under it, as the process sees it

    @property
    def process(self) -> int:
        """The number of the process that sent it."""
        return self.client.number

    @cached_property
    def order_id(self) -> str | None:
        """The order that it asks to mail."""
        found = _RESEND.fullmatch(self.path)
        return found[1] if found and self.method == "PUT" else None

    @cached_property
    def asked(self) -> Asked:
        """What it asks for, where it asks to mail."""
        entries = json.loads(self.body or b"{}").get("domain_approval_emails", ())
        pairs = tuple(sorted((one["domain"], one["email"]) for one in entries))
        return self.key, self.order_id or "", pairs

    @property
    def is_429(self) -> bool:
        """Whether its answer asks for fewer requests."""
        return self.answer == replies.TOO_MANY

    @property
    def refuses(self) -> bool:
        """Whether its answer is the CA's no to its order."""
        return self.answer in replies.REFUSALS

    @property
    def says_key_is_refused(self) -> bool:
        """Whether its answer is that the key is no good."""
        return self.answer == WRONG_KEY


@dataclass(eq=False, slots=True)
class _Line:
    """The CA's end of a connection."""

    client: Client
    connection: Connection
    outside: Outside
    written: bytearray = field(default_factory=bytearray)
    brought: int = 0  # bytes
    heard: int = 0
    to_hear: list[tuple[int, Visit]] = field(default_factory=list)
    has_junk: bool = False
    has_answered: bool = False
    made_at: float = 0.0
    last: Visit | None = None

    def __post_init__(self) -> None:
        self.made_at = self.outside.now

    def note_heard(self, data: bytes) -> None:
        self.heard += len(data)
        while self.to_hear and self.to_hear[0][0] <= self.heard:
            self.to_hear.pop(0)[1].heard_at = self.outside.now

    def note_given_up(self) -> None:
        if self.last is not None and self.last.heard_at is None:
            self.last.given_up_at = self.outside.now

    def bring(self, at: float, data: bytes, *, whole: bool = True) -> None:
        self.brought += len(data)
        self.connection.bring(at, data)
        if whole:
            self.outside.at(at, self._answered)

    def _answered(self) -> None:
        self.client.answers += 1
        self.client.on_answer(self.client.answers)

    def take_whole(self) -> tuple[re.Match[bytes], bytes] | None:
        """Return head and body of a request that has been written; None: it is not whole yet."""
        head = _HEAD.match(bytes(self.written))
        if head is None:
            return None
        length = int(found[1]) if (found := _LENGTH.search(head[0])) else 0
        end = head.end() + length
        if len(self.written) < end:
            return None
        body = bytes(self.written[head.end() : end])
        del self.written[:end]
        return head, body


@dataclass(eq=False)
class ModelCA:
    """The CA, and the weather on the way to it."""

    world: World
    outside: Outside
    visits: list[Visit] = field(default_factory=list)
    met: set[tuple[Kind, str]] = field(default_factory=set)  # kinds of trouble x states of the run
    client: Client = field(default_factory=lambda: Client(0))  # the process that runs now
    calm: bool = False  # no troubles any more

    def __post_init__(self) -> None:
        self._chances = 0
        self._windows = parse_windows(self.world.windows)
        self._resolved = (-inf, 0.0)  # when a name was found last, and how long that took
        self._lines: dict[Connection, _Line] = {}

    # --- the weather ------------------------------------------------------------------------

    def _dice(self) -> random.Random:
        self._chances += 1
        return random.Random(f"{self.world.seed}/{self._chances}")

    def _trouble(
        self, dice: random.Random, kinds: Sequence[Kind] | None = None, key: str = ""
    ) -> Kind | None:
        """Return the kind of trouble that strikes now, if one does; of these, or a request."""
        if self.calm:
            return None
        for trouble in self.world.troubles:
            if not _is_now(trouble, self.outside.now):
                continue
            if trouble.kind is Kind.KEY_SHARED:
                is_struck = kinds is None and self._is_used_up(trouble.share, key)
            else:
                is_struck = dice.random() < trouble.share
            if is_struck:
                is_of_connections = trouble.kind in OF_CONNECTIONS
                if (trouble.kind in kinds) if kinds else not is_of_connections:
                    self.met.add((trouble.kind, self.client.state_of_run()))
                    return trouble.kind
        return None

    def _is_used_up(self, share: float, key: str) -> bool:
        """Whether others, who take a share of a key's limits, have left nothing of them."""
        for window in self._windows:
            # In a period; of less than one, one in several.
            ours = window.limit * max(1 - share, 0.001)
            since, left = self.outside.now - window.period_s / min(1.0, ours), max(1, int(ours))
            for visit in reversed(self.visits):
                if visit.left_at < since or not left:
                    break
                left -= visit.key == key and visit.trouble is not Kind.KEY_SHARED
            if not left:
                return True
        return False

    def _latency_s(self, dice: random.Random) -> float:
        return dice.uniform(*self.world.latency_s)

    def resolving(self) -> tuple[float, bool | None]:
        dice = self._dice()
        kind = self._trouble(dice, (Kind.NO_ANSWER_OF_DNS, Kind.UNKNOWN_NAME))
        found = {Kind.NO_ANSWER_OF_DNS: None, Kind.UNKNOWN_NAME: False}
        took_s = self._latency_s(dice)
        self._resolved = self.outside.now + took_s, took_s
        return took_s, found[kind] if kind else True

    def connecting(self) -> tuple[float, OSError | None]:
        dice = self._dice()
        kind = self._trouble(dice, (Kind.CONNECT_REFUSED, Kind.CONNECT_HANGS, Kind.CONNECT_LATE))
        if kind is Kind.CONNECT_LATE:
            timeout_s = self.world.timeout_s
            most_s = timeout_s * dice.uniform(0.3, 0.9)
            # A name takes its time once, and TLS each time.
            resolved_at, took_s = self._resolved
            named_s = took_s if self.outside.now - resolved_at < TURN_S * 10 else 0.0
            just_s = timeout_s - named_s - SECURING_S
            return dice.choice((most_s, just_s - dice.uniform(0.0, 5e-5))), None
        if kind is Kind.CONNECT_HANGS:
            return 130.0, TimeoutError(110, "Connection timed out")
        refused = ConnectionRefusedError(111, "Connection refused") if kind else None
        return self._latency_s(dice), refused

    def securing(self) -> ssl.SSLError | None:
        if self._trouble(self._dice(), (Kind.TLS_REFUSED,)):
            return ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed")
        return None

    # --- what comes -------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        line = self._lines[connection] = _Line(self.client, connection, self.outside)
        connection.heard, connection.given_up = line.note_heard, line.note_given_up

    def received(self, connection: Connection, data: bytes) -> None:
        line = self._lines[connection]
        if not line.client.is_alive():
            return
        line.written += data
        if (request := line.take_whole()) is None:
            return
        head, body = request
        key = found[1].decode() if (found := _KEY.search(head[0])) else ""
        dice = self._dice()
        kind = self._trouble(dice, key=key)
        if kind is Kind.KEY_REVOKED and self.world.accounts and key == KEYS[0]:
            kind = None  # of several keys one is revoked
        method, path = head[1].decode(), head[2].decode()
        visit = Visit(
            line.client, self.outside.now, method, path, key, body, kind, line.has_junk,
            line.made_at if line.has_answered else None,
        )  # fmt: skip
        line.has_junk |= kind in (Kind.EXTRA_BYTES, Kind.STALE_CONNECTION)
        line.last = visit
        self.visits.append(visit)
        self._send_on_its_way(line, visit, dice)

    def _send_on_its_way(self, line: _Line, visit: Visit, dice: random.Random) -> None:
        kind = visit.trouble
        if kind is Kind.LOST_ON_THE_WAY:
            return
        if kind is Kind.RESET_BEFORE:
            line.connection.end(self.outside.now + self._latency_s(dice), "reset")
            visit.broke_at = line.connection.last_arrival
            return
        travels_s = self._latency_s(dice)
        if kind is Kind.ARRIVES_LATE:
            # The program takes it to arrive within its timeout once it was given up: that is a
            # timeout after the call began, or as soon as something strikes its process. A call
            # whose connection is late may be given up as soon as its request has left.
            troubles = {trouble.kind for trouble in self.world.troubles}
            is_early = line.client.is_struck or Kind.CONNECT_LATE in troubles
            latest = 1.0 if is_early else 1.6
            travels_s = self.world.timeout_s * dice.uniform(0.5, latest)
        self.outside.after(travels_s, lambda: self._arrive(line, visit, dice))

    def _arrive(self, line: _Line, visit: Visit, dice: random.Random) -> None:
        now = visit.arrived_at = self.outside.now
        visit.answer, visit.mailed = self._act(visit, dice)
        line.has_answered = True
        self._answer(line, visit, now + self._latency_s(dice), dice)
        line.client.arrivals += 1
        line.client.on_arrival(line.client.arrivals)

    def _act(self, visit: Visit, dice: random.Random) -> tuple[bytes, bool]:
        """Return the answer, and whether mails went out."""
        kind = visit.trouble
        if kind in replies.INSTEAD:
            return replies.INSTEAD[kind], False
        if visit.order_id is None:
            orders = [str(FIRST_ORDER + n) for n in range(self.world.orders)]
            own = [order for order in orders if key_of(self.world, order) == visit.key]
            approved = {order for order in own if self.is_approved(order)}
            return replies.answer_to_read(visit.path, own, approved), False
        if key_of(self.world, visit.order_id) != visit.key:
            return replies.NO_SUCH_ORDER, False  # it is another account's
        if int(visit.order_id) - FIRST_ORDER in self.world.sick:
            return replies.SICK, False
        if self.is_approved(visit.order_id):
            return replies.NO_MORE, False
        accepted = dice.choice(replies.ACCEPTED)
        return replies.GATEWAY if kind is Kind.GATEWAY_504 else accepted, True

    def is_approved(self, order_id: str) -> bool:
        """Whether an order waits no more."""
        since_s = dict(self.world.approved).get(int(order_id) - FIRST_ORDER)
        return since_s is not None and since_s < self.outside.now

    def _answer(self, line: _Line, visit: Visit, at: float, dice: random.Random) -> None:
        kind, timeout_s, answer = visit.trouble, self.world.timeout_s, visit.answer
        if kind in (Kind.SILENT_AFTER, Kind.ARRIVES_LATE):
            return
        if kind in (Kind.RESET_AFTER, Kind.CLOSED_AFTER):
            line.connection.end(at, "reset" if kind is Kind.RESET_AFTER else "closed")
            visit.broke_at = line.connection.last_arrival
            return
        if kind is Kind.GARBAGE:
            junk = dice.choice((b"SSH-2.0-x\r\n", b"\x00\xff" * 9, b"HTTP/9 ok\r\n\r\n"))
            line.connection.bring(at, junk)
            return
        if kind is Kind.ANSWER_SLOW:
            at += timeout_s * dice.uniform(0.3, 0.9)
        if kind is Kind.ANSWER_LATE:
            at = max(at, visit.left_at + timeout_s + dice.choice((-1e-4, -1e-5, 0, 1e-5, 0.1, 3.0)))
        if kind is Kind.ANSWER_CUT:
            line.bring(at, answer[: dice.randrange(len(answer))])
            line.connection.end(at + self._latency_s(dice), _ending(dice))
            return
        extra = dice.choice(_EXTRA) if kind is Kind.EXTRA_BYTES else b""
        if kind is Kind.ANSWER_IN_PIECES:
            for byte in range(0, len(answer), 7):
                at += dice.choice((0.0, 0.001, 0.3))
                line.bring(at, answer[byte : byte + 7], whole=False)
        elif extra.startswith(b"HTTP/"):
            # A status line that comes behind the next request, nobody can tell from that one's.
            line.bring(at, answer + extra)
        else:
            line.bring(at, answer)
        visit.brought_at = line.connection.last_arrival
        line.to_hear.append((line.brought, visit))
        if extra and not extra.startswith(b"HTTP/"):
            line.bring(at + dice.choice((0.0, 0.01)), extra)
        if kind is Kind.STALE_CONNECTION:
            line.connection.end(at + dice.choice((0.0, 1e-5, 0.01, 0.5)), _ending(dice))


_EXTRA = (b"x", b"\r\n", replies.NO_CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9")


def _ending(dice: random.Random) -> Literal["closed", "reset"]:
    return dice.choice(("closed", "reset"))


def _is_now(trouble: Trouble, now: float) -> bool:
    return trouble.since_s <= now < trouble.until_s


def account_of(world: World, order_id: str) -> str | None:
    """Return the account that an order's rows name; None: the command's own."""
    number = (int(order_id) - FIRST_ORDER) % (world.accounts + 1)
    return f"account{number}" if number else None


def key_of_account(name: str | None) -> str:
    """Return the key that an account goes by: the third one's is the first one's."""
    return KEYS[int(name[-1]) % 2 if name else 0]


def key_of(world: World, order_id: str) -> str:
    """Return the key that an order's requests go by."""
    return key_of_account(account_of(world, order_id))
