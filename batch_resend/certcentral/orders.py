"""What the CA has: orders by its lists, and single orders and domains by their own calls.

    GET {base}/order/certificate?filters[status]=pending&sort=order_id&limit=..&offset=..
    GET {base}/order/certificate/{order_id}, and below it /validation: which of its names still wait
    GET {base}/report/order: every order, with its DCV method
    GET {base}/order/certificate/status-changes?minutes=..: whose status has changed
    GET {base}/domain/{id or FQDN}/dcv/emails: whom the CA can mail for a domain

The pages "Order validation status", "Order report", "Order status changes" and "Domain DCV emails"
(dev.digicert.com). No recording shows the last three: an answer that cannot be read is an error,
for there is another way to ask (order by order), or a safe side to stay on.

**Paging while orders come and go.** Pages are slices of a list that has an order of its own.
Between two pages orders may leave it, and those behind them move up, past the next page's
beginning; or come into it, and those behind them move down, and appear twice. So a page overlaps
the one before. If it has any order that was seen, then it begins within what was seen, and none
that stays in the list was missed: a slice has no holes. If it has none, all of the overlap has left
meanwhile: the page is asked for again, further to the front.
"""

import csv
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from math import ceil
from typing import Annotated
from urllib.parse import quote

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import from_json, to_json

from batch_resend.certcentral.client import MAX_READ_BYTES
from batch_resend.certcentral.contract import Digits, Items, Moment, Names, Text, Whole
from batch_resend.errors import CallError
from batch_resend.listed import ListedOrder, NameValidation
from batch_resend.model import Reply

log = logging.getLogger(__name__)

PAGE_SIZE = 1_000
OVERLAP = 50  # orders that a page has in common with the one before
MOST_SHOWN = 80  # characters of an item that cannot be used
MOST_FRUITLESS = 20  # pages in a row that bring nothing new: the CA does not page


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list, as the CA gives it: it may be shorter than what was asked for."""

    orders: Sequence[ListedOrder]
    total: int | None = None  # how many there are in the whole list, as far as it says
    # Items without an order number: as they stood (JSON), and what names each.
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """How many items it has, whatever can be made of them."""
        return len(self.orders) + len(self.unusable)


FetchPage = Callable[[int, int], Awaitable[Page]]  # offset, limit -> a page


class _Item(BaseModel):
    """One order of the list. Lenient: what cannot be read of it is not known, but for its number.

    The list never tells how an order is validated (recordings); `dcv_method` is that of Order info.
    """

    model_config = ConfigDict(coerce_numbers_to_str=True)

    order_id: str = Field(alias="id", pattern=r"^[0-9]{1,18}$")
    status: Text = None
    date_created: Moment = None
    dcv_method: Text = None
    container: Text = Field(default=None, validation_alias=AliasPath("container", "name"))
    product: Text = Field(default=None, validation_alias=AliasPath("product", "name_id"))
    product_name_id: Text = None
    product_type: Text = Field(default=None, validation_alias=AliasPath("product", "type"))
    common_name: Text = Field(
        default=None, validation_alias=AliasPath("certificate", "common_name")
    )
    dns_names: Names = Field(default=(), validation_alias=AliasPath("certificate", "dns_names"))


class _Page(BaseModel):
    # Some services write an empty list as `{}`.
    orders: Annotated[list[object] | None, BeforeValidator(lambda v: v if v != {} else [])] = None
    total: Whole = Field(default=None, validation_alias=AliasPath("page", "total"))


def list_path(filters: Sequence[tuple[str, str]], offset: int, limit: int) -> str:
    """Return where a page of the list is, below the base URL."""
    named = [(f"filters[{name}]", value) for name, value in filters]
    # In this order new ones come at the end, and make no page begin elsewhere.
    query = [*named, ("sort", "order_id"), ("limit", str(limit)), ("offset", str(offset))]
    return "/order/certificate?" + "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query
    )


def read_page(reply: Reply) -> Page:
    """Return a page of the list. Raises CallError where it is none.

    An empty list may come without `orders`, as `{}`, or as 204 (a sample page of a sibling call;
    several public clients are prepared for it); or as `[]`, which stands for no organization.
    """
    if reply.status == 204 or reply.body.strip() == b"[]":
        return Page(())
    try:
        page = _Page.model_validate_json(reply.body)
    except ValidationError as error:
        raise unreadable("list of orders", error) from None
    if page.orders is None and not from_json(reply.body).keys() <= {"orders", "page"}:
        raise CallError("the CA's list of orders cannot be read: it has neither orders nor a page")
    orders: list[ListedOrder] = []
    unusable: dict[str, str] = {}
    for item in page.orders or ():
        try:
            orders.append(_listed(_Item.model_validate(item)))
        except ValidationError:
            unusable[to_json(item).decode()] = _shown(item)
    return Page(orders, page.total, unusable)


def info_path(order_id: str) -> str:
    """Return where all that the CA has of an order is, below the base URL."""
    return f"/order/certificate/{quote(order_id, safe='')}"


def read_info(reply: Reply, order_id: str) -> ListedOrder:
    """Return what the call "Order info" has of an order. Raises CallError where it is none."""
    try:
        found = from_json(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CallError(f"the CA's answer about order {order_id} cannot be read: no JSON object")
    if str(found.get("id", order_id)) != order_id:
        raise CallError(f"asked about order {order_id}, the CA answered with another one")
    return _listed(_Item.model_validate(found | {"id": order_id}))


@dataclass(slots=True)
class _Walk:
    """How far a list is read, by pages that overlap: orders come into it and leave it meanwhile."""

    page_size: int
    offset: int = 0
    fruitless: int = 0  # pages in a row that brought nothing new
    got: int = 0  # items of the last page
    total: int = 0  # of the list, as the CA says
    is_over: bool = False
    seen: set[int | str] = field(default_factory=set)

    def take(self, page: Page) -> list[ListedOrder]:
        """Take in a page; return its orders that are new, and say in `offset` where to continue."""
        self.fruitless += 1
        listed = {int(order.order_id): order for order in reversed(page.orders)}
        if self.offset and self.seen.isdisjoint((*listed, *page.unusable)):
            self.offset = max(0, self.offset - self.page_size)  # all that was seen has left
            return []
        new = [number for number in reversed(listed) if number not in self.seen]
        self.fruitless = 0 if new else self.fruitless
        self.seen.update(new, page.unusable)
        self.got, self.total = page.length, page.total or 0
        # A CA may give fewer than it is asked for, and then tells by the total that there are more.
        is_short = self.got < self.page_size and self.offset + self.got >= self.total
        self.is_over = not self.got or is_short
        self.offset += self.got - min(OVERLAP, self.page_size // 2, self.got // 2)
        return [listed[number] for number in new]


async def every_order(
    fetch: FetchPage,
    page_size: int = PAGE_SIZE,
    note_unusable: Callable[[Mapping[str, str]], object] = lambda _: None,
) -> AsyncIterator[ListedOrder]:
    """Yield each order of a list once; `note_unusable` is handed each page's without a number."""
    walk = _Walk(page_size)
    while not walk.is_over and walk.fruitless < MOST_FRUITLESS:
        page = await fetch(walk.offset, page_size)
        note_unusable(page.unusable)
        for order in walk.take(page):
            yield order
    if not walk.is_over and walk.got >= page_size:
        raise CallError(
            f"the CA's list of orders has no end: {MOST_FRUITLESS} pages brought nothing new"
        )
    if len(walk.seen) < walk.total:
        log.warning("the CA says that it has %d orders, and shows %d", walk.total, len(walk.seen))


def unreadable(what: str, error: ValidationError) -> CallError:
    """Return the error for an answer that is not what it should be."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "as a whole"
    return CallError(f"the CA's {what} cannot be read: {place}: {first['msg']}")


def _shown(item: object) -> str:
    """Return what names an item that has no order number: its id where it has one, or all of it."""
    named = (item.get("id") or item) if isinstance(item, dict) else item
    text = to_json(named).decode()
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def _listed(item: _Item) -> ListedOrder:
    names = [item.common_name, *item.dns_names]
    return ListedOrder(
        order_id=item.order_id,
        status=item.status,
        product=item.product or item.product_name_id or item.product_type,
        product_type=item.product_type,
        created_at=item.date_created,
        container=item.container,
        dcv_method=item.dcv_method,
        domains=tuple(dict.fromkeys(name for name in names if name)),
    )


REPORT_PATH = "/report/order"
LONGEST_CHANGES_S = 7 * 86_400.0  # back; beyond it the CA answers `time_frame_too_long`
_APPROVED = frozenset(("approved", "valid"))
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")


class _DomainValidation(BaseModel):
    """One item of `dns_name_validations`: a domain, and the names that it stands for."""

    domain_id: Digits = None
    name_scope: Text = None
    status: Text = None
    dns_names: Names = Field(default=(), validation_alias=AliasChoices("dns_names", "dns_name"))


class _Validation(BaseModel):
    """Order validation status. Lenient: what cannot be read of it is not known."""

    order_status: Text = None
    order_dcv_method: Text = None
    dns_name_validations: Items = ()


class _Change(BaseModel):
    order_id: Digits = None
    status: Text = None


class _DomainEmails(BaseModel):
    base_emails: Names = ()
    whois_emails: Names = ()
    dns_txt_emails: Names = ()


def validation_path(order_id: str) -> str:
    """Return where it stands which of an order's names wait, below the base URL."""
    return f"{info_path(order_id)}/validation"


def read_validation(reply: Reply, order_id: str) -> ListedOrder | None:
    """Return an order's status, method and names: what cannot be read of them is not known.

    None: nothing can.
    """
    try:
        found = _Validation.model_validate_json(reply.body)
    except ValidationError:
        found = _Validation()
    if not (found.order_status or found.order_dcv_method or found.dns_name_validations):
        return None
    known = ListedOrder(order_id, status=found.order_status, dcv_method=found.order_dcv_method)
    names: dict[str, NameValidation] = {}
    for item in found.dns_name_validations:
        named = _names_of(item)
        if not named:
            return known  # how many names there are, and which of them wait, is not known
        for one in named:
            # One that stands there twice is approved where both say so.
            if names.setdefault(one.name, one).is_approved:
                names[one.name] = one
    return replace(known, domains=tuple(names), names=tuple(names.values()))


def _names_of(item: object) -> list[NameValidation]:
    """Return the names that a domain stands for; none: they cannot be read."""
    try:
        domain = _DomainValidation.model_validate(item)
    except ValidationError:
        return []
    is_approved = (domain.status or "").lower() in _APPROVED
    return [
        NameValidation(name, is_approved, domain.domain_id)
        for name in domain.dns_names or (domain.name_scope,)
        if name
    ]


def read_methods(reply: Reply) -> dict[str, str]:
    """Return how orders are validated, by their numbers, of the order report (CSV).

    Raises CallError where it is none, or not whole.
    """
    if len(reply.body) >= MAX_READ_BYTES:
        raise CallError(f"the CA's order report is larger than {MAX_READ_BYTES >> 20} MiB")
    table = csv.reader(StringIO(reply.body.decode("utf-8-sig", "replace"), newline=""))
    try:
        heading = [_BETWEEN_WORDS.sub("_", cell.strip().lower()) for cell in next(table, [])]
        number, method = heading.index("order_id"), heading.index("dcv_method")
        return {
            row[number].strip(): row[method].strip()
            for row in table
            if len(row) == len(heading) and row[method].strip()
        }
    except (csv.Error, ValueError):
        raise CallError("the CA's order report has no columns order_id and dcv_method") from None


def changes_path(since_s: float) -> str:
    """Return where it stands which orders' status has changed in so many seconds until now."""
    return f"/order/certificate/status-changes?minutes={max(1, ceil(since_s / 60))}"


def read_changes(reply: Reply) -> dict[str, str]:
    """Return the newest status of the orders that have another one, by their numbers.

    `{}`, or 204, where there is none. Raises CallError where the answer is no such list.
    """
    if reply.status == 204:
        return {}
    changes = map(_change_of, _items_of_changes(reply.body))
    return {  # the later of two
        change.order_id: change.status for change in changes if change.order_id and change.status
    }


def _items_of_changes(body: bytes) -> list[object]:
    """Return the items of the list, which stand as `orders`, or bare. Raises CallError."""
    try:
        found = from_json(body)
    except ValueError:
        found = None
    page = None
    if isinstance(found, Mapping) and found.keys() <= {"orders", "page"}:
        page, found = found.get("page"), found.get("orders") or []
    if not isinstance(found, list):
        raise CallError("the CA's list of status changes cannot be read")
    total = page.get("total") if isinstance(page, Mapping) else None
    if isinstance(total, int) and total > len(found):
        raise CallError("the CA shows only a part of its list of status changes")
    return found


def _change_of(item: object) -> _Change:
    try:
        return _Change.model_validate(item)
    except ValidationError:
        return _Change()


def domain_emails_path(domain: str) -> str:
    """Return where it stands whom the CA can mail for a domain (its number, or its name)."""
    query = "consider_dcv_email_preferences=true"
    return f"/domain/{quote(domain, safe='')}/dcv/emails?{query}"


def read_domain_emails(reply: Reply) -> frozenset[str]:
    """Return the addresses that the CA can mail for a domain, in lower case.

    Raises CallError where the answer is no JSON object.
    """
    try:
        found = _DomainEmails.model_validate_json(reply.body)
    except ValidationError as error:
        raise unreadable("list of a domain's addresses", error) from None
    listed = (*found.base_emails, *found.whois_emails, *found.dns_txt_emails)
    return frozenset(address.lower() for address in listed)
