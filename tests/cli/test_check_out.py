"""`check --mx` asks DNS about the recipients; `check --out` writes the requests of a plan."""

import errno
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from batch_resend.report import pace
from tests.cli.conftest import Desk, desk_with_ca
from tests.cli.test_check import MIXED, ORDERS_OF_THE_CA, folded
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
def offline(desk: Desk) -> Desk:
    """Return a folder with a list and without a key: what is checked needs none."""
    del desk.environment["DIGICERT_API_KEY"]
    desk.write("orders.csv", LIST)
    return desk


async def plan_of(desk: Desk, server: DnsServer, *options: str) -> dict[str, Any]:
    """Return the plan as a program gets it, DNS having been asked."""
    checked = await desk.run(
        "check", "--mx", "--dns-server", server.address, "--format", "json", "orders.csv", *options
    )
    assert checked.code == 0, checked.err
    plan: dict[str, Any] = json.loads(checked.out)
    return plan


async def test_orders_with_addresses_at_domains_that_take_no_mail_are_worth_a_look(
    offline: Desk,
) -> None:
    async with dns_server(NAMES) as server:
        plan = await plan_of(offline, server)
    of_dns = [kind for kind in plan["warnings"] if "domain" in kind["text"]][:4]
    assert [(kind["kind"], kind["count"]) for kind in of_dns] == [
        ("no_such_domain", 2), ("null_mx", 1), ("no_mail_records", 1), ("no_mx", 1),
    ]  # fmt: skip
    assert [place["text"] for kind in of_dns for place in kind["first"]] == [
        "order 3: ADMIN@Gone.example",
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
    offline: Desk,
) -> None:
    async with dns_server(NAMES) as server:
        plan = await plan_of(offline, server)
        assert plan["mail_domains"] == json.loads(block("mail_domains")), "as the manual has it"
        assert server.asked["gone.example", "MX"] == 1, "a domain is asked about once"
        assert "over.example" not in {name for name, _ in server.asked}, "it would not be mailed"
        checked = await offline.run("check", "--mx", "orders.csv", "--dns-server", server.address)
        asked = len(server.asked)
        unasked = await offline.run("check", "--format", "json", "orders.csv")
        assert json.loads(unasked.out)["mail_domains"] is None
        assert len(server.asked) == asked
    text = folded(checked.out)
    assert checked.err == "Asking DNS about 7 domains\n"
    assert (
        "dns 7 domains of addresses: 2 with an MX record, 1 without one, but with an address, "
        "1 that take no mail, 1 with neither MX record nor address, 1 that do not exist, "
        "1 not known, for no answer said it not known: failing.example" in text
    )
    assert "Worth a look 2 orders: an address at a domain that does not exist" in text


async def test_more_domains_than_are_asked_about_are_counted_as_such(
    offline: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(pace), "MOST_DOMAINS_ASKED", 3)
    async with dns_server(NAMES) as server:
        asked = (await plan_of(offline, server))["mail_domains"]
        assert (asked["domains"], asked["asked"], asked["routes"]["not_asked"]) == (7, 3, 4)
        # Those with the most mails come first.
        names = {"gone.example", "good.example", "bare.example"}
        assert {name for name, _ in server.asked} == names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mx", "--dns-server", "dns.example"), "write an IP address, such as 192.0.2.1"),
        (("--mx", "--dns-server", "192.0.2.1:99999"), "write an IP address"),
        (("--dns-server", "192.0.2.1"), "--dns-server says whom --mx asks: give both"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_wrong_usage(
    offline: Desk, options: tuple[str, ...], words: str
) -> None:
    refused = await offline.run("check", "orders.csv", *options)
    assert refused.code == 2
    assert words in refused.err


# --- --out ------------------------------------------------------------------------------------


def requests_in(path: Path) -> list[dict[str, Any]]:
    """Return the requests of a plan that was written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_out_has_exactly_what_the_ca_is_then_asked(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        desk.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
        desk.write_list(300)
        lists = ("mixed.csv", "orders.json", "orders.csv")
        checked = await desk.run("check", *lists, "--out", "plan.jsonl", "--locale", "fr")
        assert checked.code == 3
        planned: dict[str, list[Any]] = defaultdict(list)
        for request in requests_in(tmp_path / "plan.jsonl"):
            assert request["method"] == "PUT"
            assert request["path"] == f"/order/certificate/{request['order_id']}/resend-emails"
            planned[request["order_id"]].append(request["body"])
        assert len(planned) == 305
        assert len(planned["108"]) == 2, "a request a language"

        sent = await desk.run("send", *lists, "--locale", "fr", "--concurrency", "1")
        assert sent.code == 3, sent.err
        assert ca.books.bodies == planned


async def test_out_is_in_the_order_of_the_list_for_its_owner_alone_and_behind_a_link(
    desk: Desk,
) -> None:
    desk.write("list.csv", "order_id\n30\n10\n20\n")
    (desk.folder / "link.jsonl").symlink_to("plan.jsonl")
    await desk.run("check", "list.csv", "--out", "link.jsonl")
    path = desk.folder / "plan.jsonl"
    assert [request["order_id"] for request in requests_in(path)] == ["30", "10", "20"]
    assert path.stat().st_mode & 0o077 == 0
    desk.write("list.csv", "order_id\nx\n")
    assert (await desk.run("check", "list.csv", "--out", "link.jsonl")).code == 3
    assert path.read_text() == "", "nothing is to be sent"


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("none/plan.jsonl", 1, "cannot be written: No such file or directory"),
        ("orders.csv/plan.jsonl", 1, "cannot be written: Not a directory"),
        ("pipe", 1, "is there, and is not a file"),
        ("orders.csv", 2, "is one of the lists"),
    ],
)
async def test_an_out_that_cannot_be_written_is_named_and_takes_no_others_place(
    desk: Desk, out: str, code: int, said: str
) -> None:
    desk.write_list(3)
    os.mkfifo(desk.folder / "pipe")
    before = (desk.folder / "orders.csv").read_text()
    refused = await desk.run("check", "orders.csv", "--out", out)
    assert refused.code == code
    assert f"{out}" in refused.err
    assert said in refused.err
    assert (desk.folder / "pipe").is_fifo()
    assert (desk.folder / "orders.csv").read_text() == before


async def test_on_a_full_disk_out_is_named_and_what_was_there_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    desk.write_list(3)
    desk.write("plan.jsonl", "as it was")
    monkeypatch.setattr(os, "fsync", full)
    checked = await desk.run("check", "orders.csv", "--out", "plan.jsonl")
    assert checked.code == 1
    assert "plan.jsonl: cannot be written: No space left on device" in checked.err
    assert (desk.folder / "plan.jsonl").read_text() == "as it was"
    assert not list(desk.folder.glob(".plan*"))
