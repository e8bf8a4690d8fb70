"""Run worlds with several hosts for a while, or one again; what always holds there.

python -m tests.worlds.hosts_explore --seconds 60
python -m tests.worlds.hosts_explore --seed 4711
python -m tests.worlds.hosts_explore --world FILE    (a world as JSON; - is standard input)
"""

import argparse
import itertools
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from batch_resend.cluster.slots import NEW_S
from batch_resend.sending.limiter import RISE
from batch_resend.windows import parse_windows
from tests.postgres import postgres_server
from tests.worlds import oracle
from tests.worlds.ca import Visit
from tests.worlds.database import DatabaseKind
from tests.worlds.explore import quiet
from tests.worlds.hosts import HostsWorld, draw_hosts, smaller
from tests.worlds.hosts_run import SharedHistory, run_hosts
from tests.worlds.loop import Stuck
from tests.worlds.server import PreparedServer, prepared
from tests.worlds.shrink import shrink

SHRINK_S = 120.0
AT_ONCE = 40  # worlds that a process is given: each makes a server for them


def check(history: SharedHistory) -> list[str]:
    """Return what is wrong; each line begins with the invariant that it breaks."""
    found = [
        *oracle._wider_than_asked(history),
        *oracle._rows_unaccounted(history),
        *(() if _is_clock_set_unseen(history) else oracle._over_the_limit(history)),
        *_share_forgotten(history),
        *oracle._mailed_twice(history),
        *_two_at_once(history),
        *oracle._deaf(history),
        *oracle._in_doubt_without_need(history),
        *oracle._left_too_late(history),
        *oracle._lost(_of_their_own(history)),
        *oracle._not_the_ca(history),
        *oracle._crashes(history),
    ]
    if not history.ended:
        last = history.processes[-1]
        found.append(f"8 no healthy end: {last.state} {last.stop_reason or last.error or ''}")
    return found


def _of_their_own(history: SharedHistory) -> SharedHistory:
    """Leave out of the results what runs have left to others, which were sending it."""
    results = {
        run: [one for one in found if "which is under way" not in (one.result.error_message or "")]
        for run, found in history.results.items()
    }
    return replace(history, results=results)


def _is_clock_set_unseen(history: SharedHistory) -> bool:
    """Whether the database's clock was set while nobody was sending: docs/limitations.md."""
    for trouble in history.hosts.database:
        at = trouble.since_s
        before = {process for asked, *_, process in history.shares if asked < at - NEW_S}
        after = {process for _, heard, *_, process in history.shares if heard > at}
        if trouble.kind is DatabaseKind.CLOCK_SET and not before & after:
            return True
    return False


def _share_forgotten(history: SharedHistory) -> Iterator[str]:
    """Check that the share of a key rises as slowly as it is to, whichever hosts come and go."""
    longest_s = max((w.period_s for w in parse_windows(history.world.windows)), default=0.0)
    if any(t.kind is DatabaseKind.CLOCK_SET for t in history.hosts.database):
        return
    for budget in {budget for _, _, budget, *_ in history.shares}:
        grants = [grant for grant in history.shares if grant[2] == budget]
        for before, after in pairwise(grants):
            most = before[3] + RISE * (after[1] - before[0]) / longest_s + 1e-6
            if before[1] <= after[0] and after[3] > most:
                yield f"3 share: {before[3]:.2f} was known, {after[3]:.2f} is taken"


def _two_at_once(history: SharedHistory) -> Iterator[str]:
    """Check that no two living processes have one request on its way at once."""
    calm = {p.number for p in history.processes if not p.struck and p.error is None}
    mails: dict[Any, list[Visit]] = {}
    for visit in history.ca.visits:
        if visit.order_id is None or visit.process not in calm:
            continue
        for other in mails.get(visit.asked, ()):
            ended = min(at or inf for at in (other.heard_at, other.given_up_at, other.broke_at))
            if other.process != visit.process and visit.left_at < ended < inf:
                yield f"5 two at once: order {visit.order_id} left at {visit.left_at:.3f} s"
        mails.setdefault(visit.asked, []).append(visit)


# --- worlds -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Met:
    """What worlds have met."""

    worlds: int = 0
    database: Counter[str] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)

    def note(self, history: SharedHistory) -> None:
        """Count a world."""
        self.worlds += 1
        self.database.update(kind.value for kind in set(history.database.met))
        self.blows.update(blow for process in history.processes for blow in process.struck)

    def add(self, other: "Met") -> None:
        """Count what others have met, too."""
        self.worlds += other.worlds
        self.database.update(other.database)
        self.blows.update(other.blows)


def violations(world: HostsWorld, server: PreparedServer, met: Met | None = None) -> list[str]:
    """Run a world; return what is wrong with what it did, a line each."""
    try:
        with quiet():
            history = run_hosts(world, server)
    except Stuck as error:
        return [f"no end: {error}"]
    except Exception as error:  # whatever it is: the package was not to raise it
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"raised: {error!r} at {where.filename.rpartition('/')[2]}:{where.lineno}"]
    if met is not None:
        met.note(history)
    return check(history)


def explore(seeds: Iterable[int]) -> tuple[Met, dict[int, list[str]]]:
    """Run the worlds of some seeds; return what they met, and what is wrong, by seed."""
    met = Met()
    with postgres_server() as made, prepared(made.database) as server:
        found = {seed: violations(draw_hosts(str(seed)), server, met) for seed in seeds}
    return met, {seed: wrong for seed, wrong in found.items() if wrong}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds.hosts_explore")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="", help="run the world of this seed alone")
    parser.add_argument("--world", default="", help="run the world of this file alone")
    parser.add_argument("--first", default="", help="begin with this seed, a number, and count on")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one a core")
    given = parser.parse_args()
    if given.world:
        text = sys.stdin.read() if given.world == "-" else Path(given.world).read_text()
        return _show(HostsWorld.from_json(text), shrinks=False)
    if given.seed:
        return _show(draw_hosts(given.seed), shrinks=True)
    first = int(given.first or random.randrange(10**9))
    return _explore(given.seconds, first, given.processes)


def _explore(seconds: float, first: int, processes: int) -> int:
    began, met, wrong = time.monotonic(), Met(), Counter[str]()
    parts = (range(at, at + AT_ONCE) for at in itertools.count(first, AT_ONCE))
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(explore, next(parts)) for _ in range(processes)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for part in done:
                part_met, found = part.result()
                met.add(part_met)
                for seed, lines in found.items():
                    print(f"SEED={seed} {lines[0]}", flush=True)
                    wrong[lines[0].partition(":")[0]] += 1
            while len(running) < processes and time.monotonic() - began < seconds:
                running.add(pool.submit(explore, next(parts)))
    took_s = time.monotonic() - began
    print(f"{met.worlds} worlds with several hosts in {took_s:.0f} s, from {first} on")
    print("database: " + ", ".join(f"{kind} {n}" for kind, n in sorted(met.database.items())))
    print("blows: " + ", ".join(f"{blow} {n}" for blow, n in sorted(met.blows.items())))
    print(f"violations: {dict(wrong) or 'none'}")
    return 1 if wrong else 0


def _show(world: HostsWorld, *, shrinks: bool) -> int:
    with postgres_server() as made, prepared(made.database) as server:
        found = violations(world, server)
        print("\n".join(found) or "nothing is wrong in this world")
        if found and shrinks:
            shortest = _smallest(world, found, server)
            print(
                "the shortest world that shows it (make worlds HOSTS=1 WORLD=FILE runs it again):"
            )
            print(shortest.as_json())
            print("\n".join(violations(shortest, server)[:5]))
    return 1 if found else 0


def _smallest(world: HostsWorld, found: list[str], server: PreparedServer) -> HostsWorld:
    kind = found[0].partition(":")[0]

    def shows(one: HostsWorld) -> bool:
        return any(v.partition(":")[0] == kind for v in violations(one, server))

    return shrink(world, shows, SHRINK_S, smaller)


if __name__ == "__main__":
    sys.exit(main())
