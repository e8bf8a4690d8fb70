"""What the CA's codes mean in plain words, and what to do: one table for all who tell a person.

Statuses and codes are those of the CA's page "Errors" (dev.digicert.com); those without a status
are this program's own, for requests that brought no answer (`FaultKind`).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

WOULD_WIDEN = "would_widen"  # the code of what is not sent: the CA would mail others for it


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an answer means, and what to do about it."""

    status: int | None  # of the answer; None: there was none
    code: str  # of the CA; `*` stands for any text, none included
    meaning: str
    remedy: str


EXPLANATIONS = (
    Explanation(
        400,
        "bad_request_format",
        "The CA could not read the request as it was made for this order.",
        "Look at what `check --out` shows for it; if it looks right, tell us what the CA said.",
    ),
    Explanation(
        400,
        "caa_*",
        "The domain's CAA records do not let this CA issue for it.",
        "Have the domain's owner mend the CAA records, then send again.",
    ),
    Explanation(
        400,
        "*email*",
        "The CA does not accept an address of the order.",
        "Use one of the five usual addresses (admin, administrator, webmaster, hostmaster, "
        "postmaster) at the domain or a parent, or a contact from its DNS, and send again.",
    ),
    Explanation(
        400,
        "*domain*",
        "The CA does not accept a domain of the order: it may be misspelled, approved already, or "
        "not part of the order.",
        "Compare the order's domains in CertCentral with the list, mend the list, send again.",
    ),
    Explanation(
        400,
        "*product*",
        "The order's product is not one whose mails this call resends: it is not DV.",
        "Send its domains with --call domain-dcv, and for EV its approval with --call "
        "order-approval.",
    ),
    Explanation(
        400,
        "*locale*",
        "The CA does not know the language.",
        "Take another code for --locale or in the list, such as en, and send again.",
    ),
    Explanation(
        400,
        "*",
        "The CA will never accept this request as it is; its message says what it objects to. "
        "Orders that are issued, cancelled, not DV or not validated by e-mail end up here too.",
        "Look the order up in CertCentral; mend the list, or take the order out of it. What is "
        "not DV (OV, EV) is resent domain by domain: --call domain-dcv.",
    ),
    Explanation(
        401,
        "*",
        "The CA refused the API key: it is mistyped, revoked, expired or of the other region.",
        "Check that the key is whole, not revoked or expired, and of the right region "
        "(--region us|eu).",
    ),
    Explanation(
        403,
        "*",
        "The API key may not resend for this order: a view-only key, or another division's order.",
        "Give the key the permission in CertCentral, or take one of the order's division.",
    ),
    Explanation(
        404,
        "*route*",
        "The URL is not one of the CA's calls.",
        "Check --base-url or --region.",
    ),
    Explanation(
        404,
        "*domain*",
        "The key's account has no such domain: it is misspelled, of another account, or a part of "
        "one that is known by another name.",
        "Compare the domain with CertCentral's list of domains.",
    ),
    Explanation(
        404,
        "not_found*",
        "The key's account has no such order: the number is wrong, or it belongs to another "
        "account or was not migrated to CertCentral.",
        "Compare the order number with CertCentral; send with the key of the order's account.",
    ),
    Explanation(
        404,
        "*",
        "The URL is not one of the CA's calls.",
        "Check --base-url or --region.",
    ),
    Explanation(
        429,
        "*",
        "Too many requests: others may use the same key, or its limit is lower than told.",
        "Nothing: the run pauses and takes fewer. If it happens often, lower --limit.",
    ),
    Explanation(
        502,
        "*",
        "A gateway before the CA had no good answer: the CA may have acted all the same.",
        "Send again with --in-doubt retry, if a second mail does no harm.",
    ),
    Explanation(
        504,
        "*",
        "A gateway before the CA waited in vain: the CA may have acted all the same.",
        "Send again with --in-doubt retry, if a second mail does no harm.",
    ),
    Explanation(
        503,
        "*",
        "The CA is not available, as in its maintenance windows.",
        "Send what is left later.",
    ),
    Explanation(
        500,
        "*",
        "Something went wrong at the CA.",
        "Send what is left later; if it is always the same orders, ask the CA.",
    ),
    Explanation(
        None,
        WOULD_WIDEN,
        "Not sent: the CA knows none of the addresses for this domain, and would mail all the "
        "addresses that it has for it instead.",
        "Use an address that the CA has for the domain (constructed, or in its DNS), or leave the "
        "address out to have all of them mailed.",
    ),
    Explanation(
        None,
        "no_such_host",
        "The CA's name does not resolve: DNS is down, or the URL is wrong.",
        "Check --base-url and the network, then send what is left.",
    ),
    Explanation(
        None,
        "not_connected",
        "No connection to the CA could be made.",
        "Check the network, the firewall and --trust-env, then send what is left.",
    ),
    Explanation(
        None,
        "proxy_refused",
        "The proxy opened no way to the CA.",
        "Check the proxy that the environment names and what it allows, then send what is left.",
    ),
    Explanation(
        None,
        "tls_refused",
        "No trusted connection could be made: the certificate is not one this machine trusts.",
        "Check --base-url, or name the authority that vouches for it: --ca-file.",
    ),
    Explanation(
        None,
        "lost",
        "The connection broke before the answer was there: the CA may have acted.",
        "Send again with --in-doubt retry, if a second mail does no harm.",
    ),
    Explanation(
        None,
        "timed_out",
        "No answer came within --timeout: the CA may have acted.",
        "Send again with --in-doubt retry, if a second mail does no harm.",
    ),
    Explanation(
        None,
        "garbled",
        "What came back was no HTTP answer: the CA may have acted.",
        "Check --base-url; send again with --in-doubt retry, if a second mail does no harm.",
    ),
)


def explain(http_status: int | None, code: str | None) -> Explanation | None:
    """Return what is known of an answer; None where nothing is."""
    for known in EXPLANATIONS:
        if known.status == http_status and fnmatchcase(code or "", known.code):
            return known
    return None
