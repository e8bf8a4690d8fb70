"""What resuming a run would find: what is left of it, and what other runs have made of that."""

from collections.abc import Iterable
from functools import partial

from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.database import Reader
from batch_resend.journal.runs import clock_values, settle, settled_since
from batch_resend.journal.statements import Record
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.results import Rest, RestCount, Since

_NEVER = 1e18  # after all that ever was
_OF_SQLITE = 1  # the one session that there is of a file


class RestReader(Reader):
    """Reads what is left of a run; nothing is changed."""

    async def rest(self, run: Run) -> Rest:
        """Return what became of what a run that has ended has not sent, also by other runs."""
        is_complete = run.state is RunState.COMPLETED
        cooldown_s = float(str(run.settings.get("cooldown_s", 0.0)))
        since = run.created_at if is_complete else settled_since(run, cooldown_s, self.clock())
        values = {
            "run": run.number,
            "since": _NEVER if since is None else since,
            "now": -_NEVER if await self._is_in_use() else self.clock(),
            **clock_values(self.clock),
        }
        found = await self.fetch(
            "count_rest_of_complete" if is_complete else "count_rest", **values
        )
        return Rest(
            [
                RestCount(
                    record.account,
                    RequestStatus(record.status),
                    Since(record.since),
                    bool(record.may_be_sent),
                    record.requests,
                )
                for record in found
            ],
            holds_doubts=run.settings.get("in_doubt") == "hold",
        )

    async def _is_in_use(self) -> bool:
        """Whether nothing in the journal can be cut off: who has it waits for its answers.

        Where hosts share one, each session tells for itself.
        """
        if self.is_shared:
            return False
        return await self.ask(lambda open_: self._backend.holder(open_, _OF_SQLITE)) is not None

    async def settle_copy(
        self,
        run: Run,
        cooldown_s: float,
        *,
        hold_doubts: bool,
        lists: tuple[Reader, Run] | None = None,
    ) -> None:
        """Settle a run as `Journal.settle` does, in a copy that this reader reads from now on.

        `lists`: the same requests as planned in another journal, which `send` would resume it with.
        """
        since, clock = settled_since(run, cooldown_s, self.clock()), self.clock

        def copy(connection: Connection) -> None:
            execute(connection, "create_mailed_lately")
            if since is not None:
                recent = {"run": run.number, "since": since, **clock_values(clock)}
                execute(connection, "note_mailed_lately", **recent)
            for table, column in (("requests", "number"), ("outcomes", "request")):
                words = (("table", table), ("number", str(run.number)), ("column", column))
                execute(connection, f"copy_of_{table}", words)
                execute(connection, "index_copy", words)
            if since is not None:
                execute(connection, "note_what_others_were_cut_off_at", run=run.number)

        await self.ask(copy)
        if lists is not None:
            reader, planned = lists
            await self.fetch("forget_other_calls", run=run.number)
            async for page in reader.pages("said_by_lists", run=planned.number):
                await self.ask(partial(_say, run, page))
        await self.ask(partial(settle, run=run, since=since, clock=clock, hold_doubts=hold_doubts))


def _say(run: Run, page: Iterable[Record], connection: Connection) -> None:
    said = [{**record._asdict(), "run": run.number} for record in page]
    execute_many(connection, "say_by_lists", said)
