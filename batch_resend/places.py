"""Where a journal is: a file, or a PostgreSQL database that several hosts reach."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database, by a URL that holds no secret: the forms are libpq's."""

    url: str

    def __str__(self) -> str:
        return self.url


Place = Path | Database


def parse_place(named: "str | os.PathLike[str] | Database") -> Place:
    """Return the place that a path or a URL names. Raises ValueError."""
    if isinstance(named, Database):
        return named
    if isinstance(named, os.PathLike):
        return Path(named)
    if not isinstance(named, str):
        raise ValueError(f"{named!r} names neither a file nor a database")
    scheme, separator, rest = named.partition("://")
    if not separator or "/" in scheme:
        return Path(named)
    if scheme not in _SCHEMES:
        raise ValueError(
            f"a journal is a file, or a PostgreSQL database (postgresql://HOST/NAME); {scheme}: "
            "is neither"
        )
    url = urlsplit(named)
    if url.password or any(name in _SECRETS for name, _ in parse_qsl(url.query)):
        raise ValueError(
            "a password in a URL is seen by everyone on this machine: leave it out, and give it in "
            "PGPASSWORD or in a password file (PGPASSFILE, or ~/.pgpass)"
        )
    return Database(f"postgresql://{rest}")
