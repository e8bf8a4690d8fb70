"""Answers of the CA -> findings: the key, what it may do, the clock, what waits, the shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from batch_resend.doctor.answers import (
    CHANGE,
    CHANGES,
    DV,
    LISTED_ORDER,
    NOTHING,
    PAGE,
    Answer,
    Failed,
    Field,
    Trouble,
)
from batch_resend.doctor.findings import Check, Finding, Result
from batch_resend.doctor.shapes import Comparison, compare, compare_all, sanitized
from batch_resend.model import Reply

# Beyond this the clock is not kept by NTP, which holds it within a fraction of a second; below,
# the header cannot tell, for it counts whole seconds. What is read off both clocks: how long a
# Retry-After that names a time is waited for, and the age of orders (`sweep`, `--older-than`).
CLOCK_OFF_S = 5.0
_VIEW_ONLY, _USERS_ONLY = 102, 103  # roles of keys that may send no mail (page "Glossary")
_LIMITED_USER = 2  # a role of users, who manage only their own orders (page "Glossary")

# --- the key ------------------------------------------------------------------------------------


def check_account(content: Any) -> Finding:
    """Return whether the CA takes the key, and whose it is, by the call "User info"."""
    if isinstance(content, Failed):
        result = Result.WARNING if content.trouble is Trouble.FORBIDDEN else Result.PROBLEM
        return Finding(Check.ACCOUNT, result, content.detail, content.remedy)
    user = content if isinstance(content, dict) else {}
    container = user.get("container")
    name = container.get("name") if isinstance(container, dict) else None
    account = " ".join(str(part) for part in (name, _in_brackets(user.get("account_id"))) if part)
    whose = f": account {account}" if account else ""
    user_name = f", user {user['username']}" if user.get("username") else ""
    return Finding(Check.ACCOUNT, Result.OK, f"the CA takes the key{whose}{user_name}")


def _in_brackets(value: object) -> str:
    return f"({value})" if isinstance(value, int | str) and value else ""


def check_permission(user: Any, keys: Any) -> Finding:
    """Return whether the key may have mails sent.

    `user` is the answer of "User info", `keys` that of "List keys" for the user: it has what
    each key is restricted to, and not which of them this one is.
    """
    roles = _roles(user)
    restrictions = _restrictions(keys)
    denied = {_VIEW_ONLY, _USERS_ONLY}
    names = ", ".join(roles.values()) or "not said"
    if denied & roles.keys() or (restrictions and denied >= set(restrictions)):
        return Finding(
            Check.PERMISSION,
            Result.PROBLEM,
            f"the key may only read, or only manage users (role: {names})",
            "Make a key without restriction, or for orders, in CertCentral (API Keys).",
        )
    if denied & set(restrictions):
        few = sum(role in denied for role in restrictions)
        return Finding(
            Check.PERMISSION,
            Result.WARNING,
            f"{few} of this user's {len(restrictions)} keys may only read, or only manage users; "
            "the CA does not say which of them this one is",
            "Look at the key in CertCentral (API Keys): it must not be View Only.",
        )
    if set(roles) == {_LIMITED_USER}:
        return Finding(
            Check.PERMISSION,
            Result.WARNING,
            f"role {names}: the key reaches the orders that its own user has placed",
            "For all orders of the account take a key of a manager or an administrator.",
        )
    if not roles and not restrictions:
        return Finding(Check.PERMISSION, Result.NOT_CHECKED, "the CA does not say")
    unsaid = "" if restrictions else "; the CA does not say whether the key itself is restricted"
    return Finding(Check.PERMISSION, Result.OK, f"role: {names}{unsaid}")


def _roles(user: Any) -> dict[int, str]:
    """Return the roles of the key's user by their numbers."""
    listed = user.get("access_roles") if isinstance(user, dict) else None
    roles = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    numbered = ((_number(one.get("id")), one.get("name")) for one in roles)
    return {number: str(name or number) for number, name in numbered if number is not None}


def _restrictions(keys: Any) -> list[int]:
    """Return the roles that a user's active keys are restricted to; 0: to none."""
    listed = keys.get("api_keys") if isinstance(keys, dict) else None
    active = (
        one
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("status") in (None, "active")
    )
    numbers = (_number(one.get("restricted_to_role_id")) for one in active)
    return [number for number in numbers if number is not None]


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def user_id(user: Any) -> int | None:
    """Return the number of the key's user, where the CA says it."""
    return _number(user.get("id")) if isinstance(user, dict) else None


# --- the clock ----------------------------------------------------------------------------------


def check_clock(answer: Answer) -> Finding:
    """Compare this machine's clock with the header Date, which may be made anywhere on the way."""
    reply = answer.result
    date_header = reply.server_date if isinstance(reply, Reply) else None
    try:
        date = parsedate_to_datetime(date_header) if date_header else None
    except ValueError:
        date = None
    if date is None or not isinstance(reply, Reply):
        return Finding(Check.CLOCK, Result.NOT_CHECKED, "no answer has a date to compare with")
    theirs = date.replace(tzinfo=date.tzinfo or UTC).timestamp() + 0.5  # it counts whole seconds
    ours = (answer.sent_at + reply.received_at) / 2
    unsure = (reply.received_at - answer.sent_at) / 2 + 0.5
    off = ours - theirs
    if abs(off) - unsure <= CLOCK_OFF_S:
        return Finding(Check.CLOCK, Result.OK, f"as the CA's, within {CLOCK_OFF_S:g} s")
    return Finding(
        Check.CLOCK,
        Result.WARNING,
        f"this machine's is {_length(abs(off))} {'ahead of' if off > 0 else 'behind'} the CA's",
        "Have NTP set it (`timedatectl`): pauses that the CA asks for, and the age of orders, are "
        "read off it.",
    )


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.0f} hours"


# --- what waits ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """What a page of the CA's list has."""

    status: str  # that was asked for
    content: Any
    orders: Sequence[Any]
    total: int | None  # None: the CA does not say

    @classmethod
    def of(cls, status: str, content: Any) -> "Listed":
        """Read a page. Without `orders` it is empty: `{}`, or no content at all."""
        page = content if isinstance(content, dict) else {}
        orders, place = page.get("orders"), page.get("page")
        total = _number(place.get("total")) if isinstance(place, dict) else None
        return cls(status, content, orders if isinstance(orders, list) else (), total)

    @property
    def count(self) -> str:
        """How many orders there are, as far as is known."""
        if self.total is not None:
            return f"{self.total:,}"
        return f"{len(self.orders):,}" + (" or more" if self.orders else "")


def check_orders(lists: Sequence[Listed]) -> Finding:
    """Return how many orders wait."""
    for one in lists:
        if isinstance(one.content, Failed):
            detail = f"the list of orders that are {one.status}: {one.content.detail}"
            remedy = f"{one.content.remedy} `send` does without; sweep, export and verify do not."
            result = _of_failure(one.content)
            return Finding(Check.ORDERS, result, detail, remedy)
    waiting = [one for one in lists if one.total or one.orders]
    if not waiting:
        return Finding(Check.ORDERS, Result.OK, "none waits")
    return Finding(
        Check.ORDERS, Result.OK, ", ".join(f"{one.count} {one.status}" for one in waiting)
    )


def example_of(lists: Sequence[Listed]) -> str | None:
    """Return the number of an order to look at: a DV order, if there is one."""
    orders = [order for one in lists for order in one.orders if isinstance(order, dict)]
    orders.sort(key=lambda order: not _is_dv(order))  # stable
    numbers = (_number(order.get("id")) for order in orders)
    return next((str(number) for number in numbers if number is not None), None)


def _is_dv(order: Mapping[str, Any]) -> bool:
    product = order.get("product")
    return isinstance(product, dict) and product.get("type") == DV


# --- the shapes ---------------------------------------------------------------------------------


def check_list_shape(lists: Sequence[Listed], key: str) -> Finding:
    """Compare the pages of a list, and each order in them, with what is expected."""
    check = Check.LIST_SHAPE
    found = [_of_list(one, key) for one in lists if not isinstance(one.content, Failed)]
    if not found:
        return Finding(check, Result.NOT_CHECKED, "the list could not be read")
    samples = (sample for one, sample in found if one.deviations)
    sample = next(samples, found[0][1])
    return _finding(check, _joined([one for one, _ in found]), sample)


def _of_list(listed: Listed, key: str) -> tuple[Comparison, object]:
    """Return how a page deviates, and a sample of it with one order, one that deviates."""
    content = listed.content
    if content is NOTHING or content == {}:
        return Comparison(), content if content == {} else None
    page = compare(content, PAGE, key)
    orders = compare_all(listed.orders, LISTED_ORDER, "orders[]", key)
    odd = [order for order in listed.orders if compare(order, LISTED_ORDER, key).deviations]
    shown = content
    if isinstance(content, dict) and listed.orders:
        shown = content | {"orders": [*(odd or listed.orders)][:1]}
    return _joined((page, orders)), sanitized(shown, key)


def check_changes_shape(content: Any, key: str) -> Finding:
    """Compare what the call "Status change list" answers with what is expected."""
    check = Check.CHANGES_SHAPE
    if isinstance(content, Failed):
        return _unread(check, content, "`verify` asks order by order then.")
    if content is NOTHING or content == {}:
        return Finding(check, Result.OK, "no order has changed, so none was compared")
    page = Comparison() if isinstance(content, list) else compare(content, CHANGES, key)
    found = content.get("orders") if isinstance(content, dict) else content
    orders = found if isinstance(found, list) else ()
    changes = compare_all(orders, CHANGE, "orders[]", key)
    return _finding(check, _joined((page, changes)), sanitized(content, key))


def check_shape(check: Check, content: Any, fields: tuple[Field, ...], key: str) -> Finding:
    """Compare what the CA says of one thing with what is expected."""
    if isinstance(content, Failed):
        return _unread(check, content, "`send` does without; sweep, export and verify may not.")
    return _finding(check, compare(content, fields, key), sanitized(content, key))


def _unread(check: Check, failed: Failed, beside: str) -> Finding:
    return Finding(check, _of_failure(failed), failed.detail, f"{failed.remedy} {beside}")


def _of_failure(failed: Failed) -> Result:
    """Return what it means that something cannot be read which `send` does without."""
    return Result.PROBLEM if failed.trouble is Trouble.KEY_REFUSED else Result.WARNING


def _finding(check: Check, found: Comparison, sample: object) -> Finding:
    deviations, unknown = found.deviations, found.unknown_fields
    beyond = f"; {len(unknown)} fields beyond that" if unknown else ""
    if not deviations:
        date_header = f"as this program expects{beyond}"
        return Finding(check, Result.OK, date_header, unknown_fields=unknown, sample=sample)
    some = "is 1 deviation" if len(deviations) == 1 else f"are {len(deviations)} deviations"
    return Finding(
        check,
        Result.WARNING,
        f"there {some} from what this program expects{beyond}",
        "Please send us the sample below: it names nobody, no domain and no order.",
        deviations,
        unknown,
        sample,
    )


def _joined(found: Sequence[Comparison]) -> Comparison:
    return Comparison(
        tuple(dict.fromkeys(deviation for one in found for deviation in one.deviations)),
        tuple(dict.fromkeys(name for one in found for name in one.unknown_fields)),
    )
