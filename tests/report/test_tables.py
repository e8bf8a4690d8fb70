"""results.csv, results.jsonl and rejected.csv: exactly what the design says of every row."""

import json
from pathlib import Path

import pytest

from batch_resend.clock import timestamp
from batch_resend.intake import Field, ListSource, Reading, RecordSource, Source
from batch_resend.model import Entry, Row, RunState
from batch_resend.report import write_report
from batch_resend.report.files import OF_ORDERS
from tests.journal.conftest import NOON, Clock
from tests.report.carried import SCRIPT, Report, carried, reported, two_lists, write_list

pytestmark = pytest.mark.asyncio

RESULT_COLUMNS = [
    "file", "line", "order_id", "domain", "email", "email_domain", "locale", "status", "reason",
    "http_status", "error_code", "attempts", "possible_duplicate", "first_attempt_at",
    "last_attempt_at", "call", "account",
]  # fmt: skip
REQUEST_KEYS = [
    "order_id", "locale", "entries", "status", "http_status", "error_code", "error_message",
    "attempts", "possible_duplicate", "first_attempt_at", "last_attempt_at", "source",
]  # fmt: skip


def at(seconds: float) -> str:
    """Return so many seconds after noon, as reports have times."""
    return timestamp(NOON + seconds)


async def test_results_csv_has_a_line_a_row_in_the_order_of_the_lists_which_says_all_of_it(
    tmp_path: Path,
) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    first, second = str(tmp_path / "first.csv"), str(tmp_path / "second.csv")
    assert found.table("results.csv")[0] == RESULT_COLUMNS
    assert [(r["file"], r["line"], r["order_id"], r["status"])
            for r in found.records("results.csv")] == [
        (first, "2", "11", "sent"),
        (first, "3", "12", "refused"),
        (first, "4", "11", "sent"),
        (first, "5", "", "rejected"),
        (first, "6", "13", "failed"),
        (first, "8", "11", "duplicate"),
        (first, "9", "14", "in_doubt"),
        (second, "2", "15", "not_attempted"),
        (second, "3", "13", "failed"),
        (second, "4", "14", "duplicate"),
        (second, "5", "12", "rejected"),
        (second, "6", "", "rejected"),
    ]  # fmt: skip
    lines = {(r[0], r[1]): r[2:] for r in found.table("results.csv")}
    assert lines[first, "2"] == [
        "11", "b.example", "admin@b.example", "", "de", "sent", "", "204", "", "3", "yes",
        at(0), at(2), "dv-resend", "",
    ]  # fmt: skip
    assert lines[first, "3"] == [
        "12", "a.example", "admin@a.example", "", "", "refused", "no such field", "400",
        "bad_request_format", "1", "no", at(3), at(3), "dv-resend", "",
    ]  # fmt: skip
    assert lines[first, "9"] == [
        "14", "", "", "", "", "in_doubt", "the connection broke", "", "", "1", "no", at(6), at(6),
        "dv-resend", "",
    ]  # fmt: skip
    assert lines[second, "2"] == [
        "15", "a.example", "admin@a.example", "", "", "not_attempted", *[""] * 3, "0", "no", "", "",
        "dv-resend", "",
    ]  # fmt: skip
    duplicate, ambiguous, malformed = lines[first, "8"], lines[second, "5"], lines[first, "5"]
    assert duplicate[5] == "duplicate"
    assert f"line 2 of {first}" in duplicate[6]
    assert ambiguous[5] == "rejected"
    assert f"line 3 of {first}" in ambiguous[6]
    assert "in scientific notation" in malformed[6]
    for row in (duplicate, ambiguous, malformed):
        assert row[7:] == [*[""] * 6, "dv-resend", ""]


async def test_a_row_of_several_entries_is_one_line(tmp_path: Path) -> None:
    record = {
        "order_id": 1,
        "domain_approval_emails": [
            {"domain": "a.example", "email": "x@up.example", "email_domain": "up.example"},
            {"domain": "b.example", "email": "y@b.example"},
        ],
    }
    found, _ = await reported(tmp_path, [RecordSource([record])], {})
    (line,) = found.records("results.csv")
    assert (line["domain"], line["email"]) == ("a.example; b.example", "x@up.example; y@b.example")
    assert line["email_domain"] == "up.example"


async def test_results_jsonl_has_a_line_a_request_with_all_rows_it_came_from(
    tmp_path: Path,
) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    first, second = str(tmp_path / "first.csv"), str(tmp_path / "second.csv")
    requests = found.requests
    assert all(list(request) == REQUEST_KEYS for request in requests)
    assert requests[0] == {
        "order_id": "11",
        "locale": "de",
        "entries": [
            {"domain": "a.example", "email": "admin@a.example"},
            {"domain": "b.example", "email": "admin@b.example"},
        ],
        "status": "sent",
        "http_status": 204,
        "error_code": None,
        "error_message": None,
        "attempts": 3,
        "possible_duplicate": True,
        "first_attempt_at": at(0),
        "last_attempt_at": at(2),
        "source": [{"file": first, "line": line} for line in (2, 4, 8)],
    }
    assert requests[1] == {
        "order_id": "12",
        "locale": None,
        "entries": [{"domain": "a.example", "email": "admin@a.example"}],
        "status": "refused",
        "http_status": 400,
        "error_code": "bad_request_format",
        "error_message": "no such field",
        "attempts": 1,
        "possible_duplicate": False,
        "first_attempt_at": at(3),
        "last_attempt_at": at(3),
        "source": [{"file": first, "line": 3}],
    }
    assert [(r["order_id"], r["status"], r["attempts"]) for r in requests[2:]] == [
        ("13", "failed", 2), ("14", "in_doubt", 1), ("15", "not_attempted", 0),
    ]  # fmt: skip
    assert requests[2]["source"] == [{"file": first, "line": 6}, {"file": second, "line": 3}]
    assert (requests[4]["first_attempt_at"], requests[4]["http_status"]) == (None, None)


async def test_an_entry_names_its_email_domain_only_where_it_has_one(tmp_path: Path) -> None:
    source = RecordSource(
        [
            {"order_id": 1, "domain": "a.example", "email": "x@b.example"},
            {"order_id": 1, "domain": "c.example", "email": "x@b.example", "email_domain": "b.cc"},
        ]
    )
    found, _ = await reported(tmp_path, [source], {})
    assert found.requests[0]["entries"] == [
        {"domain": "a.example", "email": "x@b.example"},
        {"domain": "c.example", "email": "x@b.example", "email_domain": "b.cc"},
    ]


async def test_a_skipped_request_says_when_and_by_which_run_it_was_sent(tmp_path: Path) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301", "100200302")
    clock = Clock()
    async with carried(tmp_path, [ListSource(path)], {"100200301": "204"}, clock=clock) as (
        _,
        first,
    ):
        pass
    async with carried(tmp_path, [ListSource(path)], {}, clock=clock) as (journal, run):
        await write_report(journal.reader, run, tmp_path / "report")
    skipped, other = Report(tmp_path / "report").requests
    assert skipped["status"] == "skipped"
    assert skipped["error_message"] == f"sent {at(1)} by run {first.id}"
    assert (skipped["attempts"], skipped["first_attempt_at"]) == (0, None)
    assert other["status"] == "not_attempted"


async def test_requests_of_one_order_in_two_languages_are_two_lines(tmp_path: Path) -> None:
    path = write_list(
        tmp_path, "a.csv", "order_id,locale", "100200301,en", "100200301,de", "100200301,en"
    )
    found, _ = await reported(tmp_path, [ListSource(path)], {})
    assert [(r["locale"], [s["line"] for s in r["source"]]) for r in found.requests] == [
        ("en", [2, 4]),
        ("de", [3]),
    ]


async def test_rejected_csv_has_file_line_reason_and_the_row_as_it_stood(tmp_path: Path) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    first, second = str(tmp_path / "first.csv"), str(tmp_path / "second.csv")
    heading, *lines = found.table("rejected.csv")
    assert heading == [
        "Order ID",
        "Note",
        "Domain",
        "Email",
        "Locale",
        "file",
        "line",
        "reason",
        "row",
    ]
    assert [line[5:7] for line in lines] == [[first, "5"], [second, "5"], [second, "6"]]
    assert [line[:5] for line in lines] == [
        ["1e9", "'=1+1", "x.example", "admin@x.example", ""],
        ["12", "ambiguous", "", "", ""],
        ["", "no order", "", "", ""],
    ]
    assert all(line[7] for line in lines)


async def test_rows_of_lists_with_different_headings_stand_field_by_field_and_as_one_text(
    tmp_path: Path,
) -> None:
    """A CSV row as a line of CSV, a JSON row as its text; and these cells with their headings."""
    sources = [
        ListSource(write_list(tmp_path, "a.csv", "order_id,note", 'x,"a, ""b"""', "100200301,")),
        ListSource(write_list(tmp_path, "b.jsonl", '{"order_id": "y",  "note": "ü"}', "[1]")),
    ]
    found, _ = await reported(tmp_path, sources, {})
    heading, *lines = found.table("rejected.csv")
    assert heading[:5] == ["order_id", "domain", "email", "email_domain", "locale"]
    assert heading[-5:] == ["file", "line", "reason", "record", "row"]
    assert [line[0] for line in lines] == ["x", "y", ""]
    for line in lines:
        assert json.loads(line[-1]) == dict(zip(heading[:-5], line[:-5], strict=True))
    assert [line[-2] for line in lines] == [
        'x,"a, ""b"""',
        '{"order_id": "y",  "note": "ü"}',
        "[1]",
    ]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("formula", FORMULAS)
async def test_no_cell_of_rejected_csv_runs_as_a_formula_nor_does_a_heading(
    tmp_path: Path, formula: str
) -> None:
    path = write_list(tmp_path, "a.csv", f'"{formula}",note,order_id', f'"","{formula}",x')
    found, _ = await reported(tmp_path, [ListSource(path)], {})
    heading, line, *_ = found.table("rejected.csv")
    assert (heading[0], line[1:3]) == (f"'{formula}", [f"'{formula}", "x"])


async def test_no_cell_of_results_csv_runs_as_a_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path, "=list.csv", "order_id", "x")
    # No list has such addresses; a program may know better.
    rows = [
        Row(line, str(line), (Entry("a.example", email),), None, "{}")
        for line, email in enumerate(("+x+y@a.example", "+x@a.example"), start=1)
    ]
    sources: list[Source] = [RecordSource(rows, name="=list.csv"), ListSource("=list.csv")]
    found, _ = await reported(tmp_path, sources, {})
    lines = found.records("results.csv")
    assert [line["email"] for line in lines] == ["'+x+y@a.example", "'+x@a.example", ""]
    assert {line["file"] for line in lines} == {"'=list.csv"}
    assert found.requests[0]["entries"][0]["email"] == "+x+y@a.example"
    assert found.requests[0]["source"][0]["file"] == "=list.csv"


async def test_unsent_csv_has_its_cells_as_they_were_formulas_or_not(tmp_path: Path) -> None:
    """It goes back into `send`: an apostrophe in front would make it another request."""
    rows = [
        ["=1+1", "1", "a.example", "x@a.example"],
        ["@note", "2", "", ""],
        ['q "x", ü\n2', "3", " ", ""],
    ]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    path = write_list(tmp_path, "a.csv", "-note,number,domain,email", *lines)
    reading = Reading({Field.ORDER_ID: "number"}, all_domains=True)
    found, _ = await reported(tmp_path, [ListSource(path, reading)], {})
    assert found.table("unsent.csv") == [["-note", "number", "domain", "email"], *rows]


async def test_a_list_of_orders_has_just_the_accepted_rows_of_what_became_of_them(
    tmp_path: Path,
) -> None:
    """Failed, in doubt and not attempted, or refused; not sent, duplicate or rejected."""
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    heading = ["Order ID", "Note", "Domain", "Email", "Locale"]
    assert found.table("refused.csv") == [
        heading,
        ["12", "unknown there", "a.example", "admin@a.example", ""],
    ]
    assert found.table("unsent.csv") == [
        heading,
        ["13", 'fails, "ü"\nfor good', "a.example", "admin@a.example", ""],
        ["14", "in doubt", "", "", ""],
        ["15", "left over", "a.example", "admin@a.example", ""],
        ["13", "more", "b.example", "admin@b.example", ""],
    ]


async def test_an_order_is_in_one_list_at_most(tmp_path: Path) -> None:
    """So that both can be sent, each as it needs; the key is to blame for a 403 if it stopped."""
    numbers = ("100200301", "100200302", "100200303", "100200304")
    path = write_list(tmp_path, "a.csv", "order_id", *numbers)
    script = dict(zip(numbers, ("204", "400", "403", "503"), strict=True))
    for state, *lists in ((RunState.COMPLETED, "4", "23"), (RunState.STOPPED, "34", "2")):
        (folder := tmp_path / state).mkdir()
        found, _ = await reported(folder, [ListSource(path)], script, state)
        assert lists == [
            "".join(row["order_id"][-1] for row in found.records(name)) for name in OF_ORDERS
        ]


async def test_unsent_csv_of_lists_without_one_heading_is_a_line_an_entry(tmp_path: Path) -> None:
    nested = (
        '{"order_id": 7, "domain_approval_emails": [{"domain": "A.example", "email": "x@a.example"}'
        ', {"domain": "b.example", "email": "x@up.example", "email_domain": "up.example"}]}'
    )
    sources = [
        ListSource(write_list(tmp_path, "a.jsonl", nested)),
        ListSource(write_list(tmp_path, "b.csv", "order,language", " 100200308 ,de")),
    ]
    found, _ = await reported(tmp_path, sources, {})
    assert found.table("unsent.csv") == [
        ["order_id", "domain", "email", "email_domain", "locale", "all_domains"],
        ["7", "a.example", "x@a.example", "", "", ""],
        ["7", "b.example", "x@up.example", "up.example", "", ""],
        ["100200308", "", "", "", "de", "yes"],
    ]


async def test_unsent_csv_has_the_headings_that_the_mapping_names(tmp_path: Path) -> None:
    """So that it is read back with the same --map."""
    mapping = {Field.ORDER_ID: "Nummer", Field.EMAIL: "Adresse"}
    record = '{"Nummer": 7, "domain": "a.example", "Adresse": "x@a.example"}'
    path = write_list(tmp_path, "a.jsonl", record)
    found, _ = await reported(tmp_path, [ListSource(path, Reading(mapping))], {})
    assert found.table("unsent.csv") == [
        ["Nummer", "domain", "Adresse", "email_domain", "locale"],
        ["7", "a.example", "x@a.example", "", ""],
    ]


async def test_a_run_of_which_all_was_sent_leaves_headings_only(tmp_path: Path) -> None:
    path = write_list(tmp_path, "a.csv", "order_id,note", "100200301,x")
    found, _ = await reported(
        tmp_path, [ListSource(path)], {"100200301": "204"}, RunState.COMPLETED
    )
    assert found.table("unsent.csv") == found.table("refused.csv") == [["order_id", "note"]]
    assert found.table("rejected.csv") == [["order_id", "note", "file", "line", "reason", "row"]]
    assert len(found.table("results.csv")) == 2
