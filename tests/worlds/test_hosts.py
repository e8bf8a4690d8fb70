"""Several hosts with PostgreSQL in simulated worlds: what always holds, holds in each of them."""

from collections.abc import Iterator

import pytest

from batch_resend.folders import Database
from tests.postgres import forget
from tests.worlds.hosts import HostsWorld, draw_hosts
from tests.worlds.hosts_explore import violations
from tests.worlds.hosts_run import run_hosts
from tests.worlds.server import PreparedServer, prepared

WORLDS = range(24)  # ten seconds of a processor; `make worlds HOSTS=1` runs as many as you like


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
        found = violations(draw_hosts(str(seed)), server)
        assert found == [], f"make worlds HOSTS=1 SEED={seed}"


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
