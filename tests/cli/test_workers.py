"""Workers on several hosts send one run: each host a process of its own, counted at the CA."""

import asyncio
import json
import platform
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from batch_resend.folders import Database
from batch_resend.simulator import Simulator, SimulatorSettings
from batch_resend.windows import Window
from tests.cli.conftest import (
    Desk,
    assert_adds_up,
    ended,
    everything_acted_on,
    orders_of,
    read_summary,
    until,
    until_told,
)
from tests.cli.test_cluster import kept, shared_desk
from tests.cli.test_signals import signal_at
from tests.cli.test_sweep import wait
from tests.postgres import forget, postgres_server
from tests.report.schemas import output_of
from tests.report.test_page import text_of

Process = asyncio.subprocess.Process


@asynccontextmanager
async def worker(desk: Desk, *options: str, **environment: str) -> AsyncIterator[Process]:
    """Run a worker, told to end at the end; what it says is read away."""
    process = await desk.start("worker", "-q", *options, **environment)
    emptied = asyncio.create_task(ended(process, timeout_s=110))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await emptied


@asynccontextmanager
async def workers(desk: Desk, number: int, *options: str) -> AsyncIterator[list[Process]]:
    """Run several workers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(worker(desk, *options)) for _ in range(number)]


async def test_two_workers_send_what_is_handed_out_and_one_report_tells_of_it(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, unknown_orders=frozenset({"700003"})) as (desk, ca):
        numbers = desk.write_list(300)
        async with workers(desk, 2):
            sent = await desk.run("send", "orders.csv", "--distribute", "--report-dir", "report")
        assert sent.code == 3, sent.err
        summary = read_summary(tmp_path / "report")
        assert_adds_up(summary)
        assert (summary["state"], summary["orders"]["sent"]) == ("completed", 299)
        assert summary["orders"]["refused"] == 1
        assert set(ca.books.requests_per_order) == set(numbers)
        assert set(ca.books.requests_per_order.values()) == {1}


async def test_killed_workers_lose_nothing_and_repeat_nothing_and_the_run_ends_by_itself(
    tmp_path: Path, database: Database
) -> None:
    options = ("--jobs", "2", "--concurrency", "8")
    async with shared_desk(tmp_path, database, latency_s=(0.02, 0.06)) as (desk, ca):
        numbers = desk.write_list(1_000)
        async with workers(desk, 4, *options) as running, AsyncExitStack() as later:
            sending = await desk.start(
                "send", "orders.csv", "--distribute", "--in-doubt", "hold", "--concurrency", "8",
                "--report-dir", "report",
            )  # fmt: skip
            emptied = asyncio.create_task(ended(sending, timeout_s=110))
            for requests in (200, 500):
                await until(lambda at=requests: ca.books.requests >= at)  # type: ignore[misc]  # mypy: a lambda
                for victim in (running.pop(0), running.pop(0)):
                    victim.send_signal(signal.SIGKILL)
                running += [await later.enter_async_context(worker(desk, *options))]
            sent = await emptied
        await everything_acted_on(ca)
        summary, report = read_summary(tmp_path / "report"), tmp_path / "report"
        assert_adds_up(summary)
        assert summary["state"] == "completed", sent.err
        assert set(ca.books.requests_per_order.values()) == {1}
        in_doubt = orders_of(report, "in_doubt")
        assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
        assert summary["orders"]["sent"] + len(in_doubt) == 1_000
        assert len(in_doubt) <= 4 * 2 * 8


async def test_a_restart_of_the_database_interrupts_workers_and_no_run(tmp_path: Path) -> None:
    with postgres_server() as server:
        settings = {"latency_s": (0.4, 0.8)}  # it is far from its end when the database restarts
        async with shared_desk(tmp_path, server.database, **settings) as (desk, ca):
            numbers = desk.write_list(600)
            async with workers(desk, 2, "--jobs", "2"):
                sending = await desk.start(
                    "send", "orders.csv", "--distribute", "--in-doubt", "hold",
                    "--concurrency", "8", "--report-dir", "report", "-q",
                )  # fmt: skip
                following = asyncio.create_task(ended(sending, timeout_s=100))
                await until(lambda: ca.books.requests >= 200)
                await asyncio.to_thread(server.restart)
                followed = await following
            await everything_acted_on(ca)
            summary, report = read_summary(tmp_path / "report"), tmp_path / "report"
            assert_adds_up(summary)
            assert summary["state"] == "completed", followed.err
            assert followed.code == (3 if summary["orders"]["in_doubt"] else 0)
            assert "trying again in 2s" in followed.err
            assert set(ca.books.requests_per_order.values()) == {1}
            in_doubt = orders_of(report, "in_doubt")
            assert set(ca.books.mails_per_order) | in_doubt == set(numbers)
            assert len(in_doubt) <= 2 * 2 * 8


ACCOUNTS = 40


async def test_forty_accounts_each_keep_their_own_windows_on_two_workers(
    tmp_path: Path, database: Database
) -> None:
    forget(database)
    window = Window(3, 2.0)
    async with AsyncExitStack() as stack:
        cas = [
            await stack.enter_async_context(
                Simulator(SimulatorSettings(api_key=f"key-of-account-{n:02}", windows=(window,)))
            )
            for n in range(ACCOUNTS)
        ]
        desk = Desk(tmp_path, cas[0].base_url)
        desk.environment["BATCH_RESEND_JOURNAL"] = str(database)
        desk.environment["BATCH_RESEND_CONFIG"] = "config.toml"
        del desk.environment["BATCH_RESEND_BASE_URL"]  # it would go for all of them
        del desk.environment["DIGICERT_API_KEY"]  # by which nothing goes
        text = ""
        for n, ca in enumerate(cas):
            desk.write(f"{n}.key", f"key-of-account-{n:02}")
            text += (
                f'[profiles.a{n}]\napi-key-file = "{n}.key"\nbase-url = "{ca.base_url}"\n'
                'limit = ["3/2s"]\n'
            )
        desk.write("config.toml", text)
        rows = "".join(
            f"{1_000_000 + 1000 * n + k},a{n}\n" for k in range(6) for n in range(ACCOUNTS)
        )
        desk.write("orders.csv", "order_id,account\n" + rows)
        async with workers(desk, 2, "--jobs", "25"):
            sent = await desk.run("send", "orders.csv", "--distribute", "--report-dir", "report")
        assert sent.code == 0, sent.err
        assert read_summary(tmp_path / "report")["orders"]["sent"] == 6 * ACCOUNTS
        assert all(kept(ca) for ca in cas)
        assert {ca.books.mails for ca in cas} == {6}


async def test_a_sweep_is_made_once_however_many_workers_are_to_make_it(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database) as (desk, ca):
        wait(ca, 2, 3, 4)
        logs = [tmp_path / "one.log", tmp_path / "other.log"]

        def due() -> list[str]:
            said = "".join(log.read_text() for log in logs if log.exists())
            return re.findall(r"the sweep of (\S+) begins", said)

        every = ("--jobs", "1", "--sweep", "* * * * * */3")  # seconds come sixth
        async with AsyncExitStack() as stack:
            for log in logs:
                await stack.enter_async_context(worker(desk, *every, "--log-file", str(log)))
            await until(lambda: ca.books.mails == 3 and len(due()) >= 3)
        assert len(set(due())) == len(due())
        assert ca.books.mails_per_order == {"1": 1, "2": 1, "3": 1}
        runs = json.loads((await desk.run("runs", "--json")).out)
        (run,) = [run for run in runs if run["sent"]]  # a sweep that finds nothing is a run, too
        assert run["inputs"] == ["orders that wait at the CA"]


async def test_a_worker_that_is_told_to_end_leaves_the_rest_to_others_with_nothing_in_doubt(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, latency_s=(0.02, 0.06)) as (desk, ca):
        numbers = desk.write_list(300)
        async with workers(desk, 2) as running:
            sending = await desk.start("send", "orders.csv", "--distribute", "--report-dir", "r")
            emptied = asyncio.create_task(ended(sending))
            await until(lambda: ca.books.requests >= 60)
            running[0].send_signal(signal.SIGTERM)
            assert await running[0].wait() == 128 + signal.SIGTERM
            assert (await emptied).code == 0
        summary = read_summary(tmp_path / "r")
        assert (summary["orders"]["sent"], summary["requests"]["possible_duplicates"]) == (300, 0)
        # On a busy machine there may be attempts that had no connection yet, and never left.
        assert ca.books.requests_per_order == dict.fromkeys(numbers, 1)


async def test_whoever_hands_out_may_leave_and_the_run_is_found_again(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, latency_s=(0.02, 0.06)) as (desk, ca):
        desk.write_list(200)
        sending = await desk.start("send", "orders.csv", "--distribute")
        assert sending.stderr is not None
        async with asyncio.timeout(60):
            await sending.stderr.readuntil(b"No worker is alive")
        sending.send_signal(signal.SIGINT)
        left = await ended(sending)
        assert left.code == 130
        assert "The workers continue the run" in left.err
        live = desk.report()
        assert sorted(one.name for one in live.iterdir()) == ["report.html", "summary.json"]
        assert (read_summary(live)["state"], read_summary(live)["orders"]["sent"]) == ("running", 0)
        page = text_of((live / "report.html").read_text())
        assert "Under way: 0 of 200 orders sent" in page
        assert "this page does not change by itself" in page, "nobody keeps it any more"
        (run,) = json.loads((await desk.run("runs", "--json")).out)
        assert run["state"] == "running (workers)"
        again = await desk.run("send", "orders.csv", "--report-dir", "again")
        assert read_summary(tmp_path / "again")["orders"]["skipped"] == 200, again.err
        refused = await desk.run("resume", run["run"])
        assert refused.code == 5
        assert "is under way elsewhere" in refused.err
        async with worker(desk):
            watched = await desk.run("watch", run["run"])
            assert watched.code == 0, watched.err
        assert ca.books.mails == 200
        assert (await desk.run("report", run["run"], "--report-dir", "report")).code == 0
        assert read_summary(tmp_path / "report")["orders"]["sent"] == 200


async def test_a_signal_while_the_queue_is_reached_for_hands_out_nothing(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database) as (desk, ca):
        desk.write_list(20)
        meddling = partial(signal_at, "cluster.queue:open_queue")
        told = await ended(await desk.start_after(meddling, "send", "orders.csv", "--distribute"))
        assert told.code == 143, told.err
        summary = desk.summary()
        assert_adds_up(summary)
        assert (summary["state"], summary["stop_reason"]) == (
            "interrupted",
            "interrupted by SIGTERM",
        )
        async with worker(desk):
            sent = await desk.run("send", "orders.csv", "--distribute", "--report-dir", "later")
            assert sent.code == 0, sent.err
        assert set(ca.books.requests_per_order.values()) == {1}
        assert ca.books.mails == 20


async def test_a_worker_says_to_programs_what_ended_it(tmp_path: Path, database: Database) -> None:
    async with shared_desk(tmp_path, database) as (desk, _):
        process = await desk.start("worker", "--json")
        await until_told(process, b"at work")
        process.terminate()
        done = await ended(process)
        output_of("worker").validate(json.loads(done.out))
        assert (done.code, json.loads(done.out)["ended_by"]) == (143, "SIGTERM")


async def test_the_status_tells_of_workers_and_the_windows_in_use(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, windows=(Window(50, 60.0),)) as (desk, ca):
        desk.write_list(20)
        none = await desk.run("cluster", "check")
        assert none.code == 1
        assert "there is no journal here yet" in none.err
        async with worker(desk) as process:
            sent = await desk.run("send", "orders.csv", "--distribute")
            assert sent.code == 0, sent.err
            told = json.loads((await desk.run("cluster", "status", "--json")).out)
            output_of("cluster").validate(told)
            assert (
                json.loads((await desk.run("cluster", "check", "--json")).out).keys() == told.keys()
            )
            assert told["sessions"][0].startswith(f"worker {process.pid} on ")
            assert [one["is_alive"] for one in told["workers"]] == [True]
            ((key),) = told["keys"]
            assert (key["out"], key["waiting"], key["share"]) == (0, 20, 1.0)
            assert (await desk.run("cluster", "check")).code == 0
            assert (await desk.run("cluster", "check", "--host", "elsewhere")).code == 1
            assert (await desk.run("cluster", "check", "--host", platform.node())).code == 0
            shown = await desk.run("cluster", "status")
            assert "20 in 1m 00s" in shown.out
        assert ca.books.mails == 20


async def test_a_journal_in_a_file_has_no_workers(desk: Desk) -> None:
    told = await desk.run("worker")
    assert told.code == 1
    assert "workers need a journal in PostgreSQL" in told.err


async def test_a_journal_in_a_file_has_nobody_to_distribute_to(desk: Desk) -> None:
    desk.write_list(1)
    told = await desk.run("send", "orders.csv", "--distribute")
    assert told.code == 1
    assert "--distribute:" in told.err
    assert not (desk.folder / "journal.db").exists()


async def test_a_worker_that_is_told_to_end_waits_for_no_sweep_whose_run_others_continue(
    tmp_path: Path, database: Database
) -> None:
    async with shared_desk(tmp_path, database, windows=(Window(4, 4.0),)) as (desk, ca):
        wait(ca, *[2.0] * 6)  # each is asked about, too
        async with worker(desk, "--jobs", "1", "--sweep", "* * * * * */12") as process:
            await until(lambda: ca.books.mails)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 30) == 128 + signal.SIGTERM
        (run,) = json.loads((await desk.run("runs", "--json")).out)
        assert run["state"] == "running (workers)"
        assert ca.books.mails < 6


async def test_times_that_are_none_are_refused_before_anything_begins(
    desk: Desk, database: Database
) -> None:
    told = await desk.run("worker", "--journal", str(database), "--sweep", "at night")
    assert told.code == 1
    assert "'at night' is not a schedule: write, for example, '0 2 * * *'" in told.err
