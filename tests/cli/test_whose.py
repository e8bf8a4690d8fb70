"""Whose a command's log, metrics, notification and index say it is: a profile's, a rehearsal's."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import KEY, Desk, desk_with_ca
from tests.cli.town import town
from tests.notify.listener import listening
from tests.notify.test_alarm import samples

HERE, REAL = "http://127.0.0.1:9/services/v2", "https://nowhere.invalid/services/v2"
OF_SHOP = "order_id,account\n100201001,shop\n100201002,shop\n"
TO_FILE = ("--log-file", "run.log", "--log-format", "json")


@dataclass(frozen=True, slots=True)
class Said:
    """What the outputs of a command say, each of whether it was a rehearsal."""

    log: bool  # its last line
    metrics: bool
    notification: bool
    index: bool | None = None  # None: it has not been listed


async def ends(desk: Desk, *words: str) -> Said:
    """Run a command that fails, by a timer's command line; return what its outputs say."""
    desk.environment.pop("BATCH_RESEND_BASE_URL", None)
    (desk.folder / "reports").mkdir(exist_ok=True)
    async with listening() as hook:
        ended = await desk.run(
            *words, "--yes", "-q", "--notify-url", hook.url, "--metrics-file", "m.prom", *TO_FILE
        )
        assert ended.code, ended.err
        ((_, body),) = hook.posts
    lines = (desk.folder / "run.log").read_text().splitlines()
    listed = desk.folder / "reports" / "not-started.jsonl"
    found = samples(desk.folder / "m.prom")
    (metric,) = [value for name, value in found.items() if "rehearsal" in name]
    return Said(
        log="rehearsal" in json.loads(lines[-1]),
        metrics=metric == 1,
        notification="Rehearsal" in json.loads(body)["text"],
        index=json.loads(listed.read_text().splitlines()[-1])["is_rehearsal"]
        if listed.exists()
        else None,
    )


def profiles(**urls: str) -> str:
    """Return profiles of a TOML file, at these URLs."""
    return "".join(
        f'[profiles.{name}]\napi-key-file = "{name}.key"\nbase-url = "{url}"\n'
        for name, url in urls.items()
    )


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--preflight", "--patience", "0s"), id="the CA is down"),
        pytest.param(("--report-dir", "taken/{run}"), id="the report has no place"),
    ],
)
@pytest.mark.parametrize(("url", "is_rehearsal"), [(HERE, True), (REAL, False)])
async def test_once_the_list_is_read_the_accounts_that_it_names_decide(
    desk: Desk, words: tuple[str, ...], url: str, is_rehearsal: bool
) -> None:
    """Neither the command's own account counts, which is at the CA, nor another profile."""
    desk.write("c.toml", profiles(shop=url, bank=REAL, test=HERE))
    desk.write("shop.key", KEY)
    desk.write("orders.csv", OF_SHOP)
    desk.write("taken", "a file")
    said = await ends(desk, "--config", "c.toml", "send", "orders.csv", *words)
    assert (said.log, said.metrics, said.notification) == (is_rehearsal,) * 3
    assert said.index in (is_rehearsal, None), "a report elsewhere is in another index"


AT_TOP = f'base-url = "{HERE}"\n'


@pytest.mark.parametrize(
    ("command", "config", "is_rehearsal"),
    [
        ("send orders.csv", profiles(shop=HERE), False),  # rows may name no account
        ("send orders.csv", AT_TOP, True),
        ("send orders.csv", AT_TOP + profiles(shop=HERE), True),
        ("send orders.csv", AT_TOP + profiles(shop=HERE, bank=REAL), False),
        ("send orders.csv --profile shop", profiles(shop=HERE, bank=REAL), True),
        ("send orders.csv --profile bank", AT_TOP + profiles(shop=HERE, bank=REAL), False),
        (f"send orders.csv --base-url {HERE}", profiles(shop=REAL), True),
        ("send orders.csv --region us", AT_TOP + profiles(shop=HERE), False),
        ("sweep", AT_TOP + profiles(bank=REAL), True),
        ("sweep --profile bank", AT_TOP + profiles(bank=REAL), False),
        ("sweep --region us", AT_TOP, False),
        ("resume", AT_TOP + profiles(bank=REAL), False),
        ("send orders.csv", AT_TOP + "unknown = 1\n", False),  # profiles are not read then
        ("sweep", AT_TOP + "unknown = 1\n", True),
        ("sweep --profile bank", AT_TOP + "unknown = 1\n" + profiles(bank=REAL), False),
    ],
)
@pytest.mark.parametrize("words", [(), ("--timeout", "xx")], ids=["no key", "wrong usage"])
async def test_before_that_it_is_a_rehearsal_only_if_no_account_that_may_be_asked_is_a_real_one(
    desk: Desk, words: tuple[str, ...], command: str, config: str, is_rehearsal: bool
) -> None:
    desk.environment.pop("DIGICERT_API_KEY")
    desk.write("c.toml", config)
    desk.write("orders.csv", OF_SHOP)
    said = await ends(desk, "--config", "c.toml", *command.split(), *words)
    assert said == Said(*(is_rehearsal,) * 4)


@pytest.mark.parametrize(("url", "is_rehearsal"), [(HERE, True), (REAL, False)])
async def test_a_run_that_cannot_be_resumed_is_a_rehearsal_as_it_was(
    desk: Desk, url: str, is_rehearsal: bool
) -> None:
    del desk.environment["BATCH_RESEND_BASE_URL"]
    desk.write("c.toml", profiles(shop=url))
    desk.write("shop.key", KEY)
    desk.write("orders.csv", OF_SHOP)
    ended = await desk.run("--config", "c.toml", "send", "orders.csv", "--patience", "0s", "-q")
    assert ended.code == 4, ended.err
    (desk.folder / "shop.key").unlink()
    said = await ends(desk, "--config", "c.toml", "resume")
    assert said == Said(*(is_rehearsal,) * 4)


async def test_each_line_of_a_log_says_that_a_list_of_accounts_at_simulators_is_a_rehearsal(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as place:
        place.desk.write("orders.csv", OF_SHOP + "100201003,bank\n")
        sent = await place.desk.run("send", "orders.csv", *TO_FILE, "--log-level", "debug")
        assert sent.code == 0, sent.err
    log = [json.loads(line) for line in (tmp_path / "run.log").read_text().splitlines()]
    assert len(log) > 3
    assert {line.get("rehearsal") for line in log} == {True}


async def test_each_line_of_a_log_names_the_profile_also_of_a_run_that_another_command_began(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(1000, 1.0),)) as (desk, ca):
        desk.write("shop.key", KEY)
        desk.write("c.toml", profiles(shop=ca.base_url))
        desk.write_list(4)
        begun = await desk.run("send", "orders.csv", "--max-orders", "1")
        assert begun.code == 4, begun.err
        words = ("send", "orders.csv", "--profile", "shop", *TO_FILE)
        sent = await desk.run("--config", "c.toml", *words)
        assert sent.code == 0, sent.err
        assert sum(ca.books.mails_per_order.values()) == 4
    log = [json.loads(line) for line in (tmp_path / "run.log").read_text().splitlines()]
    assert [line.get("profile") for line in log] == ["shop"] * len(log)
    assert {"run begins", "run ended: completed"} <= {line["event"] for line in log}


async def test_a_resumed_run_is_logged_by_its_profile_where_the_command_line_names_its_key(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("shop.key", KEY)
        desk.write("c.toml", profiles(shop=ca.base_url))
        desk.write_list(4)
        words = ("send", "orders.csv", "--profile", "shop", "--max-orders", "1")
        assert (await desk.run("--config", "c.toml", *words)).code == 4
        resumed = await desk.run("resume", "--api-key-file", "shop.key", *TO_FILE)
        assert resumed.code == 0, resumed.err
    log = [json.loads(line) for line in (tmp_path / "run.log").read_text().splitlines()]
    assert {line.get("profile") for line in log} == {"shop"}
