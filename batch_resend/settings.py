"""Validated settings of a run, and the secret.

Durations are seconds. How people say a setting is declared at its field, as an `Option`: its flag,
its environment variable, its key in a TOML file and its row in the manual all come from there.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_state_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from batch_resend.errors import SettingsError
from batch_resend.folders import Place, folder_of_user, parse_place
from batch_resend.windows import CA_WINDOWS, Window, of_one_key

DEFAULT_COOLDOWN_S = 20 * 3600.0  # less than a day, so that a daily run mails again
Made = TypeVar("Made", bound=BaseModel)

PORTS = {"https": 443, "http": 80}
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PROXY = re.compile(rf"https?://([^/?#\s]*@)?{_HOST_AND_PORT.pattern}/?", re.IGNORECASE)
_NO_KEY = SecretStr("")
OWN_KEY = "--api-key-file names its file, --profile an account that has one"
_KEY = re.compile(r"[\x21-\x7e]+")


class Part(Enum):
    """What a setting is about: a command has the options of a whole part, or none of it."""

    LIMITS = auto()  # the rolling windows to keep
    CA = auto()  # where the CA is, and how it is reached
    CONCURRENCY = auto()  # how much is under way at once
    RETRIES = auto()  # how long to try where the CA does not answer well
    REPEATS = auto()  # which requests to send a second time
    JOURNAL = auto()  # where a run is written down


@dataclass(frozen=True, slots=True)
class Option:
    """How people give a setting its value. Type and default are those of the field."""

    flag: str
    part: Part
    help: str
    metavar: str | None = None  # what stands for the value, where its type does not say it
    default: str | None = None  # in words; "" where another option decides it
    carried: bool = False  # the next commands, which a report names, are given it as well

    @property
    def parameter(self) -> str:
        """Its name among the parameters of a command."""
        return self.flag.removeprefix("--").replace("-", "_")


class Region(StrEnum):
    """Which of the CA's platforms."""

    US = "us"
    EU = "eu"

    @property
    def base_url(self) -> str:
        """Where its API is (page "Get started", dev.digicert.com)."""
        host = "www.digicert.com" if self is Region.US else "certcentral.digicert.eu"
        return f"https://{host}/services/v2"


class InDoubt(StrEnum):
    """What to do with a request that may have reached the CA without an answer."""

    RETRY = "retry"  # send it again: a second mail is harmless, a missing one is not
    HOLD = "hold"  # leave it for a person


def default_journal() -> Path:
    """Return where the journal is by default: in the user's state folder.

    Raises SettingsError where the user has none.
    """
    folder = folder_of_user(user_state_path)
    if folder is None:
        raise SettingsError("no home folder to keep the journal in: name a file, --journal FILE")
    return folder / "journal.db"


def checked_base_url(text: str) -> str:
    """Return a base URL without a final slash. The key goes over TLS only, but for loopback."""
    url = urlsplit(text.strip())
    if url.username or url.password:
        raise ValueError("a base URL must not contain a user name or password")
    is_one = url.scheme in PORTS and _HOST_AND_PORT.fullmatch(url.netloc) and url.port != 0
    if not is_one or url.query or url.fragment:
        raise ValueError(f"{text!r} is not a base URL such as {Region.US.base_url}")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError(f"{text!r}: the API key is sent over https only (http: to loopback only)")
    # One spelling for one CA: it is part of what a request is known by.
    host = url.netloc.lower().removesuffix(f":{PORTS[url.scheme]}")
    return url._replace(netloc=host).geturl().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_at_loopback(url: str) -> bool:
    """Whether a URL is of this machine itself: what is sent there is a rehearsal."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # such as a bracket without its other one: no URL
        return False


def checked_key(key: SecretStr) -> SecretStr:
    """Return the key without surrounding blanks; it must fit an HTTP header."""
    text = key.get_secret_value().strip()
    if not text:
        raise ValueError("the API key is empty")
    if not _KEY.fullmatch(text):
        raise ValueError(
            "the API key contains blanks, line breaks or other characters that no key has"
        )
    return SecretStr(text)


def checked_ca_file(path: Path | None) -> Path | None:
    """Return the path of a file of trusted certificates (PEM), which can be read as such."""
    if path is not None:
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            reason = "holds no certificates (PEM)" if isinstance(error, ssl.SSLError) else None
            raise ValueError(f"{path}: {reason or error.strerror}") from None
    return path


def proxy_of_environment(base_url: str) -> str | None:
    """Return the HTTP proxy that the environment names for a URL. Raises SettingsError.

    `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as the standard library reads them. Loopback is
    reached without one.
    """
    from urllib.request import getproxies_environment, proxy_bypass  # noqa: PLC0415 - slow, and only for sending

    url = urlsplit(base_url)
    host = url.hostname or ""
    named = getproxies_environment()
    proxy = named.get(url.scheme) or named.get("all")
    if not proxy or is_loopback(host) or proxy_bypass(host):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if not _is_proxy(proxy):
        raise SettingsError(
            "the proxy that the environment names cannot be used: write http://HOST:PORT, or "
            "http://USER:PASSWORD@HOST:PORT, with special characters as %XX"
        )
    return proxy


def _is_proxy(text: str) -> bool:
    try:
        return _PROXY.fullmatch(text) is not None and urlsplit(text).port != 0
    except ValueError:  # a port beyond the last there is, brackets around no address
        return False


class Account(BaseModel):
    """Where to send, by which key, within which windows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # fmt: off
    api_key: Annotated[SecretStr, AfterValidator(checked_key)]
    base_url: Annotated[str, AfterValidator(checked_base_url), Option(
        "--base-url", Part.CA, "URL of the API, instead of --region.", metavar="URL",
        default="", carried=True,
    )] = Region.US.base_url
    windows: Annotated[tuple[Window, ...], Option(
        "--limit", Part.LIMITS, "At most N requests in any period W; repeatable, and all apply. "
                                "none: no limit.", metavar="N/W", carried=True,
    )] = CA_WINDOWS
    # fmt: on
    key_named: str = ""  # which key it is and where it was, after "the API key" in a message

    @property
    def budget(self) -> str:
        """What names the key at its CA, without saying it: its requests count together."""
        named = f"{self.base_url}\0{self.api_key.get_secret_value()}"
        return blake2b(named.encode(), digest_size=16).hexdigest()

    @field_validator("windows", mode="before")
    @classmethod
    def _windows_from_text(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return tuple(Window.parse(item) if isinstance(item, str) else item for item in value)
        return value


@dataclass(frozen=True, slots=True)
class Key:
    """Accounts that go by one key of one CA, and so share its windows."""

    names: tuple[str | None, ...]
    account: Account
    windows: tuple[Window, ...]  # of them all, for each is to be kept

    @property
    def title(self) -> str:
        """The accounts' names."""
        return ", ".join(name or "of the command itself" for name in self.names)


class Settings(Account):
    """How to send. A key is needed, `api_key` or that of an account; all else has a default."""

    # fmt: off
    # Without one there is nothing but what names an account.
    api_key: Annotated[SecretStr, AfterValidator(checked_key)] = _NO_KEY
    accounts: Mapping[str, Account] = Field(default_factory=dict)  # that rows may name
    concurrency: Annotated[int, Field(ge=1, le=10_000), Option(
        "--concurrency", Part.CONCURRENCY, "Requests in flight at the same time, mails and reads.",
    )] = 32
    ca_file: Annotated[Path | None, AfterValidator(checked_ca_file), Option(
        "--ca-file", Part.CA, "Trusted certificates (PEM), instead of the system's.", carried=True,
    )] = None
    trust_env: Annotated[bool, Option(
        "--trust-env", Part.CA, "Use the proxy that HTTPS_PROXY, ALL_PROXY and NO_PROXY name.",
        carried=True,
    )] = False
    timeout_s: Annotated[PositiveFloat, Option(
        "--timeout", Part.CA, "Time limit of one request.",
    )] = 30.0
    max_attempts: Annotated[int, Field(ge=1), Option(
        "--max-attempts", Part.RETRIES, "Attempts at one order.",
    )] = 6
    max_elapsed_s: Annotated[PositiveFloat, Option(
        "--max-elapsed", Part.RETRIES, "Time limit of one order.",
    )] = 3600.0
    patience_s: Annotated[NonNegativeFloat, Option(
        "--patience", Part.RETRIES, "How long to wait for a CA that is down or asks for a pause.",
    )] = 3600.0
    in_doubt: Annotated[InDoubt, Option(
        "--in-doubt", Part.REPEATS, "What to do with a request that may have arrived but got no "
                                    "answer: send it again, or leave it to a person.",
    )] = InDoubt.RETRY
    cooldown_s: Annotated[NonNegativeFloat, Option(
        "--cooldown", Part.REPEATS, "For how long an acknowledged request is not sent again.",
        carried=True,
    )] = DEFAULT_COOLDOWN_S
    journal: Annotated[
        Place, BeforeValidator(parse_place), PlainSerializer(str, when_used="json"), Option(
            "--journal", Part.JOURNAL, "The journal: a file, or a PostgreSQL database "
            "(postgresql://HOST/NAME). What was sent with another one is not known.",
            default="in your state folder", carried=True,
        ),
    ] = Field(default_factory=default_journal)
    # fmt: on
    # What the next commands for a run take beside the journal, by fields of `report.NextFlags`.
    next_flags: Mapping[str, str] = Field(default_factory=dict)
    profile: str | None = None  # the name of the command's own account, where it has one
    # Accounts that rows may name, and why their keys cannot be used; None: the command's own.
    without_key: Mapping[str | None, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if not self.names:
            raise ValueError("no api_key, and no account that has one")
        return self

    @property
    def names(self) -> tuple[str | None, ...]:
        """The accounts that there are keys of; None, these settings' own, comes first."""
        return (*self.accounts,) if self.api_key == _NO_KEY else (None, *self.accounts)

    @property
    def refused(self) -> Mapping[str | None, str]:
        """Why there is no key for rows that name an account (None: that name none)."""
        why = f"no API key for rows that name no account: {OWN_KEY}"
        return self.without_key if None in self.names else {None: why, **self.without_key}

    def snapshot(self) -> dict[str, object]:
        """Return what may be written down of these settings: all but the keys, as JSON has it."""
        values = self.model_dump(
            mode="json",
            exclude={"api_key", "key_named", "windows", "base_url", "accounts", "without_key"},
        )
        if self.accounts:
            values["accounts"] = {name: one.base_url for name, one in self.accounts.items()}
        values["windows"] = {
            name or "": [str(window) for window in self.account(name).windows]
            for name in self.names
        }
        return values

    def account(self, name: str | None) -> Account:
        """Return an account that rows name; None: these settings' own. Raises SettingsError."""
        if name in self.names:
            return self if name is None else self.accounts[name]
        raise SettingsError(
            self.refused.get(name)
            or f"the account {name!r} is needed, and there is no such profile"
        )

    @property
    def urls(self) -> dict[str | None, str]:
        """Where each account is that there is a key of."""
        return {name: self.account(name).base_url for name in self.names}

    def key(self, name: str | None) -> Key:
        """Return the key that an account goes by, with all other accounts that do.

        Raises SettingsError.
        """
        self.account(name)
        return next(key for key in self.keys(self.names) if name in key.names)

    def keys(self, names: Iterable[str | None]) -> list[Key]:
        """Return the keys of accounts, each once. Raises SettingsError."""
        together: dict[str, list[str | None]] = {}
        for name in names:
            together.setdefault(self.account(name).budget, []).append(name)
        return [
            Key(
                tuple(same),
                self.account(same[0]),
                of_one_key(self.account(name).windows for name in same),
            )
            for same in together.values()
        ]


OPTIONS: Mapping[str, Option] = {  # by the names of their fields
    name: declared
    for name, field in Settings.model_fields.items()
    for declared in field.metadata
    if isinstance(declared, Option)
}


def make_settings(**values: object) -> Settings:
    """Return settings. Raises SettingsError, a line for each value that makes no sense."""
    return _validated(Settings, values)


def make_account(**values: object) -> Account:
    """Return an account. Raises SettingsError, a line for each value that makes no sense."""
    return _validated(Account, values)


def _validated(kind: type[Made], values: dict[str, object]) -> Made:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{str(item['loc'][0]).removesuffix('_s') if item['loc'] else 'settings'}: "
            f"{item['msg'].removeprefix('Value error, ').replace('Input should be', 'must be')}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from None
