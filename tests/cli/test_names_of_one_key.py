"""Two profiles of one key are one account: its windows are kept by both together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batch_resend.simulator import WorldOrder
from batch_resend.windows import Window
from tests.cli.town import Town, town

ORDERS = range(1, 13)
NARROW = Window(5, 1.0)


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


async def test_what_both_ask_the_next_morning_counts_in_one_window(tmp_path: Path) -> None:
    async with with_two_names(tmp_path) as at:
        assert (await at.desk.run("send", "orders.csv", "--profile", "bank")).code == 0
        run = (await at.desk.run("runs", "--format", "csv")).out.splitlines()[1].split(",")[0]
        verified = await at.desk.run("verify", run, "--profile", "shop", "--names")
        assert verified.code == 0, verified.err
        assert at.shop.books.reads_of == {"status-changes": 1, "validation": 12}
        assert_windows_were_kept(at)
