"""The library: rows from anywhere, outcomes as they come, nothing of the process's touched."""

import json
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr

from batch_resend import (
    InputError,
    JournalBusy,
    ListSource,
    Outcome,
    RecordSource,
    RequestStatus,
    Row,
    RunState,
    Settings,
    open_batch,
    resend,
)
from batch_resend.intake import Given, Source
from batch_resend.model import Verdict
from batch_resend.simulator import Simulator, SimulatorSettings, WorldOrder

pytestmark = pytest.mark.asyncio

NO_WINDOWS = SimulatorSettings(windows=(), latency_s=(0.001, 0.02))


def settings_for(ca: Simulator, folder: Path, **more: object) -> Settings:
    """Return settings for a simulated CA."""
    return Settings(
        api_key=SecretStr("key"),
        base_url=ca.base_url,
        windows=(),
        journal=folder / "journal.db",
        **more,  # type: ignore[arg-type]
    )


def orders(*numbers: int) -> RecordSource:
    """Return order-only rows."""
    return RecordSource([{"order_id": number, "all_domains": True} for number in numbers])


async def test_rows_may_come_from_an_async_iterable(tmp_path: Path) -> None:
    async def rows() -> AsyncIterator[dict[str, object]]:
        for number in range(100_200_301, 100_200_321):
            yield {"order_id": number}

    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        plan = await batch.plan([RecordSource(rows())])
        async with batch.send(plan) as sending:
            sent = [outcome async for outcome in sending]
        assert {outcome.status for outcome in sent} == {RequestStatus.SENT}
        assert len(sent) == plan.to_send == ca.books.mails == 20
        assert sending.state is RunState.COMPLETED


async def test_the_first_are_sent_and_another_send_of_the_plan_sends_the_rest(
    tmp_path: Path,
) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        plan = await batch.plan([orders(*range(1, 21))])
        async with batch.send(plan, most=5) as sending:
            first = [outcome.request.subject async for outcome in sending]
        assert len(first) == ca.books.requests == sending.progress.total == 5
        assert (sending.held_back, sending.state) == (15, RunState.STOPPED)
        async with batch.send(plan, most=15) as sending:
            rest = [outcome.request.subject async for outcome in sending]
        assert {*first, *rest} == set(ca.books.mails_per_order) == set(map(str, range(1, 21)))
        assert ca.books.mails == 20
        assert (sending.held_back, sending.state) == (0, RunState.COMPLETED)
        summary = await batch.report(plan.run, tmp_path / "report")
        assert (summary.state, summary.stop_reason, summary.orders.sent) == ("completed", None, 20)


async def test_leaving_early_finishes_what_is_in_flight_and_the_run_can_be_resumed(
    tmp_path: Path,
) -> None:
    async with Simulator(NO_WINDOWS) as ca:
        async with open_batch(settings_for(ca, tmp_path, concurrency=4)) as batch:
            plan = await batch.plan([orders(*range(1, 61))])
            async with batch.send(plan) as sending:
                async for _ in sending:
                    break
            assert sending.state is RunState.INTERRUPTED
            summary = await batch.report(plan.run, tmp_path / "first")
        assert summary.state == "interrupted"
        assert summary.orders.sent == ca.books.mails < 60
        assert summary.orders.in_doubt == 0

        async with open_batch(settings_for(ca, tmp_path)) as batch:
            rest = await batch.take_up()
            assert rest.run.id == plan.run.id
            async with batch.send(rest) as sending:
                async for _ in sending:
                    pass
        assert ca.books.mails_per_order == {str(number): 1 for number in range(1, 61)}


async def test_an_error_of_the_caller_comes_out_as_it_is_and_stops_the_run(
    tmp_path: Path,
) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        plan = await batch.plan([orders(*range(1, 61))])
        with pytest.raises(ZeroDivisionError):
            async with batch.send(plan) as sending:
                async for _ in sending:
                    raise ZeroDivisionError
        assert sending.state is RunState.INTERRUPTED
        assert (await batch.report(plan.run, tmp_path)).orders.sent == ca.books.mails


async def test_a_cancelled_caller_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        plan = await batch.plan([orders(*range(1, 61))])
        with anyio.CancelScope() as scope:
            async with batch.send(plan) as sending:
                async for _ in sending:
                    scope.cancel()
        summary = await batch.report(plan.run, tmp_path)
        assert summary.orders.sent == ca.books.mails == ca.books.requests
        assert summary.orders.in_doubt == 0


async def test_two_runs_in_one_process_do_not_disturb_each_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run(folder: Path, ca: Simulator, *numbers: int) -> None:
        folder.mkdir()
        async with open_batch(settings_for(ca, folder)) as batch:
            plan = await batch.plan([orders(*numbers)])
            async with batch.send(plan) as sending:
                async for _ in sending:
                    pass

    async with Simulator(NO_WINDOWS) as one, Simulator(NO_WINDOWS) as other:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, tmp_path / "one", one, *range(1, 41))
            tasks.start_soon(run, tmp_path / "other", other, *range(31, 71))
        assert one.books.mails_per_order == {str(n): 1 for n in range(1, 41)}
        assert other.books.mails_per_order == {str(n): 1 for n in range(31, 71)}
    assert capfd.readouterr() == ("", "")


async def test_two_plans_made_before_either_is_sent_mail_no_order_twice(tmp_path: Path) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        for plan in (await batch.plan([orders(1, 2, 3)]), await batch.plan([orders(2, 3, 4)])):
            async with batch.send(plan) as sending:
                async for _ in sending:
                    pass
            assert sending.progress.done == sending.progress.total
        assert ca.books.mails_per_order == {"1": 1, "2": 1, "3": 1, "4": 1}


async def test_what_the_ca_says_waits_for_no_mail_is_not_mailed_by_a_later_send(
    tmp_path: Path,
) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        ca.world.add(WorldOrder(2, status="issued"))
        for plan in (await batch.plan([orders(1)]), await batch.plan([orders(2, 3)])):
            ca.world.add(WorldOrder(3))
            asked = await batch.preflight(plan)
            async with batch.send(asked) as sending:
                async for _ in sending:
                    pass
        assert ca.books.mails_per_order == {"1": 1, "3": 1}


async def test_one_journal_serves_one_batch_at_a_time(tmp_path: Path) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)):
        with pytest.raises(JournalBusy, match="another run holds the journal"):
            async with open_batch(settings_for(ca, tmp_path)):
                pass


async def test_a_plan_of_no_rows_is_an_error_and_leaves_no_run(tmp_path: Path) -> None:
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        with pytest.raises(InputError, match="there are no rows to send"):
            await batch.plan([orders()])
        assert await batch.reader.runs() == []


def rows_on_disk(folder: Path) -> tuple[int, int]:
    """Return how many runs and rows the journal holds, of whichever state."""
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        ((runs, rows),) = journal.execute(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM rows)"
        )
    return runs, rows


async def test_an_error_in_the_callers_rows_leaves_no_run(tmp_path: Path) -> None:
    async def rows() -> AsyncIterator[dict[str, object]]:
        yield {"order_id": 1}
        raise ZeroDivisionError

    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        with pytest.raises(ZeroDivisionError):
            await batch.plan([RecordSource(rows())])
        assert rows_on_disk(tmp_path) == (0, 0)
        plan = await batch.plan([orders(1)])
        assert plan.orders == 1


async def test_an_error_in_batch_resend_itself_is_written_down_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Verdict:
        raise ZeroDivisionError

    monkeypatch.setattr("batch_resend.certcentral.client.judge", broken)
    async with Simulator(NO_WINDOWS) as ca, open_batch(settings_for(ca, tmp_path)) as batch:
        plan = await batch.plan([orders(1, 2)])
        with pytest.raises(ExceptionGroup):
            async with batch.send(plan) as sending:
                async for _ in sending:
                    pass
        (run,) = await batch.reader.runs()
    assert run.state is RunState.STOPPED
    assert run.stop_reason == "internal error of batch-resend"


# --- in one call ----------------------------------------------------------------------------------


async def in_turn(rows: Sequence[dict[str, object]]) -> AsyncIterator[dict[str, object]]:
    """Yield rows as they come."""
    for row in rows:
        await anyio.lowlevel.checkpoint()
        yield row


ROWS: list[dict[str, object]] = [{"order_id": number} for number in range(100_200_301, 100_200_311)]
Rows = Source | Iterable[Given] | AsyncIterable[Given]
WAYS: dict[str, Callable[[Path], Rows]] = {
    "a list": lambda _: ROWS,
    "a generator": lambda _: (row for row in ROWS),
    "an async iterable": lambda _: in_turn(ROWS),
    "checked rows": lambda _: [Row(1, str(row["order_id"]), (), None, "{}") for row in ROWS],
    "a source": lambda _: RecordSource(ROWS),
    "a list of a file": lambda folder: ListSource(str(listed_in(folder))),
}


def listed_in(folder: Path) -> Path:
    """Write the rows as a file."""
    path = folder / "orders.csv"
    path.write_text("order_id\n" + "".join(f"{row['order_id']}\n" for row in ROWS))
    return path


@pytest.mark.parametrize("way", WAYS)
async def test_one_call_sends_rows_from_anywhere_and_returns_the_summary(
    tmp_path: Path, way: str
) -> None:
    async with Simulator(NO_WINDOWS) as ca:
        summary = await resend(WAYS[way](tmp_path), settings_for(ca, tmp_path))
        assert (summary.state, summary.orders.sent, summary.rows.read) == ("completed", 10, 10)
        assert ca.books.mails == 10
        again = await resend(WAYS[way](tmp_path), settings_for(ca, tmp_path))
        assert (again.orders.skipped, ca.books.mails) == (10, 10), "within the cooldown"


@pytest.mark.parametrize("is_coroutine", [False, True])
async def test_each_outcome_is_handed_to_a_callback_and_the_report_written_where_it_is_wanted(
    tmp_path: Path, *, is_coroutine: bool
) -> None:
    seen: list[tuple[str, RequestStatus]] = []

    def note(outcome: Outcome) -> None:
        seen.append((outcome.request.subject, outcome.status))

    async def note_later(outcome: Outcome) -> None:
        await anyio.lowlevel.checkpoint()
        note(outcome)

    settings = replace(NO_WINDOWS, unknown_orders=frozenset({"100200303"}))
    async with Simulator(settings) as ca:
        callback = note_later if is_coroutine else note
        folder = tmp_path / "report"
        summary = await resend(
            ROWS, settings_for(ca, tmp_path), on_outcome=callback, report_dir=folder
        )
    assert dict(seen) == {
        str(row["order_id"]): RequestStatus.REFUSED
        if row["order_id"] == 100_200_303
        else RequestStatus.SENT
        for row in ROWS
    }
    assert (len(seen), summary.orders.refused) == (10, 1)
    assert json.loads((folder / "summary.json").read_text()) == summary.model_dump()


async def test_what_a_callback_raises_ends_the_run_and_the_next_call_resumes_it(
    tmp_path: Path,
) -> None:
    def fail(_: Outcome) -> None:
        raise ZeroDivisionError

    async with Simulator(NO_WINDOWS) as ca:
        settings = settings_for(ca, tmp_path, concurrency=2)
        with pytest.raises(ZeroDivisionError):
            await resend(ROWS, settings, on_outcome=fail)
        assert ca.books.mails < 10
        summary = await resend(ROWS, settings)
        assert (summary.state, summary.orders.sent) == ("completed", 10)
        assert set(ca.books.mails_per_order.values()) == {1}


async def test_one_call_without_rows_raises_and_leaves_no_run(tmp_path: Path) -> None:
    async with Simulator(NO_WINDOWS) as ca:
        with pytest.raises(InputError):
            await resend([], settings_for(ca, tmp_path))
        async with open_batch(settings_for(ca, tmp_path)) as batch:
            assert await batch.reader.runs() == []
