"""The options that several commands share; what they come to is in `as_settings`.

Those that are settings are declared there, in `settings`, and made here. An option is also an
environment variable, BATCH_RESEND_ and its name, and a line of the TOML file that --config names.
Flags win over the environment, the environment over the file. Where commands mean different things
by one name, only a flag says which.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from batch_resend.calls import CALLS
from batch_resend.cli.accounts import take_profile
from batch_resend.cli.command import FILE, NOTIFICATIONS, SHOWN, Parsed, flag, option, together
from batch_resend.cli.keys import CREDENTIAL
from batch_resend.cli.values import (
    DURATION,
    MAX_REJECTED,
    ORDER_URL,
    PATH,
    PLACE,
    SHARE,
    Pairs,
    mapping,
    url_of,
)
from batch_resend.cli.variables import KEY_VARIABLE
from batch_resend.clock import exact_duration
from batch_resend.errors import SettingsError
from batch_resend.folders import Place
from batch_resend.model import Call
from batch_resend.report import DEFAULT_PATTERN, check_pattern
from batch_resend.settings import OPTIONS, Part, Region, Settings

_TYPES: dict[Any, click.ParamType[Any]] = {  # of options, by the types of their fields
    str: click.STRING,
    int: click.INT,
    float: DURATION,  # all that is no whole number is a length of time
    Path | None: PATH,
    Place: PLACE,
}

SEND, RESUME, VERIFY = "send", "resume", "verify"  # the commands that may come next
Command = TypeVar("Command", bound=Callable[..., Any])

_CALLS_IN_WORDS = "; ".join(f"{name}, {call.mails}" for name, call in CALLS.items())


def settings_options(part: Part) -> list[Callable[[Any], Any]]:
    """Return the options of those settings that are about one thing, in their order."""
    next_ones = (SEND, RESUME) if part is Part.REPEATS else (SEND, RESUME, VERIFY)
    return [
        option(
            declared.flag,
            **{"help": declared.help, "metavar": declared.metavar, **_values(name)},
            carried_to=next_ones if declared.carried else (),
        )
        for name, declared in OPTIONS.items()
        if declared.part is part
    ]


def _values(name: str) -> dict[str, Any]:
    """Return what an option takes, and its default, by the field of a setting."""
    declared, field = OPTIONS[name], Settings.model_fields[name]
    kind, default = field.annotation, field.default
    if kind is bool:
        return {"is_flag": True}
    if isinstance(default, StrEnum):
        return {
            "type": click.Choice([one.value for one in type(default)]),
            "default": default.value,
        }
    if isinstance(default, tuple):
        texts = tuple(map(str, default))
        return {"multiple": True, "default": texts, "show_default": " and ".join(texts)}
    values: dict[str, Any] = {"type": _TYPES[kind], "show_default": declared.default or True}
    if field.default_factory is not None:
        values["default"] = partial(_made, field.default_factory)
    elif declared.default is None:
        values["default"] = exact_duration(default) if kind is float else default
    return values


def _made(factory: Callable[..., Any]) -> Any:
    """Return a default that is made when it is needed; where it cannot be, one has to be named."""
    try:
        return factory()
    except SettingsError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def _one_way_only(context: click.Context, param: click.Parameter, value: bool) -> bool:
    """Refuse two flags that say opposite things of what is not DV. Raises UsageError."""
    other = "any_product" if param.name == "auto_call" else "auto_call"
    if value and context.params.get(other):
        raise click.UsageError(
            "--auto-call and --any-product exclude each other: the first sends what is not DV by "
            "domain-dcv, the second by the order's own call."
        )
    return value


# --- the options --------------------------------------------------------------------------------

(journal_option,) = settings_options(Part.JOURNAL)


def _checked_pattern(context: click.Context, param: click.Parameter, value: Any) -> Any:
    """Return a pattern of folders, or of URLs. Raises BadParameter."""
    try:
        if value is not None:
            check_pattern(str(value))
    except ValueError as error:
        raise click.BadParameter(str(error), context, param) from None
    return value


report_dir_option = option(
    "--report-dir",
    carried_to=(SEND,),
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_PATTERN,
    callback=_checked_pattern,
    help="Folder for the report: {run} stands for the run's name, {date} for its day in UTC.",
)
report_url_option = option(
    "--report-url",
    metavar="URL",
    carried_to=(SEND, RESUME),
    type=Parsed("url", url_of),
    callback=_checked_pattern,
    help="URL of that folder on your web server, with {run} and {date} as above: pings and "
    "notifications link to the page.",
)
order_url_option = option(
    "--order-url",
    carried_to=(SEND, RESUME),
    type=ORDER_URL,
    metavar="URL",
    help="URL of an order in the CA's console, with {order} for its number: order numbers in "
    "report.html become links.",
)
redact_option = flag(
    "--redact",
    "Mask e-mail addresses in logs, in report.html, and in notifications.",
    carried_to=(SEND, RESUME),
)
any_product_option = flag(
    "--any-product",
    "Send dv-resend for orders that are not DV too: the CA's older pages say that it is for DV "
    "only, the newest one does not. Status and validation still count.",
    carried_to=(SEND, RESUME),
    callback=_one_way_only,
)

list_options = together(
    "How lists are read",
    option(
        "--map",
        "mapping",
        type=Pairs("FIELD=COLUMN", mapping),
        metavar="FIELD=COLUMN",
        multiple=True,
        help="Which column, or key of JSON, holds which field; repeatable. A key within another is "
        "order.id. Common names are recognized.",
    ),
    option(
        "--ignore",
        "ignored",
        metavar="COLUMN",
        multiple=True,
        help="A column, or key, to leave unread, whatever it seems to hold; repeatable. A key "
        "within another is order.note.",
    ),
    option("--locale", metavar="CODE", help="Language for rows that name none, such as en."),
    option(
        "--delimiter",
        metavar="CHAR",
        help="Delimiter of CSV lists: one character, or tab. Default: detected.",
    ),
    option(
        "--encoding",
        metavar="NAME",
        help="Encoding of text that is not UTF-8 and has no byte order mark, such as cp1252.",
    ),
    flag("--no-header", "The lists have no heading row; --map then takes column numbers, from 1."),
    option("--sheet", metavar="NAME", help="Sheet of an Excel file, if several have cells."),
    option(
        "--call",
        type=click.Choice([call.value for call in Call]),
        default=Call.DV_RESEND.value,
        help=f"Which of the CA's calls, for rows that name none: {_CALLS_IN_WORDS}.",
    ),
    flag(
        "--auto-call",
        "Use domain-dcv for rows that name no call and whose product is not DV.",
        callback=_one_way_only,
    ),
    any_product_option,
    flag(
        "--all-statuses",
        "Send whatever status, validation and product the CA's export gives for an order.",
    ),
    flag(
        "--all-domains",
        "For rows without domain and address, in lists that have some: let the CA mail its "
        "contacts on file for every pending domain of the order.",
    ),
    carried_to=(SEND,),
)

limit_option = together("The CA's limits", *settings_options(Part.LIMITS))
ca_options = together(
    "The CA",
    option(
        "--profile",
        carried_to=(SEND, RESUME, VERIFY),
        metavar="NAME",
        is_eager=True,
        callback=take_profile,
        help="An account in the TOML file: key, region, limits, locale.",
    ),
    option(
        "--api-key-file",
        carried_to=(SEND, RESUME, VERIFY),
        type=PATH,
        help=f"File with the API key. Without it: the variable {KEY_VARIABLE}, or systemd's "
        f"credential {CREDENTIAL}.",
    ),
    option(
        "--region",
        carried_to=(SEND, RESUME, VERIFY),
        type=click.Choice([region.value for region in Region]),
        default=Region.US.value,
        help="Which platform of the CA.",
    ),
    *settings_options(Part.CA),
)
concurrency_option = together("The CA", *settings_options(Part.CONCURRENCY))
retry_options = together("Trying again", *settings_options(Part.RETRIES))
again_options = together(
    "Trying again",
    *settings_options(Part.REPEATS),
    flag("--again", "Ignore what was mailed before: a cooldown of 0.", carried_to=(SEND, RESUME)),
)
report_options = together(
    "Journal and report",
    journal_option, report_dir_option, report_url_option, order_url_option, redact_option,
)  # fmt: skip

hold_back_options = together(
    "When not to send",
    flag("--strict", "Send nothing if any row is rejected."),
    option(
        "--max-rejected",
        type=SHARE,
        metavar="N|N%",
        default=MAX_REJECTED.text,
        help="Send nothing if more rows than that are rejected.",
    ),
)
asking_options = together(
    "When not to send",
    flag(
        "--preflight",
        "Ask the CA about each request first: skip an order that needs no mail, refuse a request "
        "for a domain (domain-dcv) that would mail anyone it does not name. It does not know of "
        "mails that were resent by hand.",
        carried_to=(SEND,),
    ),
    flag("--yes", "Do not ask before sending. (You are asked if there is a terminal.)"),
    flag("--dry-run", "Show what would be sent, and send nothing."),
)

# Eager, which is before the others: where one of those is wrong, it is known where to notify.
notify_options = together(
    NOTIFICATIONS,
    option(
        "--notify-url",
        is_secret=True,
        metavar="URL",
        is_eager=True,
        help="URL to post the summary to at the end, as JSON, such as a Slack webhook.",
    ),
    option(
        "--ping-url",
        is_secret=True,
        metavar="URL",
        is_eager=True,
        help="URL of a watchdog, such as healthchecks.io: requests URL/start, then URL or "
        "URL/fail.",
    ),
    option(
        "--metrics-file",
        is_eager=True,
        type=FILE,
        help="File for metrics of the run, for Prometheus' textfile collector: NAME.prom.",
    ),
    carried_to=(RESUME,),
)


def make_log_options(
    verbose: str,
    *more: Callable[[Any], Any],
    quiet: str = "Only errors and the summary, and the plan if you are asked.",
) -> Callable[[Command], Command]:
    """Return the options of what is shown, and what -q and -v mean by it."""
    return together(
        SHOWN,
        option("--quiet", "-q", is_flag=True, help=quiet),
        option("--verbose", "-v", is_flag=True, help=verbose),
        option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            carried_to=(RESUME,),
            help="Format of log lines.",
        ),
        *more,
    )


class Style(StrEnum):
    """How it is shown how far a command is."""

    AUTO = "auto"  # drawn on a terminal; elsewhere a line now and then
    JSON = "json"  # an object a line
    NONE = "none"


progress_option = option(
    "--progress", type=click.Choice([style.value for style in Style]), default=Style.AUTO.value,
    help="Progress, on standard error. auto: a live view on a terminal, otherwise a line every "
    "ten seconds, nothing with -q. json: a JSON object per line, every second.",
)  # fmt: skip
log_file_option = option(
    "--log-file", type=FILE, carried_to=(RESUME,),
    help="File to append the log to, whatever -q and -v say.",
)  # fmt: skip
log_level_option = option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
    carried_to=(RESUME,),
    help="What goes into --log-file. info: starts, ends, pauses, stops. debug: also every attempt.",
)  # fmt: skip
_log_file_options = (log_file_option, log_level_option)
log_options = make_log_options("Show every attempt.", *_log_file_options)
progress_and_log_options = make_log_options(
    "Show every attempt.", progress_option, *_log_file_options
)
check_log_options = make_log_options(
    "List every row and order with a remark.", quiet="Only errors, and the plan."
)

_distribute_option = together(
    "Who sends",
    flag(
        "--distribute",
        "Let workers on any host send the run: see `worker`. Needs a journal in PostgreSQL.",
    ),
)

send_options = together(
    None, _distribute_option, asking_options, limit_option, ca_options, concurrency_option,
    retry_options, again_options, report_options, notify_options, progress_and_log_options,
)  # fmt: skip
# Of commands that only read of the CA.
export_options = together(
    None, limit_option, ca_options, retry_options, together("Journal", journal_option),
    progress_and_log_options,
)  # fmt: skip
