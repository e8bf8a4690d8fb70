"""The CA's calls that mail again, all that sets one apart from another, in one table.

    dv-resend       PUT /order/certificate/{order_id}/resend-emails
    domain-dcv      PUT /domain/{domain_id or FQDN}/dcv/emails
    order-approval  PUT /order/certificate/{order_id}/order-approval/resend-emails

The pages "Resend order DCV emails", "Resend domain DCV emails", "Resend order approval email"
(dev.digicert.com). Answers are judged alike: an empty one is an acknowledgement.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from batch_resend.model import Call, Entry, Request


class Addresses(StrEnum):
    """What a call wants to know of whom to mail."""

    PAIRS = "pairs"  # each with the domain that it shall approve; or none: the CA mails all
    SOME = "some"  # of those that the CA knows; or none: the CA mails all
    REQUIRED = "required"  # at least one


@dataclass(frozen=True, slots=True)
class Description:
    """One of the CA's calls."""

    is_about_domain: bool  # and not about an order
    approves_domains: bool  # what is approved are domains, which need not be so by e-mail
    is_for_dv: bool  # of all products, those validated by domain alone
    addresses: Addresses
    in_language: bool  # whether it takes a locale
    path: Callable[[Request], str]  # below the base URL
    body: Callable[[Request], dict[str, object]]  # what is optional and not wanted is left out


def domain_subject(domain_id: str, name_scope: str) -> str:
    """Return what names a domain in the place of an order: its number, or its name, or both."""
    return f"{domain_id} {name_scope}".strip()


def domain_and_scope(subject: str) -> tuple[str, str | None]:
    """Return a domain's number or name, and the name scope behind it where there is one."""
    domain, _, scope = subject.partition(" ")
    return domain, scope or None


def list_fields(subject: str, call: Call) -> dict[str, str]:
    """Return what names an order or a domain in a list, by the fields' names."""
    if not CALLS[call].is_about_domain:
        return {"order_id": subject}
    domain, scope = domain_and_scope(subject)
    if domain.isdigit():
        return {"domain_id": domain} | ({"domain": scope} if scope else {})
    return {"domain": domain}


def _of_order(order: Request) -> str:
    return f"/order/certificate/{quote(order.subject, safe='')}"


def _dv_body(order: Request) -> dict[str, object]:
    body: dict[str, object] = {}
    if order.entries:
        body["domain_approval_emails"] = [_entry_object(entry) for entry in order.entries]
    return body | _language(order)


def _entry_object(entry: Entry) -> dict[str, str]:
    described = {"domain": entry.domain, "email": entry.email}
    if entry.email_domain is not None:
        described["email_domain"] = entry.email_domain
    return described


def _domain_path(order: Request) -> str:
    return f"/domain/{quote(domain_and_scope(order.subject)[0], safe='')}/dcv/emails"


def _domain_body(order: Request) -> dict[str, object]:
    body: dict[str, object] = {}
    _, scope = domain_and_scope(order.subject)
    if scope is not None:
        body["name_scope"] = scope
    if order.entries:
        body["email_array"] = _emails(order)
    return body | _language(order)


def _emails(order: Request) -> list[str]:
    return [entry.email for entry in order.entries]


def _language(order: Request) -> dict[str, object]:
    return {} if order.locale is None else {"locale": order.locale}


CALLS: Mapping[Call, Description] = {
    Call.DV_RESEND: Description(
        is_about_domain=False,
        approves_domains=True,
        is_for_dv=True,
        addresses=Addresses.PAIRS,
        in_language=True,
        path=lambda order: f"{_of_order(order)}/resend-emails",
        body=_dv_body,
    ),
    Call.DOMAIN_DCV: Description(
        is_about_domain=True,
        approves_domains=True,
        is_for_dv=False,
        addresses=Addresses.SOME,
        in_language=True,
        path=_domain_path,
        body=_domain_body,
    ),
    Call.ORDER_APPROVAL: Description(
        is_about_domain=False,
        approves_domains=False,
        is_for_dv=False,
        addresses=Addresses.REQUIRED,
        in_language=False,
        path=lambda order: f"{_of_order(order)}/order-approval/resend-emails",
        body=lambda order: {"emails": _emails(order)},
    ),
}
