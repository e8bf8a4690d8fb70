"""`check` shows the plan: in words, as JSON, and as requests in a file."""

import errno
import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Desk, desk_with_ca

MIXED = """\
order_id;domain;email;locale;note;all domains
101;www.a.example;admin@a.example;;first;
101;b.a.example;hostmaster@A.Example;;;
102;c.example;ssl@c.example;en;;
102;c.example;admin@c.example;en;;
103;;;;;yes
104;nope;admin@nope;;;
x105;d.example;admin@d.example;;;
x106;e.example;admin@e.example;;;
107;f.example;;;;
108;g.example;admin@g.example;eo;;
108;g.example;admin@g.example;de;;
108;g.example;admin@g.example;de;;
"""
ORDERS_OF_THE_CA = {
    "orders": [
        {"id": n, "certificate": {"common_name": name}, "status": status, "dcv_method": method}
        for n, name, status, method in (
            (11, "a.example", "pending", "email"),
            (12, "b.example", "issued", "email"),
            (13, "c.example", "issued", "email"),
            (14, "d.example", "pending", "dns-txt-token"),
        )
    ]
}


@pytest.fixture
def offline(desk: Desk) -> Desk:
    """Return a folder to work in without a key: what is checked needs none."""
    del desk.environment["DIGICERT_API_KEY"]
    desk.write("mixed.csv", MIXED)
    desk.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
    return desk


async def plan_of(desk: Desk, *arguments: str) -> dict[str, Any]:
    """Return a plan as programs get it."""
    checked = await desk.run("check", "--json", *arguments)
    assert checked.err == ""
    plan: dict[str, Any] = json.loads(checked.out)
    return plan


def folded(text: str) -> str:
    """Return a text with one blank where it has several, so that columns do not matter."""
    return re.sub(r"\s+", " ", text)


# --- for people -------------------------------------------------------------------------------


async def test_the_plan_has_counts_reasons_warnings_and_the_first_bodies(offline: Desk) -> None:
    checked = await offline.run("check", "mixed.csv")
    assert checked.code == 3
    for part in (
        "list mixed.csv: 12 rows; CSV, semicolon; column 'note' not read",
        "rows 12 read: 7 accepted, 1 duplicate, 4 rejected",
        "requests 5 for 4 orders (one per order and language), 5 to send",
        "mails to a.example 2, c.example 2, g.example 2 1 request has no address",
        "time a few seconds at best, within 1000/3m and 100/5s",
        "`send` would send nothing: 4 of 12 rows were rejected, more than --max-rejected 20%. Is",
        "send the other rows with `send --max-rejected 100%`.",
        "2 rows: no valid order number mixed.csv, line 8: the order number is 'x105'",
        "1 row: no valid domain mixed.csv, line 7: the domain 'nope' is not a full domain name",
        "line 10: a domain without an e-mail address",
        "mixed.csv, line 11: order 108: locale eo",
        "1 order: an address at a parent domain; email_domain is filled in",
    ):
        assert part in folded(checked.out)
    pair = "admin@c.example for c.example, ssl@c.example for c.example"
    # Twice: the address is none of the usual five, and the domain has two of them.
    assert checked.out.count(f"mixed.csv, line 4: order 102: {pair}\n") == 2

    shown = checked.out.partition("First requests, 3 of 5\n")[2].splitlines()
    assert [line.strip() for line in shown[::2]] == [
        f"PUT /order/certificate/{order}/resend-emails" for order in (101, 102, 103)
    ]
    bodies = [json.loads(line) for line in shown[1::2]]
    assert bodies[0]["domain_approval_emails"][0] == {
        "domain": "b.a.example", "email": "hostmaster@a.example", "email_domain": "a.example",
    }  # fmt: skip
    assert (bodies[1]["locale"], bodies[2]) == ("en", {})


async def test_more_of_a_kind_than_fit_are_counted_and_v_lists_them_all(offline: Desk) -> None:
    rows = [f"x{n},d{n}.example,nobody@d{n}.example" for n in range(40)]
    odd = [f"{n},shop.d{n}.example,nobody@d{n}.example" for n in range(100, 140)]
    offline.write("odd.csv", "\n".join(["order_id,domain,email", *rows, *odd]))
    brief = (await offline.run("check", "odd.csv")).out
    assert "and 35 more: -v lists them" in brief
    assert "40 domains, one each, such as d100.example, d101.example time" in folded(brief)
    twice = "141,d141.example,nobody@d141.example\n142,x.d141.example,nobody@d141.example\n"
    offline.write("twice.csv", "\n".join(["order_id,domain,email", *odd, twice]))
    several = folded((await offline.run("check", "twice.csv")).out)
    assert "mails to d141.example 2, d100.example 1, " in several
    assert ", and 31 mails at 31 other domains time" in several
    closely = (await offline.run("check", "-v", "odd.csv")).out
    assert "more:" not in closely
    for line in range(2, 82):
        assert f"odd.csv, line {line}: " in closely
    plan = await plan_of(offline, "odd.csv")
    assert len(plan["recipients"]) == 10
    assert (plan["recipient_domains"], plan["mails"]) == (40, 40)


async def test_what_the_lists_themselves_say_is_over_is_counted_by_reason(offline: Desk) -> None:
    checked = await offline.run(
        "check", "mixed.csv", "orders.json", "-", stdin=b"order_id\n100200307\n"
    )
    text = folded(checked.out)
    assert "skipped 2: its status is issued, not pending" in text
    assert "skipped 1: its domains are validated by 'dns-txt-token', not by e-mail" in text
    assert "--all-statuses sends those too" in text
    assert "mixed.csv: 12 rows; CSV, semicolon; column 'note' not read" in checked.out
    assert "orders.json: 4 rows; JSON" in checked.out
    assert "standard input: 1 row; CSV, comma" in checked.out
    products = "".join(f"{n},pending,EV {n}\n" for n in range(100_200_301, 100_200_313))
    offline.write("skipped.csv", f"order_id,status,product\n{products}")
    checked = await offline.run("check", "skipped.csv")
    assert "2, perhaps waiting for mails of another call: other products" in folded(checked.out)
    statuses = "".join(f"{n},pending,{n}-txt\n" for n in range(100_200_301, 100_200_313))
    offline.write("skipped.csv", f"order_id,status,dcv_method\n{statuses}")
    dns = (await offline.run("check", "skipped.csv", "--map", "dcv_method=dcv_method")).out
    assert "2: for other reasons" in dns


async def test_a_file_name_reaches_the_terminal_as_text_whatever_is_in_it(desk: Desk) -> None:
    name = "\x1b]0;taken over\x07.csv"
    missing = await desk.run("check", name)
    assert missing.code == 1
    desk.write(name, "order_id\n100200301\nx\n")
    shown = await desk.run("check", name, "-v")
    assert shown.code == 3
    for said in (missing, shown):
        assert "\x1b" not in said.out + said.err
        assert r"\x1b]0;taken over\x07.csv" in said.out + said.err


# --- for programs -----------------------------------------------------------------------------


async def test_the_json_adds_up_and_has_the_figures_of_the_text(offline: Desk) -> None:
    lists = ("mixed.csv", "orders.json")
    plan = await plan_of(offline, *lists)
    rows = plan["rows"]
    assert rows["read"] == sum(rows.values()) - rows["read"] == 16
    assert rows["read"] == sum(source["rows"] for source in plan["inputs"])
    assert rows["rejected"] == sum(kind["count"] for kind in plan["rejected"])
    skipped = sum(skip["count"] for skip in plan["skipped"])
    assert plan["requests"] == plan["to_send"] + plan["cooling_down"] + plan["held"] + skipped

    text = folded((await offline.run("check", *lists)).out)
    for source in plan["inputs"]:
        assert f"list {source['path']}: {source['rows']} rows; {source['form']}" in text
    assert f"rows {rows['read']} read: {rows['accepted']} accepted" in text
    assert f"{plan['requests']} for {plan['orders']} orders" in text
    assert f"{plan['to_send']} to send" in text
    for kind in (*plan["rejected"], *plan["warnings"]):
        assert re.search(rf"{kind['count']} (row|order)s?: {re.escape(kind['text'])}", text)
        for place in () if kind["kind"] == "email_domain_filled_in" else kind["first"]:
            assert f"{place['file']}, line {place['line']}: {place['text']}" in text
    for skip in plan["skipped"]:
        assert f"skipped {skip['count']}: {skip['text']}" in text
    recipients = ", ".join(f"{one['text']} {one['count']}" for one in plan["recipients"])
    assert f"mails to {recipients}" in text
    for request in plan["first_requests"]:
        assert json.dumps(request["body"]) in text


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_it_ends_with_0_where_every_row_is_good_with_3_where_one_is_not_and_else_with_1(
    offline: Desk, form: tuple[str, ...]
) -> None:
    offline.write("good.csv", "order_id\n100200301\n100200302\n100200302\n")
    assert (await offline.run("check", "good.csv", *form)).code == 0
    assert (await offline.run("check", "mixed.csv", *form)).code == 3
    unread = await offline.run("check", "none.csv", *form)
    assert (unread.code, "none.csv: cannot be read" in unread.out) == (1, bool(form))
    assert "none.csv: cannot be read: No such file or directory" in unread.err


async def test_of_a_list_that_is_not_there_it_names_the_one_that_was_meant(desk: Desk) -> None:
    desk.write_list(1)
    mistyped = await desk.run("check", "order.csv")
    assert mistyped.code == 1
    assert "order.csv: cannot be read: No such file or directory; did you mean orders.csv?" in (
        mistyped.err
    )
    other = await desk.run("check", "nothing-like-it.xlsx")
    assert "did you mean" not in other.err


async def test_neither_journal_nor_ca_is_asked_and_nothing_left_behind(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(20)
        await desk.run("send", "orders.csv", "--all-domains")
        (tmp_path / "temporary").mkdir()
        desk.environment["TMPDIR"] = str(tmp_path / "temporary")
        before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        requests = ca.books.requests
        checked = await desk.run("check", "orders.csv")
        assert "20 to send" in checked.out, "what was sent is not known here"
        assert ca.books.requests == requests
        after = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
        assert after == before


async def test_a_status_that_is_not_known_skips_its_order_and_the_note_says_the_word(
    offline: Desk,
) -> None:
    words = ("denied", "failed", "suspended", "approved", "needs_approval", "needs_csr",
             "processing", "expired", "cancelled", "canceled", "Waiting Pickup")  # fmt: skip
    later = ("quarantined", "Held for Review")
    rows = [f"{n},{word}" for n, word in enumerate((*words, *later, "pending"), start=100_200_301)]
    offline.write(
        "orders.csv", "\n".join(["order_id,status", *rows]) + "\n100200399,no\n100200399,pending\n"
    )
    plan = await plan_of(offline, "orders.csv")
    assert (plan["rejected"], plan["to_send"]) == ([], 2), "the last has a row that waits"
    note, mixed = plan["warnings"]
    assert (note["kind"], note["count"]) == ("unknown_status", 2)
    assert (mixed["kind"], mixed["count"]) == ("rows_disagree", 1)
    assert "--all-statuses sends these too" in note["text"]
    assert [place["text"] for place in note["first"]] == [
        f"order {n}: its status is {word!r}, which is not known"
        for n, word in enumerate(later, start=100_200_301 + len(words))
    ]
    assert (await plan_of(offline, "orders.csv", "--all-statuses"))["to_send"] == len(rows) + 1


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


async def test_out_is_in_the_order_of_the_list_and_its_owners_alone(desk: Desk) -> None:
    desk.write("list.csv", "order_id\n100200330\n100200310\n100200320\n")
    (desk.folder / "link.jsonl").symlink_to("plan.jsonl")
    await desk.run("check", "list.csv", "--out", "link.jsonl")
    path = desk.folder / "plan.jsonl"
    assert [request["order_id"] for request in requests_in(path)] == [
        "100200330",
        "100200310",
        "100200320",
    ]
    assert path.stat().st_mode & 0o077 == 0
    desk.write("list.csv", "order_id\nx\n")
    assert (await desk.run("check", "list.csv", "--out", "link.jsonl")).code == 3
    assert path.read_text() == "", "nothing is to be sent"


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("none/plan.jsonl", 1, "cannot be written: No such file or directory"),
        ("orders.csv/plan.jsonl", 1, "cannot be written: Not a directory"),
        ("pipe", 1, "exists, and is not a file"),
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
