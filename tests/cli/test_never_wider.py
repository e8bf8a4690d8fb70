"""No list has the CA mail more than its rows plainly ask for: counted at the simulator."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import assert_adds_up, desk_with_ca

NUMBERS = ("100200302", "100200307", "100200312")
EACH: dict[str, list[Any]] = {number: [{}] for number in NUMBERS}


def listed(*cells: object, heading: str = "order_id") -> str:
    """Return a list of one column."""
    return "".join(f"{cell}\n" for cell in (heading, *cells))


def pair(name: str) -> dict[str, str]:
    """Return an entry as a request has it."""
    return {"domain": name, "email": f"admin@{name}"}


def with_marks(delimiter: str, heading: str, first: str, last: str) -> str:
    """Return a list of seven rows with two remarks that have a lone quotation mark."""
    remarks = {3: first, 5: last}
    rows = [heading.split(",")]
    for at in range(1, 8):
        named = {"order": f"3135001{at:02}", "remark": remarks.get(at, "outage")}
        rows.append([{**named, **pair(f"s{at}.example")}[name] for name in rows[0]])
    return "".join(delimiter.join(row) + "\n" for row in rows)


LISTS: dict[str, tuple[str, str, dict[str, list[Any]], int]] = {  # options, bodies, exit code
    "a short number of full width": (listed("\uff11\uff12", *NUMBERS), "", EACH, 3),
    "a short number behind a bullet": (listed("\u202212", *NUMBERS), "", EACH, 3),
    "a comment whose sign has full width": (listed(*NUMBERS, "\uff03100200317"), "", EACH, 3),
    "dates of full width": (
        listed("\uff12\uff10\uff12\uff16\uff11\uff11\uff12\uff18"), "", {}, 1,
    ),
    "domains that are named by a number": (
        "order_id,domain_id\n100200301,5\n100200302,6\n", "--all-domains", {}, 3,
    ),
    "the same, with yes in the rows": (
        "order_id,domain_id,all_domains\n100200301,5,yes\n100200302,6,yes\n", "", {}, 3,
    ),
    "a row without a domain's number, beside rows that have one": (
        "order_id,domain_id\n100200301,5\n100200302,\n", "", {}, 3,
    ),
    "the same in JSON": (
        '{"order_id": 100200301, "domain_id": 5}\n{"order_id": 100200302}\n', "", {}, 3,
    ),
    "the same, where the word asks for all": (
        "order_id,domain_id,all_domains\n100200301,5,\n100200302,,yes\n", "",
        {"100200302": [{}]}, 3,
    ),
    "a column for domains' numbers, and none there": (
        "order_id,domain_id\n100200301,\n100200302,\n", "",
        {"100200301": [{}], "100200302": [{}]}, 0,
    ),
    "a number that is the sum of the others": (listed(100200301, 200400603, 100200302), "", {}, 1),
    "a row without the language of its order": (
        "order_id,domain,email,locale\n"
        "100200911,a.example.com,admin@a.example.com,en\n"
        "100200911,a.example.com,admin@a.example.com,\n",
        "", {"100200911": [{"domain_approval_emails": [pair("a.example.com")], "locale": "en"}]}, 0,
    ),
    "ditto marks in a column that is not read": (
        with_marks("\t", "order,remark,domain,email", '"', '"'), "", {}, 1,
    ),
    "the same in the last column": (
        with_marks(";", "order,domain,email,remark", '"', '"'), "", {}, 1,
    ),
    "an inch sign behind a quotation without an end": (
        with_marks(",", "order,remark,domain,email", '"Zoll', '17"'), "", {}, 1,
    ),
    "ditto marks beside orders alone": (
        with_marks(";", "order,remark", '"', '"'), "--ignore remark", {}, 1,
    ),
    "a ditto mark without another": (
        with_marks(";", "order,remark", '"', "outage"), "--ignore remark", {}, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "options", "bodies", "code"), LISTS.values(), ids=LISTS)
async def test_a_list_has_no_more_mailed_than_its_rows_plainly_ask_for(
    tmp_path: Path, content: str, options: str, bodies: dict[str, list[Any]], code: int
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        (desk.folder / "list.csv").write_text(content, encoding="utf-8")
        given = ("--max-rejected", "100%", *shlex.split(options))
        sent = await desk.run("send", "list.csv", *given)
        assert sent.code == code, sent.err
        assert ca.books.bodies == bodies
        if code != 1:
            assert_adds_up(desk.summary())


async def test_the_first_message_about_domains_that_are_not_read_names_all_that_sends_the_list(
    tmp_path: Path,
) -> None:
    rows = "100200301,foo.example.com\n100200302,bar.example.com\n"
    lists = {
        "--no-header --map order_id=1 list.csv": rows,
        "webpage.csv": f"order_id,webpage\n{rows}",
        "unnamed.csv": f"order_id,\n{rows}",
        "list.jsonl": "".join(
            json.dumps({"order_id": number, "webpage": f"{number}.example.com"}) + "\n"
            for number in NUMBERS
        ),
    }
    async with desk_with_ca(tmp_path) as (desk, _):
        for given, content in lists.items():
            *options, name = shlex.split(given)
            (desk.folder / name).write_text(content)
            refused = await desk.run("check", name, *options)
            words = " ".join((refused.out + refused.err).split())
            named = re.search(r'--all-domains (--ignore "[^"]+")', words)
            assert named, words
            half = await desk.run("check", name, *options, *shlex.split(named[1]))
            assert named[0] in " ".join((half.out + half.err).split())
            checked = await desk.run("check", name, *options, *shlex.split(named[0]))
            assert checked.code == 0, checked.err


@pytest.mark.parametrize("first", ["", "en"])
async def test_what_is_left_of_an_order_is_in_the_language_that_one_of_its_rows_names(
    tmp_path: Path, first: str
) -> None:
    both = (first, "" if first else "en")
    rows = (f"100200911,a.example.com,admin@a.example.com,{locale}\n" for locale in both)
    async with desk_with_ca(tmp_path, keep_bodies=True, faults={"400": 1.0}) as (desk, ca):
        (desk.folder / "list.csv").write_text("order_id,domain,email,locale\n" + "".join(rows))
        refused = await desk.run("send", "list.csv")
        assert refused.code == 3, refused.err
        ca.fail({})
        left = desk.report() / "refused.csv"
        sent = await desk.run("send", str(left), "--report-dir", "again")
        assert sent.code == 0, sent.err
        body = {"domain_approval_emails": [pair("a.example.com")], "locale": "en"}
        assert set(map(str, ca.books.bodies["100200911"])) == {str(body)}
        assert ca.books.mails_per_order == {"100200911": 1}
