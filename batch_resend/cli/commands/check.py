"""`check`: everything up to the plan, without a key and, but for --mx, without a network."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
from click.core import ParameterSource

from batch_resend.calls import list_fields
from batch_resend.certcentral import request_body, request_path
from batch_resend.cli.as_settings import accounts_of, reading_of, windows_of
from batch_resend.cli.exits import ExitCode
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import (
    check_log_options,
    format_option,
    inputs_argument,
    limit_option,
    list_options,
    option,
    option_of_its_own,
    together,
)
from batch_resend.cli.output.summary import (
    WHEN_CHECKING,
    WHEN_CHECKING_CLOSELY,
    Closeness,
    show_plan,
)
from batch_resend.cli.output.terminal import say
from batch_resend.cli.profiles import Profile
from batch_resend.cli.values import DNS_SERVER, MAX_REJECTED
from batch_resend.intake import ListSource
from batch_resend.journal import Endpoint, JournalReader, open_journal
from batch_resend.model import UNKNOWN_WORDS, Call, Plan, Request, RowStatus, Run
from batch_resend.planning import make_plan, stage
from batch_resend.report import (
    MOST_DOMAINS_ASKED,
    Preview,
    make_preview,
    whole_file,
    with_mail_routes,
)
from batch_resend.windows import Window, of_one_key

REQUESTS_SHOWN = 3


@click.command(
    cls=ManualCommand,
    examples={
        "See what a list would send": "batch-resend check orders.csv",
        "Write every request, as it would be sent": "batch-resend check --out plan.jsonl "
        "orders.csv",
        "Ask DNS whether mail can arrive": "batch-resend check --mx orders.csv",
        "For a program": "batch-resend check --format json orders.csv",
    },
    exit_codes=(ExitCode.NOT_ALL_SENT,),
    see_also=("send", "simulate"),
)
@inputs_argument
@list_options
@limit_option
@format_option("text", "json")
@option_of_its_own(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write every request, as it would be sent, into this file: a JSON object a line.",
)
@together(
    "Whether mail can arrive",
    option(
        "--mx",
        is_flag=True,
        help="Ask DNS whether the domains of the addresses take mail: your resolver, nothing of "
        "the CA. Without it, no network is used.",
    ),
    option(
        "--dns-server",
        type=DNS_SERVER,
        metavar="ADDRESS",
        show_default="this machine's",
        help="With --mx: the server to ask, such as a public one where yours answers for the "
        "inside of a company only.",
    ),
)
@check_log_options
def check(inputs: Sequence[str], **options: Any) -> int:
    """Read lists and show the plan: rows, orders, rejects, warnings, time needed. Sends nothing.

    INPUT is a list of any form, or - for standard input. No network is used, unless --mx asks DNS.
    """
    set_up_logs_of(options)
    given = click.get_current_context().get_parameter_source("dns_server")
    if given is ParameterSource.COMMANDLINE and not options["mx"]:
        raise click.UsageError("--dns-server says whom --mx asks: give both")
    reading = reading_of(options)
    out: Path | None = options["out"]
    if out is not None and out.exists() and any(_is_same_file(out, path) for path in inputs):
        raise click.UsageError(f"--out {out} is one of the lists: it would be overwritten")
    sources = [ListSource(path, reading) for path in inputs]
    own = Profile("", None, "", windows_of(options["limit"]), None, {})
    return anyio.run(_check, sources, {None: own, **accounts_of(options)}, options)


def _is_same_file(out: Path, listed: str) -> bool:
    return Path(listed).exists() and out.samefile(listed)


async def _check(
    sources: list[ListSource],
    accounts: Mapping[str | None, Profile],
    options: dict[str, Any],
) -> int:
    closeness = WHEN_CHECKING_CLOSELY if options["verbose"] else WHEN_CHECKING
    with tempfile.TemporaryDirectory(prefix="batch-resend-") as folder:
        async with open_journal(Path(folder) / "check.db") as journal:
            run, staging = await journal.new_run("check", accounts[None].windows_kept)
            await stage(sources, staging)
            parties = {name: _party(profile) for name, profile in accounts.items()}
            run = await journal.finish_planning(run, staging, 0.0, parties)
            await journal.settle(run, 0.0, hold_doubts=False)
            reader = journal.reader
            parts_of = partial(_parts, accounts)
            plan = await make_plan(reader, run, parts_of, taken_up=False)
            preview = await make_preview(plan, reader, shown=closeness.first)
            if options["mx"]:
                preview = await _with_mail_routes(preview, reader, run, closeness, options)
            first = [_request(order) for order in await _first_orders(reader, plan)]
            if options["out"] is not None:
                await _write_requests(reader, plan, options["out"])
    if options["form"] == "json":
        click.echo(json.dumps({**preview.model_dump(), "first_requests": first}, indent=2))
    else:
        show_plan(preview, sys.stdout, closeness)
        if MAX_REJECTED.is_exceeded(preview.rows.rejected, preview.rows.read):
            click.echo(f"`send` would send nothing: more than --max-rejected {MAX_REJECTED.text}")
        _show_requests(first, plan.to_send)
    unsure = any(warning.kind in UNKNOWN_WORDS for warning in preview.warnings)
    is_all = not (plan.rows[RowStatus.REJECTED] or unsure)
    return ExitCode.ALL_WELL if is_all else ExitCode.NOT_ALL_SENT


async def _with_mail_routes(
    preview: Preview,
    reader: JournalReader,
    run: Run,
    closeness: Closeness,
    options: dict[str, Any],
) -> Preview:
    """Return a preview with what DNS says of the domains. Raises SettingsError, JournalError."""
    from batch_resend.mail_domains import MailDomains  # noqa: PLC0415 - slow, and rarely wanted

    asking = MailDomains(options["dns_server"])
    if not options["quiet"] and preview.recipient_domains:
        say(f"Asking DNS about {min(preview.recipient_domains, MOST_DOMAINS_ASKED):,} domains")
    return await with_mail_routes(preview, reader, run, asking, closeness.first)


def _party(profile: Profile) -> Endpoint:
    """Return whom an account asks, as far as can be told without its key."""
    return Endpoint("check", f"{profile.base_url} {profile.api_key_file}")


def _parts(
    accounts: Mapping[str | None, Profile], counts: Mapping[str | None, int]
) -> list[tuple[int, Sequence[Window]]]:
    """Return how many requests go out within which windows: those by one key together."""
    together: dict[Endpoint, list[str | None]] = {}
    for name in counts or (None,):
        together.setdefault(_party(accounts[name]), []).append(name)
    return [
        (
            sum(counts.get(name, 0) for name in same),
            of_one_key(accounts[name].windows_kept for name in same),
        )
        for same in together.values()
    ]


async def _first_orders(reader: JournalReader, plan: Plan) -> list[Request]:
    found: list[Request] = []
    async for planned in reader.pending(plan.run):
        if len(found) == REQUESTS_SHOWN:
            break
        found.append(planned.request)
    return found


async def _write_requests(reader: JournalReader, plan: Plan, path: Path) -> None:
    with whole_file(path) as file:
        async for planned in reader.pending(plan.run):
            file.write(json.dumps(_request(planned.request), ensure_ascii=False) + "\n")


def _request(order: Request) -> dict[str, object]:
    """Return a request as it would be sent. Its path goes below the base URL."""
    call = {} if order.call is Call.DV_RESEND else {"call": order.call}
    account = {} if order.account is None else {"account": order.account}
    # Read again it stands beside requests that name addresses: there it needs the word.
    nobody: dict[str, object] = {} if order.entries else {"all_domains": True}
    return {
        **list_fields(order.subject, order.call),
        **call,
        **account,
        **nobody,
        "method": "PUT",
        "path": request_path(order),
        "body": json.loads(request_body(order)),
    }


def _show_requests(requests: Sequence[dict[str, object]], of: int) -> None:
    if requests:
        click.echo(f"First requests, {len(requests)} of {of:,}")
    for request in requests:
        body = json.dumps(request["body"], ensure_ascii=False)
        click.echo(f"  {request['method']} {request['path']}\n    {body}")
