"""Runs by name: latest, a beginning or end, the newest by default; what is in flight of them."""

import asyncio
import json
import re
import signal
import time
from pathlib import Path

import pytest

from batch_resend.clock import in_local_time, with_local_times
from tests.cli.conftest import (
    ORDER_STATES,
    Desk,
    desk_with_ca,
    ended,
    run_ids,
    until,
    until_told,
)
from tests.cli.counting_server import CountingServer, silent_after
from tests.cli.screen import on_screen

OF_A_RUN = (("show",), ("report",), ("verify",), ("watch",))


async def three_runs(desk: Desk) -> list[str]:
    """Send three lists; return the names of the runs, the newest first."""
    for number in range(3):
        desk.write("orders.csv", f"order_id\n10020030{number}\n")
        assert (await desk.run("send", "orders.csv")).code == 0
    return await run_ids(desk)


@pytest.mark.parametrize("words", OF_A_RUN)
async def test_a_run_is_known_by_its_name_its_beginning_its_end_and_as_the_newest(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        runs = await three_runs(desk)
        names = {(): runs[0], ("latest",): runs[0], (runs[2],): runs[2]}
        names |= {(name[:-1],): name for name in runs if not_shared(name[:-1], runs)}
        names |= {(name[-4:],): name for name in runs if not_shared(name[-4:], runs)}
        for named, run in names.items():
            shown = await desk.run(*words, *named)
            assert shown.code == 0, shown.err
            assert run in shown.out
            assert not [other for other in runs if other != run and other in shown.out]


def not_shared(part: str, runs: list[str]) -> bool:
    """Whether one run alone has a name that begins or ends so."""
    return sum(run.startswith(part) or run.endswith(part) for run in runs) == 1


@pytest.mark.parametrize("words", [*OF_A_RUN, ("resume",)])
async def test_a_part_that_several_names_have_is_wrong_usage_and_names_them(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        runs = await three_runs(desk)
        refused = await desk.run(*words, runs[0][:4])
        assert (refused.code, refused.out) == (2, "")
        assert f"begin or end with '{runs[0][:4]}': {', '.join(runs)}." in refused.err
        for part in ("1999", runs[0][4:-1], f"1{runs[0]}", "%", "_"):
            unknown = await desk.run(*words, part)
            assert (unknown.code, f"no run {part!r}, and none whose" in unknown.err) == (1, True)
        assert ca.books.requests == 3


async def test_without_a_run_the_newest_is_none(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1)
        assert (await desk.run("send", "orders.csv", "--strict", "--ignore", "nothing")).code
        for words in OF_A_RUN:
            nothing = await desk.run(*words)
            assert nothing.code == 1
            assert "no run yet" in nothing.err or "no journal here yet" in nothing.err


async def test_the_newest_n_runs_are_listed_with_local_times_and_ages(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        newest, second, _oldest = await three_runs(desk)
        listed = await desk.run("runs", "--last", "2")
        assert [line.split()[0] for line in listed.out.splitlines()[1:]] == [newest, second]
        assert re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d \(\d+[sm] ago\)  ", listed.out)
        named = json.loads((await desk.run("runs", "--last", "1", "--json")).out)
        assert [run["run"] for run in named] == [newest]
        assert named[0]["started_at"].endswith("Z")


@pytest.mark.parametrize(
    ("age_s", "ago"),
    [
        (0.2, " (0s ago)"), (59, " (59s ago)"), (60, " (1m ago)"), (7_199, " (1h ago)"),
        (200_000, " (2d ago)"), (-1, " (0s ago)"), (-86_400, ""),
    ],
)  # fmt: skip
def test_a_time_is_told_by_this_machines_clock_with_its_age(
    monkeypatch: pytest.MonkeyPatch, age_s: float, ago: str
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert in_local_time(1_700_000_000, 1_700_000_000 + age_s) == f"2023-11-15 03:43{ago}"
        told = with_local_times("process 7, since 2023-11-14T22:13:20.000Z")
        assert told == "process 7, since 2023-11-15 03:43"
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_what_is_in_flight_is_in_doubt_only_once_its_process_is_gone(tmp_path: Path) -> None:
    fate, may_answer = silent_after(3)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(8)
        sending = await desk.start(
            "send", "orders.csv", "--concurrency", "5", "--limit", "none", "--timeout", "2m"
        )
        await until(lambda: ca.requests == 8)
        counts = await counted_once(desk, sent=3)
        assert (counts["in_flight"], counts["in_doubt"]) == (5, 0)
        assert "5 in flight" in (await desk.run("runs")).out
        sending.kill()
        await ended(sending)
        counts = await counted_once(desk, sent=3)
        assert (counts["in_flight"], counts["in_doubt"]) == (0, 5)
        may_answer.set()
        assert (await desk.run("resume", "--limit", "none")).code == 0


async def counted_once(desk: Desk, sent: int) -> dict[str, int]:
    """Return what `runs` counts of the one run, once so many are sent."""
    async with asyncio.timeout(30):
        while True:
            (run,) = json.loads((await desk.run("runs", "--json")).out)
            if run["sent"] == sent:
                states = {name: run[name] for name in ORDER_STATES}
                assert sum(states.values()) == run["total"]
                return states


async def test_the_newest_run_is_the_one_active_last_though_another_was_planned_later(
    tmp_path: Path,
) -> None:
    fate, _ = silent_after(4)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        for name, orders in (("older.csv", "1 2 3 4 5"), ("later.csv", "1 6")):
            desk.write(name, "\n".join(["order_id", *orders.split()]) + "\n")
        words = ("--all-domains", "--limit", "none", "--timeout", "2m")
        assert (await desk.run("send", "older.csv", "--max-orders", "2", *words)).code == 4
        assert (await desk.run("send", "later.csv", *words)).code == 0
        later, older = await run_ids(desk)
        resumed = await desk.start("resume", *words[1:])
        await until(lambda: ca.requests == 3 + 3)
        resumed.kill()
        await ended(resumed)
        assert await run_ids(desk) == [older, later]
        for command in ("show", "watch", "report"):
            assert f"Run {older}: " in (await desk.run(command)).out
        told = (await desk.run("history", "1")).out.splitlines()[1:]
        assert [line.split()[0] for line in told] == [older, later], "by time"


@pytest.mark.parametrize("where", [".", "elsewhere"])
async def test_the_command_to_resume_a_killed_run_has_all_flags_and_works_from_any_folder(
    tmp_path: Path, where: str
) -> None:
    async with desk_with_ca(tmp_path, api_key="a-key-of-a-file-0123") as (desk, ca):
        desk.write_list(40)
        desk.write("key file.txt", "a-key-of-a-file-0123\n").chmod(0o600)
        del desk.environment["DIGICERT_API_KEY"]
        flags = ("--api-key-file", "key file.txt", "--limit", "20/5s", "--cooldown", "3h")
        sending = await desk.start("send", "orders.csv", *flags)
        await until(lambda: ca.books.requests >= 20)
        sending.kill()
        await ended(sending)
        elsewhere = tmp_path / where
        elsewhere.mkdir(exist_ok=True)
        there = Desk(elsewhere, desk.base_url)
        there.environment = desk.environment
        watched = await there.run("watch")
        again = await there.run("report", "--report-dir", "again")
    assert watched.code == 4
    (run,) = await run_ids(desk)
    assert "No run is under way." in watched.err
    assert f"Run {run}: " in watched.out
    _, _, command = watched.out.partition("To resume:\n  batch-resend ")
    assert command.startswith(f"resume {run} ")
    assert f"--api-key-file '{tmp_path}/key file.txt'" in command
    assert "--cooldown 3h" in command
    assert f"resume {run} " in again.out
    page = (elsewhere / "again" / "report.html").read_text()
    assert "next-flags" not in page


async def test_watch_and_send_tell_the_same_share_of_a_resumed_run(tmp_path: Path) -> None:
    fate, may_answer = silent_after(40)
    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(60)
        first = await desk.start("send", "orders.csv", "--limit", "30/1h")
        await until(lambda: ca.requests == 30)
        first.terminate()
        await ended(first)
        flags = ("--yes", "--limit", "none", "--timeout", "2m", "--concurrency", "5")
        async with on_screen(desk, "resume", *flags) as resumed:
            await resumed.shows(lambda shown: "40 of 60 orders, 66%" in "\n".join(shown.lines))
            async with on_screen(desk, "watch") as watched:
                await watched.shows(lambda shown: "40 of 60 orders, 66%" in "\n".join(shown.lines))
                may_answer.set()
                assert await watched.ended() == 0
            assert await resumed.ended() == 0


async def test_a_watch_can_wait_for_the_next_run_to_begin(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n700001\n")
        desk.write("more.csv", "order_id\n700002\n")
        assert (await desk.run("send", "orders.csv")).code == 0
        watched = await desk.start("watch", "--wait")
        assert watched.stderr is not None
        said = (await watched.stderr.readline()).decode()
        assert said == "No run is under way: waiting for the next one to begin.\n"
        assert (await desk.run("send", "more.csv")).code == 0
        newest, _ = await run_ids(desk)
        done = await ended(watched)
        assert (done.code, f"Run {newest}: " in done.out) == (0, True), done.err


async def test_a_watch_that_waits_also_waits_for_the_journal(tmp_path: Path) -> None:
    """The run may have begun, or ended, by the time that its journal is found."""
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n700001\n")
        watched = await desk.start("watch", "--wait")
        await until_told(watched, b"there is no journal here yet: waiting for it")
        assert (await desk.run("send", "orders.csv")).code == 0
        (newest,) = await run_ids(desk)
        done = await ended(watched)
        assert (done.code, f"Run {newest}: " in done.out) == (0, True), done.err


async def test_a_watch_that_waits_for_the_journal_ends_with_ctrl_c(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        watched = await desk.start("watch", "--wait")
        await until_told(watched, b"there is no journal here yet: waiting for it")
        watched.send_signal(signal.SIGINT)
        done = await ended(watched)
        assert (done.code, done.err) == (130, "No longer watching; that stops no run.\n")


@pytest.mark.parametrize("words", [("watch", "--wait", "753e"), ("watch",), ("show",)])
async def test_a_command_that_waits_for_no_run_does_not_wait_for_the_journal(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        refused = await desk.run(*words)
        assert (refused.code, "there is no journal here yet" in refused.err) == (1, True)
