"""Rows become requests, and a run belongs to one process at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Executable,
    MetaData,
    ScalarSelect,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from batch_resend.calls import CALLS
from batch_resend.errors import JournalBusy
from batch_resend.journal.dialects import is_living
from batch_resend.journal.encoding import Values, decode_call, decode_entries, encode_entries
from batch_resend.journal.reading import IN_ANOTHERS_HAND, IS_WITH_WORKERS, UNFINISHED, newest_first
from batch_resend.journal.result_statements import HAS_OUTCOME
from batch_resend.journal.schema import Record, inputs, outcomes, requests, rows, runs
from batch_resend.model import (
    Entry,
    Note,
    Problem,
    Request,
    RequestStatus,
    RowStatus,
    Run,
    RunState,
)

ADD_REQUEST = insert(requests)
# What becomes of each row, in the order in which it is found: written into the rows themselves, all
# over the table, every page of it would be written hundreds of times.
assignments = Table(
    "assignments",
    MetaData(),
    *(
        Column(name, rows.c[name].type)
        for name in ("seq", "status", "request", "problem", "reason")
    ),
    prefixes=["TEMPORARY"],
)
ASSIGN_ROW = insert(assignments)


class StagedRow(NamedTuple):
    """A row as it was staged: the columns that matter here, of every row there is."""

    seq: int
    input: int
    line: int
    order_id: str
    locale: str | None
    entries: str | None  # encoded; None: named badly, "": none
    skip: str | None
    notes: str
    call: str | None
    account: str | None

    @property
    def subject(self) -> tuple[str, str | None, str | None]:
        """What a row is about: an order or a domain, by which call, of which account."""
        return self.order_id, self.call, self.account


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked: a CA, by a key."""

    base_url: str
    budget: str | None = None  # names the key, without saying it


@dataclass(slots=True)
class Grouping:
    """Makes requests of the rows of one order after another, and numbers them."""

    run: int
    parties: Mapping[str | None, Endpoint]  # by account
    input_names: Sequence[str]
    requests_made: int = 0
    subject: tuple[str, str | None] | None = None  # what was asked for last, by which call,
    asked: dict[Endpoint | None, StagedRow] = field(default_factory=dict)  # of whom, by which row
    plan_digest: blake2b = field(default_factory=lambda: blake2b(digest_size=16))  # of them all

    def changes(self, order_rows: Sequence[StagedRow]) -> Iterator[tuple[Executable, Values]]:
        """Yield what to write for all rows of one order, in canonical order."""
        first = order_rows[0]
        names_domains = first.entries != ""
        good = [row for row in order_rows if row.entries is not None]
        if first.account not in self.parties:
            yield from map(self._of_no_account, good)
            return
        if (other := self._asked_by_another_name(first)) is not None:
            yield from (self._of_two_accounts(row, other) for row in good)
            return
        for key, group in groupby(good, key=lambda row: (row.entries == "", row.locale)):
            members = list(group)
            if names_domains and key[0]:  # what is to be skipped anyway asks for nothing
                yield from (self._ambiguous(row, first) for row in members if not row.skip)
                members = [row for row in members if row.skip]
            if members:
                yield from self._request(members)

    def _request(self, members: Sequence[StagedRow]) -> Iterator[tuple[Executable, Values]]:
        self.requests_made += 1
        number = self.requests_made
        asking = [row for row in members if not row.skip] or members
        first = asking[0]
        for row in members:
            if row.skip and not first.skip:
                reason = f"asks for nothing, beside {self._place(first)}: {row.skip}"
                yield self._assign(row, RowStatus.DUPLICATE, number, reason)
        entries: dict[object, Entry] = {}
        for row in asking:
            if _add(entries, row) or row is first:
                yield self._assign(row, RowStatus.ACCEPTED, number)
            else:
                reason = f"adds nothing to its order's rows before it, from {self._place(first)}"
                yield self._assign(row, RowStatus.DUPLICATE, number, reason)
        order = Request(
            first.order_id,
            first.locale,
            _canonical(entries.values()),
            decode_call(first.call),
            first.account,
        )
        party = self.parties[order.account]
        about_domain = CALLS[order.call].is_about_domain
        digest = order.digest(party.base_url, party.budget if about_domain else None)
        self.plan_digest.update(digest)
        yield (
            ADD_REQUEST,
            {
                "run": self.run,
                "number": number,
                "position": min(row.seq for row in asking),
                "order_id": order.subject,
                "locale": order.locale,
                "entries": encode_entries(order.entries),
                "digest": digest,
                "doubted_before": False,
                "skip": first.skip,
                "notes": " ".join(_notes(asking, order.entries)),
                "call": first.call,
                "account": first.account,
            },
        )

    def _asked_by_another_name(self, first: StagedRow) -> StagedRow | None:
        """Return the row by which another account asks for the same.

        An order is in one account. A domain may be in several, each of which mails it; but two
        names of one key are one account.
        """
        if self.subject != (first.order_id, first.call):
            self.subject = first.order_id, first.call
            self.asked.clear()
        about_domain = CALLS[decode_call(first.call)].is_about_domain
        whom = self.parties[first.account] if about_domain else None
        other = self.asked.setdefault(whom, first)
        return None if other is first else other

    def _of_two_accounts(self, row: StagedRow, other: StagedRow) -> tuple[Executable, Values]:
        about_domain = CALLS[decode_call(row.call)].is_about_domain
        reason = (
            f"{'the domain' if about_domain else 'order'} {row.order_id} stands here for "
            f"{_owner(row)}, and on {self._place(other)} for {_owner(other)}"
            f"{', which goes by the same key' if about_domain else ''}: keep one of the two"
        )
        return self._assign(row, RowStatus.REJECTED, None, reason, Problem.AMBIGUOUS)

    def _of_no_account(self, row: StagedRow) -> tuple[Executable, Values]:
        reason = f"no profile describes the account {row.account!r}"
        return self._assign(row, RowStatus.REJECTED, None, reason, Problem.ACCOUNT)

    def _ambiguous(self, row: StagedRow, named: StagedRow) -> tuple[Executable, Values]:
        reason = (
            f"order {row.order_id} stands here without domains (mail all that wait) and on "
            f"{self._place(named)} with some: keep one of the two"
        )
        return self._assign(row, RowStatus.REJECTED, None, reason, Problem.AMBIGUOUS)

    def _assign(
        self,
        row: StagedRow,
        status: RowStatus,
        request: int | None,
        reason: str | None = None,
        problem: Problem | None = None,
    ) -> tuple[Executable, Values]:
        return ASSIGN_ROW, {
            "seq": row.seq,
            "status": status,
            "request": request,
            "problem": problem,
            "reason": reason,
        }

    def _place(self, row: StagedRow) -> str:
        return f"line {row.line} of {self.input_names[row.input]}"


def _add(entries: dict[object, Entry], row: StagedRow) -> bool:
    """Add a row's entries to those of its order, by what each asks for; return whether any is new.

    Of several spellings it is always the same one, whichever row comes first.
    """
    known = len(entries)
    for entry in decode_entries(row.entries):
        key = entry.key
        if key not in entries or _spelling(entry) < _spelling(entries[key]):
            entries[key] = entry
    return len(entries) > known


def _owner(row: StagedRow) -> str:
    return f"the account {row.account!r}" if row.account else "no account"


def _canonical(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=attrgetter("key")))


def _spelling(entry: Entry) -> tuple[str, str, str]:
    return entry.domain, entry.email, entry.email_domain or ""


def _notes(members: Sequence[StagedRow], entries: Sequence[Entry]) -> list[Note]:
    """Return what there is to say of an order: of its rows, and of all of them together."""
    of_rows = {note for row in members if row.notes for note in row.notes.split()}
    if Note.MAY_MAIL_ALL in of_rows and not all(_may_mail_all(row) for row in members):
        # Beside an address that the CA knows, those that it does not know are only left out.
        of_rows ^= {Note.MAY_MAIL_ALL}
        of_rows.add(Note.NOT_CONSTRUCTED)
    named = [entry.domain for entry in entries if entry.domain]
    if len(set(named)) < len(named):
        of_rows.add(Note.SEVERAL_ADDRESSES)
    return [note for note in Note if note in of_rows] if of_rows else []


def _may_mail_all(row: StagedRow) -> bool:
    return Note.MAY_MAIL_ALL in row.notes.split()


_SAME_PLAN = (
    newest_first(UNFINISHED)
    .where(
        runs.c.plan_digest == bindparam("of_digest"),
        func.coalesce(runs.c.finished_at, runs.c.started_at) >= bindparam("since"),
        ~IN_ANOTHERS_HAND,
    )
    .limit(1)
)
_CLAIM = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"), ~IN_ANOTHERS_HAND)
    .values(session=bindparam("new_session"))
)
_THEIRS = requests.alias("theirs")
_DONE_BY_THEM = exists().where(
    outcomes.c.run == _THEIRS.c.run, outcomes.c.request == _THEIRS.c.number
)
_SKIP_UNDER_WAY = insert(outcomes).from_select(
    ["run", "request", "status", "error_message"],
    select(
        requests.c.run,
        requests.c.number,
        literal(RequestStatus.SKIPPED.value),
        func.min(literal("run ") + runs.c.id + literal(", which is under way, sends it")),
    )
    .join(_THEIRS, (_THEIRS.c.digest == requests.c.digest) & (_THEIRS.c.run != requests.c.run))
    .join(runs, runs.c.number == _THEIRS.c.run)
    .where(
        requests.c.run == bindparam("of_run"),
        ~HAS_OUTCOME,
        ~_DONE_BY_THEM,
        runs.c.state == RunState.RUNNING,
        IS_WITH_WORKERS | is_living(runs.c.session),
    )
    .group_by(requests.c.run, requests.c.number),
)
_OF_RUN = requests.c.run == bindparam("of_run")
# The same requests have the same numbers in both runs; what lists say of them beside may differ.
_NEW = requests.alias("new")


def _of_new_run(column: str) -> ScalarSelect[Any]:
    same = (_NEW.c.run == bindparam("of_new_run"), _NEW.c.number == requests.c.number)
    return select(_NEW.c[column]).where(*same).scalar_subquery()


_TAKE_FROM_LISTS = (
    update(requests)
    .where(_OF_RUN)
    .values({name: _of_new_run(name) for name in ("position", "skip", "notes")})
)
# By which key what is left is asked for; what was sent, was sent by the one of then.
_TAKE_ACCOUNTS = (
    update(requests).where(_OF_RUN, ~HAS_OUTCOME).values(account=_of_new_run("account"))
)


def claim_same_plan(
    connection: Connection, digest: bytes, since: float, session: int
) -> Record | None:
    """Take in hand the newest unfinished run of just these requests that was at work since then."""
    found = connection.execute(
        _SAME_PLAN, {"of_digest": digest, "since": since, "our_session": session}
    ).first()
    if found is not None:
        claim(connection, found, session)
    return found


def claim(connection: Connection, run: Run | Record, session: int) -> None:
    """Take a run in hand. Raises JournalBusy where another process has it."""
    claimed = connection.execute(
        _CLAIM, {"of_run": run.number, "our_session": session, "new_session": session}
    )
    if not claimed.rowcount:
        raise JournalBusy(
            f"run {run.id} is under way elsewhere: `batch-resend watch {run.id}` follows it"
        )


def skip_what_is_under_way(connection: Connection, run: Run) -> None:
    """Leave to other runs what they are about to send."""
    connection.execute(_SKIP_UNDER_WAY, {"of_run": run.number})


def go_on(connection: Connection, earlier: Run, run: Run) -> None:
    """Let an earlier run resume the rows of this one, which is forgotten."""
    for table in (inputs, rows):
        connection.execute(delete(table).where(table.c.run == earlier.number))
        connection.execute(
            update(table).where(table.c.run == run.number).values(run=earlier.number)
        )
    both = {"of_run": earlier.number, "of_new_run": run.number}
    connection.execute(_TAKE_FROM_LISTS, both)
    connection.execute(_TAKE_ACCOUNTS, both)
    connection.execute(delete(requests).where(requests.c.run == run.number))
    connection.execute(delete(runs).where(runs.c.number == run.number))
