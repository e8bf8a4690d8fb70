"""rejected.csv read again as it is asks for nothing: what was wrong with a row stood around it."""

import csv
import re
from pathlib import Path

import pytest

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import RejectedRow, Row
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
    assert "delete file, line and reason" in row.reason


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
    assert row["row"] == "2e9,y", "as it was when it was rejected last"
    assert "'2e9'" in row["reason"]
    page = path.with_name("report.html").read_text().replace("<wbr>", "")
    assert "2e9,y" in page
    assert "1e9" not in page
    texts = re.sub(r"(<[^>]+>)+", " ", page)
    assert re.search(r" export\.csv\s+3\s", texts)
