"""What a command's options come to: settings, a way to read lists, who is told of its end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import click
from click.core import ParameterSource

from batch_resend.alarm import Alarm
from batch_resend.cli import rehearsal
from batch_resend.cli.descriptors import most_in_flight
from batch_resend.cli.key import find_key, read_key
from batch_resend.cli.profiles import Profile, profiles_of
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.model import Call, Run
from batch_resend.settings import (
    DEFAULT_CONCURRENCY,
    DEFAULT_COOLDOWN_S,
    Account,
    InDoubt,
    Region,
    Settings,
    checked_base_url,
    make_settings,
)
from batch_resend.windows import Window, of_one_key, parse_windows

_RETRYING = {  # settings by the options that say them
    "max_attempts": "max_attempts",
    "max_elapsed_s": "max_elapsed",
    "patience_s": "patience",
}


def reading_of(options: dict[str, Any]) -> Reading:
    """Return how lists are to be read. Raises SettingsError."""
    delimiter = options["delimiter"]
    accounts = accounts_of(options)
    try:
        return Reading(
            mapping=dict(options["mapping"]),
            locale=options["locale"],
            headed=not options["no_header"],
            delimiter="\t" if delimiter in ("tab", "\\t") else delimiter,
            encoding=options["encoding"],
            sheet=options["sheet"],
            all_statuses=options["all_statuses"],
            any_product=options["any_product"],
            call=Call(options["call"]),
            auto_call=options["auto_call"],
            accounts={name: profile.locale for name, profile in accounts.items()},
            own_account=options.get("profile"),
            all_domains=options["all_domains"],
            ignored=frozenset(options["ignored"]),
        )
    except SettingsError as error:
        raise SettingsError(f"--{error}") from None


def alarm_of(options: dict[str, Any]) -> Alarm:
    """Return who is told how a command ends: all of them, or as far as they are known."""
    return Alarm(
        notify_url=options.get("notify_url"),
        ping_url=options.get("ping_url"),
        metrics_file=options.get("metrics_file"),
        trust_env=options.get("trust_env", False),
        redact=options.get("redact", False),
    )


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
    name too, or a command that names the simulator would mail by them in earnest. An account of an
    earlier run keeps to the windows that it had there, and to those that its profile says now.
    """
    changes: dict[str, Any] = {}
    if (base_url := _base_url_said(options)) is not None:
        changes["base_url"] = base_url
    if _is_said("locale"):
        changes["locale"] = options["locale"]
    limits = windows_of(options["limits"]) if _is_said("limits") else None
    return {
        name: replace(
            profile,
            **changes,
            windows=_with_those_of(run, name, profile.windows) if limits is None else limits,
        )
        for name, profile in profiles_of().items()
    }


def _is_said(option: str) -> bool:
    """Whether a flag or the environment names an option, and no file or default."""
    source = click.get_current_context().get_parameter_source(option)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _base_url_said(options: dict[str, Any]) -> str | None:
    """Return where flags or the environment say that the API is, if they do."""
    if _is_said("base_url"):
        return cast("str", options["base_url"])
    return Region(options["region"]).base_url if _is_said("region") else None


def _base_url(options: dict[str, Any], run: Run | None) -> str:
    if (said := _base_url_said(options)) is not None:
        return said
    if (told := options["base_url"]) is not None:  # by the file
        return cast("str", told)
    return Region(options["region"]).base_url if run is None else run.base_url


def _windows(options: dict[str, Any], run: Run | None) -> tuple[Window, ...]:
    told = windows_of(options["limits"])
    if _is_said("limits"):
        return told
    source = click.get_current_context().get_parameter_source("limits")
    of_file = None if source is ParameterSource.DEFAULT else told
    known = _with_those_of(run, None, of_file)
    return told if known is None else known


def _with_those_of(
    run: Run | None, account: str | None, windows: tuple[Window, ...] | None
) -> tuple[Window, ...] | None:
    """Return some windows and those that an account had in a run; None: there are neither."""
    told = None if run is None else run.windows_of(account)
    had = None if told is None else parse_windows(told)
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
    settings = make_settings(
        **({} if key is None else {"api_key": key}),
        base_url=_base_url(options, run),
        windows=_windows(options, run),
        timeout_s=options["timeout"],
        ca_file=options["ca_file"],
        trust_env=options["trust_env"],
        # What a command has no option for stays as it is usually.
        **{name: options[option] for name, option in _RETRYING.items() if option in options},
        concurrency=options.get("concurrency", DEFAULT_CONCURRENCY),
        in_doubt=options.get("in_doubt", InDoubt.RETRY),
        cooldown_s=0.0 if options.get("again") else options.get("cooldown", DEFAULT_COOLDOWN_S),
        journal=options["journal"],
        accounts=accounts,
    )
    rehearsal.refuse_elsewhere(settings.base_url)
    most = most_in_flight(settings.concurrency, len(settings.keys(settings.names)))
    return settings.model_copy(update={"concurrency": most})


def base_url_of(options: dict[str, Any]) -> str:
    """Return where the CA of the command's own account is. Raises SettingsError."""
    try:
        return checked_base_url(_base_url(options, None))
    except ValueError as error:
        raise SettingsError(f"base_url: {error}") from None
