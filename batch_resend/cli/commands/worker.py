"""`worker`: sends what `send --distribute` hands out, on any number of hosts."""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from subprocess import DEVNULL
from typing import Any

import anyio
import click
from anyio.abc import Process

from batch_resend.channels import Channels
from batch_resend.cli.as_settings import settings_of
from batch_resend.cli.exits import SIGNAL_BASE
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import (
    ca_options,
    concurrency_option,
    journal_option,
    limit_option,
    log_options,
    option,
    retry_options,
    together,
)
from batch_resend.cli.prompts import config_words, option_words
from batch_resend.clock import SystemClock, timestamp
from batch_resend.cluster.queue import SweepAt, open_queue
from batch_resend.cluster.worker import Worker
from batch_resend.errors import JournalError
from batch_resend.journal import open_journal
from batch_resend.settings import Settings

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 2.0  # the database being gone
LONGEST_WAIT_S = 15.0
ITS_OWN = ("jobs", "sweeps", "quiet", "verbose")  # options that are not its sweeps' too

worker_options = together(
    "What it does",
    option(
        "--jobs",
        type=click.IntRange(1, 1000),
        default=4,
        show_default=True,
        help="Parts of runs at once: at least as many as there are keys to send by.",
    ),
    option(
        "--sweep",
        "sweeps",
        metavar="CRON",
        multiple=True,
        help="Sweep at these times, such as '0 2 * * *', in UTC: once, however many workers say "
        "so. As `sweep` does by itself; what it is to do else is said in the environment.",
    ),
)


@click.command(
    cls=ManualCommand,
    examples={
        "On each of several hosts": "batch-resend worker --journal postgresql://db/batch_resend",
        "With a nightly sweep": "batch-resend worker --journal postgresql://db/batch_resend "
        '--api-key-file key.txt --sweep "0 2 * * *"',
    },
    exit_codes=(),
    see_also=("send", "cluster"),
)
@worker_options
@log_options
@together("Journal", journal_option)
@retry_options
@concurrency_option
@ca_options
@limit_option
@click.pass_context
def worker(context: click.Context, /, jobs: int, sweeps: Sequence[str], **options: Any) -> int:
    """Send what `send --distribute` hands out, until it is told to end.

    The journal is a PostgreSQL database that all hosts reach. A signal lets nothing more leave,
    and waits for what is in flight; others resume the rest. While the database is gone, it
    waits for it.
    """
    # Handed out too, so that the death of this host does not stop it.
    sweep = [*_PROGRAM, *config_words(context), "sweep"]
    names = [one.name for one in context.command.params if one.name not in ITS_OWN]
    words = ["--yes", "--quiet", "--distribute", *option_words(context, names, "sweep")]

    async def work(interruption: Interruption) -> int:
        set_up_logs_of(options)
        settings = settings_of(options, needs_own_key=bool(sweeps))
        sweeper = _Sweeper([*sweep, *words], _sweeps_at(sweeps, options["profile"]))
        return SIGNAL_BASE + await _work_on(settings, jobs, sweeper, interruption)

    return run_interruptibly(work)


_PROGRAM = (sys.executable, "-m", "batch_resend")


class _Sweeper:
    """Sweeps, each in a process of its own: it has a run, a report and an exit code of its own."""

    def __init__(self, command: Sequence[str], due: Sequence[SweepAt]) -> None:
        self.due = due
        self._command = command
        self._under_way: set[Process] = set()
        self._ending = anyio.Event()

    async def sweep(self, at: float) -> None:
        """Make the sweep that was due then, to its end."""
        if self._ending.is_set():
            return
        log.info("the sweep of %s begins", timestamp(at))
        process = await anyio.open_process(self._command, stdin=DEVNULL, stdout=None, stderr=None)
        self._under_way.add(process)
        if self._ending.is_set():  # meanwhile
            self.stop()
        code = await process.wait()
        self._under_way.remove(process)
        log.log(logging.ERROR if code else logging.INFO, "the sweep ended with %s", code)

    def stop(self) -> None:
        """Let sweeps under way end in good order: what they have handed out goes on."""
        self._ending.set()
        for process in self._under_way:
            with suppress(ProcessLookupError):
                process.terminate()


def _sweeps_at(crons: Sequence[str], profile: str | None) -> list[SweepAt]:
    return [SweepAt(cron, f"{profile or 'own'} {cron}") for cron in crons]


async def _work_on(
    settings: Settings, jobs: int, sweeper: _Sweeper, interruption: Interruption
) -> int:
    """Work until a signal comes, and return it; begin again whenever the database was gone."""
    wait_s, opened = AGAIN_AFTER_S, False
    while interruption.caught is None:
        try:
            clock = SystemClock()
            async with (
                open_journal(settings.journal, clock, "worker") as journal,
                open_queue(settings.journal) as queue,
            ):
                wait_s, opened = AGAIN_AFTER_S, True
                # A sweep that waits for its parts to be sent is not to take their place.
                one = Worker(Channels(settings, journal, clock), queue, jobs + len(sweeper.due))
                with interruption.leads_to(partial(_end, one, sweeper)):
                    log.info("at work")
                    await one.run([(due, sweeper.sweep) for due in sweeper.due])
        except JournalError as error:
            if not opened:
                raise  # whoever began this is to know
            log.error("%s; trying again in %gs", error, wait_s)
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    return interruption.caught


def _end(one: Worker, sweeper: _Sweeper, _name: str) -> str:
    sweeper.stop()
    one.stop()
    return f"Ending: waiting for {one.in_flight} requests in flight"
