"""A column that `--ignore` names, in the lists that a report writes of those that have it."""

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca

UNKNOWN = "100200306"  # the CA refuses it, until it has it
UNSENT, REFUSED, REJECTED = "unsent", "refused", "rejected"


def entry(number: int) -> dict[str, str]:
    """Return the domain and the address of an order."""
    return {"domain": f"a{number}.example.com", "email": f"admin@a{number}.example.com"}


def table(*numbers: int, order_id: str = "order_id") -> str:
    """Return a list with a column for notes."""
    rows = (";".join((str(n), *entry(n).values(), "issued\n")) for n in numbers)
    return f"{order_id};domain;email;note\n" + "".join(rows)


def of_json(*numbers: int) -> str:
    """Return a list of orders with notes, as JSON."""
    return json.dumps(
        [{"order_id": n, "note": "issued", "domain_approval_emails": [entry(n)]} for n in numbers]
    )


A, B = (100200301, 100200302, 100200303), (100200304, 100200305, 100200306)
LISTS = {
    "CSV and JSON": {"a.csv": table(*A), "b.json": of_json(*B)},
    "JSON and CSV": {"a.json": of_json(*A), "b.csv": table(*B)},
    "JSON alone": {"a.json": of_json(*A, *B)},
    "CSV with different headings": {"a.csv": table(*A), "b.csv": table(*B, order_id="Order ID")},
    "CSV with one heading": {"a.csv": table(*A), "b.csv": table(*B)},
}


def command_for(printed: str, part: str) -> list[str]:
    """Return the words of the command that sends a list of a report, as it was printed."""
    lines = (line.strip() for line in printed.splitlines())
    found = [one for one in lines if one.startswith("batch-resend send") and f"{part}.csv" in one]
    assert found, printed
    return shlex.split(found[0])[1:]


async def send(desk: Desk, lists: dict[str, str], *more: str) -> str:
    """Send lists of which the notes are ignored; return what is printed, with the report."""
    for name, text in lists.items():
        desk.write(name, text)
    options = ("send", "--yes", "--ignore", "note", "--max-rejected", "50%", *more)
    ended = await desk.run(*options, *lists)
    assert ended.code in (3, 4), ended
    return ended.out + ended.err


@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS)
async def test_an_unsent_csv_without_the_column_is_sent_with_the_options_of_the_lists(
    tmp_path: Path, lists: dict[str, str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        await send(desk, lists, "--max-orders", "1")
        unsent = desk.report() / "unsent.csv"
        assert ca.books.mails == 1
        ended = await desk.run("send", "--yes", "--ignore", "note", str(unsent))
        assert ended.code == 0, ended
        assert ca.books.mails == len(A + B)


@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS)
async def test_what_a_report_prints_for_its_refused_csv_sends_it(
    tmp_path: Path, lists: dict[str, str]
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset((UNKNOWN,))) as (desk, ca):
        printed = await send(desk, lists)
        assert ca.books.mails == 5
        ended = await desk.run(*command_for(printed, REFUSED), "--yes")
        assert ended.code == 3, ended
        assert ca.books.requests_per_order[UNKNOWN] == 2


@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS)
async def test_so_does_what_it_prints_for_its_rejected_csv_once_that_is_corrected(
    tmp_path: Path, lists: dict[str, str]
) -> None:
    wrong = {
        name: text.replace("admin@a100200306", "admin a100200306") for name, text in lists.items()
    }
    async with desk_with_ca(tmp_path) as (desk, ca):
        printed = await send(desk, wrong)
        assert ca.books.mails == 5
        rejected = desk.report() / "rejected.csv"
        rejected.write_text(rejected.read_text().replace("admin a1", "admin@a1", 1))
        ended = await desk.run(*command_for(printed, REJECTED), "--yes")
        assert ended.code == 0, ended
        assert ca.books.mails == 6


async def test_in_any_other_list_a_column_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("unsent.csv", table(*A))
        desk.write("b.csv", table(*B))
        for lists in (("b.csv",), ("unsent.csv", "b.csv")):
            ended = await desk.run("send", "--yes", "--ignore", "note", "--ignore", "nope", *lists)
            assert ended.code == 2
            assert "--ignore 'nope' names a column that is not there" in ended.err
        assert not ca.books.mails


@pytest.mark.parametrize(
    ("ignored", "told"),
    [
        ("email", 'but none for the email, because of --ignore "email": leave that out; to have '
         'the CA mail every pending domain of each order: --ignore "domain" --all-domains\n'),
        ("domain", 'but none for the domain, because of --ignore "domain": leave that out\n'),
        ("order_id", 'the order number, because of --ignore "order_id": leave that out\n'),
    ],
)  # fmt: skip
async def test_a_column_that_is_needed_and_ignored_is_not_called_one_without_a_heading(
    tmp_path: Path, ignored: str, told: str
) -> None:
    desk = Desk(tmp_path)
    desk.write("a.csv", "order_id,domain,email\n100200301,a.example.com,admin@a.example.com\n")
    ended = await desk.run("check", "--all-domains", "--ignore", ignored, "a.csv")
    assert ended.code == 1
    assert ended.err.endswith(told)
    beside = ('--ignore "email"', '--ignore "domain"', "--all-domains")
    if ignored == "email":
        assert all(word in ended.err for word in beside)
        both = await desk.run(
            "check", "--all-domains", "--ignore", "email", "--ignore", "domain", "a.csv"
        )
        assert both.code == 0, both
