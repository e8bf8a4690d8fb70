"""The first part of a run (`--max-orders`): which requests are sent before all others.

Each account has its own key and URL, and only a request of each shows whether they are right. So
the first requests are taken from all accounts by turns.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass

from batch_resend.journal import JournalReader
from batch_resend.model import PlannedRequest, Run
from batch_resend.sending import Sender


def by_turns(counts: Mapping[str | None, int], most: int) -> dict[str | None, int]:
    """Return how many of the first `most` requests are of which account.

    `counts`: the requests of each account, in the order of the turns.
    """
    shares = dict.fromkeys(counts, 0)
    left = min(most, sum(counts.values()))
    while left:
        waiting = [name for name, share in shares.items() if share < counts[name]]
        each = max(1, left // len(waiting))
        for name in waiting[:left]:
            taken = min(each, counts[name] - shares[name])
            shares[name] += taken
            left -= taken
    return shares


@dataclass(frozen=True, slots=True)
class FirstPart:
    """How many requests of each account are sent first, in the order of the list."""

    shares: Mapping[str | None, int]

    @property
    def tried(self) -> list[str | None]:
        """The accounts of which something is sent."""
        return [name for name, share in self.shares.items() if share]

    @property
    def untried(self) -> list[str | None]:
        """The accounts of which nothing is sent."""
        return [name for name, share in self.shares.items() if not share]

    def hold_back(self, senders: Iterable[Sender]) -> int:
        """Have senders send no more than this; return how many requests are held back."""
        held_back = 0
        for sender in senders:
            share = sum(self.shares.get(name, 0) for name in sender.channel.names)
            held_back += sender.progress.total - share
            sender.progress.total = share
        return held_back

    async def pending(
        self, reader: JournalReader, run: Run, names: Iterable[str | None]
    ) -> AsyncIterator[PlannedRequest]:
        """Yield those of some accounts."""
        for name in names:
            left, pending = self.shares.get(name, 0), reader.pending(run, [name])
            while left and (planned := await anext(pending, None)) is not None:
                yield planned
                left -= 1


async def first_part(reader: JournalReader, run: Run, most: int | None) -> FirstPart | None:
    """Return the first `most` requests that are left to send of a run; None: there are no others.

    Raises JournalError.
    """
    if most is None:
        return None
    counts = await reader.count_in_list_order(run)
    return FirstPart(by_turns(counts, most)) if most < sum(counts.values()) else None


def pending_of(
    reader: JournalReader, run: Run, senders: Iterable[Sender], first: FirstPart | None
) -> Iterator[tuple[Sender, AsyncIterator[PlannedRequest]]]:
    """Yield each sender with what it is to send of a run: all that is left, or the first of it."""
    for sender in senders:
        names = sender.channel.names
        yield sender, first.pending(reader, run, names) if first else reader.pending(run, names)
