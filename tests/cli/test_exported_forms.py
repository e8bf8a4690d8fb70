"""What `export` writes asks for the same as CSV and as JSON, and so does what is left of it."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from batch_resend.simulator.faults import Oddity
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results

FIRST = 100_200_300
SEVERAL = ("a.example", "www.a.example", "*.b.example")
DV = (
    WorldOrder(FIRST + 1, domains=("one.example",)),
    WorldOrder(FIRST + 2, domains=SEVERAL, container="Shop"),
    WorldOrder(FIRST + 3, domains=SEVERAL, approved={"a.example"}),
    WorldOrder(FIRST + 4, status="reissue_pending", container='=1+1; Größe, "x"'),
    WorldOrder(FIRST + 5, dcv_method="dns-txt-token"),
    WorldOrder(FIRST + 6, oddity=Oddity.NULL_NAMES),
)
NOT_DV = (
    WorldOrder(FIRST + 11, product="ssl_basic", domains=("xn--mnchen-3ya.example",)),
    WorldOrder(FIRST + 12, product="ssl_basic", domains=SEVERAL, approved={"a.example"}),
    WorldOrder(FIRST + 13, product="ssl_ev_plus", domains=("*.c.example", "c.example")),
    WorldOrder(FIRST + 14, product="ssl_ev_plus", domains=("d.example",), approved={"d.example"}),
    WorldOrder(FIRST + 15, product="ssl_ev_plus", dcv_method="dns-txt-token", container="Shop"),
    WorldOrder(FIRST + 16, product="ssl_basic", oddity=Oddity.NULL_NAMES),
    WorldOrder(FIRST + 17, product="ssl_basic", domains=("f.example",), status="reissue_pending"),
    WorldOrder(FIRST + 18, product="ssl_basic", domains=("g.example",), oddity=Oddity.LIST_PRODUCT),
)
WORLDS = {"both kinds": DV + NOT_DV, "DV alone": DV, "no DV": NOT_DV, "two": (DV[0], NOT_DV[0])}
RUN = "--skipped-by"
EXPORTS = [
    (),
    ("--details",),
    ("--container", "Main", "--older-than", "1d"),
    ("--product", "ssl_basic", "--product", "ssl_dv_geotrust_flex", "--filter", "status=pending"),
    (RUN, "latest"),
]
READINGS = [
    (),
    ("--auto-call",),
    ("--auto-call", "--all-domains", "--all-statuses"),
    ("--call", "domain-dcv"),
    ("--call", "order-approval"),
    ("--any-product", "--locale", "fr"),
    ("--all-domains",),
]


async def exported(desk: Desk, ca: Simulator, world: str, export: Sequence[str]) -> None:
    """Have a world's orders exported in both formats: `list.csv` and `list.jsonl`."""
    for order in WORLDS[world]:
        ca.world.add(replace(order, approved={*order.approved}))
    if RUN in export:
        numbers = "".join(f"{order.order_id}\n" for order in WORLDS[world][::-1])
        desk.write("numbers.csv", f"order_id\n{numbers}")
        await desk.run("send", "numbers.csv", "--preflight")
    for form in ("csv", "jsonl"):
        written = await desk.run("export", *export, "--format", form, "--out", f"list.{form}")
        assert written.code == 0, written.err


async def asked(desk: Desk, ca: Simulator, path: str, words: Sequence[str]) -> Any:
    """Return what comes of a list that is sent as the first one; its report: `PATH.report`."""
    ca.books.bodies.clear()
    ca.books.recipients.clear()
    report = desk.folder / f"{path}.report"
    journal = desk.folder / f"{path}.db"
    for old in desk.folder.glob(f"{path}.db*"):
        old.unlink()
    flags = ("--max-rejected", "100%", "--report-dir", str(report))
    sent = await desk.run("send", path, *words, *flags, BATCH_RESEND_JOURNAL=str(journal))
    if not report.exists():
        return sent.code
    summary, requests = read_summary(report), results(report)
    return (
        sent.code,
        {one: sorted(map(json.dumps, held)) for one, held in ca.books.bodies.items()},
        {one: sorted(map(sorted, held)) for one, held in ca.books.recipients.items()},
        [summary[name] for name in ("rows", "orders", "skipped")],
        sorted([one["order_id"], one["status"], one["error_message"] or ""] for one in requests),
    )


@pytest.mark.parametrize(
    ("world", "export"),
    [
        *(pytest.param("both kinds", one, id=" ".join(("both kinds", *one))) for one in EXPORTS),
        *(pytest.param(one, EXPORTS[1], id=one) for one in WORLDS if one != "both kinds"),
    ],
)
async def test_an_export_asks_for_the_same_in_each_format(
    tmp_path: Path, world: str, export: Sequence[str]
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        await exported(desk, ca, world, export)
        for words in READINGS:
            by_csv = await asked(desk, ca, "list.csv", words)
            assert await asked(desk, ca, "list.jsonl", words) == by_csv, words


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_an_export_of_orders_of_each_kind_mails_what_waits_and_each_domain_once(
    tmp_path: Path, form: str
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        await exported(desk, ca, "both kinds", ("--details",))
        await desk.run("send", f"list.{form}")
        orders: dict[str, list[dict[str, Any]]] = {
            str(FIRST + number): [{}] for number in (1, 2, 3, 4, 6)
        }
        assert ca.books.bodies == orders
        ca.books.bodies.clear()
        sent = await desk.run("send", f"list.{form}", "--auto-call", "--again")
        assert sent.code == 0, sent.err
        of_domains = [held for one, held in ca.books.bodies.items() if one not in orders]
        assert all(ca.books.bodies[one] == held for one, held in orders.items())
        # A domain goes by its number; a name and its wildcard are the same one.
        names = ["b", "c", "f", "g", "www.a", "xn--mnchen-3ya"]
        assert sorted(body["name_scope"] for held in of_domains for body in held) == sorted(
            [*(f"{name}.example" for name in names), "example.com"]
        )


def correct(path: Path) -> None:
    """Leave one of several names in each row of a rejected.csv."""
    with path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    end = heading.index("file")
    with path.open("w", newline="") as file:
        corrected = ([cell.split("; ")[0] for cell in row[:end]] + row[end:] for row in rows)
        csv.writer(file).writerows([heading, *corrected])


@pytest.mark.parametrize("words", READINGS, ids=" ".join)
async def test_what_is_left_of_an_export_asks_for_the_same_in_each_format(
    tmp_path: Path, words: Sequence[str]
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        await exported(desk, ca, "both kinds", ("--details",))
        found: dict[str, list[Any]] = {"csv": [], "jsonl": []}
        for form, of_form in found.items():
            path = f"list.{form}"
            of_form.append(await asked(desk, ca, path, (*words, "--max-orders", "4")))
            for left in ("unsent.csv", "refused.csv", "rejected.csv"):
                of_form.append(await asked(desk, ca, f"{path}.report/{left}", words))
            correct(desk.folder / f"{path}.report" / "rejected.csv")
            # Of objects about a domain, it has a column for addresses, and asks for the word.
            with_word = dict.fromkeys((*words, "--all-domains"))
            of_form.append(await asked(desk, ca, f"{path}.report/rejected.csv", [*with_word]))
            plan = ("check", path, *words, "--out", f"{form}.plan")
            of_form.append((await desk.run(*plan)).code)
            of_form.append(await asked(desk, ca, f"{form}.plan", ()))
        assert found["jsonl"] == found["csv"]
