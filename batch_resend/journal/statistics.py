"""A run in numbers: its answers in time, its pauses, why orders were not sent; where it stands."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from typing import NamedTuple

from batch_resend.account_names import called
from batch_resend.clock import Clock
from batch_resend.folders import Database
from batch_resend.journal.accounts import Accounts, AccountsReader
from batch_resend.journal.runs import CUT_OFF, clock_values, settled_since
from batch_resend.journal.statements import Record, decode_call, request_of
from batch_resend.model import Request, RequestStatus, Run, SkipReason
from batch_resend.results import PartCount, ProductCount
from batch_resend.windows import parse_windows

RATE_OVER_S = 10.0  # how far back the rate of now reaches
_LATER_S = 1.0  # than a run was begun: by another start than its first


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """How long answers took, in seconds, from when their attempts were written down."""

    answers: int
    median_s: float
    p95_s: float
    longest_s: float
    counts: tuple[int, ...]  # up to each bound, the last one beyond all


@dataclass(frozen=True, slots=True)
class ActivePeriod:
    """A time in which a run was at work, from the first sign of it to the last: a start of it."""

    start: int
    from_at: float
    to_at: float
    limits: tuple[str, ...]


class MadeInStep(NamedTuple):
    """The attempts that began in one step of a period."""

    step: int
    made: int
    troubled: int  # that brought neither yes nor no: 429, 5xx, a lost connection


@dataclass(frozen=True, slots=True)
class PauseNote:
    """A pause of a run. Its end is that of the run where nothing else is known."""

    began_at: float
    ended_at: float | None  # None: it was cut off, nobody knows when
    until_at: float | None
    reason: str
    share: float
    accounts: tuple[str, ...] = ()  # that paused, of a run of several


@dataclass(frozen=True, slots=True)
class Reason:
    """Why orders were not sent: status, the last answer or `SkipReason`, one of its messages."""

    status: RequestStatus
    http_status: int | None
    error_code: str | None
    message: str | None
    messages: int  # different ones; that one is the first in the alphabet
    orders: int


@dataclass(frozen=True, slots=True)
class Pausing:
    """A pause that lasts."""

    reason: str
    left_s: float | None  # until the next request is to leave, as far as is known
    accounts: Accounts = ()  # that pause, of a run of several


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Where a run stands. Times are those of the process that sends it."""

    outcomes: dict[RequestStatus, int]
    planned: int
    made: int  # attempts of its last start
    retries: int  # of these, at what had been attempted before
    unsettled: dict[int, int]  # answers to these that settled nothing, by HTTP status; 0: none came
    since_start_s: float
    since_last_s: float | None  # since the last of them began
    in_flight: int
    ended_lately: int  # attempts that ended within RATE_OVER_S
    # Of the requests by its keys that its limits may count, also those of other runs and reads: how
    # many seconds ago each ended; negative: it may still arrive. None where hosts share them.
    ages_s: tuple[float, ...]
    pausing: Pausing | None  # of all that has something to send
    paused_accounts: tuple[Pausing, ...]  # of a run of several
    share: float  # of the windows, after the last pause
    share_since_s: float  # how long ago that was
    is_resumed: bool  # its last start is another process's than the one before it

    def pause_s(self, later_s: float) -> float | None:
        """Return for how long its pause still lasts so many seconds later, if that is known."""
        if self.pausing is None or self.pausing.left_s is None:
            return None
        return max(0.0, self.pausing.left_s - later_s)

    @property
    def is_outage(self) -> bool:
        """Whether something pauses, and not for a limit that was met: nobody knows for how long."""
        return bool(self.pausing or self.paused_accounts) and self.share >= 1.0


class StatisticsReader(AccountsReader):
    """Reads what there is to say of a whole run, without disturbing the process that sends it."""

    async def periods(self, run: Run) -> list[ActivePeriod]:
        """Return when the run was at work: from when to when each start of it made requests."""
        return [
            ActivePeriod(start, from_at, to_at, tuple(limits.split()))
            for start, from_at, to_at, limits in await self.fetch("periods", run=run.number)
        ]

    async def between_starts_s(self, run: Run) -> float:
        """Return for how many seconds nothing sent a run between its starts.

        0 of one that workers send: each of them has starts of its own.
        """
        if run.distributed_by is not None:
            return 0.0
        ((seconds,),) = await self.fetch("between_starts", run=run.number, cut_off=CUT_OFF)
        return float(seconds)

    async def pace(self, run: Run, period: ActivePeriod, step_s: float) -> list[MadeInStep]:
        """Return how many attempts began in which step of a period, those with none left out."""
        of = {"run": run.number, "start": period.start, "from_at": period.from_at}
        return [MadeInStep(*record) for record in await self.fetch("pace", **of, step_s=step_s)]

    async def answer_times(self, run: Run, bounds_s: Sequence[float]) -> AnswerTimes | None:
        """Return how long answers took, counted between ascending bounds; None without answers."""
        answers = await self.count("count_answers", run=run.number)
        if not answers:
            return None

        async def nth_s(nth: int) -> float:  # the quickest being the first
            ((took_s,),) = await self.fetch("nth_answer", run=run.number, before=nth - 1)
            return float(took_s)

        whens = (f"WHEN ended_at - begun_at <= {b!r} THEN {n}" for n, b in enumerate(bounds_s))
        words = (("bounds", " ".join((*whens, f"ELSE {len(bounds_s)}"))),)
        found: dict[int, int] = dict(
            await self.fetch("count_answers_between", words, run=run.number)
        )
        return AnswerTimes(
            answers,
            await nth_s(ceil(answers * 0.5)),
            await nth_s(ceil(answers * 0.95)),
            await nth_s(answers),
            tuple(found.get(place, 0) for place in range(len(bounds_s) + 1)),
        )

    async def pauses(self, run: Run, limit: int) -> list[PauseNote]:
        """Return the pauses of a run, the first ones first."""
        found = await self.fetch("pauses", run=run.number, most=limit)
        keys = await self.accounts_by_key(run) if found else {}
        return [
            PauseNote(
                pause.began_at,
                pause.ended_at or run.finished_at,
                pause.until_at,
                pause.reason,
                pause.share,
                called(keys.get((pause.start, pause.account), ()), run.profile),
            )
            for pause in found
        ]

    async def count_skipped(self, run: Run) -> dict[SkipReason, int]:
        """Return how many orders of a run were skipped, by why."""
        found = {SkipReason(c): n for c, n in await self.fetch("count_skipped", run=run.number)}
        return {reason: found.get(reason, 0) for reason in SkipReason}

    async def count_withheld(self, run: Run) -> int:
        """Return how many orders were refused by this program, and not sent: they were too wide."""
        return await self.count("count_withheld", run=run.number)

    async def skips(
        self, run: Run, limit: int, only: Collection[SkipReason] = tuple(SkipReason)
    ) -> list[Reason]:
        """Return why orders were skipped, the most frequent first; by run, where one sent them."""
        found = await self.fetch("skips", run=run.number, codes=list(only), most=limit)
        return [_skip(*record) for record in found]

    async def reasons(self, run: Run, limit: int, start: int = 0) -> list[Reason]:
        """Return why orders were not sent, the most frequent first.

        `start`: without those that only starts of the run before this one attempted.
        """
        if not await self.fetch("any_not_sent", run=run.number):
            return []
        found = await self.fetch("reasons", run=run.number, start=start, most=limit)
        return [Reason(RequestStatus(status), *others) for status, *others in found]

    async def last_start(self, run: Run) -> int:
        """Return the number of the last start of a run; 0: there was none."""
        found = await self.fetch("last_start", run=run.number)
        return found[0].number if found else 0

    async def first_sent(self, start: int, limit: int) -> list[Request]:
        """Return the first requests that a start has sent, in the order of the lists."""
        found = await self.fetch("first_sent", start=start, most=limit)
        return [request_of(record) for record in found]

    async def parts(self, run: Run) -> list[PartCount]:
        """Count a run by language, call and account; nothing where all its orders share them.

        The account of rows that name none is the run's profile, if it has one.
        """
        if len(await self.fetch("any_two_parts", run=run.number)) < 2:
            return []
        return [
            PartCount(
                locale, decode_call(call), account or run.profile, RequestStatus(status), orders
            )
            for locale, call, account, status, orders in await self.fetch(
                "count_parts", run=run.number
            )
        ]

    async def products(self, run: Run, limit: int) -> list[ProductCount]:
        """Count a run by product, the most frequent first."""
        found = await self.fetch("count_products", run=run.number, most=limit)
        return [ProductCount(*record) for record in found]

    async def count_in_flight(self, run: Run) -> int:
        """Return how many requests of a run under way are in flight."""
        return await self.count("unanswered", run=run.number)

    async def doubts_of_domains(self, run: Run) -> int:
        """Return how many requests about domains are in doubt, and were not sent since."""
        return await self.count("doubts_of_domains", **self.since_planned(run))

    def since_planned(self, run: Run) -> dict[str, object]:
        """Return what statements take of a run that look for what others did since its planning."""
        return {"run": run.number, "since": run.created_at, **clock_values(self.clock)}

    async def count_mailed_otherwise(
        self, run: Run, cooldown_s: float, urls: Mapping[str | None, str]
    ) -> int:
        """Return how many requests to send are for what other requests of late have mailed.

        `urls`: of which CA each account is that the run is to ask; None: the command's own.
        """
        since = settled_since(run, cooldown_s, self.clock())
        of = {"run": run.number, "since": since, **clock_values(self.clock)}
        by_account = json.dumps({name or "": url for name, url in urls.items()})
        return await self.count("count_mailed_otherwise", **of, urls=by_account)

    async def standing(self, run: Run, clock: Clock) -> LiveStatus | None:
        """Return where a run stands; None before its first request may leave."""
        if run.distributed_by is None:
            found = await self.fetch("last_start", run=run.number)
        else:
            found = await self.fetch("start", start=run.distributed_by)
        if not found:
            return None
        start = found[0]
        # As the clock of the process that sends says it, where both count from one boot.
        same_boot = start.boot == clock.boot
        now = clock() + (start.offset_s - clock.offset_s if same_boot else 0.0)
        of = {"run": run.number, "start": start.number}
        by_status = await self.fetch("attempts_since", **of)
        last_at = max((record.last_at for record in by_status), default=None)
        outcomes = await self.fetch("count_outcomes", run=run.number)
        paused = await self.fetch("last_pause", run=run.number)
        keys = await self.accounts_by_key(run)
        lasting = [
            _pausing(record, now, keys.get((record.start, record.account), ()))
            for record in await self.fetch("lasting_pauses", run=run.number)
        ]
        paused_accounts = tuple({one.accounts: one for one in lasting if one.accounts}.values())
        return LiveStatus(
            outcomes={RequestStatus(status): number for status, number in outcomes},
            planned=await self.count("count_requests", run=run.number),
            made=sum(record.made for record in by_status),
            retries=sum(record.retries for record in by_status),
            unsettled={r.http_status: r.unsettled for r in by_status if r.unsettled},
            since_start_s=now - start.began_at,
            since_last_s=None if last_at is None else now - last_at,
            in_flight=sum(record.in_flight for record in by_status),
            ended_lately=await self.count("ended_lately", **of, since=now - RATE_OVER_S),
            ages_s=await self._ages_s(run, start.number, clock),
            pausing=await self._pausing_of_all(run, lasting, paused_accounts),
            paused_accounts=paused_accounts,
            share=paused[0].share if paused else 1.0,
            share_since_s=now - paused[0].share_at if paused else 0.0,
            is_resumed=start.began_at - (run.started_at or start.began_at) > _LATER_S
            and not start.is_same_process,
        )

    async def _pausing_of_all(
        self, run: Run, lasting: Sequence[Pausing], paused_accounts: Sequence[Pausing]
    ) -> Pausing | None:
        """Return by which pause nothing of a run leaves; of several, the first to end."""
        if not paused_accounts:
            return lasting[-1] if lasting else None
        paused = {name for one in paused_accounts for name in one.accounts}
        if not (await self.count_by_account(run)).keys() <= paused:
            return None
        return min(paused_accounts, key=lambda one: one.left_s or 0.0)

    async def recent_ends(
        self,
        base_url: str,
        since: float,
        clock: Clock,
        linger_s: float = 0.0,
        budget: str | None = None,
    ) -> list[float]:
        """Return when attempts at this CA, by this budget, ended since then, oldest first.

        Seconds since the epoch by `clock`; of a process whose clock said something else, the later
        reading, but none after now. One in doubt may arrive up to `linger_s` seconds after it was
        given up. A few from before `since` may be among them.
        """
        found = await self.fetch(
            "recent_ends",
            base_url=base_url,
            budget=budget,
            since=since,
            now=clock(),
            linger_s=linger_s,
            **clock_values(clock),
        )
        return [record.at for record in found]

    async def count_cut_off(self, base_url: str, budget: str | None) -> int:
        """Return how many requests by a budget were in flight when their processes died.

        The next start takes them to have ended then, in doubt; see `recent_ends` for both values.
        """
        return await self.count("count_cut_off", base_url=base_url, budget=budget)

    async def _ages_s(self, run: Run, start: int, clock: Clock) -> tuple[float, ...]:
        """Return how long ago those requests ended that the limits of a start may count.

        None where hosts share a journal: to look through all that they ever did takes too long.
        """
        windows = parse_windows(run.limits)
        if not windows or isinstance(self.place, Database):
            return ()
        since = clock() - max(window.period_s for window in windows)
        linger_s = float(str(run.settings.get("timeout_s", 0.0)))
        budgets = [budget for (budget,) in await self.fetch("budgets_of_start", start=start)]
        ends = [
            await self.recent_ends(run.base_url, since, clock, linger_s, budget)
            for budget in budgets or [None]
        ]
        now = clock()
        return tuple(now - end for end in chain.from_iterable(ends))


def _pausing(pause: Record, now: float, accounts: Accounts) -> Pausing:
    left_s = None if pause.until_at is None else max(0.0, pause.until_at - now)
    return Pausing(pause.reason, left_s, accounts)


def _skip(code: str, what: str, first_at: str, last_at: str, orders: int) -> Reason:
    message = what
    if code == SkipReason.COOLDOWN:
        first, last = (at[:16].replace("T", " ") for at in (first_at, last_at))
        message = f"sent {first if first == last else f'{first} to {last}'} UTC by run {what}"
    return Reason(RequestStatus.SKIPPED, None, code, message, 1, orders)
