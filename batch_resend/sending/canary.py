"""A canary: a harmless read that tells whether the CA is up when mails cannot.

When only orders are left that all fail, it may be they, or the CA. It is asked who the key is: any
key may ask that, and the CA need do nothing for it. It counts in the limits as any read.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batch_resend.journal import ReadRecorder
from batch_resend.model import Fault, Reply, Ruling, Verdict
from batch_resend.sending.limiter import Slot

PATH = "/user/me"


@dataclass(eq=False, slots=True)
class Canary:
    """Reads what is there as long as the CA is."""

    get: Callable[[str], Awaitable[Reply | Fault]]
    judge: Callable[[Reply | Fault], Verdict]
    start_reading: Callable[[], Awaitable[ReadRecorder]]
    clock: Callable[[], float]
    _recorder: ReadRecorder | None = None

    async def ask(self, slot: Slot) -> Verdict:
        """Make one request, written down before it leaves. Raises JournalError."""
        if self._recorder is None:  # most runs never ask
            self._recorder = await self.start_reading()
        number = await self._recorder.begin(self.clock())
        verdict = self.judge(await self.get(PATH))
        in_doubt = verdict.ruling is Ruling.IN_DOUBT
        if in_doubt:
            slot.given_up()
        else:
            slot.answered()
        await self._recorder.end(number, self.clock(), in_doubt=in_doubt)
        return verdict
