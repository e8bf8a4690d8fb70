"""What of a plan is better not sent, asked of the CA before sending begins.

planned request -> nothing waits? -> skipped
-> the CA would mail others than it asks for? -> refused
"""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import anyio

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.channels import Channels
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.journal import Journal, Purpose
from batch_resend.listed import ListedOrder
from batch_resend.model import PlannedRequest, Request, Run
from batch_resend.order_reader import MANY, OrderReader, is_of_subject, nothing_to_mail
from batch_resend.sending import ask_each
from batch_resend.settings import Key

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a request is not to be sent."""

    number: int  # of the request, in its run
    reason: str
    would_widen: bool = False  # the CA would mail others than it asks for; else: nothing waits


async def ask_beforehand(channels: Channels, run: Run, *, any_product: bool) -> dict[str, str]:
    """Ask the CA about each request of a run that is to be sent; settle what is better not sent.

    `any_product`: those that are not DV go by the order call, too. Return, by budget, why nothing
    by a key is to be sent. Whatever ends it, what was learned is kept. Raises CallError, where no
    key is left, JournalError.
    """
    reader = channels.journal.reader
    counts = await reader.count_by_account(run)
    keys = channels.settings.keys(counts)
    objections: list[Objection] = []
    stopped: dict[str, str] = {}

    async def ask_all_of(key: Key) -> None:
        pending = reader.pending(run, key.names)
        count = sum(counts.get(name, 0) for name in key.names)
        try:
            async with channels.order_reader(key.names[0], Purpose.PREFLIGHT) as order_reader:
                await _ask(order_reader, pending, count, objections, any_product=any_product)
                await order_reader.reader.forget()
        except CallError as error:
            if len(keys) == 1 and not isinstance(error, KeyRefused):
                raise
            # Unasked, it might mail others than its rows ask for.
            stopped[key.account.budget] = str(error)

    try:
        await ask_each(keys, ask_all_of)
    finally:
        with anyio.CancelScope(shield=True):
            await _leave_out(channels.journal, run, objections)
    return stopped


async def _leave_out(journal: Journal, run: Run, objections: Sequence[Objection]) -> None:
    for would_widen in (False, True):
        found = [one for one in objections if one.would_widen is would_widen]
        reasons = [(one.number, one.reason) for one in found]
        await journal.leave_out(run, reasons, would_widen=would_widen)


async def _ask(
    order_reader: OrderReader,
    pending: AsyncIterator[PlannedRequest],
    count: int,
    objections: list[Objection],
    *,
    any_product: bool,
) -> None:
    """Ask about each request, `count` in all; add the objections as they come."""
    products = _Products(order_reader, count)
    order_reader.progress.total += count

    async def ask(planned: PlannedRequest) -> None:
        if objection := await _objection(order_reader, planned, products, any_product=any_product):
            objections.append(objection)
        order_reader.progress.done += 1

    await ask_each(pending, ask)


class _Products:
    """Of which product an order is, asked where nothing else leaves it out."""

    def __init__(self, order_reader: OrderReader, count: int) -> None:
        """`count`: of requests; of many the CA's list tells it with fewer reads than one each."""
        self._order_reader = order_reader
        self._are_many = count >= MANY
        self._listed: dict[str, ListedOrder] | None = None
        self._turn = anyio.Lock()

    async def add(self, order: ListedOrder) -> ListedOrder:
        """Return an order with its product, where the CA says it."""
        known = None
        if self._are_many:
            async with self._turn:
                if self._listed is None:
                    self._listed = await self._order_reader.waiting()
            known = self._listed.get(order.order_id)
        if known is None:
            known = await self._order_reader.known_of(order.order_id)
        if known is None:
            return order
        return replace(order, product=known.product, product_type=known.product_type)


async def _objection(
    order_reader: OrderReader, planned: PlannedRequest, products: _Products, *, any_product: bool
) -> Objection | None:
    order = planned.request
    if CALLS[order.call].is_about_domain:
        reason = await _would_widen(order_reader, order)
        return Objection(planned.number, reason, would_widen=True) if reason else None
    found = await order_reader.completed(ListedOrder(order.subject))
    heeds_product = CALLS[order.call].is_for_dv and not any_product
    if heeds_product and found.product is None and not nothing_to_mail(found, order.call):
        found = await products.add(found)
    reason = nothing_to_mail(found, order.call, any_product=any_product)
    reason = reason or _all_approved(order, found)
    return Objection(planned.number, reason) if reason else None


def _all_approved(order: Request, found: ListedOrder) -> str | None:
    """Return that all the names that a request asks for are approved, if they are."""
    asked = {entry.domain for entry in order.entries}
    approved = {name.name for name in found.names if name.is_approved}
    if asked and CALLS[order.call].approves_domains and asked <= approved:
        return "all the names that it asks for are approved"
    return None


async def _would_widen(order_reader: OrderReader, order: Request) -> str | None:
    """Return why the CA would mail others for a domain than those that a request names.

    Of addresses that it does not know it takes no notice; and where it knows none of those given,
    it mails all that it has for the domain (page "Resend domain DCV emails").
    """
    if not order.entries:
        return None  # all are asked for
    domain, _ = domain_and_scope(order.subject)
    try:
        known = await order_reader.domain_emails(domain)
    except CallRefused as refusal:
        if is_of_subject(refusal.code):
            return None  # there is no such domain: that the CA says with the mail
        return (
            f"the CA does not say whom it can mail for {domain}, so it might mail all ({refusal})"
        )
    unknown = [entry.email for entry in order.entries if entry.email.lower() not in known]
    if len(unknown) < len(order.entries):
        if unknown:
            log.warning("for %s the CA will not mail %s", domain, ", ".join(unknown))
        return None
    return (
        f"the CA does not know {' and '.join(unknown)} as an address for {domain}: it would mail "
        "all the addresses it has for the domain"
    )
