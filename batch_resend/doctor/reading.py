"""Reads of the CA for the doctor: one try each, counted in the key's rate limits as any request.

Not `sending.Fetcher`, which waits out pauses and tries again: here a failure is what is looked for.
"""

import logging
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from math import isfinite

import anyio

from batch_resend.channels import Channel
from batch_resend.clock import Clock
from batch_resend.doctor.answers import Answer, Failed, Trouble
from batch_resend.durations import format_duration
from batch_resend.journal import ReadRecorder
from batch_resend.model import Ruling
from batch_resend.sending import HeldTooLong, Slot

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 10.0  # for a slot of the rate limits


class LimitsFull(Exception):
    """The rate limits of the key let no request leave soon: a run has used them up."""

    def __init__(self, for_s: float) -> None:
        """Take how many seconds no request can leave, as far as is known."""
        super().__init__(for_s)
        known = f" for another {format_duration(for_s)}" if isfinite(for_s) else " for a while"
        self.failed = Failed(
            Trouble.TOO_MANY,
            f"the rate limits of this key let no request leave{known}: a run has used them up",
            "Run this again then.",
        )


@dataclass(slots=True)
class Reads:
    """Reads by one key."""

    channel: Channel
    recorder: ReadRecorder
    clock: Clock
    made: int = 0

    async def get(self, path: str) -> Answer:
        """Read what the CA has at a path below the base URL, in one try.

        Raises LimitsFull, JournalError.
        """
        async with AsyncExitStack() as stack:
            slot = await self._slot(stack)
            number = await self.recorder.begin(self.clock())
            self.made += 1
            is_doubtful = True  # until an answer says otherwise: it may still arrive
            try:
                sent_at = self.clock()
                result = await self.channel.ca.get(path)
                verdict = self.channel.ca.judge(result)
                is_doubtful = verdict.ruling is Ruling.IN_DOUBT
            finally:
                if not is_doubtful:
                    slot.answered()
                with anyio.CancelScope(shield=True):
                    await self.recorder.end(number, self.clock(), in_doubt=is_doubtful)
        log.debug(
            "read %s", path, extra={"http_status": verdict.http_status, "said": verdict.summary}
        )
        return Answer(result, verdict, sent_at)

    async def _slot(self, stack: AsyncExitStack) -> Slot:
        """Take a slot, to be given back when `stack` ends. Raises LimitsFull."""
        limiter = self.channel.limiter
        if limiter.full_for_s <= LONGEST_WAIT_S:
            with suppress(HeldTooLong), anyio.move_on_after(LONGEST_WAIT_S):
                return await stack.enter_async_context(limiter.slot())
        raise LimitsFull(limiter.full_for_s)
