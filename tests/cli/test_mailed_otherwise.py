"""What a plan says of orders that another run has mailed otherwise: by whose key, however named."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import run_ids
from tests.cli.test_sweep import wait
from tests.cli.town import SHOP_KEY, Town, town

FIRST, ALONE = "first.csv", "alone.csv"
# How a command names the account of the shop: (what its lists are called, and its flags).
WAYS: dict[str, tuple[str, Sequence[str]]] = {
    "by column": ("shop-", ()),
    "by profile": ("", ("--profile", "shop")),
    "by both": ("shop-", ("--profile", "shop")),
    "by column, with another profile": ("shop-", ("--profile", "bank")),
    "by key and URL": ("", ("--api-key-file", "shop.key", "--base-url", "SHOP")),
}


def write_lists(at: Town) -> None:
    """Write the same orders with addresses and alone, of each account and of none."""
    for name in ("", "shop", "bank"):
        heading, cell, prefix = ("account,", f"{name},", f"{name}-") if name else ("", "", "")
        rows = [f"{cell}{n},a.example,admin@a.example\n" for n in (100_200_301, 100_200_302)]
        at.desk.write(f"{prefix}{FIRST}", f"{heading}order_id,domain,email\n{''.join(rows)}")
        at.desk.write(f"{prefix}{ALONE}", f"{heading}order_id\n{cell}100200301\n{cell}100200302\n")


def of(at: Town, way: str, name: str) -> list[str]:
    """Return a list of the shop and the flags that name its account in this way."""
    prefix, flags = WAYS[way]
    return [f"{prefix}{name}", *(at.shop.base_url if flag == "SHOP" else flag for flag in flags)]


@pytest.mark.parametrize("first", WAYS)
async def test_what_an_account_was_mailed_is_counted_whichever_way_each_command_names_it(
    tmp_path: Path, first: str
) -> None:
    async with town(tmp_path) as at:
        write_lists(at)
        assert (await at.desk.run("send", *of(at, first, FIRST), "-q")).code == 0
        assert at.shop.books.mails == 2
        for way in WAYS:
            dry = await at.desk.run("send", *of(at, way, ALONE), "--dry-run", "--json")
            plan = json.loads(dry.out)
            assert (plan["to_send"], plan["mailed_otherwise"]) == (2, 2), way
        other = "by column" if WAYS[first][1] else "by profile"
        sent = await at.desk.run("send", *of(at, other, ALONE))
        assert "2 of those to send: for orders or domains that another run mailed" in sent.err
        assert (at.shop.books.mails, at.bank.books.requests) == (4, 0)


@pytest.mark.parametrize("profile", [(), ("--profile", "shop"), ("--profile", "bank")])
async def test_what_another_ca_mailed_for_the_same_numbers_is_not_counted(
    tmp_path: Path, profile: Sequence[str]
) -> None:
    async with town(tmp_path) as at:
        write_lists(at)
        assert (await at.desk.run("send", "shop-first.csv", *profile, "-q")).code == 0
        for words in (("bank-alone.csv", *profile), ("alone.csv", "--profile", "bank")):
            dry = await at.desk.run("send", *words, "--dry-run", "--json")
            plan = json.loads(dry.out)
            assert (plan["to_send"], plan["mailed_otherwise"]) == (2, 0)
        sent = await at.desk.run("send", "bank-alone.csv", *profile)
        assert "that another run mailed" not in sent.err
        assert at.bank.books.mails == 2


async def test_a_replaced_key_is_the_same_account(tmp_path: Path) -> None:
    """An order's number is known to its CA, whichever key asks."""
    async with town(tmp_path) as at:
        write_lists(at)
        assert (await at.desk.run("send", "shop-first.csv", "-q")).code == 0
        at.desk.write("shop.key", f"new-{SHOP_KEY}")
        dry = await at.desk.run("send", "alone.csv", "--profile", "shop", "--dry-run", "--json")
        assert json.loads(dry.out)["mailed_otherwise"] == 2


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("by column", "by column"),
        ("by column", "by profile"),
        ("by column", "by key and URL"),
        ("by profile", "by column"),
    ],
)
async def test_a_run_that_is_resumed_in_another_way_is_compared_by_the_account_that_it_asks_now(
    tmp_path: Path, first: str, then: str
) -> None:
    async with town(tmp_path) as at:
        write_lists(at)
        stopped = await at.desk.run("send", *of(at, first, ALONE), "--max-orders", "1", "-q")
        assert at.shop.books.mails == 1, stopped.err
        at.desk.write("mailed.csv", "order_id,domain,email\n100200302,b.example,admin@b.example\n")
        assert (await at.desk.run("send", "mailed.csv", "--profile", "shop", "-q")).code == 0
        dry = await at.desk.run("send", *of(at, then, ALONE), "--dry-run", "--json")
        plan = json.loads(dry.out)
        assert "`send` resumes run" in dry.err
        assert (plan["to_send"], plan["mailed_otherwise"]) == (1, 1)
        sent = await at.desk.run("send", *of(at, then, ALONE))
        assert "1 of those to send: for an order or domain that another run mailed" in sent.err
        assert at.shop.books.mails == 3


@pytest.mark.parametrize(
    ("first", "then"), [("by column", "by profile"), ("by column", "by key and URL")]
)
async def test_what_a_run_mailed_that_was_resumed_in_another_way_is_known_by_its_account(
    tmp_path: Path, first: str, then: str
) -> None:
    """Its plan, what became of its orders, and how often they were mailed."""
    async with town(tmp_path) as at:
        write_lists(at)
        wait(at.shop, 2, 2, first=100_200_301)
        await at.desk.run("send", *of(at, first, FIRST), "--max-orders", "1", "-q")
        assert (await at.desk.run("send", *of(at, then, FIRST), "-q")).code == 0
        assert len(await run_ids(at.desk)) == 1
        assert at.shop.books.mails == 2
        for way in WAYS:
            dry = await at.desk.run("send", *of(at, way, ALONE), "--dry-run", "--json")
            assert json.loads(dry.out)["mailed_otherwise"] == 2, way
        verified = await at.desk.run("verify", *of(at, then, FIRST)[1:])
        assert (verified.code, "Of 2 orders sent" in verified.out) == (0, True), verified.err
        most = ("--max-mails-per-order", "1", "--older-than", "0s", "--again")
        swept = await at.desk.run("sweep", "--profile", "shop", *most, "--dry-run", "--json")
        assert len(json.loads(swept.out)["stuck"]) == 2, swept.out
