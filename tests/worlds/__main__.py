"""Run worlds of fresh seeds for a while, or one again.

python -m tests.worlds --seconds 60
python -m tests.worlds --seed 4711
python -m tests.worlds --world FILE    (a world as JSON; - is standard input)
python -m tests.worlds --known         (are known faults found, put back one at a time?)

Each with --hosts: worlds with several hosts, at a PostgreSQL server. With --fault NAME: in all of
them, this known fault is put back.
"""

import argparse
import gc
import itertools
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tests.worlds.disk import is_available
from tests.worlds.explore import ONE_HOST, Explorer, Met, kind_of
from tests.worlds.hosts_known import HOSTS_KNOWN
from tests.worlds.hosts_oracle import several_hosts
from tests.worlds.known import KNOWN, Fault, search

AT_ONCE = 20  # worlds that a process is given


@contextmanager
def opened(*, hosts: bool, fault: str = "") -> Iterator[Explorer[Any]]:
    """Return what explores worlds of one host, or of several, with a known fault put back."""
    put_back = known_of(hosts=hosts)[fault]().put_back() if fault else nullcontext()
    with several_hosts() if hosts else nullcontext(ONE_HOST) as explorer, put_back:
        yield explorer


def known_of(*, hosts: bool) -> Mapping[str, Callable[[], Fault]]:
    """Return the known faults of worlds of one host, or of several."""
    return HOSTS_KNOWN if hosts else KNOWN


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds")
    parser.add_argument("--hosts", action="store_true", help="worlds with several hosts")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="", help="run the world of this seed alone")
    parser.add_argument("--world", default="", help="run the world of this file alone")
    parser.add_argument("--first", default="", help="begin with this seed, a number, and count on")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one a core")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    parser.add_argument("--known", nargs="*", help="search for these known faults; for all of them")
    parser.add_argument("--fault", default="", help="put this known fault back")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds for the shortest world")
    given = parser.parse_args()
    if given.known is None and not (given.world or given.seed):
        return _explore(given)
    with opened(hosts=given.hosts, fault=given.fault) as explorer:
        if given.known is not None:
            return _search(explorer, given.known, given.seconds, hosts=given.hosts)
        if given.world:
            text = sys.stdin.read() if given.world == "-" else Path(given.world).read_text()
            return _show(explorer, explorer.read(text), shrink_s=0.0)
        return _show(explorer, explorer.draw(given.seed), given.shrink)


def _search(explorer: Explorer[Any], names: Sequence[str], seconds: float, *, hosts: bool) -> int:
    known, missed = known_of(hosts=hosts), 0
    for name in names or known:
        fault = known[name]()
        worlds, took_s, found = search(explorer, fault, seconds)
        missed += not found
        verdict = found[0] if found else "not found" if fault.is_reached else "NEVER REACHED"
        print(f"{name:38} {worlds:5} worlds {took_s:6.1f} s  {verdict}", flush=True)
    return 1 if missed else 0


def explore(seeds: range, *, hosts: bool, fault: str) -> tuple[Met, dict[int, list[str]]]:
    """Run worlds in a process of its own."""
    gc.freeze()  # all that is loaded: no collection has to look at it
    with opened(hosts=hosts, fault=fault) as explorer:
        return explorer.explore(seeds)


def _explore(given: argparse.Namespace) -> int:
    first, processes = int(given.first or random.randrange(10**9)), given.processes
    if not is_available() and not given.hosts:
        print("SQLite is built into this Python: no write fails, and a power loss is a kill")
    began, met, kinds = time.monotonic(), Met(), Counter[str]()
    # Those of several hosts begin with making a server.
    at_once = AT_ONCE * (2 if given.hosts else 1)
    parts = (range(at, at + at_once) for at in itertools.count(first, at_once))
    which = {"hosts": given.hosts, "fault": given.fault}
    run = partial(explore, **which)
    with ProcessPoolExecutor(processes) as pool, opened(**which) as explorer:
        running = {pool.submit(run, next(parts)) for _ in range(processes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for part in done:
                part_met, found = part.result()
                met.add(part_met)
                for seed, wrong in found.items():
                    _note(explorer, seed, wrong, kinds, given.shrink)
            is_over = time.monotonic() - began >= given.seconds or (given.stop and kinds)
            while len(running) < processes and not is_over:
                running.add(pool.submit(run, next(parts)))
    took_s = time.monotonic() - began
    print(
        f"{met.worlds} worlds in {took_s:.0f} s by {processes}, from {first} on, "
        f"{60 * met.worlds / met.took_s:.0f} in a minute of a processor"
    )
    print("\n".join(met.lines(explorer.states)))
    if missing := list(met.missing(explorer.states)):
        print("never met:\n  " + "\n  ".join(missing))
    print(f"violations: {dict(kinds) or 'none'}")
    return 1 if kinds else 0


def _note(
    explorer: Explorer[Any], seed: int, found: list[str], kinds: Counter[str], shrink_s: float
) -> None:
    """Print a violation; the first one of a kind with the shortest world that shows it."""
    kind = kind_of(found)
    kinds[kind] += 1
    print(f"SEED={seed} {found[0]}", flush=True)
    if kinds[kind] == 1:
        _print_smallest(explorer, explorer.draw(str(seed)), found, shrink_s)


def _show(explorer: Explorer[Any], world: Any, shrink_s: float) -> int:
    found = explorer.violations(world)
    print("\n".join(found) or "nothing is wrong in this world")
    if found and shrink_s:
        _print_smallest(explorer, world, found, shrink_s)
    return 1 if found else 0


def _print_smallest(explorer: Explorer[Any], world: Any, found: list[str], shrink_s: float) -> None:
    print("\n".join(found[:5]))
    shortest = explorer.smallest(world, found, shrink_s)
    print(f"the shortest world that shows it ({explorer.command} WORLD=FILE runs it again):")
    print(shortest.as_json())
    print("\n".join(explorer.violations(shortest)[:5]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
