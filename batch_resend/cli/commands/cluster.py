"""`cluster`: how the workers are doing, for whoever operates them and for probes."""

import json
import sys
from dataclasses import asdict
from typing import Any

import anyio
import click

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import format_option, journal_option, option
from batch_resend.cli.output.terminal import show_table
from batch_resend.clock import format_duration
from batch_resend.cluster.queue import Status, cluster_status, open_queue
from batch_resend.folders import Place
from batch_resend.journal import read_journal


@click.command(
    cls=ManualCommand,
    examples={
        "Workers, jobs, and how much of each key's windows is in use": "batch-resend cluster "
        "status --journal postgresql://db/batch_resend",
        "A probe: is any worker alive, on this host": "batch-resend cluster check --host worker-1",
    },
    exit_codes=(),
    see_also=("worker", "watch"),
)
@click.argument("action", type=click.Choice(["status", "check"]))
@option("--host", metavar="NAME", help="Only workers of this host, for `check`.")
@format_option("table", "json", help="How `status` is written.")
@journal_option
def cluster(action: str, host: str | None, form: str, journal: Place) -> int:
    """Show how the workers are doing, or check that one is alive.

    `check` says nothing where all is well, and ends with 1 where no worker gives a sign of life.
    """

    async def look() -> Status:
        async with read_journal(journal) as reader, open_queue(journal) as queue:
            return await cluster_status(queue, reader)

    status = anyio.run(look)
    if action == "check":
        return _check(status, host)
    if form == "json":
        click.echo(json.dumps(_as_json(status), indent=2))
    else:
        _show(status)
    return ExitCode.ALL_WELL


def _check(status: Status, host: str | None) -> int:
    hosts = [name for name in status.sessions if name.startswith("worker ")]
    if host is not None:
        hosts = [name for name in hosts if f" on {host}, since " in name]
    # Connected they are; that one of them does something its sign of life tells.
    if hosts and any(worker.is_alive for worker in status.workers):
        return ExitCode.ALL_WELL
    click.echo(f"no worker{f' on {host}' if host else ''} is alive", err=True)
    return ExitCode.NOT_STARTED


def _as_json(status: Status) -> dict[str, Any]:
    return {
        "sessions": list(status.sessions),
        "workers": [asdict(worker) | {"is_alive": worker.is_alive} for worker in status.workers],
        "jobs": [{"task": task, "status": state, "jobs": n} for task, state, n in status.jobs],
        "runs": [run.id for run in status.runs],
        "keys": [asdict(key) for key in status.keys],
    }


def _show(status: Status) -> None:
    for name in status.sessions:
        click.echo(name)
    show_table(
        ("worker", "last sign of life", "jobs in work"),
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
        ("key", "in flight", "in its windows", "share", "paused"),
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
