"""What a world is, as a value: drawn from a seed, made smaller piece by piece, kept as JSON."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from pydantic import TypeAdapter

from batch_resend.windows import dictated_time, parse_windows

SHORTEST_WAIT_S = 1.0


class Kind(StrEnum):
    """A kind of trouble: what happens to a share of connections or requests for a while."""

    NO_ANSWER_OF_DNS = "no_answer_of_dns"  # names do not resolve for now
    UNKNOWN_NAME = "unknown_name"  # the name server says that there is no such host
    CONNECT_REFUSED = "connect_refused"  # no connection is made
    CONNECT_HANGS = "connect_hangs"  # nor is it refused
    CONNECT_LATE = "connect_late"  # it takes most of the timeout, or just all of it
    TLS_REFUSED = "tls_refused"  # a certificate that nobody trusts
    LOST_ON_THE_WAY = "lost_on_the_way"  # the request arrives nowhere; silence
    RESET_BEFORE = "reset_before"  # the request arrives nowhere; the connection is reset
    ARRIVES_LATE = "arrives_late"  # the request arrives once it was given up; silence
    RESET_AFTER = "reset_after"  # the CA acted; the connection is reset
    CLOSED_AFTER = "closed_after"  # the CA acted; the connection is closed without an answer
    SILENT_AFTER = "silent_after"  # the CA acted; silence
    ANSWER_CUT = "answer_cut"  # at any byte; then the connection is closed
    ANSWER_LATE = "answer_late"  # around the timeout, before and after it
    ANSWER_SLOW = "answer_slow"  # most of the timeout
    ANSWER_IN_PIECES = "answer_in_pieces"  # with pauses in between
    GARBAGE = "garbage"  # the CA acted; what comes back is no HTTP
    EXTRA_BYTES = "extra_bytes"  # behind a whole answer
    STALE_CONNECTION = "stale_connection"  # closed by the CA some time after an answer
    RATE_LIMITED = "rate_limited"  # by chance: 429
    KEY_SHARED = "key_shared"  # others use the key, and their share of its limits: beyond it, 429
    ERROR_500 = "error_500"  # the service's own trouble: it did not act
    MAINTENANCE = "maintenance"  # 503 and a page
    GATEWAY_504 = "gateway_504"  # the CA acted; a gateway lost the answer
    CDN_PAGE = "cdn_page"  # 403 and a page of what stands before the CA
    PAGE_200 = "page_200"  # a portal's page in the CA's place
    REDIRECTED = "redirected"  # a portal's
    ERRORS_IN_200 = "errors_in_200"  # a refusal under a status of success
    KEY_REVOKED = "key_revoked"  # the key is no good


class How(StrEnum):
    """What a start is given."""

    SAME = "same"  # the list as it was
    SHUFFLED = "shuffled"  # in another order
    EDITED = "edited"  # one order more, one less
    UNSENT = "unsent"  # unsent.csv of the last report
    RESUME = "resume"  # nothing: `take_up`
    DAMAGED = "damaged"  # the list, damaged on its way
    SWEEP = "sweep"  # nothing: what waits at the CA, of the command's own account
    EXPORTED = "exported"  # the list that `export` makes of what waits there


class Blow(StrEnum):
    """What strikes a process."""

    KILL = "kill"  # -9: what it has written stays
    POWER_LOSS = "power_loss"  # what was not synced may be gone
    FREEZE = "freeze"  # SIGSTOP, a busy host: no turn for a while
    SUSPEND = "suspend"  # the machine sleeps; the loop's clock stands still
    INTERRUPT = "interrupt"  # the first signal: what is in flight is waited for
    CANCEL = "cancel"  # whoever called the library has had enough
    SECOND_PROCESS = "second_process"  # begins at the same journal, while this one stands still
    DISK_FULL = "disk_full"  # a write fails, and all after it
    DISK_ERROR = "disk_error"  # a write or a sync fails, once


OF_DISK = frozenset((Blow.DISK_FULL, Blow.DISK_ERROR))
STANDING_STILL = frozenset((Blow.FREEZE, Blow.SUSPEND, Blow.SECOND_PROCESS))


class On(StrEnum):
    """What a blow waits for; the number of them is beside it."""

    TURN = "turn"  # of the event loop
    LOOK = "look"  # at a clock, by what runs in a turn: directly before it
    ARRIVAL = "arrival"  # of a request at the CA
    ANSWER = "answer"  # in the process's buffer
    WORK = "work"  # done by a thread: a commit, a page read
    WRITE = "write"  # to the journal's files


@dataclass(frozen=True, slots=True)
class Trouble:
    """A time of trouble. Seconds since the world began."""

    kind: Kind
    since_s: float
    until_s: float
    share: float  # of the connections or requests


@dataclass(frozen=True, slots=True)
class Strike:
    """A blow, and when it falls."""

    blow: Blow
    on: On
    count: int
    for_s: float = 0.0  # of those that last
    times: int = 1  # it falls so often, each time after as many


@dataclass(frozen=True, slots=True)
class Start:
    """A process."""

    how: How
    gap_s: float  # since the one before ended
    clock_skew_s: float = 0.0  # of the system's clock, from this start on
    reboot: bool = False
    strikes: tuple[Strike, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """All that happens, but for small change, which the seed deals."""

    seed: str
    orders: int
    rows: int  # at least one an order
    windows: tuple[str, ...]
    latency_s: tuple[float, float]  # each way, when all is well
    timeout_s: float
    concurrency: int
    hold: bool
    max_attempts: int
    patience_s: float
    timers_first: bool
    approved: tuple[tuple[int, float], ...]  # orders that the CA refuses from a moment on
    accounts: int = 0  # that rows name, beside the command's own; the third has the first one's key
    sick: tuple[int, ...] = ()  # orders of which the CA answers every request with its own error
    preflight: bool = False  # the CA is asked about each order before anything is sent
    verify: bool = False  # and afterwards
    troubles: tuple[Trouble, ...] = ()
    starts: tuple[Start, ...] = field(default=(Start(How.SAME, 0.0),))

    @property
    def calm_at(self) -> float:
        """When all troubles are over."""
        return max((trouble.until_s for trouble in self.troubles), default=0.0)

    def as_json(self) -> str:
        """Return it as one line of JSON, which `from_json` reads."""
        return _WORLD.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "World":
        """Return the world that a JSON text has. Raises ValueError."""
        return _WORLD.validate_json(text)


_WORLD = TypeAdapter(World)


# These strike connections; the others, single requests.
OF_CONNECTIONS = frozenset(tuple(Kind)[: tuple(Kind).index(Kind.LOST_ON_THE_WAY)])
# Whose trouble it is: one of them is drawn, and then a kind of it. Of connections a run makes few.
_WHOSE = (
    (*sorted(OF_CONNECTIONS), Kind.CONNECT_LATE),
    (
        Kind.LOST_ON_THE_WAY, Kind.RESET_BEFORE, Kind.ARRIVES_LATE, Kind.RESET_AFTER,
        Kind.CLOSED_AFTER, Kind.SILENT_AFTER,
    ),
    (
        Kind.ANSWER_CUT, Kind.ANSWER_LATE, Kind.ANSWER_SLOW, Kind.ANSWER_IN_PIECES, Kind.GARBAGE,
        Kind.EXTRA_BYTES, Kind.STALE_CONNECTION,
    ),
    (
        Kind.RATE_LIMITED, Kind.RATE_LIMITED, Kind.ERROR_500, Kind.MAINTENANCE,
        Kind.ERRORS_IN_200, Kind.KEY_REVOKED,
    ),
    (Kind.GATEWAY_504, Kind.CDN_PAGE, Kind.PAGE_200, Kind.REDIRECTED),
)  # fmt: skip
_HOWS = (*How, How.SAME, How.SAME, How.RESUME)  # these meet what was cut off
BLOWS = (*Blow, Blow.KILL, Blow.KILL, Blow.POWER_LOSS, Blow.FREEZE)
# Small worlds tell as much, and are many more in a minute; some things need a crowd.
_ORDERS = (1, 2, 2, 3, 3, 3, 5, 5, 5, 8, 8, 13, 13, 21, 34)


def draw(seed: str) -> World:
    """Return the world of a seed.

    A world has a few kinds of trouble, of blows and of clocks, not some of each: so the same things
    meet again and again, in many combinations ("Swarm testing", Groce and others, 2012). How tight
    the windows are goes by the number of orders, and times by how long a run then lasts: what falls
    before or behind a run tells nothing.
    """
    chance = random.Random(f"{seed}/spec")
    orders = chance.choice(_ORDERS)
    windows = draw_windows(chance, orders)
    timeout_s = chance.choice((2.0, 5.0, 30.0))
    fast, slow = sorted(chance.choice((0.001, 0.01, 0.1, 0.15 * timeout_s)) for _ in "12")
    concurrency = chance.choice((1, 2, 8, 32))
    is_calm = chance.random() < 0.05
    longest_s = max((window.period_s for window in parse_windows(windows)), default=0.0)
    lasts_s = dictated_time(orders, parse_windows(windows))
    lasts_s += 0.3 + 4 * slow * (1 + orders / concurrency)
    sick = (chance.randrange(orders),) if not is_calm and chance.random() < 0.15 else ()
    starts = _starts(chance, orders, timeout_s, calm=is_calm)
    troubles = () if is_calm else _troubles(chance, starts, lasts_s)
    if any(trouble.kind is Kind.ARRIVES_LATE for trouble in troubles) and chance.random() < 0.7:
        # The latest of all arrive where nothing strikes a process (`ca.py` says why).
        starts = tuple(replace(start, strikes=()) for start in starts)
    if sick and chance.random() < 0.5:
        troubles = (_outage(chance), *troubles)  # from which the others have to recover
    if not is_calm and chance.random() < 0.15:
        troubles = (*troubles, _others_on_the_key(chance, lasts_s))
    return World(
        seed=seed,
        orders=orders,
        rows=orders + chance.choice((0, 0, 1, orders)),
        windows=windows,
        latency_s=(fast, slow),
        timeout_s=timeout_s,
        concurrency=concurrency,
        hold=chance.random() < 0.3,
        max_attempts=chance.choice((1, 2, 6)),
        # Less than some periods of a window tells only of that.
        patience_s=max(10 * longest_s, chance.choice((30.0, 600.0, 3600.0))),
        timers_first=chance.random() < 0.5,
        approved=() if is_calm else tuple(
            (number, chance.uniform(0.0, 30.0))
            for number in range(orders) if chance.random() < 0.05
        ),
        accounts=chance.choice((0, 0, 0, 0, 1, 2)),
        sick=sick,
        preflight=chance.random() < 0.15,
        verify=chance.random() < 0.15,
        troubles=troubles,
        starts=starts,
    )  # fmt: skip


def draw_windows(chance: random.Random, orders: int) -> tuple[str, ...]:
    """Return windows that a run fills several times over, mostly."""
    if chance.random() < 0.1:
        return ("none",)
    limit = max(1, round(orders * chance.choice((0.15, 0.3, 0.6, 1.5))))
    period_s = chance.choice((1, 3, 10, 60))
    window = f"{limit}/{period_s}s"
    if limit > 2 and chance.random() < 0.4:
        return window, f"{limit // 2}/{period_s / 5:g}s"
    return (window,)


def _starts(
    chance: random.Random, orders: int, timeout_s: float, *, calm: bool
) -> tuple[Start, ...]:
    blows = [chance.choice(BLOWS) for _ in range(chance.choice((1, 2)))]
    is_set = not calm and chance.random() < 0.6
    clocks = (0.0, chance.choice((-3600.0, 3600.0, -5.0, 90_000.0)) if is_set else 0.0)
    starts = []
    for number in range(1 if calm else chance.choice((1, 1, 1, 2, 2, 3, 4))):
        first = number == 0
        how = How.SAME if first and chance.random() < 0.8 else chance.choice(_HOWS)
        strikes: list[Strike] = []
        if not calm and chance.random() < 0.75:
            strikes = [draw_strike(chance, orders, timeout_s, blows)]
        if strikes and chance.random() < 0.2:
            strikes.append(draw_strike(chance, orders, timeout_s, blows))
        gap_s = chance.choice((SHORTEST_WAIT_S, SHORTEST_WAIT_S, 7.0, 100.0, 4000.0))
        starts.append(
            Start(
                how, 0.0 if first else gap_s, chance.choice(clocks),
                not first and chance.random() < 0.2, tuple(strikes),
            )
        )  # fmt: skip
    return _readable_clocks(starts)


def _readable_clocks(starts: Sequence[Start]) -> tuple[Start, ...]:
    """Return starts of which no clock is ahead of one from before the machine was started again.

    There is nothing to know the age of an attempt by, once clocks disagree and the machine was
    started again in between; while it runs on, its steady time tells.
    """
    ceiling_s = inf
    of_this_boot: list[float] = []
    readable: list[Start] = []
    for start in starts:
        if start.reboot:
            ceiling_s, of_this_boot = min(ceiling_s, *of_this_boot), []
        readable.append(replace(start, clock_skew_s=min(start.clock_skew_s, ceiling_s)))
        of_this_boot.append(readable[-1].clock_skew_s)
    return tuple(readable)


def _troubles(
    chance: random.Random, starts: Sequence[Start], lasts_s: float
) -> tuple[Trouble, ...]:
    """Return troubles of a few kinds, each of which begins while some process runs."""
    kinds = [chance.choice(chance.choice(_WHOSE)) for _ in range(chance.choice((1, 1, 2, 3)))]
    troubles = []
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5))):
        number = chance.randrange(len(starts))
        since_s = sum(start.gap_s for start in starts[: number + 1]) + number * lasts_s
        since_s += chance.choice((0.0, chance.uniform(0.0, lasts_s)))
        for_s = chance.choice((0.3 * lasts_s, lasts_s, 10.0 * lasts_s, 600.0))
        share = chance.choice((0.1, 0.3, 0.7, 1.0))
        troubles.append(Trouble(chance.choice(kinds), since_s, since_s + for_s, share))
    return tuple(troubles)


def _others_on_the_key(chance: random.Random, lasts_s: float) -> Trouble:
    """Return others who use the key for a while, or until long after."""
    until_s = lasts_s * chance.choice((1.0, 10.0, 100.0))
    return Trouble(Kind.KEY_SHARED, 0.0, until_s, chance.choice((0.3, 0.7, 0.9, 0.9)))


def _outage(chance: random.Random) -> Trouble:
    kind = chance.choice((Kind.ERROR_500, Kind.MAINTENANCE, Kind.CONNECT_REFUSED))
    since_s = chance.choice((0.0, 1.0, 5.0))
    return Trouble(kind, since_s, since_s + chance.choice((20.0, 60.0)), 1.0)


def draw_strike(
    chance: random.Random, orders: int, timeout_s: float, blows: Sequence[Blow] = BLOWS
) -> Strike:
    """Return a blow, and when it falls, in a world of so many orders."""
    blow = chance.choice(blows)
    is_of_disk = blow in OF_DISK
    # No second one while the first is in SQLite: it would wait for it by the real clock.
    moments = [on for on in On if blow is not Blow.SECOND_PROCESS or on is not On.WRITE]
    on = On.WRITE if is_of_disk else chance.choice((*moments, On.ARRIVAL, On.ANSWER))
    is_lasting = blow in (Blow.FREEZE, Blow.SUSPEND)
    if is_lasting and chance.random() < 0.5:
        on = On.LOOK  # alone these do another thing there than between turns
    most = {
        On.TURN: 60 + 30 * orders,
        On.LOOK: 30 + 15 * orders,
        On.ARRIVAL: orders + 2,
        On.ANSWER: orders + 2,
        On.WORK: 25 + 3 * orders,
        On.WRITE: 120 + 10 * orders,
    }[on]
    if chance.random() < 0.3:
        most = min(most, 40)  # as the process begins, before it has done much
    for_s = timeout_s * chance.choice((0.2, 0.9, 1.1, 1.5, 3.0, 10.0, 100.0))
    times = chance.choice((1, 3, 10)) if is_lasting else 1  # a host may be busy again and again
    return Strike(blow, on, chance.randint(1, most if times == 1 else 40), for_s, times)
