"""Rows of a rejected.csv of which nobody can know whether they were corrected, and others.

Columns that tell may be gone; a row may have been wrong in a column that is not read.
"""

import csv
from pathlib import Path

import pytest

from batch_resend.intake import Field, ListSource, Reading
from batch_resend.model import Problem, RejectedRow
from tests.report.test_rejected_moved import (
    GOOD,
    KINDS,
    OWN,
    SHIFTED,
    B,
    Edit,
    Line,
    asked_by,
    ordered,
    read_lines,
    without,
    written,
)
from tests.report.test_rejected_uncorrected import rejected_csv

pytestmark = pytest.mark.asyncio


async def edited(folder: Path, content: str, edit: Edit, reading: Reading) -> list[RejectedRow]:
    """Return the rows of a list's rejected.csv once it is edited: all are rejected again."""
    (folder / "list").write_text(content)
    path = await rejected_csv(folder / "sent", ListSource(str(folder / "list"), reading))
    path.write_text(written(edit(read_lines(path))))
    rows = list(ListSource(str(path), reading))
    rejected = [row for row in rows if isinstance(row, RejectedRow)]
    assert len(rejected) == len(rows)
    return rejected


GONE: dict[str, tuple[str, Edit, str]] = {
    "row": ("a cut-off number", without("row"), "its column row is missing or damaged"),
    "row, and file and line": ("a cut-off number", without("row", "file", "line"), "column row"),
    "all of ours": ("a cut-off number", without(*OWN), "column row is missing"),
    "a part of a cell of row": (
        "a cut-off number", lambda rows: [row | {"row": row["row"][:-9]} for row in rows],
        "its column row is missing or damaged",
    ),
    "reason": ("a cut-off number", without("reason"), "without its column reason"),
    "the addresses": (
        "a cut-off number", without("domain", "email"),
        "its column 'domain', which had 'b.example', is no longer there",
    ),
    "a word that is asked for": (
        "a bad word under a heading of ours", without("Sprache"), "its column 'Sprache', which had",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "why"), GONE.values(), ids=GONE)
async def test_where_nobody_can_know_whether_a_row_was_corrected_its_reason_says_what_to_do(
    tmp_path: Path, name: str, edit: Edit, why: str
) -> None:
    kind = KINDS[name]
    rows = await edited(tmp_path, kind.content, edit, kind.reading)
    for row in rows:
        assert row.problem is Problem.UNCHANGED, "and does not count for --max-rejected"
    assert why in rows[0].reason
    assert rows[0].reason.endswith("(or empty its reason, if it is right as it is)")


@pytest.mark.parametrize("name", KINDS)
async def test_rows_with_moved_columns_are_known_to_be_unchanged(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    for row in await edited(tmp_path, kind.content, SHIFTED["the address first"], kind.reading):
        assert row.problem is Problem.UNCHANGED


# Rows that are rejected for what stands in a column that is not read; what corrects them there.
UNREAD: dict[str, tuple[str, Line]] = {
    "a mark in the first column": (
        "Nr,order_id,domain,email\n1,100200301,a.example,x@a.example\n"
        "#2,100200302,a.example,x@a.example\n3,100200303,a.example,x@a.example\n",
        {"Nr": "2"},
    ),
    "a total": (
        "order_id,domain,email,Team\n100200301,a.example,x@a.example,a\n100200302,,,Total\n",
        {"Team": "a", "domain": "a.example", "email": "x@a.example"},
    ),
    "a total among numbers alone": (
        "order_id,Team\n100200301,a\n100200302,Total\n100200303,b\n", {"Team": "Totalplan"},
    ),
    "an empty cell in the last line": (
        "Team,Site,order_id,domain,email\na,b,100200301,a.example,x@a.example\n"
        "a,,100200302,a.example,x@a.example",
        {"Site": "b"},
    ),
    "a cell too few": ("order_id,Team,Site\n100200301,a,b\n100200302,a\n", {"Site": "b"}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "fix"), UNREAD.values(), ids=UNREAD)
async def test_a_row_is_corrected_where_its_reason_says_that_it_was_wrong(
    tmp_path: Path, content: str, fix: Line
) -> None:
    (tmp_path / "list").write_text(content)
    path = await rejected_csv(tmp_path / "sent", ListSource(str(tmp_path / "list")))
    (row,) = read_lines(path)
    for now, count in ((row, 0), (row | {"Team": row.get("Team", "")}, 0), (row | fix, 1)):
        moved = ordered(sorted)([now])
        path.write_text(written(moved))
        assert len(asked_by(path, Reading())) == count


PLACES = {Field.ORDER_ID: "1", Field.DOMAIN: "2", Field.EMAIL: "3"}


@pytest.mark.parametrize("delimiter", [",", ";"])
async def test_without_a_heading_row_columns_may_be_moved_behind_those_that_are_read(
    tmp_path: Path, delimiter: str
) -> None:
    reading = Reading(PLACES, headed=False, delimiter=delimiter)
    content = "".join(f"{','.join(cells)},x\n" for cells in (*GOOD, ("100200", "b.example", *B)))
    (tmp_path / "list").write_text(content.replace(",", delimiter))
    path = await rejected_csv(tmp_path / "sent", ListSource(str(tmp_path / "list"), reading))
    with path.open(newline="") as file:
        (cells,) = csv.reader(file, delimiter=delimiter)
    read, own = cells[:3], cells[-5:]
    moved = [own[::-1], *(own[n:] for n in range(5)), ["", *own], [*own, "x"], own[:4], own[:3], []]
    for behind in moved:
        for number, wanted in (("100200", []), ("100200311", [("100200311", B)])):
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter=delimiter).writerow([number, *read[1:], *behind])
            assert asked_by(path, reading) == (wanted if own[4] in behind else []), behind


async def test_a_column_that_was_deleted_is_missed_also_by_the_next_rejected_csv(
    tmp_path: Path,
) -> None:
    """Corrected later, the row would be mailed in another language than its list says."""
    content = "order_id,domain,email,locale\n" + "".join(f"{','.join(c)},de\n" for c in GOOD)
    (tmp_path / "list").write_text(f"{content}100200311,b.example,x at b.example,de\n")
    path = await rejected_csv(tmp_path / "0", ListSource(str(tmp_path / "list")))
    path.write_text(written(without("locale")(read_lines(path))))
    for number in "12":
        path = await rejected_csv(tmp_path / number, ListSource(str(path)))
    (row,) = read_lines(path)
    path.write_text(written([row | {"email": B[0]}]))
    assert asked_by(path, Reading()) == []
    path.write_text(written([row | {"email": B[0], "locale": "de"}]))
    assert asked_by(path, Reading()) == [("100200311", B)]


@pytest.mark.parametrize("key", ["kontakt", "record", "row"])
async def test_what_a_record_does_not_read_is_not_forgotten_for_the_word_for_all(
    tmp_path: Path, key: str
) -> None:
    """Its column is not in the file: an option of the user's cannot put the row right."""
    good = "".join(f'{{"order_id": {number}}}\n' for number, *_ in GOOD)
    (tmp_path / "list").write_text(f'{good}{{"order_id": 100200311, "{key}": "x@a.example"}}\n')
    reading = Reading(all_domains=True)
    path = await rejected_csv(tmp_path / "0", ListSource(str(tmp_path / "list"), reading))
    for edit in SHIFTED.values():
        path.write_text(written(edit(rows := read_lines(path))))
        assert asked_by(path, reading) == []
        path.write_text(written(rows))
