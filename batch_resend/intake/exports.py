"""What the CA's own exports say of an order: whether there is anything to resend.

The one place that decides it: for rows of a list, for `sweep` and for `--preflight`. The values are
those of the pages "List orders", "Order report" and "Product list", and those that clients of the
API were seen to meet.
"""

import re

from batch_resend.calls import CALLS
from batch_resend.intake.cells import shown
from batch_resend.model import Call

_WAITING = frozenset(("pending", "reissue_pending"))
_OVER = frozenset(
    (
        "issued", "rejected", "revoked", "waiting_pickup", "canceled", "cancelled", "expired",
        "denied", "failed", "suspended", "approved", "needs_approval", "needs_csr", "processing",
    )
)  # fmt: skip
_BY_EMAIL = frozenset(("email", "e_mail"))
_DV = re.compile(r"(?<![a-z])dv(?![a-z])|rapidssl|quickssl|ssl123|encryption.?everywhere")
_BETWEEN_WORDS = re.compile(r"[\s\-]+")


def skip_reason(
    status: str,
    dcv_method: str,
    product: str,
    call: Call = Call.DV_RESEND,
    *,
    any_product: bool = False,
) -> str | None:
    """Return why an order has nothing to resend by a call, as far as its list says.

    An empty text says nothing. `any_product`: whatever the product is, the call is made. A status
    that is not known is a reason: what it means is not known either, and the narrower is sent.
    """
    if status and (word := _plain(status)) not in _WAITING:
        if word not in _OVER:
            return f"its status is {shown(status.strip())}, which is not one that we know"
        return f"its status is {word}, not pending"
    described = CALLS[call]
    if described.approves_domains and dcv_method and _plain(dcv_method) not in _BY_EMAIL:
        return f"its domains are validated by {shown(dcv_method.strip())}, not by e-mail"
    if described.is_for_dv and not any_product and product and not is_dv(product):
        return (
            f"its product, {shown(product)}, is not DV, and by the CA's older pages {call} is for "
            "DV only: use --call domain-dcv for its domains, or --any-product to send it as it is"
        )
    return None


def is_known_status(status: str) -> bool:
    """Whether a status is one that orders of the CA were seen to have; an empty one says nothing.

    Another one may be a later one of the CA's, or no order status at all.
    """
    return not status or _plain(status) in _WAITING | _OVER


def is_dv(product: str) -> bool:
    """Whether a product is validated by domain alone, by its name, name_id or type."""
    return _DV.search(product.lower()) is not None


def _plain(text: str) -> str:
    return _BETWEEN_WORDS.sub("_", text.strip().lower())
