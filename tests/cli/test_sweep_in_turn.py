"""Where more orders are due than one sweep may mail, each has its turn, night after night."""

import json
from collections import Counter
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName, Simulator
from tests.cli.conftest import Desk, desk_with_ca, read_summary
from tests.cli.test_rehearsed_week import rehearsed
from tests.cli.test_sweep import wait
from tests.notify.listener import listening

NIGHT = ("sweep", "--yes", "-q", "--cooldown", "0s", "--max-attempts", "1")


async def tried_by_night(desk: Desk, ca: Simulator, *options: str) -> list[int]:
    """Run a night; return the orders for which a request was made."""
    before = Counter(ca.books.requests_per_order)
    night = await desk.run(*NIGHT, *options)
    assert night.code in (0, 3), night.err
    return sorted(map(int, Counter(ca.books.requests_per_order) - before))


@pytest.mark.timeout(180)
async def test_a_rehearsed_week_with_a_backlog_leaves_no_order_out(desk: Desk) -> None:
    options = ("--orders", "60", "--approve", "none", "--days", "5", "--books", "books.json")
    sweep = desk.command("sweep", "--yes", "-q", "--max-orders", "8")
    week = await rehearsed(desk, *options, command=sweep)
    assert week.code == 0, week.err
    mails = json.loads((desk.folder / "books.json").read_text())["mails_per_order"]
    assert sum(mails.values()) == 5 * 8
    assert set(mails.values()) == {1}, "32 are due in the first night, and each day others come"


@pytest.mark.parametrize(("orders", "most"), [(7, 3), (7, 6), (5, 1), (6, 3), (3, 5)])
async def test_every_order_is_mailed_before_any_is_mailed_once_more(
    tmp_path: Path, orders: int, most: int
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *range(orders + 1, 1, -1))
        options = ("--max-orders", str(most), "--max-mails-per-order", "2")
        first = await tried_by_night(desk, ca, *options)
        assert first == [*range(1, min(orders, most) + 1)], "the oldest come first"
        for _ in range(1, -(-2 * orders // most)):
            await tried_by_night(desk, ca, *options)
            mails = [ca.books.mails_per_order[str(n)] for n in range(1, orders + 1)]
            assert max(mails) - min(mails) <= 1
        assert mails == [2] * orders, "up to the limit of mails"


async def test_a_new_order_comes_first_and_then_has_its_turn_like_the_others(
    tmp_path: Path,
) -> None:
    few = ("--max-orders", "2")
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, 7, 6)
        nights = [await tried_by_night(desk, ca, *few) for _ in range(2)]
        wait(ca, 2, first=5)
        nights += [await tried_by_night(desk, ca, *few) for _ in range(4)]
    assert nights[:2] == [[1, 2], [3, 4]]
    assert 5 in nights[2]
    for n in range(2, 6):
        assert not {*nights[n]} & {*nights[n - 1]}, "never two nights in a row"


async def test_orders_that_the_ca_always_refuses_keep_no_other_from_its_turns(
    tmp_path: Path,
) -> None:
    few = ("--max-orders", "2")
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(("1", "2"))) as (desk, ca):
        wait(ca, 9, 8, 7, 6)
        nights = [await tried_by_night(desk, ca, *few) for _ in range(6)]
    assert nights == [[1, 2], [3, 4]] * 3


async def test_orders_in_doubt_have_their_turn_before_any_is_mailed_twice(tmp_path: Path) -> None:
    few = ("--max-orders", "2")
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8, 7, 6, 5, 4)
        ca.fail({FaultName.DROP: 1.0})
        desk.write("two.csv", "order_id\n3\n4\n")
        assert (await desk.run("send", "two.csv", "--all-domains", "--max-attempts", "1")).code == 3
        ca.fail({})
        nights = [await tried_by_night(desk, ca, *few) for _ in range(5)]
    assert nights == [[1, 2], [5, 6], [3, 4], [1, 2], [5, 6]]


async def test_a_night_says_what_it_leaves_for_the_next_one_and_ends_well(tmp_path: Path) -> None:
    left = "3 left for the next sweep"
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *[5.0] * 5, dcv_method="email")
        wait(ca, *[5.0] * 20, first=6, dcv_method="dns-txt-token")
        words = ("--max-orders", "2", "--notify-url", hook.url, "--report-dir", "nights/{run}")
        night = await desk.run(*NIGHT, *words)
        assert night.code == 0, night.err
    assert f"; {left}." in night.out
    assert f"25 orders wait: 5 due (2 in this sweep, {left}: --max-orders), 20 with" in night.out
    (folder,) = (tmp_path / "nights").glob("*/")
    for text in (json.loads(hook.posts[-1][1])["text"], (folder / "report.html").read_text()):
        assert f"; {left}" in text
    counts = read_summary(folder)["sweep"]
    assert (counts["due"], counts["left_for_later"], counts["waiting"]) == (2, 3, 25)
    assert f", {left})<" in (tmp_path / "nights" / "index.html").read_text()
