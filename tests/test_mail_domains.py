"""Whether domains take mail, asked of a real DNS server on loopback."""

import pytest

from batch_resend.cli.output.plan import _ROUTES_IN_WORDS
from batch_resend.mail_domains import MailDomains, MailRoute
from batch_resend.report.mail_routes import ROUTE_IN_WORDS
from tests.dns_server import GARBAGE, REFUSED, SERVFAIL, SILENT, TRUNCATED, dns_server

A, AAAA = "A 192.0.2.1", "AAAA 2001:db8::1"
NAMES = {
    "usual.example": (("MX 10 mx.example.", "MX 20 mx2.example."), MailRoute.MX),
    "both.example": (("MX 10 mx.example.", A), MailRoute.MX),
    "alias.example": (("CNAME usual.example.",), MailRoute.MX),
    "long.example": ((TRUNCATED, "MX 10 mx.example."), MailRoute.MX),
    "odd.example": (("MX 0 .", "MX 10 mx.example."), MailRoute.MX),
    "null.example": (("MX 0 .",), MailRoute.NULL_MX),
    "null-with-address.example": (("MX 0 .", A), MailRoute.NULL_MX),
    "address.example": ((A,), MailRoute.NO_MX),
    "address-of-six.example": ((AAAA,), MailRoute.NO_MX),
    "alias-of-address.example": (("CNAME address.example.",), MailRoute.NO_MX),
    "text.example": (("TXT none",), MailRoute.NO_MAIL_RECORDS),
    "failing.example": ((SERVFAIL,), MailRoute.UNKNOWN),
    "refusing.example": ((REFUSED,), MailRoute.UNKNOWN),
}


@pytest.mark.asyncio
async def test_each_domain_takes_mail_or_not_as_its_records_say_and_a_failure_says_nothing() -> (
    None
):
    async with dns_server({name: has for name, (has, _) in NAMES.items()}) as server:
        asking = MailDomains(("127.0.0.1", server.port), timeout_s=60.0)
        found = await asking.routes([*NAMES, "no.such.example"])
    expected = {name: route for name, (_, route) in NAMES.items()}
    assert found == expected | {"no.such.example": MailRoute.NO_SUCH_DOMAIN}


@pytest.mark.asyncio
@pytest.mark.parametrize("how", [SILENT, GARBAGE])
async def test_a_domain_of_which_no_answer_comes_in_time_is_not_known(how: str) -> None:
    async with dns_server({"a.example": [how]}) as server:
        asking = MailDomains(("127.0.0.1", server.port), timeout_s=1.0)
        assert await asking.routes(["a.example"]) == {"a.example": MailRoute.UNKNOWN}
        assert server.asked


@pytest.mark.asyncio
async def test_a_name_that_dns_cannot_have_is_not_known_and_holds_up_no_other() -> None:
    async with dns_server({"a.example": ["MX 1 mx.example."]}) as server:
        asking = MailDomains(("127.0.0.1", server.port))
        found = await asking.routes(["x" * 64 + ".example", "a..example", "a.example"])
    assert [*found.values()] == [MailRoute.UNKNOWN, MailRoute.UNKNOWN, MailRoute.MX]


@pytest.mark.asyncio
@pytest.mark.parametrize("at_once", [1, 7])
async def test_each_domain_is_asked_about_once_and_so_many_at_a_time_at_the_most(
    at_once: int,
) -> None:
    names = [f"d{n}.example" for n in range(40)]
    async with dns_server({name: ["MX 1 mx.example."] for name in names}) as server:
        asking = MailDomains(("127.0.0.1", server.port), at_once=at_once)
        found = await asking.routes([*names, *names])
    assert set(found.values()) == {MailRoute.MX}
    assert server.asked == {(name, "MX"): 1 for name in names}
    assert 1 <= server.most_waiting <= at_once


@pytest.mark.asyncio
async def test_a_server_that_answers_nothing_is_waited_for_no_longer_than_allowed_in_all() -> None:
    async with dns_server({f"d{n}.example": [SILENT] for n in range(9)}) as server:
        asking = MailDomains(("127.0.0.1", server.port), timeout_s=3_600.0, within_s=0.2, at_once=3)
        found = await asking.routes(server.names)
    assert set(found.values()) == {MailRoute.NOT_ASKED}
    assert len({name for name, _ in server.asked}) <= 3


@pytest.mark.asyncio
async def test_nothing_to_ask_is_no_question() -> None:
    async with dns_server({}) as server:
        assert await MailDomains(("127.0.0.1", server.port)).routes([]) == {}
        assert not server.asked


def test_every_route_has_its_words_and_only_what_is_known_is_a_warning() -> None:
    assert set(_ROUTES_IN_WORDS) == set(MailRoute)
    known_to_be_fine_or_not_known = {MailRoute.MX, MailRoute.UNKNOWN, MailRoute.NOT_ASKED}
    assert set(ROUTE_IN_WORDS) == set(MailRoute) - known_to_be_fine_or_not_known
