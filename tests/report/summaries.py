"""Summaries of runs, made up."""

from pathlib import Path
from typing import Any

from batch_resend.model import RequestStatus, RowStatus, Run, RunState
from batch_resend.report import Summary
from batch_resend.results import Tally

FOLDER = Path("reports/RUN")
TALLY = Tally(
    dict.fromkeys(RowStatus, 0), 0, dict.fromkeys(RequestStatus, 0), 0, 0, 0, 0, 0, 0, 0.0, 1.0
)


def run_at(url: str, **accounts: str) -> Run:
    """Return a run at a CA, told of accounts that are where they are."""
    settings = {"accounts": accounts} if accounts else {}
    return Run(1, "RUN", url, RunState.COMPLETED, None, (), 0.0, 1.0, 2.0, settings)


def summary(*, rejected: int = 0, **changes: Any) -> Summary:
    """Return a summary of a run; orders by status, `skips` by why, anything else by its name."""
    statuses = ("sent", "refused", "failed", "in_doubt", "not_attempted", "skipped")
    orders = {name: changes.pop(name, 0) for name in statuses}
    accepted = sum(orders.values())
    values: dict[str, Any] = {
        "run_id": "RUN",
        "state": "completed",
        "stop_reason": None,
        "started_at": "2026-11-24T03:00:00.000Z",
        "finished_at": "2026-11-24T03:31:02.000Z",
        "elapsed_s": 1862.0,
        "base_url": "https://ca.example/services/v2",
        "limits": ["1000/3m", "100/5s"],
        "inputs": [],
        "rows": {
            "read": accepted + rejected,
            "accepted": accepted,
            "duplicate": 0,
            "skipped": 0,
            "rejected": rejected,
        },
        "orders": {"total": accepted, **orders},
        "order_numbers": accepted,
        "requests": {
            "attempts": 0,
            "retries": 0,
            "rate_limited": 0,
            "unconnected": 0,
            "possible_duplicates": 0,
        },
        "back_pressure": {"pauses": 0, "paused_s": 0.0, "lowest_share": 1.0, "accounts": []},
        "skipped": changes.pop("skips", {}),
    }
    return Summary.model_validate(values | changes)
