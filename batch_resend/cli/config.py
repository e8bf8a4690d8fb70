"""The TOML file of options that --config names."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from platformdirs import user_config_path

from batch_resend.cli.profiles import Profile, read_profiles
from batch_resend.errors import SettingsError

PROFILES = "profiles"  # the table that has them


def find_config(named: Path | None) -> Path | None:
    """Return the file that --config names, or the one in its usual place; None: there is none."""
    usual = user_config_path("batch-resend") / "config.toml"
    return named or (usual if usual.is_file() else None)


def read_config(
    path: Path, commands: Iterable[click.Command]
) -> tuple[dict[str, dict[str, Any]], dict[str, Profile]]:
    """Return what a TOML file sets, for each command by its name, and its profiles.

    A key is an option's name without the dashes in front. Raises SettingsError.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {path}: {error}") from None
    profiles = read_profiles(values.pop(PROFILES, {}), path, values)
    unknown = {key.replace("_", "-") for key in values}
    defaults: dict[str, dict[str, Any]] = {}
    for command in commands:
        of_command = defaults.setdefault(command.name or "", {})
        for param in command.params:
            if param.envvar is None:  # it is this command's alone
                continue
            names = {name.removeprefix("--") for name in param.opts}
            unknown -= names
            for key, value in values.items():
                if key.replace("_", "-") in names and isinstance(param, click.Option):
                    words = _as_words(value)
                    alone = param.multiple and isinstance(words, str)
                    of_command[param.name or ""] = [words] if alone else words
    if unknown:
        raise SettingsError(f"--config {path}: there is no option {', '.join(sorted(unknown))}")
    return defaults, profiles


def _as_words(value: Any) -> Any:
    """Return a TOML table as `key=value` texts, anything else as it is."""
    return [f"{key}={one}" for key, one in value.items()] if isinstance(value, dict) else value
