"""`verify`: what has come of the orders that a run has sent, or left in doubt."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import anyio
import click

from batch_resend.batch import open_batch
from batch_resend.cli.arguments import run_argument
from batch_resend.cli.as_settings import settings_of, style_of, warn_of_keys_of
from batch_resend.cli.command import OF_READING, ExitCode, command, option_of_its_own
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.next_flags import refuse_other_profile
from batch_resend.cli.options import export_options
from batch_resend.cli.output.progress import while_asking
from batch_resend.cli.output.terminal import say, show_json, show_lines, show_pairs
from batch_resend.cli.rehearsals import clock_of_command, refuse_ended_rehearsal
from batch_resend.clock import in_local_time, timestamp
from batch_resend.errors import CallError, UnknownRun
from batch_resend.folders import Place
from batch_resend.journal import (
    LATEST,
    Checked,
    JournalReader,
    Unapproved,
    WaitingNames,
    read_journal,
)
from batch_resend.listed import names_in_words
from batch_resend.model import Run
from batch_resend.report import counted, in_words
from batch_resend.topics import mail_advice

_OF_DOUBTS = (
    "That an order in doubt waits does not say whether its mail arrived. What no longer waits "
    "needs no other mail."
)
_OF_DOMAINS = (
    "The CA only reports on orders. `batch-resend export --details` lists the orders that still "
    "wait, and which of their domains do."
)
MOST_LISTED = 1_000  # orders that are named to programs; to people the first few
_SHOWN = 10


@command(
    examples={
        "The next morning": "batch-resend verify",
        "And the report with it": "batch-resend report",
        "Of another run than the newest": "batch-resend verify 20261123-2119",
    },
    exit_codes=OF_READING,
    see_also=("show", "report"),
)
@run_argument(default=None)
@option_of_its_own(
    "--names/--no-names",
    default=None,
    help="Ask which names of the waiting orders are approved, one request per order; done anyway "
    "if only a few wait.",
)
@export_options
def verify(run_id: str | None, journal: Place, is_json: bool, **options: Any) -> int:
    """Ask the CA what became of the orders that a run sent (default: the newest that sent any).

    RUN is the name of a run, its beginning or end, or latest. With --profile, the default is the
    newest run of that profile.

    One run at a time: `batch-resend runs` lists the others. Orders in doubt, which may have been
    mailed, are counted apart. That one of them waits does not say whether its mail arrived; one
    that is issued needs no other mail.

    For up to seven days after the run, one request answers for all orders: the CA's list of status
    changes. Later, or if the CA does not have that list, it takes one request per order, many at a
    time. All of them count toward the rate limits. The answers are kept: `report` writes them into
    the run's page. For orders that were mailed several times and still wait, it says what to look
    at.

    The CA only reports on orders. Requests for a domain (domain-dcv) are only counted.
    """
    options |= {"journal": journal}
    set_up_logs(options)

    async def work(_: Interruption) -> Found:
        async with read_journal(journal, clock_of_command()) as reader:
            profile: str | None = options["profile"]
            chosen = await _run_to_verify(reader, run_id, profile)
            run = chosen.run
            names = await reader.accounts(run) or [None]
            refuse_other_profile(click.get_current_context(), run, names)
            refuse_ended_rehearsal(run, names)
        settings = settings_of(options, run, names)
        warn_of_keys_of(names)
        async with open_batch(settings, clock_of_command()) as batch:
            asking = batch.verify(run.id, with_names=options["names"])
            try:
                checked = await while_asking(asking, batch, style_of(options))
            except CallError:  # of one account: others may have answered
                _say_what_is_kept(await batch.reader.checked(run), run, "Not all could be asked: ")
                raise
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    _say_what_is_kept(await batch.reader.checked(run), run, "Interrupted: ")
                raise
            return Found(
                chosen,
                checked,
                await batch.reader.waiting_names(run, MOST_LISTED),
                *await batch.reader.unapproved(run, MOST_LISTED),
                domains=await batch.reader.count_domains_mailed(run),
            )

    found = run_interruptibly(work)
    if is_json:
        show_json(_as_json(found))
    else:
        _show(found)
    return ExitCode.ALL_WELL


class Chosen(NamedTuple):
    """The run that the CA is asked about."""

    run: Run
    among_several: bool = False  # that mailed orders: it is the newest of these
    newer: Run | None = None  # the newest that mailed only for domains, if that is newer
    newer_domains: int = 0  # for which that one did


async def _run_to_verify(reader: JournalReader, run_id: str | None, profile: str | None) -> Chosen:
    """Return a run by its name, or else the newest of those that mailed orders, or may have.

    Of a profile, if one is named: no other account has its orders. Raises UnknownRun.
    """
    if run_id is not None:
        return Chosen(await reader.run(run_id))
    if (chosen := await _newest_mailed(reader, _runs_of(reader, profile))) is not None:
        return chosen
    others = await _newest_mailed(reader, _runs_of(reader, profile, is_of_it=False))
    if others is not None and profile is not None:
        raise UnknownRun(
            f"no run of profile {profile} has sent orders, or left any in doubt. `batch-resend "
            "runs` lists all runs, with their profiles"
        )
    return others or Chosen(await reader.run(LATEST))


async def _newest_mailed(reader: JournalReader, runs: AsyncIterator[Run]) -> Chosen | None:
    mailed, newer, domains = list[Run](), None, 0
    async for run in runs:
        if await reader.has_mailed_orders(run):
            mailed.append(run)
        elif not mailed and not domains and (domains := await reader.count_domains_mailed(run)):
            newer = run
        if len(mailed) > 1:
            break
    if mailed:
        return Chosen(mailed[0], len(mailed) > 1, newer, domains)
    return Chosen(newer) if newer else None


async def _runs_of(
    reader: JournalReader, profile: str | None, *, is_of_it: bool = True
) -> AsyncIterator[Run]:
    """Yield the runs of a profile, or all others, the newest first."""
    for run in await reader.runs():
        if _is_of(run, await reader.accounts(run), profile) is is_of_it:
            yield run


def _is_of(run: Run, accounts: Sequence[str | None], profile: str | None) -> bool:
    """Whether a run is of a profile, or, if none is named, of the accounts without one."""
    if None in accounts:
        return run.profile == profile
    return profile is None or profile in accounts


class Found(NamedTuple):
    """What the CA says of a run's orders."""

    chosen: Chosen
    checked: Checked | None  # None: the run has mailed none
    names: Sequence[WaitingNames]  # of orders of which names wait, as far as that was asked
    mailed_often: int  # orders that were mailed several times and still wait
    first_mailed_often: Sequence[Unapproved]  # of these
    domains: int = 0  # for which the run has mailed: the CA is not asked about these


def _say_what_is_kept(checked: Checked | None, run: Run, why: str) -> None:
    if checked is not None:
        asked = checked.orders + checked.orders_in_doubt
        every = asked + checked.not_asked + checked.not_asked_in_doubt
        of_all = f"{asked:,} of {counted(every, 'order')}" if asked < every else ""
        last = in_local_time(checked.asked_at, clock_of_command()())
        what = f"what the CA said until {last} about {of_all or counted(asked, 'order')}"
        say(f"{why}{what} is kept; `batch-resend report {run.id}` shows it.")


def _show(found: Found) -> None:
    if found.checked is not None:
        _show_statuses(found.chosen.run.id, found.checked)
    if found.names:
        names = [
            (one.order_id, names_in_words(one.approved, one.names)) for one in found.names[:_SHOWN]
        ]
        if len(found.names) > _SHOWN:
            names.append(("", f"and {len(found.names) - _SHOWN:,} more: --json lists them"))
        show_pairs("Names that still wait", names, sys.stdout)
    mailed_often = _about_mail(found.mailed_often, found.first_mailed_often, clock_of_command()())
    show_lines(list(mailed_often), sys.stdout)
    show_lines([(0, text) for text in _not_asked_about(found)], sys.stdout)


def _not_asked_about(found: Found) -> Iterator[str]:
    """Yield what the CA was not asked about, and how to learn of that."""
    run, newer = found.chosen.run, found.chosen.newer
    if found.checked is None and found.domains:
        yield f"Run {run.id} sent nothing for orders, only for domains."
    elif found.checked is None:
        yield f"Run {run.id} sent no orders, and left none in doubt."
    if found.domains:
        yield f"{counted(found.domains, 'request')} for domains cannot be asked about."
    if newer is not None:
        its = counted(found.chosen.newer_domains, "request")
        yield f"Run {newer.id} is newer, but its {its} for domains cannot be asked about."
    if found.domains or newer is not None:
        yield _OF_DOMAINS
    if found.chosen.among_several:
        yield (
            "That is only the newest run that sent orders, or left some in doubt. Of another one: "
            "`batch-resend verify RUN`; `batch-resend runs` lists them."
        )


def _show_statuses(run_id: str, checked: Checked) -> None:
    of_each = ((checked.orders, "sent by", checked.statuses),
               (checked.orders_in_doubt, "in doubt after", checked.in_doubt))  # fmt: skip
    for orders, what, statuses in of_each:
        if orders:
            shown = [(in_words(status), f"{count:,}") for status, count in statuses.items()]
            show_pairs(f"Of {counted(orders, 'order')} {what} run {run_id}", shown, sys.stdout)
    if checked.orders_in_doubt:
        show_lines([(0, _OF_DOUBTS)], sys.stdout)


def _about_mail(
    count: int, unapproved: Sequence[Unapproved], now: float
) -> Iterator[tuple[int, str]]:
    """Yield which orders were mailed several times and wait, and what to look at, in lines."""
    if not count:
        return
    one = count == 1
    yield (
        0,
        f"{counted(count, 'order')} of these {'was' if one else 'were'} mailed by two or more runs "
        f"and still {'waits' if one else 'wait'}: perhaps the mails do not arrive",
    )
    for order in unapproved[:_SHOWN]:
        of = f" of {order.account}" if order.account else ""
        since = f" since {in_local_time(order.since_at, now)}" if order.since_at else ""
        yield 2, f"order {order.order_id}{of}: {counted(order.runs, 'run')}{since}"
    if count > _SHOWN:
        yield 2, f"and {count - _SHOWN:,} more: --json, or the run's report, names them"
    yield 0, "What to look at before you send again (more: batch-resend help mail)"
    yield from ((2, f"- {point}") for point in mail_advice())


def _as_json(found: Found) -> dict[str, object]:
    checked = found.checked
    return {
        "run": found.chosen.run.id,
        "orders": 0 if checked is None else checked.orders,
        "asked_at": None if checked is None else timestamp(checked.asked_at),
        "statuses": {} if checked is None else checked.statuses,
        "in_doubt": {
            "orders": 0 if checked is None else checked.orders_in_doubt,
            "statuses": {} if checked is None else checked.in_doubt,
        },
        "waiting_names": [asdict(one) for one in found.names],
        "domain_requests": found.domains,
        "mailed_several_times": {
            "count": found.mailed_often,
            "first": [
                {
                    "order_id": order.order_id,
                    "account": order.account,
                    "runs": order.runs,
                    "since": order.since_at and timestamp(order.since_at),
                }
                for order in found.first_mailed_often
            ],
        },
    }
