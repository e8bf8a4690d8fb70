"""Many worlds of a kind, one after another: which break something, and what they have met."""

import logging
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic

from batch_resend.sending.breaker_state import Flow
from tests.worlds.loop import Stuck
from tests.worlds.oracle import check
from tests.worlds.run import READING, History, run_world
from tests.worlds.shrink import AnyWorld, shrink, smaller
from tests.worlds.spec import Blow, How, Kind, World, draw

STATES = (READING, *(flow.value for flow in Flow))
POLICIES = ("retry", "hold")


@dataclass(slots=True)
class Met:
    """What worlds have met: kinds of trouble x states of the run x policies, blows x moments."""

    worlds: int = 0
    took_s: float = 0.0  # of a processor, without a server's
    counts: defaultdict[str, Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, history: History) -> None:
        """Count a world."""
        self.worlds += 1
        for of, what in history.met():
            self.counts[of][what] += 1

    def add(self, other: "Met") -> None:
        """Count what others have met, too."""
        self.worlds += other.worlds
        self.took_s += other.took_s
        for of, counts in other.counts.items():
            self.counts[of].update(counts)

    def lines(self, states: Sequence[str]) -> Iterator[str]:
        """Yield how often each kind of trouble met each state of a run; then all the rest."""
        troubles = self.counts["troubles"]
        yield f"{'':18}" + "".join(f"{state:>16}" for state in states) + "   (retry/hold)"
        for kind in Kind:
            counts = (
                "/".join(str(troubles[kind, state, policy]) for policy in POLICIES)
                for state in states
            )
            yield f"{kind:18}" + "".join(f"{count:>16}" for count in counts)
        for of in sorted(self.counts.keys() - {"troubles"}):
            yield f"{of}: " + ", ".join(f"{one} {n}" for one, n in sorted(self.counts[of].items()))

    def missing(self, states: Sequence[str]) -> Iterator[str]:
        """Yield what never met: each kind of trouble with states of runs, blows, starts."""
        for kind in Kind:
            never = []
            for state in states:
                policies = [p for p in POLICIES if not self.counts["troubles"][kind, state, p]]
                if policies:
                    never.append(state if len(policies) > 1 else f"{state} ({policies[0]})")
            if never:
                yield f"{kind} while {', '.join(never)}"
        blows = {blow.partition("@")[0] for blow in self.counts["blows"]}
        yield from (blow for blow in Blow if blow not in blows)
        yield from (how for how in How if not self.counts["starts"][how])


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the package log nothing: a world has no one who reads it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class Explorer(Generic[AnyWorld]):
    """Draws, runs and judges worlds of a kind."""

    command: str  # that runs such worlds
    draw: Callable[[str], AnyWorld]
    read: Callable[[str | bytes], AnyWorld]
    smaller: Callable[[AnyWorld], Iterator[AnyWorld]]
    run: Callable[[AnyWorld], History]
    check: Callable[[Any], list[str]]
    states: Sequence[str] = STATES  # of runs, as far as they are told apart

    def violations(self, world: AnyWorld, met: Met | None = None) -> list[str]:
        """Run a world; return what is wrong with what it did, a line each."""
        try:
            with _quiet():
                history = self.run(world)
        except Stuck as error:
            return [f"no end: {error}"]
        except Exception as error:  # whatever it is: the package was not to raise it
            where = traceback.extract_tb(error.__traceback__)[-1]
            return [f"raised: {error!r} at {where.filename.rpartition('/')[2]}:{where.lineno}"]
        if met is not None:
            met.note(history)
        return self.check(history)

    def smallest(self, world: AnyWorld, found: Sequence[str], seconds: float) -> AnyWorld:
        """Return the shortest world with a violation of the same kind as the first of `found`."""
        kind = kind_of(found)
        return shrink(
            world,
            lambda one: any(kind_of([line]) == kind for line in self.violations(one)),
            seconds,
            self.smaller,
        )

    def explore(self, seeds: Iterable[int]) -> tuple[Met, dict[int, list[str]]]:
        """Run the worlds of some seeds; return what they met, and what is wrong, by seed."""
        met, began = Met(), time.process_time()
        found = {seed: self.violations(self.draw(str(seed)), met) for seed in seeds}
        met.took_s = time.process_time() - began
        return met, {seed: wrong for seed, wrong in found.items() if wrong}


def kind_of(found: Sequence[str]) -> str:
    """Return the kind of the first of some violations."""
    return found[0].partition(":")[0]


ONE_HOST: Explorer[World] = Explorer(
    "make worlds", draw, World.from_json, smaller, run_world, check
)
