"""The CA's three calls in one list, and orders that are not DV: who is mailed by which."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import FaultName, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary

MIXED = (
    "order_id,call,domain_id,domain,email,locale,all_domains\n"
    "1001,,,a.example,admin@a.example,de,\n"
    "1001,,,b.example,admin@b.example,de,\n"
    ",domain-dcv,17,www.c.example,admin@c.example,,\n"
    ",domain-dcv,,d.example,,,yes\n"
    "1001,order-approval,,,boss@a.example,,\n"
)
BODIES: dict[str, list[dict[str, Any]]] = {
    "1001": [
        {
            "domain_approval_emails": [
                {"domain": "a.example", "email": "admin@a.example"},
                {"domain": "b.example", "email": "admin@b.example"},
            ],
            "locale": "de",
        },
        {"emails": ["boss@a.example"]},
    ],
    "17": [{"name_scope": "www.c.example", "email_array": ["admin@c.example"]}],
    "d.example": [{}],
}


def sorted_bodies(bodies: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return what was asked; the order in which requests arrived says nothing."""
    return {subject: sorted(asked, key=json.dumps) for subject, asked in bodies.items()}


def objects(desk: Desk) -> list[dict[str, Any]]:
    """Return the requests of results.jsonl."""
    text = (desk.report() / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_a_list_of_three_calls_goes_out_in_one_run_once(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        sent = await desk.run("send", "mixed.csv")
        assert sent.code == 0, sent.err
        assert sorted_bodies(ca.books.bodies) == sorted_bodies(BODIES)
        assert ca.books.wrong_request_count == 0
        told = {(one["order_id"], one.get("call")) for one in objects(desk)}
        assert told == {
            ("1001", None), ("1001", "order-approval"),
            ("17 www.c.example", "domain-dcv"), ("d.example", "domain-dcv"),
        }  # fmt: skip
        with (desk.report() / "results.csv").open() as file:
            calls = [row["call"] for row in csv.DictReader(file)]
        assert calls == ["dv-resend"] * 2 + ["domain-dcv"] * 2 + ["order-approval"]
        again = await desk.run("send", "mixed.csv", "--report-dir", "again")
        assert (again.code, ca.books.mails) == (0, 4)
        history = await desk.run("history", "d.example", "--json")
        (event,) = json.loads(history.out)[:1]
        assert (event["call"], event["outcome"]) == ("domain-dcv", "sent")
        desk.write("both.csv", "order_id,domain_id,call\n100200317,,\n,17,domain-dcv\n")
        assert "2 for 2 orders" in (await desk.run("check", "both.csv")).out
        plan = (await desk.run("check", "mixed.csv")).out
        assert (
            "1 request has no address: the CA will mail the contacts on file for the domain named"
            in plan
        )
        assert "for every pending domain" not in plan


async def test_a_domain_is_found_by_its_name_however_it_was_named(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write(
            "mixed.csv",
            "order_id,domain_id,domain,email,call\n"
            "100200301,,ab.example,admin@ab.example,\n100200302,,axb.example,admin@axb.example,\n"
            "100200303,,www.ab.example,admin@ab.example,\n100200304,,,,\n"
            ",17,ab.example,,domain-dcv\n,,AB.example.,,domain-dcv\n",
        )
        sent = await desk.run("send", "mixed.csv", "--all-domains")
        assert sent.code == 0, sent.err
        told = await desk.run("history", "Ab.example", "--json")
        assert [(e["order_id"], e["outcome"]) for e in json.loads(told.out)] == [
            ("100200301", "sent"), ("100200303", "sent"), ("17 ab.example", "sent"),
            ("ab.example", "sent"),
        ]  # fmt: skip
        table = (await desk.run("history", "ab.example")).out.splitlines()
        assert table[0].split()[:2] == ["order", "run"]
        assert table[1].split()[0] == "100200301"
        assert table[4].endswith("the CA's contacts for it")
        assert "knows nothing of b.example" in (await desk.run("history", "b.example")).out


async def test_one_call_may_hold_for_a_whole_list(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write("domains.csv", "domain\na.example\nb.example\na.example\n")
        sent = await desk.run("send", "domains.csv", "--call", "domain-dcv", "--max-attempts", "1")
        assert sent.code == 3
        assert set(ca.books.requests_per_order) == {"a.example", "b.example"}
        assert desk.summary()["rows"]["duplicate"] == 1
        page = (desk.report() / "report.html").read_text()
        assert "a.example by domain-dcv" in page


async def test_of_domains_is_asked_beforehand_whom_they_have_mailed_and_nothing_afterwards(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        ca.world.add(WorldOrder(1001))
        ca.world.add_domain(17, "c.example")
        sent = await desk.run("send", "mixed.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert ca.books.reads_of["domain-emails"] == 1, "of the one that names an address"
        assert ca.books.recipients["17"] == [["admin@c.example"]]
        ca.books.reads_of.clear()
        run = desk.summary()["run_id"]
        verified = await desk.run("verify", run)
        assert verified.code == 0, verified.err
        assert "Of 1 order sent" in verified.out, "it went by two calls"
        assert ca.books.reads_of["domain-emails"] == 0


DOMAINS = """\
domain_id,domain,email,locale,all_domains
,good.example,admin@good.example,,
,typo.example,amdin@typo.example,,
17,,admin@numbered.example,,
,mixed.example,boss@mixed.example,,
,mixed.example,hostmaster@mixed.example,,
,bare.example,,,yes
,two.example,boss@two.example,en,
,two.example,admin@two.example,de,
"""
DANGER = "it mails ALL addresses of the domain instead; --preflight asks the CA beforehand"


async def test_check_warns_of_each_domain_that_is_named_by_its_number_alone(desk: Desk) -> None:
    desk.write("numbers.csv", "domain_id,domain\n80,\n81,named.example\n82,\n")
    words = ("check", "numbers.csv", "--call", "domain-dcv")
    (warning,) = json.loads((await desk.run(*words, "--json")).out)["warnings"]
    assert (warning["kind"], warning["count"]) == ("number_alone", 2)
    assert [place["line"] for place in warning["first"]] == [2, 4]
    shown = await desk.run(*words)
    assert "Worth a look" in shown.out + shown.err


async def test_the_plan_names_each_request_whose_addresses_the_ca_may_not_know(desk: Desk) -> None:
    desk.write("domains.csv", DOMAINS)
    checked = await desk.run("check", "domains.csv", "--call", "domain-dcv", "--json", "-v")
    danger, other, *_ = json.loads(checked.out)["warnings"]
    assert danger["kind"] == "may_mail_all", "and it comes first"
    assert danger["text"].startswith("DANGER: ")
    assert danger["text"].endswith(DANGER)
    assert danger["count"] == 3
    assert [(place["line"], place["text"]) for place in danger["first"]] == [
        (3, "domain typo.example: amdin@typo.example"),
        (
            4,
            "domain 17: admin@numbered.example (only the domain's number is given, so its name is "
            "not known here)",
        ),
        (8, "domain two.example: boss@two.example"),
    ]
    assert other["kind"] == "not_constructed", "boss@ is left out, and nobody mailed in its place"
    assert [place["text"] for place in other["first"]] == [
        "domain mixed.example: boss@mixed.example, hostmaster@mixed.example"
    ]


async def test_requests_for_domains_are_counted_and_a_run_of_them_alone_is_passed_over(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):

        async def sent(calls: str) -> str:
            desk.write("list.csv", f"order_id,domain,email,call\n{calls}")
            done = await desk.run("send", "list.csv", "--again", "--json")
            assert done.code == 0, done.err
            return str(json.loads(done.out)["run_id"])

        of_order = "1,a.example,admin@a.example,\n"
        of_domains = "".join(f",{n}.example,admin@{n}.example,domain-dcv\n" for n in "abc")
        only_domains = await sent(of_domains)
        nothing = await desk.run("verify")
        assert nothing.out.startswith(
            f"Run {only_domains} sent nothing for orders, only for domains.\n"
            "3 requests for domains cannot be asked about.\n"
        )
        both = await sent(of_order + of_domains)
        asked = await desk.run("verify")
        assert asked.out.startswith(f"Of 1 order sent by run {both}\n")
        assert "\n3 requests for domains cannot be asked about.\n" in asked.out
        newer = await sent(of_domains)
        asked = await desk.run("verify")
        assert asked.out.startswith(f"Of 1 order sent by run {both}\n")
        words = f"Run {newer} is newer, but its 3 requests for domains cannot be asked about.\n"
        assert words in asked.out
        assert "batch-resend export --details" in asked.out
        told = json.loads((await desk.run("verify", "--json")).out)
        assert (told["run"], told["orders"], told["domain_requests"]) == (both, 1, 3)
        assert f"Run {newer} sent nothing" in (await desk.run("verify", newer)).out


@pytest.mark.parametrize("with_orders", [True, False])
async def test_of_doubts_about_domains_nobody_is_told_to_verify_them(
    tmp_path: Path, *, with_orders: bool
) -> None:
    heading, order = "order_id,domain,email,call\n", "1,a.example,admin@a.example,\n"
    domains = ",b.example,admin@b.example,domain-dcv\n,c.example,admin@c.example,domain-dcv\n"
    async with desk_with_ca(tmp_path, faults={FaultName.DROP: 1.0}) as (desk, ca):
        desk.write("list.csv", heading + order * with_orders + domains)
        sent = await desk.run("send", "list.csv", "--in-doubt", "hold", "--report-dir", "first")
        run = read_summary(tmp_path / "first")["run_id"]
        page = (tmp_path / "first" / "report.html").read_text()
        seen = [(await desk.run(name, run)).out for name in ("show", "watch")]
        for told in (sent.out, *seen, page):
            text = " ".join(re.sub("<[^>]+>|`", "", told).split())
            assert (f"batch-resend verify {run}" in text) is with_orders
            assert "2 in doubt for domains: they may have been mailed. verify cannot" in text
            assert ("1 in doubt for orders: it may have been mailed." in text) is with_orders
        ca.fail({})
        desk.write("one.csv", heading + domains[: domains.index("\n") + 1])
        assert (await desk.run("send", "one.csv", "--report-dir", "then")).code == 0
        assert "1 in doubt for a domain: it may" in " ".join(
            (await desk.run("show", run)).out.split()
        )


@pytest.mark.parametrize("first", ["dv-resend", "domain-dcv"])
async def test_the_plan_counts_what_another_call_has_mailed_within_the_cooldown(
    tmp_path: Path, first: str
) -> None:
    """In either direction, by the name of the domain; an order's own approval is no such mail."""
    heading, other = "order_id,domain_id,domain,email", {"dv-resend", "domain-dcv"} - {first}
    sent = "1,,a.example,admin@a.example\n2,,*.b.example,admin@b.example\n"
    more = "2,17,b.example,other@b.example\n3,,c.example,admin@c.example\n"
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("sent.csv", f"{heading}\n{sent}")
        desk.write("list.csv", f"{heading}\n{sent}{more}")
        assert (await desk.run("send", "sent.csv", "--call", first)).code == 0
        mails = ca.books.mails
        dry = ("send", "list.csv", "--dry-run", "--json")
        counts = json.loads((await desk.run(*dry, "--call", *other)).out)
        counted = counts["to_send"], counts["cooling_down"], counts["mailed_otherwise"]
        assert counted == ((3, 0, 2) if other == {"dv-resend"} else (4, 0, 3))
        approval = json.loads((await desk.run(*dry, "--call", "order-approval")).out)
        assert (approval["to_send"], approval["mailed_otherwise"]) == (3, 0)
        again = await desk.run("send", "list.csv", "--call", *other, "--max-orders", "1")
        assert "of those to send: for orders or domains that another run mailed" in again.err
        assert ca.books.mails == mails + 1
