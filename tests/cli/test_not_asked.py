"""What no row plainly asks for reaches no CA, counted there."""

from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca

pytestmark = pytest.mark.asyncio

LISTS = {
    "no in the column for all": ("order_id,all_domains\n100200301,yes\n100200302,no\n", 1),
    "row numbers in an inventory": ("id,common_name,status\n1,a.example,pending\n", 0),
    "another shop's orders": ('{"orders":[{"id":1,"status":"pending"},{"id":2}]}', 0),
    "subtotals": ("order_id,x\n100200301,a\n1,a Count\n1,Grand Count\n", 1),
    "a number broken in two": (
        "order_id\n100200301\n100200\n302\n100200303\n100200304\n100200305\n", 4,
    ),
    "rows not to be sent": ("order_id,send?\n100200301,yes\n100200302,no\n", 0),
    "a row commented out": ("order_id\n100200301\n#100200302\n", 1),
    "a remark in an export": (
        "order id,common name,status,remark\n100200301,a.example,pending,only www\n", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "asked"), LISTS.values(), ids=LISTS)
async def test_the_ca_gets_what_rows_ask_for_and_nothing_else(
    tmp_path: Path, content: str, asked: int
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("list", content)
        sent = await desk.run("send", "list", "--max-rejected", "100%")
        assert sent.code != 0
        assert len(ca.books.bodies) == asked
        assert asked == 0 or "100200301" in ca.books.bodies


async def test_a_rejected_csv_sent_as_it_is_mails_nobody(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("list.csv", "order_id,x\n100200301,a\n100200302,a\n3,Total\n100200303,b,c\n1002")
        sent = await desk.run("send", "list.csv", "--max-rejected", "100%")
        assert sent.code == 3, sent.err
        mailed = dict(ca.books.bodies)
        assert set(mailed) == {"100200301", "100200302"}
        rejected = str(desk.report() / "rejected.csv")
        again = await desk.run("send", rejected, "--max-rejected", "100%")
        assert again.code == 3, again.err
        assert ca.books.bodies == mailed
