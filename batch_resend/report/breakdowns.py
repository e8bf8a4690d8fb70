"""The orders of a run by what they have in common: language, call, account, product, domain."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.model import RequestStatus
from batch_resend.results import PartCount, ProductCount
from batch_resend.visible import with_unicode

MOST_PARTS = 10
LONGEST_PRODUCT = 80  # characters of its name
LEAST_TO_GROUP = 10  # orders not sent: fewer are seen at a glance


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The orders of a run by what they have in common: in words, how many, and how many sent."""

    title: str
    of: str  # what is counted
    parts: Sequence[tuple[str, int, int | None]]  # None: of those not sent
    more: int = 0  # that are not listed


def by_part(parts: Sequence[PartCount]) -> list[Breakdown]:
    """Return a run by language, call and account, where it has several."""
    kinds = (
        ("By language", [part.locale or "none named" for part in parts]),
        ("By call", [str(part.call) for part in parts]),
        ("By account", [part.account or "the command's own" for part in parts]),
    )
    return [_grouped(title, names, parts) for title, names in kinds if len(set(names)) > 1]


def _grouped(title: str, names: Sequence[str], parts: Sequence[PartCount]) -> Breakdown:
    all_orders: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    for name, part in zip(names, parts, strict=True):
        all_orders[name] += part.orders
        sent[name] += part.orders if part.status is RequestStatus.SENT else 0
    most = all_orders.most_common(MOST_PARTS)
    counts = [(name, count, sent[name]) for name, count in most]
    return Breakdown(title, "orders", counts, len(all_orders) - len(most))


def by_product(products: Sequence[ProductCount]) -> list[Breakdown]:
    """Return a run by product, where it has several: the most frequent of them are given."""
    if len(products) < 2:
        return []
    whole = [_cut(one.product or "none named") for one in products]
    short = list(map(_name_of, whole))
    names = short if len(set(short)) == len(short) else whole
    counts = [(name, one.orders, one.sent) for name, one in zip(names, products, strict=True)]
    return [Breakdown("By product", "orders", counts, products[0].products - len(products))]


def _name_of(product: str) -> str:
    """Return its name, where a list has that beside its identifier (`ssl_dv_flex`) and type."""
    parts = product.split(", ")
    return next((part for part in parts if "_" not in part), parts[0])


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_PRODUCT else f"{name[:LONGEST_PRODUCT]}..."


def by_domain(orders: Sequence[Sequence[str]]) -> list[Breakdown]:
    """Return where orders that were not sent are, by their domains, if any has several of them."""
    counts = Counter(domain for domains in orders for domain in domains if domain)
    several = sum(count > 1 for count in counts.values())
    if len(orders) < LEAST_TO_GROUP or not several or len(counts) == 1:
        return []
    most = counts.most_common(min(several, MOST_PARTS))
    parts = [(with_unicode(name), count, None) for name, count in most]
    return [Breakdown("Not sent, by domain", "orders not sent", parts, len(counts) - len(parts))]


def parent_of(domain: str) -> str:
    """Return the domain that others stand below: about the one that is registered."""
    labels = domain.removeprefix("*.").split(".")
    is_country_s = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if is_country_s else -2 :])
