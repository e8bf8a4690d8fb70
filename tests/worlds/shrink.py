"""The shortest world that still shows a violation: pieces are taken away as long as it shows."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from tests.worlds.spec import How, Start, World

AnyWorld = TypeVar("AnyWorld")
Piece = TypeVar("Piece")


def shrink(
    world: AnyWorld,
    shows: Callable[[AnyWorld], bool],
    seconds: float,
    smaller: Callable[[AnyWorld], Iterator[AnyWorld]],
) -> AnyWorld:
    """Return a smaller world of which `shows` is true, as small as can be found in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for one in smaller(world):
            if time.monotonic() > until:
                return world
            if shows(one):
                world = one
                break
        else:
            return world
    return world


def smaller(world: World) -> Iterator[World]:
    """Yield worlds with one thing less, those with much less first."""
    for orders in {1, world.orders // 2, world.orders - 1} - {0, world.orders}:
        extra = min(world.rows - world.orders, orders)
        sick = tuple(number for number in world.sick if number < orders)
        yield replace(world, orders=orders, rows=orders + extra, sick=sick)
    for place in range(len(world.troubles)):
        yield replace(world, troubles=without(world.troubles, place))
    for place in range(len(world.starts)):
        if len(world.starts) > 1:
            yield replace(world, starts=without(world.starts, place))
    for place, start in enumerate(world.starts):
        for plainer in _plainer(start):
            yield replace(world, starts=_with(world.starts, place, plainer))
    plain = World(
        seed=world.seed, orders=world.orders, rows=world.orders, windows=("none",),
        latency_s=(0.001, 0.001), timeout_s=2.0, concurrency=1, hold=False, max_attempts=6,
        patience_s=600.0, timers_first=False, approved=(),
    )  # fmt: skip
    for name in (
        "rows", "approved", "windows", "latency_s", "concurrency", "timers_first", "hold",
        "preflight", "verify", "accounts", "sick",
        "max_attempts", "timeout_s", "patience_s",
    ):  # fmt: skip
        if getattr(world, name) != getattr(plain, name):
            yield replace(world, **{name: getattr(plain, name)})
    for place, trouble in enumerate(world.troubles):
        for always in (replace(trouble, since_s=0.0), replace(trouble, share=1.0)):
            if always != trouble:
                yield replace(world, troubles=_with(world.troubles, place, always))


def _plainer(start: Start) -> Iterator[Start]:
    for place, strike in enumerate(start.strikes):
        yield replace(start, strikes=without(start.strikes, place))
        for times in {1, strike.times // 2} - {0, strike.times}:
            struck = replace(strike, times=times)
            yield replace(start, strikes=_with(start.strikes, place, struck))
        for count in {1, strike.count // 2, strike.count - 1} - {0, strike.count}:
            struck = replace(strike, count=count)
            yield replace(start, strikes=_with(start.strikes, place, struck))
    if start.how is not How.SAME:
        yield replace(start, how=How.SAME)
    if start.clock_skew_s:
        yield replace(start, clock_skew_s=0.0)
    if start.reboot:
        yield replace(start, reboot=False)


def _with(pieces: tuple[Piece, ...], place: int, piece: Piece) -> tuple[Piece, ...]:
    return (*pieces[:place], piece, *pieces[place + 1 :])


def without(pieces: tuple[Piece, ...], place: int) -> tuple[Piece, ...]:
    """Return some pieces but for one."""
    return (*pieces[:place], *pieces[place + 1 :])
