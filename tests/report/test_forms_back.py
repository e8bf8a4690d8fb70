"""What a list of any form leaves goes back with the same options.

unsent.csv asks for what was not sent, refused.csv for what was refused; rejected.csv for what its
rows were to ask for, once it is corrected, and for nothing before.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.journal import Journal
from batch_resend.model import RejectedRow, Request, Row
from batch_resend.report import write_report
from tests.journal.conftest import Clock, pending
from tests.report.carried import carried, plan_lists
from tests.report.test_fed_back import assert_fed_back

pytestmark = pytest.mark.asyncio

# Each has one bad cell: where, what stands there, and what should.
HEADING = ("Order #", "Domain", "E-Mail", "Language", "Note")
ROWS = (
    ("100200301", "a.example.com", "admin@a.example.com", "de", "good"),
    ("100200302", "b.example.com", "admin at b.example.com", "de", "müller"),
    ("1e9", "c.example.com", "admin@c.example.com", "fr", "=1+1"),
    ("100200304", "d..example.com", "admin@d.example.com", "", 'q"q'),
    ("100200305", "e.example.com", "x+y@e.example.com", "klingon!", "-"),
    ("100200306", "f.example.com", "", "", "a,b;c\td|e"),
    ("", "g.example.com", "admin@g.example.com", "it", ""),
)
# Of which each asks for more than one mail, or for one to an address that is not plain ASCII.
GOOD = (
    ("100200308", "h.example.com", "admin@h.example.com; hostmaster@h.example.com", "de", ""),
    ("100200308", "www.h.example.com", "admin@h.example.com", "de", ""),
    ("100200309", "i.example.com j.example.com", "müller@i.example.com", "fr", ""),
)
FIXES = {
    "admin at b.example.com": "admin@b.example.com",
    "1e9": "100200303",
    "d..example.com": "d.example.com",
    "klingon!": "en",
}
CORRECTED = {"100200302", "100200303", "100200304", "100200305", "100200306", "100200307"}
UNSENT = {f"10020030{digit}" for digit in "3456789"}  # by the script of test_fed_back
POSITIONS = {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3", Field.LOCALE: "4"}
KEYS = ("order_id", "domain", "email", "locale", "note")


def fixed(cell: str) -> str:
    return FIXES.get(cell, cell)


def right(row: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row as it was meant."""
    number, domain, email, *rest = map(fixed, row)
    if domain == "f.example.com":
        email = "admin@f.example.com"
    return (number or "100200307", domain, email, *rest)


def table(
    delimiter: str, rows: tuple[tuple[str, ...], ...], *, headed: bool = True, eol: str = "\n"
) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    quoted = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=eol)
    quoted.writerows((HEADING, *rows) if headed else rows)
    return text.getvalue()


def flat(rows: tuple[tuple[str, ...], ...]) -> list[dict[str, str]]:
    return [{k: cell for k, cell in zip(KEYS, row, strict=True) if cell} for row in rows]


def nested(rows: tuple[tuple[str, ...], ...]) -> list[dict[str, object]]:
    """Return rows as orders with their entries within."""
    found: list[dict[str, object]] = []
    for number, domain, email, locale, _ in rows:
        entry = {"domain": domain.split()[0] if domain else "", "email": email.partition(";")[0]}
        found.append({"order_id": number, "domain_approval_emails": [entry], "locale": locale})
    return found


Make = Callable[[tuple[tuple[str, ...], ...]], str]
FORMS: dict[str, tuple[Make, str, Reading]] = {
    "comma": (lambda rows: table(",", rows), "utf-8", Reading()),
    "semicolon": (lambda rows: table(";", rows), "utf-8", Reading()),
    "tab": (lambda rows: table("\t", rows), "utf-8", Reading()),
    "pipe": (lambda rows: table("|", rows), "utf-8", Reading()),
    "colon, as an option says": (lambda rows: table(":", rows), "utf-8", Reading(delimiter=":")),
    "old Macintosh": (lambda rows: table(",", rows, eol="\r"), "utf-8", Reading()),
    "with a mark": (lambda rows: "\ufeff" + table(";", rows), "utf-8", Reading()),
    "UTF-16": (lambda rows: "\ufeff" + table(";", rows), "utf-16-le", Reading()),
    "Windows": (lambda rows: table(";", rows), "cp1252", Reading(encoding="cp1252")),
    "by position": (
        lambda rows: table(";", rows, headed=False), "utf-8", Reading(POSITIONS, headed=False),
    ),
    "by position, Windows": (
        lambda rows: table(";", rows, headed=False), "cp1252",
        Reading(POSITIONS, headed=False, encoding="cp1252", delimiter=";"),
    ),
    "columns that --map names": (
        lambda rows: table(",", rows).replace("Order #", "=Nummer").replace("E-Mail", "-Wohin"),
        "utf-8", Reading({Field.ORDER_ID: "=Nummer", Field.EMAIL: "-Wohin"}),
    ),
    "a first heading like JSON": (
        lambda rows: table(",", rows).replace("Order #", "[Order]"), "utf-8",
        Reading({Field.ORDER_ID: "[Order]"}),
    ),
    "JSON lines": (
        lambda rows: "".join(json.dumps(one) + "\n" for one in flat(rows)), "utf-8", Reading(),
    ),
    "a JSON array": (lambda rows: json.dumps(flat(rows), indent=1), "utf-8", Reading()),
    "JSON of orders": (lambda rows: json.dumps(nested(rows), indent=1), "utf-8", Reading()),
    "wrapped JSON": (lambda rows: json.dumps({"data": {"items": flat(rows)}}), "utf-8", Reading()),
    "JSON whose keys --map names": (
        lambda rows: json.dumps(flat(rows)).replace("order_id", "Nummer"), "utf-8",
        Reading({Field.ORDER_ID: "Nummer"}),
    ),
    "with a language for those that name none": (
        lambda rows: table(",", rows), "utf-8", Reading(locale="it"),
    ),
}  # fmt: skip


async def orders_of(journal: Journal, *sources: ListSource) -> dict[str, Request]:
    """Return what lists ask for, by the orders' numbers."""
    run = await plan_lists(journal, *sources)
    return {one.request.subject: one.request for one in await pending(journal.reader, run)}


def correct(path: Path, encoding: str, delimiter: str) -> None:
    """Correct the bad cells of a rejected.csv, as in an editor."""
    with path.open(encoding=encoding, newline="") as file:
        lines = list(csv.reader(file, delimiter=delimiter))
    for cells in lines:
        cells[:] = [FIXES.get(cell.removeprefix("'"), cell) for cell in cells]
        if "f.example.com" in cells:
            cells[cells.index("f.example.com") + 1] = "admin@f.example.com"
        if "g.example.com" in cells:
            cells[cells.index("g.example.com") - 1] = "100200307"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(lines)


def delimiter_of(path: Path, reading: Reading) -> str:
    text = path.read_text(encoding="utf-8-sig")
    return reading.delimiter or max(",;\t|", key=text.splitlines()[0].count)


async def assert_goes_back(
    folder: Path, sources: list[ListSource], meant: list[ListSource], reading: Reading
) -> None:
    """Check that rejected.csv asks for nothing as it is, and corrected for what was meant."""
    async with carried(folder, sources, {}, clock=Clock()) as (journal, run):
        await write_report(journal.reader, run, folder / "report")
        wanted = await orders_of(journal, *meant)
        path = folder / "report" / "rejected.csv"
        as_it_is = list(ListSource(str(path), reading))
        assert as_it_is
        assert all(isinstance(row, RejectedRow) for row in as_it_is), as_it_is
        correct(path, "utf-8-sig" if has_mark(path) else "utf-8", delimiter_of(path, reading))
        assert await orders_of(journal, ListSource(str(path), reading)) == {
            number: order for number, order in wanted.items() if number in CORRECTED
        }


def has_mark(path: Path) -> bool:
    return path.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(("make", "encoding", "reading"), FORMS.values(), ids=FORMS)
async def test_what_is_unsent_of_a_list_of_any_form(
    tmp_path: Path, make: Make, encoding: str, reading: Reading
) -> None:
    path = tmp_path / "list"
    path.write_bytes(make((*map(right, ROWS), *GOOD)).encode(encoding))
    assert await assert_fed_back(tmp_path, [ListSource(str(path), reading)], reading=reading) == (
        UNSENT
    )


@pytest.mark.parametrize(("make", "encoding", "reading"), FORMS.values(), ids=FORMS)
async def test_what_is_rejected_of_a_list_of_any_form(
    tmp_path: Path, make: Make, encoding: str, reading: Reading
) -> None:
    (tmp_path / "list").write_bytes(make(ROWS).encode(encoding))
    (tmp_path / "meant").write_bytes(make(tuple(map(right, ROWS))).encode(encoding))
    sources, meant = ([ListSource(str(tmp_path / name), reading)] for name in ("list", "meant"))
    await assert_goes_back(tmp_path, sources, meant, reading)
    unsent, rejected = (tmp_path / "report" / f"{name}.csv" for name in ("unsent", "rejected"))
    assert has_mark(rejected) == has_mark(unsent)


def write_workbook(path: Path, rows: tuple[tuple[str, ...], ...]) -> None:
    book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False})
    sheet = book.add_worksheet()
    for number, row in enumerate((HEADING, *rows), start=2):
        sheet.write_row(number, 1, [int(c) if c.isdigit() else c for c in row])
    book.close()


async def test_of_a_workbook(tmp_path: Path) -> None:
    write_workbook(tmp_path / "list.xlsx", ROWS)
    write_workbook(tmp_path / "meant.xlsx", tuple(map(right, ROWS)))
    sources, meant = ([ListSource(str(tmp_path / f"{n}.xlsx"))] for n in ("list", "meant"))
    await assert_goes_back(tmp_path, sources, meant, Reading())
    assert await assert_fed_back(tmp_path / "again", meant) == UNSENT - {"100200308", "100200309"}


async def test_of_lists_of_several_forms(tmp_path: Path) -> None:
    for name, make in (("1", FORMS["semicolon"][0]), ("2", FORMS["JSON lines"][0])):
        part = ROWS[:4] if name == "1" else ROWS[4:]
        (tmp_path / name).write_text(make(part))
        (tmp_path / f"meant{name}").write_text(make(tuple(map(right, part))))
    sources = [ListSource(str(tmp_path / name)) for name in ("1", "2")]
    meant = [ListSource(str(tmp_path / f"meant{name}")) for name in ("1", "2")]
    await assert_goes_back(tmp_path, sources, meant, Reading())
    assert await assert_fed_back(tmp_path / "again", meant) == UNSENT - {"100200308", "100200309"}


JSON_OF_ANOTHER_FORM = [
    '{"order_id": 100200308, "order_id": 100200309}',
    '{"order_id": 100200308, "domain_approval_emails": []}',
    '{"order_id": 100200308, "domain_approval_emails": null}',
    '{"order_id": 100200308, "domain_approval_emails": [{"domain": "a.example"}]}',
    '{"order_id": 100200308, "domain_approval_emails": [{"domain": "a.example",'
    ' "email": "x@a.example"}], "domain": "b.example", "email": "x@b.example"}',
    '{"order_id": 100200308, "domain": [], "email": "x@a.example"}',
    '{"order_id": 100200308, "domain": "a.example", "email": {"name": "x"}}',
    '{"order_id": true, "domain": "a.example", "email": "x@a.example"}',
    '{"order_id": [8]}',
    '{"order_id": 100200308, "account": "nobody"}',
    '{"order_id": 100200308, "call": "nothing"}',
    '{"order_id": 8',
    "[1]",
]


@pytest.mark.parametrize("line", JSON_OF_ANOTHER_FORM)
async def test_what_a_table_cannot_hold_is_not_sent_as_it_is(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('{"order_id": 100200301}\n' + line + "\n")
    reading = Reading(accounts={"shop": None})
    source = ListSource(str(path), reading)
    _, bad = source
    assert isinstance(bad, RejectedRow)
    async with carried(tmp_path, [source], {}, clock=Clock()) as (journal, run):
        await write_report(journal.reader, run, tmp_path / "report")
        back = list(ListSource(str(tmp_path / "report" / "rejected.csv"), reading))
        assert back
        assert all(isinstance(row, RejectedRow) for row in back), back
        assert line in (tmp_path / "report" / "rejected.csv").read_text().replace('""', '"')


async def test_once_more_rejected_it_has_its_own_columns_once(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(table(";", ROWS))
    (tmp_path / "json").write_text(json.dumps(flat(ROWS)))
    for name in ("list", "json"):
        path, heading = tmp_path / name, ""
        for number in range(3):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            async with carried(folder, [ListSource(str(path))], {}, clock=Clock()) as (
                journal,
                run,
            ):
                await write_report(journal.reader, run, folder / "report")
            path = folder / "report" / "rejected.csv"
            first = path.read_text().splitlines()[0]
            assert first.count("reason") == 1
            assert number < 2 or first == heading
            heading = first


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
async def test_a_row_with_cells_beyond_the_heading_is_corrected_before_the_column_file(
    tmp_path: Path, delimiter: str
) -> None:
    """Unquoted, one delimiter in its last cell but one shifts what is behind it."""
    reading = Reading(delimiter=":" if delimiter == ":" else None)
    between = delimiter.replace(":", ",")  # as it is shown, and known again whatever is used then
    row = ["100200301", "a.example", "x@a.example", "a", " b", "end", "", ""]
    path = tmp_path / "list.csv"
    path.write_text(
        "".join(
            delimiter.join(cells) + "\n"
            for cells in (
                ["order_id", "domain", "email", "note", "more"],
                ["100200302", "b.example", "x@b.example", "", ""],
                row,
            )
        )
    )
    for generation in range(3):
        folder = tmp_path / str(generation)
        folder.mkdir()
        source = ListSource(str(path), reading)
        async with carried(folder, [source], {}, clock=Clock()) as (journal, run):
            await write_report(journal.reader, run, folder / "report")
        path = folder / "report" / "rejected.csv"
        with path.open(newline="") as file:
            heading, cells = csv.reader(file, delimiter=delimiter)
        assert cells[:5] == [*row[:4], f" b{between}end"]
        assert len(cells) == len(heading) == 9
        stood = dict(zip(heading, [*row[:4], row[4:6]], strict=False))
        assert json.loads(cells[-1]) == stood, "as it was"
        (again,) = ListSource(str(path), reading)
        assert isinstance(again, RejectedRow)
        assert "correct it first" in again.reason
    corrected = [*cells[:3], f"a{between} b", "end", *cells[5:]]
    for now in {delimiter, ";"}:  # a spreadsheet may choose another
        for line, kind in ((cells, RejectedRow), (corrected, Row)):
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter=now).writerows((heading, line))
            (found,) = ListSource(str(path), Reading(delimiter=now))
            assert isinstance(found, kind)


async def test_exports_of_the_ca_are_still_read_as_order_numbers(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    heading = "order_id,status,dcv_method,common_name,dns_names,product_name,tech_email"
    rest = '"pending","email","a.example","a.example, b.example","RapidSSL DV","x@y.example"'
    lines = [f'"{number}",{rest}' for number in range(100200301, 100200307)]
    path.write_text("\n".join([heading, *lines]))
    assert await assert_fed_back(tmp_path, [ListSource(str(path))]) == {
        "100200303",
        "100200304",
        "100200305",
        "100200306",
    }


async def test_pages_of_the_ca_are_read_back_without_what_they_skip(tmp_path: Path) -> None:
    described = {"certificate": {"common_name": "a.example"}}
    orders = [
        {"id": n, "status": "issued" if n == 100200305 else "pending", **described}
        for n in range(100200301, 100200307)
    ]
    path = tmp_path / "orders.json"
    path.write_text(json.dumps({"orders": orders}))
    assert await assert_fed_back(tmp_path, [ListSource(str(path))]) == {
        "100200303",
        "100200304",
        "100200306",
    }


async def test_a_list_by_position_goes_back_beside_json_that_has_no_such_places(
    tmp_path: Path,
) -> None:
    (tmp_path / "1.csv").write_text(
        ";a.example;x@a.example;100200303\n;;;100200304\n;b.example;y@b.example;100200301\n"
    )
    (tmp_path / "2.jsonl").write_text('{"order_id": 100200302}\n{"order_id": 100200306}\n')
    positions = {Field.ORDER_ID: "4", Field.DOMAIN: "2", Field.EMAIL: "3"}
    reading = Reading(positions, headed=False, all_domains=True)
    sources = [ListSource(str(tmp_path / name), reading) for name in ("1.csv", "2.jsonl")]
    assert await assert_fed_back(tmp_path, sources, reading=reading) == {"100200303", "100200304"}
