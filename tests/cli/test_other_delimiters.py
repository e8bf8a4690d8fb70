"""A spreadsheet saves a list with the delimiter of its country, whatever --delimiter says."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca

HEADINGS = ("order_id", "domain", "email")
ROWS = [(f"3166001{at:02}", f"s{at}.example.com", f"admin@s{at}.example.com") for at in range(1, 7)]


def a_list(delimiter: str, *rows: tuple[str, ...], heading: tuple[str, ...] = HEADINGS) -> str:
    return "".join(delimiter.join(row) + "\n" for row in (heading, *rows) if row)


def saved_anew(path: Path, before: str, now: str) -> None:
    """Have a spreadsheet save a list; what was rejected is corrected."""
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter=before))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter=now)
        table.writerows([cell if cell != "x" else ROWS[0][0] for cell in row] for row in rows)


def command_for(name: str, printed: str) -> list[str]:
    (command,) = re.findall(rf"^  batch-resend (send \S+{name}.*)$", printed, re.M)
    return shlex.split(command)


@pytest.mark.parametrize("now", [",", ";", "\t"])
@pytest.mark.parametrize("given", [",", ";", "|", "tab", None])
async def test_the_commands_of_a_report_read_its_lists_also_when_a_spreadsheet_saved_them(
    tmp_path: Path, given: str | None, now: str
) -> None:
    before = "\t" if given == "tab" else given or ","
    options = () if given is None else ("--delimiter", given)
    async with desk_with_ca(tmp_path, faults={"400": 1.0}) as (desk, ca):
        desk.write("list.csv", a_list(before, ("x", *ROWS[0][1:]), *ROWS[1:]))
        first = await desk.run("send", "list.csv", *options)
        assert first.code == 3, first.err
        ca.fail({})
        for name in ("refused.csv", "rejected.csv"):
            saved_anew(desk.report() / name, before, now)
        for name in ("refused.csv", "rejected.csv"):
            again = await desk.run(*command_for(name, first.out), "--report-dir", name)
            assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys((order for order, *_ in ROWS), 1)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (a_list(":", *ROWS), "--delimiter :"),
        (a_list("\t", *ROWS, heading=()), "--delimiter tab --no-header --map order_id=1 "
         "--map domain=2 --map email=3"),
        # Which would be three cells, where a comma separates them.
        (a_list(";", *((f"{order[:3]},{order[3:6]},{order[6:]}",) for order, *_ in ROWS),
                heading=HEADINGS[:1]), "--delimiter ';'"),
    ],
    ids=["of another kind", "without a heading row", "of a single column"],
)  # fmt: skip
async def test_they_read_them_where_the_delimiter_is_not_to_be_found(
    tmp_path: Path, content: str, options: str
) -> None:
    async with desk_with_ca(tmp_path, faults={"400": 1.0}) as (desk, ca):
        desk.write("list.csv", content)
        first = await desk.run("send", "list.csv", *shlex.split(options))
        assert first.code == 3, first.err
        ca.fail({})
        again = await desk.run(*command_for("refused.csv", first.out), "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys((order for order, *_ in ROWS), 1)


@pytest.mark.parametrize(
    ("delimiter", "given", "heading", "options"),
    [
        (";", ",", HEADINGS, ""),
        (",", ";", HEADINGS, ""),
        ("\t", ",", HEADINGS, ""),
        (";", "tab", HEADINGS, ""),
        (";", ":", HEADINGS, ""),
        (";", ",", ("order_id", "remark", "team"), "--all-domains --ignore remark --ignore team"),
        (";", ",", ("Vorgang", "Seite", "Kontakt"),
         "--map order_id=Vorgang --map domain=Seite --map email=Kontakt"),
    ],
)  # fmt: skip
async def test_a_list_with_another_delimiter_than_the_one_given_is_said_to_have_that(
    tmp_path: Path, delimiter: str, given: str, heading: tuple[str, ...], options: str
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", a_list(delimiter, *ROWS, heading=heading))
    more = shlex.split(options)
    refused = await desk.run("check", "list.csv", "--delimiter", given, *more)
    assert refused.code == 1
    said = "\t" if given == "tab" else given
    assert (
        f"list.csv: its columns are separated by {delimiter!r}, and --delimiter says {said!r}: "
        "leave that out"
    ) in " ".join(refused.err.split())
    assert (await desk.run("check", "list.csv", *more)).code == 0


async def test_a_list_in_quotation_marks_is_said_to_be_that_whatever_delimiter_is_given(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.write("list.csv", '"order_id,domain,email"\n"316600104,c.example,admin@c.example"\n')
    for options in ((), ("--delimiter", ",")):
        refused = await desk.run("check", "list.csv", *options)
        assert "each line is in quotation marks" in " ".join(refused.err.split())
