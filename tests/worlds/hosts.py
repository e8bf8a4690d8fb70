"""What a world with several hosts is, as a value: drawn from a seed, made smaller, kept as JSON.

It is a world of one host (`spec.py`) in what CA and network do, and has hosts in the place of
starts. They share a journal in PostgreSQL: a real server, see `database.py`. Procrastinate, which
hands chunks out to workers, is a model (`queue_model.py`), for it counts by a clock of its own.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import TypeAdapter

from tests.worlds.database import DatabaseKind, DatabaseTrouble
from tests.worlds.shrink import smaller as smaller_base
from tests.worlds.shrink import without
from tests.worlds.spec import (
    Blow,
    How,
    Kind,
    On,
    Start,
    Strike,
    Trouble,
    World,
    draw,
    draw_strike,
    draw_windows,
)


class Role(StrEnum):
    """What the processes of a host do."""

    SENDER = "sender"  # plan and send by themselves
    DISTRIBUTOR = "distributor"  # plan, and have workers send
    WORKER = "worker"  # send what others have planned


class Part(StrEnum):
    """Which of a world's orders a host has in its list."""

    ALL = "all"
    FIRST = "first"  # two thirds of them
    LAST = "last"  # two thirds of them: some are in both
    EVEN = "even"  # every other one
    ODD = "odd"  # and those between


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host, and its processes, one after another."""

    role: Role
    starts: tuple[Start, ...]
    part: Part = Part.ALL
    stays_s: float = 120.0  # how long a worker is at work until it is ended


@dataclass(frozen=True, slots=True)
class HostsWorld:
    """All that happens, but for small change, which the seed deals."""

    base: World  # without starts of its own
    hosts: tuple[HostPlan, ...]
    database: tuple[DatabaseTrouble, ...] = ()
    jobs: int = 2  # chunks that a worker sends at once

    @property
    def whole(self) -> World:
        """The world with the starts of all hosts, as CA and oracle look at it."""
        return replace(self.base, starts=tuple(s for host in self.hosts for s in host.starts))

    def as_json(self) -> str:
        """Return it as one line of JSON, which `from_json` reads."""
        return _WORLD.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "HostsWorld":
        """Return the world that a JSON text has. Raises ValueError."""
        return _WORLD.validate_json(text)


_WORLD = TypeAdapter(HostsWorld)
# What befalls one host alone, the worlds of one host meet: these are about what hosts share.
_KINDS = (
    Kind.RATE_LIMITED, Kind.KEY_SHARED, Kind.ARRIVES_LATE, Kind.SILENT_AFTER, Kind.RESET_AFTER,
    Kind.CONNECT_LATE, Kind.ANSWER_SLOW, Kind.ERROR_500, Kind.KEY_REVOKED,
)  # fmt: skip
_ORDERS = (2, 5, 8, 8, 13, 13, 21)
_BLOWS = (
    *[Blow.KILL] * 3, *[Blow.POWER_LOSS] * 2, *[Blow.FREEZE] * 2, *[Blow.SUSPEND] * 2,
    Blow.INTERRUPT,
)  # fmt: skip


def draw_hosts(seed: str) -> HostsWorld:
    """Return the world of a seed."""
    chance = random.Random(f"{seed}/hosts")
    orders = chance.choice(_ORDERS)
    drawn = draw(f"{seed}/base")
    base = replace(
        drawn, seed=seed, verify=False, preflight=False, starts=(), orders=orders, rows=orders,
        sick=tuple(n for n in drawn.sick if n < orders), windows=draw_windows(chance, orders),
        concurrency=chance.choice((1, 2, 8)),
        troubles=(_trouble_of_all(chance),) if chance.random() < 0.5 else (),
    )  # fmt: skip
    count = chance.choice((2, 2, 3, 4))
    if chance.random() < 0.5:
        roles = [Role.SENDER] * count
    else:
        others = [chance.choice((Role.WORKER, Role.WORKER, Role.SENDER)) for _ in range(count)]
        roles = [Role.DISTRIBUTOR, Role.WORKER, *others][: max(3, count)]
    blows = [chance.choice(_BLOWS) for _ in range(chance.choice((1, 2)))]
    hosts = tuple(_host(chance, n, role, base.orders, blows) for n, role in enumerate(roles))
    troubles = tuple(_trouble(chance, count) for _ in range(chance.choice((0, 0, 1, 1, 2))))
    return HostsWorld(base, hosts, troubles, jobs=chance.choice((1, 2, 4)))


def _trouble_of_all(chance: random.Random) -> Trouble:
    since_s = chance.choice((0.0, 0.0, chance.uniform(0.0, 20.0)))
    until_s = since_s + chance.choice((5.0, 60.0, 600.0))
    return Trouble(chance.choice(_KINDS), since_s, until_s, chance.choice((0.1, 0.3, 0.7, 1.0)))


def _host(
    chance: random.Random, number: int, role: Role, orders: int, blows: Sequence[Blow]
) -> HostPlan:
    count = chance.choice((1, 1, 2))
    starts = [_start(chance, role, orders, blows, first=n == 0) for n in range(count)]
    part = chance.choice(tuple(Part))
    if chance.random() < 0.65:  # lists of their own: they are at work beside each other
        part = (Part.EVEN, Part.ODD)[number % 2]
    return HostPlan(role, tuple(starts), part, chance.choice((20.0, 120.0, 600.0)))


def _start(
    chance: random.Random, role: Role, orders: int, blows: Sequence[Blow], *, first: bool
) -> Start:
    how = How.SAME if first else chance.choice((How.SAME, How.SHUFFLED, How.RESUME))
    gap_s = chance.choice((0.0, 0.0, 0.0, 0.5) if first else (1.0, 7.0, 40.0))
    strikes: tuple[Strike, ...] = ()
    if chance.random() < 0.6:
        strikes = (_strike(chance, role, orders, blows),)
    # More than the cooldown may not lie between clocks; see `_readable_clocks`.
    skew_s = chance.choice((0.0, 0.0, 0.0, -3600.0, 3600.0, -5.0))
    return Start(how, gap_s, skew_s, strikes=strikes)


def _strike(chance: random.Random, role: Role, orders: int, blows: Sequence[Blow]) -> Strike:
    strike = draw_strike(chance, orders, 5.0)
    blow = chance.choice(blows)
    on = chance.choice((On.TURN, On.ARRIVAL, On.ARRIVAL, On.ANSWER, On.WORK))
    count = strike.count if on is On.WORK else chance.randint(1, 1 + orders // 2)
    if on is On.TURN:
        count = chance.randint(100, 500 + 100 * orders)  # to open PostgreSQL takes a hundred
    if blow is Blow.FREEZE and chance.random() < 0.5:
        # Not so one that sleeps: it would leave with what others have been given meanwhile.
        on, count = On.LOOK, chance.randint(1, 100 + 15 * orders)
    if blow is Blow.INTERRUPT and role is Role.WORKER:
        blow = Blow.KILL
    # Far more than a worker may be silent, or nothing like it.
    return Strike(blow, on, count, chance.choice((0.5, 4.0, 60.0, 400.0)))


def _trouble(chance: random.Random, hosts: int) -> DatabaseTrouble:
    kind = chance.choice((*DatabaseKind, DatabaseKind.CLOCK_SET))
    since_s = chance.choice((0.0, chance.uniform(0.0, 3.0), chance.uniform(1.0, 10.0)))
    for_s = chance.choice((0.5, 5.0, 60.0))
    share = chance.choice((0.003, 0.01, 0.1))  # of some hundred questions
    by_s = chance.choice((-3600.0, 3600.0, -7.0, 7.0))
    host = chance.randrange(hosts)
    return DatabaseTrouble(kind, since_s, since_s + for_s, share, host, by_s)


def smaller(world: HostsWorld) -> Iterator[HostsWorld]:
    """Yield worlds with one thing less, those with much less first."""
    for place in range(len(world.hosts)):
        if len(world.hosts) > 1:
            yield replace(world, hosts=without(world.hosts, place))
    for place in range(len(world.database)):
        yield replace(world, database=without(world.database, place))
    for place, host in enumerate(world.hosts):
        for plainer in _plainer(host):
            hosts = (*world.hosts[:place], plainer, *world.hosts[place + 1 :])
            yield replace(world, hosts=hosts)
    for base in smaller_base(world.base):
        yield replace(world, base=base)


def _plainer(host: HostPlan) -> Iterator[HostPlan]:
    for place, start in enumerate(host.starts):
        if len(host.starts) > 1:
            yield replace(host, starts=without(host.starts, place))
        for plain in ({"strikes": ()}, {"clock_skew_s": 0.0}, {"how": How.SAME}, {"gap_s": 0.0}):
            plainer = replace(start, **plain)
            if plainer != start:
                starts = (*host.starts[:place], plainer, *host.starts[place + 1 :])
                yield replace(host, starts=starts)
    if host.part is not Part.ALL:
        yield replace(host, part=Part.ALL)
