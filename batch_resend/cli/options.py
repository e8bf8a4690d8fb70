"""The options that several commands share; what they come to is in `as_settings`.

An option is also an environment variable, BATCH_RESEND_ and its name, and a line of the TOML file
that --config names. Flags win over the environment, the environment over the file. Where commands
mean different things by one name, only a flag says which.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from batch_resend.cli.completion import complete_file, complete_run
from batch_resend.cli.key import CREDENTIAL, KEY_VARIABLE
from batch_resend.cli.manual import ManualOption
from batch_resend.cli.profiles import take_profile
from batch_resend.cli.values import DURATION, MAX_REJECTED, PLACE, MappingType, ShareType
from batch_resend.errors import SettingsError
from batch_resend.model import Call
from batch_resend.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_COOLDOWN_S,
    InDoubt,
    Region,
    default_journal,
)
from batch_resend.windows import CA_WINDOWS

Command = TypeVar("Command", bound=Callable[..., Any])


def option(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option that is also an environment variable."""
    variable = "BATCH_RESEND_" + name.removeprefix("--").replace("-", "_").upper()
    return option_of_its_own(name, *more, envvar=variable, show_envvar=False, **how)


def option_of_its_own(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option by whose name other commands mean something else."""
    return click.option(name, *more, cls=ManualOption, **how)


def together(section: str, *options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return one decorator for several options, listed in this order under this heading."""

    def decorate(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for add in reversed(options):
            command = add(command)
        for param in getattr(command, "__click_params__", ())[before:]:
            param.section = section
        return command

    return decorate


inputs_argument = click.argument(
    "inputs", nargs=-1, required=True, metavar="INPUT...", shell_complete=complete_file
)


def run_argument(*, required: bool) -> Callable[[Command], Command]:
    """Return the argument that names a run, which a shell completes from the journal."""
    return click.argument(
        "run_id",
        metavar="RUN" if required else "[RUN]",
        required=required,
        shell_complete=complete_run,
    )


def _usual_journal() -> Path:
    """Return the journal that no option names; without a home one has to be named."""
    try:
        return default_journal()
    except SettingsError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


journal_option = option(
    "--journal",
    type=PLACE,
    default=_usual_journal,
    show_default="in your state folder",
    help="The journal: a file, or a PostgreSQL database (postgresql://HOST/NAME).",
)

report_dir_option = option(
    "--report-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="reports/RUN_ID",
    help="Where the report goes.",
)

redact_option = option(
    "--redact",
    is_flag=True,
    help="Mask e-mail addresses in logs, in report.html, and in what is told to others.",
)


def _one_way_only(context: click.Context, param: click.Parameter, value: bool) -> bool:
    """Refuse two flags that say opposite things of what is not DV. Raises UsageError."""
    other = "any_product" if param.name == "auto_call" else "auto_call"
    if value and context.params.get(other):
        raise click.UsageError(
            "--auto-call and --any-product exclude each other: the one sends what is not DV by "
            "domain-dcv, the other by the order's own call."
        )
    return value


any_product_option = option(
    "--any-product",
    is_flag=True,
    callback=_one_way_only,
    help="Send dv-resend for orders that are not DV too: the CA's older pages say that it is for "
    "DV only, the newest one does not. Status and validation are looked at as ever.",
)

list_options = together(
    "How lists are read",
    option(
        "--map",
        "mapping",
        type=MappingType(),
        multiple=True,
        help="Which column holds what; repeatable. Usual headings are known.",
    ),
    option("--locale", metavar="CODE", help="Language for rows that name none, such as en."),
    option(
        "--delimiter",
        metavar="CHAR",
        help="Between the cells of CSV lists: one character, or tab. Otherwise it is found.",
    ),
    option(
        "--encoding",
        metavar="NAME",
        help="Of text that has no byte order mark and is not UTF-8, such as cp1252.",
    ),
    option(
        "--no-header",
        is_flag=True,
        help="The lists have no heading row; --map counts columns, from 1.",
    ),
    option("--sheet", metavar="NAME", help="Of Excel files, where several have cells."),
    option(
        "--call",
        type=click.Choice([call.value for call in Call]),
        default=Call.DV_RESEND.value,
        show_default=True,
        help="Which of the CA's calls, for rows that name none: the mails of a DV order, those of "
        "a domain (OV, EV, before any order), or the one that asks to approve an EV order.",
    ),
    option(
        "--auto-call",
        is_flag=True,
        callback=_one_way_only,
        help="domain-dcv for rows that name no call and whose product is not DV.",
    ),
    any_product_option,
    option(
        "--all-statuses",
        is_flag=True,
        help="Send whatever an export of the CA says of an order's status, validation, product.",
    ),
)

limit_option = together(
    "The CA's limits",
    option(
        "--limit",
        "limits",
        metavar="N/W",
        multiple=True,
        default=tuple(str(window) for window in CA_WINDOWS),
        show_default="1000/3m and 100/5s",
        help="At most N requests in any W; repeatable, all are kept. none: no limit.",
    ),
)

ca_options = together(
    "The CA",
    option(
        "--profile",
        metavar="NAME",
        is_eager=True,
        callback=take_profile,
        help="An account that the TOML file describes: key, region, limits, locale.",
    ),
    option(
        "--api-key-file",
        type=click.Path(path_type=Path),
        help=f"File with the API key; else the variable {KEY_VARIABLE}, or systemd's credential "
        f"{CREDENTIAL}.",
    ),
    option(
        "--region",
        type=click.Choice([region.value for region in Region]),
        default=Region.US.value,
        show_default=True,
        help="Which of the CA's platforms.",
    ),
    option("--base-url", metavar="URL", help="Where the API is, instead of --region."),
    option(
        "--ca-file",
        type=click.Path(path_type=Path),
        help="Trusted certificates (PEM), instead of the system's.",
    ),
    option(
        "--trust-env",
        is_flag=True,
        help="Go through the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name.",
    ),
    option(
        "--timeout",
        type=DURATION,
        default="30s",
        show_default=True,
        help="For one request.",
    ),
)

concurrency_option = together(
    "The CA",
    option(
        "--concurrency",
        type=int,
        default=DEFAULT_CONCURRENCY,
        show_default=True,
        help="Requests in flight, for mails and for what is read of the CA.",
    ),
)

retry_options = together(
    "Trying again",
    option("--max-attempts", type=int, default=6, show_default=True, help="For one order."),
    option("--max-elapsed", type=DURATION, default="1h", show_default=True, help="For one order."),
    option(
        "--patience",
        type=DURATION,
        default="1h",
        show_default=True,
        help="How long to wait for a CA that is down, or asks for a pause.",
    ),
)

again_options = together(
    "Trying again",
    option(
        "--in-doubt",
        type=click.Choice([policy.value for policy in InDoubt]),
        default=InDoubt.RETRY.value,
        show_default=True,
        help="A request that may have arrived unanswered: send again, or leave for a person.",
    ),
    option(
        "--cooldown",
        type=DURATION,
        default=f"{DEFAULT_COOLDOWN_S:g}s",
        show_default="20h",
        help="How long an acknowledged request is not repeated.",
    ),
    option("--again", is_flag=True, help="Repeat acknowledged requests: a cooldown of 0."),
)

report_options = together(
    "Journal and report",
    journal_option,
    report_dir_option,
    redact_option,
)

asking_options = together(
    "When not to send",
    option(
        "--preflight",
        is_flag=True,
        help="Ask the CA about each request first: skip what waits for no mail, refuse what would "
        "mail others than it asks for.",
    ),
    option(
        "--yes", is_flag=True, help="Don't ask before sending (asked wherever there is a terminal)."
    ),
)

# Eager, which is before the others: where one of those is wrong, it is known whom to tell.
alarm_options = together(
    "Whom to tell",
    option(
        "--notify-url",
        metavar="URL",
        is_eager=True,
        help="Where the summary is posted as JSON at the end, such as a Slack webhook.",
    ),
    option(
        "--ping-url",
        metavar="URL",
        is_eager=True,
        help="A watchdog's, as healthchecks.io has them: URL/start, then URL or URL/fail.",
    ),
    option(
        "--metrics-file",
        is_eager=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="Metrics of the run for Prometheus' textfile collector: NAME.prom.",
    ),
)

hold_back_options = together(
    "When not to send",
    option("--strict", is_flag=True, help="Send nothing if any row is rejected."),
    option(
        "--max-rejected",
        type=ShareType(),
        metavar="N|N%",
        default=MAX_REJECTED.text,
        show_default=True,
        help="Send nothing if more rows than that are rejected.",
    ),
)

_quiet = option(
    "--quiet", "-q", is_flag=True,
    help="Only the summary and errors, and the plan where you are asked.",
)  # fmt: skip
_log_format = option(
    "--log-format", type=click.Choice(["text", "json"]), default="text",
    show_default=True, help="How log lines look.",
)  # fmt: skip

_log_file = option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append all of the log here, every attempt too, whatever -q and -v say.",
)

log_options = together(
    "What is shown",
    _quiet,
    option("--verbose", "-v", is_flag=True, help="Every attempt."),
    _log_format,
    _log_file,
)

check_log_options = together(
    "What is shown",
    _quiet,
    option("--verbose", "-v", is_flag=True, help="Every row and order that there is a word of."),
    _log_format,
)


distribute_option = together("Who sends", option(
    "--distribute", is_flag=True,
    help="Workers, on any hosts: see `worker`. For a journal in PostgreSQL.",
))  # fmt: skip


def send_options(command: Command) -> Command:
    """Add what all commands that send have in common."""
    for add in (
        log_options, alarm_options, report_options, again_options, retry_options,
        concurrency_option, ca_options, limit_option, asking_options, distribute_option,
    ):  # fmt: skip
        command = add(command)
    return command


def export_options(command: Command) -> Command:
    """Add what a command needs that only reads of the CA."""
    for add in (log_options, together("Journal", journal_option), retry_options, ca_options,
                limit_option):  # fmt: skip
        command = add(command)
    return command


doctor_log_options = together(
    "What is shown",
    option_of_its_own("--json", "is_json", is_flag=True, help="One object, for programs."),
    option("--quiet", "-q", is_flag=True, help="Only what is wrong, and what it all comes to."),
    option(
        "--verbose",
        "-v",
        is_flag=True,
        help="A sample of every answer, the fields that this program does not know, every request.",
    ),
    _log_format,
    _log_file,
)


def doctor_options(command: Command) -> Command:
    """Add what a command needs that looks at what there is, in one try for each thing."""
    for add in (doctor_log_options, together("Journal", journal_option), ca_options, limit_option):
        command = add(command)
    return command
