"""Standard streams that whoever starts the program has closed: it works as if they led nowhere."""

import shlex
from itertools import product
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, Ended, assert_adds_up, desk_with_ca, ended, results

STREAMS = ("0<&-", "1>&-", "2>&-")
CLOSED = [" ".join(s for s, shut in zip(STREAMS, some, strict=True) if shut)
          for some in product((False, True), repeat=3) if any(some)]  # fmt: skip
LOOPS = ("asyncio", "uvloop")


async def run_with(desk: Desk, closed: str, *arguments: str, **environment: str) -> Ended:
    """Run a command with some of its standard streams closed."""
    line = f"exec {shlex.join(desk.command(*arguments))} {closed}"
    return await ended(await desk.start(program=["sh", "-c", line], **environment))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("closed", CLOSED)
async def test_every_order_is_sent_once_and_reported_whatever_streams_are_closed(
    tmp_path: Path, closed: str, loop: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(30)
        sent = await run_with(
            desk, closed, "send", "orders.csv", "-v", "--log-file", "resend.log",
            BATCH_RESEND_EVENT_LOOP=loop,
        )  # fmt: skip
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert_adds_up(desk.summary())
        assert {r["order_id"] for r in results(desk.report())} == set(numbers)
        assert "Traceback" not in sent.err
        assert ("30 of 30 orders sent" in sent.out) == ("1>" not in closed)
        # What was printed went to no file that took the place of a stream.
        again = await desk.run("runs", "--format", "csv")
        assert again.out.count("completed") == 1
        log = (tmp_path / "resend.log").read_text()
        assert log.count("attempt ") == 30
        assert "Plan" not in log
