"""Every command line that the README prints, run as it is printed, against a simulated CA."""

import asyncio
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_resend.places import Database
from tests.alarm.listener import listening
from tests.cli.conftest import KEY, desk_with_ca, ended, until_told
from tests.cli.test_sweep import wait
from tests.postgres import forget

pytestmark = pytest.mark.asyncio

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BY_WHOEVER_RUNS_THIS = ("make ", "pip ")
WORKER = "batch-resend worker "


def command_lines() -> Iterator[str]:
    """Yield the lines of the README's blocks of commands, and those within its text, in order.

    A command's name alone, within the text, is a name.
    """
    for found in re.finditer(
        r"^```(?:sh|console)\n(.*?)^```$|`(batch-resend (?:-|\w+ )[^`\n]*)`", README, re.M | re.S
    ):
        block, within = found.groups()
        for line in [within] if within else block.replace("\\\n", " ").splitlines():
            if not line.startswith("#"):
                yield line.removeprefix("$ ")


async def test_every_command_line_of_the_readme_does_what_it_says(
    tmp_path: Path, database: Database
) -> None:
    forget(database)
    async with desk_with_ca(tmp_path) as (desk, ca), listening() as watchdog:
        wait(ca, 2, 3)
        desk.write_list(5)
        desk.write("config.toml", 'limit = ["1000/3m", "100/5s"]\n')
        for folder in (tmp_path / ".venv" / "bin", tmp_path / "bin"):
            folder.mkdir(parents=True)
            program = folder / "batch-resend"
            command = shlex.join(desk.command())
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            program.chmod(0o755)
        desk.environment["PATH"] = f"{tmp_path / 'bin'}:{desk.environment['PATH']}"
        del desk.environment["DIGICERT_API_KEY"], desk.environment["BATCH_RESEND_JOURNAL"]
        yours = {
            "postgresql://batch_resend@db/batch_resend": str(database),
            "https://hc-ping.com/UUID": watchdog.url,
            "/var/log/": "",
            "/var/lib/node_exporter/": "",
            " [--host NAME]": "",
            " COMMAND ": " send ",
            "FILE send ...": "config.toml check orders.csv",
        }
        worker, tried = None, set()
        for printed in command_lines():
            if printed.startswith(BY_WHOEVER_RUNS_THIS):
                continue
            line = printed
            for theirs, ours in yours.items():
                line = line.replace(theirs, ours)
            if line.startswith("export "):
                name, value = shlex.split(line, comments=True)[1].split("=", 1)
                desk.environment[name] = value
            elif line.startswith(WORKER):
                worker = await desk.start(program=["sh", "-c", f"exec {line}"])
                await until_told(worker, b"at work")
                emptied = asyncio.create_task(ended(worker))
            else:
                done = await ended(await desk.start(program=["sh", "-c", line]), KEY.encode())
                assert done.code == 0, f"{printed}\n{done.out}{done.err}"
            tried.add(printed.split(" ")[0])
        assert worker is not None
        worker.send_signal(signal.SIGTERM)
        assert (await emptied).code == 128 + signal.SIGTERM
        assert tried == {"(umask", ".venv/bin/batch-resend", "batch-resend", "export"}
        # Once in earnest and once more by another journal; the rehearsal had a CA of its own.
        assert ca.books.mails == 2 * 5 + 2
        assert (tmp_path / "key.txt").stat().st_mode & 0o077 == 0
        assert {path.name for path in tmp_path.iterdir()} >= {"pending.csv", "resend.prom"}
        assert watchdog.posts
