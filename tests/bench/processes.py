"""Whole processes, measured: time, processor time, peak memory; client and server kept apart."""

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CA_CPU, OUR_CPU = 0, 1
PROGRAM = (sys.executable, "-m", "batch_resend")

# As where it is installed: its modules are compiled once, and not at every start.
_COMPILED_EACH_TIME = "PYTHONDONTWRITEBYTECODE"
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != _COMPILED_EACH_TIME} | {
    "DIGICERT_API_KEY": "bench"
}
# A process has the peak of whoever started it as its own, so a small one starts it.
_LAUNCHER = """
import os, sys, time
began_at = time.monotonic()
quiet = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
took_s = time.monotonic() - began_at
worked_s = usage.ru_utime + usage.ru_stime
code = os.waitstatus_to_exitcode(status)
print(began_at, took_s, worked_s, usage.ru_maxrss, code, file=sys.stderr)
"""
_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process needed."""

    took_s: float
    worked_s: float  # of its processor's time: on a busy machine the one to compare
    peak_mb: float
    began_at: float  # by the clock that never is set


@dataclass(slots=True)
class Figures:
    """What a program needed, round by round."""

    seconds: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)  # seconds of the processor's time
    peaks_mb: list[float] = field(default_factory=list)

    def add(self, ended: Ended) -> None:
        """Take in one more round."""
        self.seconds.append(ended.took_s)
        self.worked.append(ended.worked_s)
        self.peaks_mb.append(ended.peak_mb)

    @property
    def median_s(self) -> float:
        """The median of its wall times."""
        return statistics.median(self.seconds)

    @property
    def median_worked_s(self) -> float:
        """The median of its processor times."""
        return statistics.median(self.worked)


def pinned(command: Sequence[str], processor: int) -> list[str]:
    """Return a command that keeps to one processor, where there is one to spare."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return list(command)
    return ["taskset", "--cpu-list", str(processor), *command]


def run(
    command: Sequence[str],
    out: Path | None = None,
    *,
    codes: Sequence[int] = (0,),
    **environment: str,
) -> Ended:
    """Run a command to its end on our processor; what it prints goes into a file, or nowhere."""
    with Path(out or os.devnull).open("w") as file:
        launched = subprocess.run(
            [sys.executable, "-S", "-E", "-c", _LAUNCHER, *pinned(command, OUR_CPU)],
            stdout=file,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=_ENVIRONMENT | environment,
            check=True,
            text=True,
        )
    began_at, took_s, worked_s, peak_kb, code = map(float, launched.stderr.split())
    if code not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {code:g}")
    return Ended(took_s, worked_s, peak_kb / 1024, began_at)


@contextmanager
def own_server(*options: str) -> Iterator[str]:
    """Run the server of this folder; yield its base URL."""
    command = pinned([sys.executable, "-m", "tests.bench.server", *options], CA_CPU)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/services/v2"
        finally:
            process.terminate()


@contextmanager
def fastest_server(folder: Path) -> Iterator[tuple[str, str]]:
    """Run nginx where it is installed, or else our own; yield its name and its base URL."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        with own_server() as base_url:
            yield "the bench's own server", base_url
        return
    port = random.Random().randrange(20_000, 30_000)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    command = pinned([nginx, "-c", str(config), "-p", str(folder)], CA_CPU)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while not (folder / "nginx.pid").exists():
                if process.poll() is not None:
                    raise SystemExit("nginx does not start")
                time.sleep(0.01)
            yield "nginx", f"http://127.0.0.1:{port}/services/v2"
        finally:
            process.terminate()


def write_list(path: Path, rows: int, *, rows_an_order: int = 1, seed: int | None = None) -> None:
    """Write a CSV list of so many rows; with a seed they are shuffled."""
    numbers = list(range(rows))
    if seed is not None:
        random.Random(seed).shuffle(numbers)
    with path.open("w", encoding="utf-8") as file:
        file.write("order_id,domain,email\n")
        for number in numbers:
            domain = f"shop{number}.example.com"
            order = 100_000_000 + number // rows_an_order
            file.write(f"{order},{domain},admin@{domain}\n")


def machine() -> str:
    """Return what this was measured on."""
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} processors, {os.uname().machine}, Python {version}"
