"""`check --mx` shows which addresses are at domains that take no mail, by what DNS says."""

import json
from typing import Any

import pytest

from batch_resend.report import mail_routes
from tests.cli.conftest import Desk
from tests.cli.test_check import folded
from tests.dns_server import SERVFAIL, DnsServer, dns_server
from tests.pages import block

LIST = """\
order_id,domain,email,status
1,www.good.example,admin@good.example,pending
2,null.example,admin@null.example,pending
3,gone.example,ADMIN@Gone.example,pending
4,gone.example,admin@gone.example;admin@good.example,pending
5,bare.example,admin@bare.example,pending
6,failing.example,admin@failing.example,pending
7,t.example,admin@t.example,pending
8,ex\u00e4mple.example,admin@ex\u00e4mple.example,pending
9,over.example,admin@over.example,issued
"""
NAMES = {
    "good.example": ["MX 10 mx.example."],
    "null.example": ["MX 0 ."],
    "bare.example": ["A 192.0.2.1"],
    "failing.example": [SERVFAIL],
    "t.example": ["TXT nothing"],
    "xn--exmple-cua.example": ["MX 10 mx.example."],
}


@pytest.fixture
def listed(desk: Desk) -> Desk:
    """Return a folder with a list and without a key: what is checked needs none."""
    del desk.environment["DIGICERT_API_KEY"]
    desk.write("orders.csv", LIST)
    return desk


async def plan_with_dns(desk: Desk, server: DnsServer, *options: str) -> dict[str, Any]:
    """Return the plan as a program gets it, DNS having been asked."""
    checked = await desk.run(
        "check", "--mx", "--dns-server", server.address, "--json", "orders.csv", *options
    )
    assert checked.code == 0, checked.err
    plan: dict[str, Any] = json.loads(checked.out)
    return plan


async def test_orders_with_addresses_at_domains_that_take_no_mail_are_worth_a_look(
    listed: Desk,
) -> None:
    async with dns_server(NAMES) as server:
        plan = await plan_with_dns(listed, server)
    of_dns = [kind for kind in plan["warnings"] if "domain" in kind["text"]][:4]
    assert [(kind["kind"], kind["count"]) for kind in of_dns] == [
        ("no_such_domain", 2), ("null_mx", 1), ("no_mail_records", 1), ("no_mx", 1),
    ]  # fmt: skip
    assert [place["text"] for kind in of_dns for place in kind["first"]] == [
        "order 3: ADMIN@gone.example",
        "order 4: admin@gone.example",
        "order 2: admin@null.example",
        "order 7: admin@t.example",
        "order 5: admin@bare.example",
    ]
    assert of_dns[0]["first"][0]["line"] == 4
    assert "DigiCert looks for an MX record before it mails" in of_dns[3]["text"]
    said = json.dumps(plan["warnings"])
    assert "failing.example" not in said, "what is not known is no warning of an address"


async def test_the_domains_are_counted_by_where_their_mail_goes_for_programs_and_people(
    listed: Desk,
) -> None:
    async with dns_server(NAMES) as server:
        plan = await plan_with_dns(listed, server)
        assert plan["mail_domains"] == json.loads(block("mail_domains")), "as the manual has it"
        assert server.asked["gone.example", "MX"] == 1, "a domain is asked about once"
        assert "over.example" not in {name for name, _ in server.asked}, "it would not be mailed"
        checked = await listed.run("check", "--mx", "orders.csv", "--dns-server", server.address)
        asked = len(server.asked)
        unasked = await listed.run("check", "--json", "orders.csv")
        assert json.loads(unasked.out)["mail_domains"] is None
        assert len(server.asked) == asked
    text = folded(checked.out)
    assert checked.err == "Asking DNS about 7 domains\n"
    assert (
        "dns 7 domains of addresses: 2 with an MX record, 1 without one, but with an address, 1 "
        "that accept no mail, 1 with neither MX record nor address, 1 that do not exist, 1 not "
        "known, because no answer came not known: failing.example" in text
    )
    assert "Worth a look 2 orders: an address at a domain that does not exist" in text


async def test_the_manual_shows_how_to_ask_about_the_domains_of_orders_without_addresses(
    listed: Desk,
) -> None:
    listed.write("orders.csv", block("domains_of_stuck"))
    async with dns_server(NAMES) as server:
        plan = await plan_with_dns(listed, server)
    assert plan["mail_domains"]["asked"] == 2
    assert {name for name, _ in server.asked} == {"shop.example.com", "example.com"}


async def test_more_domains_than_are_asked_about_are_counted_as_such(
    listed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(mail_routes), "MOST_DOMAINS_ASKED", 3)
    async with dns_server(NAMES) as server:
        asked = (await plan_with_dns(listed, server))["mail_domains"]
        assert (asked["domains"], asked["asked"], asked["routes"]["not_asked"]) == (7, 3, 4)
        # Those with the most mails come first.
        names = {"gone.example", "good.example", "bare.example"}
        assert {name for name, _ in server.asked} == names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mx", "--dns-server", "dns.example"), "write an IP address, such as 192.0.2.1"),
        (("--mx", "--dns-server", "192.0.2.1:99999"), "write an IP address"),
        (("--dns-server", "192.0.2.1"), "--dns-server is for --mx: give both"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_wrong_usage(
    listed: Desk, options: tuple[str, ...], words: str
) -> None:
    refused = await listed.run("check", "orders.csv", *options)
    assert refused.code == 2
    assert words in refused.err
