"""One order, one request a locale: all its rows travel together, wherever they stand."""

from dataclasses import replace
from pathlib import Path

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint, Journal
from batch_resend.model import (
    Entry,
    Note,
    PlannedRequest,
    Problem,
    RejectedRow,
    Request,
    Row,
    RowStatus,
    Run,
    SkipReason,
)
from batch_resend.results import RowResult
from tests.journal.conftest import (
    BASE_URL,
    FORM,
    Clock,
    Rows,
    all_rows,
    entries,
    opened,
    orders,
    pending,
    pending_ids,
    plan,
    row,
)

pytestmark = pytest.mark.asyncio


async def grouped(
    place: Place, *inputs: Rows
) -> tuple[list[PlannedRequest], list[RowResult], dict[RowStatus, int]]:
    """Return the requests, the rows and the row counts of a plan."""
    async with opened(place, Clock()) as journal:
        run = await plan(journal, *inputs)
        found = await pending(journal.reader, run), await all_rows(journal.reader, run)
        return *found, await journal.reader.count_rows(run)


async def test_all_rows_of_an_order_are_one_request_wherever_they_stand(place: Place) -> None:
    requests, found, _ = await grouped(
        place,
        [
            row(2, "7", "b.example admin@b.example"),
            row(3, "5", "x.example admin@x.example"),
            row(4, "7", "a.example admin@a.example"),
        ],
        [row(2, "7", "c.example admin@c.example")],
    )
    assert [(p.request.subject, len(p.request.entries)) for p in requests] == [("7", 3), ("5", 1)]
    assert {r.result.number for r in found if r.order_id == "7" and r.result} == {2}


async def test_an_order_in_two_languages_is_two_requests(place: Place) -> None:
    requests, _, counts = await grouped(
        place,
        [
            row(2, "7", "a.example admin@a.example", locale="de"),
            row(3, "7", "b.example admin@b.example", locale="en"),
            row(4, "7", "c.example admin@c.example", locale="de"),
            row(5, "7", "d.example admin@d.example"),
        ],
    )
    assert {p.request.locale: [e.domain for e in p.request.entries] for p in requests} == {
        "de": ["a.example", "c.example"],
        "en": ["b.example"],
        None: ["d.example"],
    }
    assert counts[RowStatus.ACCEPTED] == 4


async def test_a_request_has_its_entries_sorted_and_each_once(place: Place) -> None:
    (request,), _, _ = await grouped(
        place,
        [
            row(2, "7", "b.example x@b.example", "a.example y@a.example"),
            row(3, "7", "a.example y@a.example", "a.example x@a.example"),
            row(4, "7", "a.example y@a.example up.example", "b.example x@b.example"),
        ],
    )
    assert request.request == Request(
        "7",
        None,
        (
            Entry("a.example", "x@a.example"),
            Entry("a.example", "y@a.example"),
            Entry("a.example", "y@a.example", "up.example"),
            Entry("b.example", "x@b.example"),
        ),
    )


async def test_a_request_is_named_by_what_it_asks_for_alone(place: Place) -> None:
    (request,), _, _ = await grouped(place, [row(9, "7", "a.example x@a.example", locale="de")])
    order = Request("7", "de", entries("a.example x@a.example"))
    assert request.request == order
    assert request.digest == order.digest(BASE_URL)


async def test_requests_stand_where_their_first_row_stands(place: Place) -> None:
    requests, _, _ = await grouped(place, orders(30, 9, 30, 200), orders(9, 1))
    assert [(p.request.subject, p.position) for p in requests] == [
        ("30", 1),
        ("9", 2),
        ("200", 4),
        ("1", 6),
    ]


async def test_requests_are_numbered_in_canonical_order_whatever_the_list_order(
    path: Path, tmp_path: Path
) -> None:
    first, _, _ = await grouped(path, orders(30, 9, 200))
    second, _, _ = await grouped(tmp_path / "other.db", orders(200, 200, 30), orders(9))
    assert {p.request.subject: p.number for p in first} == {
        p.request.subject: p.number for p in second
    }
    assert sorted(p.number for p in first) == [1, 2, 3]


async def test_many_requests_are_pending_in_list_order_over_all_pages(place: Place) -> None:
    numbers = [(k * 7919) % 2503 for k in range(2503)]  # a permutation, longer than two pages
    requests, _, _ = await grouped(place, orders(*numbers))
    assert [int(p.request.subject) for p in requests] == numbers
    assert [p.position for p in requests] == list(range(1, 2504))


async def test_a_row_that_adds_nothing_is_a_duplicate_and_names_where_its_order_stands(
    place: Place,
) -> None:
    _, found, counts = await grouped(
        place,
        [
            row(2, "7", "a.example x@a.example"),
            row(3, "7", "b.example x@b.example", "a.example x@a.example"),
        ],
        [
            row(5, "7", "a.example x@a.example", "b.example x@b.example"),
            row(6, "8"),
            row(7, "8"),
        ],
    )
    assert [r.status.value for r in found] == [
        "accepted", "accepted", "duplicate", "accepted", "duplicate",
    ]  # fmt: skip
    assert "line 2 of a.csv" in (found[2].reason or "")
    assert "line 6 of b.csv" in (found[4].reason or "")
    assert found[2].result is not None and found[0].result is not None
    assert found[2].result.number == found[0].result.number
    assert counts == dict.fromkeys(RowStatus, 0) | {RowStatus.ACCEPTED: 3, RowStatus.DUPLICATE: 2}


@pytest.mark.parametrize("order_only_first", [True, False])
@pytest.mark.parametrize("locale", [None, "de", "fr"])
async def test_an_order_only_row_beside_rows_with_domains_is_rejected_naming_one_of_them(
    place: Place, order_only_first: bool, locale: str | None
) -> None:
    named = row(10, "7", "a.example x@a.example", locale="de")
    bare = row(20, "7", locale=locale)
    requests, found, counts = await grouped(
        place, [bare, named] if order_only_first else [named, bare], orders(8)
    )
    (rejected,) = (r for r in found if r.status is RowStatus.REJECTED)
    assert (rejected.line, rejected.order_id, rejected.result) == (20, "7", None)
    assert "line 10 of a.csv" in (rejected.reason or "")
    assert {p.request.subject: p.request.entries for p in requests} == {
        "7": named.entries,
        "8": (),
    }
    assert counts == dict.fromkeys(RowStatus, 0) | {RowStatus.ACCEPTED: 2, RowStatus.REJECTED: 1}


async def test_an_order_only_row_in_another_list_is_rejected_naming_the_first_list(
    place: Place,
) -> None:
    _, found, _ = await grouped(place, [row(4, "7", "a.example x@a.example")], orders(7))
    assert "line 4 of a.csv" in (found[1].reason or "")
    assert found[1].status is RowStatus.REJECTED


async def test_rows_rejected_on_reading_keep_their_reason_and_their_text(place: Place) -> None:
    bad = RejectedRow(
        3, Problem.ORDER_ID, "the order number is 'x': digits are expected", '["x","ü, \\"q\\""]'
    )
    requests, found, counts = await grouped(place, [*orders(7), bad])
    assert (found[1].status, found[1].reason, found[1].raw) == (
        RowStatus.REJECTED, bad.reason, bad.raw,
    )  # fmt: skip
    assert (found[1].order_id, found[1].entries, found[1].result) == (None, (), None)
    assert len(requests) == 1
    assert sum(counts.values()) == 2


async def test_every_row_keeps_its_input_line_text_and_what_it_said(place: Place) -> None:
    first = [row(2, "7", "a.example x@a.example up.example", locale="zh_CN"), row(9, "1")]
    second = [row(2, "7", "ü.example 'x'@a.example")]
    _, found, _ = await grouped(place, first, second)
    told = [(r.input_ordinal, r.line, r.order_id, r.locale, r.entries, r.raw) for r in found]
    assert told == [
        (ordinal, r.line, r.order_id, r.locale, r.entries, r.raw)
        for ordinal, rows in enumerate((first, second))
        for r in rows
    ]


async def test_a_list_of_nothing_but_rejected_rows_plans_no_request(place: Place) -> None:
    requests, found, counts = await grouped(place, [RejectedRow(2, Problem.FORM, "bad", "[]")])
    assert requests == []
    assert len(found) == counts[RowStatus.REJECTED] == 1


async def test_rows_added_in_several_batches_are_one_list(journal: Journal) -> None:
    run, staging = await journal.new_run(BASE_URL, ())
    for batch in (orders(3, 1), [], [row(9, "3", locale="de")], orders(3)):
        await staging.add_rows(batch)
    assert staging.rows_read == 4
    await staging.end_input("a.csv", None, FORM, "")
    await staging.group({None: Endpoint(BASE_URL)})
    planned = await pending(journal.reader, run)
    assert [(one.request.subject, one.request.locale) for one in planned] == [
        ("3", "de"), ("1", None),
    ]  # fmt: skip
    assert [r.status.value for r in await all_rows(journal.reader, run)][-1] == "duplicate"


async def test_the_same_request_of_another_ca_is_another_request(
    place: Place, clock: Clock
) -> None:
    async def digest(journal: Journal, base_url: str) -> bytes:
        run: Run = await plan(journal, orders(1), base_url=base_url)
        return (await pending(journal.reader, run))[0].digest

    async with opened(place, clock) as journal:
        assert await digest(journal, BASE_URL) != await digest(journal, "https://other.example")


NAMED = (Entry("a.example", "admin@a.example"),)


@pytest.mark.parametrize("bad_first", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(RejectedRow(2, Problem.EMAIL, "no @", "[]", "7"), id="a bad address"),
        pytest.param(
            RejectedRow(2, Problem.LOCALE, "no @", "[]", "7", entries=NAMED), id="a bad locale"
        ),
    ],
)
async def test_an_order_only_row_does_not_stand_in_for_a_row_that_names_domains_and_is_rejected(
    place: Place, clock: Clock, bad: RejectedRow, bad_first: bool
) -> None:
    """A typing error would else have the CA mail all domains of the order."""
    alone = row(3, "7")
    other = row(4, "7", "a.example admin@a.example", locale="de")
    async with opened(place, clock) as journal:
        rows: list[Row | RejectedRow] = [bad, alone] if bad_first else [alone, bad]
        run = await plan(journal, [*rows, row(5, "8")])
        assert await pending_ids(journal.reader, run) == ["8"]
        found = {r.line: r for r in await all_rows(journal.reader, run)}
        assert (found[2].status, found[3].status) == (RowStatus.REJECTED, RowStatus.REJECTED)
        assert found[2].reason == "no @"
        assert "order 7 is here without domains" in (found[3].reason or "")
        assert "line 2 of a.csv" in (found[3].reason or "")
        again = await plan(journal, [*rows, other], take_up_since=1e12)
        assert await pending_ids(journal.reader, again) == ["7"], "good rows of it still go"


async def test_an_order_only_row_beside_one_that_is_rejected_for_something_else_is_sent(
    journal: Journal,
) -> None:
    bad = RejectedRow(2, Problem.LOCALE, "no locale", "[]", "7")
    run = await plan(journal, [bad, row(3, "7")])
    assert await pending_ids(journal.reader, run) == ["7"]


async def test_rows_that_name_nobody_are_rejected_where_others_do_and_no_word_asks_for_all(
    journal: Journal,
) -> None:
    """Where a list has no heading to say so, it is known when it has been read."""
    run, staging = await journal.new_run(BASE_URL, ())
    asks_for_all = row(4, "3")._replace(notes=(Note.ALL_DOMAINS,))
    form = replace(FORM, with_addresses=True)
    for name, of in (("a.jsonl", FORM), ("b.jsonl", form)):
        await staging.add_rows([row(2, "1", "a.example admin@a.example"), *orders(2)])
        await staging.add_rows([asks_for_all])
        await staging.end_input(name, None, of, "names nobody")
    await staging.group({None: Endpoint(BASE_URL)})
    found = [found async for found in journal.reader.rejected_rows(run)]
    assert [(one.input_ordinal, one.order_id, one.reason) for one in found] == [
        (1, "2", "names nobody")
    ]


async def test_orders_skipped_for_a_word_that_may_not_be_the_cas_are_counted_apart(
    journal: Journal,
) -> None:
    for_a_word = row(3, "2")._replace(skip="status: odd", notes=(Note.UNKNOWN_STATUS,))
    odd = [for_a_word, row(4, "3")._replace(notes=(Note.UNKNOWN_LOCALE,))]
    run = await plan(journal, [row(2, "1")._replace(skip="status: issued"), *odd])
    await journal.settle(run, 0, hold_doubts=False)
    reader = journal.reader
    assert (await reader.count_skipped(run))[SkipReason.LIST] == 2
    assert await reader.count_unsure(run) == 1


async def test_what_a_list_says_to_skip_of_an_order_is_not_mailed_with_the_rest(
    place: Place,
) -> None:
    skipped = row(2, "5", "a.example admin@a.example")._replace(skip="validated by dns")
    both = [skipped, row(3, "5", "b.example admin@b.example")]
    async with opened(place, Clock()) as journal:
        run = await plan(journal, both)
        (left,) = await pending(journal.reader, run)
        assert [entry.domain for entry in left.request.entries] == ["b.example"]
        first, second = await all_rows(journal.reader, run)
        assert (first.status, second.status) == (RowStatus.SKIPPED, RowStatus.ACCEPTED)
        assert first.reason == "validated by dns"
