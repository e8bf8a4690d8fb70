"""What a list may hold: the one table of its columns, and the cells of a row."""

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum, StrEnum, auto
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from batch_resend.calls import CALLS, Addresses
from batch_resend.intake.cells import (
    call_name,
    domain_name,
    domain_number,
    email_address,
    order_number,
    trimmed,
    yes_or_nothing,
)
from batch_resend.intake.languages import locale_code
from batch_resend.model import Problem


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


class Role(Enum):
    """What a field is there for."""

    SUBJECT = auto()  # what a request is about
    ADDRESS = auto()  # whom to mail, and for which domain
    REQUEST = auto()  # how to ask for it
    OF_EXPORTS = auto()  # what the CA's exports say of an order: whether anything is to be sent
    KEPT = auto()  # asks for nothing, stays with its row for the report, and counts as not read


@dataclass(frozen=True, slots=True)
class Column:
    """All that is particular to a field; tables, JSON, checks and the report go by it."""

    headings: str  # by which it is known in tables, and as a key of JSON; ", " between them
    role: Role
    parse: Callable[[Any], str] = trimmed  # what a cell says, in one spelling; raises Malformed
    problem: Problem = Problem.FORM  # of a row whose cell is refused
    second: str = ""  # headings that hold it where no other does: each may mean something else too
    others: str = ""  # words of headings that make a column another thing's, or somebody else's
    takes_more_than_text: bool = False  # in JSON: numbers, yes and no, objects


COLUMNS: Mapping[Field, Column] = {
    Field.ORDER_ID: Column(
        "order id, order ids, order, order no, order nos, order nr, order number, order numbers, "
        "order num, id, digicert order id, digicert order ids, digicert order numbers, "
        "digicert order, digicert order no, digicert order number, certcentral order id, "
        "certcentral order, certificate order, certificate order id, certificate order number, "
        "certificate order ids, certificate order numbers, "
        "cert order, cert order id, cert order no, cert order number, αριθμός παραγγελίας, "
        "Bestellnummer, Bestell-Nr, Best.-Nr, Bestell-ID, Bestellung, "
        "Auftragsnummer, Auftrags-Nr, Auftrags-ID, Auftrag, Bestellnummern, Auftragsnummern, "
        "numéro de commande, n° de commande, no de commande, n° commande, id de commande, "
        "commande, numéros de commande, numeri ordine, números de pedido, "
        "numero ordine, numero d'ordine, numero di ordine, n. ordine, id ordine, ordine, "
        "número de pedido, número do pedido, n° de pedido, n° do pedido, nro pedido, id de pedido, "
        "id do pedido, pedido, número de orden, bestelnummer, bestelnr, bestelling, ordernummer, "
        "beställningsnummer, beställning, ordrenummer, ordrenr, ordre, tilausnumero, "
        "numer zamówienia, nr zamówienia, id zamówienia, zamówienie, číslo objednávky, objednávka, "
        "rendelésszám, sipariş no, sipariş numaras\u0131, номер заказа, заказ, 注文番号, 注文ID, "
        "オーダー番号, 订单号, 订单编号, 訂單編號, 訂單號碼, 주문번호",
        Role.SUBJECT,
        order_number,
        Problem.ORDER_ID,
        others=(
            r"invoic\w*|rechnung\w*|factur\w*|fattur\w*|ticket\w*|case|incident|custom\w*"
            r"|client\w*|kund\w*|klant\w*|account\w*|konto\w*|user\w*|phone|tel|telefon\w*"
            r"|telephone|fax|mobile?\w*|handy\w*|zip|plz|postal\w*|postcode|serial\w*|year|jahr"
            r"|date|datum|price|preis|amount|betrag|qty|quantity|menge|po|receipt|item|sku"
            r"|article|artikel\w*|row|line|zeile"
        ),
        takes_more_than_text=True,
    ),
    Field.DOMAIN_ID: Column(
        "domain id", Role.SUBJECT, domain_number, Problem.DOMAIN, takes_more_than_text=True
    ),
    Field.DOMAIN: Column(
        "domain, domains, domain name, domain names, common name, common names, fqdn, fqdns, "
        "host name, host names, dns name, dns names, name scope, san, sans, "
        "subject alternative name, subject alternative names, Domäne, Domaene, Domänen, "
        "Domänenname, Domainname, domaine, domaines, nom de domaine, nom d'hôte, dominio, "
        "dominios, "
        "domini, nome di dominio, nome dominio, nome de domínio, nombre de dominio, domein, "
        "domeinnaam, domän, domännamn, domæne, domene, domena, nazwa domeny, doména, "
        "alan ad\u0131, домен, доменное имя, ドメイン, ドメイン名, 域名, 網域, 도메인, "
        "verkkotunnus",
        Role.ADDRESS,
        domain_name,
        Problem.DOMAIN,
        second="cn, cns, host, hosts",
        others=r"mx\d*|ns\d*|nameserver\w*|mailserver\w*|redirect\w*|referr?er",
    ),
    Field.EMAIL: Column(
        "email, emails, email address, email addresses, mail, mail address, approver, approvers, "
        "approver email, approver email address, approver mail, approver address, approval email, "
        "approval email address, approval mail, validation email, verification email, dcv email, "
        "dcv emails, dcv email address, dcv mail, recipient email, "
        "E-Mail-Adresse, E-Mail-Adressen, Mailadresse, "
        "adresse e-mail, adresse mail, adresse électronique, courriel, indirizzo e-mail, "
        "indirizzo mail, correo, correo electrónico, dirección de correo, dirección de email, "
        "endereço de e-mail, e-mailadres, e-post, e-postadress, e-postadresse, adres e-mail, "
        "adres email, e-posta, эл. почта, электронная почта, почта, メール, メールアドレス, "
        "电子邮件, 电子邮箱, 邮箱, 電子郵件, 이메일, 메일, "
        "sähköposti, sähköpostiosoite, "
        + ", ".join(call.key for call in CALLS.values() if call.addresses is not Addresses.PAIRS),
        Role.ADDRESS,
        email_address,
        Problem.EMAIL,
        second=(
            "to, mail to, recipient, recipients, Empfänger, destinataire, destinataires, "
            "destinatario, destinatarios, ontvanger, mottagare, odbiorca, получатель, 宛先"
        ),
        others=(
            r"custom\w*|client\w*|kund\w*|klant\w*|request\w*|order(?:ed|er)|besteller\w*"
            r"|anforder\w*|antragstell\w*|demandeur|submit\w*|creat\w*|erstell\w*|invit\w*|c?cc"
            r"|bcc|from|sender\w*|absender\w*|expediteur|mittente|remitente|reply\w*|replies"
            r"|return|billing|invoic\w*|rechnung\w*|factur\w*|fattur\w*|account\w*|buchhalt\w*"
            r"|sales|vertrieb\w*|support|helpdesk|tech|technical|technisch\w*|reseller|vendor"
            r"|lieferant\w*|employee|manager|agent|private?\w*|personal|home|user\w*"
        ),
    ),
    Field.EMAIL_DOMAIN: Column("email domain", Role.ADDRESS, domain_name, Problem.EMAIL_DOMAIN),
    Field.LOCALE: Column(
        "locale, language, lang, mail language, Sprache, langue, lingua, língua, idioma, lenguaje, "
        "taal, språk, sprog, język, jazyk, kieli, nyelv, dil, язык, 言語, 语言, 語言, 언어",
        Role.REQUEST,
        locale_code,
        Problem.LOCALE,
    ),
    Field.ALL_DOMAINS: Column(
        "all domains", Role.REQUEST, yes_or_nothing, Problem.NO_ADDRESS, takes_more_than_text=True
    ),
    Field.STATUS: Column("status, order status", Role.OF_EXPORTS),
    Field.DCV_METHOD: Column("dcv method", Role.OF_EXPORTS),
    Field.PRODUCT: Column(
        "product, product name, product name id, product type",
        Role.OF_EXPORTS,
        takes_more_than_text=True,
    ),
    Field.CALL: Column("call", Role.REQUEST, call_name, Problem.CALL),
    Field.ACCOUNT: Column("account", Role.REQUEST, problem=Problem.ACCOUNT),
}


def of_role(*roles: Role) -> tuple[Field, ...]:
    """Return the fields that are there for one of these."""
    return tuple(field for field, column in COLUMNS.items() if column.role in roles)


REQUEST_FIELDS = (Field.ORDER_ID, Field.DOMAIN, Field.EMAIL, Field.EMAIL_DOMAIN, Field.LOCALE)
SUBJECTS = of_role(Role.SUBJECT)
ADDRESSES = frozenset(of_role(Role.ADDRESS))
OF_EXPORTS = of_role(Role.OF_EXPORTS)
# Words for an order of any kind: alone among columns that are not known they mean none of the CA's.
_BARE_ORDERS = frozenset(
    ("order", "bestellung", "auftrag", "commande", "ordine", "pedido", "bestelling", "bestallning",
     "ordre", "zamowienie", "objednavka")
)  # fmt: skip
# Words of headings whose column holds a field's like, and not the field: it is no longer in use.
_GONE = (
    r"old|ex|former\w*|previous\w*|prior|obsolete|outdated|invalid|wrong|inactive|dead|delet\w*|bounc\w*"
    r"|expired|exclu\w*|skip\w*|cancel\w*|reject\w*|done|issued|approved|renew\w*|dont|not|never|alt|alte[rsn]?|alt(?:adress|mail|email)\w*|ehemal\w*|vorherig\w*|fruher\w*"
    r"|falsch\w*|ungultig\w*|geloscht\w*|nicht|kein\w*|ancien\w*|precedent\w*|faux|vecchi\w*|antigu\w*"
    r"|anterior\w*|oude?"
)
_OTHERWISE = {
    field: re.compile(f"{_GONE}|{column.others}" if column.others else _GONE)
    for field, column in COLUMNS.items()
}
_ONE_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Below these two, another word is as likely: `all` for `call`, `count` for `account`.
_SHORTEST_MISSPELLED, _ALIKE = 5, 0.8
# Dashes of any kind, signs that take no room, and those of numbers.
_BETWEEN_WORDS = re.compile("[\\s_.:()*\\-#'\u2019°º\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]+")


_OR_SEVERAL = re.compile(r"\((?:s|es|n|en)\)")  # behind a word: one, or more of them


def plain(heading: str) -> str:
    """Return a heading in lower case, without accents, blanks, dashes, `(s)` and the like."""
    text = heading.lower()
    if "(" in text:
        text = _OR_SEVERAL.sub("", text)
    if not text.isascii():
        # The signs of numbers come apart into letters as well: they go first.
        apart = unicodedata.normalize("NFKD", _BETWEEN_WORDS.sub(" ", text))
        text = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return _BETWEEN_WORDS.sub("", text)


def in_one_line(heading: str) -> str:
    """Return a heading with single blanks between its words, as a person types it again."""
    return " ".join(heading.split())


def _by_heading(headings: Callable[[Column], str]) -> Mapping[str, Field]:
    return {
        plain(name): field
        for field, column in COLUMNS.items()
        if column.role is not Role.KEPT
        for name in filter(None, headings(column).split(", "))
    }


_FIELD_OF_HEADING = _by_heading(lambda column: column.headings)
_FIELD_OF_SECOND_HEADING = _by_heading(lambda column: column.second)


def kept_places(
    headings: Iterable[str], mapped: Mapping[Field, Sequence[int]]
) -> dict[Field, Sequence[int]]:
    """Return where what is kept stands; `mapped`: the places of fields that --map names.

    What stands below a heading that is known for it is looked at as if it were not known: it may
    show whom a row means.
    """
    kept = of_role(Role.KEPT)
    names = list(map(plain, headings)) if kept else []
    places: dict[Field, Sequence[int]] = {}
    for field in kept:
        known = set(map(plain, COLUMNS[field].headings.split(", ")))
        at = mapped.get(field) or [at for at, name in enumerate(names) if name in known]
        if at:
            places[field] = at
    return places


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
    words = map(plain, words_of(heading))
    return known_field(heading) is field or not any(map(_OTHERWISE[field].fullmatch, words))


def words_of(heading: str) -> list[str]:
    """Return the words of a heading, in camelCase too, and its numbers."""
    return _ONE_WORD.findall(_CAMEL.sub(" ", heading))


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


@lru_cache(maxsize=1024)
def misspelled(heading: str) -> Field | None:
    """Return the field whose name a heading may be, with a letter or two wrong; None: none."""
    name = plain(heading)
    as_long = [field for field in Field if abs(len(plain(field)) - len(name)) <= 1]
    alike = {field: SequenceMatcher(None, name, plain(field)).ratio() for field in as_long}
    nearest = max(alike, key=alike.__getitem__, default=None)
    if nearest is None or len(name) < _SHORTEST_MISSPELLED or alike[nearest] < _ALIKE:
        return None
    return nearest


class RawEntry(NamedTuple):
    """The cells of one entry, each with one text or several; an empty text is an empty cell."""

    domain: str
    email: str
    email_domain: str


class RawRecord(NamedTuple):  # made of every row there is: a dataclass takes twice as long
    """The cells of one row that matter, as a list has them, whatever its form."""

    line: int
    texts: Mapping[Field, object]  # but for JSON, of text; what is missing is empty
    entries: Sequence[RawEntry]
    raw: str
    names: Mapping[Field, str]  # what messages call the cells
    has_addresses: bool = False  # its list has columns for them, or it has keys
    defect: str = ""  # why it is not in its list's form; of what it says only this much is taken
    addresses_aside: bool = False  # none is taken from it, though it holds some
    domains_aside: str = ""  # of an export of the CA: only a call about a domain looks at them
    uncorrected: str = ""  # of a rejected.csv, as it stood: why it was rejected
    of_the_ca: bool = False  # an order as the CA lists it, in JSON
    place: str = ""  # which of several records that begin on one line
    kept: Mapping[Field, str] = MappingProxyType({})  # what asks for nothing, where any is there
    unread: str = ""  # what holds a domain or an address, and is no field: a column, or a key
    is_of_rejected: bool = False  # of a rejected.csv: its list was asked about the words in it
    part_of: str = ""  # of a rejected.csv: the record of a list, of which it may be one of several

    def text(self, field: Field) -> str:
        """Return what stands in a cell, without blanks around it; "" where it is no text."""
        cell = self.texts.get(field)
        return trimmed(cell) if isinstance(cell, str) else ""

    @property
    def may_say_whom(self) -> bool:
        """Whether there is a place for whom to mail, or for the word for all domains."""
        return self.has_addresses or Field.ALL_DOMAINS in self.names

    def said(self) -> tuple[str, str, str]:
        """Return an order's status, validation method and product."""
        return self.text(Field.STATUS), self.text(Field.DCV_METHOD), self.text(Field.PRODUCT)
