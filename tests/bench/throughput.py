"""How fast without a limit: this program and its peers on the same work, interleaved.

Each reads a CSV list, PUTs every order with its body, 64 in flight, and writes a result an order.
Ours does all that it always does: journal on disk before each request, report at the end.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.processes import PROGRAM, Figures, fastest_server, run, write_list

IN_FLIGHT = 64
BARE, BARE_UV = "bare aiohttp loop", "bare aiohttp loop, uvloop"
OURS, OURS_UV = "batch-resend", "batch-resend, uvloop"
MUCH_SLOWER = 8  # times as long as the bare loop: one round says enough


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one round, in a folder of its own."""

    base_url: str
    folder: Path

    @property
    def list(self) -> Path:
        """The list."""
        return self.folder / "orders.csv"

    @property
    def results(self) -> Path:
        """Where a peer writes its results: a line an order that ends in the status."""
        return self.folder / "results"


def ours(work: Work) -> list[str]:
    """Return our command."""
    return [
        *PROGRAM, "send", str(work.list), "--yes", "-q", "--base-url", work.base_url,
        "--limit", "none", "--concurrency", str(IN_FLIGHT),
        "--journal", str(work.folder / "journal.db"), "--report-dir", str(work.folder / "report"),
    ]  # fmt: skip


def of_peers(module: str, *more: str) -> Callable[[Work], list[str]]:
    """Return what makes the command of a peer in the folder `peers`."""
    return lambda work: [
        sys.executable, "-m", f"tests.bench.peers.{module}", work.base_url, str(work.list),
        str(work.results), *more,
    ]  # fmt: skip


def curl_parallel(work: Work) -> list[str]:
    """Return curl's command; writing down its requests beforehand costs it nothing here."""
    lines = []
    for url, body in _requests(work):
        lines += [
            f'url = "{url}"', "request = PUT", f"data = {json.dumps(body)}",
            'header = "X-DC-DEVKEY: bench"', 'header = "Content-Type: application/json"',
            'write-out = "%{url},%{http_code}\\n"', "next",
        ]  # fmt: skip
    config = work.folder / "curl.config"
    config.write_text("\n".join(lines[:-1]))
    return [
        "curl", "--no-progress-meter", "--parallel", "--parallel-max", str(IN_FLIGHT),
        "--config", str(config),
    ]  # fmt: skip


def gnu_parallel(work: Work) -> list[str]:
    """Return GNU parallel's command: a curl an order."""
    arguments = work.folder / "arguments"
    arguments.write_text("".join(f"{url}\t{body}\n" for url, body in _requests(work)))
    return [
        "parallel", "--jobs", str(IN_FLIGHT), "--colsep", "\t", "--arg-file", str(arguments),
        "curl", "--no-progress-meter", "--request", "PUT", "--data", "{2}",
        "--header", "'X-DC-DEVKEY: bench'", "--header", "'Content-Type: application/json'",
        "--write-out", "'%{url},%{http_code}\\n'", "{1}",
    ]  # fmt: skip


def _requests(work: Work) -> list[tuple[str, str]]:
    """Return the URL and the body of every request."""
    found = []
    for row in work.list.read_text().splitlines()[1:]:
        order_id, domain, email = row.split(",")
        body = {"domain_approval_emails": [{"domain": domain, "email": email}]}
        url = f"{work.base_url}/order/certificate/{order_id}/resend-emails"
        found.append((url, json.dumps(body, separators=(",", ":"))))
    return found


def programs() -> dict[str, Callable[[Work], list[str]]]:
    """Return whom there is to measure; whoever is missing is named."""
    found = {BARE: of_peers("bare_aiohttp", str(IN_FLIGHT)), OURS: ours}
    if find_spec("uvloop"):
        found |= {BARE_UV: of_peers("bare_aiohttp", str(IN_FLIGHT), "uvloop"), OURS_UV: ours}
    optional: list[tuple[str, object, Callable[[Work], list[str]]]] = [
        ("curl --parallel", shutil.which("curl"), curl_parallel),
        ("reqstorm", find_spec("reqstorm"), of_peers("with_reqstorm", str(IN_FLIGHT))),
        ("requests, one by one", find_spec("requests"), of_peers("plain_requests")),
        ("GNU parallel with curl", shutil.which("parallel"), gnu_parallel),
    ]
    for name, is_there, make in optional:
        if is_there:
            found[name] = make
        else:
            print(f"skipped: {name} is not installed")
    return found


def one_round(name: str, make: Callable[[Work], list[str]], base_url: str, orders: int,
              figures: Figures) -> None:  # fmt: skip
    """Do the work once, and check that it was done."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as folder:
        work = Work(base_url, Path(folder))
        write_list(work.list, orders)
        out = work.folder / "out"
        loop = "uvloop" if name == OURS_UV else "asyncio"
        ended = run(make(work), out, BATCH_RESEND_EVENT_LOOP=loop)
        if name in (OURS, OURS_UV):
            done = json.loads((work.folder / "report" / "summary.json").read_text())
            acknowledged = done["orders"]["sent"]
        else:
            results = work.results if work.results.exists() else out
            acknowledged = sum(line.rstrip().endswith(",204") for line in results.open())
        if acknowledged != orders:
            raise SystemExit(f"{name}: {acknowledged} of {orders} orders were acknowledged")
    figures.add(ended)


def measure(orders: int = 20_000, rounds: int = 5) -> list[Finding]:
    """Measure everybody; return our figures."""
    known = programs()
    figures = {name: Figures() for name in known}
    with (
        tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as folder,
        fastest_server(Path(folder)) as (server, base_url),
    ):
        for _ in range(rounds):
            for name, make in known.items():
                first = figures[BARE].seconds[:1] or [0.0]
                if figures[name].seconds and figures[name].seconds[0] > MUCH_SLOWER * first[0]:
                    continue
                one_round(name, make, base_url, orders, figures[name])
    print(f"{orders:,} orders, {IN_FLIGHT} in flight, against {server}")
    columns = (
        f"{'median':>9}{'least':>9}{'most':>9}{'orders/s':>10}{'ratio':>7}{'work':>7}{'peak':>9}"
    )
    print(f"{'':<28}{columns}")
    bare_s, bare_worked_s = figures[BARE].median_s, figures[BARE].median_worked_s
    for name, found in sorted(figures.items(), key=lambda item: item[1].median_s):
        print(
            f"{name:<28}{found.median_s:>7.2f} s{min(found.seconds):>7.2f} s"
            f"{max(found.seconds):>7.2f} s{orders / found.median_s:>10,.0f}"
            f"{found.median_s / bare_s:>7.2f}{found.median_worked_s / bare_worked_s:>7.2f}"
            f"{max(found.peaks_mb):>6.0f} MB"
        )

    def finding(what: str, found: float, unit: str, at_most: float | None = None) -> Finding:
        return Finding("throughput", what, found, unit, at_most)

    ours_s, worked_s = figures[OURS].median_s, figures[OURS].median_worked_s
    ratios = [finding(f"{name} / {BARE}", f.median_s / bare_s, "x") for name, f in figures.items()
              if name not in (BARE, OURS)]  # fmt: skip
    with_uvloop = (
        [
            finding(
                f"{OURS_UV} / {BARE_UV}",
                figures[OURS_UV].median_s / figures[BARE_UV].median_s,
                "x",
                2.0,
            )
        ]
        if OURS_UV in figures
        else []
    )
    at_most = {"reqstorm": 1.4, "requests, one by one": 1.0, "GNU parallel with curl": 1.0}
    others = [
        finding(f"{OURS} / {name}", ours_s / figures[name].median_s, "x", most)
        for name, most in at_most.items()
        if name in figures
    ]
    return [
        finding(f"{OURS} / {BARE}, {orders:,} orders", ours_s / bare_s, "x", 2.0),
        finding(f"{OURS} / {BARE}, processor time", worked_s / bare_worked_s, "x", 2.0),
        finding(f"{OURS}, peak memory", max(figures[OURS].peaks_mb), "MB", 150.0),
        finding(f"{BARE}", bare_s, "s"),
        finding(f"{OURS}", ours_s, "s"),
        *ratios,
        *with_uvloop,
        *others,
    ]
