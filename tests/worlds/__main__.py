"""Run worlds of fresh seeds for a while, or one again.

python -m tests.worlds --seconds 60
python -m tests.worlds --seed 4711
python -m tests.worlds --world FILE    (a world as JSON; - is standard input)
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.worlds.disk import is_available
from tests.worlds.explore import Met, smallest, violations
from tests.worlds.spec import World, draw

SHRINK_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="", help="run the world of this seed alone")
    parser.add_argument("--world", default="", help="run the world of this file alone")
    parser.add_argument("--first", default="", help="begin with this seed, a number, and count on")
    parser.add_argument("--stop", action="store_true", help="stop at the first violation")
    given = parser.parse_args()
    if given.world:
        text = sys.stdin.read() if given.world == "-" else Path(given.world).read_text()
        return _show(World.from_json(text), shrinks=False)
    if given.seed:
        return _show(draw(given.seed), shrinks=True)
    return _explore(given.seconds, int(given.first or random.randrange(10**9)), stop=given.stop)


def _explore(seconds: float, first: int, *, stop: bool) -> int:
    if not is_available():
        print("SQLite is built into this Python: no write fails, and a power loss is a kill")
    began, seed, met, kinds = time.monotonic(), first, Met(), Counter[str]()
    while time.monotonic() - began < seconds:
        found = violations(draw(str(seed)), met)
        if found:
            kind = found[0].partition(":")[0]
            kinds[kind] += 1
            if kinds[kind] == 1:
                took_s = time.monotonic() - began
                print(f"\nSEED={seed} (world {seed - first + 1}, after {took_s:.1f} s)")
                _print_smallest(draw(str(seed)), found)
            if stop:
                break
        seed += 1
    took_s = time.monotonic() - began
    worlds = seed - first
    print(
        f"{worlds} worlds in {took_s:.0f} s, {60 * worlds / took_s:.0f} a minute, from {first} on"
    )
    print(f"policies: {dict(met.policies)}")
    for kind, state in sorted(met.troubles):
        print(f"  {kind} while {state}: {met.troubles[kind, state]}")
    print("blows: " + ", ".join(f"{blow} {count}" for blow, count in sorted(met.blows.items())))
    if missing := met.missing():
        print("never met: " + ", ".join(missing))
    print(f"violations: {dict(kinds) or 'none'}")
    return 1 if kinds else 0


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
