"""When something is attempted again: tenacity, behind one door."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import anyio
from tenacity import AsyncRetrying, Future, RetryCallState, retry_if_result

from batch_resend.model import Outcome, Ruling, Verdict
from batch_resend.sending.breaker_state import Advice

FIRST_SPAN_S = 1.0  # of what is waited between attempts
LONGEST_SPAN_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one attempt has brought."""

    verdict: Verdict
    advice: Advice = Advice.COUNT
    nth: int = 0  # of those that count, or of its 429s; 0: the next may follow at once
    outcome: Outcome | None = None  # of its order, where that is settled: on disk

    @property
    def counts(self) -> bool:
        """Whether it counts against the budget; what concerns the whole run does not."""
        return self.advice in (Advice.COUNT, Advice.STOP)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A budget of attempts and of time.

    Between attempts it waits for a random share of an exponentially growing span (full jitter), or
    for what Retry-After says.
    """

    max_attempts: int
    max_elapsed_s: float
    retry_in_doubt: bool

    def wants_another(self, verdict: Verdict) -> bool:
        """Whether another attempt could change what a verdict says."""
        if verdict.ruling is Ruling.IN_DOUBT:
            return self.retry_in_doubt
        return verdict.ruling in (Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.RATE_LIMITED)

    def retries(self, step: Step) -> bool:
        """Whether there is to be another attempt, as far as the budget allows."""
        return not step.counts or self.wants_another(step.verdict)

    async def carry_on(
        self,
        attempt: Callable[[], Awaitable[Step]],
        elapsed_s: Callable[[], float],
        first: Step | None = None,
        announce: Callable[[Step, float], None] = lambda _step, _wait_s: None,
    ) -> Verdict:
        """Attempt, after the `first`, until a verdict is final or the budget used up; return it.

        `elapsed_s` tells how much of its time is used; `announce` hears of each step that is not
        the last, and of the seconds until the next. Entered only once a first attempt has failed
        where there are many: it costs more than a request does.
        """
        known = [first] if first else []

        async def next_step() -> Step:
            return known.pop() if known else await attempt()

        def is_used_up(state: RetryCallState) -> bool:
            step = _last(state)
            is_late = elapsed_s() + state.upcoming_sleep >= self.max_elapsed_s
            # What stops the run is no order's last attempt: it is left for another start.
            return step.advice is Advice.COUNT and (step.nth >= self.max_attempts or is_late)

        retrying = AsyncRetrying(
            retry=retry_if_result(self.retries),
            stop=is_used_up,
            wait=lambda state: _wait_s(_last(state)),
            sleep=_sleep,
            before_sleep=lambda state: announce(_last(state), state.upcoming_sleep),
            retry_error_callback=_last,
        )
        last: Step = await retrying(next_step)
        return last.verdict


def _last(state: RetryCallState) -> Step:
    outcome = cast("Future", state.outcome)  # there is one whenever tenacity asks
    return cast("Step", outcome.result())


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await anyio.sleep(seconds)


def _wait_s(step: Step) -> float:
    """Return a random share of a span that doubles each time, or what Retry-After says if more."""
    if not step.nth:
        return 0.0
    span_s = min(FIRST_SPAN_S * 2.0 ** min(step.nth - 1, 10), LONGEST_SPAN_S)
    drawn_s = random.uniform(0.0, span_s)  # noqa: S311 - no secret
    return max(drawn_s, step.verdict.retry_after_s or 0.0)
