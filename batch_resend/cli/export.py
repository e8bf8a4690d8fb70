"""`export`: which orders wait, asked of the CA, as a list that `send` reads."""

import csv
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import click

from batch_resend.batch import Batch, open_batch
from batch_resend.census import Census
from batch_resend.cli.as_settings import settings_of
from batch_resend.cli.exits import ExitCode
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import Command, export_options, option, option_of_its_own
from batch_resend.cli.terminal import say
from batch_resend.cli.values import DURATION
from batch_resend.durations import timestamp
from batch_resend.errors import CallRefused
from batch_resend.intake import is_dv
from batch_resend.model import ListedOrder
from batch_resend.report import defused, whole_file

COLUMNS = (
    "order_id", "status", "product", "dcv_method", "created_at", "age_days", "container", "domains",
)  # fmt: skip
_DAY_S = 86_400.0


product_option = option(
    "--product", metavar="NAME", multiple=True, help="Only of this product; repeatable."
)
container_option = option("--container", metavar="NAME", help="Only of this container (division).")
filter_option = option(
    "--filter",
    "filters",
    metavar="KEY=VALUE",
    multiple=True,
    help="A filter of the CA's own, as its call List orders has them; repeatable.",
)


def filter_options(command: Command) -> Command:
    """Add what narrows the CA's list of orders."""
    return product_option(container_option(filter_option(command)))


@click.command(
    cls=ManualCommand,
    examples={
        "All orders that wait, into a list": "batch-resend export --out pending.csv",
        "Those that have waited for two days": "batch-resend export --older-than 2d --out old.csv",
        "And send their mails again": "batch-resend send old.csv",
    },
    exit_codes=(ExitCode.JOURNAL_BUSY,),
    see_also=("send", "check"),
)
@option("--older-than", type=DURATION, help="Only orders that are older than this, such as 1d.")
@filter_options
@option(
    "--details",
    is_flag=True,
    help="Ask for each order's details where the list lacks how it is validated: one request each.",
)
@option_of_its_own(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="How the list is written.",
)
@option_of_its_own(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, whole or not at all; else standard output.",
)
@export_options
def export(**options: Any) -> int:
    """Ask the CA which orders wait, and write them as a list that `send` reads.

    These are its orders with the status pending or reissue_pending. Domains are told for people:
    `send` has the CA mail all domains of an order that still wait. What is read counts in the
    windows, as what is sent does.
    """
    set_up_logs_of(options)
    filters = filters_of(options)

    async def work(_: Interruption) -> int:
        async with open_batch(settings_of(options, needs_own_key=True)) as batch:
            return await _export(batch, filters, options)

    return run_interruptibly(work)


async def _export(batch: Batch, filters: list[tuple[str, str]], options: dict[str, Any]) -> int:
    now = time.time()
    told = 0
    with _written(options["out"]) as file:
        write = _writer(file, options["form"], now)
        async with batch.census() as census:
            async for order in _chosen(census, filters, now, options):
                write(order)
                told += 1
    if not options["quiet"]:
        say(f"{told:,} orders wait.")
    return ExitCode.ALL_WELL


async def _chosen(
    census: Census, filters: list[tuple[str, str]], now: float, options: dict[str, Any]
) -> AsyncIterator[ListedOrder]:
    """Yield the orders that the options ask for. One whose age is not known counts as old."""
    is_wanted, older_than = wanted_of(options), options["older_than"]
    async for order in census.orders(filters=filters):
        if not is_wanted(order):
            continue
        if older_than and order.created_at is not None and now - order.created_at < older_than:
            continue
        if options["details"] and (order.dcv_method is None or not order.domains):
            try:
                yield _completed(order, await census.order(order.order_id))
            except CallRefused:  # it is gone since it was listed, or not for this key to see
                yield order
        else:
            yield order


def _completed(listed: ListedOrder, told: ListedOrder) -> ListedOrder:
    """Return an order with what the list lacks taken from what else the CA tells of it."""
    return replace(
        listed,
        # It may have been issued since it was listed.
        status=told.status or listed.status,
        dcv_method=listed.dcv_method or told.dcv_method,
        domains=listed.domains or told.domains,
    )


def _writer(file: TextIO, form: str, now: float) -> Callable[[ListedOrder], None]:
    """Return what writes one order: a line, or one for each domain where it is not DV."""
    table = csv.writer(file, lineterminator="\n")
    if form != "jsonl":
        table.writerow(COLUMNS)

    def write(order: ListedOrder) -> None:
        for part in _parts(order):
            record = _record(part, now)
            if form == "jsonl":
                print(json.dumps(record, ensure_ascii=False), file=file)
            else:
                record["domains"] = "; ".join(part.domains)
                table.writerow([defused(record[column]) for column in COLUMNS])

    return write


def _parts(order: ListedOrder) -> Sequence[ListedOrder]:
    """Return an order as `send --auto-call` takes it: domain by domain where it is not DV."""
    if order.product is None or is_dv(order.product) or len(order.domains) < 2:
        return (order,)
    return [replace(order, domains=(domain,)) for domain in order.domains]


def _record(order: ListedOrder, now: float) -> dict[str, object]:
    age_s = None if order.created_at is None else now - order.created_at
    return {
        "order_id": order.order_id,
        "status": order.status,
        "product": order.product,
        "dcv_method": order.dcv_method,
        "created_at": None if order.created_at is None else timestamp(order.created_at),
        "age_days": None if age_s is None else int(age_s // _DAY_S),
        "container": order.container,
        "domains": list(order.domains),
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
    return [_filter(text) for text in options["filters"]]


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise click.UsageError(f"--filter {text!r}: write KEY=VALUE, such as container_id=5")
    return name.strip(), value.strip()


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with whole_file(path) as file:
        yield file
