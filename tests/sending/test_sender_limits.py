"""A sender within its rate limits: the time they dictate, and the share of them after a 429."""

import pytest

from batch_resend.windows import Window, dictated_time
from tests.sending.conftest import HOUR_S, Rig, crowded
from tests.sending.scripted import orders

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]


@pytest.mark.parametrize("windows", [(), (Window(50, 5.0),), (Window(9, 1.0), Window(50, 10.0))])
async def test_a_run_takes_just_the_time_its_windows_dictate(windows: tuple[Window, ...]) -> None:
    rig = Rig(windows=windows, concurrency=32)
    await rig.carry(orders(1, 1000))
    assert rig.elapsed_s() == dictated_time(1000, windows)


async def test_the_time_the_journal_takes_after_an_answer_holds_no_slot() -> None:
    rig = Rig(windows=[Window(5, 10.0)], commit_s=1)
    await rig.carry(orders(1, 15))
    opened_s, window_s = 1 + 1 + 1, 10 + 1  # three commits; the window and the one before leaving
    assert max(line.at for line in rig.noted("call")) <= opened_s + 2 * window_s


async def test_an_order_that_backs_off_holds_neither_a_slot_nor_a_place_in_flight() -> None:
    rig = Rig({2: "500/30 204"}, windows=[Window(1, 1.0)], concurrency=1)
    await rig.carry(orders(1, 10))
    assert [(line.order, line.at) for line in rig.noted("call")] == [
        *[(order, order - 1) for order in range(1, 11)],
        (2, 31),
    ]


LIMITED = dict.fromkeys(range(30, 35), "429 204")  # so many that it is no order's own affair


async def test_a_slot_that_a_pause_leaves_unused_is_free_at_once() -> None:
    rig = Rig({2: "429/5@1 204"}, windows=[Window(2, 8.0)])
    await rig.carry(orders(1, 3))
    # The third has its slot at 8, when it may no longer leave by the permit of before the pause.
    calls = [(line.at, line.order) for line in rig.noted("call")]
    assert calls == [(0, 1), (0, 2), (8, 2), (9, 3)]


async def test_429s_while_our_windows_are_kept_halve_what_is_sent_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(LIMITED, windows=[Window(20, 10.0), Window(9_000, HOUR_S)], concurrency=4)
    await rig.carry(orders(1, 100))
    assert set(rig.statuses().values()) == {"sent"}
    limited = max(line.at for line in rig.noted("answer") if line.said == "429")
    after = sorted(line.at for line in rig.noted("call") if line.at > limited)
    assert crowded(after, Window(10, 10.0)) == []
    assert crowded(after, Window(9, 10.0)), "but no less than half"
    (warning,) = [r.getMessage() for r in caplog.records if r.name.endswith(".channel")]
    assert warning == (
        "others use this key, or its limit is lower than configured: from now on 10/10s and "
        "4500/1h, rising again over time"
    )


async def test_a_single_429_takes_nothing_away_and_only_its_order_waits() -> None:
    rig = Rig({30: "429 204"}, windows=[Window(20, 10.0)], concurrency=4)
    await rig.carry(orders(1, 60))
    assert set(rig.statuses().values()) == {"sent"}
    assert rig.noted("pause") == []
    first, second = rig.noted("call", 30)
    assert second.at > first.at
    assert rig.sender.channel.limiter.share == 1.0


async def test_probes_that_meet_a_429_again_do_not_take_more_away() -> None:
    rig = Rig(dict.fromkeys(range(2, 7), "429 429 429 204"), windows=[Window(100, 600.0)])
    await rig.carry(orders(1, 6))
    (pause,) = rig.noted("pause")
    assert str(pause.said).startswith("0.5 the CA asks for fewer requests")
    assert rig.sender.channel.limiter.share == 0.5


async def test_without_windows_429s_only_pause() -> None:
    rig = Rig(LIMITED)
    await rig.carry(orders(1, 60))
    (pause,) = rig.noted("pause")
    assert str(pause.said).startswith("1 ")
    assert set(rig.statuses().values()) == {"sent"}


async def test_only_a_request_in_doubt_holds_its_slot_beyond_the_window() -> None:
    rig = Rig({2: "timeout"}, windows=[Window(1, 10.0)], linger_s=30, retry_in_doubt=False)
    await rig.carry(orders(1, 4))
    assert [line.at for line in rig.noted("call")] == [0, 10, 10 + 30 + 10, 60]
