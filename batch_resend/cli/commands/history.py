"""`runs`, `show`, `history` and `report`: what the journal knows of earlier runs."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import anyio
import click

from batch_resend.calls import CALLS
from batch_resend.cli.accounts import clock_of_command
from batch_resend.cli.command import (
    ExitCode,
    WholeNumber,
    command,
    format_option,
    option_of_its_own,
)
from batch_resend.cli.next_flags import as_it_stands, next_flags_of_run
from batch_resend.cli.options import (
    journal_option,
    order_url_option,
    redact_option,
    report_dir_option,
    run_argument,
)
from batch_resend.cli.output.summary import Standing, show_summary
from batch_resend.cli.output.terminal import Record, show_json, show_records
from batch_resend.clock import in_local_time, timestamp
from batch_resend.folders import Place
from batch_resend.intake import Field, domain_name, email_address, known_field, order_number
from batch_resend.journal import Event, mention_of, read_journal, size_of_journal
from batch_resend.model import RequestStatus, Ruling, Run, RunState
from batch_resend.notify import CommandResult
from batch_resend.report import (
    Presentation,
    Summary,
    counted,
    folder_of,
    in_words,
    index_folder,
    make_summary,
    next_steps,
    of_profile,
    set_aside,
    time_taken,
    update_index,
    write_report,
)

_COUNTS = ("total", *RequestStatus, "in_flight")
_TO_RESUME = (RequestStatus.NOT_ATTEMPTED, RequestStatus.IN_DOUBT)
_ALL_RUNS = 2**31
_ORDER = re.compile(r"([^0-9@]*?)[\s:#]*([0-9][0-9 ,.']*)")  # as lists have it


@command(
    examples={
        "All runs": "batch-resend runs",
        "The newest three": "batch-resend runs --last 3",
        "For a spreadsheet": "batch-resend runs --format csv",
    },
    see_also=("show", "watch"),
)
@option_of_its_own(
    "--last",
    metavar="N",
    type=WholeNumber(min=1),
    default=_ALL_RUNS,
    show_default="all",
    help="Only the newest N runs.",
)
@format_option("table", "csv")
@journal_option
def runs(journal: Place, form: str, last: int, is_json: bool) -> int:
    """List all runs, newest first.

    The newest is the one that was begun, resumed or ended last. Times are local; in CSV and JSON
    they are UTC.
    """

    async def found() -> list[tuple[Summary, str]]:
        if size_of_journal(journal) is None:
            return []
        async with read_journal(journal, clock_of_command()) as reader:
            return [
                (await make_summary(reader, run), _state(run, await reader.holder(run)))
                for run in await reader.runs(last)
            ]

    records = _records(anyio.run(found), _RUN_FIELDS)
    if is_json:
        show_json(records)
        return ExitCode.ALL_WELL
    if not records and form == "table":
        click.echo(f"No runs yet in {journal}.")
        return ExitCode.ALL_WELL
    show_records(records, [*_RUN_FIELDS], form, _RUN_TABLE)
    if form == "table":
        size = megabytes(size_of_journal(journal) or 0)
        click.echo(f"Size of the journal {journal}: {size}", err=True)
    return ExitCode.ALL_WELL


def _records(found: Iterable[Any], fields: Mapping[str, Callable[[Any], object]]) -> list[Record]:
    return [{name: value_of(one) for name, value_of in fields.items()} for one in found]


def _state(run: Run, holder: str | None) -> str:
    """Return where a run stands; one that was cut off is not under way."""
    if run.state is not RunState.RUNNING:
        return run.state.value
    return f"running ({holder})" if holder else RunState.INTERRUPTED.value


def _local(at: str | None) -> str:
    """Return a time of this machine's clock, and how long ago it was; "" where there is none."""
    return "" if at is None else in_local_time(datetime.fromisoformat(at).timestamp(), time.time())


def _count(status: str) -> Callable[[tuple[Summary, str]], object]:
    return lambda run: getattr(run[0].orders, status)


_RUN_FIELDS: dict[str, Callable[[tuple[Summary, str]], object]] = {
    "run": lambda run: run[0].run_id,
    "state": lambda run: run[1],
    "profile": lambda run: run[0].profile,
    "is_rehearsal": lambda run: run[0].is_rehearsal,
    "started_at": lambda run: run[0].started_at,
    "elapsed_s": lambda run: run[0].elapsed_s,
    "between_starts_s": lambda run: run[0].between_starts_s,
    **{status: _count(status) for status in _COUNTS},
    "left": lambda run: run[0].left and run[0].left.requests,
    "attempts": lambda run: run[0].requests.attempts,
    "inputs": lambda run: [note.path for note in run[0].inputs],
}


def _took(elapsed_s: float | None, between_s: float) -> str:
    return "" if elapsed_s is None else time_taken(elapsed_s - between_s, between_s)


def _not_sent(record: Any) -> str:
    """Return what became of what was not sent, and what `resume` sends, where that differs."""
    counts = [(name, record[name]) for name in _COUNTS if name not in ("total", "sent")]
    words = {"not_attempted": "to go"} if str(record["state"]).startswith("running") else {}
    shown = [
        f"{count:,} {words.get(status) or in_words(status)}" for status, count in counts if count
    ]
    open_ones = sum(record[status] for status in _TO_RESUME)
    if record["left"] not in (None, open_ones):
        shown.append(f"{record['left']:,} left")
    return ", ".join(shown)


_RUN_TABLE: dict[str, Callable[[Any], str]] = {
    "run": itemgetter("run"),
    "state": lambda run: (
        run["state"].partition(" (")[0]  # without the process
        + (", rehearsal" if run["is_rehearsal"] else "")
    ),
    "started": lambda run: _local(run["started_at"]),
    "took": lambda run: _took(run["elapsed_s"], run["between_starts_s"]),
    "sent": lambda run: (
        f"{run[RequestStatus.SENT]:,} of {run['total'] - run[RequestStatus.SKIPPED]:,}"
    ),
    "not sent": _not_sent,
    "lists": lambda run: f"{', '.join(run['inputs'])}{of_profile(run['profile'])}",
}


@command(
    examples={
        "The newest run in numbers": "batch-resend show",
        "Another run, by the beginning of its name, or its end": "batch-resend show 753e",
        "For a program, as summary.json has it": "batch-resend show --json",
    },
    see_also=("runs", "report"),
)
@run_argument()
@format_option("table", "csv")
@journal_option
@report_dir_option
@click.pass_context
def show(context: click.Context, /, run_id: str, journal: Place, **options: Any) -> int:
    """Show a run (default: the newest): its lists, limits and counts, and what to do next.

    RUN is the name of a run, its beginning or end, or latest. --json prints it as in summary.json.
    """

    async def shown() -> None:
        async with read_journal(journal, clock_of_command()) as reader:
            run = await reader.run(run_id)
            standing = await as_it_stands(context, reader, run)
            summary = standing.summary
            state = _state(run, await reader.holder(run))
            if options["is_json"]:
                show_json(summary.model_dump(mode="json"))
                return
            if options["form"] == "csv":
                show_records(_facts(summary, state), ["fact", "value"], "csv", {})
                return
            await show_summary(reader, run, standing, _when_and_where(summary, state))

    anyio.run(shown)
    return ExitCode.ALL_WELL


def _when_and_where(summary: Summary, state: str) -> Iterator[tuple[str, str]]:
    yield "state", state
    yield "started", _local(summary.started_at) or "never"
    finished = "not yet" if summary.state == "running" else "never"
    yield "finished", _local(summary.finished_at) or finished
    for url in summary.urls:
        yield "CA", url
    yield "limits", " and ".join(summary.limits) or "none"
    for note in summary.inputs:
        yield "list", f"{note.path}: {counted(note.rows, 'row')}"


def _facts(summary: Summary, state: str) -> list[Record]:
    facts: list[tuple[str, object]] = [
        ("run", summary.run_id),
        ("profile", summary.profile or ""),
        ("state", state),
        ("why", summary.stop_reason or ""),
        ("started", summary.started_at or "never"),
        ("finished", summary.finished_at or "not yet"),
        ("took", _took(summary.elapsed_s, summary.between_starts_s)),
        *(("CA", url) for url in summary.urls),
        ("limits", " and ".join(summary.limits) or "none"),
        *(("input", f"{note.path}: {counted(note.rows, 'row')}") for note in summary.inputs),
    ]
    for group, counts in (
        ("rows", summary.rows), ("orders", summary.orders), ("requests", summary.requests)
    ):  # fmt: skip
        facts += [(f"{group}, {in_words(name)}", count) for name, count in counts]
    held_up = summary.back_pressure
    facts += [
        ("pauses because of the CA", held_up.pauses),
        ("paused for, seconds", held_up.paused_s),
        ("least share of the limits used", held_up.lowest_share),
    ]
    return [{"fact": name, "value": value} for name, value in facts if value != ""]


@command(
    examples={
        "Everything that was done for an order": "batch-resend history 100200301",
        "Whether a domain, or one below it, was mailed": "batch-resend history example.com",
        "Whether an address was mailed": "batch-resend history admin@example.com",
    },
    see_also=("runs",),
)
@click.argument("sought", metavar="ORDER_ID|DOMAIN|E-MAIL")
@format_option("table", "csv")
@journal_option
def history(sought: str, form: str, journal: Place, is_json: bool) -> int:
    """Show every attempt ever made for an order, a domain or an e-mail address, in all runs.

    The newest run comes last. A run that made no attempt has one line, which says why, and so has
    each rejected or duplicate row of its lists. A domain is also found by its subdomains and by
    the addresses at it. If an order was sent without addresses, only the CA knows the domains that
    it mailed: search for the order's number.
    """
    try:
        sought = _as_in_the_journal(sought)
    except ValueError as error:
        raise click.UsageError(f"ORDER_ID: {error}") from None
    is_name = "." in sought

    async def found() -> list[Event]:
        async with read_journal(journal, clock_of_command()) as reader:
            return await reader.history(sought)

    records = _records(anyio.run(found), _EVENT_FIELDS)
    if is_json:
        show_json(records)
        return ExitCode.ALL_WELL
    if not records and form == "table":
        click.echo(f"The journal knows nothing of {sought}.")
        return ExitCode.ALL_WELL
    table = _EVENT_TABLE
    if is_name:
        of_name = {"mails": partial(_mails, mention=mention_of(sought))}
        table = {"order": lambda event: event["order_id"] or ""} | table | of_name
    show_records(records, [*_EVENT_FIELDS], form, table)
    return ExitCode.ALL_WELL


def _as_in_the_journal(sought: str) -> str:
    """Return an order's number, also one such as `Order #1 100 161`, a domain, or an address.

    Raises ValueError.
    """
    order = _ORDER.fullmatch(sought)
    if order and (not order[1].strip() or known_field(order[1]) is Field.ORDER_ID):
        return order_number(order[2])
    if "@" in sought:
        return email_address(sought)
    return domain_name(sought) if "." in sought else order_number(sought)


def _took_s(event: Event) -> float | None:
    if event.begun_at is None or event.ended_at is None:
        return None
    return round(event.ended_at - event.begun_at, 3)


_EVENT_FIELDS: dict[str, Callable[[Event], object]] = {
    "run": attrgetter("run_id"),
    "locale": attrgetter("locale"),
    "attempt": attrgetter("attempt"),
    "begun_at": lambda event: None if event.begun_at is None else timestamp(event.begun_at),
    "took_s": _took_s,
    "answer": lambda event: None if event.attempt is None else event.ruling or "none yet",
    "http_status": attrgetter("http_status"),
    "error_code": attrgetter("error_code"),
    "error_message": attrgetter("message"),
    "outcome": attrgetter("outcome"),
    "entries": lambda event: [str(entry) for entry in event.entries],
    "base_url": attrgetter("base_url"),
    "call": attrgetter("call"),
    "account": attrgetter("account"),
    "order_id": attrgetter("order_id"),
    "input": attrgetter("input"),
    "line": attrgetter("line"),
}


def _mails(event: Any, mention: re.Pattern[str] | None = None) -> str:
    """Return whom an event mails; of many, those that have the mention."""
    if event["line"] is not None:
        return ""
    about_domain = CALLS[event["call"]].is_about_domain
    known = "the CA's contacts for it" if about_domain else "every pending domain"
    entries = event["entries"]
    named = [entry for entry in entries if mention is None or mention.search(entry)] or entries
    beside = len(entries) - len(named)
    return ", ".join(named + [f"and {counted(beside, 'other')}"] * bool(beside)) or known


def _said(event: Any) -> str:
    if event["line"] is None:
        return event["error_message"] or ""
    why = event["error_message"] or "adds nothing to the other rows of its order"
    return f"{event['input']}, line {event['line']}: {why}"


def _answer(event: Any) -> str:
    status, code = event["http_status"], event["error_code"]
    never_left = event["answer"] == Ruling.UNAVAILABLE and status is None
    said = "no connection" if never_left else in_words(event["answer"] or "")
    return " ".join(str(word) for word in (said, status, code) if word)


_EVENT_TABLE: dict[str, Callable[[Any], str]] = {
    "run": itemgetter("run"),
    "attempt": lambda event: "none" if event["attempt"] is None else str(event["attempt"]),
    "begun (UTC)": lambda event: (event["begun_at"] or "")[:19].replace("T", " "),
    "took": lambda event: "" if event["took_s"] is None else f"{event['took_s']:.3f} s",
    "answer": _answer,
    "said": _said,
    "outcome": lambda event: in_words(event["outcome"]),
    "mails": _mails,
}


@command(
    examples={
        "Of the newest run": "batch-resend report",
        "Mask the addresses in report.html (the tables keep them)": "batch-resend report "
        "--redact 20261123-211952-753e",
    },
    see_also=("show",),
)
@run_argument()
@journal_option
@report_dir_option
@order_url_option
@redact_option
@click.pass_context
def report(context: click.Context, /, run_id: str, journal: Place, **options: Any) -> int:
    """Write a run's report again (default: the newest run's), from the journal alone.

    RUN is the name of a run, its beginning or end, or latest. This never replaces the report of a
    newer run: it then writes to a folder of its own beside it.
    """
    pattern: Path = options["report_dir"]

    async def written() -> CommandResult:
        async with read_journal(journal, clock_of_command()) as reader:
            run = await reader.run(run_id)
            folder = set_aside(folder_of(pattern, run), run)
            flags = next_flags_of_run(context, run, await reader.accounts(run))
            presentation = Presentation(
                flags, redact=options["redact"], order_url=options["order_url"]
            )
            summary = await write_report(reader, run, folder, presentation)
            update_index(index_folder(pattern, run))
            steps = next_steps(summary, folder, flags)
            if not options["is_json"]:
                await show_summary(reader, run, Standing(summary, folder, steps))
            return CommandResult(ExitCode.ALL_WELL, summary, folder, next_steps=steps)

    result = anyio.run(written)
    if options["is_json"]:
        show_json(result.as_json(redact=options["redact"]))
    elif options["redact"]:
        click.echo("Only report.html is masked; the other files have the addresses.", err=True)
    return ExitCode.ALL_WELL


def megabytes(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1_000_000:,.1f} MB"
