"""What the CA is asked about the requests of a run before they are sent: what is better not sent.

planned request -> nothing waits, or only for mails of another call? -> skipped
-> the CA would mail others than it asks for, or may? -> refused
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import anyio

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.certcentral.judge import is_of_subject
from batch_resend.channels import Channels
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.explanations import MAY_WIDEN, WOULD_WIDEN
from batch_resend.first_part import by_turns
from batch_resend.journal import Journal, JournalReader, Purpose
from batch_resend.listed import ListedOrder
from batch_resend.model import Asked, PlannedRequest, Request, RequestStatus, Run, SkipReason
from batch_resend.order_reader import MANY, OrderReader, nothing_to_mail
from batch_resend.report import counted
from batch_resend.sending import MOST_AHEAD, ask_each
from batch_resend.settings import Key

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a request is not to be sent."""

    number: int  # of the request, in its run
    reason: str
    code: str  # `SkipReason`; or that the CA would mail others than it asks for, or may

    @property
    def status(self) -> RequestStatus:
        """What becomes of the request."""
        is_skipped = isinstance(self.code, SkipReason)
        return RequestStatus.SKIPPED if is_skipped else RequestStatus.REFUSED


async def ask_beforehand(
    channels: Channels,
    run: Run,
    most: int | None = None,
    *,
    any_product: bool,
    stopped: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Asked, dict[str, str]]:
    """Ask the CA about each request of a run that is to be sent; settle what is better not sent.

    `most`: so many are to be sent now, the first ones (see `first_part`); no more are asked about
    than it takes to find them. `any_product`: those that are not DV go by the order call, too.
    `stopped`: by budget, why nothing by a key is to be sent anyway. Return how far that went, and
    the same with what is known then. Whatever ends it, what was learned is kept. Raises
    CallError, where no key is left, JournalError.
    """
    reader = channels.journal.reader
    count = reader.count_by_account if most is None else reader.count_in_list_order
    counts = await count(run)
    keys = channels.settings.keys(counts)
    asking = _Asking(reader, run, counts, most, any_product)
    stopped = {**stopped}

    async def ask_all_of(key: Key) -> None:
        try:
            async with channels.order_reader(
                key.names[0], Purpose.PREFLIGHT, is_one_of_several=len(keys) > 1
            ) as order_reader:
                await asking.ask(order_reader, key.names)
                await order_reader.reader.forget()
        except CallError as error:
            if len(keys) == 1 and not isinstance(error, KeyRefused):
                raise
            # Unasked, it might mail others than its rows ask for.
            stopped[key.account.budget] = str(error)

    try:
        # What one account has too few of, others send more of: these are asked once more.
        while to_ask := [
            key for key in keys
            if key.account.budget not in stopped and asking.wants_any_of(key.names)
        ]:  # fmt: skip
            await ask_each(to_ask, ask_all_of)
    finally:
        with anyio.CancelScope(shield=True):
            await _leave_out(channels.journal, run, asking.objections)
    return asking.so_far({} if most is None else counts), stopped


async def _leave_out(journal: Journal, run: Run, objections: Sequence[Objection]) -> None:
    reasons: dict[tuple[RequestStatus, str], list[tuple[int, str]]] = {}
    for one in objections:
        reasons.setdefault((one.status, one.code), []).append((one.number, one.reason))
    for (status, code), found in reasons.items():
        await journal.leave_out(run, found, status, code)


class _Said(NamedTuple):
    """What the CA said of a request."""

    objection: Objection | None
    is_answer: bool = True  # else nothing could be read


@dataclass(slots=True)
class _Asking:
    """Asks about the requests of a run, and keeps the objections as they come."""

    reader: JournalReader
    run: Run
    counts: Mapping[str | None, int]  # of requests to send, by account
    most: int | None  # that are to be sent; None: all
    any_product: bool
    objections: list[Objection] = field(default_factory=list)
    about: Counter[str | None] = field(default_factory=Counter)  # requests asked about, by account
    good: Counter[str | None] = field(default_factory=Counter)  # of these, those to be sent
    unanswered: int = 0  # of those, without an objection: nothing could be read
    # By account: the position of the last one asked about, and how many without an objection.
    _last: dict[str | None, int] = field(default_factory=dict)
    _left: dict[str | None, int] = field(init=False)
    _shares: Mapping[str | None, int] = field(init=False)  # how many of these are to be found

    def __post_init__(self) -> None:
        self._left = dict(self.counts)
        self._share_out()

    def _share_out(self) -> None:
        """Say how many requests of each account are to be found: as many as are sent of it."""
        self._shares = self._left if self.most is None else by_turns(self._left, self.most)

    def wants_any_of(self, names: Iterable[str | None]) -> bool:
        """Whether more requests of accounts are to be found."""
        return any(self._shares[name] > self.good[name] for name in names)

    def so_far(self, counts: Mapping[str | None, int]) -> Asked:
        """Return how far the asking about so many requests, by account, has come.

        Those of which nothing could be read are logged.
        """
        if self.unanswered:
            what = counted(self.unanswered, "order")
            log.warning("%s could not be asked about: sent as listed; -v says why", what)
        about, to_ask = self.about.total(), Counter(counts) - self.about
        return Asked(about if to_ask else None, self.unanswered, to_ask)

    async def ask(self, order_reader: OrderReader, names: Sequence[str | None]) -> None:
        """Ask about requests of accounts by one key, until those are found that may be sent."""
        progress, objected = order_reader.progress, 0
        found_before = sum(self.good[name] for name in names)

        def note_total() -> None:
            progress.total = sum(self._shares[name] for name in names) - found_before + objected

        async def ask_about(planned: PlannedRequest) -> bool:
            nonlocal objected
            said = await _ask(order_reader, planned, products, any_product=self.any_product)
            name = planned.request.account
            self.about[name] += 1
            if said.objection is not None:
                objected += 1
                self.objections.append(said.objection)
                self._left[name] -= 1
                self._share_out()  # the next one takes its place
            self.unanswered += not said.is_answer
            progress.done += 1
            note_total()
            return said.objection is None

        note_total()
        products = _Products(order_reader, progress.total)
        for name in names:
            await self._ask_of(name, ask_about)

    async def _ask_of(
        self, name: str | None, ask_about: Callable[[PlannedRequest], Awaitable[bool]]
    ) -> None:
        is_end = False

        async def pending() -> AsyncIterator[PlannedRequest]:
            nonlocal is_end
            after = self._last.get(name, -1)
            async for planned in self.reader.pending(self.run, [name], after + 1):
                self._last[name] = planned.position
                yield planned
            is_end = True

        def take(is_good: bool) -> None:
            self.good[name] += is_good

        def wanted() -> int:
            return MOST_AHEAD if self.most is None else self._shares[name] - self.good[name]

        await ask_each(pending(), ask_about, take, wanted=wanted)
        if is_end:
            self._left[name] = self.good[name]  # whatever was counted
            self._share_out()


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


async def _ask(
    order_reader: OrderReader, planned: PlannedRequest, products: _Products, *, any_product: bool
) -> _Said:
    order = planned.request
    if CALLS[order.call].is_about_domain:
        would_widen = await _would_widen(order_reader, order)
        return _said(planned, would_widen)
    listed = ListedOrder(order.subject)
    found = await order_reader.completed(listed)
    is_answer = found is not listed  # where nothing can be read, it comes back as it was; so below
    heeds_product = CALLS[order.call].is_for_dv and not any_product
    if heeds_product and found.product is None and not nothing_to_mail(found, order.call):
        known = found
        found = await products.add(known)
        is_answer = is_answer and found is not known
    nothing = nothing_to_mail(found, order.call, any_product=any_product)
    if (nothing is None or nothing[0] is SkipReason.OTHER_CALL) and _are_approved(order, found):
        nothing = SkipReason.PREFLIGHT, "all the names that it asks for are approved"
    return _said(planned, nothing, is_answer=is_answer)


def _said(
    planned: PlannedRequest, why_not: tuple[str, str] | None, *, is_answer: bool = True
) -> _Said:
    """Return what is said of a request; `why_not`: code and reason not to send it."""
    if why_not is None:
        return _Said(None, is_answer)
    code, reason = why_not
    return _Said(Objection(planned.number, reason, code))


def _are_approved(order: Request, found: ListedOrder) -> bool:
    """Whether a request asks for names, all of which are approved."""
    asked = {entry.domain for entry in order.entries}
    approved = {name.name for name in found.names if name.is_approved}
    return bool(asked) and CALLS[order.call].approves_domains and asked <= approved


async def _would_widen(order_reader: OrderReader, order: Request) -> tuple[str, str] | None:
    """Return why the CA would mail others for a domain than those that a request names, or may.

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
        why = f"the CA does not say who it can mail for {domain}, so it might mail all ({refusal})"
        return MAY_WIDEN, why
    unknown = [entry.email for entry in order.entries if entry.email.lower() not in known]
    if len(unknown) < len(order.entries):
        if unknown:
            log.warning("for %s the CA will not mail %s", domain, ", ".join(unknown))
        return None
    return WOULD_WIDEN, (
        f"the CA does not know {' and '.join(unknown)} as an address for {domain}: it would mail "
        "all the addresses it has for the domain"
    )
