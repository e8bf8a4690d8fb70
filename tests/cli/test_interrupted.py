"""Killed, interrupted, cut off: the next start knows what was sent, and goes on."""

import asyncio
import json
import os
import pty
import re
import shlex
import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName, Simulator
from tests.cli.conftest import (
    Desk,
    Ended,
    assert_adds_up,
    desk_with_ca,
    ended,
    everything_acted_on,
    read_summary,
    results,
    run_ids,
    until,
    until_told,
)
from tests.cli.test_sweep import wait
from tests.journal.conftest import on_disk
from tests.notify.listener import listening

SLOW = {"latency_s": (0.02, 0.2)}


async def test_the_night_after_one_that_was_cut_off_says_so_and_sends_what_was_left(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        wait(ca, *[5.0] * 19)
        sweep = ("sweep", "--yes", "-q", "--concurrency", "1", "--notify-url", hook.url)
        process = await desk.start(*sweep)
        await until(lambda: ca.books.mails >= 5)
        process.kill()
        await ended(process)
        night = await desk.run(*sweep)
        assert night.code == 0, night.err
        assert set(ca.books.mails_per_order) == {str(number) for number in range(1, 20)}
        _, cut_off = await run_ids(desk)
        said = f"un {cut_off} (the program ended before it could write "
        assert f"R{said}" in night.err
        assert f"; r{said}" in json.loads(hook.posts[-1][1])["text"]
        assert "did not finish" not in (await desk.run(*sweep)).err


async def test_a_killed_night_is_mentioned_by_the_next_though_a_list_was_sent_since(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 19, first=100_200_301)
        sweep = ("sweep", "--yes", "-q", "--concurrency", "1")
        process = await desk.start(*sweep)
        await until(lambda: ca.books.mails >= 5)
        process.kill()
        await ended(process)
        desk.write("evening.csv", "order_id\n100200318\n")
        assert (await desk.run("send", "--yes", "evening.csv")).code == 0
        night = await desk.run(*sweep)
        cut_off = (await run_ids(desk))[-1]
        assert f"Run {cut_off} (the program ended before it could write" in night.err
        assert ") did not finish; this sweep sends what it left" in night.err
        assert "did not finish" not in (await desk.run(*sweep)).err


async def test_a_night_of_which_nothing_is_left_is_not_mentioned_by_the_next(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.2)) as (desk, ca):
        wait(ca, *[5.0] * 19)
        sweep = ("sweep", "--yes", "-q", "--concurrency", "1")
        process = await desk.start(*sweep)
        await until(lambda: ca.books.mails >= 5)
        process.terminate()
        await ended(process)
        left = desk.summary()["orders"]["not_attempted"]
        assert left
        rest = await desk.run("send", "--yes", str(desk.report() / "unsent.csv"))
        assert f"{left} of {left} orders sent" in rest.out
        night = await desk.run(*sweep)
        assert "did not finish" not in night.err
        assert ca.books.mails_per_order == {str(number): 1 for number in range(1, 20)}


async def test_a_night_killed_before_its_first_answer_is_mentioned_by_the_next(
    tmp_path: Path,
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path, latency_s=(1.0, 1.0)) as (desk, ca):
        wait(ca, *[5.0] * 3)
        sweep = ("sweep", "--yes", "-q", "--max-mails-per-order", "1", "--notify-url", hook.url)
        process = await desk.start(*sweep)
        await until(lambda: attempts_in(tmp_path / "journal.db"))
        process.kill()
        await ended(process)
        (cut_off,) = await run_ids(desk)
        night = await desk.run(*sweep, "--max-orders", "1")
        assert night.code == 0, night.err
        said = f"un {cut_off} (the program ended before it could write "
        assert f"R{said}" in night.err
        assert f"; r{said}" in json.loads(hook.posts[-1][1])["text"]
        assert "1 of 1 orders sent" in night.out
        assert f"R{said}" in (await desk.run(*sweep)).err, "others were left for later"
        assert "did not finish" not in (await desk.run(*sweep)).err


def attempts_in(journal: Path) -> bool:
    """Return whether a journal, if it is there, has an attempt."""
    with suppress(sqlite3.OperationalError):
        return bool(on_disk(journal, "SELECT 1 FROM attempts"))
    return False


async def test_a_sweep_that_is_resumed_fails_on_stuck_orders_as_it_would_have_at_night(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.02, 0.05)) as (desk, ca):
        wait(ca, 5.0)
        assert (await desk.run("sweep", "--yes", "-q")).code == 0
        wait(ca, *[5.0] * 9, first=2)
        desk.write(
            "c.toml", '[sweep]\nfail-on = "stuck"\ncooldown = "0s"\nmax-mails-per-order = 1\n'
        )
        desk.environment["BATCH_RESEND_CONFIG"] = "c.toml"
        process = await desk.start("sweep", "--yes", "-q", "--concurrency", "1")
        await until(lambda: ca.books.mails >= 3)
        process.terminate()
        cut_short = await ended(process)
        assert "--fail-on stuck" in cut_short.out
        resumed = await desk.run("resume", "-q")
        assert resumed.code == 3, resumed.err
        assert re.search("9 of 9 orders sent( in [^;]+)?; 1 stuck", resumed.out)


async def send_until(
    desk: Desk, ca: Simulator, requests: int, *arguments: str, by: signal.Signals
) -> Ended:
    """Start to send, and signal the process once the CA has seen so many more requests."""
    enough = ca.books.requests + requests
    process = await desk.start("send", "orders.csv", *arguments)
    await until(lambda: ca.books.requests >= enough)
    process.send_signal(by)
    return await ended(process)


async def test_after_a_kill_resume_needs_no_list_and_marks_doubts(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, **SLOW) as (desk, ca):
        numbers = desk.write_list(100)
        killed = await send_until(desk, ca, 40, "--concurrency", "16", by=signal.SIGKILL)
        assert killed.code == -signal.SIGKILL
        await everything_acted_on(ca)
        (tmp_path / "orders.csv").unlink()
        del desk.environment["BATCH_RESEND_BASE_URL"]  # the journal knows where the run was sent

        resumed = await desk.run("resume")

        assert resumed.code == 0, resumed.err
        assert "of those to send may have been mailed before" in " ".join(resumed.err.split())
        summary = desk.summary()  # there is just one report: that of the run, under its id
        assert_adds_up(summary)
        assert summary["orders"]["sent"] == 100
        assert set(ca.books.mails_per_order) == set(numbers)
        repeated = {n for n, count in ca.books.mails_per_order.items() if count > 1}
        marked = {r["order_id"] for r in results(desk.report()) if r["possible_duplicate"]}
        assert repeated <= marked
        assert 0 < len(marked) <= 16
        assert summary["requests"]["possible_duplicates"] == len(marked)
        assert max(ca.books.mails_per_order.values()) <= 2


@pytest.mark.parametrize(
    ("by", "later"),
    [(signal.SIGINT, "resume"), (signal.SIGTERM, "unsent.csv"), (signal.SIGHUP, "the same list")],
)
async def test_a_signal_lets_requests_in_flight_finish_and_the_rest_is_sent_later(
    tmp_path: Path, by: signal.Signals, later: str
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.2, 0.4)) as (desk, ca):
        numbers = desk.write_list(120)
        stopped = await send_until(desk, ca, 40, by=by)

        assert stopped.code == 128 + by
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "interrupted"
        assert summary["stop_reason"] == f"interrupted by {by.name}"
        assert summary["orders"]["sent"] == ca.books.requests == ca.books.mails
        assert summary["orders"]["in_doubt"] == 0
        assert summary["orders"]["not_attempted"] == 120 - ca.books.requests
        assert f"batch-resend resume {summary['run_id']}" in stopped.out

        words = {
            "resume": ("resume",),
            "unsent.csv": ("send", str(desk.report() / "unsent.csv")),
            "the same list": ("send", "orders.csv"),
        }[later]
        again = await desk.run(*words, "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        is_the_same = read_summary(tmp_path / "again")["run_id"] == summary["run_id"]
        assert is_the_same == (later != "unsent.csv")


async def test_a_terminal_that_closes_ends_the_run_in_good_order(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.2, 0.4)) as (desk, ca):
        numbers = desk.write_list(120)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(tmp_path)
            command = desk.command("send", "orders.csv", "--yes")
            os.execve(command[0], command, desk.environment | {"TERM": "xterm"})
        await until(lambda: ca.books.requests >= 40)
        os.close(terminal)  # the kernel sends SIGHUP, and nothing can be written any more
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)

        assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
        assert desk.summary()["state"] == "interrupted"
        assert (
            desk.summary()["orders"]["sent"] == ca.books.requests == ca.books.mails < len(numbers)
        )


async def test_a_second_signal_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(60.0, 60.0)) as (desk, ca):
        desk.write_list(10)
        process = await desk.start("send", "orders.csv", "--progress", "json")
        await until(lambda: ca.books.requests == 1)  # the one that opens the run
        process.send_signal(signal.SIGINT)
        await until_told(process, b"Stopping")
        await until_told(process, b'"held_up_by": "stopping: nothing more is sent')
        quitting = asyncio.create_task(ended(process))
        while not quitting.done():  # just after the first, it would pass for the same one
            process.send_signal(signal.SIGINT)
            await asyncio.wait([quitting], timeout=0.1)
        quit_at_once = quitting.result()

        assert quit_at_once.code == 130
        assert not [*(tmp_path / "reports").rglob("*.*")]

        (run_id,) = await run_ids(desk)
        last = quit_at_once.err.splitlines()[-2:]
        assert last[0] == f"Quit. Run {run_id} is in the journal; to resume it:"
        assert last[1].startswith(f"  batch-resend resume {run_id} --limit none --base-url ")
        await desk.run("report", run_id)
        assert desk.summary()["orders"]["in_doubt"] == 1
        assert desk.summary()["orders"]["not_attempted"] == 9


async def test_others_see_that_a_run_is_being_stopped_while_it_waits_for_answers(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(300.0, 300.0)) as (desk, ca):
        desk.write_list(10)
        process = await desk.start("send", "orders.csv", "--timeout", "10m")
        await until(lambda: ca.books.requests == 1)
        process.send_signal(signal.SIGINT)
        await until_told(process, b"Stopping")
        watching = await desk.start("watch", "--progress", "json")
        await until_told(watching, b'"held_up_by": "stopping: nothing more is sent')
        watching.send_signal(signal.SIGINT)
        await ended(watching)
        assert "\n  stopping  interrupted by SIGINT\n" in (await desk.run("show")).out
        process.kill()
        await ended(process)
        assert "\n  why       interrupted by SIGINT\n" in (await desk.run("show")).out


async def test_the_printed_resume_mails_nothing_that_was_held(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, faults={"drop": 0.4}, seed=3) as (desk, ca):
        desk.write(
            "orders.csv", "Nr\n" + "\n".join(map(str, range(100_200_301, 100_200_341))) + "\n"
        )
        process = await desk.start(
            "send", "orders.csv", "--map", "order_id=Nr", "--in-doubt", "hold", "--limit", "10/1s",
            "--timeout", "2s",
        )  # fmt: skip
        await until(lambda: ca.books.requests >= 20)
        process.send_signal(signal.SIGINT)
        stopped = await ended(process)
        assert desk.summary()["orders"]["in_doubt"] > 0
        printed = stopped.out.partition("To resume:\n  batch-resend ")[2].splitlines()[0]
        # For so long, what was dropped holds its slot of the windows.
        resumed = await desk.run(*shlex.split(printed), "--report-dir", "again", "--timeout", "2s")
        assert resumed.code == 3, resumed.err
        assert set(ca.books.mails_per_order.values()) == {1}
        assert len(ca.books.mails_per_order) == 40


async def stopped_after_three(desk: Desk, ca: Simulator, *words: str) -> Ended:
    """Run a command, and interrupt it once three more requests have arrived."""
    enough = ca.books.requests + 3
    process = await desk.start(*words, "--concurrency", "1")
    await until(lambda: ca.books.requests >= enough)
    process.send_signal(signal.SIGINT)
    return await ended(process)


async def test_what_others_have_sent_meanwhile_is_not_left_and_resume_sends_what_is(
    tmp_path: Path,
) -> None:
    """Counted at the CA, and the same number wherever one is named."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name, orders in (("all", "12345"), ("some", "23"), ("others", "45"), ("more", "67")):
            desk.write(f"{name}.csv", "order_id\n" + "".join(f"70000{n}\n" for n in orders))
        for name in ("all", "more"):
            assert (await desk.run("send", f"{name}.csv", "--max-orders", "1")).code == 4
        await desk.run("send", "some.csv")
        _, more, first = await run_ids(desk)

        for command in ("show", "watch"):
            assert (
                f"Run {first} at {ca.base_url} (a rehearsal) did not finish; 2 orders left. "
                in (await desk.run(command)).out
            )
            assert (
                "Of its 5 orders, other runs have meanwhile sent 2: 1 sent · 2 not attempted · "
                "2 sent by other runs. 2 left.\n" in (await desk.run(command, first)).out
            )
        assert "2 not attempted, 2 sent by other runs  " in (await desk.run("runs")).out
        listed = json.loads((await desk.run("runs", "--json")).out)
        assert [run["left"] for run in listed] == [None, 1, 2]
        before = ca.books.requests
        resumed = await desk.run("resume", first)
        assert (resumed.code, ca.books.requests - before) == (0, 2)

        desk.write("rest.csv", "order_id\n700007\n")
        assert (await desk.run("send", "rest.csv")).code == 0
        assert more not in (await desk.run("show")).out, "nothing of it is left"
        shown = (await desk.run("show", more)).out
        assert (
            "Nothing is left to send. Of its 2 orders, other runs have meanwhile sent 1: 1 sent · "
            "1 sent by other runs.\n" in shown
        )
        assert "To resume" not in shown


@pytest.mark.parametrize(
    ("policy", "left", "included"),
    [("hold", 3, ""), ("retry", 7, ", those in doubt included")],
)
async def test_what_others_left_in_doubt_is_in_one_number_wherever_a_run_is_shown(
    tmp_path: Path, policy: str, left: int, included: str
) -> None:
    """Of ten orders: one sent, one in doubt; by others, two sent and three in doubt."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        lists = {"all": range(10), "sent": (2, 3), "doubtful": (4, 5, 6)}
        for name, orders in lists.items():
            desk.write(f"{name}.csv", "order_id\n" + "".join(f"70000{n}\n" for n in orders))
        first = ("--max-orders", "1", "--in-doubt", policy, "--max-attempts", "1")
        assert (await desk.run("send", "all.csv", *first)).code == 4
        ca.fail({FaultName.DROP: 1.0})
        assert (await desk.run("resume", *first)).code == 4
        assert (await desk.run("send", "doubtful.csv", "--in-doubt", "hold")).code == 3
        ca.fail({})
        assert (await desk.run("send", "sent.csv")).code == 0
        run = (await run_ids(desk))[-1]

        sentence = (
            "Of its 10 orders, other runs have meanwhile sent 2 and left 3 in doubt: 1 sent · "
            "1 in doubt · 3 not attempted · 2 sent by other runs · 3 in doubt by other runs. "
            f"{left} left{included}."
        )
        for command in ("show", "watch", "report"):
            shown = (await desk.run(command, run)).out
            assert f"\n{sentence}\nTo resume:\n" in shown
            assert "\n1 in doubt: it may have been mailed" in shown
            assert f"\n  batch-resend verify {run}" in shown
        report = next(tmp_path.glob(f"reports/*{run}*"))
        assert sentence in (report / "report.html").read_text()
        summary = read_summary(report)
        now = summary["orders_now"]
        assert now.pop("total") == sum(now.values()) == 10
        assert (now["sent_elsewhere"], now["in_doubt_elsewhere"]) == (2, 3)
        (listed,) = (one for one in json.loads((await desk.run("runs", "--json")).out)
                     if one["run"] == run)  # fmt: skip
        assert {name: listed[name] for name in now} == now
        assert summary["left"] == listed["left"] == left
        asked = (await desk.run("resume", run, "--dry-run", "--in-doubt", policy)).out
        assert f"requests  {left} to send of 10\n" in asked
        in_table = "1 in doubt, 3 not attempted, 2 sent by other runs, 3 in doubt by other runs"
        assert in_table in (await desk.run("runs")).out
