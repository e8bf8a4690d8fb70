"""What the tests of crashes, full disks and signals share."""

import json
import os
import shutil
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from tests.cli.conftest import Desk, until

LONG_LIST_ROWS = 4_000


async def everything_acted_on(ca: Simulator) -> None:
    """Wait until the CA has acted on what it received, though nobody listens any more."""
    await until(lambda: ca.books.answers.total() == ca.books.requests)


async def run_ids(desk: Desk) -> list[str]:
    """Return the names of the runs that the journal knows."""
    told = (await desk.run("runs", "--format", "json")).out
    return [run["run"] for run in json.loads(told)]


def write_long_list(desk: Desk, rows: int = LONG_LIST_ROWS) -> list[str]:
    """Write a list of many rows that ask for ten requests: a report of it takes its time."""
    numbers = [str(number) for number in range(100_200_301, 100_200_311)]
    desk.write("orders.csv", "order_id\n" + "\n".join(numbers * (rows // 10)) + "\n")
    return numbers


def has_draft(report: Path, name: str, pid: int) -> bool:
    """Whether a process is writing a file of a report, before that takes its place."""
    return any(report.glob(f".{name}.{pid}.*"))


def without_the_right_to_write_everywhere(command: list[str]) -> list[str]:
    """Return a command for which permission bits count, though root runs it. Skips if need be."""
    if os.geteuid() != 0:
        return command
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv, for root is kept out by no permission bits")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
