"""Standard output on a disk that is full: what prints data does not pretend that it is written."""

import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, Ended, desk_with_ca, ended

pytestmark = [
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, of Linux"),
]

# The words of a command, and its exit code. Where a run has sent, the code says so.
PRINTING = [
    ("--help", 1),
    ("--version", 1),
    ("check orders.csv", 1),
    ("check --format json orders.csv", 1),
    ("check -v rejected.csv", 3),
    ("completion bash", 1),
    ("doctor", 1),
    ("export", 1),
    ("export --format jsonl", 1),
    ("help", 1),
    ("help mail-not-arriving", 1),
    ("history 700000", 1),
    ("history 700000 --format csv", 1),
    ("history 700000 --format json", 1),
    ("prune --older-than 9d", 1),
    ("report RUN", 1),
    ("runs", 1),
    ("runs --format csv", 1),
    ("runs --format json", 1),
    ("send again.csv", 3),
    ("show RUN", 1),
    ("show RUN --format json", 1),
    ("sweep --older-than 90d", 3),
    ("verify RUN", 1),
    ("verify RUN --format json", 1),
]


async def run_to(desk: Desk, streams: str, *arguments: str) -> Ended:
    """Run a command with its streams somewhere else."""
    line = f"{shlex.join(desk.command(*arguments))} {streams}"
    return await ended(await desk.start(program=["sh", "-c", line]))


@pytest.mark.parametrize(("words", "code"), PRINTING, ids=[words for words, _ in PRINTING])
async def test_a_command_whose_output_finds_no_room_fails_and_says_so(
    tmp_path: Path, words: str, code: int
) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, _):
        desk.write_list(3)
        desk.write_list(2, "again.csv", seed=2)
        desk.write("rejected.csv", "order_id\nx\n")
        if "RUN" in words or "700000" in words:
            await desk.run("send", "orders.csv")
            words = words.replace("RUN", desk.report().name)
        full = await run_to(desk, "> /dev/full", *words.split())
        # What is found out while it writes ends it at once; at its end its own code stands.
        assert full.code in {1, code}, full.err
        assert full.err.count("No space left on device") == 1
        assert "Traceback" not in full.err
        quiet = await run_to(desk, "> /dev/full 2>&1", *words.split())
        assert quiet.code != 0


@pytest.mark.parametrize("words", ["runs", "check orders.csv", "send orders.csv"])
async def test_a_reader_that_has_left_and_no_terminal_change_no_exit_code(
    tmp_path: Path, words: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        left = await run_to(desk, "| true", *words.split())
        assert left.code == 0
        piped = f"{{ {shlex.join(desk.command(*words.split()))}; echo code $? >&2; }} | sleep 0"
        told = await ended(await desk.start(program=["sh", "-c", piped]))
        assert "code 0" in told.err or "code 141" in told.err
