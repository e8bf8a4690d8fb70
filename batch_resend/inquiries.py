"""What the CA is asked about the requests of a run: before they are sent, and afterwards.

Beforehand, what is better not sent:

planned request -> nothing waits, or only for mails of another call? -> skipped
-> the CA would mail others than it asks for, or may? -> refused

Afterwards, what has become of the orders, in as few requests as serve. A list of what has changed
since the run began shows all at once, as far back as the CA keeps it. An order that is not in it
waits as it did when the CA took its mail, unless its own call says that it is not there.
"""

import logging
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
    Set,
)
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import anyio

from batch_resend.calls import CALLS, domain_and_scope
from batch_resend.certcentral.judge import is_of_subject
from batch_resend.channels import Channels
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.explanations import MAY_WIDEN, WOULD_WIDEN
from batch_resend.journal import Checked, Journal, JournalReader, OrderCheck, Purpose
from batch_resend.listed import WAITING, WAITS, ListedOrder
from batch_resend.model import Asked, PlannedRequest, Request, RequestStatus, Run, SkipReason
from batch_resend.order_reader import MANY, OrderReader, nothing_to_mail
from batch_resend.report import counted
from batch_resend.sending import ask_each
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
    channels: Channels, run: Run, most: int | None = None, *, any_product: bool
) -> tuple[Asked, dict[str, str]]:
    """Ask the CA about each request of a run that is to be sent; settle what is better not sent.

    `most`: so many are to be sent now, the first ones; no more are asked about than it takes to
    find them. `any_product`: those that are not DV go by the order call, too. Return how far that
    went, and by budget why nothing by a key is to be sent. Whatever ends it, what was learned is
    kept. Raises CallError, where no key is left, JournalError.
    """
    reader = channels.journal.reader
    counts = await reader.count_by_account(run)
    keys = channels.settings.keys(counts)
    asking = _Asking(any_product)
    stopped: dict[str, str] = {}
    left = sum(counts.values()) if most is None else most  # to be found that may be sent

    async def ask_all_of(key: Key) -> None:
        nonlocal left
        pending = reader.pending(run, key.names)
        count = sum(counts.get(name, 0) for name in key.names)
        try:
            async with channels.order_reader(key.names[0], Purpose.PREFLIGHT) as order_reader:
                left -= await asking.ask(order_reader, pending, count, left)
                await order_reader.reader.forget()
        except CallError as error:
            if len(keys) == 1 and not isinstance(error, KeyRefused):
                raise
            # Unasked, it might mail others than its rows ask for.
            stopped[key.account.budget] = str(error)

    try:
        # Of the first ones a key has what the keys before it leave over, as when they are sent.
        wanted = (lambda: left) if most is None else (lambda: min(left, 1))
        await ask_each(keys, ask_all_of, wanted=wanted)
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
    """Asks about requests, and keeps the objections as they come."""

    any_product: bool
    objections: list[Objection] = field(default_factory=list)
    about: Counter[str | None] = field(default_factory=Counter)  # requests asked about, by account
    unanswered: int = 0  # of these, without an objection: nothing could be read

    def so_far(self, counts: Mapping[str | None, int]) -> Asked:
        """Return how far the asking about so many requests, by account, has come.

        Warn of what was not told.
        """
        if self.unanswered:
            what = counted(self.unanswered, "order")
            log.warning("%s could not be asked about: sent as listed; -v says why", what)
        about, to_ask = self.about.total(), Counter(counts) - self.about
        return Asked(about if to_ask else None, self.unanswered, to_ask)

    async def ask(
        self,
        order_reader: OrderReader,
        pending: AsyncIterator[PlannedRequest],
        count: int,
        most: int,
    ) -> int:
        """Ask about requests, of `count`, until so many may be sent; return how many may."""
        progress, good = order_reader.progress, 0
        progress.total = min(count, most)
        products = _Products(order_reader, progress.total)

        async def ask_about(planned: PlannedRequest) -> bool:
            said = await _ask(order_reader, planned, products, any_product=self.any_product)
            if said.objection is not None:
                self.objections.append(said.objection)
                progress.total = min(count, progress.total + 1)  # the next one takes its place
            self.about[planned.request.account] += 1
            self.unanswered += not said.is_answer
            progress.done += 1
            return said.objection is None

        def take(is_good: bool) -> None:
            nonlocal good
            good += is_good

        await ask_each(pending, ask_about, take, wanted=lambda: most - good)
        return good


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


# --- afterwards ---------------------------------------------------------------------------------

WAITS_NO_MORE = "no longer waiting"
UNKNOWN = "unknown"  # the CA says no to the question: it has no such order, or not for this key
FEW = 3  # orders, up to which each is asked about by itself
FEW_NAMES = 5  # orders that wait, up to which their names are asked about unless asked for
_MARGIN_S = 300.0  # by which the CA's clock may differ from ours


async def verify(channels: Channels, run: Run, *, with_names: bool | None) -> Checked | None:
    """Ask the CA what has come of the orders that a run has mailed, or may have; keep that.

    `with_names`: also which of their names are approved, a request each; None: where few orders
    wait. None: the run has sent none, and left none in doubt. Raises SettingsError where it is for
    another CA, KeyRefused, CallError where that cannot be read, JournalError.
    """
    journal, settings = channels.journal, channels.settings
    channels.refuse_elsewhere(run, await journal.reader.accounts(run))
    mailed: dict[str, dict[str, list[int]]] = {}  # by key: an order's requests, one a language
    async for number, order in journal.reader.mailed_requests(run):
        if not CALLS[order.call].is_about_domain:  # a domain may be of many orders, or none
            orders = mailed.setdefault(settings.key(order.account).account.budget, {})
            orders.setdefault(order.subject, []).append(number)
    found: dict[int, OrderCheck] = {}
    since_s = channels.clock() - (run.started_at or run.created_at)
    errors: list[CallError] = []

    async def ask(key: Key) -> None:
        requests = mailed[key.account.budget]

        def note(order_id: str, check: OrderCheck) -> None:
            found.update(dict.fromkeys(requests[order_id], check))

        try:
            async with channels.order_reader(key.names[0]) as order_reader:
                await look_up(order_reader, requests, since_s, note, with_names=with_names)
        except CallError as error:
            errors.append(error)  # the other accounts are asked all the same
            if len(mailed) > 1:
                log.error("account %s: %s", key.title, error)

    try:
        keys = settings.keys(settings.names)
        await ask_each([key for key in keys if key.account.budget in mailed], ask)
    finally:
        # Whatever ends it, hours of answers are not lost.
        with anyio.CancelScope(shield=True):
            await journal.note_checks(run, found)
    if errors:
        raise errors[0]
    return await journal.reader.checked(run)


async def look_whether_waiting(
    reader: JournalReader, run: Run, waiting: Set[str]
) -> dict[int, OrderCheck]:
    """Return which of a run's requests are of orders that are in the CA's list of all that wait.

    Nothing where `look_up` has said more of the run. Raises JournalError.
    """
    checked = await reader.checked(run)
    known = set[str]() if checked is None else {*checked.statuses, *checked.in_doubt}
    if not known <= {WAITS, WAITS_NO_MORE}:
        return {}
    return {
        number: OrderCheck(WAITS if order.subject in waiting else WAITS_NO_MORE)
        async for number, order in reader.mailed_requests(run)
        if order.account is None and not CALLS[order.call].is_about_domain
    }


async def look_up(
    order_reader: OrderReader,
    order_ids: Collection[str],
    since_s: float,
    note: Callable[[str, OrderCheck], object],
    *,
    with_names: bool | None = None,
) -> None:
    """Ask what has become of orders that were mailed up to `since_s` seconds ago.

    `with_names`: also which names of those that wait are approved, a request each; None: where they
    are few. `note` is handed what is known of each order as it comes, and may get more of one
    later. Raises CallError, JournalError.
    """
    found: dict[str, OrderCheck] = {}

    def learn(order_id: str, check: OrderCheck) -> None:
        if _counts(check, found.get(order_id)):
            found[order_id] = check
            note(order_id, check)

    many, what = len(order_ids) > FEW, counted(len(order_ids), "order")
    changes = await order_reader.changes(since_s + _MARGIN_S) if many else None
    if changes is not None:
        log.info("what became of %s: read from the status changes", what)
        for order_id in order_ids:
            learn(order_id, OrderCheck(changes.get(order_id, WAITS)))
    else:
        log.info("what became of %s: asked one by one", what)
        await _check(order_reader, list(order_ids), _status_of, learn)
    waiting = [order_id for order_id, check in found.items() if check.status in (WAITS, *WAITING)]
    if with_names:
        await _check(order_reader, waiting, _names_of, learn)
    elif with_names is None and len(waiting) <= FEW_NAMES:
        await _ask_for_names(order_reader, waiting, learn)


def _counts(check: OrderCheck, before: OrderCheck | None) -> bool:
    """Whether what is found of an order goes before what was; WAITS is but the CA's silence."""
    return check.status != UNKNOWN or before is None or before.status == WAITS


async def _ask_for_names(
    order_reader: OrderReader, order_ids: Sequence[str], learn: Callable[[str, OrderCheck], object]
) -> None:
    """Ask which names are approved, where the CA tells that: nobody asked for it."""
    try:
        await _check(order_reader, order_ids, _names_of, learn)
    except KeyRefused:
        raise
    except CallError as error:
        log.info("which names are approved is not known: %s", error)


async def _check(
    order_reader: OrderReader,
    order_ids: Sequence[str],
    check_one: Callable[[OrderReader, str], Awaitable[OrderCheck | None]],
    learn: Callable[[str, OrderCheck], object],
) -> None:
    """Ask about each order; learn what comes, as it comes."""
    order_reader.progress.total += len(order_ids)

    async def ask(order_id: str) -> None:
        if (check := await check_one(order_reader, order_id)) is not None:
            learn(order_id, check)
        order_reader.progress.done += 1

    await ask_each(order_ids, ask)


async def _status_of(order_reader: OrderReader, order_id: str) -> OrderCheck:
    """Return an order's status by its own call."""
    found = await order_reader.known_of(order_id)
    return OrderCheck((found and found.status) or UNKNOWN)


async def _names_of(order_reader: OrderReader, order_id: str) -> OrderCheck | None:
    """Return how many names of an order are approved; None: the CA does not tell."""
    found = await order_reader.completed(ListedOrder(order_id))
    if order_id in order_reader.not_there:
        return OrderCheck(UNKNOWN)
    if not found.names:
        return None
    return OrderCheck(found.status or WAITS, len(found.names), found.approved)
