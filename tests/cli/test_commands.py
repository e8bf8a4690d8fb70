"""The other commands, rehearsals, and what is printed where."""

import asyncio
import json
import shlex
import signal
import sys
import sysconfig
from functools import partial
from pathlib import Path

import aiohttp
import click
import pytest

from batch_resend.cli.lifecycle import SIGNALS
from batch_resend.cli.main import cli
from batch_resend.explanations import explain
from batch_resend.simulator import all_sources
from batch_resend.version import __version__
from tests.cli.conftest import Desk, Ended, desk_with_ca, ended, read_summary, until_told
from tests.cli.town import Town, town

SCRIPT = str(Path(sysconfig.get_path("scripts"), "batch-resend"))  # where pip has put it


async def test_help_lists_every_command_and_shows_an_example(desk: Desk) -> None:
    helped = await desk.run("--help")
    assert helped.code == 0
    assert all(f"\n  {name} " in helped.out for name in cli.commands)
    assert "$ batch-resend check orders.csv" in helped.out


@pytest.mark.parametrize("command", sorted(cli.commands))
async def test_every_command_has_help_of_its_own(desk: Desk, command: str) -> None:
    helped = await desk.run(command, "--help")
    assert helped.code == 0
    assert helped.out.startswith(f"Usage: batch-resend {command} ")
    assert "\nExamples:\n" in helped.out
    assert "\nExit codes:\n  0 " in helped.out
    for option in cli.commands[command].params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.opts[0]} says nothing of itself"


@pytest.mark.parametrize("command", ["", "config", "cluster", "completion"])
async def test_without_one_of_its_actions_a_group_shows_its_help(desk: Desk, command: str) -> None:
    bare = await desk.run(*command.split())
    shown = await desk.run(*command.split(), "--help")
    assert (bare.code, bare.out) == (2, "")
    assert bare.err == shown.out


async def test_version_says_which(desk: Desk) -> None:
    assert (await desk.run("--version")).out == f"batch-resend, version {__version__}\n"


async def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        await desk.run("send", "orders.csv", "--all-domains")
        for command in ("show", "report", "resume"):
            refused = await desk.run(command, "20200101-000000-beef")
            assert refused.code == 1
            assert "no run '20200101-000000-beef', and none whose name begins" in refused.err
            assert "`batch-resend runs --journal " in refused.err


async def test_with_nothing_unfinished_resume_says_so(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        nowhere = await desk.run("resume")
        assert nowhere.code == 1
        assert "there is no journal here yet" in nowhere.err
        desk.write_list(1)
        await desk.run("send", "orders.csv", "--all-domains")
        refused = await desk.run("resume")
        assert refused.code == 1
        assert "no run is unfinished" in refused.err
        completed = desk.summary()["run_id"]
        assert "is complete" in (await desk.run("resume", completed)).err
        assert ca.books.requests == 1


async def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        del desk.environment["BATCH_RESEND_LIMIT"]
        desk.write("orders.csv", "Nummer\n100200301\n")
        desk.write(
            "settings.toml",
            'map = { order_id = "Nummer" }\nreport-dir = "from file"\n[send]\nlimit = ["7/1m"]\n',
        )
        send = ("--config", "settings.toml", "send", "orders.csv", "--again")
        assert (await desk.run(*send)).code == 0
        assert read_summary(tmp_path / "from file")["limits"] == ["7/1m"]

        await desk.run(*send, BATCH_RESEND_LIMIT="8/1m 9/1h")
        assert read_summary(tmp_path / "from file")["limits"] == ["8/1m", "9/1h"]

        await desk.run(*send, "--limit", "10/1m", BATCH_RESEND_LIMIT="8/1m 9/1h")
        assert read_summary(tmp_path / "from file")["limits"] == ["10/1m"]


async def test_what_commands_mean_differently_by_one_name_only_a_flag_says(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.environment |= {"BATCH_RESEND_OLDER_THAN": "1h"}
        desk.write_list(1)
        sent = await desk.run("send", "orders.csv")
        assert sent.code == 0, sent.err
        pruned = await desk.run("prune")
        assert pruned.out.startswith("0 runs with 0 rows forgotten"), pruned.err
        assert (await desk.run("export")).out.startswith("order_id,")
        assert ca.books.mails == 1
        desk.write("settings.toml", 'format = "json"\n')
        refused = await desk.run("--config", "settings.toml", "runs")
        assert "format has another meaning in each command" in refused.err
        refused = await desk.run("runs", BATCH_RESEND_FORMAT="json")
        assert "there is no variable BATCH_RESEND_FORMAT" in refused.err


def without(*extras: str) -> None:
    """Have extras not installed, and nothing imported that needs them."""
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("batch_resend", *extras)
    ]:
        del sys.modules[name]
    sys.modules |= dict.fromkeys(extras)  # type: ignore[arg-type] # None: there is none


async def test_a_list_is_sent_and_resumed_without_the_extras(tmp_path: Path) -> None:
    meddling = partial(without, "procrastinate", "croniter", "psycopg", "uvloop")
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(2)
        for command in (
            ("send", "orders.csv", "--yes"),
            ("verify",),
            ("sweep", "--yes"),
            ("resume",),
        ):
            done = await ended(await desk.start_after(meddling, *command))
            assert "pip install" not in done.err, command
        assert ca.books.mails == 2


async def test_a_file_of_options_needs_no_extra_that_its_command_does_not_need(desk: Desk) -> None:
    desk.write("settings.toml", "concurrency = 3\n")
    desk.write_list(1)
    meddling = partial(without, "procrastinate", "croniter", "psycopg")
    checked = await ended(
        await desk.start_after(meddling, "--config", "settings.toml", "check", "orders.csv")
    )
    assert checked.code == 0, checked.err
    for command in (("worker", "--help"), ("cluster", "--help"), ("config", "show", "worker")):
        assert (await ended(await desk.start_after(meddling, *command))).code == 0, command
    new = await ended(await desk.start_after(meddling, "--config", "new.toml", "config", "init"))
    assert new.code == 0, new.err
    assert "jobs = 4" in (desk.folder / "new.toml").read_text()
    worker = await ended(await desk.start_after(meddling, "--config", "settings.toml", "worker"))
    assert worker.code == 1
    assert "pip install 'batch-resend[cluster]'" in worker.err


async def test_the_summary_explains_refusals_by_the_one_table(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700000", "700002"})) as (desk, _):
        desk.write_list(3)
        told = (await desk.run("send", "orders.csv")).out
        again = (await desk.run("report", desk.summary()["run_id"])).out
    known = explain(404, "not_found|order")
    assert known is not None
    for text in (told, again):
        assert (
            "Not sent, and why\n"
            "  2 refused: 404 not_found|order, The specified order was not found.\n"
            f"    {known.meaning} {known.remedy}\n"
        ) in text


LIST = "order_id,account,call,domain,all_domains\n"
LIST += "100200301,shop,,,yes\n100200302,bank,,,yes\n100200303,,,,yes\n"
LIST += ",shop,domain-dcv,c.example,\n,bank,domain-dcv,c.example,\n"


async def rehearsed(at: Town, *words: str) -> Ended:
    """Run a command against a simulator of its own."""
    return await at.desk.run("simulate", "--books", "books.json", "--", *at.desk.command(), *words)


async def test_accounts_that_rows_name_are_the_simulators_in_a_rehearsal(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", LIST)
        (tmp_path / "bank.key").unlink()
        told = await rehearsed(at, "send", "orders.csv")
        assert told.code == 0, told.err
        assert at.shop.books.requests == at.bank.books.requests == 0
        books = json.loads((tmp_path / "books.json").read_text())
        assert books["mails_per_order"] == {
            "100200301": 1,
            "100200302": 1,
            "100200303": 1,
            "c.example": 2,
        }
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
    books_url = told.splitlines()[1].split()[0]
    async with aiohttp.ClientSession() as session, session.get(books_url) as answer:
        books = await answer.json()
    assert books["mails"] == books["requests"] == 12
    assert books["windows"][1] == {"limit": "100/5s", "peak": 12, "refused": 0}
    simulator.send_signal(signal.SIGINT)
    assert (await ended(simulator)).code == 0


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ((), "send --encoding cp1252 --max-attempts 1 --api-key-file key.txt 'my list.csv'"),
        (
            ("--api-key-file", "own.txt", "--journal", "mine.db", "--notify-url", "http://[::1]:9"),
            "send --encoding cp1252 --api-key-file own.txt --max-attempts 1 --journal mine.db "
            "--notify-url URL 'my list.csv'",
        ),
    ],
    ids=["no key named", "a key, a journal and a secret"],
)
async def test_a_rehearsal_ends_with_the_command_that_sends_for_real(
    desk: Desk, key: tuple[str, ...], command: str
) -> None:
    desk.write("own.txt", "a-key-0123456789")
    (desk.folder / "own.txt").chmod(0o600)
    desk.write("my list.csv", "order_id\n100200301\n100200302\nx\n")
    how = ("--encoding", "cp1252", "--max-attempts", "1", "--max-rejected", "1")
    words = ("send", *how, *key, "my list.csv")
    faults = ("--fail", "drop=50%", "--seed", "1")
    rehearsal = await desk.run("simulate", *faults, "--", *desk.command(), *words)
    shown = f"batch-resend {command.replace('1252', '1252 --max-rejected 1', 1)}\n"
    assert shown in rehearsal.out
    assert "1 in doubt: in a real run" in rehearsal.out
    assert "1 rejected row: " in rehearsal.out
    for_real = " ".join(rehearsal.out.partition("To send for real")[2].split())
    assert "http://" not in for_real
    assert ("for URL, write the one that you gave" in for_real) is bool(key)
    assert ("if --journal is only for rehearsals, give your own:" in for_real) is bool(key)


async def test_only_of_a_rehearsal_that_ends_with_it_a_command_says_that_it_cannot_be_resumed(
    desk: Desk,
) -> None:
    """In a shell that `simulate` runs, the simulator goes on, and so may the run."""
    desk.write_list(3)
    send, resume = (
        shlex.join(desk.command(*words))
        for words in (("send", "orders.csv", "--max-orders", "1"), ("resume", "--report-dir", "r"))
    )
    alone = await desk.run("simulate", "--", *shlex.split(send))
    no_more = "This rehearsal cannot be resumed, because its simulator has ended"
    assert no_more in alone.out
    assert "batch-resend resume" not in alone.out
    shell = await desk.run("simulate", "--", "sh", "-c", f"{send}; {resume}; exit $?")
    assert shell.code == 0, shell.err
    assert "To resume:\n  batch-resend resume 2" in shell.out
    assert "3 of 3 orders sent" in shell.out
    assert no_more not in shell.out


async def test_doctor_in_a_rehearsal_says_that_the_key_is_the_simulators(desk: Desk) -> None:
    looked = await desk.run("simulate", "--", *desk.command(), "doctor")
    assert "the simulator's own key, none of yours" in looked.out
    assert "DIGICERT_API_KEY" not in looked.out


async def test_a_rehearsal_ends_with_the_commands_exit_code(desk: Desk) -> None:
    done = await desk.run("simulate", "--", sys.executable, "-c", "raise SystemExit(7)")
    assert done.code == 7


@pytest.mark.parametrize("profile", [(), ("--profile", "bank")])
async def test_a_base_url_beside_it_is_refused_with_a_word_and_nothing_is_asked(
    tmp_path: Path, profile: tuple[str, ...]
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id\n100200301\n")
        told = await rehearsed(at, "send", "orders.csv", *profile, "--base-url", at.bank.base_url)
        assert told.code == 1
        assert "this is a rehearsal at http" in told.err
        assert f"and not at {at.bank.base_url}: leave that URL out" in told.err
        assert at.bank.books.requests == 0


@pytest.mark.parametrize("by_file", [True, False])
async def test_no_command_for_real_is_named_that_would_go_to_the_simulator_again(
    tmp_path: Path, by_file: bool
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        if by_file:
            desk.write(
                "config.toml", f'base-url = "{desk.environment.pop("BATCH_RESEND_BASE_URL")}"'
            )
            sent = await desk.run("--config", "config.toml", "send", "orders.csv")
        else:
            sent = await desk.run("send", "orders.csv")
    assert sent.code == 0, sent.err
    told = " ".join(sent.out.split())
    assert "To send for real, send the whole list without simulate, and without a base-url" in told


async def test_a_run_that_asks_one_account_for_real_is_none(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        config = tmp_path / "config.toml"
        text = config.read_text().replace(at.bank.base_url, "https://ca.invalid/services/v2")
        config.write_text(text)
        at.desk.write("orders.csv", "order_id,account\n100200301,shop\n100200302,bank\n")
        sent = await at.desk.run("send", "orders.csv", "--profile", "shop", "--patience", "1s")
        assert at.shop.books.mails == 1
        assert "nobody was mailed" not in sent.err + sent.out
        at.desk.write("orders.csv", "order_id,account\n100200303,shop\n")
        sent = await at.desk.run("send", "orders.csv", "--profile", "shop", "--report-dir", "2")
        assert "nobody was mailed" in sent.err + sent.out


@pytest.mark.parametrize("by", SIGNALS)
async def test_a_signal_to_the_simulator_ends_the_command_in_good_order(
    tmp_path: Path, by: signal.Signals
) -> None:
    async with town(tmp_path) as at:
        at.desk.write_list(200)
        words = ("simulate", "--latency", "300ms", "--limit", "none", "--books", "books.json", "--")
        send = at.desk.command("send", "orders.csv", "--concurrency", "2", "--limit", "none", "-v")
        rehearsal = await at.desk.start(*words, *send)
        await until_told(rehearsal, b"attempt accepted")
        rehearsal.send_signal(by)
        stopped = await ended(rehearsal)
        assert stopped.code == 128 + by, stopped.err
        summary = read_summary(at.desk.report())
        assert summary["state"] == "interrupted"
        books = json.loads((tmp_path / "books.json").read_text())
        assert books["mails"] == summary["orders"]["sent"] > 0


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
        section = listed.partition(f"  {source.in_words}:\n")[2].partition("\n\n")[0]
        names = [line[4:].partition("  ")[0] for line in section.splitlines()
                 if not line.startswith("     ")]  # fmt: skip
        assert names == [answer.name for answer in answers]


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ((SCRIPT,), ("batch-resend", "runs")),
        ((sys.executable, "-m", "batch_resend"), ("sh", "-c", "true && batch-resend runs")),
    ],
)
async def test_simulate_runs_this_program_by_its_name_though_it_is_on_no_path(
    desk: Desk, program: tuple[str, ...], command: tuple[str, ...]
) -> None:
    words = (*program, "simulate", "--", *command)
    done = await ended(await desk.start(program=words, PATH="/usr/bin:/bin"))
    assert done.code == 0, done.err
    assert "No runs yet in " in done.out
