"""The words of headings and keys: which field each stands for."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher
from enum import StrEnum
from functools import lru_cache


class Field(StrEnum):
    """What a column may hold. The values are the names in a list that needs no mapping."""

    ORDER_ID = "order_id"
    DOMAIN_ID = "domain_id"  # for calls about a domain: its number at the CA
    DOMAIN = "domain"
    EMAIL = "email"
    EMAIL_DOMAIN = "email_domain"
    LOCALE = "locale"
    ALL_DOMAINS = "all_domains"  # yes: the row has no addresses, and is to mail all domains
    STATUS = "status"  # of the order, in exports of the CA
    DCV_METHOD = "dcv_method"  # how its domains are validated, likewise
    PRODUCT = "product"  # what was ordered, likewise; it may stand in several columns
    CALL = "call"  # which of the CA's calls
    ACCOUNT = "account"  # by whose key, where there are profiles


REQUEST_FIELDS = (Field.ORDER_ID, Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN, Field.LOCALE)
ADDRESSES = frozenset((Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN))
OF_EXPORTS = (Field.STATUS, Field.DCV_METHOD, Field.PRODUCT)

_HEADINGS = {
    Field.ORDER_ID: (
        "order id, order, order no, order nr, order number, order num, id, digicert order id, "
        "digicert order, digicert order no, digicert order number, certcentral order id, "
        "Bestellnummer, Bestell-Nr, Bestell-ID, Auftragsnummer, Auftrags-Nr, Auftrags-ID, "
        "numéro de commande, n° de commande, no de commande, n° commande, id de commande, "
        "numero ordine, numero d'ordine, numero di ordine, n. ordine, id ordine, "
        "número de pedido, n° de pedido, id de pedido, número de orden, bestelnummer, ordernummer"
    ),
    Field.DOMAIN_ID: "domain id",
    Field.DOMAIN: (
        "domain, domains, domain name, domain names, common name, fqdn, host name, host names, "
        "dns name, dns names, name scope, san, sans, subject alternative name, "
        "subject alternative names, Domäne, Domaene, Domänenname, Domainname, domaine, domaines, "
        "nom de domaine, nom d'hôte, dominio, dominios, domini, nome di dominio, nome dominio, "
        "nombre de dominio, domein, domeinnaam"
    ),
    Field.EMAIL: (
        "email, emails, email address, email addresses, mail, mail address, approver, "
        "approver email, approver email address, approver mail, approver address, dcv email, "
        "dcv email address, email array, E-Mail-Adresse, E-Mail-Adressen, Mailadresse, "
        "adresse e-mail, adresse mail, adresse électronique, courriel, indirizzo e-mail, "
        "indirizzo mail, correo, correo electrónico, e-mailadres"
    ),
    Field.EMAIL_DOMAIN: "email domain",
    Field.LOCALE: "locale, language, Sprache, langue, lingua, idioma, taal",
    Field.ALL_DOMAINS: "all domains",
    Field.STATUS: "status, order status",
    Field.DCV_METHOD: "dcv method",
    Field.PRODUCT: "product, product name, product name id, product type",
    Field.CALL: "call",
    Field.ACCOUNT: "account",
}
# Dashes of any kind, signs that take no room, and those of numbers.
_BETWEEN_WORDS = re.compile("[\\s_.\\-#'\u2019°º\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]+")


def plain(heading: str) -> str:
    """Return a heading in lower case, without accents, blanks, dashes and the like."""
    text = heading.lower()
    if not text.isascii():
        # The signs of numbers come apart into letters as well: they go first.
        apart = unicodedata.normalize("NFKD", _BETWEEN_WORDS.sub(" ", text))
        text = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return _BETWEEN_WORDS.sub("", text)


def in_one_line(heading: str) -> str:
    """Return a heading with single blanks between its words, as a person types it again."""
    return " ".join(heading.split())


_FIELD_OF_HEADING = {
    plain(name): field for field, names in _HEADINGS.items() for name in names.split(", ")
}


def known_field(heading: str) -> Field | None:
    """Return the field that a heading is known to stand for."""
    return _FIELD_OF_HEADING.get(plain(heading))


def known_fields(headings: Iterable[str]) -> set[Field]:
    """Return the fields that headings are known to stand for."""
    return {field for name in headings if (field := known_field(name)) is not None}


@lru_cache(maxsize=1024)
def is_close_to_all_domains(heading: str) -> bool:
    """Whether a heading may be that of the word for all domains, misspelled."""
    text = "".join(filter(str.isalpha, plain(heading)))
    wanted = plain("all domains")
    return wanted in text or SequenceMatcher(None, text, wanted).ratio() > 0.85
