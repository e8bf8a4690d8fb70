"""Reading orders: the CA's calls "List orders" and "Order info" (dev.digicert.com).

    GET {base}/order/certificate?filters[status]=pending&limit=..&offset=..
    GET {base}/order/certificate/{order_id}

**Paging while orders come and go.** Pages are slices of a list that has an order of its own.
Between two pages orders may leave it, and those behind them move up, past the next page's
beginning; or come into it, and those behind them move down, and appear twice. So a page overlaps
the one before. If it has any order that was seen, then it begins within what was seen, and none
that stays in the list was missed: a slice has no holes. If it has none, all of the overlap has left
meanwhile: the page is asked for again, further to the front. What was seen is told once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError

from batch_resend.errors import CallError
from batch_resend.model import ListedOrder, Reply

PAGE_SIZE = 1_000
OVERLAP = 50  # orders that a page has in common with the one before
MOST_FRUITLESS = 20  # pages in a row that bring nothing new: the CA does not page


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list, as the CA gives it: it may be shorter than what was asked for."""

    orders: Sequence[ListedOrder]
    total: int | None = None  # how many there are in the whole list, as far as it says


FetchPage = Callable[[int, int], Awaitable[Page]]  # offset, limit -> a page


class _Item(BaseModel):
    """One order of the list (page "List orders"). Lenient: whatever is missing is not known."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    order_id: str = Field(alias="id", pattern=r"^[0-9]+$")
    status: str | None = None
    date_created: datetime | None = None
    dcv_method: str | None = None
    container: str | None = Field(default=None, validation_alias=AliasPath("container", "name"))
    product: str | None = Field(default=None, validation_alias=AliasPath("product", "name_id"))
    common_name: str | None = Field(
        default=None, validation_alias=AliasPath("certificate", "common_name")
    )
    dns_names: list[str] | None = Field(
        default=None, validation_alias=AliasPath("certificate", "dns_names")
    )


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore")

    orders: list[_Item]
    total: int | None = Field(default=None, validation_alias=AliasPath("page", "total"))


def list_path(filters: Sequence[tuple[str, str]], offset: int, limit: int) -> str:
    """Return where a page of the list is, below the base URL."""
    named = [(f"filters[{name}]", value) for name, value in filters]
    query = [*named, ("limit", str(limit)), ("offset", str(offset))]
    return "/order/certificate?" + "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query
    )


def read_page(reply: Reply) -> Page:
    """Return a page of the list. Raises CallError where it is none."""
    try:
        page = _Page.model_validate_json(reply.body)
    except ValidationError as error:
        raise _unreadable("list of orders", error) from None
    return Page([_listed(item) for item in page.orders], page.total)


def info_path(order_id: str) -> str:
    """Return where all that the CA tells of an order is, below the base URL."""
    return f"/order/certificate/{quote(order_id, safe='')}"


def read_info(reply: Reply) -> ListedOrder:
    """Return an order. Raises CallError where the answer is none."""
    try:
        return _listed(_Item.model_validate_json(reply.body))
    except ValidationError as error:
        raise _unreadable("order", error) from None


async def every_order(fetch: FetchPage, page_size: int = PAGE_SIZE) -> AsyncIterator[ListedOrder]:
    """Yield every order of a list once, though orders come into it and leave it meanwhile."""
    seen: set[int] = set()
    overlap = min(OVERLAP, page_size // 2)
    offset = fruitless = 0
    while fruitless < MOST_FRUITLESS:
        fruitless += 1
        page = await fetch(offset, page_size)
        if offset and not any(int(order.order_id) in seen for order in page.orders):
            offset = max(0, offset - page_size)
            continue
        for order in page.orders:
            if int(order.order_id) not in seen:
                seen.add(int(order.order_id))
                fruitless = 0
                yield order
        got = len(page.orders)
        # A CA may give fewer than it is asked for, and then tells by the total that there are more.
        if not got or (got < page_size and offset + got >= (page.total or 0)):
            return
        offset += got - min(overlap, got // 2)
    raise CallError(
        f"the CA's list of orders has no end: {MOST_FRUITLESS} pages brought nothing new"
    )


def _unreadable(what: str, error: ValidationError) -> CallError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "as a whole"
    return CallError(f"the CA's {what} cannot be read: {place}: {first['msg']}")


def _listed(item: _Item) -> ListedOrder:
    names = [item.common_name, *(item.dns_names or ())]
    return ListedOrder(
        order_id=item.order_id,
        status=item.status,
        product=item.product,
        created_at=item.date_created.timestamp() if item.date_created else None,
        container=item.container,
        dcv_method=item.dcv_method,
        domains=tuple(dict.fromkeys(name for name in names if name)),
    )
