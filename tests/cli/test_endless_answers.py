"""A CA whose answers have no end: the command ends all the same, and stays small."""

import asyncio
import gzip
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ended, results
from tests.cli.counting_server import Call, CountingServer, Fate, in_turn_per_order, says
from tests.cli.test_hostile_answers import desk_at

MOST_MB = 200
# Says how much memory it took: VmHWM is this program's own, which ru_maxrss is not (it has that
# of the process that forked it).
MEASURED = """
import atexit, pathlib
from batch_resend.cli import main
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: pathlib.Path("memory").write_text(status.read_text()))
main()
"""


def without_an_end(head: bytes, wave: bytes) -> Fate:
    """Answer as fast as it is read, for ever."""

    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(head)
        while not call.visit.writer.is_closing():
            await call.say(wave)
            await asyncio.sleep(0)

    return fate


def drop_by_drop(head: bytes, drop: bytes) -> Fate:
    """Answer a little every now and then, for ever."""

    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(head)
        while True:
            await asyncio.sleep(0.02)
            await call.say(drop)

    return fate


WAVE = b"x" * 65536
OK, FAILED, REFUSED = b"HTTP/1.1 204 N\r\n", b"HTTP/1.1 500 N\r\n", b"HTTP/1.1 400 N\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(100_000_000), 1)  # a hundred and more times as large as it looks
ENDLESS: dict[str, tuple[Fate, str]] = {
    "a huge header": (without_an_end(OK + b"X: ", WAVE), "sent"),
    "headers without an end": (without_an_end(OK, b"X: y\r\n" * 500), "sent"),
    "a status line without an end": (without_an_end(b"HTTP/1.1 204 ", WAVE), "in_doubt"),
    "interim answers without an end": (
        without_an_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500), "in_doubt"),
    "an error without an end": (without_an_end(FAILED + b"\r\n", WAVE), "failed"),
    "a refusal without an end": (without_an_end(REFUSED + b"\r\n", WAVE), "failed"),
    "chunks without an end": (
        without_an_end(FAILED + CHUNKED, b"10000\r\n" + WAVE + b"\r\n"), "failed"),
    "a chunk's size without an end": (without_an_end(FAILED + CHUNKED, b"0" * 65536), "failed"),
    "an acknowledgement without an end": (
        without_an_end(b"HTTP/1.1 200 N\r\n\r\n", WAVE), "sent"),
    "a bomb": (says(500, BOMB, "Content-Encoding: gzip"), "failed"),
    "a dripping status line": (drop_by_drop(b"HTTP/1.1 204 ", b"x"), "in_doubt"),
    "dripping headers": (drop_by_drop(OK, b"X: y\r\n"), "sent"),
    "a dripping error": (drop_by_drop(FAILED + b"Content-Length: 9999\r\n\r\n", b"x"), "failed"),
    "a dripping acknowledgement": (
        drop_by_drop(b"HTTP/1.1 200 N\r\nContent-Length: 9999\r\n\r\n", b"x"), "sent"),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has no /proc")
@pytest.mark.parametrize(("fate", "status"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_an_end_takes_neither_memory_nor_more_than_its_time(
    tmp_path: Path, fate: Fate, status: str
) -> None:
    async with CountingServer(in_turn_per_order({"2": [fate]})) as ca:
        desk = desk_at(tmp_path, ca, orders=3)
        words = ("send", "orders.csv", "--timeout", "0.8s")
        process = await desk.start(program=(sys.executable, "-c", MEASURED, *words))
        sent = await ended(process)
    found = {line["order_id"]: line["status"] for line in results(desk.report())}
    assert found == {"1": "sent", "2": status, "3": "sent"}
    assert sent.code == (0 if status == "sent" else 3), sent.err
    assert ca.requests == 3
    lines = (tmp_path / "memory").read_text().splitlines()
    peak_kb = int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
    assert peak_kb / 1024 < MOST_MB
    assert desk.summary()["elapsed_s"] < 5
