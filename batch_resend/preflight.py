"""What of a plan is better not sent, asked of the CA before anything is.

planned request -> nothing waits? -> left out
-> the CA would mail others than it asks for? -> refused
"""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.census import MANY, Census, nothing_to_mail
from batch_resend.listed import ListedOrder, names_in_words
from batch_resend.model import Order, PlannedOrder
from batch_resend.sending import ask_each

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a request is not to be sent."""

    number: int  # of the request, in its run
    reason: str
    would_widen: bool = False  # the CA would mail others than it asks for; else: nothing waits


async def object_to(
    census: Census,
    pending: AsyncIterator[PlannedOrder],
    count: int,
    note: Callable[[Objection], object],
    *,
    any_product: bool = False,
) -> None:
    """Ask the CA about each request that is to be sent, `count` in all; note the objections.

    `any_product`: those that are not DV go by the order call, too. The objections are noted as they
    come: what ends it early loses none. Raises CallError, JournalError.
    """
    # What the list tells of all, such as their products, is not asked of each.
    listed = await census.waiting() if count >= MANY else {}
    census.progress.total += count

    async def ask(planned: PlannedOrder) -> None:
        if objection := await _objection(census, planned, listed, any_product=any_product):
            note(objection)
        census.progress.done += 1

    await ask_each(pending, ask)


async def _objection(
    census: Census, planned: PlannedOrder, listed: dict[str, ListedOrder], *, any_product: bool
) -> Objection | None:
    order = planned.order
    if CALLS[order.call].is_about_domain:
        reason = await _would_widen(census, order)
        return Objection(planned.number, reason, would_widen=True) if reason else None
    known = listed.get(order.order_id)
    found = await census.completed(known or ListedOrder(order.order_id))
    heeds_product = CALLS[order.call].is_for_dv and not any_product
    if heeds_product and found.product is None and not nothing_to_mail(found, order.call):
        found = await census.with_product(found)
    reason = nothing_to_mail(found, order.call, any_product=any_product)
    reason = reason or _all_approved(order, found)
    return Objection(planned.number, reason) if reason else None


def _all_approved(order: Order, found: ListedOrder) -> str | None:
    """Return how many of the names that a request asks for are approved, if all are."""
    asked = {entry.domain for entry in order.entries}
    approved = {name.name for name in found.names if name.is_approved}
    if asked and CALLS[order.call].approves_domains and asked <= approved:
        return f"of those that it asks for, {names_in_words(len(asked), len(asked))}"
    return None


async def _would_widen(census: Census, order: Order) -> str | None:
    """Return why the CA would mail others for a domain than those that a request names.

    Of addresses that it does not know it takes no notice; and where it knows none of those given,
    it mails all that it has for the domain (page "Resend domain DCV emails").
    """
    if not order.entries:
        return None  # all are asked for
    domain, _ = domain_and_scope(order.order_id)
    known = await census.domain_emails(domain)
    if known is None:
        return None  # the CA says why with the mail
    unknown = [entry.email for entry in order.entries if entry.email.lower() not in known]
    if len(unknown) < len(order.entries):
        if unknown:
            log.warning("for %s the CA will not mail %s", domain, ", ".join(unknown))
        return None
    return (
        f"the CA does not know {' and '.join(unknown)} as an address for {domain}: it would mail "
        "all the addresses that it has for it"
    )
