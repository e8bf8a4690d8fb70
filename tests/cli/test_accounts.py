"""Several accounts in one list: each by its own key, within its own windows, with its own end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, SimulatorSettings, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import ended, run_ids, until
from tests.cli.town import BANK_KEY, SHOP_KEY, Town, town

MIXED = (
    "order_id,account,call,domain,email,all_domains\n"
    "100200301,shop,,a.example,admin@a.example,\n"
    "100200302,bank,,b.example,admin@b.example,\n"
    ",bank,domain-dcv,c.example,,yes\n"
    ",shop,domain-dcv,c.example,,yes\n"
    "100200303,bank,order-approval,,boss@b.example,\n"
    "100200304,,,d.example,admin@d.example,\n"
)


async def test_two_accounts_and_three_calls_go_out_in_one_run(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("mixed.csv", MIXED)
        sent = await at.desk.run("send", "mixed.csv", "--profile", "shop")
        assert sent.code == 0, sent.err
        assert "the command's own 3, bank 3" in sent.err
        assert set(at.shop.books.bodies) == {"100200301", "100200304", "c.example"}
        assert set(at.bank.books.bodies) == {"100200302", "100200303", "c.example"}
        assert at.bank.books.bodies["c.example"] == [{"locale": "de"}], "its profile's language"
        assert at.shop.books.bodies["c.example"] == [{}]
        assert at.shop.books.wrong_request_count == at.bank.books.wrong_request_count == 0
        lines = (at.desk.report() / "results.jsonl").read_text().splitlines()
        told = {(one["order_id"], one.get("account")) for one in map(json.loads, lines)}
        assert ("100200302", "bank") in told
        assert ("100200301", "shop") in told, "a row without an account gets the command's profile"
        again = await at.desk.run("send", "mixed.csv", "--profile", "shop", "--report-dir", "again")
        assert again.code == 0
        assert at.shop.books.mails + at.bank.books.mails == 6


async def test_each_account_keeps_its_own_windows_and_holds_up_no_other(tmp_path: Path) -> None:
    narrow, wide = Window(4, 2.0), Window(50, 0.5)
    async with town(tmp_path, (narrow,), (wide,)) as at:
        rows = [f"{n},{'shop' if n % 5 == 0 else 'bank'}" for n in range(100_200_301, 100_200_376)]
        at.desk.write("orders.csv", "\n".join(["order_id,account", *rows]))
        sending = await at.desk.start("send", "orders.csv", "--profile", "bank")
        waiting = asyncio.create_task(ended(sending))
        await until(lambda: at.bank.books.mails == 60)
        assert at.shop.books.mails < 15, "the bank's are through, and the shop's wait"
        sent = await waiting
        assert sent.code == 0, sent.err
        assert (at.shop.books.mails, at.bank.books.mails) == (15, 60)
        for ca in (at.shop, at.bank):
            assert ca.books.answers["429"] == 0
        assert at.desk.summary()["elapsed_s"] >= 6.0, "15 requests, 4 in 2 s"
        assert set(at.desk.summary()["limits"]) == {"204/2s", "54/0.5s"}, "of both together"


async def test_a_key_that_is_refused_stops_its_account_only(tmp_path: Path) -> None:
    async with town(tmp_path, bank_key="wrong-key-0123456789") as at:
        at.desk.write("mixed.csv", MIXED)
        sent = await at.desk.run("send", "mixed.csv", "--profile", "shop")
        assert sent.code == 4
        assert at.shop.books.mails == 3
        assert at.bank.books.mails == 0
        assert "account bank: the CA refused the API key" in sent.err
        orders = at.desk.summary()["orders"]
        assert (orders["sent"], orders["not_attempted"]) == (3, 3)
        at.desk.write("bank.key", BANK_KEY)
        resumed = await at.desk.run("resume", "--profile", "shop", "--report-dir", "later")
        assert resumed.code == 0, resumed.err
        assert (at.shop.books.mails, at.bank.books.mails) == (3, 3)


async def test_the_windows_are_a_keys_by_whichever_name_it_goes(tmp_path: Path) -> None:
    window = Window(5, 4.0)
    async with town(tmp_path, (window,)) as at:
        at.desk.write(
            "first.csv",
            "order_id,account\n" + "".join(f"{n},shop\n" for n in range(100_200_301, 100_200_306)),
        )
        at.desk.write("second.csv", "order_id\n100200311\n100200312\n100200313\n")
        first = await at.desk.run("send", "first.csv", "--profile", "bank", "--report-dir", "first")
        assert first.code == 0, first.err
        second = await at.desk.run("send", "second.csv", "--profile", "shop")
        assert second.code == 0, second.err
        assert at.shop.books.answers["429"] == 0, "the second has waited for the first's"
        assert at.shop.books.mails == 8


async def test_without_profiles_an_account_goes_only_if_it_is_ignored(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        del at.desk.environment["BATCH_RESEND_CONFIG"]
        at.desk.environment |= {
            "DIGICERT_API_KEY": SHOP_KEY, "BATCH_RESEND_BASE_URL": at.shop.base_url,
        }  # fmt: skip
        at.desk.write("orders.csv", "order_id,account\n100200301,Main Street\n")
        checked = await at.desk.run("check", "orders.csv")
        assert checked.code == 3
        assert "no profile describes the account 'Main Street'" in checked.out
        assert '--ignore "account"' in checked.out
        sent = await at.desk.run("send", "orders.csv", "--ignore", "account")
        assert sent.code == 0
        assert at.shop.books.mails_per_order == {"100200301": 1}


async def test_what_stops_all_accounts_alike_is_said_once(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        rows = (
            f'{{"order_id": 10020030{n}, "account": "{("shop", "bank")[n % 2]}"}}' for n in range(6)
        )
        at.desk.write("named.jsonl", "\n".join(rows))
        stopped = await at.desk.run("send", "named.jsonl", "--max-orders", "2")
        assert stopped.code == 4, stopped.err
        assert "stopped: --max-orders reached; 4 not attempted\n" in stopped.err


@pytest.mark.parametrize(
    ("fault", "code", "name"), [("500", 4, "unsent.csv"), ("400", 3, "refused.csv")]
)
async def test_what_is_left_goes_by_the_same_accounts(
    tmp_path: Path, fault: str, code: int, name: str
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("mixed.csv", MIXED)
        at.desk.write("more.jsonl", '{"order_id": 100200309, "account": "bank"}\n')
        for ca in (at.shop, at.bank):
            ca.fail({fault: 1.0})  # type: ignore[dict-item] # by its value
        ended = await at.desk.run(
            "send", "mixed.csv", "more.jsonl", "--profile", "shop", "--patience", "1s"
        )
        assert ended.code == code, ended.err
        left = str(at.desk.report() / name)
        for ca in (at.shop, at.bank):
            ca.fail({})
        sent = await at.desk.run("send", left, "--profile", "shop", "--report-dir", "again")
        assert sent.code == 0, sent.err
        assert set(at.bank.books.mails_per_order) == {
            "100200302",
            "100200303",
            "100200309",
            "c.example",
        }
        assert set(at.shop.books.mails_per_order) == {"100200301", "100200304", "c.example"}


async def test_preflight_by_a_refused_key_keeps_no_other_from_its_mails(tmp_path: Path) -> None:
    async with town(tmp_path, bank_key="wrong-key-0123456789") as at:
        at.shop.world.add(WorldOrder(100200301))
        at.desk.write("orders.csv", "order_id,account\n100200301,shop\n100200302,bank\n")
        sent = await at.desk.run("send", "orders.csv", "--profile", "shop", "--preflight")
        assert (sent.code, at.shop.books.mails) == (4, 1)
        assert "account bank: the CA refused the API key" in sent.err


async def test_what_one_account_mailed_is_no_news_of_another(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("other.key", "another-key-0123456789")
        simulator = Simulator(SimulatorSettings())
        async with simulator as ca:
            for number in (100200301, 100200302):
                ca.world.add(WorldOrder(number))
            at.desk.write("orders.csv", "order_id\n100200301\n100200302\n")
            by = ("--base-url", ca.base_url, "--api-key-file")
            assert (await at.desk.run("send", "orders.csv", *by, "shop.key")).code == 0
            shops = dict(ca.world.orders)
            ca.world.orders.clear()
            ca.world.add(WorldOrder(100200399))
            other = await at.desk.run("sweep", *by, "other.key", "--report-dir", "other")
            assert "the last run" not in other.out + other.err, "it was another's"
            del ca.world.orders[100200399]
            ca.world.orders.update(shops)
            del ca.world.orders[100200301]
            same = await at.desk.run("sweep", *by, "shop.key", "--report-dir", "same")
            *_, first = await run_ids(at.desk)
            news = f"of 2 mailed by {first}, the last run to mail any, 1 no longer waits"
            assert news in same.out + same.err


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            '[profiles.x]\nkey = "a"\n',
            "profile x: there is no option key; write one of",
        ),
        ('[profiles.x]\nregion = "mars"\n', "profile x: region: 'mars' is not one of 'us', 'eu'"),
        ('[profiles.x]\nlimit = "many"\n', "profile x: 'many' is not a limit"),
        (
            "[profiles.x]\nlimit = []\n",
            "profile x: limit is empty; for no limit, write none",
        ),
        ("[profiles.x]\nlimit = 0\n", "profile x: limit is empty; for no limit, write none"),
        ("limit = []\n", "batch-resend: --limit: is empty; for no limit, write none"),
        ('profiles = "x"\n', "profiles are tables: [profiles.NAME]"),
        (
            '[profiles.x]\napi-key-file = "none.key"\n',
            "profile x: --api-key-file none.key: No such",
        ),
        ("[profiles.x]\n", "profile x has no api-key-file"),
    ],
)
async def test_a_profile_that_is_needed_and_cannot_be_used_ends_it_before_anything_is_sent(
    tmp_path: Path, config: str, told: str
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("config.toml", config)
        at.desk.environment |= {"DIGICERT_API_KEY": SHOP_KEY}
        at.desk.write("orders.csv", "order_id,account\n100200301,x\n")
        refused = await at.desk.run("send", "orders.csv", "--base-url", at.shop.base_url)
        assert (refused.code, at.shop.books.requests) == (1, 0)
        assert told in refused.err


async def test_a_flag_wins_over_the_profile(tmp_path: Path) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", "order_id\n100200301\n")
        sent = await at.desk.run(
            "send", "orders.csv", "--profile", "bank", "--base-url", at.shop.base_url,
            "--api-key-file", "shop.key",
        )  # fmt: skip
        assert sent.code == 0, sent.err
        assert at.shop.books.bodies == {"100200301": [{"locale": "de"}]}, (
            "the rest is the profile's"
        )
        unknown = await at.desk.run("send", "orders.csv", "--profile", "nobody")
        assert unknown.code == 2
        assert "no profile 'nobody'; the profiles are bank, shop" in unknown.err


ORDERS = range(100_200_301, 100_200_313)
NARROW = Window(5, 1.0)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("q.example,admin@q.example,", id="the same"),
        pytest.param(",,yes", id="all domains"),
    ],
)
@pytest.mark.parametrize("own", [(), ("--profile", "bank")], ids=["no own key", "own key"])
async def test_an_order_that_a_row_of_an_unknown_account_names_too_is_sent_for_no_other(
    tmp_path: Path, own: Sequence[str], asked: str
) -> None:
    """Whosever it is, that row may be the narrower one; and check says what send does."""
    async with town(tmp_path) as at:
        rows = f"shopp,1,q.example,admin@q.example,\nshop,1,{asked}\nshop,2,,,yes\n"
        at.desk.write("orders.csv", f"account,order_id,domain,email,all_domains\n{rows}")
        checked = await at.desk.run("check", "orders.csv")
        sent = await at.desk.run("send", "orders.csv", *own, "--max-rejected", "100%")
        for told in (checked.out, sent.err):
            assert "line 2: no profile describes the account 'shopp'; the profiles are" in told
            other = "and on line 2 of orders.csv for no known account: keep one of the two"
            assert f"line 3: order 1 is here for the account 'shop', {other}" in told
        assert (at.shop.books.mails, at.bank.books.requests) == (1, 0)


@asynccontextmanager
async def with_two_names(folder: Path) -> AsyncIterator[Town]:
    """Open a town whose shop has a second profile, which tells of wider windows."""
    async with town(folder, (NARROW,)) as at:
        config = folder / "config.toml"
        config.write_text(
            f'{config.read_text()}\n[profiles.stall]\napi-key-file = "shop.key"\n'
            f'base-url = "{at.shop.base_url}"\nlimit = "100/1s"\n'
        )
        for number in ORDERS:
            at.shop.world.add(WorldOrder(number))
        rows = [f"{number},{('shop', 'stall')[number % 2]}\n" for number in ORDERS]
        at.desk.write("orders.csv", "order_id,account\n" + "".join(rows))
        yield at


def assert_windows_were_kept(at: Town) -> None:
    (window,) = at.shop.books.windows
    assert (window.refused, window.peak) == (0, NARROW.limit)


async def test_what_both_ask_before_sending_counts_in_one_window(tmp_path: Path) -> None:
    async with with_two_names(tmp_path) as at:
        sent = await at.desk.run("send", "orders.csv", "--profile", "bank", "--preflight")
        assert sent.code == 0, sent.err
        assert (at.shop.books.reads, at.shop.books.mails) == (2 * 12, 12), "names, and products"
        assert_windows_were_kept(at)
