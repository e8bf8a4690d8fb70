"""The simulator's list of orders: its fields, filters, pages, and the odd ones among them."""

import time
from collections.abc import Sequence

import pytest

from batch_resend.simulator import Oddity
from tests.simulator.simulated import DV, Client, client_of, code_of, fill

pytestmark = pytest.mark.asyncio


async def ids(client: Client, query: str) -> Sequence[int]:
    """Return which orders a list has, in its order."""
    status, answer = await client.read(f"/order/certificate?{query}")
    assert status == 200
    return [order["id"] for order in answer.get("orders", [])]


async def test_a_list_has_the_recorded_fields_and_never_how_an_order_is_validated() -> None:
    async with client_of() as client:
        fill(client)
        _, answer = await client.read("/order/certificate?sort=order_id&limit=2")
    assert answer["page"] == {"total": 5, "limit": 2, "offset": 0}
    dv, ov = answer["orders"]
    assert dv == {
        "id": 1,
        "certificate": {
            "id": dv["certificate"]["id"],
            "common_name": "a1.example",
            "dns_names": ["a1.example", "*.a1.example"],
            "signature_hash": "sha256",
            "cert_validity": {"years": 1},
        },
        "status": "pending",
        "is_renewed": False,
        "date_created": "2026-11-02T00:00:00+00:00",
        "organization": [],
        "container": {"id": 1, "name": "Main", "is_active": True},
        "product": {"name_id": DV, "name": DV, "type": "dv_ssl_certificate"},
        "product_name_id": DV,
        "price": dv["price"],
        "order_validity": {"years": 1},
        "number_of_sans": 2,
        "is_multi_year_plan": "0",
    }
    assert ov["organization"]["name"]
    assert ov["product"]["type"] == "ssl_certificate"
    assert ov["container"]["id"] == 2


async def test_an_issued_order_has_its_certificates_dates_too() -> None:
    async with client_of() as client:
        fill(client)
        _, answer = await client.read("/order/certificate?filters[id]=4")
    certificate = answer["orders"][0]["certificate"]
    assert {"serial_number", "valid_from", "valid_till", "days_remaining"} <= certificate.keys()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("sort=order_id", [1, 2, 3, 4, 5]),
        ("sort=-order_id", [5, 4, 3, 2, 1]),
        ("sort=status,-order_id", [5, 4, 2, 1, 3]),
        ("sort=no_such", [5, 4, 3, 2, 1]),
        ("sort=order_id&limit=2&offset=1", [2, 3]),
        ("offset=5", []),
        ("filters[status]=pending", [2, 1]),
        ("filters%5Bstatus%5D=pending", [2, 1]),
        ("filters[status][0]=pending&filters[status][1]=reissue_pending", [3, 2, 1]),
        ("filters[status]=issued", [5, 4]),
        ("filters[status]=pending&filters[product_name_id]=ssl_basic", [2]),
        ("filters[common_name]=a3.example", [3]),
        ("filters[common_name]=*.a3.example", []),
        ("filters[domain_name]=*.a3.example", [3]),
        ("filters[container_id]=2", [5, 2]),
        ("filters[id]=3", [3]),
        ("filters[id]=2...3", [3, 2]),
        ("filters[id]=%3E3", [5, 4]),
        ("filters[id]=<3", [2, 1]),
        ("filters[date_created]=2026-11-03...2026-11-04", [3, 2]),
        ("filters[date_created]=2026-11-03", [2]),
        ("filters[date_created]=>2026-11-04", [5, 4]),
        ("filters[date_created]=<2026-11-03", [1]),
        ("filters[date_created]=>2026-11-03+00:00:00", [5, 4, 3]),
    ],
)
async def test_a_list_is_narrowed_and_sorted_as_asked(query: str, found: Sequence[int]) -> None:
    async with client_of() as client:
        fill(client)
        assert await ids(client, query) == found


@pytest.mark.parametrize(
    "query", ["filters[status]=denied", "filters[id]=99", "offset=5", "limit=1000&offset=7"]
)
async def test_a_list_without_orders_has_no_such_key(query: str) -> None:
    async with client_of() as client:
        fill(client)
        assert await client.get(f"/order/certificate?{query}") == (200, b"{}")


@pytest.mark.parametrize(
    "query",
    [
        "limit=1001", "limit=0", "limit=x", "offset=-1", "filters[no_such]=1", "filters=1",
        "filters[id]=x", "filters[date_created]=yesterday",
    ],
)  # fmt: skip
async def test_a_query_that_makes_no_sense_is_answered_400(query: str) -> None:
    async with client_of() as client:
        status, body = await client.get(f"/order/certificate?{query}")
        assert (status, code_of(body)) == (400, "bad_request_format")


async def test_a_page_has_a_thousand_orders_if_asked_and_a_hundred_if_not() -> None:
    async with client_of(orders=1_200) as client:
        assert len(await ids(client, "limit=1000")) == 1_000
        assert len(await ids(client, "")) == 100


# --- odd orders -----------------------------------------------------------------------------


async def test_odd_orders_are_each_odd_in_one_thing_in_lists_and_alone() -> None:
    async with client_of(orders=3, odd_orders=len(Oddity)) as client:
        world = client.simulator.world
        _, answer = await client.read("/order/certificate?sort=order_id&limit=1000")
        items = answer["orders"]
        assert len(items) == 3 + len(Oddity)
        odd = [order for order in world.orders.values() if order.oddity]
        assert [order.oddity for order in odd] == list(Oddity)
        shown = dict(zip(Oddity, items[3:], strict=True))
        for order in odd:
            _, alone = await client.read(f"/order/certificate/{order.order_id}")
            item = shown[Oddity(order.oddity or "")]
            assert {name: alone[name] for name in item} == item
    names = {oddity: item["certificate"]["dns_names"] for oddity, item in shown.items()
             if item["certificate"]}  # fmt: skip
    assert names[Oddity.NULL_NAMES] is None
    assert names[Oddity.BLANK_NAME] == [" "]
    assert names[Oddity.NULL_NAME][0] is None
    assert isinstance(names[Oddity.TEXT_NAMES], str)
    dates = {oddity: item["date_created"] for oddity, item in shown.items()}
    assert (dates[Oddity.NO_DATE], dates[Oddity.ZERO_DATE]) == ("", "0000-00-00 00:00:00")
    assert "+" not in dates[Oddity.NO_ZONE]
    assert shown[Oddity.LIST_CERTIFICATE]["certificate"] == []
    assert shown[Oddity.LIST_CONTAINER]["container"] == []
    assert shown[Oddity.LIST_PRODUCT]["product"] == []
    assert not str(shown[Oddity.LETTERS]["id"]).isdecimal()
    assert shown[Oddity.UNKNOWN_STATUS]["status"] != "pending"


async def test_orders_of_every_kind_wait_if_asked_for() -> None:
    async with client_of(orders=50) as client:
        assert len(await ids(client, "filters[status]=pending")) == 50
        assert all(o.created_at <= time.time() for o in client.simulator.world.orders.values())
