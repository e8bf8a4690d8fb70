"""A process that holds the journal is killed: the next one knows what it was about."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batch_resend.folders import Place
from batch_resend.journal import read_journal
from batch_resend.model import RunState
from tests.journal.conftest import NOON, Clock, opened, orders, pending, plan, statuses

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[2]
HOLDER = """
import asyncio, sys
from batch_resend.folders import parse_place
from tests.journal.conftest import Clock, opened, orders, plan, send

async def hold():
    clock = Clock()
    async with opened(parse_place(sys.argv[1]), clock) as journal:
        run = await plan(journal, orders(1, 2, 3))
        await send(journal, clock, run, {"1": "204", "2": "cut"})
        print("holding", flush=True)
        sys.stdin.read()

asyncio.run(hold())
"""


@asynccontextmanager
async def holder(place: Place) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that has sent one order, has one in flight, and holds the journal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(place),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"holding\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_run_that_another_process_has_in_hand_may_be_watched(place: Place) -> None:
    async with holder(place) as process, read_journal(place) as reader:
        (run,) = await reader.runs()
        assert f"process {process.pid}" in (await reader.holder(run) or "")
        assert run.state is RunState.RUNNING
        assert await statuses(reader, run) == {
            "1": "sent", "2": "in_doubt", "3": "not_attempted",
        }  # fmt: skip


async def test_after_a_kill_the_journal_is_free_and_knows_what_was_sent(place: Place) -> None:
    async with holder(place) as process:
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    clock = Clock(NOON + 600)
    async with opened(place, clock) as journal:
        (run,) = await journal.reader.runs()
        assert (run.state, run.finished_at) == (RunState.INTERRUPTED, NOON + 1)
        left = await pending(journal.reader, run)
        assert [(p.request.subject, p.attempts, p.doubts) for p in left] == [
            ("2", 1, 1),
            ("3", 0, 0),
        ]
        assert await journal.reader.recent_ends(run.base_url, NOON, clock) == [NOON + 1, NOON + 600]
        assert (await plan(journal, orders(3, 2, 1))).id == run.id
