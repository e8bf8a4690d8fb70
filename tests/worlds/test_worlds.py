"""The real program in simulated worlds: what always holds, holds in each of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.disk import is_available
from tests.worlds.explore import Met, violations
from tests.worlds.run import run_world
from tests.worlds.spec import Blow, How, On, Start, Strike, World, draw

# A process that is killed closes nothing; what it leaves in memory is only a world's.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
WORLDS = range(48)  # some ten seconds of a processor; `make worlds` runs as many as you like
_A_PLACE_IN_TEXT = """
import hashlib, logging
from tests.worlds.run import run_world
from tests.worlds.spec import draw
logging.disable(logging.CRITICAL)
print(hashlib.sha256(repr(run_world(draw("163")).trace()).encode()).hexdigest())
"""


@pytest.mark.parametrize("part", range(8))
def test_in_worlds_of_all_kinds_every_invariant_holds(part: int) -> None:
    """Whatever befalls network, CA, disk and host, no invariant is broken."""
    for seed in WORLDS[part::8]:
        assert violations(draw(str(seed))) == [], f"SEED={seed} make worlds"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.stem))
def test_what_a_world_once_found_is_not_there_again(path: Path) -> None:
    """A world that once broke an invariant breaks none."""
    assert violations(World.from_json(path.read_bytes())) == []


def test_a_seed_is_the_same_world_in_every_process() -> None:
    """A world that is run again, by another process, takes the same course to the microsecond."""
    traces = {
        subprocess.run(
            [sys.executable, "-c", _A_PLACE_IN_TEXT],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(traces) == 1


def test_a_world_as_json_is_the_same_world() -> None:
    """What a violation prints is the whole of its world."""
    world = draw("163")
    assert World.from_json(world.as_json()) == world


def _struck(strike: Strike) -> World:
    return World(
        seed="struck", orders=5, rows=5, windows=("1/3s",), latency_s=(0.01, 0.01), timeout_s=5.0,
        concurrency=2, hold=False, max_attempts=6, patience_s=600.0, timers_first=False,
        approved=(), starts=(Start(How.SAME, 0.0, strikes=(strike,)),),
    )  # fmt: skip


@pytest.mark.parametrize("on", On)
@pytest.mark.parametrize("blow", Blow)
def test_each_blow_falls_at_each_kind_of_moment(blow: Blow, on: On) -> None:
    """A blow strikes the process, whatever it waits for, and the world comes to a healthy end."""
    of_disk = blow in (Blow.DISK_FULL, Blow.DISK_ERROR)
    if of_disk != (on is On.WRITE) and (of_disk or not is_available()):
        pytest.skip("writes are struck, and strike, where SQLite is the system's library")
    met = Met()
    assert violations(_struck(Strike(blow, on, 3, 1.0)), met) == []
    assert met.blows == {f"{blow}@{on}": 1}


def test_a_power_loss_forgets_what_was_not_synced() -> None:
    """The disk of a world is worth its name: without syncs a journal loses what it said."""
    if not is_available():
        pytest.skip("SQLite is built into this Python")
    world = _struck(Strike(Blow.POWER_LOSS, On.ANSWER, 4))
    assert run_world(world).ended
