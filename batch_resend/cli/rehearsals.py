"""Rehearsals: what `simulate` has the command that it runs know. Nobody is to be mailed."""

import os
import socket
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from batch_resend.cli.variables import KEY_VARIABLE
from batch_resend.clock import Clock, SystemClock
from batch_resend.errors import SettingsError
from batch_resend.model import Run
from batch_resend.settings import Settings, is_at_loopback

if TYPE_CHECKING:
    from batch_resend.journal import JournalReader

_REHEARSAL = "BATCH_RESEND_REHEARSAL"  # where the simulator is
_AHEAD = "BATCH_RESEND_REHEARSAL_AHEAD"  # in seconds, how much later it takes place
_NOTIFIES = "BATCH_RESEND_REHEARSAL_NOTIFIES"  # set: its command notifies as a real one does
_BY = "BATCH_RESEND_REHEARSAL_BY"  # the process that ends when the command that it runs does
_PORTS = {"http": 80, "https": 443}
ANY_KEY = "rehearsal"  # where the simulator takes any
_OTHERS = "Name another run: `batch-resend runs` lists all."
_VERIFY_IN_A_REHEARSAL = (
    f"nobody can say any more what became of its orders. {_OTHERS} To try a command on a "
    "rehearsal, run both in one:\n"
    "  batch-resend simulate --orders 50 -- sh -c 'batch-resend sweep --yes; batch-resend verify'"
)
RESUME_NO_REHEARSAL = (
    f"there is nothing to resume: rehearse again. If the URL was wrong, send the list again to the "
    f"right one. {_OTHERS}"
)


def rehearsal_environment(base_url: str, key: str | None, *, notifies: bool) -> dict[str, str]:
    """Return what makes a command's run a rehearsal, which asks the simulator at a URL only."""
    place = {"BATCH_RESEND_BASE_URL": base_url, KEY_VARIABLE: key or ANY_KEY, _REHEARSAL: base_url}
    place[_BY] = str(os.getpid())
    return place | ({_NOTIFIES: "1"} if notifies else {})


def in_a_rehearsal_after(ahead_s: float) -> dict[str, str]:
    """Return what has a rehearsal take place so many seconds from now."""
    return {_AHEAD: str(ahead_s)}


def clock_of_command() -> Clock:
    """Return the clock that a command goes by: in a rehearsal of later days it is ahead."""
    return SystemClock(float(os.environ.get(_AHEAD, "0")) if is_rehearsal() else 0.0)


def is_rehearsal(base_url: str | None = None) -> bool:
    """Whether `simulate` runs this command, or its CA is at a URL of this machine."""
    return _REHEARSAL in os.environ or is_at_loopback(base_url or "")


def is_whole_rehearsal() -> bool:
    """Whether this command is all that is rehearsed: the simulator ends with it.

    In a shell that `simulate` runs, or in a script, others may follow.
    """
    return is_rehearsal() and os.environ.get(_BY) == str(os.getppid())


def is_rehearsal_in_silence() -> bool:
    """Whether this is a rehearsal that must not notify: a watchdog would take it for the night."""
    return is_rehearsal() and _NOTIFIES not in os.environ


def refuse_elsewhere(base_url: str) -> None:
    """Raise SettingsError where a rehearsal names another CA than the simulator."""
    simulator = os.environ.get(_REHEARSAL, base_url)
    if base_url != simulator:
        raise SettingsError(
            f"this is a rehearsal at {simulator}, and not at {base_url}: leave that URL out, or "
            "run the command without `simulate`"
        )


def ended_simulators(run: Run, accounts: Iterable[str | None]) -> dict[str | None, str]:
    """Return of which of a run's accounts the simulator has ended, and where it was.

    It would be waited for as long as for a CA that is down.
    """
    urls = {name: run.url_of(name) or "" for name in accounts}
    ended = {url for url in {*urls.values()} if has_ended(url)}
    return {name: urlsplit(url).netloc for name, url in urls.items() if url in ended}


def has_ended(url: str) -> bool:
    """Whether a URL is a simulator's that has ended: one of this machine where nothing listens."""
    return is_at_loopback(url) and not _listens(urlsplit(url))


def are_all_ended(run: Run, accounts: Collection[str | None]) -> bool:
    """Whether a rehearsal has no simulator any more for some accounts of a run."""
    return ended_simulators(run, accounts or (None,)).keys() >= {*(accounts or (None,))}


async def is_over(reader: "JournalReader", run: Run) -> bool:
    """Whether no command can do anything for a rehearsal: what is left of it has no simulator.

    Where nothing is left, one that has ended is enough: of its orders nobody knows any more.
    """
    ended = ended_simulators(run, await reader.accounts(run) or (None,))
    return bool(ended) and ended.keys() >= (await reader.count_by_account(run)).keys()


def refuse_ended_rehearsal(
    run: Run, accounts: Sequence[str | None], what_to_do: str = _VERIFY_IN_A_REHEARSAL
) -> None:
    """Raise SettingsError where a run was at a simulator that has ended, or at none."""
    if ended := ended_simulators(run, accounts or (None,)):
        simulator = next(iter(ended.values()))
        raise SettingsError(
            f"run {run.id} is for {simulator} on this machine, where nothing listens. If it was a "
            f"rehearsal, its simulator has ended, and {what_to_do}"
        )


def without_simulator(settings: Settings) -> dict[str, str]:
    """Return, by budget, why nothing is to be sent by keys whose simulators have ended."""
    return {
        key.account.budget: f"nothing listens at {urlsplit(key.account.base_url).netloc}; if that "
        "was a simulator, it has ended"
        for key in settings.keys(settings.names)
        if has_ended(key.account.base_url)
    }


def _listens(url: SplitResult) -> bool:
    """Whether anything listens at a URL of this machine."""
    try:
        socket.create_connection((url.hostname, url.port or _PORTS[url.scheme]), 1.0).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # who knows: the command itself finds out
    return True
