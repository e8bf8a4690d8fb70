"""`check --out` writes what a `send` then asks of the CA; and outputs that cannot be written."""

import json
import os
import stat
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.cli.conftest import Desk, desk_with_ca
from tests.cli.test_check import MIXED, ORDERS_OF_THE_CA

# A disk that fills up just as a file is about to be complete.
FULL_DISK = """
import errno, os

def fsync(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

os.fsync = fsync
"""


def requests_in(path: Path) -> list[dict[str, Any]]:
    """Return the requests of a plan that was written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_out_has_exactly_what_the_ca_is_then_asked(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("mixed.csv", MIXED)
        desk.write("orders.json", json.dumps(ORDERS_OF_THE_CA))
        desk.write_list(300)
        lists = ("mixed.csv", "orders.json", "orders.csv")
        checked = await desk.run("check", *lists, "--out", "plan.jsonl", "--locale", "fr")
        assert checked.code == 3
        planned: dict[str, list[Any]] = defaultdict(list)
        for request in requests_in(tmp_path / "plan.jsonl"):
            assert request["method"] == "PUT"
            assert request["path"] == f"/order/certificate/{request['order_id']}/resend-emails"
            planned[request["order_id"]].append(request["body"])
        assert len(planned) == 305
        assert len(planned["108"]) == 2, "a request a language"

        sent = await desk.run("send", *lists, "--locale", "fr", "--concurrency", "1")
        assert sent.code == 3, sent.err
        assert ca.books.bodies == planned


async def test_out_is_in_the_order_of_the_list_for_its_owner_alone(desk: Desk) -> None:
    desk.write("list.csv", "order_id\n30\n10\n20\n")
    await desk.run("check", "list.csv", "--out", "plan.jsonl")
    path = desk.folder / "plan.jsonl"
    assert [request["order_id"] for request in requests_in(path)] == ["30", "10", "20"]
    assert path.stat().st_mode & 0o077 == 0


async def test_out_of_a_plan_that_has_nothing_to_send_is_empty(desk: Desk) -> None:
    desk.write("list.csv", "order_id\nx\n")
    checked = await desk.run("check", "list.csv", "--out", "plan.jsonl")
    assert checked.code == 3
    assert (desk.folder / "plan.jsonl").read_text() == ""


# --- outputs that cannot be written -----------------------------------------------------------


async def test_out_in_a_folder_that_is_not_there_is_named(desk: Desk) -> None:
    desk.write_list(3)
    checked = await desk.run("check", "orders.csv", "--out", "none/plan.jsonl")
    assert checked.code == 1
    assert checked.err == (
        "batch-resend: none/plan.jsonl: cannot be written: No such file or directory\n"
    )


async def test_out_below_a_file_is_named(desk: Desk) -> None:
    desk.write_list(3)
    checked = await desk.run("check", "orders.csv", "--out", "orders.csv/plan.jsonl")
    assert checked.code == 1
    assert "orders.csv/plan.jsonl: cannot be written: Not a directory" in checked.err


async def test_on_a_full_disk_out_is_named_and_what_was_there_stays(desk: Desk) -> None:
    desk.write_list(3)
    desk.write("plan.jsonl", "as it was")
    (desk.folder / "shim").mkdir()
    desk.write("shim/sitecustomize.py", FULL_DISK)
    checked = await desk.run("check", "orders.csv", "--out", "plan.jsonl", PYTHONPATH=_path(desk))
    assert checked.code == 1
    assert "plan.jsonl: cannot be written: No space left on device" in checked.err
    assert (desk.folder / "plan.jsonl").read_text() == "as it was"
    assert [path.name for path in desk.folder.iterdir() if path.name.startswith(".plan")] == []


def _path(desk: Desk) -> str:
    return os.pathsep.join((str(desk.folder / "shim"), desk.environment.get("PYTHONPATH", "")))


async def test_out_never_takes_the_place_of_what_is_no_file(desk: Desk) -> None:
    desk.write_list(3)
    os.mkfifo(desk.folder / "pipe")
    reading = os.open(desk.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        refused = await desk.run("check", "orders.csv", "--out", "pipe")
    finally:
        os.close(reading)
    assert (refused.code, refused.err) == (1, "batch-resend: pipe: is there, and is not a file\n")
    assert stat.S_ISFIFO((desk.folder / "pipe").stat().st_mode)


async def test_out_through_a_link_writes_what_the_link_points_to(desk: Desk) -> None:
    desk.write_list(3)
    desk.write("real.jsonl", "")
    (desk.folder / "link.jsonl").symlink_to("real.jsonl")
    await desk.run("check", "orders.csv", "--out", "link.jsonl")
    assert len(requests_in(desk.folder / "real.jsonl")) == 3


async def test_out_never_overwrites_a_list_that_was_read(desk: Desk) -> None:
    desk.write_list(3)
    before = (desk.folder / "orders.csv").read_text()
    refused = await desk.run("check", "orders.csv", "--out", "orders.csv")
    assert refused.code == 2
    assert "--out orders.csv is one of the lists" in refused.err
    assert (desk.folder / "orders.csv").read_text() == before
