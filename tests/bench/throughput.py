"""How fast without a limit: this program and its peers on the same work, interleaved, in one run.

    python -m tests.bench.throughput [--orders 20000] [--rounds 5]

Each reads a CSV list, PUTs every order with its body, 64 in flight, and writes a result an order.
Ours does all that it always does: journal on disk before each request, report at the end. Wall time
and peak memory of whole processes; medians, and ratios to a bare aiohttp loop. Server and client
are on processors of their own where there are two. Writes bench.json.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

IN_FLIGHT = 64
BARE = "bare aiohttp loop"
OURS = "batch-resend"
ALLOWED_RATIO, ALLOWED_PEAK_MB = 3.0, 150.0
ROOT = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class Figures:
    """What a program needed, round by round."""

    seconds: list[float] = field(default_factory=list)
    peaks_mb: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        """The median of its wall times."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one round, in a folder of its own."""

    base_url: str
    folder: Path
    orders: int

    @property
    def list(self) -> Path:
        """The list."""
        return self.folder / "orders.csv"

    @property
    def results(self) -> Path:
        """Where a peer writes its results."""
        return self.folder / "results"


def ours(work: Work) -> list[str]:
    """Return our command."""
    return [
        sys.executable, "-m", "batch_resend", "send", str(work.list), "--yes", "-q",
        "--base-url", work.base_url, "--limit", "none", "--concurrency", str(IN_FLIGHT),
        "--journal", str(work.folder / "journal.db"), "--report-dir", str(work.folder / "report"),
    ]  # fmt: skip


def bare_aiohttp(work: Work) -> list[str]:
    """Return the command of a bare aiohttp loop."""
    return [
        sys.executable, "-m", "tests.bench.peers.bare_aiohttp", work.base_url, str(work.list),
        str(work.results), str(IN_FLIGHT),
    ]  # fmt: skip


def plain_requests(work: Work) -> list[str]:
    """Return the command of the plain loop of the API's documentation."""
    return [
        sys.executable, "-m", "tests.bench.peers.plain_requests", work.base_url, str(work.list),
        str(work.results),
    ]  # fmt: skip


def curl_parallel(work: Work) -> list[str]:
    """Return curl's command; writing down its requests beforehand costs it nothing here."""
    lines = []
    for row in work.list.read_text().splitlines()[1:]:
        order_id, domain, email = row.split(",")
        body = {"domain_approval_emails": [{"domain": domain, "email": email}]}
        url = f"{work.base_url}/order/certificate/{order_id}/resend-emails"
        lines += [
            f'url = "{url}"', "request = PUT", f"data = {json.dumps(json.dumps(body))}",
            'header = "X-DC-DEVKEY: bench"', 'header = "Content-Type: application/json"',
            'write-out = "%{url},%{http_code}\\n"', "next",
        ]  # fmt: skip
    config = work.folder / "curl.config"
    config.write_text("\n".join(lines[:-1]))
    return [
        "curl", "--no-progress-meter", "--parallel", "--parallel-max", str(IN_FLIGHT),
        "--config", str(config),
    ]  # fmt: skip


def peers() -> dict[str, Callable[[Work], list[str]]]:
    """Return whom there is to measure; whoever is missing is named."""
    found: dict[str, Callable[[Work], list[str]]] = {BARE: bare_aiohttp, OURS: ours}
    if shutil.which("curl"):
        found["curl --parallel"] = curl_parallel
    else:
        print("skipped: curl is not installed")
    try:
        import requests  # noqa: F401, PLC0415 - only whether it is there
    except ImportError:
        print("skipped: requests is not installed")
    else:
        found["requests, one by one"] = plain_requests
    return found


def pinned(command: list[str], processor: int) -> list[str]:
    """Return a command that keeps to one processor, where there is one to spare."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return command
    return ["taskset", "--cpu-list", str(processor), *command]


@contextmanager
def server() -> Iterator[str]:
    """Run the server; yield its base URL."""
    command = pinned([sys.executable, "-m", "tests.bench.server"], 0)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/services/v2"
        finally:
            process.terminate()


def measured(command: list[str], results: Path) -> tuple[float, float]:
    """Return the wall time (s) and the peak memory (MB) of a whole process."""
    with results.open("w") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(
            pinned(command, 1), stdout=out, cwd=ROOT, env=os.environ | {"DIGICERT_API_KEY": "bench"}
        )
        _, status, usage = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return took_s, usage.ru_maxrss / 1024


def one_round(name: str, make: Callable[[Work], list[str]], base_url: str, orders: int,
              figures: Figures) -> None:  # fmt: skip
    """Do the work once, and check that it was done."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as folder:
        work = Work(base_url, Path(folder), orders)
        rows = (f"{n},shop{n}.example.com,admin@shop{n}.example.com" for n in
                range(100_000_000, 100_000_000 + orders))  # fmt: skip
        work.list.write_text("\n".join(["order_id,domain,email", *rows]) + "\n")
        command = make(work)
        out = work.folder / "out"
        took_s, peak_mb = measured(command, out)
        if name == OURS:
            told = json.loads((work.folder / "report" / "summary.json").read_text())
            done = told["orders"]["sent"]
        else:
            results = work.results if work.results.exists() else out
            done = sum(line.rstrip().endswith(",204") for line in results.open())
        if done != orders:
            raise SystemExit(f"{name}: {done} of {orders} orders were acknowledged")
    figures.seconds.append(took_s)
    figures.peaks_mb.append(peak_mb)


def main() -> int:
    """Measure; fail where ours needs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    programs = peers()
    figures = {name: Figures() for name in programs}
    with server() as base_url:
        for _ in range(options.rounds):
            for name, make in programs.items():
                one_round(name, make, base_url, options.orders, figures[name])
    bare_s = figures[BARE].median_s
    print(
        f"{options.orders:,} orders, {IN_FLIGHT} in flight, {options.rounds} rounds; "
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    print(f"{'':<22}{'median':>9}{'least':>9}{'most':>9}{'orders/s':>10}{'ratio':>7}{'peak':>9}")
    for name, found in sorted(figures.items(), key=lambda item: item[1].median_s):
        print(
            f"{name:<22}{found.median_s:>7.2f} s{min(found.seconds):>7.2f} s"
            f"{max(found.seconds):>7.2f} s{options.orders / found.median_s:>10,.0f}"
            f"{found.median_s / bare_s:>7.2f}{max(found.peaks_mb):>6.0f} MB"
        )
    told = {name: {"seconds": f.seconds, "peaks_mb": f.peaks_mb} for name, f in figures.items()}
    (ROOT / "bench.json").write_text(json.dumps(told, indent=1))
    ratio, peak = figures[OURS].median_s / bare_s, max(figures[OURS].peaks_mb)
    print(
        f"ratio {ratio:.2f}, wanted {ALLOWED_RATIO:g}; peak {peak:.0f} MB, wanted "
        f"{ALLOWED_PEAK_MB:.0f} MB"
    )
    return int(ratio > ALLOWED_RATIO or peak > ALLOWED_PEAK_MB)


if __name__ == "__main__":
    sys.exit(main())
