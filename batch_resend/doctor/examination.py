"""The doctor's round: this machine first, then each account, one check after another.

What a failed check leaves without an answer is not checked, and says because of what. Of the CA
everything is read with GET, each once; no line here, nor below it, makes a PUT.
"""

import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import anyio

from batch_resend.certcentral import Probe, Route, probe
from batch_resend.certcentral.orders import changes_path, info_path, list_path, validation_path
from batch_resend.channels import Channels
from batch_resend.clock import Clock, format_duration
from batch_resend.doctor.checks import (
    check_account,
    check_clock,
    check_journal,
    check_network,
    check_orders,
    check_permission,
    check_permission_unsaid,
    example_of,
    user_id,
)
from batch_resend.doctor.comparison import check_changes_shape, check_list_shape, check_shape
from batch_resend.doctor.findings import (
    Answer,
    Check,
    Diagnosis,
    Failed,
    Finding,
    Group,
    Result,
    Trouble,
    content_of,
)
from batch_resend.doctor.shapes import ORDER, USER, VALIDATION, Field
from batch_resend.errors import JournalBusy, JournalError
from batch_resend.folders import Place
from batch_resend.journal import Journal, ReadRecorder, open_journal, size_of_journal
from batch_resend.listed import WAITING
from batch_resend.model import Ruling
from batch_resend.sending import Channel
from batch_resend.settings import Account, Key, Settings
from batch_resend.windows import Fate, KeyStopped, SharedLimiters, Slot

LISTED = 100  # orders of a list that are looked at
LONGEST_WAIT_S = 10.0  # for a slot of the rate limits
_USER_PATH = "/user/me"
_CHANGES_PATH = changes_path(86_400.0)
_OF_NETWORK = (Check.NAME, Check.CONNECTION, Check.PROXY, Check.TLS)
_JOURNAL_REMEDY = "Name a place that can be written with --journal, or make this one writable."

log = logging.getLogger(__name__)

Show = Callable[[Group, Finding], object]
Look = Callable[["Reads"], Awaitable[Finding]]


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
    probes: dict[tuple[str, Route], Probe] = {}  # one for all accounts that go that way
    async with AsyncExitStack() as stack:
        machine = _Findings(diagnosis, Group("This machine"), show)
        opened = await _open_journal(setup, clock, machine, stack)
        for subject in setup.subjects:
            group = Group(subject.title, subject.names, subject.base_url)
            findings = _Findings(diagnosis, group, show)
            findings.add(*subject.key_findings)
            way = subject.base_url, subject.route
            if way not in probes:
                probes[way] = await probe(*way, setup.timeout_s)
            await _look_at(subject, findings, probes[way], clock, opened)
    return diagnosis


@dataclass(frozen=True, slots=True)
class _Findings:
    """The findings of a group, which are shown as they come."""

    diagnosis: Diagnosis
    group: Group
    show: Show

    def __post_init__(self) -> None:
        self.diagnosis.groups.append(self.group)

    def add(self, *findings: Finding) -> None:
        """Keep findings, and show them."""
        for finding in findings:
            self.group.findings.append(finding)
            self.show(self.group, finding)

    def skip(self, checks: Sequence[Check], because: str) -> None:
        """Note that checks are not made, but for those that were."""
        self.add(*(Finding(check, Result.NOT_CHECKED, because) for check in self.due(checks)))

    def due(self, checks: Sequence[Check]) -> list[Check]:
        """Return those of the checks that have no finding yet."""
        made = {finding.check for finding in self.group.findings}
        return [check for check in checks if check not in made]


# --- the journal --------------------------------------------------------------------------------


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
    size: int | None = None
    with suppress(JournalError, OSError):
        size = size_of_journal(setup.journal)
    try:
        journal = await stack.enter_async_context(open_journal(setup.journal, clock, "doctor"))
        shared = await stack.enter_async_context(journal.shared_limiters())
    except JournalBusy as error:
        machine.diagnosis.is_journal_busy = True
        remedy = "Run this again when that run has ended: reads are counted in its journal."
        machine.add(Finding(Check.JOURNAL, Result.NOT_CHECKED, str(error), remedy))
        return None
    except JournalError as error:
        machine.add(Finding(Check.JOURNAL, Result.PROBLEM, str(error), _JOURNAL_REMEDY))
        return None
    room: tuple[int, int] | None = None
    if isinstance(setup.journal, Path):
        usage = shutil.disk_usage(setup.journal.absolute().parent)
        room = usage.free, usage.total
    machine.add(check_journal(setup.journal, size, room))
    return None if setup.settings is None else _Opened(journal, shared, setup.settings)


# --- an account ---------------------------------------------------------------------------------


async def _look_at(
    subject: Subject, findings: _Findings, way: Probe, clock: Clock, opened: _Opened | None
) -> None:
    """Make all checks of an account beyond its key, or say why one was not made."""
    of_network = check_network(way, clock(), is_proxy_left_out=subject.is_proxy_left_out)
    findings.add(*of_network)
    if (last := of_network[-1]).result is Result.PROBLEM:
        wanted = [c for c in _OF_NETWORK if c is not Check.PROXY or subject.route.proxy]
        findings.skip([*wanted, *OF_READS], f"because of the problem with the {last.check}")
    elif subject.key is None:
        findings.skip(OF_READS, "because there is no key")
    elif opened is None:
        findings.skip(OF_READS, "because reads have to be counted in the journal")
    else:
        await _ask_the_ca(subject.key, findings, clock, opened)


async def _ask_the_ca(key: Key, findings: _Findings, clock: Clock, opened: _Opened) -> None:
    """Check what the CA answers, in one try for each read."""
    account = key.account
    reads: Reads | None = None
    try:
        async with AsyncExitStack() as sessions:
            channels = Channels(opened.settings, opened.journal, clock)
            channel = await channels.open_channel(key, opened.shared, sessions)
            recorder = await opened.journal.start_reading(account.base_url, account.budget)
            reads = Reads(account, channel, recorder, clock)
            for check, look in _CHECKS.items():
                findings.add(finding := await look(reads))
                if check is Check.ACCOUNT and finding.result is Result.PROBLEM:
                    findings.add(await _CHECKS[Check.CLOCK](reads))
                    findings.skip(OF_READS, f"because of the problem with the {check}")
                    break
    except Ended as ended:
        # The check that is due says why nothing more is asked.
        due, failed = findings.due(OF_READS)[0], ended.failed
        result = Result.PROBLEM if due is Check.ACCOUNT else failed.result
        findings.add(Finding(due, result, failed.detail, failed.remedy))
        findings.skip(OF_READS, f"because of the {result} with the {due}")
    except JournalError as error:
        findings.add(Finding(Check.JOURNAL, Result.PROBLEM, str(error), _JOURNAL_REMEDY))
        findings.skip(OF_READS, "because the journal cannot be written")
    finally:
        findings.diagnosis.requests += reads.made if reads else 0


# --- what is read -------------------------------------------------------------------------------


class Ended(Exception):
    """A read has brought what leaves nothing more to be asked, or no request can leave."""

    def __init__(self, failed: Failed) -> None:
        """Take what it brought."""
        super().__init__(failed.detail)
        self.failed = failed


@dataclass(slots=True)
class Reads:
    """Reads by one key, each made once and in one try."""

    account: Account
    channel: Channel
    recorder: ReadRecorder
    clock: Clock
    made: int = 0
    _read: dict[str, tuple[Answer, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The API key."""
        return self.account.api_key.get_secret_value()

    async def answer(self, path: str) -> Answer:
        """Return what came of a read below the base URL. Raises Ended, JournalError."""
        await self.content(path)
        return self._read[path][0]

    async def content(self, path: str, *, of_order: bool = False) -> Any:
        """Return what the CA has at a path, as JSON, NOTHING or Failed.

        `of_order`: it is that of one order, which the CA may not have.
        Raises Ended where nothing more is to be asked, JournalError.
        """
        if path not in self._read:
            answer = await self._get(path)
            content = content_of(answer, self.account.base_url, of_order=of_order)
            self._read[path] = answer, content
        content = self._read[path][1]
        # Of the first read the check says it.
        if isinstance(content, Failed) and content.trouble.ends_all and path != _USER_PATH:
            raise Ended(content)
        return content

    async def _get(self, path: str) -> Answer:
        with await self._slot() as slot:
            number = await self.recorder.begin(self.clock())
            self.made += 1
            is_doubtful = True  # until an answer says otherwise: it may still arrive
            try:
                sent_at = self.clock()
                result = await self.channel.ca.get(path, lambda: None)
                verdict = self.channel.ca.judge(result)
                is_doubtful = verdict.ruling is Ruling.IN_DOUBT
            finally:
                if not is_doubtful:
                    slot.end(Fate.ANSWERED)
                with anyio.CancelScope(shield=True):
                    await self.recorder.end(number, self.clock(), in_doubt=is_doubtful)
        log.debug(
            "read %s", path, extra={"http_status": verdict.http_status, "said": verdict.summary}
        )
        return Answer(result, verdict, sent_at)

    async def _slot(self) -> Slot:
        """Take a slot. Raises Ended."""
        limiter = self.channel.limiter
        if limiter.full_for_s <= LONGEST_WAIT_S:
            with suppress(KeyStopped), anyio.move_on_after(LONGEST_WAIT_S):
                return await limiter.slot()
        for_s = limiter.full_for_s
        known = f" for another {format_duration(for_s)}" if isfinite(for_s) else " for a while"
        detail = f"the rate limits of this key let no request leave{known}: a run has used them up"
        raise Ended(Failed(Trouble.TOO_MANY, detail, "Run this again then."))


async def _account(reads: Reads) -> Finding:
    return check_account(await reads.content(_USER_PATH))


async def _clock(reads: Reads) -> Finding:
    return check_clock(await reads.answer(_USER_PATH))


async def _permission(reads: Reads) -> Finding:
    user = await reads.content(_USER_PATH)
    if isinstance(user, Failed):
        lists = await _lists(reads)
        return check_permission_unsaid(user, [*lists.values()])
    number = user_id(user)  # what keys it has an administrator's key may ask
    keys = None if number is None else await reads.content(f"/key?user_id={number}")
    return check_permission(user, keys)


async def _user_shape(reads: Reads) -> Finding:
    return check_shape(Check.USER_SHAPE, await reads.content(_USER_PATH), USER, reads.key)


async def _lists(reads: Reads) -> dict[str, Any]:
    """Return the first page of the list for each status of those that wait."""
    paths = {status: list_path([("status", status)], 0, LISTED) for status in WAITING}
    return {status: await reads.content(path) for status, path in paths.items()}


async def _orders(reads: Reads) -> Finding:
    return check_orders(await _lists(reads))


async def _list_shape(reads: Reads) -> Finding:
    return check_list_shape([*(await _lists(reads)).values()], reads.key)


def _of_example(check: Check, path_of: Callable[[str], str], fields: tuple[Field, ...]) -> Look:
    """Return what looks at one order of the lists."""

    async def look(reads: Reads) -> Finding:
        number = example_of([*(await _lists(reads)).values()])
        if number is None:
            return Finding(check, Result.NOT_CHECKED, "because no order waits")
        content = await reads.content(path_of(number), of_order=True)
        return check_shape(check, content, fields, reads.key)

    return look


async def _changes_shape(reads: Reads) -> Finding:
    return check_changes_shape(await reads.content(_CHANGES_PATH), reads.key)


_CHECKS: Mapping[Check, Look] = {
    Check.ACCOUNT: _account,
    Check.CLOCK: _clock,
    Check.PERMISSION: _permission,
    Check.USER_SHAPE: _user_shape,
    Check.ORDERS: _orders,
    Check.LIST_SHAPE: _list_shape,
    Check.ORDER_SHAPE: _of_example(Check.ORDER_SHAPE, info_path, ORDER),
    Check.VALIDATION_SHAPE: _of_example(Check.VALIDATION_SHAPE, validation_path, VALIDATION),
    Check.CHANGES_SHAPE: _changes_shape,
}
OF_READS = tuple(_CHECKS)
