"""The circuit breaker: what an answer means for all requests of a key. Events in, actions out.

Pure: no clock and no I/O. Times are seconds of any one clock, and come with each event. The `Gate`
keeps the clock, and the line of those who wait.

**When it opens.** One failure among answers is an order's, or chance. Twenty in the order of
leaving, with no good answer in between, are neither: of three requests in five that fail at random,
a run of a thousand meets that once in fifty times. Losses, and answers of proxies, weigh more
(`streak`). A 429 pauses all where it names a time (Retry-After), or where half of the
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
from dataclasses import replace
from math import inf

from batch_resend.clock import format_duration
from batch_resend.model import FaultKind, Ruling, Verdict
from batch_resend.sending.history import Action, Advice, Answer, Change, Flow, Permit, Streak

FIRST_PAUSE_S = 1.0
FIRST_PAUSE_OF_ROBOTS_S = 5.0  # by a page: a CDN may take this host for one
SHORTEST_PAUSE_S = 1.0  # when the CA itself names a time
LONGEST_PAUSE_S = 60.0
PROBES = (5, 3, 2, 1)  # after the first pause, the second ..; one after all others
RECENT = 10  # answers: with so many of them 429,
MOST_LIMITED = 5  # a limit is reached
FREE_LIMITED = 3  # answers of 429 cost an order nothing, though others pass meanwhile
FEW_ORDERS = 20  # no more, and none left beside them, may be in trouble by themselves
FREE_FOR_FEW_S = 240.0  # how long they are given the benefit of the doubt, where no canary tells
DENIALS = 5  # so many 403 in a row, none accepted before: it is the key, not an order
# Of an answer that is not the CA's: where the CA is, there would be one of its own. Other than 403
# and 406, with which proxies and CDNs block what they take for a robot, for a while.
NO_CA_HERE = frozenset((*range(200, 400), 401, 404, 405, 407, 501, 511))

_COUNTED = Action(Advice.COUNT)
_OF_ALL = frozenset((Ruling.HOPELESS, Ruling.KEY_REFUSED))  # no request will fare better
_ANSWERED = frozenset((Ruling.ACCEPTED, Ruling.REFUSED))


class CircuitBreaker:
    """Decides when requests may leave, and whose trouble an answer is."""

    def __init__(self, patience_s: float, few_orders: int = FEW_ORDERS) -> None:
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
        self._is_limited = False  # since requests did not flow: a smaller part is taken
        self._trouble_since: float | None = None
        self._good_left_at = -inf  # when the last request left that was answered well
        self._accepted_any = False
        self._denials = 0
        self._is_tail = False  # all that wait have failed, and they are few
        self._canary_is_due = False
        self._canary_is_there = True
        self._canary_failed = False  # since the last good answer

    # --- leaving ----------------------------------------------------------------------------

    def free(self, now: float) -> float:
        """Return how many permits there are now: infinitely many while requests flow."""
        if self.flow is Flow.FLOWING:
            return inf
        if self.flow is Flow.PAUSED and now < self.paused_until:
            return 0
        return self._probes

    def permit(self, *, has_failed: bool, may_ask: bool) -> Permit:
        """Give one of the permits that there are.

        `has_failed`: so has its order, and all that wait; `may_ask`: a canary may go in its place.
        """
        if self.flow is Flow.FLOWING:
            return Permit(self._epoch)
        self._probing += 1
        self._probes -= 1
        if self._probing == 1:
            self._is_tail = has_failed and len(self._streak.orders) <= self._few_orders
        is_canary = may_ask and self._probing == 1 and self._wants_canary()
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
        """Take in what came of a request; return what to do."""
        verdict = answer.verdict
        is_first = self.flow is Flow.OPENING
        if verdict.ruling in _OF_ALL or (is_first and _is_wrong_address(verdict)):
            return Action(Advice.STOP)
        if verdict.ruling in _ANSWERED:
            return self._answered(answer)
        if verdict.ruling is Ruling.RATE_LIMITED:
            return self._rate_limited(answer)
        return self._failed(answer)

    def record_canary(self, permit: Permit, verdict: Verdict, now: float) -> Action:
        """Take in what came of a canary. What stops a run, a mail is to show."""
        if verdict.ruling in _ANSWERED:
            return Action(Advice.AGAIN, self._passed(permit))
        if verdict.ruling in _OF_ALL:
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
            return Action(Advice.STOP if self._denials >= DENIALS else Advice.COUNT)
        self._denials = 0
        self._accepted_any |= verdict.ruling is Ruling.ACCEPTED
        change = self._passed(answer.permit)
        return _COUNTED if change is Change.NOTHING else Action(Advice.COUNT, change)

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
        self._pauses, self._trouble_since = 0, None
        self._canary_is_due = self._canary_failed = False
        self._recent.clear()
        self._is_limited = False
        return change

    def _rate_limited(self, answer: Answer) -> Action:
        """Take in a 429."""
        permit, history, verdict = answer.permit, answer.history, answer.verdict
        first_at = history.limited_at
        if (
            first_at is not None
            and history.limited >= FREE_LIMITED
            and first_at < self._good_left_at
        ):
            # Others have passed since: it is this order that gets them.
            self.give_back(permit)
            return Action(Advice.COUNT)
        self._recent.append(answer.order)
        self._streak.failed(permit.number, answer.order, verdict.ruling)
        action = Action(Advice.AGAIN, is_limited=self._meets_a_limit())
        if permit.epoch != self._epoch:
            return self._prolong(answer, action)
        if self.flow is Flow.PAUSED:
            return self._probe_failed(answer, action)
        if verdict.retry_after_s is not None or self._limited_of() >= MOST_LIMITED:
            self._close(permit)
            return self._pause(verdict, answer.at, action)
        self.give_back(permit)
        return Action(Advice.WAIT)

    def _limited_of(self) -> int:
        """Return how many of the last answers were 429."""
        return len(self._recent) - self._recent.count(None)

    def _meets_a_limit(self) -> bool:
        """Whether so many are 429 that the windows are taken for smaller: once for each pause.

        Those of one order alone may be that order's own affair.
        """
        orders = {order for order in self._recent if order is not None}
        if self._is_limited or self._limited_of() < MOST_LIMITED or len(orders) == 1:
            return False
        self._is_limited = True
        return True

    def _failed(self, answer: Answer) -> Action:
        """Take in that a request failed, by the CA, by what stands before it, or by itself."""
        permit, verdict, order = answer.permit, answer.verdict, answer.order
        self._recent.append(None)
        failed_at = answer.history.failed_at
        # It failed before, one that left since has passed, it fails again: its own affair.
        is_own = failed_at is not None and failed_at < self._good_left_at
        if not is_own:
            self._streak.failed(permit.number, order, verdict.ruling)
        is_foreign = verdict.ruling is Ruling.BLOCKED  # it says nothing of the order
        # Unless it comes to one order alone, where others have had the CA's answers.
        is_own |= is_foreign and self._good_left_at > -inf and self._streak.orders <= {order}
        opens = not is_own and (self._streak.is_outage or _closes_for_all(verdict))
        if is_own or (is_assumed := self._has_waited_long_for_few(answer.at)):
            self.give_back(permit)
            change = Change.NOTHING
            if not is_own and is_assumed and self.flow is Flow.PAUSED:
                self._good_left_at = answer.at
                self._streak.passed(self._left)
                change = self._flow_again()
            return Action(Advice.COUNT, change)
        is_sure = verdict.ruling is not Ruling.IN_DOUBT
        is_free = is_foreign or ((opens or self.flow is Flow.PAUSED) and is_sure)
        advice = Advice.AGAIN if is_free else Advice.COUNT
        if permit.epoch != self._epoch:
            return Action(advice)
        if self.flow is Flow.PAUSED:
            return self._probe_failed(answer, Action(advice))
        if opens:
            self._close(permit)
            return self._pause(verdict, answer.at, Action(advice))
        self.give_back(permit)
        return Action(advice)

    def _has_waited_long_for_few(self, now: float) -> bool:
        """Whether a few orders have been in trouble for so long that it is taken for theirs."""
        if self._trouble_since is None or self._canary_failed or not self._is_tail:
            return False
        return now - self._trouble_since >= FREE_FOR_FEW_S

    # --- pauses -----------------------------------------------------------------------------

    def _probe_failed(self, answer: Answer, action: Action) -> Action:
        """Pause again once all probes have failed, or at once where one names a time."""
        verdict = answer.verdict
        is_limited = verdict.ruling is Ruling.RATE_LIMITED
        names_time = is_limited and verdict.retry_after_s is not None
        self._close(answer.permit)
        self._probes = 0
        if self._probing and not (names_time or _closes_for_all(verdict)):
            return self._noted(action)
        return self._pause(verdict, answer.at, action)

    def _pause(self, verdict: Verdict, now: float, action: Action) -> Action:
        """Let nothing leave for a while, or give up when that is beyond the user's patience."""
        pause_s = self._pause_s(verdict)
        self.reason = f"{_trouble(verdict)} ({verdict.error_message or verdict.error_code})"
        change = Change.PROLONGS
        if self.flow is not Flow.PAUSED:
            change, self._is_limited = Change.BEGINS, action.is_limited
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
        if self._trouble_since is None:
            self._trouble_since = now
        if self._is_beyond_patience(now, pause_s):
            self.reason = (
                f"{self.reason}, for {format_duration(now - self._trouble_since)}; the next try "
                f"would be in {format_duration(pause_s)}, beyond the patience of "
                f"{format_duration(self._patience_s)}"
            )
            return Action(Advice.STOP)
        self.paused_until = now + pause_s
        return action

    def _is_beyond_patience(self, now: float, pause_s: float) -> bool:
        since = now if self._trouble_since is None else self._trouble_since
        return now + pause_s > since + self._patience_s


def _is_wrong_address(verdict: Verdict) -> bool:
    """Whether a first answer, or its absence, shows that the CA is not at the URL."""
    if verdict.ruling is Ruling.BLOCKED:
        return verdict.http_status in NO_CA_HERE
    return verdict.error_code in (FaultKind.NO_SUCH_HOST, FaultKind.TLS_REFUSED)


def _closes_for_all(verdict: Verdict) -> bool:
    """Whether an answer names a time before which no request will pass.

    What stands before the CA does, with any; the service itself where it is closed for long: for
    less, the order alone waits.
    """
    wait_s = verdict.retry_after_s
    if wait_s is None:
        return False
    is_closed = verdict.http_status == 503 and wait_s >= LONGEST_PAUSE_S
    return verdict.ruling is Ruling.BLOCKED or is_closed


def _trouble(verdict: Verdict) -> str:
    """Return what is wrong, for the reason of a pause."""
    if verdict.ruling is Ruling.RATE_LIMITED:
        return "the CA asks for fewer requests"
    if verdict.ruling is Ruling.BLOCKED:
        return f"something before the CA answers in its place, with HTTP {verdict.http_status}"
    return "the CA is in trouble"
