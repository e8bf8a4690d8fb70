"""A run that did not finish goes on under its own id when the same requests come again."""

from pathlib import Path

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint, Journal, Purpose
from batch_resend.journal.journal import ANSWERS_KEPT_S
from batch_resend.journal.recording import KeptAnswers
from batch_resend.model import Problem, RejectedRow, Row, RowStatus, Run, RunState
from batch_resend.results import Mailed, StuckOrder, SweepCounts
from tests.journal.conftest import (
    BASE_URL,
    HOUR,
    NOON,
    Clock,
    Rows,
    all_rows,
    on_disk,
    opened,
    orders,
    pending,
    pending_ids,
    plan,
    results,
    row,
    send,
    statuses,
)

pytestmark = pytest.mark.asyncio

OLD = [
    row(2, "1", "a.example x@a.example"),
    row(3, "2", "b.example x@b.example"),
    row(4, "1", "c.example x@c.example"),
    *orders(3, 4),
]


async def unfinished(journal: Journal, clock: Clock) -> Run:
    """Plan and half send a run of OLD: 1 is sent, 2 refused, 3 in doubt, 4 untouched."""
    run = await plan(journal, OLD)
    await send(journal, clock, run, {"1": "503 204", "2": "400", "3": "lost"})
    await journal.finish(run, RunState.INTERRUPTED, "a person said so")
    return await journal.reader.run(run.id)


async def test_the_same_list_takes_an_unfinished_run_up_under_its_own_id(
    journal: Journal, clock: Clock
) -> None:
    old = await unfinished(journal, clock)
    again = await plan(journal, OLD)
    assert again == old
    assert [run.id for run in await journal.reader.runs()] == [old.id]
    assert await pending_ids(journal.reader, again) == ["3", "4"]


async def test_a_run_that_was_killed_is_taken_up_too(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        old = await plan(journal, OLD)
        await send(journal, clock, old, {"1": "204", "2": "cut"})
    async with opened(place, clock) as journal:
        again = await plan(journal, OLD)
        assert again.id == old.id
        left = await pending(journal.reader, again)
        assert [(p.request.subject, p.doubts) for p in left] == [("2", 1), ("3", 0), ("4", 0)]


async def test_a_run_stopped_before_its_start_is_taken_up_too(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        old = await plan(journal, OLD)
        await journal.finish(old, RunState.STOPPED, "rows were rejected")
    async with opened(place, clock) as journal:
        assert (await plan(journal, OLD)).id == old.id


def bad(line: int) -> RejectedRow:
    return RejectedRow(line, Problem.FORM, "bad", "[]")


NEW_LISTS = {
    "shuffled": ([OLD[3], OLD[4], OLD[2], OLD[1], OLD[0]],),
    "cut into two files": (OLD[2:], OLD[:2]),
    "with more duplicates": ([*OLD, *OLD],),
    "with more rejected rows": ([bad(9), *OLD, bad(11)],),
    "with an order-only row that is ambiguous": ([*OLD, row(9, "1", locale="fr")],),
    "on other lines": ([row(77, r.order_id, locale=r.locale) for r in OLD[3:]] + OLD[:3],),
}


@pytest.mark.parametrize("inputs", NEW_LISTS.values(), ids=NEW_LISTS.keys())
async def test_rows_and_inputs_are_then_the_new_lists_but_outcomes_the_old_runs(
    journal: Journal, clock: Clock, inputs: tuple[Rows, ...]
) -> None:
    old = await unfinished(journal, clock)
    before = await results(journal.reader, old)
    again = await plan(journal, *inputs, names=("new.csv", "newer.csv"))

    assert again.id == old.id
    assert await results(journal.reader, again) == before
    assert await statuses(journal.reader, again) == {
        "1": "sent", "2": "refused", "3": "in_doubt", "4": "not_attempted",
    }  # fmt: skip
    notes = await journal.reader.inputs(again)
    assert [(n.name, n.rows) for n in notes] == [
        (name, len(rows)) for name, rows in zip(("new.csv", "newer.csv"), inputs, strict=False)
    ]
    found = await all_rows(journal.reader, again)
    assert [(r.line, r.raw) for r in found] == [(r.line, r.raw) for i in inputs for r in i]
    counts = await journal.reader.count_rows(again)
    assert sum(counts.values()) == sum(map(len, inputs))
    in_list_order = [
        r.order_id for r in found if r.status is RowStatus.ACCEPTED and r.order_id in ("3", "4")
    ]
    assert await pending_ids(journal.reader, again) == in_list_order


async def test_what_is_left_of_a_run_taken_up_is_sent_under_its_numbers(
    journal: Journal, clock: Clock
) -> None:
    await unfinished(journal, clock)
    again = await plan(journal, list(reversed(OLD)))
    await send(journal, clock, again, {"3": "204", "4": "503 204"}, cooldown_s=20 * HOUR)
    await journal.finish(again, RunState.COMPLETED)
    found = await results(journal.reader, again)
    assert {n: (r.status.value, r.attempts) for n, r in found.items()} == {
        "1": ("sent", 2), "2": ("refused", 1), "3": ("sent", 2), "4": ("sent", 2),
    }  # fmt: skip
    assert (await journal.reader.tally(again)).possible_duplicates == 1


@pytest.mark.parametrize(
    ("since", "taken_up"),
    [(NOON, True), (NOON + 4, True), (NOON + 4.5, False), (NOON + 20 * HOUR, False)],
)
async def test_a_run_is_taken_up_if_it_was_at_work_since(
    journal: Journal, clock: Clock, since: float, taken_up: bool
) -> None:
    old = await unfinished(journal, clock)
    assert old.finished_at == NOON + 4
    again = await plan(journal, OLD, take_up_since=since)
    assert (again.id == old.id) is taken_up
    assert again.state is (RunState.INTERRUPTED if taken_up else RunState.PLANNED)
    untouched = await statuses(journal.reader, old)
    assert untouched["1"] == "sent", "the old run keeps its outcomes either way"


async def test_a_completed_run_is_not_taken_up(journal: Journal, clock: Clock) -> None:
    old = await unfinished(journal, clock)
    await journal.finish(old, RunState.COMPLETED)
    again = await plan(journal, OLD)
    assert again.id != old.id
    assert await pending_ids(journal.reader, again) == ["1", "2", "3", "4"]
    assert (await statuses(journal.reader, old))["1"] == "sent"


OTHER_REQUESTS = {
    "one order more": [*OLD, row(9, "5")],
    "one order less": OLD[:-1],
    "one entry more": [*OLD, row(9, "1", "d.example x@d.example")],
    "one entry less": OLD[1:],
    "another address": [row(2, "1", "a.example y@a.example"), *OLD[1:]],
    "another address's domain": [row(2, "1", "a.example x@a.example example"), *OLD[1:]],
    "another language": [*OLD[:-1], row(9, "4", locale="de")],
    "another order number": [*OLD[:-1], row(9, "04")],
}


@pytest.mark.parametrize("rows", OTHER_REQUESTS.values(), ids=OTHER_REQUESTS.keys())
async def test_other_requests_are_another_run(
    journal: Journal, clock: Clock, rows: list[Row]
) -> None:
    old = await unfinished(journal, clock)
    again = await plan(journal, rows)
    assert again.id != old.id
    assert again.state is RunState.PLANNED
    assert len(await pending(journal.reader, again)) == len({r.order_id for r in rows})


async def test_the_same_requests_to_another_ca_are_another_run(
    journal: Journal, clock: Clock
) -> None:
    old = await unfinished(journal, clock)
    again = await plan(journal, OLD, base_url="https://certcentral.example")
    assert again.id != old.id


async def test_of_several_unfinished_runs_the_newest_is_taken_up(
    journal: Journal, clock: Clock
) -> None:
    old = await unfinished(journal, clock)
    newer = await plan(journal, OLD, take_up_since=clock.now + HOUR)
    assert newer.id != old.id
    await send(journal, clock, newer, {"4": "204"})
    await journal.finish(newer, RunState.STOPPED, "the CA is gone")
    assert (await plan(journal, OLD)).id == newer.id


async def test_of_a_plan_that_is_taken_up_elsewhere_nothing_else_stays(
    path: Path, clock: Clock
) -> None:
    async with opened(path, clock) as journal:
        first = await unfinished(journal, clock)
        again = await plan(journal, OLD)
        assert again.id == first.id
        for table in ("runs", "inputs", "rows", "requests"):
            number = "number" if table == "runs" else "run"
            (found,) = on_disk(path, f"SELECT count(DISTINCT {number}) FROM {table}")
            assert found == (1,), table


async def test_what_a_sweep_finds_that_resumes_a_run_stands_in_place_of_what_was_found_before(
    journal: Journal, clock: Clock
) -> None:
    run = await unfinished(journal, clock)
    assert await journal.reader.swept(run) is None
    stuck = [StuckOrder(number, Mailed(3, 1), None, "", "", ()) for number in ("7", "8")]
    for found in (stuck, stuck[1:]):
        counts = SweepCounts(9, 1, 2, len(found), 0, 0, 0, 0, 6 - len(found), 0, 3)
        await journal.note_sweep(run, counts, found)
        assert await journal.reader.swept(run) == counts
        assert [one async for one in journal.reader.stuck(run)] == found


async def test_what_is_left_goes_by_the_account_that_the_new_list_names(
    place: Place, clock: Clock
) -> None:
    parties = {None: Endpoint(BASE_URL, "old"), "shop": Endpoint(BASE_URL, "new")}
    of_shop = [one._replace(account="shop") for one in orders(1, 2)]
    async with opened(place, clock) as journal:
        old = await plan(journal, orders(1, 2), parties=parties)
        await send(journal, clock, old, {"1": "204"})
        await journal.finish(old, RunState.STOPPED, "the key was refused")
        again = await plan(journal, of_shop, parties=parties)
        assert again.id == old.id
        (left,) = await pending(journal.reader, again)
        assert (left.request.subject, left.request.account) == ("2", "shop")
        assert await journal.reader.count_by_account(again) == {"shop": 1}
        (sent,) = [o async for o in journal.reader.results(again) if o.order.subject == "1"]
        assert sent.order.account is None, "by which it was mailed"


async def test_answers_of_a_reading_that_was_cut_off_are_there_for_its_key_and_purpose_alone(
    place: Place, clock: Clock
) -> None:
    async def kept(journal: Journal, budget: str, purpose: Purpose) -> KeptAnswers:
        answers = (await journal.start_reading(BASE_URL, budget, purpose)).answers
        assert answers is not None
        return answers

    async with opened(place, clock) as journal:
        assert (await journal.start_reading(BASE_URL, "ours")).answers is None, "for no purpose"
        answers = await kept(journal, "ours", Purpose.SWEEP)
        await answers.keep("7", '{"names":1}', clock())
        await answers.keep("7", "{}", clock())
        await answers.keep("8", "{}", clock() - ANSWERS_KEPT_S / 2)
    async with opened(place, clock) as journal:
        assert (await kept(journal, "ours", Purpose.SWEEP)).found == {"7": "{}", "8": "{}"}
        assert (await kept(journal, "theirs", Purpose.SWEEP)).found == {}
        of_another_purpose = await kept(journal, "ours", Purpose.EXPORT)
        assert of_another_purpose.found == {}
        await of_another_purpose.forget()
        clock.now += ANSWERS_KEPT_S / 2
        answers = await kept(journal, "ours", Purpose.SWEEP)
        assert answers.found == {"7": "{}"}, "the other one is too old"
        await answers.forget()
        assert (await kept(journal, "ours", Purpose.SWEEP)).found == {}
