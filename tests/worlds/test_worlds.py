"""The real program in simulated worlds: what always holds, holds in each of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from itertools import chain
from pathlib import Path

import pytest

from tests.worlds.__main__ import main
from tests.worlds.disk import is_available
from tests.worlds.explore import ONE_HOST, Met, kind_of
from tests.worlds.known import KNOWN, broken_by, seed_of
from tests.worlds.run import run_world
from tests.worlds.spec import Blow, How, Kind, On, Start, Strike, Trouble, World, draw

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
# Worlds in which each known fault shows: so the worlds that are run here are worth running. After a
# change of the program a world may take another course. Then `make worlds KNOWN=1` names another.
SHOWN_IN: Mapping[str, tuple[int, ...]] = {
    "slot freed at the grant": (3, 9),
    "head of the queue oversleeps": (3,),
    "windows forgotten at a restart": (6, 42),
    "share forgotten at a restart": (204,),
    "late arrivals forgotten": (66,),
    "attempt written after the request": (1,),
    "outcome counted before it is durable": (89, 239),
    "resume forgets hold": (11,),
    "cut off is not in doubt": (9, 31),
    "cooldown forgotten": (2, 3),
    "cooldown by wall clock": (87,),
    "recent requests by wall clock": (88,),
    "ages by a clock that was set": (31,),
    "lock by path": (42,),
    "log not synced": (20,),
    "log synced at checkpoints only": (20,),
    "a late connection leaves after a stop": (157, 179),
    "timer beats a delivered answer": (24, 32),
    "request leaves after its time": (56,),
    "a PUT is sent twice": (2,),
    "extra bytes taken for an answer": (182,),
    "retries on old connections": (182,),
    "403 of the key is a refusal": (58,),
    "an errors body is accepted": (52,),
    "a page is a refusal": (6,),
    "in doubt is not done": (21,),
    "429 costs an attempt": (48,),
    "a probe by a bad order": (239,),
    "only orders that fail tell of the CA": (239,),
    "order-only by damage": (95,),
}
WORLDS = sorted({*range(1, 41), *chain(*SHOWN_IN.values())})  # some six seconds of a processor
_TRACES = """
import logging, sys
from tests.worlds.test_worlds import trace_of
logging.disable(logging.CRITICAL)
print("\\n".join(map(trace_of, sys.argv[1:])))
"""
_CROWDED = ("84", "135", "163", "225")  # in these much becomes due at one moment


@pytest.mark.parametrize("part", range(4))
def test_in_worlds_of_all_kinds_every_invariant_holds(part: int) -> None:
    """Whatever befalls network, CA, disk and host, no invariant is broken."""
    for number in WORLDS[part::4]:
        seed = seed_of(number)
        assert ONE_HOST.violations(draw(seed)) == [], f'make worlds SEED="{seed}"'


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.stem))
def test_what_a_world_once_found_is_not_there_again(path: Path) -> None:
    """A world that once broke an invariant breaks none."""
    assert ONE_HOST.violations(World.from_json(path.read_bytes())) == []


def trace_of(seed: str) -> str:
    """Return what identifies the course of a world."""
    return f"{seed} {sha256(repr(run_world(draw(seed)).trace()).encode()).hexdigest()}"


def test_a_seed_is_the_same_world_in_every_process() -> None:
    """A world takes the same course to the microsecond, in another process, behind other worlds."""
    here = {trace_of(seed) for seed in _CROWDED}
    there = subprocess.run(
        [sys.executable, "-c", _TRACES, *reversed(_CROWDED), *_CROWDED],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(there.stdout.splitlines()) == here


def test_a_world_as_json_is_the_same_world() -> None:
    """What a violation prints is the whole of its world."""
    world = draw("163")
    assert World.from_json(world.as_json()) == world


_FAULT = "resume forgets hold"


@pytest.fixture
def worlds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Return what says what the command says of worlds with that fault, line by line."""

    def said(*options: str, given: str = "") -> list[str]:
        monkeypatch.setattr(sys, "argv", ["worlds", "--fault", _FAULT, *options])
        monkeypatch.setattr(sys, "stdin", StringIO(given))
        assert main() == 1
        return capsys.readouterr().out.splitlines()

    return said


def test_what_a_violation_prints_replays_it(worlds: Callable[..., list[str]]) -> None:
    """It prints its seed and the shortest world that shows it; either shows it once more."""
    options = ("--first", "25", "--seconds", "0", "--processes", "1", "--stop", "--shrink", "0")
    command = [sys.executable, "-m", "tests.worlds", "--fault", _FAULT, *options]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    seed, verdict = found.stdout.splitlines()[0].removeprefix("SEED=").split(" ", 1)
    again = worlds("--seed", seed, "--shrink", "30")
    assert again[0] == verdict
    place = next(n for n, line in enumerate(again) if line.startswith("{"))
    assert worlds("--world", "-", given=again[place])[:5] == again[place + 1 :]
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


_OF_THE_JOURNALS_LOG = ("log not synced", "log synced at checkpoints only")
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
def test_a_known_fault_that_is_put_back_shows_in_one_of_the_worlds(fault: str) -> None:
    """The checks can fail; and what is replaced to put a fault back is there, and is reached."""
    if fault in _OF_THE_JOURNALS_LOG and not is_available():
        pytest.skip("SQLite is built into this Python")
    found = (broken_by(KNOWN[fault](), ONE_HOST, number) for number in SHOWN_IN[fault])
    assert any(found), f"not in {SHOWN_IN[fault]}"
