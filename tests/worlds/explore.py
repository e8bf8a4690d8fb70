"""Many worlds, one after another: which of them break something, and what they have met."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.worlds.loop import Stuck
from tests.worlds.oracle import check
from tests.worlds.run import run_world
from tests.worlds.shrink import shrink
from tests.worlds.spec import Blow, Kind, World


@dataclass(slots=True)
class Met:
    """What worlds have met: kinds of trouble x states of the run, blows x what they waited for."""

    worlds: int = 0
    troubles: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)

    def missing(self) -> list[str]:
        """Return the kinds of trouble and the blows that never met a run."""
        kinds = {kind for kind, _ in self.troubles}
        blows = {blow.partition("@")[0] for blow in self.blows}
        return [k.value for k in Kind if k not in kinds] + [b for b in Blow if b not in blows]


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
        met.worlds += 1
        met.troubles.update(history.ca.met)
        met.blows.update(blow for process in history.processes for blow in process.struck)
        met.policies["hold" if world.hold else "retry"] += 1
    return check(history)


def smallest(world: World, found: Iterable[str], seconds: float) -> World:
    """Return the shortest world with a violation of the same kind as the first of `found`."""
    kind = next(iter(found)).partition(":")[0]
    return shrink(
        world, lambda one: any(v.partition(":")[0] == kind for v in violations(one)), seconds
    )
