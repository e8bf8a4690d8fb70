"""Whom a request mails: the danger of the domain call, counted address by address.

In "Resend domain DCV emails" addresses that the CA does not know for the domain are ignored; and if
it knows none of those given, or none is given, all constructed and DNS TXT addresses are mailed. So
a typo mails everyone. WHOIS addresses ended on 8 May 2025.
"""

from collections.abc import Iterable

from pydantic import BaseModel

from batch_resend.certcentral.contract import DomainEmailsBody, OrderApprovalBody, ResendBody
from batch_resend.intake.addresses import is_constructed
from batch_resend.model import USUAL_LOCAL_PARTS
from batch_resend.simulator.world import World

# Whom an order without addresses has mailed of which the world knows no names.
EVERYONE = "everyone whom the order's domains have"


def recipients(world: World, subject: str, body: BaseModel) -> list[str]:
    """Return whom a request mails, in its order. `subject`: an order's number, or a domain."""
    if isinstance(body, DomainEmailsBody):
        return _of_domain(world, world.domain_name(subject), body)
    if isinstance(body, OrderApprovalBody):
        return list(body.emails)
    if isinstance(body, ResendBody) and body.domain_approval_emails:
        return [entry.email for entry in body.domain_approval_emails]
    order = world.order(subject)
    if order is None:
        return [EVERYONE]
    waiting = (name for name in order.domains if name not in order.approved)
    return list(dict.fromkeys(a for name in waiting for a in everyone(world, name)))


def _of_domain(world: World, domain: str, body: DomainEmailsBody) -> list[str]:
    known = [address for address in body.email_array or () if is_known(world, address, domain)]
    return known or everyone(world, body.name_scope or domain)


def is_known(world: World, address: str, domain: str) -> bool:
    """Whether the CA mails an address for a domain: constructed, or in the domain's DNS."""
    local, _, of = address.lower().rpartition("@")
    if local in world.mailed_local_parts and is_constructed(local, of, domain):
        return True
    return address.lower() in (a.lower() for a in dns_txt(world, domain))


def everyone(world: World, domain: str) -> list[str]:
    """Return all whom the CA can mail for a domain."""
    return [*constructed(domain, sorted(USUAL_LOCAL_PARTS)), *dns_txt(world, domain)]


def constructed(domain: str, local_parts: Iterable[str]) -> list[str]:
    """Return the addresses that are constructed at a domain."""
    return [f"{local}@{domain.removeprefix('*.')}" for local in local_parts]


def dns_txt(world: World, domain: str) -> list[str]:
    """Return the addresses that stand in a domain's DNS, at `_validation-contactemail`."""
    return list(world.dns_txt.get(domain.removeprefix("*."), ()))
