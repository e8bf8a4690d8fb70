"""What DNS says of the domains that a run is about to mail, beside its preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_resend.intake import Malformed, domain_name
from batch_resend.journal import JournalReader
from batch_resend.model import Request, Run
from batch_resend.report.preview import (
    KINDS_SHOWN,
    Kind,
    MailDomainsAsked,
    Preview,
    first_of,
    place_of,
    subject_of,
)

if TYPE_CHECKING:
    from batch_resend.mail_domains import MailDomains

MOST_DOMAINS_ASKED = 10_000  # of DNS: those with the most mails
# By mail_domains.MailRoute: what a person should know, the worst first. Of what is not known there
# is nothing to say.
ROUTE_IN_WORDS = {
    "no_such_domain": "an address at a domain that does not exist, according to the resolver: "
    "nobody gets its mail. A company's own resolver may not know it: name "
    "another with --dns-server",
    "null_mx": "an address at a domain that accepts no mail, according to its DNS (a null MX)",
    "no_mail_records": "an address at a domain that has neither an MX record nor an address in "
    "DNS: nobody gets its mail",
    "no_mx": "an address at a domain without an MX record: mail may still arrive, at the address "
    "that the domain has in DNS (RFC 5321), but DigiCert looks for an MX record before "
    "it mails",
}


async def with_mail_routes(
    preview: Preview, reader: JournalReader, run: Run, asking: MailDomains, shown: int
) -> Preview:
    """Return a preview with what DNS says of the domains that the run is about to mail.

    `shown` orders of each kind are named. Raises JournalError.
    """
    from batch_resend.mail_domains import MailRoute  # noqa: PLC0415 - slow, and rarely wanted

    recipients = await reader.recipients(run, MOST_DOMAINS_ASKED)
    domains = [domain for domain, _ in recipients.first]
    names = {domain: name for domain in domains if (name := _as_name(domain))}
    routes = await asking.routes(dict.fromkeys(names.values()))
    found: dict[MailRoute, list[str]] = {route: [] for route in MailRoute}
    for domain in domains:
        found[routes[names[domain]] if domain in names else MailRoute.UNKNOWN].append(domain)
    inputs = await reader.inputs(run)
    kinds: list[Kind] = []
    for route, text in ROUTE_IN_WORDS.items():
        if at := found[MailRoute(route)]:
            count, first = await reader.mailed_at(run, at, shown)
            among = frozenset(at)
            places = [place_of(inputs, noted, _mailed_at(noted.order, among)) for noted in first]
            kinds.append(Kind(kind=route, text=text, count=count, first=places))
    counts = {route.value: len(at) for route, at in found.items()}
    counts[MailRoute.NOT_ASKED] += preview.recipient_domains - len(domains)
    asked = MailDomainsAsked(
        domains=preview.recipient_domains,
        asked=preview.recipient_domains - counts[MailRoute.NOT_ASKED],
        routes=counts,
        unknown=found[MailRoute.UNKNOWN][:KINDS_SHOWN],
    )
    changes = {"mail_domains": asked, "warnings": [*kinds, *preview.warnings]}
    return preview.model_copy(update=changes)


def _as_name(domain: str) -> str | None:
    """Return a domain as DNS has it; None where it is none."""
    try:
        return domain_name(domain)
    except Malformed:
        return None


def _mailed_at(order: Request, domains: frozenset[str]) -> str:
    """Return an order, and its addresses at some domains."""
    emails = dict.fromkeys(entry.email for entry in order.entries)
    at = [email for email in emails if email.partition("@")[2].lower() in domains]
    return f"{subject_of(order)}: {first_of(at)}"
