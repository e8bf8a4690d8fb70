"""API keys: where they are, and who else can read them."""

import logging
import os
import resource
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import click
from pydantic import SecretStr

from batch_resend.cli.rehearsals import is_rehearsal
from batch_resend.cli.variables import KEY_VARIABLE
from batch_resend.errors import SettingsError
from batch_resend.settings import checked_key

CREDENTIAL = "digicert-api-key"  # LoadCredential=digicert-api-key:/path (systemd.exec(5))
WHERE_TO_PUT_IT = (
    "put it in a file and name the file with --api-key-file, or put it in the variable "
    f"{KEY_VARIABLE}; --profile NAME uses a profile's"
)
_LONGEST = 64 * 1024  # bytes: a file that is larger holds something else
_PR_SET_DUMPABLE = 4  # prctl(2), of Linux
_READ = f"{__name__}.read"  # in a context: the keys that its command has read, by file
_SIMULATORS_KEY = "the rehearsal: the simulator's own key, none of yours"

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


def warn_of_open_keys(keys: Iterable[FoundKey]) -> None:
    """Warn of keys that are used and that other users can read, of each file once."""
    for where, remedy in dict.fromkeys((key.where, key.remedy) for key in keys if key.remedy):
        log.warning("%s can be read by other users: %s", where, remedy)


def look_for_key(path: Path | None) -> FoundKey | None:
    """Return the API key and where it was, or None where nothing names one. Raises SettingsError.

    The file at `path` goes before the variable, and that before systemd's credential.
    """
    if path is not None:
        return read_key(path, f"--api-key-file {path}")
    if (key := os.environ.get(KEY_VARIABLE)) is not None:
        where = _SIMULATORS_KEY if is_rehearsal() else f"the variable {KEY_VARIABLE}"
        return FoundKey(_checked(key, KEY_VARIABLE), where)
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), CREDENTIAL)
    if credential.is_absolute() and credential.exists():
        return read_key(credential, f"systemd's credential {CREDENTIAL}")
    return None


def read_key(path: Path, name: str) -> FoundKey:
    """Return the key in a file, which messages call `name`. Raises SettingsError.

    A command reads each file once: a pipe gives the key to the first who reads it.
    """
    read: dict[Path, FoundKey | SettingsError]
    read = click.get_current_context().meta.setdefault(_READ, {})
    if path not in read:
        try:
            read[path] = _read(path, name)
        except SettingsError as error:
            read[path] = error
    found = read[path]
    if isinstance(found, SettingsError):
        raise found
    return found


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
