"""Three calls in one list: sent in one run, reported, skipped the second time, fed back."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import WorldOrder
from tests.cli.conftest import Desk, desk_with_ca

pytestmark = pytest.mark.asyncio

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


async def test_a_list_of_three_calls_goes_out_in_one_run_and_is_skipped_the_next_time(
    tmp_path: Path,
) -> None:
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
        history = await desk.run("history", "d.example", "--format", "json")
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


async def test_a_domain_is_found_by_its_name_whichever_call_named_it_and_however(
    tmp_path: Path,
) -> None:
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
        told = await desk.run("history", "Ab.example", "--format", "json")
        assert [(e["order_id"], e["outcome"]) for e in json.loads(told.out)] == [
            ("100200301", "sent"), ("17 ab.example", "sent"), ("ab.example", "sent"),
        ]  # fmt: skip
        table = (await desk.run("history", "ab.example")).out.splitlines()
        assert table[0].split()[:2] == ["order", "run"]
        assert table[1].split()[0] == "100200301"
        assert table[3].endswith("the CA's contacts for it")
        assert "knows nothing of b.example" in (await desk.run("history", "b.example")).out


async def test_what_was_left_of_lists_without_a_common_form_is_sent_by_the_same_calls(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}, keep_bodies=True) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        desk.write(
            "more.jsonl",
            '{"order_id": 1005, "call": "order-approval", "email": "x@y.example"}',
        )
        failed = await desk.run("send", "mixed.csv", "more.jsonl", "--patience", "1s")
        assert failed.code == 4, failed.err
        unsent = str(desk.report() / "unsent.csv")
        ca.fail({})
        ca.books.bodies.clear()
        sent = await desk.run("send", unsent, "--report-dir", "again")
        assert sent.code == 0, sent.err
        assert sorted_bodies(ca.books.bodies) == sorted_bodies(
            BODIES | {"1005": [{"emails": ["x@y.example"]}]}
        )


async def test_what_check_writes_is_a_list_of_the_same_requests(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        checked = await desk.run("check", "mixed.csv", "--out", "plan.jsonl")
        assert checked.code == 0, checked.err
        assert "PUT /domain/17/dcv/emails" in checked.out
        assert (await desk.run("send", "plan.jsonl")).code == 0
        assert sorted_bodies(ca.books.bodies) == sorted_bodies(BODIES)


async def test_one_call_for_a_whole_list_and_the_next_command_says_so_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, ca):
        desk.write("domains.csv", "domain\na.example\nb.example\na.example\n")
        sent = await desk.run("send", "domains.csv", "--call", "domain-dcv", "--max-attempts", "1")
        assert sent.code == 3
        assert set(ca.books.requests_per_order) == {"a.example", "b.example"}
        assert "unsent.csv --call domain-dcv" in sent.out
        assert desk.summary()["rows"]["duplicate"] == 1
        page = (desk.report() / "report.html").read_text()
        assert "a.example by domain-dcv" in page


async def test_an_order_that_is_not_dv_says_which_call_to_use(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.world.add(WorldOrder(100200301, product="ssl_basic"))
        desk.write("orders.csv", "order_id\n100200301\n")
        sent = await desk.run("send", "orders.csv")
        assert sent.code == 3
        assert "--call domain-dcv" in sent.out
        asked = await desk.run("send", "orders.csv", "--preflight", "--report-dir", "second")
        assert "--call domain-dcv" in asked.err


async def test_the_call_is_chosen_by_the_product_where_that_is_wanted(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write(
            "export.csv",
            "order_id,domain,email,product\n100200301,a.example,admin@a.example,ssl_dv_rapidssl\n"
            "100200302,b.example,admin@b.example,ssl_ev_plus\n",
        )
        sent = await desk.run("send", "export.csv", "--auto-call")
        assert sent.code == 0, sent.err
        assert set(ca.books.bodies) == {"100200301", "b.example"}
        assert ca.books.bodies["b.example"] == [{"email_array": ["admin@b.example"]}]


async def test_an_export_of_orders_that_are_not_dv_is_sent_domain_by_domain(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        ca.world.add(WorldOrder(100200301, domains=("a.example", "www.a.example")))
        ca.world.add(
            WorldOrder(
                100200302, product="ssl_basic", domains=("b.example", "*.c.example", "d.example")
            )
        )
        for form in ("csv", "jsonl"):
            ca.books.bodies.clear()
            exported = await desk.run("export", "--out", "list", "--format", form)
            assert exported.code == 0, exported.err
            sent = await desk.run("send", "list", "--auto-call", "--again", "--report-dir", form)
            assert sent.code == 0, sent.err
            assert ca.books.bodies == {
                "100200301": [{}], "b.example": [{}], "c.example": [{}], "d.example": [{}],
            }  # fmt: skip


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


async def test_addresses_that_no_domain_goes_with_are_not_said_to_be_of_one(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id,email\n100200307,a@b.example;c@d.example\n")
        checked = await desk.run("check", "orders.csv", "--call", "order-approval")
        assert "several addresses" not in checked.out
        assert (await desk.run("send", "orders.csv", "--call", "order-approval")).code == 0
        table = (desk.report() / "results.csv").read_text()
        assert "orders.csv,2,100200307,,a@b.example; c@d.example," in table


async def test_a_typing_error_in_a_language_widens_no_mail_to_all_domains(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write(
            "orders.csv",
            "order_id,domain,email,locale\n100200301,a.example,admin@a.example,!!\n100200301,,,\n100200302,,,\n",
        )
        options = ("--max-rejected", "100%", "--all-domains")
        sent = await desk.run("send", "orders.csv", *options)
        assert sent.code == 3, sent.err
        assert set(ca.books.mails_per_order) == {"100200302"}


async def test_what_has_no_form_is_rejected_under_the_call_that_holds_for_all(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list.jsonl", '{"order_id": 100200301, "emails": ["a@b.example"]}\n[]\n')
        options = ("--call", "order-approval", "--max-rejected", "100%")
        assert (await desk.run("send", "list.jsonl", *options)).code == 3
        with (desk.report() / "results.csv").open(newline="") as file:
            assert [line["call"] for line in csv.DictReader(file)] == ["order-approval"] * 2


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (",domain-dcv,e.example,boss@e.example,more", "5 cells, where the heading has 4"),
        (",domain-dvc,e.example,boss@e.example", "the call 'domain-dvc' is none"),
        (",domain-dcv,e.example,no address", "the e-mail address 'no' has no @"),
        ('{"call": "domain-dcv", "domain": "e.example", "email": 5}', "a text is expected"),
        (
            '{"call": "domain-dvc", "domain": "e.example", "email": "boss@e.example"}',
            "the call 'domain-dvc' is none",
        ),
        ('{"call": "domain-dcv", "domain": "e.example", "locale": 5}', "a text is expected"),
    ],
)
async def test_a_rejected_row_of_a_domain_has_no_other_row_mail_all_whom_the_ca_knows(
    desk: Desk, bad: str, why: str
) -> None:
    if bad.startswith("{"):
        good, text = '{"call": "domain-dcv", "domain": "e.example"}', ""
    else:
        good, text = ",domain-dcv,e.example,", "order_id,call,domain,email\n"
    desk.write("orders.csv", f"{text}{bad}\n{good}\n")
    plan = json.loads((await desk.run("check", "orders.csv", "--format", "json")).out)
    assert plan["to_send"] == 0
    reasons = [place["text"] for kind in plan["rejected"] for place in kind["first"]]
    assert any(why in reason for reason in reasons), reasons
