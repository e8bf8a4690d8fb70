"""A TOML file whose errors name the line."""

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from batch_resend.errors import SettingsError

_LARGEST = 1024 * 1024  # bytes; a thousand profiles have a tenth of it


class TomlFile:
    """The values of a file, and where in it they are."""

    def __init__(self, path: Path) -> None:
        """Read a file. Raises SettingsError."""
        self.path = path
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise SettingsError(f"--config {path}: is larger than 1 MiB: no file of options")
            self._text = content.decode("utf-8-sig")
            self.values = tomllib.loads(f"{self._text}\n")  # by which it names the last line, too
        except OSError as error:
            raise SettingsError(f"--config {path}: {error.strerror}") from None
        except RecursionError:
            raise SettingsError(
                f"--config {path}: lists or tables within too many others"
            ) from None
        except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
            raise SettingsError(f"--config {path}: {error}") from None

    def error(self, keys: Sequence[str], why: str) -> SettingsError:
        """Return an error about a key, which is named with the tables that it is in."""
        return SettingsError(f"--config {self.path}, line {line_of(self._text, keys)}: {why}")


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line, from 1, where a key of a valid TOML text begins.

    The values come without positions. So the lines in front of it are what is parsed: the first
    so many that hold the key end with its statement, which begins behind those that parsed before.
    What more lines hold, fewer may not: they are found by halving.
    """
    lines = text.splitlines()
    without, within = 0, len(lines)  # so many lines that hold it not, and that do
    while within - without > 1:
        middle = (without + within) // 2
        end, values = _parsed(lines, middle)
        if _holds(values, keys):
            within = end
        else:
            without = middle
    begins, _ = _parsed(lines, within - 1)
    return begins + 1


def _parsed(lines: Sequence[str], most: int) -> tuple[int, Any]:
    """Return what the first lines hold, no more than so many, and how many those are.

    Fewer where the last of them are in the midst of a list, or of a text of several lines.
    """
    for end in range(most, 0, -1):
        with suppress(tomllib.TOMLDecodeError):
            return end, tomllib.loads("\n".join(lines[:end]))
    return 0, {}


def _holds(values: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(values, Mapping) or key not in values:
            return False
        values = values[key]
    return True
