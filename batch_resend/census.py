"""Which orders the CA has: read under the windows, each told once."""

from collections.abc import AsyncIterator, Sequence

from batch_resend.certcentral import Page, every_order, info_path, list_path, read_info, read_page
from batch_resend.intake import is_known_status, skip_reason
from batch_resend.model import Call, ListedOrder
from batch_resend.sending import Fetcher

WAITING = ("pending", "reissue_pending")  # the statuses of orders that wait for an approval


def nothing_to_mail(
    order: ListedOrder, call: Call = Call.DV_RESEND, *, any_product: bool = False
) -> str | None:
    """Return why an order has nothing to resend by a call, as far as the CA tells.

    `any_product`: whatever its product is. None: it may have.
    """
    status, method, product = order.status or "", order.dcv_method or "", order.product or ""
    if not is_known_status(status):
        status = ""  # one that the CA has added: what it means for the mail the CA will say itself
    return skip_reason(status, method, product, call, any_product=any_product)


class Census:
    """Reads a CA's orders, one request at a time. What is read counts in the windows."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def orders(
        self, statuses: Sequence[str] = WAITING, filters: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[ListedOrder]:
        """Yield the orders in these statuses, each once, as the CA's list has them.

        `filters` are further ones of the call "List orders". Raises CallError, JournalError.
        """
        told: set[int] = set()
        for status in statuses:
            async for order in every_order(_Pages(self._fetcher, [("status", status), *filters])):
                if int(order.order_id) not in told:
                    told.add(int(order.order_id))
                    yield order

    async def order(self, order_id: str) -> ListedOrder:
        """Return an order, as the call "Order info" tells of it. Raises CallError, JournalError."""
        return read_info(await self._fetcher.fetch(info_path(order_id)))

    async def read(self, path: str) -> bytes:
        """Return what the CA has at a path below its base URL, quoted, with its query.

        For calls that this program does not make itself. Raises CallError, JournalError.
        """
        return (await self._fetcher.fetch(path)).body


class _Pages:
    """The pages of one list."""

    def __init__(self, fetcher: Fetcher, filters: Sequence[tuple[str, str]]) -> None:
        self._fetcher = fetcher
        self._filters = filters

    async def __call__(self, offset: int, limit: int) -> Page:
        return read_page(await self._fetcher.fetch(list_path(self._filters, offset, limit)))
