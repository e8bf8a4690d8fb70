"""Before and while sending: what a question says, and the first few before the rest."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from tests.cli.conftest import Desk, assert_adds_up, desk_with_ca, read_summary, run_ids
from tests.cli.screen import answered_on_terminal, on_screen

WHOLE_LIST = 20
FIRST = ("--max-orders", "5")
RIGHT_KEY = "another-key-of-a-test-0123456789"
ASKED = "Send the other 15 requests now? [y/N]"


# --- the question -------------------------------------------------------------------------------


async def test_the_question_comes_last_and_says_whom_it_mails_what_is_left_out_and_how_long(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        good = [f"{n},d{n % 3}.example,admin@d{n % 3}.example" for n in range(700_000, 700_130)]
        desk.write("orders.csv", "\n".join(["order_id,domain,email", *good, "x,,", ""]))
        code, shown = await answered_on_terminal(
            desk, "[y/N]", b"n\n", "--limit", "40/1s", "--max-rejected", "1"
        )
        assert (code, ca.books.requests) == (1, 0)
        before, _ = shown.split(" [y/N]")
        assert before.splitlines()[-2:] == [
            "130 mails at 3 domains; 3s to 6s; left out: 1 rejected row.",
            "Send 130 requests to 127.0.0.1 now?",
        ]


async def test_what_was_typed_before_the_question_was_seen_is_no_answer_to_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv") as screen:
            screen.type(b"y\n")
            await screen.shows(lambda shown: "now? [y/N]" in shown.text)
            screen.type(b"n\n")
            assert await screen.ended() == 1
        assert ca.books.requests == 0


async def test_of_orders_without_addresses_it_says_who_chooses_whom_to_mail(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n700001\n")
        _, shown = await answered_on_terminal(desk, "[y/N]", b"n\n")
        assert "1 request to the CA's contacts on file; a few seconds at best.\n" in shown


# --- the first, and then the rest ---------------------------------------------------------------


async def sent_in_two(desk: Desk, ca: Simulator, numbers: Sequence[str], *resume: str) -> None:
    """Check that a run sent the first 5 only, and that a command sends the rest, each once."""
    assert ca.books.mails == ca.books.requests == 5
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["state"] == "stopped"
    assert (summary["orders"]["sent"], summary["orders"]["not_attempted"]) == (5, 15)
    rest = await desk.run(*resume, "--report-dir", "rest")
    assert rest.code == 0, rest.err
    assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
    assert read_summary(desk.folder / "rest")["orders"]["sent"] == WHOLE_LIST


@pytest.mark.parametrize("place", ["option", "top of the TOML", "its table", "variable"])
async def test_how_many_go_first_is_heeded_wherever_it_is_said(tmp_path: Path, place: str) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(WHOLE_LIST)
        words: tuple[str, ...] = ("send", "orders.csv", "--yes")
        if place == "option":
            words += FIRST
        elif place == "variable":
            desk.environment["BATCH_RESEND_MAX_ORDERS"] = "5"
        else:
            table = "[send]\n" if place == "its table" else ""
            desk.write("batch.toml", f"{table}max-orders = 5\n")
            words = ("--config", "batch.toml", *words)
        assert ((await desk.run(*words)).code, ca.books.mails) == (4, 5)


async def test_a_script_whose_variable_is_empty_resumes_nothing(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(WHOLE_LIST)
        await desk.run("send", "orders.csv", *FIRST)
        for command in ("resume", "show", "report", "verify", "watch"):
            refused = await desk.run(command, "")
            assert refused.code == 2, command
            assert "RUN is empty" in refused.err
        assert ca.books.mails == 5


async def test_where_nothing_is_to_be_sent_the_plan_says_nothing_of_time(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        first = await desk.run("send", "orders.csv")
        again = await desk.run("send", "orders.csv")
        assert (first.code, again.code, ca.books.mails) == (0, 0, 3)
        assert "3 to send" in first.err
        assert "\n  time " in first.err
        assert "0 to send" in again.err
        assert "\n  time " not in again.err


async def test_the_plan_to_resume_says_how_many_rows_are_left_out(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        good = [f"{n},d.example,admin@d.example" for n in range(700_000, 700_020)]
        desk.write("orders.csv", "\n".join(["order_id,domain,email", *good, "x,,", ""]))
        await desk.run("send", "orders.csv", *FIRST)
        resumed = await desk.run("resume")
        assert "\n  left out  1 rejected row\n" in resumed.err


@pytest.mark.parametrize("then", [("resume",), ("send", "orders.csv")], ids=" ".join)
async def test_where_nobody_can_be_asked_the_first_are_sent_and_the_rest_is_for_resume(
    tmp_path: Path, then: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(WHOLE_LIST)
        first = await desk.run("send", "orders.csv", *FIRST)
        assert first.code == 4
        (run,) = await run_ids(desk)
        assert "--max-orders reached; 15 not attempted" in first.err
        assert "  now       the first 5 (--max-orders); `resume` sends the rest\n" in first.err
        assert "  time      without a rate limit, for all of them\n" in first.err
        assert f"To resume:\n  batch-resend resume {run} " in first.out
        await sent_in_two(desk, ca, numbers, *then)


async def test_on_a_terminal_the_rest_is_sent_once_what_came_back_was_seen(tmp_path: Path) -> None:
    unknown = frozenset({"700001"})
    async with desk_with_ca(tmp_path, unknown_orders=unknown) as (desk, ca):
        numbers = desk.write_list(WHOLE_LIST)
        words = ("send", "orders.csv", "--max-orders", "19", "--concurrency", "1")
        async with on_screen(desk, *words, environment={"TERM": "dumb"}) as screen:
            await screen.shows(lambda s: "Send the first 19 of 20 requests to" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: "Send the other 1 request now? [y/N]" in s.text)
            assert ca.books.requests == 19
            shown = await desk.run("show")
            assert re.search(
                r"\nProcess \d+, since [\d-]+ [\d:]+, has the journal. If it asks", shown.out
            ), shown.out
            assert "Under way: 18 of 20 " in screen.text, "it asks, and has not ended"
            assert "Stopped early" not in screen.text
            screen.type(b"y\n")
            assert await screen.ended() == 3
        before, after = screen.text.split("Send the other 1 request now?")
        assert (
            "  now       the first 19 (--max-orders); then you are asked about the rest" in before
        )
        assert "18 sent" in before
        named = before.partition("Sent first, and to whom\n")[2].splitlines()[:11]
        mailed = {f"  {n}: admin@o{n}.example.com" for n in set(numbers) - unknown}
        assert [line in mailed for line in named] == [True] * 10 + [False], "ten are named"
        assert "1 refused: 404" in before
        assert before.rstrip().endswith("\n1 mail at 1 domain; a few seconds at best.")
        assert "19 sent" in after
        assert ca.books.mails_per_order == dict.fromkeys(set(numbers) - unknown, 1)
        assert ca.books.requests == WHOLE_LIST
        assert desk.summary()["state"] == "completed"


async def test_of_a_run_that_is_resumed_only_what_was_sent_now_is_named(tmp_path: Path) -> None:
    unknown = frozenset({"700001", "700007", "700008"})
    async with desk_with_ca(tmp_path, unknown_orders=unknown) as (desk, ca):
        numbers = [str(number) for number in range(700_000, 700_020)]
        desk.write("orders.csv", "\n".join(["order_id", *numbers, ""]))
        await desk.run("send", "orders.csv", *FIRST)
        assert sorted(ca.books.mails_per_order) == sorted({*numbers[:5]} - unknown)
        async with on_screen(
            desk, "send", "orders.csv", *FIRST, environment={"TERM": "dumb"}
        ) as screen:
            await screen.shows(lambda s: "Send the first 5 of 15 requests" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: "Send the other 10 requests now? [y/N]" in s.text)
            screen.type(b"n\n")
            assert await screen.ended() == 4
        before, after = screen.text.split("Send the other 10 requests now?")
        named = before.partition("Sent first, and to whom\n")[2].splitlines()
        assert named[:3] == [f"  {n}: the CA's contacts on file" for n in (700005, 700006, 700009)]
        assert named[3] == "Not sent, and why"
        assert named[4].startswith("  2 refused: 404"), "but not the one of the first start"
        assert "3 refused: 404" in after, "of the whole run"


@pytest.mark.parametrize(
    ("answer", "code"), [(b"n\n", 4), (b"\x04", 4), (b"\x03", 130)], ids=["no", "end", "Ctrl-C"]
)
async def test_a_person_who_has_seen_enough_loses_nothing_of_the_rest(
    tmp_path: Path, answer: bytes, code: int
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(WHOLE_LIST)
        async with on_screen(
            desk, "send", "orders.csv", *FIRST, environment={"TERM": "dumb"}
        ) as screen:
            await screen.shows(lambda s: "Send the first 5 of 20 requests" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: ASKED in s.text)
            screen.type(answer)
            assert await screen.ended() == code
        await sent_in_two(desk, ca, numbers, "resume")


async def test_a_list_of_fewer_is_sent_whole_and_asks_nothing_more(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(5)
        sent = await desk.run("send", "orders.csv", *FIRST)
        assert (sent.code, ca.books.mails) == (0, 5)


async def test_the_first_of_several_accounts_are_no_more_than_asked_for(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("shop.key", "another-key-of-a-test-0123456789")
        (tmp_path / "shop.key").chmod(0o600)
        toml = '[profiles.shop]\napi-key-file = "shop.key"\n'
        desk.write("config.toml", f'{toml}base-url = "{ca.base_url}"\n')
        rows = [f"{700_000 + n},{'shop' if n % 2 else ''}" for n in range(WHOLE_LIST)]
        desk.write("orders.csv", "\n".join(["order_id,account", *rows, ""]))
        words = ("--config", "config.toml", "send", "orders.csv", "--max-orders", "12")
        first = await desk.run(*words)
        assert (first.code, ca.books.mails) == (4, 12), first.err
        rest = await desk.run("--config", "config.toml", "resume", "--report-dir", "rest")
        assert (rest.code, ca.books.mails) == (0, WHOLE_LIST), rest.err
        assert set(ca.books.mails_per_order.values()) == {1}


async def test_workers_are_left_no_first_part(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(5)
        refused = await desk.run("send", "orders.csv", *FIRST, "--distribute")
        assert (refused.code, ca.books.requests) == (2, 0)
        assert "--max-orders cannot be combined with --distribute" in refused.err


async def test_the_first_few_that_a_wrong_key_could_not_send_are_the_first_few_of_the_resumption(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, api_key=RIGHT_KEY) as (desk, ca):
        desk.write_list(WHOLE_LIST)
        wrong = await desk.run("send", "orders.csv", *FIRST)
        assert (wrong.code, ca.books.mails) == (4, 0)
        (run,) = await run_ids(desk)
        for shown in (wrong, await desk.run("show"), await desk.run("report")):
            assert f"batch-resend resume {run} --max-orders 5 " in shown.out
        desk.environment["DIGICERT_API_KEY"] = RIGHT_KEY
        first = await desk.run("resume", *FIRST)
        assert (first.code, ca.books.mails) == (4, 5), first.err
        assert f"batch-resend resume {run} " in first.out
        assert "--max-orders 5" not in first.out, "the first five were sent"


# --- held back for its rejected rows ------------------------------------------------------------


async def test_a_bare_resume_names_the_run_that_its_rejected_rows_held_back(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("orders.csv", "order_id\n700001\nx\n")
        assert (await desk.run("send", "orders.csv", *FIRST)).code == 3
        (run,) = await run_ids(desk)
        refused = await desk.run("resume")
        assert refused.code == 1
        assert f"run {run} was held back: 1 of 2 rows were rejected, more than --max" in refused.err
        command = refused.err.rpartition("batch-resend ")[2]
        assert (await desk.run(*command.split())).code == 3
        assert ca.books.mails == 1
        assert "no run is unfinished; `batch-resend runs`" in (await desk.run("resume")).err


# --- rejected rows ------------------------------------------------------------------------------


async def test_orders_that_are_sent_without_a_rejected_row_are_named_before_and_after(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        rows = [f"70000{n},d.example,admin@d.example\n" for n in range(8)]
        bad = "700003,e.example,bad\n700003,f.example,bad\n700009,g.example,bad\nx,,\n"
        desk.write("orders.csv", f"order_id,domain,email\n{''.join(rows)}{bad}")
        sent = await desk.run("send", "orders.csv", "--max-rejected", "100%")
        assert sent.code == 3
        assert (
            "Worth a look\n  1 order: sent without some of their rows, which are rejected\n"
            "    orders.csv, line 10: order 700003: the e-mail address 'bad' has no @ "
        ) in sent.err
        said = "4 rejected rows: "
        assert said in sent.out
        after = sent.out.partition(said)[2]
        assert "1 order is sent without some of its rows." in after
        page = (desk.report() / "report.html").read_text()
        assert "1 order is sent without some of its rows." in page


async def test_rejected_rows_can_be_corrected_and_sent_a_few_at_a_time(tmp_path: Path) -> None:
    """That the others are rejected again is no sign of a wrong list; other bad rows are one."""
    async with desk_with_ca(tmp_path) as (desk, ca):
        bad = [f"bad{n}\n" for n in range(9)]
        desk.write("orders.csv", f"order_id\n700001\n{''.join(bad)}")
        await desk.run("send", "orders.csv", "--max-rejected", "100%", "--report-dir", "0")
        for number in range(3):
            file = tmp_path / str(number) / "rejected.csv"
            text = file.read_text().replace(f"bad{number},", f"70001{number},", 1)
            file.write_text(text)
            sent = await desk.run("send", str(file), "--report-dir", str(number + 1))
            assert ca.books.mails == 2 + number, sent.out
            assert f"{8 - number} rows: not corrected yet, in a rejected.csv\n" in sent.err
        file.write_text(text.replace("bad3,", "worse,").replace("bad4,", "worse,"))
        held = await desk.run("send", str(file))
        assert "2 of 3 rows were rejected, more than --max-rejected 20%" in held.out
        assert ca.books.mails == 4


async def test_the_usual_addresses_at_a_parent_domain_are_only_counted(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        rows = [f"70000{n},www.d.example,{'me' if n > 7 else 'admin'}@d.example" for n in range(9)]
        desk.write("orders.csv", "\n".join(["order_id,domain,email", *rows, ""]))
        usual = "  9 orders: an address at a parent domain; email_domain is filled in\n"
        for shown in (await desk.run("check", "orders.csv"), await desk.run("send", "orders.csv")):
            assert f"{usual}Plan" in shown.out + shown.err
            assert "order 700008: me@d.example for www.d.example" in shown.out + shown.err
        closely = await desk.run("check", "-v", "orders.csv")
        assert f"{usual}    orders.csv, line 2: order 700000: admin@d.example" in closely.out
