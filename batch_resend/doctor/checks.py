"""What was seen and read -> findings: journal, network, key, what it may do, clock, what waits."""

import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from batch_resend.certcentral import Failure, Probe, Step
from batch_resend.clock import format_duration, whole_days
from batch_resend.doctor.comparison import orders_of
from batch_resend.doctor.findings import Answer, Check, Failed, Finding, Result, Trouble
from batch_resend.doctor.shapes import DV
from batch_resend.folders import Place
from batch_resend.model import Reply

LITTLE_ROOM = 200_000_000  # bytes: a run takes some 1.5 kB a row, with its report
# Beyond this the clock is not kept by NTP, which holds it within a fraction of a second; below,
# the header cannot tell, for it counts whole seconds. What is read off both clocks: how long a
# Retry-After that names a time is waited for, and the age of orders (`sweep`, `--older-than`).
CLOCK_OFF_S = 5.0
_DENIED = frozenset((102, 103))  # roles of keys: View Only, User Management (page "Glossary")
_LIMITED_USER = 2  # a role of users, who manage only their own orders (page "Glossary")

# --- the journal --------------------------------------------------------------------------------


def check_journal(place: Place, size: int | None, room: tuple[int, int] | None) -> Finding:
    """Return what is known of a journal that was opened for writing.

    `size` is how many bytes it took before, `room` how many its disk has: free, and in all.
    """
    detail = f"{place}, {'new' if size is None else _bytes(size)}; it can be written"
    if room is None:
        return Finding(Check.JOURNAL, Result.OK, detail)
    free, total = room
    detail = f"{detail}, {_bytes(free)} of {_bytes(total)} are free there"
    if free >= LITTLE_ROOM:
        return Finding(Check.JOURNAL, Result.OK, detail)
    return Finding(
        Check.JOURNAL,
        Result.WARNING,
        detail,
        "Make room: a run stops once its journal cannot be written. `batch-resend prune` forgets "
        "old runs.",
    )


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


# --- the network --------------------------------------------------------------------------------

# In what is said: {end} is what is connected to, the proxy or else the CA, {port} its port.
_FAILED = {
    Step.NAME: (Check.NAME, "{end} has no address"),
    Step.CONNECTION: (Check.CONNECTION, "{end} accepts no connection at port {port}"),
    Step.PROXY_TLS: (Check.PROXY, "no TLS with the proxy {proxy}"),
    Step.TUNNEL: (Check.PROXY, "{proxy} does not connect to {ca}"),
    Step.TLS: (Check.TLS, "no trusted connection to {ca}"),
}
_REMEDIES = {  # without a proxy, and with one
    Step.NAME: (
        "Check --base-url or --region, and this machine's name server.",
        "Check the proxy that HTTPS_PROXY or ALL_PROXY names, and the name server.",
    ),
    Step.CONNECTION: (
        "Check the network and the firewall: they must let this machine connect there.",
        "Check the proxy that HTTPS_PROXY or ALL_PROXY names, and whether it runs.",
    ),
    Step.TUNNEL: ("", "Have the proxy allow {ca}, or name another in HTTPS_PROXY."),
}
_TLS_REMEDIES = (  # by words of the reason; the first that has one
    (
        ("expired", "not yet valid"),
        "Look at this machine's clock first (`date`); if it is right, the certificate is bad.",
    ),
    (
        ("not valid for", "mismatch"),
        "The certificate is another host's: check --base-url, and the proxy or firewall in "
        "between.",
    ),
    (
        ("issuer", "self-signed", "self signed"),
        "Something in between, such as a company's proxy, may show a certificate of its own: name "
        "the authority that issued it with --ca-file. `openssl s_client -connect {tls} "
        "</dev/null` shows who that is.",
    ),
    (
        ("",),
        "Something in between does not speak TLS: check the port in --base-url, and the firewall.",
    ),
)


def check_network(probe: Probe, now: float, *, is_proxy_left_out: bool) -> list[Finding]:
    """Return what a connection shows of the network, up to the first check that failed.

    `is_proxy_left_out`: the environment names a proxy, and --trust-env was not given.
    """
    findings: list[Finding] = []
    for check in (Check.NAME, Check.CONNECTION, Check.PROXY, Check.TLS):
        if check is Check.PROXY and probe.proxy is None:
            continue
        if probe.failure is not None and check is _FAILED[probe.failure.step][0]:
            return [*findings, _not_connected(probe, probe.failure, is_proxy_left_out)]
        findings.append(_connected(check, probe, now))
    return findings


def _connected(check: Check, probe: Probe, now: float) -> Finding:
    if check is Check.TLS and not probe.is_encrypted:
        detail = "plain HTTP, which is allowed within this machine only"
        return Finding(check, Result.NOT_CHECKED, detail)
    places = _places(probe)
    match check:
        case Check.NAME:
            detail = f"{places['end']} {_address(probe, places['host'])}"
        case Check.CONNECTION:
            at = probe.connected_to or places["host"]
            detail = f"{at} accepts connections at port {places['port']}"
        case Check.PROXY:
            detail = f"{probe.proxy} connects to {places['ca']}"
        case _:
            detail = _certificate(probe, now)
    return Finding(check, Result.OK, detail)


def _not_connected(probe: Probe, failure: Failure, is_proxy_left_out: bool) -> Finding:
    places = _places(probe)
    places["tls"] = places["proxy"] if failure.step is Step.PROXY_TLS else places["ca"]
    check, what = _FAILED[failure.step]
    detail = f"{what.format(**places)}: {failure.reason}"
    remedy = _remedy(failure, behind_proxy=probe.proxy is not None).format(**places)
    if is_proxy_left_out and probe.proxy is None:
        remedy += " The environment names a proxy: --trust-env goes through it."
    return Finding(check, Result.PROBLEM, detail, remedy)


def _remedy(failure: Failure, *, behind_proxy: bool) -> str:
    if failure.step is Step.TUNNEL and failure.status == 407:
        return "It asks for a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
    if failure.step in _REMEDIES:
        return _REMEDIES[failure.step][behind_proxy]
    reason = failure.reason.lower()
    return next(text for words, text in _TLS_REMEDIES if any(word in reason for word in words))


def _places(probe: Probe) -> dict[str, str]:
    """Return what is connected to, by the names that it has in what is said."""
    ca = f"{probe.host}:{probe.port}"
    host, _, port = (probe.proxy or ca).rpartition(":")
    host = host.strip("[]")
    end = f"the proxy {host}" if probe.proxy else host
    return {"end": end, "host": host, "port": port, "ca": ca, "proxy": probe.proxy or ""}


def _address(probe: Probe, host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        first, *others = probe.addresses
        return f"has the address {first}" + (f" and {len(others)} more" if others else "")
    return "is an address itself"


def _certificate(probe: Probe, now: float) -> str:
    shown = probe.certificate
    if shown is None:
        return "trusted"
    until = datetime.fromtimestamp(shown.expires_at, UTC)
    days = whole_days(shown.expires_at - now)
    return (
        f"{shown.tls_version}; the certificate is trusted, from {shown.issuer}, valid until "
        f"{until:%Y-%m-%d} ({days:,} days)"
    )


# --- the key ------------------------------------------------------------------------------------


def check_account(content: Any) -> Finding:
    """Return whether the CA takes the key, and whose it is, by the call "User info"."""
    if isinstance(content, Failed):
        result = Result.WARNING if content.trouble is Trouble.FORBIDDEN else Result.PROBLEM
        return Finding(Check.ACCOUNT, result, content.detail, content.remedy)
    number = _part(content, "account_id")
    in_brackets = f"({number})" if isinstance(number, int | str) and number else None
    account = " ".join(str(p) for p in (_part(content, "container", "name"), in_brackets) if p)
    whose = f": account {account}" if account else ""
    user = _part(content, "username")
    user_name = f", user {user}" if user else ""
    return Finding(Check.ACCOUNT, Result.OK, f"the CA accepts the key{whose}{user_name}")


def check_permission(user: Any, keys: Any) -> Finding:
    """Return whether the key may have mails sent.

    `user` is the answer of "User info", `keys` that of "List keys" for the user: it has what
    each key is restricted to, and not which of them this one is.
    """
    roles = {
        number: str(one.get("name") or number)
        for one in _objects(_part(user, "access_roles"))
        if (number := _number(one.get("id"))) is not None
    }
    restrictions = _restrictions(keys)
    found, names = partial(Finding, Check.PERMISSION), ", ".join(roles.values()) or "not said"
    if _DENIED & roles.keys() or (restrictions and set(restrictions) <= _DENIED):
        return found(
            Result.PROBLEM,
            f"the key may only read, or only manage users (role: {names})",
            "Make a key without restriction, or for orders, in CertCentral (API Keys).",
        )
    if few := sum(role in _DENIED for role in restrictions):
        return found(
            Result.WARNING,
            f"{few} of this user's {len(restrictions)} keys may only read, or only manage users; "
            "the CA does not say which of them this one is",
            "Look at the key in CertCentral (API Keys): it must not be View Only.",
        )
    if roles.keys() == {_LIMITED_USER}:
        return found(
            Result.WARNING,
            f"role {names}: the key reaches the orders that its own user has placed",
            "To reach all orders of the account, use the key of a manager or an administrator.",
        )
    if not roles and not restrictions:
        return found(Result.NOT_CHECKED, "the CA does not say")
    unsaid = "" if restrictions else "; the CA does not say whether the key itself is restricted"
    return found(Result.OK, f"role: {names}{unsaid}")


def check_permission_unsaid(user: Failed, lists: Sequence[Any]) -> Finding:
    """Return whether a key that may not ask whose it is may have mails sent.

    One that may read the lists of orders probably may; of one that may read nothing, nobody knows.
    """
    if all(isinstance(content, Failed) for content in lists):
        detail = "cannot tell whether this key may send: it may read nothing"
        return Finding(Check.PERMISSION, Result.PROBLEM, detail, user.remedy)
    return Finding(Check.PERMISSION, Result.NOT_CHECKED, "the CA does not say")


def _restrictions(keys: Any) -> list[int]:
    """Return the roles that a user's active keys are restricted to; 0: to none."""
    active = [k for k in _objects(_part(keys, "api_keys")) if k.get("status") in (None, "active")]
    numbers = (_number(key.get("restricted_to_role_id")) for key in active)
    return [number for number in numbers if number is not None]


def user_id(user: Any) -> int | None:
    """Return the number of the key's user, where the CA says it."""
    return _number(_part(user, "id"))


# --- the clock ----------------------------------------------------------------------------------


def check_clock(answer: Answer) -> Finding:
    """Compare this machine's clock with the header Date, which may be made anywhere on the way."""
    found, reply = partial(Finding, Check.CLOCK), answer.result
    try:
        header = reply.server_date if isinstance(reply, Reply) else None
        date = parsedate_to_datetime(header) if header else None
    except ValueError:
        date = None
    if date is None or not isinstance(reply, Reply):
        return found(Result.NOT_CHECKED, "no answer has a date to compare with")
    theirs = date.replace(tzinfo=date.tzinfo or UTC).timestamp() + 0.5  # it counts whole seconds
    off = (answer.sent_at + reply.received_at) / 2 - theirs
    unsure = (reply.received_at - answer.sent_at) / 2 + 0.5
    if abs(off) - unsure <= CLOCK_OFF_S:
        return found(Result.OK, f"the same as the CA's, within {CLOCK_OFF_S:g} s")
    return found(
        Result.WARNING,
        f"this machine's is {format_duration(abs(off))} {'ahead of' if off > 0 else 'behind'} the "
        "CA's",
        "Have NTP set it (`timedatectl`): pauses that the CA asks for, and the age of orders, "
        "depend on it.",
    )


# --- what waits ---------------------------------------------------------------------------------


def check_orders(lists: Mapping[str, Any]) -> Finding:
    """Return how many orders wait, of the first page of a list for each status."""
    for status, content in lists.items():
        if isinstance(content, Failed):
            detail = f"the list of orders that are {status}: {content.detail}"
            remedy = f"{content.remedy} `send` works without it; sweep, export and verify do not."
            return Finding(Check.ORDERS, content.result, detail, remedy)
    counts = {status: _count(content) for status, content in lists.items()}
    waiting = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Finding(Check.ORDERS, Result.OK, waiting or "none waits")


def _count(content: Any) -> str:
    """Return how many orders there are, as far as is known; nothing where none waits."""
    total, orders = _number(_part(content, "page", "total")), orders_of(content)
    if total is None:
        return f"{len(orders):,} or more" if orders else ""
    return f"{total:,}" if total or orders else ""


def example_of(pages: Sequence[Any]) -> str | None:
    """Return the number of an order to look at: a DV order, if there is one."""
    orders = [order for page in pages for order in _objects(orders_of(page))]
    orders.sort(key=lambda order: _part(order, "product", "type") != DV)  # stable
    numbers = (_number(order.get("id")) for order in orders)
    return next((str(number) for number in numbers if number is not None), None)


def _part(value: Any, *names: str) -> Any:
    """Return what an answer has within, whatever form it has; None where it has not."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _objects(value: Any) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [one for one in found if isinstance(one, dict)]


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) else None
