"""Rows about domains that have an order's number beside: it asks for nothing, and is not lost."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results
from tests.intake.conftest import workbook
from tests.report.schemas import output_of

ORDER, OTHER = "100200001", "100200002"
HEADING = ("order_id", "domain", "email")
BY_DOMAIN = ("--call", "domain-dcv")
Rows = list[tuple[object, ...]]


def write(desk: Desk, name: str, rows: Rows, heading: tuple[str, ...] = HEADING) -> str:
    """Write a list in the form that its name says."""
    if name.endswith(".xlsx"):
        (desk.folder / name).write_bytes(workbook([heading, *rows]))
    elif name.endswith(".jsonl"):
        objects = (dict(zip(heading, row, strict=True)) for row in rows)
        desk.write(name, "".join(f"{json.dumps(one)}\n" for one in objects))
    else:
        with (desk.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([heading, *rows])
    return name


def table(desk: Desk, folder: str, name: str = "results.csv") -> Iterator[dict[str, str]]:
    with (desk.folder / folder / name).open(newline="") as file:
        yield from csv.DictReader(file)


async def events(desk: Desk, order: str) -> list[dict[str, Any]]:
    """Return what `history` says of an order, to programs."""
    found = await desk.run("history", order, "--json")
    told: list[dict[str, Any]] = json.loads(found.out)
    output_of("history").validate(told)
    return told


# --- history -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.xlsx"])
@pytest.mark.parametrize(
    ("heading", "last", "flags"),
    [
        pytest.param(HEADING, (), BY_DOMAIN, id="by --call"),
        pytest.param((*HEADING, "call"), ("domain-dcv",), (), id="by its row"),
        pytest.param((*HEADING, "product"), ("ssl_basic",), ("--auto-call",), id="by its product"),
    ],
)
async def test_history_of_an_order_has_the_attempts_for_domains_that_its_rows_named(
    tmp_path: Path, name: str, heading: tuple[str, ...], last: tuple[str, ...], flags: Any
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows: Rows = [
            (int(ORDER), "a.example", "admin@a.example", *last),
            (int(ORDER), "b.example", "admin@b.example", *last),
            (int(OTHER), "b.example", "admin@b.example", *last),
        ]
        sent = await desk.run("send", write(desk, name, rows, heading), *flags)
        assert sent.code == 0, sent.err
        assert (set(ca.books.requests_per_order), ca.books.mails) == ({"a.example", "b.example"}, 2)
        told = await desk.run("history", ORDER)
        assert "for the domain a.example, by domain-dcv: admin@a.example" in told.out
        assert "for the domain b.example, by domain-dcv: admin@b.example" in told.out
        of_other = [(e["order_id"], e["outcome"]) for e in await events(desk, OTHER)]
        assert of_other == [("b.example", "sent"), ("b.example", "duplicate")]
        assert await events(desk, "10020000") == await events(desk, "1002000011") == []


async def test_history_tells_of_an_order_that_one_call_refused_and_another_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.world.add(WorldOrder(int(ORDER), product="ssl_basic", domains=("a.example",)))
        write(desk, "list.csv", [(ORDER, "a.example", "admin@a.example")])
        refused = await desk.run("send", "list.csv", "--report-dir", "first")
        assert refused.code == 3, refused.err
        sent = await desk.run("send", "first/refused.csv", *BY_DOMAIN)
        assert sent.code == 0, sent.err
        told = await events(desk, ORDER)
        assert [(e["call"], e["outcome"]) for e in told] == [
            ("dv-resend", "refused"), ("domain-dcv", "sent"),
        ]  # fmt: skip


async def test_history_tells_of_an_order_whose_domains_were_exported_and_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        names = ("a.example", "b.example")
        ca.world.add(WorldOrder(int(ORDER), product="ssl_basic", domains=names))
        desk.write("list.csv", f"order_id,product\n{ORDER},ssl_basic\n")
        await desk.run("send", "list.csv", "--report-dir", "first")
        run = read_summary(tmp_path / "first")["run_id"]
        await desk.run("export", "--skipped-by", run, "--out", "domains.csv")
        assert (await desk.run("send", "domains.csv", *BY_DOMAIN)).code == 0
        told = [e["outcome"] for e in await events(desk, ORDER)]
        assert told == ["skipped", "sent", "sent"]


async def test_a_domain_is_found_by_its_number_its_name_and_as_a_report_calls_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.world.add_domain(17, "a.example.com")
        desk.write("both.csv", "domain_id,domain,all_domains\n17,a.example.com,yes\n")
        desk.write("number.csv", "domain_id,all_domains\n17,yes\n")
        for name in ("both.csv", "number.csv"):
            assert (await desk.run("send", *BY_DOMAIN, name, "--report-dir", name[:4])).code == 0
        called = [results(tmp_path / name)[0]["order_id"] for name in ("both", "numb")]
        assert called == ["17 a.example.com", "17"], "as the report calls them"
        assert ca.books.mails_per_order == {"17": 2}
        found = {sought: len(await events(desk, sought)) for sought in ("17", "17 a.example.com")}
        assert found == {"17": 2, "17 a.example.com": 1}
        assert len(await events(desk, "a.example.com")) == 1, "of the other it knows the number"
        told = await desk.run("history", "17")
        assert "for the domain 17 a.example.com, by domain-dcv" in told.out
        assert "for the domain 17, by domain-dcv" in told.out


async def test_history_of_an_order_has_rejected_rows_about_its_domains(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        rows: Rows = [(ORDER, "a.example", "bad"), (OTHER, "b.example", "admin@b.example")]
        await desk.run("send", write(desk, "list.csv", rows), *BY_DOMAIN, "--max-rejected", "100%")
        told = (await desk.run("history", ORDER)).out
        assert "list.csv, line 2: the e-mail address 'bad' has no @" in told
        assert "for the domain a.example, by domain-dcv" in told


@pytest.mark.parametrize("number", ["100 200 001", "#100200001", "'100200001", "100200001.0"])
async def test_an_order_is_found_however_a_list_writes_its_number(
    tmp_path: Path, number: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        write(desk, "list.csv", [(number, "a.example", "admin@a.example")])
        sent = await desk.run("send", "list.csv", *BY_DOMAIN, "--report-dir", "first")
        assert sent.code == 0, sent.err
        assert [row["kept_order_id"].lstrip("'") for row in table(desk, "first")] == [
            number.lstrip("'")
        ]
        assert [e["order_id"] for e in await events(desk, ORDER)] == ["a.example"]


# --- the report ----------------------------------------------------------------------------------


async def test_a_report_shows_the_order_beside_the_domain(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"404": 1.0}) as (desk, _):
        rows: Rows = [
            (ORDER, "a.example", "admin@a.example"), (OTHER, "a.example", "info@a.example"),
            ("", "c.example", "admin@c.example"), (OTHER, "d.example", "bad"),
        ]  # fmt: skip
        flags = ("--max-rejected", "100%", "--report-dir", "first")
        await desk.run("send", write(desk, "list.csv", rows), *BY_DOMAIN, *flags)
        found = [(row["order_id"], row["kept_order_id"]) for row in table(desk, "first")]
        assert found == [
            ("a.example", ORDER), ("a.example", OTHER), ("c.example", ""), ("d.example", OTHER),
        ]  # fmt: skip
        kept = [[at.get("kept") for at in one["source"]] for one in results(tmp_path / "first")]
        assert kept == [[{"order_id": ORDER}, {"order_id": OTHER}], [None]]
        page = (tmp_path / "first" / "report.html").read_text()
        assert f"for order <bdi>{ORDER}</bdi>" in page
        assert f"for order <bdi>{OTHER}</bdi>" in page


async def test_a_report_of_orders_has_no_column_for_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        write(desk, "list.csv", [(ORDER, "a.example", "admin@a.example")])
        await desk.run("send", "list.csv", "--report-dir", "first")
        (row,) = table(desk, "first")
        assert "kept_order_id" not in row


# --- a number that is none of the CA's is no reason for anything ---------------------------------


ODD = ["7", "0100200001", "1.00401E+08", "n/a", "PO-17", "=1+1", "#REF!", "100,200", "9" * 30, "ü"]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
@pytest.mark.parametrize("flags", [BY_DOMAIN, (), ("--auto-call",)], ids=["flag", "row", "product"])
@pytest.mark.parametrize("odd", ODD)
async def test_whatever_stands_for_an_order_beside_a_domain_the_domain_is_sent(
    tmp_path: Path, name: str, flags: tuple[str, ...], odd: str
) -> None:
    key, call = {BY_DOMAIN: ((), ()), (): (("call",), ("domain-dcv",))}.get(
        flags, (("product",), ("ssl_basic",))
    )
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows: Rows = [
            (str(100_200_000 + n), f"{n}.example", f"admin@{n}.example", *call) for n in range(4)
        ]
        rows.append((odd, "odd.example", "admin@odd.example", *call))
        rows.append(("", "none.example", "admin@none.example", *call))
        list_of = write(desk, name, rows, (*HEADING, *key))
        sent = await desk.run("send", list_of, *flags, "--report-dir", "first")
        assert sent.code == 0, sent.err + sent.out
        assert ca.books.mails == 6
        kept = {row["order_id"]: row["kept_order_id"] for row in table(desk, "first")}
        as_it_stands = {"n/a": "", "=1+1": "'=1+1"}.get(odd, odd)
        assert kept["odd.example"] == as_it_stands
        assert "number" not in sent.err, "nothing was repaired"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("100200001", ORDER), ("100200001.0", "100200001.0"), ("1.00401E+08", "1.00401E+08"),
        ("1e400", "1e400"), (f'[{ORDER}, "{OTHER}"]', f"{ORDER}; {OTHER}"), ("[]", ""), ("{}", ""),
        ('{"id": 7}', ""), ("true", ""), ("null", ""), ('" 7 "', "7"), ('"\\ud800"', "?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flags", [BY_DOMAIN, (), ("--auto-call",)], ids=["flag", "row", "product"])
async def test_of_json_whatever_value_is_in_its_place_the_domain_is_sent(
    tmp_path: Path, value: str, kept: str, flags: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        by = {BY_DOMAIN: "", (): ', "call": "domain-dcv"'}.get(flags, ', "product": "ssl_basic"')
        entry = f'"domain": "a.example", "email": "admin@a.example"{by}'
        desk.write("list.jsonl", f'{{"order_id": {value}, {entry}}}\n')
        sent = await desk.run("send", "list.jsonl", *flags, "--report-dir", "first")
        assert (sent.code, ca.books.mails) == (0, 1), sent.err + sent.out
        assert [row.get("kept_order_id", "") for row in table(desk, "first")] == [kept]


async def test_an_order_is_found_where_a_domain_is_for_several(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        write(desk, "list.csv", [(f"{ORDER}, {OTHER}", "a.example", "admin@a.example")])
        assert (await desk.run("send", "list.csv", *BY_DOMAIN)).code == 0
        for order in (ORDER, OTHER):
            assert [e["order_id"] for e in await events(desk, order)] == ["a.example"]
        assert await events(desk, "200001") == []


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        pytest.param(("a.csv", "b.csv"), True, id="one heading"),
        pytest.param(("a.jsonl",), True, id="JSON"),
        pytest.param(("a.csv", "b.xlsx", "c.jsonl"), True, id="no common form"),
    ],
)
@pytest.mark.parametrize("list_name", ["unsent.csv", "refused.csv"])
async def test_what_was_not_sent_has_its_orders_and_asks_for_the_same(
    tmp_path: Path, names: tuple[str, ...], kept: bool, list_name: str
) -> None:
    numbers = ["7", ORDER, "PO-17", "100 200 003", ""]
    fault = {"404": 1.0} if list_name == "refused.csv" else {"500": 1.0}
    async with desk_with_ca(tmp_path, keep_bodies=True, faults=fault) as (desk, ca):
        for at, name in enumerate(names):
            heading = HEADING if at == 0 or name == "b.csv" else ("Order ID", "domain", "email")
            rows: Rows = [
                (one, f"{at}-{n}.example", f"admin@{at}-{n}.example")
                for n, one in enumerate(numbers)
            ]
            write(desk, name, rows, heading)
        flags = ("--max-attempts", "1", "--report-dir")
        await desk.run("send", *names, *BY_DOMAIN, *flags, "first")
        asked = dict(ca.books.bodies)
        first = [row["kept_order_id"] for row in table(desk, "first")]
        assert first == numbers * len(names)
        ca.books.bodies.clear()
        again = await desk.run("send", f"first/{list_name}", *BY_DOMAIN, *flags, "again", "--again")
        assert set(ca.books.bodies) == set(asked), again.err
        assert ca.books.bodies == asked
        assert [row["kept_order_id"] for row in table(desk, "again")] == first
        if len(names) > 1 and names[1] == "b.csv":
            return  # as it stood: only --call says what it is about
        ca.books.bodies.clear()
        alone = await desk.run("send", f"first/{list_name}", *flags, "alone", "--again")
        assert ca.books.bodies == asked, alone.err + alone.out


async def test_a_rejected_row_has_its_order_when_it_is_corrected(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name in ("a.csv", "b.jsonl"):
            write(desk, name, [("7", f"{name[0]}.example", "bad")])
        flags = ("--max-rejected", "100%", "--report-dir")
        await desk.run("send", "a.csv", "b.jsonl", *BY_DOMAIN, *flags, "first")
        rejected = tmp_path / "first" / "rejected.csv"
        lines = rejected.read_text().splitlines(keepends=True)
        corrected = (line.replace(",bad,", ",admin@x.example,", 1) for line in lines)
        rejected.write_text("".join(corrected))  # the column `row` stays as it is
        sent = await desk.run("send", "first/rejected.csv", *BY_DOMAIN, *flags, "again")
        assert sent.code == 0, sent.err + sent.out
        assert [row["kept_order_id"] for row in table(desk, "again")] == ["7", "7"]
        assert ca.books.mails == 2


# --- numbers of orders beside those of domains ---------------------------------------------------


def mixed(orders: list[str], beside: list[str]) -> Rows:
    """Return rows about orders, and below them rows about domains with these numbers beside."""
    return [
        *((n, f"{at}.example", f"admin@{at}.example", "") for at, n in enumerate(orders)),
        *(
            (n, f"d{at}.example", f"admin@d{at}.example", "domain-dcv")
            for at, n in enumerate(beside)
        ),
    ]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
@pytest.mark.parametrize(
    ("orders", "beside", "rejected"),
    [
        pytest.param(["10020000"], [ORDER] * 4, 1, id="a digit less than those beside"),
        pytest.param([ORDER, OTHER, "100200003", "10020000"], [], 1, id="than those of orders"),
        pytest.param([ORDER, OTHER, "100200003"], list("1234567"), 0, id="junk beside"),
    ],
)
async def test_a_broken_number_of_an_order_is_seen_beside_rows_about_domains(
    tmp_path: Path, name: str, orders: list[str], beside: list[str], rejected: int
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows = mixed(orders, beside)
        write(desk, name, rows, (*HEADING, "call"))
        sent = await desk.run("send", name, "--max-rejected", "100%")
        assert desk.summary()["rows"]["rejected"] == rejected, sent.err
        assert ca.books.mails == len(rows) - rejected
