"""What the CA has: orders as its lists have them, and how far each name is."""

from dataclasses import dataclass

WAITING = ("pending", "reissue_pending")  # the statuses of orders that wait for an approval
WAITS = "waiting"  # of an order that is in none of the CA's lists of what has changed


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
