"""Several hosts, as processes: the windows of one key kept together, and what that costs.

Their database is a server out of a wheel, on the CA's processor; the hosts share the other one.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psycopg

from batch_resend.folders import Database
from batch_resend.windows import Window, dictated_time
from tests.bench.findings import Finding
from tests.bench.processes import OUR_CPU, PROGRAM, ROOT, own_server, pinned, write_list
from tests.bench.windows import most_within
from tests.postgres import forget, postgres_server

WORKERS = (1, 2, 4)
ORDERS = 4_000  # without a limit
LIMITED = 600
WINDOWS = (Window(60, 2.0), Window(100, 6.0))
DELAY_MS = "10-300"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a run by several hosts, or by one, was like at the CA."""

    arrivals: Sequence[float]
    transactions: int = 0  # of the database

    @property
    def took_s(self) -> float:
        """From the first request to the last."""
        return self.arrivals[-1] - self.arrivals[0]

    @property
    def a_second(self) -> float:
        """Requests."""
        return len(self.arrivals) / self.took_s


def measure() -> list[Finding]:
    """Measure; the server is one for all."""
    with postgres_server() as server:
        return [*_under_windows(server.database), *_without_a_limit(server.database)]


def _under_windows(database: Database) -> list[Finding]:
    limits = [word for window in WINDOWS for word in ("--limit", str(window))]
    alone = send(None, LIMITED, limits, DELAY_MS)
    together = send((database, 4), LIMITED, limits, DELAY_MS)
    name = f"{LIMITED:,} orders under {' and '.join(map(str, WINDOWS))}"
    return [
        Finding("cluster", f"{name}, as they dictate", dictated_time(LIMITED, WINDOWS), "s"),
        Finding("cluster", f"{name}, one host with a file", alone.took_s, "s"),
        Finding("cluster", f"{name}, four workers", together.took_s, "s"),
        Finding(
            "cluster", "four workers beside one host", together.took_s / alone.took_s, "x", 1.05
        ),
        *(
            Finding(
                "cluster",
                f"four workers: most arrivals in any {window.period_s:g} s",
                most_within(list(together.arrivals), window.period_s),
                "",
                window.limit,
            )
            for window in WINDOWS
        ),
    ]


def _without_a_limit(database: Database) -> list[Finding]:
    alone = send(None, ORDERS, ("--limit", "none"), "0-1")
    findings = [Finding("cluster", "one host with a file", alone.a_second, "requests/s")]
    for number in WORKERS:
        sent = send((database, number), ORDERS, ("--limit", "none"), "0-1")
        name = f"{number} worker{'s' if number > 1 else ''}"
        findings += [
            Finding("cluster", name, sent.a_second, "requests/s"),
            Finding("cluster", f"{name}: transactions a request", sent.transactions / ORDERS, ""),
        ]
    return findings


def send(
    cluster: tuple[Database, int] | None, orders: int, limits: Sequence[str], delay_ms: str
) -> Sent:
    """Send by so many workers, or by one process with a journal in a file."""
    with tempfile.TemporaryDirectory(prefix="batch-resend-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        write_list(folder / "orders.csv", orders)
        times = folder / "times"
        base_url = stack.enter_context(own_server("--delay-ms", delay_ms, "--times", str(times)))
        place, before = str(folder / "journal.db"), 0
        by_workers: Sequence[str] = ()
        told = ["--base-url", base_url, *limits]
        if cluster is not None:
            database, number = cluster
            forget(database)
            place, by_workers = str(database), ("--distribute",)
            for _ in range(number):
                stack.enter_context(_worker([*told, "--journal", place]))
            _until_there_are(database, number)
            before = _transactions(database)
        command = [
            *PROGRAM, "send", str(folder / "orders.csv"), "--yes", "-q", *told, *by_workers,
            "--journal", place, "--report-dir", str(folder / "report"),
        ]  # fmt: skip
        _run(command)
        transactions = _transactions(cluster[0]) - before if cluster else 0
        arrivals = sorted(map(float, _ended(stack, times)))
    if len(arrivals) != orders:
        raise SystemExit(f"{len(arrivals)} of {orders} requests arrived")
    return Sent(arrivals, transactions)


def _ended(stack: ExitStack, times: Path) -> list[str]:
    """Return what the server has written of arrivals, once it has ended."""
    stack.close()
    return times.read_text().split()


def _run(command: Sequence[str]) -> None:
    subprocess.run(
        pinned(command, OUR_CPU), check=True, cwd=ROOT, capture_output=True, env=_environment()
    )


@contextmanager
def _worker(options: Sequence[str]) -> Iterator[None]:
    command = pinned([*PROGRAM, "worker", "-q", *options], OUR_CPU)
    with subprocess.Popen(command, cwd=ROOT, env=_environment()) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _until_there_are(database: Database, workers: int) -> None:
    give_up_at = monotonic() + 30
    while monotonic() < give_up_at:
        with psycopg.connect(database.url) as connection:
            try:
                found = connection.execute(
                    "SELECT count(*) FROM batch_resend.procrastinate_workers"
                ).fetchone()
            except psycopg.errors.UndefinedTable:
                found = None
        if found is not None and found[0] >= workers:
            return
        sleep(0.1)
    raise SystemExit(f"there are not {workers} workers")


def _transactions(database: Database) -> int:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        found = connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None, "every database has its counts"
    return int(found[0])


def _environment() -> dict[str, str]:
    return os.environ | {"DIGICERT_API_KEY": "bench"}
