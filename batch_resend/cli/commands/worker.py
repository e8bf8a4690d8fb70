"""`worker` and `cluster`: sending on several hosts, and how the workers are doing."""

import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any, TextIO

import anyio
import click
from anyio.abc import Process

from batch_resend.channels import Channels
from batch_resend.cli.as_settings import settings_of, warn_of_keys_of
from batch_resend.cli.command import SIGNAL_BASE, ExitCode, WholeNumber, command, option, together
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import config_words, option_words
from batch_resend.cli.options import (
    ca_options,
    concurrency_option,
    journal_option,
    limit_option,
    log_options,
    retry_options,
)
from batch_resend.cli.output.summary import stopping
from batch_resend.cli.output.terminal import show_json, show_table
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.clock import format_duration, timestamp
from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.journal import open_journal, read_journal
from batch_resend.settings import Settings

if TYPE_CHECKING:
    # It needs the extra `cluster`. Without it there is help, completion and `config init` still.
    from batch_resend.cluster.queue import Status, SweepAt
    from batch_resend.cluster.worker import Worker

log = logging.getLogger(__name__)
AGAIN_AFTER_S = 2.0  # the database being gone
LONGEST_WAIT_S = 15.0
ITS_OWN = ("jobs", "sweeps", "quiet", "verbose", "is_json")  # options that are not its sweeps' too
worker_options = together(
    "What it does",
    option(
        "--jobs",
        type=WholeNumber(1, 1000),
        default=4,
        help="How many parts of runs to send at once; at least the number of keys.",
    ),
    option(
        "--sweep",
        "sweeps",
        metavar="CRON",
        multiple=True,
        help="Sweep at these times (UTC), such as '0 2 * * *': once, however many workers have "
        "this option. Other options of `sweep` come from the environment.",
    ),
)


@command(
    examples={
        "On each of several hosts": "batch-resend worker --journal postgresql://db/batch_resend",
        "With a nightly sweep": "batch-resend worker --journal postgresql://db/batch_resend "
        '--api-key-file key.txt --sweep "0 2 * * *"',
    },
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
def worker(
    context: click.Context, /, jobs: int, sweeps: Sequence[str], is_json: bool, **options: Any
) -> int:
    """Send what `send --distribute` distributes, until a signal ends it.

    The journal is a PostgreSQL database that all hosts reach. After a signal, the worker sends
    nothing more and waits for the requests in flight; other workers send the rest. If the database
    is down, the worker waits for it.
    """
    # Handed out too, so that the death of this host does not stop it.
    sweep = [*_PROGRAM, *config_words(context), "sweep"]
    names = [one.name for one in context.command.params if one.name not in ITS_OWN]
    words = ["--yes", "--quiet", "--distribute", *option_words(context, names, "sweep")]

    async def work(interruption: Interruption) -> int:
        from batch_resend.cluster.queue import SweepAt  # noqa: PLC0415 - in an extra that may be missing

        set_up_logs(options)
        settings = settings_of(options, needs_own_key=bool(sweeps))
        warn_of_keys_of(settings.names)
        for why in settings.without_key.values():
            log.warning("what goes by this key is left to other workers: %s", why)
        profile = options["profile"] or "own"
        due = [SweepAt(cron, f"{profile} {cron}") for cron in sweeps]
        sweeper = _Sweeper([*sweep, *words], due, sys.stderr if is_json else None)
        number = await _work_on(settings, jobs, sweeper, interruption)
        if is_json:
            name = signal.Signals(number).name
            show_json({"exit_code": SIGNAL_BASE + number, "ended_by": name})
        return SIGNAL_BASE + number

    return run_interruptibly(work)


_PROGRAM = (sys.executable, "-m", "batch_resend")


class _Sweeper:
    """Sweeps, each in a process of its own: it has a run, a report and an exit code of its own."""

    def __init__(
        self, command: Sequence[str], due: "Sequence[SweepAt]", output: TextIO | None
    ) -> None:
        """`output`: for what they print; None: this process's."""
        self.due = due
        self._command = command
        self._output = output
        self._under_way: set[Process] = set()
        self._ending = anyio.Event()

    async def sweep(self, at: float) -> None:
        if self._ending.is_set():
            return
        log.info("the sweep of %s begins", timestamp(at))
        process = await anyio.open_process(
            self._command, stdin=DEVNULL, stdout=self._output, stderr=None
        )
        self._under_way.add(process)
        if self._ending.is_set():  # meanwhile
            self.stop()
        code = await process.wait()
        self._under_way.remove(process)
        log.log(logging.ERROR if code else logging.INFO, "the sweep ended with %s", code)

    def stop(self) -> None:
        """Let sweeps under way end in good order: what they have handed out is sent."""
        self._ending.set()
        for process in self._under_way:
            with suppress(ProcessLookupError):
                process.terminate()


async def _work_on(
    settings: Settings, jobs: int, sweeper: _Sweeper, interruption: Interruption
) -> int:
    """Work until a signal comes, and return it; begin again whenever the database was gone."""
    from batch_resend.cluster.queue import open_queue  # noqa: PLC0415 - in an extra that may be missing
    from batch_resend.cluster.worker import Worker  # noqa: PLC0415 - in an extra that may be missing

    wait_s, opened = AGAIN_AFTER_S, False
    while interruption.caught is None:
        try:
            clock = clock_of_command()
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
                raise  # it never worked: a person has to know
            log.error("%s; trying again in %gs", error, wait_s)
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    return interruption.caught


def _end(one: "Worker", sweeper: _Sweeper, _name: str) -> str:
    sweeper.stop()
    one.stop()
    return stopping(one.in_flight)


@command(
    examples={
        "Workers, jobs, and how much of each key's rate limits is in use": "batch-resend cluster "
        "status --journal postgresql://db/batch_resend",
        "For a probe: is a worker alive on this host": "batch-resend cluster check --host worker-1",
    },
    see_also=("worker", "watch"),
)
@click.argument("action", type=click.Choice(["status", "check"]))
@option("--host", metavar="NAME", help="Only workers of this host, for `check`.")
@journal_option
def cluster(action: str, host: str | None, journal: Place, is_json: bool) -> int:
    """Show how the workers are doing, or check that one is alive.

    `check` prints nothing and exits with 0 if a worker is alive, and with 1 if none is. With
    --json, both print the state.
    """

    async def look() -> "Status":
        from batch_resend.cluster.queue import cluster_status, open_queue  # noqa: PLC0415 - in an extra that may be missing

        async with (
            read_journal(journal, clock_of_command()) as reader,
            open_queue(journal) as queue,
        ):
            return await cluster_status(queue, reader)

    status = anyio.run(look)
    if is_json:
        show_json(_as_json(status))
    elif action == "status":
        _show(status)
    return _check(status, host) if action == "check" else ExitCode.ALL_WELL


def _check(status: "Status", host: str | None) -> int:
    hosts = [name for name in status.sessions if name.startswith("worker ")]
    if host is not None:
        hosts = [name for name in hosts if f" on {host}, since " in name]
    # Connected they are; a sign of life shows that one of them works.
    if hosts and any(worker.is_alive for worker in status.workers):
        return ExitCode.ALL_WELL
    click.echo(f"no worker{f' on {host}' if host else ''} is alive", err=True)
    return ExitCode.NOT_STARTED


def _as_json(status: "Status") -> dict[str, Any]:
    return {
        "sessions": list(status.sessions),
        "workers": [asdict(worker) | {"is_alive": worker.is_alive} for worker in status.workers],
        "jobs": [{"task": task, "status": state, "jobs": n} for task, state, n in status.jobs],
        "runs": [run.id for run in status.runs],
        "keys": [asdict(key) for key in status.keys],
    }


def _show(status: "Status") -> None:
    for name in status.sessions:
        click.echo(name)
    show_table(
        ("worker", "last heartbeat", "jobs in progress"),
        [
            (
                str(worker.number) + ("" if worker.is_alive else " (dead)"),
                f"{format_duration(worker.silent_s)} ago",
                f"{worker.jobs:,}",
            )
            for worker in status.workers
        ],
        sys.stdout,
    )
    show_table(
        ("jobs", "state", "how many"),
        [(task, state, f"{count:,}") for task, state, count in status.jobs],
        sys.stdout,
    )
    show_table(
        ("key", "in flight", "counted by limits", "share", "paused"),
        [
            (
                key.budget[:8],
                f"{key.out:,}",
                f"{key.waiting:,} in {format_duration(key.longest_s)}",
                f"{key.share:.0%}",
                format_duration(key.paused_s) if key.paused_s else "",
            )
            for key in status.keys
        ],
        sys.stdout,
    )
    for run in status.runs:
        click.echo(f"with workers: run {run.id}")
