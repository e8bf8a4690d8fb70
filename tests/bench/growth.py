"""What more rows cost: planning, a report, resuming a run. Time, memory, and the slope.

The lists are shuffled, two rows an order. A run that has ended, or is all but done, is made by
writing its attempts and outcomes into the journal; nothing else of it differs from one that was
sent.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from math import log
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.processes import PROGRAM, Ended, own_server, run, write_list

SIZES = (10_000, 100_000, 1_000_000)
LARGEST = 10_000_000  # with --full

_ATTEMPTS = """
    INSERT INTO attempts
        (run, request, attempt, start, digest, begun_at, ended_at, ruling, http_status)
    SELECT
        run, number, 1, 1, digest, :at + number / 1e3, :at + number / 1e3 + 0.2, 'accepted', 204
    FROM requests WHERE run = :run AND number % 100 >= :left
"""
_OUTCOMES = """
    INSERT INTO outcomes (run, request, status, http_status)
    SELECT run, number, 'sent', 204 FROM requests WHERE run = :run AND number % 100 >= :left
"""


@dataclass(frozen=True, slots=True)
class Costs:
    """What so many rows cost."""

    rows: int
    bare: Ended
    planning: Ended
    report: Ended
    resume_first_s: float
    resume: Ended


def measure(*, full: bool = False) -> list[Finding]:
    """Measure every size; print a table; return what was to be reached."""
    sizes = (*SIZES, LARGEST) if full else SIZES
    costs = []
    print(
        f"{'rows':>12}{'bare loop':>12}{'check':>12}{'ratio':>7}{'work':>7}{'peak':>9}"
        f"{'report':>12}{'peak':>9}{'resume, first':>15}{'peak':>9}"
    )
    for rows in sizes:
        cost = costs_of(rows)
        costs.append(cost)
        print(
            f"{cost.rows:>12,}{cost.bare.took_s:>10.1f} s{cost.planning.took_s:>10.1f} s"
            f"{cost.planning.took_s / cost.bare.took_s:>7.2f}"
            f"{cost.planning.worked_s / cost.bare.worked_s:>7.2f}{cost.planning.peak_mb:>6.0f} MB"
            f"{cost.report.took_s:>10.1f} s{cost.report.peak_mb:>6.0f} MB"
            f"{cost.resume_first_s:>13.1f} s{cost.resume.peak_mb:>6.0f} MB",
            flush=True,
        )
    return [finding for cost in costs for finding in _findings(cost)] + [
        finding for one, other in pairwise(costs) for finding in _slopes(one, other)
    ]


def _findings(cost: Costs) -> list[Finding]:
    rows = f"{cost.rows:,} rows"
    planning_s = cost.planning.took_s
    is_judged = cost.rows >= 1_000_000  # below it the start of the program weighs most

    def finding(what: str, found: float, unit: str, at_most: float | None = None) -> Finding:
        return Finding("growth", f"{rows}: {what}", found, unit, at_most if is_judged else None)

    return [
        finding("bare loop", cost.bare.took_s, "s"),
        finding("check", planning_s, "s"),
        finding("check / bare loop", planning_s / cost.bare.took_s, "x", 1.3),
        finding(
            "check / bare loop, processor time",
            cost.planning.worked_s / cost.bare.worked_s,
            "x",
            1.3,
        ),
        finding("check, peak memory", cost.planning.peak_mb, "MB", 200.0),
        finding("report / check", cost.report.took_s / planning_s, "x", 0.4),
        finding(
            "report / check, processor time",
            cost.report.worked_s / cost.planning.worked_s,
            "x",
            0.4,
        ),
        finding("report, peak memory", cost.report.peak_mb, "MB", 200.0),
        finding("resume to its first request / check", cost.resume_first_s / planning_s, "x", 0.1),
        finding("resume, peak memory", cost.resume.peak_mb, "MB", 200.0),
    ]


def _slopes(one: Costs, other: Costs) -> list[Finding]:
    """Return how time grows between two sizes: 1 is linear."""
    between = f"{one.rows:,} to {other.rows:,} rows"
    times = other.rows / one.rows
    slope = log(other.planning.took_s / one.planning.took_s) / log(times)
    findings = [Finding("growth", f"{between}: slope of check", slope, "")]
    if one.rows >= 1_000_000:
        linear = other.planning.took_s / (one.planning.took_s * times)
        work = other.planning.worked_s / (one.planning.worked_s * times)
        peaks = other.planning.peak_mb / one.planning.peak_mb
        findings += [
            Finding("growth", f"{between}: time / linear", linear, "x", 1.1),
            Finding("growth", f"{between}: processor time / linear", work, "x", 1.1),
            Finding("growth", f"{between}: peak memory", peaks, "x", 1.1),
        ]
    return findings


def costs_of(rows: int) -> Costs:
    """Return what so many rows cost."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name:
        folder = Path(name)
        listed, journal = folder / "orders.csv", folder / "journal.db"
        write_list(listed, rows, rows_an_order=2, seed=1)
        bare = run([sys.executable, "-m", "tests.bench.peers.bare_pydantic", str(listed)])
        planning = run([*PROGRAM, "check", "--json", str(listed)], folder / "out")
        plan(listed, journal)
        fill(journal, left_of_a_hundred=0)
        report = run(
            [*PROGRAM, "report", run_id(journal), "--journal", str(journal), "--report-dir",
             str(folder / "report")], folder / "out",
        )  # fmt: skip
        told = json.loads((folder / "report" / "summary.json").read_text())
        if told["orders"]["sent"] != (rows + 1) // 2:
            raise SystemExit(f"the report tells of {told['orders']}")
        fill(journal, left_of_a_hundred=1)
        with own_server("--times", str(folder / "times")) as base_url:
            set_base_url(journal, base_url)
            resume = run(
                [*PROGRAM, "resume", "--yes", "-q", "--limit", "none", "--journal", str(journal),
                 "--report-dir", str(folder / "resumed")], folder / "out",
            )  # fmt: skip
        times = (folder / "times").read_text().split()
        if len(times) != (rows + 1) // 200:
            raise SystemExit(f"{len(times)} requests were left")
        return Costs(rows, bare, planning, report, float(times[0]) - resume.began_at, resume)


def plan(listed: Path, journal: Path) -> None:
    """Leave the run of a list in the journal as if it had been stopped right after its start."""
    nowhere = "http://127.0.0.1:9/services/v2"
    run(
        [*PROGRAM, "send", str(listed), "--yes", "-q", "--base-url", nowhere, "--patience", "0s",
         "--journal", str(journal), "--report-dir", str(journal.parent / "stopped")],
        journal.parent / "out", codes=(4,),
    )  # fmt: skip


def fill(journal: Path, left_of_a_hundred: int) -> None:
    """Write down that all requests of the run were sent, but for so many of a hundred."""
    with closing(sqlite3.connect(journal)) as database, database:
        values = {"run": 1, "left": left_of_a_hundred, "at": 1_700_000_000.0}
        for table in ("attempts", "outcomes"):
            database.execute(f"DELETE FROM {table}")  # one of these two
        database.execute(_ATTEMPTS, values)
        database.execute(_OUTCOMES, values)


def set_base_url(journal: Path, base_url: str) -> None:
    """Write down that the run is for another place: the server of the bench."""
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE runs SET base_url = ?", (base_url,))


def run_id(journal: Path) -> str:
    """Return the name of the one run."""
    command = [*PROGRAM, "runs", "--json", "--journal", str(journal)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    (only,) = json.loads(told.stdout)
    return str(only["run"])
