"""What README and manual show: each command line does what it says."""

import asyncio
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch_resend.folders import Database
from batch_resend.simulator import Simulator
from tests.cli.conftest import (
    KEY,
    Desk,
    desk_with_ca,
    ended,
    run_ids,
    until,
    until_told,
)
from tests.cli.test_sweep import wait
from tests.notify.listener import listening
from tests.pages import Page, pages
from tests.postgres import forget

# They change the machine, not a run; `make dist` tries to install what is built.
OF_THE_MACHINE = re.compile(r"(make|pip|pipx|uv|podman|rm|python3 -m venv|\.venv/bin/pip)\b")
WORKER = "batch-resend worker "
LISTS = {
    "basic.csv": "order_id,product\n100200302,ssl_basic\n",
    "hopeless.csv": "order_id\n100200302\n",
    "config.toml": """limit = ["1000/3m", "100/5s"]
[profiles.shop]
api-key-file = "key.txt"
[profiles.bank]
api-key-file = "key.txt"
""",
    "nested.json": ('[{"order_id": 1, "names": [{"fqdn": "a.example", "to": "admin@a.example"}]}]'),
    "marked.json": (
        '[{"order_id": 1, "domain_approval_emails": '
        '[{"domain": "a.example", "email": "admin@a.example", "note": "done"}]}]'
    ),
    "export.json": '[{"order": {"id": 1}, "domain": "a.example", "email": "admin@a.example"}]',
    "export.csv": "Vorgang,Domain,E-Mail\n1,a.example.com,admin@a.example.com\n",
}
# What a reader puts in: a list, an order, a command.
OF_THE_READER = {
    "/var/log/": "",
    "/var/lib/node_exporter/": "",
    " [--host NAME]": "",
    " COMMAND ": " send ",
    " TOPIC": " lists",
    " ORDER_ID": " 700000",
    " LIST": " orders.csv",
    " ssl_plus": " ssl_dv_geotrust_flex",
    "FILE send ...": "config.toml check orders.csv",
}
ORDERS, LONG = 5, 300  # in a usual list, and in one that takes a while
LATENCY_S = (0.02, 0.1)
SLOWLY = "--api-key-file key.txt --concurrency 1"


def to_run(page: Page) -> list[str]:
    """Return the command lines of a page that ask something of batch-resend."""
    return [line for line in page.command_lines() if not OF_THE_MACHINE.match(line)]


WITH_COMMANDS = [page for page in pages() if to_run(page)]


class Reader:
    """Does what a page says, line by line."""

    def __init__(self, desk: Desk, ca: Simulator, yours: dict[str, str]) -> None:
        self._desk = desk
        self._ca = ca
        self._yours = OF_THE_READER | yours
        self._worker: asyncio.subprocess.Process | None = None
        self._emptied: asyncio.Task[object] | None = None

    async def do(self, printed: str) -> None:
        """Run a line to its end; a worker is left to work."""
        if " resume " in printed:
            await self._leave_unfinished()
        if " --skipped-by " in printed:
            await ended(await self._start("batch-resend send --api-key-file key.txt basic.csv"))
        line = printed
        for theirs, ours in self._yours.items():
            line = line.replace(theirs, ours)
        if " RUN" in printed or " history " in printed:
            line = line.replace(" RUN", f" {await self._newest_run()}")
        if line.startswith("export "):
            name, value = shlex.split(line, comments=True)[1].split("=", 1)
            self._desk.environment[name] = value
        elif line.startswith(WORKER):
            self._worker = await self._start(f"exec {line}")
            await until_told(self._worker, b"at work")
            self._emptied = asyncio.create_task(ended(self._worker))
        else:
            done = await ended(await self._start(line), KEY.encode())
            assert done.code == 0, f"{printed}\n{done.out}{done.err}"

    async def close(self) -> None:
        """End the worker, if there is one, as systemd would."""
        if self._worker is not None and self._emptied is not None:
            self._worker.send_signal(signal.SIGTERM)
            await self._emptied
            assert self._worker.returncode == 128 + signal.SIGTERM

    async def _start(self, line: str) -> asyncio.subprocess.Process:
        return await self._desk.start(program=["sh", "-c", line])

    async def _newest_run(self) -> str:
        if not (runs := await run_ids(self._desk)):
            await self.do("batch-resend send --api-key-file key.txt orders.csv")
            runs = await run_ids(self._desk)
        return runs[0]

    async def _leave_unfinished(self) -> None:
        """Kill a run in its middle: one request at a time, it takes seconds."""
        self._desk.write_list(LONG, "long.csv")
        enough = self._ca.books.requests + 2
        process = await self._start(f"exec batch-resend send {SLOWLY} --again long.csv")
        await until(lambda: self._ca.books.requests >= enough)
        process.kill()
        await ended(process)


@contextmanager
def installed(desk: Desk) -> Iterator[None]:
    """Have `batch-resend` found, a list and a key in the folder, and no setting in the way."""
    desk.write_list(ORDERS)
    for name, text in LISTS.items():
        desk.write(name, text)
    desk.write("key.txt", KEY).chmod(0o600)
    (desk.folder / "bin").mkdir()
    program = desk.write("bin/batch-resend", f'#!/bin/sh\nexec {shlex.join(desk.command())} "$@"\n')
    program.chmod(0o755)
    desk.environment["PATH"] = f"{program.parent}:{desk.environment['PATH']}"
    del desk.environment["DIGICERT_API_KEY"], desk.environment["BATCH_RESEND_JOURNAL"]
    yield


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=str)
async def test_every_command_line_of_a_page_does_what_it_says(
    tmp_path: Path, page: Page, database: Database
) -> None:
    forget(database)
    async with desk_with_ca(tmp_path, latency_s=LATENCY_S) as (desk, ca), listening() as watchdog:
        wait(ca, 2, 3, first=100_200_301)
        yours = {
            "postgresql://batch_resend@db/batch_resend": str(database),
            "https://hc-ping.com/UUID": watchdog.url,
            "0 2 * * *": f"0 {(datetime.now(UTC).hour + 12) % 24} * * *",  # not due in this test
        }
        with installed(desk):
            reader = Reader(desk, ca, yours)
            try:
                for line in to_run(page):
                    await reader.do(line)
            finally:
                await reader.close()
        assert_left_by(page.name, desk, ca)
        assert bool(watchdog.posts) == ("https://hc-ping.com/UUID" in page.text)


def assert_left_by(name: str, desk: Desk, ca: Simulator) -> None:
    """Check what the lines of a page have brought about."""
    there = {path.name for path in desk.folder.iterdir()}
    if name == "README":  # the rehearsals had a CA of their own
        assert ca.books.mails == ORDERS + 2
    if name == "first-run":
        assert ca.books.mails == ORDERS
        assert (desk.folder / "key.txt").stat().st_mode & 0o077 == 0
    if name == "nightly":
        assert there >= {"pending.csv", "resend.prom", "batch-resend.log"}
    assert name != "lists" or "plan.jsonl" in there
    if name == "several-hosts":
        assert ca.books.mails == ORDERS
