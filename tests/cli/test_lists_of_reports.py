"""A list that a report wrote continues that report's run: what was sent since is not sent again."""

from pathlib import Path

import pytest

from batch_resend.simulator import FaultName, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary, run_ids

NUMBERS = [str(100_200_300 + n) for n in range(1, 7)]
SOON = ("--cooldown", "1ms", "--max-attempts", "1")  # by the next run it has passed, as after a day
HEADING = "order_id,domain,email\n"


def row(number: str) -> str:
    """Return a row of an order."""
    return f"{number},a{number}.example.com,admin@a{number}.example.com\n"


async def failed(desk: Desk, fault: FaultName, *words: str) -> str:
    """Send a list of which every order fails in some way; return the run."""
    desk.write("list.csv", HEADING + "".join(map(row, NUMBERS)))
    sent = await desk.run("send", "--yes", "-q", *SOON, *words, "list.csv")
    assert sent.code == 3, sent.err
    return (await run_ids(desk))[0]


@pytest.mark.parametrize("fault", [FaultName.SERVER_ERROR, FaultName.DROP], ids=str)
@pytest.mark.parametrize(
    ("report_dir", "folder"),
    [(None, "reports/{run}"), ("night", "night")],
    ids=["by its folder's name", "by the summary beside it"],
)
async def test_orders_of_unsent_csv_that_were_sent_since_are_not_mailed_again_after_the_cooldown(
    tmp_path: Path, fault: FaultName, report_dir: str | None, folder: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.fail({fault: 1.0})
        to = ("--report-dir", report_dir) if report_dir else ()
        run = await failed(desk, fault, *to)
        ca.fail({})
        before = dict(ca.books.mails_per_order)
        desk.write("two.csv", HEADING + "".join(map(row, NUMBERS[:2])))
        assert (await desk.run("send", "--yes", *SOON, "two.csv")).code == 0
        unsent = f"{folder.format(run=run)}/unsent.csv"
        planned = await desk.run("send", "--dry-run", *SOON, unsent)
        assert "4 to send" in planned.out, planned.out
        assert (await desk.run("send", "--yes", *SOON, unsent)).code == 0
        mails = {n: ca.books.mails_per_order[n] - before.get(n, 0) for n in NUMBERS}
        assert mails == dict.fromkeys(NUMBERS, 1)
        desk.write("copy.csv", (desk.folder / unsent).read_text())
        for words in (("--again", unsent), ("copy.csv", *SOON)):
            assert (await desk.run("send", "--yes", *words)).code == 0
        assert {ca.books.mails_per_order[n] - before.get(n, 0) for n in NUMBERS} == {3}


@pytest.mark.parametrize("inside", [False, True])
async def test_a_corrected_rejected_csv_or_refused_csv_that_is_sent_twice_mails_nobody_twice(
    tmp_path: Path, *, inside: bool
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset((NUMBERS[3],))) as (desk, ca):
        desk.write(
            "list.csv", HEADING + row(NUMBERS[0]) + f"{NUMBERS[1]},b.example,\n" + row(NUMBERS[3])
        )
        sent = await desk.run("send", "--yes", "-q", *SOON, "--max-rejected", "50%", "list.csv")
        assert sent.code == 3, sent.err
        (run,) = await run_ids(desk)
        folder = desk.folder / "reports" / run
        for name, wrong, right in (
            ("rejected.csv", f"{NUMBERS[1]},b.example,", f"{NUMBERS[1]},b.example,admin@b.example"),
            ("refused.csv", NUMBERS[3], NUMBERS[4]),
        ):
            text = (folder / name).read_text()
            assert wrong in text
            (folder / name).write_text(text.replace(wrong, right, 1))
            there = Desk(folder if inside else desk.folder, ca.base_url)
            there.environment = {
                **desk.environment,
                "BATCH_RESEND_JOURNAL": f"{tmp_path}/journal.db",
            }
            for _ in range(2):
                list_ = name if inside else f"reports/{run}/{name}"
                sent = await there.run("send", "--yes", *SOON, list_)
                assert sent.code == 0, sent.err
            newest = (await run_ids(desk))[0]
            shown = (await desk.run("show", run)).out
            assert f"Run {newest} has sent {name} since: see its report" in " ".join(shown.split())
            assert f"batch-resend send reports/{run}/{name}" not in shown
        assert ca.books.mails_per_order == {NUMBERS[n]: 1 for n in (0, 1, 4)}


async def test_what_was_in_doubt_is_still_held_when_unsent_csv_is_sent_after_the_cooldown(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.fail({FaultName.DROP: 1.0})
        run = await failed(desk, FaultName.DROP, "--in-doubt", "hold")
        ca.fail({})
        before = ca.books.mails
        unsent = f"reports/{run}/unsent.csv"
        held = await desk.run("send", "--yes", *SOON, "--in-doubt", "hold", unsent)
        assert held.code == 3, held.err
        assert ca.books.mails == before
        sent = await desk.run("send", "--yes", *SOON, unsent)
        assert sent.code == 0, sent.err
        assert ca.books.mails == before + len(NUMBERS)
        assert read_summary(desk.folder / "reports" / (await run_ids(desk))[0])["requests"][
            "possible_duplicates"
        ] == len(NUMBERS)


@pytest.mark.parametrize("policy", ["hold", "retry"])
async def test_what_a_run_held_for_an_earlier_one_is_still_in_doubt_in_its_own_unsent_csv(
    tmp_path: Path, policy: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.fail({FaultName.DROP: 1.0})
        hold = ("--in-doubt", "hold", "--max-attempts", "1")
        desk.write("list.csv", HEADING + "".join(map(row, NUMBERS)))
        assert (await desk.run("send", "--yes", *hold, "list.csv")).code == 3
        for _ in range(2):
            unsent = f"reports/{(await run_ids(desk))[0]}/unsent.csv"
            assert (await desk.run("send", "--yes", *hold, unsent)).code == 3
        ca.fail({})
        before = ca.books.mails
        unsent = f"reports/{(await run_ids(desk))[0]}/unsent.csv"
        await desk.run("send", "--yes", *SOON, "--in-doubt", policy, unsent)
        sent = 0 if policy == "hold" else len(NUMBERS)
        assert ca.books.mails == before + sent
        found = read_summary(desk.folder / "reports" / (await run_ids(desk))[0])
        assert found["requests"]["possible_duplicates"] == sent
        assert found["orders"]["in_doubt"] == len(NUMBERS) - sent


async def test_verify_asks_only_about_doubts_that_no_other_run_has_sent_since(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for number in NUMBERS:
            ca.world.add(WorldOrder(int(number)))
        ca.fail({FaultName.DROP: 1.0})
        run = await failed(desk, FaultName.DROP, "--in-doubt", "hold")
        ca.fail({})
        unsent = desk.folder / "reports" / run / "unsent.csv"
        unsent.write_text(HEADING + "".join(map(row, NUMBERS[2:])))
        again = ("--in-doubt", "retry", str(unsent))
        assert (await desk.run("send", "--yes", *SOON, *again)).code == 0
        for number in NUMBERS[:2]:
            del ca.world.orders[int(number)]  # approved
        assert "2 in doubt: they may have been mailed" in (await desk.run("show", run)).out
        verified = (await desk.run("verify", run)).out
        assert f"Of 2 orders in doubt after run {run}" in verified
        assert "Of 4" not in verified
