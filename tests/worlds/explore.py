"""Many worlds, one after another: which of them break something, and what they have met."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from batch_resend.sending.breaker_state import Flow
from tests.worlds.loop import Stuck
from tests.worlds.oracle import check
from tests.worlds.run import READING, History, run_world
from tests.worlds.shrink import shrink, smaller
from tests.worlds.spec import Blow, How, Kind, World, draw

STATES = (READING, *(flow.value for flow in Flow))


@dataclass(slots=True)
class Met:
    """What worlds have met: kinds of trouble x states of the run x policies, blows x moments."""

    worlds: int = 0
    troubles: Counter[tuple[Kind, str, str]] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    starts: Counter[How] = field(default_factory=Counter)

    def note(self, history: History) -> None:
        """Count a world."""
        policy = "hold" if history.world.hold else "retry"
        self.worlds += 1
        self.troubles.update((kind, state, policy) for kind, state in history.ca.met)
        self.blows.update(blow for process in history.processes for blow in process.struck)
        self.starts.update(process.start.how for process in history.processes)

    def add(self, other: "Met") -> None:
        """Count what others have met, too."""
        self.worlds += other.worlds
        self.troubles.update(other.troubles)
        self.blows.update(other.blows)
        self.starts.update(other.starts)

    def table(self) -> list[str]:
        """Return how often each kind of trouble met each state of a run, by policy."""
        heading = f"{'':18}" + "".join(f"{state:>16}" for state in STATES)
        lines = [f"{heading}   (--in-doubt retry/hold)"]
        for kind in Kind:
            counts = (
                f"{self.troubles[kind, state, 'retry']}/{self.troubles[kind, state, 'hold']}"
                for state in STATES
            )
            lines.append(f"{kind:18}" + "".join(f"{count:>16}" for count in counts))
        return lines

    def missing(self) -> list[str]:
        """Return what never met: each kind of trouble with states of runs, blows, starts."""
        lines = []
        for kind in Kind:
            never = []
            for state in STATES:
                policies = [p for p in ("retry", "hold") if not self.troubles[kind, state, p]]
                if policies:
                    never.append(state if len(policies) > 1 else f"{state} ({policies[0]})")
            if never:
                lines.append(f"{kind} while {', '.join(never)}")
        blows = {blow.partition("@")[0] for blow in self.blows}
        lines += [blow for blow in Blow if blow not in blows]
        return lines + [how for how in How if not self.starts[how]]


@contextmanager
def quiet() -> Iterator[None]:
    """Let the package log nothing: a world has no one who reads it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def violations(world: World, met: Met | None = None) -> list[str]:
    """Run a world; return what is wrong with what it did, a line each."""
    try:
        with quiet():
            history = run_world(world)
    except Stuck as error:
        return [f"no end: {error}"]
    except Exception as error:  # whatever it is: the package was not to raise it
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"raised: {error!r} at {where.filename.rpartition('/')[2]}:{where.lineno}"]
    if met is not None:
        met.note(history)
    return check(history)


def smallest(world: World, found: Iterable[str], seconds: float) -> World:
    """Return the shortest world with a violation of the same kind as the first of `found`."""
    kind = next(iter(found)).partition(":")[0]
    return shrink(
        world,
        lambda one: any(v.partition(":")[0] == kind for v in violations(one)),
        seconds,
        smaller,
    )


def explore(seeds: Iterable[int]) -> tuple[Met, dict[int, list[str]]]:
    """Run the worlds of some seeds; return what they met, and what is wrong, by seed."""
    met = Met()
    found = {seed: violations(draw(str(seed)), met) for seed in seeds}
    return met, {seed: wrong for seed, wrong in found.items() if wrong}
