"""What a connection that came so far says of the network, and what to do."""

import pytest

from batch_resend.certcentral import Failure, Probe, Step
from batch_resend.certcentral.probe import Certificate
from batch_resend.doctor.checks import check_network
from batch_resend.doctor.findings import Check, Result

NOW = 1_795_000_000.0  # 18 November 2026
DAY_S = 86_400.0
ADDRESSES = ("45.60.1.2", "45.60.1.3")
SHOWN = Certificate("DigiCert Inc", NOW + 87.5 * DAY_S, "TLSv1.3")


def probed(
    step: Step | None = None, reason: str = "", status: int | None = None, proxy: str | None = None
) -> Probe:
    """Return a connection that failed at a step, or at none."""
    failure = None if step is None else Failure(step, reason, status)
    return Probe(
        "www.digicert.com", 443, proxy, ADDRESSES, ADDRESSES[0], None if step else SHOWN, True,
        failure,
    )  # fmt: skip


def test_a_way_that_is_open_is_said_with_address_issuer_and_days() -> None:
    findings = check_network(probed(), NOW, is_proxy_left_out=False)
    assert [(finding.check, finding.result) for finding in findings] == [
        (Check.NAME, Result.OK), (Check.CONNECTION, Result.OK), (Check.TLS, Result.OK)
    ]  # fmt: skip
    assert [finding.detail for finding in findings] == [
        "www.digicert.com has the address 45.60.1.2 and 1 more",
        "45.60.1.2 accepts connections at port 443",
        "TLSv1.3; the certificate is trusted, from DigiCert Inc, valid until 2027-02-13 (87 days)",
    ]


def test_with_a_proxy_it_is_the_proxy_whose_name_and_port_are_said() -> None:
    found = check_network(probed(proxy="proxy.corp:3128"), NOW, is_proxy_left_out=False)
    assert [finding.check for finding in found] == [
        Check.NAME, Check.CONNECTION, Check.PROXY, Check.TLS
    ]  # fmt: skip
    assert found[0].detail == "the proxy proxy.corp has the address 45.60.1.2 and 1 more"
    assert found[1].detail == "45.60.1.2 accepts connections at port 3128"
    assert found[2].detail == "proxy.corp:3128 connects to www.digicert.com:443"


PROXY = "proxy.corp:3128"
FAILURES = [
    (probed(Step.NAME, "Name or service not known"), Check.NAME,
     "www.digicert.com has no address: Name or service not known", "--base-url"),
    (probed(Step.NAME, "Name or service not known", proxy=PROXY), Check.NAME,
     "the proxy proxy.corp has no address", "HTTPS_PROXY"),
    (probed(Step.CONNECTION, "Connection refused"), Check.CONNECTION,
     "www.digicert.com accepts no connection at port 443: Connection refused", "firewall"),
    (probed(Step.CONNECTION, "Connection refused", proxy=PROXY), Check.CONNECTION,
     "the proxy proxy.corp accepts no connection at port 3128", "HTTPS_PROXY"),
    (probed(Step.PROXY_TLS, "wrong version number", proxy=PROXY), Check.PROXY,
     "no TLS with the proxy proxy.corp:3128", "does not speak TLS"),
    (probed(Step.TUNNEL, "it says 403 Forbidden", 403, PROXY), Check.PROXY,
     "proxy.corp:3128 does not connect to www.digicert.com:443: it says 403 Forbidden",
     "Have the proxy allow www.digicert.com:443"),
    (probed(Step.TUNNEL, "it says 407", 407, PROXY), Check.PROXY, "it says 407", "USER:PASSWORD"),
    (probed(Step.TLS, "unable to get local issuer certificate"), Check.TLS,
     "no trusted connection to www.digicert.com:443: unable to get local issuer", "--ca-file"),
    (probed(Step.TLS, "self-signed certificate in certificate chain"), Check.TLS,
     "self-signed", "openssl s_client -connect www.digicert.com:443"),
    (probed(Step.TLS, "certificate has expired"), Check.TLS, "expired", "clock first"),
    (probed(Step.TLS, "certificate is not yet valid"), Check.TLS, "not yet", "clock first"),
    (probed(Step.TLS, "Hostname mismatch, certificate is not valid for 'x'"), Check.TLS,
     "mismatch", "another host's"),
    (probed(Step.TLS, "wrong version number"), Check.TLS, "wrong version", "does not speak TLS"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "check", "detail", "remedy"), FAILURES)
def test_the_step_that_failed_is_the_last_that_is_said_with_what_to_do(
    found: Probe, check: Check, detail: str, remedy: str
) -> None:
    *before, last = check_network(found, NOW, is_proxy_left_out=False)
    assert {finding.result for finding in before} <= {Result.OK}
    assert (last.check, last.result) == (check, Result.PROBLEM)
    assert detail in last.detail
    assert last.remedy is not None
    assert remedy in last.remedy
    assert "--trust-env" not in last.remedy


@pytest.mark.parametrize("step", [Step.NAME, Step.CONNECTION, Step.TLS])
def test_where_the_environment_names_a_proxy_that_is_left_out_it_is_said(step: Step) -> None:
    *_, last = check_network(probed(step, "refused"), NOW, is_proxy_left_out=True)
    assert last.remedy is not None
    assert "--trust-env goes through it" in last.remedy


def test_every_step_can_be_said() -> None:
    assert {found.failure.step for found, *_ in FAILURES if found.failure} == set(Step)
