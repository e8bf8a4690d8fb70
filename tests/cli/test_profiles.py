"""What goes before what where flags, environment, file and profiles speak of accounts."""

import csv
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from batch_resend.cli.as_settings import accounts_of, settings_of
from batch_resend.cli.config import read_config
from batch_resend.cli.main import cli
from batch_resend.journal import read_journal
from batch_resend.settings import Region, Settings
from batch_resend.windows import CA_WINDOWS, parse_windows
from tests.cli.conftest import Ended, read_summary, results
from tests.cli.screen import on_screen
from tests.cli.town import SHOP_KEY, Town, town

US, EU = Region.US.base_url, Region.EU.base_url
SIMULATOR, PROXY = "http://127.0.0.1:8080/services/v2", "https://proxy.example/services/v2"
PROFILES = """
[profiles.plain]
api-key-file = "plain.key"
[profiles.placed]
api-key-file = "placed.key"
region = "eu"
limit = "10/1m"
locale = "de"
"""
EACH = "order_id,account\n100200301,shop\n100200302,bank\n"


def settings_as_told(folder: Path, said: str, file: str = "", **environment: str) -> Settings:
    """Return the settings of `send` with some flags, beside a TOML file."""
    config = folder / "config.toml"
    config.write_text(file + PROFILES)
    for name in ("own", "plain", "placed"):
        (folder / f"{name}.key").write_text(f"key-of-{name}-0123456789")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in environment.items():
            patch.setenv(name, value)
        told = read_config(config, [cli.commands["send"]])
        words = ["--api-key-file", "own.key", *said.split(), "orders.csv"]
        parent = click.Context(cli, **cli.context_settings)
        told.apply_to(parent)
        with cli.commands["send"].make_context("send", words, parent) as context:
            options: dict[str, Any] = context.params
            assert accounts_of(options).keys() == {"plain", "placed"}
            return settings_of(options)


@pytest.mark.parametrize(
    ("said", "file", "urls"),
    [
        ("", "", (US, US, EU)),
        (f"--base-url {SIMULATOR}", "", (SIMULATOR, SIMULATOR, SIMULATOR)),
        ("--region us", "", (US, US, US)),
        ("--region us", f'base-url = "{PROXY}"', (US, US, US)),
        (f"--region us --base-url {SIMULATOR}", "", (SIMULATOR, SIMULATOR, SIMULATOR)),
        ("", f'base-url = "{PROXY}"', (PROXY, PROXY, EU)),
        ("", 'region = "eu"', (EU, EU, EU)),
        ("--profile placed", "", (EU, US, EU)),
        ("--profile placed", f'base-url = "{PROXY}"', (EU, PROXY, EU)),
        ("--profile plain", f'base-url = "{PROXY}"', (PROXY, PROXY, EU)),
        ("--profile placed --region us", f'base-url = "{PROXY}"', (US, US, US)),
        (f"--profile placed --base-url {SIMULATOR}", "", (SIMULATOR, SIMULATOR, SIMULATOR)),
    ],
)
def test_where_each_account_is_flags_say_first_then_its_profile_then_the_file(
    tmp_path: Path, said: str, file: str, urls: tuple[str, str, str]
) -> None:
    settings = settings_as_told(tmp_path, said, file + "\n")
    told = tuple(settings.account(name).base_url for name in (None, "plain", "placed"))
    assert told == urls


@pytest.mark.parametrize("variable", ["BASE_URL", "REGION"])
def test_the_environment_goes_before_a_profile_as_flags_do(tmp_path: Path, variable: str) -> None:
    value, url = (SIMULATOR, SIMULATOR) if variable == "BASE_URL" else ("us", US)
    settings = settings_as_told(tmp_path, "", **{f"BATCH_RESEND_{variable}": value})
    assert {settings.account(name).base_url for name in settings.names} == {url}


@pytest.mark.parametrize(
    ("said", "file", "plain", "placed"),
    [
        ("", "", CA_WINDOWS, ("10/1m",)),
        ("", 'limit = "7/1m"', ("7/1m",), ("10/1m",)),
        ("--limit 5/1m --limit 3/5s", 'limit = "7/1m"', ("5/1m", "3/5s"), ("5/1m", "3/5s")),
        ("--profile placed", "", CA_WINDOWS, ("10/1m",)),
    ],
)
def test_the_windows_of_each_account_likewise(
    tmp_path: Path, said: str, file: str, plain: tuple[str, ...], placed: tuple[str, ...]
) -> None:
    settings = settings_as_told(tmp_path, said, file + "\n")
    for name, wanted in (("plain", plain), ("placed", placed)):
        assert settings.account(name).windows == parse_windows(list(map(str, wanted)))


# --- the whole command ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["flag", "environment"])
async def test_a_simulator_named_by_its_url_is_asked_by_every_account(
    tmp_path: Path, by: str
) -> None:
    async with town(tmp_path, bank_key=SHOP_KEY) as at:
        at.desk.write("orders.csv", EACH)
        flags = ("--base-url", at.shop.base_url) if by == "flag" else ()
        if by == "environment":
            at.desk.environment["BATCH_RESEND_BASE_URL"] = at.shop.base_url
        sent = await at.desk.run("send", "orders.csv", *flags)
        assert sent.code == 0, sent.err
        assert at.shop.books.mails_per_order == {"100200301": 1, "100200302": 1}
        assert at.bank.books.requests == 0
        run = at.desk.summary()["run_id"]
        if by == "flag":
            elsewhere = await at.desk.run("verify", run)
            assert (elsewhere.code, at.bank.books.requests) == (1, 0)
            assert f"not {at.bank.base_url}" in elsewhere.err
        told = await at.desk.run("verify", run, *flags, "--json")
        assert told.code == 0, told.err
        assert json.loads(told.out)["orders"] == 2


async def stopped_run(
    at: Town, *words: str, refused: Sequence[str] = ("shop", "bank")
) -> tuple[str, Ended]:
    """Send by some keys that are refused, and right again afterwards; return the run's name."""
    files = [at.desk.folder / f"{name}.key" for name in refused]
    keys = [file.read_text() for file in files]
    for file in files:
        file.write_text("no-such-key-0123456789")
    stopped = await at.desk.run("send", *words)
    assert stopped.code == 4, stopped.err
    for file, key in zip(files, keys, strict=True):
        file.write_text(key)
    return str(at.desk.summary()["run_id"]), stopped


@pytest.mark.parametrize("way", ["stopped", "held back"])
async def test_a_run_that_was_rehearsed_by_its_url_does_not_go_on_for_real(
    tmp_path: Path, way: str
) -> None:
    async with town(tmp_path, bank_key=SHOP_KEY) as at:
        by = ("--base-url", at.shop.base_url)
        if way == "stopped":
            at.desk.write("orders.csv", EACH)
            run, _ = await stopped_run(at, "orders.csv", *by)
        else:
            at.desk.write("orders.csv", f"{EACH}none,\n")
            assert (await at.desk.run("send", "orders.csv", "--strict", *by)).code == 3
            run = at.desk.summary()["run_id"]
        refused = await at.desk.run("resume", run)
        assert (refused.code, at.bank.books.requests) == (1, 0)
        assert f"account bank at {at.shop.base_url}, not {at.bank.base_url}" in refused.err
        resumed = await at.desk.run("resume", run, *by, "--report-dir", "later")
        assert read_summary(tmp_path / "later")["orders"]["sent"] == 2, resumed.err
        assert (at.shop.books.mails_per_order, at.bank.books.requests) == (
            {"100200301": 1, "100200302": 1},
            0,
        )


@pytest.mark.parametrize("place", ["named", "usual"])
async def test_what_the_file_says_of_the_accounts_is_no_flag_of_the_next_command_and_its_report(
    tmp_path: Path, place: str
) -> None:
    """As a flag it would go for each of them."""
    async with town(tmp_path) as at:
        text = (tmp_path / "config.toml").read_text()
        at.desk.write("config.toml", f'region = "us"\nlimit = "400/1m"\nlocale = "fr"\n{text}')
        config = Path("config.toml")
        if place == "usual":
            config = tmp_path / "settings" / "batch-resend" / "config.toml"
            config.parent.mkdir(parents=True)
            (tmp_path / "config.toml").rename(config)
            del at.desk.environment["BATCH_RESEND_CONFIG"]
            at.desk.environment["XDG_CONFIG_HOME"] = str(tmp_path / "settings")
        at.desk.write("orders.csv", EACH)
        run, stopped = await stopped_run(at, "orders.csv", "--report-dir", "reports/one")
        again = await at.desk.run("report", run, "--report-dir", "reports/one")
        for told in (stopped, again):
            commands = [line for line in told.out.splitlines() if line.startswith("  batch-resend")]
            assert commands
            for line in commands:
                named = "" if place == "usual" else f" --config {tmp_path / config}"
                assert line.startswith(f"  batch-resend{named} resume")
                assert not [flag for flag in ("--region", "--limit", "--base") if flag in line]
        resumed = await at.desk.run(*shlex.split(commands[0])[1:])
        assert resumed.code == 0, resumed.err
        assert (at.shop.books.mails, at.bank.books.mails) == (1, 1)


async def test_a_url_of_nothing_is_refused_and_is_not_the_cas(tmp_path: Path) -> None:
    """A script's variable that is empty names no simulator."""
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        for profile in ((), ("--profile", "shop")):
            refused = await at.desk.run("send", "orders.csv", *profile, "--base-url", "")
            assert refused.code == 1
            assert "'' is not a base URL" in refused.err
        assert at.shop.books.requests == at.bank.books.requests == 0


# --- windows of a run that goes on ----------------------------------------------------------------


async def test_what_is_left_of_one_account_keeps_its_own_windows(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        config = (tmp_path / "config.toml").read_text()
        own = f'api-key-file = "bank.key"\nbase-url = "{at.bank.base_url}"\n'
        at.desk.write("config.toml", own + config)
        at.desk.write("orders.csv", "order_id,account\n100200301,shop\n100200302,\n100200303,\n")
        _, first = await stopped_run(at, "orders.csv", refused=("bank",))
        assert "without a rate limit" in first.err, "shop has none, so all together have none"
        resumed = await at.desk.run("resume")
        assert resumed.code == 0, resumed.err
        assert "within 1000/3m and 100/5s" in resumed.err
        assert at.bank.books.mails_per_order == {"100200302": 1, "100200303": 1}


@pytest.mark.parametrize("profile", [(), ("--profile", "shop")])
async def test_a_resumed_run_keeps_the_limits_that_each_account_had(
    tmp_path: Path, profile: tuple[str, ...]
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        await stopped_run(at, "orders.csv", *profile, "--limit", "7/2s")
        shown = await at.desk.run("resume", *profile)
        assert shown.code == 0, shown.err
        assert "within the rate limits of each account" in shown.err
        async with read_journal(tmp_path / "journal.db") as reader:
            periods = await reader.periods(await reader.run("latest"))
        assert {period.limits for period in periods} == {("14/2s",)}, "of two keys, 7 each"


@pytest.mark.parametrize("other", [(), ("--profile", "bank")])
async def test_a_run_of_a_profile_is_not_resumed_with_another_key(
    tmp_path: Path, other: tuple[str, ...]
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id\n100200302\n100200303\n")
        await stopped_run(at, "orders.csv", "--profile", "shop")
        for dry in ((), ("--dry-run",)):
            refused = await at.desk.run("resume", *other, *dry)
            assert refused.code == 1
            assert "is of profile shop" in refused.err
            assert "give --profile shop" in refused.err
            assert not refused.out
        assert not at.bank.books.requests
        assert (await at.desk.run("resume", "--profile", "shop", "--dry-run")).code == 0
        assert (await at.desk.run("resume", "--profile", "shop")).code == 0


# --- no key but the accounts' ---------------------------------------------------------------------


async def test_a_list_whose_rows_all_name_an_account_needs_no_key_besides(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        run, _ = await stopped_run(at, "orders.csv")
        resumed = await at.desk.run("resume", run)
        assert resumed.code == 0, resumed.err
        assert {r["status"] for r in results(at.desk.report())} == {"sent"}
        again = await at.desk.run("send", "orders.csv", "--report-dir", "again")
        assert again.code == 0, again.err
        assert read_summary(tmp_path / "again")["orders"]["skipped"] == 2
        assert at.shop.books.mails_per_order == {"100200301": 1}
        assert at.bank.books.mails_per_order == {"100200302": 1}


async def test_a_row_that_names_none_needs_a_key_to_be_sent_or_resumed(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", f"{EACH}100200303,\n")
        refused = await at.desk.run("send", "orders.csv")
        assert (refused.code, at.shop.books.requests, at.bank.books.requests) == (1, 0, 0)
        assert "orders.csv, line 4: no API key for rows that name no account" in refused.err
        assert "--api-key-file" in refused.err
        run, _ = await stopped_run(at, "orders.csv", "--api-key-file", "bank.key")
        refused = await at.desk.run("resume", run)
        assert (refused.code, at.shop.books.mails) == (1, 0)
        assert "no API key for rows that name no account" in refused.err
        again = ("--profile", "bank", "--report-dir", "again")
        assert (await at.desk.run("send", "orders.csv", *again)).code == 0
        assert at.bank.books.mails_per_order == {"100200302": 1, "100200303": 1}
        rows = csv.DictReader((tmp_path / "again" / "results.csv").read_text().splitlines())
        accounts = {row["order_id"]: row["account"] for row in rows}
        assert accounts == {"100200301": "shop", "100200302": "bank", "100200303": "bank"}
        lines = (tmp_path / "again" / "results.jsonl").read_text().splitlines()
        assert {one["order_id"]: one["account"] for one in map(json.loads, lines)} == accounts
        for number, account in accounts.items():
            past = json.loads((await at.desk.run("history", number, "--json")).out)
            assert past[-1]["account"] == account
            table = (await at.desk.run("history", number)).out.splitlines()
            assert (table[0].split()[-1], table[-1].split()[-1]) == ("account", account)


async def test_a_sweep_goes_by_a_key_of_its_own(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        swept = await at.desk.run("sweep")
        assert swept.code == 1
        assert "no API key: put it in a file" in swept.err


async def test_the_question_names_every_host_that_is_asked(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        config = (tmp_path / "config.toml").read_text()
        at.desk.write("config.toml", config.replace(at.bank.base_url, "https://ca.example/v2"))
        at.desk.write("orders.csv", EACH)
        async with on_screen(at.desk, "send", "orders.csv") as screen:
            asked = "Send 2 requests to 127.0.0.1 and ca.example now?"
            await screen.shows(lambda seen: asked in seen.text)
            screen.type(b"n\n")
            assert await screen.ended() == 1
        assert at.shop.books.requests == 0


async def test_a_rehearsal_by_the_profiles_own_urls_is_told_as_one_with_the_ca_that_was_asked(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", EACH)
        sent = await at.desk.run("send", "orders.csv")
        assert "Rehearsal, nobody was mailed: 2 of 2 orders sent" in sent.out
        summary = at.desk.summary()
        assert summary["base_url"] in (at.shop.base_url, at.bank.base_url)
        shown = (await at.desk.run("show", summary["run_id"])).out
        assert at.shop.base_url in shown
        assert at.bank.base_url in shown
        assert "digicert" not in shown + (at.desk.report() / "report.html").read_text()
