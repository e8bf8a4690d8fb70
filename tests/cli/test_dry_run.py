"""Dry runs: what `send` and `resume` would do, from what the journal knows, and nothing is sent."""

import itertools
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batch_resend.model import Call
from batch_resend.simulator import FaultName
from tests.cli.conftest import desk_with_ca, ended, read_summary, run_ids, until
from tests.cli.test_sweep import wait
from tests.cli.town import town
from tests.notify.listener import listening

WHOLE_LIST = 20
FIRST = ("--max-orders", "5")


async def test_send_with_a_dry_run_is_a_check_without_key_journal_and_network(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca), listening() as watchdog:
        desk.write_list(3)
        desk.write("orders.csv", (tmp_path / "orders.csv").read_text() + "x,,\n")
        del desk.environment["DIGICERT_API_KEY"]
        notified = ("--ping-url", watchdog.url)
        for most in ("20%", "1"):
            options = ("orders.csv", "--max-rejected", most)
            dry = await desk.run("send", *options, "--dry-run", *notified)
            checked = await desk.run("check", "orders.csv")
            assert dry.code == checked.code == 3, "a row is rejected"
            assert dry.out.startswith(checked.out)
            assert dry.out.endswith("Nothing was sent: --dry-run.\n")
        strict = await desk.run("send", "orders.csv", "--strict", "--dry-run")
        assert "`send` would send nothing: --strict: 1 row was rejected." in strict.out
        assert "or send the other rows without --strict.\n" in strict.out
        assert (ca.books.requests, watchdog.posts) == (0, [])
        assert not (tmp_path / "journal.db").exists()


async def test_send_with_a_dry_run_leaves_out_what_its_journal_says_was_sent_lately(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, 2, first=100_200_301)
        desk.write("one.csv", "order_id\n100200302\n")
        assert (await desk.run("sweep", "--yes", "-q")).code == 0
        assert (await desk.run("send", "one.csv", "--report-dir", "one")).code == 0
        before = (tmp_path / "journal.db").read_bytes()
        rows = "100200301,a.example,admin@a.example\n100200303,c.example,admin@c.example\n"
        desk.write("two.csv", f"order_id,domain,email\n{rows}")
        lists = ("send", "one.csv", "two.csv")
        dry = await desk.run(*lists, "--dry-run", DIGICERT_API_KEY="")
        assert dry.code == 0, dry.err
        assert (tmp_path / "journal.db").read_bytes() == before
        sent = await desk.run(*lists, "--report-dir", "all")
        other = "with other addresses, in another language, or by another call or key"
        for told in (dry.out, sent.err):
            assert "requests  3 for 3 orders (one per order and language), 2 to send\n" in told
            assert "skipped   1 acknowledged within the cooldown; --again sends them again" in told
            mailed = "1 of those to send: for an order or domain that another run mailed within"
            assert f"  mailed    {mailed} the cooldown, {other}. People may get" in told
        again = await desk.run(*lists, "--dry-run", "--again", "--json")
        plan = json.loads(again.out)
        assert (plan["to_send"], plan["cooling_down"], plan["mailed_otherwise"]) == (3, 0, 0)
        desk.write("other.db", "no journal\n" * 100)
        blind = await desk.run(*lists, "--dry-run", "--journal", "other.db")
        assert (blind.code, "3 to send" in blind.out) == (0, True)
        assert "What was sent before is not left out of this plan: " in blind.err


@pytest.mark.parametrize("policy", ["hold", "retry"])
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "completed"])
async def test_a_dry_run_counts_what_is_in_doubt_as_the_run_itself_does(
    tmp_path: Path, policy: str, *, is_killed: bool
) -> None:
    """And names the run that `send` would resume."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(8)
        ca.fail({FaultName.DROP: 1.0})
        await desk.run("send", "orders.csv", "--in-doubt", "hold", "--report-dir", "first")
        (run,) = await run_ids(desk)
        ca.fail({})
        if is_killed:  # with 5 in flight, and 3 not attempted
            with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
                journal.execute("UPDATE runs SET state = 'running', finished_at = NULL")
                journal.execute("UPDATE attempts SET ended_at = NULL, ruling = NULL")
                journal.execute("DELETE FROM attempts WHERE request NOT IN (SELECT number "
                    "FROM requests ORDER BY number LIMIT 5)")  # fmt: skip
                journal.execute("DELETE FROM outcomes")
                journal.commit()
        send = ("send", "orders.csv", "--in-doubt", policy)
        dry = await desk.run(*send, "--dry-run", "--json", DIGICERT_API_KEY="")
        would = f"`send` resumes run {run}, which did not finish: this is what is left of it\n"
        assert (would in dry.err) is is_killed
        counts = json.loads(dry.out)
        held, doubted = counts["held"], 5 if is_killed else 8
        assert (held, counts["second_mails"]) == (
            (doubted, 0) if policy == "hold" else (0, doubted)
        )
        await desk.run(*send, "--report-dir", "then")
        then = read_summary(tmp_path / "then")
        assert (then["run_id"] == run) is is_killed
        told = (then["orders"]["sent"], then["orders"]["in_doubt"])
        assert told == (counts["to_send"], held)
        assert then["requests"]["possible_duplicates"] == counts["second_mails"]


async def test_resume_with_a_dry_run_shows_what_is_left_needs_no_key_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(WHOLE_LIST)
        rows = (tmp_path / "orders.csv").read_text()
        desk.write("orders.csv", f"{rows}x,,\n")
        await desk.run("send", "orders.csv", "--yes", *FIRST)
        (run,) = await run_ids(desk)
        other = next(
            row for row in rows.splitlines()[1:] if row[:6] not in ca.books.mails_per_order
        )
        ones = [row for row in rows.splitlines()[1:] if row[:6] == other[:6]]
        desk.write("one.csv", "\n".join([rows.splitlines()[0], *ones, ""]))
        await desk.run("send", "one.csv", "--report-dir", "one")
        key = desk.environment.pop("DIGICERT_API_KEY")
        journal = (tmp_path / "journal.db").read_bytes()
        told = (await desk.run("runs", "--json")).out
        left = await desk.run("resume", "--dry-run")
        assert left.code == 0, left.err
        assert (
            f"Left of run {run}\n  requests  14 to send of 20\n  so far    5 sent · 1 skipped\n"
            in (left.out)
        )
        assert "Rejected" not in left.out
        assert left.out.endswith("Nothing was sent: --dry-run.\n")
        said = json.loads((await desk.run("resume", "--dry-run", "--json")).out)
        requests = said["plan"]["first_requests"]
        assert {one["order_id"] for one in requests} == set(numbers) - set(ca.books.mails_per_order)
        assert (ca.books.mails, ca.books.reads) == (6, 0)
        assert (await desk.run("runs", "--json")).out == told
        assert (tmp_path / "journal.db").read_bytes() == journal
        desk.environment["DIGICERT_API_KEY"] = key
        resumed = await desk.run("resume", "--report-dir", "all")
        assert "Rejected" not in resumed.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)


async def test_resume_with_a_dry_run_counts_the_last_requests_by_the_key_that_sent_the_run(
    tmp_path: Path,
) -> None:
    """Those of other runs by that key, too, and none by another key."""
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(WHOLE_LIST)
        own, limit = desk.environment["DIGICERT_API_KEY"], ("--limit", "20/1h")
        await desk.run("send", "orders.csv", "--yes", *FIRST, *limit)
        (run,) = await run_ids(desk)

        async def waits_s() -> tuple[float, str]:
            resume = ("resume", run, "--dry-run", *limit)
            said = await desk.run(*resume, "--json", DIGICERT_API_KEY="")
            shown = await desk.run(*resume, DIGICERT_API_KEY="")
            return json.loads(said.out)["plan"]["waits_s"], shown.out

        async def send_one(number: int, key: str) -> None:
            desk.write("one.csv", f"order_id\n{number}\n")
            sent = await desk.run(
                "send", "one.csv", "--report-dir", str(number), DIGICERT_API_KEY=key
            )
            assert sent.code == 0, sent.err

        await send_one(100_200_301, f"another-{own}")
        assert (await waits_s())[0] == 0, "5 and 15 are 20"
        await send_one(100_200_302, own)
        waited, shown = await waits_s()
        assert waited > 0
        assert "because requests of the last minutes count in these limits\n" in shown


async def test_a_dry_run_of_resume_says_what_the_plan_of_resume_says_right_after(
    tmp_path: Path,
) -> None:
    """Also of what another run has mailed with other addresses, and of what a kill has cut off."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(WHOLE_LIST)
        limit = ("--limit", "21/1h")  # 4 and 1 were answered, 1 was cut off, 16 are left
        await desk.run("send", "orders.csv", "--yes", *FIRST, *limit)
        (run,) = await run_ids(desk)
        rows = (tmp_path / "orders.csv").read_text().splitlines()[1:]
        number = next(row[:6] for row in rows if row[:6] not in ca.books.mails_per_order)
        desk.write("one.csv", f"order_id,domain,email\n{number},a.example,admin@a.example\n")
        assert (await desk.run("send", "one.csv", "--report-dir", "one")).code == 0
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
            journal.execute("UPDATE runs SET state = 'running', finished_at = NULL WHERE id = ?",
                (run,))  # fmt: skip
            ((of, request),) = journal.execute("SELECT run, request FROM attempts LIMIT 1")
            journal.execute("UPDATE attempts SET ended_at = NULL, ruling = NULL "
                "WHERE run = ? AND request = ?", (of, request))  # fmt: skip
            journal.execute("DELETE FROM outcomes WHERE run = ? AND request = ?", (of, request))
            journal.commit()
        dry = await desk.run("resume", run, "--dry-run", *limit)
        resumed = await desk.run("resume", run, "--max-orders", "1", "--report-dir", "x", *limit)
        told = lines_of_plan(dry.out)
        assert told == lines_of_plan(resumed.err)
        shown = "\n".join(told)
        assert "requests  16 to send of 20\n" in shown
        assert "  in doubt  1 of those to send may have been mailed before" in shown
        assert "  mailed    1 of those to send: for an order or domain that another run" in shown
        assert "because requests of the last minutes count in these limits" in shown


async def test_send_with_a_dry_run_shows_of_a_run_that_it_would_resume_what_it_then_sends(
    tmp_path: Path,
) -> None:
    """Without what the CA has refused in that run, and by what the list says now."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows = [f"{n},a{n}.example,admin@a{n}.example" for n in range(1, 11)]

        def write(*issued: int) -> None:
            lines = [
                f"{row},{'issued' if n in issued else 'pending'}" for n, row in enumerate(rows, 1)
            ]
            desk.write("orders.csv", "\n".join(["order_id,domain,email,status", *lines, ""]))

        write(10)
        ca.fail({FaultName.NO_SUCH_ORDER: 1.0})
        await desk.run("send", "orders.csv", "--yes", "--max-orders", "2")
        ca.fail({})
        await desk.run("resume", "--max-orders", "3", "--report-dir", "two")
        (run,) = await run_ids(desk)
        resume = await desk.run("resume", run, "--dry-run")
        journal = (tmp_path / "journal.db").read_bytes()
        same = await desk.run("send", "orders.csv", "--dry-run", DIGICERT_API_KEY="")
        left = lines_of_plan(same.out)
        assert left == lines_of_plan(resume.out)
        assert left[:2] == [
            "  requests  4 to send of 10",
            "  so far    3 sent · 2 refused · 1 skipped",
        ]
        write(9)
        with (tmp_path / "orders.csv").open("a") as file:
            file.write("x,,,\n")
        dry = await desk.run("send", "orders.csv", "--dry-run", DIGICERT_API_KEY="")
        assert dry.code == 3, "a row is rejected"
        said = json.loads((await desk.run("send", "orders.csv", "--dry-run", "--json")).out)
        assert (tmp_path / "journal.db").read_bytes() == journal
        assert "First requests, 3 of 4\n" in dry.out
        before = set(ca.books.mails_per_order)
        sent = await desk.run("send", "orders.csv", "--max-rejected", "100%", "--report-dir", "all")
        assert lines_of_plan(dry.out) == lines_of_plan(sent.err)
        asked = [one["order_id"] for one in said["first_requests"]]
        assert {*asked} < set(ca.books.mails_per_order) - before, "the first three of four"
        assert "10" in ca.books.mails_per_order
        assert "9" not in ca.books.mails_per_order


def lines_of_plan(shown: str) -> list[str]:
    """Return what is shown of what is left of a run, but for the seconds and what goes first."""
    lines = shown[shown.index("Left of run ") :].splitlines()
    others = itertools.takewhile(lambda line: line.startswith("  "), lines[1:])
    return [
        re.sub(r"\d+m \d+s|1h 0?0m", "an hour", line.replace(", for all of them", ""))
        for line in others
        if not line.startswith("  now ")
    ]


@pytest.mark.parametrize("key", ["the same key", "no key", "another key"])
@pytest.mark.parametrize("call", list(Call))
async def test_a_dry_run_and_send_leave_out_the_same_by_each_call(
    tmp_path: Path, call: Call, key: str
) -> None:
    """A domain may be in several accounts, so a request about one is known by its key, too."""
    heading = "order_id,domain,email\n"
    rows = [
        f"{n},{'' if call is Call.ORDER_APPROVAL else name},admin@{name}\n"
        for n, name in ((1, "a.example"), (2, "b.example"), (3, "c.example"))
    ]
    async with desk_with_ca(tmp_path) as (desk, ca):
        own = desk.environment["DIGICERT_API_KEY"]
        keys = {"the same key": own, "no key": "", "another key": f"another-{own}"}
        desk.write("two.csv", "".join([heading, *rows[:2]]))
        desk.write("all.csv", "".join([heading, *rows]))
        send = ("send", "all.csv", "--call", call.value, "--in-doubt", "hold")
        assert (await desk.run("send", "two.csv", "--call", call.value)).code == 0
        ca.fail({FaultName.DROP: 1.0})
        await desk.run(*send, "--report-dir", "dropped")
        ca.fail({})
        dry = await desk.run(*send, "--dry-run", "--json", DIGICERT_API_KEY=keys[key])
        assert dry.code == 0, dry.err
        sent_by = keys[key] or own
        await desk.run(*send, "--report-dir", "then", DIGICERT_API_KEY=sent_by)
        then, counts = read_summary(tmp_path / "then"), json.loads(dry.out)
        is_new = key == "another key" and call is Call.DOMAIN_DCV
        became = (then["orders"]["sent"], then["skipped"]["cooldown"], then["orders"]["in_doubt"])
        assert became == ((3, 0, 0) if is_new else (0, 2, 1))
        told = (counts["to_send"], counts["cooling_down"], counts["held"])
        assert told == became


@pytest.mark.parametrize("can_read_keys", [True, False])
async def test_a_dry_run_and_send_leave_out_the_same_domains_of_each_account(
    tmp_path: Path, *, can_read_keys: bool
) -> None:
    async with town(tmp_path) as at:
        desk = at.desk
        desk.write("named.csv", "domain,account\na.example,shop\na.example,bank\n")
        desk.write("own.csv", "domain\na.example\nb.example\n")
        named = ("send", "named.csv", "--call", "domain-dcv")
        own = ("send", "own.csv", "--call", "domain-dcv", "--profile", "shop")
        assert (await desk.run(*named, "--report-dir", "named")).code == 0
        assert (await desk.run(*own, "--report-dir", "own")).code == 0
        if not can_read_keys:
            for name in ("shop.key", "bank.key"):
                (tmp_path / name).unlink()
        for words in (named, own):
            dry = await desk.run(*words, "--dry-run", "--json")
            assert dry.code == 0, dry.err
            counts = json.loads(dry.out)
            assert (counts["to_send"], counts["cooling_down"]) == (0, 2)


@pytest.mark.parametrize("policy", ["hold", "retry"])
async def test_what_a_killed_run_may_have_mailed_counts_before_the_next_start_as_it_does_then(
    tmp_path: Path, policy: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(6)
        first = ("--max-orders", "1", "--in-doubt", policy)
        await desk.run("send", "orders.csv", "--yes", *first)
        (run,) = await run_ids(desk)
        lines = (tmp_path / "orders.csv").read_text().splitlines()
        desk.write("part.csv", "\n".join(lines[:-1]))
        ca.fail({FaultName.HANG: 1.0})
        process = await desk.start("send", "part.csv", "--yes", "--concurrency", "1")
        await until(lambda: ca.books.requests == 2)
        ahead = json.loads((await desk.run("show", run, "--json")).out)
        assert ahead["orders_now"]["in_doubt_elsewhere"] == 0, "it lives, and waits for an answer"
        process.kill()
        await ended(process)
        ca.fail({})
        dry = await desk.run("resume", run, "--dry-run")
        assert "  in doubt  1" in dry.out
        shown = json.loads((await desk.run("show", run, "--json")).out)
        listed = json.loads((await desk.run("runs", "--json")).out)
        resumed = await desk.run("resume", run, "--max-orders", "2", "--report-dir", "x")
        assert lines_of_plan(dry.out) == lines_of_plan(resumed.err)
        (of_run,) = (one for one in listed if one["run"] == run)
        told = (shown["orders_now"]["in_doubt_elsewhere"], shown["left"])
        assert told == (of_run["in_doubt_elsewhere"], of_run["left"])
        assert told == (1, 4 if policy == "hold" else 5)
