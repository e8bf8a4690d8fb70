"""Accounts at the CA: the profiles that the TOML file has.

    [profiles.shop]
    api-key-file = "/etc/batch-resend/shop.key"
    region = "eu"

`--profile shop` takes its settings for the command; a list's column `account` names one row by row.
What a profile does not say, but for the key, is as the rest of the file has it.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from batch_resend.cli.keys import FoundKey, read_key
from batch_resend.cli.rehearsals import ANY_KEY, is_rehearsal
from batch_resend.cli.variables import KEY_VARIABLE
from batch_resend.errors import SettingsError
from batch_resend.settings import OPTIONS, Account, Region, make_account
from batch_resend.windows import CA_WINDOWS, Window, parse_windows

PROFILES = "profiles"  # the table that has them
_TEXTS = ("api-key-file", "region", "base-url", "locale")
_LIMIT = "limit"
_ALL = (*_TEXTS, _LIMIT)
_PLACE = ("region", "base-url")
_SHARED = (*_PLACE, "locale", _LIMIT)  # what the rest of the file may say for all
PARAMETERS = tuple(key.replace("-", "_") for key in _ALL)  # what a profile says, as options


@contextmanager
def about_profile(name: str | None) -> Iterator[None]:
    """Have errors about settings name the profile that they are of, if they are of one."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"profile {name}: {error}" if name else str(error)) from None


@contextmanager
def named_as_options() -> Iterator[None]:
    """Have errors about settings name the options that set them."""
    try:
        yield
    except SettingsError as error:
        flags = {name.removesuffix("_s"): option.flag for name, option in OPTIONS.items()}
        lines = [line.partition(":") for line in str(error).splitlines()]
        text = "\n".join(f"{flags.get(name, name)}{at}{why}" for name, at, why in lines)
        raise SettingsError(text) from None


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

    def find_key(self) -> FoundKey:
        """Return its key; in a rehearsal one that the simulator takes. Raises SettingsError."""
        if not is_rehearsal():
            file = self.key_file()
            with about_profile(self.name):
                return read_key(file, f"--api-key-file {file}")
        key = os.environ.get(KEY_VARIABLE, ANY_KEY)
        # Accounts by one key are one: each has its own, unless the simulator takes but one.
        own = f"{key}-{self.name.encode().hex()}" if key == ANY_KEY else key
        return FoundKey(own, "the rehearsal")

    def key_file(self) -> Path:
        """Return where its key is. Raises SettingsError."""
        if self.api_key_file is None:
            raise SettingsError(f"profile {self.name} has no api-key-file")
        return self.api_key_file

    def account_by(self, key: FoundKey) -> Account:
        """Return the account as reached by a key. Raises SettingsError."""
        with named_as_options():
            return make_account(
                api_key=key.text,
                key_named=key.named(self.name),
                base_url=self.base_url,
                windows=self.windows_kept,
            )


def read_profiles(
    table: object, rest: Mapping[str, Any], error: Callable[[Sequence[str], str], SettingsError]
) -> dict[str, Profile]:
    """Return the profiles of a table of a TOML file. Raises SettingsError, made by `error`.

    `rest` is what the file says at its top, for all accounts.
    """
    if not isinstance(table, dict) or not all(isinstance(one, dict) for one in table.values()):
        raise error((), f"{PROFILES} are tables: [{PROFILES}.NAME]")
    for name, values in table.items():
        for key in values:
            if key.replace("_", "-") not in _ALL:
                why = f"profile {name}: there is no option {key}; write one of {', '.join(_ALL)}"
                raise error((name, key), why)
    found = {}
    for name, values in table.items():
        try:
            found[name] = _profile(name, values, rest)
        except ValueError as wrong:
            raise error((name,), f"profile {name}: {wrong}") from None
    return found


def _profile(name: str, values: Mapping[str, Any], rest: Mapping[str, Any]) -> Profile:
    own = {key.replace("_", "-"): value for key, value in values.items()}
    shared = {key: rest[key] for key in _SHARED if key in rest}
    known = {**shared, **own}
    if wrong := [key for key in _TEXTS if not isinstance(known.get(key, ""), str)]:
        raise ValueError(f"{wrong[0]} must be a string")
    has_place = not own.keys().isdisjoint(_PLACE)
    place = own if has_place else shared  # which of the CA's, or what URL: one of them says both
    base_url = place.get("base-url", _region(place.get("region", Region.US)).base_url)
    limits = _limits(known.get(_LIMIT))
    file = known.get("api-key-file")
    taken = {**known, _LIMIT: limits}
    said = {key: value for key, value in taken.items() if key in own}
    if "region" in own:  # not where the rest of the file says
        said |= {key: own.get(key) for key in _PLACE}
    return Profile(
        name=name,
        api_key_file=Path(file) if file else None,
        base_url=base_url,
        windows=None if limits is None else parse_windows(limits),
        locale=known.get("locale"),
        values={key.replace("-", "_"): value for key, value in said.items()},
    )


def _region(name: str) -> Region:
    if name not in [one.value for one in Region]:
        names = ", ".join(repr(one.value) for one in Region)
        raise ValueError(f"region: {name!r} is not one of {names}")
    return Region(name)


def _limits(value: object) -> list[str] | None:
    """Return limits, which may be one; None where nothing is said. Raises ValueError."""
    limits = [value] if isinstance(value, str) else value
    if limits is None:
        return None
    if isinstance(limits, list) and limits and all(isinstance(one, str) for one in limits):
        return limits
    raise ValueError(f"{_LIMIT} is empty; for no limit, write none")


def profiles_of(context: click.Context | None = None) -> Mapping[str, Profile]:
    """Return the profiles of the command that runs."""
    context = context or click.get_current_context(silent=True)
    return (context and context.find_object(dict)) or {}


def take_profile(context: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    """Take a profile's settings for those that neither flag nor environment says."""
    profiles = profiles_of(context)
    if name is None or (context.resilient_parsing and name not in profiles):
        return name
    if name not in profiles:
        raise click.BadParameter(
            f"no profile {name!r}; the profiles are {', '.join(sorted(profiles))}"
            if profiles
            else f"no profile {name!r}; there are none: --config names the file that has them"
        )
    context.default_map = {**(context.default_map or {}), **profiles[name].values}
    return name
