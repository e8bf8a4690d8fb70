"""Which event loop a command runs on. That nothing is sent twice on either: test_dropped."""

import sys

import pytest

from batch_resend.cli.lifecycle import LOOP_VARIABLE
from tests.cli.conftest import Desk, ended

NAMES_ITS_LOOP = """
import asyncio
from batch_resend.cli.lifecycle import run_interruptibly

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
