"""Settings from the TOML file.

    patience = "2h"        # an option, of every command that has it

    [sweep]                # the options of a command, which go before those above
    max-orders = 100

    [profiles.shop]        # an account: see `accounts`

Nothing in it is passed over: a key, a table or a type that is not known is an error. So it is with
`variables`.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.types import IntParamType
from platformdirs import user_config_path

from batch_resend.cli.accounts import PROFILES, Profile, read_profiles
from batch_resend.cli.variables import did_you_mean
from batch_resend.errors import SettingsError
from batch_resend.folders import folder_of_user
from batch_resend.windows import Window

CONFIG_VARIABLE = "BATCH_RESEND_CONFIG"
_LARGEST = 1024 * 1024  # bytes; a thousand profiles have a tenth of it
_CONFIG = f"{__name__}.config"  # in a context
_Options = dict[str, click.Option]  # by their names, without dashes
_Entries = dict[str, tuple[tuple[str, ...], Any]]  # by key: where it stands, and its value


@dataclass(frozen=True, slots=True)
class Config:
    """What a TOML file says."""

    defaults: dict[str, dict[str, Any]]  # by command and parameter: a default map of click's
    profiles: dict[str, Profile]
    own: frozenset[str]  # the parameters that the table of the command itself says
    line_of: Callable[[Sequence[str]], int]  # where tables and a key stand
    entries: Mapping[str, "_Entries"]  # by table, such as profiles.shop; "": at the top

    @property
    def says_nothing(self) -> bool:
        """Whether it has no option and no profile: at most the heads of tables."""
        return not self.profiles and not any(self.entries.values())

    def apply_to(self, context: click.Context) -> None:
        """Have the commands below a context take their defaults from here."""
        context.default_map, context.obj = dict(self.defaults), self.profiles
        context.meta[_CONFIG] = self

    def line_of_option(self, table: str, key: str) -> int:
        """Return in which line a command, or a profile, has the value of an option from."""
        place, _ = self.entries.get(table, {}).get(key) or self.entries[""][key]
        return self.line_of(place)


def config_of(context: click.Context) -> Config | None:
    """Return what was read of a file, if there is one."""
    config: Config | None = context.meta.get(_CONFIG)
    return config


def given_for_this_command(context: click.Context) -> frozenset[str]:
    """Return the parameters that the file says in the command's own table alone."""
    config = config_of(context)
    return frozenset() if config is None else config.own


def usual_config() -> Path | None:
    """Return where the file is by default; None: the user has no folder for it."""
    folder = folder_of_user(user_config_path)
    return None if folder is None else folder / "config.toml"


def find_config(named: Path | None) -> Path | None:
    """Return the file that --config names, or the one in its usual place; None: there is none."""
    if named is not None or (usual := usual_config()) is None:
        return named
    return usual if usual.is_file() else None


def read_config(
    path: Path, commands: Iterable[click.Command], known: Iterable[str] = (), wanted: str = ""
) -> Config:
    """Return what a TOML file says for the command `wanted`. Raises SettingsError.

    `known` are the names of all commands, those too of which not all is installed.
    """
    options = {command.name or "": _options(command) for command in commands}
    return _Reader(_TomlFile(path), options, {*known, *options}).read(wanted)


def readable_anyhow(path: Path | None, command: click.Command) -> dict[str, Any]:
    """Return what a TOML file says for a command, by parameter, as far as that is right.

    For the notification of what is wrong. Empty where it is no TOML file that can be read.
    """
    try:
        values = {} if path is None else _TomlFile(path).values
    except SettingsError:
        return {}
    options, found = _options(command), dict[str, Any]()
    for table in (values, values.get(command.name or "")):
        for spelled, value in table.items() if isinstance(table, dict) else ():
            if (option := options.get(spelled.replace("_", "-"))) is not None:
                with suppress(ValueError):
                    found[option.name or ""] = option_value(option, value)
    return found


def _options(command: click.Command) -> _Options:
    return {
        name.removeprefix("--"): param
        for param in command.params
        if isinstance(param, click.Option)
        for name in param.opts
        if name.startswith("--")
    }


_NO_VALUE = re.compile(r"(?:Invalid value|Expected newline).*\(at line (\d+), column \d+\)")
_BARE = re.compile(r"\s*([\w.-]+)\s*=\s*([^\s\"'\[{#][^#]*?)\s*(?:#.*)?")


def _if_bare(text: str, error: str) -> str:
    """Return what to do about a text without quotes, of what tomllib says; empty: it is none.

    What the text is, is not shown: it may be a key.
    """
    at = _NO_VALUE.match(error)
    bare = at and _BARE.fullmatch(text.split("\n")[int(at[1]) - 1])
    if not bare:
        return ""
    if bare[2].lower() in ("true", "false"):
        return f": write {bare[1]} = {bare[2].lower()}"
    return f': put text in quotes, {bare[1]} = "..."'


class _TomlFile:
    """The values of a file, and where in it they are: an error names the line."""

    def __init__(self, path: Path) -> None:
        """Read a file. Raises SettingsError."""
        self.path = path
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise SettingsError(
                    f"--config {path} is larger than 1 MiB, which no file of options is"
                )
            self._text = content.decode("utf-8-sig")
            self.values = tomllib.loads(f"{self._text}\n")  # by which it names the last line, too
        except OSError as error:
            raise SettingsError(f"--config {path}: {error.strerror}") from None
        except RecursionError:
            raise SettingsError(f"--config {path}: lists or tables are nested too deeply") from None
        except UnicodeDecodeError:
            raise SettingsError(f"--config {path}: not a text file (UTF-8)") from None
        except ValueError as error:  # no TOML, or a number of thousands of digits
            hint = _if_bare(self._text, str(error))
            raise SettingsError(f"--config {path}: {error}{hint}") from None

    def error(self, keys: Sequence[str], why: str) -> SettingsError:
        """Return an error about a key, which is named with the tables that it is in."""
        return SettingsError(f"--config {self.path}, line {self.line_of(keys)}: {why}")

    def line_of(self, keys: Sequence[str]) -> int:
        """Return the line, from 1, where a key begins, which is named with its tables."""
        return _line_of(self._text, keys)


def _line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line, from 1, where a key of a valid TOML text begins.

    The values come without positions. So the lines in front of it are what is parsed: the first
    so many that hold the key end with its statement, which begins behind those that parsed before.
    """
    lines = text.splitlines()
    counts = range(len(lines) + 1)
    within = bisect_left(counts, True, key=lambda most: _holds(_parsed(lines, most)[1], keys))
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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the values of a file as options of commands."""

    file: _TomlFile
    options: Mapping[str, _Options]  # by command
    known: set[str]  # all commands, those too that are not installed

    def read(self, wanted: str) -> Config:
        tables = {name: self._entries(name) for name in self._tables()}
        top = {
            key: entry for key, entry in self._entries().items() if key not in {PROFILES, *tables}
        }
        defaults = self._at_top(top)
        own = {name: self._own(name, tables[name]) for name in tables if name in self.options}
        for name, values in own.items():
            defaults[name] |= values
        shared = {key: value for key, (_, value) in (top | tables.get(wanted, {})).items()}
        profiles = read_profiles(
            self.file.values.get(PROFILES, {}),
            shared,
            lambda keys, why: self.file.error((PROFILES, *keys), why),
        )
        own_of_wanted = frozenset(own.get(wanted, ()))
        of_profiles = {f"{PROFILES}.{name}": self._entries(PROFILES, name) for name in profiles}
        entries = {"": top, **tables, **of_profiles}
        return Config(defaults, profiles, own_of_wanted, self.file.line_of, entries)

    def _at_top(self, entries: _Entries) -> dict[str, dict[str, Any]]:
        """Return what the top says, by command and parameter: what means the same in all."""
        everywhere = {
            name: {key: option for key, option in has.items() if option.envvar is not None}
            for name, has in self.options.items()
        }
        for key, (place, _) in entries.items():
            if not any(key in has for has in everywhere.values()):
                raise self.file.error(place, self._unknown_at_top(key))
        return {name: self._values(entries, has) for name, has in everywhere.items()}

    def _tables(self) -> list[str]:
        found = []
        for name, value in self.file.values.items():
            is_table = isinstance(value, dict)
            is_list_of_tables = isinstance(value, list) and any(isinstance(v, dict) for v in value)
            # An option may have a command's name, as --sweep.
            is_value = not (is_table or is_list_of_tables) and self._having(name)
            if name in self.known and not is_value:
                if not is_table:
                    raise self.file.error((name,), f"{name} is a table: [{name}]")
                found.append(name)
        return found

    def _having(self, key: str) -> list[str]:
        return [name for name, has in self.options.items() if key in has]

    def _entries(self, *within: str) -> _Entries:
        """Return what the file says at its top, or in a table; keys are spelled with - or _."""
        table = self.file.values
        for name in within:
            table = table[name]
        found: _Entries = {}
        for spelled, value in table.items():
            key = spelled.replace("_", "-")
            if key in found:
                raise self.file.error((*within, spelled), f"{key} is given twice")
            found[key] = ((*within, spelled), value)
        return found

    def _own(self, name: str, entries: _Entries) -> dict[str, Any]:
        """Return what the table of a command says, by its parameters."""
        options = self.options[name]
        for key, (place, _) in entries.items():
            if key not in options:
                others = self._having(key)
                why = f"; {others[0]} has" if others else f".{did_you_mean(key, options)}"
                raise self.file.error(place, f"{name} has no option {key}{why}")
        return self._values(entries, options)

    def _values(self, entries: _Entries, options: _Options) -> dict[str, Any]:
        """Return what entries say of some options, by their parameters."""
        found = {}
        for key, (place, value) in entries.items():
            if (option := options.get(key)) is None:
                continue
            try:
                found[option.name or ""] = option_value(option, value)
            except ValueError as error:
                hint = ""
                if key == PROFILES.removesuffix("s") and isinstance(value, dict):
                    hint = f". Did you mean [{PROFILES}.{next(iter(value), 'NAME')}]?"
                raise self.file.error(place, f"{key}: {error}{hint}") from None
        return found

    def _unknown_at_top(self, key: str) -> str:
        if having := self._having(key):
            tables = ", ".join(f"[{name}]" for name in having)
            why = f"{key} has another meaning in each command"
            return f"{why}: put it in one of the tables {tables}"
        if isinstance(self.file.values.get(key), dict):
            return f"there is no command {key}.{did_you_mean(key, (*self.known, PROFILES))}"
        every = {name for has in self.options.values() for name in has}
        missing = sorted(self.known - self.options.keys())
        why = f"there is no option {key}.{did_you_mean(key, every)}"
        return f"{why} Not installed: {', '.join(missing)}." if missing else why


_PAIRS = ("FIELD=COLUMN", "KEY=VALUE")  # metavars of options that a table may stand for
_TEXT = ((str,), "a string")  # the types of TOML that an option takes, and what they are called


def option_value(option: click.Option, value: object) -> Any:
    """Return what a TOML file says of an option, as click takes it. Raises ValueError."""
    if option.multiple:
        texts = _texts(option, value)
        for text in texts:
            _convert(option, text)
        return texts
    types: tuple[type, ...]
    if option.is_flag:
        types, name = (bool,), "true or false"
    elif isinstance(option.type, IntParamType):
        types, name = (int,), "a whole number"
    else:
        types, name = getattr(option.type, "in_toml", _TEXT)
    if type(value) not in types:  # not by isinstance: a bool is no number
        raise ValueError(f"write {name}")
    if not option.is_flag:
        _convert(option, value)
    return value


def _texts(option: click.Option, value: object) -> list[str]:
    """Return the texts of an option that takes several; of pairs, a table has them too."""
    if isinstance(value, dict) and option.metavar in _PAIRS:
        if not all(type(one) in (str, int, float) for one in value.values()):
            raise ValueError("write a table of strings")
        return [f"{key}={one}" for key, one in value.items()]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("write a string, or a list of strings")
    return texts


def _convert(option: click.Option, value: object) -> None:
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise ValueError(error.message.rstrip(".")) from None
    if option.metavar == "N/W" and value != "none":
        Window.parse(str(value))
