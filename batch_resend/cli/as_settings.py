"""What options come to: settings, how lists are read, how a run is shown and reported."""

import logging
import os
import resource
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from batch_resend.cli.accounts import Profile, about_profile, named_as_options, profiles_of
from batch_resend.cli.keys import WHERE_TO_PUT_IT, FoundKey, look_for_key, warn_of_open_keys
from batch_resend.cli.next_flags import kept_flags, next_flags
from batch_resend.cli.options import Style
from batch_resend.cli.output.terminal import has_terminal
from batch_resend.cli.rehearsals import clock_of_command, is_rehearsal_in_silence, refuse_elsewhere
from batch_resend.cli.urls import base_url_for, base_url_of, given_base_url, is_given
from batch_resend.cli.values import Share, as_character
from batch_resend.errors import SettingsError
from batch_resend.intake import Reading
from batch_resend.journal import Endpoint
from batch_resend.model import Call, Run
from batch_resend.notify import Notifier
from batch_resend.report import Presentation, is_alike
from batch_resend.settings import (
    OPTIONS,
    Account,
    Settings,
    make_account,
    make_settings,
)
from batch_resend.windows import Window, of_one_key, parse_windows

_KEYS = f"{__name__}.keys"  # in a context: of the accounts that a list may name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is shown and reported."""

    report_dir: Path  # of each run: a pattern
    report_url: str | None  # likewise, of where that is served
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
    accounts = accounts_of(options)
    try:
        return Reading(
            **named_in(Reading, options)
            | {
                "mapping": dict(options["mapping"]),
                "headed": not options["no_header"],
                "delimiter": as_character(options["delimiter"]),
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
    url, pattern = options["report_url"], options["report_dir"]
    if url is not None and not is_alike(url, pattern):
        log.warning(
            "--report-url %s: links to the report will lead to no page; it must have the same of "
            "{run} and {date} as --report-dir %s",
            url, pattern,
        )  # fmt: skip
    return RunOptions(
        **named_in(RunOptions, options),
        # Decided at the start: a terminal that goes meanwhile has not said yes.
        asks=not options["yes"] and has_terminal(),
        style=style_of(options),
        presentation=Presentation(
            next_flags(context), redact=options["redact"], order_url=options["order_url"]
        ),
    )


def style_of(options: Mapping[str, Any]) -> Style:
    """Return how options want to be shown how far a command is."""
    style = Style(options["progress"])
    return Style.NONE if style is Style.AUTO and options["quiet"] else style


def notifier_of(options: dict[str, Any]) -> Notifier:
    """Return whom to notify of how a command ends, as far as the options are known."""
    # A watchdog would take a dry run for the night's.
    is_silent = bool(options.get("dry_run")) or is_rehearsal_in_silence()
    return Notifier(**named_in(Notifier, options), is_silent=is_silent, clock=clock_of_command())


def windows_of(limits: Sequence[str]) -> tuple[Window, ...]:
    """Return the windows that --limit names. Raises SettingsError."""
    if not limits:
        raise SettingsError("--limit: is empty; for no limit, write none")
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
    if (base_url := given_base_url(options)) is not None:
        changes["base_url"] = base_url
    if is_given("locale"):
        changes["locale"] = options["locale"]
    limits = windows_of(options["limit"]) if is_given("limit") else None
    return {
        name: replace(
            profile,
            **changes,
            windows=_with_those_of(run, name, profile.windows) if limits is None else limits,
        )
        for name, profile in profiles_of().items()
    }


def accounts_to_plan_by(options: dict[str, Any], run: Run | None = None) -> dict[str, Account]:
    """Return the accounts of profiles with keys that are made up, one for each key file."""
    return {
        name: profile.account_by(FoundKey(f"of-{str(profile.api_key_file).encode().hex()}", ""))
        for name, profile in accounts_of(options, run).items()
    }


def _windows(options: dict[str, Any], run: Run | None) -> tuple[Window, ...]:
    """Return the windows of the command's own account: by flags, else by the file and a run."""
    named = windows_of(options["limit"])
    if is_given("limit"):
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
    options: dict[str, Any],
    run: Run | None = None,
    names: Collection[str | None] | None = None,
    *,
    needs_own_key: bool = False,
) -> Settings:
    """Return the settings that options name. Raises SettingsError.

    What neither flags nor their sources say of an earlier run is as it was then. Only the keys of
    the accounts `names` are read (None among them: the command's own); None: of all that a list may
    name. One that cannot be read stops what needs it, and nothing else, unless it is the command's
    own and that needs one, or no key is left.
    """
    profiles = accounts_of(options, run)
    wanted = [name for name in (None, *profiles) if names is None or name in names]
    keys, without_key = _read_keys(options, profiles, wanted)
    if not keys or (needs_own_key and None not in keys):
        raise _no_key(options, [None] if needs_own_key else wanted, without_key)
    own = keys.pop(None, None)
    click.get_current_context().meta[_KEYS] = keys
    warn_of_open_keys(filter(None, [own]))
    accounts = {name: profiles[name].account_by(key) for name, key in keys.items() if name}
    return settings_by(options, own, accounts, run, without_key)


def _no_key(
    options: dict[str, Any], names: Sequence[str | None], without_key: Mapping[str | None, str]
) -> SettingsError:
    """Return that there is no key of accounts, and why."""
    of_profile = f" of profile {options['profile']}" if options["profile"] else ""
    reasons = [without_key[name] for name in names if name in without_key]
    return SettingsError("\n".join(reasons) or f"no API key{of_profile}: {WHERE_TO_PUT_IT}")


def _own_key(options: dict[str, Any]) -> FoundKey | None:
    with about_profile(options["profile"]):
        return look_for_key(options["api_key_file"])


def _read_keys(
    options: dict[str, Any], profiles: Mapping[str, Profile], names: Sequence[str | None]
) -> tuple[dict[str | None, FoundKey], dict[str | None, str]]:
    """Return the keys of accounts, and why others cannot be read (None: the command's own)."""
    keys: dict[str | None, FoundKey] = {}
    without_key: dict[str | None, str] = {}
    for name in names:
        try:
            found = _own_key(options) if name is None else profiles[name].find_key()
        except SettingsError as error:
            without_key[name] = str(error)
        else:
            keys |= {} if found is None else {name: found}
    return keys, without_key


def warn_of_keys_of(names: Collection[str | None]) -> None:
    """Warn of keys that other users can read: of those of accounts that rows name."""
    keys: Mapping[str | None, FoundKey] = click.get_current_context().meta[_KEYS]
    warn_of_open_keys([key for name, key in keys.items() if name in names])


def settings_by(
    options: dict[str, Any],
    key: FoundKey | None,
    accounts: Mapping[str, Account],
    run: Run | None = None,
    without_key: Mapping[str | None, str] = MappingProxyType({}),
) -> Settings:
    """Return the settings that options name, with these keys. Raises SettingsError."""
    # What a command has no option for stays as it is usually.
    given = {
        name: options[option.parameter]
        for name, option in OPTIONS.items()
        if option.parameter in options
    }
    given |= {"base_url": base_url_for(options, run), "windows": _windows(options, run)}
    if options.get("again"):
        given["cooldown_s"] = 0.0
    profile = options.get("profile") or (None if run is None else run.profile)
    if key is not None:
        given |= {"api_key": key.text, "key_named": key.named(profile)}
    given["next_flags"] = kept_flags(click.get_current_context())
    with named_as_options():
        settings = make_settings(
            **given, profile=profile, accounts=accounts, without_key=without_key
        )
    refuse_elsewhere(settings.base_url)
    most = _most_in_flight(settings.concurrency, len(settings.keys(settings.names)))
    return settings.model_copy(update={"concurrency": most})


def endpoint_of(options: dict[str, Any], run: Run, account: str | None) -> Endpoint | None:
    """Return what options have for an account of a run (None: their own), as far as it is known.

    What is wrong with them is said once they are needed.
    """
    with suppress(SettingsError):
        if account is not None:
            profile = accounts_of(options, run).get(account)
            return Endpoint(profile.base_url.rstrip("/")) if profile else None
        if key := _own_key(options):
            own = make_account(api_key=key.text, base_url=base_url_for(options, run))
            return Endpoint(own.base_url, own.budget)
    return None


def budgets_of(options: dict[str, Any]) -> dict[str | None, str]:
    """Return what names the keys of accounts, of those that can be read here."""
    profiles, url = accounts_of(options), base_url_of(options)
    keys, _ = _read_keys(options, profiles, [None, *profiles])
    return {
        name: profiles[name].account_by(key).budget
        if name
        else make_account(api_key=key.text, base_url=url).budget
        for name, key in keys.items()
    }


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
        "at most %d requests will be in flight instead of %d: this process may have %d files "
        "open, and needs %d; raise the limit (ulimit -n, LimitNOFILE=)",
        most, wanted, allowed, needed,
    )  # fmt: skip
    return most


def within(descriptors: int, keys: int) -> int:
    """Return how many requests of each of some keys so many descriptors are enough for."""
    return max(1, descriptors // keys)


def _open_now() -> int:
    """Return how many descriptors are open, those that were inherited too."""
    with suppress(OSError):
        return len(os.listdir(_OPEN)) - 1  # noqa: PTH208 - names alone; the listing opens one itself
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
