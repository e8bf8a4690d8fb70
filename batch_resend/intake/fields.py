"""What a list may hold: its fields, the headings each is known by, and the cells of a row."""

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


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
        "certcentral order, Bestellnummer, Bestell-Nr, Best.-Nr, Bestell-ID, Bestellung, "
        "Auftragsnummer, Auftrags-Nr, Auftrags-ID, Auftrag, "
        "numéro de commande, n° de commande, no de commande, n° commande, id de commande, "
        "commande, "
        "numero ordine, numero d'ordine, numero di ordine, n. ordine, id ordine, ordine, "
        "número de pedido, número do pedido, n° de pedido, n° do pedido, nro pedido, id de pedido, "
        "id do pedido, pedido, número de orden, bestelnummer, bestelnr, bestelling, ordernummer, "
        "beställningsnummer, beställning, ordrenummer, ordrenr, ordre, tilausnumero, "
        "numer zamówienia, nr zamówienia, id zamówienia, zamówienie, číslo objednávky, objednávka, "
        "rendelésszám, sipariş no, sipariş numaras\u0131, номер заказа, заказ, 注文番号, 注文ID, "
        "オーダー番号, 订单号, 订单编号, 訂單編號, 訂單號碼, 주문번호"
    ),
    Field.DOMAIN_ID: "domain id",
    Field.DOMAIN: (
        "domain, domains, domain name, domain names, common name, common names, fqdn, fqdns, "
        "host name, host names, dns name, dns names, name scope, san, sans, "
        "subject alternative name, subject alternative names, Domäne, Domaene, Domänen, "
        "Domänenname, Domainname, domaine, domaines, nom de domaine, nom d'hôte, dominio, "
        "dominios, "
        "domini, nome di dominio, nome dominio, nome de domínio, nombre de dominio, domein, "
        "domeinnaam, domän, domännamn, domæne, domene, domena, nazwa domeny, doména, "
        "alan ad\u0131, домен, доменное имя, ドメイン, ドメイン名, 域名, 網域, 도메인"
    ),
    Field.EMAIL: (
        "email, emails, email address, email addresses, mail, mail address, approver, approvers, "
        "approver email, approver email address, approver mail, approver address, approval email, "
        "approval email address, approval mail, validation email, verification email, dcv email, "
        "dcv emails, dcv email address, dcv mail, email array, recipient email, "
        "E-Mail-Adresse, E-Mail-Adressen, Mailadresse, "
        "adresse e-mail, adresse mail, adresse électronique, courriel, indirizzo e-mail, "
        "indirizzo mail, correo, correo electrónico, dirección de correo, dirección de email, "
        "endereço de e-mail, e-mailadres, e-post, e-postadress, e-postadresse, adres e-mail, "
        "adres email, e-posta, эл. почта, электронная почта, почта, メール, メールアドレス, "
        "电子邮件, 电子邮箱, 邮箱, 電子郵件, 이메일, 메일"
    ),
    Field.EMAIL_DOMAIN: "email domain",
    Field.LOCALE: (
        "locale, language, lang, mail language, Sprache, langue, lingua, língua, idioma, lenguaje, "
        "taal, språk, sprog, język, jazyk, kieli, nyelv, dil, язык, 言語, 语言, 語言, 언어"
    ),
    Field.ALL_DOMAINS: "all domains",
    Field.STATUS: "status, order status",
    Field.DCV_METHOD: "dcv method",
    Field.PRODUCT: "product, product name, product name id, product type",
    Field.CALL: "call",
    Field.ACCOUNT: "account",
}
# Headings that hold a field where no other does: each may mean something else as well.
_SECOND_HEADINGS = {
    Field.DOMAIN: "cn, cns, host, hosts",
    Field.EMAIL: (
        "to, mail to, recipient, recipients, Empfänger, destinataire, destinataires, destinatario, "
        "destinatarios, ontvanger, mottagare, odbiorca, получатель, 宛先"
    ),
}
# Words for an order of any kind: alone among columns that are not known they mean none of the CA's.
_BARE_ORDERS = frozenset(
    ("order", "bestellung", "auftrag", "commande", "ordine", "pedido", "bestelling", "bestallning",
     "ordre", "zamowienie", "objednavka")
)  # fmt: skip
# Words of headings whose column holds a field's like, and not the field: an address that is no
# longer in use, or somebody else's; a number that is another thing's.
_GONE = (
    r"old|ex|former\w*|previous\w*|prior|obsolete|outdated|invalid|wrong|inactive|dead|delet\w*|bounc\w*"
    r"|expired|dont|not|never|alt|alte[rsn]?|alt(?:adress|mail|email)\w*|ehemal\w*|vorherig\w*|fruher\w*"
    r"|falsch\w*|ungultig\w*|geloscht\w*|nicht|kein\w*|ancien\w*|precedent\w*|faux|vecchi\w*|antigu\w*"
    r"|anterior\w*|oude?"
)
_OF_OTHERS = {
    Field.EMAIL: (
        r"custom\w*|client\w*|kund\w*|klant\w*|request\w*|order(?:ed|er)|besteller\w*|anforder\w*"
        r"|antragstell\w*|demandeur|submit\w*|creat\w*|erstell\w*|invit\w*|c?cc|bcc|from|sender\w*"
        r"|absender\w*|expediteur|mittente|remitente|reply\w*|replies|return|billing|invoic\w*|rechnung\w*"
        r"|factur\w*|fattur\w*|account\w*|buchhalt\w*|sales|vertrieb\w*|support|helpdesk|tech|technical"
        r"|technisch\w*|reseller|vendor|lieferant\w*|employee|manager|agent|private?\w*|personal|home|user\w*"
    ),
    Field.DOMAIN: r"mx\d*|ns\d*|nameserver\w*|mailserver\w*|redirect\w*|referr?er",
    Field.ORDER_ID: (
        r"invoic\w*|rechnung\w*|factur\w*|fattur\w*|ticket\w*|case|incident|custom\w*|client\w*|kund\w*"
        r"|klant\w*|account\w*|konto\w*|user\w*|phone|tel|telefon\w*|telephone|fax|mobile?\w*|handy\w*|zip|plz"
        r"|postal\w*|postcode|serial\w*|year|jahr|date|datum|price|preis|amount|betrag|qty"
        r"|quantity|menge|po|receipt|item|sku|article|artikel\w*|row|line|zeile"
    ),
}
_OTHERWISE = {
    field: re.compile(f"{_GONE}|{others}" if others else _GONE)
    for field, others in ((field, _OF_OTHERS.get(field)) for field in Field)
}
_ONE_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Dashes of any kind, signs that take no room, and those of numbers.
_BETWEEN_WORDS = re.compile("[\\s_.:()*\\-#'\u2019°º\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]+")


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


def _by_heading(words: Mapping[Field, str]) -> Mapping[str, Field]:
    return {plain(name): field for field, names in words.items() for name in names.split(", ")}


_FIELD_OF_HEADING = _by_heading(_HEADINGS)
_FIELD_OF_SECOND_HEADING = _by_heading(_SECOND_HEADINGS)


def known_field(heading: str) -> Field | None:
    """Return the field that a heading is known to stand for."""
    return _FIELD_OF_HEADING.get(plain(heading))


def fields_of(headings: Iterable[str], second: Container[int] = ()) -> list[Field | None]:
    """Return the field of each heading.

    `second`: where one of many meanings holds what no plainer one does; see `second_fields`.
    """
    names = list(headings)
    fields = [known_field(name) for name in names]
    others = {at: field for at, field in second_fields(names).items() if at in second}
    return [
        field or (None if others.get(at) in fields else others.get(at))
        for at, field in enumerate(fields)
    ]


def second_fields(headings: Iterable[str]) -> dict[int, Field]:
    """Return the places of headings of many meanings, and the field that each may hold."""
    found = ((at, _FIELD_OF_SECOND_HEADING.get(plain(name))) for at, name in enumerate(headings))
    return {at: field for at, field in found if field is not None}


@lru_cache(maxsize=1024)
def may_be_for(field: Field, heading: str) -> bool:
    """Whether a heading does not say that its column is another thing than a field."""
    words = map(plain, _ONE_WORD.findall(_CAMEL.sub(" ", heading)))
    return known_field(heading) is field or not any(map(_OTHERWISE[field].fullmatch, words))


def is_any_order(heading: str) -> bool:
    """Whether a heading is a word for an order of any kind, and no more."""
    return plain(heading) in _BARE_ORDERS


def known_fields(headings: Iterable[str]) -> set[Field]:
    """Return the fields that headings are known to stand for."""
    return {field for name in headings if (field := known_field(name)) is not None}


@lru_cache(maxsize=1024)
def is_close_to_all_domains(heading: str) -> bool:
    """Whether a heading may be that of the word for all domains, misspelled."""
    text = "".join(filter(str.isalpha, plain(heading)))
    wanted = plain("all domains")
    return wanted in text or SequenceMatcher(None, text, wanted).ratio() > 0.85


class RawEntry(NamedTuple):
    """The cells of one entry, each with one text or several; an empty text is an empty cell."""

    domain: str
    email: str
    email_domain: str


class RawRecord(NamedTuple):  # made of every row there is: a dataclass takes twice as long
    """The cells of one row that matter, as a list has them, whatever its form."""

    line: int
    order_id: object  # text, or a JSON number
    entries: Sequence[RawEntry]
    locale: str
    raw: str
    names: Mapping[Field, str]  # what messages call the cells
    status: str = ""
    dcv_method: str = ""
    product: str = ""
    addresses_aside: bool = False  # none is taken from it, though it holds some
    domains_aside: str = ""  # of an export of the CA: only a call about a domain looks at them
    call: str = ""
    account: str = ""
    domain_id: object = ""  # text, or a JSON number
    complaint: str = ""  # why it is not in its list's form; of what it says only this much is taken
    all_domains: object = ""  # text, or a JSON truth value
    has_addresses: bool = False  # its list has columns for them, or it has keys
    uncorrected: str = ""  # of a rejected.csv, as it stood: why it was rejected
    of_the_ca: bool = False  # an order as the CA lists it, in JSON
    place: str = ""  # which of several records that begin on one line
    unread: str = ""  # what holds a domain or an address, and is no field: a column, or a key
