"""Run worlds of fresh seeds for a while, or one again.

python -m tests.worlds --seconds 60
python -m tests.worlds --seed 4711
python -m tests.worlds --world FILE    (a world as JSON; - is standard input)
"""

import argparse
import itertools
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

from tests.worlds.disk import is_available
from tests.worlds.explore import Met, explore, smallest, violations
from tests.worlds.spec import World, draw

SHRINK_S = 60.0
AT_ONCE = 20  # worlds that a process is given


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="", help="run the world of this seed alone")
    parser.add_argument("--world", default="", help="run the world of this file alone")
    parser.add_argument("--first", default="", help="begin with this seed, a number, and count on")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one a core")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    given = parser.parse_args()
    if given.world:
        text = sys.stdin.read() if given.world == "-" else Path(given.world).read_text()
        return _show(World.from_json(text), shrinks=False)
    if given.seed:
        return _show(draw(given.seed), shrinks=True)
    first = int(given.first or random.randrange(10**9))
    return _explore(given.seconds, first, given.processes, stop=given.stop)


def _explore(seconds: float, first: int, processes: int, *, stop: bool) -> int:
    if not is_available():
        print("SQLite is built into this Python: no write fails, and a power loss is a kill")
    began, met, kinds = time.monotonic(), Met(), Counter[str]()
    parts = (range(at, at + AT_ONCE) for at in itertools.count(first, AT_ONCE))
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(explore, next(parts)) for _ in range(processes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for part in done:
                part_met, found = part.result()
                met.add(part_met)
                for seed, wrong in found.items():
                    _note(seed, wrong, kinds)
            is_over = time.monotonic() - began >= seconds or (stop and kinds)
            while len(running) < processes and not is_over:
                running.add(pool.submit(explore, next(parts)))
    took_s = time.monotonic() - began
    print(
        f"{met.worlds} worlds in {took_s:.0f} s, {60 * met.worlds / took_s:.0f} a minute by "
        f"{processes}, from {first} on"
    )
    print("\n".join(met.table()))
    print("starts: " + ", ".join(f"{how} {count}" for how, count in met.starts.items()))
    print("blows: " + ", ".join(f"{blow} {count}" for blow, count in sorted(met.blows.items())))
    if missing := met.missing():
        print("never met:\n  " + "\n  ".join(missing))
    print(f"violations: {dict(kinds) or 'none'}")
    return 1 if kinds else 0


def _note(seed: int, found: list[str], kinds: Counter[str]) -> None:
    """Print a violation; the first one of a kind with the shortest world that shows it."""
    kind = found[0].partition(":")[0]
    kinds[kind] += 1
    print(f"SEED={seed} {found[0]}", flush=True)
    if kinds[kind] == 1:
        _print_smallest(draw(str(seed)), found)


def _show(world: World, *, shrinks: bool) -> int:
    found = violations(world)
    print("\n".join(found) or "nothing is wrong in this world")
    if found and shrinks:
        _print_smallest(world, found)
    return 1 if found else 0


def _print_smallest(world: World, found: list[str]) -> None:
    print("\n".join(found[:5]))
    shortest = smallest(world, found, SHRINK_S)
    print("the shortest world that shows it (make worlds WORLD=FILE runs it again):")
    print(shortest.as_json())
    print("\n".join(violations(shortest)[:5]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
