"""Standard streams and log files that are closed, full, unread, or read slowly."""

import asyncio
import fcntl
import json
import os
import shlex
import signal
import struct
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from tests.cli.conftest import KEY, Desk, Ended, assert_adds_up, desk_with_ca, ended, results, until

CLOSED = ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, of Linux")


async def run_to(desk: Desk, streams: str, *arguments: str, **environment: str) -> Ended:
    """Run a command with its streams somewhere else, or closed."""
    line = f"{shlex.join(desk.command(*arguments))} {streams}"
    return await ended(await desk.start(program=["sh", "-c", line], **environment))


@pytest.mark.parametrize(("closed", "loop"), [*zip(CLOSED, cycle(("asyncio", "uvloop")))])
async def test_every_order_is_sent_once_and_reported_whatever_streams_are_closed(
    tmp_path: Path, closed: str, loop: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(30)
        sent = await run_to(
            desk, closed, "send", "orders.csv", "-v", "--log-file", "resend.log",
            "--log-level", "debug", BATCH_RESEND_EVENT_LOOP=loop,
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


# The words of a command, and its exit code. Where a run has sent, the code says so.
PRINTING = [
    ("--help", 1),
    ("check orders.csv", 1),
    ("check --json orders.csv", 1),
    ("check -v rejected.csv", 3),
    ("completion bash", 1),
    ("doctor", 1),
    ("export", 1),
    ("export --format jsonl", 1),
    ("help mail-not-arriving", 1),
    ("history 700000", 1),
    ("prune --older-than 9d", 1),
    ("report RUN", 1),
    ("runs --format csv", 1),
    ("send again.csv", 3),
    ("show RUN --json", 1),
    ("sweep --older-than 90d", 3),
    ("verify RUN", 1),
]


def write_to(path: str, *streams: int) -> None:
    """Have standard streams write somewhere else."""
    for stream in streams:
        os.dup2(os.open(path, os.O_WRONLY), stream)


@needs_full
@pytest.mark.parametrize(("words", "code"), PRINTING, ids=[words for words, _ in PRINTING])
async def test_a_command_whose_output_finds_no_room_fails_and_says_so(
    tmp_path: Path, words: str, code: int
) -> None:
    async with desk_with_ca(tmp_path, orders=5) as (desk, _):
        desk.write_list(3)
        desk.write_list(2, "again.csv", seed=2)
        desk.write("rejected.csv", "order_id\nx\n")
        if "RUN" in words or "700000" in words:
            await desk.run("send", "orders.csv", "--all-domains")
            words = words.replace("RUN", desk.report().name)
        output = partial(write_to, "/dev/full", 1)
        full = await ended(await desk.start_after(output, *words.split()))
        # What is found out while it writes ends it at once; at its end its own code stands.
        assert full.code in {1, code}, full.err
        assert full.err.count("No space left on device") == 1
        assert "Traceback" not in full.err
        if words == "send again.csv":
            run = desk.summary()["run_id"]
            assert full.err.endswith(
                f"\nRun {run}: Rehearsal, nobody was mailed: 2 of 2 orders sent. Its report is in "
                f"reports/{run}\n"
            )


@needs_full
async def test_a_command_that_cannot_even_say_so_fails_all_the_same(desk: Desk) -> None:
    desk.write_list(3)
    output = partial(write_to, "/dev/full", 1, 2)
    quiet = await ended(await desk.start_after(output, "check", "orders.csv"))
    assert quiet.code == 1


@pytest.mark.parametrize("words", ["runs", "send orders.csv"])
async def test_a_reader_that_has_left_and_no_terminal_change_no_exit_code(
    tmp_path: Path, words: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        piped = f"{{ {shlex.join(desk.command(*words.split()))}; echo code $? >&2; }} | sleep 0"
        told = await ended(await desk.start(program=["sh", "-c", piped]))
        assert told.err.splitlines()[-1] in ("code 0", "code 141")


# --- unread, or read slowly -----------------------------------------------------------------------

LONG_S = 60.0  # for a run that takes some seconds: what hangs takes for ever


@contextmanager
def held(opened: Callable[[], tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Open a pipe or a terminal that nobody reads, unless a test does: both its ends."""
    ours, theirs = opened()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


@asynccontextmanager
async def started(
    desk: Desk, *arguments: str, stdout: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.DEVNULL, loop: str = "",
) -> AsyncIterator[asyncio.subprocess.Process]:  # fmt: skip
    """Run `batch-resend` with these descriptors as its streams; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        *desk.command(*arguments),
        cwd=desk.folder,
        env=desk.environment | ({"BATCH_RESEND_EVENT_LOOP": loop} if loop else {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def code_of(process: asyncio.subprocess.Process) -> int:
    return await asyncio.wait_for(process.wait(), LONG_S)


async def read_slowly(descriptor: int, take: int, rest_s: float) -> bytes:
    """Read to the end, a little at a time."""
    taken = b""
    os.set_blocking(descriptor, False)
    while True:
        try:
            part = os.read(descriptor, take)
        except BlockingIOError:
            part = None
        if part == b"":
            return taken
        taken += part or b""
        await asyncio.sleep(rest_s)  # the reader is what is slow here


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unread", "loop"),
    [("stderr", "asyncio"), ("both", "uvloop"), ("log file", "asyncio"), ("terminal", "uvloop")],
)
async def test_what_nobody_reads_holds_up_no_order_and_how_much_is_missing_is_said(
    tmp_path: Path, unread: str, loop: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(2_000)
        os.mkfifo(tmp_path / "fifo")
        fifo = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        words = ["send", "orders.csv", "--yes", "--concurrency", "16"]
        words += ["--log-file", "fifo", "--log-level", "debug"] if unread == "log file" else ["-v"]
        with (
            held(os.openpty if unread == "terminal" else os.pipe) as (_, theirs),
            (tmp_path / "out").open("wb") as file,
        ):
            read = file.fileno()
            streams = {"stderr": {"stderr": theirs, "stdout": read},
                       "terminal": {"stderr": theirs, "stdout": read},
                       "both": {"stderr": theirs, "stdout": theirs},
                       "log file": {"stderr": read, "stdout": read}}[unread]  # fmt: skip
            async with started(desk, *words, **streams, loop=loop) as process:
                assert await code_of(process) == 0
        os.close(fifo)
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert_adds_up(desk.summary())
        if unread != "both":
            said = (tmp_path / "out").read_text()
            assert "2,000 of 2,000 orders sent" in said
            assert "were not written: nobody read" in said


@pytest.mark.parametrize(("by", "loop"), [(signal.SIGTERM, "asyncio"), (signal.SIGHUP, "uvloop")])
async def test_a_signal_ends_a_run_in_good_order_although_nobody_reads_what_it_says(
    tmp_path: Path, loop: str, by: signal.Signals
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        desk.write_list(5_000)
        words = ("send", "orders.csv", "-v", "--concurrency", "16")
        with held(os.pipe) as (_, theirs):
            async with started(desk, *words, stdout=theirs, stderr=theirs, loop=loop) as process:
                await until(lambda: ca.books.mails >= 600)  # the pipe has long been full
                process.send_signal(by)
                assert await code_of(process) == 128 + by
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["stop_reason"] == f"interrupted by {by.name}"
        assert summary["orders"]["sent"] == ca.books.mails == ca.books.requests < 5_000


async def test_the_last_word_of_a_run_reaches_a_reader_that_is_slow(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, api_key=KEY, revoke_after=600) as (desk, ca):
        desk.write_list(800)
        with held(os.pipe) as (ours, theirs):
            async with started(
                desk, "send", "orders.csv", "-v", stdout=theirs, stderr=theirs
            ) as process:
                os.close(theirs)
                said = (await read_slowly(ours, 2_048, 0.03)).decode()
                assert await code_of(process) == 4
            os.dup2(ours, theirs)
        assert "batch-resend: stopped: the CA refused the API key" in said
        assert f"{ca.books.mails} of 800 orders sent" in said
        assert "batch-resend resume" in said.splitlines()[-1]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_terminal_that_has_gone_ends_no_run_for_which_that_is_no_signal(
    tmp_path: Path, loop: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        numbers = desk.write_list(200)
        ours, theirs = os.openpty()
        words = ("send", "orders.csv", "-v", "--yes", "--concurrency", "8")
        async with started(desk, *words, stdout=theirs, stderr=theirs, loop=loop) as process:
            os.close(theirs)
            await until(lambda: ca.books.mails >= 40)
            os.close(ours)  # from now on each write is an error (EIO)
            assert await code_of(process) == 0
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert_adds_up(desk.summary())


# --- data ----------------------------------------------------------------------------------------


async def test_an_export_that_is_read_slowly_loses_no_line(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, orders=6_000) as (desk, _):
        with held(os.pipe) as (ours, theirs):
            async with started(desk, "export", "--format", "jsonl", stdout=theirs) as process:
                os.close(theirs)
                await asyncio.sleep(2)  # nothing is read while the CA's answers come
                lines = (await read_slowly(ours, 65_536, 0.01)).decode().splitlines()
                assert await code_of(process) == 0
            os.dup2(ours, theirs)
        assert len(lines) == 6_000
        assert len({json.loads(line)["order_id"] for line in lines}) == 6_000


@pytest.mark.parametrize(
    ("words", "loop"), [(("export",), "uvloop"), (("check", "orders.csv", "-v"), "asyncio")]
)
async def test_a_signal_ends_a_command_whose_data_nobody_reads(
    tmp_path: Path, words: tuple[str, ...], loop: str
) -> None:
    async with desk_with_ca(tmp_path, orders=6_000) as (desk, _):
        desk.write("orders.csv", "order_id\n" + "x\n" * 6_000)
        with held(os.pipe) as (ours, theirs):
            async with started(desk, *words, stdout=theirs, loop=loop) as process:
                os.set_blocking(ours, False)
                await until(lambda: peeked(theirs) >= 30_000)
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                assert await code_of(process) in (143, -15)
                assert time.monotonic() - began < 20


def peeked(descriptor: int) -> int:
    """Return how many bytes a pipe holds that nobody has read."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0])
