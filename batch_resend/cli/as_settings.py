"""What options come to: settings, how lists are read, and the options of the next commands."""

import logging
import os
import resource
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from batch_resend.cli.accounts import (
    PARAMETERS,
    Profile,
    find_key,
    is_rehearsal,
    profiles_of,
    read_key,
    refuse_elsewhere,
)
from batch_resend.cli.config import given_for_this_command
from batch_resend.cli.options import DURATION, RESUME, SEND, Share, Style
from batch_resend.cli.output.terminal import has_terminal
from batch_resend.clock import exact_duration
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.model import Call, Run
from batch_resend.notify import Notifier
from batch_resend.report import NextFlags, Presentation
from batch_resend.settings import (
    OPTIONS,
    Account,
    InDoubt,
    Region,
    Settings,
    checked_base_url,
    make_settings,
)
from batch_resend.windows import CA_WINDOWS, Window, of_one_key, parse_windows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is shown and reported."""

    report_dir: Path | None
    preflight: bool
    asks: bool  # before anything leaves
    quiet: bool
    style: Style  # of the progress
    presentation: Presentation
    strict: bool = False
    max_rejected: Share | None = None
    distribute: bool = False  # to workers
    any_product: bool = False  # --preflight: orders that are not DV are sent too
    dry_run: bool = False  # nothing is sent
    first_orders: int | None = None  # how many to send before the rest is asked about


def named_in(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options say of the fields of a dataclass that have their names."""
    return {one.name: options[one.name] for one in fields(kind) if one.name in options}


def reading_of(options: dict[str, Any]) -> Reading:
    """Return how lists are to be read. Raises SettingsError."""
    delimiter = options["delimiter"]
    accounts = accounts_of(options)
    try:
        return Reading(
            **named_in(Reading, options)
            | {
                "mapping": dict(options["mapping"]),
                "headed": not options["no_header"],
                "delimiter": "\t" if delimiter in ("tab", "\\t") else delimiter,
                "call": Call(options["call"]),
                "ignored": frozenset(options["ignored"]),
                "accounts": {name: profile.locale for name, profile in accounts.items()},
                "own_account": options.get("profile"),
            }
        )
    except SettingsError as error:
        raise SettingsError(f"--{error}") from None


def run_options_of(context: click.Context, options: dict[str, Any]) -> RunOptions:
    """Return how a command's options want a run shown and reported. Raises SettingsError."""
    if options["distribute"] and isinstance(options["journal"], Path):
        raise SettingsError(
            f"--distribute: {options['journal']} is a file; workers need a journal in PostgreSQL, "
            "--journal postgresql://HOST/NAME"
        )
    return RunOptions(
        **named_in(RunOptions, options),
        # Decided at the start: a terminal that goes meanwhile has not said yes.
        asks=not options["yes"] and has_terminal(),
        style=style_of(options),
        presentation=Presentation(next_flags(context), redact=options["redact"]),
    )


def style_of(options: Mapping[str, Any]) -> Style:
    """Return how options want to be shown how far a command is."""
    style = Style(options["progress"])
    return Style.NONE if style is Style.AUTO and options["quiet"] else style


def notifier_of(options: dict[str, Any]) -> Notifier:
    """Return whom to notify of how a command ends, as far as the options are known."""
    # A watchdog would take a dry run for the night's.
    return Notifier() if options.get("dry_run") else Notifier(**named_in(Notifier, options))


def windows_of(limits: Sequence[str]) -> tuple[Window, ...]:
    """Return the windows that --limit names. Raises SettingsError."""
    if not limits:
        raise SettingsError("--limit: names none; the word none is for no limit")
    try:
        return parse_windows(limits)
    except ValueError as error:
        raise SettingsError(f"--limit: {error}") from None


def accounts_of(options: dict[str, Any], run: Run | None = None) -> dict[str, Profile]:
    """Return the profiles as this command has them. Raises SettingsError.

    What flags or the environment say goes before what a profile says: for the accounts that rows
    name too, or a command that names the simulator would mail by them for real. An account of an
    earlier run keeps to the windows that it had there, and to those that its profile says now.
    """
    changes: dict[str, Any] = {}
    if (base_url := _given_base_url(options)) is not None:
        changes["base_url"] = base_url
    if _is_given("locale"):
        changes["locale"] = options["locale"]
    limits = windows_of(options["limit"]) if _is_given("limit") else None
    return {
        name: replace(
            profile,
            **changes,
            windows=_with_those_of(run, name, profile.windows) if limits is None else limits,
        )
        for name, profile in profiles_of().items()
    }


def _is_given(option: str) -> bool:
    """Whether a flag or the environment names an option, and no file or default."""
    source = click.get_current_context().get_parameter_source(option)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _given_base_url(options: dict[str, Any]) -> str | None:
    """Return where flags or the environment say that the API is, if they do."""
    if _is_given("base_url"):
        return cast("str", options["base_url"])
    return Region(options["region"]).base_url if _is_given("region") else None


def _base_url(options: dict[str, Any], run: Run | None) -> str:
    """Return where the API is: by flags, else by the file, else as it was for a run."""
    usual = Region(options["region"]).base_url if run is None else run.base_url
    named = (_given_base_url(options), options["base_url"])
    return next((url for url in named if url is not None), usual)  # an empty one is an error


def _windows(options: dict[str, Any], run: Run | None) -> tuple[Window, ...]:
    """Return the windows of the command's own account: by flags, else by the file and a run."""
    named = windows_of(options["limit"])
    if _is_given("limit"):
        return named
    source = click.get_current_context().get_parameter_source("limit")
    of_file = None if source is ParameterSource.DEFAULT else named
    known = _with_those_of(run, None, of_file)
    return named if known is None else known


def _with_those_of(
    run: Run | None, account: str | None, windows: tuple[Window, ...] | None
) -> tuple[Window, ...] | None:
    """Return some windows and those that an account had in a run; None: there are neither."""
    texts = None if run is None else run.windows_of(account)
    had = None if texts is None else parse_windows(texts)
    known = [one for one in (windows, had) if one is not None]
    return of_one_key(known) if known else None


def settings_of(
    options: dict[str, Any], run: Run | None = None, *, needs_own_key: bool = False
) -> Settings:
    """Return the settings that options name. Raises SettingsError.

    What neither flags nor their sources say of an earlier run is as it was then. Unless the command
    needs a key of its own, it is enough that profiles have some.
    """
    accounts = {name: one.account() for name, one in accounts_of(options, run).items()}
    file = options["api_key_file"]
    key = find_key(file) if accounts and not needs_own_key else read_key(file)
    return settings_by(options, key, accounts, run)


def settings_by(
    options: dict[str, Any],
    key: str | None,
    accounts: Mapping[str, Account],
    run: Run | None = None,
) -> Settings:
    """Return the settings that options name, with these keys. Raises SettingsError."""
    # What a command has no option for stays as it is usually.
    given = {
        name: options[option.parameter]
        for name, option in OPTIONS.items()
        if option.parameter in options
    }
    given |= {"base_url": _base_url(options, run), "windows": _windows(options, run)}
    if options.get("again"):
        given["cooldown_s"] = 0.0
    if key is not None:
        given["api_key"] = key
    flags = next_flags(click.get_current_context(), to_keep=True)
    given["next_flags"] = {name: getattr(flags, name) for name in _KEPT}
    settings = make_settings(**given, accounts=accounts)
    refuse_elsewhere(settings.base_url)
    most = _most_in_flight(settings.concurrency, len(settings.keys(settings.names)))
    return settings.model_copy(update={"concurrency": most})


def base_url_of(options: dict[str, Any]) -> str:
    """Return where the CA of the command's own account is. Raises SettingsError."""
    try:
        return checked_base_url(_base_url(options, None))
    except ValueError as error:
        raise SettingsError(f"base_url: {error}") from None


_KEPT = ("config", "send", "resume")  # of the next flags, with a run


def next_flags(context: click.Context, *, to_keep: bool = False) -> NextFlags:
    """Return what this command was given, where the next commands need to be given it as well.

    By the environment or the TOML file too: who reads a report may have neither. `to_keep`: with
    the run. Then files are named as other folders have them, and the journal is left out: where it
    is, whoever reads it knows.
    """

    def flags(names: Sequence[str | None]) -> str:
        return _quoted(option_words(context, names, absolute=to_keep))

    def carried(to: str) -> list[str | None]:
        return [
            one.name
            for one in context.command.params
            if to in getattr(one, "carried_to", ()) and not (to_keep and one.name == "journal")
        ]

    return NextFlags(
        config=_quoted(config_words(context, absolute=to_keep)),
        send=flags(carried(SEND)),
        resume=flags(carried(RESUME)),
        in_doubt=flags(("in_doubt",)),
        watch=flags(("journal",)),
        none_will_do=is_rehearsal(),
    )


def next_flags_of_run(
    context: click.Context, run: Run, accounts: Sequence[str | None]
) -> NextFlags:
    """Return what the next commands for a run need that another command line began."""
    flags = next_flags(context)
    hold = run.settings.get("in_doubt") == InDoubt.HOLD
    flags = replace(flags, in_doubt=" --in-doubt hold" if hold else "")
    kept = run.settings.get("next_flags")
    if isinstance(kept, Mapping) and kept:
        masked = "--redact" in flags.send and "--redact" not in kept["send"]
        more = f"{flags.watch}{' --redact' if masked else ''}"
        return replace(
            flags,
            config=flags.config or kept["config"],
            send=f"{kept['send']}{more}",
            resume=f"{kept['resume']}{more}",
        )
    return _of_accounts(flags, run, accounts)


def _of_accounts(flags: NextFlags, run: Run, accounts: Sequence[str | None]) -> NextFlags:
    """Return the flags for a run of the library's, which keeps none.

    What its accounts have in common goes as a flag: that changes nothing for any of them. What sets
    them apart stands in the file.
    """
    names = accounts or (None,)
    place, limits = "", ""
    urls = {run.url_of(name) for name in names}
    if len(urls) == 1 and urls.isdisjoint({None, Region.US.base_url}):
        place = f" --base-url {run.url_of(names[0])}"
    windows = {run.windows_of(name) for name in names}
    if len(windows) == 1 and windows.isdisjoint({None, tuple(map(str, CA_WINDOWS))}):
        limits = "".join(f" --limit {one}" for one in run.windows_of(names[0]) or ("none",))
    return replace(
        flags,
        send=f"{flags.send}{place}{limits}",
        resume=flags.resume if set(names) == {None} else f"{flags.resume}{place}",
    )


def config_words(context: click.Context, *, absolute: bool = False) -> list[str]:
    """Return the words that name the TOML file, wherever it was found; they stand before all."""
    path: Path | None = context.find_root().params.get("config")
    return ["--config", str(path.absolute() if absolute else path)] if path else []


def _quoted(words: Sequence[str]) -> str:
    return "".join(f" {shlex.quote(word)}" for word in words)


def taken_over(context: click.Context, values: Mapping[str, object]) -> dict[str, object]:
    """Have options that nobody gave the values that they had earlier; return those.

    The next commands are then given them, too.
    """
    taken = {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.DEFAULT
    }
    for name, value in taken.items():
        context.params[name] = value
        context.set_parameter_source(name, ParameterSource.DEFAULT_MAP)
    return taken


def as_written(value: object, kind: click.ParamType[Any]) -> str:
    """Return a value as a person would write it on the command line."""
    if isinstance(value, tuple):
        return "=".join(value)
    if kind is DURATION and isinstance(value, float):
        return exact_duration(value)
    return str(value)


def _is_in_the_file_of(then: str, context: click.Context, name: str) -> bool:
    """Whether the next commands find an option of the file by themselves, or are not to have it.

    What the file says of one account, or of all that say nothing else, would go as a flag for each
    account that a list names.
    """
    if name not in given_for_this_command(context):
        return name in PARAMETERS or bool(then)
    root = context.find_root().default_map or {}
    if name in root.get(then, {}):
        return True
    # Where there are other accounts, only the key may be a flag: the rest would go for them too.
    return name in PARAMETERS and name != "api_key_file" and bool(profiles_of(context))


def option_words(
    context: click.Context,
    names: Sequence[str | None],
    then: str = "",
    *,
    absolute: bool = False,
) -> list[str]:
    """Return the words by which a command is given some options, wherever it had them from.

    `then` is the command that they are for, if it is known: what the file says for it stands.
    `absolute`: of files, whole paths.
    """
    words: list[str] = []
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "")
        if param.name not in names or given in (None, ParameterSource.DEFAULT):
            continue
        by_file = given is ParameterSource.DEFAULT_MAP and param.name in (context.default_map or {})
        if by_file and _is_in_the_file_of(then, context, param.name or ""):
            continue
        value = context.params[param.name]
        words += _words_of(
            param, value.absolute() if absolute and isinstance(value, Path) else value
        )
    return words


def _words_of(param: click.Parameter, value: object) -> list[str]:
    """Return the words by which an option has a value; none for a flag that is off."""
    name = param.opts[0]
    if isinstance(value, bool) or value is None:
        return [name] if value else []
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (name, as_written(one, param.type))]


# --- how many connections there may be ----------------------------------------------------------

# Beside connections, as counted in /proc while a run on uvloop sends and reports (17), and some.
OWN = 21
_OPEN = Path("/dev/fd")


def _most_in_flight(wanted: int, keys: int) -> int:
    """Return how many requests of each of some keys may be in flight; says so if that is fewer.

    The limit of this process (`ulimit -n`) is raised first, as far as that is allowed.
    """
    besides = _open_now() + OWN
    needed = besides + wanted * keys
    allowed = _raise_limit_to(needed)
    if allowed >= needed:
        return wanted
    most = within(allowed - besides, keys)
    log.warning(
        "no more than %d requests are in flight, in place of %d: this process may have %d files "
        "open, and needs %d for more; raise the limit (ulimit -n, LimitNOFILE=)",
        most, wanted, allowed, needed,
    )  # fmt: skip
    return most


def within(descriptors: int, keys: int) -> int:
    """Return how many requests of each of some keys so many descriptors are enough for."""
    return max(1, descriptors // keys)


def _open_now() -> int:
    """Return how many descriptors are open, those that were inherited too."""
    with suppress(OSError):
        return len(os.listdir(_OPEN)) - 1  # noqa: PTH208 - but for the one that lists them
    return 3


def _raise_limit_to(needed: int) -> int:
    """Return how many descriptors this process may have, after having asked for so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
