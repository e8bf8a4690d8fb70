"""What has to be said in two places is said in both."""

import csv
import json
from pathlib import Path
from typing import Any, cast

import pytest

from batch_resend.calls import CALLS, body_of
from batch_resend.cli.commands.check import request_for_programs
from batch_resend.doctor import Check, Result
from batch_resend.errors import InputError
from batch_resend.intake import Field, ListSource, Reading
from batch_resend.intake.fields import COLUMNS, RawRecord, plain
from batch_resend.intake.json_rows import JsonRecords
from batch_resend.intake.records import check_record
from batch_resend.journal import open_journal
from batch_resend.list_form import Remark
from batch_resend.model import Call, Entry, Note, RejectedRow, Request, RequestStatus, Row
from batch_resend.report.files import REPORT_FILES
from batch_resend.report.preview import _NOTE_IN_WORDS, _REMARK_IN_WORDS
from batch_resend.report.tables import RESULT_COLUMNS
from tests.certcentral.test_calls import CALLS as CALLS_TRIED
from tests.journal.conftest import pending, plan
from tests.pages import names_in_first_cells, table
from tests.report.schemas import schema


def names(table_start: str) -> set[str]:
    """Return what stands as code in the first cells of a table of the manual."""
    return set(names_in_first_cells(table_start))


ORDERS_TRIED = [cast("Request", param.values[0]) for param in CALLS_TRIED]


def test_every_note_and_every_remark_has_its_words() -> None:
    assert set(_NOTE_IN_WORDS) == set(Note)
    assert set(_REMARK_IN_WORDS) == set(Remark)


def test_every_column_and_every_call_is_in_the_manual() -> None:
    assert names("| column | need | other names") == set(Field)
    assert names("calls") == set(Call) == set(CALLS)


def test_a_column_is_known_by_the_other_names_that_the_manual_has() -> None:
    for name, _, others, _ in table("| column | need | other names"):
        column = COLUMNS[Field(name.strip("`"))]
        known = {plain(heading) for heading in f"{column.headings}, {column.second}".split(", ")}
        named = {plain(other) for other in others.split(", ")} - {plain("\u2026")}
        assert named <= known | {""}, name


def test_every_call_and_every_status_stands_in_the_schema_of_results() -> None:
    properties = cast("dict[str, Any]", schema("results").schema)["properties"]
    assert set(properties["status"]["enum"]) == set(RequestStatus)
    assert set(properties["call"]["enum"]) == set(Call) - {Call.DV_RESEND}


def test_every_check_of_the_doctor_stands_in_its_schema_and_in_the_manual() -> None:
    definitions = cast("dict[str, Any]", schema("doctor").schema)["$defs"]
    finding = definitions["finding"]["properties"]
    assert finding["check"]["enum"] == list(Check)
    assert finding["result"]["enum"] == list(Result)
    assert names("| check | what is looked at |") == set(Check)


@pytest.mark.parametrize("order", ORDERS_TRIED, ids=lambda order: str(order.call))
def test_what_check_writes_of_every_call_is_read_again_with_all_its_addresses(
    order: Request,
) -> None:
    line = json.dumps(request_for_programs(order))
    (raw,) = JsonRecords(Reading()).of_lines([line])
    row = check_record(raw, Reading()) if isinstance(raw, RawRecord) else raw
    assert isinstance(row, Row), row
    assert (row.order_id, row.call, row.locale) == (order.subject, order.call, order.locale)
    assert [e.email for e in row.entries] == [e.email for e in order.entries]


def test_every_field_has_its_line_in_the_table_of_columns() -> None:
    assert list(COLUMNS) == list(Field)


def test_every_file_and_every_column_of_a_report_is_in_the_manual() -> None:
    assert names("| file | what is in it |") == set(REPORT_FILES)
    assert names_in_first_cells("| column of `results.csv` |") == list(RESULT_COLUMNS)
    assert names("| status | meaning |") == set(RequestStatus)


@pytest.mark.asyncio
@pytest.mark.parametrize("field", sorted(set(Field) - {Field.ORDER_ID}))
@pytest.mark.parametrize("junk", ["?", "a b", "1.2.3", "nobody@", "x" * 300, "@", "..", "-"])
async def test_a_row_that_is_rejected_for_any_cell_has_no_other_row_mail_more(
    tmp_path: Path, field: Field, junk: str
) -> None:
    columns = ["order_id", "domain", "email", *({field} - {"domain", "email"})]
    good = {"order_id": "3", "domain": "a.example", "email": "admin@a.example"}
    path = tmp_path / "list.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerow({**good, field: junk})
        table.writerow({"order_id": "3"})
    await assert_nothing_is_widened(path)


@pytest.mark.asyncio
@pytest.mark.parametrize("field", sorted(set(Field) - {Field.ORDER_ID}))
@pytest.mark.parametrize("junk", ["?", "a b", 7, 1.5, True, [], [7], {}, {"name": 7}])
async def test_nor_has_one_whose_value_is_of_another_kind(
    tmp_path: Path, field: Field, junk: object
) -> None:
    good = {"order_id": 3, "domain": "a.example", "email": "admin@a.example"}
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps({**good, field: junk}) + '\n{"order_id": 3}\n')
    await assert_nothing_is_widened(path)


@pytest.mark.asyncio
async def test_nor_has_one_with_a_cell_too_many(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("order_id,domain,email\n3,a.example,admin@a.example,more\n3,,\n")
    await assert_nothing_is_widened(path)


async def assert_nothing_is_widened(path: Path) -> None:
    """Check that if the first of two rows of an order is rejected, the second mails nothing."""
    try:
        first, second = ListSource(str(path), Reading(accounts={"shop": None}))
    except InputError:
        return  # nothing of the whole list is mailed
    if isinstance(first, RejectedRow):
        async with open_journal(path.with_suffix(".db")) as journal:
            run = await plan(journal, [first, second])
            assert await pending(journal.reader, run) == [], "all domains of the order"


def test_every_call_is_tried_against_the_simulator() -> None:
    assert {order.call for order in ORDERS_TRIED} == set(Call)


@pytest.mark.parametrize("call", Call)
def test_every_address_of_an_order_stands_in_the_body_of_its_call(call: Call) -> None:
    several = tuple(Entry("a.example", f"{n}@a.example") for n in "abc")
    body = json.dumps(body_of(Request("3", None, several, call)))
    assert all(entry.email in body for entry in several)
