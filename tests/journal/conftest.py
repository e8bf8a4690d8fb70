"""A journal on disk, a clock that a test sets, and runs whose orders fare as a script says."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from batch_resend.folders import Database, Place
from batch_resend.journal import Endpoint, Journal, JournalReader, Recorder, Terms, open_journal
from batch_resend.journal.results import row_result
from batch_resend.list_form import ListForm, ListKind
from batch_resend.model import (
    Attempt,
    Entry,
    Outcome,
    PlannedRequest,
    RejectedRow,
    RequestStatus,
    Row,
    RowStatus,
    Ruling,
    Run,
    Verdict,
)
from batch_resend.results import Result, RowResult
from batch_resend.windows import Window
from tests.postgres import forget

BASE_URL = "https://ca.example/services/v2"
NOON = 1_800_000_000.0
HOUR = 3600.0
FORM = ListForm(ListKind.CSV, ("order_id", "entry"))
WINDOWS = (Window(1000, 180.0), Window(100, 5.0))

Rows = Sequence[Row | RejectedRow]

_VERDICTS = {
    "204": Verdict(Ruling.ACCEPTED, 204),
    "400": Verdict(Ruling.REFUSED, 400, "bad_request_format", "no such field"),
    "403": Verdict(Ruling.REFUSED, 403, "access_denied|missing_permission", "not allowed"),
    "404": Verdict(Ruling.REFUSED, 404, "not_found|order", "no such order"),
    "429": Verdict(Ruling.RATE_LIMITED, 429, "request_limit_exceeded", "too many"),
    "503": Verdict(Ruling.UNAVAILABLE, 503, None, "maintenance"),
    "lost": Verdict(Ruling.IN_DOUBT, None, None, "the connection broke"),
}
_SETTLED_BY = {
    Ruling.ACCEPTED: RequestStatus.SENT,
    Ruling.REFUSED: RequestStatus.REFUSED,
}
_GIVEN_UP = {"failed": RequestStatus.FAILED, "in_doubt": RequestStatus.IN_DOUBT}


@dataclass
class Clock:
    """The clock of a process, as a test sets it."""

    now: float = NOON
    boot: str = "the machine's one start"
    offset_s: float = 0.0

    def __call__(self) -> float:
        return self.now


def entries(*texts: str) -> tuple[Entry, ...]:
    """Return the entries that texts such as `a.example admin@a.example` stand for."""
    return tuple(Entry(*text.split()) for text in texts)


def row(line: int, order_id: str, *texts: str, locale: str | None = None) -> Row:
    """Return a row of a CSV list; each text is an entry."""
    cells = [order_id, *texts, locale or ""]
    return Row(line, order_id, entries(*texts), locale, json.dumps(cells))


def orders(*numbers: int) -> list[Row]:
    """Return a list of order-only rows."""
    return [row(line, str(number)) for line, number in enumerate(numbers, start=2)]


async def plan(
    journal: Journal,
    *inputs: Rows,
    take_up_since: float = 0.0,
    base_url: str = BASE_URL,
    names: Sequence[str] = ("a.csv", "b.csv"),
    parties: Mapping[str | None, Endpoint] | None = None,
) -> Run:
    """Plan a run of the rows of several inputs."""
    run, staging = await journal.new_run(base_url, WINDOWS)
    for name, rows in zip(names, inputs, strict=False):
        await staging.add_rows(rows)
        await staging.end_input(name, f"sha256 of {name}", FORM, "")
    digest = await staging.group(parties or {None: Endpoint(base_url)})
    return await journal.finish_planning(run, digest, take_up_since)


async def pending(reader: JournalReader, run: Run) -> list[PlannedRequest]:
    """Return what a run has left to send."""
    return [order async for order in reader.pending(run)]


async def pending_ids(reader: JournalReader, run: Run) -> list[str]:
    """Return the order numbers of what a run has left to send."""
    return [planned.request.subject for planned in await pending(reader, run)]


async def all_rows(reader: JournalReader, run: Run) -> list[RowResult]:
    """Return every row of a run, as the lists had them."""
    pages = reader.rows_in_list_order(run)
    return [row_result(record) async for page in pages for record in page]


async def results(reader: JournalReader, run: Run) -> dict[str, Result]:
    """Return what came of each order of a run whose orders have one locale each."""
    return {found.order.subject: found.result async for found in reader.results(run)}


async def statuses(reader: JournalReader, run: Run) -> dict[str, str]:
    """Return the status of each order of a run whose orders have one locale each."""
    return {number: r.status.value for number, r in (await results(reader, run)).items()}


async def carry(
    recorder: Recorder, clock: Clock, planned: PlannedRequest, script: str
) -> list[Attempt]:
    """Let an order fare as a script says, a word an attempt, each a second long.

    `204`, `400`, `403`, `404` settle the order; `429`, `503` and `lost` don't; `cut` is an attempt
    whose answer is never recorded; a last `failed` or `in_doubt` gives the order up.
    """
    made: list[Attempt] = []
    verdict = None
    for word in script.split():
        if word in _GIVEN_UP:
            assert verdict is not None, "an order is given up after an attempt"
            await recorder.settle(_outcome(planned, _GIVEN_UP[word], verdict))
            continue
        attempt = Attempt(planned, planned.attempts + len(made) + 1, clock())
        await recorder.begin(attempt)
        made.append(attempt)
        clock.now += 1.0
        if word == "cut":
            continue
        verdict = _VERDICTS[word]
        status = _SETTLED_BY.get(verdict.ruling)
        outcome = _outcome(planned, status, verdict) if status else None
        await recorder.end(attempt, clock(), verdict, outcome)
    return made


def _outcome(planned: PlannedRequest, status: RequestStatus, verdict: Verdict) -> Outcome:
    return Outcome(planned, status, verdict.http_status, verdict.error_code, verdict.error_message)


async def send(
    journal: Journal,
    clock: Clock,
    run: Run,
    script: Mapping[str, str],
    *,
    cooldown_s: float = 0.0,
    hold_doubts: bool = False,
) -> None:
    """Settle and start a run, and let its pending orders fare as a script says."""
    await journal.settle(run, cooldown_s, hold_doubts=hold_doubts)
    recorder = await journal.start(run, Terms(WINDOWS))
    for planned in await pending(journal.reader, run):
        await carry(recorder, clock, planned, script.get(planned.request.subject, ""))


def assert_every_row_counted(rows: Mapping[RowStatus, int], read: int) -> None:
    """Check that the rows of a run add up to the rows read."""
    assert sum(rows[status] for status in RowStatus) == read
    assert len(rows) == len(RowStatus)


def on_disk(path: Path, query: str) -> list[tuple[object, ...]]:
    """Return what a connection of its own finds in the journal."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


async def counted_steps(reader: JournalReader, work: Callable[[], Awaitable[object]]) -> int:
    """Return how many thousand steps SQLite takes for what is read."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    await reader.ask(lambda reading: reading.driver.set_progress_handler(count, 1_000))
    await work()
    return steps


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands at noon."""
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return where the journal is: a file, and then a PostgreSQL database."""
    if request.param == "file":
        return tmp_path / "journal.db"
    database: Database = request.getfixturevalue("database")
    forget(database)
    return database


@asynccontextmanager
async def opened(place: Place, clock: Clock) -> AsyncIterator[Journal]:
    """Open a journal; the clock goes on a second, so that no two runs begin at once."""
    async with open_journal(place, clock) as journal:
        yield journal
    clock.now += 1.0


@pytest_asyncio.fixture
async def journal(place: Place, clock: Clock) -> AsyncIterator[Journal]:
    """Return a journal that is open: a file, and then a PostgreSQL database."""
    async with opened(place, clock) as journal:
        yield journal
