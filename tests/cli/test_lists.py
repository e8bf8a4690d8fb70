"""Lists of every form, and the commands that are suggested for those that cannot be read."""

import csv
import gzip
import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, results

LISTS = Path(__file__).parents[1] / "intake" / "lists"
ADMIN_1 = {"domain_approval_emails": [{"domain": "a.example.com", "email": "admin@a.example.com"}]}


def a_list(delimiter: str, *, headed: bool = True) -> str:
    """Return a list of one row."""
    rows = [["order_id", "domain", "email", "note"]] if headed else []
    rows.append(["1", "a.example.com", "admin@a.example.com", "Müller"])
    return "".join(delimiter.join(row) + "\n" for row in rows)


def a_workbook(path: Path) -> None:
    """Write the same as a workbook."""
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["Order #", "Domain", "E-Mail"])
    sheet.write_row(1, 0, [1.0, "a.example.com", "admin@a.example.com"])
    book.close()


@pytest.mark.parametrize("by_standard_input", [False, True])
@pytest.mark.parametrize(
    ("content", "options"),
    [
        pytest.param(a_list(";").encode(), "", id="semicolon"),
        pytest.param(gzip.compress(a_list("|").encode()), "", id="packed"),
        pytest.param(a_list("\t").encode("utf-16"), "", id="UTF-16"),
        pytest.param(a_list(";").encode("cp1252"), "--encoding cp1252", id="Windows"),
        pytest.param(
            a_list(",", headed=False).encode(),
            "--no-header --map order_id=1 --map domain=2 --map email=3",
            id="no heading",
        ),
        pytest.param(json.dumps([{"id": 1, **ADMIN_1}], indent=2).encode(), "", id="a JSON array"),
        pytest.param(None, "", id="Excel"),
    ],
)
async def test_a_list_of_any_form_is_sent_as_it_says(
    tmp_path: Path, content: bytes | None, options: str, by_standard_input: bool
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        if content is None:
            a_workbook(desk.folder / "list")
        else:
            (desk.folder / "list").write_bytes(content)
        given = (desk.folder / "list").read_bytes() if by_standard_input else b""
        name = "-" if by_standard_input else "list"
        sent = await desk.run("send", name, *shlex.split(options), stdin=given)
        assert sent.code == 0, sent.err
        assert ca.books.bodies == {"1": [ADMIN_1]}


async def test_of_an_export_of_the_ca_what_waits_is_sent(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        sent = await desk.run("send", str(LISTS / "order-list.json"))
        assert sent.code == 3, sent.err
        assert ca.books.bodies == {"11": [{}], "12": [{}]}
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["orders"] | {"sent": 2, "skipped": 3, "total": 5} == summary["orders"]
        with (desk.report() / "results.csv").open(encoding="utf-8") as file:
            reasons = {row["order_id"]: row["reason"] for row in csv.DictReader(file)}
        assert reasons["13"] == "its status is issued, not pending"
        assert "--call domain-dcv" in reasons["15"]
        assert len((desk.report() / "unsent.csv").read_text().splitlines()) == 1
        assert "--all-statuses sends those too" in sent.err
        everything = await desk.run("send", str(LISTS / "order-list.json"), "--all-statuses")
        assert everything.code == 0, everything.err
        assert ca.books.mails_per_order == dict.fromkeys(("11", "12", "13", "14", "15"), 1)


async def test_rows_of_an_order_that_do_not_wait_are_skipped_and_the_plan_says_so(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        (desk.folder / "list.csv").write_text(
            "order_id,domain,email,status\n"
            "1,done.example,admin@done.example,issued\n"
            "1,shop1.example.com,admin@shop1.example.com,pending\n"
        )
        sent = await desk.run("send", "list.csv")
        assert sent.code == 0, sent.err
        plan = " ".join(sent.err.replace("│", " ").split())
        assert "2 read: 1 accepted, 0 duplicate, 1 skipped, 0 rejected" in plan
        assert "1 order: rows that disagree: some say that nothing waits for a mail" in plan
        assert ca.books.bodies == shops([1], start=0)
        assert_adds_up(desk.summary())
        with (desk.report() / "results.csv").open(encoding="utf-8") as file:
            first, second = csv.DictReader(file)
        assert (first["status"], second["status"]) == ("skipped", "sent")
        assert first["reason"] == "its status is issued, not pending"
        past = await desk.run("history", "done.example")
        assert "list.csv, line 2: its status is issued" in " ".join(past.out.split())


def shops(numbers: Iterable[int], start: int = 100200300) -> dict[str, list[Any]]:
    """Return the requests for such shops, each for its own domain and address alone."""
    return {
        str(start + n): [
            {"domain_approval_emails": [{"domain": domain, "email": f"admin@{domain}"}]}
        ]
        for n in numbers
        for domain in [f"shop{n}.example.com"]
    }


@pytest.mark.parametrize(
    ("column", "words", "said"),
    [
        ("Status", ["pending", "Held"], "an unknown order status"),
        ("DCV method", ["email", "by phone"], "an unknown way of validation"),
        ("Product", ["RapidSSL", "Gadget"], "a product that is not known to be the CA's"),
    ],
)
async def test_what_is_left_out_for_a_word_that_is_not_the_cas_is_said_and_ends_with_code_3(
    tmp_path: Path, column: str, words: list[str], said: str
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        rows = [f"{at},a.example.com,admin@a.example.com,{word}\n" for at, word in enumerate(words)]
        desk.write(
            "list.csv", f"order_id,domain,email,{column}\n" + "".join(rows).replace("0,", "2,")
        )
        checked = await desk.run("check", "list.csv")
        assert checked.code == 3
        assert said in checked.out
        sent = await desk.run("send", "list.csv")
        assert sent.code == 3
        assert said in sent.err
        assert "1 order skipped for a status, validation or product that is not known" in sent.out
        assert ca.books.bodies == {"2": [ADMIN_1]}
        ignored = await desk.run("send", "list.csv", "--ignore", column, "--again")
        assert ignored.code == 0
        assert sorted(ca.books.bodies) == ["1", "2"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--ignore nope list.csv", 2, "names a column that is not there; the columns are"),
        ("--ignore Notes list.csv", 2, "is 'Note' meant?"),
        ("--ignore Note list.csv", 0, ""),
        ("--ignore 'column 4' list.csv", 0, ""),
        ("--ignore nope list.jsonl", 2, "names a column that is not there; the columns are"),
        ("--ignore remrk list.jsonl", 2, "is 'remark' meant?"),
        ("--ignore Note list.csv list.jsonl", 0, ""),
        ("--ignore remark list.csv list.jsonl", 0, ""),
        ("--ignore nope list.csv list.jsonl", 2, "'Note'"),
        (
            "--no-header --map order_id=1 --map domain=2 --map email=3 --ignore 'column 9' b.csv",
            2,
            "'column 4'",
        ),
    ],
)
async def test_a_column_to_ignore_has_to_be_in_one_of_the_lists(
    tmp_path: Path, options: str, code: int, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows = "100200301,a.example.com,admin@a.example.com,x\n"
        desk.write("list.csv", f"order_id,domain,email,Note\n{rows}")
        desk.write("b.csv", rows)
        record = {"order_id": 100200302, "domain": "b.example.com", "email": "admin@b.example.com"}
        desk.write("list.jsonl", json.dumps(record | {"remark": "y"}) + "\n")
        sent = await desk.run("send", *shlex.split(options))
        assert sent.code == code, sent.err
        assert said in sent.err
        assert bool(ca.books.requests) == (code == 0)


ROW = "100200301{0}a.example.com{0}admin@a.example.com\n"
PAIR = {"domain": "a.example.com", "email": "admin@a.example.com"}
COMMAND = re.compile(r"batch-resend (check .*?)(?:;| \(without|$)", re.S)


def suggested(message: str) -> list[str]:
    """Return the words of the command in a message, as a shell takes them."""
    found = COMMAND.search(message)
    assert found is not None, message
    return shlex.split(found[1])


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("list.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("my list (1).csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("it's.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), ""),
        ("list.csv", '"The ""Vorgang""",Seite,$Kontakt\n' + ROW.format(","), ""),
        ("list.csv", '"Vor\ngang","Sei  te",Kon`takt\n' + ROW.format(","), ""),
        ("list.csv", "Vorgang,Seite,Kontakt's\n" + ROW.format(","), ""),
        ("list.csv", "Vorgang!,Seite\\x,Kontakt\u00a0x\n" + ROW.format(","), ""),
        ("list.csv", "Vorgang~Seite~Kontakt\n" + ROW.format("~"), "--delimiter '~'"),
        ("list.csv", "Vorgang\tdomain\tKontakt\n" + ROW.format("\t"), "--delimiter tab"),
        ("list.csv", "Vorgang,Seite,Kontakt\n" + ROW.format(","), "--map domain=Seite"),
        ("list.csv", "Vorgang,domain,email\n" + ROW.format(","), "--locale de"),
        ("list.csv", "order_id,Seite,email\n" + ROW.format(","), ""),
        ("list.csv", "order_id,domain,Kontakt\n" + ROW.format(","), ""),
        # Others that hold numbers: a year, a telephone's, a count.
        (
            "list.csv",
            "Jahr,Vorgang,Seite,Kontakt,Telefon,Nr.\n"
            "2026,100200301,a.example.com,admin@a.example.com,004930123456,1\n",
            "",
        ),
        (
            "list.csv",
            "Vorgang,Seite,Kunde,Kontakt\n100200301,a.example.com,jo@c.example,admin@a.example.com\n",
            "",
        ),
        ("latin.csv", "Vorgäng,Seite,Kontakt\n" + ROW.format(","), "--encoding cp1252"),
    ],
)
async def test_the_command_that_is_suggested_for_unknown_headings_reads_the_list(
    tmp_path: Path, name: str, content: str, options: str
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        encoding = "cp1252" if "cp1252" in options else "utf-8"
        (desk.folder / name).write_bytes(content.encode(encoding))
        refused = await desk.run("check", name, *shlex.split(options))
        assert refused.code == 1
        words = suggested(refused.err)
        checked = await desk.run(*words)
        assert checked.code == 0, checked.err
        sent = await desk.run("send", *words[1:])
        assert sent.code == 0, sent.err
        assert [body["domain_approval_emails"] for body in ca.books.bodies["100200301"]] == [[PAIR]]


async def test_so_does_that_for_a_sheet_and_for_standard_input(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    book = xlsxwriter.Workbook(str(tmp_path / "list.xlsx"))
    for sheet in ("Other", "The 2nd"):
        rows = book.add_worksheet(sheet)
        rows.write_row(0, 0, ["Vorgang", "Seite", "Kontakt"])
        rows.write_row(1, 0, [100200301, *PAIR.values()])
    book.close()
    refused = await desk.run("check", "list.xlsx", "--sheet", "The 2nd")
    checked = await desk.run(*suggested(refused.err))
    assert checked.code == 0, checked.err
    content = ("Vorgang,Seite,Kontakt\n" + ROW.format(",")).encode()
    refused = await desk.run("check", "-", stdin=content)
    checked = await desk.run(*suggested(refused.err), stdin=content)
    assert checked.code == 0, checked.err


@pytest.mark.parametrize(
    "content",
    [
        "id,name\n1,Paris\n2,Rome\n",  # numbers that no order has
        "Vorgang,Auftrag,Seite,Kontakt\n100200301,100200309,a.example.com,admin@a.example.com\n",
        "order_id,Order No.,domain,email\n100200301," + ROW.format(","),
        "Vorgang,Vorgang,Seite,Kontakt\n100200301,1,a.example.com,admin@a.example.com\n",
    ],
)
async def test_where_two_columns_may_be_meant_or_none_no_command_is_suggested(
    tmp_path: Path, content: str
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", content)
    refused = await desk.run("check", "list.csv")
    assert refused.code == 1
    assert "COLUMN" in refused.err
    assert "batch-resend check" not in refused.err


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (
            "order_id,domain,email,email 2\n" + ROW.format(",").replace("\n", ",x@a.example.com\n"),
            0,
        ),
        (
            "order_id,domain,email,domain 2,email 2\n"
            + ROW.format(",").replace("\n", ",b.example.com,x@b.example.com\n"),
            0,
        ),
        ("order_id,domain,email,send?\n" + ROW.format(",").replace("\n", ",yes\n"), 0),
        ("order_id,domain,email,Lang Kunde\n" + ROW.format(",").replace("\n", ",de\n"), 0),
        ("order_id,domain,email,Status\n" + ROW.format(",").replace("\n", ",Open\n"), 0),
    ],
)
async def test_all_that_is_to_be_left_aside_is_named_with_the_options_for_it(
    tmp_path: Path, content: str, code: int
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", content)
    refused = await desk.run("check", "list.csv")
    assert refused.code == 1
    flags = " ".join(re.findall(r'--ignore (?:"[^"]*"|\S+)', refused.err))
    checked = await desk.run("check", "list.csv", *shlex.split(flags))
    assert checked.code == code, checked.err


ENCODINGS = {  # how a list is written, and the options that read it
    "UTF-8": ("utf-8", ""),
    "UTF-8 with a mark": ("utf-8-sig", ""),
    "UTF-8 with a mark, and an option that it does not need": (
        "utf-8-sig", "--encoding cp1252",
    ),
    "UTF-16 with a mark": ("utf-16", ""),
    "UTF-16 with a mark, and an option that it does not need": ("utf-16", "--encoding latin-1"),
    "Windows": ("cp1252", "--encoding cp1252"),
    "Latin 1": ("latin-1", "--encoding latin-1"),
    "UTF-16 without a mark": ("utf-16-le", "--encoding utf-16-le"),
    "a workbook, and an option that it does not need": (None, "--encoding cp1252"),
}  # fmt: skip
BESIDE_UMLAUTS = (
    ("Order #", "Domain", "E-Mail", "Größe"),
    ("100200301", "müller.example", "admin@müller.example", "Übermaß"),
    ("1e9", "köln.example", "admin@köln.example", "öffentlich"),
)


@pytest.mark.parametrize(("fault", "status"), [("500", "failed"), ("400", "refused")])
@pytest.mark.parametrize(("encoding", "options"), ENCODINGS.values(), ids=ENCODINGS)
async def test_what_a_run_leaves_is_read_by_the_command_it_shows_in_any_number_of_generations(
    tmp_path: Path, encoding: str | None, options: str, fault: str, status: str
) -> None:
    async with desk_with_ca(tmp_path, faults={fault: 1.0}) as (desk, _):
        if encoding is None:
            with xlsxwriter.Workbook(str(desk.folder / "list")) as book:
                sheet = book.add_worksheet()
                for at, row in enumerate(BESIDE_UMLAUTS):
                    sheet.write_row(at, 0, row)
        else:
            text = "".join(";".join(cells) + "\n" for cells in BESIDE_UMLAUTS)
            (desk.folder / "list").write_bytes(text.encode(encoding))
        left = rejected = f"send list {options}"
        how = ("--yes", "--max-attempts", "1", "--max-rejected", "100%", "--report-dir")
        for generation in range(3):
            report = desk.folder / f"left{generation}"
            sent = await desk.run(*shlex.split(left), *how, report.name)
            (request,) = map(json.loads, (report / "results.jsonl").read_text().splitlines())
            assert (request["status"], "xn--mller-kva.example" in json.dumps(request)) == (
                status, True,
            )  # fmt: skip
            lists = r"batch-resend (send \S+(?:unsent|refused)\.csv.*)"
            (left,) = re.findall(lists, sent.out + sent.err)
            report = desk.folder / f"rejected{generation}"
            await desk.run(*shlex.split(rejected), *how, report.name)
            rejected = f"send {report.name}/rejected.csv {options}"
            with (report / "rejected.csv").open(encoding="utf-8-sig", newline="") as file:
                _, cells = csv.reader(file, delimiter=";" if encoding else ",")
            assert tuple(cells[:4]) == BESIDE_UMLAUTS[2]
            assert "encoding" not in cells[6]


async def test_an_internationalized_domain_is_shown_as_it_is_sent_and_as_people_write_it(
    tmp_path: Path,
) -> None:
    """In the plan and on the page, in one form everywhere; the lists have what is sent."""
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"100300308"})) as (desk, _):
        rows = ("100300308,weiß308.de,admin@weiß308.de", "100300309,xn--zzz9.de,admin@xn--zzz9.de")
        desk.write("orders.csv", "\n".join(["order_id,domain,email", *rows, ""]))
        planned = (await desk.run("check", "orders.csv")).out
        sent = await desk.run("send", "orders.csv")
        shown = "xn--wei308-dta.de (weiß308.de)"
        assert sent.code == 3, sent.err
        for plan in (planned, sent.err):
            assert f"{shown} 1" in " ".join(plan.split())
        page = (desk.report() / "report.html").read_text()
        text = re.sub("<[^>]*>", "", page)
        assert "xn--wei308-dta.de: admin@xn--wei308-dta.de (weiß308.de)" in text
        assert text.count("weiß308.de") == 1
        assert results(desk.report())[0]["entries"][0]["domain"] == "xn--wei308-dta.de"


async def test_an_order_is_looked_up_in_the_words_that_lists_have_for_its_number(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list.csv", "order_id,domain,email\n1 100 161,a.example,admin@a.example\n")
        sent = await desk.run("send", "list.csv")
        assert sent.code == 0, sent.err
        assert "1 order number repaired: thousands separators, .0 or zeros removed" in sent.err
        for word in ("1100161", " 1100161 ", "#1100161", "order 1100161", "Order #1100161",
                     "Bestell-Nr. 1100161", "1 100 161", "1,100,161", "1100161.0"):  # fmt: skip
            found = await desk.run("history", word)
            assert " accepted " in found.out, word
        for word in ("customer 1100161", "x1100161", "1100161x", "#"):
            assert (await desk.run("history", word)).code == 2, word
