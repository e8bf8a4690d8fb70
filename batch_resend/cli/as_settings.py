"""What a command's options come to: settings, a way to read lists, who is told of its end."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click
from click.core import ParameterSource

from batch_resend.alarm import Alarm
from batch_resend.cli import rehearsal
from batch_resend.cli.key import find_key, read_key
from batch_resend.cli.profiles import Profile, profiles_of
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.model import Call
from batch_resend.settings import (
    DEFAULT_COOLDOWN_S,
    InDoubt,
    Region,
    Settings,
    make_settings,
)
from batch_resend.windows import Window, parse_windows


def reading_of(options: dict[str, Any]) -> Reading:
    """Return how lists are to be read. Raises SettingsError."""
    delimiter = options["delimiter"]
    try:
        return Reading(
            mapping=dict(options["mapping"]),
            locale=options["locale"],
            headed=not options["no_header"],
            delimiter="\t" if delimiter in ("tab", "\\t") else delimiter,
            encoding=options["encoding"],
            sheet=options["sheet"],
            all_statuses=options["all_statuses"],
            call=Call(options["call"]),
            auto_call=options["auto_call"],
            accounts={name: profile.locale for name, profile in accounts_of(options).items()},
            own_account=options.get("profile"),
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
    try:
        return parse_windows(limits)
    except ValueError as error:
        raise SettingsError(f"--limit: {error}") from None


def accounts_of(options: dict[str, Any]) -> dict[str, Profile]:
    """Return the profiles as this command has them. Raises SettingsError.

    What flags or the environment say goes before what a profile says: for the accounts that rows
    name too, or a command that names the simulator would mail by them in earnest.
    """
    said = _said(options)
    changes: dict[str, Any] = {}
    if base_url := _said_base_url(said):
        changes["base_url"] = base_url
    if "limits" in said:
        changes["windows"] = windows_of(said["limits"])
    if "locale" in said:
        changes["locale"] = said["locale"]
    return {name: replace(profile, **changes) for name, profile in profiles_of().items()}


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that flags or the environment name, and no file or default."""
    context = click.get_current_context()
    by_whom = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return {n: one for n, one in options.items() if context.get_parameter_source(n) in by_whom}


def _said_base_url(said: dict[str, Any]) -> str | None:
    if "base_url" in said or "region" not in said:
        return said.get("base_url")
    return Region(said["region"]).base_url


def settings_of(
    options: dict[str, Any], base_url: str | None = None, *, rows_name_accounts: bool = False
) -> Settings:
    """Return the settings that options name. Raises SettingsError.

    `base_url` is for when neither the options nor their sources name one. Where rows may name whose
    key they go by, and there are profiles, the command needs none of its own.
    """
    accounts = {name: profile.account() for name, profile in accounts_of(options).items()}
    file = options["api_key_file"]
    key = find_key(file) if rows_name_accounts and accounts else read_key(file)
    settings = make_settings(
        **({} if key is None else {"api_key": key}),
        base_url=_said_base_url(_said(options))
        or options["base_url"]
        or base_url
        or Region(options["region"]).base_url,
        windows=windows_of(options["limits"]),
        concurrency=options["concurrency"],
        timeout_s=options["timeout"],
        ca_file=options["ca_file"],
        trust_env=options["trust_env"],
        max_attempts=options["max_attempts"],
        max_elapsed_s=options["max_elapsed"],
        patience_s=options["patience"],
        # What a command that only reads has no option for stays as it is usually.
        in_doubt=options.get("in_doubt", InDoubt.RETRY),
        cooldown_s=0.0 if options.get("again") else options.get("cooldown", DEFAULT_COOLDOWN_S),
        journal=options["journal"],
        accounts=accounts,
    )
    rehearsal.refuse_elsewhere(settings.base_url)
    return settings
