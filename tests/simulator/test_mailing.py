"""Whom the simulator mails, address by address: what a request widens is seen at the server."""

from collections.abc import Sequence
from typing import Any

import pytest

from batch_resend.simulator import EVERYONE, WorldOrder
from tests.simulator.simulated import ENTRY, client_of

pytestmark = pytest.mark.asyncio

FIVE = ("admin", "administrator", "hostmaster", "postmaster", "webmaster")
IN_DNS = ("dns@mail.example",)


def five(domain: str) -> list[str]:
    """Return all addresses that are constructed at a domain."""
    return [f"{local}@{domain}" for local in FIVE]


@pytest.mark.parametrize(
    ("body", "mailed"),
    [
        ({}, [*five("shop.example.com"), *IN_DNS]),
        ({"email_array": ["admin@shop.example.com"]}, ["admin@shop.example.com"]),
        ({"email_array": ["Admin@Example.com"]}, ["Admin@Example.com"]),
        ({"email_array": ["dns@mail.example"]}, ["dns@mail.example"]),
        (
            {"email_array": ["jane@example.com", "admin@example.com"]},
            ["admin@example.com"],
        ),
        ({"email_array": ["amdin@shop.example.com"]}, [*five("shop.example.com"), *IN_DNS]),
        ({"email_array": ["admin@other.example"]}, [*five("shop.example.com"), *IN_DNS]),
        ({"email_array": ["admin@com"]}, [*five("shop.example.com"), *IN_DNS]),
        ({"name_scope": "example.com"}, five("example.com")),
    ],
)
async def test_the_domain_call_mails_whom_it_knows_of_those_given_and_else_everyone(
    body: dict[str, Any], mailed: Sequence[str]
) -> None:
    async with client_of() as client:
        client.simulator.world.dns_txt["shop.example.com"] = IN_DNS
        assert await client.put("/domain/shop.example.com/dcv/emails", body) == (204, b"")
        assert client.books.recipients == {"shop.example.com": [mailed]}
        assert client.books.addresses_mailed == len(mailed)
        assert client.books.mails == 1


async def test_a_domain_is_known_by_its_number_as_by_its_name() -> None:
    async with client_of() as client:
        client.simulator.world.add(WorldOrder(1, product="ssl_basic", domains=("*.b.example",)))
        _, validation = await client.read("/order/certificate/1/validation")
        number = validation["dns_name_validations"][0]["domain_id"]
        assert (await client.put(f"/domain/{number}/dcv/emails", {}))[0] == 204
        assert client.books.recipients == {number: [five("b.example")]}
        _, emails = await client.read(f"/domain/{number}/dcv/emails")
        assert emails["name_scope"] == "b.example"


async def test_a_domains_number_is_no_orders() -> None:
    async with client_of() as client:
        client.simulator.world.add(WorldOrder(7))
        await client.put("/domain/7/dcv/emails", {})
        assert client.simulator.world.orders[7].mails == 0
        assert client.books.mails_per_order == {"7": 1}


async def test_an_account_that_selects_addresses_knows_no_others() -> None:
    async with client_of() as client:
        client.simulator.world.mailed_local_parts = frozenset(("admin", "webmaster"))
        path = "/domain/a.example/dcv/emails"
        _, every = await client.read(path)
        _, selected = await client.read(f"{path}?consider_dcv_email_preferences=true")
        assert every["base_emails"] == five("a.example")
        assert selected["base_emails"] == ["admin@a.example", "webmaster@a.example"]
        await client.put(path, {"email_array": ["postmaster@a.example"]})
        assert client.books.recipients["a.example"] == [five("a.example")], "all, not those two"


async def test_who_can_be_mailed_for_a_domain_can_be_asked_beforehand() -> None:
    async with client_of() as client:
        client.simulator.world.dns_txt["a.example"] = IN_DNS
        status, emails = await client.read(
            "/domain/a.example/dcv/emails?consider_dcv_email_preferences=true"
        )
        assert status == 200
        assert client.books.mails == 0
    assert emails == {
        "name_scope": "a.example",
        "base_emails": five("a.example"),
        "whois_emails": [],
        "dns_txt_emails": list(IN_DNS),
    }


@pytest.mark.parametrize(
    ("body", "mailed"),
    [
        ({"domain_approval_emails": [ENTRY]}, ["admin@example.com"]),
        ({"locale": "en"}, [*five("a.example"), *five("c.example")]),
    ],
)
async def test_an_order_has_its_addresses_mailed_or_those_of_all_its_names_that_wait(
    body: dict[str, Any], mailed: Sequence[str]
) -> None:
    async with client_of() as client:
        world = client.simulator.world
        world.add(WorldOrder(1, domains=("a.example", "*.a.example", "b.example", "c.example")))
        world.approve(1, ["b.example"])
        await client.resend("1", body)
        assert client.books.recipients == {"1": [mailed]}


async def test_of_an_order_that_is_not_in_its_world_it_knows_no_names() -> None:
    async with client_of() as client:
        await client.resend("1")
        await client.put("/order/certificate/2/order-approval/resend-emails",
                         {"emails": ["boss@a.example", "x@a.example"]})  # fmt: skip
        assert client.books.recipients == {
            "1": [[EVERYONE]],
            "2": [["boss@a.example", "x@a.example"]],
        }


async def test_what_is_refused_mails_nobody() -> None:
    async with client_of(unknown_orders=frozenset({"1"})) as client:
        client.simulator.world.add(WorldOrder(2, product="ssl_basic"))
        assert [(await client.resend(number))[0] for number in ("1", "2")] == [404, 400]
        assert client.books.recipients == {}
        assert client.books.addresses_mailed == 0
