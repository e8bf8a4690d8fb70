"""What options come to: settings, how lists are read, how a run is shown, whom to notify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from batch_resend.cli import rehearsal
from batch_resend.cli.key import find_key, read_key
from batch_resend.cli.profiles import Profile, profiles_of
from batch_resend.cli.prompts import has_terminal, next_flags
from batch_resend.cli.streams import most_in_flight
from batch_resend.cli.values import Share
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.model import Call, Run
from batch_resend.notify import Notifier
from batch_resend.report import Presentation
from batch_resend.settings import (
    OPTIONS,
    Account,
    Region,
    Settings,
    checked_base_url,
    make_settings,
)
from batch_resend.windows import Window, of_one_key, parse_windows


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is shown and reported."""

    report_dir: Path | None
    preflight: bool
    asks: bool  # before anything leaves
    quiet: bool
    presentation: Presentation
    strict: bool = False
    max_rejected: Share | None = None
    distribute: bool = False  # to workers
    any_product: bool = False  # --preflight: orders that are not DV are sent too


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
        presentation=Presentation(next_flags(context), redact=options["redact"]),
    )


def notifier_of(options: dict[str, Any]) -> Notifier:
    """Return whom to notify of how a command ends, as far as the options are known."""
    return Notifier(**named_in(Notifier, options))


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
    if (given := _given_base_url(options)) is not None:
        return given
    if (by_file := options["base_url"]) is not None:  # by the file
        return cast("str", by_file)
    return Region(options["region"]).base_url if run is None else run.base_url


def _windows(options: dict[str, Any], run: Run | None) -> tuple[Window, ...]:
    by_file = windows_of(options["limit"])
    if _is_given("limit"):
        return by_file
    source = click.get_current_context().get_parameter_source("limit")
    of_file = None if source is ParameterSource.DEFAULT else by_file
    known = _with_those_of(run, None, of_file)
    return by_file if known is None else known


def _with_those_of(
    run: Run | None, account: str | None, windows: tuple[Window, ...] | None
) -> tuple[Window, ...] | None:
    """Return some windows and those that an account had in a run; None: there are neither."""
    by_file = None if run is None else run.windows_of(account)
    had = None if by_file is None else parse_windows(by_file)
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
    settings = make_settings(**given, accounts=accounts)
    rehearsal.refuse_elsewhere(settings.base_url)
    most = most_in_flight(settings.concurrency, len(settings.keys(settings.names)))
    return settings.model_copy(update={"concurrency": most})


def base_url_of(options: dict[str, Any]) -> str:
    """Return where the CA of the command's own account is. Raises SettingsError."""
    try:
        return checked_base_url(_base_url(options, None))
    except ValueError as error:
        raise SettingsError(f"base_url: {error}") from None
