"""What the CA is asked about the orders of a run afterwards: what has become of them.

In as few requests as serve. A list of what has changed since the run began shows all at once, as
far back as the CA keeps it. An order that is not in it waits as it did when the CA took its mail,
unless its own call says that it is not there.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence, Set

import anyio

from batch_resend.calls import CALLS
from batch_resend.channels import Channels
from batch_resend.errors import CallError, CallRefused, KeyRefused
from batch_resend.journal import Checked, JournalReader, OrderCheck
from batch_resend.listed import WAITING, WAITS, ListedOrder
from batch_resend.model import Run
from batch_resend.order_reader import OrderReader
from batch_resend.report import counted
from batch_resend.sending import ask_each
from batch_resend.settings import Key

log = logging.getLogger(__name__)

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
            several = len(mailed) > 1
            async with channels.order_reader(
                key.names[0], is_one_of_several=several
            ) as order_reader:
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

    changes = await _changes(order_reader, len(order_ids), since_s)
    if changes is not None:
        for order_id in order_ids:
            learn(order_id, OrderCheck(changes.get(order_id, WAITS)))
    else:
        await _check(order_reader, list(order_ids), _status_of, learn)
    waiting = [order_id for order_id, check in found.items() if check.status in (WAITS, *WAITING)]
    if with_names:
        await _check(order_reader, waiting, _names_of, learn)
    elif with_names is None and len(waiting) <= FEW_NAMES:
        await _ask_for_names(order_reader, waiting, learn)


async def _changes(order_reader: OrderReader, orders: int, since_s: float) -> dict[str, str] | None:
    """Return what has changed in all orders in so many seconds; None: each is asked about.

    Which way it is, and why, is logged. Raises CallError, JournalError.
    """
    found, why, level = None, f"the status changes pay from {FEW + 1} on", logging.INFO
    if orders > FEW:
        why = "the CA lists the status changes of the last 7 days only"
        try:
            found = await order_reader.changes(since_s + _MARGIN_S)
        except CallRefused as refusal:
            why, level = str(refusal), logging.WARNING
    way = f"asked one by one, because {why}" if found is None else "read from the status changes"
    log.log(level, "what became of %s: %s", counted(orders, "order"), way)
    return found


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
