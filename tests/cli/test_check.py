"""`check` shows the plan: in words, as JSON, and as the requests that a `send` would make."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Desk, desk_with_ca

pytestmark = pytest.mark.asyncio

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
        {"id": 11, "certificate": {"common_name": "a.example"}, "status": "pending"},
        {"id": 12, "certificate": {"common_name": "b.example"}, "status": "issued"},
        {"id": 13, "certificate": {"common_name": "c.example"}, "status": "issued"},
        {
            "id": 14,
            "certificate": {"common_name": "d.example"},
            "status": "pending",
            "dcv_method": "dns-txt-token",
        },
    ]
}


@pytest.fixture
def offline(desk: Desk) -> Desk:
    """Return a folder to work in without a key: what is checked needs none."""
    del desk.environment["DIGICERT_API_KEY"]
    desk.write("mixed.csv", MIXED)
    return desk


async def plan_of(desk: Desk, *arguments: str) -> dict[str, Any]:
    """Return a plan as programs get it."""
    checked = await desk.run("check", "--format", "json", *arguments)
    assert checked.err == ""
    plan: dict[str, Any] = json.loads(checked.out)
    return plan


def folded(text: str) -> str:
    """Return a text with one blank where it has several, so that columns do not matter."""
    return re.sub(r"\s+", " ", text)


# --- for people -------------------------------------------------------------------------------


async def test_the_plan_counts_rows_orders_and_requests(offline: Desk) -> None:
    text = folded((await offline.run("check", "mixed.csv")).out)
    assert "list mixed.csv: CSV, semicolon, column 'note' not read, 12 rows" in text
    assert "rows 12 read: 7 accepted, 1 duplicate, 4 rejected" in text
    assert "requests 5 for 4 orders (one an order and language), 5 to send" in text


async def test_rejected_rows_stand_under_their_reason_with_file_line_and_column(
    offline: Desk,
) -> None:
    out = (await offline.run("check", "mixed.csv")).out
    reasons = out.partition("Rejected\n")[2].partition("Worth a look\n")[0].splitlines()
    assert [line.strip() for line in reasons[:3]] == [
        "2 rows: no valid order number",
        "mixed.csv, line 8: the order number is 'x105': digits are expected (column 'order_id')",
        "mixed.csv, line 9: the order number is 'x106': digits are expected (column 'order_id')",
    ]
    assert "  1 row: no valid domain" in reasons
    assert (
        "    mixed.csv, line 7: the domain 'nope' is not a full domain name (column 'domain')"
        in reasons
    )
    assert any("line 10: a domain without an e-mail address" in line for line in reasons)


async def test_warnings_name_the_order_and_what_is_odd_about_it(offline: Desk) -> None:
    out = (await offline.run("check", "mixed.csv")).out
    warnings = out.partition("Worth a look\n")[2].partition("First requests")[0]
    pair = "admin@c.example for c.example, ssl@c.example for c.example"
    # Twice: the address is none of the usual five, and the domain has two of them.
    assert warnings.count(f"mixed.csv, line 4: order 102: {pair}\n") == 2
    assert "mixed.csv, line 11: order 108: locale eo\n" in warnings
    assert "1 order: an address at a parent domain, for which email_domain is filled in" in warnings


async def test_mails_are_counted_by_domain_and_orders_without_addresses_apart(
    offline: Desk,
) -> None:
    text = folded((await offline.run("check", "mixed.csv")).out)
    assert "mails to a.example 2, c.example 2, g.example 2 1 request has no address" in text


async def test_the_first_three_bodies_are_shown_as_they_would_be_sent(offline: Desk) -> None:
    out = (await offline.run("check", "mixed.csv")).out
    shown = out.partition("First requests, 3 of 5\n")[2].splitlines()
    assert [line.strip() for line in shown[::2]] == [
        f"PUT /order/certificate/{order}/resend-emails" for order in (101, 102, 103)
    ]
    bodies = [json.loads(line) for line in shown[1::2]]
    assert bodies[0]["domain_approval_emails"][0] == {
        "domain": "b.a.example", "email": "hostmaster@A.Example", "email_domain": "a.example",
    }  # fmt: skip
    assert bodies[1]["locale"] == "en"
    assert bodies[2] == {}


@pytest.mark.parametrize(
    ("orders", "limits", "said"),
    [
        (2_001, "1000/3m 100/5s", "6m 00s at the least, within 1000/3m and 100/5s"),
        (1, "1000/3m 100/5s", "0s at the least, within 1000/3m and 100/5s"),
        (11, "5/1h", "2h 00m at the least, within 5/1h"),
        (11, "none", "0s at the least, within no limit"),
    ],
)
async def test_the_time_is_what_the_windows_dictate(
    offline: Desk, orders: int, limits: str, said: str
) -> None:
    offline.write_list(orders)
    checked = await offline.run("check", "orders.csv", BATCH_RESEND_LIMIT=limits)
    assert f"time {said}" in folded(checked.out)


async def test_more_rows_of_a_kind_than_fit_are_counted_and_v_lists_them_all(
    offline: Desk,
) -> None:
    rows = [f"x{n},d{n}.example,nobody@d{n}.example" for n in range(40)]
    odd = [f"{n},d{n}.example,nobody@d{n}.example" for n in range(100, 140)]
    offline.write("odd.csv", "\n".join(["order_id,domain,email", *rows, *odd]))
    brief = (await offline.run("check", "odd.csv")).out
    assert brief.count("and 35 more: -v lists them") == 2
    closely = (await offline.run("check", "-v", "odd.csv")).out
    assert "more:" not in closely
    for line in range(2, 82):
        assert f"odd.csv, line {line}: " in closely


async def test_what_the_list_itself_says_is_over_is_counted_by_reason(offline: Desk) -> None:
    offline.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
    checked = await offline.run("check", "orders.json")
    text = folded(checked.out)
    assert checked.code == 0
    assert "requests 4 for 4 orders (one an order and language), 1 to send" in text
    assert "skipped 2: its status is issued, not pending" in text
    assert "skipped 1: its domains are validated by 'dns-txt-token', not by e-mail" in text
    assert "--all-statuses sends those too" in text


async def test_how_each_of_several_lists_was_read_is_said(offline: Desk) -> None:
    offline.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
    checked = await offline.run(
        "check", "mixed.csv", "orders.json", "-", stdin=b"order_id\n100200307\n"
    )
    assert "mixed.csv: CSV, semicolon, column 'note' not read, 12 rows" in checked.out
    assert "orders.json: JSON, 4 rows" in checked.out
    assert "standard input: CSV, comma, 1 row" in checked.out


# --- for programs -----------------------------------------------------------------------------


async def test_the_json_adds_up(offline: Desk) -> None:
    plan = await plan_of(offline, "mixed.csv")
    rows = plan["rows"]
    assert rows["read"] == rows["accepted"] + rows["duplicate"] + rows["rejected"] == 12
    assert rows["read"] == sum(source["rows"] for source in plan["inputs"])
    assert rows["rejected"] == sum(kind["count"] for kind in plan["rejected"])
    assert plan["requests"] == plan["to_send"] + plan["cooling_down"] + plan["held"]


async def test_the_json_has_the_figures_of_the_text(offline: Desk) -> None:
    offline.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
    lists = ("mixed.csv", "orders.json")
    plan = await plan_of(offline, *lists)
    text = folded((await offline.run("check", *lists)).out)
    for source in plan["inputs"]:
        assert f"list {source['path']}: {source['form']}, {source['rows']} rows" in text
    rows = plan["rows"]
    assert f"rows {rows['read']} read: {rows['accepted']} accepted" in text
    assert f"{plan['requests']} for {plan['orders']} orders" in text
    assert f"{plan['to_send']} to send" in text
    for kind in (*plan["rejected"], *plan["warnings"]):
        assert re.search(rf"{kind['count']} (row|order)s?: {re.escape(kind['text'])}", text)
        for place in kind["first"]:
            assert f"{place['file']}, line {place['line']}: {place['text']}" in text
    for skip in plan["skipped"]:
        assert f"skipped {skip['count']}: {skip['text']}" in text
    recipients = ", ".join(f"{one['text']} {one['count']}" for one in plan["recipients"])
    assert f"mails to {recipients}" in text
    for request in plan["first_requests"]:
        assert json.dumps(request["body"]) in text


@pytest.mark.parametrize("form", ["text", "json"])
async def test_it_ends_with_0_where_every_row_is_good_and_with_3_where_one_is_not(
    offline: Desk, form: str
) -> None:
    offline.write("good.csv", "order_id\n100200301\n100200302\n100200302\n")
    assert (await offline.run("check", "good.csv", "--format", form)).code == 0
    assert (await offline.run("check", "mixed.csv", "--format", form)).code == 3


async def test_it_ends_with_1_where_a_list_cannot_be_read(offline: Desk) -> None:
    checked = await offline.run("check", "none.csv")
    assert checked.code == 1
    assert checked.out == ""
    assert "none.csv: cannot be read: No such file or directory" in checked.err


async def test_neither_a_journal_nor_anything_else_is_left_behind(offline: Desk) -> None:
    before = sorted(offline.folder.iterdir())
    (offline.folder / "temporary").mkdir()
    offline.environment["TMPDIR"] = str(offline.folder / "temporary")
    await offline.run("check", "mixed.csv")
    assert list((offline.folder / "temporary").iterdir()) == []
    (offline.folder / "temporary").rmdir()
    assert sorted(offline.folder.iterdir()) == before


async def test_the_journal_and_the_ca_are_not_asked(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(20)
        await desk.run("send", "orders.csv")
        journal = (tmp_path / "journal.db").read_bytes()
        requests = ca.books.requests
        checked = await desk.run("check", "orders.csv")
        assert "20 to send" in checked.out, "what was sent is not known here"
        assert ca.books.requests == requests
    assert (tmp_path / "journal.db").read_bytes() == journal


async def test_the_plan_says_how_many_it_does_not_show(desk: Desk) -> None:
    rows = [f"{n},shop.d{n}.example.com,admin@d{n}.example.com" for n in range(1, 14)]
    desk.write("list.csv", "order_id,domain,email\n" + "\n".join(rows) + "\n")
    plan = json.loads((await desk.run("check", "list.csv", "--format", "json")).out)
    assert len(plan["recipients"]) == 10
    assert (plan["recipient_domains"], plan["mails"]) == (13, 13)
    assert ", 3 other domains 3\n" in (await desk.run("check", "list.csv")).out
    products = "".join(f"{n},pending,EV {n}\n" for n in range(100_200_301, 100_200_313))
    desk.write("skipped.csv", f"order_id,status,product\n{products}")
    assert "2: for other reasons" in (await desk.run("check", "skipped.csv")).out


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


async def test_columns_that_are_not_read_are_named(desk: Desk) -> None:
    heading = "Bestellnummer;Stadt;" + ";".join(f"x{number}" for number in range(6))
    desk.write("orders.csv", f"{heading}\n100200301;eo{';' * 6}\n")
    checked = await desk.run("check", "orders.csv", "--map", "order_id=Bestellnummer")
    told = "semicolon, columns 'Stadt', 'x0', 'x1', 'x2', 'x3' and 2 more not read"
    assert told in checked.out
    mapped = ("--map", "order_id=Bestellnummer", "--map", "locale=Stadt")
    assert "'Stadt'" not in (await desk.run("check", "orders.csv", *mapped)).out


async def test_a_status_that_is_not_known_skips_its_order_and_the_note_says_the_word(
    offline: Desk,
) -> None:
    words = ("denied", "failed", "suspended", "approved", "needs_approval", "needs_csr",
             "processing", "expired", "cancelled", "canceled", "Waiting Pickup")  # fmt: skip
    later = ("quarantined", "Held for Review")
    rows = [f"{n},{word}" for n, word in enumerate((*words, *later, "pending"), start=100_200_301)]
    offline.write("orders.csv", "\n".join(["order_id,status", *rows]) + "\n")
    plan = await plan_of(offline, "orders.csv")
    assert (plan["rejected"], plan["to_send"]) == ([], 1)
    (note,) = plan["warnings"]
    assert (note["kind"], note["count"]) == ("unknown_status", 2)
    assert "--all-statuses sends these too" in note["text"]
    assert [place["text"] for place in note["first"]] == [
        f"order {n}: its status is {word!r}, which is not one that we know"
        for n, word in enumerate(later, start=100_200_301 + len(words))
    ]
    text = folded((await offline.run("check", "orders.csv")).out)
    assert f"Worth a look 2 orders: {note['text']}" in text
    assert (await plan_of(offline, "orders.csv", "--all-statuses"))["to_send"] == len(rows)


async def test_an_order_with_a_row_that_waits_is_sent_whatever_its_other_rows_say(
    offline: Desk,
) -> None:
    offline.write("orders.csv", "order_id,status\n100200301,quarantined\n100200301,pending\n")
    plan = await plan_of(offline, "orders.csv")
    assert (plan["to_send"], plan["warnings"]) == (1, [])
