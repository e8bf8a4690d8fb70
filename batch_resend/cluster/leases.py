"""Chunks of runs that several processes send together, each leased to one session.

A chunk is claimed by the session that is to send it. No two living sessions ever have a claim on
one request, whatever the queue that hands chunks out may do; what a dead one had is free once its
attempts were brought into a known state (`orphaned`).
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select

from batch_resend.batch import Batch
from batch_resend.cluster.schema import claims, stops
from batch_resend.journal import Journal, Terms
from batch_resend.journal.dialects import is_living
from batch_resend.journal.recording import END_PAUSE, state_change
from batch_resend.journal.result_statements import HAS_OUTCOME
from batch_resend.journal.schema import budgets, requests, runs
from batch_resend.journal.settling import hold_doubts_of_workers
from batch_resend.model import Chunk, Plan, Run, RunState

LEAST, MOST = 20, 500  # requests in a chunk
CHUNKS_WANTED = 64  # of a run, so that there is something for every worker until its end


_ACCOUNT = func.coalesce(requests.c.account, "")
_OF_ACCOUNTS = _ACCOUNT.in_(bindparam("of_accounts", expanding=True))
_POSITIONS = (
    select(requests.c.position)
    .where(requests.c.run == bindparam("of_run"), ~HAS_OUTCOME, _OF_ACCOUNTS)
    .order_by(requests.c.position)
)
_OVERLAPS = (
    claims.c.run == bindparam("of_run"),
    claims.c.accounts == bindparam("of_accounts"),
    claims.c.first <= bindparam("of_last"),
    claims.c.last >= bindparam("of_first"),
)
_TAKEN = select(claims.c.job).where(*_OVERLAPS)
_IN_HAND = select(claims.c.job).where(
    claims.c.run == bindparam("of_run"), is_living(claims.c.session)
)
_CLAIM = insert(claims)
_RELEASE = delete(claims).where(claims.c.job == bindparam("of_job"))
_RELEASE_OF_DEAD = _RELEASE.where(~is_living(claims.c.session))
_CLAIMED = select(claims.c.job).where(claims.c.job == bindparam("of_job"))
_LEFT_BEHIND = (
    select(claims.c.job, claims.c.accounts, claims.c.first, claims.c.last, runs.c.id)
    .join(runs, runs.c.number == claims.c.run)
    .where(~is_living(claims.c.session), runs.c.state == RunState.RUNNING)
    .order_by(claims.c.job)
)
_ACCOUNTS_OF_KEYS = (
    select(budgets.c.budget, budgets.c.account)
    .where(budgets.c.start == bindparam("of_start"))
    .order_by(budgets.c.account)
)
_STOP = insert(stops)
_IS_STOPPED = (
    select(stops.c.reason)
    .where(stops.c.run == bindparam("of_run"), stops.c.accounts == bindparam("of_accounts"))
    .limit(1)
)
_STOPS = select(stops).where(stops.c.run == bindparam("of_run")).order_by(stops.c.accounts)
_FORGET_STOPS = delete(stops).where(stops.c.run == bindparam("of_run"))
_STATE = select(runs.c.state).where(runs.c.number == bindparam("of_run"))
# The last ones first: until the end one of those is left, and is found at once.
_ANY_LEFT = (
    select(requests.c.number)
    .where(
        requests.c.run == bindparam("of_run"),
        ~HAS_OUTCOME,
        _ACCOUNT.not_in(bindparam("stopped", expanding=True)),
    )
    .order_by(desc(requests.c.position))
    .limit(1)
)


def names_of(accounts: Sequence[str | None]) -> str:
    """Return accounts as the tables have them."""
    return "\n".join(sorted(name or "" for name in accounts))


def split(connection: Connection, run: Run, accounts: Sequence[str | None]) -> list[Chunk]:
    """Return what is left to send of a run by accounts that share a key, cut into chunks."""
    found = connection.execute(
        _POSITIONS, {"of_run": run.number, "of_accounts": [name or "" for name in accounts]}
    )
    positions = found.scalars().all()
    length = max(LEAST, min(MOST, len(positions) // CHUNKS_WANTED))
    parts = [positions[begin : begin + length] for begin in range(0, len(positions), length)]
    return [Chunk(run.id, tuple(accounts), part[0], part[-1]) for part in parts]


def cut_by_key(connection: Connection, run: Run) -> list[Chunk]:
    """Return what is left to send of a run that was distributed before, cut into chunks."""
    found = connection.execute(_ACCOUNTS_OF_KEYS, {"of_start": run.distributed_by}).all()
    together: dict[str, list[str | None]] = {}
    for record in found:
        together.setdefault(record.budget, []).append(record.account or None)
    return [chunk for accounts in together.values() for chunk in split(connection, run, accounts)]


def take(connection: Connection, job: int, run: int, chunk: Chunk, session: int) -> bool:
    """Claim a chunk for a session; return whether it is now in its hand, and to be sent."""
    names = names_of(chunk.accounts)
    place = {"of_run": run, "of_accounts": names, "of_first": chunk.first, "of_last": chunk.last}
    if connection.execute(_STATE, {"of_run": run}).scalar() != RunState.RUNNING:
        return False
    if connection.execute(_IS_STOPPED, {"of_run": run, "of_accounts": names}).first():
        return False
    if connection.execute(_TAKEN, place).first():
        return False
    connection.execute(
        _CLAIM,
        {
            "job": job,
            "run": run,
            "accounts": names,
            "first": chunk.first,
            "last": chunk.last,
            "session": session,
        },
    )
    return True


def release(connection: Connection, job: int) -> None:
    """Give a chunk back: it is done, or others may have it."""
    connection.execute(_RELEASE, {"of_job": job})


def release_of_dead(connection: Connection, job: int) -> bool:
    """Give back the chunk of a process that died; return whether it is nobody's now.

    A process that gives no sign of life may only sleep: what a living session has stays with it.
    """
    connection.execute(_RELEASE_OF_DEAD, {"of_job": job})
    return connection.execute(_CLAIMED, {"of_job": job}).first() is None


def orphaned(connection: Connection) -> list[tuple[int, Chunk]]:
    """Return the chunks of sessions that died, with the jobs that they were."""
    return [
        (
            record.job,
            Chunk(
                record.id,
                tuple(name or None for name in record.accounts.split("\n")),
                record.first,
                record.last,
            ),
        )
        for record in connection.execute(_LEFT_BEHIND)
    ]


def note_stop(connection: Connection, run: int, accounts: Sequence[str | None], why: str) -> None:
    """Write down that nothing more of some accounts is to be sent in a run, and why."""
    names = names_of(accounts)
    if not connection.execute(_IS_STOPPED, {"of_run": run, "of_accounts": names}).first():
        connection.execute(_STOP, {"run": run, "accounts": names, "reason": why})


def forget_stops(connection: Connection, run: int) -> None:
    """Let all accounts of a run send again: it is distributed again."""
    connection.execute(_FORGET_STOPS, {"of_run": run})


def finish_if_done(connection: Connection, run: int, now: float) -> bool:
    """End a run of which nothing is left that may still be sent; return whether it has ended."""
    if connection.execute(_STATE, {"of_run": run}).scalar() != RunState.RUNNING:
        return True
    if connection.execute(_IN_HAND, {"of_run": run}).first():
        return False  # whoever has it looks again when it is done
    stops_found = connection.execute(_STOPS, {"of_run": run}).all()
    stopped = [name for stop in stops_found for name in stop.accounts.split("\n")]
    if connection.execute(_ANY_LEFT, {"of_run": run, "stopped": stopped}).first():
        return False
    reasons = dict.fromkeys(stop.reason for stop in stops_found)
    state = RunState.STOPPED if reasons else RunState.COMPLETED
    connection.execute(*state_change(run, state, "; ".join(reasons) or None, now))
    connection.execute(END_PAUSE, {"of_run": run, "new_ended_at": now})
    return True


class ChunkLeases:
    """The chunks that this process has, of any runs. All methods raise JournalError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def take(self, job: int, run: Run, chunk: Chunk) -> bool:
        """Take a chunk; return whether nobody else has it, and it is to be sent."""

        def claim(connection: Connection) -> bool:
            return take(connection, job, run.number, chunk, self._journal.session)

        return await self._journal.decide(claim)

    async def distribute(
        self, run: Run, terms: Terms, keys: Sequence[Sequence[str | None]]
    ) -> list[Chunk]:
        """Begin to have a run sent by workers: return the chunks that it is cut into.

        `keys` has, for each key, the accounts that go by it.
        """
        begin = self._journal.beginning(run, terms, is_distributed=True)

        def distribute_run(connection: Connection) -> list[Chunk]:
            begin(connection)
            forget_stops(connection, run.number)
            return [chunk for accounts in keys for chunk in split(connection, run, accounts)]

        return await self._journal.decide(distribute_run)

    async def put_down(self, job: int, run: Run, stopped: Sequence[str | None], why: str) -> bool:
        """Give a chunk back: it is done, or others may have it. Return whether its run has ended.

        `why`, unless it is empty: nothing more of the accounts `stopped` is to be sent.
        """
        now = self._journal.now()

        def end(connection: Connection) -> bool:
            if why:
                note_stop(connection, run.number, stopped, why)
            release(connection, job)
            return finish_if_done(connection, run.number, now)

        return await self._journal.decide(end)

    async def free(self, job: int) -> bool:
        """Give back the chunk of a process that died; return whether it is nobody's now."""
        return await self._journal.decide(lambda connection: release_of_dead(connection, job))

    async def distribute_again(self, run: Run) -> list[Chunk]:
        """Return what is left to send of a run, in chunks: no job for it is anywhere."""
        now = self._journal.now()

        def distribute(connection: Connection) -> list[Chunk]:
            if finish_if_done(connection, run.number, now):
                return []
            return cut_by_key(connection, run)

        return await self._journal.decide(distribute)

    async def tidy(self) -> list[tuple[int, Chunk]]:
        """Bring what processes that died had in hand into a known state.

        Return their chunks, and which jobs they were: somebody must send what is left of them.
        """

        def look(connection: Connection) -> list[tuple[int, Chunk]]:
            # In this order: a process that dies in between has its chunk found the next time, and
            # nobody's chunk is found before what it had in flight is in doubt.
            found = orphaned(connection)
            self._journal.clean_up_within(connection)
            if found:
                hold_doubts_of_workers(connection)
            return found

        return await self._journal.decide(look)


async def distribute(batch: Batch, plan: Plan) -> list[Chunk]:
    """Begin to have workers send what is planned: return the chunks that are to be handed out."""
    keys = await batch.keys_of(plan)
    leases = ChunkLeases(batch.journal)
    return await leases.distribute(plan.run, batch.terms(keys), [key.names for key in keys])
