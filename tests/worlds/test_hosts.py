"""Several hosts with PostgreSQL in simulated worlds: what always holds, holds in each of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.folders import Database
from tests.postgres import forget
from tests.worlds.hosts import HostsWorld, draw_hosts
from tests.worlds.hosts_known import HOSTS_KNOWN
from tests.worlds.hosts_oracle import explorer_at
from tests.worlds.hosts_run import run_hosts
from tests.worlds.known import search
from tests.worlds.server import PreparedServer, prepared
from tests.worlds.spec import Start

KEPT = Path(__file__).parent / "found" / "hosts"
FOUND = sorted(KEPT.glob("*.json"))
# Ten seconds of a processor, the server's with it; `make worlds HOSTS=1` runs as many as you like.
WORLDS = range(12)


@pytest.fixture
def server(database: Database) -> Iterator[PreparedServer]:
    """Return a server for worlds; afterwards its journal is gone."""
    forget(database)
    with prepared(database) as server:
        yield server
    forget(database)


@pytest.mark.parametrize("part", range(2))
def test_in_worlds_of_several_hosts_every_invariant_holds(
    server: PreparedServer, part: int
) -> None:
    """Whatever befalls hosts, their database, network and CA, no invariant is broken."""
    for seed in WORLDS[part::2]:
        found = explorer_at(server).violations(draw_hosts(str(seed)))
        assert found == [], f"make worlds HOSTS=1 SEED={seed}"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.stem))
def test_what_a_world_of_several_hosts_once_found_is_not_there_again(
    server: PreparedServer, path: Path
) -> None:
    """A world that once broke an invariant breaks none."""
    assert explorer_at(server).violations(HostsWorld.from_json(path.read_bytes())) == []


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("late arrivals forgotten", "late_arrivals_in_limits_that_hosts_share"),
        ("what a host that slept has begun leaves", "begun_before_the_host_slept"),
    ],
)
def test_a_kept_world_shows_a_fault_that_is_hardly_drawn(
    server: PreparedServer, fault: str, name: str
) -> None:
    """A fault that random worlds show once in hundreds breaks an invariant in a kept one."""
    world = HostsWorld.from_json((KEPT / f"{name}.json").read_bytes())
    with HOSTS_KNOWN[fault]().put_back():
        assert any(explorer_at(server).violations(near) for near in _near(world))


def _near(world: HostsWorld) -> Iterator[HostsWorld]:
    """Yield a world, then those in which a blow falls one step of work earlier or later.

    The steps move whenever the program asks its database for something more or less.
    """
    yield world
    for by in (-1, 1, -2, 2, -3, 3, -4, 4, -5, 5):
        hosts = (
            replace(host, starts=tuple(_moved(start, by) for start in host.starts))
            for host in world.hosts
        )
        yield replace(world, hosts=tuple(hosts))


def _moved(start: Start, by: int) -> Start:
    strikes = (replace(strike, count=max(1, strike.count + by)) for strike in start.strikes)
    return replace(start, strikes=tuple(strikes))


def test_a_world_with_several_hosts_is_the_same_when_it_is_run_again(
    server: PreparedServer,
) -> None:
    """What several processes ask of a real server takes the same course to the microsecond."""
    world = draw_hosts("6")
    first, second = (run_hosts(world, server).trace() for _ in range(2))
    assert first == second


def test_a_world_with_several_hosts_as_json_is_the_same_world() -> None:
    """What a violation prints is the whole of its world."""
    world = draw_hosts("6")
    assert HostsWorld.from_json(world.as_json()) == world


@pytest.mark.parametrize("fault", HOSTS_KNOWN)
def test_each_known_fault_of_several_hosts_can_still_be_put_back(fault: str) -> None:
    """What is replaced to put a fault back is there."""
    with HOSTS_KNOWN[fault]().put_back():
        pass


@pytest.mark.parametrize("fault", ["slot freed at the grant", "each host keeps limits by itself"])
def test_worlds_of_several_hosts_find_a_fault_that_is_put_back(
    server: PreparedServer, fault: str
) -> None:
    """The checks can fail: a known fault breaks an invariant in one of a few worlds."""
    worlds, _, found = search(explorer_at(server), HOSTS_KNOWN[fault](), seconds=120.0, most=20)
    assert found, f"not in {worlds} worlds"
