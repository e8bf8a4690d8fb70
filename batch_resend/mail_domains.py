"""Whether domains take mail, as far as DNS tells. The only place that asks DNS by itself.

Mail for a domain goes to its MX records; where it has none, to the domain's own address (RFC 5321,
section 5.1). One MX record whose host is the root says that the domain takes no mail (RFC 7505). A
server that fails, or is silent, says nothing of a domain.
"""

from collections.abc import Iterable
from enum import StrEnum

import anyio
import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.mxbase import MXBase

from batch_resend.errors import SettingsError

TIMEOUT_S = 5.0  # for one question, with all that is asked again
WITHIN_S = 120.0  # for all of them together
AT_ONCE = 50


class MailRoute(StrEnum):
    """Where mail for a domain goes."""

    MX = "mx"  # to the hosts of its MX records
    NO_MX = "no_mx"  # to its own address, for it has no MX record
    NULL_MX = "null_mx"  # nowhere: it says that it takes no mail
    NO_MAIL_RECORDS = "no_mail_records"  # nowhere: it has neither an MX record nor an address
    NO_SUCH_DOMAIN = "no_such_domain"  # nowhere: there is no such name
    UNKNOWN = "unknown"  # not known: no answer that says it
    NOT_ASKED = "not_asked"  # not known: the time was up


class MailDomains:
    """Asks a resolver about domains."""

    def __init__(
        self,
        server: tuple[str, int] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        within_s: float = WITHIN_S,
        at_once: int = AT_ONCE,
    ) -> None:
        """Ask `server`, an IP address and a port, or else those that this machine is set up with.

        `timeout_s` is for one question, `within_s` for all domains together. Raises SettingsError.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        except dns.resolver.NoResolverConfiguration as error:
            raise SettingsError(
                "this machine has no DNS server configured; name one: --dns-server ADDRESS"
            ) from error
        if server is not None:
            address, self._resolver.port = server
            self._resolver.nameservers = [address]
        self._resolver.lifetime = timeout_s
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._within_s = within_s
        self._at_once = at_once

    async def routes(self, domains: Iterable[str]) -> dict[str, MailRoute]:
        """Return where mail for each domain goes; each is asked about once, many at a time.

        Domains are A-labels, without a final dot.
        """
        found = dict.fromkeys(domains, MailRoute.NOT_ASKED)
        waiting = iter([*found])

        async def ask() -> None:
            for domain in waiting:
                found[domain] = await self._route(domain)

        with anyio.move_on_after(self._within_s):
            async with anyio.create_task_group() as tasks:
                for _ in range(min(self._at_once, len(found))):
                    tasks.start_soon(ask)
        return found

    async def _route(self, domain: str) -> MailRoute:
        try:
            name = dns.name.from_text(f"{domain}.")
            if (answer := await self._records(name, dns.rdatatype.MX)) is not None:
                return _of_mx_records(answer)
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                if await self._records(name, kind) is not None:
                    return MailRoute.NO_MX
        except dns.resolver.NXDOMAIN:
            return MailRoute.NO_SUCH_DOMAIN
        except (dns.exception.DNSException, OSError):
            return MailRoute.UNKNOWN
        return MailRoute.NO_MAIL_RECORDS

    async def _records(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> dns.resolver.Answer | None:
        """Return the records of a kind; None where the name has none. Raises DNSException."""
        try:
            return await self._resolver.resolve(name, kind, search=False, backend=self._backend)
        except dns.resolver.NoAnswer:
            return None


def _of_mx_records(answer: dns.resolver.Answer) -> MailRoute:
    hosts = [record.exchange for record in answer if isinstance(record, MXBase)]
    return MailRoute.NULL_MX if all(host == dns.name.root for host in hosts) else MailRoute.MX
