"""What an answer means for all requests of a key: the circuit breaker's decisions, as values.

Pure: no clock and no I/O. Times are seconds of any one clock, and come with each event.
`CircuitBreaker` keeps the clock, and the line of those who wait.

**When it opens.** One failure among answers is an order's, or chance. Twenty in the order of
leaving, with no good answer in between, are neither: of three requests in five that fail at random,
a run of a thousand meets that once in fifty times. Losses, and answers of proxies, weigh more
(`failures`). A 429 pauses all where it names a time (Retry-After), or where half of the
last answers are 429; else only its order waits.

**How it closes.** After a pause a few requests leave, first those of orders that were tried least:
five, after the next pause three, two, and then one. One good answer, and all flows. A pause lasts
twice as long as the one before, up to a minute.

**Whose trouble it is.** An order that fails again, after one that left since has passed, is in
trouble by itself: that costs it its attempts, and pauses nobody. Where only orders are left that
have failed, no mail can tell. Then a harmless read does, the canary: a CA that answers it is up.
Where it cannot be asked, a few orders are taken for the CA's trouble for some minutes, and then for
their own.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from math import inf

from batch_resend.model import SETTLING, Ruling, Verdict
from batch_resend.sending.failures import (
    CLOSED_FOR_LONG_S,
    History,
    Streak,
    closes_for_all,
    in_words,
    is_wrong_address,
)
from batch_resend.windows import beyond_patience

FIRST_PAUSE_S = 1.0
FIRST_PAUSE_OF_ROBOTS_S = 5.0  # by a page: a CDN may take this host for one
SHORTEST_PAUSE_S = 1.0  # when the CA itself names a time
LONGEST_PAUSE_S = CLOSED_FOR_LONG_S
PROBES = (5, 3, 2, 1)  # after the first pause, the second ..; one after all others
RECENT = 10  # answers: with so many of them 429,
MOST_LIMITED = 5  # a limit is reached
FREE_LIMITED = 3  # answers of 429 cost an order nothing, though others pass meanwhile
FEW_ORDERS = 20  # no more, and none left beside them, may be in trouble by themselves
FREE_FOR_FEW_S = 240.0  # how long they are given the benefit of the doubt, where no canary tells
DENIALS = 5  # so many 403 in a row, none accepted before: it is the key, not an order

_OF_ALL = frozenset((Ruling.HOPELESS, Ruling.KEY_REFUSED))  # no request will fare better


class Flow(Enum):
    """How requests may leave."""

    OPENING = "opening"  # one at a time, until one gets through
    FLOWING = "flowing"  # as the windows allow
    PAUSED = "paused"  # none until the pause is over, then a few


class Advice(Enum):
    """What to do after an answer."""

    COUNT = "count"  # the order's own affair: its attempt counts
    AGAIN = "again"  # the run's affair: the attempt costs the order nothing
    WAIT = "wait"  # the same, but the order alone waits for a while
    STOP = "stop"  # nothing of this run will pass


class Change(Enum):
    """What an answer changes for all."""

    NOTHING = "nothing"
    BEGINS = "begins"  # a pause
    PROLONGS = "prolongs"  # the pause that there is
    ENDS = "ends"  # the pause


@dataclass(frozen=True, slots=True)
class Action:
    """What to do after an answer, and what it changes for all."""

    advice: Advice
    change: Change = Change.NOTHING
    is_limited: bool = False  # the windows are smaller than thought: take a smaller part of them


COUNTED = Action(Advice.COUNT)


@dataclass(eq=False, slots=True)
class Permit:
    """Leave for one request."""

    epoch: int
    is_probe: bool = False
    is_canary: bool = False  # a harmless read is to leave in the place of a mail
    number: int = 0  # in the order of leaving; 0: it has not left
    left_at: float = -inf
    is_open: bool = True  # nothing is known yet of what became of it


@dataclass(frozen=True, slots=True)
class Answer:
    """An event: what came of a request."""

    permit: Permit
    verdict: Verdict
    at: float
    history: History  # before this answer


class BreakerState:
    """Decides when requests may leave, and whose trouble an answer is."""

    def __init__(self, patience_s: float, few_orders: int, *, has_canary: bool) -> None:
        self.flow = Flow.OPENING
        self.paused_until = 0.0  # holds while PAUSED
        self.reason: str | None = None  # why requests do not flow, or why to stop
        self._patience_s = patience_s
        self._few_orders = max(few_orders, FEW_ORDERS)
        self._epoch = 0  # counts pauses: answers to what left before one do not prolong it
        self._pauses = 0  # in a row
        self._probes = 1  # that may still leave
        self._probing = 0  # that have not been answered
        self._left = 0  # requests
        self._streak = Streak()
        self._recent: deque[int | None] = deque(maxlen=RECENT)  # answers; of 429 whose it was
        self.is_limited = False  # since requests did not flow: a smaller part is taken
        self._trouble_since = inf
        self._good_left_at = -inf  # when the last request left that was answered well
        self._theirs_since = -inf  # what had failed by then is its order's affair, passes or not
        self._accepted_any = False
        self._denials = 0
        self._is_tail = False  # all that wait have failed, and they are few
        self._canary_is_due = False
        self._canary_is_there = has_canary
        self._canary_failed = False  # since the last good answer

    @property
    def has_answered(self) -> bool:
        """Whether the CA has answered anything well."""
        return self._good_left_at > -inf

    # --- leaving ----------------------------------------------------------------------------

    def free(self, now: float) -> float:
        """Return how many permits there are now: infinitely many while requests flow."""
        if self.flow is Flow.FLOWING:
            return inf
        if self.flow is Flow.PAUSED and now < self.paused_until:
            return 0
        return self._probes

    def permit(self, *, has_failed: bool) -> Permit:
        """Give one of the permits that there are. `has_failed`: its order, and all that wait."""
        if self.flow is Flow.FLOWING:
            return Permit(self._epoch)
        self._probing += 1
        self._probes -= 1
        if self._probing == 1:
            self._is_tail = has_failed and len(self._streak.orders) <= self._few_orders
        is_canary = self._probing == 1 and self._wants_canary()
        if is_canary:
            self._probes = 0  # what it says, it says of all
        return Permit(self._epoch, is_probe=True, is_canary=is_canary)

    def leaves(self, permit: Permit, now: float) -> bool:
        """Whether its request may leave still; it does so now."""
        is_probe = permit.is_probe and permit.epoch == self._epoch
        is_pause = self.flow is Flow.PAUSED and now < self.paused_until  # it may be longer by now
        if self.flow is not Flow.FLOWING and (is_pause or not is_probe):
            return False
        self._left += 1
        permit.epoch, permit.number, permit.left_at = self._epoch, self._left, now
        return True

    def give_back(self, permit: Permit) -> None:
        """Take back a permit whose request did not leave, or has said nothing of the CA."""
        if self._close(permit):
            self._probes += 1

    def _close(self, permit: Permit) -> bool:
        """Note that a permit is used; return whether it was a probe of now."""
        is_probe = permit.is_probe and permit.is_open and permit.epoch == self._epoch
        permit.is_open = False
        if is_probe:
            self._probing -= 1
        return is_probe and self.flow is not Flow.FLOWING

    def _wants_canary(self) -> bool:
        """Whether only a canary can tell."""
        if not (self._canary_is_there and self._is_tail and self.flow is Flow.PAUSED):
            return False
        # Every other time: mails have to have failed, and it may be that only the canary is ill.
        self._canary_is_due = not self._canary_is_due
        return not self._canary_is_due

    # --- answers ----------------------------------------------------------------------------

    def record(self, answer: Answer) -> Action:
        """Take in what came of a request; return what to do. Its history is kept up."""
        action = self._action(answer)
        answer.history.add(answer.verdict.ruling, answer.at)
        return action

    def _action(self, answer: Answer) -> Action:
        verdict = answer.verdict
        is_first = self.flow is Flow.OPENING
        if verdict.ruling in _OF_ALL or (is_first and is_wrong_address(verdict)):
            return Action(Advice.STOP)
        if verdict.ruling in SETTLING:
            return self._answered(answer)
        if verdict.ruling is Ruling.RATE_LIMITED:
            return self._rate_limited(answer)
        return self._failed(answer)

    def record_canary(self, permit: Permit, verdict: Verdict, now: float) -> Action:
        """Take in what came of a canary: any key may ask it, so one that is refused is no good."""
        if verdict.ruling is Ruling.KEY_REFUSED:
            return Action(Advice.STOP)
        if verdict.ruling in SETTLING:
            return Action(Advice.AGAIN, self._passed(permit))
        if verdict.ruling is Ruling.HOPELESS:  # a mail is to show that
            self._canary_is_there = False
            self.give_back(permit)
            return Action(Advice.AGAIN)
        self._canary_failed = True
        if not self._close(permit):
            return Action(Advice.AGAIN)
        if self._is_beyond_patience(now, self._pause_s(verdict)):
            self._probes = 1
            return Action(Advice.AGAIN)
        return self._pause(verdict, now, Action(Advice.AGAIN))

    def _answered(self, answer: Answer) -> Action:
        verdict = answer.verdict
        self._recent.append(None)
        if verdict.http_status == 403 and not self._accepted_any:
            self._denials += 1
            self.give_back(answer.permit)
            return Action(Advice.STOP) if self._denials >= DENIALS else COUNTED
        self._denials = 0
        self._accepted_any |= verdict.ruling is Ruling.ACCEPTED
        change = self._passed(answer.permit)
        return COUNTED if change is Change.NOTHING else Action(Advice.COUNT, change)

    def _passed(self, permit: Permit) -> Change:
        """Take in that the CA is at work."""
        is_current = permit.epoch == self._epoch
        self._close(permit)
        self._streak.passed(permit.number)
        self._good_left_at = max(self._good_left_at, permit.left_at)
        if not is_current or self.flow is Flow.FLOWING:
            return Change.NOTHING
        return self._flow_again()

    def _flow_again(self) -> Change:
        change = Change.ENDS if self.flow is Flow.PAUSED else Change.NOTHING
        self.flow, self.reason = Flow.FLOWING, None
        self._pauses, self._trouble_since = 0, inf
        self._canary_is_due = self._canary_failed = False
        self._recent.clear()
        self.is_limited = False
        return change

    def _rate_limited(self, answer: Answer) -> Action:
        """Take in a 429."""
        history, verdict = answer.history, answer.verdict
        if history.limited >= FREE_LIMITED and history.limited_at < self._good_left_at:
            # Others have passed since: it is this order that gets them.
            self.give_back(answer.permit)
            return COUNTED
        self._recent.append(history.order)
        self._streak.failed(answer.permit.number, history.order, verdict.ruling)
        opens = verdict.retry_after_s is not None or self._limited_of() >= MOST_LIMITED
        action = Action(Advice.AGAIN, is_limited=self._meets_a_limit())
        return self._heed(answer, action, opens=opens)

    def _limited_of(self) -> int:
        """Return how many of the last answers were 429."""
        return len(self._recent) - self._recent.count(None)

    def _meets_a_limit(self) -> bool:
        """Whether so many are 429 that the windows are taken for smaller: once for each pause.

        Those of one order alone may be that order's own affair.
        """
        orders = {order for order in self._recent if order is not None}
        if self.is_limited or self._limited_of() < MOST_LIMITED or len(orders) == 1:
            return False
        self.is_limited = True
        return True

    def _failed(self, answer: Answer) -> Action:
        """Take in that a request failed, by the CA, by what stands before it, or by itself."""
        permit, verdict, order = answer.permit, answer.verdict, answer.history.order
        self._recent.append(None)
        # It failed before, one that left since has passed, it fails again: its own affair.
        is_own = answer.history.failed_at < max(self._good_left_at, self._theirs_since)
        if not is_own:
            self._streak.failed(permit.number, order, verdict.ruling)
        is_foreign = verdict.ruling is Ruling.BLOCKED  # it says nothing of the order
        # Unless it comes to one order alone, where others have had the CA's answers.
        is_own |= is_foreign and self._good_left_at > -inf and self._streak.orders <= {order}
        if is_own:
            self.give_back(permit)
            return COUNTED
        if self._has_waited_long_for_few(answer.at):
            self.give_back(permit)
            if self.flow is not Flow.PAUSED:
                return COUNTED
            self._theirs_since = answer.at
            self._streak.passed(self._left)
            return Action(Advice.COUNT, self._flow_again())
        opens = self._streak.is_outage or closes_for_all(verdict)
        is_sure = verdict.ruling is not Ruling.IN_DOUBT
        is_free = is_foreign or ((opens or self.flow is Flow.PAUSED) and is_sure)
        action = Action(Advice.AGAIN if is_free else Advice.COUNT)
        return self._heed(answer, action, opens=opens)

    def _heed(self, answer: Answer, action: Action, *, opens: bool) -> Action:
        """Pause all where a bad answer is a reason to (`opens`), or is to a probe."""
        is_limited = answer.verdict.ruling is Ruling.RATE_LIMITED
        if answer.permit.epoch != self._epoch:
            return self._prolong(answer, action) if is_limited else action
        if self.flow is Flow.PAUSED:
            return self._probe_failed(answer, action)
        if opens:
            self._close(answer.permit)
            return self._pause(answer.verdict, answer.at, action)
        self.give_back(answer.permit)
        return Action(Advice.WAIT) if is_limited else action

    def _has_waited_long_for_few(self, now: float) -> bool:
        """Whether a few orders have been in trouble for so long that it is taken for theirs."""
        is_long = now - self._trouble_since >= FREE_FOR_FEW_S
        return is_long and self._is_tail and not self._canary_failed

    # --- pauses -----------------------------------------------------------------------------

    def _probe_failed(self, answer: Answer, action: Action) -> Action:
        """Pause again once all probes have failed, or at once where one names a time."""
        verdict = answer.verdict
        is_limited = verdict.ruling is Ruling.RATE_LIMITED
        names_time = is_limited and verdict.retry_after_s is not None
        self._close(answer.permit)
        self._probes = 0
        if self._probing and not (names_time or closes_for_all(verdict)):
            return self._noted(action)
        return self._pause(verdict, answer.at, action)

    def _pause(self, verdict: Verdict, now: float, action: Action) -> Action:
        """Let nothing leave for a while, or give up when that is beyond the user's patience."""
        pause_s = self._pause_s(verdict)
        self.reason = in_words(verdict)
        change = Change.PROLONGS
        if self.flow is not Flow.PAUSED:
            change, self.is_limited = Change.BEGINS, action.is_limited
        self.flow = Flow.PAUSED
        self._epoch += 1
        self._pauses += 1
        self._probes, self._probing = PROBES[min(self._pauses, len(PROBES)) - 1], 0
        return self._wait(pause_s, now, replace(action, change=change))

    def _pause_s(self, verdict: Verdict) -> float:
        if verdict.retry_after_s is not None:
            return max(verdict.retry_after_s, SHORTEST_PAUSE_S)
        is_foreign = verdict.ruling is Ruling.BLOCKED
        first_s = FIRST_PAUSE_OF_ROBOTS_S if is_foreign else FIRST_PAUSE_S
        return min(first_s * 2.0 ** min(self._pauses, 10), LONGEST_PAUSE_S)

    def _prolong(self, answer: Answer, action: Action) -> Action:
        """Take in what a 429 to something that left before the pause asks for."""
        asked_s = answer.verdict.retry_after_s or 0.0
        if self.flow is not Flow.PAUSED:
            return replace(action, advice=Advice.WAIT)
        if answer.at + asked_s > self.paused_until:
            return self._wait(asked_s, answer.at, replace(action, change=Change.PROLONGS))
        return self._noted(action)

    def _noted(self, action: Action) -> Action:
        """Return an action during a pause: a limit that is met is written down with the pause."""
        return replace(action, change=Change.PROLONGS) if action.is_limited else action

    def _wait(self, pause_s: float, now: float, action: Action) -> Action:
        self._trouble_since = min(self._trouble_since, now)
        if self._is_beyond_patience(now, pause_s):
            since_s = now - self._trouble_since
            self.reason = beyond_patience(self.reason or "", since_s, pause_s, self._patience_s)
            return Action(Advice.STOP)
        self.paused_until = now + pause_s
        return action

    def _is_beyond_patience(self, now: float, pause_s: float) -> bool:
        return now + pause_s > min(self._trouble_since, now) + self._patience_s
