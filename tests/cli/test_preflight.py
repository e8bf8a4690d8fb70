"""`--preflight`: what the CA says is better not sent is skipped, or refused."""

import asyncio
import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, ended, orders_of, run_ids, until
from tests.cli.raw_service import (
    ALL,
    BLOCK_PAGE,
    NO_SUCH_CALL,
    SOME,
    WRONG_KEY,
    Asked,
    RawService,
    accept_all,
    as_json,
    desk_at,
    error,
    http,
    order_of,
    pending,
    validation,
    with_answer,
)
from tests.cli.screen import on_screen


async def test_the_preflight_leaves_alone_what_is_all_approved(tmp_path: Path) -> None:
    def answer_to(asked: Asked) -> bytes:
        is_over = order_of(asked.path) == "700002"
        return with_answer("/validation", validation(*(ALL if is_over else SOME)), accept_all)(
            asked
        )

    async with desk_at(tmp_path, answer_to, 3) as (desk, service):
        sent = await desk.run("send", "orders.csv", "--preflight")
        assert sent.code == 0, sent.err
        assert set(service.mailed()) == {"700000", "700001"}
        assert "skipped   1, says the CA: 2 of 2 names approved" in sent.err


async def test_what_the_preflight_learned_before_ctrl_c_holds_when_the_list_is_sent_again(
    tmp_path: Path,
) -> None:
    def answer_to(asked: Asked) -> bytes:
        if not asked.path.endswith("/validation"):
            return as_json(pending(int(order_of(asked.path)), dcv_method="email"))
        approved = int(order_of(asked.path)) % 3 == 0
        return validation(("a.example", "approved" if approved else "unapproved"))

    async with desk_at(tmp_path, answer_to, 90, lambda _: 0.02) as (desk, service):
        cut_off = await desk.start("send", "orders.csv", "--preflight", "--concurrency", "2")
        await until(lambda: service.requests >= 60)
        cut_off.send_signal(signal.SIGINT)
        assert (await ended(cut_off)).code == 130
        assert service.paths("PUT") == []
        asked = {order_of(path) for path in service.paths("GET") if path.endswith("/validation")}
        approved = {number for number in asked if int(number) % 3 == 0}
        assert len(approved) >= 10
        service.answer_to = accept_all
        sent = await desk.run("send", "orders.csv", "--report-dir", "again")
        assert sent.code == 0, sent.err
        assert len(approved & set(service.mailed())) <= 2, "in flight"
        skipped = orders_of(tmp_path / "again", "skipped")
        assert skipped <= approved


@pytest.mark.parametrize("ended_by", ["Ctrl-C", "the CA", "the key", "rejected rows"])
async def test_a_run_whose_preflight_was_not_finished_is_resumed_with_it(
    tmp_path: Path, ended_by: str
) -> None:
    """Whatever ended it: what was never asked about may be an order that needs no mail."""
    is_second = asyncio.Event()

    def answer_to(asked: Asked) -> bytes:
        if asked.number > 20 and not is_second.is_set() and ended_by in ("the CA", "the key"):
            return NO_SUCH_CALL if ended_by == "the CA" else WRONG_KEY
        return NO_SUCH_CALL if "?" in asked.path else waiting_but_every_third(asked)

    async with desk_at(tmp_path, answer_to, latency_s=lambda _: 0.02) as (desk, service):
        write_in_order(desk, 40)
        if ended_by == "rejected rows":
            with (tmp_path / "orders.csv").open("a") as file:
                file.write("not-a-number,www.example.com,admin@example.com\n" * 40)
        process = await desk.start("send", "orders.csv", "--preflight", "--concurrency", "2")
        if ended_by == "Ctrl-C":
            await until(lambda: service.requests >= 20)
            process.send_signal(signal.SIGINT)
        assert (await ended(process)).code != 0
        assert service.paths("PUT") == []
        shown = await desk.run("show")
        (command,) = (line for line in shown.out.splitlines() if "batch-resend resume" in line)
        assert " --preflight" in command
        run = () if ended_by == "Ctrl-C" else (*await run_ids(desk),)  # as the one unfinished
        left = await desk.run("resume", *run, "--dry-run")
        assert "preflight the CA is asked about these first" in left.out
        is_second.set()
        resumed = await desk.run("resume", *run, "--report-dir", "resumed")
        assert sorted(service.mailed()) == [str(n) for n in range(700_000, 700_040) if n % 3]
        assert resumed.code in (0, 3), resumed.err


@pytest.mark.parametrize(
    ("status", "code"), [(403, "access_denied|missing_permission"), (404, "not_found|order")]
)
async def test_what_could_not_be_asked_about_is_counted_in_the_plan_and_in_the_log(
    tmp_path: Path, status: int, code: str
) -> None:
    def answer_to(asked: Asked) -> bytes:
        if asked.method == "GET" and order_of(asked.path) in ("700001", "700002"):
            return error(status, code)
        return waiting_but_every_third(asked)

    async with desk_at(tmp_path, answer_to) as (desk, service):
        write_in_order(desk, 5)
        sent = await desk.run("send", "orders.csv", "--preflight", "--log-file", "log.txt")
        assert len(service.mailed()) == 5, "700002, too, whose names are all approved"
        assert "  preflight 2 could not be asked about, and are sent as listed\n" in sent.err
        warned = "2 orders could not be asked about: sent as listed; -v says why"
        assert warned in (tmp_path / "log.txt").read_text()


# --- of the first few, and then of the rest -------------------------------------------------------


def waiting_but_every_third(asked: Asked) -> bytes:
    """Answer as a CA at which the names of every third order are approved."""
    if asked.method == "PUT":
        return accept_all(asked)
    if not asked.path.endswith("/validation"):
        return as_json(pending(int(order_of(asked.path)), dcv_method="email"))
    return validation(*(ALL if int(order_of(asked.path)) % 3 == 0 else SOME))


def asked_about(service: RawService) -> list[str]:
    paths = [path for path in service.paths("GET") if path.endswith("/validation")]
    return [order_of(path) for path in paths]


def write_in_order(desk: Desk, orders: int) -> None:
    rows = (f"{n},www.o{n}.example,admin@o{n}.example" for n in range(700_000, 700_000 + orders))
    desk.write("orders.csv", "\n".join(["order_id,domain,email", *rows, ""]))


WAITING = [str(n) for n in range(700_000, 700_020) if n % 3]
FIRST = ("send", "orders.csv", "--preflight", "--max-orders", "5")


async def test_of_the_first_few_only_as_many_are_asked_about_as_it_takes_to_find_them(
    tmp_path: Path,
) -> None:
    async with desk_at(tmp_path, waiting_but_every_third) as (desk, service):
        write_in_order(desk, 20)
        first = await desk.run(*FIRST, "--yes")
        assert first.code == 4, first.err
        assert sorted(service.mailed()) == WAITING[:5]
        assert sorted(asked_about(service)) == [str(n) for n in range(700_000, 700_007)]
        assert "First asking the CA about 5 requests" in first.err
        assert "only the first 7 have been asked about so far" in first.err, (
            "18 are not all waiting"
        )
        hint = re.search(r"batch-resend (resume \S+ .*)", first.out)
        assert hint is not None
        assert "--preflight" in hint[1], "the rest was not asked about"
        service.asked.clear()
        rest = await desk.run(*hint[1].split(), "--report-dir", "rest")
        assert rest.code == 0, rest.err
        assert sorted(service.mailed()) == WAITING[5:]


async def test_the_time_of_a_plan_counts_a_read_for_each_order_still_to_be_asked_about(
    tmp_path: Path,
) -> None:
    async with desk_at(tmp_path, waiting_but_every_third) as (desk, service):
        write_in_order(desk, 20)
        sent = await desk.run(*FIRST, "--yes", "--limit", "40/1h")
        assert sent.code == 4, sent.err
        assert len(service.paths("GET")) + 18 < 40, "so the mails alone need no second hour"
        assert "  time      at least 1h 00m, within 40/1h, for all of them\n" in sent.err
        assert "            with one read for each of the 13 still to be asked about\n" in sent.err


async def test_what_was_asked_about_is_not_asked_about_again_to_resume(tmp_path: Path) -> None:
    def answer_to(asked: Asked) -> bytes:
        return WRONG_KEY if asked.method == "PUT" else waiting_but_every_third(asked)

    async with desk_at(tmp_path, answer_to, 3) as (desk, _):
        stopped = await desk.run("send", "orders.csv", "--preflight")
    assert stopped.code == 4, stopped.err
    assert "batch-resend resume " in stopped.out
    assert "--preflight" not in stopped.out


async def test_the_first_few_of_several_accounts_are_asked_about_before_they_are_sent(
    tmp_path: Path,
) -> None:
    async with desk_at(tmp_path, waiting_but_every_third) as (desk, service):
        desk.write("shop.key", "another-key-of-a-test-0123456789")
        (tmp_path / "shop.key").chmod(0o600)
        url = service.base_url
        desk.write("c.toml", f'[profiles.shop]\napi-key-file = "shop.key"\nbase-url = "{url}"\n')
        rows = [f"{n},{'' if n < 700_004 else 'shop'}" for n in range(700_000, 700_020)]
        desk.write("orders.csv", "\n".join(["order_id,account", *rows, ""]))
        first = await desk.run("--config", "c.toml", *FIRST, "--yes")
        assert first.code == 4, first.err
        assert sorted(service.mailed()) == WAITING[:5]
        assert set(WAITING[:5]) <= set(asked_about(service)) <= {*map(str, range(700_000, 700_007))}


async def test_on_a_terminal_the_rest_is_asked_about_before_it_is_sent(tmp_path: Path) -> None:
    async with desk_at(tmp_path, waiting_but_every_third) as (desk, service):
        write_in_order(desk, 20)
        async with on_screen(desk, *FIRST, environment={"TERM": "dumb"}) as screen:
            await screen.shows(lambda s: "Send the first 5 of 18 requests" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: "Send the other 13 requests now?" in s.text)
            assert len(asked_about(service)) == 7
            screen.type(b"y\n")
            assert await screen.ended() == 0
        assert sorted(service.mailed()) == WAITING
        assert "First asking the CA about 13 requests" in screen.text
        assert "The CA is asked about the others first" in screen.text
        assert "preflight only the first 7 have been asked about so far" in screen.text
        assert "left out: 2 skipped; only the first 7" in screen.text.replace("\n", "")
        assert desk.summary()["orders"]["skipped"] == 20 - len(WAITING)


async def test_the_time_that_the_rest_takes_has_a_read_for_each_request(tmp_path: Path) -> None:
    async with desk_at(tmp_path, waiting_but_every_third) as (desk, _):
        write_in_order(desk, 60)
        slowly = (*FIRST, "--limit", "20/1s")
        async with on_screen(desk, *slowly, environment={"TERM": "dumb"}) as screen:
            await screen.shows(lambda s: "Send the first 5 of 58 requests" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: "Send the other 53 requests now?" in s.text)
            times = [int(least) for least in re.findall(r"(\d+)s to \d+s", screen.text)]
            assert min(times) >= 4, "53 reads and 53 mails, 20 a second"
            screen.type(b"n\n")
            await screen.ended()


@pytest.mark.parametrize("ends", ["Ctrl-C", "no answer that can be read"])
async def test_what_ends_the_asking_about_the_rest_ends_the_run_with_a_report(
    tmp_path: Path, ends: str
) -> None:
    is_second = asyncio.Event()

    def answer_to(asked: Asked) -> bytes:
        if is_second.is_set() and ends != "Ctrl-C":
            return NO_SUCH_CALL
        return waiting_but_every_third(asked)

    def latency_s(_: Asked) -> float:
        return 0.2 if is_second.is_set() and ends == "Ctrl-C" else 0.0

    async with desk_at(tmp_path, answer_to, latency_s=latency_s) as (desk, service):
        write_in_order(desk, 24)
        words = (*FIRST, "--concurrency", "1")
        async with on_screen(desk, *words, environment={"TERM": "dumb"}) as screen:
            await screen.shows(lambda s: "Send the first 5 of" in s.text)
            screen.type(b"y\n")
            await screen.shows(lambda s: "Send the other" in s.text)
            is_second.set()
            before = service.requests
            screen.type(b"y\n")
            await until(lambda: service.requests > before)
            if ends == "Ctrl-C":
                screen.type(b"\x03")
            assert await screen.ended() == (130 if ends == "Ctrl-C" else 4)
        assert sorted(service.mailed()) == WAITING[:5]
        summary = desk.summary()
        assert summary["orders"]["sent"] == 5
        assert summary["state"] == ("interrupted" if ends == "Ctrl-C" else "stopped")


# --- the domain call, never wider than asked ------------------------------------------------------

KNOWN = as_json({
    "name_scope": "example.com", "base_emails": ["admin@example.com", "postmaster@example.com"],
    "whois_emails": [], "dns_txt_emails": ["dns@example.net"],
})  # fmt: skip
DOMAIN_CALL = ("send", "domains.csv", "--call", "domain-dcv", "--preflight", "--max-attempts", "2")


@pytest.mark.parametrize(
    ("address", "answer", "said"),
    [
        ("admin@example.com", KNOWN, ""),
        ("ADMIN@Example.com", KNOWN, ""),
        ("dns@example.net", KNOWN, ""),
        ("admim@example.com", KNOWN, "the CA does not know admim@example.com"),
        ("someone@elsewhere.example", KNOWN, "the CA does not know someone@elsewhere.example"),
        # Where it does not say whom it would mail:
        ("admin@example.com", http(502, b"<title>No</title>", "text/html"), "might mail all"),
        ("admin@example.com", error(500, "server_error"), "might mail all"),
        ("admin@example.com", http(404, BLOCK_PAGE, "text/html"), "might mail all"),
        ("admin@example.com", error(403, "access_denied|missing_permission"), "might mail all"),
        ("admin@example.com", NO_SUCH_CALL, "might mail all"),
        ("admin@example.com", as_json([1, 2]), "might mail all"),
    ],
)
async def test_the_preflight_refuses_a_domain_call_that_might_mail_everybody(
    tmp_path: Path, address: str, answer: bytes, said: str
) -> None:
    async with desk_at(tmp_path, with_answer("", answer, accept_all)) as (desk, service):
        desk.write("domains.csv", f"domain,email\nexample.com,{address}\n")
        sent = await desk.run(*DOMAIN_CALL)
        path = "/domain/example.com/dcv/emails"
        assert {*service.paths("GET")} == {f"{path}?consider_dcv_email_preferences=true"}
        assert service.paths("PUT") == ([] if said else [path])
        assert said in sent.out
        assert sent.code in ((3, 4) if said else (0,)), sent.err
        if sent.code == 3:
            assert "1 refused and not sent" in sent.out
            is_known = said.startswith("the CA does not know")
            assert ("the CA knows none of the addresses" in sent.out) is is_known
            assert ("the CA did not say which addresses" in sent.out) is not is_known


async def test_what_might_mail_everybody_is_refused_again_by_the_command_for_what_was_refused(
    tmp_path: Path,
) -> None:
    async with desk_at(tmp_path, with_answer("", KNOWN, accept_all)) as (desk, service):
        desk.write("domains.csv", "domain,email\nexample.com,admim@example.com\n")
        sent = await desk.run(*DOMAIN_CALL)
        (command,) = re.findall(r"^  batch-resend (send \S+refused.csv.*)$", sent.out, re.M)
        again = await desk.run(*shlex.split(command), "--report-dir", "again")
        assert (again.code, service.paths("PUT")) == (3, []), again.err
        assert "the CA does not know admim@example.com" in again.out


async def test_a_domain_that_the_ca_does_not_have_is_left_to_its_own_answer(tmp_path: Path) -> None:
    gone = error(404, "not_found|domain", "No such domain.")
    async with desk_at(tmp_path, lambda _: gone) as (desk, _):
        desk.write("domains.csv", "domain,email\nexample.com,someone@example.com\n")
        refused = await desk.run(*DOMAIN_CALL)
        assert refused.code == 3
        assert "No such domain." in refused.out


async def test_while_the_ca_cannot_be_reached_nothing_is_said_of_the_time_left(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)  # nothing listens there
    desk.write_list(20)
    async with on_screen(desk, "send", "orders.csv", "--preflight", "--yes") as screen:
        all_lines = ("asking", "/s now", "paused: ")  # not while they are being drawn again
        lines = await screen.shows(lambda s: all(words in s.text for words in all_lines))
        (asking,) = [line for line in lines if line.startswith("asking")]
        assert asking.endswith(" 0% of the reads for 20 orders")
        (speed,) = [line for line in lines if "/s now" in line]
        assert speed.rstrip().endswith(" in flight"), "and not a time"
        screen.type(b"\x03")
        assert await screen.ended() == 130
