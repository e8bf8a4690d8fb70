"""Whoever is to be woken is told, once, what happened; whoever cannot be told changes nothing."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import anyio
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import aioresponses
from prometheus_client.parser import text_string_to_metric_families

from batch_resend import notify as posting
from batch_resend.errors import SettingsError
from batch_resend.notify import CommandResult, Notifier
from tests.notify.listener import SECRET, listening
from tests.report.summaries import summary

pytestmark = pytest.mark.asyncio

WELL = CommandResult(0, summary(sent=3), Path("reports/RUN"))
NOT_WELL = CommandResult(3, summary(sent=3, refused=1), Path("reports/RUN"))
NOT_BEGUN = CommandResult(1, error="no API key: put it in a file")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no try wait for the one before, and none for long."""
    monkeypatch.setattr(posting, "TRIES_AFTER_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.2)


@pytest.mark.parametrize(
    ("ending", "paths"),
    [
        pytest.param(WELL, [f"/{SECRET}/start", f"/{SECRET}"], id="all well"),
        pytest.param(NOT_WELL, [f"/{SECRET}/start", f"/{SECRET}/fail"], id="not all sent"),
        pytest.param(NOT_BEGUN, [f"/{SECRET}/start", f"/{SECRET}/fail"], id="not begun"),
    ],
)
async def test_a_watchdog_is_pinged_at_the_start_and_once_at_the_end(
    ending: CommandResult, paths: list[str]
) -> None:
    async with listening() as listener:
        alarm = Notifier(ping_url=listener.url)
        await alarm.started()
        await alarm.ended(ending)
        assert [path for path, _ in listener.posts] == paths
        assert json.loads(listener.posts[-1][1])["exit_code"] == ending.code


async def test_a_ping_url_keeps_its_query_behind_what_is_added_to_its_path() -> None:
    async with listening() as listener:
        await Notifier(ping_url=f"{listener.url}/?rid=1").started()
        assert listener.posts == [(f"/{SECRET}/start?rid=1", "")]


async def test_a_webhook_gets_the_summary_with_a_text_that_slack_shows() -> None:
    async with listening() as listener:
        await Notifier(notify_url=listener.url).ended(NOT_WELL)
        ((path, body),) = listener.posts
        told: dict[str, Any] = json.loads(body)
        assert path == f"/{SECRET}"
        assert told["text"] == "batch-resend RUN: 3 of 4 orders sent in 31m 02s; 1 refused"
        assert told["orders"] == {
            "total": 4, "sent": 3, "refused": 1, "failed": 0, "in_doubt": 0, "not_attempted": 0,
            "skipped": 0, "in_flight": 0,
        }  # fmt: skip
        assert (told["exit_code"], told["error"], told["report"]) == (
            3,
            None,
            f"{Path.cwd()}/reports/RUN",
        )


async def test_a_command_that_could_not_start_says_why() -> None:
    async with listening() as listener:
        await Notifier(notify_url=listener.url).ended(NOT_BEGUN)
        told = json.loads(listener.posts[0][1])
        assert told["text"] == ("batch-resend could not start: no API key: put it in a file")


@pytest.mark.usefixtures("unhurried")
async def test_a_listener_that_fails_twice_is_told_a_third_time_and_no_fourth(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as listener:
        listener.statuses = [500, 502]
        await Notifier(notify_url=listener.url).ended(WELL)
        assert len(listener.posts) == 3
        assert not caplog.records
        listener.statuses = [500, 500, 503, 500]
        await Notifier(notify_url=listener.url).ended(WELL)
        assert len(listener.posts) == 6
        assert "--notify-url: 127.0.0.1 could not be notified: HTTP 503" in caplog.text


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("trouble", ["hangs", "redirect", "closed", "no such host"])
async def test_trouble_with_a_listener_is_a_warning_that_does_not_repeat_the_url(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening() as listener:
        listener.hangs = trouble == "hangs"
        listener.statuses = [302] * 3 if trouble == "redirect" else []
        url = {
            "closed": f"http://127.0.0.1:9/{SECRET}",
            "no such host": f"http://nowhere.invalid/{SECRET}",
        }.get(trouble, listener.url)
        with anyio.fail_after(10):
            await Notifier(ping_url=url).ended(WELL)
        assert not [path for path, _ in listener.posts if "elsewhere" in path]
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(warnings) == 1
    assert warnings[0].startswith("--ping-url, at the end: ")
    assert "S3CR3T" not in caplog.text


async def test_one_listener_that_hangs_keeps_no_other_from_being_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "TRIES_AFTER_S", (0.0,))
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.5)
    async with listening() as slow, listening() as quick:
        slow.hangs = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Notifier(ping_url=slow.url, notify_url=quick.url).ended, WELL)
            with anyio.fail_after(0.4):
                while not quick.posts:  # noqa: ASYNC110 - what comes over a socket is no event
                    await anyio.sleep(0.01)


HOOK = f"https://hooks.example/{SECRET}"
_AT_HOOK = ConnectionKey("hooks.example", 443, True, True, None, None, None)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within "),
        (aiohttp.ClientConnectorError(_AT_HOOK, OSError(111, "refused")), "Connection refused"),
        (aiohttp.ServerDisconnectedError(), "the connection was closed"),
        (aiohttp.ClientPayloadError(f"not whole: {HOOK}"), "ClientPayloadError"),
        (aiohttp.TooManyRedirects(Mock(real_url=HOOK), ()), "TooManyRedirects"),
        (aiohttp.InvalidURL(HOOK), "InvalidURL"),
        (ConnectionResetError(104, HOOK), "ConnectionResetError"),
        (UnicodeError(HOOK), "UnicodeError"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_aiohttp_raises_is_a_line_of_the_log_without_the_url(
    error: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with aioresponses() as answers:
        answers.post(HOOK, exception=error, repeat=True)
        await Notifier(notify_url=HOOK).ended(WELL)
    (record,) = caplog.records
    assert record.getMessage().startswith("--notify-url: hooks.example could not be notified: ")
    assert words in record.getMessage()
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "url",
    ["", "hooks.example/x", "ftp://hooks.example/x", "https:///x", "http://[x/", "http://h:0/"],
)
async def test_what_is_no_url_is_refused_before_anything_is_sent_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Notifier(notify_url=url).check()
    assert str(caught.value).startswith("--notify-url is not a URL")
    assert not url or url not in str(caught.value)


# --- metrics ------------------------------------------------------------------------------------


def samples(path: Path) -> Mapping[str, float]:
    """Return what Prometheus reads: a value by name and outcome."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


async def test_metrics_are_those_of_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    umask = os.umask(0o077)
    await Notifier(metrics_file=path, clock=lambda: 1000.0).ended(NOT_WELL)
    os.umask(umask)
    found = samples(path)
    assert found["batch_resend_orders sent"] == 3
    assert found["batch_resend_orders refused"] == 1
    assert found["batch_resend_orders not_attempted"] == 0
    assert found["batch_resend_duration_seconds"] == 1862
    assert found["batch_resend_exit_code"] == 3
    assert found["batch_resend_last_run_timestamp_seconds"] == 1000
    assert path.stat().st_mode & 0o777 == 0o644, "the collector is another user"


async def test_the_time_of_the_last_success_outlives_runs_without_one(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    name = "batch_resend_last_success_timestamp_seconds"
    for at, ending, last in (
        (1.0, NOT_WELL, None), (2.0, WELL, 2.0), (3.0, NOT_WELL, 2.0), (4.0, NOT_BEGUN, 2.0),
        (5.0, WELL, 5.0),
    ):  # fmt: skip
        await Notifier(metrics_file=path, clock=lambda at=at: at).ended(ending)  # type: ignore[misc]
        assert samples(path).get(name) == last
        assert samples(path)["batch_resend_last_run_timestamp_seconds"] == at


async def test_a_metrics_file_that_is_none_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "resend.prom"
    path.write_bytes(b"{ not metrics \xff")
    await Notifier(metrics_file=path).ended(WELL)
    assert samples(path)["batch_resend_orders sent"] == 3


async def test_metrics_that_cannot_be_written_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await Notifier(metrics_file=tmp_path / "no such folder" / "x.prom").ended(WELL)
    assert "--metrics-file" in caplog.text


async def test_redacted_whoever_is_told_learns_no_address() -> None:
    ending = CommandResult(1, error="list.csv, line 3: jane.doe@a.example is no address")
    async with listening() as listener:
        await Notifier(notify_url=listener.url, redact=True).ended(ending)
        told = json.loads(listener.posts[0][1])
    assert told["error"] == "list.csv, line 3: ***@a.example is no address"
    assert "jane" not in json.dumps(told)


async def test_a_name_that_the_node_exporter_does_not_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("resend.prom", "resend.txt"):
        Notifier(metrics_file=tmp_path / name).check()
    (warning,) = caplog.messages
    assert "resend.txt: the node exporter reads only files whose names end in .prom" in warning
