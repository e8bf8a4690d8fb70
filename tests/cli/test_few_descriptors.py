"""A process that may have few files open: fewer requests are in flight, and no order fails."""

import asyncio
import resource
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, ended, until
from tests.cli.counting_server import Call, CountingServer, accepts_and_closes

pytestmark = [
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit(2), of Linux"),
]


def limited(desk: Desk, limit: str, *arguments: str) -> list[str]:
    """Return a program that runs a command within `ulimit`s."""
    return ["sh", "-c", f"ulimit {limit}; exec {shlex.join(desk.command(*arguments))}"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("limit", ["-n 40", "-n 32"])
async def test_with_few_files_every_order_is_sent_at_its_first_attempt_without_a_pause(
    tmp_path: Path, limit: str, loop: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        numbers = desk.write_list(200)
        program = limited(desk, limit, "send", "orders.csv", "--log-file", "resend.log")
        sent = await ended(await desk.start(program=program, BATCH_RESEND_EVENT_LOOP=loop))
        assert sent.code == 0, sent.err
        assert ca.books.requests_per_order == dict.fromkeys(numbers, 1)
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["requests"]["retries"] == summary["back_pressure"]["pauses"] == 0
        assert "requests are in flight, in place of 32: this process may have" in sent.err


async def test_a_soft_limit_is_raised_as_far_as_the_hard_one_allows(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        desk.write_list(200)
        program = limited(desk, "-S -n 40", "send", "orders.csv", "--concurrency", "100")
        sent = await ended(await desk.start(program=program))
        assert (sent.code, ca.books.requests) == (0, 200)
        assert "in flight, in place of" not in sent.err


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_files_that_run_out_meanwhile_cost_no_order_an_attempt(
    tmp_path: Path, loop: str
) -> None:
    in_flight = 0

    async def fate(call: Call) -> None:
        nonlocal in_flight
        in_flight += 1
        await asyncio.sleep(0.05)  # as long as an answer takes, for many to be in flight
        in_flight -= 1
        await accepts_and_closes(call)  # each request needs a new connection

    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, f"http://127.0.0.1:{ca.port}/services/v2")
        numbers = desk.write_list(400)
        process = await desk.start(
            "send", "orders.csv", "--limit", "none", BATCH_RESEND_EVENT_LOOP=loop
        )
        await until(lambda: in_flight >= 24)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (34, 4_096))
        sent = await ended(process)
        assert sent.code == 0, sent.err
        assert ca.mails_of == dict.fromkeys(numbers, 1)
        summary = desk.summary()
        assert summary["requests"]["retries"] == summary["back_pressure"]["pauses"] == 0
        assert "no file descriptor is left for a connection" in sent.err
