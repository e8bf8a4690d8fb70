"""Somebody is told how a command ended, whatever ended it; and nothing comes of it for the run."""

import html
import json
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.conftest import Desk, desk_with_ca, ended, read_summary, run_ids, until
from tests.cli.screen import answered_on_terminal
from tests.notify.listener import SECRET, Listener, listening
from tests.notify.test_alarm import samples


def told(listener: Listener) -> list[tuple[str, dict[str, Any] | None]]:
    """Return what a listener was told: where, and the JSON that came with it."""
    return [(path, json.loads(body) if body else None) for path, body in listener.posts]


async def test_a_quiet_nightly_run_pings_start_and_success_with_the_summary(tmp_path: Path) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        sent = await desk.run("send", "orders.csv", "-q", "--ping-url", watchdog.url)
        assert (sent.code, sent.err) == (0, "")
        (start, nothing), (success, summary) = told(watchdog)
        assert (start, nothing, success) == (f"/{SECRET}/start", None, f"/{SECRET}")
        assert summary is not None
        assert summary["orders"] == desk.summary()["orders"]
        assert summary["run_id"] == desk.summary()["run_id"]


async def test_orders_not_sent_are_a_failure_and_the_webhook_says_how_many(tmp_path: Path) -> None:
    async with (
        listening() as watchdog,
        listening() as hook,
        desk_with_ca(tmp_path, unknown_orders=frozenset({"700001"})) as (desk, _),
    ):
        desk.write_list(3)
        sent = await desk.run(
            "send", "orders.csv", "--ping-url", watchdog.url, "--notify-url", hook.url,
            "--metrics-file", "resend.prom",
        )  # fmt: skip
        assert sent.code == 3
        assert [path for path, _ in told(watchdog)] == [f"/{SECRET}/start", f"/{SECRET}/fail"]
        ((_, told_hook),) = told(hook)
        assert told_hook is not None
        assert "2 of 3 orders sent" in told_hook["text"]
        assert told_hook["report"] == f"{tmp_path}/reports/{desk.summary()['run_id']}"
        assert samples(tmp_path / "resend.prom")["batch_resend_orders refused"] == 1


@pytest.mark.parametrize(
    ("words", "environment", "code", "why"),
    [
        pytest.param(
            ("orders.csv",), {"DIGICERT_API_KEY": ""}, 1, "the API key is empty", id="key"
        ),
        pytest.param(("none.csv",), {}, 1, "none.csv", id="list"),
        pytest.param(("orders.csv", "--distribute"), {}, 1, "is a file", id="workers of a file"),
        pytest.param(("orders.csv", "--limit", "no"), {}, 1, "--limit", id="setting"),
        pytest.param(("orders.csv",), {"BATCH_RESEND_TIMEOUT": "xx"}, 2, "'xx'", id="usage"),
        pytest.param(
            ("orders.csv",),
            {"BATCH_RESEND_MAX_ORDER": "3"},
            1,
            "there is no variable",
            id="variable",
        ),
        pytest.param(
            ("orders.csv",),
            {"BATCH_RESEND_CONFIG": "wrong.toml"},
            1,
            "there is no option",
            id="file",
        ),
        pytest.param(
            ("orders.csv", "--notify-url", "secret.example/x"), {}, 1, "--notify-url", id="URL"
        ),
    ],
)
async def test_a_command_that_cannot_start_is_a_failure_with_its_reason(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], code: int, why: str
) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        desk.write("wrong.toml", "max-order = 3\n")
        desk.environment |= environment
        refused = await desk.run("send", *words, "--ping-url", watchdog.url)
        assert refused.code == code
        path, ending = told(watchdog)[-1]
        assert path == f"/{SECRET}/fail"
        assert ending is not None
        assert why in ending["error"]
        assert ca.books.requests == 0


@pytest.mark.parametrize(
    ("words", "environment", "code", "why"),
    [
        pytest.param(("--profile", "shopp"), {}, 2, "no profile 'shopp'", id="profile"),
        pytest.param((), {"BATCH_RESEND_PROFIL": "shop"}, 1, "BATCH_RESEND_PROFIL", id="variable"),
        pytest.param((), {"BATCH_RESEND_CONFIG": "wrong.toml"}, 1, "max-order", id="file"),
        pytest.param(("--max-orders", "x"), {}, 2, "'x': write a whole number, at", id="value"),
        pytest.param(("--max-orders",), {}, 2, "requires an argument", id="no value"),
        pytest.param(("--max-order", "3"), {}, 2, "No such option", id="option"),
        pytest.param(("orders.csv",), {}, 2, "unexpected extra argument", id="argument"),
        pytest.param(("--exclude", "no.csv"), {}, 1, "no.csv", id="list"),
    ],
)
@pytest.mark.parametrize("is_flag", [True, False], ids=["by a flag", "by the file"])
async def test_whoever_the_flags_or_the_file_name_is_told_whatever_else_is_wrong_in_them(
    tmp_path: Path,
    *,
    words: tuple[str, ...],
    environment: dict[str, str],
    code: int,
    why: str,
    is_flag: bool,
) -> None:
    async with listening() as watchdog, listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        told_to = {"--ping-url": watchdog.url, "--notify-url": hook.url}
        text = "".join(f'{flag[2:]} = "{url}"\n' for flag, url in told_to.items() if not is_flag)
        desk.write("right.toml", text)
        desk.write("wrong.toml", f"{text}[sweep]\nmax-order = 3\n")
        desk.environment |= {"BATCH_RESEND_CONFIG": "right.toml", **environment}
        flags = [word for pair in told_to.items() for word in pair if is_flag]
        refused = await desk.run("sweep", "--yes", *flags, *words)
        assert refused.code == code, refused.err
        ((at_hook, note),) = told(hook)
        assert note is not None
        assert (at_hook, note["exit_code"]) == (f"/{SECRET}", code)
        assert why in note["error"]
        assert why in refused.err
        assert told(watchdog)[-1] == (f"/{SECRET}/fail", note)
        assert ca.books.requests == 0


async def test_a_command_out_of_a_notification_or_the_page_can_be_run_in_any_folder(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, _):
        desk.write("config.toml", "max-attempts = 1\n")
        desk.write_list(3)
        words = ("--journal", "k.db", "--report-dir", "reports/{run}", "--notify-url", hook.url)
        first = ("--config", "config.toml", "send", "orders.csv", "--max-orders", "1", *words)
        sent = await desk.run(*first)
        assert sent.code == 4, sent.err
        ((_, note),) = told(hook)
        assert note is not None
        report = desk.report()
        assert note["report"] == str(report)
        (command,) = (step["command"] for step in note["next_steps"] if step["command"])
        page = re.sub("<[^>]+>", "", (report / "report.html").read_text())
        assert command in html.unescape(page)
        (tmp_path / "elsewhere").mkdir()
        desk.folder = tmp_path / "elsewhere"
        given = [hook.url if word == "URL" else word for word in shlex.split(command)[1:]]
        again = await desk.run(*given)
        assert "3 of 3 orders sent" in again.out, again.err
        assert read_summary(report)["orders"]["sent"] == 3
        assert list(desk.folder.iterdir()) == []


async def test_a_key_that_is_refused_before_there_is_a_run_has_stopped_it_as_its_exit_code_says(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, api_key="another") as (desk, _):
        assert (await desk.run("sweep", "--notify-url", hook.url)).code == 4
        ((_, note),) = told(hook)
        assert note is not None
        stopped = "Rehearsal, nobody was mailed; stopped early: the CA refused the API key"
        assert note["text"].startswith(f"batch-resend: {stopped}")


async def test_an_interrupted_run_is_told_of_with_its_summary(tmp_path: Path) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(100)
        process = await desk.start(
            "send", "orders.csv", "--limit", "10/1s", "--ping-url", watchdog.url
        )
        await until(lambda: ca.books.requests >= 10)
        process.send_signal(signal.SIGTERM)
        assert (await ended(process)).code == 143
        path, ending = told(watchdog)[-1]
        assert path == f"/{SECRET}/fail"
        assert ending is not None
        assert ending["state"] == "interrupted"
        assert ending["orders"]["not_attempted"] == desk.summary()["orders"]["not_attempted"] > 0
        flags = ("--ping-url", watchdog.url, "--limit", "none", "--report-dir", "again")
        assert (await desk.run("resume", *flags)).code == 0
        assert [path for path, _ in told(watchdog)][2:] == [f"/{SECRET}/start", f"/{SECRET}"]


async def test_listeners_that_fail_or_hang_change_neither_exit_code_nor_mails_nor_the_start(
    tmp_path: Path,
) -> None:
    async with listening() as watchdog, listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        watchdog.hangs = True
        hook.statuses = [500] * 9
        desk.write_list(3)
        process = await desk.start(
            "send", "orders.csv", "--ping-url", watchdog.url, "--notify-url", hook.url,
            "--metrics-file", "/proc/no/such.prom",
        )  # fmt: skip
        with anyio.fail_after(20):
            await until(lambda: ca.books.mails == 3)
            # That of the start is given up, or the other would hear of the end half a minute later.
            await until(lambda: hook.posts)
        assert len(watchdog.posts) <= 2, "it hangs since the start, and holds nothing up"
        watchdog.let_go()
        sent = await ended(process)
        assert sent.code == 0, sent.err
        assert "--notify-url: 127.0.0.1 could not be notified: HTTP 500" in sent.err
        assert "--metrics-file /proc/no/such.prom" in sent.err
        assert SECRET not in sent.err + sent.out


async def test_a_signal_while_it_is_told_of_cuts_that_short_and_the_exit_code_stays_the_runs(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, _):
        hook.hangs = True
        desk.write_list(1)
        process = await desk.start("send", "orders.csv", "--notify-url", hook.url)
        await until(lambda: hook.posts)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(5):
            told = await ended(process)
        assert told.code == 0, "every order was sent"
        assert "No longer waiting for the notification" in told.err
        assert "nothing more was sent" not in told.err
        assert desk.summary()["orders"]["sent"] == 1


@pytest.mark.parametrize(
    ("answer", "code", "told_so"),
    [
        (b"n\n", 1, "nothing was sent: a person said no"),
        (b"\x04", 130, "nothing was sent: nobody answered"),
        (b"\x03", 130, "interrupted; nothing more was sent"),
    ],
    ids=["no", "the end of input", "Ctrl-C"],
)
async def test_a_person_who_declines_is_told_of_as_such(
    tmp_path: Path, answer: bytes, code: int, told_so: str
) -> None:
    async with listening() as watchdog, desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        ended_with, shown = await answered_on_terminal(
            desk, "Send 3 requests to 127.0.0.1 now? [y/N]", answer, "--ping-url", watchdog.url
        )
        _, ending = told(watchdog)[-1]
        assert ending is not None
        assert (ended_with, ending["exit_code"]) == (code, code)
        assert ending["text"] == f"batch-resend: Rehearsal, nobody was mailed: {told_so}"
        assert ending["error"] == told_so
        assert "3 to send" in shown
        assert ca.books.requests == 0
        assert await run_ids(desk) == []


BEFORE_THE_START = {
    "an unknown option": "sweep --wrong",
    "a wrong value": "sweep --timeout xx",
    "an unknown profile": "sweep --profile none",
    "a wrong TOML file": "--config c.toml sweep",
}
AFTER_THE_START = {
    "no key": "sweep --api-key-file none.key",
    "no list to exclude": "sweep --exclude none.csv",
    "a limit that is none": "sweep --limit no",
    "a URL that is none": "sweep --base-url https://[",
    "a CA that is down": "sweep --patience 0s",
}


@pytest.mark.parametrize(
    ("line", "has_start"),
    [(line, False) for line in BEFORE_THE_START.values()]
    + [(line, True) for line in AFTER_THE_START.values()],
    ids=[*BEFORE_THE_START, *AFTER_THE_START],
)
async def test_a_watchdog_hears_of_a_start_only_if_the_command_line_and_the_file_are_right(
    desk: Desk, line: str, has_start: bool
) -> None:
    desk.write("c.toml", "wrong = 1\n")
    async with listening() as watchdog:
        ended = await desk.run(*line.split(), "--yes", "-q", "--ping-url", watchdog.url)
        assert ended.code in (1, 2), ended.err
        start = [f"/{SECRET}/start"] * has_start
        assert [path for path, _ in told(watchdog)] == [*start, f"/{SECRET}/fail"]
