"""Reads that tell of many orders at once, or of what one order's mails depend on.

    GET {base}/order/certificate/{order_id}/validation           which of its names still wait
    GET {base}/report/order                                      every order, with its DCV method
    GET {base}/order/certificate/status-changes?minutes=..       whose status has changed
    GET {base}/domain/{id or FQDN}/dcv/emails                    whom the CA can mail for a domain

The pages "Order validation status", "Order report", "Order status changes" and "Domain DCV emails"
(dev.digicert.com). No recording shows the last three: an answer that cannot be read is an error,
for there is another way to ask (order by order), or a safe side to stay on.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from math import ceil
from urllib.parse import quote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from batch_resend.certcentral.client import MAX_READ_BYTES
from batch_resend.certcentral.lenient import Digits, Items, Names, Text
from batch_resend.certcentral.orders import unreadable
from batch_resend.errors import CallError
from batch_resend.listed import ListedOrder, NameValidation
from batch_resend.model import Reply

REPORT_PATH = "/report/order"
LONGEST_CHANGES_S = 7 * 86_400.0  # back; beyond it the CA answers `time_frame_too_long`
_APPROVED = frozenset(("approved", "valid"))
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


class _DomainValidation(BaseModel):
    """One item of `dns_name_validations`: a domain, and the names that it stands for."""

    model_config = ConfigDict(extra="ignore")

    domain_id: Digits = None
    name_scope: Text = None
    status: Text = None
    dns_names: Names = Field(default=(), validation_alias=AliasChoices("dns_names", "dns_name"))


class _Validation(BaseModel):
    """Order validation status. Lenient: what cannot be read of it is not known."""

    model_config = ConfigDict(extra="ignore")

    order_status: Text = None
    order_dcv_method: Text = None
    dns_name_validations: Items = ()


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore")

    order_id: Digits = None
    status: Text = None


class _DomainEmails(BaseModel):
    model_config = ConfigDict(extra="ignore")

    base_emails: Names = ()
    whois_emails: Names = ()
    dns_txt_emails: Names = ()


def validation_path(order_id: str) -> str:
    """Return where it stands which of an order's names wait, below the base URL."""
    return f"/order/certificate/{quote(order_id, safe='')}/validation"


def read_validation(reply: Reply, order_id: str) -> ListedOrder | None:
    """Return an order's status, method and names: what cannot be read of them is not known.

    None: nothing can.
    """
    try:
        found = _Validation.model_validate_json(reply.body)
    except ValidationError:
        found = _Validation()
    if not (found.order_status or found.order_dcv_method or found.dns_name_validations):
        return None
    known = ListedOrder(order_id, status=found.order_status, dcv_method=found.order_dcv_method)
    names: dict[str, NameValidation] = {}
    for item in found.dns_name_validations:
        named = _names_of(item)
        if not named:
            return known  # how many names there are, and which of them wait, is not known
        for one in named:
            # One that stands there twice is approved where both say so.
            if names.setdefault(one.name, one).is_approved:
                names[one.name] = one
    return replace(known, domains=tuple(names), names=tuple(names.values()))


def _names_of(item: object) -> list[NameValidation]:
    """Return the names that a domain stands for; none: they cannot be read."""
    try:
        domain = _DomainValidation.model_validate(item)
    except ValidationError:
        return []
    is_approved = (domain.status or "").lower() in _APPROVED
    return [
        NameValidation(name, is_approved, domain.domain_id)
        for name in domain.dns_names or (domain.name_scope,)
        if name
    ]


def read_methods(reply: Reply) -> dict[str, str]:
    """Return how orders are validated, by their numbers, of the order report (CSV).

    Raises CallError where it is none, or not whole.
    """
    if len(reply.body) >= MAX_READ_BYTES:
        raise CallError(f"the CA's order report is larger than {MAX_READ_BYTES >> 20} MiB")
    table = csv.reader(StringIO(reply.body.decode("utf-8-sig", "replace"), newline=""))
    try:
        heading = [_BETWEEN_WORDS.sub("_", cell.strip().lower()) for cell in next(table, [])]
        number, method = heading.index("order_id"), heading.index("dcv_method")
        return {
            row[number].strip(): row[method].strip()
            for row in table
            if len(row) == len(heading) and row[method].strip()
        }
    except (csv.Error, ValueError):
        raise CallError("the CA's order report has no columns order_id and dcv_method") from None


def changes_path(since_s: float) -> str:
    """Return where it stands which orders' status has changed in so many seconds until now."""
    return f"/order/certificate/status-changes?minutes={max(1, ceil(since_s / 60))}"


def read_changes(reply: Reply) -> dict[str, str]:
    """Return the newest status of the orders that have another one, by their numbers.

    `{}`, or 204, where there is none. Raises CallError where the answer is no such list.
    """
    if reply.status == 204:
        return {}
    changes = map(_change_of, _items_of_changes(reply.body))
    return {  # the later of two
        change.order_id: change.status for change in changes if change.order_id and change.status
    }


def _items_of_changes(body: bytes) -> list[object]:
    """Return the items of the list, which stand as `orders`, or bare. Raises CallError."""
    try:
        found = from_json(body)
    except ValueError:
        found = None
    page = None
    if isinstance(found, Mapping) and found.keys() <= {"orders", "page"}:
        page, found = found.get("page"), found.get("orders") or []
    if not isinstance(found, list):
        raise CallError("the CA's list of status changes cannot be read")
    total = page.get("total") if isinstance(page, Mapping) else None
    if isinstance(total, int) and total > len(found):
        raise CallError("the CA shows only a part of its list of status changes")
    return found


def _change_of(item: object) -> _Change:
    try:
        return _Change.model_validate(item)
    except ValidationError:
        return _Change()


def domain_emails_path(domain: str) -> str:
    """Return where it stands whom the CA can mail for a domain (its number, or its name)."""
    query = "consider_dcv_email_preferences=true"
    return f"/domain/{quote(domain, safe='')}/dcv/emails?{query}"


def read_domain_emails(reply: Reply) -> frozenset[str]:
    """Return the addresses that the CA can mail for a domain, in lower case.

    Raises CallError where the answer is no JSON object.
    """
    try:
        found = _DomainEmails.model_validate_json(reply.body)
    except ValidationError as error:
        raise unreadable("list of a domain's addresses", error) from None
    listed = (*found.base_emails, *found.whois_emails, *found.dns_txt_emails)
    return frozenset(address.lower() for address in listed)
