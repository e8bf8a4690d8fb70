"""unsent.csv reads back with the same options, whatever form the lists had."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.intake import Field, ListSource, Reading
from tests.report.test_fed_back import assert_fed_back

pytestmark = pytest.mark.asyncio

ROWS = (
    ("100200301", "a.example.com", "admin@a.example.com", "de"),
    ("100200303", "b.example.com", "admin@b.example.com; hostmaster@b.example.com", "de"),
    ("100200303", "www.b.example.com", "admin@b.example.com", "de"),
    ("100200304", "", "", ""),
    ("100200305", "c.example.com d.example.com", "müller@c.example.com", "fr"),
    ("100200306", "e.example.com", "x+1@e.example.com", ""),
)
HEADING = ("Order #", "Domain", "E-Mail", "Language")
POSITIONS = {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3", Field.LOCALE: "4"}
FOR_ALL = Reading(all_domains=True)  # who names nobody in these lists means all
UNSENT = {"100200303", "100200304", "100200305", "100200306"}


def table(delimiter: str, *, headed: bool = True, eol: str = "\n") -> str:
    """Return the rows as CSV."""
    rows = (HEADING, *ROWS) if headed else ROWS
    return "".join(delimiter.join(f'"{cell}"' for cell in row) + eol for row in rows)


def as_json() -> str:
    """Return the rows as a JSON array."""
    fields = ("order_id", "domain", "email", "locale")
    records = [{f: c for f, c in zip(fields, row, strict=True) if c} for row in ROWS]
    return json.dumps(records, indent=1, ensure_ascii=False)


TEXTS = {
    "comma": (table(","), "utf-8", Reading()),
    "semicolon": (table(";"), "utf-8", Reading()),
    "tab": (table("\t"), "utf-8", Reading()),
    "pipe": (table("|"), "utf-8", Reading()),
    "colon, as an option says": (table(":"), "utf-8", Reading(delimiter=":")),
    "old Macintosh": (table(",", eol="\r"), "utf-8", Reading()),
    "UTF-16 with a mark": ("\ufeff" + table(";"), "utf-16-le", Reading()),
    "UTF-16 without": (table(";"), "utf-16-le", Reading(encoding="utf-16-le")),
    "Windows": (table(";"), "cp1252", Reading(encoding="cp1252")),
    "by position": (table(";", headed=False), "utf-8", Reading(POSITIONS, headed=False)),
    "by position, Windows": (
        table(";", headed=False),
        "cp1252",
        Reading(POSITIONS, headed=False, encoding="cp1252", delimiter=";"),
    ),
    "a JSON array": (as_json(), "utf-8", Reading()),
    "with a language for those that name none": (table(","), "utf-8", Reading(locale="it")),
}


@pytest.mark.parametrize(("text", "encoding", "reading"), TEXTS.values(), ids=TEXTS.keys())
async def test_a_list_of_any_form(
    tmp_path: Path, text: str, encoding: str, reading: Reading
) -> None:
    path = tmp_path / "list"
    path.write_bytes(text.encode(encoding))
    reading = replace(reading, all_domains=True)
    assert await assert_fed_back(tmp_path, [ListSource(str(path), reading)], reading=reading) == (
        UNSENT
    )


async def test_a_workbook(tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "list.xlsx"), {"strings_to_formulas": False})
    sheet = book.add_worksheet()
    for number, row in enumerate((HEADING, *ROWS), start=2):
        sheet.write_row(number, 1, [int(c) if c.isdigit() else c for c in row])
    book.close()
    sources = [ListSource(str(tmp_path / "list.xlsx"), FOR_ALL)]
    assert await assert_fed_back(tmp_path, sources, reading=FOR_ALL) == UNSENT


async def test_exports_of_the_ca_are_still_read_as_order_numbers(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    heading = "order_id,status,dcv_method,common_name,dns_names,product_name,tech_email"
    rest = '"pending","email","a.example","a.example, b.example","RapidSSL DV","x@y.example"'
    lines = [f'"{number}",{rest}' for number in range(100_200_301, 100_200_307)]
    path.write_text("\n".join([heading, *lines]))
    assert await assert_fed_back(tmp_path, [ListSource(str(path))]) == UNSENT


async def test_pages_of_the_ca_are_read_back_without_what_they_skip(tmp_path: Path) -> None:
    described = {"certificate": {"common_name": "a.example"}}
    orders = [
        {"id": n, "status": "issued" if n == 100_200_305 else "pending", **described}
        for n in range(100_200_301, 100_200_307)
    ]
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"orders": orders}))
    assert await assert_fed_back(tmp_path, [ListSource(str(path))]) == UNSENT - {"100200305"}


async def test_lists_of_different_forms_together(tmp_path: Path) -> None:
    names = {"1.csv": table(";"), "2.csv": table("|"), "3.json": as_json()}
    for name, text in names.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    sources = [ListSource(str(tmp_path / name), FOR_ALL) for name in names]
    assert await assert_fed_back(tmp_path, sources, reading=FOR_ALL) == UNSENT


async def test_json_beside_a_list_without_a_heading(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(table(";", headed=False), encoding="utf-8")
    (tmp_path / "2.jsonl").write_text(
        '{"order_id": 100200302}\n{"order_id": 100200306}\n', encoding="utf-8"
    )
    positions = {Field.ORDER_ID: "4", Field.DOMAIN: "2", Field.EMAIL: "3"}
    reading = Reading(positions, headed=False, all_domains=True)
    moved = "".join(f'"";"{d}";"{e}";"{n}"\n' for n, d, e, _ in ROWS)
    (tmp_path / "1.csv").write_text(moved, encoding="utf-8")
    sources = [ListSource(str(tmp_path / name), reading) for name in ("1.csv", "2.jsonl")]
    assert await assert_fed_back(tmp_path, sources, reading=reading) == UNSENT
