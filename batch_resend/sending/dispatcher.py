"""Where requests by a key leave: through a gate, within windows. Both learn from an answer."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from batch_resend.clock import running_time
from batch_resend.model import Ruling, Verdict
from batch_resend.sending.events import TROUBLE, Action, Change, History, Permit
from batch_resend.sending.gate import Gate
from batch_resend.sending.limiter import Limiter, Slot

log = logging.getLogger(__name__)

BEFORE_THE_CA = (
    "That answer is not the CA's. Look at what stands before it: your proxy (--trust-env), a rule "
    "for IP addresses in CertCentral's account, the CA's CDN, which may take this host for a robot"
)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """A gate and a limiter."""

    gate: Gate
    limiter: Limiter
    places: AbstractAsyncContextManager[object]  # of requests in flight

    @asynccontextmanager
    async def way(
        self, tried: int, history: History, *, may_ask: bool = False
    ) -> AsyncIterator[tuple[Permit, Slot]]:
        """Wait until a request of an order may leave, which it then must at once.

        The gate comes first: who waits at it holds neither a place nor a slot. A pause that begins
        while it waits for these sends it back to the line.
        """
        while True:
            has_failed = history.has_failed
            permit = await self.gate.permit(tried, has_failed=has_failed, may_ask=may_ask)
            try:
                async with self.places, self.limiter.slot() as slot:
                    if self.gate.leaves(permit):
                        yield permit, slot
                        return
                    slot.unused()
            finally:
                self.gate.give_back(permit)

    def feedback(self, permit: Permit, order: int, verdict: Verdict, history: History) -> Action:
        """Let all others know what an answer says of the CA, before its passage ends.

        As `Gate.record`; and where a limit was reached sooner than it should be, a part of the
        windows is left to whoever else uses the key.
        """
        return self._heed(self.gate.record(permit, order, verdict, history))

    def canary_feedback(self, permit: Permit, verdict: Verdict) -> Action:
        """Let all others know what the answer to a canary says."""
        return self._heed(self.gate.record_canary(permit, verdict))

    def _heed(self, action: Action) -> Action:
        if action.is_limited:
            self._decrease()
        if action.change in (Change.BEGINS, Change.PROLONGS):
            self.limiter.hold(self.gate.paused_until - running_time(), self.gate.reason or "")
        return action

    def _decrease(self) -> None:
        if windows := self.limiter.decrease():
            log.warning(
                "others use this key, or its limit is lower than told: from now on %s, and more "
                "again as time goes by",
                " and ".join(map(str, windows)),
            )

    def why_stop(self, verdict: Verdict, explain: Callable[[Verdict], str]) -> str:
        """Return why an answer stops all that go by this key, and what a person can do."""
        is_of_gate = verdict.ruling in TROUBLE or verdict.ruling is Ruling.RATE_LIMITED
        reason = self.gate.reason if is_of_gate else None
        if reason and verdict.ruling is Ruling.BLOCKED:
            return f"{reason}. {BEFORE_THE_CA}"
        return reason or explain(verdict)
