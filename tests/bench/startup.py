"""How long until anything happens: help, what the journal knows, a small list's first request."""

import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.growth import plan
from tests.bench.processes import PROGRAM, own_server, run, write_list

ROUNDS = 15
# How many times as long as an empty program of Python.
AT_MOST = {"--help": 4.0, "runs": 25.0, "show": 25.0, "send, to its first request": 30.0}


def measure() -> list[Finding]:
    """Return the times, as medians, and their ratios to an empty program."""
    python: list[float] = []
    times: dict[str, list[float]] = {what: [] for what in AT_MOST}
    installed = str(Path(sys.executable).with_name("batch-resend"))
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name:
        folder = Path(name)
        journal = folder / "journal.db"
        write_list(folder / "few.csv", 10)
        plan(folder / "few.csv", journal)
        commands = {"--help": ("--help",), "runs": ("runs", "--journal", str(journal)),
                    "show": ("show", "--journal", str(journal))}  # fmt: skip
        for _ in range(ROUNDS):
            python.append(run([sys.executable, "-c", "pass"]).took_s)
            for what, words in commands.items():
                times[what].append(run([installed, *words], folder / "out").took_s)
            times["send, to its first request"].append(first_request_s(folder))
    base_s = statistics.median(python)
    medians = {what: statistics.median(seconds) for what, seconds in times.items()}
    return [
        Finding("startup", "python -c pass", base_s * 1000, "ms"),
        *(Finding("startup", what, took_s * 1000, "ms") for what, took_s in medians.items()),
        *(
            Finding("startup", f"{what} / python -c pass", took_s / base_s, "x", AT_MOST[what])
            for what, took_s in medians.items()
        ),
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
