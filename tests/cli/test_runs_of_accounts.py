"""A run whose rows name accounts, looked at and gone on with by other command lines."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, read_summary
from tests.cli.town import BANK_KEY, Town, town

EACH = "order_id,account\n1,shop\n2,bank\n"
WRONG = "no-such-key-0123456789"


async def stopped_run(at: Town, *words: str, refused: tuple[str, ...] = ("shop", "bank")) -> Ended:
    """Send by some keys that are refused, which are right again afterwards."""
    files = [at.desk.folder / f"{name}.key" for name in refused]
    keys = [file.read_text() for file in files]
    for file in files:
        file.write_text(WRONG)
    stopped = await at.desk.run("send", *words)
    assert stopped.code == 4, stopped.err
    for file, key in zip(files, keys, strict=True):
        file.write_text(key)
    return stopped


def commands_in(told: str) -> dict[str, list[str]]:
    """Return the words of each next command that is told, behind the program's, by its name."""
    lines = [shlex.split(line)[1:] for line in told.splitlines() if line.startswith("  batch-res")]
    return {next(word for word in words if word in ("send", "resume")): words for words in lines}


async def test_what_is_left_of_one_account_keeps_its_own_windows_and_not_those_of_all(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        config = (tmp_path / "config.toml").read_text()
        own = f'api-key-file = "bank.key"\nbase-url = "{at.bank.base_url}"\n'
        at.desk.write("config.toml", own + config)
        at.desk.write("orders.csv", "order_id,account\n1,shop\n2,\n3,\n")
        first = await stopped_run(at, "orders.csv", refused=("bank",))
        assert "within no limit" in first.err, "shop has none, so all together have none"
        resumed = await at.desk.run("resume")
        assert resumed.code == 0, resumed.err
        assert "within 1000/3m and 100/5s" in resumed.err
        assert at.bank.books.mails_per_order == {"2": 1, "3": 1}


@pytest.mark.parametrize("profile", [(), ("--profile", "shop")])
async def test_it_goes_on_within_the_windows_that_each_account_had(
    tmp_path: Path, profile: tuple[str, ...]
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        await stopped_run(at, "orders.csv", *profile, "--limit", "7/2s")
        shown = await at.desk.run("resume", *profile)
        assert shown.code == 0, shown.err
        assert "within 14/2s" in shown.err, "of two keys, 7 each"


@pytest.mark.parametrize("flags", [("--limit", "7/2s"), ()])
async def test_report_tells_the_commands_that_the_run_itself_has_told(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    async with town(tmp_path, bank_key=BANK_KEY) as at:
        config = (tmp_path / "config.toml").read_text()
        at.desk.write("config.toml", f'base-url = "{at.shop.base_url}"\n{config}')
        at.desk.write("orders.csv", EACH)
        stopped = await stopped_run(at, "orders.csv", "--report-dir", "reports/one", *flags)
        run = read_summary(at.desk.report())["run_id"]
        again = await at.desk.run("report", run, "--report-dir", "reports/one")
        told, retold = commands_in(stopped.out), commands_in(again.out)
        assert told.keys() == retold.keys() == {"resume"}
        assert {"--config", "config.toml"} <= set(told["resume"]) & set(retold["resume"])
        assert not {"--base-url", "--region"} & {*told["resume"], *retold["resume"]}
        resumed = await at.desk.run(*retold["resume"])
        assert resumed.code == 0, resumed.err
        assert (at.shop.books.mails, at.bank.books.mails) == (1, 1)


async def test_a_run_that_was_held_back_at_the_simulator_does_not_begin_in_earnest(
    tmp_path: Path,
) -> None:
    async with town(tmp_path, bank_key="shop-key-0123456789") as at:
        at.desk.write("orders.csv", f"{EACH}none,\n")
        held = await at.desk.run("send", "orders.csv", "--strict", "--base-url", at.shop.base_url)
        assert (held.code, at.shop.books.requests) == (3, 0)
        run = read_summary(at.desk.report())["run_id"]
        refused = await at.desk.run("resume", run)
        assert refused.code == 1
        assert f"account bank at {at.shop.base_url}, not {at.bank.base_url}" in refused.err
        assert at.bank.books.requests == 0
        by = ("--base-url", at.shop.base_url)
        resumed = await at.desk.run("resume", run, *by, "--report-dir", "later")
        assert read_summary(tmp_path / "later")["orders"]["sent"] == 2, resumed.err
        assert (at.shop.books.mails_per_order, at.bank.books.requests) == ({"1": 1, "2": 1}, 0)


async def test_verify_asks_each_account_where_the_run_was_and_needs_no_other_key(
    tmp_path: Path,
) -> None:
    async with town(tmp_path, bank_key="shop-key-0123456789") as at:
        at.desk.write("orders.csv", EACH)
        sent = await at.desk.run("send", "orders.csv", "--base-url", at.shop.base_url)
        assert sent.code == 0, sent.err
        run = read_summary(at.desk.report())["run_id"]
        elsewhere = await at.desk.run("verify", run)
        assert (elsewhere.code, at.bank.books.requests) == (1, 0)
        assert f"not {at.bank.base_url}" in elsewhere.err
        told = await at.desk.run("verify", run, "--base-url", at.shop.base_url, "--format", "json")
        assert told.code == 0, told.err
        assert json.loads(told.out)["orders"] == 2
        assert Counter(at.shop.books.answers) == {"204": 2, "404": 2}


async def test_a_rehearsal_by_the_profiles_own_urls_is_told_as_one_with_the_ca_that_was_asked(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        sent = await at.desk.run("send", "orders.csv")
        assert "Rehearsal, nobody was mailed: 2 of 2 orders sent" in sent.out
        summary = read_summary(at.desk.report())
        assert summary["base_url"] in (at.shop.base_url, at.bank.base_url)
        shown = (await at.desk.run("show", summary["run_id"])).out
        assert at.shop.base_url in shown
        assert at.bank.base_url in shown
        assert "digicert" not in shown + (at.desk.report() / "report.html").read_text()


async def test_a_url_of_nothing_is_refused_and_is_not_the_cas(tmp_path: Path) -> None:
    """A script's variable that is empty names no simulator."""
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        for command in (("send", "orders.csv"), ("send", "orders.csv", "--profile", "shop")):
            refused = await at.desk.run(*command, "--base-url", "")
            assert refused.code == 1
            assert re.search("base_url: '' is not a base URL", refused.err)
        assert at.shop.books.requests == at.bank.books.requests == 0
