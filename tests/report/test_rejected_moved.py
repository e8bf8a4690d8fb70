"""A rejected.csv may lose and move columns: nothing of it is sent that nobody has corrected.

Its rows are known by their headings, in whatever order, form or encoding the file was saved.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Row
from tests.report.test_rejected_uncorrected import rejected_csv

pytestmark = pytest.mark.asyncio

Line = dict[str, str]  # the cells of a row, by heading
Edit = Callable[[list[Line]], list[Line]]
Asked = tuple[str, tuple[str, ...]]  # an order, and whom to mail for it

OWN = ("file", "line", "reason", "record", "row")
GOOD = [(f"10020030{n}", f"{n}.example", f"x@{n}.example") for n in range(8)]


def table(*rows: Sequence[str], heading: str = "order_id,domain,email,Team,Note") -> str:
    good = [(*cells, "łódź; (5)", "") for cells in GOOD]
    text = io.StringIO()
    csv.writer(text).writerows([heading.split(","), *good, *rows, *good[:2]])
    return text.getvalue()


def lines(*records: Mapping[str, object]) -> str:
    good = [dict(zip(("order_id", "domain", "email"), cells, strict=True)) for cells in GOOD]
    return "".join(f"{json.dumps(one)}\n" for one in (*good, *records))


def record(number: str, **more: object) -> dict[str, object]:
    return {"order_id": number, "domain": "b.example", "email": "x@b.example"} | more


def entries(*emails: str) -> dict[str, object]:
    nested = [{"domain": f"{at}.example", "email": email} for at, email in enumerate(emails)]
    return {"order_id": "100200311", "domain_approval_emails": nested, "locale": "en"}


@dataclass(frozen=True)
class Kind:
    """Rows that are rejected, and the correction of one of them."""

    content: str
    order: str  # as its row in rejected.csv has it
    fix: Line
    asked: Asked  # by what is sent then
    alone: Asked | None = None  # where it is no longer known what belongs to it
    reading: Reading = field(default_factory=Reading)


B = ("x@b.example",)
RIGHT_NOW = {"reason": ""}
KINDS = {
    "a mark in the number": Kind(
        table(("#100200311", "b.example", *B, "(5)", "1-2"), ("#100200312", "c.ex", *B, "", "x")),
        "#100200311", {"order_id": "100200311"}, ("100200311", B),
    ),
    "a cut-off number": Kind(
        table(("100200", "b.example", *B, "(5)", "=1+1"), ("100201", "b.example", *B, "a", "x")),
        "100200", {"order_id": "100200311"}, ("100200311", B),
    ),
    "a number as a spreadsheet shows it": Kind(
        table(("1.00401E+08", "b.example", *B, "(5)", ""), ("1.00402E+08", "b.ex", *B, "", "")),
        "1.00401E+08", {"order_id": "100400311"}, ("100400311", B),
    ),
    "no address": Kind(
        table(("100200311", "", "", "(5)", ""), ("100200312", "", "", "true", "")),
        "100200311", {"domain": "b.example", "email": B[0]}, ("100200311", B),
    ),
    "no address, and all are meant": Kind(
        table(("100200311", "", "", "(5)", ""), ("100200312", "", "", "true", "")),
        "100200311", {"all_domains": "yes"}, ("100200311", ()),
    ),
    "a bad address, to be emptied": Kind(
        table(
            ("100200311", "b.example", *B, "a", "x"), ("100200312", "b.example", *B, "a", "x"),
            heading="order_id,domain,email,Team,email_domain",
        ),
        "100200311", {"email_domain": ""}, ("100200311", B),
    ),
    "a bad word under a heading of ours": Kind(
        table(("100200311", "b.example", *B, "(5)", "no!"), ("100200312", "b.example", *B, "", "x"),
              heading="Bestell-Nr,Domain,E-Mail,Team,Sprache"),
        "100200311", {"Sprache": "de"}, ("100200311", B),
    ),
    "a column that --map names": Kind(
        table(("100200", "b.example", *B, "(5)", "x"), ("100201", "b.example", *B, "", "x"),
              heading="Nr,cn,Wohin,Team,Note"),
        "100200", {"Nr": "100200311"}, ("100200311", B),
        reading=Reading({Field.ORDER_ID: "Nr", Field.DOMAIN: "cn", Field.EMAIL: "Wohin"}),
    ),
    "the list has columns called as ours": Kind(
        table(("100200", "b.example", *B, "x", "y"), ("100201", "b.example", *B, "", ""),
              heading="order_id,domain,email,row,reason"),
        "100200", {"order_id": "100200311"}, ("100200311", B),
    ),
    "a JSON record with a mark": Kind(
        lines(record("100200311", note="do not send"), record("100200312", note="cancelled")),
        "100200311", RIGHT_NOW, ("100200311", B),
    ),
    "a JSON record that is to be skipped": Kind(
        lines(record("100200311", skip=True), record("100200312", skip=True)),
        "100200311", RIGHT_NOW, ("100200311", B),
    ),
    "a JSON record with a cut-off number": Kind(
        lines(record("100200"), record("100201")),
        "100200", {"order_id": "100200311"}, ("100200311", B),
    ),
    "an entry of a JSON record": Kind(
        lines(entries("x@a.example", "x at b.example"), record("100201")),
        "x at b.example", {"email": B[0]}, ("100200311", ("x@a.example", *B)), ("100200311", B),
    ),
}  # fmt: skip


# --- what becomes of the file --------------------------------------------------------------------


def ordered(order: Callable[[list[str]], list[str]]) -> Edit:
    return lambda rows: [{name: row[name] for name in order(list(row))} for row in rows]


def without(*gone: str) -> Edit:
    return ordered(lambda names: [name for name in names if name not in gone])


def without_empty(rows: list[Line]) -> list[Line]:
    empty = {name for name in rows[0] if not any(row[name] for row in rows)}
    return without(*empty)(rows)


def swapped(one: str, other: str) -> Edit:
    there = {one: other, other: one}
    return ordered(lambda names: [there.get(name, name) for name in names])


def of_finding(names: list[str]) -> list[str]:
    first = [name for name in ("email", "domain", "order_id") if name in names]
    return [*first, *(name for name in names if name not in first)]


def by_a_spreadsheet(rows: list[Line]) -> list[Line]:
    """Return what it makes of cells that are not asked for."""
    made = {"(5)": "-5", "1-2": "02. Jan", "true": "TRUE", "'=1+1": "2"}
    return [
        {
            name: made.get(cell, cell) if name in ("Team", "Note") else cell
            for name, cell in row.items()
        }
        for row in rows
    ]


def remarked(rows: list[Line]) -> list[Line]:
    """Return the rows with remarks, in a column of the list's own, and in a new one."""
    return [{**row, **({"Team": "Kim asked"} if "Team" in row else {}), "x": "Kim"} for row in rows]


SHIFTED: dict[str, Edit] = {
    "as it was": list,
    "backwards": ordered(lambda names: names[::-1]),
    "by name": ordered(sorted),
    "the address first": ordered(of_finding),
    "our columns first": ordered(lambda names: [*names[-5:], *names[:-5]]),
    "without empty columns": without_empty,
    "by name, without empty columns": lambda rows: without_empty(ordered(sorted)(rows)),
    "without file and line": without("file", "line"),
    "without file, line and record": without("file", "line", "record"),
    "without columns that are not read": without("Team", "Note"),
    "opened and saved by a spreadsheet": by_a_spreadsheet,
    "with remarks": remarked,
}


def each_change(rows: list[Line]) -> Iterator[tuple[set[str], list[Line]]]:
    """Yield the rows after each edit, with the columns that are gone."""
    names = list(rows[0])
    swaps = (swapped(one, other) for one, other in pairwise(names))
    deletions = (without(name) for name in names)
    for edit in chain(SHIFTED.values(), swaps, deletions):
        edited = edit(rows)
        yield set(names) - set(edited[0]), edited
        moved = ordered(sorted)(edited)
        yield set(names) - set(moved[0]), moved


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a rejected.csv; of two columns of one name, the last is ours."""
    with path.open(newline="", encoding="utf-8") as file:
        heading, *rows = csv.reader(file)
    own = {name: len(heading) - 1 - heading[::-1].index(name) for name in OWN if name in heading}
    names = [f"{name} " * (own.get(name, at) != at) or name for at, name in enumerate(heading)]
    return [dict(zip(names, row, strict=True)) for row in rows]


def written(rows: list[Line], delimiter: str = ",") -> str:
    text = io.StringIO()
    by_name = csv.writer(text, delimiter=delimiter)
    by_name.writerow([name.strip() for name in rows[0]])
    by_name.writerows(row.values() for row in rows)
    return text.getvalue()


def asked_by(path: Path, reading: Reading) -> list[Asked]:
    """Return what a list asks for; nothing where it is refused as a whole."""
    try:
        rows = list(ListSource(str(path), reading))
    except InputError:
        return []
    asked: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if isinstance(row, Row):
            emails = (entry.email for entry in row.entries)
            asked[row.order_id] = (*asked.get(row.order_id, ()), *emails)
    return list(asked.items())


def corrected(rows: list[Line], kind: Kind) -> list[Line]:
    new = dict.fromkeys(kind.fix.keys() - rows[0].keys(), "")
    return [row | (kind.fix if kind.order in row.values() else new) for row in rows]


def may_be_asked(kind: Kind, line: Line, gone: set[str]) -> list[list[Asked]]:
    """Return what a corrected file may ask for, without the columns that are gone."""
    lost = gone - {*OWN, "Team", "Note", "row ", "reason "}
    if any(map(line.get, lost)) or ("row" in gone and kind.fix is not RIGHT_NOW):
        return [[]]
    refused: list[list[Asked]] = [[]] if lost else []  # half of a pair
    alone = [[kind.alone]] if kind.alone and gone & {"reason", "record", "line"} else []
    return [[kind.asked], *refused, *alone]


async def rejected_of(kind: Kind, folder: Path) -> Path:
    """Return the rejected.csv of a list of such rows."""
    (folder / "list").write_text(kind.content)
    return await rejected_csv(folder / "sent", ListSource(str(folder / "list"), kind.reading))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_whatever_becomes_of_the_columns_only_a_corrected_row_is_sent(
    tmp_path: Path, kind: Kind
) -> None:
    path = await rejected_of(kind, tmp_path)
    rows = read_lines(path)
    assert len(rows) in (2, 3)
    (line,) = (row for row in rows if kind.order in row.values())
    for gone, changed in each_change(rows):
        names = list(changed[0])
        path.write_text(written(changed))
        assert asked_by(path, kind.reading) == [], (gone, names)
        if not gone.isdisjoint(kind.fix):
            continue
        path.write_text(written(corrected(changed, kind)))
        assert asked_by(path, kind.reading) in may_be_asked(kind, line, gone), (gone, names)


def in_workbook(path: Path, rows: list[Line]) -> Path:
    """Save rows as a spreadsheet does, with numbers where it sees some."""
    saved = path.with_suffix(".xlsx")
    with xlsxwriter.Workbook(str(saved), {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [name.strip() for name in rows[0]])
        for number, row in enumerate(rows, start=1):
            cells = (int(cell) if cell.isdecimal() else cell for cell in row.values())
            sheet.write_row(number, 0, list(cells))
    return saved


def in_bytes(encoding: str, delimiter: str = ",") -> Callable[[Path, list[Line]], Path]:
    def save(path: Path, rows: list[Line]) -> Path:
        path.write_bytes(written(rows, delimiter).encode(encoding, "replace"))
        return path

    return save


SAVED: dict[str, tuple[Callable[[Path, list[Line]], Path], str | None]] = {
    "semicolons": (in_bytes("utf-8", ";"), None),
    "tabs": (in_bytes("utf-8", "\t"), None),
    "bars": (in_bytes("utf-8", "|"), None),
    "a byte order mark": (in_bytes("utf-8-sig", ";"), None),
    "UTF-16": (in_bytes("utf-16", "\t"), None),
    "Windows": (in_bytes("cp1252", ";"), "cp1252"),
    "a workbook": (in_workbook, None),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_in_whatever_form_it_is_saved_only_a_corrected_row_is_sent(
    tmp_path: Path, kind: Kind
) -> None:
    path = await rejected_of(kind, tmp_path)
    rows = read_lines(path)
    for form, (save, encoding) in SAVED.items():
        reading = Reading(kind.reading.mapping, encoding=encoding)
        for edit in (list, ordered(sorted), without_empty):
            changed = edit(rows)
            assert asked_by(save(path, changed), reading) == [], form
            assert asked_by(save(path, corrected(changed, kind)), reading) == [kind.asked], form
