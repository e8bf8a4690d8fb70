"""Trouble of the CA: what costs an order something, what costs it nothing, what ends a run."""

from collections import Counter

import pytest

from batch_resend.model import Ruling, RunState
from batch_resend.windows import Window
from tests.sending.conftest import HOUR_S, LONG_S, Rig, check_the_books
from tests.sending.scripted import orders

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

BY_THE_CA = "the CA refused the API key (HTTP 40"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("noconn", "the CA cannot be reached (scripted: noconn), for"),
        ("503", "the CA has problems (HTTP 503), for"),
        ("timeout", "the CA has problems (scripted: timeout), for"),
        ("429", "the CA asks for fewer requests (scripted: 429), for"),
    ],
)
async def test_a_ca_that_is_gone_for_longer_than_the_patience_stops_the_run(
    word: str, says: str
) -> None:
    rig = Rig(
        concurrency=32, windows=[Window(10, 1.0)], outages=[(10, LONG_S, word)], patience_s=600
    )
    await rig.carry(orders(1, 300))
    assert rig.sender.state is RunState.STOPPED
    assert (rig.sender.stop_reason or "").startswith(says)
    assert "beyond the patience of 10m 00s" in (rig.sender.stop_reason or "")
    assert 10 + 600 - 60 <= rig.elapsed_s() <= 10 + 600 + 30
    check_the_books(rig)
    assert Counter(rig.statuses().values())["sent"] == 100
    assert set(rig.statuses().values()) == {"sent"}, "an outage is no order's failure"


@pytest.mark.parametrize(
    ("word", "max_attempts"), [("429", 1), ("429", 2), ("503", 6), ("noconn", 6)]
)
async def test_the_attempt_that_ends_the_patience_is_not_its_orders_last(
    word: str, max_attempts: int
) -> None:
    rig = Rig(
        outages=[(9.5, LONG_S, word)], latency_s=1, concurrency=1, max_attempts=max_attempts,
        has_canary=True, canary=word,
    )  # fmt: skip
    await rig.carry(orders(1, 11))
    assert "beyond the patience of 1h" in (rig.sender.stop_reason or "")
    assert rig.statuses() == dict.fromkeys(range(1, 11), "sent"), "the last one is left for later"


async def test_a_pause_costs_no_order_any_of_its_time() -> None:
    """Half an hour out, with orders that may take ten minutes each."""
    outage = (2.0, 1800.0, "503")
    rig = Rig(max_elapsed_s=600, outages=[outage], latency_s=0.5, has_canary=True)
    await rig.carry(orders(1, 40))
    assert set(rig.statuses().values()) == {"sent"}
    assert rig.sender.state is RunState.COMPLETED


async def test_an_outage_of_hours_that_meets_the_last_five_orders_costs_them_nothing() -> None:
    """The canary tells that it is the CA."""
    outage = (0.5, 3 * HOUR_S, "503")
    rig = Rig(outages=[outage], latency_s=0.5, patience_s=LONG_S, concurrency=6, has_canary=True)
    await rig.carry(orders(1, 6))
    assert set(rig.statuses().values()) == {"sent"}


async def test_a_short_outage_at_the_very_end_costs_the_last_order_nothing() -> None:
    rig = Rig(outages=[(1.0, 31.0, "noconn")], latency_s=0.5, concurrency=1)
    await rig.carry(orders(1, 3))
    assert set(rig.statuses().values()) == {"sent"}


async def test_an_answer_is_written_down_before_the_pause_that_it_begins() -> None:
    """Cut off in between, the attempt would be in doubt, though its answer had come."""
    rig = Rig({1: "429/5 204"}, commit_s=1)
    await rig.carry(orders(1, 1))
    assert [line.what for line in rig.lines if line.what in ("end", "pause", "flow again")] == [
        "end", "pause", "end", "flow again",
    ]  # fmt: skip


async def test_each_pause_is_written_down_with_its_beginning_end_and_reason() -> None:
    rig = Rig({3: "429/30 204", 4: "429/60 429/5 204"}, latency_s=1.0, concurrency=1)
    await rig.carry(orders(1, 4))
    began = [(line.at, line.said) for line in rig.noted("pause")]
    ended = [line.at for line in rig.noted("flow again")]
    because = "1 the CA asks for fewer requests (scripted: 429)"
    # The fourth order, which never failed, probes first: that it fails prolongs the same pause.
    probed_again = 3.0 + 30 + 1 + 60
    assert began == [(3.0, because), (probed_again + 2, because)]
    assert ended == [probed_again + 1, probed_again + 2 + 5 + 1]


async def test_only_an_answer_that_makes_a_pause_longer_is_written_down_as_that() -> None:
    in_flight = dict.fromkeys(range(4, 6), "429/5@1.125 204")
    rig = Rig({2: "429/30@1 204", 3: "429/60@1.125 204", **in_flight}, commit_s=0.5)
    await rig.carry(orders(1, 8))
    assert len(rig.noted("pause")) == 1
    assert len(rig.noted("prolonged")) == 1
    assert Counter(rig.statuses().values()) == {"sent": 8}


async def test_a_limit_that_is_met_within_a_pause_is_written_down_with_it() -> None:
    script = dict.fromkeys(range(2, 9), "429/5@1 204")
    rig = Rig(script, windows=[Window(20, 10.0)])
    await rig.carry(orders(1, 8))
    assert [line.said for line in rig.noted("pause")] == [
        "1 the CA asks for fewer requests (scripted: 429)"
    ]
    assert [line.said for line in rig.noted("prolonged")] == ["0.5"]
    assert rig.sender.channel.limiter.share == 0.5


async def test_an_order_that_fails_during_a_pause_leaves_as_soon_as_the_pause_is_over() -> None:
    rig = Rig({2: "429/2 204", 3: "503@1.75 204"})
    await rig.carry(orders(1, 3))
    assert [(line.order, line.at) for line in rig.noted("call")][3:] == [(2, 2), (3, 2)]


@pytest.mark.parametrize(("word", "count"), [("key", 500), ("key", 1), ("401", 500)])
async def test_a_wrong_key_costs_one_request_and_the_reason_says_what_to_do(
    word: str, count: int
) -> None:
    rig = Rig(otherwise=f"{word}@1", concurrency=32)
    assert await rig.carry(orders(1, count)) == []
    assert rig.request_of("call") == [1]
    assert [line.said for line in rig.noted("end")] == [Ruling.KEY_REFUSED]
    assert rig.sender.state is RunState.STOPPED
    assert (rig.sender.stop_reason or "").startswith(BY_THE_CA)


@pytest.mark.parametrize("commit_s", [0.0, 2.5])
async def test_a_key_that_is_revoked_in_the_middle_stops_the_run_and_refuses_no_order(
    commit_s: float,
) -> None:
    """From the answer on nothing leaves, however long it takes to write that down."""
    answers = {n: f"204@{n * 37 % 16 / 4}" for n in range(1, 501)}
    rig = Rig({**answers, 50: "key@0.125"}, concurrency=16, commit_s=commit_s)
    await rig.carry(orders(1, 500))
    assert set(rig.statuses().values()) == {"sent"}
    assert (rig.sender.stop_reason or "").startswith(BY_THE_CA)
    (refused,) = rig.noted("answer", 50)
    assert max(line.at for line in rig.noted("begin")) <= refused.at + commit_s
    check_the_books(rig)


async def test_a_key_that_is_revoked_during_a_pause_is_the_reason_and_not_the_pause() -> None:
    rig = Rig({2: "429/5 key"}, concurrency=1)
    await rig.carry(orders(1, 2))
    assert [line.at for line in rig.noted("call")] == [0, 0, 5]
    assert (rig.sender.stop_reason or "").startswith(BY_THE_CA)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("nohost", "https://ca.example cannot be reached (scripted: nohost). Check --base-url"),
        ("route", "https://ca.example is not the CA's API (HTTP 404, not_found|route)"),
    ],
)
async def test_a_wrong_address_costs_one_request(word: str, says: str) -> None:
    rig = Rig(otherwise=word)
    await rig.carry(orders(1, 50))
    assert len(rig.noted("call")) == 1
    assert (rig.sender.stop_reason or "").startswith(says)


async def test_a_key_without_the_permission_costs_five_requests() -> None:
    rig = Rig(otherwise="403", concurrency=32)
    await rig.carry(orders(1, 50))
    assert len(rig.noted("call")) == 5
    assert rig.sender.state is RunState.STOPPED
    assert "the API key may not do this" in (rig.sender.stop_reason or "")
    assert set(rig.statuses().values()) == {"refused"}


# --- what is not the CA's word ------------------------------------------------------------------


@pytest.mark.parametrize("word", ["page403", "page406", "page400", "page451"])
async def test_a_page_refuses_no_order_pauses_all_and_stops_after_the_patience(word: str) -> None:
    rig = Rig(otherwise=word, concurrency=32, patience_s=HOUR_S)
    assert await rig.carry(orders(1, 200)) == []
    assert rig.sender.state is RunState.STOPPED
    assert HOUR_S - 60 <= rig.elapsed_s() <= HOUR_S
    assert len(rig.noted("call")) <= 5 + 10 + HOUR_S / 60, "five, ten probes, and one a minute"
    reason = rig.sender.stop_reason or ""
    wanted = (f"HTTP {word[4:]}", f"scripted: {word}", "beyond the patience of 1h", "proxy", "IP")
    assert [said for said in wanted if said not in reason] == []


@pytest.mark.parametrize("word", ["page403", "503"])
async def test_what_is_closed_for_a_named_time_is_left_alone_by_all(word: str) -> None:
    """Two orders: a page that comes to one alone, beside the CA's answers, is that order's."""
    script = {5: f"{word}/90 204", 6: f"{word}/90 204"}
    rig = Rig(script, concurrency=2, latency_s=1, max_elapsed_s=100)
    await rig.carry(orders(1, 20))
    assert Counter(rig.statuses().values()) == {"sent": 20}
    first = min(line.at for line in rig.noted("answer") if line.said == f"{word}/90")
    left_later = [line.at for line in rig.noted("call") if line.at > first]
    assert min(left_later) >= first + 90


async def test_a_retry_after_under_403_is_waited_for() -> None:
    rig = Rig({1: "page403/30 204"}, concurrency=1)
    await rig.carry(orders(1, 1))
    assert [line.at for line in rig.noted("call")] == [0, 30]
    assert rig.statuses() == {1: "sent"}


async def test_a_block_in_the_middle_costs_one_order_one_attempt_at_most() -> None:
    rig = Rig(outages=[(10, 200, "page403")], concurrency=8, latency_s=0.25, max_attempts=2)
    await rig.carry(orders(1, 500))
    assert set(rig.statuses().values()) == {"sent"}
    assert len(rig.noted("pause")) == 1


async def test_a_page_for_the_last_order_alone_ends_it_within_its_attempts() -> None:
    rig = Rig({100: "page403"}, concurrency=4, latency_s=1)
    await rig.carry(orders(1, 100))
    assert rig.statuses()[100] == "failed"
    assert rig.ca.asked[100] == 6
    assert rig.noted("pause") == []
    assert rig.elapsed_s() <= 100 / 4 + 6 * 60
