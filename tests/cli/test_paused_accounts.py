"""A run of several accounts, one of whose CAs is down: whose pause it is, wherever it is told."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ended, until, until_told
from tests.cli.several import Several, several_accounts

DOWN = "paused: the CA has problems (Service is unavailable"
SEND = ("send", "orders.csv", "--progress", "json", "--log-file", "run.log", "--patience", "3s")
BANKS = "account bank"


def progress(told: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of progress."""
    for line in told.splitlines():
        if line.startswith('{"event": "progress"'):
            yield json.loads(line)


def bank_is_down(at: Several, shops: int = 20) -> None:
    """Have the bank's CA answer with 503, and write a list with most orders of the shop's."""
    at.cas["bank"].fail({"503": 1.0})  # type: ignore[dict-item] # by its value
    at.write_list(["shop"] * shops + ["bank"] * 25)


async def test_a_pause_of_one_account_is_told_with_its_name_and_not_as_one_of_the_run(
    tmp_path: Path,
) -> None:
    async with several_accounts(tmp_path, "shop", "bank", limits={"shop": "5/1s"}) as at:
        bank_is_down(at)
        sent = await at.desk.run(*SEND)
        assert sent.code == 4, sent.err
        assert len(at.mails["shop"]) == 20
        while_others_send = [one for one in progress(sent.err) if one["paused_accounts"]]
        sending = [one for one in while_others_send if one["held_up_by"] is None]
        assert sending, sent.err
        for one in while_others_send:
            (paused,) = one["paused_accounts"]
            assert paused["accounts"] == ["bank"]
            assert paused["held_up_by"].startswith(DOWN)
            assert one["held_up_by"] in (None, f"{BANKS} {paused['held_up_by']}")
        lines = [*sent.err.splitlines(), *(tmp_path / "run.log").read_text().splitlines()]
        warned = [line for line in lines if "next try in" in line]
        assert len(warned) >= 2
        assert all(f"{BANKS} {DOWN}" in line for line in warned), warned
        pauses = r"\n  pauses    \d of account bank, because of the CA, \ds in all\n"
        assert re.search(pauses, sent.out)
        assert at.desk.summary()["back_pressure"]["accounts"] == ["bank"]
        page = (at.desk.report() / "report.html").read_text()
        assert re.search(r"<p>\d pauses? of account bank, because of the CA", page)
        assert '<th scope="col">Account</th>' in page
        assert re.search(r'<td data-is="Account"><bdi>bank</bdi></td><td data-is="Why">', page)


async def test_once_all_accounts_pause_the_run_does_and_says_whose_pause_ends_first(
    tmp_path: Path,
) -> None:
    async with several_accounts(tmp_path, "shop", "bank") as at:
        at.write_list(["shop", "bank"] * 3)
        for ca in at.cas.values():
            ca.fail({"503": 1.0})  # type: ignore[dict-item] # by its value
        sent = await at.desk.run(*SEND[:-1], "8s")  # so long that their pauses surely overlap
        assert sent.code == 4, sent.err
        held_up = [one for one in progress(sent.err) if len(one["paused_accounts"]) == 2]
        assert held_up
        for one in held_up:
            assert re.match(rf"account (shop|bank) {re.escape(DOWN)}", one["held_up_by"])
        assert " of accounts bank and shop, because of the CA, " in sent.out


@pytest.mark.parametrize("names", [("bank",), ("bank", "shop")], ids=" ".join)
async def test_of_one_account_a_pause_is_the_runs(tmp_path: Path, names: tuple[str, ...]) -> None:
    async with several_accounts(tmp_path, *names) as at:
        bank_is_down(at, 0)
        sent = await at.desk.run(*SEND)
        assert sent.code == 4, sent.err
        assert not any(one["paused_accounts"] for one in progress(sent.err))
        assert any((one["held_up_by"] or "").startswith(DOWN) for one in progress(sent.err))
        assert f"] {DOWN}" in sent.err
        assert BANKS not in sent.err
        assert re.search(r"\n  pauses    \d because of the CA, ", sent.out)
        assert at.desk.summary()["back_pressure"]["accounts"] == []
        assert "Account</th>" not in (at.desk.report() / "report.html").read_text()


async def test_who_watches_a_run_and_its_live_page_are_told_whose_pause_it_is(
    tmp_path: Path,
) -> None:
    async with several_accounts(tmp_path, "shop", "bank", limits={"shop": "2/1s"}) as at:
        bank_is_down(at, 1000)
        process = await at.desk.start("send", "orders.csv", "--report-dir", "live")
        await until_told(process, f"{BANKS} {DOWN}".encode())
        watching = await at.desk.start("watch", "--progress", "json")
        of_bank = f'"paused_accounts": [{{"accounts": ["bank"], "held_up_by": "{DOWN}'
        told = f'"held_up_by": null, "held_up_s": null, {of_bank}'
        await until_told(watching, told.encode())
        watching.kill()
        await ended(watching)
        page = tmp_path / "live" / "report.html"
        await until(lambda: page.exists() and "<bdi>bank</bdi></td>" in page.read_text())
        process.kill()
        await ended(process)


async def test_an_account_that_was_given_up_pauses_no_more(tmp_path: Path) -> None:
    async with several_accounts(tmp_path, "shop", "bank", limits={"shop": "5/1s"}) as at:
        bank_is_down(at, 25)
        sent = await at.desk.run(*SEND)
        *_, before_last, last = progress(sent.err)
        assert (before_last["paused_accounts"], last["paused_accounts"]) == ([], [])
        assert at.desk.summary()["back_pressure"]["paused_s"] < at.desk.summary()["elapsed_s"] - 1


async def test_what_is_asked_before_sending_names_the_account_that_does_not_answer(
    tmp_path: Path,
) -> None:
    async with several_accounts(tmp_path, "shop", "bank") as at:
        bank_is_down(at, 3)
        sent = await at.desk.run(*SEND, "--preflight")
        assert sent.code == 4, sent.err
        assert f"{BANKS} {DOWN}" in sent.err
        assert f"] {DOWN}" not in sent.err
