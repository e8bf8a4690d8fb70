"""When an order is tried again: tenacity, behind one door.

An order's budget is bounded by attempts and by time. Between attempts it waits for a random
share of an exponentially growing span (full jitter), or for what Retry-After says.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import anyio
from tenacity import AsyncRetrying, Future, RetryCallState, retry_if_result, wait_random_exponential

from batch_resend.model import Ruling, Verdict

FIRST_SPAN_S = 1.0
LONGEST_SPAN_S = 60.0

_backoff = wait_random_exponential(multiplier=FIRST_SPAN_S, max=LONGEST_SPAN_S)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """An order's budget, and which verdicts are worth another attempt."""

    max_attempts: int
    max_elapsed_s: float
    retry_in_doubt: bool

    def wants_another(self, verdict: Verdict) -> bool:
        """Whether another attempt could change what a verdict says."""
        if verdict.ruling is Ruling.IN_DOUBT:
            return self.retry_in_doubt
        return verdict.ruling in (Ruling.UNAVAILABLE, Ruling.BLOCKED, Ruling.RATE_LIMITED)

    async def carry_on(
        self,
        first: Verdict | None,
        elapsed_s: Callable[[], float],
        attempt: Callable[[], Awaitable[Verdict]],
        announce: Callable[[Verdict, float], None] | None = None,
    ) -> Verdict:
        """Attempt again after a `first` verdict until one is final or the budget is used up.

        Without one, no attempt has counted yet.
        `elapsed_s` tells how much of its time the order has had; `announce` is told of each verdict
        that is not the last, and of the seconds until the next attempt. Returns the last verdict.
        Entered only once a first attempt has failed: it costs more than a request does.
        """
        known = [first] if first else []

        async def next_verdict() -> Verdict:
            return known.pop() if known else await attempt()

        def used_up(state: RetryCallState) -> bool:
            out_of_time = elapsed_s() + state.upcoming_sleep >= self.max_elapsed_s
            return state.attempt_number >= self.max_attempts or out_of_time

        def tell(state: RetryCallState) -> None:
            if announce is not None:
                announce(_last_verdict(state), state.upcoming_sleep)

        retrying = AsyncRetrying(
            retry=retry_if_result(self.wants_another),
            stop=used_up,
            wait=_wait_s,
            sleep=anyio.sleep,
            before_sleep=tell,
            retry_error_callback=_last_verdict,
        )
        verdict: Verdict = await retrying(next_verdict)
        return verdict


def _backoff_s(span_s: float) -> float:
    return random.uniform(0.0, span_s)  # noqa: S311 - no secret


def limited_wait_s(limited: int, verdict: Verdict) -> float:
    """Return the seconds that an order waits alone after its so many-th 429, which costs nothing.

    As between attempts, though it is none that counts.
    """
    span_s = min(FIRST_SPAN_S * 2.0 ** min(limited - 1, 10), LONGEST_SPAN_S)
    return max(_backoff_s(span_s), verdict.retry_after_s or 0.0)


def _last_verdict(state: RetryCallState) -> Verdict:
    outcome = cast("Future", state.outcome)  # there is one whenever tenacity asks
    return cast("Verdict", outcome.result())


def _wait_s(state: RetryCallState) -> float:
    """Return the seconds to wait before the next attempt."""
    return max(_backoff(state), _last_verdict(state).retry_after_s or 0.0)
