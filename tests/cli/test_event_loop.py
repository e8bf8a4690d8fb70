"""On uvloop, where it is installed: the same program, whose promises hold as well."""

import sys
from pathlib import Path

import pytest

from batch_resend.cli.interruption import LOOP_VARIABLE
from tests.cli.conftest import Desk, ended, results
from tests.cli.test_dropped import DroppingCa

pytestmark = pytest.mark.asyncio

NAMES_ITS_LOOP = """
import asyncio
from batch_resend.cli.interruption import run_interruptibly

async def named(_):
    return type(asyncio.get_running_loop()).__module__

print(run_interruptibly(named))
"""


@pytest.mark.parametrize(
    ("told", "loop"), [("", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
async def test_a_command_runs_on_uvloop_where_it_is_installed_unless_told_otherwise(
    desk: Desk, told: str, loop: str
) -> None:
    program = (sys.executable, "-c", NAMES_ITS_LOOP)
    run = await ended(await desk.start(program=program, **{LOOP_VARIABLE: told}))
    assert (run.code, run.out.partition(".")[0].strip()) == (0, loop)


async def test_a_loop_that_is_none_is_refused_before_anything_is_read(desk: Desk) -> None:
    run = await desk.run("send", "no-such-list.csv", BATCH_RESEND_EVENT_LOOP="trio")
    assert run.code == 1
    assert run.err == f"batch-resend: {LOOP_VARIABLE}: 'trio' is neither asyncio nor uvloop\n"


async def test_a_connection_that_drops_is_in_doubt_and_not_sent_twice_on_uvloop_too(
    tmp_path: Path,
) -> None:
    ca = DroppingCa()
    async with ca.open():
        desk = Desk(tmp_path, f"http://127.0.0.1:{ca.port}/services/v2")
        numbers = desk.write_list(200)
        run = await desk.run(
            "send", "orders.csv", "--limit", "none", "--in-doubt", "hold",
            BATCH_RESEND_EVENT_LOOP="uvloop",
        )  # fmt: skip
    assert run.code == 3
    assert ca.mails == dict.fromkeys(numbers, 1)
    doubted = {line["order_id"] for line in results(desk.report()) if line["status"] == "in_doubt"}
    assert doubted == ca.dropped.keys()
    assert doubted
