"""A connection to a PostgreSQL server is encrypted, or the URL says in words that it is not.

Left to itself libpq prefers TLS and goes on in plain text where a server, or whoever stands before
it, says that there is none: orders, domains and addresses would cross the network readable, and the
password with them. What does not leave the machine needs no TLS: a local socket, loopback.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from psycopg import Error, pq

from batch_resend.errors import JournalError
from batch_resend.places import Database

_ENCRYPTED = ("require", "verify-ca", "verify-full")
_FALLS_BACK = ("allow", "prefer")  # to plain text, or to TLS from it


def encryption_options(database: Database) -> Mapping[str, str]:
    """Return what to connect with beside the URL. Raises JournalError where that falls back.

    Names and meanings are libpq's: the URL goes before the environment (PGSSLMODE, PGHOST and a
    service that PGSERVICE names).
    """
    try:
        given = _values(pq.Conninfo.parse(database.url.encode()))
        defaults = _values(pq.Conninfo.get_defaults())
    except Error as error:
        raise JournalError(f"{database}: is no URL of a database: {error}") from error
    mode = given.get("sslmode")
    if mode is not None and mode not in _FALLS_BACK:
        return {}
    if "service" in given:  # libpq looks it up while it connects; nothing is known of it here
        raise JournalError(
            f"{database}: say in the URL whether the way to the service is encrypted: "
            "sslmode=verify-full, or require; disable, if it needs no TLS"
        )
    if is_local(given, defaults):
        return {}
    if mode in _FALLS_BACK:
        raise JournalError(
            f"{database}: sslmode={mode} goes on in plain text where TLS fails: write "
            "sslmode=verify-full, or require; disable, if the way to the server needs no TLS"
        )
    return {} if defaults.get("sslmode") in _ENCRYPTED else {"sslmode": "require"}


def is_local(given: Mapping[str, str], defaults: Mapping[str, str]) -> bool:
    """Whether nothing leaves this machine, whichever of the hosts is connected to."""
    words = {**defaults, **given}
    hosts, addresses = words.get("host", "").split(","), words.get("hostaddr", "").split(",")
    return all(_is_local_host(host) for host in _reached(hosts, addresses))


def _reached(hosts: Sequence[str], addresses: Sequence[str]) -> Sequence[str]:
    """Return where connections go: an address, where there is one, in the place of its host."""
    if not any(addresses):
        return hosts
    names = hosts if len(hosts) == len(addresses) else [""] * len(addresses)
    return [address or name for address, name in zip(addresses, names, strict=True)]


def _is_local_host(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":  # a socket, by default too
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _values(options: Sequence[pq.ConninfoOption]) -> dict[str, str]:
    return {option.keyword.decode(): option.val.decode() for option in options if option.val}
