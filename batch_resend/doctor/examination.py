"""The doctor's round: this machine first, then each account, one check after another.

What a failed check leaves without an answer is not checked, and says because of what. Of the CA
everything is read with GET; no line here, nor below it, makes a PUT.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_resend.certcentral import (
    Probe,
    Route,
    changes_path,
    info_path,
    list_path,
    probe,
    validation_path,
)
from batch_resend.channels import Channels
from batch_resend.clock import Clock
from batch_resend.doctor.answers import (
    ENDS_ALL,
    ORDER,
    USER,
    VALIDATION,
    Failed,
    LimitsFull,
    Reads,
    Trouble,
    content_of,
)
from batch_resend.doctor.checks import (
    Listed,
    check_account,
    check_changes_shape,
    check_clock,
    check_list_shape,
    check_orders,
    check_permission,
    check_shape,
    example_of,
    user_id,
)
from batch_resend.doctor.findings import Check, Diagnosis, Finding, Group, Result
from batch_resend.doctor.network import check_network
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.folders import Place
from batch_resend.journal import Journal, open_journal, size_of_journal
from batch_resend.listed import WAITING
from batch_resend.settings import Key, Settings
from batch_resend.windows import SharedLimiters

LISTED = 100  # orders of a list that are looked at
CHANGES_PATH = changes_path(86_400.0)
LITTLE_ROOM = 200_000_000  # bytes: a run takes some 1.5 kB a row, with its report
OF_READS = (
    Check.ACCOUNT,
    Check.CLOCK,
    Check.PERMISSION,
    Check.USER_SHAPE,
    Check.ORDERS,
    Check.LIST_SHAPE,
    Check.ORDER_SHAPE,
    Check.VALIDATION_SHAPE,
    Check.CHANGES_SHAPE,
)
OF_NETWORK = (Check.NAME, Check.CONNECTION, Check.PROXY, Check.TLS)

Show = Callable[[Group, Finding], object]


@dataclass(frozen=True, slots=True)
class Subject:
    """An account to look at, or several that go by one key."""

    title: str
    names: tuple[str, ...]  # of its profiles; none: it is the command's own
    base_url: str
    key_findings: Sequence[Finding]
    key: Key | None  # None: there is none, so nothing can be read
    route: Route
    is_proxy_left_out: bool  # the environment names one, and --trust-env was not given


@dataclass(frozen=True, slots=True)
class Setup:
    """What to look at."""

    journal: Place
    settings: Settings | None  # None: no account has a key
    subjects: Sequence[Subject]
    timeout_s: float


async def examine(setup: Setup, clock: Clock, show: Show) -> Diagnosis:
    """Check everything; `show` is called with each finding as soon as it is there."""
    diagnosis = Diagnosis()
    machine = _Findings(diagnosis, Group("This machine"), show)
    probes = _Probes(setup.timeout_s)
    async with AsyncExitStack() as stack:
        opened = await _open_journal(setup, clock, machine, stack)
        for subject in setup.subjects:
            group = Group(subject.title, subject.names, subject.base_url)
            account = _Account(_Findings(diagnosis, group, show), subject, clock)
            await account.examine(probes, opened)
    return diagnosis


class _Probes:
    """Looks at the way to each CA, once for all accounts that go it."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._found: dict[tuple[str, Route], Probe] = {}

    async def of(self, subject: Subject) -> Probe:
        """Return how far a connection comes that an account needs."""
        way = subject.base_url, subject.route
        if way not in self._found:
            self._found[way] = await probe(*way, self._timeout_s)
        return self._found[way]


class _Findings:
    """The findings of a group, which are shown as they come."""

    def __init__(self, diagnosis: Diagnosis, group: Group, show: Show) -> None:
        self.diagnosis = diagnosis
        self._group = group
        self._show = show
        diagnosis.groups.append(group)

    def add(self, finding: Finding) -> Finding:
        """Keep a finding, and show it."""
        self._group.findings.append(finding)
        self._show(self._group, finding)
        return finding

    def not_made(self, checks: Sequence[Check]) -> list[Check]:
        """Return those of the checks that have no finding yet."""
        made = {finding.check for finding in self._group.findings}
        return [check for check in checks if check not in made]

    def skip(self, checks: Sequence[Check], because: str) -> None:
        """Note that checks are not made, but for those that were."""
        for check in self.not_made(checks):
            self.add(Finding(check, Result.NOT_CHECKED, because))


# --- the journal --------------------------------------------------------------------------------

_JOURNAL_REMEDY = "Name a place that can be written with --journal, or make this one writable."


@dataclass(frozen=True, slots=True)
class _Opened:
    """What reading of the CA needs."""

    journal: Journal
    shared: SharedLimiters | None
    settings: Settings


async def _open_journal(
    setup: Setup, clock: Clock, machine: _Findings, stack: AsyncExitStack
) -> _Opened | None:
    """Open the journal until `stack` ends, and say how that went."""
    size = _size(setup.journal)
    try:
        journal = await stack.enter_async_context(open_journal(setup.journal, clock, "doctor"))
        shared = await stack.enter_async_context(journal.shared_limiters())
    except JournalBusy as error:
        machine.diagnosis.is_journal_busy = True
        remedy = "Run this again once that has ended: what is read of the CA is counted there."
        machine.add(Finding(Check.JOURNAL, Result.NOT_CHECKED, str(error), remedy))
        return None
    except JournalError as error:
        machine.add(Finding(Check.JOURNAL, Result.PROBLEM, str(error), _JOURNAL_REMEDY))
        return None
    machine.add(check_journal(setup.journal, size, _room(setup.journal)))
    return None if setup.settings is None else _Opened(journal, shared, setup.settings)


def check_journal(place: Place, size: int | None, room: tuple[int, int] | None) -> Finding:
    """Return what is known of a journal that was opened for writing.

    `size` is how many bytes it took before, `room` how many its disk has: free, and in all.
    """
    detail = f"{place}, {'new' if size is None else _bytes(size)}; it can be written"
    if room is None:
        return Finding(Check.JOURNAL, Result.OK, detail)
    free, total = room
    detail = f"{detail}, {_bytes(free)} of {_bytes(total)} are free there"
    if free >= LITTLE_ROOM:
        return Finding(Check.JOURNAL, Result.OK, detail)
    return Finding(
        Check.JOURNAL,
        Result.WARNING,
        detail,
        "Make room: a run stops once its journal cannot be written. `batch-resend prune` forgets "
        "old runs.",
    )


def _size(place: Place) -> int | None:
    try:
        return size_of_journal(place)
    except (JournalError, OSError):
        return None


def _room(place: Place) -> tuple[int, int] | None:
    """Return the bytes that are free on the disk of a journal, and all of them."""
    if not isinstance(place, Path):
        return None
    usage = shutil.disk_usage(place.absolute().parent)
    return usage.free, usage.total


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


# --- an account ---------------------------------------------------------------------------------


class _Ended(Exception):
    """A read has brought what leaves nothing more to be asked."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.detail)
        self.failed = failed


class _Account:
    """The checks of one account."""

    def __init__(self, findings: _Findings, subject: Subject, clock: Clock) -> None:
        self._findings = findings
        self._subject = subject
        self._clock = clock

    async def examine(self, probes: _Probes, opened: _Opened | None) -> None:
        """Make all checks, or say why one was not made."""
        subject, findings = self._subject, self._findings
        for finding in subject.key_findings:
            findings.add(finding)
        found = await probes.of(subject)
        of_network = check_network(
            found, self._clock(), is_proxy_left_out=subject.is_proxy_left_out
        )
        for finding in of_network:
            findings.add(finding)
        if (last := of_network[-1]).result is Result.PROBLEM:
            wanted = [c for c in OF_NETWORK if c is not Check.PROXY or subject.route.proxy]
            findings.skip([*wanted, *OF_READS], f"because of the problem with the {last.check}")
        elif subject.key is None:
            findings.skip(OF_READS, "because there is no key")
        elif opened is None:
            findings.skip(OF_READS, "because reads are to be counted in the journal")
        else:
            await self._ask_the_ca(subject.key, opened)

    async def _ask_the_ca(self, key: Key, opened: _Opened) -> None:
        """Check what the CA answers, in one try for each read."""
        account, findings = key.account, self._findings
        reads: Reads | None = None
        try:
            async with AsyncExitStack() as sessions:
                channels = Channels(opened.settings, opened.journal, self._clock)
                channel = await channels.open_channel(key, opened.shared, sessions)
                recorder = await opened.journal.start_reading(account.base_url, account.budget)
                reads = Reads(channel, recorder, self._clock)
                await self._check_answers(reads, account.api_key.get_secret_value())
        except (LimitsFull, _Ended) as error:
            self._end(error.failed)
        except JournalError as error:
            findings.add(Finding(Check.JOURNAL, Result.PROBLEM, str(error), _JOURNAL_REMEDY))
            findings.skip(OF_READS, "because the journal cannot be written")
        finally:
            findings.diagnosis.requests += reads.made if reads else 0

    def _end(self, failed: Failed) -> None:
        """Say of the check that is due why nothing more is asked, and leave out the others."""
        due = self._findings.not_made(OF_READS)[0]
        is_problem = due is Check.ACCOUNT or failed.trouble is Trouble.KEY_REFUSED
        result = Result.PROBLEM if is_problem else Result.WARNING
        self._findings.add(Finding(due, result, failed.detail, failed.remedy))
        self._findings.skip(OF_READS, f"because of the {result} with the {due}")

    async def _check_answers(self, reads: Reads, key: str) -> None:
        """Read and check one thing after another. Raises LimitsFull, JournalError, _Ended."""
        findings = self._findings
        asked = await reads.get("/user/me")
        user = content_of(asked, self._subject.base_url)
        account = findings.add(check_account(user))
        findings.add(check_clock(asked))
        if account.result is Result.PROBLEM:
            findings.skip(OF_READS, f"because of the problem with the {account.check}")
            return
        findings.add(check_permission(user, await self._keys(reads, user)))
        findings.add(check_shape(Check.USER_SHAPE, user, USER, key))
        lists = [
            Listed.of(status, await self._read(reads, _list_path(status))) for status in WAITING
        ]
        findings.add(check_orders(lists))
        findings.add(check_list_shape(lists, key))
        await self._check_example(reads, example_of(lists), key)
        findings.add(check_changes_shape(await self._read(reads, CHANGES_PATH), key))

    async def _keys(self, reads: Reads, user: Any) -> Any:
        """Return what the CA says of the keys of this one's user; an administrator's may ask."""
        number = user_id(user)
        return None if number is None else await self._read(reads, f"/key?user_id={number}")

    async def _check_example(self, reads: Reads, number: str | None, key: str) -> None:
        """Look at one order, and at which of its names wait."""
        if number is None:
            checks = (Check.ORDER_SHAPE, Check.VALIDATION_SHAPE)
            self._findings.skip(checks, "because no order waits")
            return
        info = await self._read(reads, info_path(number))
        self._findings.add(check_shape(Check.ORDER_SHAPE, info, ORDER, key))
        validation = await self._read(reads, validation_path(number))
        self._findings.add(check_shape(Check.VALIDATION_SHAPE, validation, VALIDATION, key))

    async def _read(self, reads: Reads, path: str) -> Any:
        """Return what the CA has at a path, or Failed. Raises _Ended where that ends all."""
        content = content_of(await reads.get(path), self._subject.base_url)
        if isinstance(content, Failed) and content.trouble in ENDS_ALL:
            raise _Ended(content)
        return content


def _list_path(status: str) -> str:
    return list_path([("status", status)], 0, LISTED)
