"""What the CA's own exports say of an order: whether there is anything to resend.

The values are those of the pages "Order report" and "Product list".
"""

import re

from batch_resend.calls import CALLS
from batch_resend.intake.cells import Malformed, shown
from batch_resend.model import Call

_WAITING = frozenset(("pending", "reissue_pending"))
_OVER = frozenset(
    (
        "issued", "rejected", "revoked", "waiting_pickup", "canceled", "cancelled", "expired",
        "needs_approval", "needs_csr", "processing", "approved",
    )
)  # fmt: skip
_BY_EMAIL = frozenset(("email", "e_mail"))
_DV = re.compile(r"(?<![a-z])dv(?![a-z])|rapidssl|quickssl|ssl123|encryption.?everywhere")
_BETWEEN_WORDS = re.compile(r"[\s\-]+")


def skip_reason(
    status: str, dcv_method: str, product: str, call: Call = Call.DV_RESEND
) -> str | None:
    """Return why an order has nothing to resend by a call, as far as its list tells.

    What is empty is not told.

    Raises Malformed for a status that the CA does not have.
    """
    if status and (state := _plain(status)) not in _WAITING:
        if state not in _OVER:
            raise Malformed(
                f"the status {shown(status.strip())} is none that the CA's orders have; if the "
                "column is about something else, --all-statuses leaves it aside"
            )
        return f"its status is {state}, not pending"
    described = CALLS[call]
    if described.approves_domains and dcv_method and _plain(dcv_method) not in _BY_EMAIL:
        return f"its domains are validated by {shown(dcv_method.strip())}, not by e-mail"
    if described.is_for_dv and product and not is_dv(product):
        return (
            f"its product, {shown(product)}, is not DV: its mails are resent domain by domain, "
            "with --call domain-dcv"
        )
    return None


def is_dv(product: str) -> bool:
    """Whether a product is validated by domain alone, by its name, name_id or type."""
    return _DV.search(product.lower()) is not None


def _plain(text: str) -> str:
    return _BETWEEN_WORDS.sub("_", text.strip().lower())
