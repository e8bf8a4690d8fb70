"""What it takes to send by a key: the way to its CA, its windows, its gate, and its senders."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial

from batch_resend.certcentral import CertCentral, Route, open_certcentral, remedy
from batch_resend.clock import Clock
from batch_resend.errors import SettingsError
from batch_resend.journal import Budget, Journal, ReadRecorder, Recorder, Slots
from batch_resend.model import Run
from batch_resend.sending import (
    Canary,
    Fetcher,
    Gate,
    Limiter,
    Progress,
    RetryPolicy,
    Sender,
    SharedLimiter,
    WindowLimiter,
)
from batch_resend.settings import Account, InDoubt, Key, Settings, proxy_of_environment
from batch_resend.windows import fastest


@dataclass(frozen=True, slots=True)
class Channel:
    """Where requests by one key leave from: whoever sends by it shares these."""

    key: Key
    ca: CertCentral
    limiter: Limiter
    gate: Gate


@dataclass(frozen=True, slots=True)
class Channels:
    """Opens channels, and makes what sends and reads over them."""

    settings: Settings
    journal: Journal
    clock: Clock

    def refuse_elsewhere(self, run: Run, names: Iterable[str | None]) -> None:
        """Raise SettingsError where one of these accounts of a run was another CA's then."""
        for name in names:
            here = self.settings.base_url if name is None else self.settings.account(name).base_url
            if (there := run.url_of(name)) != here:
                raise SettingsError(_elsewhere(run, name, there, here))

    async def open_channel(
        self, key: Key, slots: Slots | None, sessions: AsyncExitStack
    ) -> Channel:
        """Return a key's channel, open until `sessions` ends; `slots` is what the journal opens."""
        limiter = await self._limiter(key, slots, sessions)
        ca = await sessions.enter_async_context(self._certcentral(key.account))
        return Channel(key, ca, limiter, Gate(self.settings.patience_s, self.settings.concurrency))

    def sender(self, channel: Channel, recorder: Recorder, requests: int) -> Sender:
        """Return what sends so many requests from a channel."""
        settings = self.settings
        return Sender(
            resend=channel.ca.resend,
            judge=channel.ca.judge,
            explain=partial(remedy, base_url=channel.key.account.base_url),
            recorder=recorder.of_account(channel.key.names[0]),
            limiter=channel.limiter,
            gate=channel.gate,
            policy=self._policy(retry_in_doubt=settings.in_doubt is InDoubt.RETRY),
            concurrency=settings.concurrency,
            progress=Progress(requests),
            clock=self.clock,
            canary=self._canary(channel),
        )

    def fetcher(self, channel: Channel, recorder: ReadRecorder) -> Fetcher:
        """Return what reads of the CA from a channel."""
        return Fetcher(
            get=channel.ca.get,
            judge=channel.ca.judge,
            explain=partial(remedy, base_url=channel.key.account.base_url),
            recorder=recorder,
            limiter=channel.limiter,
            gate=channel.gate,
            policy=self._policy(retry_in_doubt=True),
            concurrency=self.settings.concurrency,
            pace=fastest(channel.key.windows),
            clock=self.clock,
            canary=self._canary(channel),
        )

    def _canary(self, channel: Channel) -> Canary:
        """Return what tells whether a CA is up when mails cannot."""
        account = channel.key.account
        start = partial(self.journal.start_reading, account.base_url, account.budget)
        return Canary(channel.ca.get, channel.ca.judge, start, self.clock)

    def _certcentral(self, account: Account) -> AbstractAsyncContextManager[CertCentral]:
        """Open the way to the CA of an account."""
        settings = self.settings
        route = route_to(settings, account.base_url)
        return open_certcentral(
            account.base_url, account.api_key, settings.timeout_s, self.clock, route
        )

    def _policy(self, *, retry_in_doubt: bool) -> RetryPolicy:
        """Return an order's budget of attempts and time."""
        settings = self.settings
        return RetryPolicy(
            settings.max_attempts, settings.max_elapsed_s, retry_in_doubt=retry_in_doubt
        )

    async def _limiter(self, key: Key, slots: Slots | None, sessions: AsyncExitStack) -> Limiter:
        """Return what keeps the windows of a key: with other hosts, if the journal is theirs."""
        account, windows = key.account, key.windows
        if not windows:
            return WindowLimiter(())
        # A request that was given up is taken to arrive within its own timeout again, or never.
        linger_s = self.settings.timeout_s
        if slots is not None:
            budget = Budget(account.budget, windows, linger_s)
            return await sessions.enter_async_context(
                SharedLimiter(slots, budget, self.settings.patience_s)
            )
        since = self.clock() - max(window.period_s for window in windows)
        ends = await self.journal.reader.recent_ends(
            account.base_url, since, self.clock, linger_s, account.budget
        )
        now = self.clock()
        return WindowLimiter(windows, [now - end for end in ends], linger_s=linger_s)


def route_to(settings: Settings, base_url: str) -> Route:
    """Return how a CA is reached. Raises SettingsError where the environment's proxy is none."""
    proxy = proxy_of_environment(base_url) if settings.trust_env else None
    return Route(settings.ca_file, proxy)


def _elsewhere(run: Run, name: str | None, there: str | None, here: str) -> str:
    """Return what to do where an account of a run is at another CA now."""
    again = "send its list again"
    if there is None:
        return f"run {run.id} does not say at which CA the account {name} was; {again}"
    at, how = there, f"--base-url {there}"
    if name is not None:
        at = f"account {name} at {there}"
        how = f"that URL in its profile, or --base-url {there} if all of the run is there"
    return f"run {run.id} is for {at}, not {here}; give {how} (or, if that was wrong, {again})"
