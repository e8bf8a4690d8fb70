"""Chunks of runs that several processes send together, each leased to one session.

A chunk is claimed by the session that is to send it. No two living sessions ever have a claim on
one request, whatever the queue that hands chunks out may do; what a dead one had is free once its
attempts were brought into a known state (`orphaned`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from batch_resend.batch import Batch
from batch_resend.journal import Journal, JournalReader, Terms
from batch_resend.journal.connection import Connection, execute
from batch_resend.journal.recording import state_change
from batch_resend.journal.statements import Record, run_of
from batch_resend.model import Plan, Run, RunState
from batch_resend.settings import InDoubt

LEAST, MOST = 20, 500  # requests in a chunk
CHUNKS_WANTED = 64  # of a run, so that there is something for every worker until its end

Accounts = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a run: requests of accounts that share a key, by the first and last position."""

    run: str
    accounts: tuple[str | None, ...]
    first: int
    last: int


class ChunkLeases:
    """The chunks that this process has, of any runs. All methods raise JournalError."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def distribute(self, run: Run, terms: Terms, keys: Sequence[Accounts]) -> list[Chunk]:
        """Begin to have a run sent by workers: return the chunks that it is cut into.

        `keys` has, for each key, the accounts that go by it.
        """

        def begin(connection: Connection) -> list[Chunk]:
            self._journal.begin(connection, run, terms, is_distributed=True)
            execute(connection, "forget_stops", run=run.number)
            return [chunk for accounts in keys for chunk in split(connection, run, accounts)]

        return await self._journal.decide(begin)

    async def take(self, job: int, run: Run, chunk: Chunk) -> bool:
        """Take a chunk; return whether nobody else has it, and it is to be sent."""
        of = {"run": run.number, "accounts": names_of(chunk.accounts)}
        place = {**of, "first": chunk.first, "last": chunk.last}

        def claim(connection: Connection) -> bool:
            if (
                not _is_running(connection, run)
                or execute(connection, "stop_reason", **of).first()
                or execute(connection, "overlapping_claims", **place).first()
            ):
                return False
            execute(connection, "claim_chunk", job=job, session=self._journal.session, **place)
            return True

        return await self._journal.decide(claim)

    async def put_down(self, job: int, run: Run, stopped: Accounts, why: str) -> bool:
        """Give a chunk back: it is done, or others may have it. Return whether its run has ended.

        `why`, unless it is empty: nothing more of the accounts `stopped` is to be sent.
        """
        of = {"run": run.number, "accounts": names_of(stopped)}

        def end(connection: Connection) -> bool:
            if why and not execute(connection, "stop_reason", **of).first():
                execute(connection, "add_stop", reason=why, **of)
            execute(connection, "release", job=job)
            return _finish_if_done(connection, run, self._journal.now())

        return await self._journal.decide(end)

    async def free(self, job: int) -> bool:
        """Give back the chunk of a process that died; return whether it is nobody's now.

        One that gives no sign of life may only sleep: what a living session has stays with it.
        """

        def release(connection: Connection) -> bool:
            execute(connection, "release_of_dead", job=job)
            return execute(connection, "claim", job=job).first() is None

        return await self._journal.decide(release)

    async def distribute_again(self, run: Run) -> list[Chunk]:
        """Return what is left to send of a run, in chunks: no job for it is anywhere."""

        def distribute(connection: Connection) -> list[Chunk]:
            if _finish_if_done(connection, run, self._journal.now()):
                return []
            keys: defaultdict[str, list[str | None]] = defaultdict(list)
            for r in execute(connection, "accounts_of_keys", start=run.distributed_by):
                keys[r.budget].append(r.account or None)
            return [c for accounts in keys.values() for c in split(connection, run, accounts)]

        return await self._journal.decide(distribute)

    async def tidy(self) -> list[tuple[int, Chunk]]:
        """Bring what processes that died had in hand into a known state.

        Return their chunks, and which jobs they were: another process is to send what is left.
        """

        def look(connection: Connection) -> list[tuple[int, Chunk]]:
            # In this order: a process that dies in between has its chunk found the next time, and
            # nobody's chunk is found before what it had in flight is in doubt.
            found = orphaned(connection)
            self._journal.clean_up(connection)
            if found:
                _hold_doubts(connection)
            return found

        return await self._journal.decide(look)


async def distribute(batch: Batch, plan: Plan) -> list[Chunk]:
    """Begin to have workers send what is planned: return the chunks that are to be handed out."""
    channels = batch.channels
    keys = channels.keys_of(await batch.reader.count_by_account(plan.run))
    leases = ChunkLeases(batch.journal)
    return await leases.distribute(plan.run, channels.terms(keys), [key.names for key in keys])


async def runs_with_workers(reader: JournalReader) -> list[Run]:
    """Return the runs that workers are to send now, the newest first."""
    return [run_of(record) for record in await reader.fetch("runs_with_workers")]


def names_of(accounts: Accounts) -> str:
    """Return accounts as the tables have them."""
    return "\n".join(sorted(name or "" for name in accounts))


def split(connection: Connection, run: Run, accounts: Accounts) -> list[Chunk]:
    """Return what is left to send of a run by accounts that share a key, cut into chunks."""
    names = [name or "" for name in accounts]
    found = execute(connection, "positions", run=run.number, accounts=names)
    positions = [record[0] for record in found]
    length = max(LEAST, min(MOST, len(positions) // CHUNKS_WANTED))
    parts = [positions[begin : begin + length] for begin in range(0, len(positions), length)]
    return [Chunk(run.id, tuple(accounts), part[0], part[-1]) for part in parts]


def orphaned(connection: Connection) -> list[tuple[int, Chunk]]:
    """Return the chunks of sessions that died, with the jobs that they were."""

    def chunk_of(record: Record) -> Chunk:
        accounts = tuple(name or None for name in record.accounts.split("\n"))
        return Chunk(record.id, accounts, record.first, record.last)

    return [(record.job, chunk_of(record)) for record in execute(connection, "orphaned")]


def _hold_doubts(connection: Connection) -> None:
    """Leave to a person what may have reached the CA, in runs distributed to be sent so."""
    for run in map(run_of, execute(connection, "runs_with_workers")):
        if run.settings.get("in_doubt") == InDoubt.HOLD:
            execute(connection, "hold_doubts", run=run.number)


def _is_running(connection: Connection, run: Run) -> bool:
    state: str | None = execute(connection, "state", run=run.number).value()
    return state == RunState.RUNNING


def _finish_if_done(connection: Connection, run: Run, now: float) -> bool:
    """End a run of which nothing is left that may still be sent; return whether it has ended."""
    if not _is_running(connection, run):
        return True
    if execute(connection, "in_hand", run=run.number).first():
        return False  # the worker that has it looks again when it is done
    stops = execute(connection, "stops", run=run.number)
    stopped = [name for stop in stops for name in stop.accounts.split("\n")]
    if execute(connection, "any_left", run=run.number, stopped=stopped).first():
        return False
    reasons = "; ".join(dict.fromkeys(stop.reason for stop in stops))
    state = RunState.STOPPED if reasons else RunState.COMPLETED
    name, values = state_change(run.number, state, reasons or None, now)
    execute(connection, name, **values)
    execute(connection, "end_pauses", run=run.number, ended_at=now)
    return True
