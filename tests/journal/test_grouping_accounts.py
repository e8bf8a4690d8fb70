"""Who is asked: of accounts that rows name, and of rows that their lists say to skip."""

from dataclasses import replace

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint
from batch_resend.model import Call, Row, RowStatus
from batch_resend.results import RowResult
from tests.journal.conftest import (
    BASE_URL,
    Clock,
    all_rows,
    opened,
    orders,
    pending,
    plan,
    row,
)

pytestmark = pytest.mark.asyncio

ONE_KEY_TWICE = {
    None: Endpoint(BASE_URL, "own"),
    "bank": Endpoint(BASE_URL, "bank's"),
    "shop": Endpoint(BASE_URL, "shop's"),
    "shop-2": Endpoint(BASE_URL, "shop's"),
}


def of_domain(line: int, account: str | None) -> Row:
    return replace(row(line, "c.example"), call=Call.DOMAIN_DCV, account=account)


async def planned(
    place: Place, rows: list[Row]
) -> tuple[list[tuple[str, str | None]], list[RowResult]]:
    """Return what is asked for, of which account, and what became of the rows."""
    async with opened(place, Clock()) as journal:
        run = await plan(journal, rows, parties=ONE_KEY_TWICE)
        left = await pending(journal.reader, run)
        asked = [(one.request.subject, one.request.account) for one in left]
        return asked, await all_rows(journal.reader, run)


async def test_a_domain_is_mailed_by_each_key_that_names_it_and_once_by_one_of_two_names(
    place: Place,
) -> None:
    named = [None, "shop-2", "bank", "shop"]
    asked, rows = await planned(place, [of_domain(n, name) for n, name in enumerate(named, 2)])
    assert asked == [("c.example", None), ("c.example", "bank"), ("c.example", "shop")]
    (rejected,) = [one for one in rows if one.status is RowStatus.REJECTED]
    assert rejected.line == 3
    assert rejected.reason == (
        "the domain c.example stands here for the account 'shop-2', and on line 5 of a.csv for "
        "the account 'shop', which goes by the same key: keep one of the two"
    )


async def test_an_order_is_one_accounts_whatever_stands_between(place: Place) -> None:
    rows = [replace(one, account=name) for name in ("shop", "bank", None) for one in orders(7)]
    asked, found = await planned(place, rows)
    assert asked == [("7", None)]
    assert [one.status for one in found].count(RowStatus.REJECTED) == 2


async def test_rows_of_an_account_that_nobody_described_are_rejected(place: Place) -> None:
    rows = [replace(orders(7)[0], account="nobody"), *orders(8)]
    asked, found = await planned(place, rows)
    assert asked == [("8", None)]
    assert found[0].status is RowStatus.REJECTED
    assert found[0].reason == "no profile describes the account 'nobody'"


async def test_what_a_list_says_to_skip_of_an_order_is_not_mailed_with_the_rest(
    place: Place,
) -> None:
    skipped = replace(row(2, "5", "a.example admin@a.example"), skip="validated by dns")
    both = [skipped, row(3, "5", "b.example admin@b.example")]
    async with opened(place, Clock()) as journal:
        run = await plan(journal, both)
        (left,) = await pending(journal.reader, run)
        assert [entry.domain for entry in left.request.entries] == ["b.example"]
        first, second = await all_rows(journal.reader, run)
        assert (first.status, second.status) == (RowStatus.DUPLICATE, RowStatus.ACCEPTED)
        assert first.reason == "asks for nothing, beside line 3 of a.csv: validated by dns"
