"""Where requests by a key leave: through a gate, within windows. Both learn from an answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from batch_resend.clock import running_time
from batch_resend.model import Ruling, Verdict
from batch_resend.sending.gate import TROUBLE, Advice, Flow, Gate, Passage
from batch_resend.sending.limiter import Limiter

log = logging.getLogger(__name__)

BEFORE_THE_CA = (
    "That answer is not the CA's. Look at what stands before it: your proxy (--trust-env), a rule "
    "for IP addresses in CertCentral's account, the CA's CDN, which may take this host for a robot"
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an answer has changed for all."""

    advice: Advice
    begins_pause: bool
    prolongs_pause: bool
    ends_pause: bool


@dataclass(frozen=True, slots=True)
class Outlet:
    """A gate and a limiter."""

    gate: Gate
    limiter: Limiter

    def learn(
        self,
        passage: Passage,
        order: int,
        verdict: Verdict,
        in_trouble_since: float | None = None,
    ) -> Lesson:
        """Let all others know what an answer says of the CA, before its passage ends.

        As `Gate.tell`; and after a 429 a part of the windows is left to whoever else uses the key.
        """
        gate = self.gate
        was_paused, paused_until = gate.flow is Flow.PAUSED, gate.paused_until
        advice = gate.tell(passage, order, verdict, in_trouble_since)
        begins_pause = not was_paused and gate.flow is Flow.PAUSED
        if begins_pause and verdict.ruling is Ruling.RATE_LIMITED:
            self._decrease()
        is_longer = gate.paused_until > paused_until
        if is_longer:
            self.limiter.hold(gate.paused_until - running_time())
        ends_pause = was_paused and gate.flow is Flow.FLOWING
        return Lesson(advice, begins_pause, is_longer and not begins_pause, ends_pause)

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
