"""Two accounts, a sweep of each at night: neither needs the other, and each says which it was."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, SimulatorSettings
from tests.cli.conftest import read_summary, run_ids
from tests.cli.test_sweep import wait
from tests.cli.town import Town, town
from tests.notify.listener import listening

OPEN = "can be read by other users"


def move_key(at: Town, path: str) -> None:
    """Have the profile of the shop name another file."""
    config = (at.desk.folder / "config.toml").read_text()
    at.desk.write("config.toml", config.replace('"shop.key"', f'"{path}"'))


# --- only the keys that are needed --------------------------------------------------------------


@pytest.mark.parametrize("shops_key", ["gone.key", "open.key"])
@pytest.mark.parametrize(
    "words",
    [
        ("sweep", "--profile", "bank"),
        ("export", "--profile", "bank"),
        ("send", "orders.csv", "--profile", "bank"),
        ("send", "named.csv"),
        ("resume", "--profile", "bank"),
        ("verify", "--profile", "bank"),
    ],
    ids=" ".join,
)
async def test_the_key_of_an_account_that_a_command_does_not_need_is_no_concern_of_it(
    tmp_path: Path, words: Sequence[str], shops_key: str
) -> None:
    async with town(tmp_path) as at:
        wait(at.bank, 2, 3, first=100_200_301)
        at.desk.write("orders.csv", "order_id\n100200301\n100200302\n")
        at.desk.write("named.csv", "order_id,account\n100200301,bank\n")
        if words[0] in ("resume", "verify"):
            before = ("--max-orders", "1", "--report-dir", "before")
            await at.desk.run("send", "orders.csv", "--profile", "bank", *before)
        at.desk.write("open.key", "another-key-0123456789").chmod(0o644)
        (tmp_path / "bank.key").chmod(0o644)
        move_key(at, shops_key)
        done = await at.desk.run(*words)
        assert done.code == 0, done.err
        assert (done.err.count(OPEN), done.err.count(f"bank.key {OPEN}")) == (1, 1)
        assert at.shop.books.requests == 0


async def test_a_list_ends_at_the_first_row_whose_account_has_no_key_and_says_which(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id,account\n100200301,bank\n100200302,shop\n")
        move_key(at, "gone.key")
        refused = await at.desk.run("send", "orders.csv")
        assert refused.code == 1
        why = "profile shop: --api-key-file gone.key: No such file or directory"
        assert f"orders.csv, line 3: {why}" in refused.err
        assert at.bank.books.requests == 0
        resumable = await at.desk.run("runs", "--json")
        assert json.loads(resumable.out) == []


async def test_what_is_left_of_one_account_needs_no_key_of_another(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id,account\n100200301,bank\n100200302,shop\n")
        right = (tmp_path / "bank.key").read_text()
        at.desk.write("bank.key", "wrong-key-0123456789")
        stopped = await at.desk.run("send", "orders.csv", "--report-dir", "before")
        assert (stopped.code, at.shop.books.mails) == (4, 1)
        at.desk.write("bank.key", right)
        move_key(at, "gone.key")
        resumed = await at.desk.run("resume")
        assert resumed.code == 0, resumed.err
        assert at.bank.books.mails == 1


# --- what was mailed ----------------------------------------------------------------------------


async def test_accounts_that_share_a_journal_are_mailed_once_by_sweeps_and_a_list_of_both(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        rows = ""
        for name, ca, first in (("shop", at.shop, 100_200_301), ("bank", at.bank, 100_200_401)):
            wait(ca, 2, 3, first=first)
            rows += "".join(f"{first + n},{name}\n" for n in range(2))
        at.desk.write("both.csv", f"order_id,account\n{rows}")
        for name in ("shop", "bank"):
            assert (await at.desk.run("sweep", "--profile", name)).code == 0
        assert (at.shop.books.mails, at.bank.books.mails) == (2, 2)
        sent = await at.desk.run("send", "both.csv", "--report-dir", "both")
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "both")["skipped"]["cooldown"] == 4
        again = await at.desk.run("sweep", "--profile", "bank")
        assert again.out.startswith("Nothing to send (profile bank): 2 orders wait")
        assert (at.shop.books.mails, at.bank.books.mails) == (2, 2)


async def test_verify_asks_about_the_newest_run_of_its_profile(tmp_path: Path) -> None:
    """Another account knows nothing of the orders: it would be asked in vain."""
    async with town(tmp_path) as at:
        for name, ca, first in (("shop", at.shop, 100_200_301), ("bank", at.bank, 100_200_401)):
            wait(ca, 2, 3, first=first)
            assert (await at.desk.run("sweep", "--profile", name)).code == 0
        banks, shops = await run_ids(at.desk)
        for name, run in (("shop", shops), ("bank", banks)):
            verified = await at.desk.run("verify", "--profile", name)
            assert verified.code == 0, verified.err
            assert verified.out.startswith(f"Of 2 orders sent by run {run}\n")
            assert "only the newest run" not in verified.out, "the other one is of another profile"


@pytest.mark.parametrize("is_one_place", [False, True])
async def test_verify_of_a_run_of_another_profile_names_that_profile_and_asks_nobody(
    tmp_path: Path, *, is_one_place: bool
) -> None:
    async with town(tmp_path) as at:
        wait(at.bank, 2, 3, first=100_200_401)
        assert (await at.desk.run("sweep", "--profile", "bank")).code == 0
        (run,) = await run_ids(at.desk)
        reads = at.bank.books.reads
        if is_one_place:
            config = (tmp_path / "config.toml").read_text()
            at.desk.write("config.toml", config.replace(at.shop.base_url, at.bank.base_url))
        named = await at.desk.run("verify", run, "--profile", "shop")
        assert named.code == 1
        assert "is of profile bank, not of profile shop; give --profile bank" in named.err
        assert "--base-url" not in named.err
        newest = await at.desk.run("verify", "--profile", "shop")
        assert newest.code == 1
        assert "no run of profile shop has sent orders" in newest.err
        at.desk.environment["DIGICERT_API_KEY"] = "another-key-0123456789"
        without = await at.desk.run("verify")
        assert without.code == 1
        assert f"run {run} is of profile bank; give --profile bank" in without.err
        assert (at.shop.books.reads, at.bank.books.reads) == (0, reads)
        by_key = await at.desk.run("verify", "--api-key-file", "bank.key")
        assert by_key.code == 0, by_key.err


async def test_verify_of_a_list_of_several_accounts_goes_by_any_of_them(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("both.csv", "order_id,account\n100200301,shop\n100200401,bank\n")
        assert (await at.desk.run("send", "both.csv")).code == 0
        for by in ((), ("--profile", "shop"), ("--profile", "bank")):
            verified = await at.desk.run("verify", *by)
            assert verified.code == 0, verified.err
            assert verified.out.startswith("Of 2 orders sent by run ")


async def test_resume_of_a_run_of_another_profile_names_that_profile_and_not_its_url(
    tmp_path: Path,
) -> None:
    """With that URL, the key of one account would be sent to the other."""
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id\n100200401\n100200402\n")
        sent = ("send", "orders.csv", "--profile", "bank", "--max-orders", "1")
        assert (await at.desk.run(*sent)).code == 4
        (run,) = await run_ids(at.desk)
        refused = await at.desk.run("resume", run, "--profile", "shop")
        assert refused.code == 1
        assert "; give --profile bank" in refused.err
        assert at.shop.books.requests == 0


# --- which account it was -----------------------------------------------------------------------


async def test_all_that_is_read_of_a_run_says_for_which_profile_it_was(tmp_path: Path) -> None:
    async with town(tmp_path) as at, listening() as hook:
        for name, ca in (("shop", at.shop), ("bank", at.bank)):
            wait(ca, 2, first=100_200_301)
            swept = await at.desk.run(
                "sweep", "--profile", name, "--notify-url", hook.url, "--log-file", f"{name}.log",
                "--metrics-file", f"{name}.prom", "--report-dir", "reports/{run}",
            )  # fmt: skip
            assert swept.code == 0, swept.err
        ids = dict(zip(("bank", "shop"), await run_ids(at.desk), strict=True))
        table = (await at.desk.run("runs")).out
        rows = json.loads((await at.desk.run("runs", "--json")).out)
        index = (tmp_path / "reports" / "index.html").read_text()
        other = {"shop": at.bank.base_url, "bank": at.shop.base_url}
        notes = [json.loads(body) for _, body in hook.posts]
        for name, (note, row) in zip(
            ("shop", "bank"), zip(notes, rows[::-1], strict=True), strict=True
        ):
            run = ids[name]
            named = f"{run} (profile {name})"
            assert f"(profile {name})" in table.replace("\n", " ")
            assert (row["run"], row["profile"]) == (run, name)
            assert note["profile"] == name
            assert note["text"].startswith(f"batch-resend {named}: ")
            shown = await at.desk.run("show", run)
            assert named in shown.out
            told = json.loads((await at.desk.run("show", run, "--json")).out)
            assert told["profile"] == name
            folder = tmp_path / "reports" / run
            assert json.loads((folder / "summary.json").read_text())["profile"] == name
            page = (folder / "report.html").read_text()
            assert f"profile <bdi>{name}</bdi>" in page
            assert other[name] not in page
            assert f"<bdi>{name}</bdi>" in index
            log = (tmp_path / f"{name}.log").read_text().splitlines()
            assert any("1 order waits" in line for line in log)
            assert all(f"profile={name}" in line for line in log)
            metrics = (tmp_path / f"{name}.prom").read_text().splitlines()
            values = [line for line in metrics if not line.startswith("#")]
            assert all(f'profile="{name}"' in line for line in values)
            assert any("last_run_timestamp" in line for line in values)


async def test_a_night_with_nothing_to_send_says_of_which_profile_it_is(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        swept = await at.desk.run("sweep", "-q", "--profile", "bank", "--log-file", "night.log")
        assert swept.out.startswith("Nothing to send (profile bank): 0 orders wait")
        assert "nothing to send (profile bank): 0 orders" in (tmp_path / "night.log").read_text()


async def test_a_page_lists_the_accounts_that_its_run_has_asked(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("own.csv", "order_id\n100200301\n")
        at.desk.write("both.csv", "order_id,account\n100200302,shop\n100200303,bank\n")
        for name, urls in (("own", {at.bank}), ("both", {at.bank, at.shop})):
            sent = await at.desk.run(
                "send", f"{name}.csv", "--profile", "bank", "--report-dir", name
            )
            assert sent.code == 0, sent.err
            page = (tmp_path / name / "report.html").read_text()
            assert {ca for ca in (at.shop, at.bank) if ca.base_url in page} == urls


@pytest.mark.parametrize("command", ["sweep", "export", "send", "doctor"])
async def test_a_key_that_is_refused_or_missing_is_named_with_its_profile_and_its_place(
    tmp_path: Path, command: str
) -> None:
    async with town(tmp_path, bank_key="wrong-key-0123456789") as at:
        at.desk.write("orders.csv", "order_id\n100200301\n")
        words = [command, *(["orders.csv"] if command == "send" else []), "--profile", "bank"]
        refused = await at.desk.run(*words)
        assert refused.code == 4
        (tmp_path / "bank.key").unlink()
        missing = await at.desk.run(*words)
        assert missing.code == (4 if command == "doctor" else 1)
        for ended in (refused, missing):
            said = ended.out + ended.err
            assert "bank" in said
            assert "--api-key-file bank.key" in said
            assert "wrong-key" not in said
        if command != "doctor":
            key = "the CA refused the API key of profile bank, from --api-key-file bank.key (HTTP"
            assert key in refused.err
            assert "profile bank: --api-key-file bank.key: No such file" in missing.err


@pytest.mark.parametrize(
    ("bank_key", "why"),
    [
        ("wrong-key-0123456789", "stopped early: the CA refused the API key of profile bank"),
        ("", "could not start: profile bank: --api-key-file bank.key: the API key is empty"),
    ],
)
async def test_a_notification_of_a_night_that_could_not_start_names_the_profile(
    tmp_path: Path, bank_key: str, why: str
) -> None:
    async with town(tmp_path, bank_key=bank_key) as at, listening() as hook:
        ended = await at.desk.run(
            "sweep", "-q", "--profile", "bank", "--notify-url", hook.url,
            "--metrics-file", "bank.prom",
        )  # fmt: skip
        assert ended.code in (1, 4)
        ((_, body),) = hook.posts
        note = json.loads(body)
        assert note["profile"] == "bank"
        assert note["text"].startswith(
            f"batch-resend (profile bank): Rehearsal, nobody was mailed; {why}"
        )
        assert 'batch_resend_exit_code{profile="bank"}' in (tmp_path / "bank.prom").read_text()


async def test_the_key_of_the_environment_is_named_by_its_variable(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        refused = await at.desk.run(
            "sweep", "--base-url", at.shop.base_url, DIGICERT_API_KEY="wrong-key-0123456789"
        )
        assert refused.code == 4
        why = "the CA refused the API key from the variable DIGICERT_API_KEY (HTTP"
        assert why in refused.err


# --- the run before -----------------------------------------------------------------------------


@pytest.mark.parametrize("has_profile", [True, False])
async def test_the_run_before_is_known_after_the_key_was_replaced(
    tmp_path: Path, *, has_profile: bool
) -> None:
    async with town(tmp_path) as at, Simulator(SimulatorSettings()) as ca:
        wait(ca, 2, 3, first=100_200_301)
        config = (tmp_path / "config.toml").read_text()
        at.desk.write("config.toml", config.replace(at.shop.base_url, ca.base_url))
        own = ("--base-url", ca.base_url, "--api-key-file", "shop.key")
        by = ("--profile", "shop") if has_profile else own
        at.desk.write("orders.csv", "order_id\n100200301\n100200302\n")
        before = await at.desk.run("send", "orders.csv", "--max-orders", "1", *by)
        assert (before.code, ca.books.mails) == (4, 1), before.err
        at.desk.write("shop.key", "new-key-0123456789")
        del ca.world.orders[100200301]
        night = await at.desk.run("sweep", *by, "--report-dir", "night")
        assert night.code == 0, night.err
        _, first = await run_ids(at.desk)
        assert f"Run {first} (" in night.err
        assert f"of 1 mailed by {first}, the last run to mail any, 1 no longer waits" in night.err


async def test_a_list_that_names_the_account_is_the_run_before_of_its_sweep(tmp_path: Path) -> None:
    async with town(tmp_path, bank_key="wrong-key-0123456789") as at:
        wait(at.shop, 2, 3, 4, first=100_200_301)
        at.desk.write("own.csv", "order_id\n100200303\n")
        own = await at.desk.run("send", "own.csv", "--profile", "shop", "--report-dir", "own")
        assert own.code == 0, own.err
        rows = "100200301,shop\n100200302,shop\n100200309,bank\n"
        at.desk.write("both.csv", f"order_id,account\n{rows}")
        assert (await at.desk.run("send", "both.csv", "--report-dir", "both")).code == 4
        del at.shop.world.orders[100200301]
        night = await at.desk.run("sweep", "--profile", "shop", "--report-dir", "night")
        assert night.code == 0, night.err
        _, both, _ = await run_ids(at.desk)
        assert "did not finish" not in night.err, "what it left is the bank's"
        found = f"of 2 mailed by {both}, the last run to mail any, 1 no longer waits"
        assert found in night.out + night.err


async def test_a_list_for_two_accounts_that_was_cut_off_is_mentioned_by_the_sweep_of_each(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        wait(at.shop, 2, 3, first=100_200_301)
        wait(at.bank, 2, 3, first=100_200_401)
        orders = ((301, "shop"), (302, "shop"), (401, "bank"), (402, "bank"))
        rows = "".join(f"100200{number},{whose}\n" for number, whose in orders)
        at.desk.write("both.csv", f"order_id,account\n{rows}")
        sent = await at.desk.run("send", "both.csv", "--max-orders", "1", "--report-dir", "sent")
        assert sent.code == 4, sent.err
        (both,) = await run_ids(at.desk)
        for profile in ("shop", "bank"):
            for is_said in (True, False):
                night = await at.desk.run("sweep", "--profile", profile, "--report-dir", "night")
                assert night.code == 0, night.err
                assert (f"Run {both} (" in night.err) is is_said
        for ca in (at.shop, at.bank):
            assert {*ca.books.mails_per_order.values()} == {1}
