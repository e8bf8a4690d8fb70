"""API keys: where each is read from, and kept out of core dumps."""

import logging
import os
import resource
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from pydantic import SecretStr

from batch_resend.errors import SettingsError
from batch_resend.settings import checked_key

_PR_SET_DUMPABLE = 4  # prctl(2), of Linux


def keep_memory_private() -> None:
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


KEY_VARIABLE = "DIGICERT_API_KEY"
CREDENTIAL = "digicert-api-key"  # LoadCredential=digicert-api-key:/path (systemd.exec(5))
WHERE_TO_PUT_IT = (
    "put it into a file and name that with --api-key-file, or into the variable "
    f"{KEY_VARIABLE}; --profile NAME takes a profile's"
)
_LONGEST = 64 * 1024  # bytes: a file that is larger holds something else

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """An API key, and where it was."""

    text: str = field(repr=False)
    where: str
    remedy: str | None = None  # what keeps others from reading its file; None: they cannot


def read_key(path: Path | None) -> str:
    """Return the API key from a file, or else from where there is one. Raises SettingsError."""
    if (key := find_key(path)) is not None:
        return key
    raise SettingsError(f"no API key: {WHERE_TO_PUT_IT}")


def find_key(path: Path | None) -> str | None:
    """Return the API key as `read_key` does, or None where nothing names one."""
    found = look_for_key(path)
    if found is None:
        return None
    if found.remedy:
        log.warning("%s can be read by others than its owner: %s", found.where, found.remedy)
    return found.text


def look_for_key(path: Path | None) -> FoundKey | None:
    """Return the API key and where it was, or None where nothing names one. Raises SettingsError.

    The file at `path` goes before the variable, and that before systemd's credential.
    """
    if path is not None:
        return _read(path, f"--api-key-file {path}")
    if (key := os.environ.get(KEY_VARIABLE)) is not None:
        return FoundKey(_checked(key, KEY_VARIABLE), f"the variable {KEY_VARIABLE}")
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
            raise SettingsError(f"{name}: is too large to be a key")
        text = content.decode("utf-8-sig")  # Windows' editors put a mark in front
    except OSError as error:
        raise SettingsError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: is not a text file") from None
    remedy = _open_to_others(status, path) if stat.S_ISREG(status.st_mode) else None
    return FoundKey(_checked(text, name), name, remedy)


def _open_to_others(status: os.stat_result, path: Path) -> str | None:
    """Return what keeps others from reading a file, or None where they are kept from it.

    A file of another owner is for its group, which is how a container, or systemd for a service's
    user (LoadCredential, by an access list), is handed one: 0440 is right there, and 600 would lock
    out whoever runs this.
    """
    name = quote(str(path))
    if status.st_uid == os.geteuid():
        return f"chmod 600 {name}" if status.st_mode & (stat.S_IRGRP | stat.S_IROTH) else None
    return f"chmod o= {name}, and make it a group's" if status.st_mode & stat.S_IROTH else None


def _checked(text: str, name: str) -> str:
    keep_memory_private()
    try:
        return checked_key(SecretStr(text)).get_secret_value()
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
