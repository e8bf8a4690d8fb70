"""What resuming a run would find: what is left of it, and what other runs have made of that."""

from collections.abc import Iterable, Mapping, Set
from functools import partial

from batch_resend.journal.connection import Connection, execute, execute_many
from batch_resend.journal.database import Reader
from batch_resend.journal.runs import clock_values, settle, settled_since
from batch_resend.journal.statements import Record, run_of
from batch_resend.model import RequestStatus, Run, RunState
from batch_resend.part_names import PIPED_IN, is_named_unsent, parts_named, run_named_in
from batch_resend.results import Rest, RestCount, Since, Successor

_NEVER = 1e18  # after all that ever was
_OF_SQLITE = 1  # the one session that there is of a file
_NO_RUN = 0


class RestReader(Reader):
    """Reads what is left of a run; nothing is changed."""

    async def rest(self, run: Run, among: Set[str] | None = None) -> Rest:
        """Return what became of what a run that has ended has not sent, also by other runs.

        `among`: of a run that is not complete, only of these orders, and of their own mails.
        """
        is_complete = run.state is RunState.COMPLETED
        since = run.created_at if is_complete else settled_since(run, run.cooldown_s, self.clock())
        number, successor = (_NO_RUN, None) if is_complete else await self._successor(run)
        values = {
            "run": run.number,
            "since": since,
            "now": -_NEVER if await self._is_in_use() else self.clock(),
            **clock_values(self.clock),
        }
        if not is_complete:
            values["successor"] = number
        statement = "count_rest_of_complete" if is_complete else "count_rest"
        if among is not None:
            statement, values["orders"] = "count_rest_among", [*among]
        found = await self.fetch(statement, **values)
        return Rest(
            [
                RestCount(
                    record.account,
                    RequestStatus(record.status),
                    Since(record.since),
                    bool(record.may_be_sent),
                    record.requests,
                    bool(record.is_left_out),
                )
                for record in found
            ],
            holds_doubts=run.settings.get("in_doubt") == "hold",
            successor=successor,
        )

    async def lists_sent_since(self, run: Run) -> dict[str, str]:
        """Return which lists of a run's report were sent, and the newest run that did, by its id.

        The lists are `part_names.PARTS`.
        """
        found = await self.fetch("lists_sent_since", id=run.id, base_url=run.base_url)
        return {part: record.id for record in found for part in parts_named(record.name)}

    async def _is_in_use(self) -> bool:
        """Whether nothing in the journal can be cut off: who has it waits for its answers.

        Where hosts share one, each session tells for itself.
        """
        if self.is_shared:
            return False
        return await self.ask(lambda open_: self._backend.holder(open_, _OF_SQLITE)) is not None

    async def _successor(self, run: Run) -> tuple[int, Successor | None]:
        """Return which later run was the last to send what a run had left, and from which list.

        The list is the run's own, which was changed since: it has the same name, and some of the
        same orders. Or it is an unsent.csv. Its path says of which run; if it does not, it is of
        this run if the run has all of its orders.
        """
        of = {"run": run.number, "base_url": run.base_url}
        for record in await self.fetch("later_lists", **of):
            if await self._is_of(run, later := run_of(record), record):
                return later.number, Successor(later.id, record.list_name)
        return _NO_RUN, None

    async def _is_of(self, run: Run, later: Run, found: Record) -> bool:
        """Whether a list of a later run is a run's list, or what it had left."""
        if not _is_at_same_ca(run, later) or found.list_name == PIPED_IN:
            return False
        named = run_named_in(found.list_name)
        is_unsent = is_named_unsent(found.list_name) and named in (None, run.id)
        if not (found.is_the_same or is_unsent):
            return False
        both = {"run": run.number, "later": later.number, "input": found.input}
        ((every, in_common),) = await self.fetch("count_rows_in_common", **both)
        is_known = found.is_the_same or named is not None
        return bool(in_common) and (is_known or in_common == every)

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
            recent = {"run": run.number, "since": since, **clock_values(clock)}
            execute(connection, "note_mailed_lately", **recent)
            for table, column in (("requests", "number"), ("outcomes", "request")):
                words = (("table", table), ("number", str(run.number)), ("column", column))
                execute(connection, f"copy_of_{table}", words)
                execute(connection, "index_copy", words)
            execute(connection, "note_what_others_were_cut_off_at", run=run.number)

        await self.ask(copy)
        if lists is not None:
            reader, planned = lists
            await self.fetch("forget_other_calls", run=run.number)
            async for page in reader.pages("said_by_lists", run=planned.number):
                await self.ask(partial(_say, run, page))
        await self.ask(partial(settle, run=run, since=since, clock=clock, hold_doubts=hold_doubts))


def _is_at_same_ca(run: Run, later: Run) -> bool:
    """Whether the accounts that two runs name are at the same CA; of a rehearsal, they are not."""
    names = [run.settings.get("accounts"), later.settings.get("accounts")]
    shared = set.intersection(*(set(one) if isinstance(one, Mapping) else set() for one in names))
    return all(run.url_of(name) == later.url_of(name) for name in shared)


def _say(run: Run, page: Iterable[Record], connection: Connection) -> None:
    said = [{**record._asdict(), "run": run.number} for record in page]
    execute_many(connection, "say_by_lists", said)
