"""The real program in simulated worlds: what always holds, holds in each of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.disk import is_available
from tests.worlds.explore import ONE_HOST, Met
from tests.worlds.known import KNOWN, is_reached, search
from tests.worlds.spec import Blow, How, On, Start, Strike, World, draw

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
WORLDS = range(60)  # six seconds of a processor; `make worlds` runs as many as you like
_TRACES = """
import hashlib, logging, sys
from tests.worlds.run import run_world
from tests.worlds.spec import draw
logging.disable(logging.CRITICAL)
for seed in sys.argv[1:]:
    print(seed, hashlib.sha256(repr(run_world(draw(seed)).trace()).encode()).hexdigest())
"""
_CROWDED = ("84", "135", "163", "225")  # in these much becomes due at one moment


@pytest.mark.parametrize("part", range(4))
def test_in_worlds_of_all_kinds_every_invariant_holds(part: int) -> None:
    """Whatever befalls network, CA, disk and host, no invariant is broken."""
    for seed in WORLDS[part::4]:
        assert ONE_HOST.violations(draw(str(seed))) == [], f"SEED={seed} make worlds"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.stem))
def test_what_a_world_once_found_is_not_there_again(path: Path) -> None:
    """A world that once broke an invariant breaks none."""
    assert ONE_HOST.violations(World.from_json(path.read_bytes())) == []


def test_a_seed_is_the_same_world_in_every_process() -> None:
    """A world takes the same course to the microsecond, in another process, behind other worlds."""
    traces = {
        frozenset(
            subprocess.run(
                [sys.executable, "-c", _TRACES, *seeds],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                check=True,
            ).stdout.splitlines()
        )
        for hash_seed, seeds in (("1", _CROWDED), ("2", (*reversed(_CROWDED), *_CROWDED)))
    }
    assert [len(seen) for seen in traces] == [len(_CROWDED)]


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


# Writes are struck, and strike, by what the disk does: where SQLite is the system's library.
_OF_DISK = (Blow.DISK_FULL, Blow.DISK_ERROR)
_FALLS = [
    (blow, on)
    for blow in Blow
    for on in On
    if ((on is On.WRITE) if blow in _OF_DISK else (blow, on) != (Blow.SECOND_PROCESS, On.WRITE))
    if on is not On.WRITE or is_available()
]


@pytest.mark.parametrize(("blow", "on"), _FALLS)
def test_each_blow_falls_at_each_kind_of_moment(blow: Blow, on: On) -> None:
    """A blow strikes the process, whatever it waits for, and the world comes to a healthy end."""
    met = Met()
    assert ONE_HOST.violations(_struck(Strike(blow, on, 3, 1.0)), met) == []
    assert met.counts["blows"] == {f"{blow}@{on}": 1}


@pytest.mark.parametrize("fault", KNOWN)
def test_each_known_fault_can_still_be_put_back(fault: str) -> None:
    """What is replaced to put a fault back is there, and the program comes to it."""
    assert is_reached(KNOWN[fault]())


@pytest.mark.parametrize(
    "fault",
    [
        "slot freed at the grant",
        "attempt written after the request",
        "resume forgets hold",
        "cut off is not in doubt",
        "cooldown forgotten",
    ],
)
def test_worlds_find_a_fault_that_is_put_back(fault: str) -> None:
    """The checks can fail: a known fault breaks an invariant in one of a few worlds."""
    worlds, _, found = search(ONE_HOST, KNOWN[fault](), seconds=60.0, most=60)
    assert found, f"not in {worlds} worlds"


@pytest.mark.skipif(not is_available(), reason="SQLite is built into this Python")
def test_a_power_loss_forgets_what_was_not_synced() -> None:
    """A journal that is not synced loses what it said: the disk of a world is worth its name."""
    worlds, _, found = search(ONE_HOST, KNOWN["log not synced"](), seconds=60.0, most=60)
    assert found, f"not in {worlds} worlds"
