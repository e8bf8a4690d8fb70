"""A CA that answers by a script, in words that stand for answers, and orders to send to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from batch_resend.certcentral.judge import judge, remedy
from batch_resend.model import Fault, FaultKind, PlannedRequest, Reply, Request, Ruling, Verdict
from batch_resend.sending import Leave

_FAULTS = {
    "nohost": FaultKind.NO_SUCH_HOST,
    "noconn": FaultKind.NOT_CONNECTED,
    "tls": FaultKind.TLS_REFUSED,
    "lost": FaultKind.LOST,
    "timeout": FaultKind.TIMED_OUT,
    "garbled": FaultKind.GARBLED,
}


_CODES = {
    "400": "bad_request_format",
    "401": "invalid_api_key",
    "403": "access_denied|missing_permission",
    "404": "not_found|order",
    "route": "not_found|route",
    "429": "request_limit_exceeded",
    "key": "access_denied|access_denied_invalid_key",
}


_STATUSES = {"route": 404, "key": 403}


def answer(word: str) -> Reply | Fault:
    """Return what `503`, `429/30` (Retry-After: 30), `route`, `page403` or `timeout` stands for."""
    said, _, retry_after = word.partition("/")
    if said in _FAULTS:
        return Fault(_FAULTS[said], f"scripted: {said}")
    code = _CODES.get(said)
    body = f'{{"errors":[{{"code":"{code}","message":"scripted: {said}"}}]}}' if code else ""
    if said.startswith("page"):
        body = f"<html><title>scripted: {said}</title></html>"
    status = _STATUSES.get(said) or int(said.removeprefix("page"))
    return Reply(status, body.encode(), 0.0, retry_after or None)


def verdict(word: str) -> Verdict:
    """Return what the real judge makes of an answer."""
    return judge(answer(word))


def planned(number: int, *, attempts: int = 0, doubts: int = 0) -> PlannedRequest:
    return PlannedRequest(
        number, number, Request(str(number), None, ()), number.to_bytes(16), attempts, doubts
    )


def orders(first: int, last: int) -> list[PlannedRequest]:
    return [planned(number) for number in range(first, last + 1)]


class Line(NamedTuple):
    """One line of the notebook, or one thing the CA saw."""

    at: float
    what: str  # begin, call, answer, end, outcome
    order: int
    said: Ruling | str | None = None  # what came of it
    attempt: int = 0


class Judged:
    """What all CAs of these tests have in common: their answers are judged as the real one's."""

    def judge(self, result: Reply | Fault) -> Verdict:
        return judge(result)

    def remedy(self, verdict: Verdict, key_named: str) -> str:
        return remedy(verdict, "https://ca.example", key_named)


@dataclass
class ScriptedCA(Judged):
    """Answers each order's requests by its words in turn; the last one stays.

    A word may name its latency: `503@2` is a 503 after two seconds.
    """

    lines: list[Line]
    script: Mapping[int, str]
    latency_s: float = 0.0
    otherwise: str = "204"
    outages: Sequence[tuple[float, float, str]] = ()  # from, to (since the start), answer
    canary: str = "200"  # the answer to one, but in an outage
    in_flight: int = 0
    most_in_flight: int = 0
    asked: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._start = anyio.current_time()

    async def resend(self, order: Request, leave: Leave) -> Reply | Fault:
        leave()
        number = int(order.subject)
        word, _, latency = self._word(number).partition("@")
        self.asked[number] += 1
        self.lines.append(Line(anyio.current_time(), "call", number))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await anyio.sleep(self._latency(latency))
        finally:
            self.in_flight -= 1
        self.lines.append(Line(anyio.current_time(), "answer", number, word))
        return answer(word)

    async def get(self, path: str, leave: Leave) -> Reply | Fault:
        """Answer a canary."""
        leave()
        word, _, latency = self._word(0).partition("@")
        self.lines.append(Line(anyio.current_time(), "canary", 0, path))
        await anyio.sleep(self._latency(latency))
        return answer(word)

    def _latency(self, named: str) -> float:
        return float(named) if named else self.latency_s

    def _word(self, number: int) -> str:
        """Return the answer to an order's request, or to a canary (0): no order, and no script."""
        now = anyio.current_time() - self._start
        for since, until, word in self.outages:
            if since <= now < until:
                return word
        if not number:
            return self.canary
        words = self.script.get(number, self.otherwise).split()
        return words[min(self.asked[number], len(words) - 1)]
