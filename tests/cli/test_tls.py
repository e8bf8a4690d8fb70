"""Over https, end to end: whom a run trusts, what it says where it does not, and nothing sent."""

import ssl
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import KEY, Desk, assert_adds_up
from tests.cli.counting_server import Call, CountingServer


def desk_at(folder: Path, base_url: str, authority: trustme.CA) -> Desk:
    """Return a folder to work in, with a list and two files of certificates."""
    desk = Desk(folder, base_url)
    desk.environment["BATCH_RESEND_LIMIT"] = "none"
    desk.write("orders.csv", "order_id\n1\n2\n3\n")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "another.pem"))
    return desk


@pytest.mark.parametrize("how", ["flag", "variable", "line of the configuration"])
async def test_a_ca_that_a_file_names_is_trusted(
    tmp_path: Path, authority: trustme.CA, untrusted: ssl.SSLContext, how: str
) -> None:
    async with CountingServer(Call.accept, tls=untrusted) as ca:
        desk = desk_at(tmp_path, ca.base_url, authority)
        arguments = ["--ca-file", "ca.pem"] if how == "flag" else []
        if how == "variable":
            desk.environment["BATCH_RESEND_CA_FILE"] = str(tmp_path / "ca.pem")
        elif how == "line of the configuration":
            config = desk.write("config.toml", 'ca-file = "ca.pem"\n')
            desk.environment["BATCH_RESEND_CONFIG"] = str(config)
        sent = await desk.run("send", "orders.csv", *arguments)
    assert sent.code == 0, sent.err
    assert ca.mails_of == dict.fromkeys("123", 1)
    assert all(KEY.encode() in head for head in ca.heads)


async def assert_refused(ca: CountingServer, desk: Desk, *arguments: str, said: str) -> None:
    stopped = await desk.run("send", "orders.csv", *arguments)
    assert stopped.code == 4, stopped.err
    for told in (stopped.err, stopped.out):
        assert f"{ca.base_url} cannot be reached" in told
        assert said in told  # the reason
        assert "Check --base-url" in told  # and what to do
        assert "--ca-file" in told
        assert "Traceback" not in told
    summary = desk.summary()
    assert_adds_up(summary)
    assert summary["orders"]["not_attempted"] == 3
    assert summary["requests"]["possible_duplicates"] == 0
    assert ca.requests == 0


async def test_without_it_the_run_stops_before_a_request_and_says_why_and_what_to_do(
    tmp_path: Path, authority: trustme.CA, untrusted: ssl.SSLContext
) -> None:
    async with CountingServer(Call.accept, tls=untrusted) as ca:
        desk = desk_at(tmp_path, ca.base_url, authority)
        await assert_refused(ca, desk, said="unable to get local issuer certificate")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.pem", "No such file or directory"),
        (".", "Is a directory"),
        ("empty.pem", "holds no certificates (PEM)"),
        ("orders.csv", "holds no certificates (PEM)"),
        ("half.pem", "holds no certificates (PEM)"),
        ("key.pem", "holds no certificates (PEM)"),
        ("/dev/null", "holds no certificates (PEM)"),
    ],
)
async def test_a_file_that_holds_no_certificates_is_named_in_one_line_and_nothing_starts(
    tmp_path: Path, authority: trustme.CA, untrusted: ssl.SSLContext, name: str, reason: str
) -> None:
    async with CountingServer(Call.accept, tls=untrusted) as ca:
        desk = desk_at(tmp_path, ca.base_url, authority)
        desk.write("empty.pem", "")
        desk.write("half.pem", authority.cert_pem.bytes().decode()[:300])
        desk.write("key.pem", authority.private_key_pem.bytes().decode())
        refused = await desk.run("send", "orders.csv", "--ca-file", name)
    assert refused.code == 1
    assert refused.err == f"batch-resend: ca_file: {name}: {reason}\n"
    assert refused.out == ""
    assert ca.connections == 0
    assert not (tmp_path / "reports").exists()
