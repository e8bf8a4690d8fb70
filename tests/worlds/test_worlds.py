"""The real program in simulated worlds: what always holds, holds in each of them."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worlds.disk import is_available
from tests.worlds.explore import ONE_HOST, Met, kind_of
from tests.worlds.known import KNOWN, is_reached, search
from tests.worlds.spec import Blow, How, Kind, On, Start, Strike, Trouble, World, draw

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


_FAULT = "resume forgets hold"


def _worlds(*options: str, given: str = "") -> list[str]:
    """Return what the command says of worlds in which something is wrong, line by line."""
    command = [sys.executable, "-m", "tests.worlds", "--fault", _FAULT, *options]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stdout.splitlines()


def test_what_a_violation_prints_replays_it() -> None:
    """It prints its seed and the shortest world that shows it; either shows it once more."""
    options = ("--first", "2", "--seconds", "0", "--processes", "1", "--stop", "--shrink", "0")
    seed, verdict = _worlds(*options)[0].removeprefix("SEED=").split(" ", 1)
    again = _worlds("--seed", seed, "--shrink", "3")
    assert again[0] == verdict
    place = next(n for n, line in enumerate(again) if line.startswith("{"))
    assert _worlds("--world", "-", given=again[place])[:5] == again[place + 1 :]
    drawn, shortest = draw(seed), World.from_json(again[place])
    assert kind_of(again[place + 1 :]) == kind_of([verdict])
    assert (shortest.orders, len(shortest.starts)) <= (drawn.orders, len(drawn.starts))
    assert shortest != drawn
    assert ONE_HOST.violations(shortest) == [], "it is the fault's, and not the world's own"


def test_the_shortest_world_has_nothing_that_can_be_left_out() -> None:
    """Of a world that breaks an invariant whatever befalls it, nothing is left."""
    world = replace(
        _struck(Strike(Blow.FREEZE, On.LOOK, 9, 7.0, times=3)), hold=True,
        troubles=(Trouble(Kind.ANSWER_SLOW, 3.0, 9.0, 0.5),), sick=(4,),
    )  # fmt: skip
    with KNOWN["slot freed at the grant"]().put_back():
        found = ONE_HOST.violations(world)
        shortest = ONE_HOST.smallest(world, found, seconds=60.0)
        assert kind_of(ONE_HOST.violations(shortest)) == kind_of(found)
    assert (shortest.orders, shortest.rows, shortest.sick, shortest.hold) == (2, 2, (), False)
    assert (shortest.troubles, shortest.starts) == ((), (Start(How.SAME, 0.0),))


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


def test_a_strike_falls_as_often_as_it_is_to() -> None:
    """A busy host makes its process stand still again and again."""
    met = Met()
    assert ONE_HOST.violations(_struck(Strike(Blow.FREEZE, On.LOOK, 3, 1.0, times=4)), met) == []
    assert met.counts["blows"] == {"freeze@look": 4}


@pytest.mark.parametrize("part", range(2))
def test_wherever_in_its_turn_a_process_stands_still_nothing_leaves_too_late(part: int) -> None:
    """Found by these worlds: stopped between its two last looks, it let a request leave."""
    for look in range(1 + part, 41, 2):
        strike = Strike(Blow.FREEZE, On.LOOK, look, 7.5)
        assert ONE_HOST.violations(_struck(strike)) == [], f"at look {look}"


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
