"""Of a run of which only a part was asked about: of which orders the CA spoke, and when."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from batch_resend.simulator import FaultName
from tests.cli.conftest import run_ids
from tests.cli.test_sweep import wait
from tests.cli.town import BANK_KEY, Town, town

DAY_S = 86_400.0
TIME = "2[0-9]{3}-[0-9]{2}-[0-9]{2} [0-9:]{8} UTC"


async def said(at: Town) -> str:
    """Return what the page of the first run says of its orders."""
    *_, run = await run_ids(at.desk)
    assert (await at.desk.run("report", run)).code in (0, 3, 4)
    page = (at.desk.folder / "reports" / run / "report.html").read_text()
    paragraphs = re.findall("<p>(The CA said.*?)</p>", page)
    return " | ".join(re.sub("<[^>]+>", "", one) for one in paragraphs)


def answered_a_day_before(folder: Path) -> None:
    """Have all answers so far be of the day before."""
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        journal.execute("UPDATE checks SET asked_at = asked_at - ?", (DAY_S,))
        journal.commit()


async def send_to_both(at: Town) -> None:
    """Send three orders of the shop and two of the bank, which wait there."""
    wait(at.shop, 2, 2, 2, first=100_200_301)
    wait(at.bank, 2, 2, first=100_200_304)
    rows = [f"{'shop' if n < 4 else 'bank'},10020030{n}\n" for n in range(1, 6)]
    at.desk.write("orders.csv", f"account,order_id\n{''.join(rows)}")
    assert (await at.desk.run("send", "orders.csv", "-q")).code == 0


async def test_orders_of_an_account_that_could_not_be_asked_are_not_counted_as_if_they_were(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        await send_to_both(at)
        at.desk.write("bank.key", "wrong-key-0123456789")
        failed = await at.desk.run("verify")
        (run,) = await run_ids(at.desk)
        assert failed.code == 4
        kept = f"about 3 of 5 orders is kept; `batch-resend report {run}` shows it."
        assert kept in failed.err
        assert re.fullmatch(
            f"The CA said, {TIME}: of 5 orders sent 3 are pending, 2 were not asked about.",
            await said(at),
        )
        at.desk.write("bank.key", BANK_KEY)
        assert "Of 5 orders sent by run" in (await at.desk.run("verify")).out
        assert re.fullmatch(
            f"The CA said, .*{TIME}: of 5 orders sent 5 are pending.", await said(at)
        )


async def test_where_answers_are_of_different_times_the_oldest_and_the_newest_are_named(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        await send_to_both(at)
        assert (await at.desk.run("verify")).code == 0
        assert re.fullmatch(f"The CA said, {TIME}: of 5 orders sent 5 are pending.", await said(at))
        answered_a_day_before(tmp_path)
        at.desk.write("bank.key", "wrong-key-0123456789")
        failed = await at.desk.run("verify")
        assert (failed.code, "about 5 orders is kept" in failed.err) == (4, True)
        found = re.fullmatch(
            f"The CA said, between ({TIME}) and ({TIME}): of 5 orders sent 5 are pending.",
            await said(at),
        )
        assert found
        assert found[1][:10] < found[2][:10]


async def test_what_was_sent_or_is_in_doubt_since_the_ca_was_asked_was_not_asked_about(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        wait(at.shop, *[2] * 5, first=100_200_301)
        rows = [f"10020030{n}\n" for n in range(1, 6)]
        at.desk.write("orders.csv", f"order_id\n{''.join(rows)}")
        shop = ("--profile", "shop")
        await at.desk.run("send", "orders.csv", *shop, "-q", "--max-orders", "3")
        assert (await at.desk.run("verify", *shop)).code == 0
        assert (await at.desk.run("resume", *shop, "-q", "--max-orders", "1")).code == 4
        at.shop.fail({FaultName.DROP: 1.0})
        await at.desk.run("resume", *shop, "-q", "--in-doubt", "hold")
        at.shop.fail({})
        sent, in_doubt = (await said(at)).split(" | ")
        assert sent.endswith("of 4 orders sent 3 are pending, 1 was not asked about.")
        assert in_doubt.endswith("of 1 order in doubt 1 was not asked about.")


async def test_requests_for_domains_are_none_of_the_orders_that_were_not_asked_about(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        wait(at.shop, 2, first=100_200_301)
        rows = "100200301,a.example,admin@a.example,\n,b.example,admin@b.example,domain-dcv\n"
        at.desk.write("orders.csv", f"order_id,domain,email,call\n{rows}")
        shop = ("--profile", "shop")
        assert (await at.desk.run("send", "orders.csv", *shop, "-q")).code == 0
        assert (await at.desk.run("verify", *shop)).code == 0
        assert (await said(at)).endswith("of 1 order sent 1 is pending.")


async def test_a_sweep_says_nothing_of_the_orders_of_other_accounts(tmp_path: Path) -> None:
    """It notes, for the run that mailed them, which orders of its own account wait."""
    async with town(tmp_path) as at:
        wait(at.shop, 2, 2, first=100_200_301)
        wait(at.bank, 2, first=100_200_304)
        at.desk.write("orders.csv", "account,order_id\n,100200301\n,100200302\nbank,100200304\n")
        shop = ("--profile", "shop")
        assert (await at.desk.run("send", "orders.csv", *shop, "-q")).code == 0
        assert (await at.desk.run("sweep", *shop, "-q", "--yes")).code == 0
        assert (await said(at)).endswith("of 3 orders sent 2 are waiting, 1 was not asked about.")
