"""`export`: which orders wait, asked of the CA, as a list that `send` reads."""

import csv
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import anyio
import click

from batch_resend.batch import Batch, open_batch
from batch_resend.cli.accounts import clock_of_command
from batch_resend.cli.as_settings import settings_of, style_of
from batch_resend.cli.command import (
    FILE,
    OF_READING,
    ExitCode,
    command,
    flag,
    format_option,
    option,
    option_of_its_own,
    together,
)
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import Style, export_options
from batch_resend.cli.output.progress import while_asking
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.cli.streams import STREAMS
from batch_resend.cli.values import DURATION
from batch_resend.clock import timestamp, whole_days
from batch_resend.journal import Purpose
from batch_resend.listed import ListedOrder
from batch_resend.order_reader import OrderReader, is_dv_order
from batch_resend.report import counted, whole_file
from batch_resend.sending import ask_each
from batch_resend.visible import defused_row

COLUMNS = (
    "order_id", "status", "product", "dcv_method", "created_at", "age_days", "container", "domains",
    "domain_id",
)  # fmt: skip
# Through no link: its name can be foreseen, and somebody else's file may wait behind one.
_NEW_PART = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
filter_options = together(
    None,
    option(
        "--product", metavar="NAME", multiple=True, help="Only orders of this product; repeatable."
    ),
    option("--container", metavar="NAME", help="Only orders in this container (division)."),
    option(
        "--filter",
        "filters",
        metavar="KEY=VALUE",
        multiple=True,
        help="A filter of the CA's call List orders; repeatable.",
    ),
)


@command(
    examples={
        "All orders that wait, into a list": "batch-resend export --out pending.csv",
        "Those that have waited for two days": "batch-resend export --older-than 2d --out old.csv",
        "And send their mails again": "batch-resend send old.csv",
    },
    exit_codes=OF_READING,
    see_also=("send", "check"),
)
@option("--older-than", type=DURATION, help="Only orders older than this, such as 1d.")
@filter_options
@flag(
    "--details",
    "Ask the CA how each order is validated and which of its names still wait, one request per "
    "order. Only those names are written.",
)
@format_option("csv", "jsonl", help="Format of the list.")
@option_of_its_own(
    "--out", type=FILE, help="File to write, as a whole or not at all; without it, standard output."
)
@export_options
def export(**options: Any) -> int:
    """Ask the CA which orders wait, and write them as a list that `send` reads.

    These are its orders with the status pending or reissue_pending. The domains are only for people
    to read: `send` has the CA mail every pending domain of an order. Reads count toward the rate
    limits, as mails do.
    """
    set_up_logs(options)
    if options["is_json"] and options["out"] is None:
        raise click.UsageError(
            "--json prints the counts to standard output: name a file for the list, --out FILE. "
            "--format jsonl writes the list itself as JSON"
        )
    filters = filters_of(options)

    async def work(_: Interruption) -> int:
        settings = settings_of(options, names=(None,))
        async with open_batch(settings, clock_of_command()) as batch:
            # Where the list goes to the terminal too, nothing is drawn between its lines.
            is_shown = options["out"] is not None or not sys.stdout.isatty()
            style = style_of(options) if is_shown else Style.NONE
            return await while_asking(_export(batch, filters, options), batch, style)

    return run_interruptibly(work)


async def _export(batch: Batch, filters: list[tuple[str, str]], options: dict[str, Any]) -> int:
    path: Path | None = options["out"]
    counts = {True: 0, False: 0}  # of orders that wait, and of those with all names approved
    with whole_file(path) if path else nullcontext(sys.stdout) as file:
        writer = _Writer(file, options["form"], batch.journal.now())

        def take(order: ListedOrder | None) -> None:
            counts[order is not None] += 1
            if order is not None:
                writer.write(order)

        async with batch.order_reader(purpose=Purpose.EXPORT) as order_reader:
            chosen = _chosen(order_reader, filters, writer.now, options)
            try:
                if options["details"]:
                    await ask_each(chosen, partial(_with_details, order_reader), take)
                else:
                    async for order in chosen:
                        take(order)
            except anyio.get_cancelled_exc_class():
                if path is not None and counts[True]:
                    _keep_part(file, path, counts[True])
                raise
            await order_reader.reader.forget()
    found = {
        "waiting": counts[True],
        "approved": counts[False],
        "unusable": len(order_reader.unusable),
        "unread": len(order_reader.unread),
    }
    if options["is_json"]:
        show_json({"file": str(path), **found})
    elif not options["quiet"]:
        _say_counts(**found)
    return ExitCode.ALL_WELL


def _say_counts(waiting: int, approved: int, unusable: int, unread: int) -> None:
    say(f"{counted(waiting, 'order')} {'waits' if waiting == 1 else 'wait'}.")
    if approved:
        say(f"{counted(approved, 'order')} more with all names approved: nothing to mail.")
    if unusable:
        say(f"{unusable:,} more in the CA's list without an order number are left out.")
    if unread:
        what = counted(unread, "order")
        say(f"{what} could not be asked about: listed with all names, approved ones too.")


def _keep_part(file: TextIO, path: Path, orders: int) -> None:
    """Keep what was read before a signal cut it short, under a name that says that it is a part."""
    part = path.with_name(f"{path.name}.partial")
    with suppress(OSError):
        file.flush()
        content = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
        with os.fdopen(os.open(part, _NEW_PART, 0o600), "wb") as kept:
            kept.write(content)
        say(
            f"Interrupted: the first {counted(orders, 'order')} are in {part}; {path} is as it was."
        )


async def _chosen(
    order_reader: OrderReader, filters: list[tuple[str, str]], now: float, options: dict[str, Any]
) -> AsyncIterator[ListedOrder]:
    """Yield the orders that the options ask for. One whose age is not known counts as old."""
    is_wanted, older_than = wanted_of(options), options["older_than"]
    async for order in order_reader.orders(filters=filters):
        is_young = older_than and order.created_at and now - order.created_at < older_than
        if is_wanted(order) and not is_young:
            await STREAMS.keep_pace()
            order_reader.progress.total += bool(options["details"])
            yield order


async def _with_details(order_reader: OrderReader, order: ListedOrder) -> ListedOrder | None:
    """Return an order with how it is validated, and of its names those that wait; None: none do."""
    found = await order_reader.completed(order)
    order_reader.progress.done += 1
    waiting = tuple(name for name in found.names if not name.is_approved)
    if found.names and not waiting:
        return None
    # It may have been approved since it was listed: then its status says so.
    return replace(found, domains=tuple(n.name for n in waiting) or found.domains, names=waiting)


class _Writer:
    """Writes orders: a line for each, or one for each domain where it is not DV."""

    def __init__(self, file: TextIO, form: str, now: float) -> None:
        self.now = now
        self._file = file
        self._table = None if form == "jsonl" else csv.writer(file, lineterminator="\n")
        if self._table is not None:
            self._table.writerow(COLUMNS)

    def write(self, order: ListedOrder) -> None:
        for part in _parts(order):
            record = _record(part, self.now)
            if self._table is None:
                print(json.dumps(record, ensure_ascii=False), file=self._file)
            else:
                record["domains"] = "; ".join(part.domains)
                self._table.writerow(defused_row(map(record.__getitem__, COLUMNS)))


def _parts(order: ListedOrder) -> Sequence[ListedOrder]:
    """Return an order as `send --auto-call` takes it: domain by domain where it is not DV."""
    if order.product is None or is_dv_order(order):
        return (order,)
    if order.names:
        return [replace(order, domains=(one.name,), names=(one,)) for one in order.names]
    return [replace(order, domains=(domain,)) for domain in order.domains] or (order,)


def _record(order: ListedOrder, now: float) -> dict[str, object]:
    is_one_domain = len(order.names) == 1 and not is_dv_order(order)
    return {
        "order_id": order.order_id,
        "status": order.status,
        "product": order.product,
        "dcv_method": order.dcv_method,
        "created_at": None if order.created_at is None else timestamp(order.created_at),
        "age_days": None if order.created_at is None else whole_days(now - order.created_at),
        "container": order.container,
        "domains": list(order.domains),
        "domain_id": order.names[0].domain_id if is_one_domain else None,
    }


def wanted_of(options: dict[str, Any]) -> Callable[[ListedOrder], bool]:
    """Return whether an order is of the products and the container that options name."""
    products = {name.lower() for name in options["product"]}
    container = (options["container"] or "").lower()
    return lambda order: (
        (not products or (order.product or "").lower() in products)
        and (not container or (order.container or "").lower() == container)
    )


def filters_of(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the filters of the CA's own that options name. Raises UsageError."""
    found = []
    for text in options["filters"]:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--filter {text!r}: write KEY=VALUE, such as container_id=5")
        found.append((name.strip(), value.strip()))
    return found
