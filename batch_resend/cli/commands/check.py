"""`check`: everything up to the plan, without a key and, but for --mx, without a network.

And the requests of a plan for other programs, as they would be sent.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import click
from click.core import ParameterSource

from batch_resend.batch import Batch, open_batch
from batch_resend.calls import body_of, list_fields, path_of
from batch_resend.cli.arguments import inputs_argument
from batch_resend.cli.as_settings import (
    accounts_to_plan_by,
    budgets_of,
    reading_of,
    settings_by,
    windows_of,
)
from batch_resend.cli.command import (
    FILE,
    ExitCode,
    Parsed,
    command,
    flag,
    option,
    option_of_its_own,
    together,
)
from batch_resend.cli.keys import FoundKey
from batch_resend.cli.left import plan_of_left
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import check_log_options, limit_option, list_options
from batch_resend.cli.output.plan import (
    BEFORE_SENDING,
    WHEN_CHECKING,
    WHEN_CHECKING_CLOSELY,
    Closeness,
    show_left,
    show_plan,
)
from batch_resend.cli.output.terminal import say, show_json, show_lines
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.cli.values import MAX_REJECTED, Share
from batch_resend.errors import JournalError
from batch_resend.folders import Place
from batch_resend.intake import ListSource
from batch_resend.journal import (
    JournalReader,
    copy_lately,
    last_budgets,
    read_journal,
    resumed_instead,
    size_of_journal,
)
from batch_resend.model import UNKNOWN_WORDS, Call, Plan, Problem, Request, RowStatus, Run
from batch_resend.notify import CommandResult
from batch_resend.report import (
    MOST_DOMAINS_ASKED,
    Preview,
    counted,
    make_preview,
    whole_file,
    with_mail_routes,
)
from batch_resend.settings import DEFAULT_COOLDOWN_S, Settings, make_settings
from batch_resend.staging import done_since

REQUESTS_SHOWN = 3
_OF_A_DRY_RUN = 1_000  # requests, for programs
_OF_LISTS = ("inputs", "rows", "rejected")  # of a preview: a run that is resumed takes them over

_DNS_PORT = 53


def _dns_server(text: str) -> tuple[str, int]:
    text = text.strip()
    with suppress(ValueError):
        return str(ip_address(text)), _DNS_PORT
    try:
        url = urlsplit(f"//{text}")
        return str(ip_address(url.hostname or "")), url.port or _DNS_PORT
    except ValueError:
        such_as = "192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"
        raise ValueError(f"{text!r}: write an IP address, such as {such_as}") from None


@command(
    examples={
        "See what a list would send": "batch-resend check orders.csv",
        "Write every request, as it would be sent": "batch-resend check --out plan.jsonl "
        "orders.csv",
        "Ask DNS whether mail can arrive": "batch-resend check --mx orders.csv",
        "For a program": "batch-resend check --json orders.csv",
    },
    exit_codes=(ExitCode.NOT_ALL_SENT,),
    see_also=("send", "simulate"),
)
@inputs_argument
@list_options
@limit_option
@option_of_its_own(
    "--out",
    type=FILE,
    help="Also write every request to this file, as it would be sent: one JSON object per line.",
)
@together(
    "Whether mail can arrive",
    flag(
        "--mx",
        "Ask DNS whether the domains of the addresses accept mail. This asks your resolver, not "
        "the CA. Without --mx, no network is used.",
    ),
    option(
        "--dns-server",
        type=Parsed("address", _dns_server),
        metavar="ADDRESS",
        show_default="this machine's",
        help="With --mx: the DNS server to ask, such as a public one if yours only knows your "
        "company's network.",
    ),
)
@check_log_options
def check(inputs: Sequence[str], **options: Any) -> int:
    """Read lists and show the plan: rows, orders, rejects, warnings, time needed. Sends nothing.

    INPUT is a list in any form, or - for standard input. Uses no network, unless --mx asks DNS.
    """
    set_up_logs(options)
    given = click.get_current_context().get_parameter_source("dns_server")
    if given is ParameterSource.COMMANDLINE and not options["mx"]:
        raise click.UsageError("--dns-server is for --mx: give both")
    out: Path | None = options["out"]
    named = [Path(path) for path in inputs]
    if out and out.exists() and any(path.exists() and out.samefile(path) for path in named):
        raise click.UsageError(f"--out {out} is one of the lists: it would be overwritten")
    return check_lists(inputs, options)


def check_lists(inputs: Sequence[str], options: dict[str, Any]) -> int:
    """Show what lists would send, by the options of `check` or of `send`; return the exit code."""
    reading = reading_of(options)
    sources = [ListSource(path, reading) for path in inputs]
    return anyio.run(_check, sources, {"out": None, "mx": False, "form": "text", **options})


async def _check(sources: list[ListSource], options: dict[str, Any]) -> int:
    closeness = WHEN_CHECKING_CLOSELY if options["verbose"] else WHEN_CHECKING
    with tempfile.TemporaryDirectory(prefix="batch-resend-") as folder:
        settings = _settings(options, Path(folder) / "check.db")
        async with open_batch(settings, clock_of_command()) as batch:
            budgets, since = await _learn_what_was_sent(batch, sources, options)
            plan = await batch.plan(sources, budgets=budgets, since=since)
            reader = batch.reader
            preview = await make_preview(plan, reader, batch.settings, shown=closeness.first)
            async with AsyncExitStack() as journals:
                if left := await _left_of_resumed(batch, plan, budgets, options, journals):
                    plan, reader = left
                    of_lists = {name: getattr(preview, name) for name in _OF_LISTS}
                    preview = await make_preview(
                        plan, reader, batch.settings, shown=closeness.first
                    )
                    preview = preview.model_copy(update=of_lists)
                if options["mx"]:
                    preview = await _with_mail_routes(preview, reader, plan.run, closeness, options)
                first = await first_requests(reader, plan.run, REQUESTS_SHOWN, options["out"])
    if options["is_json"]:
        show_json(for_programs(preview, first))
    else:
        _show(plan, preview, closeness)
        _show_if_held_back(plan, _unchanged(preview), options)
        _show_requests(first, plan.to_send)
    unsure = any(warning.kind in UNKNOWN_WORDS for warning in preview.warnings)
    is_all = not (plan.rows[RowStatus.REJECTED] or unsure)
    return ExitCode.ALL_WELL if is_all else ExitCode.NOT_ALL_SENT


def _show(plan: Plan, preview: Preview, closeness: Closeness) -> None:
    if plan.taken_up:
        show_left(plan, preview, sys.stdout)
    else:
        show_plan(preview, sys.stdout, closeness)


def _unchanged(preview: Preview) -> int:
    return sum(one.count for one in preview.rejected if one.kind == Problem.UNCHANGED)


def _show_if_held_back(plan: Plan, unchanged: int, options: dict[str, Any]) -> None:
    strict, most = options.get("strict", False), options.get("max_rejected", MAX_REJECTED)
    if reason := hold_back_reason(plan, unchanged, most, strict=strict):
        other = "without --strict" if strict else "with `send --max-rejected 100%`"
        does = f", or send the other rows {other}" if plan.to_send else ""
        why = f"`send` would send nothing: {reason}. Is it the right list? If so, correct it"
        show_lines([(0, f"{why}{does}.")], sys.stdout)


def hold_back_reason(plan: Plan, unchanged: int, most: Share | None, *, strict: bool) -> str | None:
    """Return why nothing of a plan is to be sent, by its rejected rows; None: it is to be sent.

    `unchanged`: of these, in a rejected.csv. That they are rejected again says nothing of others.
    """
    rejected, read = plan.rows[RowStatus.REJECTED], sum(plan.rows.values())
    if strict and rejected:
        return f"--strict: {counted(rejected, 'row')} {'was' if rejected == 1 else 'were'} rejected"
    rejected, read = rejected - unchanged, read - unchanged
    if most is not None and most.is_exceeded(rejected, read):
        return f"{rejected:,} of {read:,} rows were rejected, more than --max-rejected {most.text}"
    return None


async def _with_mail_routes(
    preview: Preview, reader: JournalReader, run: Run, closeness: Closeness, options: dict[str, Any]
) -> Preview:
    """Return a preview with what DNS says of the domains. Raises SettingsError, JournalError."""
    from batch_resend.mail_domains import MailDomains  # noqa: PLC0415 - slow, and rarely wanted

    asking = MailDomains(options["dns_server"])
    if not options["quiet"] and preview.recipient_domains:
        say(f"Asking DNS about {min(preview.recipient_domains, MOST_DOMAINS_ASKED):,} domains")
    return await with_mail_routes(preview, reader, run, asking, closeness.first)


def _journal_of(options: Mapping[str, Any]) -> Place | None:
    """Return the journal of `send`, if it is there; `check` has none. Raises JournalError."""
    place: Place | None = options.get("journal")
    return None if place is None or size_of_journal(place) is None else place


async def _learn_what_was_sent(
    batch: Batch, sources: Sequence[ListSource], options: dict[str, Any]
) -> tuple[dict[str | None, str], float | None]:
    """Have a plan go by what the journal of `send` says was mailed, or may have been.

    Return by which keys that goes, for requests about domains: those of `send`, or where these
    cannot be read, those that the journal knows; and since when it is done, as `Run.done_since`.
    """
    settings, found, since = batch.settings, dict[str | None, str](), None
    cooling_down_since = batch.journal.now() - settings.cooldown_s
    try:
        if journal := _journal_of(options):
            async with read_journal(journal, clock_of_command()) as reader:
                since = await done_since(sources, reader, settings.base_url)
                earliest = min(cooling_down_since, since or cooling_down_since)
                await copy_lately(reader, earliest, batch.journal)
                found = await last_budgets(
                    reader, settings.base_url, settings.profile, settings.names
                )
                found |= budgets_of(options)
    except JournalError as error:
        say(f"What was sent before is not left out of this plan: {error}")
    return found, since


async def _left_of_resumed(
    batch: Batch,
    planned: Plan,
    budgets: Mapping[str | None, str],
    options: Mapping[str, Any],
    journals: AsyncExitStack,
) -> tuple[Plan, JournalReader] | None:
    """Return the plan of the run that `send` would resume in place of what is planned, if it would.

    And what reads it, until `journals` ends.
    """
    since = batch.journal.now() - (batch.settings.cooldown_s or DEFAULT_COOLDOWN_S)
    with suppress(JournalError):  # that was said before
        if planned.orders and (journal := _journal_of(options)):
            reader = await journals.enter_async_context(read_journal(journal, clock_of_command()))
            if run := await resumed_instead(reader, since, batch.reader, planned.run):
                lists = (batch.reader, planned.run)
                plan = await plan_of_left(reader, run, batch.settings, budgets, lists)
                say(
                    f"`send` resumes run {run.id}, which did not finish: this is what is left of it"
                )
                return replace(plan, rows=planned.rows), reader
    return None


def _settings(options: dict[str, Any], journal: Path) -> Settings:
    """Return settings to plan by as `send` does, without its keys."""
    accounts = accounts_to_plan_by(options)
    if "base_url" in options:
        return settings_by({**options, "journal": journal}, FoundKey("own", ""), accounts)
    windows = windows_of(options["limit"])
    return make_settings(api_key="own", windows=windows, accounts=accounts, journal=journal)


def _show_requests(requests: Sequence[dict[str, object]], of: int) -> None:
    if requests:
        click.echo(f"First requests, {len(requests)} of {of:,}")
    for request in requests:
        body = json.dumps(request["body"], ensure_ascii=False)
        click.echo(f"  {request['method']} {request['path']}\n    {body}")


def for_programs(preview: Preview, requests: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return a plan and the first of its requests, as --json has them."""
    return {**preview.model_dump(), "first_requests": requests}


async def show_only(
    plan: Plan, reader: JournalReader, settings: Settings, *, redact: bool
) -> CommandResult:
    """Show a plan in place of sending it."""
    preview = await make_preview(plan, reader, settings, shown=BEFORE_SENDING.first)
    if plan.taken_up:
        show_left(plan, preview, sys.stdout)
    elif any(plan.rows.values()):
        show_plan(preview, sys.stdout, BEFORE_SENDING, redact=redact)
    first = await first_requests(reader, plan.run, _OF_A_DRY_RUN)
    click.echo("Nothing was sent: --dry-run.")
    would_send = {"plan": for_programs(preview, first)}
    note = "nothing was sent: --dry-run"
    return CommandResult(ExitCode.ALL_WELL, note=note, would_send=would_send)


async def first_requests(
    reader: JournalReader, run: Run, most: int, path: Path | None = None
) -> list[dict[str, object]]:
    """Return the first requests, as they would be sent; write all of them, if there is a file."""
    first: list[dict[str, object]] = []
    with whole_file(path) if path else nullcontext() as file:
        async for planned in reader.pending(run):
            request = request_for_programs(planned.request)
            if len(first) < most:
                first.append(request)
            elif file is None:
                break
            if file is not None:
                file.write(json.dumps(request, ensure_ascii=False) + "\n")
    return first


def request_for_programs(order: Request) -> dict[str, object]:
    """Return a request as it would be sent. Its path goes below the base URL."""
    return {
        **list_fields(order.subject, order.call),
        **({} if order.call is Call.DV_RESEND else {"call": order.call}),
        **({} if order.account is None else {"account": order.account}),
        # Read again it stands beside requests that name addresses: there it needs the word.
        **({} if order.entries else {"all_domains": True}),
        "method": "PUT",
        "path": path_of(order),
        "body": body_of(order),
    }
