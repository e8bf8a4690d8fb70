"""A rehearsal of several accounts, whose simulators end one after the other."""

from pathlib import Path

import pytest

from tests.cli.conftest import run_ids
from tests.cli.several import Several, several_accounts

OVER = "This rehearsal cannot be resumed, because its simulator has ended"


async def stopped_run(at: Several) -> str:
    """Send the first order of each account, and return the run."""
    at.write_list(["shop", "bank"] * 3)
    await at.desk.run("send", "orders.csv", "--max-orders", "2")
    (run,) = await run_ids(at.desk)
    return run


async def end(at: Several, *names: str) -> None:
    """End the simulators of accounts."""
    for name in names:
        await at.cas[name].__aexit__(None, None, None)


@pytest.mark.parametrize("ended", ["shop", "bank"])
async def test_while_one_simulator_lasts_what_is_left_of_its_account_is_sent(
    tmp_path: Path, ended: str
) -> None:
    lasts = {"shop": "bank", "bank": "shop"}[ended]
    async with several_accounts(tmp_path, "shop", "bank") as at:
        run = await stopped_run(at)
        await end(at, ended)
        for command in (("show",), ("report",), ("runs",)):
            assert OVER not in (await at.desk.run(*command)).out
        assert f" resume {run} --journal" in (await at.desk.run("show")).out
        resumed = await at.desk.run("resume", "--preflight", "--report-dir", "rest")
        assert resumed.code == 4
        assert f"account {ended}: nothing listens at 127.0.0.1:" in resumed.err
        assert len(at.mails[lasts]) == 3
        shown = await at.desk.run("show")
        assert OVER in shown.out, "nothing is left that could be sent"
        again = await at.desk.run("resume", run)
        assert again.code == 1
        assert "its simulator has ended, and there is nothing to resume" in again.err


async def test_without_any_simulator_there_is_nothing_to_resume(tmp_path: Path) -> None:
    async with several_accounts(tmp_path, "shop", "bank") as at:
        run = await stopped_run(at)
        await end(at, "shop", "bank")
        assert OVER in (await at.desk.run("show")).out
        resumed = await at.desk.run("resume", run)
        assert resumed.code == 1
        assert "its simulator has ended, and there is nothing to resume" in resumed.err


async def test_a_simulator_that_has_nothing_left_to_mail_may_end(tmp_path: Path) -> None:
    async with several_accounts(tmp_path, "shop", "bank") as at:
        at.write_list(["shop", "bank", "bank", "bank"])
        await at.desk.run("send", "orders.csv", "--max-orders", "2")
        await end(at, "shop")
        assert OVER not in (await at.desk.run("show")).out
        resumed = await at.desk.run("resume", "--report-dir", "rest")
        assert resumed.code == 0, resumed.err
        assert len(at.mails["bank"]) == 3
