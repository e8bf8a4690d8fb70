"""`export`: which orders wait, asked of the CA, as a list that `send` reads."""

import os
import sys
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import anyio
import click

from batch_resend.batch import Batch, open_batch
from batch_resend.cli.as_settings import settings_of, style_of, warn_of_keys_of
from batch_resend.cli.command import (
    FILE,
    OF_READING,
    ExitCode,
    command,
    flag,
    format_option,
    option,
    option_of_its_own,
)
from batch_resend.cli.filters import filter_options, filters_of, wanted_of
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import refuse_other_profile
from batch_resend.cli.options import Style, export_options
from batch_resend.cli.output.exported import ExportWriter
from batch_resend.cli.output.progress import while_asking
from batch_resend.cli.output.terminal import say, show_json
from batch_resend.cli.rehearsals import clock_of_command, refuse_ended_rehearsal
from batch_resend.cli.streams import STREAMS
from batch_resend.cli.values import DURATION, complete_run
from batch_resend.errors import UnknownRun
from batch_resend.folders import Place
from batch_resend.journal import Purpose, read_journal
from batch_resend.listed import ListedOrder
from batch_resend.model import Request, Run
from batch_resend.order_reader import OrderReader
from batch_resend.report import counted, whole_file
from batch_resend.sending import ask_each

# Through no link: its name can be foreseen, and somebody else's file may wait behind one.
_NEW_PART = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW


@command(
    examples={
        "All orders that wait, into a list": "batch-resend export --out pending.csv",
        "Those that have waited for two days": "batch-resend export --older-than 2d --out old.csv",
        "And send their mails again": "batch-resend send old.csv",
        "The domains of the orders that a run skipped, because they are not DV": "batch-resend "
        "export --skipped-by RUN --out domains.csv",
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
@option(
    "--skipped-by",
    metavar="RUN",
    shell_complete=complete_run,
    help="Only the orders that this run skipped because they may wait for mails of another call, "
    "and of these only the domains that its list named: a list for `send --call domain-dcv`. With "
    "--details, whether given or not.",
)
@format_option("csv", "jsonl", help="Format of the list.")
@option_of_its_own(
    "--out", type=FILE, help="File to write, as a whole or not at all; without it, standard output."
)
@flag(
    "--overwrite",
    "Replace the file of --out. Without this, a file that is there stays: you may have edited it.",
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
    _refuse_to_replace(options["out"], is_allowed=options["overwrite"])
    filters = filters_of(options)

    async def work(_: Interruption) -> int:
        run, skipped = await _skipped_by(options)
        settings = settings_of(options, run, [*skipped])
        warn_of_keys_of([*skipped])
        async with open_batch(settings, clock_of_command()) as batch:
            if run is not None:
                batch.channels.refuse_elsewhere(run, skipped)
            # Where the list goes to the terminal too, nothing is drawn between its lines.
            is_shown = options["out"] is not None or not sys.stdout.isatty()
            style = style_of(options) if is_shown else Style.NONE
            return await while_asking(_export(batch, skipped, filters, options), batch, style)

    return run_interruptibly(work)


def _refuse_to_replace(path: Path | None, *, is_allowed: bool) -> None:
    """Raise UsageError where a list is there that somebody may have edited."""
    if path is not None and path.is_file() and path.stat().st_size and not is_allowed:
        raise click.UsageError(
            f"--out {path} is there already, and you may have edited it: name another file, or "
            "replace this one with --overwrite"
        )


@dataclass(slots=True)
class _Skipped:
    """What a run skipped of an account, because it may wait for mails of another call."""

    domains: dict[str, set[str]] = field(default_factory=dict)  # by order: named; empty: all
    with_addresses: set[str] = field(default_factory=set)  # of these orders

    def add(self, order: Request) -> None:
        """Take in a request; of an order in several languages there are several."""
        asked = {_base(entry.domain) for entry in order.entries}
        known = self.domains.get(order.subject, asked)
        self.domains[order.subject] = known | asked if known and asked else set()
        if order.entries:
            self.with_addresses.add(order.subject)

    def narrowed(self, order: ListedOrder) -> ListedOrder | None:
        """Return an order with the domains alone that were asked for; None: none of them waits."""
        asked = self.domains[order.order_id]
        if not asked:
            return order
        domains = tuple(one for one in order.domains if _base(one) in asked)
        names = tuple(one for one in order.names if _base(one.name) in asked)
        return replace(order, domains=domains, names=names) if domains else None


def _base(name: str) -> str:
    """Return the name that is validated for a name: a wildcard's is the one below it."""
    return name.lower().removeprefix("*.")


async def _skipped_by(
    options: dict[str, Any],
) -> tuple[Run | None, Mapping[str | None, _Skipped | None]]:
    """Return a run, and by account what it skipped for other calls. Raises UnknownRun.

    Without one: the command's own account, of which all orders are wanted.
    """
    name: str | None = options["skipped_by"]
    if name is None:
        return None, {None: None}
    journal: Place = options["journal"]
    async with read_journal(journal, clock_of_command()) as reader:
        run = await reader.run(name)
        skipped: dict[str | None, _Skipped] = {}
        async for order in reader.skipped_for_other_calls(run):
            skipped.setdefault(order.account, _Skipped()).add(order)
    if not skipped:
        raise UnknownRun(
            f"run {run.id} skipped no order that may wait for mails of another call: its "
            "results.csv has none with the error_code other_call"
        )
    refuse_other_profile(click.get_current_context(), run, [*skipped])
    refuse_ended_rehearsal(run, [*skipped], "nobody can say any more what waits there.")
    return run, skipped


@dataclass(slots=True)
class _Counts:
    """Orders, by what became of them; as --json has them."""

    waiting: int = 0  # written
    approved: int = 0  # left out: so are all their names
    unusable: int = 0  # left out: the CA's list has no number of theirs
    unread: int = 0  # written, though they could not be asked about
    with_addresses: int = 0  # written: the run's list named addresses for them
    not_listed: int = 0  # left out: the run skipped them, and the CA's list does not have them
    other_domains: int = 0  # left out: they wait for none of the domains that the run's list named
    unread_left_out: int = 0  # could not be asked about, and the CA lists none of those domains


async def _export(
    batch: Batch,
    skipped: Mapping[str | None, _Skipped | None],
    filters: list[tuple[str, str]],
    options: dict[str, Any],
) -> int:
    path: Path | None = options["out"]
    with whole_file(path) if path else nullcontext(sys.stdout) as file:
        now, with_accounts = batch.journal.now(), skipped.keys() != {None}
        writer = ExportWriter(file, options["form"], now, with_accounts=with_accounts)
        export = _Export(writer, filters, options)
        try:
            for name, of_account in skipped.items():
                async with batch.order_reader(name, Purpose.EXPORT) as order_reader:
                    await export.write_account(order_reader, name, of_account)
                    await order_reader.reader.forget()
        except anyio.get_cancelled_exc_class():
            if path is not None and export.counts.waiting:
                _keep_part(file, path, export.counts.waiting)
            raise
    if options["is_json"]:
        show_json({"file": str(path), **asdict(export.counts)})
    elif not options["quiet"]:
        _say_counts(export.counts, of_run=bool(options["skipped_by"]))
        if options["skipped_by"]:
            _say_that_it_has_no_addresses(export.counts)
    return ExitCode.ALL_WELL


@dataclass(slots=True)
class _Export:
    """Writes the orders that options ask for, of one account after another, and counts them."""

    writer: ExportWriter
    filters: list[tuple[str, str]]
    options: dict[str, Any]
    counts: _Counts = field(default_factory=_Counts)

    async def write_account(
        self, order_reader: OrderReader, name: str | None, skipped: _Skipped | None
    ) -> None:
        """Write the orders of an account; `skipped`: those alone, and what was asked of them.

        Raises CallError, JournalError.
        """

        def take(order: ListedOrder | None) -> None:
            self._take(order, name, skipped, order_reader.unread)

        chosen = self._chosen(order_reader, self._listed(order_reader, skipped))
        if self._asks_for_details:
            await ask_each(chosen, partial(_with_details, order_reader), take)
        else:
            async for order in chosen:
                take(order)
        self.counts.unusable += len(order_reader.unusable)

    @property
    def _asks_for_details(self) -> bool:
        return bool(self.options["details"] or self.options["skipped_by"])

    def _take(
        self,
        order: ListedOrder | None,
        name: str | None,
        skipped: _Skipped | None,
        unread: Container[str],
    ) -> None:
        if order is None:
            self.counts.approved += 1
            return
        is_unread = order.order_id in unread
        narrowed = order if skipped is None else skipped.narrowed(order)
        if narrowed is None:
            self.counts.unread_left_out += is_unread
            self.counts.other_domains += not is_unread
            return
        self.counts.waiting += 1
        self.counts.unread += is_unread
        if skipped is None:
            self.writer.write(order)
        else:
            self.counts.with_addresses += order.order_id in skipped.with_addresses
            self.writer.write(narrowed, name, by_domain=True)

    async def _listed(
        self, order_reader: OrderReader, skipped: _Skipped | None
    ) -> AsyncIterator[ListedOrder]:
        """Yield the orders that the CA's list has, of those that a run skipped, if it is them."""
        self.counts.not_listed += len(skipped.domains) if skipped else 0
        async for order in order_reader.orders(filters=self.filters):
            if skipped is None:
                yield order
            elif order.order_id in skipped.domains:
                self.counts.not_listed -= 1
                yield order

    async def _chosen(
        self, order_reader: OrderReader, listed: AsyncIterator[ListedOrder]
    ) -> AsyncIterator[ListedOrder]:
        """Yield the orders that the options ask for. One whose age is not known counts as old."""
        is_wanted, older_than = wanted_of(self.options), self.options["older_than"]
        async for order in listed:
            age_s = self.writer.now - order.created_at if order.created_at else None
            is_young = older_than and age_s is not None and age_s < older_than
            if is_wanted(order) and not is_young:
                await STREAMS.keep_pace()
                order_reader.progress.total += self._asks_for_details
                yield order


def _say_counts(counts: _Counts, *, of_run: bool) -> None:
    say(f"{counted(counts.waiting, 'order')} {'waits' if counts.waiting == 1 else 'wait'}.")
    if counts.unread:
        names = "all names that the run was to mail" if of_run else "all names"
        say(
            f"{counts.unread:,} of them could not be asked about: listed with {names}, approved "
            "ones too."
        )
    if counts.approved:
        say(f"{counted(counts.approved, 'order')} more with all names approved: nothing to mail.")
    if counts.not_listed:
        what = counted(counts.not_listed, "order")
        say(f"{what} more of that run, left out: not in the CA's list of orders that wait.")
    if counts.other_domains:
        what = counted(counts.other_domains, "order")
        say(f"{what} more, left out: none of the domains that the run's list named waits there.")
    if counts.unread_left_out:
        what = counted(counts.unread_left_out, "order")
        say(
            f"{what} more, left out: could not be asked about, and the CA's list has none of the "
            "domains there that the run's list named."
        )
    if counts.unusable:
        say(f"{counts.unusable:,} more in the CA's list without an order number are left out.")


def _say_that_it_has_no_addresses(counts: _Counts) -> None:
    if not counts.waiting:
        return
    say(
        "This list has no addresses: sent with --call domain-dcv, it has the CA mail its contacts "
        "on file for each domain."
    )
    if counts.with_addresses:
        say(
            f"The run's list named addresses for {counted(counts.with_addresses, 'order')}: to "
            "have only those mailed, add them in a column email first. `batch-resend help calls` "
            "says what to beware of."
        )


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


async def _with_details(order_reader: OrderReader, order: ListedOrder) -> ListedOrder | None:
    """Return an order with how it is validated, and of its names those that wait; None: none do."""
    found = await order_reader.completed(order)
    order_reader.progress.done += 1
    waiting = tuple(name for name in found.names if not name.is_approved)
    if found.names and not waiting:
        return None
    # It may have been approved since it was listed: then its status says so.
    return replace(found, domains=tuple(n.name for n in waiting) or found.domains, names=waiting)
