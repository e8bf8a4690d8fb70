"""What a sweep leaves out because a list of `--exclude` names it."""

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca
from tests.cli.test_sweep import STUCK, wait
from tests.intake.test_lists import LISTS


async def test_what_is_excluded_is_neither_mailed_nor_stuck(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, 7, 6)
        await desk.run(*STUCK)
        await desk.run(*STUCK)
        wait(ca, 4, 3, first=5)
        stuck = (tmp_path / "night" / "stuck.csv").read_text().splitlines(keepends=True)
        desk.write("hopeless.csv", "".join(stuck[:3]))  # 1 and 2
        desk.write("too.csv", "order_id,why\n3,the customer is gone\n5,a test\n")
        exclude = ("--exclude", "hopeless.csv", "--exclude", "too.csv", "--fail-on", "stuck")
        swept = await desk.run(*STUCK, *exclude)
        assert swept.code == 3, "4 is stuck, and in no list"
        assert "6 orders wait: 1 due, 1 stuck: " in swept.err
        assert ", 4 excluded (--exclude)" in swept.err
        desk.write("more.csv", "order_id\n4\n6\n")
        desk.write("none.csv", "order_id\n")
        more = ("--exclude", "more.csv", "--exclude", "none.csv")
        quiet = await desk.run(*STUCK, *exclude, *more)
        assert quiet.code == 0, quiet.out
        assert quiet.out.startswith("Nothing to send: 6 orders wait: 6 excluded (--exclude)")
        assert ca.books.mails_per_order == {"1": 1, "2": 1, "3": 1, "4": 1, "6": 1}


async def test_of_a_list_of_exclusions_only_the_numbers_count_and_that_is_said(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, 7)
        desk.write("gone.csv", "order_id,domain,remark\n1,,storniert\n2,a.example,do not send\n")
        swept = await desk.run("sweep", "--exclude", "gone.csv", "--log-file", "night.log")
        assert swept.code == 0, swept.err
        said = "--exclude gone.csv: 2 rows; only the numbers count, not 'domain', 'remark'\n"
        assert swept.err.startswith(said)
        assert said.strip() in (tmp_path / "night.log").read_text()
        assert ca.books.mails_per_order == {"3": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("order_id\n1\nX17\n", "hopeless.csv, line 3: ", id="no order number"),
        pytest.param("1\n2\n", "there is no heading row", id="no heading"),
        pytest.param("number of it\n1\n", "no column holds the order number", id="other heading"),
        pytest.param("order_id\n" + "100200301\n" * 3 + "7\n", "line 5: its number 7 ", id="short"),
        pytest.param(
            'order_id,why\n100200301,gone\n100200302,"\n100200303,"\n100200304,a test\n',
            "hopeless.csv, line 3: a quotation mark",
            id="ditto marks",
        ),
        pytest.param(None, "hopeless.csv: ", id="no file"),
    ],
)
async def test_a_list_of_exclusions_that_cannot_be_read_mails_nobody(
    tmp_path: Path, text: str | None, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8)
        if text is not None:
            desk.write("hopeless.csv", text)
        swept = await desk.run("sweep", "--exclude", "hopeless.csv")
        assert (swept.code, ca.books.requests) == (1, 0)
        assert said in swept.err
        assert ("\nhopeless.csv names the orders to leave out." in swept.err) is (text is not None)
        help_text = (await desk.run("sweep", "--help")).out
        for option in re.findall(r"--[a-z-]+", swept.err):
            assert option in help_text, "what a message advises, the command has"
        assert "all_domains" not in swept.err


# Lists of each kind of reason that says more than what is wrong: what to do is to be right here.
ADVISED = {
    "repaired-order-numbers.csv": "remove the # if it is none",
    "second-heading-with-other-columns.csv": "two lists joined there? Put each into a file of its",
    "headings-below-merged-titles.csv": "two lists joined? Put each into a file of its own",
    "colon-by-option.csv": "the columns seem to be separated by ':'",
    "delimiters-mixed-in-the-heading.csv": "the heading mixes ';' and ','",
    "utf-16-without-mark.csv": "holds NUL bytes",
    "excel-two-sheets.xlsx": "has 2 sheets with cells",
    "headings-ambiguous.csv": "could each hold the order_id",
    "pasted-beside-each-other.csv": "several columns are called 'order_id'",
    "report.html": "is the page of a report, not a list: unsent.csv of the same folder has what is",
}


@pytest.mark.parametrize(("name", "said"), ADVISED.items(), ids=ADVISED)
async def test_what_is_wrong_with_a_list_of_exclusions_comes_with_no_advice_for_sending(
    tmp_path: Path, name: str, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9)
        if name == "report.html":
            assert (await desk.run("sweep", "--report-dir", ".")).code == 0
        else:
            shutil.copy(LISTS / name, tmp_path)
        requests = ca.books.requests
        swept = await desk.run("sweep", "--exclude", name)
        assert (swept.code, ca.books.requests) == (1, requests), swept.err
        assert said in swept.err
        assert not re.findall(r"--(?!exclude)\w+|\bcheck\b|\b[Ss]end\b(?!; refused)", swept.err)


async def test_an_order_whose_row_is_commented_out_is_mailed_once_the_row_is_deleted(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, first=100_200_301)
        desk.write("hopeless.csv", "order_id\n100200301\n# 100200302\n")
        refused = await desk.run("sweep", "--exclude", "hopeless.csv")
        assert (refused.code, ca.books.requests) == (1, 0)
        assert "hopeless.csv, line 3: begins with #, as a comment does" in refused.err
        assert "or remove from it what is no order to leave out." in refused.err
        desk.write("hopeless.csv", "order_id\n100200301\n")
        assert (await desk.run("sweep", "--exclude", "hopeless.csv")).code == 0
        assert ca.books.mails_per_order == {"100200302": 1}


async def test_the_order_report_of_the_ca_is_a_list_of_exclusions_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, first=100_200_331)
        wait(ca, 7, first=100_200_301)
        shutil.copy(LISTS / "order-report.csv", tmp_path)
        swept = await desk.run("sweep", "--exclude", "order-report.csv")
        assert swept.code == 0, swept.err
        assert ca.books.mails_per_order == {"100200301": 1}


async def test_an_excluded_number_of_no_order_that_waits_is_named(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8)
        desk.write("hopeless.csv", "order_id\n1\n77\n")
        swept = await desk.run("sweep", "--exclude", "hopeless.csv")
        assert swept.code == 0, swept.err
        assert (
            "--exclude: 1 of its numbers is not among the waiting orders (77): approved since "
            "then, another account's, or mistyped" in swept.err
        )
        assert ca.books.mails_per_order == {"2": 1}
        known = await desk.run("sweep", "--exclude", "hopeless.csv", "--product", "other")
        assert "of its numbers" in known.err, "a filter of ours hides no order of the CA's list"
