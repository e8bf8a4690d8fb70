"""The summary of a run: its numbers, and what they come to in words."""

from collections.abc import Collection
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from batch_resend.clock import format_duration, timestamp
from batch_resend.intake.own_files import is_named_as_part
from batch_resend.journal import JournalReader
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.report.banner import HOW_IT_ENDED, Banner, EndState
from batch_resend.report.counts import (
    BackPressure,
    InputSummary,
    OrderCounts,
    OrdersNow,
    RequestCounts,
    RowCounts,
    SkipCounts,
    left_for_next,
)
from batch_resend.results import InputNote, Rest, Since, SweepCounts, Tally
from batch_resend.settings import is_at_loopback

_ENDED: dict[RunState, EndState] = {
    RunState.COMPLETED: "completed",
    RunState.STOPPED: "stopped",
}  # anything else was cut off


class Summary(BaseModel):
    """A run in numbers. Times are RFC 3339 in UTC."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: EndState
    stop_reason: str | None
    started_at: str | None
    finished_at: str | None
    elapsed_s: float | None
    between_starts_s: float = 0.0  # of that, between an interruption and the resumption
    written_at: str | None = None  # while it is under way; afterwards it says always the same
    base_url: str
    limits: list[str]
    inputs: list[InputSummary]
    rows: RowCounts
    orders: OrderCounts
    order_numbers: int  # of these: an order that is mailed in two languages counts twice in them
    skipped: SkipCounts = SkipCounts()
    requests: RequestCounts
    back_pressure: BackPressure
    sweep: SweepCounts | None = None  # what began the run, if it was a sweep
    profile: str | None = None  # that it was for, by --profile
    accounts: Annotated[tuple[str | None, ...], Field(exclude=True)] = (None,)  # that are asked
    other_urls: Annotated[list[str], Field(exclude=True)] = []  # of other CAs that accounts ask
    is_rehearsal: Annotated[bool, Field(exclude=True)] = False  # nobody was mailed, by any account
    preflight_due: Annotated[bool, Field(exclude=True)] = False  # as of a `Run`
    # Orders skipped for a word of their list that is not known to be the CA's.
    skipped_unsure: Annotated[int, Field(exclude=True)] = 0
    # Of those refused, by this program itself: the CA would have mailed others for them, or might.
    withheld: Annotated[int, Field(exclude=True)] = 0
    # Of those in doubt that no other run has sent since: about domains, which the CA is not asked.
    doubts_of_domains: Annotated[int, Field(exclude=True)] = 0
    parts: Annotated[tuple[str, ...], Field(exclude=True)] = ()  # inputs that look like a report's
    incomplete: Annotated[int, Field(exclude=True)] = 0  # orders sent without some of their rows
    # Lists of its report (`part_names.PARTS`) that were sent since -> the last run that did.
    lists_sent: Annotated[dict[str, str], Field(exclude=True)] = {}
    # What became of the orders that it has not sent; None: it is under way, or all are settled.
    rest: Annotated[Rest | None, Field(exclude=True)] = None

    @model_validator(mode="after")
    def _accounts_for_everything(self) -> Self:
        rows, orders = self.rows, self.orders
        if rows.read != rows.accepted + rows.duplicate + rows.skipped + rows.rejected:
            raise ValueError(f"the rows do not add up: {rows}")
        if orders.total != sum(count for name, count in orders if name != "total"):
            raise ValueError(f"the orders do not add up: {orders}")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Banner:
        """What there is to know of it before anything else."""
        if self.state == "running":
            return Banner.UNDER_WAY
        if self.is_rehearsal:
            return Banner.REHEARSAL
        is_done = self.state == "completed" or self.sent_elsewhere > 0
        is_complete = is_done and not self._to_account_for and not self.stuck
        return Banner.COMPLETE if is_complete else Banner.NEEDS_ACTION

    @computed_field  # type: ignore[prop-decorator]
    @property
    def orders_now(self) -> OrdersNow:
        """Its orders with what other runs have made of them since."""
        rest = self.rest or Rest()
        sent, in_doubt = rest.moved(Since.SENT_ELSEWHERE), rest.moved(Since.IN_DOUBT_ELSEWHERE)
        counts = self.orders.model_dump()
        for status, count in (sent + in_doubt).items():
            counts[status] -= count
        return OrdersNow(**counts, sent_elsewhere=sent.total(), in_doubt_elsewhere=in_doubt.total())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def left(self) -> int | None:
        """How many orders `resume` would send; None: it is complete, or under way."""
        if self.rest is None or self.state == "completed":
            return None
        return sum(self.rest.left.values())

    @property
    def left_out(self) -> int:
        """How many of those left are not in its unsent.csv as another run has sent that."""
        return self.rest.left_out if self.rest and self.left else 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sent_of(self) -> int:
        """Orders that may wait for a mail: what "so many of so many sent" and percentages are of.

        All that are not skipped, and those skipped because another call sends their mails.
        """
        return self.orders.total - self.orders.skipped + self.skipped.other_call

    @property
    def sent_elsewhere(self) -> int:
        """Orders that it has not sent, and other runs have sent since."""
        return self.orders_now.sent_elsewhere

    @property
    def _to_account_for(self) -> int:
        """Rejected rows, and orders that no run has had accepted, nor rightly skipped."""
        orders = self.orders
        skipped = orders.skipped - self.skipped_unsure - self.skipped.other_call
        return self.rows.rejected + orders.total - orders.sent - skipped - self.sent_elsewhere

    @property
    def active_s(self) -> float | None:
        """How long it was at work, its pauses too; None while that is not known."""
        return None if self.elapsed_s is None else max(0.0, self.elapsed_s - self.between_starts_s)

    @property
    def urls(self) -> list[str]:
        """Where all CAs are that are asked."""
        return [self.base_url, *self.other_urls]

    @property
    def stuck(self) -> int:
        """How many orders the sweep that began the run has given up on."""
        return self.sweep.stuck if self.sweep else 0

    @property
    def is_held_back(self) -> bool:
        """Whether nothing was sent because of rejected rows (`--max-rejected`, `--strict`)."""
        return self.started_at is None and self.state == "stopped"

    @property
    def all_well(self) -> bool:
        """Whether every row was good, and every order accepted or rightly skipped."""
        return self._to_account_for + self.sent_elsewhere == 0


async def make_summary(reader: JournalReader, run: Run) -> Summary:
    """Return a run in numbers, as it stands: under way if another process, or workers, send it."""
    is_under_way = await reader.is_under_way(run)
    accounts = await reader.accounts(run) if "accounts" in run.settings else ()
    summary = summarize(run, await reader.inputs(run), await reader.tally(run), accounts)
    counts = summary.orders
    orders: dict[str, int] = {}
    if is_under_way:
        # As long as nothing is settled, they count there. What will be tried again is to go.
        settled = (await reader.count_outcomes(run)).get(RequestStatus.IN_DOUBT, 0)
        in_doubt = min(settled, counts.in_doubt)
        in_flight = min(await reader.count_in_flight(run), counts.in_doubt - in_doubt)
        to_go = counts.not_attempted + counts.in_doubt - in_doubt - in_flight
        orders = {"in_flight": in_flight, "in_doubt": in_doubt, "not_attempted": to_go}
    is_settled = run.state is RunState.COMPLETED and not counts.failed + counts.in_doubt
    return summary.model_copy(
        update={
            "state": "running" if is_under_way else summary.state,
            "rest": None if is_under_way or is_settled else await reader.rest(run),
            "skipped_unsure": await reader.count_unsure(run),
            "withheld": await reader.count_withheld(run) if counts.refused else 0,
            "doubts_of_domains": await reader.doubts_of_domains(run) if counts.in_doubt else 0,
            "lists_sent": await reader.lists_sent_since(run),
            "incomplete": (await reader.incomplete(run, 1))[0] if summary.rows.rejected else 0,
            "sweep": await reader.swept(run),
            "skipped": SkipCounts.model_validate(await reader.count_skipped(run)),
            "between_starts_s": round(await reader.between_starts_s(run), 3),
            "orders": counts.model_copy(update=orders),
        }
    )


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
            read=sum(note.rows for note in inputs), **{s.value: n for s, n in tally.rows.items()}
        ),
        orders=OrderCounts(total=tally.planned, **{s.value: n for s, n in tally.orders.items()}),
        order_numbers=run.order_numbers,
        requests=RequestCounts.model_validate(tally, from_attributes=True),
        back_pressure=BackPressure(
            pauses=tally.pauses,
            paused_s=round(tally.paused_s, 3),
            lowest_share=round(tally.lowest_share, 3),
            accounts=list(tally.pausing_accounts),
        ),
        profile=run.profile,
        preflight_due=run.preflight_due,
        accounts=tuple(by_name),
        other_urls=known[1:],
        is_rehearsal=all(is_at_loopback(url or "") for url in urls),
        parts=tuple(i.name for i in inputs if is_named_as_part(i.name, i.form.columns)),
    )


REHEARSED = "the simulator acknowledged it; nobody was mailed"
NOBODY_MAILED = "Rehearsal, nobody was mailed"
STATUS_MEANINGS = {
    RequestStatus.SENT: "the CA acknowledged it: the mails are on their way",
    RequestStatus.REFUSED: "the CA refused it for good; or the CA might have mailed others for it",
    RequestStatus.FAILED: "attempts or time used up; certainly not mailed",
    RequestStatus.IN_DOUBT: "it may have been mailed: no answer came back",
    RequestStatus.NOT_ATTEMPTED: "the run stopped before it was sent",
    RequestStatus.SKIPPED: "mailed within the cooldown, or it waits for no mail of this call",
}


def percentage_sent(summary: Summary) -> int | None:
    """Return how many in a hundred of the orders that were due were sent: 100 only where all were.

    None: none was.
    """
    return summary.orders.sent * 100 // summary.sent_of if summary.sent_of else None


_STATUS_IN_WORDS = {
    "unknown": "not known to the CA",  # as `verify` found
    "sent_elsewhere": "sent by other runs",
    "in_doubt_elsewhere": "in doubt by other runs",
}


def in_words(status: str) -> str:
    """Return a status as a person reads it, of a request or of an order at the CA."""
    return _STATUS_IN_WORDS.get(status, status.replace("_", " "))


def outcome_in_words(status: str, summary: Summary) -> str:
    """Return what became of requests of a run; of one under way, what is still to be sent."""
    is_to_come = summary.state == "running" and status == RequestStatus.NOT_ATTEMPTED
    return "to go" if is_to_come else in_words(status)


def answer_in_words(status: RequestStatus, http_status: int | None, error_code: str | None) -> str:
    """Return what was last answered to an order: its status and code; "" where nothing was."""
    if status is RequestStatus.SKIPPED:
        return ""  # its code is a `SkipReason`
    return " ".join(str(word) for word in (http_status, error_code) if word)


def verdict_in_words(status: RequestStatus, answer: str) -> str:
    """Return what became of an order, by what was last answered to it; "" where nothing was.

    A run may stop between an order's attempts: it was attempted, and not done.
    """
    if status is RequestStatus.NOT_ATTEMPTED and answer:
        return "attempted, not done"
    return in_words(status)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return so many of something."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def of_profile(name: str | None) -> str:
    """Return which profile something is of, to stand behind it; "" where it is of none."""
    return f" (profile {name})" if name else ""


_OPEN_TO_OTHERS = ("failed", "in_doubt", "not_attempted")  # in the order of `OrderCounts`


def headline(summary: Summary) -> str:
    """Return what came of a run, in a sentence or two without the last full stop."""
    text = _outcome(summary)
    if not summary.is_rehearsal:
        return text
    return f"{NOBODY_MAILED}{': ' if text[0].isdigit() else '. '}{text}"


def _outcome(summary: Summary) -> str:
    if summary.started_at is None:
        return f"Nothing was sent: {summary.stop_reason or 'the run was never started'}"
    beside = {RequestStatus.SKIPPED.value: summary.skipped.in_words(), **_sent_since(summary)}
    others = [
        f"{count:,} {outcome_in_words(name, summary)}{beside.get(name, '')}"
        for name, count in summary.orders
        if count and name not in ("total", "sent")
    ]
    if rejected := summary.rows.rejected:
        others.append(f"{counted(rejected, 'row')} rejected")
    if stuck := summary.stuck:
        others.append(f"{stuck:,} stuck")
    if summary.sweep and (other_call := summary.sweep.other_call):
        others.append(f"{other_call:,} perhaps waiting for mails of another call")
    others += left_for_next(summary.sweep)
    return "; ".join(filter(None, (_how_many_were_sent(summary), ", ".join(others))))


def _sent_since(summary: Summary) -> dict[str, str]:
    """Return what stands behind the last of the counts of which other runs have sent some."""
    counts = {name: getattr(summary.orders, name) for name in _OPEN_TO_OTHERS}
    names = [name for name, count in counts.items() if count]
    since = summary.sent_elsewhere
    if not (since and names):
        return {}
    unsent = sum(counts.values())
    which = "all" if since == unsent else f"{since:,}"
    what = "sent by another run" if unsent == 1 else f"{which} of these sent by other runs"
    return {names[-1]: f" ({what} since)"}


def _how_many_were_sent(summary: Summary) -> str:
    if not summary.sent_of:
        return _why_none_was(summary)
    is_known = summary.finished_at or summary.state == "running"
    ended = HOW_IT_ENDED[summary.state] if is_known else "not finished"
    how = "" if summary.state == "completed" and is_known else f"{ended.capitalize()}: "
    took = ""
    if summary.active_s is not None and round(summary.active_s):
        took = f" in {time_taken(summary.active_s, summary.between_starts_s)}"
    what = "requests" if how_counted(summary) else "orders"
    return f"{how}{summary.orders.sent:,} of {summary.sent_of:,} {what} sent{took}"


def _why_none_was(summary: Summary) -> str:
    if summary.sweep is not None and not summary.orders.total:
        return f"Nothing was due: {counted(summary.sweep.waiting, 'order')} waiting"
    return "Nothing was due" if summary.orders.total else "There was nothing to send"


def how_counted(summary: Summary) -> str:
    """Return how many orders there are, where some count more than once; "" where none does."""
    if summary.order_numbers >= summary.orders.total:
        return ""
    in_all = counted(summary.order_numbers, "order")
    return f"an order counts once for each language, and for each call; {in_all} in all"


def time_taken(active_s: float, between_starts_s: float) -> str:
    """Return how long a run was at work, and how long it was not until it was resumed."""
    gap = f", interrupted for {format_duration(between_starts_s)}"
    return f"{format_duration(active_s)}{gap if round(between_starts_s) else ''}"
