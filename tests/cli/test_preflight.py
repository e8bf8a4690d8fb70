"""`--preflight`: the CA is asked about each order before its mails, so that fewer are in vain."""

from pathlib import Path

from batch_resend.simulator import Simulator, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import Desk, desk_with_ca, read_summary, results
from tests.cli.screen import on_screen


def fill(desk: Desk, ca: Simulator) -> None:
    """Let orders be in every state, and list them all, with one that the CA does not have."""
    ca.world.add(WorldOrder(1))
    ca.world.add(WorldOrder(2, status="issued"))
    ca.world.add(WorldOrder(3, dcv_method="dns-txt-token"))
    ca.world.add(WorldOrder(4, product="ssl_basic"))
    ca.world.add(WorldOrder(5, status="reissue_pending"))
    desk.write("orders.csv", "order_id\n1\n2\n3\n4\n5\n6\n")


async def test_what_waits_for_no_mail_is_skipped_with_the_cas_reason_and_the_rest_is_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"6"})) as (desk, ca):
        fill(desk, ca)
        sent = await desk.run("send", "orders.csv", "--preflight")
        assert sent.code == 3, "the sixth is refused"
        assert ca.books.mails_per_order == {"1": 1, "5": 1}
        assert ca.books.reads_of == {"validation": 6, "order": 4}, (
            "each, and where that leaves it open, its product"
        )
        told = {line["order_id"]: (line["status"], line["error_message"]) for line in
                results(desk.report())}  # fmt: skip
    assert told["2"] == ("skipped", "its status is issued, not pending")
    assert told["3"] == ("skipped", "its domains are validated by 'dns-txt-token', not by e-mail")
    assert told["4"][0] == "skipped"
    assert "is not DV" in told["4"][1]
    assert told["6"] == ("refused", "The specified order was not found.")
    assert "Asking the CA about 6 requests\n" in sent.err
    assert "  skipped   1, says the CA: its status is issued, not pending\n" in sent.err
    assert "within the cooldown" not in sent.err


async def test_what_is_asked_counts_in_the_windows_with_what_is_sent(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(4, 1.0),)) as (desk, ca):
        fill(desk, ca)
        await desk.run("send", "orders.csv", "--preflight")
        assert (ca.books.reads, ca.books.mails) == (6 + 4, 3), (
            "and the sixth, of which only the call itself tells"
        )
        assert all(log.refused == 0 for log in ca.books.windows)


async def test_a_run_that_was_declined_asks_anew_when_it_goes_on(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(desk, ca)
        async with on_screen(desk, "send", "orders.csv", "--preflight") as screen:
            await screen.shows(lambda s: "Send 3 requests to 127.0.0.1 now?" in s.text)
            ca.world.orders[1].status = "issued"
            screen.type(b"n\n")
            assert await screen.ended() == 1
        sent = await desk.run("send", "orders.csv", "--preflight", "--report-dir", "later")
        assert sent.code == 0
        assert set(ca.books.mails_per_order) == {"5", "6"}
        assert read_summary(tmp_path / "later")["orders"]["skipped"] == 4
