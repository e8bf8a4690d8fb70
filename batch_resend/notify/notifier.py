"""How a run ended, to a webhook and a watchdog."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import anyio

from batch_resend.errors import ReportError, SettingsError
from batch_resend.report import Summary, headline
from batch_resend.version import __version__
from batch_resend.visible import redacted

TRIES_AFTER_S = (0.0, 1.0, 3.0)
TIMEOUT_S = 8.0  # of one try
_LEAST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent where."""

    url: str
    body: str  # JSON
    trust_env: bool


async def post(what: Post) -> str | None:
    """Send it; return None once it was taken, or why it was not, without the URL."""
    problem: str | None = None
    for wait_s in TRIES_AFTER_S:
        await anyio.sleep(wait_s)
        problem = await _try(what)
        if problem is None:
            return None
    return problem


async def _try(what: Post) -> str | None:
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=what.trust_env
            ) as session,
            session.post(
                what.url,
                data=what.body.encode(),
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"batch-resend/{__version__}",
                },
                allow_redirects=False,  # to wherever, with what the run came to
            ) as response,
        ):
            return None if response.status < _LEAST_ERROR else f"HTTP {response.status}"
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s"
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
        return f"no connection ({type(error).__name__})"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return type(error).__name__  # its text may repeat the URL


LONGEST_S = 30.0  # that telling may take, in all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended."""

    code: int  # its exit code
    summary: Summary | None = None  # of its run, where there is one
    folder: Path | None = None  # of the run's report
    error: str | None = None  # why it could not begin, or be reported
    note: str | None = None  # what there is to say where there was nothing to do
    declined: str | None = None  # why nothing was sent where somebody wanted it so

    @property
    def text(self) -> str:
        """The whole in one sentence."""
        if self.summary is None and (note := self.note or self.declined):
            return f"batch-resend: {note}"
        if self.summary is None:
            return f"batch-resend could not start: {self.error}"
        note = f"batch-resend {self.summary.run_id}: {headline(self.summary)}"
        if self.summary.stop_reason and self.summary.started_at:
            note += f" ({self.summary.stop_reason})"
        return note

    def as_json(self) -> str:
        """Return it as JSON: the keys of summary.json, and `text`, as Slack's webhooks take it."""
        summary = self.summary.model_dump(mode="json") if self.summary else {}
        note = {
            "text": self.text,
            "exit_code": self.code,
            "error": self.error or self.declined,
            "report": str(self.folder) if self.folder else None,
        }
        return json.dumps(note | summary, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells of a command's beginning and end. URLs are secrets: they are not repeated anywhere."""

    notify_url: str | None = None  # is sent a POST with the ending
    ping_url: str | None = None  # healthchecks.io's: URL/start, then URL or URL/fail
    metrics_file: Path | None = None  # for Prometheus' textfile collector
    trust_env: bool = False  # go through the environment's proxy
    redact: bool = False  # mask e-mail addresses
    clock: Callable[[], float] = time.time

    def check(self) -> None:
        """Raise SettingsError where a URL is none, without the URL: it is a secret."""
        for option, url in (("--notify-url", self.notify_url), ("--ping-url", self.ping_url)):
            if url is not None and not is_url(url):
                raise SettingsError(f"{option}: is not a URL such as https://host/path")

    async def started(self) -> None:
        """Tell that a command has begun."""
        if self.ping_url:
            await self._post("--ping-url", _below(self.ping_url, "start"), "")

    async def ended(self, ending: CommandResult) -> None:
        """Tell how a command ended."""
        if self.metrics_file:
            from batch_resend.notify.metrics import write_metrics  # noqa: PLC0415 - slow, and rare

            try:
                write_metrics(self.metrics_file, ending.code, ending.summary, self.clock())
            except ReportError as error:
                log.error("--metrics-file %s", error)
        note = redacted(ending.as_json()) if self.redact else ending.as_json()
        async with anyio.create_task_group() as tasks:
            if self.ping_url:
                url = self.ping_url if ending.code == 0 else _below(self.ping_url, "fail")
                tasks.start_soon(self._post, "--ping-url", url, note)
            if self.notify_url:
                tasks.start_soon(self._post, "--notify-url", self.notify_url, note)

    async def _post(self, option: str, url: str, body: str) -> None:
        if not is_url(url):
            return  # that is why the command ends: the others are told so
        with anyio.move_on_after(LONGEST_S) as scope:
            problem = await post(Post(url.strip(), body, trust_env=self.trust_env))
        if scope.cancelled_caught:
            problem = f"no answer within {LONGEST_S:.0f} s"
        if problem is not None:
            log.error("%s: %s: %s", option, urlsplit(url).hostname, problem)


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
