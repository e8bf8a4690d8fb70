"""Which orders were mailed by several runs and wait still, whosever they are."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from batch_resend.folders import Place
from batch_resend.journal import (
    Checked,
    Endpoint,
    OrderCheck,
    Terms,
    WaitingNames,
    prune_journal,
    read_journal,
)
from batch_resend.model import Call, Outcome, RequestStatus, Row, Run, RunState
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
)

pytestmark = pytest.mark.asyncio

DAY = 86_400.0
EU = "https://eu.example/services/v2"
OURS: Mapping[str | None, Endpoint] = {None: Endpoint(BASE_URL, "ours")}
BOTH = {None: Endpoint(BASE_URL, "ours"), "eu": Endpoint(EU, "theirs")}


async def night(
    place: Place,
    clock: Clock,
    rows: list[Row],
    script: Mapping[str, str] | None = None,
    parties: Mapping[str | None, Endpoint] = OURS,
    *,
    later_s: float = DAY,
) -> Run:
    """Send orders, a day after the last ones; note afterwards that all of them wait."""
    clock.now += later_s
    async with opened(place, clock) as journal:
        run = await plan(journal, rows, take_up_since=1e12, parties=parties, base_url=_url(parties))
        budgets = {name: party.budget or "" for name, party in parties.items()}
        urls = {name: party.base_url for name, party in parties.items() if name}
        terms = Terms(WINDOWS, {"accounts": urls} if urls else {}, budgets)
        recorder = await journal.start(run, terms)
        for planned in await pending(journal.reader, run):
            how = (script or {}).get(planned.request.subject, "204")
            await carry(recorder, clock, planned, how)
        await journal.finish(run, RunState.COMPLETED)
        sent = [number async for number, _ in journal.reader.mailed_requests(run)]
        await journal.note_checks(run, dict.fromkeys(sent, OrderCheck("pending")))
        return await journal.reader.run(run.id)


def _url(parties: Mapping[str | None, Endpoint]) -> str:
    return parties[None].base_url


async def found(place: Place, run: Run, most: int = 100) -> dict[tuple[str, str | None], int]:
    """Return how many runs mailed each order that several have."""
    async with read_journal(place) as reader:
        count, first = await reader.unapproved(run, most)
    assert count >= len(first)
    return {(one.order_id, one.account): one.runs for one in first}


async def test_all_that_was_sent_is_asked_about_over_all_pages(place: Place, clock: Clock) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(*range(1, 2502)))
        recorder = await journal.start(run, Terms(WINDOWS))
        sent = [Outcome(one, RequestStatus.SENT) for one in await pending(journal.reader, run)]
        await asyncio.gather(*map(recorder.settle, sent))
        asked = [number async for number, _ in journal.reader.mailed_requests(run)]
    assert asked == list(range(1, 2502))


async def test_what_is_in_doubt_is_asked_about_too_and_counted_apart(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3, 4, 5))
        recorder = await journal.start(run, Terms(WINDOWS))
        sent, held, tried, refused, _ = await pending(journal.reader, run)
        await recorder.settle(Outcome(sent, RequestStatus.SENT))
        await recorder.settle(Outcome(held, RequestStatus.IN_DOUBT))
        await recorder.settle(Outcome(refused, RequestStatus.REFUSED))
        await carry(recorder, clock, tried, "lost")
        asked = [number async for number, _ in journal.reader.mailed_requests(run)]
        assert asked == [1, 2, 3], "the last was never attempted"
        await journal.note_checks(run, dict.fromkeys(asked, OrderCheck("waiting")))
        await journal.note_checks(run, {3: OrderCheck("issued")})
        checked = await journal.reader.checked(run)
        assert checked == Checked(clock(), {"waiting": 1}, {"issued": 1, "waiting": 1})
        await recorder.settle(Outcome(tried, RequestStatus.SENT))  # once it was mailed again
        checked = await journal.reader.checked(run)
        assert checked == Checked(clock(), {"issued": 1, "waiting": 1}, {"waiting": 1})


async def test_what_has_come_of_orders_is_as_the_ca_said_when_it_was_last_asked(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3))
        recorder = await journal.start(run, Terms(WINDOWS))
        for one in await pending(journal.reader, run):
            await recorder.settle(Outcome(one, RequestStatus.SENT))
        assert await journal.reader.checked(run) is None
        assert await journal.reader.waiting_names(run, 9) == []
        await journal.note_checks(run, dict.fromkeys((1, 2, 3), OrderCheck("pending", 3, 0)))
        clock.now += 60
        await journal.note_checks(run, {1: OrderCheck("issued", 3, 3), 2: OrderCheck("reissue")})
        assert await journal.reader.checked(run) == Checked(
            clock(), {"issued": 1, "pending": 1, "reissue": 1}, oldest_at=clock() - 60
        )
        await journal.note_checks(run, {2: OrderCheck("pending", 4, 1)})
        checked = await journal.reader.checked(run)
        assert checked is not None
        assert list(checked.statuses.items()) == [("pending", 2), ("issued", 1)]
        waiting = [WaitingNames("2", 1, 4), WaitingNames("3", 0, 3)]
        assert await journal.reader.waiting_names(run, 9) == waiting
        assert await journal.reader.waiting_names(run, 1) == waiting[:1]


async def test_runs_count_whose_mail_was_accepted_and_not_what_is_in_doubt_refused_or_a_retry(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2, 3, 5), {"2": "404", "3": "lost in_doubt"})
    await night(place, clock, orders(1), {"1": "503 204"})
    run = await night(place, clock, orders(1, 2, 3, 4, 5), {"4": "lost 503 lost 204"})
    assert await found(place, run) == {("1", None): 3, ("5", None): 2}
    async with read_journal(place) as reader:
        count, (first,) = await reader.unapproved(run, 1)
    assert (count, first.order_id) == (2, "1"), "those of the most runs come first"
    assert first.since_at == NOON + DAY


async def test_runs_that_mailed_different_people_mailed_nobody_twice(
    place: Place, clock: Clock
) -> None:
    one, other = (row(2, "1", f"{name}.example admin@{name}.example") for name in "ab")
    await night(place, clock, [one])
    assert await found(place, await night(place, clock, [other])) == {}
    assert await found(place, await night(place, clock, [other])) == {("1", None): 2}
    all_of_it = await night(place, clock, orders(1))
    assert await found(place, all_of_it) == {("1", None): 3}, "each of them, and all"


async def test_of_those_with_as_many_mails_the_one_that_waits_for_longest_comes_first(
    place: Place, clock: Clock
) -> None:
    for number in (2, 1):
        await night(place, clock, orders(number))
    run = await night(place, clock, orders(1, 2))
    assert list((await found(place, run)).items()) == [(("2", None), 2), (("1", None), 2)]


async def test_orders_whose_first_mail_is_less_than_half_a_day_old_are_given_time(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2))
    run = await night(place, clock, orders(1), later_s=0.4 * DAY)
    assert await found(place, run) == {}
    run = await night(place, clock, orders(1, 2), later_s=0.2 * DAY)
    assert await found(place, run) == {("1", None): 3, ("2", None): 2}


async def test_an_answer_that_is_older_than_the_last_one_says_nothing_of_the_time_since(
    place: Place, clock: Clock
) -> None:
    """Such as that of an account whose key was refused when the CA was asked again."""
    await night(place, clock, orders(1, 2))
    run = await night(place, clock, orders(1, 2), later_s=0.4 * DAY)
    clock.now += 0.2 * DAY
    async with opened(place, clock) as journal:
        await journal.note_checks(run, {1: OrderCheck("pending")})
    assert await found(place, run) == {("1", None): 2}


async def test_what_was_forgotten_of_older_runs_counts_all_the_same(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2))
    await night(place, clock, orders(1))
    run = await night(place, clock, orders(1, 2))
    before = await found(place, run)
    assert before == {("1", None): 3, ("2", None): 2}
    assert len((await prune_journal(place, 0.5 * DAY, clock)).runs) == 2
    assert await found(place, run) == before


async def test_what_was_only_in_doubt_is_no_mail_before_and_after_it_is_forgotten(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2), {"1": "lost in_doubt"})
    run = await night(place, clock, orders(1, 2))
    before = await found(place, run)
    assert before == {("2", None): 2}
    assert len((await prune_journal(place, 0.5 * DAY, clock)).runs) == 1
    assert await found(place, run) == before


async def test_an_order_of_the_same_number_at_another_ca_is_another_one(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2), parties={None: Endpoint(EU, "theirs")})
    run = await night(place, clock, orders(1))
    assert await found(place, run) == {}


async def test_an_order_is_the_same_whether_its_rows_name_its_account_or_not(
    place: Place, clock: Clock
) -> None:
    of_eu = [row(2, "1")._replace(account="eu"), *orders(2)]
    await night(place, clock, of_eu, parties=BOTH)
    await night(place, clock, orders(1), parties={None: Endpoint(EU, "theirs")})
    run = await night(place, clock, of_eu, parties=BOTH)
    assert list((await found(place, run)).items()) == [(("1", "eu"), 3), (("2", None), 2)]
    assert len((await prune_journal(place, 0.5 * DAY, clock)).runs) == 2
    assert await found(place, run) == {("1", "eu"): 3, ("2", None): 2}


async def test_two_orders_of_one_number_are_told_apart_where_a_run_asks_both_cas(
    place: Place, clock: Clock
) -> None:
    await night(place, clock, orders(1, 2))
    run = await night(place, clock, [row(2, "1")._replace(account="eu"), *orders(2)], parties=BOTH)
    assert await found(place, run) == {("2", None): 2}


async def test_mails_of_other_calls_are_other_mails(place: Place, clock: Clock) -> None:
    approval = row(2, "1", "a.example boss@a.example")._replace(call=Call.ORDER_APPROVAL)
    await night(place, clock, [approval])
    await night(place, clock, [approval])
    run = await night(place, clock, [*orders(1), approval._replace(line=3)])
    assert await found(place, run) == {}


async def test_two_languages_of_an_order_are_one_order_mailed_by_one_run(
    place: Place, clock: Clock
) -> None:
    both = [row(2, "1", locale="de"), row(3, "1", locale="en")]
    assert await found(place, await night(place, clock, both)) == {}
    assert await found(place, await night(place, clock, both)) == {("1", None): 2}


async def test_before_the_ca_was_asked_nothing_is_known_to_wait(place: Place, clock: Clock) -> None:
    await night(place, clock, orders(1))
    run = await night(place, clock, orders(1))
    async with opened(place, clock) as journal:
        sent = [number async for number, _ in journal.reader.mailed_requests(run)]
        await journal.note_checks(run, dict.fromkeys(sent, OrderCheck("issued")))
        assert await journal.reader.unapproved(run, 10) == (0, [])
        third = await plan(journal, orders(1), take_up_since=1e12)
        assert await journal.reader.unapproved(third, 10) == (0, [])


async def steps_of(place: Path, clock: Clock, count: int) -> int:
    """Return how many thousand steps SQLite takes where so many orders were mailed twice."""
    await night(place, clock, orders(*range(1, count + 1)))
    run = await night(place, clock, orders(*range(1, count + 1)))
    async with read_journal(place) as reader:

        async def find() -> None:
            assert (await reader.unapproved(run, 5))[0] == count

        return await counted_steps(reader, find)


async def test_the_work_of_finding_them_grows_with_their_number_not_its_square(
    tmp_path: Path, clock: Clock
) -> None:
    few = await steps_of(tmp_path / "few.db", clock, 200)
    many = await steps_of(tmp_path / "many.db", clock, 800)
    assert 0 < many < 6 * few, "four times as many"
