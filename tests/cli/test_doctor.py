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
    hangs,
)
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, until
from tests.cli.screen import on_screen
from tests.doctor.answers import (
    INVALID_KEY,
    KEYS,
    LIMITED,
    LISTED,
    PENDING,
    READS,
    THEIRS,
    USER,
    VALIDATION,
    VALIDATION_BODY,
    assert_only_read,
    ca,
    error,
    of_check,
    page,
    page_of,
    says,
)
from tests.pages import block
from tests.postgres import forget
from tests.report.schemas import schema
from tests.report.test_schemas import parts


async def diagnosed(desk: Desk, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of `doctor --json` and what it printed, held against its schema."""
    desk.environment |= environment
    done = await desk.run("doctor", "--json", *arguments)
    assert "Traceback" not in done.err
    found = json.loads(done.out)
    schema("doctor").validate(found)
    assert found["exit_code"] == done.code
    return done.code, found


# --- all is there -------------------------------------------------------------------------------


async def test_where_all_is_there_each_check_says_ok_and_nothing_is_mailed(desk: Desk) -> None:
    async with FaultServer(ca()) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        done = await desk.run("doctor")
        assert assert_only_read(server) == list(READS)
        quiet = await desk.run("doctor", "-q")
    assert done.code == 0, done.out + done.err
    assert quiet.out == "Ready to send. 7 reads were made, and nothing was mailed.\n"
    lines = [line.split() for line in done.out.splitlines()]
    assert Counter(line[0] for line in lines if line)["ok"] == 13
    assert "warning" not in done.out
    assert "problem" not in done.out
    assert "Ready to send. 7 reads were made, and nothing was mailed." in done.out
    assert "account Racoon Trading GmbH (123654)" in done.out
    assert "1 pending" in done.out
    assert (KEY in done.out, done.err) == (False, "")


async def test_what_it_reads_counts_in_the_limits_of_what_is_sent_later(tmp_path: Path) -> None:
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


async def test_the_schema_takes_nothing_less_or_more_than_what_is_printed(desk: Desk) -> None:
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


async def test_on_a_terminal_what_is_long_is_wrapped_below_where_it_began(desk: Desk) -> None:
    async with FaultServer(ca(user=INVALID_KEY)) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        async with on_screen(desk, "doctor", columns=60) as screen:
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
    assert all(line.startswith(" " * 27) and len(line) <= 60 for line in below)


# --- the key, the URL, what stands before the CA ------------------------------------------------

USER_PROBLEMS: dict[str, tuple[bytes | Step, str, str]] = {
    "a wrong key": (INVALID_KEY, "the CA refuses the API key", "not revoked or expired"),
    "a page of the CDN": (
        page(403, "Access Denied - Imperva"), "'Access Denied - Imperva'", "Look at the proxy"),
    "an answer that hangs": (hangs, "no answer", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", USER_PROBLEMS)
async def test_an_answer_that_keeps_a_run_from_sending_costs_one_read_and_ends_with_4(
    desk: Desk, case: str
) -> None:
    said, detail, remedy = USER_PROBLEMS[case]
    async with FaultServer(ca(user=said) if isinstance(said, bytes) else said) as server:
        desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
        code, found = await diagnosed(desk, "--timeout", "1s")
        assert assert_only_read(server) == [USER]
    assert code == 4
    problem = of_check(found, "account")
    assert problem["result"] == "problem"
    assert detail in problem["detail"]
    assert remedy in problem["remedy"]
    for check in ("permission", "orders", "changes"):
        assert of_check(found, check)["result"] == "not checked"
    for check in ("journal", "key", "name", "connection"):
        assert of_check(found, check)["result"] == "ok"


# --- the network --------------------------------------------------------------------------------


async def test_what_the_network_does_not_allow_is_said_at_its_step(desk: Desk) -> None:
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


# --- what the CA has, and how it tells ----------------------------------------------------------


async def test_what_deviates_is_shown_as_a_sample_that_says_nothing_of_theirs(desk: Desk) -> None:
    odd = LISTED | {"status": "on_hold", "organization": "Racoon Trading GmbH"}
    validation = VALIDATION_BODY | {"order_status": KEY}
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
        ("orders[].organization", "<text 19>", 2),
    }
    assert warned["sample"]["orders"][0]["status"] == "on_hold"
    assert of_check(found, "validation")["sample"]["order_status"] == f"<text {len(KEY)}>"
    samples = json.dumps([warned, of_check(found, "validation")])
    _, _, printed = shown.out.partition("Sample: ")
    assert printed
    for text in (*THEIRS, KEY):
        assert text not in samples + printed


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


async def test_a_key_that_may_read_nothing_is_not_said_to_be_ready(desk: Desk) -> None:
    denied = error(403, "access_denied|missing_permission")
    nothing = dict.fromkeys(("user", "pending", "reissues", "changes"), denied)
    async with FaultServer(ca(**nothing)) as server:
        code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
        problem = of_check(found, "permission")
        assert (code, problem["result"]) == (4, "problem")
        assert "cannot tell whether this key may send" in problem["detail"]
        assert "Look at the key's roles" in problem["remedy"]
    async with FaultServer(ca(user=denied)) as server:
        code, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
        assert (code, of_check(found, "permission")["result"]) == (0, "not checked")


@pytest.mark.parametrize("read", ["user", "pending", "changes"])
async def test_what_is_about_no_order_is_not_explained_by_one(desk: Desk, read: str) -> None:
    missing = error(404, "not_found|order")
    async with FaultServer(ca(**{read: missing})) as server:
        _, found = await diagnosed(desk, BATCH_RESEND_BASE_URL=server.base_url)
    remedies = [one["remedy"] for group in found["groups"] for one in group["findings"]]
    assert not [remedy for remedy in remedies if remedy and "order number" in remedy]
    assert [remedy for remedy in remedies if remedy and "Check --base-url" in remedy]


# --- this machine -------------------------------------------------------------------------------


async def test_a_journal_that_cannot_be_written_lets_nothing_be_read(desk: Desk) -> None:
    desk.write("theirs.db", "a list of things to do\n")
    desk.write("file", "")
    for journal in ("theirs.db", "file/journal.db"):
        async with FaultServer(ca()) as server:
            desk.environment["BATCH_RESEND_BASE_URL"] = server.base_url
            code, found = await diagnosed(desk, "--journal", journal)
            await until(lambda: server.connections)  # the way there was looked at
            assert (server.requests, server.connections) == (0, 1)
        assert code == 4
        problem = of_check(found, "journal")
        assert (problem["result"], journal in problem["detail"]) == ("problem", True)
        assert "--journal" in problem["remedy"]
        assert of_check(found, "connection")["result"] == "ok"
        assert of_check(found, "account")["result"] == "not checked"


async def test_while_a_run_has_the_journal_it_asks_nothing_and_ends_with_5(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, simulator):
        desk.write_list(40)
        sending = await desk.start("send", "orders.csv", "--limit", "10/1s")
        await until(lambda: simulator.books.requests)
        code, found = await diagnosed(desk)
        assert (await ended(sending)).code == 0
    assert (code, found["requests"]) == (5, 0)
    assert "another run holds the journal" in of_check(found, "journal")["detail"]


async def test_without_a_key_the_rest_is_looked_at(desk: Desk) -> None:
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
