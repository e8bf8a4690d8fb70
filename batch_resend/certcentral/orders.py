"""Reading orders: the CA's calls "List orders" and "Order info" (dev.digicert.com).

    GET {base}/order/certificate?filters[status]=pending&sort=order_id&limit=..&offset=..
    GET {base}/order/certificate/{order_id}

**Paging while orders come and go.** Pages are slices of a list that has an order of its own.
Between two pages orders may leave it, and those behind them move up, past the next page's
beginning; or come into it, and those behind them move down, and appear twice. So a page overlaps
the one before. If it has any order that was seen, then it begins within what was seen, and none
that stays in the list was missed: a slice has no holes. If it has none, all of the overlap has left
meanwhile: the page is asked for again, further to the front. What was seen is told once.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from batch_resend.certcentral.lenient import Moment, Names, Text, Whole
from batch_resend.errors import CallError
from batch_resend.listed import ListedOrder
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

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

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
    model_config = ConfigDict(extra="ignore")

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
    """Return where all that the CA tells of an order is, below the base URL."""
    return f"/order/certificate/{quote(order_id, safe='')}"


def read_info(reply: Reply, order_id: str) -> ListedOrder:
    """Return what the call "Order info" tells of an order. Raises CallError where it is none.

    What cannot be read of it is not known.
    """
    try:
        found = from_json(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CallError(f"the CA's answer about order {order_id} cannot be read: no JSON object")
    if str(found.get("id", order_id)) != order_id:
        raise CallError(f"asked about order {order_id}, the CA answers with another one")
    return _listed(_Item.model_validate(found | {"id": order_id}))


async def every_order(
    fetch: FetchPage,
    page_size: int = PAGE_SIZE,
    note_unusable: Callable[[Mapping[str, str]], object] = lambda _: None,
) -> AsyncIterator[ListedOrder]:
    """Yield every order of a list once, though orders come into it and leave it meanwhile.

    `note_unusable` is handed the items of each page that have no order number; one may come twice.
    """
    seen: set[int | str] = set()
    overlap = min(OVERLAP, page_size // 2)
    offset = fruitless = got = total = 0
    while fruitless < MOST_FRUITLESS:
        fruitless += 1
        page = await fetch(offset, page_size)
        listed = {int(order.order_id): order for order in reversed(page.orders)}
        if offset and seen.isdisjoint((*listed, *page.unusable)):
            offset = max(0, offset - page_size)
            continue
        note_unusable(page.unusable)
        new = [number for number in reversed(listed) if number not in seen]
        fruitless = 0 if new else fruitless
        seen.update(new, page.unusable)
        for number in new:
            yield listed[number]
        got, total = page.length, page.total or 0
        # A CA may give fewer than it is asked for, and then tells by the total that there are more.
        if not got or (got < page_size and offset + got >= total):
            break
        offset += got - min(overlap, got // 2)
    else:
        if got >= page_size:
            raise CallError(
                f"the CA's list of orders has no end: {MOST_FRUITLESS} pages brought nothing new"
            )
    if len(seen) < total:
        log.warning("the CA says that it has %d orders, and shows %d", total, len(seen))


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
