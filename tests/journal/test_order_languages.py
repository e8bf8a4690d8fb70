"""Rows of an order without a language go along with those that name one: nobody is mailed twice."""

import pytest

from batch_resend.folders import Place
from batch_resend.model import Row, RowStatus
from tests.journal.conftest import Clock, all_rows, opened, pending, plan, row

pytestmark = pytest.mark.asyncio

A, B, C = (f"{name}.example admin@{name}.example" for name in "abc")
AT_A, AT_B = "a.example", "b.example"
DONE = "its status is issued"


def skipped(one: Row) -> Row:
    """Return a row that is not to be sent."""
    return one._replace(skip=DONE)


ACCEPTED, DUPLICATE = RowStatus.ACCEPTED, RowStatus.DUPLICATE
# The requests as planned: what its rows say to skip is settled later.
ORDERS: dict[str, tuple[list[Row], dict[str | None, list[str]], list[RowStatus]]] = {
    "the same address": (
        [row(2, "7", A, locale="en"), row(3, "7", A)],
        {"en": [AT_A]}, [ACCEPTED, DUPLICATE],
    ),
    "the same, with the language below": (
        [row(2, "7", A), row(3, "7", A, locale="en")],
        {"en": [AT_A]}, [DUPLICATE, ACCEPTED],
    ),
    "another address": (
        [row(2, "7", B), row(3, "7", A, locale="en")],
        {"en": [AT_A, AT_B]}, [ACCEPTED, ACCEPTED],
    ),
    "no address at all": (
        [row(2, "7", locale="en"), row(3, "7")], {"en": []}, [ACCEPTED, DUPLICATE],
    ),
    "several languages, and what one of them has": (
        [row(2, "7", A), row(3, "7", A, locale="en"), row(4, "7", B, locale="de")],
        {"en": [AT_A], "de": [AT_B]}, [DUPLICATE, ACCEPTED, ACCEPTED],
    ),
    "several languages, and what they have together": (
        [row(2, "7", A, B), row(3, "7", A, locale="en"), row(4, "7", B, locale="de")],
        {"en": [AT_A], "de": [AT_B]}, [DUPLICATE, ACCEPTED, ACCEPTED],
    ),
    "several languages, and what none of them has": (
        [row(2, "7", C), row(3, "7", A, locale="en"), row(4, "7", B, locale="de")],
        {"en": [AT_A], "de": [AT_B], None: ["c.example"]}, [ACCEPTED] * 3,
    ),
    "several languages, and no address at all": (
        [row(2, "7"), row(3, "7", locale="en"), row(4, "7", locale="de")],
        {"en": [], "de": []}, [DUPLICATE, ACCEPTED, ACCEPTED],
    ),
    "a language of a row that is not sent": (
        [row(2, "7", A), skipped(row(3, "7", B, locale="en"))],
        {None: [AT_A], "en": [AT_B]}, [ACCEPTED, ACCEPTED],
    ),
    "several, of which one is not sent": (
        [row(2, "7", A), row(3, "7", B, locale="de"), skipped(row(4, "7", A, locale="en"))],
        {"de": [AT_A, AT_B], "en": [AT_A]}, [ACCEPTED] * 3,
    ),
    "a language of a row that is rejected": (
        [row(2, "7", A), row(3, "7", locale="en")],
        {None: [AT_A]}, [ACCEPTED, RowStatus.REJECTED],
    ),
    "another order": (
        [row(2, "7", A), row(3, "8", A, locale="en")],
        {None: [AT_A], "en": [AT_A]}, [ACCEPTED, ACCEPTED],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "requests", "statuses"), ORDERS.values(), ids=ORDERS)
async def test_a_row_without_a_language_goes_along_with_the_rows_of_its_order_that_name_one(
    place: Place,
    rows: list[Row],
    requests: dict[str | None, list[str]],
    statuses: list[RowStatus],
) -> None:
    async with opened(place, Clock()) as journal:
        run = await plan(journal, rows)
        planned = [one.request for one in await pending(journal.reader, run)]
        found = await all_rows(journal.reader, run)
    asked = {one.locale: [entry.domain for entry in one.entries] for one in planned}
    assert len(planned) == len(asked)
    assert asked == requests
    assert [one.status for one in found] == statuses
