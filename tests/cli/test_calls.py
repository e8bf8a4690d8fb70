"""The CA's three calls in one list, and orders that are not DV: who is mailed by which."""

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import FaultName, Simulator, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results
from tests.notify.listener import listening

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
        assert "Of 2 orders sent" in verified.out
        assert ca.books.reads_of["domain-emails"] == 0


RULE = "is not DV, and according to the CA's older pages dv-resend is for DV only"
LIST = """\
order_id,status,dcv_method,product
100200301,pending,email,ssl_dv_rapidssl
100200302,pending,email,ssl_ev_plus
100200303,issued,email,ssl_ev_plus
100200304,pending,dns-txt-token,ssl_ev_plus
"""


def fill(desk: Desk, ca: Simulator) -> None:
    """Have the CA's orders be those of the list, and a list of bare numbers beside it."""
    desk.write("orders.csv", LIST)
    desk.write("numbers.csv", "order_id\n100200301\n100200302\n100200303\n100200304\n")
    old = time.time() - 9 * 86_400
    for line in LIST.splitlines()[1:]:
        number, status, method, product = line.split(",")
        order = WorldOrder(int(number), status, product, created_at=old, dcv_method=method)
        ca.world.add(order)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("send", "orders.csv"), id="by what the list says"),
        pytest.param(("send", "numbers.csv", "--preflight"), id="by what the CA says beforehand"),
        pytest.param(("sweep",), id="of those that wait at the CA"),
    ],
)
async def test_what_is_not_dv_is_sent_by_the_orders_call_only_where_that_is_wanted(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(desk, ca)
        usual = await desk.run(*command, "--report-dir", "usual")
        assert usual.code == (3 if command[0] == "send" else 0), usual.err
        assert ca.books.bodies == {"100200301": [{}]}
        if command[0] == "send":
            assert "1 of 2 orders sent" in usual.out
            assert "3 skipped (1 of them perhaps waiting for mails of another call)" in usual.out
            assert "1 order skipped that may wait for mails" in usual.out, "what to do next"
            summary = read_summary(tmp_path / "usual")
            assert (summary["skipped"]["other_call"], summary["verdict"]) == (1, "rehearsal")
            assert ", perhaps waiting for mails of another call: its product" in usual.err
            assert RULE in usual.err
            (of_ev,) = (r for r in results(tmp_path / "usual") if r["order_id"] == "100200302")
            assert (of_ev["status"], of_ev["error_code"]) == ("skipped", "other_call")
            for word in (RULE, "--call domain-dcv", "--any-product"):
                assert word in of_ev["error_message"]
        await desk.run(*command, "--any-product", "--again", "--report-dir", "again")
        assert set(ca.books.bodies) == {"100200301", "100200302"}, (
            "issued, and validated by DNS: neither is sent"
        )


async def test_every_place_says_the_same_numbers_of_what_waits_for_mails_of_another_call(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        words = ("--notify-url", hook.url, "--metrics-file", "m.prom", "--report-dir", "all/{run}")
        said = {"send": (await desk.run("send", "numbers.csv", "--preflight", *words)).out}
        for command in ("show", "watch", "report", "runs", "history 100200302"):
            said[command] = (await desk.run(*command.split())).out
        for command in ("runs", "show"):
            said[f"{command} csv"] = (await desk.run(command, "--format", "csv")).out
        (folder,) = (tmp_path / "all").glob("*/")
        said["page"] = (folder / "report.html").read_text()
        said["index"] = (tmp_path / "all" / "index.html").read_text()
        said["metrics"] = (tmp_path / "m.prom").read_text()
        notified = json.loads(hook.posts[-1][1])
        said["notification"] = notified["text"]
        (listed,) = csv.DictReader(said["runs csv"].splitlines())
        (run,) = json.loads((await desk.run("runs", "--json")).out)
        shown = json.loads((await desk.run("show", "--json")).out)
    of, beside = "1 of 2", "3 skipped (1 of them perhaps waiting for mails of another call)"
    for places, parts in (
        (
            ("send", "show", "watch", "report", "page", "notification"),
            (f"{of} orders sent", beside),
        ),
        (("runs",), (f" {of} ", beside)),
        (("page",), ("50 %<span> of 2 sent",)),
        (("index",), (">1 (50 % of 2)<", ">1 (1 perhaps waiting for mails of another call)<")),
        (("metrics",), ('{outcome="skipped"} 3.0', '_skipped_orders{reason="other_call"} 1.0')),
        (("show csv",), ('"orders, skipped",3', '"skipped orders, other call",1')),
        (("history 100200302",), ("other_call",)),
    ):
        for place in places:
            assert [part for part in parts if part not in said[place]] == [], place
    counts = {"sent": 1, "skipped": 3, "other_call": 1, "sent_of": 2}
    assert {name: run[name] for name in counts} == counts
    assert {name: int(listed[name]) for name in counts} == counts
    for summary in (shown, notified, read_summary(folder)):
        assert (summary["sent_of"], summary["orders"]["skipped"]) == (2, 3)
        assert summary["skipped"]["other_call"] == 1


async def test_what_is_approved_or_waits_no_more_is_of_no_other_call(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        of_ev = ca.world.orders[100200302]
        of_ev.approved.update(of_ev.domains)
        sent = await desk.run("send", "numbers.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert desk.summary()["skipped"]["preflight"] == 3


async def test_a_list_takes_back_what_an_earlier_one_said_of_the_call(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("orders.csv", LIST + "100200305,pending,email,ssl_dv_rapidssl\n")
        first = await desk.run("send", "orders.csv", "--max-orders", "1", "--report-dir", "first")
        assert first.code == 4, first.err
        assert read_summary(tmp_path / "first")["skipped"]["other_call"] == 1
        rest = await desk.run("send", "orders.csv", "--any-product")
        assert rest.code == 0, rest.err
        assert "Resuming run" in rest.err
        assert set(ca.books.mails_per_order) == {"100200301", "100200302", "100200305"}


async def test_what_the_ca_said_of_the_call_holds_when_the_run_is_resumed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        desk.write("numbers.csv", "order_id\n100200302\n100200301\n100200305\n")
        words = ("send", "numbers.csv", "--preflight", "--max-orders", "1", "--report-dir", "first")
        assert (await desk.run(*words)).code == 4
        run = read_summary(tmp_path / "first")["run_id"]
        rest = await desk.run("resume", run, "--report-dir", "rest")
        assert rest.code == 3, rest.err
        assert set(ca.books.mails_per_order) == {"100200301", "100200305"}
        assert read_summary(tmp_path / "rest")["skipped"]["other_call"] == 1


async def test_a_resumed_run_may_be_asked_about_with_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(desk, ca)
        desk.write("held.csv", "order_id\n100200302\n100200303\nx\n")
        assert (await desk.run("send", "held.csv", "--strict", "--report-dir", "held")).code == 3
        assert ca.books.bodies == {}
        run = read_summary(tmp_path / "held")["run_id"]
        await desk.run("resume", run, "--preflight", "--any-product", "--report-dir", "on")
        assert set(ca.books.bodies) == {"100200302"}


@pytest.mark.parametrize("command", ["check", "send"])
async def test_with_auto_call_it_is_wrong_usage_and_a_watchdog_hears_so(
    desk: Desk, command: str
) -> None:
    desk.write("orders.csv", LIST)
    async with listening() as watchdog:
        ping = ("--ping-url", watchdog.url) if command == "send" else ()
        wrong = await desk.run(command, "orders.csv", *ping, "--any-product", "--auto-call")
        assert wrong.code == 2
        assert "--auto-call and --any-product exclude each other" in wrong.err
        assert len(watchdog.posts) == (1 if ping else 0)
        by_variable = await desk.run(
            command, "orders.csv", "--any-product", BATCH_RESEND_AUTO_CALL="1"
        )
        assert by_variable.code == 2


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
