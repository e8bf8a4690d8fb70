"""The main job as a user runs it: a list in, every order's mails resent once, a report out."""

import csv
from pathlib import Path

import pytest

from batch_resend.windows import Window
from tests.cli.conftest import assert_adds_up, desk_with_ca, read_summary, results

pytestmark = pytest.mark.asyncio


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


async def test_again_repeats_what_was_acknowledged(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(10)
        await desk.run("send", "orders.csv")
        await desk.run("send", "orders.csv", "--again", "--report-dir", "again")
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 2)


async def test_an_edited_list_sends_only_what_is_new(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("a.csv", "order_id\n100200301\n100200302\n100200303\n")
        desk.write(
            "b.jsonl",
            '{"order_id": 100200304}\n{"order_id": 100200303}\n'
            '{"order_id": 100200302, "locale": "de"}\n',
        )
        assert (await desk.run("send", "a.csv")).code == 0
        assert (await desk.run("send", "b.jsonl", "--report-dir", "b")).code == 0
        assert ca.books.mails_per_order == {
            "100200301": 1,
            "100200302": 2,
            "100200303": 1,
            "100200304": 1,
        }
        assert read_summary(tmp_path / "b")["orders"]["skipped"] == 1


async def test_what_is_sent_is_what_the_list_says(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write(
            "list.csv",
            "Order #,Common Name,Approver E-Mail,Email Domain,Language\n"
            "100200311,Shop.Example.com.,Admin@example.com,example.com,en\n"
            "100200312,,,,\n"
            "100200311,www.example.com,admin@example.com,,en\n",
        )
        assert (await desk.run("send", "list.csv", "--all-domains")).code == 0
        assert ca.books.bodies == {
            "100200311": [
                {
                    "domain_approval_emails": [
                        {
                            "domain": "shop.example.com",
                            "email": "Admin@example.com",
                            "email_domain": "example.com",
                        },
                        {
                            "domain": "www.example.com",
                            "email": "admin@example.com",
                            "email_domain": "example.com",
                        },
                    ],
                    "locale": "en",
                }
            ],
            "100200312": [{}],
        }


async def test_a_list_comes_from_standard_input_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ended = await desk.run("send", "-", stdin=b'{"order_id": 100200305}\n')
        assert ended.code == 0, ended.err
        assert ca.books.mails_per_order == {"100200305": 1}
        assert desk.summary()["inputs"][0]["path"] == "standard input"


async def test_every_row_is_accounted_for_and_a_rejected_one_shows_in_the_exit_code(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset(["100200303"])) as (desk, ca):
        desk.write(
            "list.csv",
            "order_id,domain,email,note\n"
            "100200301,a.example.com,admin@example.com,first\n"
            "100200301,a.example.com,admin@example.com,the same again\n"
            "100200302,a.example.com,nobody,=cmd\n"
            "100200303,a.example.com,admin@example.com,unknown\n",
        )
        ended = await desk.run("send", "--max-rejected", "1", "list.csv")
        assert ended.code == 3
        assert ca.books.mails_per_order == {"100200301": 1}
        summary = desk.summary()
        assert_adds_up(summary)
        assert summary["rows"] == {"read": 4, "accepted": 2, "duplicate": 1, "rejected": 1}
        assert summary["orders"]["sent"] == summary["orders"]["refused"] == 1
        with (desk.report() / "results.csv").open() as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        assert statuses == ["sent", "duplicate", "rejected", "refused"]
        rejected = (desk.report() / "rejected.csv").read_text()
        assert (
            "100200302,a.example.com,nobody,'=cmd,list.csv,4,"
            "the e-mail address 'nobody' has no @ (column 'email'),"
            '"100200302,a.example.com,nobody,=cmd"\n'
        ) in rejected
        assert "list.csv, line 4: the e-mail address 'nobody' has no @" in ended.err


async def test_strict_sends_nothing_when_a_row_is_rejected(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("list.csv", "order_id\n100200301\nx\n")
        ended = await desk.run("send", "--strict", "list.csv")
        assert ended.code == 3
        assert ca.books.requests == 0
        assert desk.summary()["orders"]["not_attempted"] == 1
        assert "Nothing was sent: --strict: 1 row was rejected." in ended.out

        desk.write("list.csv", "order_id\n100200301\n")
        assert (await desk.run("send", "--strict", "list.csv", "--report-dir", "r")).code == 0
        assert ca.books.mails_per_order == {"100200301": 1}


async def test_the_key_appears_in_no_output_report_or_journal(tmp_path: Path) -> None:
    faults = {"500": 0.2, "drop": 0.2, "400": 0.2}
    async with desk_with_ca(tmp_path, faults=faults) as (desk, ca):
        desk.write_list(40)
        ended = await desk.run("send", "orders.csv", "-v", "--max-attempts", "2")
        key = desk.environment["DIGICERT_API_KEY"]
        assert ca.books.requests >= 40
        assert key not in ended.out + ended.err
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) >= 7
        assert not [path for path in files if key.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("list.csv", "Bestellung;domain;email\n"
         "100200301;a.example;x@a.example\n100200302;a.example;x a.example\n",
         ("--map", "order_id=Bestellung")),
        ("list.json", '[{"order_id": 100200301, "domain": "a.example", "email": "x@a.example"},\n'
         '{"order_id": 100200302, "domain": "a.example", "email": "x a.example"}]', ()),
        ("list.csv", "100200301;a.example;x@a.example\n100200302;a.example;x a.example\n",
         ("--no-header", "--map", "order_id=1", "--map", "domain=2", "--map", "email=3")),
    ],
)  # fmt: skip
async def test_rejected_csv_is_sent_with_the_same_options_once_it_is_corrected(
    tmp_path: Path, name: str, text: str, options: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write(name, text)
        many = ("--max-rejected", "100%")
        assert (await desk.run("send", name, *options, *many)).code == 3
        path = desk.report() / "rejected.csv"
        again = await desk.run("send", str(path), *options, *many, "--report-dir", "again")
        assert ca.books.mails_per_order == {"100200301": 1}, again.err
        rows = path.read_text().replace("x a.example", "x@a.example", 1)
        path.write_text(rows)
        sent = await desk.run("send", str(path), *options, "--report-dir", "corrected")
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == {"100200301": 1, "100200302": 1}
        assert ca.books.bodies["100200302"] == ca.books.bodies["100200301"]
