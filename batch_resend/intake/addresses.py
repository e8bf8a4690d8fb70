"""Whether an address is one that the CA makes up itself for a domain.

Those are admin@, administrator@, webmaster@, hostmaster@ and postmaster@ the domain or one of its
parents, up to the registrable domain (Baseline Requirements 3.2.2.4.4). Others may pass too: they
may stand in the domain's DNS. So what is said here is a warning and never an error.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from batch_resend.model import USUAL_LOCAL_PARTS

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList


def is_parent(parent: str, domain: str) -> bool:
    """Whether `domain` is a subdomain of `parent`. Both in lower case; wildcards don't count."""
    return domain.removeprefix("*.").endswith(f".{parent}")


def is_constructed(local_part: str, mail_domain: str, domain: str) -> bool:
    """Whether an address is one of the five at `domain` or at a parent that can be registered.

    `mail_domain` and `domain` are A-labels in lower case.
    """
    if local_part.lower() not in USUAL_LOCAL_PARTS:
        return False
    if mail_domain == domain.removeprefix("*."):
        return True
    return is_parent(mail_domain, domain) and not _is_public(mail_domain)


@lru_cache(maxsize=4_096)
def _is_public(domain: str) -> bool:
    """Whether names right below `domain` are for anybody to register, as below co.uk."""
    return _list().privatesuffix(domain) is None


@lru_cache(maxsize=1)
def _list() -> "PublicSuffixList":
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - 80 ms; few lists need it

    # As the CAs read it: only what registries say, not what hosting companies add.
    return PublicSuffixList(only_icann=True)
