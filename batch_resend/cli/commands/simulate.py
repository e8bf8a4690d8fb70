"""`simulate`: a local CertCentral to rehearse against."""

import json
import os
import signal
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
from anyio.abc import Process

from batch_resend.cli.as_settings import named_in
from batch_resend.cli.command import (
    FILE,
    SIGNAL_BASE,
    ExitCode,
    ManualCommand,
    Parsed,
    WholeNumber,
    option_of_its_own,
)
from batch_resend.cli.lifecycle import beside, ending_signals
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.cli.rehearsals import in_a_rehearsal_after, rehearsal_environment
from batch_resend.cli.values import complete_file
from batch_resend.cli.variables import KEY_VARIABLE
from batch_resend.errors import SettingsError
from batch_resend.folders import followed
from batch_resend.report import counted
from batch_resend.simulator import (
    DAY_S,
    Provenance,
    Simulator,
    SimulatorSettings,
    all_sources,
    parse_fault,
    parse_latency,
    parse_share,
)
from batch_resend.windows import CA_WINDOWS, parse_windows

_USUALLY_APPROVED = 0.3  # of mails, where days go by


class _SimulateCommand(ManualCommand):
    """A manual that ends with what the simulator's answers rest on."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(context, formatter)
        with formatter.section("Where its answers come from"):
            formatter.write_text(
                "None was tried on the live service. In brackets: the page of dev.digicert.com, or "
                "the year of a recording. A guess may be wrong: a rehearsal shows what this "
                "program does with such an answer, not that the CA gives it."
            )
            for source, answers in all_sources().items():
                named = [(one.name, _with_its_place(one)) for one in answers]
                with formatter.section(source.in_words):
                    formatter.write_dl(named, col_max=24)


def _with_its_place(answer: Provenance) -> str:
    return f"{answer.words} ({answer.where})" if answer.where else answer.words


@click.command(
    cls=_SimulateCommand,
    examples={
        "Rehearse a run, with a CA that is slow and sometimes down": "batch-resend simulate "
        "--latency 10-300ms --fail 503=5% -- batch-resend send orders.csv",
        "Start one, to try things against it": "batch-resend simulate --port 8080",
        "See what happens when a CDN or a proxy answers in the CA's place": "batch-resend "
        "simulate --fail 403-cdn=20% -- batch-resend send orders.csv",
        "See what happens when the key is revoked": "batch-resend simulate --revoke-after "
        "100 -- batch-resend send orders.csv",
        "Rehearse a nightly sweep": "batch-resend simulate --orders 50 -- batch-resend sweep",
        "Rehearse a week of them": "batch-resend simulate --orders 50 --days 7 -- batch-resend "
        "sweep --yes -q",
    },
    see_also=("send",),
)
@option_of_its_own("--host", default="127.0.0.1", help="Loopback only.")
@option_of_its_own(
    "--port",
    type=WholeNumber(0, 65535),
    default=0,
    show_default="a free port",
    help="The port it listens on.",
)
@option_of_its_own("--key", is_secret=True, help="The only API key that is accepted. Default: any.")
@option_of_its_own(
    "--revoke-after",
    metavar="N",
    type=WholeNumber(min=0),
    help="Revoke every key after N requests: later ones get the answer for a wrong key.",
)
@option_of_its_own(
    "--limit",
    "limits",
    metavar="N/W",
    multiple=True,
    default=tuple(str(window) for window in CA_WINDOWS),
    show_default="1000/3m and 100/5s",
    help="Rate limits of each key, counted by arrival; repeatable. none: no limit.",
)
@option_of_its_own("--latency", default="0ms", help="Such as 50ms or 10-300ms.")
@option_of_its_own(
    "--fail",
    "faults",
    metavar="NAME=SHARE",
    multiple=True,
    help="Fail a share of requests, such as 503=5% or drop=0.1; repeatable. The names are at the "
    "end of this help. Those that mail before they fail reset the connection of a read.",
)
@option_of_its_own(
    "--orders",
    type=WholeNumber(min=0),
    default=0,
    help="How many orders wait there, for `sweep`, `export`, `verify` and --preflight.",
)
@option_of_its_own(
    "--odd-orders",
    type=WholeNumber(min=0),
    default=0,
    help="How many odd orders wait there as well; each is odd in one way, such as a date_created "
    "of zeros.",
)
@option_of_its_own(
    "--days",
    type=WholeNumber(min=1),
    default=1,
    help="Run COMMAND N times, a day apart by its clock and the simulator's: orders age, some are "
    "approved, and each day a tenth as many new ones come. Only wrong usage (exit code 2) or "
    "a signal, such as by Ctrl-C, ends that early.",
)
@option_of_its_own(
    "--notify",
    is_flag=True,
    help="Let COMMAND ping, notify and write its metrics, as in a real night. Without this, a "
    "rehearsal leaves --ping-url, --notify-url and --metrics-file unused.",
)
@option_of_its_own(
    "--approve",
    type=Parsed("share", parse_share),
    metavar="SHARE",
    show_default="30% with --days, otherwise none",
    help="Share of mails that lead to an approval within a day: 30%, none, all. Days pass with "
    "--days, or while the simulator runs without COMMAND.",
)
@option_of_its_own(
    "--unknown",
    "unknown",
    metavar="ORDER",
    multiple=True,
    help="An order that the simulator does not know; repeatable.",
)
@option_of_its_own(
    "--seed", type=int, default=0, help="With the same seed, the same requests fail."
)
@option_of_its_own(
    "--books",
    type=FILE,
    help="File to write at the end, with what it received, as GET / shows it.",
)
@click.argument(
    "command",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[-- COMMAND...]",
    shell_complete=complete_file,
)
def simulate(
    command: Sequence[str], books: Path | None, days: int, is_json: bool, **options: Any
) -> int:
    """Run a local CertCentral to rehearse against. It sends no mail anywhere.

    With COMMAND, it runs for as long as the command does, and the command sends everything to it,
    for every account. The command's journal is removed at the end, unless --journal names one.
    The exit code is that of the command; with --days, the first that is not 0.
    Without COMMAND, it runs until Ctrl-C. GET / shows what it received.
    """
    if is_json and command:
        raise click.UsageError("--json belongs to the command that is run: write it after --")
    if days > 1 and not command:
        raise click.UsageError("--days needs a command to run: -- COMMAND")
    if command and days == 1 and options["approve"]:
        say("--approve: no order is approved before a day has passed; add --days to see some")
    settings = _settings(options, _USUALLY_APPROVED if days > 1 else 0.0)
    if command:
        daily = partial(_run_daily, command, days, notifies=options["notify"])
        return anyio.run(_simulate, settings, books, daily)
    return anyio.run(_simulate, settings, books, partial(_until_interrupted, is_json=is_json))


def _settings(options: dict[str, Any], approve: float) -> SimulatorSettings:
    try:
        return SimulatorSettings(
            **named_in(SimulatorSettings, options)
            | {
                "windows": parse_windows(options["limits"]),
                "api_key": options["key"],
                "unknown_orders": frozenset(options["unknown"]),
                "latency_s": parse_latency(options["latency"]),
                "faults": dict(map(parse_fault, options["faults"])),
                "approve": approve if options["approve"] is None else options["approve"],
            }
        )
    except ValueError as error:
        raise SettingsError(f"simulate: {error}") from None


async def _simulate(
    settings: SimulatorSettings, books: Path | None, work: Callable[[Simulator], Awaitable[int]]
) -> int:
    simulator = Simulator(settings)
    try:
        if books:
            books = followed(books)
            books.touch()
    except OSError as error:
        raise SettingsError(f"simulate: --books {books}: {error.strerror}") from None
    async with AsyncExitStack() as listening:
        try:
            await listening.enter_async_context(simulator)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise SettingsError(f"simulate: cannot listen on {where}: {error.strerror}") from None
        try:
            return await work(simulator)
        finally:
            if books:
                books.write_text(json.dumps(simulator.books.snapshot(), indent=2) + "\n")


async def _until_interrupted(simulator: Simulator, *, is_json: bool) -> int:
    key = "rehearsal" if simulator.settings.api_key is None else "KEY"  # it may be a real one
    if is_json:
        show_json({"base_url": simulator.base_url, "books_url": simulator.books_url})
        sys.stdout.flush()
    else:
        click.echo(
            f"CertCentral simulator at {simulator.base_url}\n"
            f"{simulator.books_url} shows what it received. Rehearse with:\n"
            f"  {KEY_VARIABLE}={key} batch-resend send --base-url {simulator.base_url} LIST\n"
            "Ctrl-C ends it."
        )
    with ending_signals() as signals:
        await anext(signals)
    return ExitCode.ALL_WELL


async def _run_daily(
    command: Sequence[str], days: int, simulator: Simulator, *, notifies: bool
) -> int:
    """Run a command day by day; return the first of its exit codes that is not 0."""
    first = 0
    with tempfile.TemporaryDirectory(prefix="batch-resend-rehearsal-") as folder:
        environment = {
            **os.environ,
            "BATCH_RESEND_JOURNAL": str(Path(folder) / "journal.db"),
            "PATH": os.pathsep.join([*os.get_exec_path(), _folder_of_program()]),
            **rehearsal_environment(
                simulator.base_url, simulator.settings.api_key, notifies=notifies
            ),
        }
        for day in range(days):
            _begin_day(day, days, simulator)
            ahead = in_a_rehearsal_after(day * DAY_S)
            code, caught = await _run(command, environment | ahead)
            first = first or code
            if days > 1:
                say(f"--- day {day + 1} of {days}: exit code {code}")
            left = days - day - 1
            if left and (why := _why_no_more(code, caught)):
                say(f"--- the other {_days_are(left)} not run: {why}")
                return SIGNAL_BASE + caught[0] if caught else first
    return first


def _begin_day(day: int, days: int, simulator: Simulator) -> None:
    if day:
        simulator.pass_day()
    if days > 1:
        orders = counted(simulator.world.count_waiting(), "order")
        say(f"--- day {day + 1} of {days}: {orders} waiting at the simulator")


def _why_no_more(code: int, caught: Sequence[signal.Signals]) -> str:
    """Return why a command is not run on other days, after its exit code on one; "": it is."""
    if caught:
        return f"interrupted by {caught[0].name}"
    # It would be wrong on every day. Whatever else went wrong may be over the next day.
    return "exit code 2 means wrong usage" if code == ExitCode.WRONG_USAGE else ""


def _days_are(days: int) -> str:
    return "day is" if days == 1 else f"{days} days are"


def _folder_of_program() -> str:
    """Return where this program is: in an environment of its own, it may be on no PATH."""
    called = Path(sys.argv[0]).absolute()
    return str(called.parent) if called.name == "batch-resend" else sysconfig.get_path("scripts")


async def _run(
    command: Sequence[str], environment: dict[str, str]
) -> tuple[int, Sequence[signal.Signals]]:
    """Run a command; return its exit code, and the signals to this program meanwhile."""
    caught: list[signal.Signals] = []
    with ending_signals() as signals:
        try:
            process = await anyio.open_process(
                command, env=environment, stdin=None, stdout=None, stderr=None
            )
        except OSError as error:
            raise SettingsError(f"simulate: {command[0]}: {error.strerror}") from None
        async with beside(partial(_pass_on_signals, signals, process, caught)):
            code = await process.wait()
    return code if code >= 0 else SIGNAL_BASE - code, caught


async def _pass_on_signals(
    signals: AsyncIterator[signal.Signals], process: Process, caught: list[signal.Signals]
) -> None:
    """Leave it to the command how to end. Ctrl-C on a terminal reaches it twice: that is one."""
    async for number in signals:
        caught.append(number)
        with suppress(ProcessLookupError):  # Ctrl-C may have ended it already
            process.send_signal(number)
