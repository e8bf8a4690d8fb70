"""A corrected rejected.csv mails what the corrected list would: what that rules out stays so.

Of lists of every form, alone and together. What the CA's exports say of an order (its status, how
its domains are validated, what its product is) decides whether and by which call it is mailed.
"""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from tests.cli.conftest import Desk, desk_with_ca

Record = dict[str, Any]
# Each with the mistake in its address that is corrected later, but for the first.
RECORDS: list[Record] = [
    {"order_id": n, "domain": f"d{n}.example", "email": f"a at d{n}.example", **rest}
    for n, rest in enumerate(
        (
            {"product": "ssl_dv_geotrust", "dcv_method": "email", "status": "pending"},
            {"product": "ssl_securesite_pro", "dcv_method": "email", "status": "pending"},
            {"product": "ssl_dv_geotrust", "dcv_method": "dns-txt-token", "status": "pending"},
            {"product": "ssl_dv_geotrust", "dcv_method": "email", "status": "issued"},
            {"product": "GeoTrust DV SSL", "dcv_method": "e-mail", "status": "Pending"},
        ),
        start=100300301,
    )
]
GOOD = {
    "order_id": 100300399, "domain": "good.example", "email": "a@good.example",
    "product": "RapidSSL", "dcv_method": "email", "status": "pending",
}  # fmt: skip


def written(records: Sequence[Record], **renamed: str) -> str:
    """Return records as CSV, some keys under other headings."""
    lines = [[renamed.get(key, key) for key in records[0]]]
    lines += [list(map(str, record.values())) for record in records]
    return "".join(",".join(line) + "\n" for line in lines)


def nested(record: Record) -> Record:
    """Return a record with its entries within, and its product as the CA has it."""
    rest = {key: held for key, held in record.items() if key not in ("domain", "email", "product")}
    entry = {"domain": record["domain"], "email": record["email"]}
    product = {"name_id": record["product"], "name": "Any", "type": "ssl_certificate"}
    return {**rest, "product": product, "domain_approval_emails": [entry]}


def of_the_ca(record: Record) -> Record:
    """Return a record as the CA has it: without approvers, and with the mistake in its number."""
    kept = {key: record[key] for key in ("status", "dcv_method")}
    certificate = {"common_name": record["domain"], "dns_names": [record["domain"]]}
    product = {"name_id": record["product"], "type": "ssl_certificate"}
    return {"id": number(record), "certificate": certificate, "product": product, **kept}


def number_only(record: Record) -> Record:
    return {"order_id": number(record), "status": record["status"], "product": record["product"]}


def number(record: Record) -> str:
    """Return a record's number, with the mistake that its address has."""
    return f"{record['order_id']}{' at ' * (' at ' in record['email'])}"


def parted(record: Record) -> Record:
    """Return a record whose product stands under two keys."""
    return {**record, "product": "DigiCert", "product name id": record["product"]}


def below(record: Record) -> Record:
    """Return a record of an API that has the fields in an object of their own."""
    return {"type": "orders", "attributes": record}


def lines_of(records: Sequence[Record]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def in_two(one: Callable[[Sequence[Record]], str], other: Callable[[Sequence[Record]], str]) -> Any:
    return lambda records: {"1": one(records[:3]), "2": other(records[3:])}


def put(folder: Path, records: Sequence[Record]) -> None:
    """Write a workbook."""
    with xlsxwriter.Workbook(str(folder / "book.xlsx")) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate([list(records[0]), *(list(one.values()) for one in records)]):
            sheet.write_row(at, 0, list(map(str, row)))


# What is written of the records, by name of the list, and the options that read it.
FORMS: dict[str, tuple[Callable[[Sequence[Record]], dict[str, str]], tuple[str, ...]]] = {
    "a JSON array": (lambda all_: {"1": json.dumps(all_)}, ()),
    "JSON lines": (lambda all_: {"1": lines_of(all_)}, ()),
    "JSON in objects": (lambda all_: {"1": json.dumps({"data": {"items": all_}})}, ()),
    "nested, products as objects": (lambda all_: {"1": json.dumps(list(map(nested, all_)))}, ()),
    "products under two keys": (lambda all_: {"1": json.dumps(list(map(parted, all_)))}, ()),
    "fields in an object of their own": (
        lambda all_: {"1": json.dumps({"data": list(map(below, all_))})}, (),
    ),
    "keys that --map names": (
        lambda all_: {"1": lines_of([
            {**{k: v for k, v in one.items() if k != "product"}, "what": {"sku": one["product"]}}
            for one in all_
        ])},
        ("--map", "product=what.sku"),
    ),
    "two CSV lists": (in_two(
        written, lambda all_: written(all_, dcv_method="DCV method", product="Product"),
    ), ()),
    "CSV with the product in two columns, and JSON": (in_two(
        lambda all_: written(list(map(parted, all_))), lines_of,
    ), ()),
    "a workbook and JSON": (lambda all_: {"2": lines_of(all_[3:])}, ()),
    "pages of the CA": (lambda all_: {"1": json.dumps({"orders": list(map(of_the_ca, all_))})}, ()),
    "numbers only": (lambda all_: {"1": json.dumps(list(map(number_only, all_)))}, ()),
    "one CSV list": (lambda all_: {"1": written(all_)}, ()),
}  # fmt: skip
OPTIONS = [(), ("--any-product",), ("--auto-call",), ("--all-statuses",)]


async def planned(desk: Desk, words: Sequence[str], lists: Sequence[str]) -> tuple[Any, Any]:
    """Return what a command would send, and what it would skip, by reason."""
    checked = await desk.run("check", "--json", "--out", "out.jsonl", *words, *lists)
    out = (desk.folder / "out.jsonl").read_text().splitlines() if checked.code in (0, 3) else []
    sent = sorted(
        json.dumps([one["path"], one["body"]], sort_keys=True) for one in map(json.loads, out)
    )
    plan = json.loads(checked.out)
    return sent, plan["skipped"] + plan["other_call"]


@pytest.mark.asyncio
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("form", FORMS)
async def test_a_corrected_rejected_csv_is_planned_as_the_corrected_lists_are(
    tmp_path: Path, form: str, options: tuple[str, ...]
) -> None:
    make, flags = FORMS[form]
    words = (*options, *flags)
    async with desk_with_ca(tmp_path) as (desk, _):
        bad = [GOOD, *RECORDS]
        right = [{**one, "email": one["email"].replace(" at ", "@")} for one in RECORDS]
        lists: dict[str, list[str]] = {}
        for name, records in (("bad", bad), ("right", [GOOD, *right])):
            folder = tmp_path / name
            folder.mkdir()
            if form.startswith("a workbook"):
                put(folder, records[:3])
            for file, text in make(records).items():
                (folder / file).write_text(text)
            lists[name] = sorted(f"{name}/{path.name}" for path in folder.iterdir())
        wanted = await planned(desk, words, lists["right"])
        sent = await desk.run(
            "send", "--yes", "--max-rejected", "100%", *words, "--report-dir", "r", *lists["bad"]
        )
        assert sent.code == 3, sent.err
        rejected = tmp_path / "r" / "rejected.csv"
        ruled = await planned(desk, words, ["r/rejected.csv"])
        assert ruled[0] == [], "as it is, nothing of it is sent"
        correct(rejected)
        found = await planned(desk, words, ["r/rejected.csv"])
        of_good = [one for one in wanted[0] if "good.example" in one or "100300399" in one]
        assert found == ([one for one in wanted[0] if one not in of_good], wanted[1])


def corrected(cell: str) -> str:
    return cell.replace(" at ", "") if cell.endswith(" at ") else cell.replace(" at ", "@")


def correct(path: Path) -> None:
    """Correct the cells before `file`."""
    with path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    end = heading.index("file")
    for row in rows:
        row[:end] = [corrected(cell) for cell in row[:end]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])


NOBODY = [{"order_id": 100300301 + n, "status": "pending"} for n in range(12)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("record", "options"),
    [
        pytest.param({"order_id": 1003003}, (), id="a number of another length"),
        pytest.param({"order_id": 1003003}, ("--all-domains",), id="and the word for all"),
        pytest.param({"order_id": "1e9"}, (), id="no number"),
        pytest.param({"order_id": 100300399, "locale": "klingon"}, (), id="a language"),
        pytest.param({"order_id": 100300399, "all_domains": "no"}, (), id="a word against it"),
        pytest.param({"order_id": 100300399, "kontakt": "x@a.example"}, (), id="an unread address"),
        pytest.param(
            {"order_id": 100300399, "kontakt": "x@a.example"}, ("--all-domains",),
            id="an unread address, and the word for all",
        ),
        pytest.param({"order_id": 100300399, "email": ["x@a.example", 1]}, (), id="broken"),
        pytest.param({"order_id": 100300399, "status": ["pending"]}, (), id="a list as a status"),
    ],
)  # fmt: skip
async def test_a_rejected_row_that_names_nobody_is_not_mailed_before_it_is_corrected(
    tmp_path: Path, record: Record, options: tuple[str, ...]
) -> None:
    """The other rows of its list, which show what is wrong with it, are not in rejected.csv."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("list.json", json.dumps([*NOBODY, record]))
        words = ("send", "--yes", "--max-rejected", "100%", *options, "--report-dir")
        await desk.run(*words, "first", "list.json")
        before = dict(ca.books.mails_per_order)
        again = await desk.run(*words, "again", "first/rejected.csv")
        assert ca.books.mails_per_order == before, again.err


@pytest.mark.asyncio
async def test_what_is_not_dv_is_mailed_by_its_domain_when_it_is_corrected(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("list.json", json.dumps([GOOD, *RECORDS]))
        words = ("send", "--yes", "--max-rejected", "100%", "--auto-call", "--report-dir")
        await desk.run(*words, "first", "list.json")
        correct(tmp_path / "first" / "rejected.csv")
        again = await desk.run(*words, "again", "first/rejected.csv")
        assert set(ca.books.mails_per_order) == {
            "100300399", "100300301", "d100300302.example", "100300305",
        }, again.err  # fmt: skip


@pytest.mark.asyncio
async def test_lists_without_products_have_no_column_for_them(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write(
            "list.json", '[{"order_id": "x", "domain": "a.example", "email": "x@a.example"}]'
        )
        await desk.run("send", "--yes", "--max-rejected", "100%", "list.json", "--report-dir", "r")
        heading, *_ = (tmp_path / "r" / "rejected.csv").read_text().splitlines()
        assert "product" not in heading
        assert "dcv_method" not in heading


@pytest.mark.asyncio
@pytest.mark.parametrize("calls", [("", "dv-resend"), ("dv-resend", "dv-resend")])
async def test_unsent_rows_keep_the_call_that_their_list_names_whatever_the_option_says(
    tmp_path: Path, calls: tuple[str, ...]
) -> None:
    rows = [
        {"order_id": n, "domain": f"d{n}.example", "email": f"a@d{n}.example", "call": call}
        for n, call in enumerate(calls, start=100300301)
    ]
    words = ("--call", "domain-dcv")
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, _):
        desk.write("list.json", json.dumps(rows))
        wanted = await planned(desk, words, ["list.json"])
        await desk.run("send", "list.json", *words, "--max-attempts", "1", "--report-dir", "r")
        assert await planned(desk, words, ["r/unsent.csv"]) == wanted


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["unsent.csv", "refused.csv"])
async def test_what_auto_call_left_goes_back_by_the_same_calls(tmp_path: Path, name: str) -> None:
    rows = [{**one, "email": one["email"].replace(" at ", "@")} for one in RECORDS]
    async with desk_with_ca(tmp_path, faults={"500" if name[0] == "u" else "400": 1.0}) as (
        desk,
        _,
    ):
        desk.write("list.json", json.dumps([GOOD, *rows]))
        wanted, _ = await planned(desk, ("--auto-call",), ["list.json"])
        words = ("--auto-call", "--max-attempts", "1", "--report-dir", "r")
        await desk.run("send", "list.json", *words)
        found, _ = await planned(desk, ("--auto-call",), [f"r/{name}"])
        assert found == wanted
        assert any("/domain/" in one for one in found)


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["JSON lines", "one CSV list", "pages of the CA"])
@pytest.mark.parametrize("said", [{"product": "Foo 3000"}, {"dcv_method": "by post"}])
async def test_words_that_are_not_known_keep_a_row_from_being_sent_also_when_it_is_alone(
    tmp_path: Path, form: str, said: Record
) -> None:
    """The rows that show whose words they are were not rejected."""
    make, _ = FORMS[form]
    bad = {**RECORDS[0], **said}
    good = [{**GOOD, "order_id": 100300310 + n} for n in range(5)]
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list", make([*good, bad])["1"])
        await desk.run("send", "--yes", "list", "--report-dir", "r")
        correct(tmp_path / "r" / "rejected.csv")
        sent, skipped = await planned(desk, (), ["r/rejected.csv"])
        assert (sent, len(skipped)) == ([], 1)
