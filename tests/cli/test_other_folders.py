"""Commands that are printed in one folder, and typed in another: they mean the same there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca, read_summary

THERE, HERE = "order_id\n100200301\n100200302\n", "order_id\n100200307\n100200308\n"


def printed(what: str, text: str) -> list[str]:
    """Return the words of a command behind a sentence, for who has the key in a variable."""
    found = re.search(rf"{what}[^\n]*:\n +batch-resend (.+)\n", text)
    assert found, text
    return shlex.split(found[1].replace(" --api-key-file key.txt", ""))


def elsewhere(desk: Desk) -> Desk:
    """Return the same desk in a folder with another list of the same name."""
    folder = desk.folder / "elsewhere"
    folder.mkdir()
    (folder / "list.csv").write_text(HERE)
    there = Desk(folder)
    there.environment = desk.environment
    return there


async def test_a_rehearsal_resumed_in_another_folder_names_its_own_list_to_send_for_real(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        del desk.environment["BATCH_RESEND_BASE_URL"]
        to_ca = ("--base-url", ca.base_url)
        desk.write("list.csv", THERE)
        first = await desk.run("send", "--yes", "--max-orders", "1", *to_ca, "list.csv")
        there = elsewhere(desk)
        resumed = await there.run(*printed("To resume", first.out))
        assert resumed.code == 0, resumed.err
        command = printed("To send for real", resumed.out)
        before = ca.books.mails
        assert (await there.run(*command, "--again", *to_ca)).code in (0, 4)
        assert ca.books.mails > before
        assert ca.books.mails_per_order.keys() == {"100200301", "100200302"}


async def test_a_journal_that_the_file_names_for_a_folder_is_the_same_from_another(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        del desk.environment["BATCH_RESEND_JOURNAL"]
        desk.write("list.csv", THERE)
        desk.write("c.toml", 'journal = "own.db"\n')
        words = ("--config", "c.toml", "send", "--yes", "--max-orders", "1", "list.csv")
        first = await desk.run(*words)
        there = elsewhere(desk)
        resumed = await there.run(*printed("To resume", first.out))
        assert resumed.code == 0, resumed.err
        assert not (there.folder / "own.db").exists()
        assert ca.books.mails_per_order == {"100200301": 1, "100200302": 1}
        assert (await desk.run(*words)).code == 0
        assert ca.books.mails == 2, "the journal knows of both"


@pytest.mark.parametrize("name", ["-f.csv", "--yes"])
async def test_a_list_whose_name_begins_as_an_option_does_is_named_so_that_it_is_read(
    tmp_path: Path, name: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        del desk.environment["BATCH_RESEND_BASE_URL"]
        to_ca = ("--base-url", ca.base_url)
        desk.write(name, THERE)
        sent = await desk.run("send", "--yes", *to_ca, "--", name)
        again = await desk.run(*printed("To send for real", sent.out), *to_ca, "--again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == {"100200301": 2, "100200302": 2}


async def test_a_run_resumed_in_another_folder_updates_its_report_where_it_is(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list.csv", THERE)
        first = await desk.run("send", "--yes", "--max-orders", "1", "list.csv")
        (report,) = (desk.folder / "reports").glob("*/")
        there = elsewhere(desk)
        command = printed("To resume", first.out)
        for shown in (await there.run("show"), await there.run("watch")):
            assert f"{report}/report.html" in " ".join(shown.out.split())
        resumed = await there.run(*command)
        assert resumed.code == 0, resumed.err
        assert str(report) in resumed.out
        assert desk.summary()["orders"]["sent"] == 2
        assert len((report / "unsent.csv").read_text().splitlines()) == 1, "its heading"
        assert not (there.folder / "reports").exists()
        assert (await there.run("report")).code == 0


async def test_a_run_whose_folder_is_gone_is_resumed_with_a_report_here(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("list.csv", THERE)
        there = elsewhere(desk)
        first = await there.run("send", "--yes", "--all-domains", "--max-orders", "1", "list.csv")
        assert first.code == 4, first.err
        shutil.rmtree(there.folder)
        resumed = await desk.run(*printed("To resume", first.out))
        assert resumed.code == 0, resumed.err
        assert desk.summary()["orders"]["sent"] == 2


@pytest.mark.parametrize("again", [(), ("--report-dir", "second/{run}")])
async def test_a_run_keeps_the_place_that_its_last_start_named(
    tmp_path: Path, again: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        few = ("--max-orders", "1", "--yes")
        await desk.run("send", *few, "--report-dir", "first/{run}", "orders.csv")
        await desk.run("resume", *few, *again)
        assert (await elsewhere(desk).run("resume")).code == 0
        (report,) = (tmp_path / ("second" if again else "first")).glob("*/")
        assert read_summary(report)["orders"]["sent"] == 3


async def test_where_an_address_lives_is_no_other_request_if_it_is_the_domain(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        row = "100200301,a.example.com,admin@a.example.com"
        desk.write("one.csv", f"order_id,domain,email\n{row}\n")
        desk.write("two.csv", f"order_id,domain,email,email_domain\n{row},A.example.com\n")
        for name in ("one.csv", "two.csv"):
            assert (await desk.run("send", name)).code == 0
        assert ca.books.mails_per_order == {"100200301": 1}
