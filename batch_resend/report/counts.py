"""What a summary counts: rows, orders, why they were skipped, requests, pauses."""

from pydantic import BaseModel

from batch_resend.account_names import accounts_in_words
from batch_resend.results import SweepCounts


class InputSummary(BaseModel):
    """One input: its path, the SHA-256 of its bytes, its rows."""

    path: str
    sha256: str | None
    rows: int


class RowCounts(BaseModel):
    """What became of the rows: `read` is the sum of the others."""

    read: int
    accepted: int
    duplicate: int
    skipped: int  # the list says that nothing waits for a mail; other rows of their orders ask
    rejected: int

    def in_words(self) -> str:
        """Return the counts; the skipped ones where there are any."""
        of_each = [f"{self.accepted:,} accepted", f"{self.duplicate:,} duplicate"]
        of_each += [f"{self.skipped:,} skipped"] * bool(self.skipped)
        return f"{', '.join(of_each)}, {self.rejected:,} rejected"


class OrderCounts(BaseModel):
    """What became of the requests to make: `total` is the sum of the others."""

    total: int
    sent: int
    refused: int
    failed: int
    in_doubt: int
    not_attempted: int
    skipped: int
    in_flight: int = 0  # a living process waits for their answers; afterwards there are none


class OrdersNow(OrderCounts):
    """The same, with what other runs have done since: `total` is again the sum of the others."""

    sent_elsewhere: int = 0  # by other runs
    in_doubt_elsewhere: int = 0  # other runs may have sent them; this one has not tried


class SkipCounts(BaseModel):
    """Why orders were skipped: the sum is `orders.skipped`."""

    cooldown: int = 0
    list: int = 0
    preflight: int = 0
    other_call: int = 0
    under_way: int = 0

    def in_words(self) -> str:
        """Return what is not rightly skipped: what waits for mails that its call does not send."""
        return beside_skipped(sum(count for _, count in self), self.other_call)


def beside_skipped(skipped: int, other_call: int) -> str:
    """Return what stands behind so many skipped orders; "" where all are rightly skipped."""
    if not other_call:
        return ""
    which = "all" if skipped == other_call else f"{other_call:,}"
    of_them = "" if skipped == 1 else f"{which} of them "
    return f" ({of_them}perhaps waiting for mails of another call)"


def left_for_next(sweep: SweepCounts | None) -> list[str]:
    """Return what a sweep has left for the next one (`--max-orders`), a text for each kind."""
    if sweep is None:
        return []
    kinds = (sweep.left_for_later, ""), (sweep.not_asked, "perhaps ")
    return [f"{count:,} {maybe}left for the next sweep" for count, maybe in kinds if count]


class RequestCounts(BaseModel):
    """The requests that were made, and those for which there was no connection."""

    attempts: int
    retries: int
    rate_limited: int
    unconnected: int
    possible_duplicates: int


class BackPressure(BaseModel):
    """What the CA held the run up with."""

    pauses: int
    paused_s: float
    lowest_share: float  # of the windows that this run took: below 1 after a 429
    accounts: list[str] = []  # of a run of several, those that paused

    @property
    def whose(self) -> str:
        """Whose the pauses were, as it stands behind their number."""
        return f" of {accounts_in_words(self.accounts)}," if self.accounts else ""
