"""A run on its way: a lane for each key, with its own windows, pauses and end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.model import OrderStatus, Outcome, RunState
from batch_resend.order_reader import Census
from batch_resend.sending import Gate, Hold, Progress, Sender
from batch_resend.windows import Window


@dataclass(frozen=True, slots=True)
class Lane:
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
    outcomes: Mapping[OrderStatus, int] = field(default_factory=dict)  # none: nothing is sent


@dataclass(frozen=True, slots=True)
class ReadLane:
    """What is asked of the CA by one key."""

    windows: Sequence[Window]
    census: Census

    @property
    def progress(self) -> ReadProgress:
        """Counts so far."""
        asked, fetcher = self.census.progress, self.census.fetcher
        return ReadProgress(asked.total, asked.done, fetcher.attempts, fetcher.in_flight)

    @property
    def gate(self) -> Gate:
        """Whether requests flow, and if not, why and until when."""
        return self.census.fetcher.gate

    @property
    def share(self) -> float:
        """What part of the windows is taken: all, 1, unless there was a 429 a while ago."""
        return self.census.fetcher.limiter.share

    @property
    def windows_full_for_s(self) -> float:
        """How many seconds the windows let nothing leave; infinite: not before an answer comes."""
        return self.census.fetcher.limiter.full_for_s

    @property
    def held(self) -> Hold | None:
        """The pause of another process by this key, if there is one."""
        return self.census.fetcher.limiter.held


class Sending:
    """A run on its way: iterate it for the outcomes, as they come."""

    def __init__(self, lanes: Sequence[Lane], outcomes: MemoryObjectReceiveStream[Outcome]) -> None:
        self.lanes = lanes
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
        parts = [lane.progress for lane in self.lanes]
        return Progress(
            sum(part.total for part in parts),
            {status: sum(part.outcomes[status] for part in parts) for status in OrderStatus},
            sum(part.attempts for part in parts),
            sum(part.rate_limited for part in parts),
            sum(part.in_flight for part in parts),
        )

    @property
    def state(self) -> RunState:
        """How the run ends, as far as is known: an account that stops stops no other."""
        states = {lane.sender.state for lane in self.lanes}
        worst = (RunState.STOPPED, RunState.INTERRUPTED)
        return next((state for state in worst if state in states), RunState.COMPLETED)

    @property
    def stop_reason(self) -> str | None:
        """Why it ends before its end; None where it does not."""
        found = [lane.stop_reason for lane in self.lanes if lane.stop_reason]
        return "; ".join(dict.fromkeys(found)) or None

    @property
    def finished(self) -> bool:
        """Whether every lane's orders have been carried as far as they can be."""
        return all(lane.sender.finished for lane in self.lanes)

    def stop(self, reason: str, state: RunState = RunState.INTERRUPTED) -> None:
        """Let nothing more leave; the iteration ends once what is in flight is answered."""
        for lane in self.lanes:
            lane.sender.stop(state, reason)

    def lose(self, why: str) -> None:
        """Stop for want of a journal: the run is not complete, though all of it may be sent."""
        self.stop(why, RunState.STOPPED)
        for lane in self.lanes:
            lane.sender.state, lane.sender.stop_reason = RunState.STOPPED, why
