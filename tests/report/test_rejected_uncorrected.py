"""rejected.csv read again as it is asks for nothing: what was wrong with a row stood around it."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest
import xlsxwriter

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Problem, RejectedRow, Row
from batch_resend.report import write_report
from tests.journal.conftest import Clock
from tests.report.carried import carried

pytestmark = pytest.mark.asyncio

ORDERS = {Field.ORDER_ID: "1"}
DAMAGED = {
    "a last line cut off": ("order_id\n100200301\n100200302\n10020", Reading()),
    "two of them": ("100200301\n100200302\n10020", Reading(ORDERS, headed=False)),
    "a total": ("order_id,note\n100200301,x\n100200302,y\n2,Total\n", Reading()),
    "a count": ("order_id\n100200301\n100200302\n100200303\n3\n", Reading()),
    "a cell too few": ("order_id,note,more\n100200301,x,y\n100200302,x\n", Reading()),
    "a cell too many": (
        "order_id,note\n100200301,x\n100200302,x,100200303\n100200304,y\n", Reading(),
    ),
    "in another place": ("note,order_id,x\n=a,100200301,b\n-c,100200302\n", Reading()),
    "by position": (
        "100200301,a\n100200302\n100200303,b\n100200304,b\n", Reading(ORDERS, headed=False),
    ),
    "joined rows": ("order_id\n100200301\n100200302100200303\n100200304\n", Reading()),
    "a broken number": (
        "order_id,domain,email\n100200301,a.example,x@a.example\n100200302,a.example,x@a.example\n"
        "100200,a.example,x@a.example",
        Reading(),
    ),
    "a mapped column": (
        "=Nr;x\n100200301;a\n100200302\n", Reading({Field.ORDER_ID: "=Nr"}),
    ),
}  # fmt: skip


async def rejected_csv(folder: Path, *sources: ListSource) -> Path:
    """Return the rejected.csv of lists that are sent."""
    folder.mkdir()
    async with carried(folder, list(sources), {}, clock=Clock()) as (journal, run):
        await write_report(journal.reader, run, folder / "report")
    return folder / "report" / "rejected.csv"


@pytest.mark.parametrize(("content", "reading"), DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_row_is_rejected_again_and_again(
    tmp_path: Path, content: str, reading: Reading
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    before = [row for row in ListSource(str(path), reading) if isinstance(row, RejectedRow)]
    assert before
    for number in range(3):
        path = await rejected_csv(tmp_path / str(number), ListSource(str(path), reading))
        rows = list(ListSource(str(path), reading))
        assert len(rows) == len(before)
        assert all(isinstance(row, RejectedRow) for row in rows), rows


async def test_so_is_one_of_lists_of_several_forms(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("order_id\n100200301\n100200302\n10020")
    (tmp_path / "2").write_text('{"order_id": 100200303}\n{"order_id": 100200304, "locale": 7}\n')
    sources = [ListSource(str(tmp_path / name)) for name in ("1", "2")]
    path = await rejected_csv(tmp_path / "sent", *sources)
    rows = list(ListSource(str(path)))
    assert len(rows) == 2
    assert all(isinstance(row, RejectedRow) for row in rows), rows


async def test_a_row_whose_cells_were_put_in_place_is_corrected(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "order_id,domain,email\n100200301,a.example,x@a.example\n100200302,,b.example,x@b.example\n"
    )
    path = await rejected_csv(tmp_path / "sent", ListSource(str(path)))
    with path.open(newline="") as file:
        heading, cells = csv.reader(file)
    cells = ["100200302", "b.example", "x@b.example", *cells[3:7]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows((heading, cells))
    (row,) = ListSource(str(path))
    assert isinstance(row, Row)
    assert [entry.email for entry in row.entries] == ["x@b.example"]


async def test_without_the_row_as_it_stood_nobody_can_know(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    path.write_text("order_id,file,line,reason\n1002003,list.csv,4,was the list cut off there?\n")
    (row,) = ListSource(str(path))
    assert isinstance(row, RejectedRow)
    assert "its column row is missing" in row.reason
    assert "empty its reason" in row.reason


async def test_what_an_option_puts_right_need_not_be_corrected(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("order_id,domain,email\n100200301,a.example,x@a.example\n100200302,,\n")
    path = await rejected_csv(tmp_path / "sent", ListSource(str(path)))
    (row,) = ListSource(str(path))
    assert isinstance(row, RejectedRow)
    (row,) = ListSource(str(path), Reading(all_domains=True))
    assert isinstance(row, Row)


async def test_a_row_that_is_right_as_it_stands_goes_once_its_reason_is_emptied(
    tmp_path: Path,
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("order_id,note\n100200301,x\n100200302\n100200303,y\n")
    path = await rejected_csv(tmp_path / "sent", ListSource(str(path)))
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    for cells in lines[1:]:
        cells[4] = ""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    assert [row.order_id for row in ListSource(str(path))] == ["100200302", "100200303"]


async def test_where_a_row_was_first_is_still_said_when_it_is_rejected_once_more(
    tmp_path: Path,
) -> None:
    """In rejected.csv and on the page, without what was said about it before."""
    path = tmp_path / "export.csv"
    path.write_text("Order ID,Note\n100200301,x\n1e9,y\n")
    path = await rejected_csv(tmp_path / "1", ListSource(str(path)))
    path.write_text(path.read_text().replace("1e9,y", "2e9,y"))
    path = await rejected_csv(tmp_path / "2", ListSource(str(path)))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["line"]) == (str(tmp_path / "export.csv"), "3")
    assert row["Order ID"] == "2e9"
    assert row["row"] == '{"Order ID": "2e9", "Note": "y"}', "as it was when it was rejected last"
    assert "'2e9'" in row["reason"]
    page = path.with_name("report.html").read_text().replace("<wbr>", "")
    assert "2e9,y" in page
    assert "1e9" not in page
    texts = re.sub(r"(<[^>]+>)+", " ", page)
    assert re.search(r" export\.csv\s+3\s", texts)


# --- what a spreadsheet does ---------------------------------------------------------------------

Cell = str | float | bool | datetime
# Numbers that are rejected, and what a spreadsheet may save in their place: in CSV, or in .xlsx.
SAVED: Sequence[tuple[str, Cell]] = (
    *(
        ("1.00401E+08", now)
        for now in ("100401000", "1.00E+08", "100,401,000", "100.401.000", "100401000.0", 100401000)
    ),
    ("0200504064", "200504064"), ("0200504064", 200504064), ("0200504064", "200,504,064"),
    ("+200504064", "200504064"), ("+200504064", 200504064), ("$200504064", 200504064),
    ("20050406400%", "200504064"), ("20050406400%", 200504064.0),
    ("12345678901234567", "12345678901234500"), ("12345678901234567", 12345678901234567.0),
    ("123456789012345", 123456789012345.0), ("123456789012345", "1.23457E+14"),
    ("1-2", "02.01.2026"), ("1-2", datetime(2026, 1, 2)), ("1-2", 46024), ("12-3456", "568654"),
    ("true", True), ("true", "1"),
)  # fmt: skip
GOOD = "".join(f"1002003{at:02},a.example,x@a.example\n" for at in range(len(SAVED)))


def in_a_spreadsheet(path: Path, changed: Mapping[int, Cell], *, as_workbook: bool) -> Path:
    """Save a rejected.csv once more, with cells of its first column changed; return the file."""
    with path.open(newline="") as file:
        delimiter = csv.Sniffer().sniff(file.readline(), ",;").delimiter
        file.seek(0)
        rows = [list[Cell](cells) for cells in csv.reader(file, delimiter=delimiter)]
    for at, cell in changed.items():
        rows[at][0] = cell
        rows[at][-3] = f"{rows[at][-3]}.00"  # the line, which is a number, too
    saved = path.with_suffix(".xlsx" if as_workbook else ".csv")
    if not as_workbook:
        with saved.open("w", newline="") as file:
            csv.writer(file, delimiter=";").writerows(rows)
        return saved
    with xlsxwriter.Workbook(str(saved), {"default_date_format": "dd.mm.yyyy"}) as book:
        sheet = book.add_worksheet()
        for number, cells in enumerate(rows):
            for at, cell in enumerate(cells):
                sheet.write(number, at, cell)
    return saved


@pytest.mark.parametrize("as_workbook", [False, True])
@pytest.mark.parametrize("form", ["as they stood", "by position", "of two lists"])
async def test_what_a_spreadsheet_saves_by_itself_corrects_nothing(
    tmp_path: Path, form: str, *, as_workbook: bool
) -> None:
    reading, heading = Reading(), "order_id,domain,email\n"
    if form == "by position":
        places = {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3"}
        reading, heading = Reading(places, headed=False), ""
    rows = "".join(f"{stood},a.example,x@a.example\n" for stood, _ in SAVED)
    (tmp_path / "list").write_text(heading + GOOD + rows)
    sources = [ListSource(str(tmp_path / "list"), reading)]
    if form == "of two lists":
        (tmp_path / "other").write_text("email;domain;order\nx@a.example;a.example;100200399\n")
        sources.append(ListSource(str(tmp_path / "other")))
    path = await rejected_csv(tmp_path / "sent", *sources)
    for number in range(2):
        changed = {at: now for at, (_, now) in enumerate(SAVED, start=bool(heading))}
        path = in_a_spreadsheet(path, changed, as_workbook=as_workbook)
        read = list(ListSource(str(path), reading))
        assert len(read) == len(SAVED)
        assert [row for row in read if not isinstance(row, RejectedRow)] == []
        path = await rejected_csv(tmp_path / str(number), ListSource(str(path), reading))


async def test_of_a_list_of_numbers_alone_the_row_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("order_id\n100200301\n100200302\n1.00401E+08\n")
    path = await rejected_csv(tmp_path / "sent", ListSource(str(tmp_path / "list.csv")))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["row"] == '{"order_id": "1.00401E+08"}'
    for now, kind in (("100401000", RejectedRow), ("100400596", Row)):
        saved = in_a_spreadsheet(path, {1: now}, as_workbook=False)
        (read,) = ListSource(str(saved), Reading(all_domains=True))
        assert isinstance(read, kind)


async def test_a_number_that_only_a_spreadsheet_made_is_not_sent_whatever_else_is_corrected(
    tmp_path: Path,
) -> None:
    """Until its reason is emptied, or it is corrected: also in the next rejected.csv."""
    path = tmp_path / "list.csv"
    path.write_text(
        "order_id,domain,email,note,account\n1.00401E+08,a.example,x@a..example,,\n"
        "1.00402E+08,a.example,x@a.example,,shop\n"
    )
    path = await rejected_csv(tmp_path / "sent", ListSource(str(path)))
    path = in_a_spreadsheet(path, {1: 100401000, 2: 100402000}, as_workbook=False)
    text = path.read_text().replace("x@a..example;;", "x@a.example;Kim;", 1)
    assert "Kim" in text
    reading = Reading(accounts={"shop": None})
    for number in range(2):
        path.write_text(text)
        source = ListSource(str(path), reading)
        rows = list(source)
        assert [isinstance(row, RejectedRow) and row.problem for row in rows] == (
            [Problem.UNCHANGED] * 2
        )
        path = await rejected_csv(tmp_path / str(number), source)
        text = path.read_text().replace("Kim", "Kim, Jo")
        assert "('1.00401E+08' -> '100401000')" in text
    path.write_text(text.replace("\n100401000;", "\n100400596;"))
    assert [row.order_id for row in ListSource(str(path), reading) if isinstance(row, Row)] == (
        ["100400596"]
    )


ONE_TOO_LONG = "order_id,domain,email,note\n" + "".join(
    f"{number},a.example,x@a.example,{note}\n"
    for number, note in zip(
        ("100200301", "100200302", "100200303", "0200504064"), ("x", "y", "z", "1-2"), strict=True
    )
)


async def test_a_number_changed_as_a_spreadsheet_does_by_itself_is_said_to_be(
    tmp_path: Path,
) -> None:
    """Whoever has corrected it so empties its reason, which is true of the row as it is now."""
    (tmp_path / "list.csv").write_text(ONE_TOO_LONG)
    path = await rejected_csv(tmp_path / "sent", ListSource(str(tmp_path / "list.csv")))
    assert "has 10 digits" in path.read_text()
    path = in_a_spreadsheet(path, {1: "200504064"}, as_workbook=False)
    for number in range(3):
        (row,) = ListSource(str(path))
        assert isinstance(row, RejectedRow)
        reason = row.reason
        assert reason == (
            "its number differs from the rejected one only as a spreadsheet changes it by itself "
            "('0200504064' -> '200504064'): if 200504064 is right, empty its reason; if not, "
            "correct the number"
        )
        path = await rejected_csv(tmp_path / str(number), ListSource(str(path)))
    path.write_text(path.read_text().replace(f'"{reason}"', "").replace(reason, ""))
    assert [row.order_id for row in ListSource(str(path))] == ["200504064"]


@pytest.mark.parametrize("note", ["1-2", "02.01.2026"])
async def test_a_row_whose_number_is_unchanged_is_said_to_be_rejected_for_what_it_was(
    tmp_path: Path, note: str
) -> None:
    (tmp_path / "list.csv").write_text(ONE_TOO_LONG)
    path = await rejected_csv(tmp_path / "sent", ListSource(str(tmp_path / "list.csv")))
    path.write_text(path.read_text().replace("x@a.example,1-2,", f"x@a.example,{note},"))
    (row,) = ListSource(str(path))
    assert isinstance(row, RejectedRow)
    assert row.reason.startswith("its number 0200504064 has 10 digits, where others have 9")
    assert row.reason.endswith("correct it first (or empty its reason, if it is right as it is)")
