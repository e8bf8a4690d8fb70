"""Whether the domains of a plan's addresses take mail, for who looks at it before it is sent.

Apart from the preview, for it asks DNS, which nothing else of a report does.
"""

from collections.abc import Collection, Mapping

from batch_resend.intake import Malformed, domain_name
from batch_resend.journal import JournalReader, NotedRequest
from batch_resend.mail_domains import MailDomains, MailRoute
from batch_resend.model import Run
from batch_resend.report.preview import (
    MOST_DOMAINS_ASKED,
    Kind,
    MailDomainsAsked,
    Place,
    Preview,
    subject_of,
)

_UNKNOWN_SHOWN = 10
_ADDRESSES_SHOWN = 5

# Of what a person should know, the worst first. Of what is not known there is nothing to say.
_IN_WORDS = {
    MailRoute.NO_SUCH_DOMAIN: "an address at a domain that does not exist, as the resolver says: "
    "nobody gets its mail. A company's own resolver may not know it: --dns-server names another",
    MailRoute.NULL_MX: "an address at a domain that takes no mail, as its DNS says (a null MX)",
    MailRoute.NO_MAIL_RECORDS: "an address at a domain that has neither an MX record nor an "
    "address in DNS: nobody gets its mail",
    MailRoute.NO_MX: "an address at a domain without an MX record: mail may arrive all the same, "
    "at the address that the domain has in DNS (RFC 5321), but DigiCert looks for an MX record "
    "before it mails",
}


async def with_mail_routes(
    preview: Preview, reader: JournalReader, run: Run, asking: MailDomains, shown: int
) -> Preview:
    """Return a preview with what DNS says of the domains that the run is about to mail.

    `shown` orders of each kind are named. Raises JournalError.
    """
    domains = [domain for domain, _ in await reader.recipients(run, MOST_DOMAINS_ASKED)]
    names = {domain: name for domain in domains if (name := _as_name(domain))}
    routes = await asking.routes(dict.fromkeys(names.values()))
    found = {
        domain: routes[names[domain]] if domain in names else MailRoute.UNKNOWN
        for domain in domains
    }
    kinds: list[Kind] = []
    for route, text in _IN_WORDS.items():
        if at := _those(found, route):
            count, first = await reader.mailed_at(run, at, shown)
            places = [_place(preview, noted, frozenset(at)) for noted in first]
            kinds.append(Kind(kind=route, text=text, count=count, first=places))
    return preview.model_copy(
        update={
            "mail_domains": _asked(found, preview.recipient_domains),
            "warnings": [*kinds, *preview.warnings],
        }
    )


def _as_name(domain: str) -> str | None:
    """Return a domain as DNS has it; None where it is none."""
    try:
        return domain_name(domain)
    except Malformed:
        return None


def _those(found: Mapping[str, MailRoute], wanted: MailRoute) -> list[str]:
    return [domain for domain, route in found.items() if route is wanted]


def _asked(found: Mapping[str, MailRoute], domains: int) -> MailDomainsAsked:
    """Return, in numbers, what is known of so many domains."""
    routes = {route.value: len(_those(found, route)) for route in MailRoute}
    routes[MailRoute.NOT_ASKED] += domains - len(found)
    return MailDomainsAsked(
        domains=domains,
        asked=domains - routes[MailRoute.NOT_ASKED],
        routes=routes,
        unknown=_those(found, MailRoute.UNKNOWN)[:_UNKNOWN_SHOWN],
    )


def _place(preview: Preview, noted: NotedRequest, domains: Collection[str]) -> Place:
    """Return the first row of an order, and its addresses at some domains."""
    emails = dict.fromkeys(entry.email for entry in noted.order.entries)
    at_these = [email for email in emails if email.partition("@")[2].lower() in domains]
    more = f" and {len(at_these) - _ADDRESSES_SHOWN} more" if at_these[_ADDRESSES_SHOWN:] else ""
    return Place(
        file=preview.inputs[noted.input_ordinal].path,
        line=noted.line,
        text=f"{subject_of(noted.order)}: {', '.join(at_these[:_ADDRESSES_SHOWN])}{more}",
    )
