"""A line of `check --out`, read again: a request with its path and body, in the form of a list."""

import re
from urllib.parse import unquote

from batch_resend.model import Call

_NAMING_KEYS = ("order_id", "domain_id", "domain", "call", "account", "all_domains")
_OF_ADDRESSES = ("domain_approval_emails", "email_array", "emails")
_SUBJECT = re.compile(r"/(?:order/certificate|domain)/([^/?#]+)(?=/)")


def request_unwrapped(value: dict[str, object], *, all_domains: bool) -> dict[str, object]:
    """Return what a line of `check --out` asks for, in the form of a list; any other as it is.

    `all_domains`: requests without addresses are meant. Raises ValueError where path and record
    name different orders, or where a request has lost its body or its addresses.
    """
    body, path = value.get("body"), value.get("path")
    has_path = isinstance(path, str) and _SUBJECT.search(path) is not None
    if not isinstance(body, dict) or value.get("method") != "PUT":
        if has_path:
            raise ValueError("a planned request without its method PUT, or without its body")
        return value
    known = _NAMING_KEYS if "name_scope" not in body else ("domain_id", "call", "account")
    named = {key: value[key] for key in known if key in value}
    if not named:
        return value
    _refuse_other_path(value)
    if not (all_domains or value.get("all_domains") or any(map(body.get, _OF_ADDRESSES))):
        raise ValueError(
            "a planned request without addresses, and without the word for it: add "
            '"all_domains": true to have the CA mail all domains that wait, or the addresses'
        )
    return {**named, **body}


def _refuse_other_path(value: dict[str, object]) -> None:
    """Raise ValueError where the path of a request is not that of what its record names."""
    path = value.get("path")
    if not isinstance(path, str):
        return
    key = "order_id" if value.get("call", Call.DV_RESEND) != Call.DOMAIN_DCV else "domain_id"
    subject = value.get(key, value.get("domain") if key == "domain_id" else None)
    found = _SUBJECT.search(path)
    in_path = unquote(found[1] if found else path)
    if subject is not None and in_path.lower() != str(subject).strip().lower():
        raise ValueError(
            f"path is about {in_path[:80]!r} and {key} is {str(subject)[:80]!r}: which is meant? "
            "Change both, or leave out method, path and body"
        )
