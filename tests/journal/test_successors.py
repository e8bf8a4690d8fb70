"""Which run has sent what another one had left, and what of it was left out then."""

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Terms
from batch_resend.model import RunState
from tests.journal.conftest import WINDOWS, Clock, opened, orders, plan, row, send
from tests.journal.test_settle import ended_run

pytestmark = pytest.mark.asyncio

OTHER_CA = "https://other.example/services/v2"


@pytest.mark.parametrize(
    ("name", "numbers", "left_out"),
    [
        ("reports/{}/unsent.csv", (3, 4, 5), 1),
        ("reports/{}/unsent.csv", (3, 4, 5, 99), 1),  # somebody has added one
        ("by-day/2026-11-30/unsent-{}-2.csv", (3, 4), 2),
        ("unsent.csv", (3, 4, 5, 6), 0),
        ("C:/Desk/Unsent (2).CSV", (6,), 3),
        ("unsent.csv", (3, 99), None),  # by its orders, it is another run's
        ("unsent.csv", (99,), None),
        ("reports/20250101-000000-abcd/unsent.csv", (3, 4, 5), None),
        ("reports/{}/unsent.csv", (99,), None),
        ("reports/{}/refused.csv", (3,), None),
        ("unsentimental.csv", (3,), None),
        ("unsent/part.csv", (3,), None),
        ("b.csv", (2, 3, 4, 5, 99), 1),  # its own list, edited
        ("a.csv", (99,), None),  # of other orders
        ("lists/a.csv", (3, 4, 5), None),
        ("standard input", (3, 4, 5), None),
    ],
)
async def test_a_run_is_followed_by_the_one_that_sends_its_list_or_unsent_csv_by_name_and_orders(
    place: Place, clock: Clock, name: str, numbers: tuple[int, ...], left_out: int | None
) -> None:
    async with opened(place, clock) as journal:
        lists = (("standard input", orders(1)), ("a.csv", orders(2, 3)), ("b.csv", orders(4, 5, 6)))
        run = await plan(journal, *(rows for _, rows in lists), names=[name for name, _ in lists])
        await send(journal, clock, run, {"1": "204", "2": "204"})
        await journal.finish(run, RunState.INTERRUPTED)
        assert (await journal.reader.rest(run)).successor is None
        path = name.format(run.id)
        later = await plan(
            journal, orders(1, 99), orders(*numbers), names=("own.csv", path), take_up_since=1e12
        )
        assert (await journal.reader.rest(run)).successor is None, "it is only planned"
        await journal.start(later, Terms(WINDOWS))
        rest = await journal.reader.rest(run)
        assert rest.successor == (None if left_out is None else (later.id, path))
        assert rest.left_out == (left_out or 0)
        assert rest.left == {None: 4}, "nothing was sent"


async def test_a_run_that_begins_once_more_follows_its_successor(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3))
        for _ in range(2):
            await send(journal, clock, run, {"1": "204"})
            await journal.finish(run, RunState.INTERRUPTED)
            assert (await journal.reader.rest(run)).successor is None
            names = ("unsent.csv",)
            later = await plan(journal, orders(2), names=names, take_up_since=1e12)
            await journal.start(later, Terms(WINDOWS))
            await journal.finish(later, RunState.INTERRUPTED)
            assert (await journal.reader.rest(run)).successor == (later.id, "unsent.csv")


async def test_what_is_asked_for_otherwise_is_left_out_and_what_was_sent_is_not(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, [*orders(1), row(3, "2", "a.example x@a.example"), *orders(3)])
        await journal.start(run, Terms(WINDOWS, {"cooldown_s": 3_600.0}))
        await journal.finish(run, RunState.INTERRUPTED)
        run = await journal.reader.run(run.id)
        rows = [*orders(1), row(3, "2", "a.example y@a.example")]
        later = await plan(journal, rows, names=("unsent.csv",), take_up_since=1e12)
        await send(journal, clock, later, {"1": "204", "2": "204"})
        await journal.finish(later, RunState.COMPLETED)
        rest = await journal.reader.rest(run)
        assert (rest.left, rest.left_out) == ({None: 2}, 2)
        await ended_run(journal, clock, {"3": "204"})
        rest = await journal.reader.rest(run)
        assert (rest.left, rest.left_out) == ({None: 1}, 1)


async def test_a_list_that_was_sent_to_another_ca_follows_no_run(
    place: Place, clock: Clock
) -> None:
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2))
        await journal.start(run, Terms(WINDOWS))
        await journal.finish(run, RunState.INTERRUPTED)
        names = (f"reports/{run.id}/unsent.csv",)
        await journal.start(
            await plan(journal, orders(1), names=names, base_url=OTHER_CA), Terms(WINDOWS)
        )
        assert (await journal.reader.rest(run)).successor is None


async def test_who_looks_at_rehearsed_days_before_them_sees_what_became_of_a_run_all_the_same(
    place: Place, clock: Clock
) -> None:
    """What was acknowledged a day before the run says nothing of it, whatever the time is now."""
    async with opened(place, clock) as journal:
        earlier = await plan(journal, orders(1, 2))
        await send(journal, clock, earlier, {"1": "204", "2": "204"})
        await journal.finish(earlier, RunState.COMPLETED)
        clock.now += 86_400.0
        run = await plan(journal, orders(1, 2, 3))
        await journal.start(run, Terms(WINDOWS, {"cooldown_s": 72_000.0}))
        await journal.finish(run, RunState.INTERRUPTED)
        run = await journal.reader.run(run.id)
        for back_s in (0.0, 10 * 86_400.0):
            clock.now -= back_s
            rest = await journal.reader.rest(run)
            assert rest.left == {None: 3}
