"""Back-pressure is not failure: when requests may leave, and when going on is pointless."""

import logging
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.model import Ruling
from batch_resend.sending.gate import Advice, Flow, Gate
from tests.sending.conftest import LONG_S, verdict
from tests.sending.door import closed, flowing, told

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(idle_step=1, idle_timeout=9)]

TIMES_5_TO_60 = [5, 10, 20, 40, 60, 60, 60]


# --- opening ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["204", "404", "400"])
async def test_a_run_opens_with_one_request_and_the_first_answer_about_an_order_frees_all(
    word: str,
) -> None:
    door = closed()
    await door.all_go([(1, word, 2), (2, "204", 3), (3, "204", 3), (4, "204", 3)])
    assert door.left == [(0, 1), (2, 2), (2, 3), (2, 4)]


@pytest.mark.parametrize("word", ["503", "timeout", "noconn", "403"])
async def test_until_an_answer_shows_key_and_address_to_be_right_requests_go_one_by_one(
    word: str,
) -> None:
    door = closed()
    advice = await door.all_go([(1, word, 2), (2, word, 2), (3, "204", 2), (4, "204", 2)])
    assert door.left == [(0, 1), (2, 2), (4, 3), (6, 4)]
    assert set(advice.values()) == {Advice.COUNT}


async def test_who_gives_up_during_the_opening_lets_the_next_one_open() -> None:
    door = closed()
    with anyio.move_on_after(3):
        await door.go(1, "204", 60)
    with anyio.move_on_after(3):
        await door.go(2, "204", 60)
    await door.all_go([(3, "204", 1), (4, "204", 1)])
    assert door.left == [(0, 1), (3, 2), (6, 3), (7, 4)]


# --- when going on is pointless -----------------------------------------------------------


@pytest.mark.parametrize("word", ["401", "key", "route"])
async def test_an_answer_that_none_will_pass_stops_at_the_opening_and_later(word: str) -> None:
    assert await closed().go(1, word) is Advice.STOP
    assert await (await flowing()).go(1, word) is Advice.STOP


@pytest.mark.parametrize(
    "word", ["nohost", "tls", "page200", "302", "page401", "page404", "405", "407", "501", "511"]
)
async def test_a_wrong_address_stops_at_the_opening_only(word: str) -> None:
    assert await closed().go(1, word) is Advice.STOP
    assert await (await flowing()).go(1, word) is Advice.COUNT


@pytest.mark.parametrize("word", ["page403", "page406", "page400", "page451"])
async def test_a_page_at_the_opening_costs_no_order_anything_and_does_not_stop_it(
    word: str,
) -> None:
    assert await closed().go(1, word) is Advice.AGAIN


async def test_an_address_that_is_right_but_does_not_answer_does_not_stop_the_opening() -> None:
    assert await closed().go(1, "noconn") is Advice.COUNT


@pytest.mark.parametrize(
    ("words", "stops_at"),
    [
        pytest.param("403 403 403 403 403", 5, id="five in a row: it is the key"),
        pytest.param("403 403 403 403 204 403 403 403 403 403 403", None, id="one was accepted"),
        pytest.param("204 403 403 403 403 403 403 403", None, id="one was accepted at the start"),
        pytest.param(
            "403 403 404 403 403 404 403 403",
            None,
            id="not in a row: the key is good for something",
        ),
        pytest.param("404 403 403 403 403", None, id="four in a row are too few"),
    ],
)
async def test_denials_stop_the_run_when_they_are_the_keys(
    words: str, stops_at: int | None
) -> None:
    advice = await told(closed(), words)
    stopped = [place for place, said in enumerate(advice, 1) if said is Advice.STOP]
    assert stopped[:1] == ([stops_at] if stops_at else [])


# --- too many requests --------------------------------------------------------------------


async def test_a_429_lets_nothing_leave_until_the_pause_is_over_and_one_got_through() -> None:
    door = await flowing()
    assert await door.go(1, "429") is Advice.AGAIN
    advice = await door.all_go([(2, "204", 3), (3, "204", 3), (4, "204", 3)])
    assert door.left == [(0, 1), (5, 2), (8, 3), (8, 4)]
    assert set(advice.values()) == {Advice.COUNT}
    assert (door.gate.flow, door.gate.reason) == (Flow.FLOWING, None)


@pytest.mark.parametrize(
    ("words", "probed_after_s"),
    [
        pytest.param(["429"] * 7, TIMES_5_TO_60, id="429: growing to a minute"),
        pytest.param(["429", "503", "timeout", "429"], [5, 10, 20, 40], id="trouble of all kinds"),
        pytest.param(["429/7"] * 3, [7, 7, 7], id="Retry-After is obeyed"),
        pytest.param(["429/300"] * 3, [300, 300, 300], id="also beyond a minute"),
        pytest.param(["429/0"] * 3, [1, 1, 1], id="but for less than a second"),
        pytest.param(["429", "429/2", "429", "503/9"], [5, 2, 20, 9], id="where it is given"),
    ],
)
async def test_how_long_pauses_are(words: list[str], probed_after_s: list[float]) -> None:
    door = await flowing()
    for order, word in enumerate(words):
        # What may have been mailed counts, whatever the trouble.
        assert await door.go(order, word) is (Advice.COUNT if word == "timeout" else Advice.AGAIN)
    assert await door.go(99, "204") is Advice.COUNT
    left = [at for at, _ in door.left]
    gaps = [later - sooner for sooner, later in pairwise(left)]
    assert gaps == probed_after_s


async def test_short_pauses_for_one_reason_are_said_now_and_then_and_all_are_in_the_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    door = await flowing()
    for order in range(30):
        await door.go(order, "429/1")
    pauses = [r.levelno for r in caplog.records if r.getMessage().startswith("paused: ")]
    assert len(pauses) == 30
    assert pauses.count(logging.WARNING) == 3, "one in ten seconds, of 30 that last one each"


async def test_pauses_begin_short_again_once_one_got_through() -> None:
    door = await flowing()
    assert await told(door, "429 429 429 204 429 204")
    assert [at for at, _ in door.left] == [0, 5, 15, 35, 35, 40]


async def test_a_failing_probe_makes_all_others_wait_for_the_next_one() -> None:
    door = await flowing()
    await door.go(1, "429")
    advice = await door.all_go([(2, "429", 1), (3, "noconn", 1), (4, "204", 1), (5, "204", 1)])
    assert door.left == [(0, 1), (5, 2), (16, 3), (37, 4), (38, 5)]
    assert [advice[order] for order in (2, 3, 4, 5)] == [Advice.AGAIN] * 2 + [Advice.COUNT] * 2


@pytest.mark.parametrize("word", ["204", "404", "403", "429", "429/2", "503", "503/500", "timeout"])
async def test_late_answers_from_before_a_pause_neither_prolong_nor_end_it(word: str) -> None:
    door = await flowing()
    late = [(order, word, 2.0) for order in range(2, 12)]
    advice = await door.all_go([(1, "429", 1), *late])
    assert {at for at, _ in door.left} == {0}, "all had left before the pause"
    assert (door.gate.flow, door.gate.paused_until - door.start) == (Flow.PAUSED, 6)
    counts = word in ("204", "404", "403", "timeout")
    assert set(advice.values()) == ({Advice.AGAIN, Advice.COUNT} if counts else {Advice.AGAIN})
    await door.go(20, "429")
    await door.go(21, "204")
    assert door.left[-2:] == [(6, 20), (16, 21)]


async def test_late_answers_from_between_two_pauses_do_not_end_the_second_one() -> None:
    door = await flowing()
    await told(door, "429 204")
    advice = await door.all_go([(3, "429", 1), (4, "204", 2)])
    assert advice == {3: Advice.AGAIN, 4: Advice.COUNT}
    assert door.gate.flow is Flow.PAUSED


async def test_a_time_that_a_late_429_names_is_kept_too() -> None:
    door = await flowing()
    await door.all_go([(1, "429", 1), (2, "429/30", 2), (3, "429/10", 3)])
    await door.go(4, "204")
    assert door.left[-1] == (32, 4)


async def test_a_time_that_a_late_429_names_is_not_waited_for_beyond_the_patience() -> None:
    door = await flowing(patience_s=100)
    advice = await door.all_go([(1, "429", 1), (2, "429/86400", 2)])
    assert advice[2] is Advice.STOP or door.gate.paused_until - door.start <= 101


@pytest.mark.parametrize("word", ["429", "429/500", "503/500", "timeout"])
async def test_a_bad_answer_from_before_a_pause_that_comes_after_it_pauses_nobody(
    word: str,
) -> None:
    door = await flowing()
    async with anyio.create_task_group() as tasks:
        for order, takes_s in ((1, 0), *((order, 30) for order in range(2, 12))):
            tasks.start_soon(door.go, order, word if takes_s else "429", takes_s)
        await anyio.sleep(6)
        await door.go(20, "204")
        await anyio.sleep(30)
        assert door.gate.flow is Flow.FLOWING
        await door.go(21, "503")
    assert door.left[-2:] == [(6, 20), (36, 21)]
    assert door.gate.flow is Flow.FLOWING, "one order in trouble by itself is no reason"


async def test_who_gives_up_during_a_pause_or_probing_does_not_block_the_others() -> None:
    door = await flowing()
    await door.go(1, "429")
    with anyio.move_on_after(2):
        await door.go(2, "204")
    with anyio.move_on_after(6):
        await door.go(3, "204", 60)
    await door.all_go([(4, "204", 1), (5, "204", 1)])
    assert door.left == [(0, 1), (5, 3), (8, 4), (9, 5)]


# --- whatever comes -----------------------------------------------------------------------

words = st.sampled_from(
    ["204", "204", "404", "403", "429", "429/3", "503", "503/2", "timeout", "lost", "noconn"]
)
requests_of = st.lists(
    st.tuples(st.integers(0, 8), words, st.sampled_from([0.0, 0.5, 1.0, 4.0, 30.0])), max_size=40
)


@settings(deadline=None, max_examples=150)
@given(st.lists(requests_of, min_size=1, max_size=3))
async def test_whatever_is_answered_pauses_are_kept_and_probes_are_single(
    rounds: list[list[tuple[int, str, float]]],
) -> None:
    gate = Gate(LONG_S)
    under_way: list[int] = []

    async def one(order: int, word: str, takes_s: float) -> None:
        async with gate.passage() as passage:
            now = anyio.current_time()
            if gate.flow is not Flow.FLOWING:
                assert now >= gate.paused_until, "left during a pause"
                assert passage.epoch not in under_way, "two probes at once"
            under_way.append(passage.epoch)
            await anyio.sleep(takes_s)
            advice = gate.tell(passage, order, verdict(word))
            under_way.remove(passage.epoch)
        said = verdict(word).ruling
        if said in (Ruling.ACCEPTED, Ruling.REFUSED):
            assert advice is Advice.COUNT or (advice is Advice.STOP and word == "403")
        if said is Ruling.RATE_LIMITED:
            assert advice is Advice.AGAIN, "a 429 cost an order an attempt"

    for requests in rounds:
        async with anyio.create_task_group() as tasks:
            for request in requests:
                tasks.start_soon(one, *request)
    assert under_way == []
