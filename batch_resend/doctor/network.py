"""How far a connection came -> findings: name, connection, proxy, TLS."""

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime

from batch_resend.certcentral import Failure, Probe, Step
from batch_resend.doctor.findings import Check, Finding, Result

_DAY_S = 86_400.0
_CHECK_OF = {
    Step.NAME: Check.NAME,
    Step.CONNECTION: Check.CONNECTION,
    Step.PROXY_TLS: Check.PROXY,
    Step.TUNNEL: Check.PROXY,
    Step.TLS: Check.TLS,
}
_ORDER = (Check.NAME, Check.CONNECTION, Check.PROXY, Check.TLS)
_WHERE_IS_A_PROXY = " The environment names a proxy: --trust-env goes through it."


def check_network(probe: Probe, now: float, *, is_proxy_left_out: bool) -> list[Finding]:
    """Return what a connection shows of the network, up to the first check that failed.

    `is_proxy_left_out`: the environment names a proxy, and --trust-env was not given.
    """
    failed = _CHECK_OF[probe.failure.step] if probe.failure else None
    findings: list[Finding] = []
    for check in _ORDER:
        if check is Check.PROXY and probe.proxy is None:
            continue
        if probe.failure is not None and check is failed:
            return [*findings, _problem(probe, probe.failure, is_proxy_left_out)]
        findings.append(_fine(check, probe, now))
    return findings


def _fine(check: Check, probe: Probe, now: float) -> Finding:
    if check is Check.TLS and not probe.is_encrypted:
        detail = "plain HTTP, which is spoken within this machine only"
        return Finding(check, Result.NOT_CHECKED, detail)
    match check:
        case Check.NAME:
            detail = _name(probe)
        case Check.CONNECTION:
            host, port = _end(probe)
            detail = f"{probe.connected_to or host} takes connections at port {port}"
        case Check.PROXY:
            detail = f"{probe.proxy} connects to {probe.host}:{probe.port}"
        case _:
            detail = _certificate(probe, now)
    return Finding(check, Result.OK, detail)


def _end(probe: Probe) -> tuple[str, int]:
    """Return the host and the port that are connected to: the proxy's, or else the CA's."""
    if probe.proxy is None:
        return probe.host, probe.port
    host, _, port = probe.proxy.rpartition(":")
    return host.strip("[]"), int(port)


def _name(probe: Probe) -> str:
    host, _ = _end(probe)
    whose = "the proxy " if probe.proxy else ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        first, *others = probe.addresses
        more = f" and {len(others)} more" if others else ""
        return f"{whose}{host} has the address {first}{more}"
    return f"{whose}{host} is an address itself"


def _certificate(probe: Probe, now: float) -> str:
    shown = probe.certificate
    if shown is None:
        return "trusted"
    until = datetime.fromtimestamp(shown.expires_at, UTC)
    days = int((shown.expires_at - now) // _DAY_S)
    return (
        f"{shown.tls_version}; the certificate is trusted, from {shown.issuer}, valid until "
        f"{until:%Y-%m-%d} ({days:,} days)"
    )


def _problem(probe: Probe, failure: Failure, is_proxy_left_out: bool) -> Finding:
    check = _CHECK_OF[failure.step]
    remedy = "".join(_remedy(probe, failure, is_proxy_left_out))
    return Finding(check, Result.PROBLEM, _what_failed(probe, failure), remedy)


def _what_failed(probe: Probe, failure: Failure) -> str:
    host, port = _end(probe)
    whose = "the proxy " if probe.proxy else ""
    match failure.step:
        case Step.NAME:
            return f"{whose}{host} has no address: {failure.reason}"
        case Step.CONNECTION:
            return f"{whose}{host} takes no connection at port {port}: {failure.reason}"
        case Step.PROXY_TLS:
            return f"no TLS with the proxy {probe.proxy}: {failure.reason}"
        case Step.TUNNEL:
            return f"{probe.proxy} does not connect to {probe.host}:{probe.port}: {failure.reason}"
        case _:
            return f"no trusted connection to {probe.host}:{probe.port}: {failure.reason}"


def _remedy(probe: Probe, failure: Failure, is_proxy_left_out: bool) -> Iterator[str]:
    """Yield what to do, a sentence at a time."""
    goes_by_proxy = probe.proxy is not None
    match failure.step:
        case Step.NAME if goes_by_proxy:
            yield "Check the proxy that HTTPS_PROXY or ALL_PROXY names, and the name server."
        case Step.NAME:
            yield "Check --base-url or --region, and this machine's name server."
        case Step.CONNECTION if goes_by_proxy:
            yield "Check the proxy that HTTPS_PROXY or ALL_PROXY names, and whether it runs."
        case Step.CONNECTION:
            yield "Check the network and the firewall: they must let this machine connect there."
        case Step.TUNNEL if failure.status == 407:
            yield "It asks for a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
        case Step.TUNNEL:
            yield f"Have the proxy allow {probe.host}:{probe.port}, or name another in HTTPS_PROXY."
        case _:
            yield _remedy_of_tls(probe, failure)
    if is_proxy_left_out and not goes_by_proxy:
        yield _WHERE_IS_A_PROXY


def _remedy_of_tls(probe: Probe, failure: Failure) -> str:
    host, port = _end(probe) if failure.step is Step.PROXY_TLS else (probe.host, probe.port)
    reason = failure.reason.lower()
    if "expired" in reason or "not yet valid" in reason:
        return (
            "Look at this machine's clock first (`date`); if it is right, the certificate is bad."
        )
    if "not valid for" in reason or "mismatch" in reason:
        return "The certificate is another host's: check --base-url, and what stands in between."
    if "issuer" in reason or "self-signed" in reason or "self signed" in reason:
        return (
            "Something in between may show a certificate of its own, as a company's proxy does: "
            "name the authority that issued it with --ca-file. "
            f"`openssl s_client -connect {host}:{port} </dev/null` shows who that is."
        )
    return (
        "Something in between does not speak TLS: check the port in --base-url, and the firewall."
    )
