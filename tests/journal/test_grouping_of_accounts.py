"""Where rows name accounts: whose an order or a domain is, and by which key it goes."""

import pytest

from batch_resend.folders import Place
from batch_resend.journal import Endpoint
from batch_resend.model import (
    Call,
    Problem,
    RejectedRow,
    Row,
    RowStatus,
)
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
from tests.journal.test_grouping import NAMED

pytestmark = pytest.mark.asyncio

ONE_KEY_TWICE = {
    None: Endpoint(BASE_URL, "own"),
    "bank": Endpoint(BASE_URL, "bank's"),
    "shop": Endpoint(BASE_URL, "shop's"),
    "shop-2": Endpoint(BASE_URL, "shop's"),
}


def of_domain(line: int, account: str | None) -> Row:
    return row(line, "c.example")._replace(call=Call.DOMAIN_DCV, account=account)


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
        "the domain c.example is here for the account 'shop-2', and on line 5 of a.csv for "
        "the account 'shop', which goes by the same key: keep one of the two"
    )


@pytest.mark.parametrize("call", [Call.DOMAIN_DCV, Call.DV_RESEND])
async def test_of_a_row_whose_account_is_not_known_no_key_and_no_account_is_told(
    place: Place, call: Call
) -> None:
    unknown = RejectedRow(2, Problem.ACCOUNT, "no such profile", "[]", "7", call, entries=NAMED)
    own = row(3, "7")._replace(call=call, account="own's other name")
    parties = {None: ONE_KEY_TWICE[None], own.account: ONE_KEY_TWICE[None]}
    async with opened(place, Clock()) as journal:
        run = await plan(journal, [unknown, own], parties=parties)
        reasons = [one.reason for one in await all_rows(journal.reader, run)]
    what = "the domain" if call is Call.DOMAIN_DCV else "order"
    assert reasons[1] == (
        f'{what} 7 is here for the account "own\'s other name", and on line 2 of a.csv for no '
        "known account: keep one of the two"
    )


async def test_an_order_is_one_accounts_whatever_stands_between(place: Place) -> None:
    rows = [one._replace(account=name) for name in ("shop", "bank", None) for one in orders(7)]
    asked, found = await planned(place, rows)
    assert asked == [("7", None)]
    assert [one.status for one in found].count(RowStatus.REJECTED) == 2


async def test_rows_of_an_account_that_nobody_described_are_rejected(place: Place) -> None:
    rows = [orders(7)[0]._replace(account="nobody"), *orders(8)]
    asked, found = await planned(place, rows)
    assert asked == [("8", None)]
    assert found[0].status is RowStatus.REJECTED
    assert found[0].reason == "no profile describes the account 'nobody'"
