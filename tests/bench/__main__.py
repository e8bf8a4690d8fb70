"""Measure what is promised of speed and memory.

    python -m tests.bench [--only PART]... [--full] [--orders N] [--rounds N]

Prints what is found beside what it was to reach, and writes bench.json. Exits with 1 where
something falls short.
"""

import argparse
import sys
from collections.abc import Callable

from tests.bench import cluster, growth, keys, prediction, sick, startup, throughput, windows
from tests.bench.findings import Finding, keep, show
from tests.bench.processes import machine


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append")
    parser.add_argument("--full", action="store_true", help="ten million rows as well: an hour")
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    parts: dict[str, Callable[[], list[Finding]]] = {
        "startup": startup.measure,
        "windows": windows.measure,
        "keys": keys.measure,
        "throughput": lambda: throughput.measure(options.orders, options.rounds),
        "growth": lambda: growth.measure(full=options.full),
        "prediction": prediction.measure,
        "cluster": cluster.measure,
        "sick": sick.measure,
    }
    print(machine())
    found: list[Finding] = []
    for name in options.only or parts:
        print(f"--- {name}", flush=True)
        found += (findings := parts[name]())
        show(findings)
        keep(findings)
    short = [finding for finding in found if not finding.is_met]
    print(f"--- {len(found)} figures, {len(short)} fall short")
    show(short)
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
