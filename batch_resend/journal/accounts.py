"""What is read of the accounts of a run, and of the keys that they go by."""

from collections import defaultdict

from batch_resend.account_names import called
from batch_resend.journal.database import Reader
from batch_resend.model import Run

Accounts = tuple[str | None, ...]  # that go by one key; None: the command's own


class AccountsReader(Reader):
    """Reads whose requests a run has, and by which keys they go."""

    async def count_by_account(self, run: Run) -> dict[str | None, int]:
        """Return how many orders without an outcome each account has; None: the command's own."""
        return dict(await self.fetch("count_by_account", run=run.number))

    async def accounts_by_key(self, run: Run) -> dict[tuple[int, str | None], Accounts]:
        """Return the accounts that share a key with each account, by start and account.

        Nothing of a run that only ever used one key at a time: what happens to that happens to it.
        """
        keys: defaultdict[tuple[int, str], list[str | None]] = defaultdict(list)
        for start, account, budget in await self.fetch("budgets_by_start", run=run.number):
            keys[start, budget].append(account or None)
        if len(keys) == len({start for start, _ in keys}):
            return {}
        return {(start, name): tuple(names) for (start, _), names in keys.items() for name in names}

    async def pausing_accounts(self, run: Run) -> tuple[str, ...]:
        """Return which accounts of a run of several have paused."""
        keys = await self.accounts_by_key(run)
        found = await self.fetch("pausing_accounts", run=run.number) if keys else ()
        names = {name or "" for start, one in found for name in keys.get((start, one), ())}
        return called(sorted(names), run.profile)
