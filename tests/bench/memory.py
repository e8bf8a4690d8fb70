"""Peak memory of reading and planning a list, as the list grows: it must not.

    python -m tests.bench.memory [--rows 100000 --rows 1000000]

Rows are shuffled, two an order, every tenth one rejected. Each size is a whole process of its own,
`batch-resend check`, whose peak resident memory and time are taken from the system.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALLOWED_GROWTH = 1.10


def write_list(path: Path, rows: int, seed: int = 1) -> None:
    """Write a shuffled CSV list of so many rows."""
    numbers = list(range(rows))
    random.Random(seed).shuffle(numbers)
    with path.open("w", encoding="utf-8") as file:
        file.write("Order #,Domain,E-Mail,Note\n")
        for number in numbers:
            order = 100_000_000 + number // 2
            at = " at " if number % 10 == 0 else "@"
            domain = f"shop{number}.example.com"
            file.write(f"{order},{domain},admin{at}{domain},row {number}\n")


def peak_of_check(path: Path) -> tuple[float, float]:
    """Return the peak memory (MB) and the time (s) of checking a list."""
    command = [sys.executable, "-m", "batch_resend", "check", "--format", "json", str(path)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 3:
        raise SystemExit(f"check ended with {process.returncode}")
    return usage.ru_maxrss / 1024, time.perf_counter() - begun


def main() -> int:
    """Measure each size; fail where the largest needs over a tenth more than the smallest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append")
    sizes = parser.parse_args().rows or [100_000, 1_000_000]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.csv"
            write_list(path, rows)
            peak, took = peak_of_check(path)
            peaks.append(peak)
            print(f"{rows:>12,} rows  {peak:>7.1f} MB  {took:>7.1f} s", flush=True)
    growth = peaks[-1] / peaks[0]
    print(f"growth {growth:.3f}, allowed {ALLOWED_GROWTH}")
    return int(growth > ALLOWED_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
