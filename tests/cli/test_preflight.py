"""`--preflight`: what the CA says is better not sent is skipped, or refused."""

import signal
from pathlib import Path

import pytest

from tests.cli.conftest import ended, orders_of, until
from tests.cli.raw_service import (
    ALL,
    BLOCK_PAGE,
    NO_SUCH_CALL,
    SOME,
    Asked,
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
        ("admin@example.com", http(403, BLOCK_PAGE, "text/html"), "might mail all"),
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


async def test_a_domain_that_the_ca_does_not_have_is_left_to_its_own_answer(tmp_path: Path) -> None:
    gone = error(404, "not_found|domain", "No such domain.")
    async with desk_at(tmp_path, lambda _: gone) as (desk, _):
        desk.write("domains.csv", "domain,email\nexample.com,someone@example.com\n")
        refused = await desk.run(*DOMAIN_CALL)
        assert refused.code == 3
        assert "No such domain." in refused.out
