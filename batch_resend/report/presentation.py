"""How a report speaks, and to whom: what its next commands need, and what else it shows."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class NextFlags:
    """What of a run's command line the next ones need as well; each with a blank in front."""

    send: str = ""
    resume: str = ""  # which reads no list, and has no option for one
    in_doubt: str = ""  # the policy, where it was named: what is held must stay so
    watch: str = ""  # which only reads the journal
    config: str = ""  # which stands in front of the command's name
    verify: str = ""  # which only asks the CA
    first: str = ""  # how many are sent before the rest is asked about
    for_real: str = ""  # of a rehearsal: the same command, to send for real
    for_real_here: str = ""  # the same, in the folder in which it was given
    journal_is_lost: bool = False  # what can be done then, its message says
    none_will_do: bool = False  # a rehearsal whose simulator ends with the command, or has


NO_FLAGS = NextFlags()


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a report speaks to whom."""

    flags: NextFlags = NO_FLAGS
    redact: bool = False  # mask e-mail addresses
    order_url: str | None = None  # of an order in the CA's console, {order} for its number

    def with_journal(self, *, is_lost: bool) -> Self:
        """Return it for a run whose journal is lost, or not: no command would find that run."""
        return replace(self, flags=replace(self.flags, journal_is_lost=is_lost))


PLAIN = Presentation()


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do after a run, and the command that does it, where one does."""

    text: str
    command: str | None = None
