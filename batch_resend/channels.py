"""Channels to the CA, one a key, what sends and reads over them, and a run on its way."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.account_names import accounts_in_words
from batch_resend.certcentral import Route, open_certcentral
from batch_resend.clock import Clock
from batch_resend.errors import SettingsError
from batch_resend.folders import user_and_host
from batch_resend.journal import Endpoint, Journal, JournalReader, Purpose, Recorder, Terms
from batch_resend.model import (
    MAX_ORDERS_REACHED,
    SENT_BY,
    Outcome,
    RequestStatus,
    Run,
    RunState,
)
from batch_resend.results import Unfinished
from batch_resend.sending import (
    Channel,
    CircuitBreaker,
    Progress,
    Reader,
    RetryPolicy,
    Sender,
    WindowLimiter,
)
from batch_resend.sending.limiter import FORGOTTEN
from batch_resend.settings import InDoubt, Key, Settings, proxy_of_environment
from batch_resend.windows import Limiter, SharedLimiters, Window, joint

if TYPE_CHECKING:
    from batch_resend.order_reader import OrderReader

_COUNTED = (  # of requests, in a `Progress`
    "attempts", "retries", "rate_limited", "unconnected", "possible_duplicates", "in_flight",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Channels:
    """Opens channels, and makes what sends and reads over them."""

    settings: Settings
    journal: Journal
    clock: Clock
    reading: list[Reader] = field(default_factory=list)  # what is asked of the CA now, by key

    def refuse_elsewhere(self, run: Run, names: Iterable[str | None]) -> None:
        """Raise SettingsError where one of these accounts of a run was another CA's then."""
        for name in names:
            here = self.settings.base_url if name is None else self.settings.account(name).base_url
            if (there := run.url_of(name)) != here:
                raise SettingsError(_elsewhere(run, name, there, here, self.settings.profile))

    async def to_resume(self) -> Run | None:
        """Return the unfinished run that these settings are to resume, unless one is named."""
        unfinished = await self.journal.reader.unfinished()
        by_itself = [one for one in unfinished if not one.is_resumed_by_name_only]
        found = best_fitting(by_itself, self._endpoint_of)
        return found[0].run if found else None

    def _endpoint_of(self, _run: Run, name: str | None) -> Endpoint | None:
        if name not in self.settings.names:
            return None
        account = self.settings.account(name)
        return Endpoint(account.base_url, account.budget)

    async def open_channel(
        self,
        key: Key,
        shared: SharedLimiters | None,
        sessions: AsyncExitStack,
        *,
        is_one_of_several: bool = False,
    ) -> Channel:
        """Return a key's channel, open until `sessions` ends; `shared`: as the journal opens it.

        One of several says in messages whose it is.
        """
        settings, account = self.settings, key.account
        ages_s = await self.ages_s(key)
        limiter = await self._limiter(key, ages_s, shared, sessions)
        route = route_to(settings, account.base_url)
        ca = await sessions.enter_async_context(
            open_certcentral(
                account.base_url, account.api_key, settings.timeout_s, self.clock, route
            )
        )
        return Channel(
            names=key.names,
            key_named=account.key_named,
            windows=key.windows,
            ca=ca,
            limiter=limiter,
            breaker=CircuitBreaker(
                settings.patience_s,
                settings.concurrency,
                has_canary=True,
                of=accounts_in_words(key.names, settings.profile) if is_one_of_several else "",
            ),
            start_reading=partial(self.journal.start_reading, account.base_url, account.budget),
            clock=self.clock,
            ages_s=ages_s,
        )

    def keys_of(self, names: Collection[str | None]) -> list[Key]:
        """Return the keys of accounts; of none the first that there is, which then has no work."""
        return self.settings.keys(names or self.settings.names[:1])

    def terms(self, keys: Sequence[Key]) -> Terms:
        """Return on what terms a run is sent by these keys."""
        return Terms(
            windows=joint([key.windows for key in keys]),
            settings={**self.settings.snapshot(), SENT_BY: user_and_host()},
            budgets={name: key.account.budget for key in keys for name in key.names},
            cooldown_s=self.settings.cooldown_s,
            hold_doubts=self.settings.in_doubt is InDoubt.HOLD,
        )

    async def senders(
        self, run: Run, stopped: Mapping[str, str], sessions: AsyncExitStack
    ) -> list[Sender]:
        """Return a sender for each key that has something to send, or for the command's own.

        `stopped`: by budget, why nothing by a key is to be sent.
        """
        keys = self.keys_of(await self.journal.reader.count_by_account(run))
        shared = await sessions.enter_async_context(self.journal.shared_limiters())
        channels = [
            await self.open_channel(key, shared, sessions, is_one_of_several=len(keys) > 1)
            for key in keys
        ]
        recorder = await self.journal.start(run, self.terms(keys))
        # Some are settled by what others did.
        left = await self.journal.reader.count_by_account(run)
        senders = [
            self.sender(channel, recorder, sum(left.get(n, 0) for n in channel.names))
            for channel in channels
        ]
        for sender, key in zip(senders, keys, strict=True):
            if why := stopped.get(key.account.budget):
                sender.stop(RunState.STOPPED, why)
        return senders

    def sender(self, channel: Channel, recorder: Recorder, requests: int) -> Sender:
        """Return what sends so many requests from a channel."""
        return Sender(
            channel=channel,
            recorder=recorder.of_account(channel.names[0]),
            policy=self._policy(retry_in_doubt=self.settings.in_doubt is InDoubt.RETRY),
            concurrency=self.settings.concurrency,
            progress=Progress(requests),
        )

    @asynccontextmanager
    async def order_reader(
        self,
        name: str | None = None,
        purpose: Purpose | None = None,
        *,
        is_one_of_several: bool = False,
    ) -> "AsyncIterator[OrderReader]":
        """Open a way to read which orders an account has. Raises JournalError, SettingsError.

        One a key at a time, and not while sending: each keeps the limits of its key by itself. For
        a purpose, answers are kept: one that is cut off does not ask for them again. One of several
        says in messages whose it is.
        """
        from batch_resend.order_reader import OrderReader  # noqa: PLC0415 - slow; most runs send only

        key = self.settings.key(name)
        account = key.account
        recorder = await self.journal.start_reading(account.base_url, account.budget, purpose)
        async with AsyncExitStack() as sessions:
            shared = await sessions.enter_async_context(self.journal.shared_limiters())
            channel = await self.open_channel(
                key, shared, sessions, is_one_of_several=is_one_of_several
            )
            policy = self._policy(retry_in_doubt=True)
            reader = Reader(
                channel=channel,
                recorder=recorder,
                policy=policy,
                concurrency=self.settings.concurrency,
            )
            self.reading.append(reader)
            try:
                yield OrderReader(reader)
            finally:
                self.reading.remove(reader)

    def _policy(self, *, retry_in_doubt: bool) -> RetryPolicy:
        """Return an order's budget of attempts and time."""
        return RetryPolicy(
            self.settings.max_attempts, self.settings.max_elapsed_s, retry_in_doubt=retry_in_doubt
        )

    async def _limiter(
        self,
        key: Key,
        ages_s: Sequence[float],
        shared: SharedLimiters | None,
        sessions: AsyncExitStack,
    ) -> Limiter:
        """Return what keeps the limits of a key: with other hosts, if the journal is theirs."""
        account, windows, linger_s = key.account, key.windows, self.settings.timeout_s
        if not windows:
            return WindowLimiter(())
        if shared is not None:
            limiter = shared(account.budget, windows, linger_s, self.settings.patience_s)
            return await sessions.enter_async_context(limiter)
        since = self.clock() - FORGOTTEN * max(window.period_s for window in windows)
        shares = await self.journal.reader.recent_shares(account.budget, since, self.clock)
        now = self.clock()
        return WindowLimiter(
            windows, ages_s, linger_s=linger_s,
            shares=[(now - at, share) for at, share in shares],
        )  # fmt: skip

    async def left(
        self, run: Run, to_ask: Mapping[str | None, int] = MappingProxyType({})
    ) -> list[tuple[int, Sequence[Window], list[float]]]:
        """Return, of each key of a run, how many requests are left, its windows, and `ages_s`.

        `to_ask`: by account, about how many the CA is asked first, with a read each.
        """
        counts = await self.journal.reader.count_by_account(run)
        to_make = Counter(counts) + Counter(to_ask)
        return [
            (sum(to_make[name] for name in key.names), key.windows, await self.ages_s(key))
            for key in self.keys_of(counts)
        ]

    async def ages_s(self, key: Key) -> list[float]:
        """Return how many seconds ago requests by a key ended; see `ages_s`."""
        reader, budget = self.journal.reader, key.account.budget
        return await ages_s(reader, key, budget, self.clock, self.settings.timeout_s)


async def ages_s(
    reader: JournalReader, key: Key, budget: str | None, clock: Clock, linger_s: float
) -> list[float]:
    """Return how many seconds ago those requests ended that the limits of a key still count.

    Of this process and earlier ones, by this budget; negative: one that may still arrive. None
    where several hosts keep the limits: to look through all that they ever did takes too long.
    """
    if not key.windows or reader.is_shared:
        return []
    since = clock() - max(one.period_s for one in key.windows)
    # A request that was given up is taken to arrive within its own timeout again, or never.
    ends = await reader.recent_ends(key.account.base_url, since, clock, linger_s, budget)
    now = clock()
    return [now - end for end in ends]


def route_to(settings: Settings, base_url: str) -> Route:
    """Return how a CA is reached. Raises SettingsError where the environment's proxy is none."""
    proxy = proxy_of_environment(base_url) if settings.trust_env else None
    return Route(settings.ca_file, proxy)


class Fit(IntEnum):
    """How well an unfinished run fits what is there to resume it, the best first."""

    BY_SAME_KEY = 0  # which it was sent by
    AT_SAME_CA = 1  # by another key: the one that it was sent by may have been replaced
    NOWHERE = 2  # it is for another CA


def best_fitting(
    runs: Sequence[Unfinished], endpoint_of: Callable[[Run, str | None], Endpoint | None]
) -> list[Unfinished]:
    """Return unfinished runs, the one first that is to be resumed.

    That fits best, and has something left; of several, it is the first. `endpoint_of`: what is
    there for an account of a run (None: the command's own), if anything is.
    """
    return sorted(runs, key=lambda one: (_fit(one, endpoint_of), not one.left))


def _fit(one: Unfinished, endpoint_of: Callable[[Run, str | None], Endpoint | None]) -> Fit:
    here = {name: endpoint_of(one.run, name) for name in one.left or (None,)}
    if any(at is None or at.base_url != one.run.url_of(name) for name, at in here.items()):
        return Fit.NOWHERE
    budgets = {at.budget for at in here.values() if at and at.budget}
    return Fit.BY_SAME_KEY if budgets <= {*one.budgets} else Fit.AT_SAME_CA


def _elsewhere(
    run: Run, name: str | None, there: str | None, here: str, profile: str | None
) -> str:
    """Return what to do where an account of a run is at another CA now; `profile`: asked for."""
    again = "send its list again"
    if there is None:
        return f"run {run.id} does not say at which CA the account {name} was; {again}"
    at, how = there, f"--base-url {there}"
    if name is None and run.profile not in (None, profile):
        how = f"--profile {run.profile}"  # with that URL, another account's key would be sent there
    if name is not None:
        at = f"account {name} at {there}"
        how = f"that URL in its profile, or --base-url {there} if all of the run is there"
    return f"run {run.id} is for {at}, not {here}; give {how} (or, if that was wrong, {again})"


class RunHandle:
    """A run on its way: iterate it for the outcomes, as they come."""

    def __init__(
        self, senders: Sequence[Sender], outcomes: MemoryObjectReceiveStream[Outcome]
    ) -> None:
        self.senders = senders  # one a key
        self.held_back = 0  # requests that were not to be sent yet, once all others are
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
        parts = [sender.progress for sender in self.senders]
        return Progress(
            total=sum(part.total for part in parts),
            done=sum(part.done for part in parts),
            outcomes={
                status: sum(part.outcomes[status] for part in parts) for status in RequestStatus
            },
            unsettled=sum((part.unsettled for part in parts), Counter()),
            **{name: sum(getattr(part, name) for part in parts) for name in _COUNTED},
        )

    @property
    def state(self) -> RunState:
        """How the run ends, as far as is known: an account that stops stops no other."""
        states = {sender.state for sender in self.senders}
        worst = (RunState.STOPPED, RunState.INTERRUPTED)
        return next((state for state in worst if state in states), RunState.COMPLETED)

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its end, with the accounts it is about; None where it does not."""
        reasons: dict[str, None] = {}  # each once, in their order
        if len(alike := {sender.stop_reason for sender in self.senders}) == 1:
            return alike.pop()  # such as a signal
        for sender in self.senders:
            if reason := sender.stop_reason:
                names = sender.channel.names
                of_all = None in names
                named = reason if of_all else f"account {', '.join(map(str, names))}: {reason}"
                reasons[named] = None
        return "; ".join(reasons) or None

    @property
    def finished(self) -> bool:
        """Whether all orders have been carried as far as they can be."""
        return all(sender.finished for sender in self.senders)

    def stop(self, reason: str, state: RunState = RunState.INTERRUPTED) -> None:
        """Let nothing more leave; the iteration ends once what is in flight is answered."""
        for sender in self.senders:
            sender.stop(state, reason)

    def note_held_back(self, requests: int) -> None:
        """Have the run end as stopped, for it is not complete, unless something else ended it."""
        if self.finished and self.stop_reason is None:
            self.held_back = requests
            self.lose(f"{MAX_ORDERS_REACHED}; {requests:,} not attempted")

    def lose(self, why: str) -> None:
        """Stop; the run is not complete, as where the journal is lost, though all may be sent."""
        self.stop(why, RunState.STOPPED)
        for sender in self.senders:
            sender.state, sender.stop_reason = RunState.STOPPED, why
