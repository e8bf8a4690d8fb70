"""Who is mailed by a rejected.csv whose columns were moved or deleted in a spreadsheet."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca

pytestmark = pytest.mark.asyncio

MARKED = "".join(
    json.dumps({"order_id": number, "domain": "a.example", "email": "x@a.example"} | more) + "\n"
    for number, more in (
        (307100101, {}),
        (307100102, {"skip": True}),
        (307100103, {"note": "please do not send"}),
    )
)
ENTRIES = [{"domain": f"{n}.example", "email": e} for n, e in (("a", "x@a.example"), ("b", "bad"))]
CUT_OFF = "Team,order_id,domain,email,Note\n" + "".join(
    f"(5),{number},a.example,x@a.example,1-2\n"
    for number in (*range(303600101, 303600131), 303600, 30360, 3036)
)
BY_HAND = ("email", "domain", "order_id", "file", "line", "reason", "record", "row")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]], names: Sequence[str], delimiter: str) -> None:
    """Save some columns of a file, as a spreadsheet does."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore", delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)


async def send(desk: Desk, folder: str, path: Path | str, *flags: str) -> tuple[int, Path]:
    ended = await desk.run("send", "--yes", *flags, "--report-dir", folder, str(path))
    return ended.code, desk.folder / folder / "rejected.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_records_that_their_list_marks_are_not_mailed(tmp_path: Path, delimiter: str) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("o.jsonl", MARKED)
        _, path = await send(desk, "0", "o.jsonl", "--max-rejected", "100%")
        before = dict(ca.books.mails_per_order)
        assert set(before) == {"307100101"}
        rows = rows_of(path)
        save(path, rows, BY_HAND, delimiter)
        assert (await send(desk, "1", path))[0] == 3
        assert ca.books.mails_per_order == before
        save(path, [rows[0] | {"reason": ""}, rows[1]], BY_HAND, delimiter)
        await send(desk, "2", path)
        assert set(ca.books.mails_per_order) == {"307100101", "307100102"}


@pytest.mark.parametrize("gone", ["file", "line", "record", "reason", "row", "locale", None])
async def test_half_of_a_record_that_is_right_is_not_mailed_alone(
    tmp_path: Path, gone: str | None
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        record = {"order_id": 307100102, "domain_approval_emails": ENTRIES, "locale": "en"}
        desk.write("o.jsonl", MARKED.splitlines()[0] + "\n" + json.dumps(record) + "\n")
        _, path = await send(desk, "0", "o.jsonl", "--max-rejected", "100%")
        right, wrong = rows_of(path)
        names = [name for name in sorted(right) if name != gone]
        save(path, [right, wrong], names, ";")
        await send(desk, "1", path)
        assert "307100102" not in ca.books.recipients
        save(path, [right, wrong | {"email": "x@b.example"}], names, ";")
        await send(desk, "2", path)
        mailed = [sorted(one) for one in ca.books.recipients.get("307100102", ())]
        if gone in ("row", "locale"):
            assert mailed == [], "nobody knows whether it was corrected"
        elif gone == "reason":
            assert mailed == [["x@b.example"]], "the one that was corrected"
        else:
            assert mailed == [["x@a.example", "x@b.example"]]


EDITS = (
    ("domain", "email", "order_id", "reason", "row", "line", "file", "Note", "Team"),
    ("order_id", "Team", "domain", "email", "Note", "file", "line", "reason", "row"),
    ("order_id", "domain", "email", "Note", "file", "line", "reason", "row"),
    ("Team", "order_id", "domain", "email", "file", "reason", "row"),
    ("order_id", "domain", "email", "reason", "row"),
)


@pytest.mark.parametrize("names", EDITS)
async def test_of_cut_off_numbers_those_that_are_corrected_are_mailed_at_once(
    tmp_path: Path, names: Sequence[str]
) -> None:
    """The others do not count for --max-rejected, whatever a spreadsheet made of them."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("o.csv", CUT_OFF)
        _, path = await send(desk, "0", "o.csv", "--max-rejected", "100%")
        rows = [row | {"Team": "-5", "Note": "2. Jan"} for row in rows_of(path)]
        ca.books.mails_per_order.clear()
        save(path, rows, names, ";")
        assert (await send(desk, "1", path))[0] == 3
        assert ca.books.mails_per_order == {}
        fixed = [rows[0] | {"order_id": "303600201"}, rows[1], rows[2] | {"Team": "ask Kim"}]
        save(path, fixed, names, ";")
        assert (await send(desk, "2", path))[0] == 3
        assert ca.books.mails_per_order == {"303600201": 1}
