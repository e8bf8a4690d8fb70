"""The simulator's world: orders that wait, and are approved a while after a mail, by luck."""

from batch_resend.simulator import World, WorldOrder


class Hours:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def world_of(count: int, clock: Hours, chance: float) -> World:
    """Return a world of so many orders that wait."""
    world = World(seed=7, chance=chance, within_s=3600.0, clock=clock)
    for number in range(1, count + 1):
        world.add(WorldOrder(number))
    return world


def issued(world: World) -> set[int]:
    """Return which orders are issued by now."""
    world.let_approve()
    return {number for number, order in world.orders.items() if order.status == "issued"}


def test_a_mail_brings_about_approvals_at_its_chance_within_its_time_and_no_other_does() -> None:
    clock = Hours()
    world = world_of(1_000, clock, 0.3)
    for number in range(1, 501):
        world.mail(str(number))
    assert issued(world) == set(), "nobody is that quick"
    clock.now += 1800
    half = issued(world)
    clock.now += 1801
    done = issued(world)
    assert 120 <= len(done) <= 180, "0.3 of 500"
    assert 0 < len(half) < len(done)
    assert max(done) <= 500, "what was not mailed waits on"


def test_the_same_seed_has_the_same_luck_and_the_next_mail_another_one() -> None:
    clocks = Hours(), Hours()
    first, second = (world_of(200, clock, 0.3) for clock in clocks)
    for world, clock in zip((first, second), clocks, strict=True):
        for number in range(1, 201):
            world.mail(str(number))
        clock.now += 3601
    once = issued(first)
    assert once == issued(second)
    for number in set(range(1, 201)) - once:
        first.mail(str(number))
    clocks[0].now += 3601
    assert len(issued(first)) > len(once)


def test_a_world_may_be_full_from_the_beginning_with_orders_of_every_kind() -> None:
    world = World(seed=1, clock=Hours())
    world.populate(200)
    orders = world.orders.values()
    assert len(orders) == 200
    assert {order.dcv_method for order in orders} == {"email", "dns-txt-token"}
    assert {world.is_dv(str(order.order_id)) for order in orders} == {True, False}
    assert world.is_dv("5"), "of one that is not in the world, nobody knows"
