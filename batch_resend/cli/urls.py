"""Where the CA is, of the accounts that a command may ask: by flags, variables, profiles, the file.

A rehearsal asks none that is elsewhere than on this machine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from batch_resend.cli.accounts import profiles_of
from batch_resend.cli.config import find_config
from batch_resend.cli.rehearsals import is_rehearsal
from batch_resend.errors import SettingsError
from batch_resend.model import Run
from batch_resend.settings import Region, checked_base_url, is_at_loopback

_OF_ONE_ACCOUNT = ("sweep",)  # the rows of a list, or of a run, may name others
_UNKNOWN = ""  # no URL: of an account that may be anywhere
_OF_RUN = f"{__name__}.of_run"  # in a context: whether its run is a rehearsal


def is_given(option: str) -> bool:
    """Whether a flag or the environment names an option, and no file or default."""
    source = click.get_current_context().get_parameter_source(option)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def given_base_url(options: Mapping[str, Any]) -> str | None:
    """Return where flags or the environment say that the API is, if they do: for all accounts."""
    if is_given("base_url"):
        return cast("str", options["base_url"])
    return Region(options["region"]).base_url if is_given("region") else None


def base_url_for(options: Mapping[str, Any], run: Run | None) -> str:
    """Return where the API is: by flags, else by the file, else as it was for a run."""
    own = profiles_of().get(options.get("profile") or "")
    names_region = own is not None and "region" in own.values
    usual = Region(options["region"]).base_url if run is None or names_region else run.base_url
    named = (given_base_url(options), options["base_url"])
    return next((url for url in named if url is not None), usual)  # an empty one is an error


def base_url_of(options: Mapping[str, Any]) -> str:
    """Return where the CA of the command's own account is. Raises SettingsError."""
    try:
        return checked_base_url(base_url_for(options, None))
    except ValueError as error:
        raise SettingsError(f"--base-url: {error}") from None


# --- whether a command is a rehearsal -----------------------------------------------------------


def note_accounts(run: Run, accounts: Sequence[str | None]) -> bool:
    """Note which accounts a command's run asks; return whether that makes it a rehearsal."""
    context = click.get_current_context()
    here = all(is_at_loopback(run.url_of(name) or "") for name in accounts or (None,))
    context.meta[_OF_RUN] = is_rehearsal() or here
    return bool(context.meta[_OF_RUN])


def is_rehearsed(options: Mapping[str, Any]) -> bool:
    """Whether the current command is a rehearsal, by the accounts of its run once these are known.

    Until then it is one only if no account that it may ask is elsewhere. In doubt it is none: the
    failure of a real night would be passed over.
    """
    known: bool | None = click.get_current_context().meta.get(_OF_RUN)
    if known is not None or is_rehearsal():
        return known is not False
    return all(map(is_at_loopback, _may_be_asked(options)))


def _may_be_asked(options: Mapping[str, Any]) -> Sequence[str]:
    """Return where the accounts are that a command may ask which does not know its run yet.

    Options may be missing, or not be read because they are wrong.
    """
    if not (options.get("base_url") or options.get("region")):
        return [_UNKNOWN]
    context, profile, profiles = click.get_current_context(), options.get("profile"), profiles_of()
    own = _own(options)
    if is_given("base_url") or is_given("region"):  # for all accounts
        return [own]
    if profile:
        return [own if profile in profiles else _UNKNOWN]
    if context.info_name in _OF_ONE_ACCOUNT:
        return [own]
    is_unread = context.find_object(dict) is None and find_config(_config_named(context))
    return [own, *(one.base_url for one in profiles.values()), *([_UNKNOWN] if is_unread else ())]


def _config_named(context: click.Context) -> Path | None:
    path: Path | None = context.find_root().params.get("config")
    return path


def _own(options: Mapping[str, Any]) -> str:
    try:
        return base_url_for({"base_url": None, "region": None, **options}, None)
    except ValueError:  # no such region
        return _UNKNOWN
