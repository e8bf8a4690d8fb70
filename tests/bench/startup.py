"""How long until anything happens: help, and the first request of a small list."""

import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.processes import PROGRAM, own_server, run, write_list

ROUNDS = 15


def measure() -> list[Finding]:
    """Return the times, as medians, and their ratios to an empty program."""
    python: list[float] = []
    help_s: list[float] = []
    first_s: list[float] = []
    installed = str(Path(sys.executable).with_name("batch-resend"))
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name:
        folder = Path(name)
        for _ in range(ROUNDS):
            python.append(run([sys.executable, "-c", "pass"]).took_s)
            help_s.append(run([installed, "--help"], folder / "out").took_s)
            first_s.append(first_request_s(folder))
    base_s = statistics.median(python)

    def finding(what: str, times: list[float], at_most: float) -> Finding:
        return Finding("startup", what, statistics.median(times) / base_s, "x", at_most)

    return [
        Finding("startup", "python -c pass", base_s * 1000, "ms"),
        Finding("startup", "batch-resend --help", statistics.median(help_s) * 1000, "ms"),
        Finding("startup", "send, to its first request", statistics.median(first_s) * 1000, "ms"),
        finding("batch-resend --help / python -c pass", help_s, 5.0),
        finding("send to its first request / python -c pass", first_s, 25.0),
    ]


def first_request_s(folder: Path) -> float:
    """Return the seconds from the start of `send` to its first request at the server."""
    write_list(folder / "orders.csv", 10)
    with tempfile.TemporaryDirectory(dir=folder) as report:
        with own_server("--times", str(folder / "times")) as base_url:
            ended = run(
                [
                    *PROGRAM, "send", str(folder / "orders.csv"), "--yes", "-q", "--again",
                    "--base-url", base_url, "--journal", str(Path(report) / "journal.db"),
                    "--report-dir", report,
                ],
                folder / "out",
            )  # fmt: skip
        return float((folder / "times").read_text().split()[0]) - ended.began_at
