"""summary.json: a run in numbers that account for every row and every request."""

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from batch_resend.clock import timestamp
from batch_resend.intake import ListSource, RecordSource
from batch_resend.journal import Terms, read_journal
from batch_resend.model import RunState
from batch_resend.report import Summary, make_summary, write_report
from tests.journal.conftest import (
    BASE_URL,
    NOON,
    WINDOWS,
    Clock,
    carry,
    opened,
    orders,
    pending,
    plan,
    send,
)
from tests.report.carried import SCRIPT, carried, plan_lists, reported, two_lists, write_list

pytestmark = pytest.mark.asyncio


async def test_a_summary_has_what_the_design_says_in_its_order_and_how_far_the_ca_held_it_up(
    tmp_path: Path,
) -> None:
    found, summary = await reported(tmp_path, two_lists(tmp_path), SCRIPT, RunState.STOPPED)
    expected = {
        "run_id": summary.run_id,
        "state": "stopped",
        "stop_reason": "so it was",
        "started_at": timestamp(NOON),
        "finished_at": timestamp(NOON + 7),
        "elapsed_s": 7.0,
        "between_starts_s": 0.0,
        "written_at": None,
        "base_url": BASE_URL,
        "limits": ["1000/3m", "100/5s"],
        "inputs": [
            {
                "path": str(tmp_path / name),
                "sha256": hashlib.sha256((tmp_path / name).read_bytes()).hexdigest(),
                "rows": rows,
            }
            for name, rows in (("first.csv", 7), ("second.csv", 5))
        ],
        "rows": {"read": 12, "accepted": 7, "duplicate": 2, "skipped": 0, "rejected": 3},
        "orders": {
            "total": 5, "sent": 1, "refused": 1, "failed": 1, "in_doubt": 1, "not_attempted": 1,
            "skipped": 0,
            "in_flight": 0,
        },
        "order_numbers": 5,
        "skipped": {"cooldown": 0, "list": 0, "preflight": 0, "other_call": 0, "under_way": 0},
        "requests": {
            "attempts": 7,
            "retries": 3,
            "rate_limited": 1,
            "unconnected": 0,
            "possible_duplicates": 1,
        },
        "back_pressure": {"pauses": 0, "paused_s": 0.0, "lowest_share": 1.0, "accounts": []},
        "sweep": None,
        "profile": None,
        "verdict": "needs action",
        "orders_now": {
            "total": 5, "sent": 1, "refused": 1, "failed": 1, "in_doubt": 1, "not_attempted": 1,
            "skipped": 0, "in_flight": 0, "sent_elsewhere": 0, "in_doubt_elsewhere": 0,
        },
        "left": 2,
        "sent_of": 5,
    }  # fmt: skip
    assert found.summary == expected
    assert json.dumps(found.summary) == json.dumps(expected), "and in that order"
    assert Summary.model_validate(found.summary) == summary.model_copy(update={"rest": None})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState.COMPLETED, "completed"),
        (RunState.STOPPED, "stopped"),
        (RunState.INTERRUPTED, "interrupted"),
        (RunState.RUNNING, "interrupted"),
    ],
    ids=str,
)
async def test_a_run_was_completed_stopped_or_else_interrupted(
    tmp_path: Path, state: RunState, said: str
) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301")
    found, _ = await reported(tmp_path, [ListSource(path)], {}, state)
    assert found.summary["state"] == said
    ended = state is not RunState.RUNNING
    assert (found.summary["finished_at"], found.summary["elapsed_s"]) == (
        (timestamp(NOON), 0.0) if ended else (None, None)
    )


async def test_a_run_that_never_started_has_a_summary_too(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "journal.db", clock) as journal:
        path = write_list(tmp_path, "a.csv", "order_id", "100200301", "x")
        run = await plan_lists(journal, ListSource(path))
        await journal.finish(run, RunState.STOPPED, "rows were rejected")
        summary = await make_summary(journal.reader, await journal.reader.run(run.id))
    assert (summary.state, summary.started_at, summary.elapsed_s) == ("stopped", None, None)
    assert (summary.orders.total, summary.orders.not_attempted) == (1, 1)


async def test_the_counts_are_those_of_the_tables(tmp_path: Path) -> None:
    found, summary = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    lines, requests = found.records("results.csv"), found.requests
    assert len(lines) == summary.rows.read
    for status in ("duplicate", "rejected"):
        assert sum(r["status"] == status for r in lines) == getattr(summary.rows, status)
    assert len(found.table("rejected.csv")) - 1 == summary.rows.rejected
    assert len(requests) == summary.orders.total
    for status in ("sent", "refused", "failed", "in_doubt", "not_attempted", "skipped"):
        assert sum(r["status"] == status for r in requests) == getattr(summary.orders, status)
    assert sum(r["attempts"] for r in requests) == summary.requests.attempts
    accepted = summary.rows.accepted + summary.rows.duplicate
    assert sum(len(r["source"]) for r in requests) == accepted


@pytest.mark.parametrize(
    ("lines", "script", "well"),
    [
        (["100200301", "100200302"], {"100200301": "204", "100200302": "503 204"}, True),
        (["100200301", "100200301"], {"100200301": "lost 204"}, True),
        (["100200301", "100200302"], {"100200301": "204"}, False),
        (["100200301", "x"], {"100200301": "204"}, False),
        (["100200301"], {"100200301": "404"}, False),
        (["100200301"], {"100200301": "lost in_doubt"}, False),
        (["100200301"], {"100200301": "503 failed"}, False),
    ],
)
async def test_all_is_well_when_every_row_was_good_and_every_order_accepted(
    tmp_path: Path, lines: list[str], script: dict[str, str], well: bool
) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", *lines)
    _, summary = await reported(tmp_path, [ListSource(path)], script)
    assert summary.all_well is well


async def test_all_is_well_when_the_rest_was_rightly_skipped(tmp_path: Path) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301")
    clock = Clock()
    for skipped in (0, 1):
        sources = [ListSource(path)]
        async with carried(tmp_path, sources, {"100200301": "204"}, clock=clock) as (journal, run):
            summary = await make_summary(journal.reader, run)
            assert summary.orders.skipped == skipped
            assert summary.all_well


async def test_a_programs_own_rows_have_a_name_and_no_checksum(tmp_path: Path) -> None:
    source = RecordSource([{"order_id": 100200301}, {"order_id": 100200302}], name="from the shop")
    found, _ = await reported(tmp_path, [source], {})
    assert found.summary["inputs"] == [{"path": "from the shop", "sha256": None, "rows": 2}]


async def test_a_run_that_went_on_is_summed_up_over_all_its_starts(tmp_path: Path) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301", "100200302")
    clock = Clock()
    state = RunState.INTERRUPTED
    async with carried(tmp_path, [ListSource(path)], {"100200301": "503 204"}, state, clock) as (
        _,
        run,
    ):
        pass
    clock.now = NOON + 100
    async with opened(tmp_path / "journal.db", clock) as journal:
        await send(journal, clock, run, {"100200302": "429 204"})
        standing = await journal.reader.standing(run, clock)
        await journal.finish(run, RunState.COMPLETED)
        run = await journal.reader.run(run.id)
        summary = await write_report(journal.reader, run, tmp_path / "report")
    assert (summary.state, summary.stop_reason) == ("completed", None)
    assert (summary.started_at, summary.finished_at) == (timestamp(NOON), timestamp(NOON + 102))
    assert (summary.elapsed_s, summary.between_starts_s) == (102.0, 98.0)
    assert standing is not None
    assert standing.is_resumed
    assert (summary.requests.attempts, summary.requests.retries) == (4, 2)
    assert summary.limits == [str(window) for window in WINDOWS]


async def test_a_process_that_resumes_its_own_run_has_interrupted_nothing(
    tmp_path: Path,
) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301", "100200302")
    clock, first = Clock(), {"100200301": "204", "100200302": "cut"}
    async with carried(tmp_path, [ListSource(path)], first, RunState.STOPPED, clock) as (
        journal,
        run,
    ):
        clock.now = NOON + 100  # while somebody was asked whether to go on, and then the CA
        await send(journal, clock, run, {"100200302": "204"})
        standing = await journal.reader.standing(run, clock)
        await journal.finish(run, RunState.COMPLETED)
        summary = await make_summary(journal.reader, await journal.reader.run(run.id))
    assert (summary.elapsed_s, summary.active_s, summary.between_starts_s) == (101.0, 101.0, 0.0)
    assert standing is not None
    assert not standing.is_resumed


async def test_a_run_that_went_on_was_at_work_while_it_waited_for_an_answer(tmp_path: Path) -> None:
    path = write_list(tmp_path, "a.csv", "order_id", "100200301", "100200302")
    clock, first = Clock(), {"100200301": "204", "100200302": "lost"}
    async with carried(tmp_path, [ListSource(path)], first, RunState.INTERRUPTED, clock) as (
        journal,
        run,
    ):
        assert (await make_summary(journal.reader, run)).active_s == 2.0
    clock.now = NOON + 100
    async with opened(tmp_path / "journal.db", clock) as journal:
        await send(journal, clock, run, {"100200302": "204"})
        await journal.finish(run, RunState.COMPLETED)
        summary = await make_summary(journal.reader, await journal.reader.run(run.id))
    assert (summary.active_s, summary.between_starts_s) == (3.0, 98.0)


async def test_under_way_what_will_be_tried_again_is_to_go_and_not_in_doubt(tmp_path: Path) -> None:
    clock, place = Clock(), tmp_path / "journal.db"
    async with opened(place, clock) as journal:
        run = await plan(journal, orders(1, 2, 3, 4))
        recorder = await journal.start(run, Terms(WINDOWS))
        tried, in_flight, held, _ = await pending(journal.reader, run)
        await carry(recorder, clock, tried, "lost")
        await carry(recorder, clock, in_flight, "cut")
        await carry(recorder, clock, held, "lost in_doubt")
        async with read_journal(place, clock) as reader:
            found = (await make_summary(reader, await reader.run(run.id))).orders
        assert (found.in_doubt, found.in_flight, found.not_attempted) == (1, 1, 2)
        await journal.finish(run, RunState.INTERRUPTED)
        found = (await make_summary(journal.reader, await journal.reader.run(run.id))).orders
        assert (found.in_doubt, found.in_flight, found.not_attempted) == (3, 0, 1)


@pytest.mark.parametrize(
    ("part", "name"), [("rows", "read"), ("rows", "rejected"), ("orders", "total")]
)
async def test_counts_that_do_not_add_up_are_never_reported(
    tmp_path: Path, part: str, name: str
) -> None:
    found, _ = await reported(tmp_path, two_lists(tmp_path), SCRIPT)
    wrong = found.summary
    wrong[part][name] += 1
    with pytest.raises(ValidationError, match="do not add up"):
        Summary.model_validate(wrong)
