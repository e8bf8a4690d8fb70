"""A sick CA, whole runs: what they take beside healthy ones, counted at the server.

    python -m tests.bench.sick [NAME]...

Each case in turn with a run of as many orders that all go well. The server is a raw one, and what
comes of a request depends on its order or on chance of a known seed.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch_resend.windows import Window, dictated_time
from tests.bench.findings import Finding, keep, show
from tests.bench.processes import PROGRAM, ROOT, machine, write_list
from tests.cli.counting_server import Call, CountingServer, Fate
from tests.cli.test_hostile_ca import FATES, REFUSED

WINDOWS = (Window(100, 2.0),)
FIRST = 100_000_000  # the number of a list's first order
LIMITED = b'{"errors":[{"code":"request_limit_exceeded","message":"Service unavailable"}]}'


def by_chance(share: float, status: int) -> Callable[[], Fate]:
    """Answer a share of the requests with a status."""

    def fates() -> Fate:
        chance = random.Random(7)

        async def fate(call: Call) -> None:
            if chance.random() < share:
                await call.refuse(status, LIMITED if status == 429 else b"")
            else:
                await call.accept()

        return fate

    return fates


def always(orders: range, status: int) -> Callable[[], Fate]:
    """Answer all requests of some orders with a status."""

    async def fate(call: Call) -> None:
        if int(call.order) - FIRST in orders:
            await call.refuse(status, LIMITED if status == 429 else b"")
        else:
            await call.accept()

    return lambda: fate


def of_twelve_kinds() -> Fate:
    """Let three orders of five fail in twelve ways, every other one of them twice."""
    kinds = [*FATES, *[""] * 8]
    random.Random(7).shuffle(kinds)

    async def fate(call: Call) -> None:
        number = int(call.order) - FIRST
        kind, times = kinds[number % len(kinds)], 1 + number // len(kinds) % 2
        if kind and (kind in REFUSED or call.turn <= times):
            await FATES[kind](call)
        else:
            await call.accept()

    return fate


def dropping(nth: int) -> Callable[[], Fate]:
    """Act on every nth request of a connection, and drop it."""

    async def fate(call: Call) -> None:
        if call.visit.turn % nth == 0:
            await call.mail()
            call.visit.close()
        else:
            await call.accept()

    return lambda: fate


def well() -> Fate:
    """Let all go well."""
    return Call.accept


@dataclass(frozen=True, slots=True)
class Case:
    """A sick CA, and how long a run may take with it."""

    name: str
    orders: int
    fate: Callable[[], Fate]
    at_most: float | None = None  # times what the limits dictate for the requests that were made
    at_most_s: float | None = None
    at_most_doubles: int | None = None
    options: Sequence[str] = ()
    windows: Sequence[Window] = field(default=WINDOWS)


CASES = (
    Case("5 % of the answers 429", 600, by_chance(0.05, 429), at_most=1.6),
    Case("30 % of the answers 500", 600, by_chance(0.3, 500), at_most=2.2),
    Case("60 % of the answers 500", 500, by_chance(0.6, 500), at_most=3.5),
    Case("twelve kinds of fault in 60 % of 400 orders", 400, of_twelve_kinds,
         at_most_s=45.0, options=("--timeout", "2s"),
         windows=(Window(100, 1.0), Window(400, 5.0))),
    Case("one order of 300 always 429", 300, always(range(150, 151), 429), at_most_s=75.0),
    Case("the last order of 300 always 429", 300, always(range(299, 300), 429), at_most_s=75.0),
    Case("the last 8 orders always 500", 300, always(range(292, 300), 500), at_most_s=75.0),
    Case("the same, one in flight", 300, always(range(292, 300), 500), at_most_s=75.0,
         options=("--concurrency", "1")),
    Case("every fifth request of a connection dropped", 250, dropping(5), at_most_s=15.0,
         at_most_doubles=40),
)  # fmt: skip


def measure(names: Sequence[str] = ()) -> list[Finding]:
    """Run each case, or those that are named; return what they took."""
    found: list[Finding] = []
    for case in CASES:
        if not names or any(name in case.name for name in names):
            for finding in asyncio.run(_measured(case)):
                print(finding, flush=True)
                found.append(finding)
    return found


async def _measured(case: Case) -> list[Finding]:
    healthy = await _run(case, well())
    sick = await _run(case, case.fate())
    dictated_s = dictated_time(sick.requests, case.windows)
    name = case.name
    found = [
        Finding("sick", f"{name}: healthy run", healthy.took_s, "s"),
        Finding("sick", f"{name}", sick.took_s, "s", case.at_most_s),
        Finding("sick", "  requests", sick.requests, ""),
        Finding("sick", "  of them canaries", sick.canaries, ""),
        Finding("sick", "  second mails", sick.doubles, "", case.at_most_doubles),
    ]
    if case.at_most is not None:
        times = sick.took_s / dictated_s
        found.insert(2, Finding("sick", "  beside the limits", times, "x", case.at_most))
    return found


@dataclass(frozen=True, slots=True)
class _Ran:
    took_s: float
    requests: int
    doubles: int
    canaries: int


async def _run(case: Case, fate: Fate) -> _Ran:
    """Send a list; return what the server saw, and how long the whole process took."""
    folder = Path(tempfile.mkdtemp(prefix="batch-resend-bench-"))
    try:
        write_list(folder / "orders.csv", case.orders)
        async with CountingServer(_arriving(fate)) as ca:
            limits = [word for window in case.windows for word in ("--limit", str(window))]
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *PROGRAM, "send", str(folder / "orders.csv"), "--yes", "-q",
                "--base-url", ca.base_url, *limits, "--journal", str(folder / "journal.db"),
                "--report-dir", str(folder / "report"), *case.options,
                cwd=ROOT, env=os.environ | {"DIGICERT_API_KEY": "bench"},
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            code = await process.wait()
            took_s = time.monotonic() - began
            if code not in (0, 3):
                raise SystemExit(f"{case.name}: the run ended with {code}")
            return _Ran(took_s, ca.requests, ca.doubles, ca.canaries)
    finally:
        shutil.rmtree(folder)


def _arriving(fate: Fate) -> Fate:
    """Let each request take a while."""
    chance = random.Random(1)

    async def later(call: Call) -> None:
        await asyncio.sleep(chance.uniform(0.02, 0.08))
        await fate(call)

    return later


if __name__ == "__main__":
    print(machine())
    findings = measure(sys.argv[1:])
    keep(findings)
    short = [finding for finding in findings if not finding.is_met]
    print(f"--- {len(findings)} figures, {len(short)} fall short")
    show(short)
    sys.exit(bool(short))
