"""A run on its way: a key run for each key, with its own windows, pauses and end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.model import Outcome, RequestStatus, RunState
from batch_resend.order_reader import OrderReader
from batch_resend.sending import Gate, Hold, Progress, Sender
from batch_resend.windows import Window


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
