"""What the CA's own exports say of an order: whether there is anything to resend.

The one place that decides it: for rows of a list, for `sweep` and for `--preflight`. The values are
those of the pages "List orders", "Order report" and "Product list", and those that clients of the
API were seen to meet.
"""

from collections.abc import Iterator, Mapping, Sequence

from batch_resend.calls import CALLS
from batch_resend.intake.ca_words import (
    BY_EMAIL,
    WAITING_WORDS,
    is_dv,
    is_known_status,
    plain_word,
)
from batch_resend.intake.cells import shown
from batch_resend.intake.vocabulary import Field, known_field, plain
from batch_resend.model import Call


def skip_reason(
    status: str,
    dcv_method: str,
    product: str,
    call: Call = Call.DV_RESEND,
    *,
    any_product: bool = False,
) -> str | None:
    """Return why an order has nothing to resend by a call, as far as its list says.

    An empty text says nothing. `any_product`: whatever the product is, the call is made. A word
    that is not known is a reason: what it means is not known either, and the narrower is sent.
    """
    cause = skip_cause(status, dcv_method, product, call, any_product=any_product)
    return None if cause is None else cause[1]


def skip_cause(
    status: str, dcv_method: str, product: str, call: Call, *, any_product: bool
) -> tuple[Field, str] | None:
    """Return what of an order's words is the reason of `skip_reason`, and that reason."""
    if status and (word := plain_word(status)) not in WAITING_WORDS:
        if not is_known_status(status):
            why = f"its status is {shown(status.strip())}, which is not one that we know"
            return Field.STATUS, why
        return Field.STATUS, f"its status is {word}, not pending"
    described = CALLS[call]
    if described.approves_domains and dcv_method and plain_word(dcv_method) not in BY_EMAIL:
        why = f"its domains are validated by {shown(dcv_method.strip())}, not by e-mail"
        return Field.DCV_METHOD, why
    if described.is_for_dv and not any_product and product and not is_dv(product):
        return Field.PRODUCT, (
            f"its product, {shown(product)}, is not DV, and by the CA's older pages {call} is for "
            "DV only: use --call domain-dcv for its domains, or --any-product to send it as it is"
        )
    return None


# --- its columns --------------------------------------------------------------------------

# Of the CA's order report (page "Order report"). Its `email` is the requester's.
_REPORT = frozenset(
    ("orderid", "customerorderid", "datecreated", "containerid", "containername", "status",
     "userid", "techemail", "dcvmethod", "commonname", "plusfeature", "dnsnames", "productid",
     "productnameid", "productname", "producttype", "email", "csr", "validfrom", "validtill")
)  # fmt: skip
# A report of all columns has these; one of chosen columns, or another list, some of them.
_WHOLE_REPORT = frozenset(
    ("orderid", "datecreated", "containerid", "status", "userid", "techemail", "dcvmethod",
     "commonname", "dnsnames", "productnameid", "email", "csr")
)  # fmt: skip
_USUAL_IN_LISTS = frozenset(("orderid", "commonname", "email"))
_OWN_ADDRESSES = frozenset(("techemail", "email"))
_OWN_DOMAINS = frozenset(
    ("commonname", "dnsname", "dnsnames", "san", "sans", "subjectalternativenames",
     "domains")  # the last is that of our own `export`
)  # fmt: skip


# Of an order as the CA's calls List orders and Order info have it.
_KEYS = frozenset(
    ("id", "order_id", "certificate", "status", "is_renewed", "is_renewable", "renewed_order_id",
     "date_created", "organization", "organization_contact", "technical_contact",
     "verified_contacts", "contacts", "container", "product", "product_name_id", "price",
     "order_validity", "number_of_sans", "is_multi_year_plan", "dcv_method", "user", "requests",
     "notes", "additional_emails", "user_assignments", "custom_fields", "alternative_order_id",
     "receipt_id", "payment_method", "payment_profile")
)  # fmt: skip


# What an order of the CA's has below a key of these, and other shops' orders have not.
_BELOW = {
    "certificate": ("dns_names", "common_name"),
    "product": ("name_id",),
}


# Columns of the CA's order report beside those above, of its list of orders, and of our `export`.
_OTHER_COLUMNS = frozenset(
    ("organizationid", "organizationname", "organizationaddress1", "organizationaddress2",
     "organizationcity", "organizationstate", "organizationcountry", "organizationunit",
     "techfirstname", "techlastname", "techtitle", "techtelephone", "servertype", "issuingca",
     "agreementid", "validityyears", "signaturehash", "certificatetrackerid", "isrenewed",
     "renewedorderid", "receiptid", "disableissuanceemail", "paytype", "isoutofcontract",
     "disablerenewalnotifications", "additionalemails", "autorenew", "customrenewalmessage",
     "thumbprint", "serialnumber", "accountid", "userfirstname", "userlastname", "useremail",
     "userassignments", "cost", "metadata", "hasduplicates",
     "requested", "requestedon", "requestedby", "dateordered", "orderdate", "ordered", "expires",
     "validuntil", "validity", "container", "division", "organization", "createdat", "agedays",
     "domainid", "file", "line", "reason", "row")
)  # fmt: skip


def is_own_heading(heading: str) -> bool:
    """Whether the CA's exports, or ours, have a column of that name."""
    name = plain(heading)
    return name in _REPORT or name in _OTHER_COLUMNS or known_field(heading) is not None


def is_order_of_the_ca(value: Mapping[str, object]) -> bool:
    """Whether a JSON object is an order as the CA's calls have it: their `id` is its number."""
    if "product_name_id" in value:
        return True
    return any(
        isinstance(held := value.get(key), dict) and not held.keys().isdisjoint(own)
        for key, own in _BELOW.items()
    )


def is_own_key(key: str) -> bool:
    """Whether the CA has such a key in its orders: addresses below it are no approvers'."""
    return key in _KEYS


def is_whole_report(headings: Sequence[str]) -> bool:
    """Whether these are the columns of the CA's order report, all of them."""
    names = [plain(name) for name in headings]
    return _WHOLE_REPORT.issubset(names) and names.count("email") == 1


def is_report_with_email(headings: Sequence[str]) -> bool:
    """Whether a list may be a report of chosen columns, in which `email` is the requester's."""
    names = {plain(name) for name in headings if name.strip()}
    return names <= _REPORT and "email" in names and bool(names - _USUAL_IN_LISTS)


def is_domain_heading(heading: str) -> bool:
    """Whether the CA's exports have their domains under such a heading."""
    return plain(heading) in _OWN_DOMAINS


def own_address_columns(headings: Sequence[str]) -> Iterator[int]:
    """Yield the places of columns whose addresses are those of the CA's customer."""
    yield from (at for at, name in enumerate(headings) if plain(name) in _OWN_ADDRESSES)
