"""What a client may say of the database's clock: nothing that a slow question would make wrong."""

import random

from batch_resend.cluster.slots import NEW_S, TOLERANCE_S, Bounds, DatabaseTime


class World:
    """Time, a database's clock, and a client that asks it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.set_by_s = 500_000.0
        self.correction_s = 0.0
        self.client = DatabaseTime(lambda: self.now)

    @property
    def clock_s(self) -> float:
        return self.now + self.set_by_s + self.correction_s

    def is_known(self) -> "World":
        """Have the client know the time for a while."""
        self.ask()
        self.now += NEW_S
        return self

    def ask(self, there_s: float = 0.001, back_s: float = 0.001) -> tuple[Bounds, float]:
        """Ask; return what the question said, and what the clock said when it came."""
        bounds = self.client.ask()
        self.now += there_s
        said = self.clock_s
        self.now += back_s
        self.client.learn(said, self.correction_s)
        return bounds, said


def test_whoever_asks_first_claims_nothing_and_is_new_for_a_while() -> None:
    world = World()
    assert world.client.ask() == Bounds(is_new=True)
    world.ask()
    world.now += NEW_S / 2
    assert world.client.ask().is_new
    world.now += NEW_S / 2
    assert not world.client.ask().is_new


def test_no_delay_makes_a_clock_that_nobody_sets_look_too_low_or_proves_it_too_high() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        world = World().is_known()
        for _ in range(30):
            delays = [chance.choice((0.0, 0.001, 0.2, 40.0)) * chance.random() for _ in range(2)]
            bounds, said = world.ask(*delays)
            world.now += chance.choice((0.0, 0.01, 5.0, 3_000.0))
            if bounds.at_least is not None:
                assert bounds.at_least <= said
                assert bounds.too_high_s == 0


def test_a_clock_that_is_set_back_is_known_by_the_next_question() -> None:
    world = World().is_known()
    world.set_by_s -= 60
    bounds, said = world.ask()
    assert bounds.at_least is not None
    assert abs(bounds.at_least - said - 60) < TOLERANCE_S + 0.01


def test_a_clock_that_is_set_forward_is_not_believed_and_proven_by_the_next_answer() -> None:
    world = World().is_known()
    world.set_by_s += 60
    bounds, said = world.ask()
    assert bounds.at_most is not None
    assert abs(said - bounds.at_most - 60) < 0.01
    assert bounds.too_high_s == 0
    proven, _ = world.ask()
    assert 60 <= proven.too_high_s < 60.01


def test_a_question_that_was_long_under_way_proves_nothing() -> None:
    world = World().is_known()
    world.ask(there_s=30.0)
    bounds, _ = world.ask()
    assert bounds.too_high_s == 0


def test_after_another_ones_correction_all_is_learned_again() -> None:
    world = World().is_known()
    world.correction_s = 7.0
    world.ask()
    bounds, said = world.ask()
    assert bounds.correction_s == 7.0
    assert bounds.at_least is not None and bounds.at_most is not None
    assert bounds.at_least <= said <= bounds.at_most + 0.01


def test_clocks_that_go_apart_slowly_are_not_taken_for_one_that_was_set() -> None:
    world = World().is_known()
    for _ in range(10_000):
        bounds, said = world.ask()
        world.now += 10
        world.set_by_s += 0.005  # 500 ppm: as fast as clocks are slewed
        assert bounds.at_least is None or bounds.at_least <= said
        assert bounds.at_most is None or said <= bounds.at_most + 0.01
