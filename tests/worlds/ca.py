"""The CA of a world: it keeps its own books of what arrived, what it mailed, what it answered."""

import json
import random
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.cli.raw_service import BLOCK_PAGE, WRONG_KEY, as_json, error, http
from tests.worlds.loop import Outside
from tests.worlds.network import Connection
from tests.worlds.spec import Blow, Kind, Trouble, World

_HEAD = re.compile(rb"(\w+) /services/v2(\S*) HTTP/1\.1\r\n(?:.*\r\n)*?\r\n", re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RESEND = re.compile(r"/order/certificate/(\d+)/resend-emails")
_INFO = re.compile(r"/order/certificate/(\d+)(/validation)?")
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
_MAINTENANCE = http(503, b"<html><title>Service is unavailable</title></html>", "text/html")
_PORTAL = http(200, b"<html><title>Log in to this network</title></html>", "text/html")
_CDN = http(403, BLOCK_PAGE, "text/html")
_ELSEWHERE = http(302, b"", "text/html", "Location: http://portal.invalid/login")
_TOO_MANY = error(429, "request_limit_exceeded", "Service unavailable, please limit request volume")
_NO_MORE = error(400, "order_not_pending", "The order is not pending.")
_GATEWAY = http(504, b"<html><title>Gateway Time-out</title></html>", "text/html")

# By which of them the CA's own books say that it did nothing.
INSTEAD = {
    Kind.ERROR_500: error(500, "server_error"),
    Kind.MAINTENANCE: _MAINTENANCE,
    Kind.CDN_PAGE: _CDN,
    Kind.PAGE_200: _PORTAL,
    Kind.REDIRECTED: _ELSEWHERE,
    Kind.ERRORS_IN_200: as_json({"errors": [{"code": "order_locked", "message": "No."}]}),
    Kind.RATE_LIMITED: _TOO_MANY,
    Kind.KEY_REVOKED: WRONG_KEY,
}


@dataclass(eq=False, slots=True)
class Visit:
    """One request, from when it left the process."""

    process: int
    left_at: float
    method: str
    path: str
    body: bytes
    trouble: Kind | None
    arrived_at: float | None = None
    mailed: bool = False
    answer: bytes = b""
    follows_junk: bool = False  # on its connection, or what is to close it
    brought_at: float | None = None  # when the whole of its answer lay in the process's buffer
    heard_at: float | None = None  # when the process had read the whole of the answer

    @property
    def order_id(self) -> str | None:
        """The order that it asks to mail."""
        found = _RESEND.fullmatch(self.path)
        return found[1] if found and self.method == "PUT" else None

    @property
    def is_429(self) -> bool:
        """Whether its answer asks for fewer requests."""
        return self.answer == _TOO_MANY

    @property
    def says_key_is_refused(self) -> bool:
        """Whether its answer is that the key is no good."""
        return self.answer == WRONG_KEY


@dataclass(eq=False)
class ModelCA:
    """The CA, and the weather on the way to it."""

    world: World
    outside: Outside
    first_order: int
    visits: list[Visit] = field(default_factory=list)
    met: set[tuple[Kind, str]] = field(default_factory=set)  # kinds of trouble x states of the run
    process: int = 0
    state_of_run: Callable[[], str] = lambda: ""
    on_arrival: Callable[[int], None] = lambda _: None
    on_answer: Callable[[int], None] = lambda _: None
    lets_in: Callable[[], bool] = lambda: True  # whether the process that writes is alive
    calm: bool = False  # no troubles any more

    def __post_init__(self) -> None:
        self._arrivals = self._answers = self._chances = 0
        self._written: dict[Connection, bytearray] = {}
        self._heard: dict[Connection, int] = {}
        self._to_hear: dict[Connection, list[tuple[int, Visit]]] = {}
        self._brought: dict[Connection, int] = {}
        self._junk: set[Connection] = set()

    def begin_process(self, number: int) -> None:
        """Count anew for another process."""
        self.process = number
        self._arrivals = self._answers = 0
        for known in (self._written, self._heard, self._to_hear, self._brought):
            known.clear()

    # --- the weather ------------------------------------------------------------------------

    def _dice(self) -> random.Random:
        self._chances += 1
        return random.Random(f"{self.world.seed}/{self._chances}")

    def _trouble(self, dice: random.Random, kinds: Sequence[Kind] | None = None) -> Kind | None:
        """Return the kind of trouble that strikes now, if one does."""
        if self.calm:
            return None
        for trouble in self.world.troubles:
            if _is_now(trouble, self.outside.now) and dice.random() < trouble.share:
                is_of_connections = trouble.kind in _OF_CONNECTIONS
                if (trouble.kind in kinds) if kinds else not is_of_connections:
                    self.met.add((trouble.kind, self.state_of_run()))
                    return trouble.kind
        return None

    def _latency_s(self, dice: random.Random) -> float:
        return dice.uniform(*self.world.latency_s)

    def resolving(self) -> tuple[float, bool | None]:
        dice = self._dice()
        kind = self._trouble(dice, (Kind.NO_ANSWER_OF_DNS, Kind.UNKNOWN_NAME))
        found = {Kind.NO_ANSWER_OF_DNS: None, Kind.UNKNOWN_NAME: False}
        return self._latency_s(dice), found[kind] if kind else True

    def connecting(self) -> tuple[float, OSError | None]:
        dice = self._dice()
        kind = self._trouble(dice, (Kind.CONNECT_REFUSED, Kind.CONNECT_HANGS))
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
        self._written[connection] = bytearray()
        self._heard[connection] = self._brought[connection] = 0
        self._to_hear[connection] = []
        connection.heard = partial(self._note_heard, connection)

    def received(self, connection: Connection, data: bytes) -> None:
        if not self.lets_in() or connection not in self._written:
            return
        written = self._written[connection]
        written += data
        head = _HEAD.match(bytes(written))
        if head is None:
            return
        length = int(found[1]) if (found := _LENGTH.search(head[0])) else 0
        if len(written) < head.end() + length:
            return
        body = bytes(written[head.end() : head.end() + length])
        del written[: head.end() + length]
        dice = self._dice()
        visit = Visit(
            self.process,
            self.outside.now,
            head[1].decode(),
            head[2].decode(),
            body,
            self._trouble(dice),
        )
        visit.follows_junk = connection in self._junk
        if visit.trouble in (Kind.EXTRA_BYTES, Kind.STALE_CONNECTION):
            self._junk.add(connection)
        self.visits.append(visit)
        self._send_on_its_way(connection, visit, dice)

    def _note_heard(self, connection: Connection, data: bytes) -> None:
        if connection not in self._heard:
            return
        self._heard[connection] += len(data)
        waiting = self._to_hear[connection]
        while waiting and waiting[0][0] <= self._heard[connection]:
            waiting.pop(0)[1].heard_at = self.outside.now

    def _send_on_its_way(self, connection: Connection, visit: Visit, dice: random.Random) -> None:
        now, timeout_s = self.outside.now, self.world.timeout_s
        kind = visit.trouble
        if kind is Kind.LOST_ON_THE_WAY:
            return
        if kind is Kind.RESET_BEFORE:
            connection.end(now + self._latency_s(dice), "reset")
            return
        travels_s = self._latency_s(dice)
        if kind is Kind.ARRIVES_LATE:
            # The program takes it to arrive within its timeout again once it was given up, which is
            # up to a timeout after the call began: before its connection, and a freeze, if any.
            strikes = [strike for start in self.world.starts for strike in start.strikes]
            stood_still = any(s.blow in (Blow.FREEZE, Blow.SUSPEND) for s in strikes)
            travels_s = timeout_s * dice.uniform(0.5, 1.0 if stood_still else 1.6)
        process = self.process
        self.outside.after(travels_s, lambda: self._arrive(connection, visit, dice, process))

    def _arrive(
        self, connection: Connection, visit: Visit, dice: random.Random, process: int
    ) -> None:
        now = visit.arrived_at = self.outside.now
        visit.answer, visit.mailed = self._act(visit, dice)
        answers_s = self._latency_s(dice)
        self._answer(connection, visit, now + answers_s, dice)
        if process == self.process:
            self._arrivals += 1
            self.on_arrival(self._arrivals)

    def _act(self, visit: Visit, dice: random.Random) -> tuple[bytes, bool]:
        """Return the answer, and whether mails went out."""
        kind = visit.trouble
        if kind in INSTEAD:
            return INSTEAD[kind], False
        if visit.order_id is None:
            return self._read(visit), False
        if self._is_approved(visit.order_id):
            return _NO_MORE, False
        if kind is Kind.GATEWAY_504:
            return _GATEWAY, True
        return dice.choice((_NO_CONTENT, _NO_CONTENT, http(200, b"{}"))), True

    def _is_approved(self, order_id: str) -> bool:
        since_s = dict(self.world.approved).get(int(order_id) - self.first_order)
        return since_s is not None and since_s < self.outside.now

    def _read(self, visit: Visit) -> bytes:
        """Return what a read is answered; of other calls, that there are none."""
        if found := _INFO.fullmatch(visit.path):
            approved = self._is_approved(found[1])
            status = "issued" if approved else "pending"
            order: dict[str, object] = {
                "id": int(found[1]),
                "status": status,
                "dcv_method": "email",
                "product": {"name_id": "ssl_dv_geotrust_flex", "type": "dv_ssl_certificate"},
            }
            if found[2]:
                name = {"domain_id": "7", "name_scope": "d.example.com", "dns_names": ["d"]}
                order = {
                    "order_status": status,
                    "order_dcv_method": "email",
                    "dns_name_validations": [
                        {**name, "status": "approved" if approved else "unapproved"}
                    ],
                }
            return http(200, json.dumps(order).encode())
        if visit.path == "/user/me":
            return http(200, b'{"id": 1, "access_roles": [{"id": 101, "name": "Administrator"}]}')
        return error(404, "not_found", "The specified route was not found.")

    def _answer(self, connection: Connection, visit: Visit, at: float, dice: random.Random) -> None:
        kind, timeout_s, answer = visit.trouble, self.world.timeout_s, visit.answer
        if kind in (Kind.SILENT_AFTER, Kind.ARRIVES_LATE):
            return
        if kind in (Kind.RESET_AFTER, Kind.CLOSED_AFTER):
            connection.end(at, "reset" if kind is Kind.RESET_AFTER else "closed")
            return
        if kind is Kind.GARBAGE:
            connection.bring(
                at, dice.choice((b"SSH-2.0-x\r\n", b"\x00\xff" * 9, b"HTTP/9 ok\r\n\r\n"))
            )
            return
        if kind is Kind.ANSWER_SLOW:
            at += timeout_s * dice.uniform(0.3, 0.9)
        if kind is Kind.ANSWER_LATE:
            at = max(at, visit.left_at + timeout_s + dice.choice((-1e-4, -1e-5, 0, 1e-5, 0.1, 3.0)))
        if kind is Kind.ANSWER_CUT:
            self._bring(connection, at, answer[: dice.randrange(len(answer))])
            connection.end(at + self._latency_s(dice), dice.choice(("closed", "reset")))
            return
        if kind is Kind.ANSWER_IN_PIECES:
            for byte in range(0, len(answer), 7):
                at += dice.choice((0.0, 0.001, 0.3))
                self._bring(connection, at, answer[byte : byte + 7], whole=False)
        else:
            self._bring(connection, at, answer)
        visit.brought_at = connection.last_arrival
        self._to_hear.get(connection, []).append((self._brought.get(connection, 0), visit))
        if kind is Kind.EXTRA_BYTES:
            extra = dice.choice(
                (b"x", b"\r\n", _NO_CONTENT, b"HTTP/1.1 200 OK\r\nContent-Length: 9")
            )
            self._bring(connection, at + dice.choice((0.0, 0.01)), extra)
        if kind is Kind.STALE_CONNECTION:
            connection.end(
                at + dice.choice((0.0, 1e-5, 0.01, 0.5)), dice.choice(("closed", "reset"))
            )

    def _bring(self, connection: Connection, at: float, data: bytes, *, whole: bool = True) -> None:
        if connection in self._brought:
            self._brought[connection] += len(data)
        connection.bring(at, data)
        process = self.process
        if whole:
            self.outside.at(at, lambda: self._answered(process))

    def _answered(self, process: int) -> None:
        if process == self.process:
            self._answers += 1
            self.on_answer(self._answers)


_OF_CONNECTIONS = frozenset(tuple(Kind)[:5])


def _is_now(trouble: Trouble, now: float) -> bool:
    return trouble.since_s <= now < trouble.until_s
