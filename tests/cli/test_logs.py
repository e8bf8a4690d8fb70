"""The log: every attempt, retry, pause and stop, a line each."""

import errno
import json
import logging
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, until
from tests.cli.counting_server import CountingServer, in_turn_per_order, says
from tests.cli.screen import on_screen
from tests.cli.test_sweep import wait


def events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a JSON log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TO_FILE = ("send", "orders.csv", "--log-file", "resend.log", "--log-format", "json")
EVERY_ATTEMPT = ("--log-level", "debug")


async def test_a_log_file_has_no_line_for_every_attempt_unless_it_is_asked_for(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 0.5}) as (desk, _):
        desk.write_list(60)
        await desk.run(*TO_FILE, "--max-attempts", "9")
    log = events(tmp_path / "resend.log")
    assert [log[0]["event"], log[-1]["event"]] == ["run begins", "run ended: completed"]
    assert {event["level"] for event in log} <= {"info", "warning"}
    assert len(log) < 60


class _NoFileLeft:
    """An importer that opens no file of structlog, as where no descriptor is left."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] == "structlog":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def keep_out_structlog() -> None:
    """Have structlog fail to load in this process."""
    sys.meta_path.insert(0, _NoFileLeft())


@pytest.mark.parametrize("form", ["json", "text"])
async def test_events_are_logged_and_orders_sent_while_what_formats_events_cannot_be_loaded(
    tmp_path: Path, form: str
) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 0.5}) as (desk, ca):
        numbers = desk.write_list(20)
        words = (*TO_FILE[:-1], form, "--max-attempts", "9")
        sent = await ended(await desk.start_after(keep_out_structlog, *words))
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert "Logging error" not in sent.err
    lines = (tmp_path / "resend.log").read_text().splitlines()
    found = [json.loads(line)["event"] for line in lines] if form == "json" else lines
    assert "run begins" in found[0]
    assert "run ended: completed" in found[-1]
    assert all(" [info] " in line or " [warning] " in line for line in lines) is (form == "text")


async def test_each_event_of_a_rehearsal_says_that_it_is_one(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 3)
        assert (await desk.run("sweep", *TO_FILE[2:])).code == 0
        gone = await desk.run(
            "sweep", *TO_FILE[2:], "--base-url", "https://ca.invalid/services/v2",
            "--patience", "0s",
        )  # fmt: skip
        assert gone.code == 1
    log = events(tmp_path / "resend.log")
    assert [event.get("rehearsal") for event in log] == [True] * (len(log) - 1) + [None]
    assert len(log) > 3


async def test_each_event_of_a_dry_run_says_that_it_is_one(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 3)
        for how in (["--dry-run"], []):
            assert (await desk.run("sweep", *TO_FILE[2:], *how)).code == 0
    said = [event.get("dry_run") for event in events(tmp_path / "resend.log")]
    assert said == sorted(said, key=bool, reverse=True)
    assert {True, None} == set(said)


async def test_a_log_file_has_every_attempt_whatever_is_shown(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700001"})) as (desk, ca):
        desk.write_list(5)
        sent = await desk.run(*TO_FILE, *EVERY_ATTEMPT, "-q")
        assert sent.err == ""
    log = events(tmp_path / "resend.log")
    attempts = [event for event in log if event["event"].startswith("attempt ")]
    assert len(attempts) == ca.books.requests == 5
    assert {event["order_id"] for event in attempts} == {str(700_000 + n) for n in range(5)}
    assert {event["run_id"] for event in log} == {desk.summary()["run_id"]}
    (refused,) = [event for event in attempts if event["event"] == "attempt refused"]
    assert (refused["http_status"], refused["error_code"]) == (404, "not_found|order")
    assert log[0]["event"] == "run begins"
    assert log[-1]["event"] == "run ended: completed"


async def test_every_retry_and_pause_and_the_stop_is_explained(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"500": 1.0}) as (desk, _):
        desk.write_list(8)
        stopped = await desk.run(*TO_FILE, *EVERY_ATTEMPT, "--patience", "3s")
        assert stopped.code == 4
    log = events(tmp_path / "resend.log")
    retries = [event for event in log if event["event"] == "to be tried again"]
    assert retries
    assert all(event["wait_s"] >= 0 and event["order_id"] and event["said"] for event in retries)
    assert "beyond the patience of 3s" in log[-1]["why"]
    assert log[-1]["event"] == "run ended: stopped"


async def test_a_pause_is_a_warning_with_its_reason_and_its_end_is_told(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, windows=(Window(10, 2.0),)) as (desk, _):
        desk.write_list(20)  # of which half meet the limit, since no other is kept
        await desk.run(*TO_FILE, "--limit", "none")
    log = events(tmp_path / "resend.log")
    pauses = [event for event in log if event["event"].startswith("paused: the CA asks for")]
    first, *others = [event["level"] for event in pauses]
    assert first == "warning"
    assert set(others) <= {"debug"}, "short ones for the same reason fill no screen"
    assert "the CA takes requests again: sending resumes" in {event["event"] for event in log}


async def test_a_log_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(2)
        await desk.run(*TO_FILE)
        first = (tmp_path / "resend.log").read_text()
        await desk.run(*TO_FILE, "--again")
    assert (tmp_path / "resend.log").read_text().startswith(first)
    assert len({event["run_id"] for event in events(tmp_path / "resend.log")}) == 2
    assert (tmp_path / "resend.log").stat().st_mode & 0o777 == 0o600


async def test_an_unwritable_standard_error_changes_no_exit_code_and_no_log(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        words = [*desk.command(*TO_FILE, "--api-key-file", "gone")]
        full = shlex.join(words) + " 2> /dev/full"
        process = await desk.start(program=["sh", "-c", full])
        assert (await ended(process)).code == 1
    assert "gone: No such file" in events(tmp_path / "resend.log")[-1]["why"]


async def test_what_a_command_line_holds_forges_no_line_of_the_log(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        name = "g\x1b[31m\n2026-11-25 [info] all is well.csv"
        told = await desk.run("send", name, "--log-file", "resend.log")
        assert told.code == 1
    (line,) = (tmp_path / "resend.log").read_text().splitlines()
    assert "\x1b" not in line
    assert "exit_code=1 " in line


SWEEP = ("sweep", "--log-file", "resend.log", "--log-format", "json", "--max-attempts", "1")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((*TO_FILE, "--api-key-file", "gone"), "--api-key-file gone: No such file or directory"),
        (
            (*SWEEP, "--api-key-file", "wrong"),
            "refused the API key from --api-key-file wrong (HTTP",
        ),
        ((*SWEEP, "--base-url", "http://127.0.0.1:1/v2"), "/order/certificate cannot be read: "),
        ((*SWEEP, "--older-than", "9d"), "0 orders wait"),
    ],
    ids=["no key", "a wrong key", "no CA", "a quiet night"],
)
async def test_the_log_file_says_why_nothing_was_sent_and_standard_error_says_it_once(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, _):
        desk.write("wrong", "no-such-key-0123456789").chmod(0o600)
        ended_with = await desk.run(*words, "-v")
    log = events(tmp_path / "resend.log")
    (last,) = (event for event in log if why in event.get("why", event["event"]))
    assert last == log[-1] or not ended_with.code, "a quiet night has a report to write"
    assert last.get("exit_code", 0) == ended_with.code
    assert (ended_with.out + ended_with.err).count(why) == (1 if ended_with.code else 2)
    assert (last["level"] == "error") == bool(ended_with.code)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--config", "wrong.toml", *SWEEP), 1, "there is no option max-order"),
        (("--config", "wrong.toml", "sweep", "--yes"), 1, "there is no option max-order"),
        ((*SWEEP, "--max-orders", "0"), 2, "'0': write a whole number, at least 1"),
    ],
    ids=["the file, and a flag", "the file names the log", "usage"],
)
async def test_the_log_file_says_that_what_a_command_was_given_is_wrong(
    tmp_path: Path, words: tuple[str, ...], code: int, why: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        log = "" if "--log-file" in words else 'log-file = "resend.log"\nlog-format = "json"\n'
        desk.write("wrong.toml", f"{log}max-order = 3\n")
        refused = await ended(await desk.start(*words))
    assert refused.code == code
    assert refused.err.count(why) == 1
    (event,) = events(tmp_path / "resend.log")
    assert (event["level"], event["exit_code"]) == ("error", code)
    assert why in event["why"]


async def test_the_log_file_says_that_a_signal_ended_it_beforehand(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.5, 0.5)) as (desk, ca):
        sweeping = await desk.start(*SWEEP)
        await until(lambda: ca.books.requests)
        sweeping.send_signal(signal.SIGTERM)
        assert (await ended(sweeping)).code == 143
    assert events(tmp_path / "resend.log")[-1]["event"] == (
        "interrupted by SIGTERM; nothing more was sent"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, of Linux")
async def test_a_log_file_that_fails_is_told_once_and_every_order_is_sent(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(20)
        sent = await desk.run("send", "orders.csv", "--log-file", "/dev/full")
        assert sent.code == 0
        assert ca.books.mails == 20
        assert sent.err.count("/dev/full") == 1
        assert "No space left on device" in sent.err
        assert "Traceback" not in sent.err


@pytest.mark.parametrize(
    ("name", "why"), [("no/such/folder.log", "No such file or directory"), ("pipe", "")]
)
async def test_a_log_file_that_cannot_be_opened_ends_it_before_anything_is_sent(
    tmp_path: Path, name: str, why: str
) -> None:
    os.mkfifo(tmp_path / "pipe")  # that nobody reads: it is not waited for
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(2)
        refused = await desk.run("send", "orders.csv", "--log-file", name)
        assert (refused.code, ca.books.requests) == (1, 0)
        assert f"--log-file {name}: {why}" in refused.err


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_redacted_neither_log_nor_page_has_an_address(
    tmp_path: Path, log_format: str
) -> None:
    refusal = b'{"errors":[{"code":"invalid_email","message":"jane.doe@a.example is none."}]}'
    async with CountingServer(in_turn_per_order({"100200301": [says(400, refusal)]})) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write(
            "orders.csv",
            "order_id,domain,email\n100200301,a.example,jane.doe@a.example\n"
            "x,a.example,john.roe@a.example\n100200303,a.example,john roe @a.example\n"
            "100200302,a.example,jane.doe@a.example\n",
        )
        sent = await desk.run(
            "send", "orders.csv", "--redact", "-v", "--log-file", "resend.log", *EVERY_ATTEMPT,
            "--log-format", log_format, "--max-rejected", "50%",
        )  # fmt: skip
        assert sent.code == 3
        assert ca.mails_of == {"100200302": 1}
    log = (tmp_path / "resend.log").read_text()
    page = (desk.report() / "report.html").read_text()
    assert "a.example is none." in log
    for text in (log, page, sent.err):
        assert "jane" not in text
        assert "john" not in text
    assert "***@a.example" in page
    assert "jane.doe@a.example" in (desk.report() / "results.csv").read_text()


log = logging.getLogger("batch_resend.tests")


def say(words: str) -> None:
    """Log something, and wait until it is in its file: another thread writes."""
    log.info(words)
    for handler in logging.getLogger("batch_resend").handlers:
        handler.flush()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("sweep", "--again", "--yes"),
            "how orders are validated: 2 asked one by one, because the order report pays from 20",
        ),
        (("verify",), "what became of 1 order: asked one by one"),
    ],
)
async def test_which_way_the_ca_was_asked_is_logged_but_no_raw_line_on_a_terminal(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 9, 8)
        desk.write("orders.csv", "order_id\n1\n")
        assert (await desk.run("send", "orders.csv", "--all-domains")).code == 0
        async with on_screen(desk, *words, "--log-file", "run.log") as screen:
            assert await screen.ended() == 0
        assert "[info" not in screen.text
        assert said in (tmp_path / "run.log").read_text()
        assert said in (await desk.run(*words)).err


async def test_how_many_orders_were_asked_about_is_logged_and_not_how_many_might_have_been(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *range(2, 17))
        swept = await desk.run("sweep", "--max-orders", "3", "--log-file", "run.log")
        assert swept.code == 0, swept.err
        asked = ca.books.reads_of["validation"]
        assert asked < 15
        said = f"how orders are validated: {asked} of 15 asked one by one, because"
        assert said in (tmp_path / "run.log").read_text()


async def test_on_a_terminal_a_line_of_the_log_has_its_day_for_a_run_may_pass_midnight(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        async with on_screen(desk, "send", "orders.csv", "--yes", "-v", columns=120) as screen:
            assert await screen.ended() == 0
        assert re.search(r"^\d\d-\d\d \d\d:\d\d:\d\d \[", "\n".join(screen.lines), re.MULTILINE)
