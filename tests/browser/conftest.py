"""A real browser, and the pages that reports make of runs."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from batch_resend.intake import ListSource
from batch_resend.journal import Journal, Pause, Terms
from batch_resend.model import Attempt, Outcome, RequestStatus, Ruling, RunState, Verdict
from batch_resend.report import NextFlags, Presentation, Summary, write_report
from batch_resend.windows import CA_WINDOWS
from tests.journal.conftest import Clock, opened, pending
from tests.report.carried import Report, plan_lists, write_list

HOSTILE = (
    "<script>document.title = 'taken over'</script><img src=x onerror=alert(1)> =1+1 \u202eevil"
)
LONG_CODE = "access_denied|access_denied_invalid_key_of_an_account_that_is_closed"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
# Nothing but the page: no look-ups of its own at start (docs: chrome's command line switches).
_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Not for the session: while it is open, this thread has a loop that runs, and so no test its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser; without one, the tests that need it are skipped and say so."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium (Debian: apt-get install chromium; elsewhere: CHROMIUM=PATH)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_SWITCHES))
        yield browser
        browser.close()


@dataclass(eq=False, slots=True)
class Seen:
    """A page as a browser has it, with all that it asked for, and its errors."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def shown(browser: Browser, report: Report, *, width: int = 1200, dark: bool = False,
          javascript: bool = True, name: str = "report.html") -> Iterator[Seen]:  # fmt: skip
    """Open a report's page from disk."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=javascript,
    )
    seen = Seen(context.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("console", lambda message: seen.errors.append(message.text))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.errors.append(dialog.message))
    seen.page.goto((report.folder / name).as_uri())
    try:
        yield seen
    finally:
        context.close()


@dataclass(frozen=True, slots=True)
class Made:
    """A report, and the summary that it was made of."""

    report: Report
    summary: Summary


async def _carry_out(journal: Journal, clock: Clock, folder: Path, orders: int) -> Made:
    """Have orders sent, refused, lost and left over, the CA saying hostile things."""
    name = write_list(
        folder,
        "list.csv",
        "order_id,domain,email",
        *(f"{n},shop{n}.example.com,admin@shop{n}.example.com" for n in range(1, orders + 1)),
        "none,a.example,admin@a.example",
        f'77777,a.example,"{HOSTILE}"',
    )
    run = await plan_lists(journal, ListSource(name))
    await journal.settle(run, 0.0, hold_doubts=False)
    recorder = await journal.start(run, Terms((), {"concurrency": 32, "timeout_s": 30.0}))
    verdicts = {
        0: (Verdict(Ruling.REFUSED, 404, "not_found|order", HOSTILE), RequestStatus.REFUSED),
        1: (
            Verdict(Ruling.IN_DOUBT, None, LONG_CODE, "the connection broke"),
            RequestStatus.IN_DOUBT,
        ),
        2: (Verdict(Ruling.UNAVAILABLE, 503, None, "maintenance"), RequestStatus.FAILED),
    }
    sent = (Verdict(Ruling.ACCEPTED, 204), RequestStatus.SENT)
    for planned in (await pending(journal.reader, run))[:-3]:
        verdict, status = verdicts.get(planned.number % 20, sent)
        attempt = Attempt(planned, 1, clock())
        await recorder.begin(attempt)
        clock.now += 0.2 + planned.number % 7 / 10
        outcome = Outcome(
            planned, status, verdict.http_status, verdict.error_code, verdict.error_message
        )
        await recorder.end(attempt, clock(), verdict, outcome)
        if planned.number == 60:  # killed, and resumed in the morning
            clock.now += 9 * 3600
            recorder = await journal.start(
                run, Terms(CA_WINDOWS, {"concurrency": 32, "timeout_s": 30.0})
            )
        if planned.number == 30:
            await recorder.pause(Pause(clock(), clock() + 10, f"the CA said {HOSTILE}", 0.5))
            clock.now += 10
            await recorder.flow_again(clock())
    await journal.finish(run, RunState.STOPPED, f"the CA said {HOSTILE} {LONG_CODE}")
    ended = await journal.reader.run(run.id)
    summary = await write_report(
        journal.reader,
        ended,
        folder / "report",
        Presentation(NextFlags(" --region eu", " --region eu")),
    )
    return Made(Report(folder / "report"), summary)


def make(folder: Path, orders: int) -> Made:
    """Return the report of a run of so many orders."""

    async def made() -> Made:
        clock = Clock()
        async with opened(folder / "journal.db", clock) as journal:
            return await _carry_out(journal, clock, folder, orders)

    with ThreadPoolExecutor() as beside:  # in this thread a browser's loop may run
        return beside.submit(lambda: asyncio.run(made())).result()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the report of a run on which everything went wrong that can."""
    return make(tmp_path_factory.mktemp("made"), 100)
