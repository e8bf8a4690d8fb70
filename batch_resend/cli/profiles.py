"""Profiles: accounts at the CA, by name, as the TOML file describes them.

    [profiles.shop]
    api-key-file = "/etc/batch-resend/shop.key"
    region = "eu"

`--profile shop` takes its settings for the command; a list's column `account` names one row by row.
What a profile does not say, but for the key, is as the rest of the file has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batch_resend.cli import rehearsal
from batch_resend.cli.key import read_key
from batch_resend.errors import SettingsError
from batch_resend.settings import Account, Region, make_account
from batch_resend.windows import CA_WINDOWS, Window, parse_windows

PROFILES = "profiles"  # the table that has them
_TEXTS = ("api-key-file", "region", "base-url", "locale")
_LIMIT = "limit"
_ALL = (*_TEXTS, _LIMIT)
_PLACE = ("region", "base-url")
_SHARED = (*_PLACE, "locale", _LIMIT)  # what the rest of the file may say for all
PARAMETERS = tuple(key.replace("-", "_") for key in _ALL)  # what a profile says, as options


@dataclass(frozen=True, slots=True)
class Profile:
    """What the TOML file says of an account."""

    name: str
    api_key_file: Path | None
    base_url: str
    windows: tuple[Window, ...] | None  # None: nothing is said of them
    locale: str | None  # of the mails for rows that name none
    values: Mapping[str, Any]  # by the names of options' parameters, for --profile

    @property
    def windows_kept(self) -> tuple[Window, ...]:
        """The windows that are to be kept: the CA's, if nothing is said of them."""
        return CA_WINDOWS if self.windows is None else self.windows

    def account(self) -> Account:
        """Return the account, its key read; in a rehearsal one at the simulator.

        Raises SettingsError.
        """
        if rehearsal.is_on():
            return rehearsal.stand_in(self.name, self.windows_kept)
        file = self.key_file()
        try:
            key = read_key(file)
        except SettingsError as error:
            raise SettingsError(f"profile {self.name}: {error}") from None
        return self.account_by(key)

    def key_file(self) -> Path:
        """Return where its key is. Raises SettingsError."""
        if self.api_key_file is None:
            raise SettingsError(f"profile {self.name}: has no api-key-file")
        return self.api_key_file

    def account_by(self, key: str) -> Account:
        """Return the account as reached by a key. Raises SettingsError."""
        try:
            return make_account(api_key=key, base_url=self.base_url, windows=self.windows_kept)
        except SettingsError as error:
            raise SettingsError(f"profile {self.name}: {error}") from None


def read_profiles(
    table: object, rest: Mapping[str, Any], error: Callable[[Sequence[str], str], SettingsError]
) -> dict[str, Profile]:
    """Return the profiles of a table of a TOML file. Raises SettingsError, made by `error`.

    `rest` is what the file says besides, of all accounts.
    """
    if not isinstance(table, dict) or not all(isinstance(one, dict) for one in table.values()):
        raise error((), f"{PROFILES} are tables: [{PROFILES}.NAME]")
    shared = {key: value for key, value in rest.items() if key in _SHARED}
    found = {}
    for name, values in table.items():
        for key in values:
            if key.replace("_", "-") not in _ALL:
                why = f"profile {name}: there is no {key}; there are {', '.join(_ALL)}"
                raise error((name, key), why)
        try:
            found[name] = _profile(name, _spelled(values), shared)
        except ValueError as wrong:
            raise error((name,), str(wrong)) from None
    return found


def _spelled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in values.items()}


def _profile(name: str, own: Mapping[str, Any], rest: Mapping[str, Any]) -> Profile:
    """Return a profile. Raises ValueError."""
    has_place = not own.keys().isdisjoint(_PLACE)
    known = {key: one for key, one in rest.items() if not (has_place and key in _PLACE)} | {**own}
    for key in _TEXTS:
        if not isinstance(known.get(key, ""), str):
            raise ValueError(f"profile {name}: {key} is not a text")
    limits = known.get(_LIMIT)
    limits = [limits] if isinstance(limits, str) else limits
    if limits is not None and not (limits and _are_texts(limits)):
        raise ValueError(f"profile {name}: {_LIMIT} names none; the word none is for no limit")
    try:
        windows = None if limits is None else parse_windows(limits)
        region = Region(known.get("region", Region.US))
    except ValueError as error:
        raise ValueError(f"profile {name}: {error}") from None
    base_url = known.get("base-url", region.base_url)
    taken = {key.replace("-", "_"): own[key] for key in ("api-key-file", "locale") if key in own}
    if has_place:
        taken["base_url"] = base_url
    if _LIMIT in own:
        taken[_LIMIT] = limits
    file = known.get("api-key-file")
    return Profile(
        name=name,
        api_key_file=Path(file) if file else None,
        base_url=base_url,
        windows=windows,
        locale=known.get("locale"),
        values=taken,
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def profiles_of(context: click.Context | None = None) -> Mapping[str, Profile]:
    """Return the profiles of the command that runs."""
    context = context or click.get_current_context(silent=True)
    found = context.find_object(dict) if context else None
    return found or {}


def take_profile(context: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    """Take a profile's settings for those that neither flag nor environment says."""
    if name is None or context.resilient_parsing:
        return name
    profiles = profiles_of(context)
    if name not in profiles:
        there_are = ", ".join(sorted(profiles)) or "none: --config names the file that has them"
        raise click.BadParameter(f"no profile {name!r}; there are {there_are}")
    context.default_map = {**(context.default_map or {}), **profiles[name].values}
    return name
