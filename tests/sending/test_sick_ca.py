"""A sick CA, a sick order, a shared key: what a run then costs, in time and in requests.

The properties P1 to P7, each with several seeds; P8 is `tests/certcentral/test_connections.py`. The
sender, its limiter and its circuit breaker are the real ones, time is virtual.
"""

import itertools
import random
from collections import Counter

import pytest

from batch_resend.windows import Window, dictated_time
from tests.sending.sick_ca import WINDOW, Another, by_chance, of_orders, out, send

ATTEMPTS = 6
ROUND_TRIP_S = 0.1
OUT = ("503", "noconn", "lost", "timeout@5", "429", "page403")


@pytest.mark.parametrize("concurrency", [1, 8, 32])
@pytest.mark.parametrize("word", OUT)
def test_p1_what_a_total_outage_costs_in_requests(word: str, concurrency: int) -> None:
    """At most concurrency + 20 before the pause, then ten probes and one a minute, and four."""
    for seed, long_s in ((1, 90.0), (2, 1800.0)):
        since, until = 2.0, 2.0 + long_s
        course = send(out(since, until, word), 400, seed=seed, concurrency=concurrency)
        paused_at = course.pauses[0]
        assert course.asked(since, paused_at + 1e-9) <= concurrency + 20
        assert course.asked(paused_at + 1e-9, until) <= 10 + long_s / 60 + 4
        assert course.outcomes == {"sent": 400}, "an outage is no order's failure"


@pytest.mark.parametrize("word", [*OUT, "503/120"])
def test_p2_it_goes_on_within_a_minute_of_the_cas_return(word: str) -> None:
    chance = random.Random(word)
    for seed in range(4):
        until = 2.0 + chance.uniform(20, 600)
        course = send(out(2.0, until, word), 300, seed=seed)
        first = min(at for at, *_ in course.ca.calls if at >= until)
        names_s = float(word.partition("/")[2] or 60)
        round_trip_s = float(word.partition("@")[2] or ROUND_TRIP_S)
        assert first - until <= names_s + round_trip_s


@pytest.mark.parametrize(
    ("word", "share"),
    [("429", 0.05), *itertools.product(["500", "noconn", "lost"], [0.05, 0.3, 0.6])],
)
def test_p3_failures_by_chance_pause_for_a_twentieth_of_the_run_at_most(
    word: str, share: float
) -> None:
    for seed in range(3):
        course = send(by_chance(share, word), 300, seed=seed)
        assert course.paused_s <= course.took_s / 20
        assert course.outcomes.total() == 300


@pytest.mark.parametrize("order", [1, 40, 150])
@pytest.mark.parametrize("word", ["500", "noconn", "lost", "page403", "503/3", "429"])
def test_p4_an_order_in_trouble_by_itself_pauses_nobody_and_ends_within_its_attempts(
    word: str, order: int
) -> None:
    """Some are free, since they may be the CA's: three 429, a page before any word of the CA's."""
    free = {"429": 3, "page403": order == 1}.get(word, 0)
    for seed in range(2):
        course = send(of_orders({order}, word), 300, seed=seed)
        assert course.pauses == []
        assert course.outcomes["sent"] == 299
        assert course.asked_for(order) <= ATTEMPTS + free


@pytest.mark.parametrize("concurrency", [1, 4, 32])
@pytest.mark.parametrize("word", ["503", "lost", "429"])
def test_p5_none_probes_twice_while_one_that_was_tried_less_waits(
    word: str, concurrency: int
) -> None:
    for seed in range(2):
        course = send(out(2.0, 900.0, word), 150, seed=seed, concurrency=concurrency)
        assert course.unfair == []


def places(count: int, of: int, where: str) -> set[int]:
    """Return the numbers of so many orders in a list."""
    first = {"first": 1, "in the middle": of // 2, "last": of - count + 1, "spread": 1}[where]
    step = of // count if where == "spread" else 1
    return {first + step * n for n in range(count)}


@pytest.mark.parametrize("where", ["first", "in the middle", "last", "spread"])
@pytest.mark.parametrize(
    ("count", "concurrency"), [(1, 1), (1, 32), (8, 8), (8, 32), (32, 32)], ids=str
)
def test_p6_orders_that_always_fail_cost_a_minute_and_one_for_each_attempt(
    count: int, concurrency: int, where: str
) -> None:
    """At most, whatever the number up to what may be in flight, and wherever in the list."""
    healthy = send(of_orders((), ""), 200, concurrency=concurrency)
    for word, becomes in (("500", "failed"), ("lost", "in_doubt"), ("429", "failed")):
        if word == "429" and where == "first" and count == 32:
            continue  # where nothing else has come yet, so many say that the key is out of requests
        course = send(of_orders(places(count, 200, where), word), 200, concurrency=concurrency)
        assert course.took_s <= healthy.took_s + 60 + (ATTEMPTS - 1) * 60
        assert course.outcomes == Counter({"sent": 200 - count, becomes: count})


OTHERS_REFUSED = {
    Another.EVENLY: 36,
    Another.AT_ONCE: 0,
}  # by the rule before, which took 1.8 times the fair share's


@pytest.mark.parametrize("another", OTHERS_REFUSED)
def test_p7_a_key_whose_other_client_takes_half_is_shared_fairly(another: Another) -> None:
    fair_s = dictated_time(500, [Window(WINDOW.limit // 2, WINDOW.period_s)])
    for seed in range(4):
        course = send(of_orders((), ""), 500, seed=seed, another=another)
        assert course.took_s <= 1.4 * fair_s
        assert course.ca.others_refused <= OTHERS_REFUSED[another]
        assert course.outcomes == {"sent": 500}
