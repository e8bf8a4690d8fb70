"""What is left of a run that did not finish, as resuming it would find it; nothing is changed."""

from collections.abc import Mapping

from batch_resend.channels import ages_s
from batch_resend.cli.rehearsals import clock_of_command
from batch_resend.journal import JournalReader
from batch_resend.model import Asked, Plan, Run
from batch_resend.report import plan_of
from batch_resend.settings import InDoubt, Key, Settings


async def plan_of_left(
    reader: JournalReader,
    run: Run,
    settings: Settings,
    budgets: Mapping[str | None, str],
    lists: tuple[JournalReader, Run] | None = None,
) -> Plan:
    """Return the plan of resuming a run now, from a copy that the reader reads from then on.

    `budgets`: by account, the keys whose last requests count.
    `lists`: what they say now, as another journal has them planned; None: as they did.
    """
    # Read first: the copy below has few of the requests of other runs.
    lately = {
        name: await _ages_s(reader, settings.key(name), budgets.get(name), settings.timeout_s)
        for name in settings.names
    }
    hold_doubts = settings.in_doubt is InDoubt.HOLD
    await reader.settle_copy(run, settings.cooldown_s, hold_doubts=hold_doubts, lists=lists)
    counts = await reader.count_by_account(run)
    to_ask = counts if run.preflight_due else {}
    parts = [
        (
            sum(counts.get(n, 0) + to_ask.get(n, 0) for n in key.names),
            key.windows,
            lately.get(key.names[0], ()),
        )
        for key in settings.keys(counts or (None,))
    ]
    return await plan_of(reader, run, parts, taken_up=True, asked=Asked(to_ask=to_ask))


async def _ages_s(
    reader: JournalReader, key: Key, budget: str | None, linger_s: float
) -> list[float]:
    """Return what `ages_s` will be once a start has ended what was cut off: now, and in doubt."""
    ended = await ages_s(reader, key, budget, clock_of_command(), linger_s)
    if not key.windows or reader.is_shared:
        return ended
    cut_off = await reader.count_cut_off(key.account.base_url, budget)
    return [*ended, *[-linger_s] * cut_off]
