"""What the simulator answers to calls that only read, as pages and recordings have it."""

import csv
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from batch_resend.listed import REPORT_COLUMNS
from batch_resend.simulator import World, WorldOrder
from batch_resend.windows import Window
from tests.simulator.simulated import (
    ENTRY,
    OV,
    WRONG_KEY,
    Client,
    Clock,
    client_of,
    code_of,
    fill,
)

pytestmark = pytest.mark.asyncio

READS = (
    "/order/certificate",
    "/order/certificate/1",
    "/order/certificate/1/validation",
    "/order/certificate/status-changes?minutes=5",
    "/report/order",
    "/user/me",
    "/domain/a.example/dcv/emails",
)


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", READS)
async def test_every_read_counts_in_the_windows_of_its_key(path: str) -> None:
    async with client_of(windows=(Window(1, 5.0),), clock=Clock()) as client:
        fill(client)
        assert (await client.get(path))[0] == 200
        status, body = await client.get(path)
        assert (status, code_of(body)) == (429, "request_limit_exceeded")
        assert client.books.windows[0].peak == 2
        assert client.books.reads == 2


@pytest.mark.parametrize("path", READS)
async def test_a_read_by_a_wrong_key_is_answered_as_every_request_by_one(path: str) -> None:
    async with client_of(api_key="another") as client:
        fill(client)
        assert await client.get(path) == (403, WRONG_KEY)


async def test_reads_are_counted_call_by_call() -> None:
    async with client_of() as client:
        fill(client)
        for path in READS:
            await client.get(path)
        assert client.books.reads_of == {
            "list": 1, "order": 1, "validation": 1, "status-changes": 1, "report": 1, "user": 1,
            "domain-emails": 1,
        }  # fmt: skip
        assert client.books.wrong_request_count == 0


@pytest.mark.parametrize("path", ["9", "9/validation", "x", "%C2%B2", "9" * 5_000, "%00"])
async def test_an_order_that_is_not_there_is_answered_404_of_the_order(path: str) -> None:
    async with client_of() as client:
        status, body = await client.get(f"/order/certificate/{path}")
        assert (status, code_of(body)) == (404, "not_found|order")


async def test_no_read_shows_what_it_is_set_not_to_have() -> None:
    async with client_of(unknown_orders=frozenset({"1", "a.example"})) as client:
        fill(client)
        codes = [code_of((await client.get(path))[1]) for path in READS[1:3]]
        assert codes == ["not_found|order"] * 2
        assert code_of((await client.get(READS[-1]))[1]) == "not_found|domain"


# --- the key --------------------------------------------------------------------------------


async def test_a_key_that_is_revoked_in_the_middle_is_refused_by_every_call_from_then_on() -> None:
    async with client_of() as client:
        fill(client)
        assert (await client.get("/user/me"))[0] == 200
        client.simulator.settings = replace(client.simulator.settings, revoke_after=0)
        assert [await client.get(path) for path in READS] == [(403, WRONG_KEY)] * len(READS)
        assert await client.resend() == (403, WRONG_KEY)
        assert client.books.mails == 0


async def test_a_key_is_revoked_after_as_many_requests_as_asked() -> None:
    async with client_of(revoke_after=2) as client:
        answers = [(await client.resend(str(number)))[0] for number in range(4)]
        assert answers == [204, 204, 403, 403]
        assert client.books.mails == 2


async def test_who_the_key_is_has_roles() -> None:
    async with client_of() as client:
        _, user = await client.read("/user/me")
    assert {"id", "username", "first_name", "last_name", "email", "status"} <= user.keys()
    assert [role["name"] for role in user["access_roles"]] == ["Administrator"]


# --- an order, and its names ----------------------------------------------------------------


async def test_an_order_alone_has_how_it_is_validated_and_its_contacts() -> None:
    async with client_of() as client:
        fill(client).orders[2].dcv_method = "dns-txt-token"
        _, dv = await client.read("/order/certificate/1")
        _, ov = await client.read("/order/certificate/2")
    assert (dv["dcv_method"], dv["organization"]) == ("email", [])
    assert ov["dcv_method"] == "dns-txt-token"
    assert ov["organization"]["name"]
    assert ov["organization_contact"]["email"]


async def test_the_names_of_an_order_that_wait_come_with_the_numbers_of_their_domains() -> None:
    async with client_of() as client:
        world = client.simulator.world
        world.add(WorldOrder(7, domains=("a.example", "*.a.example", "b.example", "c.a.example")))
        world.approve(7, ["b.example"])
        _, answer = await client.read("/order/certificate/7/validation")
        again = await client.read("/order/certificate/7/validation")
        assert again == (200, answer)
    validations = answer.pop("dns_name_validations")
    assert answer == {
        "order_id": "7",
        "order_status": "pending",
        "order_dcv_method": "email",
        "order_name_scope": "fqdn",
    }
    assert [(v["name_scope"], v["status"], v["dns_names"]) for v in validations] == [
        ("a.example", "unapproved", ["a.example", "*.a.example"]),
        ("b.example", "approved", ["b.example"]),
        ("c.a.example", "unapproved", ["c.a.example"]),
    ]
    numbers = [v["domain_id"] for v in validations]
    assert all(isinstance(number, str) and number.isdecimal() for number in numbers)
    assert len(set(numbers)) == 3
    assert all(v["method"] == "email" and v["approval_scope"] for v in validations)


async def test_with_its_last_name_an_order_is_issued_and_all_its_names_are_approved() -> None:
    async with client_of() as client:
        world = client.simulator.world
        world.add(WorldOrder(7, product=OV, domains=("a.example", "b.example")))
        world.approve(7, ["a.example"])
        assert world.orders[7].status == "pending"
        world.approve(7, ["b.example"])
        _, answer = await client.read("/order/certificate/7/validation")
    assert answer["order_status"] == "issued"
    assert {v["status"] for v in answer["dns_name_validations"]} == {"approved"}
    assert answer["organization_validations"], "it is not DV"


# --- the cheap ways -------------------------------------------------------------------------


async def test_the_order_report_has_every_orders_method_in_one_answer() -> None:
    async with client_of() as client:
        fill(client).orders[2].dcv_method = "dns-cname-token"
        _, body = await client.get("/report/order")
        _, none = await client.get("/report/order?filters[status]=denied")
    heading, first, *_ = body.decode().splitlines()
    assert heading == ",".join(REPORT_COLUMNS)
    assert first.startswith('"5","","2026-11-06 00:00:00","2","Shop","expired","'), "all are quoted"
    rows = {row["order_id"]: row for row in csv.DictReader(StringIO(body.decode()))}
    assert {n: row["dcv_method"] for n, row in rows.items()} == {
        "1": "email", "2": "dns-cname-token", "3": "email", "4": "email", "5": "email",
    }  # fmt: skip
    assert rows["1"]["date_created"] == "2026-11-02 00:00:00", "without a zone"
    assert rows["1"]["dns_names"] == "a1.example,*.a1.example"
    assert none.decode().splitlines() == [heading]


async def changes(client: Client, query: str) -> Any:
    status, answer = await client.read(f"/order/certificate/status-changes?{query}")
    assert status == 200
    return answer


async def test_status_changes_come_the_latest_first_within_the_time_asked_for() -> None:
    clock = Clock()
    async with client_of() as client:
        world = client.simulator.world = World(clock=clock)
        for number in (1, 2, 3):
            world.add(WorldOrder(number))
        assert await changes(client, "minutes=10080") == {}, "each has its first status"
        world.orders[1].status = "issued"
        clock.now += 90
        world.orders[2].status = "issued"
        world.orders[2].status = "revoked"
        world.orders[3].status = "pending"
        answer = await changes(client, "minutes=2")
        assert [(o["order_id"], o["status"]) for o in answer["orders"]] == [
            (2, "revoked"),
            (1, "issued"),
        ]
        assert all(isinstance(o["certificate_id"], int) for o in answer["orders"])
        for query in ("seconds=60", "minutes=0.5&seconds=30", "minutes=10&filters[id]=2"):
            assert [o["order_id"] for o in (await changes(client, query))["orders"]] == [2], query
        clock.now += 3_600
        assert await changes(client, "minutes=59") == {}
        assert len((await changes(client, "minutes=120"))["orders"]) == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("minutes=10081", "time_frame_too_long"),
        ("minutes=10080&seconds=1", "time_frame_too_long"),
        ("", "bad_request_format"),
        ("minutes=x", "bad_request_format"),
        ("minutes=nan", "bad_request_format"),
        ("minutes=-1", "bad_request_format"),
        ("minutes=1&limit=-1", "bad_request_format"),
    ],
)
async def test_a_time_frame_is_needed_and_is_seven_days_at_most(query: str, code: str) -> None:
    async with client_of() as client:
        status, body = await client.get(f"/order/certificate/status-changes?{query}")
        assert (status, code_of(body)) == (400, code)


async def test_an_approval_by_luck_is_a_status_change_of_its_own_moment() -> None:
    clock = Clock()
    async with client_of() as client:
        world = client.simulator.world = World(chance=1.0, within_s=60.0, clock=clock)
        world.add(WorldOrder(1))
        assert (await client.resend("1", {"domain_approval_emails": [ENTRY]}))[0] == 204
        clock.now += 3_600
        assert await changes(client, "minutes=50") == {}
        assert [o["status"] for o in (await changes(client, "minutes=60"))["orders"]] == ["issued"]
