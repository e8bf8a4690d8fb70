"""A process that is stopped for longer than its timeout: what was answered meanwhile is heard."""

import asyncio
import json
import signal
import ssl
from itertools import product
from pathlib import Path

import pytest
import trustme

from batch_resend.cli.lifecycle import LOOP_VARIABLE
from batch_resend.folders import Database
from tests.certcentral.fault_server import NO_CONTENT, answer
from tests.cli.conftest import Desk, ended, results, until
from tests.cli.counting_server import Call, CountingServer
from tests.postgres import forget

TIMEOUT_S = 1.0
AT_ONCE = 8
REFUSAL = json.dumps({"errors": [{"code": "invalid_order", "message": "x" * 9_000}]}).encode()
ANSWERS = {
    "204": [NO_CONTENT],
    "400": [answer(400, REFUSAL, "Content-Type: application/json")],
    "400, byte by byte at first": [
        *(bytes([byte]) for byte in answer(400, REFUSAL)[:40]),
        answer(400, REFUSAL)[40:],
    ],
}


class HeldUp(CountingServer):
    """Answers the first request at once, and the others all together when it is told to."""

    def __init__(self, said: list[bytes], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._hold, tls=tls)
        self.said = said
        self.release = asyncio.Event()
        self.answered = 0

    async def _hold(self, call: Call) -> None:
        await call.mail()
        if self.requests > 1:
            await self.release.wait()
        for part in self.said:
            await call.say(part)
            await asyncio.sleep(0)
        self.answered += 1


async def freeze_until_late(ca: HeldUp, process: asyncio.subprocess.Process) -> None:
    """Stop the process while its requests are answered, and let it go on past its timeouts."""
    await until(lambda: ca.requests == 1 + AT_ONCE)
    process.send_signal(signal.SIGSTOP)
    ca.release.set()
    await until(lambda: ca.answered == 1 + AT_ONCE)
    await asyncio.sleep(TIMEOUT_S + 0.5)  # in which it does nothing: no event can tell
    process.send_signal(signal.SIGCONT)


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))


def desk_of(folder: Path, ca: HeldUp, loop: str) -> Desk:
    desk = Desk(folder, ca.base_url)
    desk.environment |= {"BATCH_RESEND_LIMIT": "none", LOOP_VARIABLE: loop}
    desk.write("orders.csv", "order_id\n" + "".join(f"{n}\n" for n in range(1, AT_ONCE + 2)))
    return desk


SENDING = (
    "--concurrency", str(AT_ONCE), "--timeout", f"{TIMEOUT_S:g}s", "--ca-file", "ca.pem",
)  # fmt: skip
COMMAND = ("send", "orders.csv", *SENDING)


@pytest.mark.parametrize(
    ("loop", "said", "encrypted"), [*product(["asyncio", "uvloop"], ANSWERS, [False, True])]
)
async def test_whatever_was_answered_while_it_was_stopped_rules_every_order_that_was_in_flight(
    tmp_path: Path, untrusted: ssl.SSLContext, loop: str, said: str, *, encrypted: bool
) -> None:
    async with HeldUp(ANSWERS[said], untrusted if encrypted else None) as ca:
        desk = desk_of(tmp_path, ca, loop)
        process = await desk.start(*COMMAND, "--in-doubt", "hold")
        await freeze_until_late(ca, process)
        sent = await ended(process)
    status = "sent" if said == "204" else "refused"
    assert [line["status"] for line in results(desk.report())] == [status] * (1 + AT_ONCE), sent.err
    assert ca.requests == 1 + AT_ONCE


async def test_what_is_not_answered_yet_when_it_goes_on_is_in_doubt_as_ever(tmp_path: Path) -> None:
    async with HeldUp([NO_CONTENT]) as ca:
        desk = desk_of(tmp_path, ca, "asyncio")
        process = await desk.start(*COMMAND, "--in-doubt", "hold")
        await until(lambda: ca.requests == 1 + AT_ONCE)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(TIMEOUT_S + 0.5)
        process.send_signal(signal.SIGCONT)
        held = await ended(process)
    assert held.code == 3, held.err
    assert desk.summary()["orders"]["in_doubt"] == AT_ONCE


@pytest.mark.parametrize("way", ["alone", "by a worker"])
async def test_with_a_database_an_answer_is_heard_too_and_recorded_for_all_hosts(
    tmp_path: Path, database: Database, way: str
) -> None:
    forget(database)
    async with HeldUp([NO_CONTENT]) as ca:
        desk = desk_of(tmp_path, ca, "asyncio")
        desk.environment["BATCH_RESEND_JOURNAL"] = str(database)
        if way == "alone":
            process = sender = await desk.start(*COMMAND)
        else:
            process = await desk.start("worker", "-q", *SENDING)
            sender = await desk.start(*COMMAND, "--distribute")
        await freeze_until_late(ca, process)
        sent = await ended(sender)
        again = await desk.run(*COMMAND, "--report-dir", "again")
        if way != "alone":
            process.terminate()
            await ended(process)
    assert (sent.code, again.code) == (0, 0), sent.err
    assert ca.doubles == 0
