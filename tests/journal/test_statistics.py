"""What is told of a run as a whole: pace, answers, pauses, and why orders were not sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint, Journal, JournalReader, Pause, Recorder, Terms
from batch_resend.model import (
    Attempt,
    Call,
    Outcome,
    RequestStatus,
    Ruling,
    Run,
    RunState,
    Verdict,
)
from batch_resend.results import ProductCount
from batch_resend.windows import Window
from tests.journal.conftest import (
    BASE_URL,
    NOON,
    WINDOWS,
    Clock,
    carry,
    counted_steps,
    opened,
    orders,
    pending,
    plan,
    row,
    send,
)

pytestmark = pytest.mark.asyncio

ANSWERED = Verdict(Ruling.UNAVAILABLE, 503, None, "maintenance")
LOST = Verdict(Ruling.IN_DOUBT, None, "lost", "the connection broke")


@asynccontextmanager
async def begun(
    place: Place, clock: Clock, count: int
) -> AsyncIterator[tuple[Journal, Run, Recorder]]:
    """Begin to send a run of so many orders."""
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(*range(1, count + 1)))
        yield journal, run, await journal.start(run, Terms(WINDOWS))


async def answer(
    reader: JournalReader,
    run: Run,
    recorder: Recorder,
    *,
    begun_at: float = NOON,
    took_s: float = 0.5,
    verdict: Verdict = ANSWERED,
) -> None:
    """Have the first pending order attempted once more, settled by nothing."""
    (planned, *_) = await pending(reader, run)
    attempt = Attempt(planned, planned.attempts + 1, begun_at)
    await recorder.begin(attempt)
    await recorder.end(attempt, begun_at + took_s, verdict, None)


async def test_a_run_without_attempts_has_neither_spells_nor_answers(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, run, _):
        assert await journal.reader.periods(run) == []
        assert await journal.reader.answer_times(run, (1.0,)) is None
        assert await journal.reader.pauses(run, 10) == []
        assert [r.orders for r in await journal.reader.reasons(run, 10)] == [1], "not attempted"


async def test_the_pace_counts_every_attempt_in_the_step_in_which_it_began_and_its_trouble(
    place: Place, clock: Clock
) -> None:
    said = Verdict(Ruling.REFUSED, 404, "not_found|order")
    async with begun(place, clock, 1) as (journal, run, recorder):
        for begun_at, verdict in (
            (NOON, ANSWERED), (NOON + 9.9, said), (NOON + 10.0, LOST), (NOON + 35.0, said)
        ):  # fmt: skip
            await answer(journal.reader, run, recorder, begun_at=begun_at, verdict=verdict)
        (period,) = await journal.reader.periods(run)
        assert (period.from_at, period.to_at) == (NOON, NOON + 35.5)
        assert await journal.reader.pace(run, period, 10.0) == [(0, 2, 1), (1, 1, 1), (3, 1, 0)]


async def test_a_resumed_run_has_an_active_period_for_each_start_with_its_own_limits(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, run, recorder):
        await answer(journal.reader, run, recorder, begun_at=NOON)
        cut_off = Attempt((await pending(journal.reader, run))[0], 2, NOON + 20)
        await recorder.begin(cut_off)
    clock.now += 9 * 3600
    async with opened(place, clock) as journal:
        recorder = await journal.start(run, Terms((Window(7, 1.0),)))
        await answer(journal.reader, run, recorder, begun_at=(resumed_at := clock()))
        first, second = await journal.reader.periods(run)
        assert (first.from_at, first.to_at) == (NOON, NOON + 20), "not when it was found cut off"
        assert first.limits == tuple(map(str, WINDOWS))
        assert (second.from_at, second.limits) == (resumed_at, ("7/1s",))
        assert await journal.reader.pace(run, first, 10.0) == [(0, 1, 1), (2, 1, 1)]
        assert await journal.reader.pace(run, second, 10.0) == [(0, 1, 1)]


async def test_a_part_of_a_run_keeps_the_limits_that_it_was_sent_under(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, planned, _):
        run = await journal.reader.run(planned.id)
        await answer(journal.reader, run, await journal.join(run, {}))
        await journal.start(run, Terms((Window(7, 1.0),)))
        (period,) = await journal.reader.periods(run)
        assert period.limits == tuple(map(str, WINDOWS))


async def test_a_pause_in_which_the_program_was_killed_ends_no_earlier_than_it_began(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, run, recorder):
        await answer(journal.reader, run, recorder)
        await recorder.pause(Pause(NOON + 50, NOON + 80, "the CA has problems", 1.0))
    async with opened(place, clock) as journal:
        (pause,) = await journal.reader.pauses(await journal.reader.run(run.id), 10)
        assert (pause.began_at, pause.ended_at, pause.until_at) == (NOON + 50, NOON + 50, NOON + 80)


async def test_a_reason_says_in_how_many_ways_the_ca_told_it(place: Place, clock: Clock) -> None:
    async with begun(place, clock, 3) as (journal, run, recorder):
        for planned, said in zip(await pending(journal.reader, run), "abb", strict=True):
            attempt, verdict = Attempt(planned, 1, NOON), Verdict(Ruling.REFUSED, 404, "gone", said)
            outcome = Outcome(planned, RequestStatus.REFUSED, 404, "gone", said)
            await recorder.begin(attempt)
            await recorder.end(attempt, NOON + 1, verdict, outcome)
        (reason,) = await journal.reader.reasons(run, 10)
        assert (reason.orders, reason.messages, reason.message) == (3, 2, "a")


async def test_answer_times_are_those_of_answers_their_median_and_p95_are_times_that_were_taken(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, run, recorder):
        for number in range(1, 101):  # 0.01 s to 1 s, in no order
            took_s = (number * 37 % 101) / 100
            await answer(journal.reader, run, recorder, took_s=took_s)
        await answer(journal.reader, run, recorder, took_s=30.0, verdict=LOST)  # is no answer
        times = await journal.reader.answer_times(run, (0.1, 0.5, 1.0, 5.0))
        assert times is not None
        assert times.answers == sum(times.counts) == 100
        assert (times.median_s, times.p95_s, times.longest_s) == pytest.approx((0.5, 0.95, 1.0))
        assert times.counts == (10, 40, 50, 0, 0)


async def test_reasons_count_each_order_not_sent_once_by_status_and_code_the_most_first(
    place: Place, clock: Clock
) -> None:
    script = {
        "1": "204",
        "2": "404",
        "3": "404",
        "4": "503 failed",
        "5": "lost in_doubt",
        "6": "403",
    }
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(*range(1, 9)))
        await send(journal, clock, run, script)
        reasons = await journal.reader.reasons(run, 10)
        assert [(r.status, r.http_status, r.orders) for r in reasons[:2]] == [
            (RequestStatus.NOT_ATTEMPTED, None, 2),
            (RequestStatus.REFUSED, 404, 2),
        ]
        tally = await journal.reader.tally(run)
        assert sum(r.orders for r in reasons) == tally.planned - tally.orders[RequestStatus.SENT]
        assert {r.error_code for r in reasons if r.http_status == 403} == {
            "access_denied|missing_permission"
        }
        assert len(await journal.reader.reasons(run, 2)) == 2


async def test_a_run_is_counted_by_language_call_and_account_where_its_orders_do_not_share_them(
    place: Place, clock: Clock
) -> None:
    of_domain = row(4, "c.example")._replace(call=Call.DOMAIN_DCV, account="eu")
    parties = {None: Endpoint(BASE_URL), "eu": Endpoint("https://eu.ca.example")}
    async with opened(place, clock) as journal:
        alike = await plan(journal, orders(1, 2))
        run = await plan(
            journal,
            [row(2, "1", locale="de"), row(3, "2", locale="de"), of_domain],
            parties=parties,
        )
        await send(journal, clock, run, {"1": "204", "2": "404", "c.example": "204"})
        assert await journal.reader.parts(alike) == []
        assert {*await journal.reader.accounts(run)} == {None, "eu"}
        assert sorted(await journal.reader.parts(run), key=str) == [
            ("de", Call.DV_RESEND, None, RequestStatus.REFUSED, 1),
            ("de", Call.DV_RESEND, None, RequestStatus.SENT, 1),
            (None, Call.DOMAIN_DCV, "eu", RequestStatus.SENT, 1),
        ]
        for_profile = replace(run, settings={"profile": "bank"})
        assert {part.account for part in await journal.reader.parts(for_profile)} == {"bank", "eu"}


async def test_a_run_is_counted_by_product_to_a_bound_with_how_many_there_are(
    place: Place, clock: Clock
) -> None:
    products = ("RapidSSL", 'Straße\0"1"', 'Straße\0"1"', "", "a")
    rows = [
        one._replace(kept=(("note", "\0"), ("product", name)) if name else ())
        for one, name in zip(orders(1, 2, 3, 4, 5), products, strict=True)
    ]
    async with opened(place, clock) as journal:
        run = await plan(journal, [*rows, rows[0]._replace(line=7, kept=())])
        await send(journal, clock, run, {"1": "404", "2": "204", "3": "404", "4": "204"})
        assert await journal.reader.products(run, 3) == [
            ProductCount('Straße"1"', 2, 1, 4),
            ProductCount("RapidSSL", 1, 0, 4),
            ProductCount("a", 1, 0, 4),
        ]
        assert (await journal.reader.products(run, 9))[-1] == ProductCount(None, 1, 1, 4)


async def test_rows_not_sent_are_those_of_every_order_neither_sent_nor_skipped(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, orders(1))
    await send(journal, clock, first, {"1": "204"})
    run = await plan(journal, orders(1, 2, 3, 4))
    await send(journal, clock, run, {"2": "204", "3": "404"}, cooldown_s=3600)
    reader = journal.reader
    assert [row.order_id async for row in reader.rows_not_sent(run)] == ["3", "4"]
    not_sent = [found.order.subject async for found in reader.results_not_sent(run)]
    assert not_sent == ["3", "4"]
    assert [found.order.subject async for found in reader.results_skipped(run)] == ["1"]


async def test_a_pause_is_told_with_its_last_known_end_and_one_cut_short_ends_with_its_run(
    place: Place, clock: Clock
) -> None:
    async with begun(place, clock, 1) as (journal, run, recorder):
        await recorder.pause(Pause(clock(), clock() + 5, "the CA has problems", 1.0))
        await recorder.prolong_pause(Pause(clock(), clock() + 15, "the CA has problems", 1.0))
        clock.now += 20
        await recorder.flow_again(clock())
        clock.now += 100
        await recorder.pause(Pause(clock(), clock() + 5, "the CA asks for fewer requests", 0.5))
        await carry(recorder, clock, (await pending(journal.reader, run))[0], "204")
        await journal.finish(run, RunState.COMPLETED)
        ended = await journal.reader.run(run.id)
        first, second = await journal.reader.pauses(ended, 10)
        assert (first.began_at, first.until_at, first.ended_at) == (NOON, NOON + 15, NOON + 20)
        assert (second.reason, second.share) == ("the CA asks for fewer requests", 0.5)
        assert second.ended_at == ended.finished_at == NOON + 121
        assert len(await journal.reader.pauses(run, 1)) == 1


async def test_the_settings_of_a_run_are_those_of_its_last_start(journal: Journal) -> None:
    run = await plan(journal, orders(1))
    await journal.start(run, Terms(WINDOWS, {"concurrency": 32}))
    await journal.start(run, Terms(WINDOWS, {"concurrency": 8, "ca_file": None}))
    assert (await journal.reader.run(run.id)).settings == {"concurrency": 8, "ca_file": None}


async def steps_of(place: Place, clock: Clock, count: int) -> int:
    """Return how many thousand steps SQLite takes to find the rows not sent among so many."""
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(*range(1, count + 1)))
        await send(journal, clock, run, dict.fromkeys(map(str, range(1, count + 1)), "204"))
        reader = journal.reader

        async def find() -> None:
            assert [row async for row in reader.rows_not_sent(run)] == []
            for results in (reader.results_not_sent(run), reader.results_skipped(run)):
                assert [found async for found in results] == []

        return await counted_steps(reader, find)


async def test_the_work_of_finding_rows_not_sent_grows_with_their_number_not_its_square(
    tmp_path: Path, clock: Clock
) -> None:
    few = await steps_of(tmp_path / "few.db", clock, 200)
    many = await steps_of(tmp_path / "many.db", clock, 800)
    assert 0 < many < 6 * few, "four times as many"
