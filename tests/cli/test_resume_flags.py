"""Which run `resume` takes, and what that run keeps: limits, policies, keys and places."""

import shlex
import signal
from pathlib import Path

import pytest

from batch_resend.journal import read_journal
from batch_resend.simulator import FaultName
from tests.cli.conftest import (
    KEY,
    Desk,
    desk_with_ca,
    ended,
    orders_of,
    read_summary,
    run_ids,
    until,
    until_told,
)
from tests.cli.raw_service import WRONG_KEY, Asked, accept_all, desk_at
from tests.cli.test_interrupted import SLOW, send_until, stopped_after_three
from tests.notify.listener import listening


async def test_the_printed_resume_names_metrics_log_and_whom_to_notify_and_shows_no_url(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, latency_s=(0.2, 0.4)) as (desk, ca):
        desk.write_list(60)
        told = ("--ping-url", hook.url, "--notify-url", hook.url, "--metrics-file", "m.prom",
                "--log-file", "night.log")  # fmt: skip
        stopped = await send_until(desk, ca, 10, *told, by=signal.SIGTERM)
        (line,) = (line for line in stopped.out.splitlines() if "batch-resend resume" in line)
        words = shlex.split(line)
        shown = ("URL", "URL", f"{tmp_path}/m.prom", f"{tmp_path}/night.log")
        for name, value in zip(told[::2], shown, strict=True):
            assert words[words.index(name) + 1] == value
        assert "for URL, write the one that you gave" in " ".join(stopped.out.split())
        assert hook.url not in (tmp_path / "journal.db").read_bytes().decode("latin-1")
        given = [hook.url if word == "URL" else word for word in words[1:]]
        assert (await desk.run(*given)).code == 0
        assert "batch_resend_exit_code 0" in (tmp_path / "m.prom").read_text()
        assert "run ended: completed" in (tmp_path / "night.log").read_text()


@pytest.mark.parametrize("flags", [(), ("--limit", "4/1s", "--in-doubt", "hold")])
async def test_the_commands_after_a_second_resume_have_the_flags_of_the_run_and_no_others(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.05)) as (desk, ca):
        numbers = map(str, range(100_200_301, 100_200_341))
        desk.write("orders.csv", "Nr\n" + "\n".join(numbers) + "\n")
        del desk.environment["BATCH_RESEND_LIMIT"]
        printed = []
        send = ("send", "orders.csv", "--map", "order_id=Nr", *flags)
        for words in (send, ("resume",), ("resume",)):
            stopped = await stopped_after_three(desk, ca, *words)
            printed.append(stopped.out.partition("To resume:\n")[2].splitlines()[0])
        assert set(printed) == {printed[0]}
        assert ("--limit" in printed[0], "--in-doubt" in printed[0]) == (bool(flags), bool(flags))
        async with read_journal(tmp_path / "journal.db") as reader:
            kept = (await reader.run("latest")).next_flags["send"]
        assert "--map order_id=Nr" in kept, "unsent.csv has the headings of the list"


@pytest.mark.parametrize("otherwise", [False, True])
async def test_a_bare_resume_keeps_the_limits_and_the_policy_of_the_run_and_flags_change_them(
    tmp_path: Path, *, otherwise: bool
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.3, 0.5)) as (desk, ca):
        numbers = desk.write_list(40)
        del desk.environment["BATCH_RESEND_LIMIT"]
        soon = ("--timeout", "2s")  # what was in flight holds its slot for so long
        limits = ("--limit", "30/2s", "--in-doubt", "hold")
        await send_until(desk, ca, 5, *limits, *soon, by=signal.SIGKILL)
        flags = ("--in-doubt", "retry", "--limit", "none") if otherwise else ()
        resumed = await desk.run("resume", *soon, *flags)
        summary = desk.summary()
        assert summary["limits"] == ([] if otherwise else ["30/2s"])
        if otherwise:
            assert (resumed.code, summary["orders"]["sent"]) == (0, 40), resumed.err
            return
        assert resumed.code == 3, resumed.err
        assert set(ca.books.requests_per_order.values()) == {1}
        held = orders_of(desk.report(), "in_doubt")
        assert held
        # Killed between the journal and the network, a request has not even left.
        assert set(ca.books.requests_per_order) | held == set(numbers)
        assert "--in-doubt retry" in resumed.out


@pytest.mark.parametrize("patience", ["0s", None])
@pytest.mark.parametrize("wrong", ["{right}/wrong", "http://127.0.0.1:9/services/v2"])
async def test_a_wrong_url_stands_in_no_way_of_the_run_that_was_cut_off_before(
    tmp_path: Path, wrong: str, patience: str | None
) -> None:
    """A bare `resume` takes the run that was killed; `show` and `watch` name it, too."""
    async with desk_with_ca(tmp_path, **SLOW) as (desk, ca):
        desk.write_list(100)
        await send_until(desk, ca, 40, "--concurrency", "4", by=signal.SIGKILL)
        (cut_off,) = await run_ids(desk)
        url = wrong.format(right=ca.base_url)
        await _send_in_vain(desk, url, patience)
        useless, _ = await run_ids(desk)
        for command in ("show", "watch"):
            shown = await desk.run(command)
            assert f"Run {useless}: " in shown.out
            assert f"It has sent nothing at {url}. If that is the wrong place, send" in shown.out
            assert f"Run {cut_off} at {ca.base_url} (a rehearsal) did not finish; " in shown.out
            assert f"  batch-resend resume {cut_off} " in shown.out
            assert cut_off not in (await desk.run(command, useless)).out, "it was not asked for"

        resumed = await desk.run("resume", "--base-url", ca.base_url)

        assert resumed.code == 0, resumed.err
        assert f"Resuming run {cut_off}, which did not finish." in resumed.err
        assert len(ca.books.mails_per_order) == 100
        named = (
            f"Run {useless} at {url} (a rehearsal) ended before it had sent anything; 100 orders"
        )
        has_simulator = wrong.startswith("{")
        assert (named in resumed.err) is has_simulator, "nothing listens at the other"


async def test_a_run_that_was_killed_before_its_first_answer_may_have_sent_something(
    tmp_path: Path,
) -> None:
    """What is in doubt may have been mailed: the run is named as any other that was cut off."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(34)
        ca.fail({FaultName.HANG: 1.0})
        await send_until(desk, ca, 1, "--concurrency", "1", by=signal.SIGKILL)
        (cut_off,) = await run_ids(desk)
        ca.fail({})
        desk.write("others.csv", "order_id\n100200501\n100200502\n")
        others = ("send", "others.csv", "--report-dir", "others", "--max-orders", "1")
        assert (await desk.run(*others)).code == 4
        named = f"Run {cut_off} at {ca.base_url} (a rehearsal) did not finish; 34 orders left"
        for command in ("show", "watch"):
            assert named in (await desk.run(command)).out
        left = await desk.run("resume", "--dry-run")
        assert left.code == 0, left.err
        assert named in left.err


async def test_a_run_that_ended_with_an_order_in_doubt_is_not_told_to_have_sent_nothing(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        ca.fail({FaultName.DROP: 1.0})
        stopped = await desk.run("send", "orders.csv", "--max-orders", "1", "--in-doubt", "hold")
        assert stopped.code == 4, stopped.err
        assert desk.summary()["orders"]["in_doubt"] == 1
        assert "It has sent nothing" not in stopped.out
        assert "It has sent nothing" not in (await desk.run("show")).out


async def _send_in_vain(desk: Desk, url: str, patience: str | None) -> None:
    """Send to a wrong URL until it is given up, or, with a long patience, until Ctrl-C."""
    words = ("send", "orders.csv", "--report-dir", "wrong", "--base-url", url)
    if patience is not None:
        assert (await desk.run(*words, "--patience", patience)).code == 4
        return
    sending = await desk.start(*words)
    if sending.returncode is None and ":9/" in url:
        await until_told(sending, b"no connection")
        sending.send_signal(signal.SIGINT)
    assert (await ended(sending)).code in (4, 130)


async def test_a_bare_resume_takes_the_run_of_its_own_key_before_that_of_another(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        for key, orders in (("one", "12"), ("other", "345")):
            desk.write(key, f"key-{key}")
            desk.write(f"{key}.csv", "order_id\n" + "".join(f"70000{n}\n" for n in orders))
            few = ("send", f"{key}.csv", "--max-orders", "1", "--api-key-file", key)
            assert (await desk.run(*few, "--report-dir", f"of-{key}")).code == 4
        other, one = await run_ids(desk)

        resumed = await desk.run("resume", "--api-key-file", "one", "--report-dir", "later")

        assert resumed.code == 0, resumed.err
        assert read_summary(tmp_path / "later")["run_id"] == one
        assert f"Run {other} at {desk.base_url} (a rehearsal) did not finish; 2 orders left" in (
            resumed.err
        )
        assert resumed.err.startswith(f"This resumes run {one}. These did not finish either:\n")
        command = resumed.err.partition("To resume that one:\n  batch-resend ")[2].splitlines()[0]
        assert (await desk.run(*shlex.split(command), "--report-dir", "last")).code == 0
        assert read_summary(tmp_path / "last")["run_id"] == other
        assert "no run is unfinished" in (await desk.run("resume", "--api-key-file", "one")).err


async def test_the_command_for_rejected_rows_asks_and_reports_as_the_run_did(
    tmp_path: Path,
) -> None:
    """And does not repeat what the next commands find in the TOML file, as this one did."""
    async with desk_with_ca(tmp_path, latency_s=(0.05, 0.05)) as (desk, ca):
        desk.write_list(20)
        with (tmp_path / "orders.csv").open("a") as file:
            file.write("1e9,k.example.org,admin@k.example.org\n")
        desk.write("batch.toml", "cooldown = '10h'\ntrust-env = true\n[send]\nredact = true\n")
        send = ("--config", "batch.toml", "send", "orders.csv", "--preflight", "--yes")
        process = await desk.start(*send, "--report-dir", "nights/{run}", "--concurrency", "1")
        await until(lambda: ca.books.mails >= 3)
        process.send_signal(signal.SIGINT)
        stopped = await ended(process)
        printed = stopped.out.partition("Then send that file:\n  ")[2].splitlines()[0]
        assert "--preflight" in printed
        assert f"--report-dir '{tmp_path}/nights/{{run}}'" in printed
        assert "--redact" in printed, "it is not said for all commands"
        assert "--cooldown" not in printed
        assert "--trust-env" not in printed
        assert printed.startswith(f"batch-resend --config {tmp_path}/batch.toml send nights/")


async def test_a_run_that_was_cut_off_while_the_ca_was_asked_is_resumed_as_it_was_last_taken_up(
    tmp_path: Path,
) -> None:
    def answer_to(asked: Asked) -> bytes:
        return WRONG_KEY if is_wrong else accept_all(asked)

    is_wrong = True
    async with desk_at(tmp_path, answer_to, 5, lambda _: 0.2) as (desk, service):
        del desk.environment["DIGICERT_API_KEY"]
        for name in ("wrong.txt", "right.txt"):
            desk.write(name, KEY).chmod(0o600)
        send = ("send", "orders.csv", "--preflight", "--api-key-file")
        assert (await desk.run(*send, "wrong.txt")).code == 4
        is_wrong, before = False, service.requests
        asking = await desk.start(*send, "right.txt")
        await until(lambda: service.requests > before)
        asking.send_signal(signal.SIGINT)
        assert (await ended(asking)).code == 130
        shown = (await desk.run("show")).out
        assert "resume" in shown
        assert "/right.txt" in shown
        assert "/wrong.txt" not in shown
