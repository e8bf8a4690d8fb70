"""Which orders the CA has: read under its rate limits, each once, in as few requests as serve."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
from pydantic import TypeAdapter

from batch_resend.calls import CALLS
from batch_resend.certcentral.judge import PAGE, is_of_subject
from batch_resend.certcentral.orders import (
    LONGEST_CHANGES_S,
    REPORT_PATH,
    Page,
    changes_path,
    domain_emails_path,
    every_order,
    info_path,
    list_path,
    read_changes,
    read_domain_emails,
    read_info,
    read_methods,
    read_page,
    read_validation,
    validation_path,
)
from batch_resend.errors import CallError, CallRefused
from batch_resend.intake import Field, is_dv, skip_cause
from batch_resend.listed import WAITING, ListedOrder, names_in_words
from batch_resend.model import Call, Reply, SkipReason
from batch_resend.sending import Reader, ask_each

log = logging.getLogger(__name__)

_ORDER = TypeAdapter(ListedOrder)
_ADDRESSES = TypeAdapter(frozenset[str])
_Found = TypeVar("_Found")

# Where the CA has no such call, something in front of it may say so, by a page. With any other
# status a page is about this moment: proxies and CDNs block for a while what they take for a robot.
_NO_SUCH_CALL = frozenset((*range(200, 400), 401, 404, 405, 407, 501, 511))
_OF_THIS_MOMENT = frozenset((408, 425, 460, 499))  # trouble, though numbered as the client's

MANY = 20  # orders, from which on one answer about all is asked for in place of one about each


def is_dv_order(order: ListedOrder) -> bool:
    """Whether an order's product is validated by domain alone, as far as is known.

    Its type says it of every product (public clients go by it), its name of most.
    """
    return is_dv(order.product_type or "") or is_dv(order.product or "")


def nothing_to_mail(
    order: ListedOrder, call: Call = Call.DV_RESEND, *, any_product: bool = False
) -> tuple[SkipReason, str] | None:
    """Return why an order has nothing to resend by a call, as far as the CA tells.

    `any_product`: whatever its product is. None: it may have. What waits for nothing at all comes
    before what waits for mails of another call.
    """
    product = "" if is_dv_order(order) else order.product or ""
    status, method = order.status or "", order.dcv_method or ""
    cause = skip_cause(status, method, product, call, any_product=any_product)
    if cause and cause[0] is not Field.PRODUCT:
        return SkipReason.PREFLIGHT, cause[1]
    if CALLS[call].approves_domains and order.names and order.approved == len(order.names):
        return SkipReason.PREFLIGHT, names_in_words(order.approved, len(order.names))
    return (SkipReason.OTHER_CALL, cause[1]) if cause else None


class OrderReader:
    """Reads a CA's orders, many requests beside each other. What is read counts in its limits."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.progress = reader.progress  # how far asking about orders is
        self.unusable: dict[str, str] = {}  # what the list has without an order number, and shown
        self.not_there: set[str] = set()  # orders of which the CA said that it does not have them
        self.reported: Mapping[str, str] = {}  # by number, how orders are validated, if it was read
        self.unread: set[str] = set()  # orders that were asked about, and nothing could be read
        self._offers_validation: bool | None = None  # None: that is not known yet
        self._first_validation = anyio.Lock()

    async def orders(
        self,
        statuses: Sequence[str] = WAITING,
        filters: Sequence[tuple[str, str]] = (),
        *,
        optional: bool = False,
    ) -> AsyncIterator[ListedOrder]:
        """Yield the orders in these statuses, each once, as the CA's list has them.

        `filters` are further ones of the call "List orders"; `optional`: there is another way to
        ask. Items without an order number are left out, and stand in `unusable`. Raises CallError,
        JournalError.
        """
        seen: set[int] = set()
        for status in statuses:
            page = partial(self._page, [("status", status), *filters], optional=optional)
            async for order in every_order(page, note_unusable=self._note_unusable):
                if int(order.order_id) not in seen:
                    seen.add(int(order.order_id))
                    yield order

    async def _page(
        self, filters: Sequence[tuple[str, str]], offset: int, limit: int, *, optional: bool
    ) -> Page:
        read = self._if_offered if optional else self.reader.fetch
        return read_page(await read(list_path(filters, offset, limit)))

    def _note_unusable(self, items: Mapping[str, str]) -> None:
        for shown in (items[item] for item in items.keys() - self.unusable.keys()):
            log.warning("the CA's list has an item without an order number: %s; left out", shown)
        self.unusable |= items

    async def waiting(self) -> dict[str, ListedOrder]:
        """Return the orders that wait, by number, as far as the CA's list has them.

        Raises CallError, JournalError.
        """
        found: dict[str, ListedOrder] = {}
        try:
            async for order in self.orders(optional=True):
                found[order.order_id] = order
        except CallError as error:
            if self.reader.stopped:
                raise
            log.warning(
                "of which product orders are: %s from the CA's list, the others asked one by one, "
                "because %s",
                f"{len(found):,}",
                error,
            )
        return found

    async def order(self, order_id: str) -> ListedOrder:
        """Return an order, as the call "Order info" has it. Raises CallError, JournalError."""
        return read_info(await self.reader.fetch(info_path(order_id)), order_id)

    async def completed(self, order: ListedOrder) -> ListedOrder:
        """Return an order with what its list lacks: status now, method, which names are approved.

        An order of which nothing can be read is returned as it is. Raises CallError where no order
        can be read, JournalError.
        """
        found = await self.known_of(order.order_id, with_names=True)
        if found is None:
            return order
        return replace(
            order,
            status=found.status or order.status,
            product=order.product or found.product,
            product_type=order.product_type or found.product_type,
            dcv_method=found.dcv_method or order.dcv_method,
            domains=order.domains or found.domains,
            names=found.names,
        )

    async def known_of(self, order_id: str, *, with_names: bool = False) -> ListedOrder | None:
        """Return what the CA says of one order; None: nothing, which the log has.

        With names by "Order validation status"; without, or where the CA lacks that, by "Order
        info". Raises CallError where no order can be read, JournalError.
        """
        subject = f"{'names of ' if with_names else ''}order {order_id}"
        if kept := self.reader.kept(subject):
            return _ORDER.validate_json(kept)
        try:
            found = await self._validation(order_id) if with_names else None
            found = found or await self.order(order_id)
            await self.reader.keep(subject, _ORDER.dump_json(found).decode())
            return found
        except CallError as error:
            if self.reader.stopped:
                raise
            # One odd order is to spoil no other.
            self.unread.add(order_id)
            if isinstance(error, CallRefused) and is_of_subject(error.code):
                self.not_there.add(order_id)
            level = logging.DEBUG if isinstance(error, CallRefused) else logging.WARNING
            log.log(level, "order %s is used as listed: %s", order_id, error)
            return None

    async def _validation(self, order_id: str) -> ListedOrder | None:
        """Return what "Order validation status" has; None: the CA does not have that call."""
        if self._offers_validation is None:
            async with self._first_validation:  # whether it has, one answer tells
                if self._offers_validation is None:
                    return await self._first_of_validations(order_id)
        if not self._offers_validation:
            return None
        return read_validation(await self.reader.fetch(validation_path(order_id)), order_id)

    async def _first_of_validations(self, order_id: str) -> ListedOrder | None:
        try:
            reply = await self._if_offered(validation_path(order_id))
        except CallRefused as refusal:
            self._offers_validation = is_of_subject(refusal.code)
            if self._offers_validation:
                raise
            log.warning("which names of orders are approved is not known, because %s", refusal)
            return None
        self._offers_validation = True
        return read_validation(reply, order_id)

    async def _if_offered(self, path: str) -> Reply:
        """Return what the CA has at a path for which there is another way, tried again if it fails.

        Raises CallRefused, with the reason, where the CA says no, or fails at this call for long;
        CallError where no read will pass.
        """
        try:
            try:
                return await self.reader.fetch(path, optional=True)
            except CallRefused as refusal:
                if not _may_pass(refusal):
                    raise
            return await self.reader.fetch(path)
        except CallError as error:
            if self.reader.stopped or isinstance(error, CallRefused):
                raise
            raise CallRefused(str(error)) from error

    async def with_methods(
        self,
        orders: Sequence[ListedOrder],
        take: Callable[[ListedOrder], object],
        wanted: Callable[[], int],
        others: int = 0,
    ) -> list[ListedOrder]:
        """Hand on orders, in their order, each with how it is validated where that can be had.

        The order report tells it of all in one answer; of the others each order's own call does.
        No more than `wanted` says are asked about: the rest is returned, not handed on, with what
        the order report tells. `others`: how many more that is to tell about, see `as_reported`.
        Raises CallError, JournalError.
        """
        unknown = sum(order.dcv_method is None for order in orders)
        why, level = "", logging.INFO
        if is_report_asked := unknown + others >= MANY:
            try:
                self.reported = await self.methods()
            except CallRefused as refusal:
                why, level = str(refusal), logging.WARNING
        known = self.as_reported(orders)
        to_ask = sum(order.dcv_method is None for order in known)
        self.progress.total += min(to_ask, wanted())
        asked = 0

        async def ask(order: ListedOrder) -> ListedOrder:
            nonlocal asked
            if order.dcv_method is not None:
                return order
            asked += 1
            found = await self.completed(order)
            self.progress.done += 1
            return found

        handed_on = 0

        def hand_on(order: ListedOrder) -> None:
            nonlocal handed_on
            handed_on += 1
            take(order)

        try:
            await ask_each(known, ask, hand_on, wanted=wanted)
        finally:  # how many are enough, only the answers tell
            if unknown:
                text = how_asked(unknown, to_ask, asked, why, is_report_asked=is_report_asked)
                log.log(level, "%s", text)
        return known[handed_on:]

    def as_reported(self, orders: Iterable[ListedOrder]) -> list[ListedOrder]:
        """Return orders, and how each is validated where the order report was read and says it."""
        return [
            order
            if order.dcv_method is not None
            else replace(order, dcv_method=self.reported.get(order.order_id))
            for order in orders
        ]

    async def methods(self) -> dict[str, str]:
        """Return how orders are validated, by number, of the order report: one request.

        Raises CallRefused where it is not to be had, CallError, JournalError.
        """
        return await self._read_if_offered(REPORT_PATH, read_methods)

    async def changes(self, since_s: float) -> dict[str, str] | None:
        """Return the status of the orders in which it has changed in so many seconds until now.

        One request. None: that is longer than the CA says. Raises CallRefused where it is not to
        be had, CallError, JournalError.
        """
        if since_s > LONGEST_CHANGES_S:
            return None
        return await self._read_if_offered(changes_path(since_s), read_changes)

    async def _read_if_offered(self, path: str, read: Callable[[Reply], _Found]) -> _Found:
        """Return what is read of the CA's answer to a call for which there is another way.

        Raises CallRefused where that is not to be had, or cannot be read; CallError, JournalError.
        """
        reply = await self._if_offered(path)
        try:
            return read(reply)
        except CallError as error:
            raise CallRefused(str(error)) from error

    async def domain_emails(self, domain: str) -> frozenset[str]:
        """Return whom the CA can mail for a domain, in lower case.

        Raises CallRefused where it does not say that, CallError, JournalError.
        """
        subject = f"addresses of {domain}"
        if kept := self.reader.kept(subject):
            return _ADDRESSES.validate_json(kept)
        found = await self._read_if_offered(domain_emails_path(domain), read_domain_emails)
        await self.reader.keep(subject, _ADDRESSES.dump_json(found).decode())
        return found

    async def read(self, path: str) -> bytes:
        """Return what the CA has at a path below its base URL, quoted, with its query.

        For calls that this program does not make itself. Raises CallError, JournalError.
        """
        return (await self.reader.fetch(path)).body


def _may_pass(refusal: CallRefused) -> bool:
    """Whether a read may pass when it is made again: it was none of the CA's own no."""
    if refusal.status is None or refusal.status in _OF_THIS_MOMENT:
        return True
    is_of_the_ca = refusal.status < 500 and refusal.code not in (None, PAGE)
    return not is_of_the_ca and refusal.status not in _NO_SUCH_CALL


def how_asked(
    unknown: int, to_ask: int, asked: int, why: str = "", *, is_report_asked: bool
) -> str:
    """Return in words how it was found out how so many orders are validated.

    `asked` of those `to_ask` by a request each; `why` the order report is not to be had.
    """
    what = "how orders are validated:"
    one_by_one = f"{asked if asked == to_ask else f'{asked} of {to_ask}'} asked one by one"
    if not is_report_asked:
        return f"{what} {one_by_one}, because the order report pays from {MANY} on"
    because = f", because {why or 'the order report lacks them'}" if to_ask else ""
    return f"{what} {unknown - to_ask} from the order report, {one_by_one}{because}"
