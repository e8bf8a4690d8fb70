"""The command line as a user runs it: a process of its own, against a server on loopback."""

import asyncio
import json
import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from batch_resend.cli.lifecycle import LOOP_VARIABLE
from batch_resend.simulator import FaultName, Simulator, SimulatorSettings, WorldOrder
from batch_resend.simulator.server import Fate
from tests.cli.called import call, can_be_called
from tests.cli.forked import can_be_forked, fork
from tests.report.schemas import schema

KEY = "s3cr3t-key-of-a-test-0123456789"


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(eq=False, slots=True)
class Desk:
    """A folder to work in, with a journal and a key, and no other setting of the machine's."""

    folder: Path
    base_url: str = "http://127.0.0.1:9/services/v2"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        coverage = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
        self.environment = kept | coverage | {
            "HOME": str(self.folder),
            "BATCH_RESEND_JOURNAL": str(self.folder / "journal.db"),
            "BATCH_RESEND_BASE_URL": self.base_url,
            "DIGICERT_API_KEY": KEY,
            # As for most users; the tests are also to be run with uvloop here.
            LOOP_VARIABLE: os.environ.get(LOOP_VARIABLE, "asyncio"),
        }  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a command line."""
        return [sys.executable, "-m", "batch_resend", *arguments]

    async def start(
        self, *arguments: str, program: Sequence[str] = (), **environment: str
    ) -> asyncio.subprocess.Process:
        """Start `batch-resend`, or another program."""
        environment = self.environment | environment
        if not program and can_be_forked(environment):
            return await fork(arguments, self.folder, environment)
        return await asyncio.create_subprocess_exec(
            *(program or self.command(*arguments)),
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # on no terminal, whoever runs the tests
        )

    async def start_after(
        self, meddling: Callable[[], object], *arguments: str
    ) -> asyncio.subprocess.Process:
        """Start `batch-resend` after something is done to it in its process: see `fork`."""
        return await fork(arguments, self.folder, self.environment, meddling)

    async def run(
        self, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0, **environment: str
    ) -> Ended:
        """Run `batch-resend` to its end: in this process, unless it needs one of its own."""
        everything = self.environment | environment
        if can_be_called(arguments) and can_be_forked(everything):
            return Ended(*await call(arguments, self.folder, everything, stdin, timeout_s))
        return await ended(await self.start(*arguments, **environment), stdin, timeout_s)

    def write_list(self, orders: int, name: str = "orders.csv", seed: int = 1) -> list[str]:
        """Write a list of 1 to 3 rows an order, shuffled; return the order numbers."""
        chance = random.Random(seed)
        numbers = [str(700_000 + index) for index in range(orders)]
        rows = [
            f"{number},d{k}.o{number}.example.com,admin@o{number}.example.com"
            for number in numbers
            for k in range(chance.randint(1, 3))
        ]
        chance.shuffle(rows)
        self.write(name, "order_id,domain,email\n" + "\n".join(rows) + "\n")
        return numbers

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def report(self) -> Path:
        """Return the folder of the one report that was written."""
        (folder,) = (self.folder / "reports").glob("*/")
        return folder

    def summary(self) -> dict[str, Any]:
        """Return the summary of the one report that was written."""
        return read_summary(self.report())


def read_summary(report: Path) -> dict[str, Any]:
    """Return the summary of a report, which is as its schema has it."""
    summary: dict[str, Any] = json.loads((report / "summary.json").read_text())
    schema("summary").validate(summary)
    return summary


def results(report: Path) -> list[dict[str, Any]]:
    """Return the lines of a report's results.jsonl, each as its schema has it."""
    lines = [json.loads(line) for line in (report / "results.jsonl").read_text().splitlines()]
    for line in lines:
        schema("results").validate(line)
    return lines


def orders_of(report: Path, status: str) -> set[str]:
    """Return the orders of a report that have a status."""
    return {line["order_id"] for line in results(report) if line["status"] == status}


async def ended(
    process: asyncio.subprocess.Process, stdin: bytes = b"", timeout_s: float = 60.0
) -> Ended:
    """Wait for a command to end."""
    out, err = await asyncio.wait_for(process.communicate(stdin), timeout_s)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process brings about; its end is what is waited for."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it comes from another process, not an event
            await asyncio.sleep(0.005)


async def until_told(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Wait for a line with these words on a command's standard error; the lines are read away."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while words not in (line := await process.stderr.readline()):
            assert line, f"ended without a word of {words!r}"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(name: str, obj: object) -> None:
    """Have every test that awaits something run on an event loop, without a word of its own."""
    if name.startswith("test_") and asyncio.iscoroutinefunction(obj):
        pytest.mark.asyncio(obj)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a folder to work in, where no CA is."""
    return Desk(tmp_path)


@asynccontextmanager
async def desk_with_ca(folder: Path, **settings: Any) -> AsyncIterator[tuple[Desk, Simulator]]:
    """Open a folder to work in, and a simulated CA that the command line finds by itself.

    The windows are the simulator's; none, unless given.
    """
    settings.setdefault("windows", ())
    async with Simulator(SimulatorSettings(**settings)) as simulator:
        desk = Desk(folder, simulator.base_url)
        desk.environment["BATCH_RESEND_LIMIT"] = " ".join(map(str, settings["windows"])) or "none"
        yield desk, simulator


class FailsOnce(Simulator):
    """Fails the first read of paths with some part, and nothing else."""

    def __init__(self, part: str, fault: FaultName, **settings: Any) -> None:
        super().__init__(SimulatorSettings(windows=(), **settings))
        self._part, self._fault = part, fault
        self._has_failed = False

    async def _meet_fate(self, of: str) -> Fate:
        fate = await super()._meet_fate(of)
        if self._has_failed or self._part not in of:
            return fate
        self._has_failed = True
        return replace(fate, fault=self._fault)


def desk_of(folder: Path, ca: Simulator) -> Desk:
    """Return a folder to work in without limits, with lists of orders that wait there."""
    desk = Desk(folder, ca.base_url)
    desk.environment["BATCH_RESEND_LIMIT"] = "none"
    for number in desk.write_list(25):
        ca.world.add(WorldOrder(int(number)))
    desk.write("domains.csv", "domain_id,email\n" + "17,admin@example.com\n")
    return desk


# The CA's own no, as where it has no such call: to ask again changes nothing.
A_NO = {
    FaultName.BAD_REQUEST, FaultName.NO_SUCH_ORDER, FaultName.NO_PERMISSION,
    FaultName.SUCCESS_WITH_ERRORS, FaultName.ERRORS_AS_OBJECT,
    FaultName.LENGTH_TOO_LONG, FaultName.LENGTH_TOO_SHORT,
}  # fmt: skip


def assert_adds_up(summary: dict[str, Any]) -> None:
    """Check that every row and every order of a summary is accounted for."""
    rows, orders = summary["rows"], summary["orders"]
    assert rows["read"] == sum(rows.values()) - rows["read"]
    assert rows["read"] == sum(source["rows"] for source in summary["inputs"])
    assert orders["total"] == sum(orders[name] for name in ORDER_STATES)


ORDER_STATES: Sequence[str] = (
    "sent", "refused", "failed", "in_doubt", "not_attempted", "skipped", "in_flight",
)  # fmt: skip


# --- crashes, full disks, signals -------------------------------------------------------------

LONG_LIST_ROWS = 4_000


async def everything_acted_on(ca: Simulator) -> None:
    """Wait until the CA has acted on what it received, though nobody listens any more."""
    await until(lambda: ca.books.answers.total() == ca.books.requests)


async def run_ids(desk: Desk) -> list[str]:
    """Return the names of the runs that the journal knows."""
    told = (await desk.run("runs", "--json")).out
    return [run["run"] for run in json.loads(told)]


def write_long_list(desk: Desk, rows: int = LONG_LIST_ROWS) -> list[str]:
    """Write a list of many rows that ask for ten requests: a report of it takes its time."""
    numbers = [str(number) for number in range(100_200_301, 100_200_311)]
    desk.write("orders.csv", "order_id\n" + "\n".join(numbers * (rows // 10)) + "\n")
    return numbers


def has_draft(report: Path, name: str, pid: int) -> bool:
    """Whether a process is writing a file of a report, before that takes its place."""
    return any(report.glob(f".{name}.{pid}.*"))


def without_the_right_to_write_everywhere(command: list[str]) -> list[str]:
    """Return a command for which permission bits count, though root runs it. Skips if need be."""
    if os.geteuid() != 0:
        return command
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv, for root is kept out by no permission bits")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
