"""The main job as a user runs it: a list in, every order's mails resent once, a report out."""

import csv
from pathlib import Path

from batch_resend.windows import Window
from tests.cli.conftest import assert_adds_up, desk_with_ca, read_summary, results


async def test_each_order_is_mailed_once_within_all_windows_and_never_again(
    tmp_path: Path,
) -> None:
    windows = (Window(60, 2.0), Window(100, 6.0))
    async with desk_with_ca(tmp_path, windows=windows, latency_s=(0.01, 0.3)) as (desk, ca):
        numbers = desk.write_list(200)

        first = await desk.run("send", "orders.csv")

        assert first.code == 0, first.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
        assert ca.books.requests == 200
        assert [log.refused for log in ca.books.windows] == [0, 0]
        assert ca.books.wrong_request_count == 0
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["state"] == "completed"
        assert summary["orders"]["sent"] == 200

        again = await desk.run("send", "orders.csv", "--report-dir", "again")

        assert again.code == 0, again.err
        assert ca.books.requests == 200
        assert "200 skipped: again/results.csv says why" in again.out
        assert read_summary(tmp_path / "again")["orders"]["skipped"] == 200
        reason = results(tmp_path / "again")[0]["error_message"]
        assert reason.startswith("sent 20")
        assert reason.endswith(f"by run {summary['run_id']}")


async def test_an_edited_list_sends_only_what_is_new(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("a.csv", "order_id\n1\n2\n3\n")
        desk.write("b.jsonl", '{"order_id": 4}\n{"order_id": 3}\n{"order_id": 2, "locale": "de"}\n')
        assert (await desk.run("send", "a.csv")).code == 0
        assert (await desk.run("send", "b.jsonl", "--report-dir", "b")).code == 0
        assert ca.books.mails_per_order == {"1": 1, "2": 2, "3": 1, "4": 1}
        assert read_summary(tmp_path / "b")["orders"]["skipped"] == 1


async def test_every_row_is_accounted_for_and_a_rejected_one_shows_in_the_exit_code(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(["3"])) as (desk, ca):
        desk.write(
            "list.csv",
            "order_id,domain,email,note\n"
            "1,a.example.com,admin@example.com,first\n"
            "1,a.example.com,admin@example.com,the same again\n"
            "2,a.example.com,nobody,=cmd\n"
            "3,a.example.com,admin@example.com,unknown\n",
        )
        ended = await desk.run("send", "--max-rejected", "1", "list.csv")
        assert ended.code == 3
        assert ca.books.mails_per_order == {"1": 1}
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["rows"] == {"read": 4, "accepted": 2, "duplicate": 1, "rejected": 1}
        assert summary["orders"]["sent"] == summary["orders"]["refused"] == 1
        with (desk.report() / "results.csv").open() as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        assert statuses == ["sent", "duplicate", "rejected", "refused"]
        rejected = (desk.report() / "rejected.csv").read_text()
        assert (
            "2,a.example.com,nobody,'=cmd,list.csv,4,"
            "the e-mail address 'nobody' has no @ (column 'email'),"
            '"2,a.example.com,nobody,=cmd"\n'
        ) in rejected
        assert "list.csv, line 4: the e-mail address 'nobody' has no @" in ended.err
