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
from typing import Any

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


def pending(number: int, **more: Any) -> dict[str, Any]:
    """Return an order as a list was recorded to have it, with some fields otherwise."""
    return {
        "id": number,
        "certificate": {
            "id": number + 1,
            "common_name": f"shop{number}.example.com",
            "dns_names": [f"shop{number}.example.com"],
            "signature_hash": "sha256",
            "cert_validity": {"years": 1},
        },
        "status": "pending",
        "is_renewed": False,
        "date_created": "2026-06-08T14:59:13+00:00",
        "organization": [],
        "container": {"id": 7, "name": "Main", "is_active": True},
        "product": {
            "name_id": "ssl_dv_geotrust_flex",
            "name": "GeoTrust DV SSL",
            "type": "dv_ssl_certificate",
        },
        "product_name_id": "ssl_dv_geotrust_flex",
        "price": 149,
        "order_validity": {"years": 1},
        "number_of_sans": 1,
        "is_multi_year_plan": "1",
    } | more


def lists(*orders: object) -> AnswerTo:
    """Return a service that has these orders waiting, validated by e-mail, and Order info alone."""

    def answer_to(asked: Asked) -> bytes:
        if asked.method == "PUT":
            return NO_CONTENT
        if "?" in asked.path:
            is_first = "=pending&" in asked.path
            return as_json({"orders": orders}) if is_first else as_json({})
        info = re.fullmatch("/order/certificate/([0-9]+)", asked.path)
        return as_json(pending(int(info[1]), dcv_method="email")) if info else NO_SUCH_CALL

    return answer_to


def waiting(orders: int) -> AnswerTo:
    """Return a service of which so many orders wait."""
    return lists(*(pending(n) for n in range(1, orders + 1)))


def with_answer(part: str, answer: bytes, otherwise: AnswerTo) -> AnswerTo:
    """Return a service that answers reads of paths with some part in one way."""
    return lambda a: answer if a.method == "GET" and part in a.path else otherwise(a)


def validation(*names: tuple[str, str], status: str = "pending") -> bytes:
    """Return an order's validation status: its names, and whether each is approved."""
    return as_json(
        {
            "order_status": status,
            "order_dcv_method": "email",
            "order_name_scope": names[0][0],
            "dns_name_validations": [
                {
                    "domain_id": str(17 + place),
                    "name_scope": name,
                    "approval_scope": name,
                    "status": state,
                    "method": "email",
                    "dns_names": [name],
                }
                for place, (name, state) in enumerate(names)
            ],
        }
    )


SOME = (
    ("a.example", "approved"),
    ("b.example", "unapproved"),
    ("c.example", "approved"),
    ("d.example", "unapproved"),
    ("e.example", "approved"),
)
ALL = (("a.example", "approved"), ("b.example", "approved"))


# Of what the CA need not have, such as the order report; and how often it is asked for where a read
# has one attempt: what the CA need not have has one more.
NO_REPORT: dict[str, tuple[bytes, int]] = {
    "the CA does not have it": (NO_SUCH_CALL, 1),
    "the key may not": (error(403, "access_denied|missing_permission"), 1),
    "a page": (http(404, BLOCK_PAGE, "text/html"), 1),
    "another table": (http(200, b"a,b\r\n1,2\r\n", "text/csv"), 1),
    "nothing": (http(200), 1),
    "a gateway that waited in vain": (http(504, b"<title>Timeout</title>", "text/html"), 2),
}
