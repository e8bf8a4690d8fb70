"""How a command ended, to a webhook, a watchdog and Prometheus.

A failure here never changes what a run comes to.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio

from batch_resend.errors import ReportError, SettingsError
from batch_resend.model import RequestStatus
from batch_resend.report import NOBODY_MAILED, NextStep, Summary, headline, of_profile, whole_file
from batch_resend.results import Decision
from batch_resend.version import __version__
from batch_resend.visible import redacted

TRIES_AFTER_S = (0.0, 1.0, 3.0)
TIMEOUT_S = 8.0  # of one try
LONGEST_S = 30.0  # for all tries
LAST_SUCCESS = "batch_resend_last_success_timestamp_seconds"
_LEAST_ERROR = 300
_STOPPED = 4  # as an exit code, such as of a key that is refused while the CA is asked what waits
_READABLE = 0o644  # of metrics: the collector is another user
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"batch-resend/{__version__}"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended."""

    code: int  # its exit code
    summary: Summary | None = None  # of its run, where there is one
    folder: Path | None = None  # of the run's report
    error: str | None = None  # why it could not begin, or what went wrong after sending
    note: str | None = None  # what there is to say where there was nothing to do
    declined: str | None = None  # why nothing was sent where somebody wanted it so
    url: str | None = None  # of the report's page, where it is served
    before: str | None = None  # what there is to say of the run before, in half a sentence
    next_steps: Sequence[NextStep] = ()  # what to do after its run
    would_send: Mapping[str, object] = field(default_factory=dict)  # with --dry-run
    profile: str | None = None  # that it was for
    in_rehearsal: bool = False  # of all accounts that it asks, the CA is on this machine

    @property
    def is_rehearsal(self) -> bool:
        """Whether nobody can have been mailed, also where there was no run."""
        return self.in_rehearsal or (self.summary is not None and self.summary.is_rehearsal)

    @property
    def text(self) -> str:
        """The whole in one sentence."""
        of = of_profile(self.summary.profile if self.summary else self.profile)
        if self.summary is None:
            return f"batch-resend{of}{self._without_run()}"
        note = f"batch-resend {self.summary.run_id}{of}: {headline(self.summary)}"
        if self.summary.stop_reason and self.summary.started_at:
            note += f" ({self.summary.stop_reason})"
        if self.error:
            note += f"; but {self.error}"
        if self.before:
            note += f"; {self.before}"
        return f"{note} {self.url}" if self.url else note

    def _without_run(self) -> str:
        """Return how a command ended that had no run, after its name."""
        rehearsed = f": {NOBODY_MAILED}" if self.in_rehearsal else ""
        if note := self.note or self.declined:
            return f"{rehearsed}: {note}"
        how = "stopped early" if self.code == _STOPPED else "could not start"
        return f"{rehearsed}{';' if rehearsed else ''} {how}: {self.error}"

    def as_json(self, *, redact: bool = False) -> dict[str, Any]:
        """Return it for programs: the keys of summary.json, and `text`, as Slack has it.

        `redact`: with e-mail addresses masked.
        """
        summary = self.summary.model_dump(mode="json") if self.summary else {}
        stopped = self.summary.stop_reason if self.summary else None
        note: dict[str, Any] = {
            "text": self.text,
            "profile": self.profile,
            "exit_code": self.code,
            "error": "; ".join(filter(None, (self.declined, stopped, self.error))) or None,
            "report": str(self.folder.absolute()) if self.folder else None,
            "report_url": self.url,
        }
        if self.summary:
            note["next_steps"] = [asdict(step) for step in self.next_steps]
        values: dict[str, Any] = {**note, **summary, **self.would_send}
        return json.loads(redacted(json.dumps(values))) if redact else values


@dataclass(frozen=True, slots=True)
class Notifier:
    """Notifies of a command's start and end. URLs are secrets: they are not repeated anywhere."""

    notify_url: str | None = None  # is sent a POST with the result
    ping_url: str | None = None  # healthchecks.io's: URL/start, then URL or URL/fail
    metrics_file: Path | None = None  # for Prometheus' textfile collector
    trust_env: bool = False  # go through the environment's proxy
    redact: bool = False  # mask e-mail addresses
    is_silent: bool = False  # nobody is notified
    profile: str | None = None  # a label of all metrics: each account has its own
    clock: Callable[[], float] = time.time

    @property
    def options(self) -> list[str]:
        """The options by which it notifies."""
        by_option = {
            "--notify-url": self.notify_url,
            "--ping-url": self.ping_url,
            "--metrics-file": self.metrics_file,
        }
        return [option for option, given in by_option.items() if given]

    def without_state(self) -> "Notifier":
        """Return it without what shows only the newest night's state: the watchdog, the metrics."""
        return replace(self, ping_url=None, metrics_file=None)

    def check(self) -> None:
        """Raise SettingsError where a URL is none, without the URL: it is a secret."""
        for option, url in (("--notify-url", self.notify_url), ("--ping-url", self.ping_url)):
            if url is not None and not is_url(url):
                raise SettingsError(f"{option} is not a URL such as https://host/path")
        if self.metrics_file and self.metrics_file.suffix != ".prom":
            text = "--metrics-file %s: the node exporter reads only files whose names end in .prom"
            log.warning(text, self.metrics_file)

    async def started(self) -> None:
        """Notify that a command has begun."""
        if self.ping_url and not self.is_silent:
            await self._post("--ping-url, at the start", _below(self.ping_url, "start"), "")

    async def ended(self, result: CommandResult) -> None:
        """Notify how a command ended."""
        if self.is_silent:
            return
        if self.metrics_file:
            try:
                write_metrics(self.metrics_file, result, self.clock(), self.profile)
            except ReportError as error:
                log.error("--metrics-file %s", error)
        note = json.dumps(result.as_json(redact=self.redact), ensure_ascii=False)
        async with anyio.create_task_group() as tasks:
            if self.ping_url:
                url = self.ping_url if result.code == 0 else _below(self.ping_url, "fail")
                tasks.start_soon(self._post, "--ping-url, at the end", url, note)
            if self.notify_url:
                tasks.start_soon(self._post, "--notify-url", self.notify_url, note)

    async def _post(self, what: str, url: str, body: str) -> None:
        """Send it, in a few tries; log why it was not taken, without the URL."""
        if not is_url(url):
            return  # that is why the command ends: it is posted to the other URL
        problem: str | None = f"no answer within {LONGEST_S:.0f} s"
        with anyio.move_on_after(LONGEST_S):
            for wait_s in TRIES_AFTER_S:
                await anyio.sleep(wait_s)
                problem = await self._try(url.strip(), body)
                if problem is None:
                    return
        log.error("%s: %s could not be notified: %s", what, urlsplit(url).hostname, problem)

    async def _try(self, url: str, body: str) -> str | None:
        import aiohttp  # noqa: PLC0415 - slow, and what only looks at runs posts nothing

        from batch_resend.certcentral.wire import why_not_connected  # noqa: PLC0415 - likewise

        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=self.trust_env) as session,
                # A redirect would take what the run came to elsewhere.
                session.post(
                    url, data=body.encode(), headers=_HEADERS, allow_redirects=False
                ) as response,
            ):
                return None if response.status < _LEAST_ERROR else f"HTTP {response.status}"
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:.0f} s"
        except aiohttp.ClientConnectorError as error:
            return f"no connection: {why_not_connected(error)}"
        except aiohttp.ServerDisconnectedError:
            return "the connection was closed"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"the request failed ({type(error).__name__})"  # its text may have the URL


def is_url(url: str) -> bool:
    """Whether something can be posted there."""
    try:
        parts = urlsplit(url.strip())
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:  # a port beyond the last there is, brackets around no address
        return False


def _below(url: str, name: str) -> str:
    """Return the URL of something below another URL, whose query stays."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def write_metrics(path: Path, result: CommandResult, now: float, profile: str | None) -> None:
    """Write what a command came to, with its profile as a label. Raises ReportError.

    The time of the last success outlives the runs that had none. A rehearsal is none.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415 - slow, and rarely wanted

    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    is_success = result.code == 0 and not result.is_rehearsal
    succeeded_at = now if is_success else _last_success(path)
    of_profile = {"profile": profile} if profile else {}
    for name, text, value, labels in _metrics(result, now, succeeded_at):
        if value is None:
            continue
        every = labels | of_profile
        if name not in gauges:
            gauges[name] = Gauge(f"batch_resend_{name}", text, [*every], registry=registry)
        (gauges[name].labels(**every) if every else gauges[name]).set(value)
    with whole_file(path, mode=_READABLE) as file:
        file.write(generate_latest(registry).decode())


def _metrics(
    result: CommandResult, now: float, succeeded_at: float | None
) -> Iterator[tuple[str, str, float | None, dict[str, str]]]:
    """Yield the metrics of a command: name, meaning, value if there is one, labels."""
    yield "exit_code", "Exit code of the last command", result.code, {}
    yield "last_run_timestamp_seconds", "When the last command ended", now, {}
    text = "When a command last ended with exit code 0, and was no rehearsal"
    yield "last_success_timestamp_seconds", text, succeeded_at, {}
    text = "Whether it was a rehearsal: nobody was mailed"
    yield "rehearsal", text, result.is_rehearsal, {}
    if (summary := result.summary) is None:
        return
    requests = summary.requests
    yield "rejected_rows", "Rows that were rejected", summary.rows.rejected, {}
    yield "attempts", "Requests that were made", requests.attempts, {}
    yield "retries", "Requests that were repeated", requests.retries, {}
    yield "rate_limited", "Requests answered with 429", requests.rate_limited, {}
    yield "possible_duplicates", "Possible duplicate mails", requests.possible_duplicates, {}
    text = "How long the run took, without the time between its starts"
    yield "duration_seconds", text, summary.active_s, {}
    text = "How long it was paused because of the CA"
    yield "paused_seconds", text, summary.back_pressure.paused_s, {}
    for status in RequestStatus:
        count = getattr(summary.orders, status)
        yield "orders", "Orders of the last run", count, {"outcome": status.value}
    for reason, count in summary.skipped:
        text = "Skipped orders of the last run, by why"
        yield "skipped_orders", text, count, {"reason": reason}
    text = "Orders that wait at the CA, by what the last sweep decided"
    for decision in Decision if summary.sweep else ():
        count = getattr(summary.sweep, decision)
        yield "waiting_orders", text, count, {"decision": decision.value}


def _last_success(path: Path) -> float | None:
    """Return what the file says until now; None where it says nothing that can be read."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - likewise

    if not path.is_file():
        return None  # a pipe would keep its reader waiting
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    samples = [s for family in families for s in family.samples if s.name == LAST_SUCCESS]
    return samples[0].value if samples else None
