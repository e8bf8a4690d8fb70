"""What was ever done for one order, over all runs."""

import pytest

from batch_resend.journal import Event, Journal
from batch_resend.model import RequestStatus, Ruling
from tests.journal.conftest import HOUR, NOON, Clock, orders, plan, row, send

pytestmark = pytest.mark.asyncio


async def events(journal: Journal, order_id: str) -> list[Event]:
    return [event async for event in journal.reader.history(order_id)]


async def test_every_attempt_of_every_run_is_there_the_oldest_first(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, orders(1, 2))
    await send(journal, clock, first, {"1": "lost 429 404", "2": "204"})
    second = await plan(journal, orders(1))
    await send(journal, clock, second, {"1": "204"})
    told = await events(journal, "1")
    assert [(e.run_id, e.attempt, e.ruling, e.outcome) for e in told] == [
        (first.id, 1, Ruling.IN_DOUBT, RequestStatus.REFUSED),
        (first.id, 2, Ruling.RATE_LIMITED, RequestStatus.REFUSED),
        (first.id, 3, Ruling.REFUSED, RequestStatus.REFUSED),
        (second.id, 1, Ruling.ACCEPTED, RequestStatus.SENT),
    ]
    assert (told[0].begun_at, told[0].ended_at) == (NOON, NOON + 1)
    assert [e.http_status for e in told] == [None, 429, 404, 204]
    assert (told[0].error_code, told[0].message) == (None, "the connection broke")
    assert told[2].error_code == "not_found|order"


async def test_a_run_that_made_no_attempt_has_one_line_with_its_reason(
    journal: Journal, clock: Clock
) -> None:
    first = await plan(journal, orders(1))
    await send(journal, clock, first, {"1": "204"})
    second = await plan(journal, orders(1, 2))
    await send(journal, clock, second, {}, cooldown_s=HOUR)
    _, skipped = await events(journal, "1")
    assert (skipped.attempt, skipped.outcome) == (None, RequestStatus.SKIPPED)
    assert first.id in (skipped.message or "")
    (left,) = await events(journal, "2")
    assert (left.attempt, left.outcome) == (None, RequestStatus.NOT_ATTEMPTED)


async def test_both_languages_of_an_order_are_its_history(journal: Journal, clock: Clock) -> None:
    both = [
        row(2, "1", "b.example admin@b.example", locale="de"),
        row(3, "1", "a.example admin@a.example", locale="en"),
    ]
    await send(journal, clock, await plan(journal, both), {"1": "204"})
    told = await events(journal, "1")
    assert [(e.locale, [x.email for x in e.entries]) for e in told] == [
        ("de", ["admin@b.example"]),
        ("en", ["admin@a.example"]),
    ]


async def test_an_attempt_without_an_answer_yet_says_so(journal: Journal, clock: Clock) -> None:
    await send(journal, clock, await plan(journal, orders(1)), {"1": "cut"})
    (event,) = await events(journal, "1")
    assert (event.attempt, event.ruling, event.ended_at) == (1, None, None)
    assert event.outcome is RequestStatus.IN_DOUBT, "until there is one"


async def test_of_an_order_that_no_run_had_nothing_is_known(journal: Journal, clock: Clock) -> None:
    await send(journal, clock, await plan(journal, orders(1)), {"1": "204"})
    assert await events(journal, "11") == []
