"""Prometheus metrics of the last run, for node_exporter's textfile collector."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from batch_resend.model import RequestStatus
from batch_resend.report import Summary, whole_file

LAST_SUCCESS = "batch_resend_last_success_timestamp_seconds"
_READABLE = 0o644  # the collector is another user


def write_metrics(path: Path, code: int, summary: Summary | None, now: float) -> None:
    """Write what a command came to. Raises ReportError.

    The time of the last success outlives the runs that had none.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float | None) -> None:
        if value is not None:
            Gauge(name, text, registry=registry).set(value)

    gauge("batch_resend_exit_code", "Exit code of the last command", code)
    gauge("batch_resend_last_run_timestamp_seconds", "When the last command ended", now)
    gauge(
        LAST_SUCCESS,
        "When a command last ended with exit code 0",
        now if code == 0 else _last_success(path),
    )
    if summary is not None:
        orders = Gauge(
            "batch_resend_orders", "Orders of the last run", ["outcome"], registry=registry
        )
        for status in RequestStatus:
            orders.labels(outcome=status.value).set(getattr(summary.orders, status))
        gauge("batch_resend_rejected_rows", "Rows that were rejected", summary.rows.rejected)
        gauge("batch_resend_attempts", "Requests that were made", summary.requests.attempts)
        gauge("batch_resend_retries", "Requests beyond an order's first", summary.requests.retries)
        gauge(
            "batch_resend_rate_limited", "Requests answered with 429", summary.requests.rate_limited
        )
        gauge(
            "batch_resend_possible_duplicates",
            "Mails that may have gone out beyond an order's first",
            summary.requests.possible_duplicates,
        )
        gauge("batch_resend_duration_seconds", "How long the run took", summary.elapsed_s)
        gauge("batch_resend_paused_seconds", "of which paused", summary.back_pressure.paused_s)
    with whole_file(path, mode=_READABLE) as file:
        file.write(generate_latest(registry).decode())


def _last_success(path: Path) -> float | None:
    """Return what the file says until now; None where it says nothing that can be read."""
    if not path.is_file():
        return None  # a pipe would keep whoever reads it waiting
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    samples = [s for family in families for s in family.samples if s.name == LAST_SUCCESS]
    return samples[0].value if samples else None
