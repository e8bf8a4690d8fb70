"""Rows of all sources become a plan, and what of it is better not sent.

planned request -> nothing waits? -> left out
-> the CA would mail others than it asks for? -> refused
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice

import anyio
import anyio.to_thread

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.errors import CallRefused, InputError, UnknownColumn
from batch_resend.intake import NAMES_NOBODY, ListSource, Source, listed
from batch_resend.journal import JournalReader, Staging
from batch_resend.listed import ListedOrder
from batch_resend.model import Plan, PlannedRequest, RejectedRow, Request, Row, Run
from batch_resend.order_reader import MANY, OrderReader, is_of_subject, nothing_to_mail
from batch_resend.sending import ask_each
from batch_resend.settings import OWN_KEY
from batch_resend.windows import Window, dictated_time, joint

Part = tuple[int, Sequence[Window]]  # so many requests, within these windows

_ROWS_A_BATCH = 5_000
_MAX_REJECTED = 1_000_000  # beyond it a list is none, and the journal no place for it


async def stage(
    sources: Sequence[Source],
    staging: Staging,
    *,
    each_names_an_account: bool = False,
    may_be_empty: bool = False,
) -> None:
    """Read all rows of all sources into the staging, a batch at a time. Raises InputError.

    `each_names_an_account`: it is to, for there is no key for one that does not.
    """
    rejected = 0
    for source in sources:
        before = staging.rows_read
        async for batch in _batches(source):
            await staging.add_rows(batch)
            if each_names_an_account:
                _refuse_without_account(source, batch)
            rejected += _count_rejected(source, batch, rejected)
        if source.form.with_addresses:
            await staging.reject_without_addresses(before, NAMES_NOBODY)
        count = staging.rows_read - before
        await staging.end_input(source.name, source.sha256, source.form, count)
    _refuse_ignored(source for source in sources if isinstance(source, ListSource))
    if not (staging.rows_read or may_be_empty):
        raise InputError("there are no rows to send")


def _refuse_ignored(lists: Iterable[ListSource]) -> None:
    """Raise UnknownColumn where --ignore names a column that is in none of the lists."""
    read = list(lists)
    if not read:
        return
    columns = list(dict.fromkeys(name for one in read for name in one.columns))
    for name in sorted(set.intersection(*(one.not_there for one in read))):
        near = get_close_matches(name, columns, n=1)
        meant = f": is {near[0]!r} meant? The" if near else "; the"
        raise UnknownColumn(
            f"--ignore {name!r} names a column that is not there{meant} columns are "
            f"{listed(columns)}"
        )


def _count_rejected(source: Source, batch: Sequence[Row | RejectedRow], before: int) -> int:
    """Return how many rows are rejected. Raises InputError where that is no list for us."""
    bad = [row for row in batch if isinstance(row, RejectedRow)]
    if before + len(bad) > _MAX_REJECTED:
        raise InputError(
            f"{source.name}, line {bad[-1].line}: more than {_MAX_REJECTED:,} rows are rejected, "
            f"this one because {bad[-1].reason}; is this the right list, and --map right?"
        )
    return len(bad)


def _refuse_without_account(source: Source, batch: Sequence[Row | RejectedRow]) -> None:
    for row in batch:
        if isinstance(row, Row) and row.account is None:
            raise InputError(
                f"{source.name}, line {row.line}: names no account, and there is no API key for "
                f"such rows: {OWN_KEY}"
            )


async def _batches(source: Source) -> AsyncIterator[list[Row | RejectedRow]]:
    """Yield the rows of a source, many at a time. A file is read beside the event loop."""
    if isinstance(source, ListSource):
        rows = iter(source)
        while batch := await anyio.to_thread.run_sync(
            lambda: list(islice(rows, _ROWS_A_BATCH)), abandon_on_cancel=True
        ):
            yield batch
    else:
        batch = []
        async for row in source:
            batch.append(row)
            if len(batch) >= _ROWS_A_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def make_plan(
    reader: JournalReader,
    run: Run,
    parts_of: Callable[[Mapping[str | None, int]], Sequence[Part]],
    *,
    taken_up: bool,
) -> Plan:
    """Return the plan of a run as the journal has it now.

    `parts_of` tells, of the requests by account, what is sent by each key; of none one part, too.
    """
    parts = parts_of(await reader.count_by_account(run))
    return Plan(
        run=run,
        taken_up=taken_up,
        rows=await reader.count_rows(run),
        orders=await reader.count_orders(run),
        settled=await reader.count_outcomes(run),
        to_send=sum(count for count, _ in parts),
        limits=tuple(map(str, joint([windows for _, windows in parts]))),
        duration_s=max(dictated_time(count, windows) for count, windows in parts),
    )


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a request is not to be sent."""

    number: int  # of the request, in its run
    reason: str
    would_widen: bool = False  # the CA would mail others than it asks for; else: nothing waits


async def object_to(
    order_reader: OrderReader,
    pending: AsyncIterator[PlannedRequest],
    count: int,
    note: Callable[[Objection], object],
    *,
    any_product: bool = False,
) -> None:
    """Ask the CA about each request that is to be sent, `count` in all; note the objections.

    `any_product`: those that are not DV go by the order call, too. The objections are noted as they
    come: what ends it early loses none. Raises CallError, JournalError.
    """
    products = _Products(order_reader, count)
    order_reader.progress.total += count

    async def ask(planned: PlannedRequest) -> None:
        if objection := await _objection(order_reader, planned, products, any_product=any_product):
            note(objection)
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
        if self._are_many:
            async with self._turn:
                if self._listed is None:
                    self._listed = await self._order_reader.waiting()
            if known := self._listed.get(order.order_id):
                return replace(order, product=known.product, product_type=known.product_type)
        return await self._order_reader.with_product(order)


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
        "all the addresses that it has for it"
    )
