"""Orders that may wait for mails of another call, as they are not DV: how to have these sent."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from batch_resend.clock import exact_duration
from batch_resend.report.presentation import NextFlags, NextStep
from batch_resend.report.summary import Summary, counted
from batch_resend.results import SweepCounts
from batch_resend.visible import visible

_BY_PRODUCT = "--product "


def to_send_what_was_skipped(
    summary: Summary, folder: Path, flags: NextFlags
) -> Iterator[NextStep]:
    """Yield what to do: which domains wait, the CA says, of these orders and no others."""
    count, program = summary.skipped.other_call, f"batch-resend{flags.config}"
    its, it, these = ("its", "it", "this order") if count == 1 else ("their", "them", "these")
    yield NextStep(
        f"{counted(count, 'order')} skipped that may wait for mails, which this call does not "
        f"send: {its} product is not DV. {folder}/results.csv names {it} (error_code other_call)."
    )
    yield NextStep(
        f"To have {it} mailed domain by domain, first write the domains for which {these} may "
        "wait, of those that the list named. They are written without addresses, so that the CA "
        "will mail its contacts on file for each domain:",
        f"{program} export --skipped-by {summary.run_id}{flags.verify} --out {_list_of(summary)}",
    )
    yield NextStep(
        "Then look at that list, and send it. What came of it is in the report of that run; the "
        "numbers of this run stay as they are:",
        f"{program} send {_list_of(summary)} --call domain-dcv{flags.verify}",
    )


def to_send_what_a_sweep_left(
    summary: Summary, sweep: SweepCounts, flags: NextFlags
) -> Iterator[NextStep]:
    """Yield what to do: which of these wait, and for which domains, the CA says if it is asked."""
    count, program = sweep.other_call, f"batch-resend{flags.config}"
    wait, it, they = ("waits", "it", "it") if count == 1 else ("wait", "them", "they")
    yield NextStep(
        f"{counted(count, 'order')} {wait} that {'is' if count == 1 else 'are'} not DV: "
        f"{they} may wait for mails, which only another call sends. No sweep mails {it}, except "
        "with --any-product (`batch-resend help calls`)."
    )
    yield NextStep(
        f"To have {it} mailed domain by domain, first ask the CA which domains of such orders "
        "wait. They are written without addresses, so that the CA will mail its contacts on file "
        "for each domain:",
        f"{program} export --details{_as_options(sweep)}{flags.verify} --out {_list_of(summary)}",
    )
    excluded = ", delete the orders that the sweep left out (--exclude)" if sweep.excluded else ""
    yield NextStep(
        f"Then look at that list{excluded}, and send it. Domains mailed within the cooldown are "
        "skipped; the next sweep counts these orders as long as they wait:",
        f"{program} send {_list_of(summary)} --call domain-dcv{flags.verify}",
    )


def _list_of(summary: Summary) -> str:
    """Return a name of this run's own for the list of domains: somebody may edit it."""
    return f"domains-{summary.run_id[-4:]}.csv"


def _as_options(sweep: SweepCounts) -> str:
    """Return by which options `export` finds what a sweep has left for another call."""
    # Its own products are more than those that are not DV.
    filters = [one.partition(" ") for one in sweep.filters if not one.startswith(_BY_PRODUCT)]
    options = [(option, value) for option, _, value in filters]
    options += [("--product", product) for product in sweep.other_products]
    if sweep.older_than_s:
        options.insert(0, ("--older-than", exact_duration(sweep.older_than_s)))
    return "".join(f" {option} {shlex.quote(visible(value))}" for option, value in options)
