"""Settings from the TOML file and from environment variables."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.types import IntParamType
from platformdirs import user_config_path

from batch_resend.cli.accounts import PROFILES, Profile, read_profiles
from batch_resend.errors import SettingsError
from batch_resend.folders import folder_of_user
from batch_resend.windows import Window

PREFIX = "BATCH_RESEND_"


_NAME = "BATCHRESEND"


_NO_LETTER = re.compile(r"[^A-Z0-9]+")


# The prefix however its words are joined: BATCHRESEND_, BATCH-RESEND-.
_OWN_PREFIX = re.compile(r"BATCH[^A-Z0-9]*RESEND(?=.)")


_OWN_AND_MORE = re.compile(rf"{_OWN_PREFIX.pattern}[^A-Z0-9]")


_CLOSE = 0.8  # of what is read as misspelled in its prefix: the ratio of difflib


# Kubernetes sets these in every container, for a Service of such a name ("Environment variables",
# kubernetes.io/docs/concepts/services-networking/service).
_OF_KUBERNETES = re.compile(
    r"BATCH_?RESEND_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


_MAY_BE_BLANK = frozenset(("BATCH_RESEND_DELIMITER",))


def check_variables(
    environment: Mapping[str, str],
    others: Iterable[str],
    command: click.Command | None,
    commands: Callable[[], Iterable[click.Command]],
) -> None:
    """Raise SettingsError where a variable is named like an option, and is none of any command.

    A variable of `command` that is empty is an error, too: which limit was meant nobody knows.
    `others` are the variables that are no option of a command. The commands besides `command` are
    asked for only if there is a variable that it does not have: to import them takes time.
    """
    own = {*others, *_variables([command] if command else [])}
    for name in sorted(own & environment.keys()):
        _refuse_empty(name, environment[name])
    unknown = {
        name: rest
        for name in sorted(environment.keys() - own)
        if (rest := _option_named(name)) is not None and not _OF_KUBERNETES.fullmatch(name)
    }
    if not unknown:
        return
    known = own | _variables(commands())
    # The prefix, which all have in common, would make any two alike.
    options = {one.removeprefix(PREFIX) for one in known}
    for name, rest in unknown.items():
        is_own = _OWN_AND_MORE.match(name.upper()) is not None
        if name in known or not (is_own or get_close_matches(rest, options, n=1, cutoff=_CLOSE)):
            continue  # another program's, which only resembles ours
        raise SettingsError(f"there is no variable {name}.{did_you_mean(rest, options, PREFIX)}")


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a sentence that names what a name may stand for, with a blank in front; or nothing.

    Capitals, and whether words are joined by `-` or by `_`, make no difference. `prefix` is what
    stands in front of every known name, and is not compared.
    """
    plain = {_plain(one): one for one in known}
    near = get_close_matches(_plain(name), plain, n=1)
    return f" Did you mean {prefix}{plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _refuse_empty(name: str, value: str) -> None:
    if not value or (not value.strip() and name not in _MAY_BE_BLANK):
        raise SettingsError(
            f"the variable {name} is empty: give it a value, or unset it. What it would limit is "
            "not left without a limit"
        )


def _option_named(name: str) -> str | None:
    """Return what stands in a variable's name behind our prefix, or one that is close to it.

    None: the name is not like ours.
    """
    text = name.upper()
    if own := _OWN_PREFIX.match(text):
        return _NO_LETTER.sub("_", text[own.end() :]).strip("_")
    words = _NO_LETTER.split(text)
    if not words[0]:
        return None  # `_BATCH_...`: private to a shell or a library, by custom
    for count in (1, 2, 3):
        if len(words) > count and _is_one_slip_away("".join(words[:count]), _NAME):
            return "_".join(words[count:])
    return None


def _is_one_slip_away(text: str, wanted: str) -> bool:
    """Whether a letter is missing, one too many, another one, or two have changed places."""
    if abs(len(text) - len(wanted)) > 1:
        return False
    at = next(
        (at for at, two in enumerate(zip(text, wanted, strict=False)) if two[0] != two[1]),
        len(wanted),
    )
    rests = (
        (text[at + 1 :], wanted[at + 1 :]),
        (text[at + 1 :], wanted[at:]),
        (text[at:], wanted[at + 1 :]),
        (text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :], wanted[at:]),
    )
    return any(one == other for one, other in rests)


def _variables(commands: Iterable[click.Command]) -> set[str]:
    return {
        param.envvar
        for command in commands
        for param in command.params
        if isinstance(param.envvar, str)
    }


_LARGEST = 1024 * 1024  # bytes; a thousand profiles have a tenth of it


_OWN = f"{__name__}.own"  # in a context: the parameters that the command's own table says


@dataclass(frozen=True, slots=True)
class Config:
    """What a TOML file says."""

    defaults: dict[str, dict[str, Any]]  # by command and parameter: a default map of click's
    profiles: dict[str, Profile]
    own: frozenset[str] = frozenset()  # the parameters that the table of the command itself says

    def apply_to(self, context: click.Context) -> None:
        """Have the commands below a context take their defaults from here."""
        context.default_map, context.obj = dict(self.defaults), self.profiles
        context.meta[_OWN] = self.own


def given_for_this_command(context: click.Context) -> frozenset[str]:
    """Return the parameters that the file says in the command's own table alone."""
    own: frozenset[str] = context.meta.get(_OWN, frozenset())
    return own


def find_config(named: Path | None) -> Path | None:
    """Return the file that --config names, or the one in its usual place; None: there is none."""
    if named is not None or (folder := folder_of_user(user_config_path)) is None:
        return named
    usual = folder / "config.toml"
    return usual if usual.is_file() else None


def read_config(
    path: Path, commands: Iterable[click.Command], known: Iterable[str] = (), wanted: str = ""
) -> Config:
    """Return what a TOML file says for the command `wanted`. Raises SettingsError.

    `known` are the names of all commands, those too of which not all is installed.
    """
    reader = _Reader(_TomlFile(path), {command.name or "": command for command in commands})
    return reader.read(frozenset(known), wanted)


class _TomlFile:
    """The values of a file, and where in it they are: an error names the line."""

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
        return SettingsError(f"--config {self.path}, line {_line_of(self._text, keys)}: {why}")


def _line_of(text: str, keys: Sequence[str]) -> int:
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


class _Reader:
    """Reads the values of a file as options of commands."""

    def __init__(self, file: _TomlFile, commands: Mapping[str, click.Command]) -> None:
        self._file = file
        self._commands = commands
        # The name of an option, without its dashes: what it is in each command that has it.
        self._options = {name: dict(_options(command)) for name, command in commands.items()}
        self._known: frozenset[str] = frozenset()

    def read(self, known: frozenset[str], wanted: str) -> Config:
        self._known = known | self._commands.keys()
        top, tables = self._split()
        shared = {
            name: {key: param for key, param in options.items() if param.envvar is not None}
            for name, options in self._options.items()
        }
        for key, spelled in top.items():
            if not any(key in options for options in shared.values()):
                raise self._file.error((spelled,), self._unknown_at_top(key))
        defaults = {name: self._values((), top, options) for name, options in shared.items()}
        own = {name: self._own(name, table) for name, table in tables.items()}
        for name, values in own.items():
            defaults[name] |= values
        rest = self._given(()) | self._given((wanted,) if wanted in tables else ())
        profiles = read_profiles(
            self._file.values.get(PROFILES, {}),
            rest,
            lambda keys, why: self._file.error((PROFILES, *keys), why),
        )
        return Config(defaults, profiles, frozenset(own.get(wanted, ())))

    def _split(self) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """Return the keys at the top, and those in the table of each command, as they are spelled.

        Tables of commands that are not installed are left out: what may stand there is not known.
        """
        tables = {}
        for name, value in self._file.values.items():
            is_list_of_tables = isinstance(value, list) and any(isinstance(v, dict) for v in value)
            is_value = not (isinstance(value, dict) or is_list_of_tables)
            if name not in self._known or (is_value and self._is_option(name)):
                continue
            if not isinstance(value, dict):
                raise self._file.error((name,), f"{name} is a table: [{name}]")
            if name in self._commands:
                tables[name] = self._spelled((name,))
        top = self._spelled(())
        not_options = {PROFILES, *tables, *(self._known - self._commands.keys())}
        return {key: spelled for key, spelled in top.items() if key not in not_options}, tables

    def _is_option(self, name: str) -> bool:
        return any(name in options for options in self._options.values())

    def _table(self, within: tuple[str, ...]) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self._file.values
        for name in within:
            values = values[name]
        return values

    def _spelled(self, within: tuple[str, ...]) -> dict[str, str]:
        """Return the keys of a table, each with how it is spelled there: with - or with _."""
        found: dict[str, str] = {}
        for spelled in self._table(within):
            key = spelled.replace("_", "-")
            if key in found:
                raise self._file.error((*within, spelled), f"{key} is said twice")
            found[key] = spelled
        return found

    def _own(self, name: str, keys: Mapping[str, str]) -> dict[str, Any]:
        options = self._options[name]
        for key, spelled in keys.items():
            if key not in options:
                others = [other for other, has in self._options.items() if key in has]
                why = f"{name} has no option {key}"
                why += f"; {others[0]} has" if others else f".{did_you_mean(key, options)}"
                raise self._file.error((name, spelled), why)
        return self._values((name,), keys, options)

    def _values(
        self, within: tuple[str, ...], keys: Mapping[str, str], options: Mapping[str, click.Option]
    ) -> dict[str, Any]:
        """Return what a table says of some options, by their parameters."""
        table, found = self._table(within), {}
        for key, spelled in keys.items():
            if (option := options.get(key)) is not None:
                try:
                    found[option.name or ""] = option_value(option, table[spelled])
                except ValueError as error:
                    hint = self._hint(key, table[spelled])
                    raise self._file.error((*within, spelled), f"{key}: {error}{hint}") from None
        return found

    def _given(self, within: tuple[str, ...]) -> dict[str, Any]:
        table = self._table(within)
        return {key: table[spelled] for key, spelled in self._spelled(within).items()}

    def _unknown_at_top(self, key: str) -> str:
        having = [name for name, options in self._options.items() if key in options]
        if having:
            tables = ", ".join(f"[{name}]" for name in having)
            why = f"{key} means something else from command to command"
            return f"{why}: say it in a table, of {tables}"
        if isinstance(self._file.values.get(key), dict):
            names = (*self._known, PROFILES)
            return f"there is no command {key}.{did_you_mean(key, names)}"
        every = {name for options in self._options.values() for name in options}
        missing = sorted(self._known - self._commands.keys())
        why = f"there is no option {key}.{did_you_mean(key, every)}"
        return f"{why} Not installed: {', '.join(missing)}." if missing else why

    def _hint(self, key: str, value: object) -> str:
        if key == PROFILES.removesuffix("s") and isinstance(value, dict):
            return f". Did you mean [{PROFILES}.{next(iter(value), 'NAME')}]?"
        return ""


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Yield the options of a command by their names, without the dashes."""
    for param in command.params:
        if isinstance(param, click.Option):
            for name in param.opts:
                if name.startswith("--"):
                    yield name.removeprefix("--"), param


_PAIRS = ("FIELD=COLUMN", "KEY=VALUE")  # metavars of options that a table may stand for
_TEXT = ((str,), "a text")  # the types of TOML that an option takes, and what they are called


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
            raise ValueError("write a table of texts")
        return [f"{key}={one}" for key, one in value.items()]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("write a text, or a list of texts")
    return texts


def _convert(option: click.Option, value: object) -> None:
    """Raise ValueError where an option does not take a value."""
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise ValueError(error.message.rstrip(".")) from None
    if option.metavar == "N/W" and value != "none":
        Window.parse(str(value))
