"""Reading the CA's list of orders: the documented call, and pages of a list that never rests."""

import asyncio
import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.certcentral.orders import (
    MOST_FRUITLESS,
    Page,
    every_order,
    info_path,
    list_path,
    read_info,
    read_page,
)
from batch_resend.errors import CallError
from batch_resend.listed import ListedOrder
from tests.certcentral.answers import reply

# The example of the page "List orders", cut to what is read here and one thing that is not.
EXAMPLE = {
    "orders": [
        {
            "id": 100200301,
            "certificate": {
                "common_name": "shop.example.com",
                "dns_names": ["shop.example.com", "www.example.com"],
                "valid_till": None,
            },
            "status": "pending",
            "date_created": "2026-11-20T10:00:00+00:00",
            "container": {"id": 5, "name": "Web"},
            "product": {
                "name_id": "ssl_dv_geotrust_flex",
                "name": "GeoTrust DV",
                "type": "dv_ssl_certificate",
            },
        }
    ],
    "page": {"total": 1, "limit": 1000, "offset": 0},
}


def test_the_call_is_the_documented_one_its_filters_quoted() -> None:
    assert list_path([("status", "pending"), ("search", "a&b c")], 950, 1000) == (
        "/order/certificate?filters%5Bstatus%5D=pending&filters%5Bsearch%5D=a%26b%20c"
        "&sort=order_id&limit=1000&offset=950"
    )


def test_a_page_is_read_as_the_documentation_has_it() -> None:
    (order,) = read_page(reply(200, json.dumps(EXAMPLE).encode())).orders
    assert order == ListedOrder(
        order_id="100200301",
        status="pending",
        product="ssl_dv_geotrust_flex",
        product_type="dv_ssl_certificate",
        created_at=1_795_168_800.0,
        container="Web",
        dcv_method=None,
        domains=("shop.example.com", "www.example.com"),
    )


def test_what_a_page_leaves_out_is_not_known_and_what_it_adds_is_left_aside() -> None:
    (order,) = read_page(reply(200, b'{"orders": [{"id": "7", "new": {}}], "more": 1}')).orders
    assert order == ListedOrder("7")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"<html>",
        b'{"orders": 1}',
        b'{"orders": {"a": 1}}',
        b'{"status": "ok"}',
        b"null",
    ],
)
def test_what_is_no_page_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(CallError, match="the CA's list of orders cannot be read: "):
        read_page(reply(200, body))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b"{}", id="an object without anything"),
        pytest.param(200, b" {\n}\n", id="with blanks in it"),
        pytest.param(200, b'{"page": {}}', id="a page that says nothing"),
        pytest.param(204, b"", id="204"),
        pytest.param(200, b'{"orders": []}', id="no orders"),
        pytest.param(200, b'{"orders": {}}', id="an object in the place of no orders"),
        pytest.param(200, b"[]", id="a list of nothing"),
        pytest.param(200, b'{"orders": null, "page": {"total": 0}}', id="null"),
        pytest.param(200, b'{"page": {"total": 0, "limit": 1000, "offset": 0}}', id="a page alone"),
    ],
)
def test_an_empty_list_is_one_in_whichever_form_it_comes(status: int, body: bytes) -> None:
    page = read_page(reply(status, body))
    assert (list(page.orders), dict(page.unusable)) == ([], {})


ODD: list[tuple[str, dict[str, object], ListedOrder]] = [
    ("an empty date", {"date_created": ""}, ListedOrder("7")),
    ("a zero date", {"date_created": "0000-00-00 00:00:00"}, ListedOrder("7")),
    ("a date of no form", {"date_created": "soon"}, ListedOrder("7")),
    ("a date that is an object", {"date_created": {"date": "2026-11-20"}}, ListedOrder("7")),
    ("a date without a zone, which is UTC", {"date_created": "2026-11-20 10:00:00"},
     ListedOrder("7", created_at=1_795_168_800.0)),
    ("a date with a Z", {"date_created": "2026-11-20T10:00:00Z"},
     ListedOrder("7", created_at=1_795_168_800.0)),
    ("a date of another zone", {"date_created": "2026-11-20T12:00:00+02:00"},
     ListedOrder("7", created_at=1_795_168_800.0)),
    ("a date before all", {"date_created": "0001-01-01T00:00:00+14:00"}, ListedOrder("7")),
    ("a date after all", {"date_created": "9999-12-31T23:59:59-14:00"}, ListedOrder("7")),
    ("null among the names", {"certificate": {"dns_names": [None, "a.example"]}},
     ListedOrder("7", domains=("a.example",))),
    ("a blank for a name (change log of May 2022)", {"certificate": {"dns_names": [" "]}},
     ListedOrder("7")),
    ("one name in the place of a list", {"certificate": {"dns_names": "a.example"}},
     ListedOrder("7", domains=("a.example",))),
    ("no list of names", {"certificate": {"common_name": "a.example", "dns_names": None}},
     ListedOrder("7", domains=("a.example",))),
    ("a number for a name", {"certificate": {"common_name": 7, "dns_names": [8]}},
     ListedOrder("7")),
    ("[] for the certificate", {"certificate": []}, ListedOrder("7")),
    ("[] for the container", {"container": [], "product": []}, ListedOrder("7")),
    ("null for the product", {"product": None, "product_name_id": "ssl_dv"},
     ListedOrder("7", product="ssl_dv")),
    ("a number for the status", {"status": 3}, ListedOrder("7")),
    ("a list for the status", {"status": ["pending"]}, ListedOrder("7")),
    ("an organization that is none (recorded)", {"organization": []}, ListedOrder("7")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "expected"), [pytest.param(item, order, id=name) for name, item, order in ODD]
)
def test_what_cannot_be_read_of_an_order_is_not_known_and_spoils_no_other(
    item: dict[str, object], expected: ListedOrder
) -> None:
    page = read_page(reply(200, json.dumps({"orders": [{"id": 7} | item, {"id": 8}]}).encode()))
    assert list(page.orders) == [expected, ListedOrder("8")]
    assert page.unusable == {}
    assert read_info(reply(200, json.dumps(item).encode()), "7") == expected


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"id": "A-17"}, '"A-17"'),
        ({"id": None, "status": "pending"}, '{"id":null,"status":"pending"}'),
        ({"id": ""}, '{"id":""}'),
        ({"id": 1.5}, "1.5"),
        ({"id": -4}, "-4"),
        ({"id": True}, "true"),
        ({"id": "9" * 30}, f'"{"9" * 30}"'),
        ({"status": "pending"}, '{"status":"pending"}'),
        (None, "null"),
        ("100200301", '"100200301"'),
        ({"id": "x" * 200}, f'"{"x" * 76}...'),
    ],
)
def test_an_item_without_an_order_number_is_named_and_the_others_go(
    item: object, shown: str
) -> None:
    page = read_page(reply(200, json.dumps({"orders": [item, {"id": 8}]}).encode()))
    assert list(page.orders) == [ListedOrder("8")]
    assert list(page.unusable.values()) == [shown]


def test_an_order_is_read_as_order_info_has_it() -> None:
    info = EXAMPLE["orders"][0] | {"dcv_method": "email"}  # type: ignore[index]
    order = read_info(reply(200, json.dumps(info).encode()), "100200301")
    assert (order.order_id, order.dcv_method) == ("100200301", "email")
    assert info_path("100 200") == "/order/certificate/100%20200"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'{"id": 100200302}'])
def test_what_is_no_answer_about_an_order_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(CallError, match="order 100200301"):
        read_info(reply(200, body), "100200301")


# --- pages of a list that changes ---------------------------------------------------------------


def listed(
    orders: list[int],
    page_size: int,
    changes: Callable[[list[int]], None] = lambda _: None,
    most: int = 10**6,
) -> list[int]:
    """Return what is read of a list that changes before every page but the first.

    `most`: of which the CA gives no more at once, whatever it is asked for.
    """
    asked: list[int] = []

    async def fetch(offset: int, limit: int) -> Page:
        if asked:
            changes(orders)
        asked.append(offset)
        slice_ = orders[offset : offset + min(limit, most)]
        return Page([ListedOrder(str(number)) for number in slice_], len(orders))

    async def read() -> list[int]:
        return [int(order.order_id) async for order in every_order(fetch, page_size)]

    return asyncio.run(read())


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 12, 100])
def test_a_list_that_rests_is_read_whole_in_its_order(count: int) -> None:
    assert listed(list(range(count)), 6) == list(range(count))


@pytest.mark.parametrize("most", [2, 3, 5, 99])
def test_a_ca_that_gives_fewer_than_it_is_asked_for_is_asked_until_it_has_told_all(
    most: int,
) -> None:
    assert listed(list(range(40)), 10, most=most) == list(range(40))


_CHANGES = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=8), max_size=40
)


@settings(max_examples=300)
@given(st.integers(0, 120), st.integers(2, 12), _CHANGES, st.booleans())
def test_of_a_list_that_changes_none_that_stays_is_missed_and_none_is_told_twice(
    count: int, page_size: int, changes: list[list[tuple[bool, int]]], newest_first: bool
) -> None:
    sign = -1 if newest_first else 1
    orders = sorted((number * 1000 for number in range(1, count + 1)), key=lambda n: sign * n)
    stay = set(orders)
    script = iter(changes)

    def change(now: list[int]) -> None:
        for leaves, chance in next(script, ()):
            if leaves and now:
                stay.discard(now.pop(chance % len(now)))
            elif (number := chance + 1) not in now:
                now.append(number)
                now.sort(key=lambda n: sign * n)

    told = listed(orders, page_size, change)
    assert len(told) == len(set(told))
    assert stay <= set(told)


def test_when_all_that_was_seen_has_left_the_page_before_is_read_again() -> None:
    orders = list(range(100))
    left = iter([20])

    def change(now: list[int]) -> None:
        del now[: next(left, 0)]

    assert listed(orders, 10, change) == [*range(10), *range(20, 100)]


def test_a_ca_that_gives_the_same_page_for_ever_is_left() -> None:
    asked: list[int] = []

    async def fetch(offset: int, limit: int) -> Page:
        asked.append(offset)
        return Page([ListedOrder(str(number)) for number in range(limit)])

    async def read() -> None:
        async for _ in every_order(fetch, 10):
            pass

    with pytest.raises(CallError, match="has no end"):
        asyncio.run(read())
    assert len(asked) <= MOST_FRUITLESS + 1
