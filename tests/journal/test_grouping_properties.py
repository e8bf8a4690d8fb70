"""Whatever a list looks like: its order does not matter, and no row is lost."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.journal import Terms
from batch_resend.model import (
    Entry,
    PlannedRequest,
    RejectedRow,
    RequestStatus,
    Row,
    RowStatus,
    RunState,
)
from tests.journal.conftest import Clock, all_rows, assert_every_row_counted, opened, pending, plan

pytestmark = pytest.mark.asyncio

_DOMAINS = ("a.example", "b.example", "*.c.example")
_entries = st.builds(
    Entry,
    domain=st.sampled_from(_DOMAINS),
    email=st.sampled_from(
        ("admin@a.example", "ADMIN@a.example", "Boss@A.Example", "boss@a.example", "ü@b.example")
    ),
    email_domain=st.sampled_from((None, "example")),
)
_rows = st.tuples(
    st.integers(1, 99),
    st.sampled_from(("1", "2", "10", "01")),
    st.lists(_entries, max_size=3).map(tuple),
    st.sampled_from((None, "de", "en")),
    st.just("[]"),
).map(lambda values: Row(*values))
_rejected = st.builds(
    RejectedRow, line=st.integers(1, 99), reason=st.just("bad"), raw=st.just("[]")
)
_lists = st.lists(st.one_of(_rows, _rows, _rows, _rejected), min_size=1, max_size=12)


@settings(max_examples=25)
@given(rows=_lists, data=st.data())
async def test_rows_in_any_order_over_any_lists_ask_for_the_same(
    rows: list[Row | RejectedRow], data: st.DataObject
) -> None:
    """The same requests under the same numbers, and the same plan: one takes up the other."""
    shuffled = data.draw(st.permutations(rows))
    split = data.draw(st.integers(0, len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        async with opened(Path(folder) / "journal.db", clock) as journal:
            first = await plan(journal, rows)
            asked = named(await pending(journal.reader, first))
            await journal.start(first, Terms(()))
            await journal.finish(first, RunState.INTERRUPTED)
            clock.now += 1.0
            second = await plan(journal, shuffled[:split], shuffled[split:])
            assert (second.id == first.id) == bool(asked)
            assert named(await pending(journal.reader, second)) == asked


@settings(max_examples=25)
@given(rows=_lists, split=st.integers(0, 12))
async def test_every_row_read_is_accepted_a_duplicate_or_rejected(
    rows: list[Row | RejectedRow], split: int
) -> None:
    """And the requests ask for all that the accepted rows say, and for nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "journal.db", Clock()) as journal:
            run = await plan(journal, rows[:split], rows[split:])
            requests = await pending(journal.reader, run)
            found = await all_rows(journal.reader, run)
            counts = await journal.reader.count_rows(run)
            tally = await journal.reader.tally(run)

    assert_every_row_counted(counts, len(rows))
    assert len(found) == len(rows)
    assert sum(tally.orders.values()) == tally.planned == len(requests)
    assert tally.orders[RequestStatus.NOT_ATTEMPTED] == len(requests)
    accepted = [r for r in found if r.status is RowStatus.ACCEPTED]
    asked_by_rows = {
        (r.order_id, r.locale): {
            key for x in accepted if (x.order_id, x.locale) == (r.order_id, r.locale)
            for key in keys(x.entries)
        }
        for r in accepted
    }  # fmt: skip
    asked = {(p.request.subject, p.request.locale): p.request.entries for p in requests}
    assert {which: keys(entries) for which, entries in asked.items()} == asked_by_rows
    assert all(len(keys(entries)) == len(entries) for entries in asked.values())
    for duplicate in (r for r in found if r.status is RowStatus.DUPLICATE):
        assert keys(duplicate.entries) <= asked_by_rows[(duplicate.order_id, duplicate.locale)]
    assert_only_ambiguous_rows_are_rejected(rows, [r.status for r in found])


def assert_only_ambiguous_rows_are_rejected(
    rows: Sequence[Row | RejectedRow], made: Sequence[RowStatus]
) -> None:
    """Check that planning rejects order-only rows of orders with domains, and no other row."""
    with_domains = {r.order_id for r in rows if isinstance(r, Row) and r.entries}
    for given_row, status in zip(rows, made, strict=True):
        ambiguous = isinstance(given_row, RejectedRow) or (
            not given_row.entries and given_row.order_id in with_domains
        )
        assert (status is RowStatus.REJECTED) == ambiguous


def keys(entries: Sequence[Entry]) -> set[tuple[str, str, str]]:
    """Return what entries ask for: spelt differently, it is still one mail."""
    return {entry.key for entry in entries}


def named(requests: Sequence[PlannedRequest]) -> set[tuple[int, bytes]]:
    """Return requests by number and digest."""
    return {(planned.number, planned.digest) for planned in requests}
