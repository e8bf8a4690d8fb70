"""How to resume other runs than a command's: as they were begun, and by their names."""

from collections.abc import Iterable, Sequence

import click

from batch_resend.cli.next_flags import as_begun, next_flags
from batch_resend.cli.rehearsals import are_all_ended
from batch_resend.journal import JournalReader
from batch_resend.model import RequestStatus, Run
from batch_resend.report import (
    NextFlags,
    NextStep,
    counted,
    resume_command,
    to_resume,
    to_resume_by_name,
)
from batch_resend.results import Unfinished
from batch_resend.settings import Region, is_at_loopback


async def resume_others(
    context: click.Context, reader: JournalReader, others: Iterable[Unfinished]
) -> list[NextStep]:
    """Return how to resume other runs than a command's: as they were begun, not as this one was."""
    given, steps = next_flags(context), list[NextStep]()
    for one in others:
        run, accounts = one.run, await reader.accounts(one.run)
        if not one.left or given.none_will_do or are_all_ended(run, one.left):
            continue
        flags = await as_begun(reader, run, given)
        verify = f"batch-resend{flags.config} verify {run.id}{flags.verify}"
        count = one.rest.doubts_left
        about_domains = await reader.doubts_of_domains(run) if count else 0
        doubts = _doubts_in_words(count, about_domains, verify)
        left = f"Run {run.id}{_where(run, accounts)}{_what_is_left(one, doubts)}"
        steps.append(to_resume(left, await _resume(reader, run, flags)))
    return steps


def _what_is_left(of: Unfinished, doubts: str) -> str:
    """Return what stands behind the name of a run, up to the command that resumes it."""
    if by_name := to_resume_by_name(of.rest, doubts):
        return f": {by_name}"
    ended = "ended before it had sent anything" if of.was_useless else "did not finish"
    return f" {ended}; {counted(sum(of.left.values()), 'order')} left.{doubts} To resume that one"


def _doubts_in_words(doubts: int, about_domains: int, verify: str) -> str:
    """Return how much of what is left may have been mailed, and what says more; "" for nothing.

    The CA cannot be asked about domains.
    """
    if not doubts:
        return ""
    is_one, it = ("1 is", "it") if doubts == 1 else (f"{doubts:,} are", "they")
    look = f" `{verify}` says what of that still waits." if about_domains < doubts else ""
    again = "it" if doubts == 1 else "them"
    return (
        f" Of what is left, {is_one} in doubt: {it} may have been mailed, and resuming mails "
        f"{again} again.{look}"
    )


async def how_to_send_held_back(
    context: click.Context, reader: JournalReader, run: Run
) -> str | None:
    """Return the command that sends the good rows of a run that its rejected ones held back."""
    if not await reader.count_by_account(run):
        return None
    flags = await as_begun(reader, run, next_flags(context))
    return await _resume(reader, run, flags)


async def _resume(reader: JournalReader, run: Run, flags: NextFlags) -> str:
    """Return the command that resumes another run than this command's; `flags`: of that one."""
    outcomes = await reader.count_outcomes(run)
    done = sum(outcomes.values()) - outcomes.get(RequestStatus.SKIPPED, 0)
    return resume_command(run.id, done, flags, preflight_due=run.preflight_due)


def _where(run: Run, accounts: Sequence[str | None]) -> str:
    """Return where a run was, unless that is where all real ones are."""
    urls = sorted({run.url_of(name) or "" for name in accounts or (None,)})
    if {*urls} <= {region.base_url for region in Region}:
        return ""
    rehearsal = " (a rehearsal)" if all(map(is_at_loopback, urls)) else ""
    return f" at {' and '.join(urls)}{rehearsal}"
