"""The hot path: every attempt before it leaves, every answer after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from sqlalchemy import bindparam, delete, func, insert, text, update

from batch_resend.journal.checks import Purpose
from batch_resend.journal.schema import answers, attempts, outcomes, pauses, reads, runs
from batch_resend.journal.writer import Change, Writer
from batch_resend.model import Attempt, Outcome, Pause, RunState, Verdict

_BEGIN = insert(attempts)
_END = (
    update(attempts)
    .where(
        attempts.c.run == bindparam("of_run"),
        attempts.c.request == bindparam("of_request"),
        attempts.c.attempt == bindparam("of_attempt"),
    )
    .values(
        ended_at=bindparam("new_ended_at"),
        ruling=bindparam("new_ruling"),
        http_status=bindparam("new_http_status"),
        error_code=bindparam("new_error_code"),
        error_message=bindparam("new_error_message"),
    )
)
_SETTLE = insert(outcomes)
_PAUSE = insert(pauses)
END_PAUSE = (
    update(pauses)
    .where(pauses.c.run == bindparam("of_run"), pauses.c.ended_at.is_(None))
    .values(ended_at=bindparam("new_ended_at"))
)
_SET_STATE = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(
        state=bindparam("new_state"),
        stop_reason=bindparam("new_stop_reason"),
        finished_at=bindparam("new_finished_at"),
    )
)
_END_PAUSE_OF_ACCOUNT = END_PAUSE.where(
    func.coalesce(pauses.c.account, "") == bindparam("of_account")
)


_BEGIN_READ = insert(reads)
_END_READ = (
    update(reads)
    .where(reads.c.start == bindparam("of_start"), reads.c.number == bindparam("of_number"))
    .values(ended_at=bindparam("new_ended_at"), in_doubt=bindparam("new_in_doubt"))
)
# Others may learn the same at once, in this process or on another host.
_KEEP_ANSWER = text(
    "INSERT INTO answers (budget, purpose, subject, found, asked_at) "
    "VALUES (:budget, :purpose, :subject, :found, :asked_at) "
    "ON CONFLICT (budget, purpose, subject) "
    "DO UPDATE SET found = excluded.found, asked_at = excluded.asked_at"
)
_FORGET_ANSWERS = delete(answers).where(
    answers.c.budget == bindparam("of_budget"), answers.c.purpose == bindparam("of_purpose")
)
_PROLONG = (
    update(pauses)
    .where(
        pauses.c.run == bindparam("of_run"),
        pauses.c.start == bindparam("of_start"),
        pauses.c.number == bindparam("of_number"),
    )
    .values(until_at=bindparam("new_until_at"), share=bindparam("new_share"))
)


def state_change(
    run: int, state: RunState, stop_reason: str | None = None, finished_at: float | None = None
) -> Change:
    """Return what writes down in which state a run is now."""
    return _SET_STATE, {
        "of_run": run,
        "new_state": state,
        "new_stop_reason": stop_reason,
        "new_finished_at": finished_at,
    }


class Recorder:
    """Writes down what happens to the orders of one run. All methods are durable on return."""

    def __init__(
        self,
        writer: Writer,
        run: int,
        start: int,
        pause_numbers: Iterator[int] | None = None,
        account: str | None = None,
    ) -> None:
        self._writer = writer
        self._run = run
        self._start = start
        self._pause_numbers = pause_numbers or count(1)  # of all its accounts together
        self._pause = 0  # the number of the last one
        self._account = account

    def of_account(self, account: str | None) -> "Recorder":
        """Return what the orders of an account are recorded with, which pauses by itself."""
        return Recorder(self._writer, self._run, self._start, self._pause_numbers, account)

    async def begin(self, attempt: Attempt) -> None:
        """Write down that a request is about to leave. Raises JournalError: then it must not."""
        values = {
            "run": self._run,
            "request": attempt.planned.number,
            "attempt": attempt.attempt,
            "start": self._start,
            "digest": attempt.planned.digest,
            "begun_at": attempt.begun_at,
        }
        await self._writer.write((_BEGIN, values))

    async def end(
        self, attempt: Attempt, ended_at: float, verdict: Verdict, outcome: Outcome | None
    ) -> None:
        """Write down what came of an attempt, and of its order where that is settled by it."""
        ended = {
            "of_run": self._run,
            "of_request": attempt.planned.number,
            "of_attempt": attempt.attempt,
            "new_ended_at": ended_at,
            "new_ruling": verdict.ruling,
            "new_http_status": verdict.http_status,
            "new_error_code": verdict.error_code,
            "new_error_message": verdict.error_message,
        }
        changes: list[Change] = [(_END, ended)]
        if outcome is not None:
            changes.append(self._settlement(outcome))
        await self._writer.write(*changes, of_the_past=True)

    async def settle(self, outcome: Outcome) -> None:
        """Write down what became of an order that no answer has settled."""
        await self._writer.write(self._settlement(outcome), of_the_past=True)

    async def pause(self, pause: Pause) -> None:
        """Write down that requests do not flow from now on."""
        self._pause = next(self._pause_numbers)
        values = {
            "run": self._run,
            "start": self._start,
            "number": self._pause,
            "began_at": pause.began_at,
            "until_at": pause.until_at,
            "reason": pause.reason,
            "share": pause.share,
            "account": self._account,
        }
        await self._writer.write((_PAUSE, values), of_the_past=True)

    async def prolong_pause(self, until_at: float, share: float) -> None:
        """Write down when the next request is to leave, the pause having gone on.

        `share`: what part of the windows is taken then.
        """
        values = {
            "of_run": self._run,
            "of_start": self._start,
            "of_number": self._pause,
            "new_until_at": until_at,
            "new_share": share,
        }
        await self._writer.write((_PROLONG, values), of_the_past=True)

    async def flow_again(self, now: float) -> None:
        """Write down that requests flow again."""
        ended = {"of_run": self._run, "of_account": self._account or "", "new_ended_at": now}
        await self._writer.write((_END_PAUSE_OF_ACCOUNT, ended), of_the_past=True)

    def _settlement(self, outcome: Outcome) -> Change:
        return _SETTLE, {
            "run": self._run,
            "request": outcome.planned.number,
            "status": outcome.status,
            "http_status": outcome.http_status,
            "error_code": outcome.error_code,
            "error_message": outcome.error_message,
        }


@dataclass(frozen=True, slots=True)
class KeptAnswers:
    """What readings by one key for one purpose have learned. Durable on return."""

    writer: Writer
    budget: str  # of the key
    purpose: Purpose
    found: Mapping[str, str]  # JSON by subject, of an earlier reading that was cut off

    async def keep(self, subject: str, found: str, now: float) -> None:
        """Keep an answer (JSON): this reading may be cut off, too."""
        values = {
            "budget": self.budget,
            "purpose": self.purpose,
            "subject": subject,
            "found": found,
            "asked_at": now,
        }
        await self.writer.write((_KEEP_ANSWER, values))

    async def forget(self) -> None:
        """Forget all of them: the next reading asks again."""
        values = {"of_budget": self.budget, "of_purpose": self.purpose}
        await self.writer.write((_FORGET_ANSWERS, values))


class ReadRecorder:
    """Writes down what is read of the CA, which counts in its windows. Durable on return."""

    def __init__(
        self, writer: Writer, start: int, base_url: str, answers: KeptAnswers | None = None
    ) -> None:
        self.answers = answers  # None: none are kept
        self._writer = writer
        self._start = start
        self._base_url = base_url
        self._reads = 0

    async def begin(self, begun_at: float) -> int:
        """Write down that a request is about to leave; return its number."""
        self._reads += 1
        number = self._reads  # while this one is written down, others begin
        values = {
            "start": self._start,
            "number": number,
            "base_url": self._base_url,
            "begun_at": begun_at,
        }
        await self._writer.write((_BEGIN_READ, values))
        return number

    async def end(self, number: int, ended_at: float, *, in_doubt: bool = False) -> None:
        """Write down that its answer came; `in_doubt`: none did, and it may still arrive."""
        values = {
            "of_start": self._start,
            "of_number": number,
            "new_ended_at": ended_at,
            "new_in_doubt": in_doubt,
        }
        await self._writer.write((_END_READ, values), of_the_past=True)
