"""`config`: where each option of a command has its value from; a file of options to begin with."""

import copy
import json
import os
import sys
import textwrap
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import click
from click.core import ParameterSource
from click.types import IntParamType

from batch_resend.cli.accounts import PROFILES, profiles_of
from batch_resend.cli.as_settings import accounts_to_plan_by, settings_by, windows_of
from batch_resend.cli.command import NOTIFICATIONS, OTHER, ExitCode, command
from batch_resend.cli.config import config_of, usual_config
from batch_resend.cli.keys import FoundKey, look_for_key
from batch_resend.cli.next_flags import as_written
from batch_resend.cli.output.terminal import show_json, show_table
from batch_resend.errors import SettingsError
from batch_resend.folders import followed, make_private


@command(
    context_settings={"ignore_unknown_options": True},
    examples={
        "See the value of each option of `send`, and its source": "batch-resend config show",
        "The same of `sweep`, with an option": "batch-resend config show sweep --max-orders 50",
        "Write a file of options in the default place": "batch-resend config init",
    },
    see_also=("help reference",),
)
@click.argument("action", type=click.Choice(["show", "init"]))
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [OPTIONS]]")
@click.pass_context
def config(context: click.Context, action: str, words: Sequence[str], is_json: bool) -> int:
    """Show the value of each option of a COMMAND, and where it comes from; or write a file of them.

    `show`: default, file and line, variable or command line; secrets are masked. COMMAND is send
    unless you name another; it is not carried out. `init` writes every option but --json, commented
    out, with its default, or an example if it has none, to the file that --config names or to the
    default place. It overwrites no file.
    """
    if action == "init":
        if words:
            raise click.UsageError(
                "init takes no COMMAND; to name the file: batch-resend --config FILE config init"
            )
        return _init(context, is_json=is_json)
    named = bool(words) and not words[0].startswith("-")
    name, *options = words if named else ("send", *words)
    if name not in _commands(context):
        raise click.UsageError(
            f"show: there is no command {name}; `batch-resend --help` lists them"
        )
    return _show(context, name, options, is_json=is_json)


def _commands(context: click.Context) -> Mapping[str, click.Command]:
    return cast("click.Group", context.find_root().command).commands


# --- show ---------------------------------------------------------------------------------------


def _show(context: click.Context, name: str, options: Sequence[str], *, is_json: bool) -> int:
    parsed = _parsed(context, name, options)
    _refuse_values(parsed)
    rows = [*_values(parsed)]
    if "api_key_file" in parsed.params:
        rows.append(_key(parsed))
    if is_json:
        named = [dict(zip(("option", "value", "from"), row, strict=True)) for row in rows]
        path = context.find_root().params["config"]
        show_json({"command": name, "file": path and str(path), "options": named})
        return ExitCode.ALL_WELL
    texts = [(option, _in_words(value), source) for option, value, source in rows]
    show_table(("option", "value", "from"), texts, sys.stdout)
    return ExitCode.ALL_WELL


def _parsed(context: click.Context, name: str, options: Sequence[str]) -> click.Context:
    """Return the options of a command as it would have them. Raises UsageError."""
    without_arguments = copy.copy(_commands(context)[name])
    without_arguments.params = [
        *_options(without_arguments),
        click.Argument(["others"], nargs=-1, type=click.UNPROCESSED),
    ]
    try:
        return without_arguments.make_context(name, list(options), parent=context.find_root())
    except click.UsageError as error:  # which is not one of that command: nobody is notified
        raise click.UsageError(f"{name}: {error.format_message()}", context) from None


def _refuse_values(parsed: click.Context) -> None:
    """Refuse what the command itself would refuse of its settings. Raises SettingsError."""
    options = parsed.params
    with parsed.scope(cleanup=False):
        if "base_url" in options:
            settings_by(options, FoundKey("own", ""), accounts_to_plan_by(options))
        elif "limit" in options:
            windows_of(options["limit"])


def _options(of: click.Command) -> list[click.Option]:
    return [one for one in of.params if isinstance(one, click.Option) and one.name != "is_json"]


Row = tuple[str, Any, str]  # option, value as JSON has it, and where it is from


def _values(parsed: click.Context) -> Iterator[Row]:
    for one in _options(parsed.command):
        value, name = parsed.params[one.name or ""], _key_of(one)
        if getattr(one, "is_secret", False) and value is not None:
            value = _masked(value)
        elif isinstance(value, tuple):
            value = [as_written(each, one.type) for each in value]
        elif value is not None and not isinstance(value, bool | int):
            value = as_written(value, one.type)
        yield f"--{name}", value, _source(parsed, one)


def _source(parsed: click.Context, of: click.Option) -> str:
    source = parsed.get_parameter_source(of.name or "")
    if source is ParameterSource.COMMANDLINE:
        return "command line"
    if source is ParameterSource.ENVIRONMENT:
        return f"variable {of.envvar}"
    read = config_of(parsed)
    if source is not ParameterSource.DEFAULT_MAP or read is None or parsed.params[of.name] is None:
        return "default"
    profile: str | None = parsed.params.get("profile")
    is_of_profile = profile is not None and of.name in profiles_of(parsed)[profile].values
    table = f"{PROFILES}.{profile}" if is_of_profile else parsed.info_name or ""
    line = read.line_of_option(table, _key_of(of))
    named = f", [{table}]" if is_of_profile else ""
    return f"{parsed.find_root().params['config']}, line {line}{named}"


def _key(parsed: click.Context) -> Row:
    try:
        found = look_for_key(parsed.params["api_key_file"])
    except SettingsError as error:
        return "API key", None, str(error)
    return ("API key", None, "nowhere") if found is None else ("API key", "***", found.where)


def _masked(secret: str) -> str:
    """Return as much of a secret as says which one it is: of a URL its host."""
    url = urlsplit(secret)
    return f"{url.scheme}://{url.hostname}/***" if url.scheme and url.hostname else "***"


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " and ".join(value)
    return "" if value is None else str(value)


# --- init ---------------------------------------------------------------------------------------

_HEAD = """\
# Options of batch-resend, all but --json: each with its default, or an example if it has none.
# To change one, remove its # and edit the value. Flags and variables win over this file.
# A table such as [send] or [sweep] takes any option of that command, for that command alone.
# `batch-resend config show` shows the value of each option, and where it comes from.
"""
_WHY_OF_SWEEPS = """
#: The next three are not at the top: a `send` by hand would tell the watchdog that all is well.
"""
_NOTIFIES = "sweep"  # which nobody watches
_PROFILE = """
# --- Accounts: rows name them in a column `account`, commands with --profile ---

# [profiles.shop]
# api-key-file = "/etc/batch-resend/shop.key"
# region = "us"
"""
_EXAMPLES = {  # where what an option takes is none
    "map": '{ order_id = "Order number" }',
    "locale": '"en"',
    "delimiter": '";"',
    "filter": '["container_id=5"]',
    "dns-server": '"192.0.2.1"',
    "sweep": '["0 2 * * *"]',
    "older-than": '"1d"',
    "fail": '["503=5%"]',
    "approve": '"30%"',
    "unknown": '["100200300"]',
    "report-url": '"https://host/reports/{run}"',
    "order-url": '"https://host/orders/{order}"',
}
_WIDTH = 98


def _init(context: click.Context, *, is_json: bool) -> int:
    path: Path | None = context.find_root().params["config"] or usual_config()
    if path is None:
        raise SettingsError(
            "there is no home folder to write the file in: name a file with --config FILE"
        )
    content = _template(_commands(context))
    try:
        place = followed(path)
        make_private(place.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(place, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise SettingsError(f"{path} exists already, and was left as it is") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from None
    if is_json:
        show_json({"file": str(path)})
    else:
        click.echo(f"Wrote {path}: every option, commented out. Remove the # of those you want.")
    return ExitCode.ALL_WELL


def _template(commands: Mapping[str, click.Command]) -> str:
    """Return a file of all options that a file may have, commented out.

    Those of notifications are in the table of `sweep`, though `send` has them, too: they are for
    what nobody watches.
    """
    of_send = _options(commands["send"])
    shared = {_key_of(one): one for one in of_send if _section(one) != NOTIFICATIONS}
    lines = [_HEAD]
    sections: dict[str, list[str]] = {}
    for key, one in shared.items():
        sections.setdefault(_section(one), []).extend(_commented(key, one))
    for heading, options in sections.items():
        lines += (f"\n# --- {heading} ---\n", *options)
    for name, one_command in commands.items():
        lines += _table(name, one_command, shared)
    return "".join([*lines, _PROFILE])


def _table(name: str, command: click.Command, shared: Container[str]) -> Iterator[str]:
    own = [one for one in _options(command) if _is_only_in_table(name, one, shared)]
    if own:
        # No comment: an option below would else be one of the table before.
        yield f"\n# --- Only for `{name}` ---\n\n[{name}]\n"
    why = _WHY_OF_SWEEPS
    for one in own:
        if _section(one) == NOTIFICATIONS:
            yield why
            why = ""
        yield from _commented(_key_of(one), one)


def _is_only_in_table(name: str, one: click.Option, shared: Container[str]) -> bool:
    """Whether an option is not at the top, or means something of its own in this command."""
    if _section(one) == NOTIFICATIONS:
        return name == _NOTIFIES
    return one.envvar is None or _key_of(one) not in shared


def _section(one: click.Option) -> str:
    return getattr(one, "section", OTHER)


def _commented(key: str, one: click.Option) -> Iterator[str]:
    yield "\n"
    for line in textwrap.wrap(one.help or "", _WIDTH - 3):
        yield f"#: {line}\n"
    yield f"# {key} = {_example(key, one)}\n"


def _example(key: str, one: click.Option) -> str:
    """Return a value of an option, as TOML has it: its default, or an example."""
    context = click.Context(click.Command(""))
    default: Any = one.get_default(context)
    if not isinstance(default, str | int | tuple | list | Path):
        if key in _EXAMPLES:
            return _EXAMPLES[key]
        default = None
    name = one.make_metavar(context).strip("[]")
    if one.is_flag:
        return "true" if default else "false"
    if one.multiple:
        return json.dumps(list(default or [name]))
    if isinstance(one.type, IntParamType):
        return str(100 if default is None else default)
    return json.dumps(name if default is None else str(default))


def _key_of(one: click.Option) -> str:
    """Return the name of an option in a file."""
    return next(name for name in one.opts if name.startswith("--")).removeprefix("--")
