"""Under windows: finished as soon as they allow, and none exceeded, counted at the server."""

import tempfile
from pathlib import Path

from batch_resend.windows import Window, dictated_time
from tests.bench.findings import Finding
from tests.bench.processes import PROGRAM, own_server, run, write_list

ORDERS = 1_000
WINDOWS = (Window(20, 0.5), Window(100, 5.0))
DELAY_MS = "5-20"
ROUNDS = 3


def measure() -> list[Finding]:
    """Send under scaled windows; return how long that took, and the fullest windows."""
    dictated_s = dictated_time(ORDERS, WINDOWS)
    took_s: list[float] = []
    fullest = dict.fromkeys(WINDOWS, 0)
    for _ in range(ROUNDS):
        times = arrivals()
        took_s.append(times[-1] - times[0])
        for window in WINDOWS:
            fullest[window] = max(fullest[window], most_within(times, window.period_s))
    within = [
        Finding(
            "windows", f"most arrivals in any {w.period_s:g} s, limit {w.limit}", most, "", w.limit
        )
        for w, most in fullest.items()
    ]
    name = f"{ORDERS:,} orders under {' and '.join(map(str, WINDOWS))}"
    late = (max(took_s) / dictated_s - 1) * 100
    return [
        Finding("windows", f"{name}, as they dictate", dictated_s, "s"),
        Finding("windows", f"{name}, slowest of {ROUNDS}", max(took_s), "s"),
        Finding("windows", "later than they dictate", late, "%", 2.0),
        *within,
    ]


def arrivals() -> list[float]:
    """Send once; return when each request arrived at the server, in order."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name:
        folder = Path(name)
        write_list(folder / "orders.csv", ORDERS)
        with own_server("--delay-ms", DELAY_MS, "--times", str(folder / "times")) as base_url:
            limits = [word for window in WINDOWS for word in ("--limit", str(window))]
            run(
                [
                    *PROGRAM, "send", str(folder / "orders.csv"), "--yes", "-q",
                    "--base-url", base_url, *limits, "--journal", str(folder / "journal.db"),
                    "--report-dir", str(folder / "report"),
                ],
                folder / "out",
            )  # fmt: skip
        times = sorted(map(float, (folder / "times").read_text().split()))
    if len(times) != ORDERS:
        raise SystemExit(f"{len(times)} of {ORDERS} requests arrived")
    return times


def most_within(times: list[float], period_s: float) -> int:
    """Return the most arrivals within any time of that length."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= period_s:
            first += 1
        most = max(most, last - first + 1)
    return most
