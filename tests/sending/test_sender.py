"""Pending orders -> outcomes: each order ends in just one, whatever the CA and the journal do."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.model import Fault, Reply, Request, RequestStatus, Ruling, RunState
from batch_resend.sending import Leave
from batch_resend.sending.channel import LEAVES_WITHIN_S
from batch_resend.windows import Window
from tests.sending.conftest import LONG_S, Rig, check_the_books, crowded
from tests.sending.scripted import ScriptedCA, answer, orders, planned

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]

BY_THE_CA = "the CA refused the API key (HTTP 401, invalid_api_key). Check that the key is whole"


# --- whatever happens ---------------------------------------------------------------------

harmless = ["204", "204", "404", "400", "503", "503/3", "429", "429/2", "timeout", "noconn"]
scripts = st.dictionaries(
    st.integers(1, 25),
    st.lists(
        st.tuples(st.sampled_from(harmless), st.sampled_from(["", "@0.5", "@2", "@30"])).map(
            "".join
        ),
        max_size=4,
    ).map(" ".join),
    max_size=25,
).map(lambda drawn: {order: f"{words} 204" for order, words in drawn.items()})
windows_of = st.lists(
    st.builds(Window, st.integers(1, 6), st.integers(1, 12).map(lambda n: n / 4)), max_size=2
)


@settings(max_examples=120)
@given(scripts, windows_of, st.integers(1, 6), st.integers(1, 4), st.sampled_from([0, 0.25]))
async def test_every_order_ends_in_just_one_outcome_within_the_windows(
    script: dict[int, str],
    windows: list[Window],
    concurrency: int,
    max_attempts: int,
    commit_s: float,
) -> None:
    rig = Rig(
        script,
        windows=windows,
        concurrency=concurrency,
        max_attempts=max_attempts,
        commit_s=commit_s,
        latency_s=0.5,
        patience_s=LONG_S,
    )
    await rig.carry(orders(1, 25))
    check_the_books(rig)
    assert set(rig.statuses()) == set(range(1, 26))
    assert rig.sender.state is RunState.COMPLETED
    soonest = [line.at for line in rig.noted("call")]
    latest = [line.at for line in rig.noted("answer")]
    for window in windows:
        assert crowded(soonest, window) == []
        assert crowded(latest, window) == []


@settings(max_examples=80)
@given(scripts, windows_of, st.integers(1, 6), st.integers(0, 400), st.sampled_from([0, 0.25]))
async def test_a_run_that_is_stopped_at_any_moment_leaves_the_books_in_order(
    script: dict[int, str],
    windows: list[Window],
    concurrency: int,
    stop_at: int,
    commit_s: float,
) -> None:
    rig = Rig(script, windows=windows, concurrency=concurrency, commit_s=commit_s, latency_s=0.5)
    await rig.stop_at(stop_at / 16, orders(1, 25))
    check_the_books(rig)
    if rig.sender.state is RunState.COMPLETED:
        assert len(rig.heard) == 25
    else:
        assert (rig.sender.state, rig.sender.stop_reason) == (
            RunState.INTERRUPTED,
            "a person said so",
        )
        assert all(line.at <= stop_at / 16 + commit_s for line in rig.noted("call"))


@pytest.mark.parametrize("what", ["begin", "end", "outcome"])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_journal_that_fails_ends_the_run_and_no_request_leaves_unwritten(
    what: str, concurrency: int
) -> None:
    rig = Rig({7: "503", 8: "lost"}, concurrency=concurrency, commit_s=0.25, latency_s=0.5)
    rig.notebook.broken_from = (what, 7)
    await rig.carry(orders(1, 99))
    assert (rig.sender.state, rig.sender.stop_reason) == (RunState.STOPPED, "the disk is full")
    assert Counter(rig.request_of("call")) == Counter(rig.request_of("begin"))
    assert sorted(rig.request_of("answer")) == sorted(rig.request_of("call")), (
        "what is in flight comes home"
    )
    assert set(rig.statuses()) == set(rig.request_of("outcome")), "only what is written is told of"
    assert (7 in rig.request_of("call")) is (what != "begin")


async def test_a_journal_that_fails_for_all_workers_at_once_ends_the_run_with_its_reason() -> None:
    rig = Rig(concurrency=8, commit_s=1, latency_s=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, orders(1, 99))
        await anyio.sleep(2.5)
        assert rig.request_of("answer") == [1], "the others are about to be written down"
        rig.notebook.broken = True
    assert rig.request_of("call") == [1]
    assert (rig.sender.state, rig.sender.stop_reason) == (RunState.STOPPED, "the disk is full")


async def test_an_error_in_the_program_itself_is_raised_once_what_is_in_flight_is_home() -> None:
    rig = Rig({6: "no answer at all@0.5"}, concurrency=4, latency_s=2)
    with pytest.RaisesGroup(pytest.RaisesGroup(ValueError)):
        await rig.carry(orders(1, 99))
    assert len(rig.request_of("call")) <= 6 + 3, "nothing leaves any more"
    assert set(rig.request_of("call")) - set(rig.request_of("end")) == {6}
    assert 6 not in rig.request_of("outcome")
    assert not rig.sender.finished


# --- the walk -----------------------------------------------------------------------------


async def test_a_request_leaves_only_once_it_is_written_down_and_is_told_of_only_then() -> None:
    rig = Rig(commit_s=2, latency_s=3)
    (outcome,) = await rig.carry([planned(1)])
    walk = [(line.what, line.at) for line in rig.lines]
    start = rig.start
    assert walk == [
        ("begin", start + 2),
        ("call", start + 2),
        ("answer", start + 5),
        ("end", start + 7),
        ("outcome", start + 7),
    ]
    assert outcome.status is RequestStatus.SENT


@pytest.mark.parametrize("concurrency", [1, 2, 8, 32])
@pytest.mark.parametrize("commit_s", [0, 0.25])
async def test_no_order_leaves_sooner_than_one_before_it_in_the_list(
    concurrency: int, commit_s: float
) -> None:
    rig = Rig(windows=[Window(10, 2.0)], concurrency=concurrency, commit_s=commit_s, latency_s=0.5)
    await rig.carry(orders(1, 200))
    left = sorted((line.at, line.order) for line in rig.noted("call"))
    assert [order for _, order in left] == list(range(1, 201))


async def test_never_more_are_in_flight_than_allowed_and_no_fewer_when_there_is_work() -> None:
    rig = Rig(concurrency=7, latency_s=1)
    await rig.carry(orders(1, 71))
    assert rig.ca.most_in_flight == 7
    assert rig.elapsed_s() == 11, "one opens, then seven a second"


async def test_each_attempt_is_logged_with_what_came_of_it_and_what_comes_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "batch_resend")
    rig = Rig({1: "503/3 404", 2: "lost"}, max_attempts=2, concurrency=1)
    german, other = planned(1), planned(2)
    await rig.carry([replace(german, request=replace(german.request, locale="de")), other])
    of = ("order_id", "locale", "attempt", "http_status", "error_code", "said")
    lines = [r for r in caplog.records if r.name == "batch_resend.sending.sender"]
    of_first, of_second = (
        [(r.msg, *(vars(r)[name] for name in of)) for r in lines if vars(r)["order_id"] == order]
        for order in ("1", "2")
    )
    no_order, lost = ("not_found|order", "scripted: 404"), ("lost", "scripted: lost")
    assert of_first == [
        ("attempt unavailable", "1", "de", 1, 503, None, "HTTP 503"),
        ("to be tried again", "1", "de", 1, 503, None, "HTTP 503"),
        ("attempt refused", "1", "de", 2, 404, *no_order),
    ]
    assert of_second == [
        ("attempt in doubt", "2", None, 1, None, *lost),
        ("to be tried again", "2", None, 1, None, *lost),
        ("attempt in doubt", "2", None, 2, None, *lost),
        ("given up: attempts or time used up", "2", None, 2, None, *lost),
    ]
    waits = {vars(r)["order_id"]: vars(r)["wait_s"] for r in lines if "wait_s" in vars(r)}
    assert waits == {"1": 3.0, "2": 0.891}  # 57/64


async def test_a_failing_order_does_not_keep_the_only_worker_while_all_wait() -> None:
    rig = Rig({1: "429 503"}, concurrency=1)
    await rig.carry(orders(1, 9))
    assert rig.statuses() == {1: "failed", **dict.fromkeys(range(2, 10), "sent")}


# --- stopping -----------------------------------------------------------------------------


async def test_a_stop_lets_nothing_more_leave_and_what_is_in_flight_come_home() -> None:
    rig = Rig({1: "204@0.5"}, concurrency=4, latency_s=10, commit_s=0.25)
    await rig.stop_at(5, orders(1, 50))
    assert sorted(rig.request_of("call")) == [1, 2, 3, 4, 5]
    assert rig.statuses() == dict.fromkeys(range(1, 6), "sent")
    assert 11 <= rig.elapsed_s() <= 12
    check_the_books(rig)


@pytest.mark.parametrize(
    ("waits", "script", "windows"),
    [
        pytest.param("for a slot", {}, [Window(1, 600.0)], id="for a slot"),
        pytest.param("during a pause", {1: "429/600"}, [], id="during a pause"),
        pytest.param("while it backs off", {1: "503/600 204"}, [], id="while it backs off"),
        pytest.param("for the opening", {1: "204@5"}, [], id="for the opening"),
    ],
)
async def test_a_stop_does_not_wait_for_who_waits(
    waits: str, script: dict[int, str], windows: list[Window]
) -> None:
    rig = Rig(script, windows=windows, concurrency=3)
    await rig.stop_at(3, orders(1, 3 if waits == "while it backs off" else 50))
    assert rig.elapsed_s() <= 5
    assert 1 <= len(rig.noted("call")) <= 3
    assert rig.sender.state is RunState.INTERRUPTED
    check_the_books(rig)


class SlowToConnect(ScriptedCA):
    """Each of its connections takes five seconds to be made."""

    async def resend(self, order: Request, leave: Leave) -> Reply | Fault:
        await anyio.sleep(5)
        try:
            return await super().resend(order, leave)
        except TimeoutError:
            return answer("noconn")


def _stopped_by_a_person(rig: Rig) -> None:
    rig.sender.stop(RunState.INTERRUPTED, "a person said so")


def _key_refused_elsewhere(rig: Rig) -> None:
    rig.sender.channel.breaker.stop("the CA refused the API key", is_refused=True)


def _asleep(rig: Rig) -> None:
    """Let the machine have slept: the loop's clock stood still meanwhile."""
    rig.sender.channel.clock = lambda: anyio.current_time() + LEAVES_WITHIN_S


@pytest.mark.parametrize("befalls", [_stopped_by_a_person, _key_refused_elsewhere, _asleep])
async def test_what_has_no_connection_yet_does_not_leave_any_more(
    befalls: Callable[[Rig], None],
) -> None:
    """It is written down as not sent, and nothing is in doubt."""
    rig = Rig(ca=lambda lines: SlowToConnect(lines, {}))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.carry, orders(1, 1))
        await anyio.sleep(1)
        befalls(rig)
    begun, ended = rig.lines[:2]
    assert (begun.what, ended.what, ended.said) == ("begin", "end", Ruling.UNAVAILABLE)
    assert rig.request_of("call") == ([1] if befalls is _asleep else [])
    assert rig.elapsed_s() <= (1 if befalls is _stopped_by_a_person else 15)


async def test_a_stop_before_the_start_sends_nothing() -> None:
    rig = Rig()
    rig.sender.stop(RunState.INTERRUPTED, "too early")
    assert await rig.carry(orders(1, 9)) == []
    assert rig.lines == []
    assert (rig.sender.state, rig.sender.stop_reason) == (RunState.INTERRUPTED, "too early")


async def test_a_key_that_is_stopped_elsewhere_stops_the_run_for_the_same_reason() -> None:
    rig = Rig()
    rig.sender.channel.breaker.stop("the CA refused the API key", is_refused=True)
    await rig.carry(orders(1, 5))
    assert rig.noted("call") == []
    assert rig.sender.state is RunState.STOPPED
    assert rig.sender.stop_reason == "the CA refused the API key"


async def test_the_first_reason_to_stop_counts() -> None:
    rig = Rig({1: "204", 2: "401@5"}, concurrency=2)
    await rig.stop_at(3, orders(1, 9))
    rig.sender.stop(RunState.STOPPED, "too late")
    assert (rig.sender.state, rig.sender.stop_reason) == (
        RunState.INTERRUPTED,
        "a person said so",
    )


async def test_a_stop_after_the_end_changes_nothing() -> None:
    rig = Rig()
    await rig.carry(orders(1, 9))
    rig.sender.stop(RunState.INTERRUPTED, "too late")
    assert (rig.sender.state, rig.sender.stop_reason) == (RunState.COMPLETED, None)


async def test_when_nobody_listens_any_more_the_run_continues_to_its_end() -> None:
    rig = Rig({7: "503 204"}, concurrency=4, latency_s=1)
    heard = await rig.carry(orders(1, 50), hear_at_most=3)
    assert len(heard) == 3
    assert sorted(rig.request_of("outcome")) == list(range(1, 51))
    assert rig.progress.done == 50


async def test_a_list_without_orders_is_done_at_once() -> None:
    rig = Rig()
    assert await rig.carry([]) == []
    assert (rig.sender.state, rig.elapsed_s()) == (RunState.COMPLETED, 0)
