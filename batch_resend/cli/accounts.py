"""Accounts at the CA: where their keys are, their profiles, and what a rehearsal has instead.

    [profiles.shop]
    api-key-file = "/etc/batch-resend/shop.key"
    region = "eu"

`--profile shop` takes its settings for the command; a list's column `account` names one row by row.
What a profile does not say, but for the key, is as the rest of the file has it.
"""

import logging
import os
import resource
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click
from pydantic import SecretStr

from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import SettingsError
from batch_resend.model import Run
from batch_resend.settings import (
    OPTIONS,
    Account,
    Region,
    checked_key,
    is_at_loopback,
    make_account,
)
from batch_resend.windows import CA_WINDOWS, Window, parse_windows

KEY_VARIABLE = "DIGICERT_API_KEY"
CREDENTIAL = "digicert-api-key"  # LoadCredential=digicert-api-key:/path (systemd.exec(5))
WHERE_TO_PUT_IT = (
    "put it in a file and name the file with --api-key-file, or put it in the variable "
    f"{KEY_VARIABLE}; --profile NAME uses a profile's"
)
_LONGEST = 64 * 1024  # bytes: a file that is larger holds something else
_PR_SET_DUMPABLE = 4  # prctl(2), of Linux

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """An API key, and where it was."""

    text: str = field(repr=False)
    where: str
    remedy: str | None = None  # what keeps others from reading its file; None: they cannot

    def named(self, profile: str | None) -> str:
        """Return which key it is, for messages, without saying it."""
        return f" of profile {profile}, from {self.where}" if profile else f" from {self.where}"


@contextmanager
def about_profile(name: str | None) -> Iterator[None]:
    """Have errors about settings name the profile that they are of, if they are of one."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"profile {name}: {error}" if name else str(error)) from None


def warn_of_open_keys(keys: Iterable[FoundKey]) -> None:
    """Warn of keys that are used and that other users can read, of each file once."""
    for where, remedy in dict.fromkeys((key.where, key.remedy) for key in keys if key.remedy):
        log.warning("%s can be read by other users: %s", where, remedy)


def look_for_key(path: Path | None) -> FoundKey | None:
    """Return the API key and where it was, or None where nothing names one. Raises SettingsError.

    The file at `path` goes before the variable, and that before systemd's credential.
    """
    if path is not None:
        return _read(path, f"--api-key-file {path}")
    if (key := os.environ.get(KEY_VARIABLE)) is not None:
        where = _SIMULATORS_KEY if is_rehearsal() else f"the variable {KEY_VARIABLE}"
        return FoundKey(_checked(key, KEY_VARIABLE), where)
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), CREDENTIAL)
    if credential.is_absolute() and credential.exists():
        return _read(credential, f"systemd's credential {CREDENTIAL}")
    return None


def _read(path: Path, name: str) -> FoundKey:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise SettingsError(f"{name}: too large to be a key")
        text = content.decode("utf-8-sig")  # Windows' editors put a mark in front
    except OSError as error:
        raise SettingsError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: not a text file") from None
    remedy = _open_to_others(status, path) if stat.S_ISREG(status.st_mode) else None
    return FoundKey(_checked(text, name), name, remedy)


def _open_to_others(status: os.stat_result, path: Path) -> str | None:
    """Return what keeps others from reading a file, or None where they are kept from it.

    A file of another owner is for its group, which is how a container, or systemd for a service's
    user (LoadCredential, by an access list), is handed one: 0440 is right there, and 600 would
    lock out the user that runs this.
    """
    name = quote(str(path))
    if status.st_uid == os.geteuid():
        return f"run chmod 600 {name}" if status.st_mode & (stat.S_IRGRP | stat.S_IROTH) else None
    return f"run chmod o= {name}, and give it to a group" if status.st_mode & stat.S_IROTH else None


def _checked(text: str, name: str) -> str:
    _keep_memory_private()
    try:
        return checked_key(SecretStr(text)).get_secret_value()
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None


def _keep_memory_private() -> None:
    """Have no core dumped, and no other process of this user look into this one's memory.

    The limit alone is not heeded where dumps are piped to a program (core(5)). Debuggers of the
    same user cannot attach either; root's can.
    """
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            from ctypes import CDLL  # noqa: PLC0415 - only for a command that has a key

            CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


# --- rehearsals: what `simulate` has the command that it runs know: nobody is to be mailed -------

_REHEARSAL = "BATCH_RESEND_REHEARSAL"  # where the simulator is
_AHEAD = "BATCH_RESEND_REHEARSAL_AHEAD"  # in seconds, how much later it takes place
_NOTIFIES = "BATCH_RESEND_REHEARSAL_NOTIFIES"  # set: its command notifies as a real one does
_BY = "BATCH_RESEND_REHEARSAL_BY"  # the process that ends when the command that it runs does
_PORTS = {"http": 80, "https": 443}
_ANY_KEY = "rehearsal"  # where the simulator takes any
_SIMULATORS_KEY = "the rehearsal: the simulator's own key, none of yours"
_OTHERS = "Name another run: `batch-resend runs` lists all."
_VERIFY_IN_A_REHEARSAL = (
    f"nobody can say any more what became of its orders. {_OTHERS} To try a command on a "
    "rehearsal, run both in one:\n"
    "  batch-resend simulate --orders 50 -- sh -c 'batch-resend sweep --yes; batch-resend verify'"
)
RESUME_NO_REHEARSAL = (
    f"there is nothing to resume: rehearse again. If the URL was wrong, send the list again to the "
    f"right one. {_OTHERS}"
)


def rehearsal_environment(base_url: str, key: str | None, *, notifies: bool) -> dict[str, str]:
    """Return what makes a command's run a rehearsal, which asks the simulator at a URL only."""
    place = {"BATCH_RESEND_BASE_URL": base_url, KEY_VARIABLE: key or _ANY_KEY, _REHEARSAL: base_url}
    place[_BY] = str(os.getpid())
    return place | ({_NOTIFIES: "1"} if notifies else {})


def in_a_rehearsal_after(ahead_s: float) -> dict[str, str]:
    """Return what has a rehearsal take place so many seconds from now."""
    return {_AHEAD: str(ahead_s)}


def clock_of_command() -> Clock:
    """Return the clock that a command goes by: in a rehearsal of later days it is ahead."""
    return SystemClock(float(os.environ.get(_AHEAD, "0")) if is_rehearsal() else 0.0)


def is_rehearsal(base_url: str | None = None) -> bool:
    """Whether `simulate` runs this command, or its CA is at a URL of this machine."""
    return _REHEARSAL in os.environ or is_at_loopback(base_url or "")


def is_whole_rehearsal() -> bool:
    """Whether this command is all that is rehearsed: the simulator ends with it.

    In a shell that `simulate` runs, or in a script, others may follow.
    """
    return is_rehearsal() and os.environ.get(_BY) == str(os.getppid())


def is_rehearsal_in_silence() -> bool:
    """Whether this is a rehearsal that must not notify: a watchdog would take it for the night."""
    return is_rehearsal() and _NOTIFIES not in os.environ


def refuse_elsewhere(base_url: str) -> None:
    """Raise SettingsError where a rehearsal names another CA than the simulator."""
    simulator = os.environ.get(_REHEARSAL, base_url)
    if base_url != simulator:
        raise SettingsError(
            f"this is a rehearsal at {simulator}, and not at {base_url}: leave that URL out, or "
            "run the command without `simulate`"
        )


def ended_simulator(run: Run, accounts: Sequence[str | None]) -> str | None:
    """Return where the simulator of a rehearsal was that has ended; None: it has not, or was none.

    It would be waited for as long as for a CA that is down.
    """
    for url in {run.url_of(name) for name in accounts or (None,)}:
        parts = urlsplit(url or "")
        if is_at_loopback(url or "") and not _listens(parts):
            return parts.netloc
    return None


def refuse_ended_rehearsal(
    run: Run, accounts: Sequence[str | None], what_to_do: str = _VERIFY_IN_A_REHEARSAL
) -> None:
    """Raise SettingsError where a run was at a simulator that has ended, or at none."""
    if simulator := ended_simulator(run, accounts):
        raise SettingsError(
            f"run {run.id} is for {simulator} on this machine, where nothing listens. If it was a "
            f"rehearsal, its simulator has ended, and {what_to_do}"
        )


def _listens(url: SplitResult) -> bool:
    """Whether anything listens at a URL of this machine."""
    try:
        socket.create_connection((url.hostname, url.port or _PORTS[url.scheme]), 1.0).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # who knows: the command itself finds out
    return True


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


# --- profiles -----------------------------------------------------------------------------------

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

    def find_key(self) -> FoundKey:
        """Return its key; in a rehearsal one that the simulator takes. Raises SettingsError."""
        if not is_rehearsal():
            file = self.key_file()
            with about_profile(self.name):
                return _read(file, f"--api-key-file {file}")
        key = os.environ.get(KEY_VARIABLE, _ANY_KEY)
        # Accounts by one key are one: each has its own, unless the simulator takes but one.
        own = f"{key}-{self.name.encode().hex()}" if key == _ANY_KEY else key
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
