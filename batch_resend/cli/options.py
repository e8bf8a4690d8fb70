"""The options that several commands share; what they come to is in `as_settings`.

Those that are settings are declared there, in `settings`, and made here. An option is also an
environment variable, BATCH_RESEND_ and its name, and a line of the TOML file that --config names.
Flags win over the environment, the environment over the file. Where commands mean different things
by one name, only a flag says which.
"""

import os
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import click
from click.shell_completion import CompletionItem

from batch_resend.cli.accounts import CREDENTIAL, KEY_VARIABLE, take_profile
from batch_resend.cli.command import ManualOption
from batch_resend.clock import exact_duration, parse_duration
from batch_resend.errors import BatchResendError, SettingsError
from batch_resend.folders import Place, parse_place
from batch_resend.intake import Field
from batch_resend.journal import read_journal
from batch_resend.model import Call
from batch_resend.settings import OPTIONS, Part, Region, Settings, default_journal

_DNS_PORT = 53


_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


class DurationType(click.ParamType[float]):
    """A length of time, in seconds."""

    name = "duration"
    in_toml = (str, int, float), 'a length of time, such as "1h"'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PlaceType(click.ParamType[Place]):
    """Where a journal is."""

    name = "file or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the database."""
        try:
            place = parse_place(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(place, Path) and place.is_dir():
            self.fail(f"File {str(place)!r} is a directory.", param, ctx)
        return place


class DnsServerType(click.ParamType[tuple[str, int]]):
    """A DNS server."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return its IP address and its port."""
        if isinstance(value, tuple):
            return value
        text = value.strip()
        with suppress(ValueError):
            return str(ip_address(text)), _DNS_PORT
        try:
            url = urlsplit(f"//{text}")
            return str(ip_address(url.hostname or "")), url.port or _DNS_PORT
        except ValueError:
            such_as = "192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"
            self.fail(f"{value!r}: write an IP address, such as {such_as}", param, ctx)


class MappingType(click.ParamType[tuple[Field, str]]):
    """A field and the heading of the column that holds it."""

    name = "FIELD=COLUMN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the pair."""
        if isinstance(value, tuple):
            return value
        name, equals, column = value.partition("=")
        if not equals or name not in [field.value for field in Field]:
            fields = ", ".join(Field)
            self.fail(f"{value!r}: write FIELD=COLUMN, where FIELD is one of {fields}", param, ctx)
        return Field(name), column.strip()

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the pairs in a variable; a heading with blanks stands in quotation marks."""
        return shlex.split(rv)


@dataclass(frozen=True, slots=True)
class Share:
    """A number of rows, or a part of all of them."""

    text: str  # as a person writes it
    number: float
    is_percentage: bool

    def is_exceeded(self, count: int, of: int) -> bool:
        """Whether `count` of so many is more."""
        return count * 100 > self.number * of if self.is_percentage else count > self.number


class ShareType(click.ParamType[Share]):
    """A number of rows, or a percentage."""

    name = "N|N%"
    in_toml = (str, int), "a text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the share."""
        if isinstance(value, Share):
            return value
        text = str(value).strip()
        found = _SHARE.fullmatch(text)
        if found is None or (found[2] and float(found[1]) > 100) or ("." in text and not found[2]):
            message = f"{value!r}: write a number of rows, such as 50, or a percentage, 20%"
            self.fail(message, param, ctx)
        return Share(text, float(found[1]), bool(found[2]))


MAX_REJECTED = Share("20%", 20.0, is_percentage=True)  # unless somebody says otherwise


DURATION = DurationType()


DNS_SERVER = DnsServerType()


PLACE = PlaceType()


_MOST_RUNS = 50


def complete_file(
    _context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Leave it to the shell, which knows its files."""
    return [CompletionItem(incomplete, type="file")]


def complete_run(
    context: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the runs of the journal whose names begin so, the newest first."""
    journal = context.params.get("journal") or os.environ.get("BATCH_RESEND_JOURNAL")

    async def found() -> list[CompletionItem]:
        async with read_journal(parse_place(journal or default_journal())) as reader:
            return [
                CompletionItem(run.id, help=run.state.value)
                for run in await reader.runs()
                if run.id.startswith(incomplete)
            ]

    with suppress(BatchResendError, ValueError):
        return anyio.run(found)[:_MOST_RUNS]
    return []


SEND, RESUME = "send", "resume"  # the commands that may come next


_TYPES: dict[Any, click.ParamType[Any]] = {  # of options, by the types of their fields
    str: click.STRING,
    int: click.INT,
    float: DURATION,  # all that is no whole number is a length of time
    Path | None: click.Path(path_type=Path),
    Place: PLACE,
}


Command = TypeVar("Command", bound=Callable[..., Any])


def option(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option that is also an environment variable."""
    variable = "BATCH_RESEND_" + name.removeprefix("--").replace("-", "_").upper()
    return option_of_its_own(name, *more, envvar=variable, show_envvar=False, **how)


def option_of_its_own(name: str, *more: str, **how: Any) -> Callable[[Command], Command]:
    """Return a click option by whose name other commands mean something else."""
    return click.option(name, *more, cls=ManualOption, **how)


def together(
    section: str | None, *options: Callable[[Any], Any], carried_to: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Return one decorator for several options, in this order, under a heading if there is one."""

    def decorate(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))
        for add in reversed(options):
            command = add(command)
        for param in getattr(command, "__click_params__", ())[before:]:
            param.section = section or param.section
            param.carried_to = {*param.carried_to, *carried_to}
        return command

    return decorate


def format_option(*forms: str, help: str = "For people, or for programs.") -> Callable[..., Any]:
    """Return the option that says how a command's output is written; the first form is usual."""
    return option_of_its_own(
        "--format",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help=help,
    )


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


def settings_options(part: Part) -> list[Callable[[Any], Any]]:
    """Return the options of those settings that are about one thing, in their order."""
    return [_setting(name) for name, said in OPTIONS.items() if said.part is part]


def _setting(name: str) -> Callable[[Command], Command]:
    """Return the option of a setting, by its field."""
    said, field = OPTIONS[name], Settings.model_fields[name]
    kind: Any = field.annotation
    how: dict[str, Any] = {"show_default": said.default or True}
    if kind is bool:
        how = {"is_flag": True}
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        how |= {"type": click.Choice([one.value for one in kind]), "default": field.default.value}
    elif isinstance(field.default, tuple):
        texts = tuple(map(str, field.default))
        how |= {"multiple": True, "default": texts, "show_default": " and ".join(texts)}
    else:
        how["type"] = _TYPES[kind]
        if field.default_factory is not None:
            how["default"] = partial(_made, field.default_factory)
        elif said.default is None:
            how["default"] = exact_duration(field.default) if kind is float else field.default
    carried_to = (SEND, RESUME) if said.carried else ()
    return option(said.flag, help=said.help, metavar=said.metavar, carried_to=carried_to, **how)


def _made(factory: Callable[..., Any]) -> Any:
    """Return a default that is made when it is needed; where it cannot be, one has to be named."""
    try:
        return factory()
    except SettingsError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


(journal_option,) = settings_options(Part.JOURNAL)


report_dir_option = option(
    "--report-dir",
    carried_to=(RESUME,),
    type=click.Path(file_okay=False, path_type=Path),
    show_default="reports/RUN_ID",
    help="Where the report goes.",
)


redact_option = option(
    "--redact",
    is_flag=True,
    carried_to=(SEND, RESUME),
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
    carried_to=(SEND, RESUME),
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
        metavar="FIELD=COLUMN",
        multiple=True,
        help="Which column holds what; repeatable. Usual headings are known.",
    ),
    option(
        "--ignore",
        "ignored",
        metavar="COLUMN",
        multiple=True,
        help="A column that is not to be read, whatever it seems to hold; repeatable.",
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
    option(
        "--all-domains",
        is_flag=True,
        help="For rows without domain and address, in lists that have some: have the CA mail all "
        "domains of the order that wait, to all whom it knows.",
    ),
    carried_to=(SEND,),
)


limit_option = together("The CA's limits", *settings_options(Part.LIMITS))


ca_options = together(
    "The CA",
    option(
        "--profile",
        carried_to=(SEND, RESUME),
        metavar="NAME",
        is_eager=True,
        callback=take_profile,
        help="An account that the TOML file describes: key, region, limits, locale.",
    ),
    option(
        "--api-key-file",
        carried_to=(SEND, RESUME),
        type=click.Path(path_type=Path),
        help=f"File with the API key; else the variable {KEY_VARIABLE}, or systemd's credential "
        f"{CREDENTIAL}.",
    ),
    option(
        "--region",
        carried_to=(SEND, RESUME),
        type=click.Choice([region.value for region in Region]),
        default=Region.US.value,
        show_default=True,
        help="Which of the CA's platforms.",
    ),
    *settings_options(Part.CA),
)


concurrency_option = together("The CA", *settings_options(Part.CONCURRENCY))


retry_options = together("Trying again", *settings_options(Part.RETRIES))


again_options = together(
    "Trying again",
    *settings_options(Part.REPEATS),
    option(
        "--again",
        is_flag=True,
        carried_to=(SEND, RESUME),
        help="Repeat acknowledged requests: a cooldown of 0.",
    ),
)


report_options = together("Journal and report", journal_option, report_dir_option, redact_option)


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


def _log_options(
    verbose: str,
    *more: Callable[[Any], Any],
    quiet: str = "Only the summary and errors, and the plan where you are asked.",
) -> Callable[[Command], Command]:
    return together(
        "What is shown",
        option("--quiet", "-q", is_flag=True, help=quiet),
        option("--verbose", "-v", is_flag=True, help=verbose),
        option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="How log lines look.",
        ),
        *more,
    )


_log_file = option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append all of the log here, every attempt too, whatever -q and -v say.",
)


log_options = _log_options("Every attempt.", _log_file)


check_log_options = _log_options("Every row and order that there is a word of.")


distribute_option = together("Who sends", option(
    "--distribute", is_flag=True,
    help="Workers, on any hosts: see `worker`. For a journal in PostgreSQL.",
))  # fmt: skip


send_options = together(
    None, distribute_option, asking_options, limit_option, ca_options, concurrency_option,
    retry_options, again_options, report_options, alarm_options, log_options,
)  # fmt: skip


# Of commands that only read of the CA.
export_options = together(
    None, limit_option, ca_options, retry_options, together("Journal", journal_option), log_options
)


doctor_options = together(
    None,
    limit_option,
    ca_options,
    together("Journal", journal_option),
    together(
        "What is shown",
        option_of_its_own("--json", "is_json", is_flag=True, help="One object, for programs."),
        _log_options(
            "A sample of every answer, the fields that this program does not know, every request.",
            _log_file,
            quiet="Only what is wrong, and what it all comes to.",
        ),
    ),
)
