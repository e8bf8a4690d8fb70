"""What the values of options look like, and what they become."""

import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.types import IntParamType

from batch_resend.clock import parse_duration
from batch_resend.folders import Place, parse_place
from batch_resend.intake import Field
from batch_resend.windows import Window

_DNS_PORT = 53
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


class DurationType(click.ParamType[float]):
    """A length of time, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class PlaceType(click.ParamType[Place]):
    """Where a journal is."""

    name = "file or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the database."""
        try:
            place = parse_place(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(place, Path) and place.is_dir():
            self.fail(f"File {str(place)!r} is a directory.", param, ctx)
        return place


class DnsServerType(click.ParamType[tuple[str, int]]):
    """A DNS server."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return its IP address and its port."""
        if isinstance(value, tuple):
            return value
        text = value.strip()
        with suppress(ValueError):
            return str(ip_address(text)), _DNS_PORT
        try:
            url = urlsplit(f"//{text}")
            return str(ip_address(url.hostname or "")), url.port or _DNS_PORT
        except ValueError:
            such_as = "192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"
            self.fail(f"{value!r}: write an IP address, such as {such_as}", param, ctx)


class MappingType(click.ParamType[tuple[Field, str]]):
    """A field and the heading of the column that holds it."""

    name = "FIELD=COLUMN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the pair."""
        if isinstance(value, tuple):
            return value
        name, equals, column = value.partition("=")
        if not equals or name not in [field.value for field in Field]:
            fields = ", ".join(Field)
            self.fail(f"{value!r}: write FIELD=COLUMN, where FIELD is one of {fields}", param, ctx)
        return Field(name), column.strip()

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the pairs in a variable; a heading with blanks stands in quotation marks."""
        return shlex.split(rv)


@dataclass(frozen=True, slots=True)
class Share:
    """A number of rows, or a part of all of them."""

    text: str  # as a person writes it
    number: float
    is_percentage: bool

    def is_exceeded(self, count: int, of: int) -> bool:
        """Whether `count` of so many is more."""
        return count * 100 > self.number * of if self.is_percentage else count > self.number


class ShareType(click.ParamType[Share]):
    """A number of rows, or a percentage."""

    name = "N|N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the share."""
        if isinstance(value, Share):
            return value
        text = str(value).strip()
        found = _SHARE.fullmatch(text)
        if found is None or (found[2] and float(found[1]) > 100) or ("." in text and not found[2]):
            message = f"{value!r}: write a number of rows, such as 50, or a percentage, 20%"
            self.fail(message, param, ctx)
        return Share(text, float(found[1]), bool(found[2]))


def option_value(option: click.Option, value: object) -> Any:
    """Return what a TOML file says of an option, as click takes it. Raises ValueError."""
    if option.multiple:
        texts: object = [value] if isinstance(value, str) else value
        if isinstance(value, dict) and _takes_pairs(option):
            if not all(map(_is_text_or_number, value.values())):
                raise ValueError("write a table of texts")
            texts = [f"{key}={one}" for key, one in value.items()]
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise ValueError("write a text, or a list of texts")
        for one in texts:
            _convert(option, one)
        return texts
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError("write true or false")
    elif isinstance(option.type, IntParamType):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("write a whole number")
    elif isinstance(option.type, DurationType):
        if not _is_text_or_number(value):
            raise ValueError('write a length of time, such as "1h"')
    elif not (isinstance(value, str) or (isinstance(option.type, ShareType) and _is_count(value))):
        raise ValueError("write a text")
    _convert(option, value)
    return value


def _convert(option: click.Option, value: object) -> None:
    """Raise ValueError where an option does not take a value."""
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise ValueError(error.message.rstrip(".")) from None
    if option.metavar == "N/W" and value != "none":
        Window.parse(str(value))


def _takes_pairs(option: click.Option) -> bool:
    return isinstance(option.type, MappingType) or option.metavar == "KEY=VALUE"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text_or_number(value: object) -> bool:
    return isinstance(value, str | float) or _is_count(value)


MAX_REJECTED = Share("20%", 20.0, is_percentage=True)  # unless somebody says otherwise
DURATION = DurationType()
DNS_SERVER = DnsServerType()
PLACE = PlaceType()
