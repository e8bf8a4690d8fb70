"""Asking the CA about many orders: within the limits, cut off, begun again, seen on a terminal."""

import json
import re
import signal
from pathlib import Path

from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import ended, results, until
from tests.cli.raw_service import (
    NO_SUCH_CALL,
    Asked,
    RawService,
    accept_all,
    as_json,
    desk_at,
    order_of,
)
from tests.cli.screen import on_screen
from tests.cli.test_service_reads import lists, pending, validation


def each_by_itself(asked: Asked, status: str = "issued") -> bytes:
    """Answer for any order by its own call, and acknowledge; have none of the other calls."""
    if asked.method == "PUT":
        return NO_CONTENT
    parts = asked.path.split("/")
    if len(parts) == 4 and parts[3].isdigit():
        return as_json(pending(int(parts[3]), dcv_method="email", status=status))
    return NO_SUCH_CALL


def with_names(asked: Asked) -> bytes:
    """Answer as `each_by_itself`, and which names of an order wait: of every third, none."""
    if not asked.path.endswith("/validation"):
        return each_by_itself(asked, "pending")
    approved = int(order_of(asked.path)) % 3 == 0
    return validation(("a.example", "approved" if approved else "unapproved"))


async def test_what_the_preflight_learned_before_ctrl_c_holds_when_the_list_is_sent_again(
    tmp_path: Path,
) -> None:
    async with RawService(with_names, lambda asked: 0.02) as service:
        desk = desk_at(tmp_path, service, 90)
        cut_off = await desk.start("send", "orders.csv", "--preflight", "--concurrency", "2")
        await until(lambda: service.requests >= 60)
        cut_off.send_signal(signal.SIGINT)
        assert (await ended(cut_off)).code == 130
        assert service.paths("PUT") == []
        asked = {order_of(path) for path in service.paths("GET") if path.endswith("/validation")}
        approved = {number for number in asked if int(number) % 3 == 0}
        assert len(approved) >= 10
        service.answer_to = accept_all
        sent = await desk.run("send", "orders.csv", "--report-dir", "again")
        assert sent.code == 0, sent.err
        mailed = {order_of(path) for path in service.paths("PUT")}
        in_flight = 2
        assert len(approved & mailed) <= in_flight
        skipped = {r["order_id"] for r in results(tmp_path / "again") if r["status"] == "skipped"}
        assert skipped <= approved


async def test_what_an_export_has_read_before_ctrl_c_is_kept_as_a_part(tmp_path: Path) -> None:
    listed = lists(*(pending(n) for n in range(1, 91)))
    async with RawService(listed, lambda asked: 0.5) as service:
        desk = desk_at(tmp_path, service)
        cut_off = await desk.start("export", "--details", "--out", "pending.csv")
        await until(lambda: service.requests >= 44)
        cut_off.send_signal(signal.SIGINT)
        stopped = await ended(cut_off)
        assert stopped.code == 130
        assert not (tmp_path / "pending.csv").exists()
        lines = (tmp_path / "pending.csv.partial").read_text().splitlines()
        assert lines[0].startswith("order_id,")
        assert 1 < len(lines) <= 91
        assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(1, len(lines))]
        assert f"the first {len(lines) - 1} orders are in pending.csv.partial" in stopped.err


async def test_what_verify_learned_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    async with RawService(accept_all, lambda asked: 0.5 * (asked.method == "GET")) as service:
        desk = desk_at(tmp_path, service, 90)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        cut_off = await desk.start("verify", desk.report().name)
        await until(lambda: service.requests >= 90 + 10)
        cut_off.send_signal(signal.SIGINT)
        assert (await ended(cut_off)).code == 130
        await desk.run("report", desk.report().name)
        page = (desk.report() / "report.html").read_text()
        found = re.search("Asked of the CA .*: of ([0-9]+) orders sent", page)
        kept = int(found[1]) if found else 0
        assert 8 <= kept < 90
        assert f"of {kept} orders sent {kept} are issued" in page


async def test_a_person_sees_how_far_the_asking_is_how_fast_and_how_long_still(
    tmp_path: Path,
) -> None:
    listed = lists(*(pending(n) for n in range(1, 61)))
    async with RawService(listed, lambda asked: 0.15) as service:
        desk = desk_at(tmp_path, service)
        words = ("sweep", "--concurrency", "2", "--yes")
        async with on_screen(desk, *words) as screen:
            lines = await screen.shows(
                lambda s: (
                    any("asking" in line and "of 60 orders" in line for line in s.lines)
                    and " left" in s.text
                )
            )
            text = "\n".join(lines)
            assert "/s now" in text
            assert " left" in text
            assert "allowed: no limit" in text
            assert " sent ·" not in text, "nothing is sent yet"
            assert await screen.ended() == 0


async def test_elsewhere_nothing_is_drawn_and_json_stays_json(tmp_path: Path) -> None:
    async with RawService(accept_all) as service:
        desk = desk_at(tmp_path, service, 30)
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        found = await desk.run("verify", desk.report().name, "--format", "json")
        assert "asking" not in found.err
        assert json.loads(found.out)["statuses"] == {"issued": 30}
