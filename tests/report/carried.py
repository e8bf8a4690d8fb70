"""Runs of real lists that fared as a script says, and their reports, read."""

import csv
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_resend.intake import ListSource, Reading, Source
from batch_resend.journal import Endpoint, Journal
from batch_resend.model import Run, RunState
from batch_resend.report import Summary, write_report
from batch_resend.report.files import OF_SWEEPS, REPORT_FILES
from batch_resend.staging import stage
from tests.journal.conftest import BASE_URL, WINDOWS, Clock, opened, send

FILES = set(REPORT_FILES) - {OF_SWEEPS}  # of a run that no sweep began


@dataclass(frozen=True, slots=True)
class Report:
    """A report folder, read."""

    folder: Path

    def table(self, name: str) -> list[list[str]]:
        """Return a CSV file's lines of cells."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file, strict=True))

    def records(self, name: str) -> list[dict[str, str]]:
        """Return a CSV file's lines, cells by heading."""
        heading, *lines = self.table(name)
        return [dict(zip(heading, line, strict=True)) for line in lines]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The lines of results.jsonl."""
        with (self.folder / "results.jsonl").open(encoding="utf-8", newline="\n") as file:
            return [json.loads(line) for line in file]

    @property
    def summary(self) -> dict[str, Any]:
        """What summary.json says."""
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    def texts(self) -> dict[str, bytes]:
        """Return all that is in the folder, by name."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


async def plan_lists(journal: Journal, *sources: Source) -> Run:
    """Plan a new run of all rows of several sources."""
    run, staging = await journal.new_run(BASE_URL, WINDOWS)
    await stage(sources, staging)
    digest = await staging.group({None: Endpoint(BASE_URL)})
    return await journal.finish_planning(run, digest, 1e12)


@asynccontextmanager
async def carried(
    folder: Path,
    sources: Sequence[Source],
    script: Mapping[str, str],
    state: RunState = RunState.COMPLETED,
    clock: Clock | None = None,
) -> AsyncIterator[tuple[Journal, Run]]:
    """Open a journal with a run of these sources that fared as a script says, and ended."""
    clock = clock or Clock()
    async with opened(folder / "journal.db", clock) as journal:
        run = await plan_lists(journal, *sources)
        await send(journal, clock, run, script, cooldown_s=3600.0)
        if state is not RunState.RUNNING:
            await journal.finish(run, state, None if state is RunState.COMPLETED else "so it was")
        yield journal, await journal.reader.run(run.id)


async def reported(
    folder: Path,
    sources: Sequence[Source],
    script: Mapping[str, str],
    state: RunState = RunState.COMPLETED,
) -> tuple[Report, Summary]:
    """Return the report of a run of these sources that fared as a script says."""
    async with carried(folder, sources, script, state) as (journal, run):
        summary = await write_report(journal.reader, run, folder / "report")
    return Report(folder / "report"), summary


def write_list(folder: Path, name: str, *lines: str) -> str:
    """Write a list; return its path."""
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return str(path)


def two_lists(folder: Path) -> list[Source]:
    """Return two lists that share a heading, with rows of every kind."""
    first = write_list(
        folder,
        "first.csv",
        "Order ID,Note,Domain,Email,Locale",
        "11,goes,b.example,admin@b.example,de",
        "12,unknown there,a.example,admin@a.example,",
        "11,goes,a.example,admin@a.example,de",
        "1e9,=1+1,x.example,admin@x.example,",
        '13,"fails, ""ü""\nfor good",a.example,admin@a.example,',
        "11,again,a.example,admin@a.example,de",
        "14,in doubt,,,",
    )
    second = write_list(
        folder,
        "second.csv",
        "Order ID,Note,Domain,Email,Locale",
        "15,left over,a.example,admin@a.example,",
        "13,more,b.example,admin@b.example,",
        "14,said before,,,",
        "12,ambiguous,,,",
        ",no order,,,",
    )
    asks_for_all = Reading(all_domains=True)
    return [ListSource(first, asks_for_all), ListSource(second, asks_for_all)]


SCRIPT = {
    "11": "429 lost 204",
    "12": "400",
    "13": "503 503 failed",
    "14": "lost in_doubt",
    "15": "",
}
