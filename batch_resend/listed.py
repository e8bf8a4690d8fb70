"""What the CA has: orders as its lists have them, how far each name is, and its words for both."""

from dataclasses import dataclass

WAITING = ("pending", "reissue_pending")  # the statuses of orders that wait for an approval
WAITS = "waiting"  # of an order that is in none of the CA's lists of what has changed
# Those to filter by are of the page "List orders"; the others were seen in lists and clients.
STATUSES = frozenset(
    (
        *WAITING, "issued", "rejected", "revoked", "waiting_pickup", "canceled", "cancelled",
        "expired", "denied", "needs_approval", "needs_csr", "processing", "approved", "failed",
        "suspended",
    )
)  # fmt: skip
# Of the page "Order report", in its order.
_REPORT_HEADING = (
    "order_id,customer_order_id,date_created,container_id,container_name,status,user_id,"
    "organization_id,organization_name,organization_address_1,organization_address_2,"
    "organization_city,organization_state,organization_country,organization_unit,tech_first_name,"
    "tech_last_name,tech_email,tech_title,tech_telephone,server_type,issuing_ca,agreement_id,"
    "validity_years,signature_hash,dcv_method,common_name,plus_feature,dns_names,product_id,"
    "product_name_id,product_name,product_type,email,csr,valid_from,valid_till,"
    "certificate_tracker_id,is_renewed,renewed_order_id,receipt_id,disable_issuance_email,"
    "pay_type,is_out_of_contract,disable_renewal_notifications,additional_emails,auto_renew,"
    "custom_renewal_message,thumbprint,serial_number,account_id,user_first_name,user_last_name,"
    "user_email,user_assignments,cost,metadata,has_duplicates"
)
REPORT_COLUMNS = tuple(_REPORT_HEADING.split(","))


@dataclass(frozen=True, slots=True)
class NameValidation:
    """How far the validation of one name of an order is."""

    name: str
    is_approved: bool
    domain_id: str | None = None  # of the domain that it is validated by


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """An order as the CA's list has it. None and empty: the list does not say."""

    order_id: str
    status: str | None = None
    product: str | None = None
    product_type: str | None = None
    created_at: float | None = None
    container: str | None = None
    dcv_method: str | None = None
    domains: tuple[str, ...] = ()
    names: tuple[NameValidation, ...] = ()  # of "Order validation status", which alone has them

    @property
    def approved(self) -> int:
        """How many of its names are approved, as far as is known."""
        return sum(name.is_approved for name in self.names)


def names_in_words(approved: int, names: int) -> str:
    """Return how many of an order's names are approved: `3 of 5 names approved`."""
    if names == 1:
        return "its name is approved" if approved else "its name is not approved yet"
    return f"{approved:,} of {names:,} names approved"
