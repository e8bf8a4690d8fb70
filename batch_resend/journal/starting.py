"""A start: a process that begins to send a run, or resumes it; or to read of a CA."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, insert, null, update

from batch_resend.journal.schema import budgets, runs, starts
from batch_resend.model import Run, RunState
from batch_resend.windows import Window

_START = (
    update(runs)
    .where(runs.c.number == bindparam("of_run"))
    .values(
        state=RunState.RUNNING,
        stop_reason=null(),
        finished_at=null(),
        limits=bindparam("new_limits"),
        settings=bindparam("new_settings"),
        started_at=func.coalesce(runs.c.started_at, bindparam("now")),
        distributed_by=bindparam("new_distributed_by"),
    )
)
_ADD_START = insert(starts).returning(starts.c.number)
_ADD_BUDGET = insert(budgets)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a run is sent."""

    windows: Sequence[Window]
    settings: Mapping[str, object] = field(default_factory=dict)  # to be told later; no secret
    budgets: Mapping[str | None, str] = field(default_factory=dict)  # whose windows, by account
    cooldown_s: float = 0.0
    hold_doubts: bool = False


def limits_text(windows: Sequence[Window]) -> str:
    """Return windows as the journal has them."""
    return " ".join(map(str, windows))


def add_start(
    connection: Connection, values: Mapping[str, object], found: Mapping[str | None, str]
) -> int:
    """Write down a start, and whose windows each account's requests count in; return its number."""
    number: int = connection.execute(_ADD_START, values).scalar_one()
    named = [
        {"start": number, "account": name or "", "budget": budget} for name, budget in found.items()
    ]
    if named:
        connection.execute(_ADD_BUDGET, named)
    return number


def begin(
    connection: Connection, run: Run, terms: Terms, now: float, distributed_by: int | None = None
) -> None:
    """Write down that a run is being sent; `dealt_by`: the start that distributes it to workers."""
    connection.execute(
        _START,
        {
            "of_run": run.number,
            "now": now,
            "new_limits": limits_text(terms.windows),
            "new_settings": json.dumps(dict(terms.settings)),
            "new_distributed_by": distributed_by,
        },
    )
