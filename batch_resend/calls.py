"""The CA's calls that mail again, all that sets one apart from another, in one table.

The pages "Resend order DCV emails", "Resend domain DCV emails", "Resend order approval email"
(dev.digicert.com). Answers are judged alike: an empty one is an acknowledgement.

A call's line makes its requests, and says what its rows need; lists know the key of its body, the
simulator answers it, and `--call`, the schema of results and the manual have its words.
"""

from collections.abc import Mapping
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

    mails: str  # in words
    path: str  # below the base URL; {} is the order's number, or the domain's number or name
    addresses: Addresses
    key: str  # in its body, of the addresses
    in_language: bool  # whether it takes a locale
    is_about_domain: bool  # and not about an order
    approves_domains: bool  # what is approved are domains, which need not be so by e-mail
    is_for_dv: bool  # of all products, those validated by domain alone


CALLS: Mapping[Call, Description] = {
    Call.DV_RESEND: Description(
        mails="the approval mails of a DV order's domains",
        path="/order/certificate/{}/resend-emails",
        addresses=Addresses.PAIRS,
        key="domain_approval_emails",
        in_language=True,
        is_about_domain=False,
        approves_domains=True,
        is_for_dv=True,
    ),
    Call.DOMAIN_DCV: Description(
        mails="those of one domain, of OV and EV orders or before any order",
        path="/domain/{}/dcv/emails",
        addresses=Addresses.SOME,
        key="email_array",
        in_language=True,
        is_about_domain=True,
        approves_domains=True,
        is_for_dv=False,
    ),
    Call.ORDER_APPROVAL: Description(
        mails="the mail that asks to approve an EV order itself",
        path="/order/certificate/{}/order-approval/resend-emails",
        addresses=Addresses.REQUIRED,
        key="emails",
        in_language=False,
        is_about_domain=False,
        approves_domains=False,
        is_for_dv=False,
    ),
}


def path_of(order: Request) -> str:
    """Return where a request goes, below the base URL."""
    described = CALLS[order.call]
    subject = domain_and_scope(order.subject)[0] if described.is_about_domain else order.subject
    return described.path.format(quote(subject, safe=""))


def body_of(order: Request) -> dict[str, object]:
    """Return the body of a request. What is optional and not wanted is left out."""
    described = CALLS[order.call]
    body: dict[str, object] = {}
    if described.is_about_domain and (scope := domain_and_scope(order.subject)[1]):
        body["name_scope"] = scope
    if order.entries:
        by_pairs = described.addresses is Addresses.PAIRS
        body[described.key] = [_pair(e) if by_pairs else e.email for e in order.entries]
    if described.in_language and order.locale is not None:
        body["locale"] = order.locale
    return body


def _pair(entry: Entry) -> dict[str, str]:
    pair = {"domain": entry.domain, "email": entry.email}
    return pair if entry.email_domain is None else pair | {"email_domain": entry.email_domain}


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
