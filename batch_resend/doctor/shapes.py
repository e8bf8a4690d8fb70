"""The shapes of the CA's answers: the fields of each, and samples without what is private.

By the public pages (User info, List orders, Order info, Order validation status, Status change
list), and by real answers where those are known to differ: an `organization` that is `[]`, numbers
that come as texts. Nothing here was seen on the live service: what deviates corrects this table.

Kept are keys, types and lengths, and words that stand for a kind of thing, such as a status. What
names anybody or anything (names, addresses, domains, numbers, the key) is replaced by its kind:
`<email>`, `<domain>`, `<digits 9>`, `<text 12>`. So a sample shows how the CA answers, not what.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from batch_resend.listed import STATUSES


class Kind(StrEnum):
    """What a value may be."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    DIGITS = "a text of digits"
    TEXT = "a text"  # not an empty one
    WORD = "a word of the CA's own"  # such as a status
    DATE = "a date with time and zone"  # 2021-06-08T14:59:13+00:00
    BOOLEAN = "true or false"
    OBJECT = "an object"
    LIST = "a list"
    EMPTY_LIST = "an empty list"


class Need(StrEnum):
    """Whether a field has to be there."""

    REQUIRED = "required"  # and not null
    OF_DV = "required of DV"  # in what is about a DV order
    OPTIONAL = "optional"  # and may be null


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an answer."""

    path: str  # names, with dots between; [] stands for each item of a list
    kinds: tuple[Kind, ...]
    need: Need = Need.OPTIONAL
    words: frozenset[str] = frozenset()  # the words that are known; none: any is fine


DCV_METHODS = frozenset(("email", "dns-txt-token", "dns-cname-token", "http-token"))
NAME_STATUSES = frozenset(("approved", "unapproved", "pending", "valid"))
DV = "dv_ssl_certificate"  # the `product.type` of DV orders

_ID = (Kind.INTEGER, Kind.DIGITS)  # an old recording has numbers as texts
_REQUIRED, _OF_DV = Need.REQUIRED, Need.OF_DV


def _optional(paths: str, *kinds: Kind) -> tuple[Field, ...]:
    return tuple(Field(path, kinds) for path in paths.split())


_CONTAINER = (
    *_optional("container", Kind.OBJECT),
    *_optional("container.id container.parent_id container.template_id", *_ID),
    *_optional("container.name container.public_id container.ekey", Kind.TEXT),
    *_optional("container.is_active container.has_logo", Kind.BOOLEAN),
)

USER = (
    Field("id", _ID, _REQUIRED),
    *_optional("account_id language_id account_language_id", *_ID),
    *_optional("username first_name last_name email job_title telephone", Kind.TEXT),
    *_optional("last_login_date", Kind.TEXT),
    *_optional("status type", Kind.WORD),
    *_optional("is_cert_central is_enterprise is_saml_sso_only", Kind.BOOLEAN),
    *_optional("has_container_assignments", Kind.BOOLEAN),
    *_optional("container_visibility container_assignments", Kind.LIST),
    *_CONTAINER,
    Field("access_roles", (Kind.LIST,), _REQUIRED),
    Field("access_roles[]", (Kind.OBJECT,)),
    Field("access_roles[].id", _ID, _REQUIRED),
    Field("access_roles[].name", (Kind.TEXT,)),
)

# What a list and "Order info" have in common.
_ORDER = (
    Field("id", _ID, _REQUIRED),
    Field("status", (Kind.WORD,), _REQUIRED, STATUSES),
    Field("certificate", (Kind.OBJECT,), _REQUIRED),
    *_optional("certificate.id certificate.days_remaining", *_ID),
    *_optional("certificate.common_name certificate.serial_number", Kind.TEXT),
    *_optional("certificate.valid_from certificate.valid_till", Kind.TEXT),
    *_optional("certificate.signature_hash", Kind.WORD),
    *_optional("certificate.cert_validity", Kind.OBJECT),
    Field("certificate.dns_names", (Kind.LIST,)),
    Field("certificate.dns_names[]", (Kind.TEXT,), _REQUIRED),
    *_CONTAINER,
    Field("product", (Kind.OBJECT,), _REQUIRED),
    Field("product.name_id", (Kind.WORD,), _REQUIRED),
    Field("product.name", (Kind.TEXT,)),
    Field("product.type", (Kind.WORD,)),
    *_optional("product_name_id", Kind.WORD),
    Field("organization", (Kind.OBJECT, Kind.EMPTY_LIST)),
    *_optional("organization.id", *_ID),
    *_optional("organization.name", Kind.TEXT),
    *_optional("order_validity", Kind.OBJECT),
    *_optional("validity_years number_of_sans is_multi_year_plan", *_ID),
    *_optional("is_renewed disable_renewal_notifications has_duplicates", Kind.BOOLEAN),
    *_optional("price", Kind.NUMBER),
)

LISTED_ORDER = (*_ORDER, Field("date_created", (Kind.DATE,), _REQUIRED))

ORDER = (
    *_ORDER,
    Field("dcv_method", (Kind.WORD,), _OF_DV, DCV_METHODS),
    *_optional("date_created certificate.date_created", Kind.DATE),
    *_optional("contacts", Kind.LIST),
)

VALIDATION = (
    Field("order_status", (Kind.WORD,), _REQUIRED, STATUSES),
    Field("order_dcv_method", (Kind.WORD,), Need.OPTIONAL, DCV_METHODS),
    *_optional("order_id organization_id", *_ID),
    *_optional("organization_name", Kind.TEXT),
    *_optional("order_name_scope", Kind.WORD),
    *_optional("organization_validations", Kind.LIST),
    Field("dns_name_validations", (Kind.LIST,), _REQUIRED),
    Field("dns_name_validations[]", (Kind.OBJECT,), _REQUIRED),
    *_optional("dns_name_validations[].domain_id", *_ID),
    *_optional("dns_name_validations[].name_scope", Kind.TEXT),
    *_optional("dns_name_validations[].approval_scope", Kind.WORD),
    Field("dns_name_validations[].status", (Kind.WORD,), _REQUIRED, NAME_STATUSES),
    Field("dns_name_validations[].method", (Kind.WORD,), Need.OPTIONAL, DCV_METHODS),
    Field("dns_name_validations[].dns_names", (Kind.LIST,)),
    Field("dns_name_validations[].dns_names[]", (Kind.TEXT,), _REQUIRED),
)

CHANGE = (
    Field("order_id", _ID, _REQUIRED),
    Field("certificate_id", _ID),
    Field("status", (Kind.WORD,), _REQUIRED, STATUSES),
)

PAGE = (
    Field("page", (Kind.OBJECT,), _REQUIRED),
    Field("page.total", (Kind.INTEGER,), _REQUIRED),
    *_optional("page.limit page.offset", Kind.INTEGER),
    Field("orders", (Kind.LIST,)),  # an empty list may be left out
)
CHANGES = (Field("orders", (Kind.LIST,)),)

TABLES = (USER, LISTED_ORDER, ORDER, VALIDATION, CHANGE, PAGE, CHANGES)


def _names(fields: Iterable[Field]) -> Iterable[str]:
    return (name.removesuffix("[]") for field in fields for name in field.path.split("."))


KNOWN_KEYS = frozenset(name for table in TABLES for name in _names(table))
KNOWN_WORDS = frozenset((*STATUSES, *DCV_METHODS, *NAME_STATUSES, DV))
# The names under which an answer has words of the CA's own, whatever they stand in.
WORD_KEYS = frozenset(
    field.path.rpartition(".")[2] for table in TABLES for field in table if Kind.WORD in field.kinds
)


# --- samples ------------------------------------------------------------------------------------

MOST_ITEMS = 3  # of a list that are shown
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_DOMAIN = re.compile(r"(\*\.)?([\w-]+\.)+[^\W\d_][\w-]*\.?")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
# A date in whatever form, as long as it begins as one: its digits are masked, its form is not.
_DATE = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)
_NO_DATE = frozenset(("0000-00-00", "0000-00-00 00:00:00"))
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"[0-9]+"), lambda text: f"<digits {len(text)}>"),
    (_DATE, lambda text: f"<date {re.sub('[0-9]', '9', text)}>"),
    (_EMAIL, lambda _: "<email>"),
    (_URL, lambda _: "<url>"),
    (re.compile(r"-?[0-9]+\.[0-9]+"), lambda _: "<decimal>"),
    (
        re.compile(r"([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*"),
        lambda _: "<address>",
    ),
    (_DOMAIN, lambda _: "<domain>"),
)
_FIELD_NAME = re.compile(r"[a-z]+(_[a-z]+){0,7}[0-9]?")
_WORD = re.compile(r"[a-z]{2,20}[0-9]{0,3}([_-][a-z]{1,20}[0-9]{0,3}){0,5}")
_LONGEST = 40  # characters of a word, or of a field's name: less than an API key has


class Vocabulary:
    """Which texts of an answer are the CA's own words, and which stand for something of theirs.

    "Theirs" are those whom the answer is about: the account, its people, orders and domains. `key`
    is the API key.
    """

    def __init__(self, answer: object, key: str = "") -> None:
        self._key = key
        # What stands for something of theirs in one place is no word of the CA's in another.
        self._theirs = set(_texts(answer))

    def name(self, name: str) -> str:
        """Return the name of a field; where names stand for something of theirs, the kind."""
        is_field = name in KNOWN_KEYS or (
            len(name) <= _LONGEST and _FIELD_NAME.fullmatch(name) and not self._is_theirs(name)
        )
        return name if is_field else _kind_of_text(name)

    def word(self, value: object) -> str:
        """Return what stands where the CA has its words: the word itself, or its kind."""
        if isinstance(value, str) and (
            value in KNOWN_WORDS or (is_word(value) and not self._is_theirs(value))
        ):
            return value
        return kind_of(value)

    def _is_theirs(self, text: str) -> bool:
        return text in self._theirs or (
            bool(self._key) and (self._key in text or text in self._key)
        )


def sanitized(answer: object, key: str = "") -> Any:
    """Return an answer's form without what it says, as JSON has it. `key` is the API key."""
    return _sanitized(answer, Vocabulary(answer, key), is_word=False)


def is_word(text: str) -> bool:
    """Whether a text looks like a word of the CA's own, such as `reissue_pending`."""
    return text in KNOWN_WORDS or (len(text) <= _LONGEST and _WORD.fullmatch(text) is not None)


def is_date(text: str) -> bool:
    """Whether a text is a date with time and zone, as the CA documents its dates."""
    found = _DATE.fullmatch(text)
    return found is not None and found[1] is not None and found[4] is not None


def kind_of(value: object) -> str:
    """Return what kind of thing a value is; nothing of it is in that."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, str):
        return _kind_of_text(value)
    if isinstance(value, list):
        return f"<list of {len(value)}>"
    return "<object>"


def _kind_of_text(text: str) -> str:
    if not text.strip():
        return f"<blank {len(text)}>" if text else "<empty text>"
    if text in _NO_DATE:
        return text
    kind = next((kind for pattern, kind in _KINDS if pattern.fullmatch(text)), None)
    return kind(text) if kind else f"<text {len(text)}>"


def _sanitized(value: object, vocabulary: Vocabulary, *, is_word: bool) -> Any:
    """Return a value without what it says; `is_word`: it stands where the CA has its words."""
    if isinstance(value, dict):
        return {
            vocabulary.name(name): _sanitized(part, vocabulary, is_word=name in WORD_KEYS)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return _some_of([_sanitized(part, vocabulary, is_word=is_word) for part in value])
    if value is None or isinstance(value, bool):
        return value
    return vocabulary.word(value) if is_word else kind_of(value)


def _some_of(items: list[Any]) -> list[Any]:
    """Return a few items of a list, no two alike if there are more, and how many are left out."""
    if len(items) <= MOST_ITEMS:
        return items
    shown: list[Any] = []
    for item in items:
        if item not in shown:
            shown.append(item)
        if len(shown) == MOST_ITEMS:
            break
    return [*shown, f"<and {len(items) - len(shown)} more>"]


def _texts(value: object, name: str = "") -> Iterator[str]:
    """Yield all texts of an answer that stand where something of theirs may stand."""
    parts: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        # The name of a product is the CA's.
        parts = ((k, v) for k, v in value.items() if k != "product" or not isinstance(v, dict))
    elif isinstance(value, list):
        parts = ((name, part) for part in value)
    elif isinstance(value, str) and name not in WORD_KEYS:
        yield value
    for key, part in parts:
        yield from _texts(part, key)
