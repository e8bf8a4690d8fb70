"""What the journal tells of a plan before it is sent: what is odd in it, and whom it mails."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, case, desc, distinct, func, literal, or_, select, true

from batch_resend.calls import CALLS
from batch_resend.journal.dialects import each_entry, mail_domain, total
from batch_resend.journal.encoding import decode_call, request_of
from batch_resend.journal.result_statements import HAS_OUTCOME, REJECTED_ROWS
from batch_resend.journal.results import ResultReader, row_result
from batch_resend.journal.schema import Record, outcomes, requests, rows
from batch_resend.model import (
    UNKNOWN_WORDS,
    Call,
    Note,
    Problem,
    Request,
    RequestStatus,
    RowStatus,
    Run,
)
from batch_resend.results import RowResult

AS_THE_CA_SAYS = "preflight"  # the code of what is skipped because Order info says so
_OF_RUN = requests.c.run == bindparam("of_run")

_ABOUT_DOMAINS = requests.c.call.in_([c for c in Call if CALLS[c].is_about_domain])
# A domain's number may be an order's as well.
_SUBJECT = requests.c.order_id + case((_ABOUT_DOMAINS, " of a domain"), else_="")
_COUNT_ORDER_NUMBERS = select(func.count(distinct(_SUBJECT))).where(_OF_RUN)
_COUNT_PROBLEMS = (
    select(rows.c.problem, func.count())
    .where(rows.c.run == bindparam("of_run"), rows.c.status == RowStatus.REJECTED)
    .group_by(rows.c.problem)
    .order_by(desc(func.count()), rows.c.problem)
)
_FIRST_OF_PROBLEM = REJECTED_ROWS.where(rows.c.problem == bindparam("of_problem"))
_COUNT_NOTES = select(requests.c.notes, func.count()).where(_OF_RUN).group_by(requests.c.notes)
_FIRST_ROWS = (
    select(
        requests.c.order_id,
        requests.c.locale,
        requests.c.entries,
        requests.c.call,
        requests.c.account,
        requests.c.skip,
        rows.c.input,
        rows.c.line,
    )
    .join(rows, (rows.c.run == requests.c.run) & (rows.c.seq == requests.c.position))
    .where(_OF_RUN)
    .order_by(requests.c.position)
)
_FIRST_NOTED = _FIRST_ROWS.where(requests.c.notes.contains(bindparam("of_note")))
_SKIPPED_BY_LIST = (
    outcomes.c.run == bindparam("of_run"),
    outcomes.c.status == RequestStatus.SKIPPED,
    requests.c.skip == outcomes.c.error_message,
)
_WITH_ITS_REQUEST = outcomes.join(
    requests, (requests.c.run == outcomes.c.run) & (requests.c.number == outcomes.c.request)
)
_COUNT_SKIPS = (
    select(outcomes.c.error_message, func.count())
    .select_from(_WITH_ITS_REQUEST)
    .where(*_SKIPPED_BY_LIST)
    .group_by(outcomes.c.error_message)
    .order_by(desc(func.count()), outcomes.c.error_message)
)
_COUNT_SKIPPED_BY_CA = (
    select(outcomes.c.error_message, func.count())
    .where(
        outcomes.c.run == bindparam("of_run"),
        outcomes.c.status == RequestStatus.SKIPPED,
        outcomes.c.error_code == AS_THE_CA_SAYS,
    )
    .group_by(outcomes.c.error_message)
    .order_by(desc(func.count()), outcomes.c.error_message)
)
_COUNT_SKIPPED_BY_LISTS = (
    select(func.count()).select_from(_WITH_ITS_REQUEST).where(*_SKIPPED_BY_LIST)
)
_COUNT_UNSURE = _COUNT_SKIPPED_BY_LISTS.where(
    or_(*(requests.c.notes.contains(note) for note in UNKNOWN_WORDS))
)
_COUNT_WITHOUT_ADDRESSES = (
    select(requests.c.call, func.count())
    .where(_OF_RUN, requests.c.entries == "", ~HAS_OUTCOME)
    .group_by(requests.c.call)
)
_ENTRY = each_entry(requests.c.entries).table_valued("value", name="entry")
_MAIL_DOMAIN = mail_domain(_ENTRY.c.value)
_BY_MAIL_DOMAIN = (
    select(_MAIL_DOMAIN.label("domain"), func.count().label("mails"))
    .select_from(requests)
    .join(_ENTRY, true())
    .where(_OF_RUN, ~HAS_OUTCOME)
    .group_by(_MAIL_DOMAIN)
    .subquery("by_mail_domain")
)
_RECIPIENTS = select(_BY_MAIL_DOMAIN).order_by(
    desc(_BY_MAIL_DOMAIN.c.mails), _BY_MAIL_DOMAIN.c.domain
)
_COUNT_RECIPIENTS = select(
    func.count(), func.coalesce(total(_BY_MAIL_DOMAIN.c.mails), 0)
).select_from(_BY_MAIL_DOMAIN)

_AT_DOMAINS = (
    select(literal(1))
    .select_from(_ENTRY)
    .where(_MAIL_DOMAIN.in_(bindparam("of_domains", expanding=True)))
    .correlate(requests)
    .exists()
)
_COUNT_MAILED_AT = (
    select(func.count()).select_from(requests).where(_OF_RUN, ~HAS_OUTCOME, _AT_DOMAINS)
)
_FIRST_MAILED_AT = _FIRST_ROWS.where(~HAS_OUTCOME, _AT_DOMAINS)


@dataclass(frozen=True, slots=True)
class NotedRequest:
    """An order that a note is about, and the first of its rows."""

    order: Request
    input_ordinal: int
    line: int
    skip: str | None  # why its lists say that there is nothing to resend


class PlanReader(ResultReader):
    """Reads plans. What may be of any number comes with a `limit`."""

    async def count_order_numbers(self, run: Run) -> int:
        """Return how many orders a run is about; one in two languages is two requests."""
        return int((await self.fetch(_COUNT_ORDER_NUMBERS, of_run=run.number))[0][0])

    async def count_problems(self, run: Run) -> dict[Problem, int]:
        """Return how many rows were rejected for what, the most frequent first."""
        found = await self.fetch(_COUNT_PROBLEMS, of_run=run.number)
        return {Problem(problem): count for problem, count in found}

    async def first_rejected(self, run: Run, problem: Problem, limit: int) -> list[RowResult]:
        """Return the first rows rejected for a problem, as the lists had them."""
        statement = _FIRST_OF_PROBLEM.limit(limit)
        found = await self.fetch(statement, of_run=run.number, of_problem=problem)
        return [row_result(record) for record in found]

    async def count_notes(self, run: Run) -> dict[Note, int]:
        """Return how many orders there is something to say of."""
        found = await self.fetch(_COUNT_NOTES, of_run=run.number)
        counts = {note: sum(n for notes, n in found if note in notes.split()) for note in Note}
        return {note: count for note, count in counts.items() if count}

    async def first_noted(self, run: Run, note: Note, limit: int) -> list[NotedRequest]:
        """Return the first orders that a note is about, as the lists had them."""
        found = await self.fetch(_FIRST_NOTED.limit(limit), of_run=run.number, of_note=note)
        return [_noted(record) for record in found]

    async def count_skips(self, run: Run, limit: int) -> list[tuple[str, int]]:
        """Return why, by their own lists, orders are skipped, and how many each."""
        found = await self.fetch(_COUNT_SKIPS.limit(limit), of_run=run.number)
        return [(reason, count) for reason, count in found]

    async def count_skips_by_ca(self, run: Run) -> list[tuple[str, int]]:
        """Return why, by the CA's own word before sending, orders are skipped, and how many."""
        found = await self.fetch(_COUNT_SKIPPED_BY_CA, of_run=run.number)
        return [(reason, count) for reason, count in found]

    async def count_skipped_by_lists(self, run: Run) -> int:
        """Return how many orders are skipped because their lists say so."""
        return int((await self.fetch(_COUNT_SKIPPED_BY_LISTS, of_run=run.number))[0][0])

    async def count_unsure(self, run: Run) -> int:
        """Return how many of these are so for a word that is not known to be the CA's."""
        return int((await self.fetch(_COUNT_UNSURE, of_run=run.number))[0][0])

    async def count_without_addresses(self, run: Run) -> dict[Call, int]:
        """Return how many requests to send leave it to the CA whom to mail, by their call."""
        found = await self.fetch(_COUNT_WITHOUT_ADDRESSES, of_run=run.number)
        return {decode_call(record[0]): record[1] for record in found}

    async def recipients(self, run: Run, limit: int) -> list[tuple[str, int]]:
        """Return at which domains the addresses are, and how many mails each is to get."""
        found = await self.fetch(_RECIPIENTS.limit(limit), of_run=run.number)
        return [(domain, count) for domain, count in found]

    async def mailed_at(
        self, run: Run, domains: Sequence[str], limit: int
    ) -> tuple[int, list[NotedRequest]]:
        """Return how many requests to send have addresses at some domains, and the first.

        Domains are as `recipients` has them.
        """
        of = {"of_run": run.number, "of_domains": list(domains)}
        ((count,),) = await self.fetch(_COUNT_MAILED_AT, **of)
        found = await self.fetch(_FIRST_MAILED_AT.limit(limit), **of)
        return count, [_noted(record) for record in found]

    async def count_recipients(self, run: Run) -> tuple[int, int]:
        """Return at how many domains the addresses are, and how many mails there are in all."""
        ((domains, mails),) = await self.fetch(_COUNT_RECIPIENTS, of_run=run.number)
        return domains, mails


def _noted(record: Record) -> NotedRequest:
    return NotedRequest(request_of(record), record.input, record.line, record.skip)
