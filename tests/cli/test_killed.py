"""Killed or frozen at any moment: counted at the server, nothing is lost or repeated."""

import asyncio
import json
import random
import re
import shlex
import shutil
import signal
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
import trustme

from batch_resend.cli.lifecycle import LOOP_VARIABLE
from batch_resend.folders import Database
from batch_resend.simulator import FaultName, Simulator
from tests.certcentral.fault_server import NO_CONTENT, answer
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    has_draft,
    orders_of,
    read_summary,
    results,
    run_ids,
    until,
    write_long_list,
)
from tests.cli.counting_server import Call, CountingServer
from tests.cli.forked import nothing
from tests.postgres import forget

Moment = Callable[[asyncio.subprocess.Process], Awaitable[None]]


async def killed(
    desk: Desk, moment: Moment, *arguments: str, meddling: Callable[[], object] = nothing
) -> Ended:
    """Start to send, and kill the process when the moment has come, if it lives so long."""
    process = await desk.start_after(meddling, "send", "orders.csv", *arguments)
    emptied = asyncio.create_task(ended(process))  # a full pipe would hold the process up
    await moment(process)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    return await emptied


def at_request(ca: Simulator, number: int) -> Moment:
    """Return the moment in which the CA has seen so many requests."""

    async def moment(process: asyncio.subprocess.Process) -> None:
        await until(lambda: ca.books.requests >= number or process.returncode is not None)

    return moment


def after_start(milliseconds: float) -> Moment:
    """Return a moment of the program's own start: the settings, the list."""

    async def moment(process: asyncio.subprocess.Process) -> None:
        await asyncio.wait([asyncio.create_task(process.wait())], timeout=milliseconds / 1000)

    return moment


def after_opening(desk: Desk, milliseconds: float) -> Moment:
    """Return a moment from the opening of the journal on: planning, and the first requests."""
    holder = desk.folder / "journal.db.holder"

    def is_open_by(pid: int) -> bool:
        with suppress(FileNotFoundError):  # between what the process before it left, and its own
            return f"process {pid}," in holder.read_text()
        return False

    async def moment(process: asyncio.subprocess.Process) -> None:
        await until(lambda: is_open_by(process.pid) or process.returncode is not None)
        await after_start(milliseconds)(process)

    return moment


def acknowledged(desk: Desk) -> set[str]:
    """Return the orders that the journal has as sent; from a copy, so that it stays as it was."""
    copies = desk.folder / "copies"
    copies.mkdir(exist_ok=True)
    for ending in ("", "-wal"):
        path = desk.folder / f"journal.db{ending}"
        (copies / path.name).unlink(missing_ok=True)
        if path.exists():
            shutil.copy(path, copies)
    with closing(sqlite3.connect(copies / "journal.db")) as copy:
        if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcomes'").fetchall():
            return set()
        found = copy.execute(
            "SELECT order_id FROM requests JOIN outcomes ON (outcomes.run, outcomes.request) = "
            "(requests.run, requests.number) WHERE outcomes.status = 'sent'"
        )
        return {order for (order,) in found}


def many_moments(desk: Desk, ca: Simulator, seed: int) -> list[Callable[[], Moment]]:
    """Return when to kill: some moments of every part of a run, in an order of chance."""
    chance = random.Random(seed)
    at_starts = [chance.uniform(0, 400)]
    at_openings = [chance.uniform(0, 120) for _ in range(2)]
    mid_way = [chance.randint(1, 4) for _ in range(3)]
    moments: list[Callable[[], Moment]] = [
        *(lambda ms=ms: after_start(ms) for ms in at_starts),
        *(lambda ms=ms: after_opening(desk, ms) for ms in at_openings),
        *(lambda n=n: at_request(ca, ca.books.requests + n) for n in mid_way),
    ]
    chance.shuffle(moments)
    return moments


async def test_however_often_it_is_killed_the_same_command_ends_with_every_order_accounted_for(
    tmp_path: Path,
) -> None:
    """Once with a real kernel; `tests/worlds` kills at every step, by either policy."""
    command = ("--in-doubt", "hold", "--concurrency", "2", "--report-dir", "report")
    asked_when_acknowledged: dict[str, int] = {}
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.1)) as (desk, ca):
        numbers = desk.write_list(40)
        for moment in many_moments(desk, ca, seed=7):
            cut_off = await killed(desk, moment(), *command)
            assert cut_off.code == -signal.SIGKILL, cut_off.err
            assert not [*(tmp_path / "report").glob("*")]
            for order in acknowledged(desk):
                asked = ca.books.requests_per_order[order]
                assert asked_when_acknowledged.setdefault(order, asked) == asked
        await everything_acted_on(ca)
        assert asked_when_acknowledged
        assert len(ca.books.requests_per_order) < 40
        (known,) = await run_ids(desk)

        last = await desk.run("send", "orders.csv", *command)

        report = tmp_path / "report"
        summary = read_summary(report)
        assert_adds_up(summary)
        assert (summary["run_id"], summary["state"]) == (known, "completed")
        assert summary["orders"]["not_attempted"] == 0
        in_doubt = orders_of(report, "in_doubt")
        assert orders_of(report, "sent") | in_doubt == set(numbers)
        assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
        assert set(ca.books.requests_per_order.values()) == {1}
        assert not any(r["possible_duplicate"] for r in results(report))
        for order, asked in asked_when_acknowledged.items():
            assert ca.books.requests_per_order[order] == asked
        assert last.code == (3 if in_doubt else 0), last.err


ROWS = 40  # a file of a report is held up until the kill, however short it is


async def test_a_kill_while_the_report_is_written_leaves_the_older_one_whole_and_sends_nothing(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report"
    command = ("--report-dir", "report")
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = write_long_list(desk, ROWS)
        for name in ("results.jsonl", "results.csv", "unsent.csv"):
            before = (report / "summary.json").read_bytes() if report.exists() else b""
            cut_off = await killed_while_written(desk, report, name)
            assert cut_off.code == -signal.SIGKILL, cut_off.err
            if not before:  # a summary says that all others are there
                assert not (report / "summary.json").exists()
                assert (await desk.run("send", "orders.csv", *command)).code == 0
            else:
                assert (report / "summary.json").read_bytes() == before
                assert_whole(report)
            assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)

        last = await desk.run("send", "orders.csv", *command)

        assert last.code == 0, last.err
        assert_whole(report)
        assert read_summary(report)["orders"]["skipped"] == 10
        assert not list(report.glob(".*")), "nothing is left of what was half written"
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def killed_while_written(desk: Desk, report: Path, name: str) -> Ended:
    """Start to send, and kill the process before a file of its report takes its place."""

    async def moment(process: asyncio.subprocess.Process) -> None:
        await until(lambda: has_draft(report, name, process.pid))

    return await killed(desk, moment, "--report-dir", report.name, meddling=partial(hold_up, name))


def hold_up(name: str) -> None:
    """Have a file's draft be there until the process is killed, not for some milliseconds."""
    replace = Path.replace

    def replace_later(draft: Path, place: Path) -> Path:
        if place.name == name:
            time.sleep(60)
        return replace(draft, place)

    pytest.MonkeyPatch().setattr(Path, "replace", replace_later)


def assert_whole(report: Path) -> None:
    """Check that every table has all its rows, of whichever run."""
    assert_adds_up(read_summary(report))
    assert len((report / "results.csv").read_text().splitlines()) == ROWS + 1
    lines = [json.loads(line) for line in (report / "results.jsonl").read_text().splitlines()]
    assert sum(len(line["source"]) for line in lines) == ROWS
    assert len((report / "unsent.csv").read_text().splitlines()) == 1


TIMEOUT_S = 1.0
AT_ONCE = 8
REFUSAL = json.dumps({"errors": [{"code": "invalid_order", "message": "x" * 9_000}]}).encode()
ANSWERS = {
    "204, byte by byte at first": [*(bytes([b]) for b in NO_CONTENT[:20]), NO_CONTENT[20:]],
    "400": [answer(400, REFUSAL, "Content-Type: application/json")],
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
    desk.write(
        "orders.csv",
        "order_id\n" + "".join(f"{n}\n" for n in range(100_200_301, 100_200_302 + AT_ONCE)),
    )
    return desk


SENDING = (
    "--concurrency", str(AT_ONCE), "--timeout", f"{TIMEOUT_S:g}s", "--ca-file", "ca.pem",
)  # fmt: skip
COMMAND = ("send", "orders.csv", *SENDING)


@pytest.mark.parametrize(
    ("loop", "said", "encrypted"),
    [("asyncio", "400", True), ("uvloop", "400", True),
     ("uvloop", "204, byte by byte at first", False)],
)  # fmt: skip
async def test_whatever_was_answered_while_it_was_stopped_rules_every_order_that_was_in_flight(
    tmp_path: Path, untrusted: ssl.SSLContext, loop: str, said: str, *, encrypted: bool
) -> None:
    async with HeldUp(ANSWERS[said], untrusted if encrypted else None) as ca:
        desk = desk_of(tmp_path, ca, loop)
        process = await desk.start(*COMMAND, "--in-doubt", "hold")
        await freeze_until_late(ca, process)
        sent = await ended(process)
    status = "refused" if said == "400" else "sent"
    assert [line["status"] for line in results(desk.report())] == [status] * (1 + AT_ONCE), sent.err
    assert ca.requests == 1 + AT_ONCE


async def test_with_a_database_an_answer_is_heard_too_and_recorded_for_all_hosts(
    tmp_path: Path, database: Database
) -> None:
    forget(database)
    async with HeldUp([NO_CONTENT]) as ca:
        desk = desk_of(tmp_path, ca, "asyncio")
        desk.environment["BATCH_RESEND_JOURNAL"] = str(database)
        worker = await desk.start("worker", "-q", *SENDING)
        sender = await desk.start(*COMMAND, "--distribute")
        await freeze_until_late(ca, worker)
        sent = await ended(sender)
        again = await desk.run(*COMMAND, "--report-dir", "again")
        worker.terminate()
        await ended(worker)
    assert (sent.code, again.code) == (0, 0), sent.err
    assert ca.doubles == 0


IN_DOUBT = (
    " Of what is left, 1 is in doubt: it may have been mailed, and resuming mails it again. "
    "`batch-resend (verify RUN [^`]+)` says what of that still waits."
)


@pytest.mark.parametrize(
    ("policy", "edit", "left"),
    [
        ("retry", "", rf"did not finish; 4 orders left.{IN_DOUBT} To resume that one:\n"),
        ("hold", "", r"did not finish; 3 orders left. To resume that one:\n"),
        (
            "retry", "100200301\n",
            rf"1 order was not in [^,]+, or was changed there, when .+ sent that list.{IN_DOUBT}"
            " To send it after all, unchanged:\n",
        ),
    ],
)  # fmt: skip
async def test_what_mentions_a_killed_run_says_that_resuming_may_mail_again(
    tmp_path: Path, policy: str, edit: str, left: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("orders.csv", "order_id\n100200301\n100200302\n100200303\n100200304\n")
        ca.fail({FaultName.HANG: 1.0})
        await killed(desk, at_request(ca, 1), "--in-doubt", policy)
        ca.fail({})
        (run,) = await run_ids(desk)
        await desk.run("report", run, "--report-dir", run)
        if edit:
            desk.write("unsent.csv", (tmp_path / run / "unsent.csv").read_text().replace(edit, ""))
        else:
            desk.write("other.csv", "order_id\n100200305\n")
        assert (await desk.run("send", "unsent.csv" if edit else "other.csv")).code == 0
        shown = (await desk.run("show")).out
        said = re.search(left.replace("RUN", run), shown)
        assert said, shown
        for command in said.groups():
            verified = await desk.run(*shlex.split(command))
            assert f"Of 1 order in doubt after run {run}" in verified.out, verified.err
