"""summary.json: a run in numbers."""

from collections.abc import Collection
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from batch_resend.durations import timestamp
from batch_resend.model import RequestStatus, RowStatus, Run, RunState
from batch_resend.results import InputNote, Tally
from batch_resend.settings import is_loopback

EndState = Literal["completed", "stopped", "interrupted"]

_ENDED: dict[RunState, EndState] = {
    RunState.COMPLETED: "completed",
    RunState.STOPPED: "stopped",
}  # anything else was cut off


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
    rejected: int


class OrderCounts(BaseModel):
    """What became of the requests to make: `total` is the sum of the others."""

    total: int
    sent: int
    refused: int
    failed: int
    in_doubt: int
    not_attempted: int
    skipped: int


class RequestCounts(BaseModel):
    """The requests that were made."""

    attempts: int
    retries: int
    rate_limited: int
    possible_duplicates: int


class BackPressure(BaseModel):
    """What the CA held the run up with."""

    pauses: int
    paused_s: float
    lowest_share: float  # of the windows that this run took: below 1 after a 429


class Summary(BaseModel):
    """A run in numbers. Times are RFC 3339 in UTC."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: EndState
    stop_reason: str | None
    started_at: str | None
    finished_at: str | None
    elapsed_s: float | None
    base_url: str
    limits: list[str]
    inputs: list[InputSummary]
    rows: RowCounts
    orders: OrderCounts
    requests: RequestCounts
    back_pressure: BackPressure
    other_urls: Annotated[list[str], Field(exclude=True)] = []  # of other CAs that accounts ask
    is_rehearsal: Annotated[bool, Field(exclude=True)] = False  # nobody was mailed, by any account

    # Orders skipped for a word of their list that is not known to be the CA's.
    skipped_unsure: Annotated[int, Field(exclude=True)] = 0

    @model_validator(mode="after")
    def _accounts_for_everything(self) -> Self:
        rows, orders = self.rows, self.orders
        if rows.read != rows.accepted + rows.duplicate + rows.rejected:
            raise ValueError(f"the rows do not add up: {rows}")
        if orders.total != sum(getattr(orders, status) for status in RequestStatus):
            raise ValueError(f"the orders do not add up: {orders}")
        return self

    @property
    def urls(self) -> list[str]:
        """Where all CAs are that are asked."""
        return [self.base_url, *self.other_urls]

    @property
    def all_well(self) -> bool:
        """Whether every row was good, and every order accepted or rightly skipped."""
        orders = self.orders
        done = orders.sent + orders.skipped - self.skipped_unsure
        return self.rows.rejected == 0 and done == orders.total


def summarize(
    run: Run, inputs: list[InputNote], tally: Tally, accounts: Collection[str | None] = ()
) -> Summary:
    """Return the summary of a run that has ended, or was cut off; `accounts`: that it asks."""
    started, finished = run.started_at, run.finished_at
    by_name = sorted(accounts or (None,), key=lambda name: name or "")
    urls = list(dict.fromkeys(run.url_of(name) for name in by_name))
    known = [url for url in urls if url] or [run.base_url]
    return Summary(
        run_id=run.id,
        state=_ENDED.get(run.state, "interrupted"),
        stop_reason=run.stop_reason,
        started_at=timestamp(started) if started is not None else None,
        finished_at=timestamp(finished) if finished is not None else None,
        elapsed_s=round(finished - started, 3) if started and finished else None,
        base_url=known[0],
        limits=list(run.limits),
        inputs=[InputSummary(path=i.name, sha256=i.sha256, rows=i.rows) for i in inputs],
        rows=RowCounts(
            read=sum(note.rows for note in inputs),
            accepted=tally.rows[RowStatus.ACCEPTED],
            duplicate=tally.rows[RowStatus.DUPLICATE],
            rejected=tally.rows[RowStatus.REJECTED],
        ),
        orders=OrderCounts(total=tally.planned, **{s.value: n for s, n in tally.orders.items()}),
        requests=RequestCounts(
            attempts=tally.attempts,
            retries=tally.retries,
            rate_limited=tally.rate_limited,
            possible_duplicates=tally.possible_duplicates,
        ),
        back_pressure=BackPressure(
            pauses=tally.pauses,
            paused_s=round(tally.paused_s, 3),
            lowest_share=round(tally.lowest_share, 3),
        ),
        other_urls=known[1:],
        is_rehearsal=all(is_loopback(urlsplit(url or "").hostname or "") for url in urls),
    )
