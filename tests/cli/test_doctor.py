"""`doctor` as a user meets it: a line for each check, what to do, an exit code, and no mail."""

import asyncio
import json
import re
import signal
import socket
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trustme

from batch_resend.folders import Database
from tests.certcentral.conftest import free_port
from tests.certcentral.fault_server import (
    FaultServer,
    Step,
    Visit,
    answer,
    hangs,
    resets,
)
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, until
from tests.cli.connect_proxy import ConnectProxy, refuses, tunnels_to
from tests.cli.screen import on_screen
from tests.cli.test_journal_file import make_foreign_database
from tests.doctor.answers import (
    CHANGES,
    KEYS,
    LISTED,
    PENDING,
    READS,
    REISSUES,
    THEIRS,
    USER,
    USER_BODY,
    VALIDATION,
    VALIDATION_BODY,
    ca,
    error,
    name_of,
    page,
    page_of,
    says,
)
from tests.pages import block
from tests.postgres import forget
from tests.report.schemas import schema
from tests.report.test_schemas import parts

pytestmark = pytest.mark.asyncio


INVALID_KEY = error(
    403,
    "access_denied|access_denied_invalid_key",
    "Access denied due to access_denied_invalid_key.",
)
LIMITED = error(429, "request_limit_exceeded", "Service unavailable, please limit request volume")


def assert_only_read(server: FaultServer) -> list[str]:
    """Check that each request was a GET with no body; return what was read."""
    for head in server.heads:
        assert head.startswith(b"GET /"), head
        assert b"\r\nContent-Length" not in head
    assert not any(server.bodies)
    return [name_of(head.split(b" ")[1].decode()) for head in server.heads]


async def diagnosed(desk: Desk, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of `doctor --json` and what it printed, held against its schema."""
    done = await ended(await desk.start("doctor", "--json", *arguments, **environment))
    assert "Traceback" not in done.err
    found = json.loads(done.out)
    schema("doctor").validate(found)
    assert found["exit_code"] == done.code
    return done.code, found


def results(found: dict[str, Any]) -> dict[str, str]:
    """Return what each check of the first account came to, and the journal's."""
    return {
        finding["check"]: finding["result"]
        for group in found["groups"][:2]
        for finding in group["findings"]
    }


def of_check(found: dict[str, Any], check: str) -> dict[str, Any]:
    """Return the finding of a check."""
    return next(
        finding
        for group in found["groups"]
        for finding in group["findings"]
        if finding["check"] == check
    )


# --- all is there -------------------------------------------------------------------------------


async def test_where_all_is_there_each_check_says_ok_in_a_line_and_nothing_is_mailed(
    desk: Desk,
) -> None:
    async with FaultServer(ca()) as server:
        done = await desk.run("doctor", BATCH_RESEND_BASE_URL=server.base_url)
        assert assert_only_read(server) == list(READS)
    assert done.code == 0, done.out + done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert Counter(line[0] for line in lines if line)["ok"] == 13
    assert "warning" not in done.out
    assert "problem" not in done.out
    assert "Ready to send. 7 reads were made, and nothing was mailed." in done.out
    assert "account Racoon Trading GmbH (123654)" in done.out
    assert "1 pending" in done.out
    assert (KEY in done.out, done.err) == (False, "")


async def test_the_simulator_is_all_fine(desk: Desk) -> None:
    done = await desk.run(
        "simulate", "--orders", "5", "--books", "books.json", "--", *desk.command("doctor")
    )
    assert done.code == 0, done.out + done.err
    assert "Ready to send. 7 reads were made" in done.out
    assert "warning" not in done.out
    books = json.loads((desk.folder / "books.json").read_text())
    assert books["mails"] == 0


async def test_what_it_reads_counts_in_the_rate_limits_of_what_is_sent_after_it(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, simulator):
        (await diagnosed(desk))
        desk.write_list(3)
        sent = await desk.run("send", "orders.csv", "--limit", "8/1h", "--patience", "0")
        # Five reads, for no order waits there: three mails fit, and a fourth would not.
        assert sent.code == 0, sent.err
        assert simulator.books.requests == 8
        again = await desk.run("doctor", "--limit", "8/1h")
    assert again.code == 4
    assert re.search(r"let no request leave for another (1h 00m|59m)", again.out)


async def test_for_programs_it_prints_one_object_and_for_scripts_only_what_is_wrong(
    desk: Desk,
) -> None:
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        quiet = await desk.run("doctor", "-q")
    assert code == 0
    assert (found["problems"], found["warnings"], found["requests"]) == (0, 0, 7)
    assert set(results(found).values()) == {"ok", "not checked"}
    assert all(finding["sample"] is None for g in found["groups"] for finding in g["findings"])
    assert quiet.out == "Ready to send. 7 reads were made, and nothing was mailed.\n"


async def test_the_schema_takes_nothing_less_and_nothing_more_than_what_is_printed(
    desk: Desk,
) -> None:
    odd = says(page_of(LISTED | {"status": "on_hold"}))
    async with FaultServer(ca(pending=odd)) as server:
        _, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
    assert of_check(found, "order list")["deviations"]
    for group in found["groups"]:
        for finding in group["findings"]:
            finding["sample"] = None  # of any form
    for part in parts(found):
        for name in list(part):
            kept = part.pop(name)
            assert not schema("doctor").is_valid(found), f"without {name}"
            part[name] = kept
        part["surprise"] = 1
        assert not schema("doctor").is_valid(found), f"with a surprise in {part}"
        del part["surprise"]
    assert schema("doctor").is_valid(found)


async def test_the_manual_shows_what_a_wrong_key_brings(
    desk: Desk, authority: trustme.CA, untrusted: ssl.SSLContext
) -> None:
    desk.write("key.txt", KEY).chmod(0o600)
    authority.cert_pem.write_to_path(str(desk.folder / "ca.pem"))
    async with FaultServer(ca(user=INVALID_KEY), tls=untrusted) as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        flags = ("--api-key-file", "key.txt", "--base-url", url, "--ca-file", "ca.pem")
        done = await desk.run("doctor", *flags)
    assert known_parts(done.out) == known_parts(block("doctor"))


def known_parts(text: str) -> list[str]:
    """Return lines without what differs between machines: the details of those that are ok."""
    lines = [line[:26] if line.startswith("  ok ") else line for line in text.splitlines()]
    return [line.partition(", http")[0] for line in lines]


@pytest.mark.parametrize("columns", [60, 120])
async def test_on_a_terminal_what_is_long_is_wrapped_below_where_it_began(
    desk: Desk, columns: int
) -> None:
    async with FaultServer(ca(user=INVALID_KEY)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        async with on_screen(desk, "doctor", columns=columns) as screen:
            assert await screen.ended() == 4
    lines = screen.text.splitlines()
    begins = [line for line in lines if re.match(r"  (ok|problem|not checked) ", line)]
    assert len(begins) >= 7
    (problem,) = [n for n, line in enumerate(lines) if line.startswith("  problem ")]
    assert lines[problem].startswith("  problem      account     the CA refuses the API key")
    (clock,) = [n for n, line in enumerate(lines) if re.match("  ok +clock ", line)]
    below = lines[problem + 1 : clock]
    assert any("-> Check that the key is" in line for line in below)
    assert below
    assert all(line.startswith(" " * 27) and len(line) <= columns for line in below)


# --- the key, the URL, what stands before the CA ------------------------------------------------

USER_PROBLEMS: dict[str, tuple[bytes, str, str]] = {
    "a wrong key": (INVALID_KEY, "the CA refuses the API key", "not revoked or expired"),
    "a wrong key, by the documented status": (
        error(401, "invalid_api_key"), "the CA refuses the API key", "--region"),
    "a page of the CDN": (
        page(403, "Access Denied - Imperva"), "'Access Denied - Imperva'", "Look at the proxy"),
    "a portal": (page(200, "Please log in"), "'Please log in'", "check --base-url"),
    "a redirect": (
        answer(302, b"", "Location: https://login.example/"), "https://login.example/",
        "--base-url"),
    "a wrong path": (error(404, "not_found"), "has no such call", "--base-url or --region"),
    "too many requests": (LIMITED, "asks for fewer requests", "wait"),
    "maintenance": (answer(503, b"Service is unavailable"), "is not available", "later"),
    "no JSON": (answer(200, b"hello"), "is not JSON", "--base-url"),
    "a yes with errors in it": (
        says({"errors": [{"code": "x", "message": "y"}]}), "answers with errors", "tell us"),
}  # fmt: skip


@pytest.mark.parametrize("case", USER_PROBLEMS)
async def test_an_answer_that_keeps_a_run_from_sending_costs_one_read_and_ends_with_4(
    desk: Desk, case: str
) -> None:
    said, detail, remedy = USER_PROBLEMS[case]
    async with FaultServer(ca(user=said)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        assert assert_only_read(server) == [USER]
    assert code == 4
    problem = of_check(found, "account")
    assert problem["result"] == "problem"
    assert detail in problem["detail"]
    assert remedy in problem["remedy"]
    came_to = results(found)
    assert {came_to[check] for check in ("permission", "orders", "changes")} == {"not checked"}
    assert {came_to[check] for check in ("journal", "key", "name", "connection")} == {"ok"}


@pytest.mark.parametrize("step", [hangs, resets])
async def test_an_answer_that_does_not_come_is_a_problem_and_is_not_waited_for_again(
    desk: Desk, step: Step
) -> None:
    async with FaultServer(step) as server:
        code, found = await diagnosed(
            desk, "--timeout", "1s", BATCH_RESEND_BASE_URL=server.base_url
        )
        assert assert_only_read(server) == [USER]
    assert code == 4
    assert "no answer" in of_check(found, "account")["detail"]


async def test_a_key_that_may_only_view_is_a_problem_before_anybody_is_mailed(
    desk: Desk,
) -> None:
    viewer = USER_BODY | {"access_roles": [{"id": 102, "name": "View Only"}]}
    async with FaultServer(ca(user=says(viewer), keys=error(403, "access_denied"))) as server:
        code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
        assert_only_read(server)
    assert code == 4
    assert of_check(found, "permission")["result"] == "problem"
    assert of_check(found, "orders")["result"] == "ok"


async def test_a_clock_ten_minutes_off_is_a_warning(desk: Desk) -> None:
    async with FaultServer(ca(user=says(USER_BODY, off_s=-600))) as server:
        code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
    assert code == 0
    warned = of_check(found, "clock")
    assert (warned["result"], "10m 00s ahead of" in warned["detail"]) == ("warning", True)
    assert "NTP" in warned["remedy"]


# --- the network --------------------------------------------------------------------------------


async def test_what_the_network_does_not_allow_is_said_at_its_step_and_nothing_is_read(
    desk: Desk,
) -> None:
    for url, check in (
        ("https://no-such-host.invalid/services/v2", "name"),
        (f"http://127.0.0.1:{free_port()}/services/v2", "connection"),
    ):
        code, found = await diagnosed(desk, "--base-url", url)
        assert code == 4
        assert of_check(found, check)["result"] == "problem"
        assert of_check(found, check)["remedy"]
        assert of_check(found, "account")["detail"] == f"because of the problem with the {check}"
        assert found["requests"] == 0


async def test_a_certificate_that_is_not_trusted_stops_before_the_key_leaves(
    desk: Desk, authority: trustme.CA, untrusted: ssl.SSLContext
) -> None:
    async with FaultServer(ca(), tls=untrusted) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        assert code == 4
        assert "--ca-file" in of_check(found, "TLS")["remedy"]
        assert server.requests == 0
        authority.cert_pem.write_to_path(str(desk.folder / "ca.pem"))
        code, found = await diagnosed(desk, "--ca-file", "ca.pem")
        assert (code, of_check(found, "TLS")["result"]) == (0, "ok")
        assert assert_only_read(server) == list(READS)


async def test_a_proxy_is_gone_through_and_one_that_refuses_is_named(
    desk: Desk, authority: trustme.CA, untrusted: ssl.SSLContext
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("ca.test").configure_cert(tls)
    authority.cert_pem.write_to_path(str(desk.folder / "ca.pem"))
    desk.environment["BATCH_RESEND_BASE_URL"] = "https://ca.test/services/v2"
    flags = ("--trust-env", "--ca-file", "ca.pem")
    async with FaultServer(ca(), tls=tls) as server:
        async with ConnectProxy(tunnels_to(server.port)) as proxy:
            through = f"http://someone:hunter2@{proxy.address}"
            code, found = await diagnosed(desk, *flags, HTTPS_PROXY=through)
            assert (code, of_check(found, "proxy")["result"]) == (0, "ok")
            assert assert_only_read(server) == list(READS)
            left_out, found = await diagnosed(desk, "--ca-file", "ca.pem", HTTPS_PROXY=through)
            assert left_out == 4
            assert "--trust-env goes through it" in of_check(found, "name")["remedy"]
        async with ConnectProxy(refuses(answer(403))) as proxy:
            through = f"http://someone:hunter2@{proxy.address}"
            code, found = await diagnosed(desk, *flags, HTTPS_PROXY=through)
        assert code == 4
        refused = of_check(found, "proxy")
        assert "it says 403" in refused["detail"]
        assert "hunter2" not in json.dumps(found)
        assert server.requests == len(READS)


# --- what the CA has, and how it tells ----------------------------------------------------------


async def test_an_account_where_nothing_waits_is_fine(desk: Desk) -> None:
    for empty in (says({}), answer(204)):
        nothing = {PENDING: empty, REISSUES: empty, CHANGES: empty}
        async with FaultServer(ca(**nothing)) as server:
            code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
            assert assert_only_read(server) == [USER, KEYS, PENDING, REISSUES, CHANGES]
        assert (code, found["warnings"]) == (0, 0)
        assert of_check(found, "orders")["detail"] == "none waits"
        assert of_check(found, "order info")["detail"] == "because no order waits"


async def test_what_deviates_is_shown_as_a_sample_that_says_nothing_of_theirs(
    desk: Desk,
) -> None:
    odd = LISTED | {
        "status": "on_hold", "date_created": "", "organization": "Racoon Trading GmbH",
        "certificate": LISTED["certificate"] | {"dns_names": [None, " ", f"x.{KEY}.example"]},
    }  # fmt: skip
    validation = VALIDATION_BODY | {"order_status": KEY, "dns_name_validations": {}}
    answers = {PENDING: says(page_of(LISTED, odd, odd)), VALIDATION: says(validation)}
    async with FaultServer(ca(**answers)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        shown = await desk.run("doctor", "-v")
    assert code == 0
    warned = of_check(found, "order list")
    assert warned["result"] == "warning"
    assert {(one["path"], one["found"], one["times"]) for one in warned["deviations"]} == {
        ("orders[].status", "on_hold", 2),
        ("orders[].date_created", "<empty text>", 2),
        ("orders[].organization", "<text 19>", 2),
        ("orders[].certificate.dns_names[]", "null", 2),
        ("orders[].certificate.dns_names[]", "<blank 1>", 2),
    }
    assert warned["sample"]["orders"][0]["status"] == "on_hold"
    assert of_check(found, "validation")["sample"]["order_status"] == f"<text {len(KEY)}>"
    samples = json.dumps([warned, of_check(found, "validation")])
    _, _, printed = shown.out.partition("Sample: ")
    for text in (*THEIRS, KEY):
        assert text not in samples
        assert text not in printed
    assert "orders[].status: a word of the CA's own that this program knows is expected" in (
        shown.out
    )


async def test_what_can_be_left_unread_is_a_warning_and_the_rest_goes_on(desk: Desk) -> None:
    denied = error(403, "access_denied|missing_permission")
    missing = error(404, "not_found|route")
    answers = {PENDING: denied, VALIDATION: missing, CHANGES: answer(500)}
    async with FaultServer(ca(**answers, reissues=says(page_of(LISTED)))) as server:
        code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
        assert assert_only_read(server) == list(READS)
    assert code == 0
    came_to = results(found)
    assert [came_to[c] for c in ("orders", "order info", "validation", "changes")] == [
        "warning", "ok", "warning", "warning"
    ]  # fmt: skip
    assert "`send` does without" in of_check(found, "orders")["remedy"]


@pytest.mark.parametrize(
    ("said", "code", "result"), [(INVALID_KEY, 4, "problem"), (LIMITED, 0, "warning")]
)
async def test_after_a_key_that_was_revoked_meanwhile_or_a_429_nothing_more_is_asked(
    desk: Desk, said: bytes, code: int, result: str
) -> None:
    async with FaultServer(ca(pending=said)) as server:
        ended_with, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
        assert assert_only_read(server) == [USER, KEYS, PENDING]
    assert (ended_with, of_check(found, "orders")["result"]) == (code, result)
    assert of_check(found, "changes")["result"] == "not checked"


# --- this machine -------------------------------------------------------------------------------


async def test_a_journal_that_cannot_be_written_is_a_problem_and_nothing_is_read(
    desk: Desk,
) -> None:
    make_foreign_database(desk.folder / "theirs.db")
    desk.write("file", "")
    for journal in ("theirs.db", "file/journal.db"):
        async with FaultServer(ca()) as server:
            desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
            code, found = await diagnosed(desk, "--journal", journal)
            assert (server.requests, server.connections) == (0, 1)  # the way there was looked at
        assert code == 4
        problem = of_check(found, "journal")
        assert (problem["result"], journal in problem["detail"]) == ("problem", True)
        assert "--journal" in problem["remedy"]
        assert of_check(found, "connection")["result"] == "ok"
        assert of_check(found, "account")["result"] == "not checked"


async def test_while_a_run_has_the_journal_it_asks_nothing_and_ends_with_5(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, simulator):
        desk.write_list(40)
        sending = await desk.start("send", "orders.csv", "--limit", "10/1s")
        await until(lambda: simulator.books.requests)
        code, found = await diagnosed(desk)
        assert (await ended(sending)).code == 0
    assert (code, found["requests"]) == (5, 0)
    assert "another run holds the journal" in of_check(found, "journal")["detail"]


async def test_without_a_key_the_rest_is_looked_at_and_it_is_said_where_to_put_one(
    desk: Desk,
) -> None:
    del desk.environment["DIGICERT_API_KEY"]
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        bad = await diagnosed(desk, "--api-key-file", "gone.txt")
        assert server.requests == 0
    assert code == bad[0] == 4
    assert "--api-key-file" in of_check(found, "key")["remedy"]
    assert "No such file" in of_check(bad[1], "key")["detail"]
    assert of_check(found, "connection")["result"] == "ok"
    assert of_check(found, "account")["detail"] == "because there is no key"


async def test_a_key_that_others_can_read_is_warned_of_and_not_shown(desk: Desk) -> None:
    desk.write("key.txt", KEY).chmod(0o644)
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk, "--api-key-file", "key.txt")
    warned = of_check(found, "key")
    assert (code, warned["result"]) == (0, "warning")
    assert warned["remedy"] == "Run chmod 600 key.txt"
    assert KEY not in json.dumps(found)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--base-url", "http://ca.example"), "https only"),
        (("--ca-file", "gone.pem"), "gone.pem: No such file"),
        (("--limit", "many"), "--limit"),
    ],
)
async def test_settings_that_make_no_sense_end_in_one_line_with_1(
    desk: Desk, flags: tuple[str, ...], said: str
) -> None:
    with_a_key = await desk.run("doctor", *flags)
    del desk.environment["DIGICERT_API_KEY"]
    for refused in (with_a_key, await desk.run("doctor", *flags)):
        assert (refused.code, refused.out) == (1, "")
        (line,) = refused.err.splitlines()
        assert said in line


async def test_ctrl_c_ends_it_at_once_and_what_was_in_flight_is_counted(desk: Desk) -> None:
    async with FaultServer(hangs) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        process = await desk.start("doctor", "--timeout", "1h")
        await until(lambda: server.requests)
        process.send_signal(signal.SIGINT)
        done = await ended(process, timeout_s=30)
        assert done.code == 130
        assert "Traceback" not in done.err
        again = await desk.run("doctor", "--limit", "1/1h", "--timeout", "1h")
        assert assert_only_read(server) == [USER]
    assert again.code == 4
    # It may arrive within its own hour, and counts for another one.
    assert re.search(r"let no request leave for another (2h 00m|1h 5.m)", again.out)


def never_resolve() -> None:
    """Have name servers that do not answer, and whom nobody can stop waiting for."""
    socket.getaddrinfo = lambda *_, **__: time.sleep(600) or []  # type: ignore[func-returns-value]


async def test_ctrl_c_does_not_wait_for_name_servers_that_are_gone(desk: Desk) -> None:
    words = ("doctor", "--base-url", "https://ca.example/services/v2", "--timeout", "1h")
    process = await desk.start_after(never_resolve, *words)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"  key  " not in await process.stdout.readline():
            pass
    process.send_signal(signal.SIGINT)
    assert (await ended(process, timeout_s=60)).code == 130


async def test_in_postgresql_its_reads_count_for_all_hosts(desk: Desk, database: Database) -> None:
    forget(database)
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        flags = ("--journal", str(database), "--limit", "10/1h")
        code, found = await diagnosed(desk, *flags)
        assert (code, of_check(found, "journal")["detail"]) == (
            0,
            f"{database}, new; it can be written",
        )
        code, found = await diagnosed(desk, *flags)
        assert server.requests == 10
    assert code == 0
    warned = of_check(found, "orders")
    assert warned["result"] == "warning"
    assert "let no request leave" in warned["detail"]
    assert of_check(found, "changes")["result"] == "not checked"


# --- several accounts ---------------------------------------------------------------------------

PROFILES = """
[profiles.shop]
api-key-file = "shop.key"

[profiles.bank]
api-key-file = "bank.key"

[profiles.gone]
api-key-file = "gone.key"
"""


def by_key(visit_of: dict[str, Step]) -> Step:
    """Return what a CA does that answers each key in its own way."""

    async def step(visit: Visit) -> None:
        head = await visit.read_head()
        key = head.partition(b"X-DC-DEVKEY: ")[2].partition(b"\r\n")[0].decode()
        await visit_of[key](visit)

    return step


async def test_with_profiles_each_account_is_checked_and_one_of_them_can_be_named(
    desk: Desk,
) -> None:
    del desk.environment["DIGICERT_API_KEY"]
    for name in ("shop", "bank"):
        desk.write(f"{name}.key", f"{name}-key-0123456789").chmod(0o600)
    desk.write("config.toml", PROFILES)
    desk.environment["BATCH_RESEND_CONFIG"] = str(desk.folder / "config.toml")
    answers = {"shop-key-0123456789": ca(), "bank-key-0123456789": ca(user=INVALID_KEY)}
    async with FaultServer(by_key(answers)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk)
        assert assert_only_read(server) == [*READS, USER]
        alone, one = await diagnosed(desk, "--profile", "shop")
        text = await desk.run("doctor")
    assert code == 4
    assert [group["profiles"] for group in found["groups"]] == [[], ["shop"], ["bank"], ["gone"]]
    problems = [
        (group["profiles"][0], finding["check"])
        for group in found["groups"]
        for finding in group["findings"]
        if finding["result"] == "problem"
    ]
    assert problems == [("bank", "account"), ("gone", "key")]
    assert alone == 0
    assert [group["profiles"] for group in one["groups"]] == [[], ["shop"]]
    assert f"\nAccount shop, {server.base_url}\n" in text.out
    assert "2 problems keep a run from sending" in text.out


async def test_accounts_that_go_by_one_key_are_checked_once(desk: Desk) -> None:
    del desk.environment["DIGICERT_API_KEY"]
    for name in ("shop", "bank"):
        desk.write(f"{name}.key", "one-key-0123456789").chmod(0o600)
    desk.write("config.toml", PROFILES.partition("[profiles.gone]")[0])
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk, BATCH_RESEND_CONFIG=str(desk.folder / "config.toml"))
        assert assert_only_read(server) == list(READS)
    assert code == 0
    assert [group["profiles"] for group in found["groups"]] == [[], ["shop", "bank"]]
