"""A rehearsal mails nobody, whatever a command line, a list or a file of settings names."""

import asyncio
import json
import shlex
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from batch_resend.simulator import IN_WORDS, all_sources
from tests.cli.conftest import Desk, Ended, ended, read_summary, until_told
from tests.cli.town import Town, town

LIST = "order_id,account,call,domain,all_domains\n1,shop,,,yes\n2,bank,,,yes\n3,,,,yes\n"
LIST += ",shop,domain-dcv,c.example,\n,bank,domain-dcv,c.example,\n"


async def rehearsed(at: Town, *words: str) -> Ended:
    """Run a command against a simulator of its own."""
    return await at.desk.run("simulate", "--books", "books.json", "--", *at.desk.command(), *words)


async def test_accounts_that_rows_name_are_the_simulators_each_by_a_key_of_its_own(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", LIST)
        (tmp_path / "bank.key").unlink()
        told = await rehearsed(at, "send", "orders.csv")
        assert told.code == 0, told.err
        assert at.shop.books.requests == at.bank.books.requests == 0
        books = json.loads((tmp_path / "books.json").read_text())
        assert books["mails_per_order"] == {"1": 1, "2": 1, "3": 1, "c.example": 2}
        assert "Rehearsal, nobody was mailed: 5 of 5 orders sent" in told.out
        assert read_summary(at.desk.report())["orders"]["sent"] == 5
        assert not (tmp_path / "journal.db").exists(), "the one that the environment names"


@pytest.mark.parametrize("key", [(), ("--key", "a-key-0123")])
async def test_the_command_that_a_simulator_prints_runs_and_its_books_tell_of_it_until_it_ends(
    desk: Desk, key: tuple[str, ...]
) -> None:
    desk.write_list(12)
    simulator = await desk.start("simulate", *key)
    assert simulator.stdout is not None
    async with asyncio.timeout(30):
        told = (await simulator.stdout.readuntil(b"LIST\n")).decode()
    assert "a-key-0123" not in told  # it may be a real one
    variable, program, *words = shlex.split(told.splitlines()[-1].replace("LIST", "orders.csv"))
    assert (variable, program) == (
        f"DIGICERT_API_KEY={'KEY' if key else 'rehearsal'}",
        "batch-resend",
    )
    sent = await desk.run(*words, DIGICERT_API_KEY=key[-1] if key else "rehearsal")
    assert sent.code == 0, sent.err
    books_url = told.splitlines()[1].split()[2]
    async with aiohttp.ClientSession() as session, session.get(books_url) as answer:
        books = await answer.json()
    assert books["mails"] == books["requests"] == 12
    assert books["windows"][1] == {"limit": "100/5s", "peak": 12, "refused": 0}
    simulator.send_signal(signal.SIGINT)
    assert (await ended(simulator)).code == 0


async def test_a_rehearsal_ends_with_the_commands_exit_code(desk: Desk) -> None:
    done = await desk.run("simulate", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.code == 7


@pytest.mark.parametrize("profile", [(), ("--profile", "bank")])
async def test_a_base_url_beside_it_is_refused_with_a_word_and_nothing_is_asked(
    tmp_path: Path, profile: tuple[str, ...]
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id\n1\n")
        told = await rehearsed(at, "send", "orders.csv", *profile, "--base-url", at.bank.base_url)
        assert told.code == 1
        assert "this is a rehearsal" in told.err
        assert f"it asks nothing of {at.bank.base_url}" in told.err
        assert at.bank.books.requests == 0


async def test_a_run_that_asks_one_account_in_earnest_is_none(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        config = tmp_path / "config.toml"
        text = config.read_text().replace(at.bank.base_url, "https://ca.invalid/services/v2")
        config.write_text(text)
        at.desk.write("orders.csv", "order_id,account\n1,shop\n2,bank\n")
        sent = await at.desk.run("send", "orders.csv", "--profile", "shop", "--patience", "1s")
        assert at.shop.books.mails == 1
        assert "nobody was mailed" not in sent.err + sent.out
        at.desk.write("orders.csv", "order_id,account\n3,shop\n")
        sent = await at.desk.run("send", "orders.csv", "--profile", "shop", "--report-dir", "2")
        assert "nobody was mailed" in sent.err + sent.out


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_simulator_ends_the_command_in_good_order(
    tmp_path: Path, by: signal.Signals
) -> None:
    async with town(tmp_path) as at:
        at.desk.write_list(200)
        words = ("simulate", "--latency", "300ms", "--limit", "none", "--")
        send = at.desk.command("send", "orders.csv", "--concurrency", "2", "--limit", "none", "-v")
        rehearsal = await at.desk.start(*words, *send)
        await until_told(rehearsal, b"attempt accepted")
        rehearsal.send_signal(by)
        stopped = await ended(rehearsal)
        assert stopped.code == 128 + by, stopped.err
        assert read_summary(at.desk.report())["state"] == "interrupted"


async def test_a_key_that_is_revoked_in_the_middle_mails_what_came_before_that(desk: Desk) -> None:
    desk.write_list(40)
    words = ("simulate", "--books", "books.json", "--revoke-after", "10", "--")
    await desk.run(*words, *desk.command("send", "orders.csv", "--concurrency", "1"))
    books = json.loads((desk.folder / "books.json").read_text())
    assert books["mails"] == 10
    assert books["answers_rest_on"]["recorded"] >= 1


async def test_the_help_ends_with_every_answer_and_what_it_rests_on(desk: Desk) -> None:
    text = (await desk.run("simulate", "--help")).out
    listed = text.partition("\nWhere its answers come from:\n")[2]
    assert listed
    for source, answers in all_sources().items():
        section = listed.partition(f"  {IN_WORDS[source]}:\n")[2].partition("\n\n")[0]
        names = [line[4:].partition("  ")[0] for line in section.splitlines()
                 if not line.startswith("     ")]  # fmt: skip
        assert names == [answer.name for answer in answers]
