"""How this program expects the CA's answers to look, as data.

By the public pages (User info, List orders, Order info, Order validation status, Status change
list), and by real answers where those are known to differ: an `organization` that is `[]`, numbers
that come as texts. Nothing here was seen on the live service: what deviates corrects this table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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


# Those to filter by are from the page "List orders"; the others were seen in lists and clients.
STATUSES = frozenset(
    (
        "pending", "reissue_pending", "issued", "rejected", "revoked", "waiting_pickup", "canceled",
        "cancelled", "expired", "denied", "needs_approval", "needs_csr", "processing", "approved",
        "failed", "suspended",
    )
)  # fmt: skip
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
