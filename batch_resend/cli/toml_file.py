"""A TOML file whose errors name the line."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batch_resend.errors import SettingsError


class TomlFile:
    """The values of a file, and where in it they are."""

    def __init__(self, path: Path) -> None:
        """Read a file. Raises SettingsError."""
        self.path = path
        try:
            self._text = path.read_text(encoding="utf-8-sig")
            self.values = tomllib.loads(f"{self._text}\n")  # by which it names the last line, too
        except OSError as error:
            raise SettingsError(f"--config {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"--config {path}: {error}") from None

    def error(self, keys: Sequence[str], why: str) -> SettingsError:
        """Return an error about a key, which is named with the tables that it is in."""
        return SettingsError(f"--config {self.path}, line {line_of(self._text, keys)}: {why}")


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line, from 1, where a key of a valid TOML text begins.

    The values come without positions. So the lines in front of it are what is parsed: the first
    so many that hold the key end with its statement, which begins behind those that parsed before.
    """
    lines = text.splitlines()
    begins = 1
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # in the midst of a list or a text of several lines
        if _holds(values, keys):
            return begins
        begins = end + 1
    return begins


def _holds(values: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True
