"""A run over its keys, and what it takes to send by a key."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.certcentral import CertCentral, Route, open_certcentral, remedy
from batch_resend.clock import Clock
from batch_resend.errors import SettingsError
from batch_resend.journal import Journal, ReadRecorder, Recorder
from batch_resend.model import Outcome, RequestStatus, Run, RunState
from batch_resend.order_reader import OrderReader
from batch_resend.sending import (
    Canary,
    Fetcher,
    Gate,
    Progress,
    RetryPolicy,
    Sender,
    WindowLimiter,
)
from batch_resend.settings import Account, InDoubt, Key, Settings, proxy_of_environment
from batch_resend.windows import Hold, Limiter, SharedLimiters, Window, fastest


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
        self, key: Key, shared: SharedLimiters | None, sessions: AsyncExitStack
    ) -> Channel:
        """Return a key's channel, open until `sessions` ends; `shared`: as the journal opens it."""
        limiter = await self._limiter(key, shared, sessions)
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

    async def _limiter(
        self, key: Key, shared: SharedLimiters | None, sessions: AsyncExitStack
    ) -> Limiter:
        """Return what keeps the windows of a key: with other hosts, if the journal is theirs."""
        account, windows = key.account, key.windows
        if not windows:
            return WindowLimiter(())
        # A request that was given up is taken to arrive within its own timeout again, or never.
        linger_s = self.settings.timeout_s
        if shared is not None:
            limiter = shared(account.budget, windows, linger_s, self.settings.patience_s)
            return await sessions.enter_async_context(limiter)
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


@dataclass(frozen=True, slots=True)
class KeyRun:
    """What is sent by one key."""

    accounts: tuple[str | None, ...]  # that go by it; None: the command's own
    windows: Sequence[Window]
    sender: Sender

    @property
    def progress(self) -> Progress:
        """Counts so far."""
        return self.sender.progress

    @property
    def gate(self) -> Gate:
        """Whether requests flow, and if not, why and until when."""
        return self.sender.gate

    @property
    def share(self) -> float:
        """What part of the windows is taken: all, 1, unless there was a 429 a while ago."""
        return self.sender.limiter.share

    @property
    def windows_full_for_s(self) -> float:
        """How many seconds the windows let nothing leave; infinite: not before an answer comes."""
        return self.sender.limiter.full_for_s

    @property
    def held(self) -> Hold | None:
        """The pause of another process by this key, if there is one."""
        return self.sender.limiter.held

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its end, with its account; None where it does not."""
        reason = self.sender.stop_reason
        if reason is None or None in self.accounts:
            return reason
        return f"account {', '.join(filter(None, self.accounts))}: {reason}"


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far asking about orders is."""

    total: int  # that are to be asked about, as far as is known
    done: int
    attempts: int  # requests, those for lists of orders included
    in_flight: int
    outcomes: Mapping[RequestStatus, int] = field(default_factory=dict)  # none: nothing is sent


@dataclass(frozen=True, slots=True)
class KeyReading:
    """What is asked of the CA by one key."""

    windows: Sequence[Window]
    order_reader: OrderReader

    @property
    def progress(self) -> ReadProgress:
        """Counts so far."""
        asked, fetcher = self.order_reader.progress, self.order_reader.fetcher
        return ReadProgress(asked.total, asked.done, fetcher.attempts, fetcher.in_flight)

    @property
    def gate(self) -> Gate:
        """Whether requests flow, and if not, why and until when."""
        return self.order_reader.fetcher.gate

    @property
    def share(self) -> float:
        """What part of the windows is taken: all, 1, unless there was a 429 a while ago."""
        return self.order_reader.fetcher.limiter.share

    @property
    def windows_full_for_s(self) -> float:
        """How many seconds the windows let nothing leave; infinite: not before an answer comes."""
        return self.order_reader.fetcher.limiter.full_for_s

    @property
    def held(self) -> Hold | None:
        """The pause of another process by this key, if there is one."""
        return self.order_reader.fetcher.limiter.held


class RunHandle:
    """A run on its way: iterate it for the outcomes, as they come."""

    def __init__(
        self, key_runs: Sequence[KeyRun], outcomes: MemoryObjectReceiveStream[Outcome]
    ) -> None:
        self.key_runs = key_runs
        self._outcomes = outcomes

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        """Yield the outcomes as they come."""
        with suppress(anyio.EndOfStream):
            while True:
                try:  # what a commit has brought comes in one turn of the loop
                    outcome = self._outcomes.receive_nowait()
                except anyio.WouldBlock:
                    outcome = await self._outcomes.receive()
                yield outcome

    @property
    def progress(self) -> Progress:
        """Counts so far, of all accounts."""
        parts = [key_run.progress for key_run in self.key_runs]
        return Progress(
            sum(part.total for part in parts),
            {status: sum(part.outcomes[status] for part in parts) for status in RequestStatus},
            sum(part.attempts for part in parts),
            sum(part.rate_limited for part in parts),
            sum(part.in_flight for part in parts),
        )

    @property
    def state(self) -> RunState:
        """How the run ends, as far as is known: an account that stops stops no other."""
        states = {key_run.sender.state for key_run in self.key_runs}
        worst = (RunState.STOPPED, RunState.INTERRUPTED)
        return next((state for state in worst if state in states), RunState.COMPLETED)

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its end; None where it does not."""
        found = [key_run.stop_reason for key_run in self.key_runs if key_run.stop_reason]
        return "; ".join(dict.fromkeys(found)) or None

    @property
    def finished(self) -> bool:
        """Whether every key run's orders have been carried as far as they can be."""
        return all(key_run.sender.finished for key_run in self.key_runs)

    def stop(self, reason: str, state: RunState = RunState.INTERRUPTED) -> None:
        """Let nothing more leave; the iteration ends once what is in flight is answered."""
        for key_run in self.key_runs:
            key_run.sender.stop(state, reason)

    def lose(self, why: str) -> None:
        """Stop for want of a journal: the run is not complete, though all of it may be sent."""
        self.stop(why, RunState.STOPPED)
        for key_run in self.key_runs:
            key_run.sender.state, key_run.sender.stop_reason = RunState.STOPPED, why
