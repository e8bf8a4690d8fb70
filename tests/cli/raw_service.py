"""A service that answers every request byte for byte as a test says, and counts what arrives."""

import asyncio
import csv
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certcentral.fault_server import NO_CONTENT, FaultServer, Visit
from tests.cli.conftest import Desk

_REQUEST = re.compile(rb"^(\w+) /services/v2(\S*) HTTP/1\.1\r\n")

# As recorded of the real service in 2023, what names one session left out.
HEADERS = (
    "Server: nginx",
    "X-CDN: Imperva",
    "X-Iinfo: 9-37914221-37914228 NNNN CT(83 84 0) RT(1700000000000 24) q(0 0 2 -1) r(3 3) U6",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str  # below the base URL, with its query
    turn: int  # 1 for the first request of this method and path
    number: int  # 1 for the first request of all


AnswerTo = Callable[[Asked], bytes]


def http(
    status: int, body: bytes = b"", content_type: str = "application/json", *headers: str
) -> bytes:
    """Return a whole answer, with the headers that recordings have."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *HEADERS, *headers]
    if body:
        lines.append(f"Content-Type: {content_type}; charset=utf-8")
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(value: object, status: int = 200) -> bytes:
    return http(status, json.dumps(value).encode())


def error(status: int, code: str, message: str = "No.") -> bytes:
    return as_json({"errors": [{"code": code, "message": message}]}, status)


WRONG_KEY = error(
    403,
    "access_denied|access_denied_invalid_key",
    "Access denied due to access_denied_invalid_key.",
)
NO_SUCH_CALL = error(404, "not_found", "The specified route was not found.")
BLOCK_PAGE = (
    b'<html style="height:100%"><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW">'
    b"<title>Access Denied</title></head><body>Request unsuccessful. Incapsula incident ID: "
    b"778000400187654321-39210884221043465</body></html>"
)


def accept_all(_: Asked) -> bytes:
    """Acknowledge whatever is asked for."""
    return NO_CONTENT


class RawService(FaultServer):
    """Answers by a function, after a latency; `asked` and `arrivals` have what arrived, and when.

    What it acknowledges with 204 to a PUT counts as mailed, by path.
    """

    def __init__(
        self, answer_to: AnswerTo, latency_s: Callable[[Asked], float] = lambda _: 0.0
    ) -> None:
        super().__init__(self._take)
        self.answer_to = answer_to
        self.asked: list[Asked] = []
        self.arrivals: list[float] = []
        self._latency_s = latency_s
        self._turns: Counter[tuple[str, str]] = Counter()

    async def _take(self, visit: Visit) -> None:
        head = await visit.read_head()
        self.arrivals.append(time.monotonic())
        found = _REQUEST.match(head)
        assert found is not None, head
        method, path = found[1].decode(), found[2].decode()
        self._turns[method, path] += 1
        asked = Asked(method, path, self._turns[method, path], len(self.asked) + 1)
        self.asked.append(asked)
        await visit.read_all()
        if (latency_s := self._latency_s(asked)) > 0:
            await asyncio.sleep(latency_s)
        said = self.answer_to(asked)
        await visit.send(said)
        if b"Connection: close" in said:
            visit.close()

    def mailed(self) -> list[str]:
        """Return the orders of which mails were asked for, in order of arrival."""
        return [order_of(path) for path in self.paths("PUT")]

    def paths(self, method: str) -> list[str]:
        """Return the paths that were asked for by a method, in order of arrival."""
        return [one.path for one in self.asked if one.method == method]


@asynccontextmanager
async def desk_at(
    folder: Path,
    answer_to: AnswerTo,
    orders: int = 0,
    latency_s: Callable[[Asked], float] = lambda _: 0.0,
) -> AsyncIterator[tuple[Desk, RawService]]:
    """Open a service, and a folder to work in without limits, with a list of so many orders."""
    async with RawService(answer_to, latency_s) as service:
        desk = Desk(folder, service.base_url)
        desk.environment["BATCH_RESEND_LIMIT"] = "none"
        if orders:
            desk.write_list(orders)
        yield desk, service


def unsent(report: Path) -> set[str]:
    """Return the orders that unsent.csv of a report has."""
    with (report / "unsent.csv").open(encoding="utf-8", newline="") as file:
        return {row["order_id"] for row in csv.DictReader(file)}


def order_of(path: str) -> str:
    """Return the number of the order that a path is about."""
    return path.split("/")[3]
