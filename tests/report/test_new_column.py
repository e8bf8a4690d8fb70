"""A column that is new to lists: a line of COLUMNS takes it from any list into the report."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from batch_resend.intake import Field, ListSource
from batch_resend.intake.cells import Malformed, trimmed
from batch_resend.intake.fields import COLUMNS, Column, Role
from batch_resend.model import RejectedRow, Row
from tests.intake.conftest import read, refusal, workbook
from tests.report.carried import reported, write_list
from tests.report.schemas import schema
from tests.report.test_tables import RESULT_COLUMNS

REFERENCE = str.__new__(Field, "reference")  # as if it were a member
REFERENCE._name_, REFERENCE._value_ = "REFERENCE", "reference"
Cells = tuple[str, ...]
HEADINGS = ("order_id", "domain", "email", "Our reference")


def _reference(text: str) -> str:
    if not trimmed(text).lower().startswith("r-"):
        raise Malformed(f"{text!r} is no reference")
    return trimmed(text).upper()


@pytest.fixture(autouse=True)
def _new_column(monkeypatch: pytest.MonkeyPatch) -> None:
    column = Column("reference, our reference", Role.KEPT, _reference)
    monkeypatch.setitem(cast("dict[Field, Column]", COLUMNS), REFERENCE, column)
    monkeypatch.setitem(cast("dict[str, Field]", Field._value2member_map_), "reference", REFERENCE)


def _row(number: int, reference: str, domain: str = "a.example") -> Cells:
    return (str(100_200_300 + number), domain, f"admin@{domain}", reference)


def _csv(*rows: Cells, headings: Cells = HEADINGS) -> bytes:
    return "".join(f"{','.join(cells)}\n" for cells in (headings, *rows)).encode()


def _excel(*rows: Cells, headings: Cells = HEADINGS) -> bytes:
    return workbook((headings, *rows))


def _json(*rows: Cells, headings: Cells = HEADINGS) -> bytes:
    lines = (json.dumps(dict(zip(headings, row, strict=True))) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _list(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


FORMS = pytest.mark.parametrize("form", [_csv, _excel, _json], ids=["csv", "excel", "json"])


@FORMS
@pytest.mark.asyncio
async def test_what_a_row_has_in_it_is_in_the_report(tmp_path: Path, form: Any) -> None:
    rows = (_row(1, " r-\u200b7 "), _row(2, ""), _row(3, "junk"), ("junk", *_row(4, "r-8")[1:]))
    source = ListSource(_list(tmp_path, "list", form(*rows)))
    found, _ = await reported(tmp_path, [source], {"100200301": "204"})
    assert source.form.unread == {}
    assert found.table("results.csv")[0] == [*RESULT_COLUMNS, "reference"]
    assert [(r["order_id"], r["status"], r["reference"]) for r in found.records("results.csv")] == [
        ("100200301", "sent", "R-7"),
        ("100200302", "not_attempted", ""),
        ("100200303", "rejected", ""),
        ("", "rejected", "R-8"),
    ]
    assert [one.get("kept") for request in found.requests for one in request["source"]] == [
        {"reference": "R-7"},
        None,
    ]
    for request in found.requests:
        schema("results").validate(request)


@pytest.mark.asyncio
async def test_what_is_not_sent_keeps_it_where_lists_have_no_common_form(tmp_path: Path) -> None:
    sources = [
        ListSource(_list(tmp_path, "first.csv", _csv(_row(1, "r-1"), _row(2, "no")))),
        ListSource(_list(tmp_path, "second.jsonl", _json(_row(3, "r-3"), _row(4, "no")))),
    ]
    found, _ = await reported(tmp_path, sources, {})
    unsent, rejected = found.records("unsent.csv"), found.records("rejected.csv")
    assert [row["reference"] for row in unsent] == ["R-1", "R-3"]
    assert [row["reference"] for row in rejected] == ["no", "no"]
    again = list(ListSource(str(found.folder / "unsent.csv")))
    assert [dict(row.kept) for row in again] == [{"reference": "R-1"}, {"reference": "R-3"}]


@pytest.mark.asyncio
async def test_a_report_of_lists_without_it_has_no_column_for_it(tmp_path: Path) -> None:
    path = write_list(tmp_path, "list.csv", "order_id", "100200301", "100200302")
    found, _ = await reported(tmp_path, [ListSource(path)], {"100200301": "204"})
    assert found.table("results.csv")[0] == RESULT_COLUMNS
    assert all("kept" not in one for request in found.requests for one in request["source"])


@FORMS
def test_a_cell_that_is_refused_rejects_its_row_alone_and_its_addresses_stay_known(
    form: Any,
) -> None:
    rejected, accepted = read(form(_row(1, "junk"), _row(1, "r-1", "b.example")))
    assert isinstance(rejected, RejectedRow)
    assert "'junk' is no reference" in rejected.reason
    assert [entry.email for entry in rejected.entries] == ["admin@a.example"]
    assert isinstance(accepted, Row)
    assert [entry.email for entry in accepted.entries] == ["admin@b.example"]


@FORMS
def test_it_is_kept_under_any_heading_that_map_names(form: Any) -> None:
    content = form(_row(1, "r-1"), headings=(*HEADINGS[:-1], "Case"))
    (row,) = read(content, {REFERENCE: "Case"})
    assert dict(row.kept) == {"reference": "R-1"}


@pytest.mark.parametrize("mapping", [{}, {REFERENCE: "our_reference"}], ids=["known", "mapped"])
def test_a_number_of_json_is_taken_as_text(mapping: dict[Field, str]) -> None:
    (row,) = read('{"order_id": 100200301, "our_reference": 7}', mapping)
    assert isinstance(row, RejectedRow)
    assert "'7' is no reference" in row.reason


@pytest.mark.parametrize("held", ["admin@a.example", "www.a.example"])
def test_what_may_say_whom_to_mail_is_not_passed_over_in_it(held: str) -> None:
    assert "reference" in refusal(f"order_id,reference\n100200301,{held}\n100200302,{held}\n")
    (row,) = read(json.dumps({"order_id": "100200301", "reference": held}))
    assert isinstance(row, RejectedRow)
